//! Definitions of every column, reason, verdict and term that ctxprof prints: the registry behind `ctxprof explain` and docs/reading.md.
//!
//! Checks, workloads and counters are explained by their own registries.

mod costs;
pub mod document;
mod programs;
mod terms;
#[cfg(test)]
mod tests;
mod view;

use serde::{Deserialize, Serialize};

use crate::host::checks::CHECKS;
use crate::perf;
use crate::workload::WORKLOADS;

/// A definition: its words, of which the first is shown and the others are found as well, and the meaning.
#[derive(Debug)]
struct Row {
    words: &'static [&'static str],
    meaning: &'static str,
}

const fn row(words: &'static [&'static str], meaning: &'static str) -> Row {
    Row { words, meaning }
}

/// A group of definitions, by where its words are seen.
#[derive(Debug)]
struct Subject {
    name: &'static str,
    about: &'static str,
    rows: &'static [Row],
}

const fn subject(name: &'static str, about: &'static str, rows: &'static [Row]) -> Subject {
    Subject { name, about, rows }
}

const CHECKS_OF_DOCTOR: &str = "checks";
const WORKLOADS_OF_RUN: &str = "workloads";
const COUNTERS: &str = "counters";

static SUBJECTS: &[Subject] = &[
    subject("terms", "Terms", terms::TERMS),
    subject("run", "Costs: columns of `run` and `sweep`", costs::RUN),
    subject("like-with-like", "Like with like: columns of `run`", costs::ALIKE),
    subject("latency", "Latency: columns of `run --latency`", costs::LATENCY),
    subject("breakdown", "Breakdown: columns and parts of `run --breakdown`", costs::BREAKDOWN),
    subject("sweep", "Columns of `sweep`", costs::SWEEP),
    subject("stat", "Columns of `stat`", programs::STAT),
    subject("trace", "Columns of `trace`", programs::TRACE),
    subject("reasons", "Reasons of `trace`", programs::REASONS),
    subject("verdicts", "Verdicts", programs::VERDICTS),
    subject("diff", "Columns of `diff`", costs::DIFF),
    subject("compare", "Columns of `compare`", costs::COMPARE),
    subject("memory", "Columns of `memory`", costs::MEMORY),
    subject("doctor", "Columns and states of `doctor`", programs::DOCTOR),
    subject(CHECKS_OF_DOCTOR, "Checks of `doctor`", &[]),
    subject("runs", "Columns of `runs`", costs::RUNS),
    subject("list", "Columns of `list`", costs::LIST),
    subject(WORKLOADS_OF_RUN, "Workloads", &[]),
    subject(COUNTERS, "Counters", &[]),
];

/// The explanation of one word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it is seen: a command, or a group of words.
    pub subject: String,
    pub word: String,
    /// Other words for it, such as its key in CSV.
    pub also: Vec<String>,
    pub meaning: String,
}

/// Returns every entry, by subject.
pub fn entries() -> Vec<Entry> {
    SUBJECTS.iter().flat_map(entries_of).collect()
}

fn entries_of(subject: &Subject) -> Vec<Entry> {
    let entry = |word: &str, also: &[&str], meaning: String| Entry {
        subject: subject.name.to_string(),
        word: word.to_string(),
        also: also.iter().map(|word| word.to_string()).collect(),
        meaning,
    };
    match subject.name {
        CHECKS_OF_DOCTOR => CHECKS
            .iter()
            .map(|check| entry(check.id, &[], format!("{}. Read from: {}.", capitalized(check.why), check.source)))
            .collect(),
        WORKLOADS_OF_RUN => WORKLOADS
            .iter()
            .map(|workload| {
                let no_switch = workload.no_switch.as_ref();
                let no_switch = no_switch.map_or(String::new(), |loops| format!(" No-switch cost: {}.", loops.summary));
                let meaning = format!("{}. One op: {}.{no_switch}", capitalized(workload.summary), workload.op);
                entry(workload.name, &[], meaning)
            })
            .collect(),
        COUNTERS => {
            perf::all().map(|counter| entry(counter.name, &[], format!("{}.", capitalized(counter.summary)))).collect()
        }
        _ => subject.rows.iter().map(|row| entry(row.words[0], &row.words[1..], row.meaning.to_string())).collect(),
    }
}

/// Returns the heading of a subject.
pub fn about(subject: &str) -> &'static str {
    SUBJECTS.iter().find(|known| known.name == subject).map_or("", |known| known.about)
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// Returns the entries that explain this: those of that word and all of a subject of that name, else those that have it among
/// their words; none if it is unknown.
pub fn find(asked: &str) -> Vec<Entry> {
    let asked = normalized(asked);
    let select = |is_meant: &dyn Fn(&Entry) -> bool| -> Vec<Entry> { entries().into_iter().filter(is_meant).collect() };
    let words = |entry: &Entry| -> Vec<String> { names(entry).map(normalized).collect() };
    let named = select(&|entry| normalized(&entry.subject) == asked || words(entry).contains(&asked));
    if !named.is_empty() || asked.is_empty() {
        return named;
    }
    let within = format!(" {asked} ");
    select(&|entry| words(entry).iter().any(|word| format!(" {word} ").contains(&within)))
}

/// Returns known words that are spelled nearly like this one, the nearest first; none where nothing is near.
pub fn near(asked: &str) -> Vec<String> {
    const MOST: usize = 4;
    let asked = normalized(asked);
    let mistakes = (asked.chars().count() / 3).min(3);
    let mut found: Vec<(usize, String)> = words()
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&normalized(&word), &asked), word))
        .filter(|(distance, word)| *distance <= mistakes && *distance < word.chars().count())
        .collect();
    found.sort();
    found.truncate(MOST);
    found.into_iter().map(|(_, word)| word).collect()
}

/// Returns every word that can be asked for, each once, written so that a shell takes it for one.
pub fn words() -> Vec<String> {
    let subjects = SUBJECTS.iter().map(|subject| subject.name.to_string());
    let words = entries().into_iter().map(|entry| normalized(&entry.word).replace(' ', "-"));
    let mut all: Vec<String> = subjects.chain(words).filter(|word| !word.is_empty()).collect();
    all.sort();
    all.dedup();
    all
}

/// Returns all words of an entry.
fn names(entry: &Entry) -> impl Iterator<Item = &str> {
    std::iter::once(entry.word.as_str()).chain(entry.also.iter().map(String::as_str))
}

/// Returns a word without what a reader may write otherwise: case, hyphens and underscores, `/` for "per", other marks.
fn normalized(word: &str) -> String {
    let spelled = word.to_lowercase().replace('/', " per ");
    // Marks that are words of their own.
    if !spelled.contains(char::is_alphanumeric) {
        return spelled.trim().to_string();
    }
    let parts = spelled.split(|letter: char| !letter.is_alphanumeric() && !matches!(letter, '.' | '±' | '÷'));
    parts.map(|part| part.trim_end_matches('.')).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}
