//! Sweeps: rows that double, a plot, knees, and reasons to stop.

use std::collections::BTreeSet;
use std::fs;
use std::process::Child;

use nix::sys::signal::Signal;
use nix::unistd::geteuid;
use serde_json::Value;

use crate::isolation::{Cgroup, Nobody};
use crate::machine::{Ability, MOUNT_TRACEFS, can, needs};
use crate::support::{
    Done, children_of, command, finish, in_every_format, pid_of, run, signal, start, wait_until, waits_of,
};

/// Options of a sweep short enough for a test.
const TINY: &str = "--time 0.1 --repetitions 6 -q";

/// Returns the rows of a document: workload, ring size, working set.
fn rows(document: &Value) -> Vec<(String, u64, u64)> {
    let row = |row: &Value| {
        let ring = &row["ring"];
        let number = |name: &str| ring[name].as_u64().unwrap();
        (row["workload"].as_str().unwrap().to_string(), number("participants"), number("working_set_bytes"))
    };
    document["results"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn every_format_is_written_and_a_saved_sweep_shows_the_same_again() {
    let words = [
        ("csv", "workload,working_set_bytes,ns_per_switch,ns_per_switch_low"),
        ("md", "```text\nnet ns per switch over"),
        ("txt", "* thread-pipe"),
        ("prom", "participants=\"2\",working_set_bytes=\"4096\""),
    ];
    let (table, _folder, document) =
        in_every_format(&format!("ctxprof sweep working-set 0..16K thread-pipe {TINY}"), words);
    assert!(table.contains("net ns per switch over the working set of each of 2 participants"), "{table}");
    let wide = run(&format!("ctxprof report {document} --wide --format csv")).expect(0, &[]).stdout;
    assert!(wide.starts_with("workload,participants,working_set_bytes,") && wide.contains("ops_per_second"), "{wide}");
    run(&format!("ctxprof diff {document} {document}")).expect(1, &["is no run"]);
}

#[test]
fn nothing_is_kept_and_what_is_named_like_no_ring_is_refused() {
    if can(Ability::Root) {
        let nobody = Nobody::new();
        nobody.run(&format!("sweep ring 2..4 thread-pipe {TINY}")).expect(0, &[]);
        assert!(!nobody.folder.path().join("ctxprof").exists(), "a sweep is not what `diff` compares");
    }
    run("ctxprof sweep ring 8..2").expect(2, &["2..8"]);
    run("ctxprof sweep ring 1..8").expect(2, &["2 participants or more"]);
    run("ctxprof sweep working-set 0..x").expect(2, &["not a size"]);
    run("ctxprof sweep ring 2..8 thread-condvar").expect(2, &["thread-condvar cannot be a ring", "thread-pipe"]);
    let help = run("ctxprof sweep --help").expect(0, &[]).stdout;
    assert!(help.contains("Examples:") && help.contains("Time for each row"), "{help}");
    assert!(run("ctxprof --help").expect(0, &[]).stdout.contains("sweep"));
}

#[test]
fn a_narrow_terminal_has_a_smaller_picture_and_one_without_unicode_ascii() {
    let folder = tempfile::tempdir().unwrap();
    let document = folder.path().join("a.json").display().to_string();
    let on_terminal = |columns: u32, language: &str, arguments: &str| {
        let line = format!(
            "stty cols {columns} rows 50; NO_COLOR=1 LANG={language} TERM=xterm {} {arguments}",
            crate::support::CTXPROF
        );
        let output = command("script -qec").arg(line).arg("/dev/null").output().unwrap();
        String::from_utf8(output.stdout).unwrap().replace('\r', "")
    };
    let sweep = format!("sweep ring 2..32 thread-pipe process-pipe --no-progress {TINY} -o {document}");
    let report = format!("report {document}");
    for (columns, language, arguments) in [(60, "C.UTF-8", &sweep), (80, "C.UTF-8", &report), (60, "C", &report)] {
        let text = on_terminal(columns, language, arguments);
        assert!(text.lines().all(|line| line.chars().count() <= columns as usize), "{columns}: {text}");
        assert!(text.contains("* thread-pipe") && text.contains("o process-pipe"), "{text}");
        let axis = text.lines().find(|line| line.trim_start().starts_with("+---")).unwrap();
        assert!(axis.len() > columns as usize - 12, "{text}");
        assert!(text.contains("net ns") && text.contains("participants"), "{text}");
        assert_eq!(text.is_ascii(), language == "C", "{text}");
    }
}

#[test]
fn an_interrupted_sweep_keeps_its_rows_and_leaves_nothing_running() {
    for (sent, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let line = format!(
            "ctxprof sweep ring 2..16 process-pipe thread-pipe --time 30 --repetitions 400 -q -o {}",
            path.display()
        );
        let sweep = start(&line);
        // A third ring of 16 processes: each row has had its turn before the second.
        wait_until_rings(&sweep, 16, 3);
        signal(&sweep, sent);
        let pid = sweep.id();
        let done = finish(sweep).expect(code, &[]);
        assert!(done.stdout.contains("partial: interrupted"), "{done:?}");
        let document: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(rows(&document).len(), 8, "{document}");
        for row in document["results"].as_array().unwrap() {
            assert!(row["ns_per_op"]["median"].is_f64(), "{row}");
            assert!((1..400).contains(&row["repetitions"].as_u64().unwrap()), "{row}");
        }
        assert!(!is_alive_in_group(pid), "participants were left behind");
    }
}

/// Waits until so many rings of this many processes have begun, this one among them.
#[track_caller]
fn wait_until_rings(sweep: &Child, participants: usize, times: usize) {
    let mut firsts = BTreeSet::new();
    wait_until("rings of processes", || {
        let members = children_of(pid_of(sweep));
        firsts.extend(members.first().copied().filter(|_| members.len() + 1 == participants));
        firsts.len() >= times
    });
}

/// Returns true if any living process has this parent.
fn is_alive_in_group(parent: u32) -> bool {
    let adopted = |status: String| status.lines().any(|line| line == format!("PPid:\t{parent}"));
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes.filter_map(|entry| fs::read_to_string(entry.path().join("status")).ok()).any(adopted)
}

#[test]
fn a_sweep_interrupted_in_its_first_round_keeps_the_rows_it_has() {
    let sweep = start("ctxprof sweep ring 2..512 process-pipe --time 120 --repetitions 6 -q --format json");
    // Whichever step comes first, and is far from its end.
    wait_until("a token that goes round", || {
        children_of(pid_of(&sweep)).first().is_some_and(|&pid| waits_of(pid) > 100)
    });
    signal(&sweep, Signal::SIGINT);
    let document = finish(sweep).expect(130, &[]).json();
    let participants: Vec<u64> = rows(&document).into_iter().map(|(_, participants, _)| participants).collect();
    assert!(participants.len() == 1 && (2..=512).contains(&participants[0]), "{participants:?}");
}

#[test]
fn a_step_above_a_limit_is_left_out_with_the_limit_and_how_to_raise_it() {
    needs!(Root);
    let nobody = Nobody::new();
    let line = format!("sweep ring 2..1024 thread-pipe {TINY}");
    let done = nobody.run_under("prlimit --nproc=60", &format!("{line} --format json")).expect(0, &[]);
    let document = done.json();
    let participants: Vec<u64> = rows(&document).into_iter().map(|(_, participants, _)| participants).collect();
    assert!(participants.starts_with(&[2, 4, 8, 16]) && !participants.contains(&64), "{participants:?}");
    let left_out = document["left_out"].as_array().unwrap();
    assert_eq!(left_out.len() + participants.len(), 10, "{left_out:?}");
    let reason = left_out[0]["reason"].as_str().unwrap();
    assert!(reason.contains("RLIMIT_NPROC (ulimit -u) is 60"), "{reason}");
    let text = nobody.run_under("prlimit --nproc=60", &line).expect(0, &[]).stdout;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("and on to 1024: ") && text.contains("RLIMIT_NPROC"), "{text}");
    // Nothing can be measured at all.
    let line = format!("sweep ring 256..1024 thread-pipe {TINY}");
    nobody.run_under("prlimit --nproc=60", &line).expect(1, &["nothing of this can be measured", "RLIMIT_NPROC"]);
}

#[test]
fn a_working_set_larger_than_memory_is_left_out_and_the_smaller_ones_are_measured() {
    needs!(CgroupMemory);
    let group = Cgroup::new("memory");
    assert!(group.set("memory.limit_in_bytes", 64 << 20) || group.set("memory.max", 64 << 20));
    let done = group.run(&format!("sweep working-set 1M..64M thread-pipe {TINY} --format json"));
    let document = done.expect(0, &[]).json();
    let sizes: Vec<u64> = rows(&document).into_iter().map(|(_, _, size)| size >> 20).collect();
    assert_eq!(sizes, [1, 2, 4, 8, 16], "{document}");
    let reason = document["left_out"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("there is no room for two: "), "{reason}");
    assert!(reason.contains("the cgroup's memory."), "{reason}");
    assert_eq!(document["left_out"].as_array().unwrap().len(), 2);
    group
        .run(&format!("sweep working-set 64M..64M thread-pipe {TINY}"))
        .expect(1, &["nothing of this can be measured"]);
}

#[test]
fn a_refusal_that_nobody_foresaw_leaves_the_step_out_and_the_others_in() {
    needs!(Strace);
    // The 30th thread of this process and all after it: with this seed small rings come first.
    let refuse = "strace -f --seccomp-bpf -qq -o /dev/null -e trace=clone3 -e inject=clone3:error=EAGAIN:when=30+";
    // Where tracefs is mounted there is a pass after that which can start no thread any more.
    let sweep = format!(
        "{refuse} {} sweep ring 2..64 thread-pipe --seed 3 --repetitions 1 --time 0.02 -q --format json",
        crate::support::CTXPROF
    );
    let shell = if geteuid().is_root() { "unshare --mount sh -c" } else { "sh -c" };
    let done = Done::from(command(shell).arg(format!("{MOUNT_TRACEFS} || true; exec {sweep}")).output().unwrap());
    let document = done.expect(0, &[]).json();
    let participants: Vec<u64> = rows(&document).into_iter().map(|(_, participants, _)| participants).collect();
    let left_out = document["left_out"].as_array().unwrap();
    assert!(participants.len() > 1 && left_out.len() > 1 && participants.len() + left_out.len() == 6, "{document}");
    assert!(left_out[0]["reason"].as_str().unwrap().contains("os error 11"), "{left_out:?}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let line =
        format!("{{ {} sweep ring 2..4 thread-pipe {TINY}; echo code $? >&2; }} | head -n 1", crate::support::CTXPROF);
    let done: Done = command("sh -c").arg(line).output().unwrap().into();
    assert_eq!(done.expect(0, &["code 0"]).stdout.lines().count(), 1);
}

mod measuring {
    use super::*;

    #[test]
    fn each_step_is_a_row_with_a_cost_and_counted_switches() {
        let done = run(&format!("ctxprof sweep ring 2..12 thread-pipe process-pipe --format json {TINY}"));
        let document = done.expect(0, &[]).json();
        assert_eq!((&document["schema"], &document["ending"]), (&"ctxprof.sweep/2".into(), &"complete".into()));
        assert_eq!(document["settings"]["steps"], serde_json::json!([2, 4, 8, 12]));
        let expected: Vec<(String, u64, u64)> = ["thread-pipe", "process-pipe"]
            .into_iter()
            .flat_map(|workload| [2, 4, 8, 12].map(|participants| (workload.to_string(), participants, 0)))
            .collect();
        assert_eq!(rows(&document), expected);
        for row in document["results"].as_array().unwrap() {
            assert!(row["ns_per_switch"]["median"].as_f64().unwrap() > 0.0, "{row}");
            // A hop is one switch, and some are preemptions. Where all samples are disturbed, none are counted.
            let switches = row["switches_per_op"].as_f64();
            assert!(switches.is_none_or(|switches| (0.9..2.2).contains(&switches)), "{row}");
            assert!((1..=6).contains(&row["repetitions"].as_u64().unwrap()), "{row}");
        }
        assert!(document["knees"].is_array() && document["counting"]["mode"].is_string());
    }

    #[test]
    fn a_sweep_of_working_sets_begins_with_none_and_costs_more_at_its_end() {
        let document = run(&format!("ctxprof sweep working-set 0..512K thread-pipe --ring 4 --format json {TINY}"))
            .expect(0, &[])
            .json();
        let sizes: Vec<u64> =
            rows(&document).into_iter().map(|(_, participants, size)| (assert_eq!(participants, 4), size).1).collect();
        assert_eq!(sizes, [0, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10]);
        let cost = |at: usize| document["results"][at]["ns_per_op"]["median"].as_f64().unwrap();
        // 8192 lines from wherever they are, instead of none.
        assert!(cost(8) > 2.0 * cost(0), "{} {}", cost(0), cost(8));
    }
}
