use std::fs;
use std::os::unix::fs::symlink;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::bench::document::history::file::{MOST_LINES, parse, shortened};
use crate::bench::document::history::*;

/// The golden run on a known machine, started at this time, changed.
fn run(started_at: &str, change: impl FnOnce(&mut Value)) -> RunDocument {
    let mut document: Value = serde_json::from_str(include_str!("../../../../tests/golden/run-2.json")).unwrap();
    document["started_at"] = json!(started_at);
    document["host"]["processor"] = json!({"family": 25, "model": 1, "stepping": 1, "tsc_khz": 2_595_124.3});
    document["host"]["boot"] = json!("1f2e3d4c");
    document["reference_loop_ns"] = json!(1683.0);
    document["results"][0]["ns_per_op"] = json!({"median": 5000.0, "low": 4990.0, "high": 5010.0});
    change(&mut document);
    serde_json::from_value(document).unwrap()
}

/// Multiplies the time of its first row.
fn higher(document: &mut Value, factor: f64) {
    for end in ["median", "low", "high"] {
        let cost = &mut document["results"][0]["ns_per_op"][end];
        *cost = json!(cost.as_f64().unwrap() * factor);
    }
}

fn at_minute(minute: u32) -> String {
    format!("2026-11-28T{:02}:{:02}:00Z", minute / 60, minute % 60)
}

/// Returns the prediction by a history of these for the first row of a run in the 50th minute.
#[track_caller]
fn told_by(kept: &[RunDocument]) -> Reproducibility {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(NAME);
    kept.iter().for_each(|run| remember(run, &path, false).unwrap());
    let mut run = run(&at_minute(50), |_| {});
    apply(&mut run, &path);
    assert!(run.warnings.iter().all(|warning| !warning.code.starts_with("history")), "{:?}", run.warnings);
    run.body.results[0].reproducibility.unwrap()
}

#[test]
fn a_line_is_read_as_it_was_written_and_names_no_host() {
    let lines = line::of_run(&run("2026-11-28T03:00:00Z", |_| {}));
    assert_eq!(lines.len(), 3);
    let text = lines[0].to_string();
    assert!(text.starts_with("2026-11-28T03:00:00Z 1f2e3d4c 25/1/1@2595124 thread-pipe/same "), "{text}");
    assert!(text.ends_with(" 1683"), "{text}");
    // ±0.2 % of ten repetitions: 0.184 · ln(1.002 / 0.998).
    assert!((lines[0].u - 0.184 * (1.002_f64 / 0.998).ln()).abs() < 1e-9, "{}", lines[0].u);
    for line in &lines {
        assert_eq!(line.to_string().parse(), Ok(line.clone()));
    }
    assert_eq!(format!("{text} 3 and what a later version adds").parse::<Line>().unwrap().runs, 3);
}

#[test]
fn nothing_kept_is_what_is_assumed_and_kept_runs_are_known_by() {
    let alone = told_by(&[]);
    assert!(alone.assumed && (alone.runs, alone.sessions) == (0, 0));
    assert!((alone.run_sd - 0.005).abs() < 1e-9 && (alone.day_sd - 0.01).abs() < 1e-9, "{alone:?}");
    let alike: Vec<RunDocument> = (38..50).map(|minute| run(&at_minute(minute), |_| {})).collect();
    let known = told_by(&alike);
    assert!(!known.assumed && (known.runs, known.sessions) == (12, 1));
    // Thirteen runs without any spread: σ² = 3 · 0.25 / (3 + 12/2).
    assert!((known.run_sd - 0.005 * (3.0_f64 / 9.0).sqrt()).abs() < 1e-6, "{known:?}");
    assert!(known.session < alone.session);
}

#[test]
fn another_boot_or_an_hour_begins_a_session_and_another_kernel_is_no_spread() {
    let earlier = |started_at: &str| run(started_at, |document| higher(document, 1.0));
    let of = |kept: &[RunDocument]| told_by(kept).sessions;
    assert_eq!(of(&[earlier("2026-11-28T00:10:00Z"), earlier("2026-11-28T00:20:00Z")]), 1);
    assert_eq!(of(&[earlier("2026-11-27T22:10:00Z"), earlier("2026-11-28T00:20:00Z")]), 2);
    let rebooted = run("2026-11-28T00:10:00Z", |document| document["host"]["boot"] = json!("00000000"));
    assert_eq!(of(&[rebooted, earlier("2026-11-28T00:20:00Z")]), 2);
    let days = |kernel: &str| {
        let day = |day: u32, factor| {
            run(&format!("2026-11-{day}T00:00:00Z"), |document| {
                higher(document, factor);
                document["host"]["kernel"] = json!(if factor == 1.0 { "" } else { kernel });
            })
        };
        told_by(&[day(20, 1.0), day(21, 1.2), day(22, 1.0), day(23, 1.2)]).day_sd
    };
    assert!(days("7.0.0") < 0.01 && days("") > 0.05, "{} {}", days("7.0.0"), days(""));
}

#[test]
fn other_machines_and_slow_runs_stay_out() {
    let minutes = || (30..36).map(at_minute);
    let others: Vec<RunDocument> =
        minutes().map(|at| run(&at, |document| document["host"]["processor"]["model"] = json!(143))).collect();
    assert!(told_by(&others).assumed);
    let slower_clock: Vec<RunDocument> = minutes()
        .map(|at| run(&at, |document| document["host"]["processor"]["tsc_khz"] = json!(2_500_000.0)))
        .collect();
    assert!(told_by(&slower_clock).assumed);
    // Measured a little differently it is the same clock.
    let same_clock: Vec<RunDocument> = minutes()
        .map(|at| run(&at, |document| document["host"]["processor"]["tsc_khz"] = json!(2_595_900.0)))
        .collect();
    assert_eq!(told_by(&same_clock).runs, 6);
    let mut with_slow: Vec<RunDocument> = minutes().map(|at| run(&at, |_| {})).collect();
    let without = told_by(&with_slow);
    with_slow.push(run(&at_minute(40), |document| {
        higher(document, 1.32);
        document["reference_loop_ns"] = json!(2200.0);
    }));
    assert_eq!(told_by(&with_slow), without);
    // A row of disturbed samples predicts no others.
    let disturbed = run(&at_minute(40), |document| {
        document["results"][0]["warnings"] = json!([{"code": "no-undisturbed-samples", "message": ""}]);
    });
    assert!(told_by(&[disturbed]).assumed);
}

#[test]
fn what_is_no_history_is_left_alone_and_a_damaged_line_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(NAME);
    let kept = run(&at_minute(40), |_| {});
    for (content, word) in [
        ("precious\n", "it is no history"),
        ("ctxprof.history/2\nwhatever\n", "another version"),
        ("{\"schema\": \"ctxprof.run/2\"}", "it is no history"),
        ("\u{0}\u{1b}[31m\n", "it is no history"),
    ] {
        fs::write(&path, content).unwrap();
        let error = format!("{:#}", remember(&kept, &path, false).unwrap_err());
        assert!(error.contains(word) && error.contains("is left as it is") && !error.contains('\u{1b}'), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
        let mut run = run(&at_minute(50), |_| {});
        apply(&mut run, &path);
        assert!(run.warnings.iter().any(|warning| warning.code == "history-not-used"), "{:?}", run.warnings);
        assert!(run.body.results[0].reproducibility.unwrap().assumed);
    }
    // Cut off in the middle of the last line, as by a machine that went down.
    fs::remove_file(&path).unwrap();
    remember(&kept, &path, false).unwrap();
    remember(&kept, &path, false).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[..text.len() - 20]).unwrap();
    let read = crate::bench::document::history::read(&path).unwrap();
    assert_eq!((read.lines.len(), read.damaged), (5, 1));
    let mut told = run(&at_minute(50), |_| {});
    apply(&mut told, &path);
    assert!(
        told.warnings.iter().any(|warning| warning.code == "history-damaged" && warning.message.starts_with("a line"))
    );
    remember(&kept, &path, false).unwrap();
    assert_eq!(crate::bench::document::history::read(&path).unwrap().lines.len(), 8);
}

#[test]
fn lines_that_cannot_be_are_damaged() {
    let line = line::of_run(&run(&at_minute(0), |_| {}))[0].to_string();
    let words: Vec<&str> = line.split(' ').collect();
    for (at, word) in [
        (0, "2026-11-28"),
        (0, "99999-11-28T00:00:00Z"),
        (2, "no-rate"),
        (2, "x@-1"),
        (4, "no-number"),
        (5, "-5"),
        (5, "0"),
        (5, "nan"),
        (5, "inf"),
        (5, "1e300"),
        (6, "-0.1"),
        (6, "1e9"),
        (7, "1.5"),
        (8, "0"),
        (3, "thread\u{1b}[31m"),
        (3, ""),
        (3, &"x".repeat(10_000)),
    ] {
        let mut words = words.clone();
        words[at] = word;
        assert!(words.join(" ").parse::<Line>().is_err(), "{at} {word:.30}");
    }
    for runs in ["0", "-1", "4294967296", "x"] {
        assert!(format!("{line} {runs}").parse::<Line>().is_err(), "{runs}");
    }
}

#[test]
fn runs_of_a_time_to_come_are_told_of_and_count() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(NAME);
    remember(&run("2099-01-01T00:00:00Z", |_| {}), &path, false).unwrap();
    remember(&run(&at_minute(40), |_| {}), &path, false).unwrap();
    let mut told = run(&at_minute(50), |_| {});
    apply(&mut told, &path);
    let warning = told.warnings.iter().find(|warning| warning.code == "history-clock").unwrap();
    assert!(warning.message.contains("2099-01-01T00:00:00Z"), "{}", warning.message);
    let reproducibility = told.body.results[0].reproducibility.unwrap();
    assert_eq!((reproducibility.runs, reproducibility.sessions), (2, 2));
}

#[test]
fn links_and_what_is_no_file_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (target, link) = (folder.path().join("target"), folder.path().join("link"));
    fs::write(&target, "precious").unwrap();
    symlink(&target, &link).unwrap();
    let kept = run(&at_minute(40), |_| {});
    assert!(remember(&kept, &link, false).is_err() && read(&link).is_err());
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    assert!(remember(&kept, folder.path(), false).is_err() && read(folder.path()).is_err());
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(format!("{:#}", read(&pipe).unwrap_err()).contains("no regular file"));
    assert!(remember(&kept, &pipe, false).is_err());
    let huge = folder.path().join("huge");
    fs::File::create(&huge).unwrap().set_len(1 << 30).unwrap();
    assert!(format!("{:#}", read(&huge).unwrap_err()).contains("1073741824 bytes"));
}

#[test]
fn of_runs_that_end_at_once_none_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(NAME);
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let path = &path;
            scope.spawn(move || {
                for minute in 0..10 {
                    remember(&run(&at_minute(10 * writer + minute), |_| {}), path, false).unwrap();
                }
            });
        }
    });
    let read = read(&path).unwrap();
    assert_eq!((read.lines.len(), read.damaged), (4 * 10 * 3, 0));
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [NAME], "nothing else is left behind");
}

/// Lines of one row, so many a session, sessions a day apart.
fn made_up(lines: usize, per_session: usize) -> Vec<Line> {
    let line = line::of_run(&run(&at_minute(0), |_| {})).swap_remove(0);
    let nth = |nth: usize| {
        let (session, within) = (nth / per_session, nth % per_session);
        let seconds = 1_600_000_000 + 86_400 * session as u64 + 60 * within as u64;
        Line { seconds, median: 100.0 + within as f64, u: 0.003, ..line.clone() }
    };
    (0..lines).map(nth).collect()
}

#[test]
fn too_long_a_history_has_its_oldest_sessions_merged() {
    let few = made_up(MOST_LINES, 3);
    assert_eq!(shortened(few.clone()), few);
    let lines = made_up(MOST_LINES + 2, 3);
    let left = shortened(lines.clone());
    assert!(left.len() <= MOST_LINES / 10 * 9, "{}", left.len());
    assert_eq!(left.last(), lines.last());
    // Of 100, 101 and 102 the mean of the logarithms; of three errors their root sum of squares, by three.
    let first = &left[0];
    assert!((first.median - (100.0_f64 * 101.0 * 102.0).cbrt()).abs() < 1e-9 && first.runs == 3, "{first:?}");
    assert!((first.u - 0.003 / 3.0_f64.sqrt()).abs() < 1e-12, "{first:?}");
    assert_eq!(left.iter().map(|line| line.runs).sum::<u32>() as usize, lines.len(), "no run is lost");
    // Sessions of a single run cannot be merged: there the oldest go.
    let single = made_up(MOST_LINES + 2, 1);
    let left = shortened(single.clone());
    assert!(left.len() <= MOST_LINES && left.last() == single.last() && left[0] != single[0], "{}", left.len());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes);
        let mut with_schema = format!("{SCHEMA}\n").into_bytes();
        with_schema.extend(bytes);
        parse(&with_schema).unwrap();
    }
}
