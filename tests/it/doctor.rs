//! `ctxprof doctor` on this machine: its report is complete, true where this test can check it, and changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::isolation::{Cgroup, Nobody};
use crate::machine::{Ability, MOUNT_TRACEFS, can, needs};
use crate::support::{CTXPROF, Done, in_every_format, on_terminal, run};

/// Names of the checks, which scripts look for.
const CHECKS: [&str; 32] = [
    "perf-paranoid",
    "perf-events",
    "seccomp",
    "pmu",
    "tsc",
    "clocksource",
    "frequency-scaling",
    "turbo",
    "smt-sibling",
    "isolated-cpus",
    "interrupts",
    "load",
    "steal",
    "rt-throttling",
    "scheduler",
    "preemption",
    "timer-tick",
    "mitigations",
    "pressure-stall",
    "idle-states",
    "virtual-machine",
    "container",
    "cgroup-depth",
    "cpu-quota",
    "tracing",
    "kernel-probes",
    "btf",
    "bpf-rights",
    "perf-and-bpf",
    "debugger",
    "perf",
    "go",
];

/// Returns the findings of a document, by check.
#[track_caller]
fn findings(document: &Value) -> BTreeMap<String, Value> {
    let findings = document["findings"].as_array().unwrap_or_else(|| panic!("{document}"));
    let by_id: BTreeMap<String, Value> =
        findings.iter().map(|finding| (finding["id"].as_str().unwrap().to_string(), finding.clone())).collect();
    assert_eq!(by_id.len(), findings.len(), "a check stands there twice");
    by_id
}

#[track_caller]
fn check(document: &Value, id: &str, severity: &str, words: &str) {
    let finding = &findings(document)[id];
    assert_eq!(finding["severity"], severity, "{finding}");
    assert!(finding["found"].as_str().unwrap().contains(words), "{words:?} is not in {finding}");
}

/// Runs ctxprof with perf_event_open returning this error.
fn with_perf(errno: &str, arguments: &str) -> Done {
    let inject = format!("-e trace=perf_event_open -e inject=perf_event_open:error={errno}");
    run(&format!("strace -f --seccomp-bpf -qq -o /dev/null {inject} ctxprof {arguments}"))
}

#[test]
fn every_check_stands_once_in_the_document_with_all_its_fields() {
    let document = run("ctxprof doctor --format json").expect(0, &[]).json();
    assert_eq!(document["schema"], "ctxprof.doctor/1");
    assert!(document["settings"]["watched_ns"].as_u64().unwrap() >= 500_000_000);
    let findings = findings(&document);
    let mut ids: Vec<&str> = findings.keys().map(String::as_str).collect();
    let mut known = CHECKS.to_vec();
    ids.sort_unstable();
    known.sort_unstable();
    assert_eq!(ids, known);
    for (id, finding) in &findings {
        for field in ["found", "why", "source"] {
            assert!(finding[field].as_str().is_some_and(|text| !text.is_empty()), "{id}: {field}");
        }
        assert!(finding["fix"].is_null() || finding["fix"].is_string(), "{finding}");
        assert!(["ok", "info", "unknown", "warning", "serious"].contains(&finding["severity"].as_str().unwrap()));
        assert!(!finding["source"].as_str().unwrap().contains("{cpu}"), "{finding}");
    }
}

/// Compares the findings with the machine's files that this test reads, too.
#[test]
fn findings_agree_with_what_this_machine_says() {
    let document = run("ctxprof doctor --format json --cpu 0").expect(0, &[]).json();
    let clocksource = fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource").unwrap();
    let told = |id: &str| findings(&document)[id]["found"].as_str().unwrap().to_string();
    assert!(told("clocksource").contains(clocksource.trim()));
    if let Ok(level) = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid") {
        assert!(told("perf-paranoid").contains(&format!("level {}", level.trim())));
    }
    if let Ok(runtime) = fs::read_to_string("/proc/sys/kernel/sched_rt_runtime_us") {
        let runtime = runtime.trim();
        assert!(told("rt-throttling").contains(if runtime == "-1" { "all of the time" } else { runtime }));
    }
    assert!(told("load").contains("CPU 0 was busy"));
    assert_eq!(document["host"]["pinned_cpu"], 0);
    assert_eq!(
        findings(&document)["frequency-scaling"]["source"],
        "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    );
    check(&document, "debugger", "ok", "not traced");
    if can(Ability::Perf) {
        check(&document, "perf-events", "ok", "on CPU 0");
        check(&document, "perf", "ok", "/perf");
    }
    if can(Ability::Go) {
        check(&document, "go", "ok", "go1.");
    }
}

#[test]
fn strict_exits_with_one_exactly_where_something_is_serious() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("doctor.json").display().to_string();
    let done = run(&format!("ctxprof doctor --strict -o {path}"));
    let document: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let serious: Vec<String> = findings(&document)
        .into_iter()
        .filter_map(|(id, finding)| (finding["severity"] == "serious").then_some(id))
        .collect();
    let words: Vec<&str> = serious.iter().map(String::as_str).collect();
    done.expect(if serious.is_empty() { 0 } else { 1 }, &words);
    // A VM without a PMU is not serious.
    assert!(!serious.iter().any(|id| id == "pmu" || id == "virtual-machine"), "{serious:?}");
}

#[test]
fn a_refused_perf_event_open_is_serious_and_so_is_a_tracer() {
    needs!(Strace);
    for errno in ["EACCES", "EPERM", "ENOSYS", "ENOENT"] {
        let document = with_perf(errno, "doctor --format json").expect(0, &[]).json();
        check(&document, "perf-events", "serious", &format!("refused altogether: perf_event_open answered {errno}"));
        check(&document, "debugger", "serious", "traced by strace");
        let pmu = &findings(&document)["pmu"];
        assert_eq!(pmu["severity"], if errno == "ENOENT" { "info" } else { "unknown" }, "{pmu}");
        // strace's own filter is one, and would be taken for the reason.
        let fix = &findings(&document)["perf-events"]["fix"];
        match errno {
            "EACCES" => assert_eq!(fix, "sudo sysctl kernel.perf_event_paranoid=0"),
            "ENOENT" => assert!(fix.is_null()),
            _ => assert!(fix.as_str().unwrap().contains("seccomp=unconfined"), "{fix}"),
        }
    }
    with_perf("EACCES", "doctor --strict").expect(1, &["--strict: serious:", "perf-events", "debugger"]);
    with_perf("EACCES", "doctor").expect(0, &[]);
}

#[test]
fn a_seccomp_filter_is_seen() {
    needs!(Strace);
    let traced = "strace -f --seccomp-bpf -qq -o /dev/null -e trace=perf_event_open";
    let document = run(&format!("{traced} ctxprof doctor --format json")).expect(0, &[]).json();
    check(&document, "seccomp", "info", "1 seccomp filter on this process");
}

#[test]
fn a_user_without_rights_is_told_what_is_roots() {
    needs!(Root);
    let nobody = Nobody::new();
    let document = nobody.run("doctor --format json").expect(0, &[]).json();
    assert_eq!(document["host"]["user_id"], nobody.user);
    assert_eq!(findings(&document).len(), CHECKS.len());
    let level: i32 = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap().trim().parse().unwrap();
    if level >= 2 {
        check(&document, "perf-paranoid", "warning", &format!("level {level}"));
        check(&document, "perf-events", "warning", "user mode only");
    }
    check(&document, "perf-and-bpf", "unknown", "not ours to look at");
    check(&document, "bpf-rights", "info", "lacks CAP_BPF and CAP_PERFMON");
}

#[test]
fn tracing_is_seen_where_tracefs_is_mounted() {
    needs!(Root);
    // In a mount namespace of its own; nothing is enabled, which would affect the machine.
    let script = format!("{MOUNT_TRACEFS}; exec \"$@\"");
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-ec", &script, "sh"])
        .arg(CTXPROF)
        .args(["doctor", "--format", "json"])
        .output()
        .unwrap();
    let document = Done::from(output).expect(0, &[]).json();
    let tracing = &findings(&document)["tracing"];
    assert_ne!(tracing["severity"], "unknown", "{tracing}");
    assert_ne!(findings(&document)["kernel-probes"]["severity"], "unknown");
}

#[test]
fn a_quota_below_one_cpu_is_serious() {
    needs!(Root);
    needs!(CgroupCpu);
    let group = Cgroup::new("cpu");
    // Of the default period of 100,000 µs, in both versions.
    assert!(group.set("cpu.cfs_quota_us", 50_000) || group.set("cpu.max", 50_000));
    let document = group.run("doctor --format json").expect(0, &[]).json();
    check(&document, "cpu-quota", "serious", "0.50 CPUs");
    assert!(findings(&document)["cpu-quota"]["fix"].as_str().unwrap().contains("sudo tee /sys/fs/cgroup/"));
    check(&document, "cgroup-depth", "ok", "one level");
}

#[test]
fn every_format_says_the_same_and_a_narrow_terminal_shows_every_check() {
    let words = [
        ("csv", "check,severity,found"),
        ("md", "| check | state |"),
        ("prom", "ctxprof_finding_severity"),
        ("html", "virtual-machine"),
    ];
    let (table, ..) = in_every_format("ctxprof doctor --all", words);
    for id in CHECKS {
        assert!(table.lines().any(|line| line.split_whitespace().next() == Some(id)), "{id} is not in {table}");
    }
    for (columns, wide) in [(60, "--all"), (80, "--all"), (100, "--all"), (100, "--wide"), (250, "--wide")] {
        let shown = on_terminal(columns, "LC_ALL=C.UTF-8", &format!("doctor --color never {wide}"));
        for id in CHECKS {
            assert!(shown.lines().any(|line| line.split_whitespace().next() == Some(id)), "{columns} {id}: {shown}");
        }
        let longest = shown.lines().map(|line| line.chars().count()).max().unwrap();
        // A command without a space is not broken, nor is anything of a wide table.
        assert!(longest <= columns as usize + 20 || !wide.is_empty(), "{columns} columns, {longest} wide: {shown}");
    }
}

#[test]
fn problems_come_first_each_with_its_fix_and_the_rest_is_a_line() {
    needs!(Strace);
    // Whatever else is found on this host, the tracer and the refusal are serious.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("doctor.json").display().to_string();
    let shown = with_perf("EACCES", &format!("doctor -o {path}")).expect(0, &[]).stdout;
    let document: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let of = |severity: &str| findings(&document).values().filter(|finding| finding["severity"] == severity).count();
    assert!(shown.starts_with(&format!("{} serious problems", of("serious"))), "{shown}");
    for finding in findings(&document).values() {
        let line = |at: &str| {
            format!("\n{}: {}: {at}", finding["severity"].as_str().unwrap(), finding["id"].as_str().unwrap())
        };
        let is_problem = finding["severity"] == "serious" || finding["severity"] == "warning";
        assert_eq!(shown.contains(&line("")), is_problem, "{finding}: {shown}");
        if let (true, Some(fix)) = (is_problem, finding["fix"].as_str()) {
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words(&shown).contains(&words(&format!("fix: {fix}"))), "{finding}: {shown}");
        }
    }
    let last = shown.lines().last().unwrap();
    assert!(last.starts_with(&format!("{} checks ok", of("ok"))) && last.ends_with("(--all shows them)"), "{shown}");
    // Sorted: no warning before something serious.
    let states: Vec<&str> = shown.lines().filter_map(|line| line.split_once(": ")).map(|(state, _)| state).collect();
    let last_serious = states.iter().rposition(|state| *state == "serious").unwrap();
    assert!(states[..last_serious].iter().all(|state| *state != "warning"), "{shown}");
    assert_eq!(document["settings"].get("all"), None, "the document is whole anyway");
}

#[test]
fn a_cpu_that_is_not_there_is_refused() {
    run("ctxprof doctor --cpu 4095").expect(1, &["4095"]);
    run("ctxprof doctor --cpu x").expect(2, &["invalid"]);
}
