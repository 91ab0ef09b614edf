//! Scheduling policies: applied to the participants, never left behind, refused with the reason.

use std::fs;

use nix::unistd::Pid;

use crate::isolation::Nobody;
use crate::machine::needs;
use crate::support::{Program, SHORT, children_of, run, wait_until, warned};

/// Returns the policy's number and the nice value from /proc.
fn scheduling_of(pid: Pid) -> (String, String) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // Fields 19 and 41, of which the third is the first after the name.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    (fields[41 - 3].to_string(), fields[19 - 3].to_string())
}

#[test]
fn participants_run_under_the_policy_that_was_asked_for() {
    needs!(Root);
    for (arguments, policy, nice) in
        [("--policy fifo:50", "1", None), ("--policy batch --nice 7", "3", Some("7")), ("--policy idle", "5", None)]
    {
        let run = Program::start(&format!("ctxprof run process-pipe {arguments} --time 3600 --no-save -q"));
        // Under SCHED_IDLE it may wait for long: it need not have played.
        wait_until("a partner", || !children_of(run.pid()).is_empty());
        for pid in [run.pid(), children_of(run.pid())[0]] {
            let is_so = || {
                let (its_policy, its_nice) = scheduling_of(pid);
                its_policy == policy && nice.is_none_or(|nice| its_nice == nice)
            };
            wait_until(&format!("{arguments} of process {pid}"), is_so);
        }
    }
}

#[test]
fn a_policy_is_in_the_document_and_real_time_is_warned_of() {
    needs!(Root);
    let document = run(&format!("ctxprof run thread-pipe --policy rr:3 --format json {SHORT}")).expect(0, &[]).json();
    assert_eq!(document["settings"]["policy"], "rr:3");
    let throttles = fs::read_to_string("/proc/sys/kernel/sched_rt_runtime_us").is_ok_and(|text| text.trim() != "-1");
    assert_eq!(warned(&document, "rt-throttling"), throttles);
}

#[test]
fn a_policy_that_is_not_allowed_is_refused_with_the_reason() {
    needs!(Root);
    let nobody = Nobody::new();
    nobody.run("run thread-pipe --policy fifo:50").expect(1, &["--policy fifo:50 is refused (EPERM)", "RLIMIT_RTPRIO"]);
    nobody.run("run thread-pipe --nice -5").expect(1, &["--nice -5 is refused", "RLIMIT_NICE"]);
    nobody.run(&format!("run thread-pipe --nice 5 {SHORT}")).expect(0, &[]);
}
