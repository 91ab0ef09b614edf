//! `ctxprof stat` and the program that it runs: start, streams, signals, and the end of either.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::isolation::Nobody;
use crate::machine::needs;
use crate::stats::{spawn, stat};
use crate::support::{CTXPROF, Done, children_of, command, pid_of, run, runs, start_until_ready, switcher, wait_until};

fn name_of(pid: Pid) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_string()
}

/// Returns the first child of a process that has this name, once there is one.
#[track_caller]
fn child_of(pid: Pid, name: &str) -> Pid {
    let mut found = None;
    wait_until(&format!("a child {name} of {pid}"), || {
        found = children_of(pid).into_iter().find(|&child| name_of(child) == name);
        found.is_some()
    });
    found.unwrap()
}

#[test]
fn the_program_has_its_streams_and_its_exit_code() {
    let mut cat = spawn("ctxprof stat --cost none -- cat");
    cat.stdin.take().unwrap().write_all(b"through\n").unwrap();
    let done: Done = cat.wait_with_output().unwrap().into();
    assert_eq!(done.stdout, "through\n");
    assert!(done.stderr.starts_with("cat: exited with 0 after"), "{done:?}");
    let done = run("ctxprof stat --cost none -- switcher exit 42").expect(42, &["exited with 42"]);
    assert_eq!(done.stdout, "");
}

#[test]
fn a_signal_that_ends_the_program_ends_ctxprof_after_the_report() {
    for signal in [Signal::SIGTERM, Signal::SIGKILL, Signal::SIGSEGV] {
        let output = command(&format!("ctxprof stat --cost none -- switcher kill {signal}")).output().unwrap();
        assert_eq!(output.status.signal(), Some(signal as i32), "{output:?}");
        assert!(!output.status.core_dumped());
        assert!(String::from_utf8_lossy(&output.stderr).contains(&format!("was killed by {signal}")), "{output:?}");
    }
}

#[test]
fn what_cannot_be_started_has_the_shells_exit_codes_and_ctxprofs_own_failure_another() {
    run("ctxprof stat -- no-such-program").expect(127, &["no-such-program: no such program"]);
    run("ctxprof stat -- /etc/passwd").expect(126, &["/etc/passwd cannot be executed", "Permission denied"]);
    run("ctxprof stat -- /etc").expect(126, &["/etc cannot be executed"]);
    for (line, words) in [
        ("stat", "required"),
        ("stat --ops 0 -- true", "--ops"),
        ("stat --interval 1ns -- true", "10ms"),
        ("stat --interval soon -- true", "500ms, 2s or 1m"),
        ("stat -p 1 -- true", "cannot be used"),
        ("stat --for 1 -- true", "cannot be used"),
        ("stat --counters cpu -- true", "thread"),
        ("stat -p 0", "--pid"),
        ("stat -p 4194305", "no process 4194305"),
        ("stat -o /nonexistent/x.json -- true", "cannot write into /nonexistent"),
        ("stat --cost /nonexistent.json -- true", "/nonexistent.json"),
        ("stat --cost tests/golden/run-2.json -- true", "no CPU cost of thread-pipe or process-pipe"),
        ("stat --user=no-such-user -- true", "no-such-user"),
        ("stat -o /dev/full -- true", "suffix"),
    ] {
        run(&format!("ctxprof {line}")).expect(125, &[words]);
    }
}

#[test]
fn nothing_runs_if_the_report_could_not_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("it-ran");
    run(&format!("ctxprof stat -o /nonexistent/x.json -- touch {}", trace.display())).expect(125, &[]);
    assert!(!trace.exists());
}

#[test]
fn a_wish_to_stop_is_passed_on_and_the_report_is_printed_all_the_same() {
    for (signal, trap) in [(Signal::SIGINT, "INT"), (Signal::SIGTERM, "TERM"), (Signal::SIGHUP, "HUP")] {
        let stat = start_until_ready(
            command("ctxprof stat --cost none -- sh -c")
                .arg(format!("trap 'exit 5' {trap}; echo ready; while :; do sleep 0.05; done")),
        );
        kill(pid_of(&stat), signal).unwrap();
        let done: Done = stat.wait_with_output().unwrap().into();
        done.expect(5, &["exited with 5", "context-switches"]);
    }
}

#[test]
fn when_ctxprof_is_killed_the_program_goes_on() {
    let mut stat = spawn("ctxprof stat --cost none -- sleep 100");
    let program = child_of(pid_of(&stat), "sleep");
    stat.kill().unwrap();
    stat.wait().unwrap();
    // A signal that came with its end would already be there.
    sleep(Duration::from_millis(50));
    assert!(runs(program));
    kill(program, Signal::SIGKILL).unwrap();
}

#[test]
fn a_daemon_is_waited_for_or_left_running() {
    let waited = stat("-- switcher setsid 500");
    assert!(waited["totals"]["switches"].as_u64().unwrap() >= 500, "{waited}");
    let done = run("ctxprof stat --cost none -- switcher setsid 3000").expect(0, &[]);
    assert!(!done.stderr.contains("still running"), "{done:?}");
}

#[test]
fn a_program_that_leaves_something_running_says_what_is_waited_for() {
    let mut stat = command("ctxprof stat --cost none -- sh -c")
        .arg("sleep 100 2> /dev/null & exit 4")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let orphan = child_of(pid_of(&stat), "sleep");
    let mut stderr = BufReader::new(stat.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("waiting for what it left running") {
        assert_ne!(stderr.read_line(&mut said).unwrap(), 0, "{said}");
    }
    kill(pid_of(&stat), Signal::SIGINT).unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(stat.wait().unwrap().code(), Some(4));
    assert!(said.contains(&format!("waiting for what it left running: sleep ({orphan})")), "{said}");
    assert!(said.contains("still running at the end"), "{said}");
    assert!(runs(orphan));
    kill(orphan, Signal::SIGKILL).unwrap();
}

#[test]
fn what_is_to_be_left_running_is_not_waited_for() {
    // The shell must have become `sleep`.
    let script = "sleep 100 > /dev/null 2>&1 & echo $!; until [ \"$(cat /proc/$!/comm)\" = sleep ]; do :; done; exit 4";
    let left = command("ctxprof stat --cost none --leave-running -- sh -c").arg(script).output().unwrap();
    let done = Done::from(left).expect(4, &["still running at the end, counted up to then: sleep"]);
    assert!(!done.stderr.contains("waiting for"), "{done:?}");
    let orphan = Pid::from_raw(done.stdout.trim().parse().unwrap());
    assert!(runs(orphan));
    kill(orphan, Signal::SIGKILL).unwrap();
}

#[test]
fn the_command_runs_as_another_user_only_if_that_may_be() {
    needs!(Root);
    let output = command("ctxprof stat --cost none --user=nobody -- sh -c").arg("id -un; echo $HOME; id -Gn").output();
    let done: Done = output.unwrap().into();
    assert!(done.stdout.starts_with("nobody\n") && !done.stdout.contains("root"), "{done:?}");
    let by_sudo = command("ctxprof stat --cost none --user -- id -u").env("SUDO_UID", "65534").output().unwrap();
    assert_eq!(Done::from(by_sudo).stdout, "65534\n");
    let nobody_called = command("ctxprof stat --user -- id -u").env_remove("SUDO_UID").output().unwrap();
    Done::from(nobody_called).expect(125, &["SUDO_UID"]);
    Nobody::new().run("stat --user -- id -u").expect(125, &["--user takes root"]);
}

#[test]
fn a_program_that_stops_itself_or_has_no_stdin_is_waited_for() {
    run("ctxprof stat --cost none -- switcher stop").expect(0, &["context-switches"]);
}

#[test]
fn a_closed_stderr_loses_the_report_and_nothing_else() {
    let output = command("sh -c")
        .arg("\"$0\" stat --cost none -- \"$1\" exit 6 2>&-; echo $?")
        .arg(CTXPROF)
        .arg(switcher())
        .output();
    assert_eq!(Done::from(output.unwrap()).stdout, "6\n");
}
