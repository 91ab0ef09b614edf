//! Saved runs, from documents and from raw samples.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::bench::document::run::{self, RunDocument};
use crate::bench::document::samples::{self, SamplesDocument};
use crate::document::reader::{Header, read_as};
use crate::store;

/// Returns the run in a `ctxprof.run` document.
///
/// # Errors
/// It is damaged, or has a row twice.
pub fn of_document(text: &str) -> Result<Box<RunDocument>> {
    each_row_once(serde_json::from_str(text)?)
}

/// Returns the run computed again from the raw samples in a `ctxprof.samples` document.
///
/// # Errors
/// It is damaged, or has a row twice.
pub fn of_samples(text: &str) -> Result<Box<RunDocument>> {
    let document: SamplesDocument = serde_json::from_str(text)?;
    samples::check(&document.body.seen)?;
    each_row_once(run::from_samples(&document))
}

/// Refuses a run that has a row twice, as after an edit by hand: which of them is meant cannot be known.
fn each_row_once(run: RunDocument) -> Result<Box<RunDocument>> {
    let mut seen = HashSet::new();
    match run.body.results.iter().map(|result| result.title()).find(|title| !seen.insert(title.clone())) {
        Some(title) => bail!("{title} is in it twice"),
        None => Ok(Box::new(run)),
    }
}

/// Returns a run's document from a file: as saved, or computed again from saved samples.
///
/// # Errors
/// The file cannot be read, is no JSON, is damaged, or holds something else than a run.
pub fn read_run(path: &Path) -> Result<RunDocument> {
    let parse = |text: &str| {
        let (header, text) = Header::of(text)?;
        let read = match header.schema.as_str() {
            run::SCHEMA => of_document(text),
            samples::SCHEMA => of_samples(text),
            other => {
                header.check_age([run::SCHEMA, samples::SCHEMA])?;
                bail!(
                    "it is no run: its schema is {other:?}, and a run ({} or {}) is needed here",
                    run::SCHEMA,
                    samples::SCHEMA
                )
            }
        };
        read.with_context(|| format!("a damaged {} document", header.schema))
    };
    read_as(path, parse).map(|run| *run)
}

/// Number of saved runs that are searched, the newest first.
const MOST_RUNS: usize = 20;

/// Returns the runs saved in these folders, newest first, each read when it is asked for; unreadable ones are skipped.
pub fn kept_runs(folders: &[PathBuf]) -> impl Iterator<Item = (PathBuf, RunDocument)> + use<> {
    let newest_first = store::kept_in(folders).unwrap_or_default().into_iter().rev().take(MOST_RUNS);
    newest_first.filter_map(|path| {
        let run = read_run(&path).ok()?;
        Some((path, run))
    })
}
