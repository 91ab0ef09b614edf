//! Scheduling policies: applied to the parties, never left behind, refused with the reason.

use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use crate::support::{Nobody, SHORT, can, command, run, warned};

/// The policy's number and the nice value, as /proc has them.
fn scheduling_of(pid: &str) -> (String, String) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // Fields 19 and 41, of which the third is the first behind the name.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    (fields[41 - 3].to_string(), fields[19 - 3].to_string())
}

#[test]
fn parties_run_under_the_policy_that_was_asked_for() {
    if !can("root") {
        return;
    }
    for (arguments, policy, nice) in
        [("--policy fifo:50", "1", None), ("--policy batch --nice 7", "3", Some("7")), ("--policy idle", "5", None)]
    {
        let mut run = command(&format!("ctxprof run process-pipe {arguments} --incarnations 1 --time 2 --no-save -q"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        sleep(Duration::from_millis(700));
        let parent = run.id().to_string();
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
        for pid in [parent.as_str(), children.split_whitespace().next().expect("a partner process")] {
            let (its_policy, its_nice) = scheduling_of(pid);
            assert_eq!(its_policy, policy, "{arguments}");
            assert!(nice.is_none_or(|nice| its_nice == nice), "{arguments}: {its_nice}");
        }
        assert!(run.wait().unwrap().success());
    }
}

#[test]
fn a_policy_is_in_the_document_and_real_time_is_warned_of() {
    if !can("root") {
        return;
    }
    let document = run(&format!("ctxprof run thread-pipe --policy rr:3 --format json {SHORT}")).expect(0, &[]).json();
    assert_eq!(document["settings"]["policy"], "rr:3");
    let throttles = fs::read_to_string("/proc/sys/kernel/sched_rt_runtime_us").is_ok_and(|text| text.trim() != "-1");
    assert_eq!(warned(&document, "rt-throttling"), throttles);
}

#[test]
fn a_policy_that_is_not_allowed_is_refused_with_the_reason() {
    if !can("root") {
        return;
    }
    let nobody = Nobody::new();
    nobody.run("run thread-pipe --policy fifo:50").expect(1, &["--policy fifo:50 is refused (EPERM)", "RLIMIT_RTPRIO"]);
    nobody.run("run thread-pipe --nice -5").expect(1, &["--nice -5 is refused", "RLIMIT_NICE"]);
    nobody.run(&format!("run thread-pipe --nice 5 {SHORT}")).expect(0, &[]);
}
