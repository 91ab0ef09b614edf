//! Saved documents: shown again they are the same, and old ones stay readable.

use std::fs;

use serde_json::Value;

use crate::isolation::Nobody;
use crate::machine::needs;
use crate::support::{CTXPROF, Done, SHORT, command, run};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");

/// One document of every command that has a table.
const DOCUMENTS: &[&str] = &[
    "run-2",
    "stat-2",
    "compare-2",
    "diff-2",
    "list-2",
    "memory-2",
    "sweep-2",
    "doctor-1",
    "trace-1",
    "explain-1",
    "runs-1",
];

/// Formats to show each in, and their suffixes.
const FORMATS: [(&str, &str); 5] =
    [("table", "txt"), ("csv", "csv"), ("markdown", "md"), ("openmetrics", "prom"), ("html", "html")];

#[test]
fn samples_worked_out_again_give_the_same_document() {
    let folder = tempfile::tempdir().unwrap();
    let (document, samples) = (folder.path().join("run.json"), folder.path().join("samples.json"));
    run(&format!("ctxprof run {SHORT} -o {} --samples-out {}", document.display(), samples.display())).expect(0, &[]);
    let again = run(&format!("ctxprof report {} --format json", samples.display())).expect(0, &[]);
    assert!(fs::read_to_string(&document).unwrap() == again.stdout, "the two differ");
}

#[test]
fn a_document_shown_again_in_any_format_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    let table = run(&format!("ctxprof run {SHORT} -o {}", path.display())).expect(0, &[]).stdout;
    assert_eq!(run(&format!("ctxprof report {}", path.display())).expect(0, &[]).stdout, table);
    let json = run(&format!("ctxprof report {} --format json", path.display())).expect(0, &[]).stdout;
    assert!(json == fs::read_to_string(&path).unwrap(), "the two differ");
    for document in DOCUMENTS.iter().filter(|document| **document != "run-2") {
        let golden = format!("{GOLDEN}/{document}.json");
        let json = run(&format!("ctxprof report {golden} --format json")).expect(0, &[]).stdout;
        assert!(json == fs::read_to_string(golden).unwrap(), "{document}: the two differ");
        let in_page = run(&format!("ctxprof report {GOLDEN}/{document}.html --format json")).expect(0, &[]).stdout;
        assert!(in_page == json, "{document}: the page holds another");
    }
}

/// Version 1 as it was first written: readers must go on showing exactly this.
#[test]
fn the_golden_documents_read_as_they_always_did() {
    for document in DOCUMENTS {
        for (format, suffix) in FORMATS {
            let line = format!("ctxprof report {GOLDEN}/{document}.json --wide --format {format}");
            let expected = format!("{GOLDEN}/{document}.{suffix}");
            assert_eq!(run(&line).expect(0, &[]).stdout, fs::read_to_string(&expected).unwrap(), "{expected}");
        }
    }
}

#[test]
fn fields_of_the_future_are_ignored_and_other_schemas_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    let mut document: Value =
        serde_json::from_str(&fs::read_to_string(format!("{GOLDEN}/run-2.json")).unwrap()).unwrap();
    let shown = run(&format!("ctxprof report {GOLDEN}/run-2.json")).stdout;
    document["novelty"] = serde_json::json!({"a": [1]});
    document["results"][0]["novelty"] = serde_json::json!(7);
    fs::write(&path, document.to_string()).unwrap();
    assert_eq!(run(&format!("ctxprof report {}", path.display())).expect(0, &[]).stdout, shown);
    document["schema"] = serde_json::json!("ctxprof.run/3");
    fs::write(&path, document.to_string()).unwrap();
    run(&format!("ctxprof report {}", path.display())).expect(1, &["ctxprof.run/2", "ctxprof.run/2"]);
}

#[test]
fn a_document_has_the_promised_fields() {
    let document = run(&format!("ctxprof run --format json {SHORT}")).expect(0, &[]).json();
    for field in ["schema", "tool", "started_at", "host", "settings", "results", "warnings"] {
        assert!(document.get(field).is_some(), "{field}");
    }
    let promised = [
        "workload",
        "kind",
        "placement",
        "ns_per_op",
        "switches_per_op",
        "expected_switches_per_op",
        "kernel_switches_per_op",
        "ns_per_switch",
        "switches_source",
        "kernel_switches",
        "no_switch_ns_per_op",
        "net_ns_per_switch",
        "repetitions",
        "counters",
        "samples",
        "warnings",
    ];
    for row in document["results"].as_array().unwrap() {
        for field in promised {
            assert!(row.get(field).is_some(), "{field} is not in {row}");
        }
    }
}

#[test]
fn what_is_no_document_is_refused_with_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.json");
    for (content, words) in
        [("", "line 1"), ("{", "line 1"), ("[]", "line 1"), ("{\"schema\":\"ctxprof.run/2\"}", "missing field")]
    {
        fs::write(&path, content).unwrap();
        run(&format!("ctxprof report {}", path.display())).expect(1, &["x.json", words]);
    }
    run("ctxprof report /nonexistent.json").expect(1, &["/nonexistent.json", "No such file"]);
}

#[test]
fn an_editors_mark_before_a_document_is_no_part_of_it_wherever_one_is_read() {
    let marked = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/run-with-bom.json");
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain.json");
    fs::write(&plain, fs::read_to_string(marked).unwrap().trim_start_matches('\u{feff}')).unwrap();
    let plain = plain.display();
    let shown = run(&format!("ctxprof report {plain}")).expect(0, &[]).stdout;
    assert_eq!(run(&format!("ctxprof report {marked}")).expect(0, &[]).stdout, shown);
    let document = run(&format!("ctxprof diff {plain} {marked} --format json")).expect(0, &[]).json();
    assert_eq!(document["differences"], serde_json::json!([]));
    run(&format!("ctxprof run task-channel --baseline {marked} {SHORT}")).expect(0, &[]);
    let mut costs: Value = serde_json::from_str(&fs::read_to_string(format!("{GOLDEN}/run-2.json")).unwrap()).unwrap();
    costs["results"][0]["net_cpu_ns_per_switch"] = costs["results"][0]["net_ns_per_switch"].clone();
    let path = folder.path().join("prices.json");
    fs::write(&path, format!("\u{feff}{costs}")).unwrap();
    run(&format!("ctxprof stat --cost {} -- true", path.display())).expect(0, &[]);
}

#[test]
fn a_document_in_another_encoding_is_named_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.json");
    let text = format!("\u{feff}{}", fs::read_to_string(format!("{GOLDEN}/run-2.json")).unwrap());
    fs::write(&path, text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()).unwrap();
    run(&format!("ctxprof report {}", path.display())).expect(1, &["x.json", "UTF-16", "iconv"]);
}

/// Runs a shell script in a mount namespace in which root has saved nothing; `$1` is the program, `$2` the golden run.
fn where_nothing_is_saved(program: &str, script: &str) -> Done {
    let runs = "/var/lib/ctxprof/runs";
    let script = format!("mount -t tmpfs none /var/lib; mkdir -p {runs}; runs={runs}; {script}");
    let golden = format!("{GOLDEN}/run-2.json");
    command("unshare --mount sh -ec").args([&script, "sh", program, &golden]).output().unwrap().into()
}

#[test]
fn a_run_dated_in_the_future_does_not_stay_the_newest() {
    needs!(Root);
    let script = format!(
        "cp $2 $runs/run-20990101T000000Z-1.json; cp $2 $runs/run-copy.json
        $1 run task-channel {} > $runs/shown; $1 report | cmp - $runs/shown
        cp $runs/run-20[0-8]*.json $runs/run-20200101T000000Z-1.json; $1 diff --format json",
        SHORT.replace("--no-save", "")
    );
    let done = where_nothing_is_saved(CTXPROF.path().to_str().unwrap(), &script)
        .expect(0, &["run-20990101T000000Z-1.json is dated in the future"]);
    let new = done.json()["settings"]["new"][0].as_str().unwrap().to_string();
    assert!(!new.contains("2099") && !new.contains("copy"), "{done:?}");
}

#[test]
fn an_ordinary_user_is_shown_what_root_saved_last() {
    needs!(Root);
    let nobody = Nobody::new();
    let program = nobody.binary();
    let script = "cp $2 $runs/run-20261124T200000Z-1.json
        exec setpriv --reuid=65534 --regid=65534 --clear-groups env -u XDG_STATE_HOME HOME=/nonexistent $1 report --format json";
    let done = where_nothing_is_saved(program.to_str().unwrap(), script)
        .expect(0, &["the newest saved run is /var/lib/ctxprof/runs/run-20261124T200000Z-1.json"]);
    assert_eq!(done.json()["started_at"], "2026-11-23T19:55:02Z");
    let script = script.replacen("cp $2", "true #", 1);
    where_nothing_is_saved(program.to_str().unwrap(), &script)
        .expect(1, &["no run has been saved in /nonexistent/.local/state/ctxprof/runs or /var/lib/ctxprof/runs"]);
}
