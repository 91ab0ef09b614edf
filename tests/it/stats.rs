//! `ctxprof stat`: its counts, the program's streams and signals, and its end.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::machine::{Ability, can, needs};
use crate::support::{
    CTXPROF, Done, Nobody, Program, children_of, command, finish, pid_of, run, runs, signal, start, switcher,
    wait_until, wait_until_handled,
};

/// Options of a report that is read from stderr, without a second for calibration.
const JSON: &str = "--price none --quiet --format json";

/// Returns the document on stderr.
#[track_caller]
fn document(done: &Done) -> Value {
    serde_json::from_str(&done.stderr).unwrap_or_else(|error| panic!("{error}: {done:?}"))
}

/// Returns the document of a program that succeeds.
#[track_caller]
fn stat(arguments: &str) -> Value {
    document(&run(&format!("ctxprof stat {JSON} {arguments}")).expect(0, &[]))
}

fn warned(document: &Value, code: &str) -> bool {
    document["warnings"].as_array().unwrap().iter().any(|warning| warning["code"] == code)
}

/// Starts the same with a stdin to write to.
fn spawn(line: &str) -> Child {
    command(line).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn name_of(pid: Pid) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_string()
}

/// Returns the first child of a process that has this name, once there is one.
#[track_caller]
fn child_of(pid: Pid, name: &str) -> Pid {
    let mut found = None;
    wait_until(&format!("a child {name} of {pid}"), || {
        found = children_of(pid).into_iter().find(|&child| name_of(child) == name);
        found.is_some()
    });
    found.unwrap()
}

/// Returns the CPU time of a process, in clock ticks of a hundredth of a second.
fn ticks_of(pid: Pid) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // utime and stime are fields 14 and 15, of which the third is the first after the name.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// A program, the least switches that it makes, and the most voluntary ones: each thread and process has a few of its own. The
/// number of preemptions by others is unknown.
const PROGRAMS: &[(&str, u64, u64)] = &[
    ("sleeps 1000", 1000, 1030),
    ("--pin 0 pipe 2000", 4000, 4060),
    ("--pin 0 processes 2000", 4000, 4060),
    ("threads 200 20", 4000, 5200),
    ("children 100 20", 2000, 2500),
    ("nested 10", 80, 250),
    ("double-fork 1000", 1000, 1040),
    ("setsid 1000", 1000, 1040),
    ("unreaped 100 20", 1000, 2600),
    ("exec 10 100", 1000, 1200),
];

#[test]
fn a_program_is_counted_with_its_threads_children_and_orphans() {
    for (program, least, most) in PROGRAMS {
        let document = stat(&format!("-- switcher {program}"));
        let totals = &document["totals"];
        let counted = totals["switches"].as_u64().unwrap();
        let voluntary = totals["voluntary_switches"].as_u64().unwrap();
        assert!(*least <= counted && voluntary <= *most, "{program}: {document}");
        assert_eq!(counted, voluntary + totals["involuntary_switches"].as_u64().unwrap());
        assert!(totals["on_cpu_ns"].as_u64().unwrap() > 0, "{program}: {document}");
        // The CPU time of watching depends on the other processes.
        let odd = |warning: &&Value| warning["code"] != "watching-cost";
        assert_eq!(document["warnings"].as_array().unwrap().iter().find(odd), None, "{program}: {document}");
    }
}

#[test]
fn what_was_seen_and_what_was_not_add_up_to_the_whole() {
    for options in ["", "--no-exit-records", "--per-thread"] {
        let document = stat(&format!("{options} -- switcher threads 200 20"));
        let of = |figures: &Value| {
            figures["voluntary_switches"].as_u64().unwrap_or(0) + figures["involuntary_switches"].as_u64().unwrap_or(0)
        };
        let threads: u64 = document["threads"].as_array().unwrap().iter().map(of).sum();
        assert_eq!(threads + of(&document["ended_threads"]), of(&document["totals"]), "{options}: {document}");
        let ended_unseen = of(&document["ended_threads"]);
        if options == "--no-exit-records" {
            // The number that a poll finds depends on their lifetime on this machine.
            assert!(ended_unseen > 0, "short threads are seen by no look: {document}");
        } else if can(Ability::Root) {
            assert!(ended_unseen < 100, "{options}: {document}");
        }
    }
}

#[test]
fn threads_of_one_name_are_told_together_or_each_by_itself() {
    needs!(Root);
    let together = stat("-- switcher threads 50 5");
    assert_eq!(together["threads"].as_array().unwrap().len(), 1, "{together}");
    assert_eq!(together["threads"][0]["threads"], 51);
    let each = stat("--per-thread -- switcher threads 50 5");
    let rows = each["threads"].as_array().unwrap();
    assert_eq!(rows.len(), 51);
    assert!(rows.iter().all(|row| row["tid"].is_i64() && row["threads"] == 1));
}

#[test]
fn children_whose_books_are_dropped_are_counted_or_said_to_be_missing() {
    for mode in ["ignore-sigchld", "nocldwait"] {
        let program = format!("-- switcher {mode} 100 20");
        let without = stat(&format!("--no-exit-records {program}"));
        if mode == "ignore-sigchld" {
            assert!(warned(&without, "children-dropped"), "{without}");
        }
        if can(Ability::Root) {
            let with = stat(&program);
            assert!(with["totals"]["switches"].as_u64().unwrap() >= 2000, "{mode}: {with}");
            assert!(!warned(&with, "children-dropped"), "{with}");
        }
    }
}

#[test]
fn the_program_has_its_streams_and_its_exit_code() {
    let mut cat = spawn("ctxprof stat --price none -- cat");
    cat.stdin.take().unwrap().write_all(b"through\n").unwrap();
    let done: Done = cat.wait_with_output().unwrap().into();
    assert_eq!(done.stdout, "through\n");
    assert!(done.stderr.starts_with("cat: exited with 0 after"), "{done:?}");
    let done = run("ctxprof stat --price none -- switcher exit 42").expect(42, &["exited with 42"]);
    assert_eq!(done.stdout, "");
}

#[test]
fn a_signal_that_ends_the_program_ends_ctxprof_after_the_report() {
    for signal in [Signal::SIGTERM, Signal::SIGKILL, Signal::SIGSEGV] {
        let output = command(&format!("ctxprof stat --price none -- switcher kill {signal}")).output().unwrap();
        assert_eq!(output.status.signal(), Some(signal as i32), "{output:?}");
        assert!(!output.status.core_dumped());
        assert!(String::from_utf8_lossy(&output.stderr).contains(&format!("was killed by {signal}")), "{output:?}");
    }
}

#[test]
fn what_cannot_be_started_has_the_shells_exit_codes_and_ctxprofs_own_failure_another() {
    run("ctxprof stat -- no-such-program").expect(127, &["no-such-program: no such program"]);
    run("ctxprof stat -- /etc/passwd").expect(126, &["/etc/passwd cannot be executed", "Permission denied"]);
    run("ctxprof stat -- /etc").expect(126, &["/etc cannot be executed"]);
    for (line, words) in [
        ("stat", "required"),
        ("stat --ops 0 -- true", "--ops"),
        ("stat --interval 1ns -- true", "10ms"),
        ("stat --interval soon -- true", "500ms or 2s"),
        ("stat -p 1 -- true", "cannot be used"),
        ("stat --for 1 -- true", "cannot be used"),
        ("stat --counters cpu -- true", "thread"),
        ("stat -p 0", "--pid"),
        ("stat -p 4194305", "no process 4194305"),
        ("stat -o /nonexistent/x.json -- true", "cannot write into /nonexistent"),
        ("stat --price /nonexistent.json -- true", "/nonexistent.json"),
        ("stat --price tests/golden/run-1.json -- true", "no price of thread-pipe or process-pipe"),
        ("stat --user=no-such-user -- true", "no-such-user"),
        ("stat -o /dev/full -- true", "suffix"),
    ] {
        run(&format!("ctxprof {line}")).expect(125, &[words]);
    }
}

#[test]
fn nothing_runs_if_the_report_could_not_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("it-ran");
    run(&format!("ctxprof stat -o /nonexistent/x.json -- touch {}", trace.display())).expect(125, &[]);
    assert!(!trace.exists());
}

#[test]
fn a_file_takes_the_report_and_leaves_stderr_to_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let (json, text) = (folder.path().join("a.json"), folder.path().join("a.txt"));
    let line = format!("ctxprof stat --price none -o {} -o {} -- switcher exit 3", json.display(), text.display());
    let done = run(&line).expect(3, &[]);
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("", ""));
    let document: Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!((&document["schema"], &document["ended"]["exited"]), (&"ctxprof.stat/1".into(), &3.into()));
    assert!(fs::read_to_string(text).unwrap().contains("exited with 3"));
}

#[test]
fn every_format_shows_the_total() {
    for (format, words) in [
        ("table", "total"),
        ("csv", "thread,threads,voluntary_switches"),
        ("markdown", "| total |"),
        ("openmetrics", "ctxprof_stat_voluntary_switches{command=\"stat\"}"),
        ("json", "\"schema\": \"ctxprof.stat/1\""),
    ] {
        run(&format!("ctxprof stat --price none --format {format} -- switcher sleeps 5")).expect(0, &[words]);
    }
}

#[test]
fn a_wish_to_stop_is_passed_on_and_the_report_is_printed_all_the_same() {
    for (signal, trap) in [(Signal::SIGINT, "INT"), (Signal::SIGTERM, "TERM"), (Signal::SIGHUP, "HUP")] {
        let mut stat = command("ctxprof stat --price none -- sh -c")
            .arg(format!("trap 'exit 5' {trap}; echo ready; while :; do sleep 0.05; done"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        stat.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
        kill(pid_of(&stat), signal).unwrap();
        let done: Done = stat.wait_with_output().unwrap().into();
        done.expect(5, &["exited with 5", "total"]);
    }
}

#[test]
fn when_ctxprof_is_killed_the_program_goes_on() {
    let mut stat = spawn("ctxprof stat --price none -- sleep 100");
    let program = child_of(pid_of(&stat), "sleep");
    stat.kill().unwrap();
    stat.wait().unwrap();
    // A signal that came with its end would already be there.
    sleep(Duration::from_millis(50));
    assert!(runs(program));
    kill(program, Signal::SIGKILL).unwrap();
}

#[test]
fn a_daemon_is_waited_for_or_left_running() {
    let waited = stat("-- switcher setsid 500");
    assert!(waited["totals"]["switches"].as_u64().unwrap() >= 500, "{waited}");
    let done = run("ctxprof stat --price none -- switcher setsid 3000").expect(0, &[]);
    assert!(!done.stderr.contains("still running"), "{done:?}");
}

#[test]
fn a_program_that_leaves_something_running_says_what_is_waited_for() {
    let mut stat = command("ctxprof stat --price none -- sh -c")
        .arg("sleep 100 2> /dev/null & exit 4")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let orphan = child_of(pid_of(&stat), "sleep");
    let mut stderr = BufReader::new(stat.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("waiting for what it left running") {
        assert_ne!(stderr.read_line(&mut said).unwrap(), 0, "{said}");
    }
    kill(pid_of(&stat), Signal::SIGINT).unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(stat.wait().unwrap().code(), Some(4));
    assert!(said.contains(&format!("waiting for what it left running: sleep ({orphan})")), "{said}");
    assert!(said.contains("still running at the end"), "{said}");
    assert!(runs(orphan));
    kill(orphan, Signal::SIGKILL).unwrap();
}

#[test]
fn what_is_to_be_left_running_is_not_waited_for() {
    // The shell must have become `sleep`.
    let script = "sleep 100 > /dev/null 2>&1 & echo $!; until [ \"$(cat /proc/$!/comm)\" = sleep ]; do :; done; exit 4";
    let left = command("ctxprof stat --price none --leave-running -- sh -c").arg(script).output().unwrap();
    let done = Done::from(left).expect(4, &["still running at the end, counted up to then: sleep"]);
    assert!(!done.stderr.contains("waiting for"), "{done:?}");
    let orphan = Pid::from_raw(done.stdout.trim().parse().unwrap());
    assert!(runs(orphan));
    kill(orphan, Signal::SIGKILL).unwrap();
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
    let watch = start(&format!("ctxprof stat --price none -p {}", program.pid()));
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

#[test]
fn the_command_runs_as_another_user_only_if_that_may_be() {
    needs!(Root);
    let output = command("ctxprof stat --price none --user=nobody -- sh -c").arg("id -un; echo $HOME; id -Gn").output();
    let done: Done = output.unwrap().into();
    assert!(done.stdout.starts_with("nobody\n") && !done.stdout.contains("root"), "{done:?}");
    let by_sudo = command("ctxprof stat --price none --user -- id -u").env("SUDO_UID", "65534").output().unwrap();
    assert_eq!(Done::from(by_sudo).stdout, "65534\n");
    let nobody_called = command("ctxprof stat --user -- id -u").env_remove("SUDO_UID").output().unwrap();
    Done::from(nobody_called).expect(125, &["SUDO_UID"]);
    Nobody::new().run("stat --user -- id -u").expect(125, &["--user takes root"]);
}

#[test]
fn operations_that_the_user_names_divide_everything() {
    let document = stat("--ops 500 -- switcher sleeps 500");
    let per_op = &document["per_op"];
    let switches = per_op["switches"].as_f64().unwrap();
    assert!((1.0..1.1).contains(&switches), "{per_op}");
    assert!(per_op["elapsed_ns"].as_f64().unwrap() > 1000.0, "{per_op}");
    run("ctxprof stat --price none --ops 500 -- switcher sleeps 500").expect(0, &["Per op, of 500:"]);
}

#[test]
fn every_interval_has_a_line_and_a_place_in_the_document() {
    let done = run("ctxprof stat --price none --interval 100ms -- switcher spin 1").expect(0, &["switches/s"]);
    let lines = done.stderr.lines().filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit()));
    assert!(lines.count() >= 3, "{done:?}");
    let document = stat("--interval 0.1 -- switcher spin 1");
    let intervals = document["intervals"].as_array().unwrap();
    let on_cpu: u64 = intervals.iter().map(|interval| interval["on_cpu_ns"].as_u64().unwrap()).sum();
    assert!(intervals.len() >= 3, "{document}");
    let total = document["totals"]["on_cpu_ns"].as_u64().unwrap();
    // All of it but the part after the last interval.
    assert!((total / 2..=total).contains(&on_cpu), "{document}");
}

#[test]
fn perfs_counters_on_the_threads_count_what_the_books_have() {
    needs!(Perf);
    let document = stat("--counters thread -- switcher sleeps 500");
    let counters = document["counting"]["counters"].as_array().unwrap();
    let switches = counters.iter().find(|counter| counter["name"] == "context-switches").unwrap();
    let (perf, books) = (switches["total"].as_f64().unwrap(), document["totals"]["switches"].as_f64().unwrap());
    // Perf counts from the program's first instruction on; it may have been preempted before.
    assert!(500.0 <= perf && perf <= books, "{document}");
    let program = Program::start("switcher sleeps 1000000");
    let document = stat(&format!("--counters thread -p {} --for 0.3", program.pid()));
    let perf = document["counting"]["counters"][0]["total"].as_f64().unwrap();
    assert!(perf > 100.0, "{document}");
}

#[test]
fn perf_refused_is_an_error_before_anything_runs_if_it_was_asked_for() {
    needs!(Strace);
    let inject =
        "strace -f --seccomp-bpf -qq -o /dev/null -e trace=perf_event_open -e inject=perf_event_open:error=EACCES";
    let done = run(&format!("{inject} ctxprof stat --counters thread -- echo it ran"));
    let done = done.expect(125, &["--counters thread is refused", "EACCES"]);
    assert_eq!(done.stdout, "");
    run(&format!("{inject} ctxprof stat --price none -- switcher sleeps 5")).expect(0, &["total"]);
}

#[test]
fn exit_records_that_fail_on_the_way_are_done_without() {
    needs!(Strace, Root);
    // The first few are taken when the listening begins.
    let inject = "strace -f --seccomp-bpf -qq -o /dev/null -e trace=recvmsg -e inject=recvmsg:error=ENOMEM:when=4+";
    let done = run(&format!("{inject} ctxprof stat {JSON} -- switcher threads 50 5")).expect(0, &[]);
    let seen = document(&done);
    assert_eq!(seen["watching"]["exit_records"], false, "{seen}");
    assert!(seen["watching"]["no_exit_records"].as_str().unwrap().contains("ENOMEM"), "{seen}");
    assert!(seen["totals"]["switches"].as_u64().unwrap() >= 250, "{seen}");
}

#[test]
fn a_program_that_stops_itself_or_has_no_stdin_is_waited_for() {
    run("ctxprof stat --price none -- switcher stop").expect(0, &["total"]);
}

#[test]
fn many_threads_and_children_take_little_memory() {
    const MOST_KB: u64 = 30 * 1024;
    for program in ["threads 10000 2", "children 1000 2", "ignore-sigchld 1000 2", "unreaped 1000 2"] {
        let mut stat = spawn(&format!("ctxprof stat {JSON} -- {} {program}", switcher().display()));
        let status = format!("/proc/{}/status", stat.id());
        let mut peak_kb = 0;
        while stat.try_wait().unwrap().is_none() {
            let text = fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kb = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
            peak_kb = peak_kb.max(kb.unwrap_or(0));
            sleep(Duration::from_millis(2));
        }
        assert!(peak_kb > 1000 && peak_kb < MOST_KB, "{program}: {peak_kb} kB");
    }
}

#[test]
fn a_closed_stderr_loses_the_report_and_nothing_else() {
    let output = command("sh -c")
        .arg("\"$0\" stat --price none -- \"$1\" exit 6 2>&-; echo $?")
        .arg(CTXPROF)
        .arg(switcher())
        .output();
    assert_eq!(Done::from(output.unwrap()).stdout, "6\n");
}

/// One at a time: other tests must not disturb these figures.
mod measuring {
    use super::*;

    #[test]
    fn the_bill_is_made_with_a_named_runs_prices_or_with_calibrated_ones() {
        let folder = tempfile::tempdir().unwrap();
        let prices = folder.path().join("prices.json");
        let prices = prices.display();
        run(&format!("ctxprof run thread-pipe thread-yield --time 0.1 --incarnations 6 --no-save --quiet -o {prices}"))
            .expect(0, &[]);
        let named = run(&format!("ctxprof stat --quiet --format json --price {prices} -- switcher --pin 0 pipe 5000"));
        let named = document(&named.expect(0, &[]));
        let line = &named["bill"]["lines"][0];
        assert_eq!((&line["sort"], &line["same"]["workload"]), (&"within".into(), &"thread-pipe".into()), "{named}");
        assert!(line["same"]["source"]["saved"]["file"].as_str().unwrap().ends_with("prices.json"), "{named}");
        assert_eq!((&named["only_cpu"], &line["across"]), (&0.into(), &Value::Null), "it ran on one CPU: {named}");
        // Each end is a cost times a count, more than all of its CPU time even where this machine was slower before.
        let figure = |part: &Value, end: &str| part[end].as_f64().unwrap();
        let totals = &named["totals"];
        let (voluntary, involuntary) = (figure(totals, "voluntary_switches"), figure(totals, "involuntary_switches"));
        assert!(voluntary > 0.0, "{named}");
        let [waking, giving_way] = ["same", "yield"].map(|sort| &line[sort]["cpu_ns"]);
        assert_eq!(line["yield"]["workload"], "thread-yield", "{named}");
        // A cost from a core that was slow all the time has no lower end.
        let low = waking["low"].as_f64().map(|low| low.max(0.0));
        let least = low.zip(giving_way["low"].as_f64());
        let least = least.map(|(low, giving_way)| voluntary * low + involuntary * giving_way.max(0.0).min(low));
        let most = (voluntary + involuntary) * figure(waking, "high");
        let billed = least.map(|least| ("low", least)).into_iter().chain([("high", most)]);
        for (end, billed_ns) in billed {
            let bill = &named["bill"];
            assert!((figure(&bill["cpu_ns"], end) / billed_ns - 1.0).abs() < 1e-6, "{end} of {billed_ns}: {named}");
            let share = billed_ns / figure(totals, "on_cpu_ns");
            assert!((figure(&bill["share_of_cpu"], end) / share - 1.0).abs() < 1e-6, "{end} of {share}: {named}");
        }
        let calibrated = run("ctxprof stat --quiet --format json --price calibrate -- switcher --pin 0 processes 5000");
        let calibrated = document(&calibrated.expect(0, &[]));
        let line = &calibrated["bill"]["lines"][0];
        assert_eq!((&line["sort"], &line["same"]["source"]), (&"between".into(), &"calibrated".into()), "{calibrated}");
        run("ctxprof stat --price none -- switcher sleeps 5").expect(0, &["No bill", "ctxprof run thread-pipe"]);
    }
}
