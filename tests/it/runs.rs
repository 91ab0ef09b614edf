//! `ctxprof runs`: the saved runs, and removing the oldest.

use std::fs;
use std::path::PathBuf;

use crate::machine::needs;
use crate::support::{CTXPROF, Done, command};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/run-2.json");

/// A user without rights and with a home of its own, so that root's saved runs are left alone.
struct Home(tempfile::TempDir);

impl Home {
    /// Returns a home with so many saved runs, a damaged one, and a foreign file.
    fn with_runs(count: usize) -> Home {
        let home = Home(tempfile::tempdir().unwrap());
        fs::create_dir_all(home.folder()).unwrap();
        for second in 0..count {
            fs::copy(GOLDEN, home.folder().join(format!("run-20261124T0000{second:02}Z-1.json"))).unwrap();
        }
        fs::write(home.folder().join("run-20261101T000000Z-1.json"), "{\"schema\": \"ctxprof.run/2\"").unwrap();
        fs::write(home.folder().join("notes.txt"), "not a run").unwrap();
        home
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("ctxprof/runs")
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder()).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Runs `ctxprof runs` as user 0 of a user namespace of its own, who is an ordinary user outside.
    fn runs(&self, options: &str) -> Done {
        let program = CTXPROF.path().display();
        let line = format!("unshare --user --map-root-user {program} runs {options}");
        command(&line).env("XDG_STATE_HOME", self.0.path()).output().unwrap().into()
    }
}

/// Returns the files of a list in the document.
fn files(done: &Done, list: &str) -> Vec<String> {
    let document = done.json();
    let files = document[list].as_array().unwrap().iter().map(|run| run["file"].as_str().unwrap().to_string());
    files.map(|file| file.rsplit('/').next().unwrap().to_string()).collect()
}

#[test]
fn saved_runs_are_listed_with_what_is_in_them_the_newest_last() {
    needs!(Root);
    let home = Home::with_runs(2);
    let table = home.runs("").expect(0, &[]).stdout;
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].contains(home.folder().to_str().unwrap()), "{table}");
    let at =
        |name: &str| lines.iter().position(|line| line.contains(name)).unwrap_or_else(|| panic!("{name}: {table}"));
    assert!(at("run-20261124T000000Z-1.json") < at("run-20261124T000001Z-1.json"), "{table}");
    assert!(lines[at("run-20261124T000001Z-1.json")].contains("2026-11-23T19:55:02Z"), "{table}");
    assert!(table.contains("damaged") && table.contains("foreign") && table.contains("thread-pipe"), "{table}");
}

#[test]
fn the_oldest_are_removed_and_named_and_nothing_that_is_no_run() {
    needs!(Root);
    let home = Home::with_runs(5);
    let all = home.names();
    let dry = home.runs("--keep 3 --dry-run --format json").expect(0, &[]);
    let expected = ["run-20261124T000000Z-1.json", "run-20261124T000001Z-1.json"];
    assert_eq!(files(&dry, "removed"), expected);
    assert_eq!(home.names(), all, "a dry run removes nothing");
    let text = home.runs("--keep 3").expect(0, &[]).stdout;
    let said = ["Removed 2 of the oldest", "Left alone: 2 files"];
    assert!(expected.iter().chain(&said).all(|words| text.contains(words)), "{text}");
    let left: Vec<String> = all.into_iter().filter(|name| !expected.contains(&name.as_str())).collect();
    assert_eq!(home.names(), left);
    let text = home.runs("--keep 3").expect(0, &[]).stdout;
    assert!(text.contains("Nothing to remove"), "{text}");
    assert_eq!(home.names(), left);
}

#[test]
fn where_nothing_is_saved_nothing_is_removed_and_a_dry_run_needs_a_number() {
    needs!(Root);
    let home = Home(tempfile::tempdir().unwrap());
    let document = home.runs("--keep 1 --format json").expect(0, &[]).json();
    assert_eq!(document["removed"].as_array().unwrap().len(), 0);
    home.runs("--dry-run").expect(2, &["--keep"]);
}
