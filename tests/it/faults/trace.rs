//! System calls of a command, counted by an uninjected run under strace.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::faults::cell;
use crate::faults::table::{CALLS, Subject, Whose};
use crate::support::{CTXPROF, command};

/// Calls of the main thread by name, and whether other threads made any.
#[derive(Debug, Default)]
pub struct Calls(HashMap<&'static str, Made>);

/// The calls of one name.
#[derive(Debug, Default)]
pub struct Made {
    /// By the main thread.
    count: usize,
    /// Indexes of those, from 1, that can fail as the table says.
    possible: Vec<usize>,
    by_others: bool,
}

impl Calls {
    /// Returns the calls of the loader and Rust's runtime before main: those of `--version` until it prints.
    pub fn before_main() -> Calls {
        let folder = tempfile::tempdir().unwrap();
        let log = traced(command("strace"), folder.path(), Whose::Everyones, "--version");
        let prelude: Vec<&str> = log.lines().take_while(|line| !line.contains("\"ctxprof ")).collect();
        Calls::in_log(&prelude, Whose::Everyones)
    }

    pub fn of(subject: &Subject) -> Calls {
        let folder = tempfile::tempdir().unwrap();
        let strace = cell::prepared(subject, folder.path());
        let log = traced(strace, folder.path(), subject.whose, &cell::arguments(subject, folder.path()));
        Calls::in_log(&log.lines().collect::<Vec<_>>(), subject.whose)
    }

    /// Returns the indexes of the main thread's calls to refuse: of those after main was reached, the first, the next, one in
    /// the middle, and the last; where only other threads make such calls, the first of each thread after the loader's.
    pub fn moments(&self, name: &str, before_main: &Calls) -> Vec<usize> {
        let before = before_main.0.get(name).map_or(0, |made| made.count);
        let Some(made) = self.0.get(name) else { return Vec::new() };
        let possible: Vec<usize> = made.possible.iter().copied().filter(|&nth| nth > before).collect();
        let Some(last) = possible.len().checked_sub(1) else {
            return if made.by_others { vec![before + 1] } else { Vec::new() };
        };
        let mut moments = [0, 1.min(last), last.div_ceil(2), last].map(|at| possible[at]).to_vec();
        moments.dedup();
        moments
    }

    fn in_log(lines: &[&str], whose: Whose) -> Calls {
        let mut calls = Calls::default();
        let main = lines.first().and_then(|line| line.split_whitespace().next()).unwrap_or_default();
        for line in lines {
            let (pid, line) = match whose {
                Whose::Everyones => line.split_once(char::is_whitespace).unwrap_or_default(),
                Whose::MainThreads => (main, *line),
            };
            // The continuation after another thread's line is no call of its own: `<... read resumed>`.
            let Some((name, _)) = line.trim_start().split_once('(') else { continue };
            let Some(call) = CALLS.iter().find(|call| call.name == name) else { continue };
            let made = calls.0.entry(call.name).or_default();
            if pid != main {
                made.by_others = true;
                continue;
            }
            made.count += 1;
            if call.is_possible(line) {
                made.possible.push(made.count);
            }
        }
        calls
    }
}

/// Returns strace's log of a run without faults.
fn traced(mut strace: Command, folder: &Path, whose: Whose, arguments: &str) -> String {
    let log = folder.join("strace");
    let names: Vec<String> = CALLS.iter().map(|call| format!("?{}", call.name)).collect();
    strace.args(["-qq", "-yy", "-e", "signal=none"]);
    strace.args(cell::following(whose)).arg("-o").arg(&log).args(["-e", &format!("trace={}", names.join(","))]);
    strace.arg(CTXPROF).args(arguments.split_whitespace());
    let done = strace.output().unwrap();
    assert!(done.status.success(), "{arguments}: {done:?}");
    fs::read_to_string(log).unwrap()
}
