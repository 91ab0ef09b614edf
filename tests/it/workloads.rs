//! Workloads that are measured, and the findings of each.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::isolation::{Nobody, without_go};
use crate::machine::{MOUNT_TRACEFS, needs};
use crate::made_program::make_program;
use crate::support::{Done, SHORT, kernel_switches, ops, result, run, samples_of, warned};

fn measured(document: &Value) -> Vec<&str> {
    document["results"].as_array().unwrap().iter().map(|result| result["workload"].as_str().unwrap()).collect()
}

#[track_caller]
fn switches(document: &Value, workload: &str) -> f64 {
    let row = result(document, workload);
    row["switches_per_op"].as_f64().unwrap_or_else(|| panic!("{row}"))
}

#[test]
fn names_kinds_and_globs_choose_and_each_is_measured_once() {
    for (words, expected) in [
        ("coroutine call", vec!["coroutine", "call"]),
        (
            "process",
            vec!["process-pipe", "process-futex", "process-yield", "process-pipe-ibpb", "process-pipe-cgroups"],
        ),
        ("task-n* *-notify reference", vec!["task-notify", "syscall", "call"]),
    ] {
        let document = run(&format!("ctxprof run {words} --format json {SHORT}")).expect(0, &[]).json();
        // Omissions are reported with their reason.
        let left_out = document["left_out"].as_array().unwrap();
        let left_out: Vec<&str> = left_out.iter().map(|each| each["workload"].as_str().unwrap()).collect();
        let chosen: Vec<&str> = expected.iter().copied().filter(|name| !left_out.contains(name)).collect();
        assert_eq!(measured(&document), chosen, "{words}");
        assert_eq!(chosen.len() + left_out.len(), expected.len(), "{words}");
    }
    run("ctxprof run thread-pip").expect(2, &["thread-pipe"]);
    run("ctxprof run nothing-*").expect(2, &["WORKLOAD"]);
}

#[test]
fn rows_are_sorted_by_cost_on_request_and_what_has_none_comes_last() {
    let document =
        run(&format!("ctxprof run thread-pipe coroutine call --sort cost --format json {SHORT}")).expect(0, &[]).json();
    assert_eq!(measured(&document), ["coroutine", "thread-pipe", "call"]);
}

#[test]
fn a_channel_of_go_has_its_cost_elsewhere_in_memory_as_well() {
    needs!(Go);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    let words = "goroutine-channel goroutine-oneway";
    run(&format!("ctxprof run {words} -o {} {SHORT}", path.display())).expect(0, &[]);
    let table = run(&format!("ctxprof report {} --wide", path.display())).expect(0, &[]).stdout;
    let words = table.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("Pairs made later lie elsewhere in memory: "), "{table}");
    let document: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let elsewhere = &result(&document, "goroutine-channel")["elsewhere"];
    let [lowest, median, highest] =
        ["lowest", "median", "highest"].map(|of| elsewhere[format!("{of}_ns_per_op")].as_f64().unwrap());
    assert!(0.0 < lowest && lowest <= median && median <= highest, "{elsewhere}");
    assert!(
        (1..=6).contains(&elsewhere["places"].as_u64().unwrap()),
        "no more than there are repetitions: {elsewhere}"
    );
    assert!(result(&document, "goroutine-oneway")["elsewhere"].is_null());
}

#[test]
fn which_go_built_the_goroutines_is_in_the_report() {
    needs!(Go);
    let said = run("go version").stdout;
    let version = said.split(' ').nth(2).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    run(&format!("ctxprof run goroutine task-channel -o {} {SHORT}", path.display())).expect(0, &[]);
    let table = run(&format!("ctxprof report {} --wide", path.display())).expect(0, &[]).stdout;
    assert!(
        table.contains(&format!(
            "goroutine-channel, goroutine-oneway, goroutine-yield, goroutine-pipe: built by {version}."
        )),
        "{table}"
    );
    let document: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(result(&document, "goroutine-oneway")["toolchain"], version);
    assert_eq!(result(&document, "task-channel")["toolchain"], Value::Null);
}

/// A user whose go is a script, which makes programs that are scripts.
struct FakeGo {
    nobody: Nobody,
}

impl FakeGo {
    /// `build` is the script of go except for finding the place of its output in `$out`.
    fn new(build: &str) -> FakeGo {
        let nobody = Nobody::new();
        let find = "while [ $# -gt 0 ]; do [ \"$1\" = -o ] && out=$2; shift; done";
        make_program(&nobody.folder.path().join("go"), &format!("{find}\n{build}"));
        FakeGo { nobody }
    }

    /// Makes one whose program is this script.
    fn making(program: &str) -> FakeGo {
        FakeGo::new(&format!("cat > \"$out\" <<'END'\n#!/bin/sh\n{program}\nEND\nchmod 700 \"$out\""))
    }

    fn run(&self, arguments: &str) -> Done {
        let folder = self.nobody.folder.path().display();
        let wrapper = format!("env PATH={folder}:/usr/bin:/bin XDG_CACHE_HOME={folder}/cache");
        self.nobody.run_under(&wrapper, arguments)
    }
}

#[test]
fn a_go_that_cannot_build_leaves_its_workloads_out_with_its_words() {
    needs!(Root);
    let go = FakeGo::new("echo 'package os is not in std' >&2; exit 1");
    go.run(&format!("run goroutine-oneway {SHORT}")).expect(1, &["nothing of this", "package os is not in std"]);
    let document = go.run(&format!("run task-channel goroutine --format json {SHORT}")).expect(0, &[]).json();
    assert_eq!(measured(&document), ["task-channel"]);
    let left_out = document["left_out"].as_array().unwrap();
    assert_eq!(left_out.len(), 4, "{left_out:?}");
    assert!(left_out[0]["reason"].as_str().unwrap().contains("package os is not in std"), "{left_out:?}");
    let table = go.run(&format!("run task-channel goroutine {SHORT}")).expect(0, &[]).stdout;
    assert!(table.contains("Not measured: goroutine-channel, goroutine-oneway"), "{table}");
}

#[test]
fn a_goroutine_program_that_answers_garbage_is_left_out() {
    needs!(Root);
    for (program, words) in [
        ("echo hello; cat", "instead of being ready"),
        ("echo ready 1 go1; cat", "instead of being ready"),
        ("echo ready $$ go1; while read -r line; do echo 12; done", "three times were expected"),
        ("exit 3", "exited with code 3"),
        ("echo ready $$ go1; read -r line; kill -9 $$", "was killed by SIGKILL"),
    ] {
        FakeGo::making(program).run(&format!("run goroutine-oneway {SHORT}")).expect(1, &[words]);
    }
}

#[test]
fn a_goroutine_program_that_dies_in_the_middle_keeps_the_rows_before_it() {
    needs!(Root);
    // It is started a few times in each repetition: the tenth start is not in the first, which all workloads finish.
    let starts = tempfile::NamedTempFile::new_in("/tmp").unwrap();
    fs::set_permissions(starts.path(), fs::Permissions::from_mode(0o666)).unwrap();
    let program = format!(
        "echo x >> {0}; echo ready $$ go1; while read -r verb ops; do\n[ $(wc -l < {0}) -gt 9 ] && exit 7\n\
         echo $((ops * 100)) $((ops * 100)) $((ops * 100))\ndone",
        starts.path().display()
    );
    let options = "--samples 5 --repetitions 100 --time 3600 --patience 0 --no-save --quiet";
    let done = FakeGo::making(&program).run(&format!("run task-channel goroutine-channel {options}"));
    let done = done.expect(1, &["goroutine-channel, repetition ", "exited with code 7"]);
    assert!(done.stdout.contains("task-channel") && done.stdout.contains("ended by an error"), "{done:?}");
}

#[test]
fn without_go_there_is_one_line_with_the_command_that_installs_it() {
    needs!(Root);
    let nobody = Nobody::new();
    let output = without_go(&nobody.binary())
        .args("run --time 0.1 --repetitions 6 --no-save --quiet".split(' '))
        .output()
        .unwrap();
    let done = Done::from(output).expect(0, &[]);
    let lines: Vec<&str> = done.stdout.lines().filter(|line| line.contains("Not measured")).collect();
    assert!(lines.len() == 1 && lines[0].contains("goroutine-channel"), "{done:?}");
    assert!(done.stdout.contains("install"), "{done:?}");
}

#[test]
fn a_probe_that_is_refused_leaves_the_number_expected_and_out_of_the_verdict() {
    needs!(Go, Strace, Root);
    let trace =
        "strace -f --seccomp-bpf -qq -o /dev/null -e trace=perf_event_open -e inject=perf_event_open:error=EACCES";
    let document =
        run(&format!("{trace} ctxprof run thread-pipe goroutine-channel --format json {SHORT}")).expect(0, &[]).json();
    let row = result(&document, "goroutine-channel");
    assert_eq!((&row["switches_source"], &row["switches_per_op"]), (&Value::from("expected"), &Value::Null));
    assert!(warned(&document, "not-counted"));
    assert_eq!(document["ratios"], serde_json::json!([]));
    let absent = document["counting"]["absent"].as_array().unwrap();
    assert!(absent.iter().any(|counter| counter["name"] == "uprobe"), "{absent:?}");
    let table = run(&format!("{trace} ctxprof run goroutine-channel {SHORT}")).expect(0, &[]).stdout;
    assert!(table.contains("~2"), "{table}");
}

mod measuring {
    use super::*;

    #[test]
    fn every_workload_is_measured_by_all_and_counted_as_it_should() {
        let document = run(&format!("ctxprof run all --format json {SHORT}")).expect(0, &[]).json();
        let rows = document["results"].as_array().unwrap().len() + document["left_out"].as_array().unwrap().len();
        let listed = run("ctxprof list --format json").expect(0, &[]).json();
        assert_eq!(rows, listed["workloads"].as_array().unwrap().len(), "none is dropped in silence");
        for workload in ["thread-eventfd", "thread-futex", "thread-park", "process-futex"] {
            // Preemptions by others may add to it.
            assert!((1.98..2.1).contains(&switches(&document, workload)), "{workload}");
        }
        for workload in ["task-oneway", "task-notify", "task-pipe", "coroutine"] {
            assert!((switches(&document, workload) - 2.0).abs() < 0.005, "{workload}");
        }
        // The additional switches of std's rendezvous channel and Condvar are the reason for the note.
        for workload in ["thread-channel", "thread-condvar"] {
            let found = switches(&document, workload);
            assert!(found > 1.98, "{workload}: {found}");
            // Beside others each side may find the other ready, and make two like the rest.
            let notes = result(&document, workload)["warnings"].as_array().unwrap();
            let is_told = notes.iter().any(|note| note["code"] == "count-differs");
            assert!(is_told || found < 2.1, "{workload}: {found}, {notes:?}");
        }
        for reference in ["syscall", "call"] {
            assert_eq!(result(&document, reference)["ns_per_switch"], Value::Null);
            assert_eq!(result(&document, reference)["op"], "one call");
        }
        let ns = |workload: &str| result(&document, workload)["ns_per_op"]["median"].as_f64().unwrap();
        assert!(ns("call") < ns("syscall") && ns("syscall") < ns("thread-pipe"));
        assert!(ns("coroutine") < ns("task-channel"));
    }

    /// Two workers share a CPU: one that is preempted between sending and waiting finds the answer there, and its task needs no second
    /// poll.
    #[test]
    fn two_workers_make_two_polls_an_op_or_pay_for_each_one_fewer_with_a_kernel_switch() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("samples.json");
        run(&format!("ctxprof run task-multi --samples-out {} {SHORT}", file.display())).expect(0, &[]);
        let document: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        let mut sampled = 0;
        for sample in samples_of(&document, "task-multi") {
            let (ops, polls, kernel_switches) =
                (ops(sample), sample["own_switches"].as_u64().unwrap(), kernel_switches(sample));
            // The last poll of the previous play may come only now.
            assert!(polls <= 2 * ops + 2, "{sample}");
            assert!(2 * ops <= polls + kernel_switches, "{sample}");
            sampled += 1;
        }
        assert!(sampled > 0, "{document}");
    }

    #[test]
    fn wake_ups_are_counted_where_tracefs_is_mounted() {
        needs!(Root, Perf);
        // In a mount namespace of its own: the machine is not affected.
        let arguments = format!("run thread-pipe --format json {SHORT}");
        let script = format!("{MOUNT_TRACEFS}; {} {arguments}", crate::support::CTXPROF);
        let output = std::process::Command::new("unshare").args(["--mount", "sh", "-c", &script]).output().unwrap();
        let document = Done::from(output).expect(0, &[]).json();
        let counters = result(&document, "thread-pipe")["counters"].as_array().unwrap().clone();
        let wake_ups = counters.iter().find(|counter| counter["name"] == "sched:sched_waking").expect("wake-ups");
        // Between one for both handoffs, with wake-up preemption, and one for each.
        assert!((0.9..2.5).contains(&wake_ups["per_op"].as_f64().unwrap()), "{wake_ups}");
    }

    #[test]
    fn goroutine_switches_are_counted_by_a_probe() {
        needs!(Go, Root, Perf);
        let document = run(&format!("ctxprof run goroutine --format json {SHORT}")).expect(0, &[]).json();
        for (workload, expected) in [("goroutine-channel", 2.0), ("goroutine-oneway", 1.0), ("goroutine-pipe", 2.0)] {
            assert_eq!(result(&document, workload)["switches_source"], "uprobe");
            // A goroutine that runs for 10 ms is preempted by Go's monitor: on a busy machine sooner.
            let found = switches(&document, workload);
            assert!((0.95 * expected..1.5 * expected).contains(&found), "{workload}: {found}");
        }
        // Nearly every yield of either finds the other.
        assert!((1.9..2.15).contains(&switches(&document, "goroutine-yield")), "{document}");
        assert!(document["host"]["pinned_cpu"].is_u64());
    }
}
