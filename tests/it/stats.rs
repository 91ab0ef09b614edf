//! `ctxprof stat`: its counts, its reports, and their cost.

use std::fs;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::machine::{Ability, can, needs};
use crate::support::{Done, Program, command, run, switcher};

/// Options of a report that is read from stderr, without a second for calibration.
pub const JSON: &str = "--cost none --quiet --format json";

/// Returns the document on stderr.
#[track_caller]
pub fn document(done: &Done) -> Value {
    serde_json::from_str(&done.stderr).unwrap_or_else(|error| panic!("{error}: {done:?}"))
}

/// Returns the document of a program that succeeds.
#[track_caller]
pub fn stat(arguments: &str) -> Value {
    document(&run(&format!("ctxprof stat {JSON} {arguments}")).expect(0, &[]))
}

pub fn warned(document: &Value, code: &str) -> bool {
    document["warnings"].as_array().unwrap().iter().any(|warning| warning["code"] == code)
}

/// Starts a command with pipes for its three streams.
pub fn spawn(line: &str) -> Child {
    command(line).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// A program, the least switches that it makes, and the most voluntary ones: each thread and process has a few of its own. The
/// number of preemptions by others is unknown.
const PROGRAMS: &[(&str, u64, u64)] = &[
    ("sleeps 1000", 1000, 1030),
    ("--pin 0 pipe 2000", 4000, 4060),
    ("--pin 0 processes 2000", 4000, 4060),
    ("threads 200 20", 4000, 5200),
    ("children 100 20", 2000, 2500),
    ("nested 10", 80, 250),
    ("double-fork 1000", 1000, 1040),
    ("setsid 1000", 1000, 1040),
    ("unreaped 100 20", 1000, 2600),
    ("exec 10 100", 1000, 1200),
];

#[test]
fn a_program_is_counted_with_its_threads_children_and_orphans() {
    for (program, least, most) in PROGRAMS {
        let document = stat(&format!("-- switcher {program}"));
        let totals = &document["totals"];
        let counted = totals["switches"].as_u64().unwrap();
        let voluntary = totals["voluntary_switches"].as_u64().unwrap();
        assert!(*least <= counted && voluntary <= *most, "{program}: {document}");
        assert_eq!(counted, voluntary + totals["involuntary_switches"].as_u64().unwrap());
        assert!(totals["on_cpu_ns"].as_u64().unwrap() > 0, "{program}: {document}");
        // The CPU time of watching depends on the other processes.
        let odd = |warning: &&Value| warning["code"] != "watching-cost";
        assert_eq!(document["warnings"].as_array().unwrap().iter().find(odd), None, "{program}: {document}");
    }
}

#[test]
fn what_was_seen_and_what_was_not_add_up_to_the_whole() {
    for options in ["", "--no-exit-records", "--per-thread"] {
        let document = stat(&format!("{options} -- switcher threads 200 20"));
        let of = |figures: &Value| {
            figures["voluntary_switches"].as_u64().unwrap_or(0) + figures["involuntary_switches"].as_u64().unwrap_or(0)
        };
        let threads: u64 = document["threads"].as_array().unwrap().iter().map(of).sum();
        assert_eq!(threads + of(&document["ended_threads"]), of(&document["totals"]), "{options}: {document}");
        let ended_unseen = of(&document["ended_threads"]);
        if options == "--no-exit-records" {
            // The number that a poll finds depends on their lifetime on this machine.
            assert!(ended_unseen > 0, "short threads are seen by no look: {document}");
        } else if can(Ability::Root) {
            assert!(ended_unseen < 100, "{options}: {document}");
        }
    }
}

#[test]
fn threads_of_one_name_are_told_together_or_each_by_itself() {
    needs!(Root);
    let together = stat("-- switcher threads 50 5");
    assert_eq!(together["threads"].as_array().unwrap().len(), 1, "{together}");
    assert_eq!(together["threads"][0]["threads"], 51);
    let each = stat("--per-thread -- switcher threads 50 5");
    let rows = each["threads"].as_array().unwrap();
    assert_eq!(rows.len(), 51);
    assert!(rows.iter().all(|row| row["tid"].is_i64() && row["threads"] == 1));
}

#[test]
fn children_whose_accounting_are_dropped_are_counted_or_said_to_be_missing() {
    for mode in ["ignore-sigchld", "nocldwait"] {
        let program = format!("-- switcher {mode} 100 20");
        let without = stat(&format!("--no-exit-records {program}"));
        if mode == "ignore-sigchld" {
            assert!(warned(&without, "children-dropped"), "{without}");
        }
        if can(Ability::Root) {
            let with = stat(&program);
            assert!(with["totals"]["switches"].as_u64().unwrap() >= 2000, "{mode}: {with}");
            assert!(!warned(&with, "children-dropped"), "{with}");
        }
    }
}

#[test]
fn a_file_takes_the_report_and_leaves_stderr_to_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let (json, text) = (folder.path().join("a.json"), folder.path().join("a.txt"));
    let line = format!("ctxprof stat --cost none -o {} -o {} -- switcher exit 3", json.display(), text.display());
    let done = run(&line).expect(3, &[]);
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("", ""));
    let document: Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!((&document["schema"], &document["ended"]["exited"]), (&"ctxprof.stat/2".into(), &3.into()));
    assert!(fs::read_to_string(text).unwrap().contains("exited with 3"));
}

#[test]
fn every_format_shows_the_total() {
    for (format, words) in [
        ("table", "context-switches"),
        ("csv", "value,event,rate,detail"),
        ("markdown", "| context-switches |"),
        ("openmetrics", "ctxprof_stat_voluntary_switches{command=\"stat\"}"),
        ("json", "\"schema\": \"ctxprof.stat/2\""),
    ] {
        run(&format!("ctxprof stat --cost none --format {format} -- switcher sleeps 5")).expect(0, &[words]);
    }
}

#[test]
fn operations_that_the_user_names_divide_everything() {
    let document = stat("--ops 500 -- switcher sleeps 500");
    let per_op = &document["per_op"];
    let switches = per_op["switches"].as_f64().unwrap();
    assert!((1.0..1.1).contains(&switches), "{per_op}");
    assert!(per_op["elapsed_ns"].as_f64().unwrap() > 1000.0, "{per_op}");
    run("ctxprof stat --cost none --ops 500 -- switcher sleeps 500").expect(0, &["Per op, of 500:"]);
}

#[test]
fn every_interval_has_a_line_and_a_place_in_the_document() {
    let done = run("ctxprof stat --cost none --interval 100ms -- switcher spin 1").expect(0, &["switches/s"]);
    let lines = done.stderr.lines().filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit()));
    assert!(lines.count() >= 3, "{done:?}");
    let document = stat("--interval 0.1 -- switcher spin 1");
    let intervals = document["intervals"].as_array().unwrap();
    let on_cpu: u64 = intervals.iter().map(|interval| interval["on_cpu_ns"].as_u64().unwrap()).sum();
    assert!(intervals.len() >= 3, "{document}");
    let total = document["totals"]["on_cpu_ns"].as_u64().unwrap();
    // All of it but the part after the last interval.
    assert!((total / 2..=total).contains(&on_cpu), "{document}");
}

#[test]
fn perfs_counters_on_the_threads_count_what_the_accounting_have() {
    needs!(Perf);
    let document = stat("--counters thread -- switcher sleeps 500");
    let counters = document["counting"]["counters"].as_array().unwrap();
    let switches = counters.iter().find(|counter| counter["name"] == "context-switches").unwrap();
    let (perf, accounting) = (switches["total"].as_f64().unwrap(), document["totals"]["switches"].as_f64().unwrap());
    // Perf counts from the program's first instruction on; it may have been preempted before.
    assert!(500.0 <= perf && perf <= accounting, "{document}");
    let program = Program::start("switcher sleeps 1000000");
    let document = stat(&format!("--counters thread -p {} --for 0.3", program.pid()));
    let perf = document["counting"]["counters"][0]["total"].as_f64().unwrap();
    assert!(perf > 100.0, "{document}");
}

#[test]
fn perf_refused_is_an_error_before_anything_runs_if_it_was_asked_for() {
    needs!(Strace);
    let inject =
        "strace -f --seccomp-bpf -qq -o /dev/null -e trace=perf_event_open -e inject=perf_event_open:error=EACCES";
    let done = run(&format!("{inject} ctxprof stat --counters thread -- echo it ran"));
    let done = done.expect(125, &["--counters thread is refused", "EACCES"]);
    assert_eq!(done.stdout, "");
    run(&format!("{inject} ctxprof stat --cost none -- switcher sleeps 5")).expect(0, &["context-switches"]);
}

#[test]
fn exit_records_that_fail_on_the_way_are_done_without() {
    needs!(Strace, Root);
    // The first few are taken when the listening begins.
    let inject = "strace -f --seccomp-bpf -qq -o /dev/null -e trace=recvmsg -e inject=recvmsg:error=ENOMEM:when=4+";
    let done = run(&format!("{inject} ctxprof stat {JSON} -- switcher threads 50 5")).expect(0, &[]);
    let seen = document(&done);
    assert_eq!(seen["watching"]["exit_records"], false, "{seen}");
    assert!(seen["watching"]["no_exit_records"].as_str().unwrap().contains("ENOMEM"), "{seen}");
    assert!(seen["totals"]["switches"].as_u64().unwrap() >= 250, "{seen}");
}

#[test]
fn many_threads_and_children_take_little_memory() {
    const MOST_KB: u64 = 30 * 1024;
    for program in ["threads 10000 2", "children 1000 2", "ignore-sigchld 1000 2", "unreaped 1000 2"] {
        let mut stat = spawn(&format!("ctxprof stat {JSON} -- {} {program}", switcher().display()));
        let status = format!("/proc/{}/status", stat.id());
        let mut peak_kb = 0;
        while stat.try_wait().unwrap().is_none() {
            let text = fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kb = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
            peak_kb = peak_kb.max(kb.unwrap_or(0));
            sleep(Duration::from_millis(2));
        }
        assert!(peak_kb > 1000 && peak_kb < MOST_KB, "{program}: {peak_kb} kB");
    }
}

mod measuring {
    use super::*;

    #[test]
    fn the_cost_estimate_is_made_with_a_named_runs_costs_or_with_calibrated_ones() {
        let folder = tempfile::tempdir().unwrap();
        let costs = folder.path().join("prices.json");
        let costs = costs.display();
        run(&format!("ctxprof run thread-pipe thread-yield --time 0.1 --repetitions 6 --no-save --quiet -o {costs}"))
            .expect(0, &[]);
        let named = run(&format!("ctxprof stat --quiet --format json --cost {costs} -- switcher --pin 0 pipe 5000"));
        let named = document(&named.expect(0, &[]));
        let line = &named["cost_estimate"]["lines"][0];
        assert_eq!((&line["sort"], &line["same"]["workload"]), (&"within".into(), &"thread-pipe".into()), "{named}");
        assert!(line["same"]["source"]["saved"]["file"].as_str().unwrap().ends_with("prices.json"), "{named}");
        assert_eq!((&named["only_cpu"], &line["across"]), (&0.into(), &Value::Null), "it ran on one CPU: {named}");
        // Each end is a cost times a count, more than all of its CPU time even where this machine was slower before.
        let figure = |part: &Value, end: &str| part[end].as_f64().unwrap();
        let totals = &named["totals"];
        let (voluntary, involuntary) = (figure(totals, "voluntary_switches"), figure(totals, "involuntary_switches"));
        assert!(voluntary > 0.0, "{named}");
        let [waking, giving_way] = ["same", "yield"].map(|sort| &line[sort]["cpu_ns"]);
        assert_eq!(line["yield"]["workload"], "thread-yield", "{named}");
        // A cost from a core that was slow all the time has no lower end, one of a single repetition neither: it stands for both.
        let at = |cost: &Value, end: &str| cost[end].as_f64().or(cost["median"].as_f64()).unwrap().max(0.0);
        let low = at(waking, "low");
        let least = voluntary * low + involuntary * at(giving_way, "low").min(low);
        let most = (voluntary + involuntary) * at(waking, "high");
        let estimated = [("low", least), ("high", most)];
        for (end, estimated_ns) in estimated {
            let cost_estimate = &named["cost_estimate"];
            assert!(
                (figure(&cost_estimate["cpu_ns"], end) / estimated_ns - 1.0).abs() < 1e-6,
                "{end} of {estimated_ns}: {named}"
            );
            let share = estimated_ns / figure(totals, "on_cpu_ns");
            assert!(
                (figure(&cost_estimate["share_of_cpu"], end) / share - 1.0).abs() < 1e-6,
                "{end} of {share}: {named}"
            );
        }
        let calibrated = run("ctxprof stat --quiet --format json --cost calibrate -- switcher --pin 0 processes 5000");
        let calibrated = document(&calibrated.expect(0, &[]));
        let line = &calibrated["cost_estimate"]["lines"][0];
        assert_eq!((&line["sort"], &line["same"]["source"]), (&"between".into(), &"calibrated".into()), "{calibrated}");
        run("ctxprof stat --cost none -- switcher sleeps 5")
            .expect(0, &["Estimated switch cost: unknown", "ctxprof run thread-pipe"]);
    }
}
