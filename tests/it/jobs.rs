//! `ctxprof stat` as a shell's job: on a terminal, with children from before, asked to end.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::odd_programs::{Case, document, done, shell};
use crate::support::{CTXPROF, Done, command, runs, start_until_ready, wait_until};

const JSON: &str = "--cost none --quiet --format json";

/// Returns the output of a program and ctxprof on a terminal of their own, with Ctrl-C typed once a second from the first `ready` on.
fn on_terminal(mode: &str, seconds: i32, options: &str) -> String {
    let (terminal, program) = (Case::new("on-terminal"), Case::new("own-session"));
    let mut command = Command::new(terminal.path());
    command
        .arg(seconds.to_string())
        .arg(CTXPROF.path())
        .args(["stat", "--cost", "none"])
        .args(options.split_whitespace());
    command.arg("--").arg(program.path()).arg(mode).stdin(Stdio::null());
    done(&mut command).expect(0, &[]).stdout
}

#[test]
fn ctrl_c_is_passed_on_to_a_program_that_has_left_the_foreground_group() {
    for mode in ["setsid", "setpgid"] {
        let said = on_terminal(mode, 8, "");
        assert!(
            said.contains("was killed by SIGINT after") && said.contains("typed 1, exited with 102"),
            "{mode}: {said}"
        );
    }
}

#[test]
fn ctrl_c_reaches_a_program_in_the_foreground_group_by_the_terminal() {
    let said = on_terminal("plain", 8, "");
    assert!(said.contains("was killed by SIGINT after") && said.contains("typed 1, exited with 102"), "{said}");
}

#[test]
fn a_second_ctrl_c_ends_the_watching_with_a_report_and_the_program_goes_on() {
    for mode in ["stop", "ignore"] {
        let said = on_terminal(mode, 8, "");
        assert!(said.contains("goes on; watched for") && said.contains("context-switches"), "{mode}: {said}");
        assert!(said.contains("typed 2, exited with 130"), "{mode}: {said}");
    }
}

#[test]
fn a_program_that_keeps_the_terminal_for_itself_keeps_no_report_back() {
    let said = on_terminal("foreground", -5, "");
    assert!(said.contains("exited with 0 after") && said.contains("typed 0, exited with 0"), "{said}");
}

#[test]
fn another_signal_is_passed_on_although_one_was_before() {
    let mut stat = start_until_ready(
        command("ctxprof stat --cost none -- sh -c")
            .arg("trap '' INT; trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done"),
    );
    let pid = Pid::from_raw(stat.id() as i32);
    kill(pid, Signal::SIGINT).unwrap();
    let mut stderr = BufReader::new(stat.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("SIGINT has been passed on to the program, which goes on") {
        assert_ne!(stderr.read_line(&mut said).unwrap(), 0, "{said}");
    }
    kill(pid, Signal::SIGTERM).unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(stat.wait().unwrap().code(), Some(5), "{said}");
    assert!(said.contains("exited with 5") && said.contains("context-switches"), "{said}");
}

#[test]
fn children_that_were_there_before_are_neither_waited_for_nor_counted() {
    let began = Instant::now();
    let script =
        format!("sleep 60 > /dev/null 2>&1 & (sleep 59; sleep 1) > /dev/null 2>&1 & exec $C stat {JSON} -- sleep 0.2");
    let document = document(&done(&mut shell(&script)).expect(0, &[]));
    assert!(began.elapsed() < Duration::from_secs(50), "they were waited for: {document}");
    assert_eq!(document["children"].as_array().unwrap().len(), 0, "{document}");
    assert_eq!(document["totals"]["threads"], 1, "{document}");
    // The reader of its stderr ends when it does, and not before.
    let script = "$C stat --cost none -- true 2> >(cat >&2)";
    done(&mut shell(script)).expect(0, &[]);
}

#[test]
fn children_of_before_that_end_meanwhile_are_not_the_programs() {
    let switching =
        "(for each in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 0.01; done) > /dev/null 2>&1 &";
    for options in ["", "--no-exit-records"] {
        let script = format!("{switching} exec $C stat {JSON} {options} -- sleep 0.4");
        let document = document(&done(&mut shell(&script)).expect(0, &[]));
        // Only its own waits: others may preempt it.
        assert!(document["totals"]["voluntary_switches"].as_u64().unwrap() < 20, "{document}");
    }
    let script = format!("{switching} exec $C run process-pipe --time 0.4 --repetitions 3 --no-save -q --format json");
    let run = done(&mut shell(&script)).expect(0, &[]).json();
    assert_eq!(run["results"][0]["workload"], "process-pipe");
}

#[test]
fn with_children_of_before_signals_and_codes_pass_through_all_the_same() {
    let stand_in = |rest: &str| format!("sleep 3 > /dev/null 2>&1 & exec $C stat --cost none -- {rest}");
    done(&mut shell(&stand_in("sh -c 'exit 42'"))).expect(42, &["exited with 42"]);
    let killed = shell(&stand_in("sh -c 'kill -34 $$'")).output().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&killed.status), Some(34), "{killed:?}");
    let stat = start_until_ready(&mut shell(&stand_in(
        "sh -c 'trap \"exit 5\" TERM; echo ready; while :; do sleep 0.05; done'",
    )));
    kill(Pid::from_raw(stat.id() as i32), Signal::SIGTERM).unwrap();
    Done::from(stat.wait_with_output().unwrap()).expect(5, &["exited with 5"]);
    let own = done(&mut shell("sleep 1 > /dev/null 2>&1 & exec $C stat -p $$"));
    own.expect(125, &["is ctxprof itself"]);
}

#[test]
fn a_killed_ctxprof_with_children_of_before_leaves_nothing_of_its_own_behind() {
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("pid");
    let script = format!(
        "sleep 5 & exec $C stat --cost none -- sh -c 'echo $$ $PPID > {0}.new; mv {0}.new {0}; exec sleep 20'",
        note.display()
    );
    let mut stat = shell(&script).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the program's number", || note.exists());
    let text = fs::read_to_string(&note).unwrap();
    let pids: Vec<i32> = text.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    stat.kill().unwrap();
    stat.wait().unwrap();
    wait_until("the end of who watched", || !runs(Pid::from_raw(pids[1])));
    assert!(runs(Pid::from_raw(pids[0])), "the program goes on");
    kill(Pid::from_raw(pids[0]), Signal::SIGKILL).unwrap();
}
