//! `ctxprof diff`: what has changed since.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Result, bail};

use crate::cli::{ColorChoice, DiffArgs};
use crate::command::Outcome;
use crate::command::output::{deliver, say};
use crate::record::diff::{self, DiffDocument, DiffSettings};
use crate::record::run::RunDocument;
use crate::record::{reader, store, timestamp};

pub(super) fn execute(arguments: &DiffArgs, color: ColorChoice) -> Result<Outcome> {
    let (old, new) = sides(arguments)?;
    let settings = DiffSettings {
        old: names(&old),
        new: names(&new),
        fail_above: arguments.fail_above,
        require_same: arguments.require_same.clone(),
    };
    let document = diff::compare(&read(&old)?, &read(&new)?, settings, timestamp(SystemTime::now()))?;
    deliver(&document, &arguments.output, color)?;
    Ok(outcome(&document))
}

/// The diff of a run that has just ended with one that was read from a file.
pub(super) fn with_baseline(
    new: &RunDocument,
    old: RunDocument,
    file: &Path,
    fail_above: Option<f64>,
) -> Result<DiffDocument> {
    let settings = DiffSettings {
        old: vec![file.display().to_string()],
        new: vec!["this run".to_string()],
        fail_above,
        require_same: Vec::new(),
    };
    diff::compare(&[old], std::slice::from_ref(new), settings, timestamp(SystemTime::now()))
}

pub(super) fn outcome(document: &DiffDocument) -> Outcome {
    if document.body.has_regression() { Outcome::Regression } else { Outcome::Done }
}

/// The files of both sides: those named, else the last two runs that were kept.
fn sides(arguments: &DiffArgs) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    match (arguments.files.as_slice(), arguments.old.as_slice(), arguments.new.as_slice()) {
        ([], [], []) => {
            let folders = store::folders();
            let [old, new] = store::newest_two(&folders)?;
            store::remarks_on_newest(&folders, &new).iter().for_each(|remark| say(remark));
            Ok((vec![old], vec![new]))
        }
        ([old, new], [], []) => Ok((vec![old.clone()], vec![new.clone()])),
        ([], old @ [_, ..], new @ [_, ..]) => Ok((old.to_vec(), new.to_vec())),
        _ => bail!("name two files, or --old FILE… --new FILE…, or none for the last two runs"),
    }
}

fn names(files: &[PathBuf]) -> Vec<String> {
    files.iter().map(|file| file.display().to_string()).collect()
}

fn read(files: &[PathBuf]) -> Result<Vec<RunDocument>> {
    files.iter().map(|file| reader::read_run(file)).collect()
}
