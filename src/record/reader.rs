//! Reads saved documents, whatever wrote them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::record::compare::{self, CompareDocument};
use crate::record::diff::{self, DiffDocument};
use crate::record::doctor::{self, DoctorDocument};
use crate::record::list::{self, ListDocument};
use crate::record::memory::{self, MemoryDocument};
use crate::record::run::{self, RunDocument};
use crate::record::samples::{self, SamplesDocument};
use crate::record::stat::{self, StatDocument};
use crate::record::store;
use crate::record::sweep::{self, SweepDocument};
use crate::text;

/// Raw samples of an hour of every workload take a tenth of it. What is larger is read into memory for nothing.
const MOST_BYTES: u64 = 1 << 30;

/// A document of any command.
#[derive(Debug, Clone, PartialEq)]
pub enum Saved {
    /// As saved, or worked out again from saved samples.
    Run(Box<RunDocument>),
    Stat(Box<StatDocument>),
    Compare(Box<CompareDocument>),
    Diff(Box<DiffDocument>),
    Doctor(Box<DoctorDocument>),
    List(Box<ListDocument>),
    Memory(Box<MemoryDocument>),
    Sweep(Box<SweepDocument>),
}

/// What a file holds.
///
/// # Errors
/// The file cannot be read, is no JSON, or has a schema that this version does not read; each says where.
pub fn read(path: &Path) -> Result<Saved> {
    read_as(path, parse)
}

/// What a file holds, by a reader of its text.
///
/// # Errors
/// The file cannot be read; those of the reader, with the file's name.
pub fn read_as<T>(path: &Path, parse: impl FnOnce(&str) -> Result<T>) -> Result<T> {
    let bytes = text::read_bytes(path, MOST_BYTES, "any document of ctxprof's")?;
    text::decode(&bytes).and_then(parse).with_context(|| path.display().to_string())
}

/// The name under which a page holds the document that it was drawn from.
pub const PAGE_DOCUMENT: &str = "ctxprof-document";

/// The document within a page; any other text as it is, without an editor's mark before it.
fn document_in(text: &str) -> &str {
    let text = text::without_mark(text);
    let is_page = text.trim_start().get(..9).is_some_and(|start| start.eq_ignore_ascii_case("<!doctype"));
    let within = || {
        let (_, from) = text.split_once(&format!("id=\"{PAGE_DOCUMENT}\">"))?;
        Some(from.split_once("</script>")?.0)
    };
    if is_page { within().unwrap_or(text) } else { text }
}

/// What a text holds, as [`read`].
///
/// # Errors
/// As [`read`], of the text.
pub fn parse(text: &str) -> Result<Saved> {
    parse_beside(text, &[])
}

/// The start of every document.
#[derive(Debug, Deserialize)]
pub struct Header {
    pub schema: String,
}

impl Header {
    /// The document in a text, which may be a page, and its start.
    ///
    /// # Errors
    /// It is none.
    pub fn of(text: &str) -> Result<(Header, &str)> {
        let text = document_in(text);
        let header = serde_json::from_str(text).context("this is not a document that ctxprof wrote")?;
        Ok((header, text))
    }
}

/// As [`parse`], where there is another reader for documents of these schemas.
///
/// # Errors
/// As [`parse`].
pub fn parse_beside(text: &str, others: &[&str]) -> Result<Saved> {
    let (header, text) = Header::of(text)?;
    let damaged = || format!("a damaged {} document", header.schema);
    Ok(match header.schema.as_str() {
        run::SCHEMA => {
            let document = serde_json::from_str(text).with_context(damaged)?;
            Saved::Run(each_row_once(document).with_context(damaged)?)
        }
        samples::SCHEMA => {
            let document: SamplesDocument = serde_json::from_str(text).with_context(damaged)?;
            samples::check(&document.body.seen).with_context(damaged)?;
            Saved::Run(each_row_once(run::from_samples(&document)).with_context(damaged)?)
        }
        stat::SCHEMA => Saved::Stat(serde_json::from_str(text).with_context(damaged)?),
        compare::SCHEMA => Saved::Compare(serde_json::from_str(text).with_context(damaged)?),
        diff::SCHEMA => Saved::Diff(serde_json::from_str(text).with_context(damaged)?),
        doctor::SCHEMA => Saved::Doctor(serde_json::from_str(text).with_context(damaged)?),
        list::SCHEMA => Saved::List(serde_json::from_str(text).with_context(damaged)?),
        memory::SCHEMA => Saved::Memory(serde_json::from_str(text).with_context(damaged)?),
        sweep::SCHEMA => Saved::Sweep(serde_json::from_str(text).with_context(damaged)?),
        other => {
            let known = [
                run::SCHEMA,
                samples::SCHEMA,
                stat::SCHEMA,
                compare::SCHEMA,
                diff::SCHEMA,
                doctor::SCHEMA,
                list::SCHEMA,
                memory::SCHEMA,
                sweep::SCHEMA,
            ];
            bail!("the schema is {other:?}; this version shows {}", [&known, others].concat().join(", "))
        }
    })
}

/// Refuses a run that has a row twice, as one that was edited by hand: which of them is meant is not to be known.
fn each_row_once(run: RunDocument) -> Result<Box<RunDocument>> {
    let mut seen = HashSet::new();
    match run.body.results.iter().map(|result| result.title()).find(|title| !seen.insert(title.clone())) {
        Some(title) => bail!("{title} is in it twice"),
        None => Ok(Box::new(run)),
    }
}

/// A run's document from a file: as saved, or worked out again from saved samples.
///
/// # Errors
/// As [`read`]; or the file holds something else than a run.
pub fn read_run(path: &Path) -> Result<RunDocument> {
    match read(path)? {
        Saved::Run(run) => Ok(*run),
        _ => bail!("{} is no run (ctxprof.run or ctxprof.samples), and a run is needed here", path.display()),
    }
}

/// How far back one looks among the runs that were kept.
const MOST_RUNS: usize = 20;

/// The runs that were kept in these folders, the newest first; each is read when it is asked for. Those that cannot be read are passed over.
pub fn kept_runs(folders: &[PathBuf]) -> impl Iterator<Item = (PathBuf, RunDocument)> + use<> {
    let newest_first = store::kept_in(folders).unwrap_or_default().into_iter().rev().take(MOST_RUNS);
    newest_first.filter_map(|path| {
        let run = read_run(&path).ok()?;
        Some((path, run))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, words: &[&str]) {
        let error = format!("{:#}", parse(text).unwrap_err());
        for word in words {
            assert!(error.contains(word), "{word:?} is not in {error:?}");
        }
    }

    #[test]
    fn an_editors_mark_before_a_document_is_no_part_of_it() {
        let [marked, plain] = [format!("\u{feff}{GOLDEN}"), GOLDEN.to_string()].map(|text| parse(&text).unwrap());
        assert_eq!(marked, plain);
        let page = include_str!("../../tests/golden/run-1.html");
        assert_eq!(parse(&format!("\u{feff}{page}")).unwrap(), parse(page).unwrap());
    }

    #[test]
    fn what_is_no_run_is_refused_with_the_place() {
        check("", &["line 1 column 0"]);
        check("{\"schema\": 3}", &["line 1"]);
        check("[1, 2]", &["not a document"]);
        check("{\"schema\": \"ctxprof.run/9\"}", &["ctxprof.run/9", "ctxprof.run/1"]);
        check("{\"schema\": \"ctxprof.run/1\",\n\"tool\": 5}", &["damaged", "line 2"]);
        check("{\"schema\": \"ctxprof.run/1\", \"tool\":", &["EOF"]);
    }

    #[test]
    fn a_run_with_a_row_twice_is_refused() {
        let mut document: serde_json::Value = serde_json::from_str(GOLDEN).unwrap();
        let rows = document["results"].as_array_mut().unwrap();
        rows.push(rows[0].clone());
        check(&document.to_string(), &["damaged", "thread-pipe", "is in it twice"]);
    }

    const GOLDEN: &str = include_str!("../../tests/golden/run-1.json");

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
                let _ = diff::compare(&[*golden], &[*document], diff::DiffSettings::default(), String::new());
            }
        }
    }
}
