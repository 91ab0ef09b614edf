//! Manual pages, as man(1) formats them.

use std::fs;
use std::process::Command;

use crate::support::run;

/// Returns the commands of which there are pages, by the main one.
fn commands() -> Vec<String> {
    let page = run("ctxprof man").expect(0, &[]).stdout;
    let (_, below) = page.split_once(".SH \"SEE ALSO\"").expect("a page ends with others");
    let names = below.lines().filter_map(|line| line.strip_prefix(".BR ctxprof\\-"));
    names.filter_map(|line| line.split(' ').next()).map(String::from).collect()
}

#[test]
fn every_page_is_formatted_without_a_complaint_and_its_examples_stay_lines() {
    let commands = commands();
    assert!(commands.len() >= 14, "{commands:?}");
    let folder = tempfile::tempdir().unwrap();
    for name in commands.iter().map(String::as_str).chain([""]) {
        let page = run(&format!("ctxprof man {name}")).expect(0, &[]).stdout;
        let path = folder.path().join("page.1");
        fs::write(&path, page).unwrap();
        let mut man = Command::new("man");
        man.args(["--warnings=w", "--local-file"]).arg(&path).env("MANWIDTH", "100").env("LC_ALL", "C.UTF-8");
        let Ok(done) = man.output() else {
            println!("skipped for want of man");
            return;
        };
        let (text, complaints) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success() && complaints.is_empty(), "{name}: {complaints}");
        let synopsis = format!("ctxprof {name}");
        assert!(text.lines().any(|line| line.trim_start().starts_with(synopsis.trim())), "{name}: {text}");
        if name == "run" {
            let examples = text.lines().filter(|line| line.trim_start().starts_with("sudo ctxprof run")).count();
            assert!(examples > 10, "{text}");
        }
    }
}
