//! Switches are counted, by whatever the system lets count them.

use serde_json::Value;

use crate::support::{SHORT, can, result, run, warned};

#[track_caller]
fn assert_near(value: &Value, expected: f64, tolerance: f64) {
    let number = value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
    assert!((number - expected).abs() <= tolerance, "{number} is not {expected} ± {tolerance}");
}

#[test]
fn pipes_make_two_kernel_switches_per_op_and_tasks_none() {
    if !can("perf") {
        return;
    }
    let document = run(&format!("ctxprof run --counters cpu --format json {SHORT}")).expect(0, &[]).json();
    assert_eq!(document["schema"], "ctxprof.run/1");
    assert_eq!(document["counting"]["mode"], "cpu");
    for workload in ["thread-pipe", "process-pipe"] {
        let pipe = result(&document, workload);
        assert_eq!(pipe["switches_source"], "kernel");
        assert_near(&pipe["switches_per_op"], 2.0, 0.005);
        let switches =
            pipe["counters"].as_array().unwrap().iter().find(|counter| counter["name"] == "context-switches").unwrap();
        assert_eq!(switches["source"], "cpu");
        assert_near(&switches["per_op"], 2.0, 0.02);
        let split = &pipe["kernel_switches"];
        assert_near(&split["voluntary"], 2.0 - split["involuntary"].as_f64().unwrap(), 0.02);
    }
    let task = result(&document, "task-channel");
    assert_eq!(task["switches_source"], "polls");
    assert_near(&task["switches_per_op"], 2.0, 0.0005);
    assert_near(&task["kernel_switches_per_op"], 0.0, 0.0005);
    assert!(!warned(&document, "count-differs") && !warned(&document, "counts-disagree"), "{document}");
}

#[test]
fn every_way_of_counting_finds_the_same_number() {
    for mode in ["cpu", "thread", "rusage"] {
        if mode != "rusage" && !can("perf") {
            continue;
        }
        let document =
            run(&format!("ctxprof run thread-pipe --counters {mode} --format json {SHORT}")).expect(0, &[]).json();
        let pipe = result(&document, "thread-pipe");
        assert_eq!(document["counting"]["mode"], mode);
        assert_near(&pipe["switches_per_op"], 2.0, 0.005);
        assert_eq!(pipe["counters"][0]["name"], "context-switches");
        assert_eq!(pipe["counters"][0]["source"], mode);
    }
}

#[test]
fn counting_states_its_own_cost_and_warns_where_it_is_in_the_prices() {
    if !can("perf") {
        return;
    }
    for (mode, in_prices) in [("thread", true), ("cpu", false)] {
        let document =
            run(&format!("ctxprof run thread-pipe --counters {mode} --format json {SHORT}")).expect(0, &[]).json();
        let cost = &result(&document, "thread-pipe")["counting_cost"];
        assert!(cost["median"].is_f64() && cost["low"].is_f64(), "{mode}: {cost}");
        // How dear it is depends on the machine; a third of a per cent would not be worth the words.
        let dear = cost["median"].as_f64().unwrap() > 1.01;
        assert_eq!(warned(&document, "counting-costs"), in_prices && dear, "{mode}: {cost}");
    }
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
fn prices_add_up() {
    let document = run(&format!("ctxprof run --format json {SHORT}")).expect(0, &[]).json();
    for row in document["results"].as_array().unwrap() {
        let median = |name: &str| row[name]["median"].as_f64().unwrap_or_else(|| panic!("no {name} in {row}"));
        let switches = row["switches_per_op"].as_f64().unwrap();
        assert_near(&row["ns_per_switch"]["median"], median("ns_per_op") / switches, 0.001 * median("ns_per_op"));
        // The net is a median of differences, not the difference of medians.
        assert_near(
            &row["net_ns_per_switch"]["median"],
            (median("ns_per_op") - median("floor_ns_per_op")) / switches,
            0.2 * median("ns_per_op"),
        );
        assert!(row["ns_per_op"]["low"].as_f64() <= row["ns_per_op"]["median"].as_f64());
        assert!(row["ns_per_op"]["high"].as_f64() >= row["ns_per_op"]["median"].as_f64());
        assert_eq!(row["incarnations"], 6);
        assert!(row["samples"]["clean"].as_u64() <= row["samples"]["taken"].as_u64());
    }
    assert!(document["ratio"]["gross"]["median"].as_f64().unwrap() > 1.0, "a task switch is cheaper than a thread's");
}

#[test]
fn numbers_of_samples_and_ops_are_kept_to() {
    let document =
        run("ctxprof run task-channel --incarnations 3 --samples 7 --ops-per-sample 11 --format json --no-save -q")
            .expect(0, &[])
            .json();
    let samples = &result(&document, "task-channel")["samples"];
    assert_eq!((samples["taken"].as_u64(), samples["ops_per_sample"].as_u64()), (Some(21), Some(11)));
    assert!(warned(&document, "few-incarnations"));
}

#[test]
fn a_time_budget_ends_a_run_of_too_many_incarnations() {
    let started = std::time::Instant::now();
    let document = run("ctxprof run task-channel --incarnations 10000 --time 0.2 --format json --no-save -q")
        .expect(0, &[])
        .json();
    assert!(started.elapsed() < std::time::Duration::from_secs(10));
    assert!(warned(&document, "time-up"));
    assert!(result(&document, "task-channel")["incarnations"].as_u64().unwrap() < 10_000);
}
