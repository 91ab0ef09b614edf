//! `ctxprof memory`: memory per participant, limits that are too small, and unplanned ends.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::isolation::{Cgroup, Nobody, without_go};
use crate::machine::{Ability, can, needs};
use crate::support::{
    CTXPROF, Done, children_of, command, command_line_of, finish, in_every_format, pid_of, run, signal, start,
    wait_until,
};

/// A measurement short enough for a test.
const TINY: &str = "--max 200 --repetitions 2 --quiet";

fn row<'v>(document: &'v Value, kind: &str) -> &'v Value {
    let rows = document["rows"].as_array().unwrap();
    rows.iter().find(|row| row["kind"] == kind).unwrap_or_else(|| panic!("no {kind} in {document}"))
}

/// Returns the processes of this machine whose command line has these words.
fn running(words: &str) -> Vec<i32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_it = |pid: &i32| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.replace('\0', " ").contains(words)
    };
    pids.filter(is_it).collect()
}

/// Asserts that soon no process holds participants any more.
#[track_caller]
fn nobody_holds(kind: &str) {
    let words = format!(" hold {kind} ");
    wait_until(&format!("the end of everyone with{words}in its command line"), || running(&words).is_empty());
}

/// Waits until so many processes of a measurement have held participants, one after another.
#[track_caller]
fn wait_until_held(measurement: &Child, kind: &str, times: usize) {
    let words = format!(" hold {kind} ");
    let mut holders = BTreeSet::new();
    wait_until("participants are held", || {
        let children = children_of(pid_of(measurement)).into_iter();
        holders.extend(children.filter(|&child| command_line_of(child).contains(&words)));
        holders.len() >= times
    });
}

#[test]
fn every_format_is_written_and_a_saved_document_shows_the_same_again() {
    let words = [
        ("csv", "kind,counts,user_bytes,user_bytes_low"),
        ("md", "| coroutine |"),
        ("txt", "huge pages"),
        ("prom", "ctxprof_memory_user_bytes{kind=\"task\"}"),
    ];
    let (table, _folder, document) =
        in_every_format("ctxprof memory task coroutine --max 20000 --repetitions 2 --quiet", words);
    // The number that fits into a gigabyte is not reported where other programs meanwhile free more than these take.
    assert!(table.contains("\ntask ") && table.contains("\ncoroutine "), "{table}");
    let wide = run(&format!("ctxprof report {document} --wide")).expect(0, &[]).stdout;
    assert!(wide.contains("slab") && wide.contains("disturbed"), "{wide}");
}

#[test]
fn words_that_mean_nothing_are_wrong_usage() {
    run("ctxprof memory thraed").expect(2, &["thread", "goroutine"]);
    run("ctxprof memory call").expect(2, &["thread"]);
    run("ctxprof memory --max 0").expect(2, &["--max"]);
    run("ctxprof memory --stack-use 1MiB").expect(2, &["768 KiB"]);
    run("ctxprof memory --stack-use many").expect(2, &["not a size"]);
    run("ctxprof memory --future-size 100").expect(2, &["4096"]);
    let help = run("ctxprof memory --help").expect(0, &[]).stdout;
    assert!(help.contains("Examples:") && help.contains("--future-size"), "{help}");
    assert!(!run("ctxprof --help").expect(0, &[]).stdout.contains("hold"), "what is not for people is not shown");
}

#[test]
fn a_missing_go_is_told_with_what_would_help_and_the_rest_is_measured() {
    needs!(Root);
    let arguments = "memory task goroutine --max 1000 --repetitions 2 -q".split(' ');
    let done = Done::from(without_go(CTXPROF.path()).args(arguments).output().unwrap()).expect(0, &[]);
    assert!(done.stdout.contains("Not measured: goroutine: no go") && done.stdout.contains("task"), "{done:?}");
}

#[test]
fn processes_are_measured_with_and_without_address_randomization() {
    let document = run("ctxprof memory process task --max 200 --repetitions 3 -q --format json").expect(0, &[]).json();
    assert!(row(&document, "process")["randomized_resident_bytes"]["median"].is_f64(), "{document}");
    // A process's page tables are its own, whatever others do meanwhile.
    let page_tables = |series: &str| {
        let repetitions = document["seen"][0][series].as_array().unwrap();
        let last = repetitions.iter().map(|each| each["points"].as_array().unwrap().last().unwrap());
        last.map(|point| point["parked"]["family"]["page_table_bytes"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let (fixed, randomized) = (page_tables("repetitions"), page_tables("randomized"));
    assert_eq!((fixed.len(), randomized.len()), (3, 3));
    // The process's own allocations may add one meanwhile.
    assert!(fixed.iter().min() <= randomized.iter().min(), "{randomized:?} are fewer than {fixed:?}");
    assert!(row(&document, "task")["randomized_resident_bytes"].is_null());
    let told = |line: &str| run(line).expect(0, &[]).stdout.contains("no address randomization");
    assert!(told("ctxprof memory process --max 64 --repetitions 1 -q"));
    let setarch = Command::new("setarch")
        .arg("-R")
        .arg(CTXPROF.path())
        .args("memory process --max 64 --repetitions 1 -q".split(' '))
        .output()
        .unwrap();
    let fixed = Done::from(setarch).expect(0, &[]);
    assert!(
        !fixed.stdout.contains("no address randomization"),
        "where addresses are fixed anyway there is one cost: {fixed:?}"
    );
}

#[test]
fn nproc_too_small_is_named_and_what_there_could_be_is_shown() {
    needs!(Root);
    let nobody = Nobody::new();
    let wrapped = |limit: u32, line: &str| nobody.run_under(&format!("prlimit --nproc={limit}"), line);
    let done = wrapped(60, "memory thread process task --repetitions 2 --format json -q").expect(0, &[]);
    let document = done.json();
    for kind in ["thread", "process"] {
        let row = row(&document, kind);
        let stopped = &row["stopped"];
        assert_eq!(stopped["limit"], "RLIMIT_NPROC (ulimit -u)", "{stopped}");
        assert_eq!(stopped["value"], 60);
        let reached = stopped["reached"].as_u64().unwrap();
        assert!((20..60).contains(&reached), "{stopped}");
        assert_eq!(row["counts"].as_array().unwrap().last().unwrap().as_u64(), Some(reached));
        assert!(row["resident_bytes"]["median"].is_f64(), "{row}");
    }
    assert!(row(&document, "task")["stopped"].is_null());
    let warning = document["warnings"].as_array().unwrap().iter().find(|warning| warning["code"] == "limited").unwrap();
    assert!(warning["message"].as_str().unwrap().contains("to raise it"), "{warning}");
    // Not even one: no result to show.
    wrapped(2, "memory thread -q").expect(1, &["RLIMIT_NPROC", "is 2"]);
}

#[test]
fn pids_max_too_small_is_named_with_the_file_to_write() {
    needs!(CgroupPids);
    let group = Cgroup::new("pids");
    assert!(group.set("pids.max", 40));
    let done = group.run("memory thread process --repetitions 2 -q --format json").expect(0, &[]);
    let document = done.json();
    for kind in ["thread", "process"] {
        let stopped = &row(&document, kind)["stopped"];
        assert_eq!((&stopped["limit"], &stopped["value"]), (&"the cgroup's pids.max".into(), &40.into()));
        assert!(stopped["remedy"].as_str().unwrap().contains("pids.max"), "{stopped}");
        assert!(row(&document, kind)["counts"].as_array().unwrap().len() > 1, "{document}");
    }
}

#[test]
fn a_cgroups_memory_too_small_is_named_and_nobody_is_killed() {
    needs!(CgroupMemory);
    let group = Cgroup::new("memory");
    assert!(group.set("memory.limit_in_bytes", 64 << 20) || group.set("memory.max", 64 << 20));
    let done = group.run("memory task --max 5000000 --repetitions 2 -q --format json").expect(0, &[]);
    let stopped = row(&done.json(), "task")["stopped"].clone();
    assert!(stopped["limit"].as_str().unwrap().starts_with("the cgroup's memory."), "{stopped}");
    let reached = stopped["reached"].as_u64().unwrap();
    // The rest of the 64 MiB depends on this program's other memory in the cgroup.
    assert!((5_000..200_000).contains(&reached), "{stopped}");
}

#[test]
fn too_many_mappings_stop_it_before_the_kernel_does() {
    needs!(MappingLimit);
    let done = run("ctxprof memory coroutine --max 1000000 --repetitions 1 -q --format json").expect(0, &[]);
    let stopped = row(&done.json(), "coroutine")["stopped"].clone();
    assert_eq!(stopped["limit"], "vm.max_map_count", "{stopped}");
    assert!(stopped["remedy"].as_str().unwrap().starts_with("sysctl -w vm.max_map_count="), "{stopped}");
}

#[test]
fn a_refusal_that_nobody_foresaw_is_told_and_what_there_was_is_shown() {
    needs!(Strace);
    // The 40th thread of each process that holds some.
    let refuse = "strace -f --seccomp-bpf -qq -o /dev/null -e trace=clone3 -e inject=clone3:error=EAGAIN:when=40+";
    let done = run(&format!("{refuse} ctxprof memory thread --max 200 --repetitions 2 -q --format json"));
    let document = done.expect(0, &[]).json();
    let thread = row(&document, "thread");
    assert_eq!((&thread["stopped"]["limit"], &thread["stopped"]["reached"]), (&"EAGAIN".into(), &39.into()));
    assert_eq!(thread["counts"].as_array().unwrap().last().unwrap(), 39);
}

mod measuring {
    use super::*;

    #[test]
    fn every_kind_has_its_bytes_and_times_and_leaves_nothing_behind() {
        let done = run(&format!("ctxprof memory --format json {TINY}")).expect(0, &[]);
        let document = done.json();
        assert_eq!((&document["schema"], &document["ending"]), (&"ctxprof.memory/2".into(), &"complete".into()));
        for kind in ["thread", "process", "task", "coroutine", "goroutine"] {
            if kind == "goroutine" && !can(Ability::Go) {
                assert_eq!(document["left_out"][0]["kind"], "goroutine");
                continue;
            }
            let row = row(&document, kind);
            for figure in
                ["user_bytes", "kernel_bytes", "resident_bytes", "virtual_bytes", "spawn_ns", "first_run_ns", "join_ns"]
            {
                assert!(row[figure]["median"].is_f64(), "{kind}, {figure}: {row}");
            }
            assert_eq!(row["counts"].as_array().unwrap().len(), 4, "{row}");
            let spawn = row["spawn_ns"]["median"].as_f64().unwrap();
            assert!(spawn > 0.0 && row["first_run_ns"]["median"].as_f64().unwrap() >= spawn, "{row}");
            assert_eq!(row["own_bytes"].is_object(), kind == "goroutine", "{row}");
            nobody_holds(kind);
        }
        // Every thread has a kernel stack of 16 KiB on x86 and arm64, and 2 MiB of address space by std's default.
        let thread = row(&document, "thread");
        assert!((2.0e6..2.3e6).contains(&thread["virtual_bytes"]["median"].as_f64().unwrap()), "{thread}");
        assert!(thread["kernel_bytes"]["median"].as_f64().unwrap() > 8192.0, "{thread}");
    }

    #[test]
    fn what_is_touched_or_held_is_in_the_cost() {
        let cost = |line: &str, kind: &str| {
            let document =
                run(&format!("ctxprof memory --format json --repetitions 2 -q {line}")).expect(0, &[]).json();
            row(&document, kind)["user_bytes"]["median"].as_f64().unwrap()
        };
        for kind in ["thread", "process", "coroutine", "goroutine"] {
            if kind == "goroutine" && !can(Ability::Go) {
                continue;
            }
            let idle = cost(&format!("{kind} --max 100"), kind);
            let touched = cost(&format!("{kind} --max 100 --stack-use 64KiB"), kind);
            assert!((60_000.0..150_000.0).contains(&(touched - idle)), "{kind}: {idle}, {touched}");
        }
        let (idle, holding) = (cost("task --max 20000", "task"), cost("task --max 20000 --future-size 4KiB", "task"));
        assert!((3900.0..4400.0).contains(&(holding - idle)), "{idle}, {holding}");
    }

    #[test]
    fn an_interrupted_measurement_prints_what_there_is_and_leaves_nothing_behind() {
        for (sent, code, kind) in [(Signal::SIGINT, 130, "process"), (Signal::SIGTERM, 143, "thread")] {
            let run = start(&format!("ctxprof memory {kind} --max 300 --repetitions 1000 -q"));
            wait_until_held(&run, kind, 5);
            signal(&run, sent);
            let done = finish(run).expect(code, &[]);
            assert!(done.stdout.contains("partial: interrupted") && done.stdout.contains(kind), "{done:?}");
            nobody_holds(kind);
        }
    }

    #[test]
    fn a_measurement_that_is_interrupted_before_anything_was_counted_has_not_failed() {
        let run = start("ctxprof memory --repetitions 1000 -q");
        // A trial of all kinds precedes the count.
        wait_until("the first holder", || !children_of(pid_of(&run)).is_empty());
        signal(&run, Signal::SIGINT);
        finish(run).expect(130, &[]);
    }

    #[test]
    fn a_measurement_that_is_killed_leaves_no_participant_behind() {
        let mut run =
            command("ctxprof memory process --max 300 --repetitions 1000 -q").stdout(Stdio::null()).spawn().unwrap();
        wait_until_held(&run, "process", 1);
        run.kill().unwrap();
        run.wait().unwrap();
        nobody_holds("process");
    }
}
