//! Comparing saved runs.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::machine::needs;
use crate::support::{CTXPROF, Done, SHORT, command, refused_at_once, run};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/run-2.json");

/// A folder of documents made from the golden one.
struct Documents(tempfile::TempDir);

impl Documents {
    fn new() -> Documents {
        Documents(tempfile::tempdir().unwrap())
    }

    /// Writes the golden document, changed.
    fn with(&self, name: &str, change: impl FnOnce(&mut Value)) -> PathBuf {
        let mut document: Value = serde_json::from_str(&fs::read_to_string(GOLDEN).unwrap()).unwrap();
        change(&mut document);
        let path = self.0.path().join(name);
        fs::write(&path, document.to_string()).unwrap();
        path
    }
}

/// Makes a workload's op take this many times as long.
fn slow(document: &mut Value, workload: &str, factor: f64) {
    let results = document["results"].as_array_mut().unwrap();
    let row = results.iter_mut().find(|result| result["workload"] == workload).unwrap();
    for end in ["median", "low", "high"] {
        row["ns_per_op"][end] = json!(row["ns_per_op"][end].as_f64().unwrap() * factor);
    }
}

fn diff(old: &Path, new: &Path, options: &str) -> crate::support::Done {
    run(&format!("ctxprof diff {} {} {options}", old.display(), new.display()))
}

fn verdicts(document: &Value) -> Vec<(&str, &str)> {
    let rows = document["rows"].as_array().unwrap();
    rows.iter().map(|row| (row["workload"].as_str().unwrap(), row["change"]["verdict"].as_str().unwrap())).collect()
}

#[test]
fn a_run_is_the_same_as_itself_and_nothing_else_differs() {
    // Without a history the distance between runs is assumed: more than the usual margin.
    let line = format!("ctxprof diff {GOLDEN} {GOLDEN} --format json --fail-above 0 --margin 10");
    let document = run(&line).expect(0, &[]).json();
    assert_eq!(document["schema"], "ctxprof.diff/2");
    assert_eq!(document["differences"], json!([]));
    assert!(verdicts(&document).iter().all(|(_, verdict)| *verdict == "same"), "{document}");
}

#[test]
fn a_regression_is_found_and_has_an_exit_code_of_its_own() {
    let documents = Documents::new();
    let slower = documents.with("slower.json", |document| slow(document, "thread-pipe", 1.2));
    let document = diff(Path::new(GOLDEN), &slower, "--format json --margin 10").expect(0, &[]).json();
    assert_eq!(verdicts(&document), [("thread-pipe", "slower"), ("process-pipe", "same"), ("task-channel", "same")]);
    let shown = diff(Path::new(GOLDEN), &slower, "--fail-above 5").expect(3, &[]).stdout;
    assert!(shown.contains("SLOWER") && shown.contains("REGRESSION"), "{shown}");
    // 20 % slower is not surely more than 19.9 %.
    diff(Path::new(GOLDEN), &slower, "--fail-above 19.9%").expect(0, &[]);
    diff(&slower, Path::new(GOLDEN), "--fail-above 5").expect(0, &[]);
    let faster = diff(&slower, Path::new(GOLDEN), "--format json").expect(0, &[]).json();
    assert_eq!(verdicts(&faster)[0], ("thread-pipe", "faster"));
}

#[test]
fn what_else_differs_stands_above_and_can_be_made_an_error() {
    let documents = Documents::new();
    let other = documents.with("other.json", |document| {
        document["host"]["kernel"] = json!("7.0.0");
        document["settings"]["policy"] = json!("batch");
        document["results"][0]["kernel_switches"] = json!({"voluntary": 2.0, "involuntary": 0.0});
    });
    let document = diff(Path::new(GOLDEN), &other, "--format json").expect(0, &[]).json();
    let keys: Vec<&str> = document["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|difference| difference["key"].as_str().unwrap())
        .collect();
    assert_eq!(keys, ["policy", "kernel", "mix"], "the likely cause first");
    let shown = diff(Path::new(GOLDEN), &other, "").expect(0, &[]).stdout;
    let at = |words: &str| shown.find(words).unwrap_or_else(|| panic!("{words:?} is not in {shown}"));
    assert!(at("Environment differs") < at("scheduling policy") && at("scheduling policy") < at("verdict"), "{shown}");
    diff(Path::new(GOLDEN), &other, "--require-same host,kernel")
        .expect(1, &["kernel", "--require-same kernel", "7.0.0"]);
    diff(Path::new(GOLDEN), &other, "--require-same host").expect(0, &[]);
}

#[test]
fn another_go_is_told_where_both_sides_know_theirs() {
    let documents = Documents::new();
    let built_by = |name: &str, version: &str| {
        documents.with(name, |document| document["results"][0]["toolchain"] = json!(version))
    };
    let (old, new) = (built_by("old.json", "go1.19.8"), built_by("new.json", "go1.24.4"));
    let refused = "\"go1.19.8\" and is \"go1.24.4\"";
    diff(&old, &new, "--require-same toolchain").expect(1, &["--require-same toolchain", refused]);
    diff(Path::new(GOLDEN), &new, "--require-same toolchain").expect(0, &[]);
}

#[test]
fn a_core_that_was_slower_from_end_to_end_is_told_first() {
    let documents = Documents::new();
    let on_core = |name: &str, ns: f64| documents.with(name, |document| document["reference_loop_ns"] = json!(ns));
    let (quick, again, slow) =
        (on_core("quick.json", 1683.0), on_core("again.json", 1703.0), on_core("slow.json", 2290.0));
    assert_eq!(diff(&quick, &again, "--format json").expect(0, &[]).json()["differences"], json!([]));
    let document = diff(&quick, &slow, "--format json").expect(0, &[]).json();
    let told = &document["differences"][0];
    assert_eq!([&told["key"], &told["old"], &told["new"]], ["core", "1683", "2290"]);
    diff(&quick, &slow, "--require-same core").expect(1, &["--require-same core", "the core itself"]);
}

#[test]
fn several_files_a_side_bring_their_own_spread() {
    let documents = Documents::new();
    let near: Vec<String> = [1.0, 1.1, 0.9]
        .iter()
        .map(|&factor| {
            documents
                .with(&format!("a{factor}.json"), |document| slow(document, "thread-pipe", factor))
                .display()
                .to_string()
        })
        .collect();
    let slower = documents.with("b.json", |document| slow(document, "thread-pipe", 1.12));
    let line = format!("ctxprof diff --old {} --new {} --format json", near.join(" "), slower.display());
    let document = run(&line).expect(0, &[]).json();
    assert_eq!(verdicts(&document)[0], ("thread-pipe", "undecided"), "12 % is within what the old ones differ by");
    let document = diff(Path::new(&near[0]), &slower, "--format json").expect(0, &[]).json();
    assert_eq!(verdicts(&document)[0], ("thread-pipe", "slower"));
}

#[test]
fn another_op_or_schema_is_refused_and_so_is_what_is_no_document() {
    let documents = Documents::new();
    let golden = Path::new(GOLDEN);
    let named = documents.with("named.json", |document| document["results"][0]["op"] = json!("round trip"));
    let other = documents.with("other.json", |document| document["results"][0]["op"] = json!("one message"));
    diff(&named, &other, "").expect(1, &["thread-pipe", "round trip", "one message"]);
    diff(golden, &named, "").expect(0, &[]);
    let schema = documents.with("schema.json", |document| document["schema"] = json!("ctxprof.run/3"));
    diff(golden, &schema, "").expect(1, &["ctxprof.run/3"]);
    let old = documents.with("old.json", |document| document["schema"] = json!("ctxprof.run/1"));
    diff(golden, &old, "").expect(1, &["written by an unreleased ctxprof 0.1", "measure again"]);
    let text = fs::read_to_string(GOLDEN).unwrap();
    for (name, content, words) in [
        ("truncated", &text[..text.len() / 2], "line"),
        ("empty", "", "line 1"),
        ("deep", &format!("{{\"schema\": \"ctxprof.run/2\", \"novelty\": {}", "[".repeat(100_000)), "line 1"),
        ("binary", "\u{0}\u{1}", "no text"),
        ("numbers", &text.replacen("\"median\": ", "\"median\": 1e999, \"x\": ", 1), "number out of range"),
    ] {
        let path = documents.0.path().join(name);
        fs::write(&path, content).unwrap();
        diff(golden, &path, "").expect(1, &[name, words]);
    }
    let huge = documents.0.path().join("huge.json");
    fs::File::create(&huge).unwrap().set_len(2 << 30).unwrap();
    diff(golden, &huge, "").expect(1, &["huge.json", "2147483648 bytes"]);
    diff(golden, Path::new("/nowhere"), "").expect(1, &["/nowhere"]);
    diff(golden, Path::new("/tmp"), "").expect(1, &["/tmp"]);
    // Impossible figures are no cost, and no panic.
    let hostile = documents.with("hostile.json", |document| {
        document["results"][0]["ns_per_op"] = json!({"median": -5.0, "low": 1e308, "high": -1e308});
        document["results"][1]["ns_per_op"] = json!({"median": 1e-320, "low": 0.0, "high": 1e308});
    });
    let shown = diff(golden, &hostile, "--fail-above 5").stdout;
    assert!(shown.contains("task-channel"), "{shown}");
}

#[test]
fn without_files_the_last_two_comparable_runs_are_compared_and_named() {
    run("ctxprof diff one.json").expect(2, &["two files"]);
    run("ctxprof diff a b c").expect(2, &[]);
    run("ctxprof diff a b --old c --new d").expect(2, &["cannot be used"]);
    needs!(Root);
    // Saved runs are below the home folder of a user of a namespace, and those of root are hidden.
    let documents = Documents::new();
    let runs = documents.0.path().join("ctxprof/runs");
    fs::create_dir_all(&runs).unwrap();
    let diff = |options: &str| -> Done {
        let script = format!("mount -t tmpfs none /var/lib; exec {CTXPROF} diff {options}");
        let mut unshare = command("unshare --mount --user --map-root-user sh -ec");
        unshare.arg(script).env("XDG_STATE_HOME", documents.0.path()).output().unwrap().into()
    };
    diff("").expect(1, &["no run has been saved"]);
    let at = |minute: u32| format!("ctxprof/runs/run-20261124T20{minute:02}00Z-1.json");
    let keep = |minute: u32, change: &dyn Fn(&mut Value)| documents.with(&at(minute), change);
    let old = keep(1, &|_| {});
    diff("").expect(1, &["no earlier saved run has a workload of", "name two files"]);
    // Only a part of its rows, other policies, other machines.
    keep(2, &|document| document["results"].as_array_mut().unwrap().truncate(1));
    keep(3, &|document| document["settings"]["policy"] = json!("batch"));
    keep(4, &|document| document["host"]["cpu_model"] = json!("Z80"));
    keep(5, &|document| {
        document["results"].as_array_mut().unwrap().iter_mut().for_each(|row| row["placement"] = json!("smt"))
    });
    let new = keep(6, &|document| slow(document, "thread-pipe", 1.5));
    let done = diff("").expect(0, &["passed over 4 saved runs in between"]);
    let words = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.starts_with("Slower: 1 row at 95 % confidence: thread-pipe +50.0% ["), "{words}");
    assert!(words.contains(&format!("Old: {} of", old.display())), "{words}");
    assert!(words.contains(&format!("New: {} of", new.display())), "{words}");
    // Where none has all rows, that with the most.
    fs::remove_file(&old).unwrap();
    let part = diff("--format json").expect(0, &["passed over 3 saved runs in between"]).json();
    assert_eq!(verdicts(&part), [("thread-pipe", "slower")]);
}

mod measuring {
    use super::*;

    #[test]
    fn a_run_can_be_set_beside_a_baseline() {
        let folder = tempfile::tempdir().unwrap();
        let measured = folder.path().join("measured.json");
        run(&format!("ctxprof run thread-pipe {SHORT} -o {}", measured.display())).expect(0, &[]);
        // However the speed of this machine varies, it stays between a tenth and ten times.
        let against = |factor: f64| {
            let mut document: Value = serde_json::from_str(&fs::read_to_string(&measured).unwrap()).unwrap();
            slow(&mut document, "thread-pipe", factor);
            // A neighbour on the host may slow the core of either.
            document.as_object_mut().unwrap().remove("reference_loop_ns");
            let baseline = folder.path().join(format!("{factor}.json"));
            fs::write(&baseline, document.to_string()).unwrap();
            command(&format!("ctxprof run thread-pipe {SHORT} --baseline {} --fail-above 30", baseline.display()))
        };
        let shown = Done::from(against(10.0).output().unwrap()).expect(0, &[]).stdout;
        assert!(shown.contains("verdict") && shown.contains("New: this run of"), "{shown}");
        let slowed = against(0.1).env("CTXPROF_TEST_SLOWDOWN", "thread-pipe:1.0").output().unwrap();
        let slowed = Done::from(slowed).expect(3, &[]);
        assert!(slowed.stdout.contains("REGRESSION") && slowed.stdout.contains("on purpose"), "{slowed:?}");
        refused_at_once("ctxprof run --baseline /nowhere.json", 1, &["/nowhere.json"]);
    }
}
