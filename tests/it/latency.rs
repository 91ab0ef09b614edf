//! Ops timed one by one: percentiles, histograms, and their relation to the plain samples.

use std::collections::BTreeSet;
use std::fs;
use std::process::Child;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{
    Done, SHORT, command, finish, on_terminal, result, run, signal, start, wait_until, wait_until_switching, warned,
};

const PERCENTILES: [&str; 4] = ["p50_ns", "p90_ns", "p99_ns", "p99_9_ns"];

/// Asserts the invariants of a row's latency.
#[track_caller]
fn check(row: &Value, least_ops: u64) {
    let latency = &row["latency"];
    let number = |field: &str| latency[field].as_f64().unwrap_or_else(|| panic!("no {field} in {row}"));
    let ops = latency["ops"].as_u64().unwrap();
    assert!(ops >= least_ops, "{ops} ops: {row}");
    let buckets = latency["buckets"].as_array().unwrap();
    assert_eq!(buckets.iter().map(|bucket| bucket["ops"].as_u64().unwrap()).sum::<u64>(), ops, "{row}");
    let bounds = |bucket: &Value| (bucket["from_ns"].as_f64().unwrap(), bucket["to_ns"].as_f64().unwrap());
    assert!(buckets.windows(2).all(|pair| bounds(&pair[0]).1 <= bounds(&pair[1]).0), "{row}");
    let last = bounds(buckets.last().unwrap());
    // The longest is given to three digits, which may lie across a bucket's bound.
    assert!(last.0 * 0.999 <= number("max_ns") && number("max_ns") <= last.1 * 1.001, "{row}");
    let known: Vec<f64> = PERCENTILES.iter().filter_map(|field| latency[field].as_f64()).collect();
    assert_eq!(known.len(), if ops >= 10_000 { 4 } else { 3 }, "{row}");
    let ascending: Vec<f64> = known.into_iter().chain([number("max_ns")]).collect();
    assert!(ascending.windows(2).all(|pair| pair[0] <= pair[1]), "{ascending:?}");
    assert!((number("sum_by_elapsed") - 1.0).abs() <= 1e-3, "{row}");
    assert!(number("clock_ns") > 0.0 && (0.0..=1.0).contains(&number("clock_share")), "{row}");
    assert!(latency["agreement"]["median"].is_f64(), "{row}");
}

#[test]
fn ops_are_timed_by_themselves_only_when_that_is_asked_for() {
    let document = run(&format!("ctxprof run task-channel --format json {SHORT}")).expect(0, &[]).json();
    assert!(document["settings"].get("latency").is_none());
    assert!(result(&document, "task-channel").get("latency").is_none());
}

#[test]
fn samples_of_ops_worked_out_again_give_the_same_document() {
    let folder = tempfile::tempdir().unwrap();
    let (document, samples) = (folder.path().join("run.json"), folder.path().join("samples.json"));
    let out = format!("-o {} --samples-out {}", document.display(), samples.display());
    let table = run(&format!("ctxprof run thread-pipe task-channel --latency {SHORT} {out}")).expect(0, &[]).stdout;
    let again = run(&format!("ctxprof report {} --format json", samples.display())).expect(0, &[]);
    assert!(fs::read_to_string(&document).unwrap() == again.stdout, "the two differ");
    assert_eq!(run(&format!("ctxprof report {}", document.display())).expect(0, &[]).stdout, table);
}

#[test]
fn a_page_shows_percentiles_a_histogram_and_what_the_clock_and_the_tick_do() {
    let text = run(&format!("ctxprof run thread-pipe task-channel --latency --wide {SHORT}")).expect(0, &[]).stdout;
    let unwrapped = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "p50 p90 p99 p99.9 max",
        "clock by plain check",
        "The timer's tick decides beyond p",
        "took how long",
        "█",
        " µs ",
    ] {
        assert!(unwrapped.contains(words), "{words:?} is not in\n{text}");
    }
    let output = command(&format!("ctxprof run thread-pipe --latency {SHORT}")).env("LANG", "C").output().unwrap();
    let ascii = Done::from(output).expect(0, &[]).stdout;
    assert!(ascii.is_ascii() && ascii.contains("####") && ascii.contains(" us ") && !ascii.contains('?'), "{ascii}");
}

#[test]
fn a_terminal_of_sixty_columns_gets_a_smaller_picture() {
    let widest_bar = |text: &str| {
        let bars = text.lines().map(|line| line.chars().filter(|&each| each == '█').count());
        bars.max().unwrap()
    };
    let arguments = format!("run thread-pipe task-channel --latency {SHORT}");
    let (narrow, wide) = (on_terminal(60, "NO_COLOR=1", &arguments), on_terminal(100, "NO_COLOR=1", &arguments));
    assert!(narrow.lines().all(|line| line.chars().count() <= 60), "{narrow}");
    assert!(narrow.contains("p99.9") && narrow.contains("max"), "{narrow}");
    let tiny = on_terminal(30, "NO_COLOR=1", &arguments);
    let (tiny, narrow, wide) = (widest_bar(&tiny), widest_bar(&narrow), widest_bar(&wide));
    assert!(0 < tiny && tiny < narrow && narrow <= wide, "{tiny} {narrow} {wide}");
}

#[test]
fn every_format_has_the_percentiles() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let out = format!("--table latency -o {} -o {} -o {}", path("a.csv"), path("a.md"), path("a.prom"));
    // Time enough for the ten thousand ops that the last percentile needs.
    run(&format!("ctxprof run task-channel --latency --time 2 --repetitions 6 --no-save --patience 0 -q {out}"))
        .expect(0, &[]);
    let read = |name: &str| fs::read_to_string(path(name)).unwrap();
    assert!(read("a.csv").starts_with("workload,p50_ns,p90_ns,p99_ns,p99_9_ns,max_ns,"), "{}", read("a.csv"));
    assert!(!read("a.csv").contains('█'));
    assert!(read("a.md").contains("```text\ntask-channel: how many ops took how long"), "{}", read("a.md"));
    for family in ["op_latency_p50_seconds", "op_latency_p99_9_seconds", "op_latency_max_seconds", "timer_ticks_per_op"]
    {
        assert!(read("a.prom").contains(&format!("\nctxprof_{family}{{workload=\"task-channel\"")), "{family}");
    }
}

/// A run that is interrupted once this is so.
fn interrupted(arguments: &str, until: impl FnOnce(&Child)) -> Done {
    let run = start(&format!("ctxprof run {arguments} --no-save --quiet"));
    until(&run);
    signal(&run, Signal::SIGINT);
    finish(run).expect(130, &[])
}

#[test]
fn an_interrupted_run_shows_the_ops_that_it_has_timed() {
    let arguments =
        "thread-pipe --latency --repetitions 10000 --samples 5 --ops-per-sample 200 --time 3600 --format json";
    // A follower each: the first has timed a thousand ops.
    let document = interrupted(arguments, |run| {
        let mut threads = BTreeSet::new();
        wait_until("several repetitions have begun", || {
            let tasks = fs::read_dir(format!("/proc/{}/task", run.id())).unwrap().flatten();
            threads.extend(tasks.map(|task| task.file_name()));
            threads.len() > 5
        });
    });
    let document = document.json();
    assert!(warned(&document, "partial"));
    check(result(&document, "thread-pipe"), 1000);
}

#[test]
fn a_run_that_is_interrupted_before_it_timed_an_op_says_so() {
    let until = |run: &Child| wait_until_switching(run, 1000);
    let done = interrupted("thread-pipe --latency --repetitions 1 --time 3600", until);
    assert!(done.stdout.contains("before any op of thread-pipe was timed by itself"), "{done:?}");
    assert!(done.stdout.contains("partial: interrupted") && !done.stdout.contains("p99.9"), "{done:?}");
}

mod measuring {
    use super::*;

    #[test]
    fn every_workload_can_be_timed_op_by_op() {
        let document = run(&format!("ctxprof run all --latency --format json {SHORT}")).expect(0, &[]).json();
        assert_eq!(document["settings"]["latency"], true);
        let mut ticks = 0.0;
        for row in document["results"].as_array().unwrap() {
            check(row, 1000);
            // A quick workload's ops may all lie between two ticks.
            ticks += row["latency"]["timer_ticks_per_op"].as_f64().unwrap();
        }
        assert!(ticks > 0.0, "{document}");
        assert!(warned(&document, "latency-of-the-clock"), "a call takes less than the clock");
    }

    #[test]
    fn few_ops_have_no_tail() {
        let line = "ctxprof run thread-pipe --latency --samples 5 --ops-per-sample 20 --repetitions 10";
        let document = run(&format!("{line} --format json --no-save --quiet")).expect(0, &[]).json();
        let row = result(&document, "thread-pipe");
        check(row, 1000);
        assert_eq!((&row["latency"]["ops"], &row["latency"]["p99_9_ns"]), (&Value::from(1000), &Value::Null));
    }

    #[test]
    fn without_counters_ops_can_be_timed_all_the_same() {
        let document = run(&format!("ctxprof run thread-pipe --latency --counters none --format json {SHORT}"))
            .expect(0, &[])
            .json();
        check(result(&document, "thread-pipe"), 1000);
    }
}
