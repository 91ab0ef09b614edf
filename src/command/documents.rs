//! The registry of documents: the type that each schema is read as, and so shown as.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;

use crate::bench::document::compare::{self, CompareDocument};
use crate::bench::document::list::{self, ListDocument};
use crate::bench::document::run::{self, RunDocument};
use crate::bench::document::runs::{self, RunsDocument};
use crate::bench::document::sweep::{self, SweepDocument};
use crate::bench::document::{samples, saved_runs};
use crate::change::diff::{self, DiffDocument};
use crate::doctor::document::{self as doctor, DoctorDocument};
use crate::document::reader::{Header, read_as};
use crate::footprint::document::{self as memory, MemoryDocument};
use crate::glossary::document::{self as explain, ExplainDocument};
use crate::output::Report;
use crate::program::stat::document::{self as stat, StatDocument};
use crate::program::trace::document::{self as trace, TraceDocument};

#[derive(Debug)]
pub enum Saved {
    /// As saved, or recomputed from raw samples.
    Run(Box<RunDocument>),
    Other(Box<dyn Report>),
}

type Reader = fn(&str) -> Result<Saved>;

/// Every schema, with its reader.
const DOCUMENTS: &[(&str, Reader)] = &[
    (run::SCHEMA, |text| saved_runs::of_document(text).map(Saved::Run)),
    (samples::SCHEMA, |text| saved_runs::of_samples(text).map(Saved::Run)),
    (stat::SCHEMA, other::<StatDocument>),
    (trace::SCHEMA, other::<TraceDocument>),
    (compare::SCHEMA, other::<CompareDocument>),
    (diff::SCHEMA, other::<DiffDocument>),
    (doctor::SCHEMA, other::<DoctorDocument>),
    (list::SCHEMA, other::<ListDocument>),
    (runs::SCHEMA, other::<RunsDocument>),
    (explain::SCHEMA, other::<ExplainDocument>),
    (memory::SCHEMA, other::<MemoryDocument>),
    (sweep::SCHEMA, other::<SweepDocument>),
];

fn other<D: Report + DeserializeOwned + 'static>(text: &str) -> Result<Saved> {
    Ok(Saved::Other(Box::new(serde_json::from_str::<D>(text)?)))
}

impl Saved {
    pub fn report(&self) -> &dyn Report {
        match self {
            Saved::Run(run) => &**run,
            Saved::Other(report) => &**report,
        }
    }
}

/// Returns what a file holds.
///
/// # Errors
/// The file cannot be read, is no JSON, or has a schema that this version does not read; the error names the place.
pub fn read(path: &Path) -> Result<Saved> {
    read_as(path, parse)
}

/// Returns what a text holds, as [`read`].
///
/// # Errors
/// As [`read`], of the text.
pub fn parse(text: &str) -> Result<Saved> {
    let (header, text) = Header::of(text)?;
    let Some((_, reader)) = DOCUMENTS.iter().find(|(schema, _)| *schema == header.schema) else {
        let known: Vec<&str> = DOCUMENTS.iter().map(|(schema, _)| *schema).collect();
        header.check_age(known.iter().copied())?;
        bail!("the schema is {:?}; this version shows {}", header.schema, known.join(", "))
    };
    reader(text).with_context(|| format!("a damaged {} document", header.schema))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use crate::change::rows::DiffSettings;

    fn check(text: &str, words: &[&str]) {
        let error = format!("{:#}", parse(text).unwrap_err());
        for word in words {
            assert!(error.contains(word), "{word:?} is not in {error:?}");
        }
    }

    #[test]
    fn an_editors_mark_before_a_document_is_no_part_of_it() {
        let json = |text: &str| parse(text).unwrap().report().json().unwrap();
        assert_eq!(json(&format!("\u{feff}{GOLDEN}")), json(GOLDEN));
        let page = include_str!("../../tests/golden/run-2.html");
        assert_eq!(json(&format!("\u{feff}{page}")), json(page));
    }

    /// Returns the words of a command line as a shell takes them.
    fn words(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        for (at, part) in line.split('\'').enumerate() {
            if at % 2 == 1 {
                *words.last_mut().unwrap() += part;
                continue;
            }
            for (at, piece) in part.split(' ').enumerate() {
                if at > 0 {
                    words.push(String::new());
                }
                *words.last_mut().unwrap() += piece;
            }
        }
        words
    }

    #[test]
    fn the_command_that_makes_a_document_again_is_one_of_ours() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let documents = files.filter(|path| path.extension().is_some_and(|suffix| suffix == "json"));
        let mut commands = 0;
        for path in documents {
            let Some(line) = read(&path).unwrap().report().view(false).command else { continue };
            let line = line.strip_prefix("sudo ").unwrap_or(&line);
            if let Err(error) = crate::cli::parse_from(words(line)) {
                panic!("{line}: {error}");
            }
            commands += 1;
        }
        assert!(commands > 8, "{commands}");
    }

    #[test]
    fn what_is_no_run_is_refused_with_the_place() {
        check("", &["line 1 column 0"]);
        check("{\"schema\": 3}", &["line 1"]);
        check("[1, 2]", &["not a document"]);
        check("{\"schema\": \"ctxprof.run/9\"}", &["ctxprof.run/9", "ctxprof.run/2"]);
        check("{\"schema\": \"ctxprof.run/2\",\n\"tool\": 5}", &["damaged", "line 2"]);
        check("{\"schema\": \"ctxprof.run/2\", \"tool\":", &["EOF"]);
    }

    #[test]
    fn a_document_of_before_the_first_release_is_refused_in_one_sentence() {
        check(
            "{\"schema\": \"ctxprof.run/1\"}",
            &["written by an unreleased ctxprof 0.1 (ctxprof.run/1); measure again"],
        );
    }

    #[test]
    fn a_run_with_a_row_twice_is_refused() {
        let mut document: serde_json::Value = serde_json::from_str(GOLDEN).unwrap();
        let rows = document["results"].as_array_mut().unwrap();
        rows.push(rows[0].clone());
        check(&document.to_string(), &["damaged", "thread-pipe", "is in it twice"]);
    }

    const GOLDEN: &str = include_str!("../../tests/golden/run-2.json");

    /// The golden document with a few of its bytes replaced, and cut off somewhere.
    fn damaged(replaced: &[(usize, u8)], length: usize) -> String {
        let mut bytes = GOLDEN.as_bytes().to_vec();
        replaced.iter().for_each(|&(at, byte)| {
            let at = at % bytes.len();
            bytes[at] = byte;
        });
        bytes.truncate(length);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = parse(&text);
        }

        #[test]
        fn a_damaged_document_is_refused_or_read_and_compared(
            replaced in prop::collection::vec((any::<usize>(), prop::sample::select(b"0123456789eE+-.,:[]{}\"nul".to_vec())), 0..6),
            whole in any::<bool>(),
            length in 0..GOLDEN.len(),
        ) {
            let text = damaged(&replaced, if whole { GOLDEN.len() } else { length });
            if let (Ok(Saved::Run(document)), Ok(Saved::Run(golden))) = (parse(&text), parse(GOLDEN)) {
                let _ = diff::compare(&[*golden], &[*document], DiffSettings::default(), String::new());
            }
        }
    }

    #[test]
    fn an_unknown_schema_is_refused_with_all_that_are_known() {
        let error = parse("{\"schema\": \"ctxprof.trace/9\"}").unwrap_err().to_string();
        assert!(
            error.contains("trace/9") && error.contains("ctxprof.trace/1") && error.contains("ctxprof.run/2"),
            "{error}"
        );
        let error = format!("{:#}", parse("{\"schema\": \"ctxprof.trace/1\", \"tool\": 5}").unwrap_err());
        assert!(error.contains("damaged"), "{error}");
    }
}
