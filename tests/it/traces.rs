//! `ctxprof trace`: reasons for leaving the CPU, checked with a program that leaves it for known reasons, and with kernel accounting.

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::isolation::Nobody;
use crate::machine::needs;
use crate::support::{
    CTXPROF, children_of, command, command_line_of, example, finish, pid_of, run, runs, signal, start, wait_until,
};

/// Returns the document of a program's trace, without measuring its cost.
fn traced(options: &str, program: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.json");
    let done = run(&format!("ctxprof trace --no-cost --quiet {options} -o {} -- {program}", path.display()));
    done.expect(0, &[]);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

fn rows<'v>(document: &'v Value, list: &str) -> &'v Vec<Value> {
    document[list].as_array().unwrap_or_else(|| panic!("no {list} in {document}"))
}

fn row<'v>(document: &'v Value, list: &str, key: &str, name: &str) -> &'v Value {
    let row = rows(document, list).iter().find(|row| row[key] == name);
    row.unwrap_or_else(|| panic!("no {name} in {}", document[list]))
}

/// Departures of the thread "subject", in every way but the last three, whose times a timer or another thread decides.
const TIMES: u64 = 20;

/// A way of `leaver`, its reason, the least number of departures, and the waker.
const WAYS: [(&str, &str, u64, Option<&str>); 17] = [
    ("futex", "futex", TIMES, Some("helper")),
    ("condvar", "futex", TIMES, Some("helper")),
    ("pipe", "read pipe", TIMES, Some("helper")),
    ("pipe-write", "write pipe", TIMES, Some("helper")),
    ("socketpair", "read socket", TIMES, Some("helper")),
    ("tcp", "read socket", TIMES, Some("helper")),
    ("udp", "read socket", TIMES, Some("helper")),
    ("eventfd", "read eventfd", TIMES, Some("helper")),
    ("epoll", "epoll", TIMES, Some("helper")),
    ("poll", "poll", TIMES, Some("helper")),
    ("select", "select", TIMES, Some("helper")),
    ("wait", "system call wait4", TIMES, Some("leaver")),
    ("sigwait", "system call rt_sigtimedwait", TIMES, Some("helper")),
    ("sleep", "sleep", TIMES, None),
    ("timerfd", "read timerfd", 1, None),
    ("yield", "yield", 1, None),
    ("stop", "stopped", 1, Some("leaver")),
];

/// Returns true for reasons of any thread: it ends, is preempted, or waits in the kernel for memory that it touches or for locks of
/// its process's other threads.
fn is_anybodys(reason: &str) -> bool {
    [
        "exit",
        "preempted",
        "woken before it slept",
        "throttled",
        "page fault, disk",
        "kernel wait",
        "memory shortage",
        "disk",
    ]
    .iter()
    .any(|known| reason.starts_with(known))
}

#[test]
fn every_reason_has_its_name_and_no_switch_has_anothers() {
    needs!(Bpf);
    for (way, reason, at_least, waker) in WAYS {
        let document = traced("", &format!("{} {way}", example("leaver").display()));
        let reasons = row(&document, "threads", "thread", "subject")["reasons"].as_object().unwrap();
        for (found, switches) in reasons {
            assert!(found == reason || is_anybodys(found), "{way}: {found} {switches}");
        }
        let lost = count(&document["tracing"]["records_lost"]) + unseen(&document);
        let found = reasons.get(reason).map_or(0, count);
        assert!(found + lost >= at_least, "{way}: {found} of {at_least}, {lost} lost");
        assert!(rows(&document, "reasons").iter().all(|row| row["reason"] != "unknown"), "{way}: {document}");
        if let Some(waker) = waker {
            let wakers = rows(row(&document, "reasons", "reason", reason), "wakers");
            assert!(wakers.iter().any(|row| row["kind"] == "thread" && row["name"] == waker), "{way}: {wakers:?}");
        }
    }
}

#[test]
fn a_timer_is_an_interrupt_and_has_no_name() {
    needs!(Bpf);
    let document = traced("", &format!("{} sleep", example("leaver").display()));
    let top = &row(&document, "reasons", "reason", "sleep")["wakers"][0];
    assert_eq!((&top["kind"], &top["name"]), (&Value::from("interrupt"), &Value::Null), "{document}");
}

/// Returns the switches of kernel accounting that the tracepoint did not show.
fn unseen(document: &Value) -> u64 {
    accounted(document).saturating_sub(count(&document["totals"]["switches"]))
}

fn accounted(document: &Value) -> u64 {
    let accounted = &document["totals"]["accounted"];
    count(&accounted["voluntary_switches"]) + count(&accounted["involuntary_switches"])
}

#[test]
fn the_program_has_its_streams_and_its_exit_code_and_the_report_goes_to_stderr() {
    needs!(Bpf);
    let mut shell = command("ctxprof trace --no-cost -- sh -c");
    let output = shell.arg("echo out; exit 3").output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(3), b"out\n".as_slice()));
    let text = String::from_utf8(output.stderr).unwrap();
    for words in ["exited with 3 after", " lost; ", "switches counted; kernel accounting ", "exit "] {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
    run("ctxprof trace --no-cost --quiet -- /nonexistent").expect(127, &["no such program"]);
    run("ctxprof trace --no-cost --quiet -- /etc/passwd").expect(126, &["cannot be executed"]);
    run("ctxprof trace --nonsense -- true").expect(125, &["--nonsense"]);
}

#[test]
fn what_tracing_costs_is_measured_on_this_host_or_not_shown() {
    needs!(Bpf);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.json");
    let done = run(&format!("ctxprof trace -o {} -- switcher sleeps 200", path.display())).expect(0, &[]);
    assert!(done.stderr.contains("measuring what tracing costs"), "{done:?}");
    let document: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let cost = &document["tracing"]["cost"];
    if cost.is_null() {
        assert_eq!(document["tracing"]["no_cost"], "other work on this machine drowns it", "{document}");
        return;
    }
    assert!(cost["ns_per_switch"]["low"].as_f64().unwrap() > 0.0 && cost["share_of_cpu"].is_f64(), "{document}");
    let wakings = cost["wakings_per_switch"].as_f64().unwrap();
    assert!(wakings > 0.0 && wakings <= 1.0, "{cost}");
}

#[test]
fn lost_records_are_counted_and_no_total_lacks_them() {
    needs!(Bpf);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.json");
    let mut trace = command(&format!("ctxprof trace --no-cost --quiet -o {} -- switcher pipe 20000", path.display()));
    let status = trace.env("CTXPROF_TEST_RECORD_BUFFER", "4096").output().unwrap().status;
    assert!(status.success(), "{status}");
    let document: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let lost = count(&document["tracing"]["records_lost"]);
    let shown: u64 = rows(&document, "reasons").iter().map(|row| count(&row["switches"])).sum();
    let switches = count(&document["totals"]["switches"]);
    assert!(
        lost > 0 && rows(&document, "warnings").iter().any(|warning| warning["code"] == "records-lost"),
        "{document}"
    );
    // A switch of a thread whose return or departure the tracepoint did not show may be without a record.
    assert!(shown + lost <= switches && switches - shown - lost <= switches / 100 + unseen(&document), "{document}");
    assert!(switches >= 20_000 && accounted(&document) >= switches, "{document}");
}

#[test]
fn who_may_not_attach_programs_is_told_what_is_missing() {
    needs!(Root, Bpf);
    let nobody = Nobody::new();
    nobody.run("trace -- true").expect(125, &["CAP_BPF and CAP_PERFMON", "sudo"]);
    nobody.run_under("unshare -Ur", "trace -- true").expect(125, &["CAP_BPF", "user namespace"]);
}

#[test]
fn a_kernel_that_does_not_tell_its_types_is_said_to() {
    needs!(Root, Bpf);
    let mut hidden = command("unshare --mount sh -ec");
    hidden.args(["mount -t tmpfs none /sys/kernel/btf; exec \"$@\"", "sh"]);
    let output = hidden.arg(CTXPROF).args(["trace", "--", "true"]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(125), "{text}");
    assert!(text.contains("/sys/kernel/btf/vmlinux: No such file") && text.lines().count() == 1, "{text}");
}

/// Returns the numbers of the BPF programs that a process has loaded.
fn programs_of(pid: Pid) -> Vec<u32> {
    let files = fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten();
    let texts = files.filter_map(|file| fs::read_to_string(file.path()).ok());
    let ids = texts.filter_map(|text| text.lines().find_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok()));
    ids.collect()
}

#[test]
fn a_program_in_a_pid_namespace_of_its_own_is_followed() {
    needs!(Root, Bpf);
    let trace = "ctxprof trace --no-cost --quiet -- sleep 0.01";
    run(&format!("unshare --pid --fork --mount-proc {trace}")).expect(0, &["\nsleep ", "\nexit ", "switches counted"]);
}

#[test]
fn of_a_killed_tracer_nothing_stays_and_the_program_goes_on() {
    needs!(Root, Bpf);
    let mut tracer = start("ctxprof trace -- sleep 1000");
    let pid = pid_of(&tracer);
    let program = || children_of(pid).into_iter().find(|child| command_line_of(*child).starts_with("sleep 1000"));
    wait_until("the traced program runs", || program().is_some());
    let (program, attached) = (program().unwrap(), programs_of(pid));
    assert!(attached.len() >= 4, "{attached:?}");
    let loaded = || -> Vec<u32> { aya::programs::loaded_programs().flatten().map(|program| program.id()).collect() };
    assert!(attached.iter().all(|id| loaded().contains(id)), "{attached:?}");
    tracer.kill().unwrap();
    tracer.wait().unwrap();
    let goes_on = runs(program);
    kill(program, Signal::SIGKILL).unwrap();
    assert!(goes_on);
    wait_until("its programs are gone", || attached.iter().all(|id| !loaded().contains(id)));
}

#[test]
fn the_first_stop_is_the_programs_and_a_second_one_ends_the_tracing_with_a_report() {
    needs!(Bpf);
    let running = start("ctxprof trace --no-cost -- env --ignore-signal=TERM sleep 1000");
    let program = || {
        let children = children_of(pid_of(&running));
        children.into_iter().find(|child| command_line_of(*child).starts_with("sleep"))
    };
    wait_until("the program runs", || program().is_some());
    let program = program().unwrap();
    signal(&running, Signal::SIGTERM);
    // It prints that the program goes on after waiting a while for it to end.
    std::thread::sleep(Duration::from_secs(2));
    signal(&running, Signal::SIGTERM);
    let tracer = pid_of(&running);
    wait_until("the tracing has ended", || !runs(tracer));
    let goes_on = runs(program);
    // It has the report's pipe open as well.
    kill(program, Signal::SIGKILL).unwrap();
    assert!(goes_on);
    finish(running).expect(143, &["has been passed on to the program", "goes on; traced for", "switches counted"]);
}

mod measuring {
    use super::*;

    /// Asserts that threads' counts and waits match the kernel's, except for one in a hundred.
    fn hold_to_the_kernels_accounting(program: &str, threads: u64) {
        let document = traced("", program);
        let totals = &document["totals"];
        assert_eq!(
            (count(&totals["threads"]), count(&totals["ended_threads"])),
            (threads, threads),
            "{program}: {totals}"
        );
        let differing = count(&totals["differing_threads"]);
        assert!(differing <= threads.div_ceil(100), "{program}: {totals}");
        let (seen, accounted) = (count(&totals["switches"]), accounted(&document));
        // The tracepoint need not show every switch, and of few one is more than a hundredth.
        assert!(seen <= accounted && accounted - seen <= accounted / 100 + 2, "{program}: {document}");
        let by_thread: u64 = rows(&document, "threads").iter().map(|row| count(&row["switches"])).sum();
        assert_eq!(by_thread, seen, "{program}");
        assert_eq!(count(&document["tracing"]["threads_not_followed"]), 0, "{program}");
    }

    #[test]
    fn counts_and_waits_of_threads_are_the_kernels() {
        needs!(Bpf);
        hold_to_the_kernels_accounting("switcher pipe 5000", 2);
        hold_to_the_kernels_accounting("switcher threads 300", 301);
        hold_to_the_kernels_accounting("switcher many-threads 100", 101);
        hold_to_the_kernels_accounting("switcher children 50", 51);
        hold_to_the_kernels_accounting("switcher nested 8", 9);
        hold_to_the_kernels_accounting("switcher double-fork 50", 3);
        // A second thread takes the first one's place.
        hold_to_the_kernels_accounting("switcher exec 5", 2);
    }

    /// More threads than there are slots at a time.
    #[test]
    fn of_seventy_thousand_short_threads_all_are_counted() {
        needs!(Bpf);
        hold_to_the_kernels_accounting("switcher threads 70000 0", 70_001);
    }

    #[test]
    fn stat_counts_as_many_switches() {
        needs!(Bpf, ExitRecords);
        let program = "switcher threads 100 20";
        let document = traced("", program);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stat.json");
        run(&format!("ctxprof stat --cost none --quiet -o {} -- {program}", path.display())).expect(0, &[]);
        let stat: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        // No accounting outlives each thread's last switch; waits for files and locks differ from run to run.
        let voluntary = count(&document["totals"]["accounted"]["voluntary_switches"]) - 101;
        let others = count(&stat["totals"]["voluntary_switches"]);
        assert!(voluntary.abs_diff(others) <= 110, "{voluntary} by trace, {others} by stat");
        assert!(voluntary >= 2000 && others >= 2000, "{voluntary} by trace, {others} by stat");
    }
}
