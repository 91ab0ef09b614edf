//! Ends that nobody planned: signals, partners that die or stop, a parent that is killed.

use std::fs;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Done, command};

/// A run with one long incarnation, which a partner process lives through.
fn long_run(workloads: &str) -> Child {
    let line = format!("ctxprof run {workloads} --incarnations 1 --time 20 --no-save --quiet");
    let run = command(&line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    sleep(Duration::from_millis(700));
    run
}

fn partner_of(run: &Child) -> Pid {
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", run.id())).unwrap();
    Pid::from_raw(children.split_whitespace().next().expect("a partner process").parse().unwrap())
}

fn signal(run: &Child, signal: Signal) {
    kill(Pid::from_raw(run.id() as i32), signal).unwrap();
}

fn finish(run: Child) -> Done {
    run.wait_with_output().unwrap().into()
}

/// Whether a process is gone, or dead and waiting to be reaped by whoever adopted it.
fn is_dead(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .map_or(true, |stat| stat.rsplit(") ").next().unwrap().starts_with('Z'))
}

#[test]
fn an_interrupted_run_prints_what_there_is_marked_partial() {
    for (sent, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let run = long_run("thread-pipe process-pipe");
        let asked = Instant::now();
        signal(&run, sent);
        let done = finish(run).expect(code, &[]);
        assert!(asked.elapsed() < Duration::from_secs(3));
        assert!(done.stdout.contains("thread-pipe") && done.stdout.contains("partial: interrupted"), "{done:?}");
    }
}

#[test]
fn the_same_wish_sent_twice_at_once_still_prints_what_there_is() {
    let run = long_run("thread-pipe");
    signal(&run, Signal::SIGINT);
    signal(&run, Signal::SIGINT);
    assert!(finish(run).expect(130, &[]).stdout.contains("interrupted"));
}

#[test]
fn a_partner_process_that_is_killed_is_named_and_what_there_was_is_shown() {
    let run = long_run("process-pipe");
    kill(partner_of(&run), Signal::SIGKILL).unwrap();
    let done = finish(run).expect(1, &["process-pipe, incarnation 1", "partner process", "SIGKILL"]);
    assert!(done.stdout.contains("ended by an error"), "{done:?}");
}

#[test]
fn a_partner_that_stands_still_for_ten_seconds_ends_the_run_which_says_where() {
    let run = long_run("process-pipe");
    let partner = partner_of(&run);
    kill(partner, Signal::SIGSTOP).unwrap();
    let stopped = Instant::now();
    finish(run).expect(1, &["process-pipe", "no progress for 10 s"]);
    assert!(
        stopped.elapsed() > Duration::from_secs(5) && stopped.elapsed() < Duration::from_secs(20),
        "{:?}",
        stopped.elapsed()
    );
    assert!(is_dead(partner), "the stopped partner was left behind");
}

#[test]
fn a_run_that_is_killed_leaves_no_partner_behind() {
    let mut run = long_run("process-pipe");
    let partner = partner_of(&run);
    assert!(!is_dead(partner));
    signal(&run, Signal::SIGKILL);
    run.wait().unwrap();
    let gone = (0..100).any(|_| {
        sleep(Duration::from_millis(10));
        is_dead(partner)
    });
    assert!(gone, "{partner} lives on");
}

#[test]
fn a_run_that_is_stopped_for_a_while_goes_on_afterwards() {
    let line = "ctxprof run thread-pipe --incarnations 6 --time 1 --no-save --quiet";
    let run = command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    sleep(Duration::from_millis(300));
    signal(&run, Signal::SIGSTOP);
    sleep(Duration::from_secs(12));
    signal(&run, Signal::SIGCONT);
    finish(run).expect(0, &[]);
}
