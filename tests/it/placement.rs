//! Placement of participants on CPUs.

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::machine::needs;
use crate::support::{SHORT, children_of, finish, pid_of, result, run, signal, start, wait_until_switching};

#[test]
fn an_inherited_mask_is_respected() {
    needs!(TwoCpus);
    for cpu in ["0", "1"] {
        let document = run(&format!("taskset -c {cpu} ctxprof run task-channel --format json {SHORT}"));
        assert_eq!(document.expect(0, &[]).json()["host"]["pinned_cpu"].to_string(), cpu);
    }
}

#[test]
fn the_cpu_that_is_asked_for_is_taken_and_said() {
    let done = run(&format!("ctxprof run task-channel --cpu 0 --wide {SHORT}")).expect(0, &[]);
    assert!(done.stdout.contains("CPU 0 (asked for)"), "{}", done.stdout);
}

#[test]
fn a_cpu_that_cannot_be_had_is_refused_with_the_reason() {
    run("ctxprof run --cpu 99999").expect(1, &["CPU 99999 does not exist", "this machine has 0"]);
    run("taskset -c 0 ctxprof run --cpu 1").expect(1, &["CPU 1 "]);
}

#[test]
fn all_participants_run_on_the_pinned_cpu_while_they_are_measured() {
    let run = start("ctxprof run process-pipe --repetitions 1 --time 3600 --cpu 0 --no-save --quiet");
    wait_until_switching(&run, 1000);
    let allowed = |pid: Pid| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim().to_string()
    };
    let partner = children_of(pid_of(&run))[0];
    assert_eq!((allowed(pid_of(&run)).as_str(), allowed(partner).as_str()), ("0", "0"));
    signal(&run, Signal::SIGINT);
    finish(run).expect(130, &[]);
}

#[test]
fn all_placements_are_shown_by_distance() {
    let document = run(&format!("ctxprof run thread-futex --place all --format json {SHORT}")).expect(0, &[]).json();
    let placements: Vec<&str> =
        document["results"].as_array().unwrap().iter().map(|result| result["placement"].as_str().unwrap()).collect();
    let by_distance = ["same", "smt", "llc", "socket", "cross"];
    let expected: Vec<&str> = by_distance.into_iter().filter(|name| placements.contains(name)).collect();
    assert_eq!(placements, expected);
    assert_eq!(placements[0], "same");
}

#[test]
fn a_placement_that_is_not_to_be_had_is_refused_with_the_reason() {
    for place in ["smt", "llc", "socket", "cross"] {
        run(&format!("taskset -c 0 ctxprof run thread-pipe --place {place}"))
            .expect(1, &[&format!("--place {place} is not available"), "CPU 0 only"]);
    }
    run("ctxprof run thread-pipe --place 0,99999").expect(1, &["CPU 99999 does not exist"]);
    run("ctxprof run thread-pipe --place 0,1 --cpu 0").expect(1, &["leave out --cpu"]);
    run("taskset -c 0 ctxprof run task-channel --place llc").expect(1, &["not available"]);
}

mod measuring {
    use super::*;

    #[test]
    fn participants_are_placed_apart_and_switches_through_idle_are_told_apart() {
        needs!(TwoCpus);
        let document = run(&format!("ctxprof run thread-pipe task-channel --place 0,1 --format json {SHORT}"));
        let document = document.expect(0, &[]).json();
        let pipe = result(&document, "thread-pipe");
        assert_eq!(pipe["cpus"], serde_json::json!([0, 1]));
        assert_ne!(pipe["placement"], "same");
        // The participants' own are two an op, less where the host delays the one that waits; the CPUs make about as many to and
        // from idle or another program's thread.
        let own = pipe["switches_per_op"].as_f64().unwrap();
        assert!((1.0..3.0).contains(&own), "{pipe}");
        let name = |counter: &serde_json::Value| counter["name"] == "context-switches";
        if let Some(all) = pipe["counters"].as_array().unwrap().iter().find(|counter| name(counter)) {
            assert!(all["source"] != "cpu" || all["per_op"].as_f64().unwrap() > 1.5 * own, "{pipe}");
        }
        assert!(pipe["cpu_ns_per_op"]["median"].is_f64());
        assert_eq!(document["left_out"][0]["workload"], "task-channel");
        assert!(document["ratio"].is_null(), "a task on one CPU is not set beside threads on two");
    }
}
