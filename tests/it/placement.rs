//! Where the parties run.

use crate::support::{SHORT, command, run};

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
