//! Systems that refuse: a clear message and the right exit code for each, by injecting the refusal into the real binary.

use std::fs;

use crate::isolation::Nobody;
use crate::machine::needs;
use crate::support::{Done, SHORT, result, run, warned};

/// Runs ctxprof with perf_event_open tampered with.
fn with_perf(tampering: &str, arguments: &str) -> Done {
    run(&format!(
        "strace -f --seccomp-bpf -qq -o /dev/null -e trace=perf_event_open -e inject=perf_event_open:{tampering} ctxprof {arguments}"
    ))
}

#[test]
fn perf_refused_altogether_degrades_to_the_kernels_accounting_and_says_so() {
    needs!(Strace);
    for errno in ["EACCES", "EPERM", "ENOSYS", "EMFILE", "ENOENT", "EBUSY", "EINVAL"] {
        let done =
            with_perf(&format!("error={errno}"), &format!("run thread-pipe --format json {SHORT}")).expect(0, &[]);
        let document = done.json();
        assert_eq!(document["counting"]["mode"], "rusage", "{errno}");
        assert!(document["counting"]["refused"][0].as_str().unwrap().contains(errno), "{}", document["counting"]);
        assert!(warned(&document, "counters-degraded"));
        assert_eq!(result(&document, "thread-pipe")["counters"][0]["source"], "rusage");
        assert!(result(&document, "thread-pipe")["switches_per_op"].is_f64());
    }
}

#[test]
fn a_way_of_counting_asked_for_by_name_is_refused_with_errno_and_remedy() {
    needs!(Strace);
    for (errno, remedy) in [
        ("EACCES", "sudo"),
        ("EPERM", "seccomp"),
        ("ENOSYS", "seccomp"),
        ("EMFILE", "ulimit -n"),
        ("ENOENT", "no such event"),
        ("EBUSY", "another user"),
        ("EINVAL", "does not take"),
    ] {
        for mode in ["cpu", "thread"] {
            let done = with_perf(&format!("error={errno}"), &format!("run --counters {mode} {SHORT}"));
            done.expect(1, &[&format!("--counters {mode} is refused"), errno, remedy]);
        }
    }
}

#[test]
fn cpu_wide_refused_falls_to_counting_on_threads_and_states_the_cost() {
    needs!(Strace, Perf);
    let document =
        with_perf("error=EACCES:when=1", &format!("run thread-pipe --format json {SHORT}")).expect(0, &[]).json();
    assert_eq!(document["counting"]["mode"], "thread");
    assert!(result(&document, "thread-pipe")["counting_cost"]["median"].is_f64());
    assert!(warned(&document, "counters-degraded"));
}

#[test]
fn single_counters_refused_are_absent_with_the_reason() {
    needs!(Strace, Perf);
    // The first event counts switches; the five after it are read beside it.
    let document =
        with_perf("error=EBUSY:when=2..6", &format!("run thread-pipe --format json {SHORT}")).expect(0, &[]).json();
    let pipe = result(&document, "thread-pipe");
    let names = pipe["counters"].as_array().unwrap().iter().map(|counter| counter["name"].as_str().unwrap());
    // Where tracefs is mounted, wake-ups are counted in a later pass.
    let names: Vec<&str> = names.filter(|name| !name.starts_with("sched:")).collect();
    assert_eq!(names, ["context-switches"]);
    let absent = document["counting"]["absent"].as_array().unwrap();
    assert!(
        absent
            .iter()
            .any(|counter| counter["name"] == "cycles" && counter["reason"].as_str().unwrap().contains("EBUSY")),
        "{absent:?}"
    );
    // Without their number: under strace the threads switch to it and back as well.
    assert!(pipe["switches_per_op"].is_f64());
}

#[test]
fn counting_that_is_refused_later_ends_the_run_with_the_reason() {
    needs!(Strace, Perf);
    with_perf("error=EMFILE:when=7+", &format!("run thread-pipe {SHORT}"))
        .expect(1, &["thread-pipe, repetition 1", "context-switches"]);
}

#[test]
fn an_event_that_opens_and_counts_nothing_is_not_believed() {
    needs!(Strace, Perf);
    // The effect of a wrong default: the first event is turned into `context-switches` without the kernel, which opens and
    // reads 0. Type 1 (software), size, config 3, no period, no sample type, both times, disabled + exclude_kernel.
    let attributes = "0100000080000000".to_string()
        + "0300000000000000"
        + &"00".repeat(16)
        + "0300000000000000"
        + "2100000000000000";
    let done = with_perf(&format!("poke_enter=@arg1={attributes}:when=1"), &format!("run --counters cpu {SHORT}"));
    done.expect(1, &["did not count a switch that was made"]);
}

#[test]
fn limits_too_small_are_named_with_their_value_and_remedy() {
    run(&format!("prlimit --nofile=8 ctxprof run thread-pipe --counters none {SHORT}")).expect(0, &[]);
    run(&format!("prlimit --nofile=6 ctxprof run thread-pipe --counters none {SHORT}"))
        .expect(1, &["RLIMIT_NOFILE is 6", "ulimit -n"]);
}

/// Root is not bound by this limit.
#[test]
fn a_limit_of_processes_is_named_with_its_value() {
    needs!(Root);
    let nobody = Nobody::new();
    for workload in ["thread-pipe", "process-pipe"] {
        let done = nobody.run_under("prlimit --nproc=0", &format!("run {workload} {SHORT}"));
        done.expect(1, &[workload, "RLIMIT_NPROC is 0"]);
    }
}

#[test]
fn a_users_runs_are_kept_in_the_users_state_and_shown_again() {
    needs!(Root);
    let nobody = Nobody::new();
    nobody.run("report /nonexistent.json").expect(1, &["/nonexistent.json"]);
    let ran = nobody.run("run task-channel --time 0.1 --format csv").expect(0, &["saved as", "ctxprof/runs/run-"]);
    let shown = nobody.run("report --format csv").expect(0, &[]);
    assert_eq!(ran.stdout, shown.stdout);
}

mod measuring {
    use super::*;

    #[test]
    fn without_root_it_counts_what_it_may_and_says_what_it_may_not() {
        needs!(Root);
        let nobody = Nobody::new();
        let document = nobody.run(&format!("run thread-pipe --format json {SHORT}")).expect(0, &[]).json();
        assert_ne!(document["counting"]["mode"], "none");
        let counted = result(&document, "thread-pipe")["switches_per_op"].as_f64().unwrap();
        assert!((1.98..2.1).contains(&counted), "{counted}");
        let paranoid: i32 = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap().trim().parse().unwrap();
        if paranoid >= 2 {
            assert_eq!(document["counting"]["mode"], "rusage");
            nobody
                .run("run --counters cpu")
                .expect(1, &["EACCES", &format!("perf_event_paranoid is {paranoid}"), "sudo"]);
        }
    }
}
