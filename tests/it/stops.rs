//! Unplanned ends: signals, partners that die or stop, a parent that is killed.

use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Running, children_of, finish, pid_of, runs, signal, start, wait_until, wait_until_switching};

/// Starts a run with one long repetition, in which a partner process lives: it has begun, and has samples to show.
fn long_run(workloads: &str) -> Running {
    let run = start(&format!("ctxprof run {workloads} --repetitions 1 --time 3600 --no-save --quiet"));
    wait_until_switching(&run, 20_000);
    run
}

fn partner_of(run: &Running) -> Pid {
    children_of(pid_of(run))[0]
}

#[test]
fn an_interrupted_run_prints_what_there_is_marked_partial() {
    for (sent, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let run = long_run("thread-pipe process-pipe");
        signal(&run, sent);
        let done = finish(run).expect(code, &[]);
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
    let done = finish(run).expect(1, &["process-pipe, repetition 1", "partner process", "SIGKILL"]);
    assert!(done.stdout.contains("ended by an error"), "{done:?}");
}

#[test]
fn a_partner_that_stands_still_for_ten_seconds_ends_the_run_which_says_where() {
    let run = long_run("process-pipe");
    let partner = partner_of(&run);
    kill(partner, Signal::SIGSTOP).unwrap();
    let stopped = Instant::now();
    finish(run).expect(1, &["process-pipe", "no progress for 10 s"]);
    assert!(stopped.elapsed() > Duration::from_secs(5), "{:?}", stopped.elapsed());
    assert!(!runs(partner), "the stopped partner was left behind");
}

#[test]
fn a_run_that_is_killed_leaves_no_partner_behind() {
    // A closed pipe is seen by its other end, a dead futex partner is not.
    for workload in ["process-pipe", "process-futex"] {
        let mut run = long_run(workload);
        let partner = partner_of(&run);
        assert!(runs(partner));
        signal(&run, Signal::SIGKILL);
        run.wait().unwrap();
        wait_until("the partner's end", || !runs(partner));
    }
}

#[test]
fn a_run_that_is_stopped_for_a_while_goes_on_afterwards() {
    let run = start("ctxprof run thread-pipe --repetitions 6 --time 1 --no-save --quiet");
    wait_until_switching(&run, 1);
    signal(&run, Signal::SIGSTOP);
    sleep(Duration::from_secs(12));
    signal(&run, Signal::SIGCONT);
    finish(run).expect(0, &[]);
}

#[test]
fn a_pipe_that_nobody_writes_to_can_be_given_up_by_one_signal() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for line in ["compare --with", "run thread-pipe --no-save --baseline", "report"] {
        // Exits with 124 if its one signal was enough, with 137 if it had to kill.
        let line = format!("timeout --kill-after 10 1 ctxprof {line} {}", pipe.display());
        finish(start(&line)).expect(124, &[]);
    }
}
