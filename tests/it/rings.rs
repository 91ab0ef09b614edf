//! Rings: a token that goes around any number of participants, and memory that they walk.

use std::collections::BTreeSet;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use serde_json::Value;

use crate::isolation::{Cgroup, Nobody};
use crate::machine::needs;
use crate::support::{
    SHORT, children_of, finish, pid_of, result, run, runs, signal, start, wait_until, waits_of, warned,
};

/// Runs these briefly; returns the document.
fn short(arguments: &str) -> Value {
    run(&format!("ctxprof run {arguments} {SHORT} --format json")).expect(0, &[]).json()
}

fn left_out<'v>(document: &'v Value, workload: &str) -> Option<&'v Value> {
    document["left_out"].as_array()?.iter().find(|left_out| left_out["workload"] == workload)
}

#[test]
fn a_ring_runs_on_two_cpus_too() {
    needs!(TwoCpus);
    let document = short("thread-pipe process-futex --ring 4 --place 0,1");
    for workload in ["thread-pipe", "process-futex"] {
        let result = result(&document, workload);
        assert_eq!(result["cpus"].as_array().unwrap().len(), 2, "{result}");
        assert!(result["ns_per_op"]["median"].as_f64().unwrap() > 0.0, "{result}");
    }
}

#[test]
fn a_ring_that_a_limit_forbids_is_left_out_with_its_value_and_what_raises_it() {
    needs!(Root);
    let nobody = Nobody::new();
    let line = format!("run thread-pipe thread-futex --ring 600 --format json {SHORT}");
    let done = nobody.run_under("prlimit --nofile=1000:1000", &line).expect(0, &[]);
    let document = done.json();
    assert_eq!(result(&document, "thread-futex")["ring"]["participants"], 600);
    let reason = left_out(&document, "thread-pipe").unwrap();
    let text = reason["reason"].as_str().unwrap();
    assert!(text.contains("RLIMIT_NOFILE (ulimit -n) is 1000") && text.contains("there is room for "), "{reason}");
    assert!(reason["remedy"].as_str().unwrap().contains("ulimit -n"), "{reason}");

    let alone = format!("run thread-futex --ring 100 {SHORT}");
    let words = ["RLIMIT_NPROC (ulimit -u) is 60", "room for", "thread-futex (ring of 100)"];
    nobody.run_under("prlimit --nproc=60", &alone).expect(1, &words);
    let words = ["there is no room for two", "MemAvailable is", "1,024 GiB each"];
    run("ctxprof run thread-pipe --working-set 1024G --no-save").expect(1, &words);
}

#[test]
fn pids_max_is_named_with_the_file_to_write() {
    needs!(CgroupPids);
    let group = Cgroup::new("pids");
    assert!(group.set("pids.max", 40));
    let done = group.run(&format!("run process-pipe --ring 100 {SHORT}"));
    done.expect(1, &["the cgroup's pids.max is 40", "echo 160 > "]);
}

#[test]
fn a_refusal_that_nobody_foresaw_leaves_out_that_ring_only() {
    needs!(Strace);
    let strace = "strace -f -qq -o /dev/null -e trace=clone3 -e inject=clone3:error=EAGAIN:when=20+";
    let done = run(&format!("{strace} ctxprof run thread-futex task-channel --ring 50 {SHORT} --format json"));
    let document = done.expect(0, &[]).json();
    assert_eq!(result(&document, "task-channel")["switches_per_op"], 1.0);
    let reason = left_out(&document, "thread-futex").unwrap()["reason"].as_str().unwrap();
    assert!(reason.contains("RLIMIT_NPROC is"), "{reason}");
    let alone = run(&format!("{strace} ctxprof run thread-futex --ring 50 {SHORT}"));
    alone.expect(1, &["nothing of this can be measured here", "RLIMIT_NPROC is"]);
}

#[test]
fn a_ring_that_is_refused_after_some_repetitions_says_so() {
    needs!(Strace);
    let refused = "strace -f -qq -o /dev/null -e trace=clone3 -e inject=clone3:error=EAGAIN:when=130+";
    let done = run(&format!(
        "{refused} ctxprof run thread-futex --ring 50 --samples 3 --repetitions 6 --no-save --quiet --format json"
    ));
    let document = done.expect(0, &[]).json();
    let made = result(&document, "thread-futex")["repetitions"].as_u64().unwrap();
    assert!((1..6).contains(&made), "{document}");
    let warnings = document["warnings"].as_array().unwrap();
    let warning = warnings.iter().find(|warning| warning["code"] == "refused-later").unwrap();
    let message = warning["message"].as_str().unwrap();
    assert!(message.contains(&format!("refused after {made} of 6 repetitions")), "{message}");
    assert!(message.contains("RLIMIT_NPROC is"), "{message}");
}

#[test]
fn a_member_that_is_killed_ends_the_ring_and_no_other_stays() {
    for workload in ["process-pipe", "process-futex"] {
        // Its no-switch ring, of one process, is a tenth of that. The run ends with the kill, until which it has to last beside load.
        let line = format!("ctxprof run {workload} --ring 10 --repetitions 1 --time 60 --no-save --quiet");
        let run = start(&line);
        wait_until("nine members", || children_of(pid_of(&run)).len() == 9);
        let members = children_of(pid_of(&run));
        wait_until("a token that goes round", || waits_of(members[4]) > 20);
        kill(members[4], Signal::SIGKILL).unwrap();
        finish(run).expect(1, &[&format!("the partner process {} was killed by SIGKILL", members[4])]);
        assert!(!members.iter().copied().any(runs), "{workload}: {members:?}");
    }
}

#[test]
fn an_interrupted_ring_shows_what_there_is() {
    let line = "ctxprof run thread-pipe process-pipe --ring 200 --time 20 --repetitions 100 --no-save --quiet";
    let run = start(line);
    // Once there is a second ring of processes, the first has been measured.
    let mut firsts = BTreeSet::new();
    wait_until("a second ring of processes", || {
        firsts.extend(children_of(pid_of(&run)).into_iter().next());
        firsts.len() > 1
    });
    signal(&run, Signal::SIGINT);
    let done = finish(run).expect(130, &[]);
    assert!(done.stdout.contains("partial: interrupted") && done.stdout.contains(" 200 "), "{done:?}");
}

#[test]
fn rings_of_different_sizes_are_different_rows() {
    let folder = tempfile::tempdir().unwrap();
    let saved = |participants: u32| {
        let path = folder.path().join(format!("{participants}.json"));
        run(&format!("ctxprof run task-notify --ring {participants} {SHORT} -o {}", path.display())).expect(0, &[]);
        path.display().to_string()
    };
    let (two, three) = (saved(2), saved(3));
    let document = run(&format!("ctxprof diff {two} {three} --format json")).expect(0, &[]).json();
    assert_eq!(document["only_old"][0], "task-notify (ring of 2)");
    assert_eq!(document["only_new"][0], "task-notify (ring of 3)");
    let same = run(&format!("ctxprof diff {two} {two} --format json")).expect(0, &[]).json();
    assert_eq!(same["rows"][0]["ring"]["participants"], 2);
    assert!(!same["warnings"].as_array().unwrap().iter().any(|warning| warning["code"] == "nothing-in-common"));
}

#[test]
fn a_ring_of_one_or_of_too_many_is_wrong_usage() {
    for (arguments, word) in [
        ("--ring 1", "2..="),
        ("--ring 0", "2..="),
        ("--ring x", "invalid"),
        ("--ring 99999999999", "1000000000"),
        ("--working-set 4x", "16KiB"),
        ("--working-set -1", "-1"),
    ] {
        run(&format!("ctxprof run thread-pipe {arguments}")).expect(2, &[word]);
    }
}

mod measuring {
    use super::*;

    #[test]
    fn every_mechanism_that_can_be_a_ring_hands_the_token_on() {
        for participants in [2, 5] {
            let document = short(&format!("thread process task --ring {participants}"));
            let results = document["results"].as_array().unwrap();
            assert!(results.len() >= 7, "{document}");
            for result in results {
                assert_eq!(
                    (&result["ring"]["participants"], &result["op"]),
                    (&participants.into(), &"one hop".into()),
                    "{result}"
                );
                // Without an undisturbed no-switch sample there is none.
                assert!(result["no_switch_ns_per_op"]["median"].as_f64().is_none_or(|ns| ns > 0.0), "{result}");
                let switches = result["switches_per_op"].as_f64();
                if result["kind"] == "task" {
                    assert_eq!(switches, Some(1.0), "{result}");
                } else if let Some(switches) = switches {
                    // A hop is one switch; a member preempted by its successor runs on later, which is one more. Others' threads
                    // preempt some as well.
                    assert!((0.99..2.2).contains(&switches), "{result}");
                }
            }
            assert!(results.iter().any(|result| result["no_switch_ns_per_op"].is_object()), "{document}");
            let left_out = left_out(&document, "thread-park").unwrap();
            assert!(
                left_out["reason"].as_str().unwrap().starts_with("it is no ring; those that can be are thread-pipe, ")
            );
            assert_eq!(left_out["ring"]["participants"], participants);
        }
    }

    #[test]
    fn a_working_set_is_in_the_no_switch_cost_as_well() {
        let no_switch = |arguments: &str| {
            let document = short(arguments);
            let result = result(&document, "thread-futex");
            assert_eq!(result["ring"]["participants"], 2, "{result}");
            result["no_switch_ns_per_op"]["median"].as_f64().unwrap()
        };
        let (without, with) = (no_switch("thread-futex --ring 2"), no_switch("thread-futex --working-set 1M"));
        // 16,384 lines take at least a microsecond.
        assert!(with > without + 1000.0, "{without} and {with}");
        let table = run(&format!("ctxprof run thread-futex --working-set 4k {SHORT}")).expect(0, &[]).stdout;
        assert!(table.contains("ring") && table.contains("4.00 KiB"), "{table}");
    }

    #[test]
    fn a_million_tasks_take_less_than_two_gigabytes() {
        let line = "ctxprof run task-channel --ring 1000000 --repetitions 1 --no-save --quiet --format json";
        let run = start(line);
        let status = format!("/proc/{}/status", run.id());
        let mut most_kib = 0;
        // As long as it has memory of its own.
        while let Ok(text) = fs::read_to_string(&status) {
            let Some(line) = text.lines().find_map(|line| line.strip_prefix("VmHWM:")) else { break };
            most_kib = line.trim().trim_end_matches(" kB").parse::<u64>().unwrap().max(most_kib);
            sleep(Duration::from_millis(10));
        }
        let done = finish(run).expect(0, &[]);
        assert_eq!(result(&done.json(), "task-channel")["switches_per_op"], 1.0);
        assert!((1_000_000..2_000_000_000 / 1024).contains(&most_kib), "{most_kib} KiB");
    }

    #[test]
    fn ten_thousand_threads_are_a_ring() {
        let document =
            run("ctxprof run thread-futex --ring 10000 --repetitions 1 --time 0.3 --no-save -q --format json");
        let document = document.expect(0, &[]).json();
        let result = result(&document, "thread-futex");
        assert_eq!(result["ring"]["participants"], 10_000);
        assert!(result["samples"]["taken"].as_u64().unwrap() > 0, "{result}");
    }

    #[test]
    fn a_count_that_is_not_one_a_hop_is_told() {
        needs!(Perf);
        // Under SCHED_OTHER a woken thread may preempt its waker, under SCHED_BATCH never.
        let document = short("thread-futex --ring 5 --policy batch");
        let switches = result(&document, "thread-futex")["switches_per_op"].as_f64().unwrap();
        assert!((switches - 1.0).abs() < 0.02, "{switches}");
        assert!(!warned(&document, "count-differs"));
    }
}
