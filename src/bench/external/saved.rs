//! Results from files: output of `go test -bench` or `perf bench sched pipe` from elsewhere, and whatever is around it.

mod unreadable;

use std::collections::BTreeMap;

use anyhow::Result;
use console::strip_ansi_codes;

use crate::text::{decode_lossy, without_mark};
use crate::tool::gobench::{self, Configuration};
use crate::tool::perf::{self, Participants};
use crate::tool::{Line, figures};

/// Most characters of a line that are shown.
const SHOWN_CHARS: usize = 100;

/// Contents of a file with saved output.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedOutput {
    pub claims: Vec<SavedClaim>,
    pub passed_over: Vec<PassedOver>,
    /// True if Go's last results are not followed by what Go prints at its end.
    pub is_cut_off: bool,
}

/// A result whose switches nobody counted.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedClaim {
    /// Distinguishes it from the others of its file, except repetitions of the same.
    pub what: String,
    /// Configuration above it, as Go writes it: `pkg`, `goos` and so on.
    pub configuration: Configuration,
    pub ns_per_op: f64,
}

/// Consecutive lines of a file that no result was taken from.
#[derive(Debug, Clone, PartialEq)]
pub struct PassedOver {
    /// The first and the last, counted from 1.
    pub lines: (usize, usize),
    /// Text of the first one.
    pub text: String,
    /// The reason, where it is known.
    pub why: Option<String>,
}

/// Returns the results in a saved output of either tool, or of both. Marks of an encoding, escapes of a terminal, and
/// the times that log collectors put before lines are skipped.
///
/// # Errors
/// There is no result in it; shows the line that says what it is instead, or the first that is not understood.
pub fn parse(bytes: &[u8]) -> Result<SavedOutput> {
    let text = decode_lossy(bytes)?;
    let lines: Vec<String> = text.lines().map(plain).collect();
    let (mut go, mut perf) = (gobench::Lines::default(), perf::Lines::default());
    let mut passed_over: BTreeMap<usize, Option<String>> = BTreeMap::new();
    for (number, line) in (1..).zip(&lines) {
        let taken = match go.take(number, line) {
            Line::Foreign => perf.take(number, line),
            taken => taken,
        };
        match taken {
            Line::Known => None,
            Line::PassedOver(why) => passed_over.insert(number, Some(why)),
            Line::Foreign => passed_over.insert(number, None),
        };
    }
    perf.finish();
    passed_over.extend(perf.passed_over.into_iter().map(|(number, why)| (number, Some(why))));
    let is_cut_off = go.is_cut_off();
    let claims = claims(go.results, perf.results);
    let passed_over = grouped(&passed_over, &lines);
    if claims.is_empty() {
        return Err(unreadable::error(&lines, &passed_over));
    }
    Ok(SavedOutput { claims, passed_over, is_cut_off })
}

/// Returns a line without what a terminal, an editor or a log collector has put into it.
fn plain(line: &str) -> String {
    let line = strip_ansi_codes(without_mark(line));
    let line = without_mark(&line);
    // `2026-11-28T02:56:17.5Z BenchmarkPing…`
    let timed =
        line.split_once(' ').filter(|(first, _)| first.contains('T') && humantime::parse_rfc3339_weak(first).is_ok());
    timed.map_or(line, |(_, rest)| rest).to_string()
}

fn claims(go: Vec<gobench::Taken>, perf: Vec<perf::Taken>) -> Vec<SavedClaim> {
    let told_apart_by = keys_that_differ(&go);
    let of_go = go.into_iter().map(|taken| {
        let of = |key: &&String| taken.configuration.get(*key).map(|value| format!("{key}: {value}"));
        let apart: Vec<String> = told_apart_by.iter().filter_map(|key| of(&key)).collect();
        let apart = if apart.is_empty() { String::new() } else { format!(" ({})", apart.join(", ")) };
        let what = figures::printable(&format!("{}{apart}", taken.benchmark.printed));
        let ns_per_op = taken.benchmark.ns_per_op;
        (taken.line, SavedClaim { what, configuration: taken.configuration, ns_per_op })
    });
    let of_perf = perf.into_iter().map(|taken| {
        let participants = match taken.participants {
            Participants::Threads => "threads",
            Participants::Processes => "processes",
        };
        let what = format!("perf bench sched pipe, {} ops between two {participants}", taken.ops);
        let configuration = Configuration::new();
        (taken.line, SavedClaim { what, configuration, ns_per_op: taken.usecs_per_op * 1000.0 })
    });
    let mut claims: Vec<(usize, SavedClaim)> = of_go.chain(of_perf).collect();
    claims.sort_by_key(|(line, _)| *line);
    claims.into_iter().map(|(_, claim)| claim).collect()
}

/// Returns the configuration keys whose values are not the same above all results.
fn keys_that_differ(results: &[gobench::Taken]) -> Vec<String> {
    let mut keys: Vec<&String> = results.iter().flat_map(|taken| taken.configuration.keys()).collect();
    keys.sort();
    keys.dedup();
    let differs = |key: &&&String| {
        let mut values = results.iter().map(|taken| taken.configuration.get(**key));
        let first = values.next();
        values.any(|value| Some(value) != first)
    };
    keys.iter().filter(differs).map(|key| key.to_string()).collect()
}

/// Groups consecutive lines that were skipped for the same reason, empty ones aside.
fn grouped(passed_over: &BTreeMap<usize, Option<String>>, lines: &[String]) -> Vec<PassedOver> {
    let mut groups: Vec<PassedOver> = Vec::new();
    for (&number, why) in passed_over {
        let follows = |last: &&mut PassedOver| {
            let between = &lines[last.lines.1..number - 1];
            last.why == *why && between.iter().all(|line| line.trim().is_empty())
        };
        match groups.last_mut().filter(follows) {
            Some(last) => last.lines.1 = number,
            None => {
                groups.push(PassedOver { lines: (number, number), text: shown(&lines[number - 1]), why: why.clone() })
            }
        }
    }
    groups
}

/// Returns as much of a line as is shown, on one line.
fn shown(line: &str) -> String {
    let line = figures::printable(line.trim());
    if line.chars().count() <= SHOWN_CHARS { line } else { line.chars().take(SHOWN_CHARS).chain(['…']).collect() }
}

#[cfg(test)]
mod tests;
