//! Workloads that are compared with each other, and their rows.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::machine::needs;
use crate::support::{SHORT, finish, result, run, signal, start, wait_until};

/// Returns the entry of a workload in a contract.
fn hand_over<'d>(document: &'d Value, workload: &str) -> &'d Value {
    let all = document["alike"].as_array().into_iter().flatten();
    let mut all = all.flat_map(|alike| alike["hand_overs"].as_array().unwrap());
    all.find(|hand_over| hand_over["workload"] == workload).unwrap_or_else(|| panic!("no {workload} in {document}"))
}

#[test]
fn each_contract_sets_kinds_beside_threads_with_a_ratio_and_its_interval() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    let words = "thread-pipe thread-futex task-channel task-pipe";
    let table = run(&format!("ctxprof run {words} -o {} {SHORT}", path.display())).expect(0, &[]).stdout;
    assert!(table.contains("like with like,") && table.contains("ns a hand-over"), "{table}");
    assert!(table.contains("wait for each other (futex, channel)") && table.contains("wait for the kernel (pipe)"));
    let document: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    for (first, second) in [("thread-futex", "task-channel"), ("thread-pipe", "task-pipe")] {
        // Half a round trip.
        let op = result(&document, second)["ns_per_op"]["median"].as_f64().unwrap();
        assert!((hand_over(&document, second)["ns"]["median"].as_f64().unwrap() * 2.0 - op).abs() < 1e-6 * op);
        assert_eq!(hand_over(&document, first)["times_lower"], Value::Null);
        let ratio = &hand_over(&document, second)["times_lower"];
        // Beside load fewer than two rounds may have both.
        if let [Some(low), Some(median), Some(high)] = ["low", "median", "high"].map(|end| ratio[end].as_f64()) {
            assert!(0.0 < low && low <= median && median <= high, "{ratio}");
        }
    }
    let metrics = run(&format!("ctxprof report {} --format openmetrics", path.display())).expect(0, &[]).stdout;
    assert!(
        metrics.contains("ctxprof_hand_over_seconds{contract=\"wait for the kernel (pipe)\",workload=\"task-pipe\"}"),
        "{metrics}"
    );
}

#[test]
fn a_ratio_of_one_repetition_has_no_interval_and_is_not_told() {
    let words = "thread-pipe task-channel --samples 5 --repetitions 1 --no-save --quiet";
    let table = run(&format!("ctxprof run {words}")).expect(0, &[]).stdout;
    let table = table.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(table.contains("is not known") && !table.contains("x a tokio task switch"), "{table}");
}

#[test]
fn rows_show_the_lowest_and_the_highest_count_of_their_samples() {
    let document = run(&format!("ctxprof run thread-condvar call --format json {SHORT}")).expect(0, &[]).json();
    let row = result(&document, "thread-condvar");
    let [lowest, highest] = ["lowest", "highest"].map(|end| row["switches_per_op_range"][end].as_f64().unwrap());
    let counted = row["switches_per_op"].as_f64().unwrap();
    assert!(lowest <= counted && counted <= highest, "{row}");
    let wide = run(&format!("ctxprof run thread-condvar --wide --format csv {SHORT}")).expect(0, &[]).stdout;
    assert!(wide.contains("switches_per_op_lowest,switches_per_op_highest"), "{wide}");
}

#[test]
fn rows_sorted_by_cost_are_in_the_order_of_their_hand_overs() {
    let words = "thread-pipe thread-channel coroutine task-oneway call";
    let document = run(&format!("ctxprof run {words} --sort cost --format json {SHORT}")).expect(0, &[]).json();
    let per_hand_over = |row: &Value| {
        let hand_overs = if row["op"] == "round trip" { 2.0 } else { 1.0 };
        // A call hands nothing off.
        if row["op"] == "one call" { f64::INFINITY } else { row["ns_per_op"]["median"].as_f64().unwrap() / hand_overs }
    };
    let found: Vec<f64> = document["results"].as_array().unwrap().iter().map(per_hand_over).collect();
    assert!(found.len() == 5 && found.is_sorted(), "{found:?}");
}

#[test]
fn flushes_are_left_out_with_what_the_kernel_answered_where_a_process_may_not_choose() {
    let document =
        run(&format!("ctxprof run process-pipe process-pipe-ibpb --format json {SHORT}")).expect(0, &[]).json();
    let left_out = document["left_out"].as_array().unwrap();
    match left_out.iter().find(|each| each["workload"] == "process-pipe-ibpb") {
        Some(left_out) => {
            assert!(left_out["reason"].as_str().unwrap().contains("PR_GET_SPECULATION_CTRL"), "{left_out}")
        }
        None => {
            let switches = result(&document, "process-pipe-ibpb")["switches_per_op"].as_f64().unwrap();
            assert!((1.98..2.2).contains(&switches), "{document}");
        }
    }
}

/// Returns the existing cgroups of pairs.
fn pairs_of_cgroups() -> Vec<String> {
    let folders = ["/sys/fs/cgroup", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/unified"].map(Path::new);
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    entries.map(|entry| entry.path().display().to_string()).filter(|path| path.contains("ctxprof-pair-")).collect()
}

#[test]
fn a_pair_in_two_cgroups_is_measured_and_both_are_gone_afterwards_even_if_a_run_was_killed() {
    needs!(Root, CgroupCpu);
    let run_pair = || run(&format!("ctxprof run process-pipe-cgroups --format json {SHORT}")).expect(0, &[]).json();
    let row = result(&run_pair(), "process-pipe-cgroups").clone();
    // Beside other tests each of a sample's few ops may be preempted; no op makes fewer than two.
    assert!((1.98..6.0).contains(&row["switches_per_op"].as_f64().unwrap()), "{row}");
    assert_eq!(row["switches_source"], "kernel", "{row}");
    let killed = start("ctxprof run process-pipe-cgroups --time 60 --no-save --quiet");
    let of_killed = format!("ctxprof-pair-{}-", killed.id());
    let are_left = || pairs_of_cgroups().iter().any(|path| path.contains(&of_killed));
    wait_until("the pair is in its cgroups", are_left);
    drop(killed);
    run_pair();
    assert!(!are_left(), "{:?}", pairs_of_cgroups());
    let interrupted = start("ctxprof run process-pipe-cgroups --time 60 --no-save --quiet");
    let of_interrupted = format!("ctxprof-pair-{}-", interrupted.id());
    let is_made = || pairs_of_cgroups().iter().any(|path| path.contains(&of_interrupted));
    wait_until("the pair is in its cgroups", is_made);
    signal(&interrupted, Signal::SIGINT);
    finish(interrupted);
    assert!(!is_made(), "{:?}", pairs_of_cgroups());
}

#[test]
fn an_ordinary_user_is_told_why_a_pair_cannot_be_put_into_cgroups() {
    needs!(Root);
    let nobody = crate::isolation::Nobody::new();
    let done = nobody.run(&format!("run task-channel process-pipe-cgroups {SHORT}")).expect(0, &[]);
    assert!(done.stdout.contains("Not measured: process-pipe-cgroups"), "{done:?}");
}
