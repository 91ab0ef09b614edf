//! Printing and writing of reports, and errors where that is impossible.

use std::fs;

use crate::machine::needs;
use crate::support::{SHORT, command, on_terminal, refused_at_once, run};

/// Runs a shell line; `ctxprof` in it is the built binary.
fn shell(line: &str) -> crate::support::Done {
    let line = line.replace("ctxprof ", &format!("{} ", crate::support::CTXPROF));
    command("sh").arg("-c").arg(line).output().unwrap().into()
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let done =
        shell(&format!("{{ ctxprof run task-channel {SHORT}; echo code $? >&2; }} | head -n 1")).expect(0, &["code 0"]);
    assert_eq!(done.stdout.lines().count(), 1);
    shell("{ ctxprof --help; echo code $? >&2; } | true").expect(0, &["code 0"]);
    shell(&format!("ctxprof run task-channel {SHORT} >&- 2>&-")).expect(0, &[]);
}

#[test]
fn a_full_disk_is_a_failure_that_leaves_no_half_file() {
    shell(&format!("ctxprof run task-channel {SHORT} > /dev/full")).expect(1, &["writing to stdout", "No space left"]);
    needs!(Root);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let line = format!(
        "mount -t tmpfs -o size=4k none {path} && ctxprof run {SHORT} -o {path}/run.json; code=$?; ls -A {path} >&2; exit $code"
    );
    let done: crate::support::Done = command("unshare --mount sh -c")
        .arg(line.replace("ctxprof ", &format!("{} ", crate::support::CTXPROF)))
        .output()
        .unwrap()
        .into();
    let done = done.expect(1, &["run.json", "No space left"]);
    assert!(done.stdout.contains("task-channel"), "the table is still printed: {done:?}");
    assert_eq!(done.stderr.lines().count(), 1, "the error and no file: {done:?}");
}

#[test]
fn where_nothing_can_be_written_is_known_before_measuring() {
    refused_at_once("ctxprof run -o /nonexistent/run.json", 1, &["/nonexistent"]);
    refused_at_once("ctxprof run -o run.xml", 2, &["suffix", ".json"]);
    refused_at_once("ctxprof run -o /dev/null", 2, &["suffix"]);
}

#[test]
fn every_format_is_written_by_its_suffix_and_the_table_still_printed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let outputs: Vec<String> = ["a.json", "a.csv", "a.md", "a.txt", "a.prom"]
        .iter()
        .map(|name| format!("-o {}", path(name).display()))
        .collect();
    let done = run(&format!("ctxprof run task-channel {SHORT} {}", outputs.join(" "))).expect(0, &[]);
    assert!(done.stdout.contains("ns/op"));
    assert!(fs::read_to_string(path("a.json")).unwrap().contains("\"ctxprof.run/2\""));
    assert!(fs::read_to_string(path("a.csv")).unwrap().starts_with("workload,ns_per_switch,ns_per_switch_low"));
    assert!(fs::read_to_string(path("a.md")).unwrap().contains("| task-channel |"));
    assert!(fs::read_to_string(path("a.prom")).unwrap().contains("ctxprof_switch_seconds{workload=\"task-channel\""));
    assert_eq!(fs::read_to_string(path("a.txt")).unwrap(), done.stdout);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 5, "nothing else is left");
}

#[test]
fn a_page_has_no_escape_codes_and_fits_98_columns() {
    let text = run(&format!("ctxprof run {SHORT}")).expect(0, &[]).stdout;
    assert!(!text.contains('\x1b'));
    let too_long: Vec<&str> = text.lines().filter(|line| line.chars().count() > 98).collect();
    assert!(too_long.is_empty(), "{too_long:#?}");
    for column in ["WORKLOAD", "ns/switch", "ns/op", "switches/op", "no-switch", "net ns/switch", "relative"] {
        assert!(text.contains(column), "{column} is not in\n{text}");
    }
}

#[test]
fn a_locale_without_unicode_gets_ascii() {
    let output = command(&format!("ctxprof run task-channel {SHORT}")).env("LANG", "C").output().unwrap();
    assert!(output.stdout.is_ascii());
    let output = command(&format!("ctxprof run task-channel {SHORT}"))
        .env("LANG", "C")
        .env("LC_ALL", "en_US.UTF-8")
        .output()
        .unwrap();
    assert!(!output.stdout.is_ascii());
}

#[test]
fn a_terminal_gets_color_unless_it_asks_for_none_and_fewer_columns_if_narrow() {
    let has_no_switch_loop =
        |text: &str| text.lines().any(|line| line.contains("WORKLOAD") && line.contains("no-switch"));
    // The width of a run's own table depends on its figures' uncertainty.
    let arguments = concat!("report ", env!("CARGO_MANIFEST_DIR"), "/tests/golden/run-2.json");
    let wide = on_terminal(100, "NO_COLOR= ", arguments);
    assert!(wide.contains("\x1b[1m") && has_no_switch_loop(&wide), "{wide}");
    let narrow = on_terminal(80, "NO_COLOR=1", arguments);
    assert!(!narrow.contains('\x1b'), "{narrow:?}");
    assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
    assert!(narrow.contains("net ns") && !has_no_switch_loop(&narrow), "{narrow}");
}

#[test]
fn quiet_says_nothing_but_the_report_and_progress_needs_a_terminal() {
    let done = run("ctxprof run task-channel --time 0.1 --no-save").expect(0, &[]);
    assert_eq!(done.stderr, "");
}
