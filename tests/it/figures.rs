//! Figures hold: what a document says of CPU time and counts is possible, beside busy neighbours too.

use std::fs;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::{SHORT, result, run};

/// Shells that keep the CPUs busy, until they are dropped.
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

/// Runs ctxprof with these arguments: its document, and its raw samples.
fn run_with_samples(arguments: &str) -> (Value, Value) {
    let folder = tempfile::tempdir().unwrap();
    let samples = folder.path().join("samples.json");
    let line = format!("ctxprof run {arguments} --format json --samples-out {} {SHORT}", samples.display());
    let document = run(&line).expect(0, &[]).json();
    (document, serde_json::from_str(&fs::read_to_string(samples).unwrap()).unwrap())
}

/// The samples of a workload from which times are taken, of all its incarnations.
fn timed_samples(workload: &Value) -> impl Iterator<Item = &Value> {
    workload["incarnations"].as_array().unwrap().iter().flat_map(|each| each["samples"].as_array().unwrap())
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// A median that is in a result of a document.
fn median(result: &Value, figure: &str) -> f64 {
    number(&result[figure]["median"])
}

#[test]
fn parties_on_one_cpu_never_have_more_cpu_time_than_there_was() {
    let _busy = BusyLoops::start(3);
    let (document, samples) = run_with_samples("thread-pipe process-pipe thread-futex task-channel");
    for workload in samples["seen"]["workloads"].as_array().unwrap() {
        let name = workload["workload"].as_str().unwrap();
        let of = |sample: &Value| (number(&sample["parties"]["wall_ns"]), number(&sample["parties"]["cpu_ns"]));
        let undisturbed: Vec<(f64, f64)> =
            timed_samples(workload).map(of).filter(|(wall_ns, cpu_ns)| *wall_ns <= 1.02 * cpu_ns).collect();
        let possible = undisturbed.iter().filter(|(wall_ns, cpu_ns)| *cpu_ns <= 1.01 * wall_ns).count();
        // A neighbour's turn that falls between two readings at one end leaves the other party's last steps in the sample.
        assert!(
            undisturbed.len() - possible <= undisturbed.len() / 10 + 2,
            "{name}: only {possible} of {} undisturbed samples have no more CPU time than there was",
            undisturbed.len()
        );
        let row = result(&document, name);
        let used = row["samples"]["clean"].as_u64().unwrap() as usize;
        assert!(used <= possible, "{name}: {used} are called clean, and only {possible} of those are possible");
        let (wall, cpu) = (median(row, "ns_per_op"), median(row, "cpu_ns_per_op"));
        assert!(cpu <= 1.01 * wall, "{name}: {cpu} ns of CPU time in {wall} ns of one CPU");
        let all = row["warnings"].as_array().unwrap().iter().any(|warning| warning["code"] == "no-clean-samples");
        if !all {
            let (net, net_cpu) = (median(row, "net_ns_per_switch"), median(row, "net_cpu_ns_per_switch"));
            assert!(net_cpu <= 1.02 * net, "{name}: {net_cpu} ns of CPU time in {net} ns, net, of one CPU");
        }
    }
}
