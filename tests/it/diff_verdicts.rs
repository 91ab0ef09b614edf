//! Verdicts of a diff: four of them, and the exit codes of a gate.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Done, run};

/// Options of a run short enough for a test, with all repetitions complete on a busy machine too.
const BRIEF: &str = "--samples 9 --repetitions 6 --no-save --quiet";

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases");

fn case(name: &str) -> PathBuf {
    Path::new(CASES).join(name)
}

/// The words of a report, without its line breaks.
fn words(shown: &str) -> String {
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn diff(new: &Path, options: &str) -> Done {
    run(&format!("ctxprof diff {} {} {options}", case("diff-base.json").display(), new.display()))
}

/// Writes a changed case as by a machine with many saved runs, which repeat within 0.2 %.
fn with_history(folder: &Path, name: &str, change: impl FnOnce(&mut Value)) -> PathBuf {
    let mut document: Value = serde_json::from_str(&fs::read_to_string(case(name)).unwrap()).unwrap();
    let known = json!({
        "session": 0.005, "any_day": 0.006, "run_sd": 0.001, "day_sd": 0.001, "runs": 20, "sessions": 2, "assumed": false
    });
    for result in document["results"].as_array_mut().unwrap() {
        result["reproducibility"] = known.clone();
    }
    change(&mut document);
    let path = folder.join(name);
    fs::write(&path, document.to_string()).unwrap();
    path
}

#[test]
fn what_cannot_be_told_at_1_percent_is_undecided_and_neither_passes_nor_fails() {
    let slower = case("diff-slower-2.5-percent.json");
    let shown = words(&diff(&slower, "--fail-above 1").expect(0, &[]).stdout);
    assert!(
        shown.starts_with("Undecided: 2 rows may or may not be slower by more than 1.0 %: thread-pipe +2.5% ["),
        "{shown}"
    );
    assert!(shown.contains("thread-pipe: cannot tell at 1.0 %: +2.5 % ±2.9 %; "), "{shown}");
    assert!(shown.contains(" runs a side would."), "{shown}");
    let document = diff(&slower, "--fail-above 1 --format json").expect(0, &[]).json();
    let rows = document["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert_eq!((&row["change"]["verdict"], &row["gate"]), (&json!("undecided"), &json!("undecided")));
        assert_eq!(row["regression"], false);
        assert!((2..20).contains(&row["change"]["runs_needed"].as_u64().unwrap()), "{row}");
    }
    for format in ["table", "csv", "markdown", "html", "openmetrics"] {
        let shown = diff(&slower, &format!("--fail-above 1 --format {format}")).expect(0, &[]).stdout;
        assert!(shown.contains("undecided"), "{format}: {shown}");
    }
    diff(&slower, "--fail-above 1 --fail-undecided").expect(3, &[]);
    diff(&slower, "--fail-undecided").expect(3, &[]);
    // Surely below the limit, and not worth a note with it.
    diff(&slower, "--fail-above 6 --fail-undecided").expect(0, &[]);
    let document = diff(&slower, "--margin 6 --fail-undecided --format json").expect(0, &[]).json();
    assert_eq!(document["rows"][0]["change"]["verdict"], "same");
}

#[test]
fn on_a_machine_whose_runs_repeat_2_percent_are_found_whatever_was_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let base = with_history(folder.path(), "diff-base.json", |_| {});
    let slower = with_history(folder.path(), "diff-slower-2.5-percent.json", |_| {});
    let line = |old: &Path, new: &Path, options: &str| {
        run(&format!("ctxprof diff {} {} {options}", old.display(), new.display()))
    };
    let shown = words(&line(&base, &slower, "--fail-above 1").expect(3, &[]).stdout);
    assert!(
        shown.starts_with("REGRESSION: 2 rows slower by more than 1.0 % at 95 % confidence: thread-pipe +2.5% ["),
        "{shown}"
    );
    let shown = words(&line(&base, &slower, "").expect(0, &[]).stdout);
    assert!(shown.starts_with("Slower: 2 rows at 95 % confidence: thread-pipe +2.5% ["), "{shown}");
    let shown = words(&line(&slower, &base, "").expect(0, &[]).stdout);
    assert!(
        shown.starts_with("No regression: 2 rows not slower at 95 % confidence; faster: thread-pipe -2.4% ["),
        "{shown}"
    );
    line(&base, &slower, "--fail-above 2.45").expect(0, &[]);
    line(&slower, &base, "--fail-above 0 --fail-undecided").expect(0, &[]);
    // One side with a history is enough.
    line(&case("diff-base.json"), &slower, "--fail-above 1").expect(3, &[]);
    // Another day is another session.
    let later = with_history(folder.path(), "diff-slower-2.5-percent.json", |document| {
        document["started_at"] = json!("2026-11-25T19:55:02Z");
        for result in document["results"].as_array_mut().unwrap() {
            result["reproducibility"]["day_sd"] = json!(0.02);
            result["reproducibility"]["runs"] = json!(21);
        }
    });
    line(&base, &later, "--fail-above 1").expect(0, &[]);
}

#[test]
fn a_gate_that_lost_rows_does_not_pass_and_names_them() {
    let missing = case("diff-rows-missing.json");
    let words = ["rows of the old side are not in the new one", "task-channel", "--allow-missing"];
    let done = diff(&missing, "--fail-above 5").expect(1, &words);
    assert!(done.stdout.contains("Only in old: task-channel."), "what there is is shown: {done:?}");
    diff(&missing, "--fail-above 5 --allow-missing").expect(0, &[]);
    diff(&missing, "").expect(0, &[]);
    let document = diff(&missing, "--fail-above 5 --format json").expect(1, &words).json();
    assert_eq!(document["warnings"][0]["code"], "gate-lost-rows");
    let nothing = case("diff-nothing-in-common.json");
    let words = ["thread-pipe, task-channel", "nothing has passed"];
    diff(&nothing, "--fail-above 5").expect(1, &words);
    diff(&nothing, "--fail-above 5 --allow-missing").expect(1, &["nothing has passed"]);
    diff(&nothing, "--fail-undecided").expect(1, &["nothing has passed"]);
    diff(&nothing, "").expect(0, &[]);
    // A row without a cost has not passed either, and a regression is reported before missing rows.
    let folder = tempfile::tempdir().unwrap();
    let priceless = with_history(folder.path(), "diff-slower-2.5-percent.json", |document| {
        document["results"][1]["ns_per_op"] = Value::Null;
    });
    diff(&priceless, "--fail-above 5").expect(1, &["task-channel"]);
    diff(&priceless, "--fail-above 1").expect(3, &[]);
}

#[test]
fn a_core_that_was_slow_on_one_side_makes_rows_undecided() {
    let folder = tempfile::tempdir().unwrap();
    let on_core =
        |ns: f64, name: &str| with_history(folder.path(), name, |document| document["reference_loop_ns"] = json!(ns));
    let base = on_core(1683.0, "diff-base.json");
    let slowed = on_core(2290.0, "diff-slower-2.5-percent.json");
    let line = format!("ctxprof diff {} {} --fail-above 1", base.display(), slowed.display());
    let shown = words(&run(&line).expect(0, &[]).stdout);
    assert!(shown.contains("the core was slow on one side.") && shown.contains("repeat that run"), "{shown}");
    let document = run(&format!("{line} --format json")).expect(0, &[]).json();
    assert_eq!(document["rows"][0]["change"]["verdict"], "undecided");
    run(&format!("{line} --fail-undecided")).expect(3, &[]);
    // A row that is a bound, "≤ 9000", shows by itself that the core was slow.
    let bound = with_history(folder.path(), "diff-slower-2.5-percent.json", |document| {
        document["results"][0]["ns_per_op"] = json!({"median": 9000.0, "low": null, "high": 9100.0});
    });
    let line = format!("ctxprof diff {} {} --fail-above 1 --format json", base.display(), bound.display());
    let document = run(&line).expect(3, &[]).json();
    let verdicts: Vec<&Value> = document["rows"].as_array().unwrap().iter().map(|row| &row["gate"]).collect();
    assert_eq!(verdicts, ["undecided", "failed"]);
}

mod measuring {
    use super::*;

    #[test]
    fn a_run_beside_its_baseline_has_the_same_gate() {
        let folder = tempfile::tempdir().unwrap();
        let measured = folder.path().join("measured.json");
        run(&format!("ctxprof run task-channel thread-yield {BRIEF} -o {}", measured.display())).expect(0, &[]);
        // However the speed of this machine varies, it stays between a tenth and ten times.
        let line = |factor: f64| {
            let mut document: Value = serde_json::from_str(&fs::read_to_string(&measured).unwrap()).unwrap();
            // A neighbour on the host may slow the core of either.
            document.as_object_mut().unwrap().remove("reference_loop_ns");
            for end in ["median", "low", "high"] {
                let cost = &mut document["results"][0]["ns_per_op"][end];
                *cost = json!(cost.as_f64().unwrap() * factor);
            }
            let baseline = folder.path().join(format!("{factor}.json"));
            fs::write(&baseline, document.to_string()).unwrap();
            format!("ctxprof run task-channel {BRIEF} --baseline {} --fail-above 5", baseline.display())
        };
        let done = run(&line(10.0)).expect(1, &["thread-yield", "--allow-missing"]);
        assert!(done.stdout.contains("Only in old: thread-yield."), "{done:?}");
        run(&format!("{} --allow-missing", line(10.0))).expect(0, &[]);
        let slower = run(&format!("{} --format json", line(0.1)));
        slower.expect(3, &["task-channel is slower than the baseline allows"]);
    }
}
