//! Figures hold: a document's CPU times and counts are possible, beside busy neighbours too.

use std::fs;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::isolation::Nobody;
use crate::machine::needs;
use crate::support::{SHORT, result, run, samples_of, warned};

/// Shells that load the CPUs until they are dropped.
struct BusyLoops(Vec<Child>);

impl BusyLoops {
    fn start(count: usize) -> BusyLoops {
        let busy = || Command::new("sh").args(["-c", "while :; do :; done"]).stdin(Stdio::null()).spawn().unwrap();
        BusyLoops((0..count).map(|_| busy()).collect())
    }
}

impl Drop for BusyLoops {
    fn drop(&mut self) {
        for busy in &mut self.0 {
            let _ = busy.kill();
            let _ = busy.wait();
        }
    }
}

/// Runs ctxprof with these arguments; returns its document and its raw samples.
fn run_with_samples(arguments: &str) -> (Value, Value) {
    let folder = tempfile::tempdir().unwrap();
    let samples = folder.path().join("samples.json");
    let line = format!("ctxprof run {arguments} --format json --samples-out {} {SHORT}", samples.display());
    let document = run(&line).expect(0, &[]).json();
    (document, serde_json::from_str(&fs::read_to_string(samples).unwrap()).unwrap())
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Returns a median of a document's result.
fn median(result: &Value, figure: &str) -> f64 {
    number(&result[figure]["median"])
}

#[test]
fn participants_on_one_cpu_never_have_more_cpu_time_than_there_was() {
    let _busy = BusyLoops::start(3);
    let (document, samples) = run_with_samples("thread-pipe process-pipe thread-futex task-channel");
    for name in ["thread-pipe", "process-pipe", "thread-futex", "task-channel"] {
        let of =
            |sample: &Value| (number(&sample["participants"]["wall_ns"]), number(&sample["participants"]["cpu_ns"]));
        let undisturbed: Vec<(f64, f64)> =
            samples_of(&samples, name).map(of).filter(|(wall_ns, cpu_ns)| *wall_ns <= 1.02 * cpu_ns).collect();
        let possible = undisturbed.iter().filter(|(wall_ns, cpu_ns)| *cpu_ns <= 1.01 * wall_ns).count();
        // A neighbour's turn that falls between two readings at one end leaves the other participant's last steps in the sample.
        assert!(
            undisturbed.len() - possible <= undisturbed.len() / 10 + 2,
            "{name}: only {possible} of {} undisturbed samples have no more CPU time than there was",
            undisturbed.len()
        );
        let row = result(&document, name);
        let used = row["samples"]["undisturbed"].as_u64().unwrap() as usize;
        assert!(used <= possible, "{name}: {used} are called undisturbed, and only {possible} of those are possible");
        let (wall, cpu) = (median(row, "ns_per_op"), median(row, "cpu_ns_per_op"));
        assert!(cpu <= 1.01 * wall, "{name}: {cpu} ns of CPU time in {wall} ns of one CPU");
        let all = row["warnings"].as_array().unwrap().iter().any(|warning| warning["code"] == "no-undisturbed-samples");
        // Without an undisturbed no-switch sample there is no net.
        if !all && row["net_cpu_ns_per_switch"].is_object() {
            let (net, net_cpu) = (median(row, "net_ns_per_switch"), median(row, "net_cpu_ns_per_switch"));
            assert!(net_cpu <= 1.02 * net, "{name}: {net_cpu} ns of CPU time in {net} ns, net, of one CPU");
        }
    }
}

#[test]
fn the_kernels_two_counters_of_switches_agree_in_every_row_that_is_made_of_them() {
    needs!(Perf);
    let _busy = BusyLoops::start(3);
    let document =
        run(&format!("ctxprof run thread process --counters cpu --format json {SHORT}")).expect(0, &[]).json();
    let rows = document["results"].as_array().unwrap();
    let mut audited = 0;
    for row in rows.iter().filter(|row| row["switches_source"] == "kernel") {
        let interval = &row["switches_per_op_interval"];
        let [low, middle, high] = ["low", "median", "high"].map(|end| interval[end].as_f64());
        assert!(middle.is_some() && row["switches_per_op"].is_f64(), "{row}");
        // Where time was up after one repetition there is no interval.
        assert!(low.is_none() || (low <= middle && middle <= high), "{row}");
        // Where no sample was undisturbed, a CPU's switches are not the participants'.
        if row["audit"].is_object() {
            assert!((number(&row["audit"]["perf_by_accounting"]) - 1.0).abs() <= 0.01, "{row}");
            audited += 1;
        }
    }
    assert!(audited > 0, "{document}");
}

/// A run whose saved predecessors had a core so fast that this one's must seem slow, beside any load.
#[test]
fn a_core_slower_than_in_kept_runs_is_waited_for_and_bounds_costs_from_above_only() {
    needs!(Root);
    let nobody = Nobody::new();
    let quick = "run thread-pipe --samples 20 --repetitions 3 --quiet";
    nobody.run(&format!("{quick} --patience 0")).expect(0, &[]);
    let folder = nobody.folder.path().join("ctxprof/runs");
    // The folder has their history, too.
    let is_run = |path: &std::path::PathBuf| path.extension().is_some_and(|suffix| suffix == "json");
    let kept = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).find(is_run).unwrap();
    let mut document: Value = serde_json::from_str(&fs::read_to_string(&kept).unwrap()).unwrap();
    assert!(document["host"]["processor"]["family"].is_u64() || cfg!(not(target_arch = "x86_64")), "{document}");
    document["reference_loop_ns"] = json!(50.0);
    // So many that the runs saved by this machine's root are not read.
    for number in 0..20 {
        fs::write(folder.join(format!("run-20380101T0000{number:02}Z-1.json")), document.to_string()).unwrap();
    }
    let slow = nobody.run(&format!("{quick} --no-save --patience 0.05 --format json")).expect(0, &[]).json();
    assert_eq!(slow["reference_ns"], 50.0, "--no-save reads what was kept: {slow}");
    assert!(number(&slow["waited_s"]) >= 0.05, "{slow}");
    assert!(warned(&slow, "core-slower-than-before") && warned(&slow, "core-slowed"), "{slow}");
    let row = result(&slow, "thread-pipe");
    for figure in ["ns_per_op", "ns_per_switch", "net_ns_per_switch", "no_switch_ns_per_op"] {
        assert!(row[figure]["low"].is_null() && row[figure]["high"].is_f64(), "{figure}: {row}");
    }
    assert!(row["samples"]["slowed"] == row["samples"]["taken"], "{row}");
    assert!(row["warnings"].to_string().contains("3 repetitions were repeated"), "{row}");
    let table = nobody.run(&format!("{quick} --no-save --patience 0")).expect(0, &[]).stdout;
    let row = table.lines().find(|line| line.starts_with("thread-pipe")).unwrap();
    assert!(row.contains("≤ ") && !row.contains('±'), "{row}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 22, "nothing more was kept, beside 21 runs their history");
}

#[test]
fn ticks_of_a_clock_are_in_no_default_column() {
    let report = |options: &str| run(&format!("ctxprof run thread-pipe {options} {SHORT}")).expect(0, &[]).stdout;
    assert!(!report("").contains("TSC ticks"));
    let wide = report("--wide --format markdown");
    assert_eq!(wide.contains("TSC ticks"), cfg!(target_arch = "x86_64") && wide.contains("no PMU"), "{wide}");
}

#[test]
fn what_was_recorded_is_set_beside_what_was_recorded_only() {
    needs!(Perf);
    let report = run(&format!("ctxprof run thread-pipe --breakdown {SHORT}")).expect(0, &[]).stdout;
    // A line may end anywhere in a sentence.
    let said = report.split_whitespace().collect::<Vec<_>>().join(" ");
    let sum = said.split("Breakdown of thread-pipe: ").nth(1).unwrap_or_else(|| panic!("{report}"));
    assert!(sum.contains("records lost") && !sum.contains("unrecorded"), "{report}");
}
