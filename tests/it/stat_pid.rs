//! `ctxprof stat --pid`: a process that runs already.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;

use crate::isolation::Nobody;
use crate::machine::needs;
use crate::stats::{JSON, document, stat, warned};
use crate::support::{
    CTXPROF, Done, Program, command, finish, pid_of, runs, signal, start, wait_until, wait_until_handled,
};

/// Returns the CPU time of a process, in clock ticks of a hundredth of a second.
fn ticks_of(pid: Pid) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // utime and stime are fields 14 and 15, of which the third is the first after the name.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn a_process_that_runs_is_watched_for_a_while_or_to_its_end() {
    let program = Program::start("switcher spin 1000");
    wait_until("a second of CPU time", || ticks_of(program.pid()) > 100);
    let for_a_while = stat(&format!("-p {} --for 0.3", program.pid()));
    assert_eq!(for_a_while["ended"], "goes-on");
    let figure = |figures: &Value, name: &str| figures[name].as_u64().unwrap();
    let (on_cpu, elapsed) = (figure(&for_a_while["totals"], "on_cpu_ns"), figure(&for_a_while, "elapsed_ns"));
    // Its one thread had at most one CPU; a tick's worth may be accounted late.
    assert!(on_cpu > 0 && on_cpu < elapsed + 20_000_000, "what it did before is not told: {for_a_while}");
    let watch = start(&format!("ctxprof stat {JSON} -p {}", program.pid()));
    wait_until_handled(pid_of(&watch), Signal::SIGINT);
    // The poller must see the program before it is gone.
    sleep(Duration::from_millis(300));
    program.kill();
    let to_its_end = document(&finish(watch).expect(0, &[]));
    assert_eq!(to_its_end["ended"], "gone", "{to_its_end}");
}

#[test]
fn threads_and_children_that_come_and_go_in_a_watched_process_count() {
    needs!(Root);
    for (mode, each) in [("threads", 20), ("children", 20)] {
        let program = Program::start(&format!("switcher {mode} 1000000 {each}"));
        let document = stat(&format!("-p {} --for 1", program.pid()));
        let (switches, threads) =
            (document["totals"]["switches"].as_u64().unwrap(), document["totals"]["threads"].as_u64().unwrap());
        // One after another: on a busy machine each takes a tenth of a second.
        assert!(threads > 3, "{mode}: {document}");
        assert!(switches > threads * each / 2, "{mode}: {document}");
    }
}

#[test]
fn ctrl_c_ends_the_watching_and_not_the_process() {
    let program = Program::start("sleep 1000");
    let watch = start(&format!("ctxprof stat --cost none -p {}", program.pid()));
    wait_until_handled(pid_of(&watch), Signal::SIGINT);
    signal(&watch, Signal::SIGINT);
    finish(watch).expect(0, &["goes on; watched for"]);
    assert!(runs(program.pid()));
}

#[test]
fn ctxprof_does_not_watch_itself_and_its_parent_without_it() {
    // exec preserves the process ID.
    let own = command("sh -c").arg("exec \"$0\" stat -p $$").arg(CTXPROF).output().unwrap();
    Done::from(own).expect(125, &["is ctxprof itself"]);
    let line = format!("\"$0\" stat {JSON} -p $$ --for 0.2; exit $?");
    let parent = command("sh -c").arg(line).arg(CTXPROF).output().unwrap();
    let document = document(&Done::from(parent).expect(0, &[]));
    assert!(document["children"].as_array().unwrap().is_empty(), "{document}");
}

#[test]
fn somebody_elses_process_is_watched_where_proc_shows_it() {
    needs!(Root);
    let program = Program::start("switcher threads 1000000 5");
    let nobody = Nobody::new();
    let done = nobody.run(&format!("stat {JSON} -p {} --for 1", program.pid())).expect(0, &[]);
    let seen = document(&done);
    assert!(seen["totals"]["on_cpu_ns"].as_u64().unwrap() > 0, "{seen}");
    assert!(warned(&seen, "ended-unseen"), "without rights there are no exit records: {seen}");
    let script = format!(
        "mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid=65534 --regid=65534 --clear-groups {} stat -p {}",
        nobody.binary().display(),
        program.pid()
    );
    let done: Done = command("unshare -m sh -c").arg(script).output().unwrap().into();
    done.expect(125, &["hidepid"]);
}

#[test]
fn a_thread_of_the_kernel_can_be_watched() {
    needs!(HostPids);
    let document = stat("-p 2 --for 0.1");
    assert_eq!(document["program"]["kernel_thread"], true);
}
