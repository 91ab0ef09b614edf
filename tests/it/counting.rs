//! Switches are counted, by whichever counter the system allows.

use std::fs;

use serde_json::Value;

use crate::machine::{Ability, can, needs};
use crate::support::{SHORT, finish, kernel_switches, ops, result, run, samples_of, start, warned};

/// Extra switches per round trip allowed for preemptions by other threads: one in twenty, a hundred times as many as three busy
/// loops cause.
const NEIGHBOURS: f64 = 0.1;

/// Asserts that a count is an op's switches: never fewer, and more only by preemptions.
#[track_caller]
fn assert_counted(value: &Value, expected: f64) {
    let number = value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
    assert!((expected - 0.005..expected + NEIGHBOURS).contains(&number), "{number} is not {expected} or a little more");
}

#[track_caller]
fn assert_near(value: &Value, expected: f64, tolerance: f64) {
    let number = value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
    assert!((number - expected).abs() <= tolerance, "{number} is not {expected} ± {tolerance}");
}

#[test]
fn nothing_counted_is_null_and_never_zero() {
    let document = run(&format!("ctxprof run thread-pipe --counters none --format json {SHORT}")).expect(0, &[]).json();
    let pipe = result(&document, "thread-pipe");
    assert_eq!(pipe["switches_source"], "expected");
    for absent in ["switches_per_op", "kernel_switches_per_op", "kernel_switches"] {
        assert_eq!(pipe[absent], Value::Null, "{absent}");
    }
    assert_eq!(pipe["counters"], serde_json::json!([]));
    assert!(warned(&document, "not-counted"));
    let table = run(&format!("ctxprof run thread-pipe --counters none {SHORT}")).expect(0, &[]).stdout;
    assert!(table.contains("~2"), "{table}");
}

#[test]
fn numbers_of_samples_and_ops_are_kept_to() {
    let document =
        run("ctxprof run task-channel --repetitions 3 --samples 7 --ops-per-sample 11 --format json --no-save -q")
            .expect(0, &[])
            .json();
    let samples = &result(&document, "task-channel")["samples"];
    assert_eq!((samples["taken"].as_u64(), samples["ops_per_sample"].as_u64()), (Some(21), Some(11)));
    assert!(warned(&document, "few-repetitions"));
}

#[test]
fn a_time_budget_ends_a_run_of_too_many_repetitions() {
    // So many take at least a quarter of a minute.
    let run = start("ctxprof run task-channel --repetitions 10000 --time 0.2 --format json --no-save -q");
    let document = finish(run).expect(0, &[]).json();
    assert!(warned(&document, "time-up"));
    assert!(result(&document, "task-channel")["repetitions"].as_u64().unwrap() < 10_000);
}

mod measuring {
    use super::*;

    #[test]
    fn pipes_make_two_kernel_switches_per_op_and_tasks_none() {
        needs!(Perf);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("samples.json");
        let line = format!("ctxprof run --counters cpu --format json --samples-out {} {SHORT}", file.display());
        let document = run(&line).expect(0, &[]).json();
        // The least disturbed sample is exact to a few switches.
        let seen: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        for (workload, expected) in [("thread-pipe", 2.0), ("process-pipe", 2.0), ("task-channel", 0.0)] {
            let per_op = samples_of(&seen, workload).map(|sample| kernel_switches(sample) as f64 / ops(sample) as f64);
            let fewest = per_op.fold(f64::INFINITY, f64::min);
            assert!((fewest - expected).abs() < 0.005, "{workload}: {fewest} switches an op in the best sample");
        }
        assert_eq!(document["schema"], "ctxprof.run/2");
        assert_eq!(document["counting"]["mode"], "cpu");
        for workload in ["thread-pipe", "process-pipe"] {
            let pipe = result(&document, workload);
            assert_eq!(pipe["switches_source"], "kernel");
            assert_counted(&pipe["switches_per_op"], 2.0);
            let switches = pipe["counters"]
                .as_array()
                .unwrap()
                .iter()
                .find(|counter| counter["name"] == "context-switches")
                .unwrap();
            assert_eq!(switches["source"], "cpu");
            // Of the CPU, whichever thread switches there.
            assert!(switches["per_op"].as_f64().unwrap() > 2.0 - 0.005, "{switches}");
            let split = &pipe["kernel_switches"];
            assert_near(&split["voluntary"], 2.0 - split["involuntary"].as_f64().unwrap(), NEIGHBOURS);
        }
        let task = result(&document, "task-channel");
        assert_eq!(task["switches_source"], "polls");
        assert_near(&task["switches_per_op"], 2.0, 0.0005);
        assert_near(&task["kernel_switches_per_op"], 0.0, 0.01);
        for workload in ["thread-pipe", "process-pipe", "task-channel"] {
            let warnings = result(&document, workload)["warnings"].as_array().unwrap();
            let odd = |warning: &Value| warning["code"] == "count-differs" || warning["code"] == "counts-disagree";
            assert!(!warnings.iter().any(odd), "{workload}: {warnings:?}");
        }
    }

    #[test]
    fn every_way_of_counting_finds_the_same_number() {
        for mode in ["cpu", "thread", "rusage"] {
            if mode != "rusage" && !can(Ability::Perf) {
                continue;
            }
            let document =
                run(&format!("ctxprof run thread-pipe --counters {mode} --format json {SHORT}")).expect(0, &[]).json();
            let pipe = result(&document, "thread-pipe");
            assert_eq!(document["counting"]["mode"], mode);
            assert_counted(&pipe["switches_per_op"], 2.0);
            assert_eq!(pipe["counters"][0]["name"], "context-switches");
            assert_eq!(pipe["counters"][0]["source"], mode);
        }
    }

    #[test]
    fn counting_states_its_own_cost_and_warns_where_it_is_in_the_costs() {
        needs!(Perf);
        for (mode, in_costs) in [("thread", true), ("cpu", false)] {
            let document =
                run(&format!("ctxprof run thread-pipe --counters {mode} --format json {SHORT}")).expect(0, &[]).json();
            let cost = &result(&document, "thread-pipe")["counting_cost"];
            assert!(cost["median"].is_f64() && cost["low"].is_f64(), "{mode}: {cost}");
            // The cost depends on the machine; a third of a per cent would not be worth a note.
            let dear = cost["median"].as_f64().unwrap() > 1.01;
            assert_eq!(warned(&document, "counting-costs"), in_costs && dear, "{mode}: {cost}");
        }
    }

    #[test]
    fn costs_add_up() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("samples.json");
        let line = format!("ctxprof run --format json --samples-out {} {SHORT}", file.display());
        let document = run(&line).expect(0, &[]).json();
        let seen: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        for row in document["results"].as_array().unwrap() {
            let median = |name: &str| row[name]["median"].as_f64().unwrap_or_else(|| panic!("no {name} in {row}"));
            let workload = row["workload"].as_str().unwrap();
            if row["switches_source"] != "uprobe" {
                // Time by switches of the same samples, summed up: neither less nor more than in any of them.
                let cost = |sample: &Value| {
                    let switches = sample["own_switches"].as_u64().unwrap_or_else(|| kernel_switches(sample));
                    sample["elapsed_ns"].as_f64().unwrap() / switches as f64
                };
                let (least, most) = samples_of(&seen, workload)
                    .map(cost)
                    .fold((f64::INFINITY, 0.0_f64), |(least, most), each| (least.min(each), most.max(each)));
                assert!((least..=most).contains(&median("ns_per_switch")), "{workload}: {least} to {most}: {row}");
            }
            // The net is a median of differences, not the difference of medians: their distance depends on how much this machine's
            // speed varies meanwhile.
            if row["no_switch_ns_per_op"].is_object() {
                assert!(median("no_switch_ns_per_op") > 0.0, "{row}");
                assert!(median("net_ns_per_switch") < median("ns_per_switch"), "{row}");
            }
            assert!(row["ns_per_op"]["low"].as_f64() <= row["ns_per_op"]["median"].as_f64());
            assert!(row["ns_per_op"]["high"].as_f64() >= row["ns_per_op"]["median"].as_f64());
            // Time may be up before all of them.
            assert!((1..=6).contains(&row["repetitions"].as_u64().unwrap()), "{row}");
            assert!(row["samples"]["undisturbed"].as_u64() <= row["samples"]["taken"].as_u64());
        }
        assert!(
            document["ratio"]["gross"]["median"].as_f64().unwrap() > 1.0,
            "a task switch is less expensive than a thread's"
        );
    }
}
