//! The screen of `ctxprof stat`: totals with their rates, threads, the estimated cost in a line, the verdict and the next command.

use std::fs;

use serde_json::Value;

use crate::machine::needs;
use crate::stats::{document, stat};
use crate::support::{CTXPROF, Done, Program, command, on_terminal, run, switcher};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/stat-2.json");

/// Runs `ctxprof stat` in a mount namespace in which no run has been saved.
fn without_saved_costs(arguments: &str) -> Done {
    let script = format!("mount -t tmpfs none /var/lib; exec {CTXPROF} stat {arguments}");
    command("unshare --mount sh -ec").arg(script).output().unwrap().into()
}

#[test]
fn totals_come_first_and_the_verdict_with_the_next_command_last() {
    let shown = run("ctxprof stat --cost none -- switcher sleeps 500").expect(0, &[]).stderr;
    let at = |words: &str| shown.find(words).unwrap_or_else(|| panic!("{words:?} is not in {shown}"));
    let order =
        ["exited with 0", "context-switches", "CPU time", "run-queue wait", "elapsed", "tids", "Verdict", "Next: "];
    assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{shown}");
    for words in ["voluntary, ", "user ", "sys ", " CPUs", "threads waiting on average", "Estimated switch cost: "] {
        at(words);
    }
    assert!(shown.lines().count() <= 25, "{shown}");
}

#[test]
fn a_screen_fits_every_terminal_and_locale_and_folds_many_threads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stat.json");
    let mut document: Value = serde_json::from_str(&fs::read_to_string(GOLDEN).unwrap()).unwrap();
    let row = document["threads"][0].clone();
    let names = (0..40).map(|at| {
        let mut row = row.clone();
        row["thread"] = format!("worker-{at}").into();
        row
    });
    document["threads"] = names.collect();
    fs::write(&path, document.to_string()).unwrap();
    for (columns, locale) in [(60, "LC_ALL=C.UTF-8"), (80, "LC_ALL=C.UTF-8"), (200, "LC_ALL=C.UTF-8"), (60, "LC_ALL=C")]
    {
        let shown = on_terminal(columns, locale, &format!("report --color never {}", path.display()));
        let longest = shown.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(longest <= columns as usize, "{columns} columns, {longest} wide: {shown}");
        for words in ["context-switches", "CPU time", "runq wait", "Verdict   switching: ", "worker-9"] {
            assert!(shown.contains(words), "{words:?} is not in {shown}");
        }
        assert!(!shown.contains("worker-10") && shown.contains("more, ") && shown.contains("--wide"), "{shown}");
        assert!(locale != "LC_ALL=C" || shown.is_ascii(), "{shown}");
    }
    let wide = run(&format!("ctxprof report --wide {}", path.display())).expect(0, &[]).stdout;
    assert!(wide.contains("worker-39") && wide.contains("switches/s") && wide.contains("minor faults"), "{wide}");
}

#[test]
fn user_and_system_time_are_the_whole_and_the_averages_follow_from_the_totals() {
    let document = stat("-- switcher --pin 0 pipe 20000");
    let totals = &document["totals"];
    let figure = |name: &str| totals[name].as_f64().unwrap_or_else(|| panic!("{name}: {document}"));
    assert_eq!(figure("user_ns") + figure("sys_ns"), figure("on_cpu_ns"), "{document}");
    // By the kernel's own sum of the ended program. A pipe is all system calls.
    assert!(figure("sys_ns") > figure("user_ns"), "{document}");
    let elapsed = document["elapsed_ns"].as_f64().unwrap();
    let near = |name: &str, expect: f64| assert!((figure(name) - expect).abs() <= 1e-6 * expect, "{name}: {document}");
    near("cpus_utilized", figure("on_cpu_ns") / elapsed);
    near("threads_waiting", figure("run_queue_wait_ns") / elapsed);
    near("run_queue_wait_ns_per_switch", figure("run_queue_wait_ns") / figure("switches"));
    let spins = stat("-- switcher spin 1");
    assert!(spins["totals"]["user_ns"].as_f64() > spins["totals"]["sys_ns"].as_f64(), "{spins}");
}

#[test]
fn the_verdict_is_the_largest_share_of_a_programs_time() {
    let sleeps = stat("-- sleep 1");
    assert_eq!(sleeps["verdict"]["cause"], "blocked", "{sleeps}");
    needs!(Root);
    // Three on one CPU: each waits twice as long as it runs, and longer where others want that CPU.
    let program = format!("{} spin 1", switcher().display());
    let script = format!("taskset -c 0 sh -c '{program} & {program} & {program} & wait'");
    let output = command("ctxprof stat --cost none --format json -- sh -c").arg(script).output().unwrap();
    let waits = document(&output.into());
    assert_eq!(waits["verdict"]["cause"], "run-queue", "{waits}");
    assert!(waits["verdict"]["ratio"].as_f64().unwrap() > 1.0, "{waits}");
    let shown = command("ctxprof stat --cost none -- sleep 1").output().unwrap();
    Done::from(shown).expect(0, &["Verdict   blocked: for ", "Next: ctxprof trace -- CMD"]);
}

#[test]
fn nothing_is_calibrated_where_it_does_not_matter_or_was_not_expected() {
    needs!(Root);
    // A real-time program is hardly ever switched away from, whatever else runs.
    let program = format!("chrt -f 10 {} spin 1", switcher().display());
    let done = without_saved_costs(&format!("-- {program}"));
    let words = "Estimated switch cost: below 0.1 % of CPU time, whatever a switch costs; not calibrated";
    let done = done.expect(0, &[words]);
    assert!(!done.stderr.contains("measuring"), "{done:?}");
    let json = document(&without_saved_costs(&format!("--format json -- {program}")));
    assert_eq!((&json["cost_below_share"], &json["cost_estimate"]), (&0.001.into(), &Value::Null), "{json}");
    // Another program's machine is not disturbed.
    let running = Program::start("switcher sleeps 1000000");
    let done = without_saved_costs(&format!("-p {} --duration 300ms", running.pid()));
    let done = done.expect(0, &["Estimated switch cost: unknown; `sudo ctxprof run thread-pipe", "--cost calibrate"]);
    assert!(!done.stderr.contains("measuring"), "{done:?}");
}
