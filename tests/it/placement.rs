//! Where the parties run.

use crate::support::{SHORT, command, result, run};

#[test]
fn an_inherited_mask_is_respected() {
    for cpu in ["0", "1"] {
        let document = run(&format!("taskset -c {cpu} ctxprof run task-channel --format json {SHORT}"));
        if document.code == Some(1) && cpu == "1" {
            eprintln!("skipped: one CPU only");
            continue;
        }
        assert_eq!(document.expect(0, &[]).json()["host"]["pinned_cpu"].to_string(), cpu);
    }
}

#[test]
fn the_cpu_that_is_asked_for_is_taken_and_said() {
    let done = run(&format!("ctxprof run task-channel --cpu 0 {SHORT}")).expect(0, &[]);
    assert!(done.stdout.contains("CPU 0 (asked for)"), "{}", done.stdout);
}

#[test]
fn a_cpu_that_cannot_be_had_is_refused_with_the_reason() {
    run("ctxprof run --cpu 99999").expect(1, &["CPU 99999 does not exist", "this machine has 0"]);
    run("taskset -c 0 ctxprof run --cpu 1").expect(1, &["CPU 1 "]);
}

#[test]
fn all_parties_run_on_the_pinned_cpu_while_they_are_measured() {
    let mut run = command("ctxprof run process-pipe --incarnations 1 --time 2 --cpu 0 --no-save --quiet")
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    let allowed = |pid: &str| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim().to_string()
    };
    let parent = run.id().to_string();
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    let child = children.split_whitespace().next().expect("a partner process");
    assert_eq!((allowed(&parent).as_str(), allowed(child).as_str()), ("0", "0"));
    assert!(run.wait().unwrap().success());
}

#[test]
fn parties_are_placed_apart_and_switches_through_idle_are_told_apart() {
    let document = run(&format!("ctxprof run thread-pipe task-channel --place 0,1 --format json {SHORT}"));
    if document.code == Some(1) {
        assert!(document.stderr.contains("CPU 1"), "{document:?}");
        eprintln!("skipped: one CPU only");
        return;
    }
    let document = document.expect(0, &[]).json();
    let pipe = result(&document, "thread-pipe");
    assert_eq!(pipe["cpus"], serde_json::json!([0, 1]));
    assert_ne!(pipe["placement"], "same");
    // The parties' own; the CPUs made about as many to and from idle.
    assert!((pipe["switches_per_op"].as_f64().unwrap() - 2.0).abs() < 0.1, "{pipe}");
    let name = |counter: &serde_json::Value| counter["name"] == "context-switches";
    if let Some(all) = pipe["counters"].as_array().unwrap().iter().find(|counter| name(counter)) {
        if all["source"] == "cpu" {
            assert!((all["per_op"].as_f64().unwrap() - 4.0).abs() < 0.4, "{all}");
        }
    }
    assert!(pipe["cpu_ns_per_op"]["median"].is_f64());
    assert_eq!(document["left_out"][0]["workload"], "task-channel");
    assert!(document["ratio"].is_null(), "a task on one CPU is not set beside threads on two");
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
            .expect(1, &[&format!("--place {place} is not to be had"), "CPU 0 only"]);
    }
    run("ctxprof run thread-pipe --place 0,99999").expect(1, &["CPU 99999 does not exist"]);
    run("ctxprof run thread-pipe --place 0,1 --cpu 0").expect(1, &["leave out --cpu"]);
    run("taskset -c 0 ctxprof run task-channel --place llc").expect(1, &["not to be had"]);
}
