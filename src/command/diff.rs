//! `ctxprof diff`: changes between saved runs.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Result, bail};

use crate::bench::document::run::RunDocument;
use crate::bench::document::saved_runs;
use crate::change::diff::{self, DiffDocument};
use crate::change::rows::DiffSettings;
use crate::cli::ColorChoice;
use crate::cli::diff::{DiffArgs, GateArgs};
use crate::command::Outcome;
use crate::command::output::{deliver, say};
use crate::store::{self, timestamp};
use crate::text::{self, STANDARD};

pub(super) fn execute(arguments: &DiffArgs, color: ColorChoice) -> Result<Outcome> {
    let (old, new) = sides(arguments)?;
    if old.iter().chain(&new).filter(|file| file.as_path() == Path::new(STANDARD)).count() > 1 {
        bail!("stdin (-) can be read once only: name a file for the other side");
    }
    let settings = DiffSettings {
        old: names(&old),
        new: names(&new),
        require_same: arguments.require_same.clone(),
        ..arguments.gate.settings()
    };
    let document = diff::compare(&read(&old)?, &read(&new)?, settings, timestamp(SystemTime::now()))?;
    deliver(&document, &arguments.output, color)?;
    outcome(&document)
}

/// Compares a run that has just ended with one that was read from a file.
pub(super) fn with_baseline(new: &RunDocument, old: RunDocument, file: &Path, gate: &GateArgs) -> Result<DiffDocument> {
    let settings = DiffSettings { old: vec![text::name(file)], new: vec!["this run".to_string()], ..gate.settings() };
    diff::compare(&[old], std::slice::from_ref(new), settings, timestamp(SystemTime::now()))
}

/// Returns the outcome of a diff that has been shown, which becomes the exit code.
///
/// # Errors
/// It was asked to judge more than it could.
pub(super) fn outcome(document: &DiffDocument) -> Result<Outcome> {
    let (body, settings) = (&document.body, &document.settings);
    if body.has_regression() || settings.fail_undecided && body.undecided().next().is_some() {
        return Ok(Outcome::Regression);
    }
    match body.failure_to_judge(settings) {
        Some(message) => bail!(message),
        None => Ok(Outcome::Done),
    }
}

/// Returns the files of both sides: those named, else the last two saved runs.
fn sides(arguments: &DiffArgs) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    match (arguments.files.as_slice(), arguments.old.as_slice(), arguments.new.as_slice()) {
        ([], [], []) => {
            let [old, new] = last_two()?;
            Ok((vec![old], vec![new]))
        }
        ([old, new], [], []) => Ok((vec![old.clone()], vec![new.clone()])),
        ([], old @ [_, ..], new @ [_, ..]) => Ok((old.to_vec(), new.to_vec())),
        _ => bail!("name two files, or --old FILE… --new FILE…, or none for the last two runs"),
    }
}

/// Returns the newest saved run, and before it the newest that has all its rows, else most of them.
fn last_two() -> Result<[PathBuf; 2]> {
    let folders = store::folders();
    let newest = store::newest(&folders)?;
    store::remarks_on_newest(&folders, &newest).iter().for_each(|remark| say(remark));
    let new = saved_runs::read_run(&newest)?;
    let mut best: Option<(usize, usize, PathBuf)> = None;
    let earlier = saved_runs::kept_runs(&folders).filter(|(path, _)| *path != newest);
    for (between, (path, old)) in earlier.enumerate() {
        let rows = diff::comparable_rows(&old, &new);
        if rows > best.as_ref().map_or(0, |(most, ..)| *most) {
            best = Some((rows, between, path));
        }
        if rows == new.body.results.len() {
            break;
        }
    }
    let Some((_, between, old)) = best else {
        bail!(
            "no earlier saved run has a workload of {} under the same policy and on this kind of host; name two files",
            newest.display()
        );
    };
    if between > 0 {
        say(&format!("passed over {between} saved runs in between, of other workloads, policies or hosts"));
    }
    Ok([old, newest])
}

fn names(files: &[PathBuf]) -> Vec<String> {
    files.iter().map(|file| text::name(file)).collect()
}

fn read(files: &[PathBuf]) -> Result<Vec<RunDocument>> {
    files.iter().map(|file| saved_runs::read_run(file)).collect()
}
