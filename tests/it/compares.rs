//! External benchmarks next to ctxprof.

use std::collections::BTreeSet;
use std::fs;

use nix::sys::signal::Signal;

use crate::machine::needs;
use crate::made_program::make_program;
use crate::support::{
    Done, children_of, command, command_line_of, finish, pid_of, run, runs, signal, start, wait_until,
};

/// Returns a folder with a `perf` that is this script, to be first on `$PATH`.
fn fake_perf(script: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    make_program(&folder.path().join("perf"), script);
    folder
}

fn compare_with(folder: &tempfile::TempDir, arguments: &str) -> Done {
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    command(&format!("ctxprof compare -q {arguments}")).env("PATH", path).output().unwrap().into()
}

#[test]
fn output_that_is_not_understood_is_shown_and_no_zero() {
    let answers = "[ \"$1\" = --version ] && echo 'perf version 9.9.9' && exit 0";
    for (bench, words) in [
        ("echo '5,07 usecs pro Durchgang'", "5,07 usecs pro Durchgang"),
        ("true", "printed nothing"),
        ("echo '     Total time: 0.5 [sec]'", "Total time: 0.5"),
        ("echo broken >&2; exit 3", "broken"),
    ] {
        let folder = fake_perf(&format!("{answers}\n{bench}"));
        compare_with(&folder, "--rounds 1").expect(1, &["perf bench sched pipe -T", words]);
    }
}

#[test]
fn a_tool_that_is_not_here_is_a_line_with_the_command_that_installs_it() {
    // As Ubuntu's wrapper prints it when the tools of another kernel are installed.
    let folder = fake_perf("echo 'WARNING: perf not found for kernel 6.18' >&2; exit 2");
    let saved = folder.path().join("saved.txt");
    fs::write(&saved, "BenchmarkContextSwitch \t 6843128\t 175.3 ns/op\nPASS\n").unwrap();
    let arguments = format!("--rounds 1 --with {}", saved.display());
    let done = compare_with(&folder, &arguments).expect(0, &[]);
    assert!(done.stdout.contains("Not here: perf, threads"), "{done:?}");
    assert!(done.stdout.contains("perf not found for kernel") && done.stdout.contains("install"), "{done:?}");
    assert!(done.stdout.contains("175") && done.stdout.contains("not counted"), "{done:?}");
}

#[test]
fn saved_output_that_is_none_is_refused_before_anything_is_run() {
    let folder = tempfile::tempdir().unwrap();
    let (garbage, benchmarked) = (folder.path().join("garbage.txt"), folder.path().join("benchmarked"));
    fs::write(&garbage, "BenchmarkContextSwitch 12 fast\n").unwrap();
    let perf =
        fake_perf(&format!("[ \"$1\" = --version ] && echo 'perf version 9.9.9' || touch {}", benchmarked.display()));
    compare_with(&perf, &format!("--with {}", garbage.display()))
        .expect(1, &["garbage.txt", "BenchmarkContextSwitch 12 fast"]);
    compare_with(&perf, "--with /nowhere").expect(1, &["/nowhere"]);
    run("ctxprof compare a.json b.json").expect(2, &["ctxprof diff a.json b.json"]);
    assert!(!benchmarked.exists(), "perf was asked to play");
}

#[test]
fn an_interrupted_comparison_ends_its_tool_and_shows_the_rounds_until_then() {
    needs!(Perf);
    let compare = start("ctxprof compare --rounds 100 -q");
    // perf plays once with threads, then with processes.
    let benches = || children_of(pid_of(&compare)).into_iter().filter(|&pid| command_line_of(pid).contains(" bench "));
    let mut seen = BTreeSet::new();
    wait_until("perf plays a second time", || {
        seen.extend(benches());
        seen.len() > 1
    });
    signal(&compare, Signal::SIGINT);
    let done = finish(compare).expect(130, &[]);
    assert!(done.stdout.contains("partial: interrupted") && done.stdout.contains("perf, threads"), "{done:?}");
    assert!(!seen.into_iter().any(runs), "perf goes on");
}

mod measuring {
    use super::*;

    #[test]
    fn the_tools_that_are_here_are_run_and_their_switches_counted() {
        needs!(Perf, Go, Root);
        let document = run("ctxprof compare --rounds 1 -q --format json").expect(0, &[]).json();
        assert_eq!(document["schema"], "ctxprof.compare/2");
        let rows = document["rows"].as_array().unwrap();
        let found: Vec<(&str, f64, &str)> = rows
            .iter()
            .map(|row| {
                let counted = row["counted_switches_per_op"].as_f64().unwrap_or_else(|| panic!("{row}"));
                (row["own_workload"].as_str().unwrap(), counted, row["counted_by"].as_str().unwrap())
            })
            .collect();
        for ((workload, counted, by), (expected_workload, expected, expected_by)) in found.iter().zip([
            ("thread-pipe", 2.0, "wait4"),
            ("process-pipe", 2.0, "wait4"),
            ("goroutine-oneway", 1.0, "uprobe"),
            ("goroutine-channel", 2.0, "uprobe"),
        ]) {
            assert_eq!((*workload, *by), (expected_workload, expected_by));
            // Newer versions of perf let both sides write first: every other op is without a wait.
            let least = if workload.contains("pipe") { 0.5 * expected } else { expected };
            assert!((least - 0.02..expected + 0.05).contains(counted), "{workload}: {counted}");
        }
        for row in rows {
            let (path, version) =
                (row["program"]["path"].as_str().unwrap(), row["program"]["version"].as_str().unwrap());
            let said = run(&format!("{path} version")).stdout;
            assert!(path.starts_with('/') && said.contains(version), "{path}: {version:?} is not in {said:?}");
            let (reported, counted) =
                (row["reported_ns_per_op"].as_f64().unwrap(), row["counted_switches_per_op"].as_f64().unwrap());
            assert!((row["counted_ns_per_switch"].as_f64().unwrap() - reported / counted).abs() < 1e-6);
        }
    }
}
