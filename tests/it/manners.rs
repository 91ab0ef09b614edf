//! Options of every command: times, `-` for stdin and stdout, names of files.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use crate::support::{CTXPROF, Done, SHORT, command, run};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/run-2.json");

/// Runs a shell line; `$1` is the binary, `$2` the golden run.
fn shell(line: &str) -> Done {
    command("sh -c").arg(line).arg("sh").arg(CTXPROF).arg(GOLDEN).output().unwrap().into()
}

#[test]
fn every_option_that_takes_a_time_reads_it_alike() {
    for (time, seconds) in [("250ms", 0.25), ("0.2", 0.2), (".2s", 0.2)] {
        let stat = run(&format!("ctxprof stat --cost none --format json -p 1 --duration {time} -I {time}"));
        let settings = serde_json::from_str::<serde_json::Value>(&stat.expect(0, &[]).stderr).unwrap();
        assert_eq!(settings["settings"]["interval_s"], seconds);
        let alias = run(&format!("ctxprof stat --cost none -q -p 1 --for {time}")).expect(0, &[]);
        assert!(alias.stderr.contains("goes on"), "{alias:?}");
        let options = format!("--time {time} --patience {time} --repetitions 1 --no-save --quiet");
        run(&format!("ctxprof run syscall {options}")).expect(0, &[]);
    }
    for line in [
        "ctxprof run --time soon",
        "ctxprof run --patience soon",
        "ctxprof sweep ring 2..4 --time soon",
        "ctxprof stat -p 1 --duration soon",
        "ctxprof stat -I soon -- true",
    ] {
        let done = run(line);
        assert!(done.code == Some(2) || done.code == Some(125), "{done:?}");
        done.expect(if line.contains("stat") { 125 } else { 2 }, &["write it as 500ms, 2s or 1m"]);
    }
}

#[test]
fn a_dash_is_stdin_wherever_a_document_is_read() {
    let report = run(&format!("ctxprof report {GOLDEN}")).stdout;
    assert_eq!(shell("$1 report - < $2").expect(0, &[]).stdout, report);
    assert_eq!(shell("cat $2 | $1 report -").expect(0, &[]).stdout, report);
    for line in ["$1 diff - $2 --format json < $2", "$1 diff --old $2 --new - --format json < $2"] {
        let document = shell(line).expect(0, &[]).json();
        assert!(document["settings"]["old"][0] == "stdin" || document["settings"]["new"][0] == "stdin", "{document}");
    }
    shell("$1 diff - - < $2").expect(1, &["stdin (-) can be read once only"]);
    shell("$1 report - < /dev/null").expect(1, &["stdin", "line 1"]);
    shell(&format!("$1 run syscall {SHORT} --baseline - < $2")).expect(0, &[]);
}

#[test]
fn a_dash_is_stdout_wherever_a_file_is_written() {
    // Once, not twice.
    let report = run(&format!("ctxprof report {GOLDEN}")).stdout;
    assert_eq!(run(&format!("ctxprof report {GOLDEN} -o -")).expect(0, &[]).stdout, report);
    // The program's stderr stays its own.
    let done = run("ctxprof stat --cost none --format json -o - -- true").expect(0, &[]);
    assert_eq!(done.json()["schema"], "ctxprof.stat/2");
    assert_eq!(done.stderr, "");
    // No file of that name, and a folder that cannot be written does not matter.
    let folder = tempfile::tempdir().unwrap();
    let done: Done = command(&format!("ctxprof report {GOLDEN} --format csv -o -"))
        .current_dir(folder.path())
        .output()
        .unwrap()
        .into();
    assert!(done.expect(0, &[]).stdout.starts_with("workload,"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let done = run(&format!("ctxprof run syscall {SHORT} --format json --samples-out -")).expect(0, &[]);
    let documents: Vec<serde_json::Value> =
        serde_json::Deserializer::from_str(&done.stdout).into_iter().collect::<Result<_, _>>().unwrap();
    let schemas: Vec<&serde_json::Value> = documents.iter().map(|document| &document["schema"]).collect();
    assert_eq!(schemas, ["ctxprof.run/2", "ctxprof.samples/2"]);
}

#[test]
fn a_file_may_have_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(OsStr::from_bytes(b"run-\xff.json"));
    let output = |line: &str| -> Done { command(line).arg(&path).output().unwrap().into() };
    output(&format!("ctxprof report {GOLDEN} -o")).expect(0, &[]);
    assert_eq!(output("ctxprof report --format json").expect(0, &[]).stdout, fs::read_to_string(&path).unwrap());
    let nameless = command(&format!("ctxprof report {GOLDEN} -o")).arg(OsStr::from_bytes(b"\xff")).output().unwrap();
    Done::from(nameless).expect(2, &["suffix"]);
}

#[test]
fn json_on_stderr_is_nothing_but_json_without_quiet_too() {
    // What is left running is waited for long enough to be named, and intervals come.
    let stat = |format: &str| -> Done {
        let mut stat = command(&format!("ctxprof stat --format {format} -I 100ms --cost none -- sh -c"));
        stat.arg("(sleep 2) & exit 3").output().unwrap().into()
    };
    let document: serde_json::Value = serde_json::from_str(&stat("json").expect(3, &[]).stderr).unwrap();
    assert!(document["intervals"].as_array().unwrap().len() >= 2, "{document}");
    stat("table").expect(3, &["ctxprof: the program has ended; waiting for", "switches/s"]);
}
