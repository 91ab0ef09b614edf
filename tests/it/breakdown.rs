//! Breakdowns and timelines: from records of real switches, and on systems that refuse them.

use std::fs;
use std::process::Stdio;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::isolation::Nobody;
use crate::machine::{MOUNT_TRACEFS, needs};
use crate::support::{CTXPROF, Done, SHORT, command, finish, result, run, signal, start, wait_until, warned};

/// A run where tracefs is mounted, in a mount namespace of its own: the machine is not affected.
fn traced(arguments: &str) -> Done {
    let script = format!("{MOUNT_TRACEFS}; exec {CTXPROF} {arguments}");
    let output = command("unshare --mount sh -c").arg(script).stdin(Stdio::null()).output().unwrap();
    Done::from(output)
}

/// The same where it is surely not mounted.
fn untraced(arguments: &str) -> Done {
    let script = format!(
        "for at in /sys/kernel/tracing /sys/kernel/debug; do mount -t tmpfs none $at; done; exec {CTXPROF} {arguments}"
    );
    let output = command("unshare --mount sh -c").arg(script).stdin(Stdio::null()).output().unwrap();
    Done::from(output)
}

/// Returns a part of a workload's breakdown, by its kind.
fn part<'v>(result: &'v Value, kind: &str) -> Option<&'v Value> {
    result["breakdown"]["parts"].as_array()?.iter().find(|part| part["kind"] == kind)
}

#[track_caller]
fn ns(result: &Value, kind: &str) -> f64 {
    part(result, kind).unwrap_or_else(|| panic!("no {kind} in {result}"))["ns_per_op"].as_f64().unwrap()
}

const PARTS: [&str; 6] = ["running", "wake-up", "switch", "idle", "other", "unknown"];

/// A run without counters, so that perf is asked for records only, with system calls tampered with.
fn recorded_under(tampering: &str) -> Done {
    let arguments = format!("run thread-pipe --counters none --breakdown --timeline --format json {SHORT}");
    run(&format!("strace -f -qq -o /dev/null {tampering} ctxprof {arguments}"))
}

#[test]
fn refused_records_leave_the_cost_list_and_say_why() {
    needs!(Strace);
    let mut refusals: Vec<(String, &str)> = ["EACCES", "EPERM", "ENOSYS", "EMFILE", "ENOMEM"]
        .map(|errno| (format!("-e trace=perf_event_open -e inject=perf_event_open:error={errno}"), errno))
        .to_vec();
    let of_buffer = "-P anon_inode:[perf_event] -e trace=mmap -e inject=mmap:error=EPERM".to_string();
    refusals.push((of_buffer, "perf_event_mlock_kb"));
    for (tampering, words) in refusals {
        let document = recorded_under(&tampering).expect(0, &[]).json();
        let pipe = result(&document, "thread-pipe");
        assert!(pipe["ns_per_op"]["median"].is_f64() && pipe.get("breakdown").is_none(), "{words}: {pipe}");
        assert!(pipe.get("timelines").is_none());
        let warnings = document["warnings"].to_string();
        assert!(warned(&document, "not-recorded") && warnings.contains(words), "{words}: {warnings}");
    }
}

#[test]
fn a_refusal_in_the_middle_leaves_what_was_recorded_before() {
    needs!(Strace, Perf);
    let tampering = "-e trace=perf_event_open -e inject=perf_event_open:error=EMFILE:when=2+";
    let document = recorded_under(tampering).expect(0, &[]).json();
    let pipe = result(&document, "thread-pipe");
    assert!(pipe["breakdown"]["ops"].as_u64().unwrap() > 0, "{pipe}");
    assert!(warned(&document, "not-recorded") && document["warnings"].to_string().contains("not to the end"));
}

#[test]
fn saved_samples_give_the_same_breakdown_and_timelines_again() {
    needs!(Root, Perf);
    let folder = tempfile::tempdir().unwrap();
    let (document, samples) = (folder.path().join("run.json"), folder.path().join("samples.json"));
    let (document, samples) = (document.display(), samples.display());
    let line = format!("run thread-condvar --breakdown --timeline {SHORT} -o {document} --samples-out {samples}");
    let table = traced(&line).expect(0, &[]).stdout;
    let again = run(&format!("ctxprof report {samples} --format json")).expect(0, &[]).stdout;
    assert!(fs::read_to_string(document.to_string()).unwrap() == again, "the two differ");
    assert_eq!(run(&format!("ctxprof report {document}")).expect(0, &[]).stdout, table);
    let metrics = run(&format!("ctxprof report {document} --format openmetrics")).expect(0, &[]).stdout;
    assert!(metrics.contains("ctxprof_op_breakdown_seconds") && metrics.contains("part=\"switch\""), "{metrics}");
    let markdown = run(&format!("ctxprof report {document} --format markdown")).expect(0, &[]).stdout;
    assert!(markdown.contains("```text\nthread-condvar, a typical op"), "{markdown}");
}

#[test]
fn a_narrow_terminal_gets_a_smaller_picture_and_one_without_unicode_another() {
    needs!(Root, Perf);
    for (columns, locale, block) in [(60, "C.UTF-8", '█'), (80, "C.UTF-8", '█'), (60, "C", '#')] {
        let arguments = format!("run thread-pipe --timeline --breakdown --counters none --color never {SHORT}");
        let line = format!("stty cols {columns} rows 50; LANG={locale} TERM=xterm {CTXPROF} {arguments}");
        let output = command("script -qec").arg(line).arg("/dev/null").stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap().replace('\r', "");
        let picture = text.lines().skip_while(|line| !line.contains("a typical op"));
        let picture = picture.take_while(|line| !line.is_empty());
        let widest = picture.map(|line| line.chars().count()).max().unwrap();
        let drawn = text.lines().find(|line| line.starts_with("leader ")).unwrap_or_else(|| panic!("{text}"));
        assert!(drawn.contains(block) && widest <= columns, "{widest} columns: {text}");
        assert!(drawn.chars().count() > columns - 10, "the picture has the room that there is: {text}");
    }
}

#[test]
fn an_interrupted_recording_leaves_the_costs_and_nothing_running() {
    needs!(Root, Perf);
    let line = "ctxprof run thread process --breakdown --repetitions 3 --samples 5 --time 0.01 --no-save --quiet";
    let run = start(line);
    let maps = format!("/proc/{}/maps", run.id());
    // Nothing else in this program maps a perf buffer.
    wait_until("a recording", || fs::read_to_string(&maps).is_ok_and(|maps| maps.contains("[perf_event]")));
    signal(&run, Signal::SIGINT);
    // A process left running would hold the other end of these pipes.
    let done = finish(run).expect(130, &[]);
    assert!(done.stdout.contains("partial: interrupted") && done.stdout.contains("process-yield"), "{done:?}");
}

#[test]
fn what_the_kernel_does_not_record_is_said_and_is_no_failure() {
    let done = run(&format!("ctxprof run task-channel coroutine --breakdown --timeline {SHORT}")).expect(0, &[]);
    let words = "No breakdown and no timeline of task-channel, coroutine";
    assert!(done.stdout.replace("\n  ", " ").contains(words), "{}", done.stdout);
}

mod measuring {
    use super::*;

    #[test]
    fn an_ops_parts_add_up_to_it_and_the_switches_are_those_that_were_counted() {
        needs!(Root, Perf);
        let document = traced(&format!("run thread-channel process-pipe --breakdown --timeline --format json {SHORT}"));
        let document = document.expect(0, &[]).json();
        for workload in ["thread-channel", "process-pipe"] {
            let result = result(&document, workload);
            let parts: f64 = PARTS.iter().filter_map(|kind| part(result, kind)?["ns_per_op"].as_f64()).sum();
            let whole = ns(result, "whole");
            assert!((parts - whole).abs() < 0.01 * whole, "{parts} of {whole}: {result}");
            assert!(ns(result, "running") > 0.0 && ns(result, "wake-up") > 0.0 && ns(result, "switch") > 0.0);
            // Of the undisturbed ops, as is the count.
            let recorded = part(result, "switch").unwrap()["per_op"].as_f64().unwrap();
            let counted = result["switches_per_op"].as_f64().unwrap();
            let timeline = &result["timelines"][0];
            let typical = timeline["switches"].as_f64().unwrap();
            if workload == "process-pipe" {
                assert!((recorded - counted).abs() < 0.1 * counted, "{recorded} recorded, {counted} counted");
                assert_eq!(typical, counted.round(), "{timeline}");
            } else {
                // A channel's op can go several ways, and on a busy machine different ones in both passes.
                assert!((2.0..=12.0).contains(&recorded) && (2.0..=12.0).contains(&typical), "{recorded}, {timeline}");
            }
            assert_eq!(timeline["run_slices"].as_array().unwrap().last().unwrap()["left"], "stays");
        }
        assert!(part(result(&document, "thread-channel"), "no_switch").is_none(), "it has no no-switch cost");
        assert!(result(&document, "process-pipe")["breakdown"]["accounted_ns_per_op"].is_f64());
    }

    #[test]
    fn the_timeline_of_a_channel_says_why_it_makes_six_switches() {
        needs!(Root, Perf);
        let text = traced(&format!("run thread-channel --timeline {SHORT}")).expect(0, &[]).stdout;
        let switches = text.split("µs: ").nth(1).and_then(|after| after.split_once(" switches"));
        let switches: u64 = switches.unwrap().0.parse().unwrap_or_else(|error| panic!("{error}: {text}"));
        // Six on a calm machine: each side checks for the other, yields, and sleeps at last. Beside others it may find the other
        // side ready at once.
        let words: &[&str] = match switches {
            6 => &["wakes follower", "goes to sleep", "is preempted", "yields (sched_yield)", "█", "░"],
            _ => &["wakes follower", "█", "░"],
        };
        for words in words {
            assert!(text.contains(words), "{words:?} is not in {text}");
        }
        assert!((2..=12).contains(&switches), "{text}");
        assert!(!text.contains("context switch"), "breakdown were not asked for: {text}");
    }

    #[test]
    fn yields_are_told_from_preemptions() {
        needs!(Root, Perf);
        let left = |workload: &str| {
            let document = traced(&format!("run {workload} --timeline --format json {SHORT}")).expect(0, &[]).json();
            let run_slices = result(&document, workload)["timelines"][0]["run_slices"].clone();
            let left = run_slices.as_array().unwrap().iter().map(|run| run["left"].as_str().unwrap().to_string());
            left.collect::<Vec<_>>()
        };
        let of_yields = left("thread-yield");
        assert!(of_yields.iter().any(|left| left == "yields"), "{of_yields:?}");
        assert!(of_yields.iter().all(|left| left == "yields" || left == "stays"), "{of_yields:?}");
        let of_pipe = left("thread-pipe");
        assert!(of_pipe.iter().all(|left| left != "yields"), "{of_pipe:?}");
    }

    #[test]
    fn across_cpus_the_parts_add_up_as_well_and_idle_cpus_are_seen() {
        needs!(Root, Perf, TwoCpus);
        let line = format!("run thread-pipe --place 0,1 --breakdown --timeline --format json {SHORT}");
        let document = traced(&line).expect(0, &[]).json();
        let result = result(&document, "thread-pipe");
        let parts: f64 = PARTS.iter().filter_map(|kind| part(result, kind)?["ns_per_op"].as_f64()).sum();
        assert!((parts - ns(result, "whole")).abs() < 0.01 * ns(result, "whole"), "{result}");
        let timeline = &result["timelines"][0];
        assert_eq!(timeline["switches"], 2, "of the participants: {timeline}");
        let mut cpus: Vec<u64> =
            timeline["run_slices"].as_array().unwrap().iter().map(|run| run["cpu"].as_u64().unwrap()).collect();
        cpus.sort_unstable();
        cpus.dedup();
        assert_eq!(cpus, [0, 1]);
    }

    #[test]
    fn without_tracefs_wake_ups_are_absent_with_the_reason_and_the_rest_is_there() {
        needs!(Root, Perf);
        let document =
            untraced(&format!("run thread-pipe --breakdown --timeline --format json {SHORT}")).expect(0, &[]).json();
        let pipe = result(&document, "thread-pipe");
        assert!(part(pipe, "wake-up").is_none() && pipe["breakdown"]["accounted_ns_per_op"].is_null(), "{pipe}");
        assert!(ns(pipe, "switch") > 0.0 && pipe["timelines"][0]["switches"] == 2);
        assert_eq!(pipe["timelines"][0]["wake_ups"], serde_json::json!([]));
        let reason = document["warnings"].to_string();
        assert!(warned(&document, "not-in-records") && reason.contains("mount -t tracefs"), "{reason}");
    }

    #[test]
    fn without_root_the_participants_own_threads_are_recorded() {
        needs!(Root, Perf, Paranoid);
        let document = Nobody::new().run(&format!("run process-pipe --breakdown --timeline --format json {SHORT}"));
        let document = document.expect(0, &[]).json();
        let pipe = result(&document, "process-pipe");
        assert_eq!(
            (&pipe["breakdown"]["source"], &pipe["timelines"][0]["switches"]),
            (&"thread".into(), &2.into()),
            "{pipe}"
        );
    }

    #[test]
    fn lost_records_are_counted_and_their_ops_left_out() {
        needs!(Root, Perf);
        // A page holds half a play's records.
        let line = format!("ctxprof run thread-pipe --breakdown --timeline --format json {SHORT}");
        let output = command(&line).env("CTXPROF_TEST_RECORD_BUFFER", "4096").output().unwrap();
        let document = Done::from(output).expect(0, &[]).json();
        let breakdown = &result(&document, "thread-pipe")["breakdown"];
        assert!(
            breakdown["lost_records"].as_u64().unwrap() > 0 && breakdown["ops_left_out"].as_u64().unwrap() > 0,
            "{breakdown}"
        );
        let (ops, left_out) = (breakdown["ops"].as_u64().unwrap(), breakdown["ops_left_out"].as_u64().unwrap());
        assert_eq!(ops + left_out, 600, "three repetitions of two plays of 100 ops");
        assert!(warned(&document, "records-lost"));
        let whole = run(&line).expect(0, &[]).json();
        assert!(!warned(&whole, "records-lost"), "{whole}");
    }
}
