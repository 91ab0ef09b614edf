//! Metrics as Prometheus reads them.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};

use crate::machine::needs;
use crate::support::{SHORT, command, run};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/run-2.json");

/// Checks a file of metrics with both of its readers.
#[track_caller]
fn check(path: &Path) {
    let shown = |output: &Output| format!("{}: {output:?}", path.display());
    // The Prometheus text format, as node_exporter reads it, and its conventions.
    let linted = Command::new("promtool").args(["check", "metrics"]).stdin(File::open(path).unwrap()).output().unwrap();
    assert!(linted.status.success() && linted.stderr.is_empty() && linted.stdout.is_empty(), "{}", shown(&linted));
    // OpenMetrics is read where series with timestamps are imported.
    let folder = tempfile::tempdir().unwrap();
    let dated = folder.path().join("dated");
    let date = |line: &str| if line.starts_with('#') { format!("{line}\n") } else { format!("{line} 1700000000\n") };
    fs::write(&dated, fs::read_to_string(path).unwrap().lines().map(date).collect::<String>()).unwrap();
    let import = ["tsdb", "create-blocks-from", "openmetrics"];
    let imported =
        Command::new("promtool").args(import).arg(&dated).arg(folder.path().join("blocks")).output().unwrap();
    assert!(imported.status.success() && imported.stderr.is_empty(), "{}", shown(&imported));
}

#[test]
fn prometheus_has_nothing_to_say_against_any_report() {
    needs!(Promtool);
    let folder = tempfile::tempdir().unwrap();
    for line in [
        format!("report {GOLDEN}"),
        format!("run task-channel syscall {SHORT}"),
        format!("run task-channel syscall --latency {SHORT}"),
        format!("run task-channel {SHORT} --counters none"),
        format!("diff {GOLDEN} {GOLDEN} --fail-above 5"),
        "list".to_string(),
        "memory task thread --max 100 --repetitions 2 -q".to_string(),
        "sweep working-set 0..16K task-channel thread-pipe --time 0.1 -q".to_string(),
    ] {
        let path = folder.path().join("a.prom");
        run(&format!("ctxprof {line} -o {}", path.display())).expect(0, &[]);
        check(&path);
    }
    let path = folder.path().join("b.prom");
    let costs = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/stat-2.json");
    run(&format!("ctxprof report {costs} -o {}", path.display())).expect(0, &[]);
    check(&path);
    for options in ["", "--per-thread"] {
        run(&format!("ctxprof stat {options} --cost none -o {} -- switcher children 5", path.display())).expect(0, &[]);
        check(&path);
    }
}

#[test]
fn prometheus_has_nothing_to_say_against_a_trace() {
    needs!(Promtool, Bpf);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.prom");
    run(&format!("ctxprof trace --quiet -o {} -- switcher children 5", path.display())).expect(0, &[]);
    check(&path);
}

#[test]
fn prometheus_has_nothing_to_say_against_a_comparison_with_repeated_claims_and_hostile_names() {
    needs!(Promtool, Perf);
    let folder = tempfile::tempdir().unwrap();
    let (claims, path) = (folder.path().join("a \"b\"\\\nc.txt"), folder.path().join("a.prom"));
    let claim = |ns: u32| format!("BenchmarkContextSwitch-8 \t 6843128\t       {ns} ns/op\n");
    fs::write(&claims, format!("goos: darwin\n{}{}{}PASS\n", claim(170), claim(180), claim(171))).unwrap();
    let mut compare = command("ctxprof compare --rounds 1 -q -o");
    let done: crate::support::Done = compare.arg(&path).arg("--with").arg(&claims).output().unwrap().into();
    done.expect(0, &[]);
    check(&path);
    let text = fs::read_to_string(&path).unwrap();
    let saved: Vec<&str> = text.lines().filter(|line| line.starts_with("ctxprof_compare_saved_op_seconds{")).collect();
    assert!(saved.len() == 1 && saved[0].contains(r#"/a \"b\"\\\nc.txt""#), "{saved:?}");
    assert!(saved[0].ends_with(" 1.71e-7"), "the median of what is claimed several times: {saved:?}");
}

#[test]
fn what_is_not_measured_is_no_sample() {
    let text = run(&format!("ctxprof run task-channel syscall {SHORT} --format openmetrics")).expect(0, &[]).stdout;
    let has = |name: &str, workload: &str| text.contains(&format!("\nctxprof_{name}{{workload=\"{workload}\""));
    assert!(has("op_seconds", "syscall") && has("net_switch_seconds", "task-channel"), "{text}");
    assert!(!has("switch_seconds", "syscall") && !has("op_no_switch_seconds", "syscall"), "{text}");
    assert!(!text.contains("NaN") && !text.contains("null"), "{text}");
}
