//! `ctxprof.runs/1`: the saved runs, what each is of, and what was removed.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::bench::document::run::{self, RunDocument};
use crate::bench::document::saved_runs::{of_document, of_samples};
use crate::bench::document::{history, samples};
use crate::document::reader::{Header, read_as};
use crate::document::{Ending, Tool};
use crate::store;

pub const SCHEMA: &str = "ctxprof.runs/1";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunsDocument {
    pub schema: String,
    pub tool: Tool,
    /// When they were listed: RFC 3339, UTC.
    pub started_at: String,
    /// Folders of saved runs, this user's first.
    pub folders: Vec<String>,
    /// Number of runs of the first folder that were to stay; null if nothing was to be removed.
    pub keep: Option<usize>,
    /// True if nothing was removed, only listed as if.
    pub dry_run: bool,
    /// Files that were removed, the oldest first.
    pub removed: Vec<SavedRun>,
    /// Files that are there, the newest last.
    pub runs: Vec<SavedRun>,
}

/// A file in a folder of saved runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedRun {
    pub file: String,
    pub state: RunState,
    /// Reason why it is no readable run.
    pub reason: Option<String>,
    pub started_at: Option<String>,
    /// Its rows.
    pub rows: Vec<String>,
    pub is_complete: Option<bool>,
    pub kernel: Option<String>,
    pub cpu_model: Option<String>,
    pub size_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// A run that this version reads.
    Saved,
    /// Written by a version whose documents are no longer read.
    OldVersion,
    /// Named like a run, and not readable.
    Damaged,
    /// No run.
    Foreign,
}

impl RunState {
    /// The name in JSON and in tables.
    pub fn name(self) -> &'static str {
        match self {
            RunState::Saved => "saved",
            RunState::OldVersion => "old-version",
            RunState::Damaged => "damaged",
            RunState::Foreign => "foreign",
        }
    }
}

/// Returns every file in the folders of saved runs: first those that are not named like a run, then runs, the newest last.
pub fn listed(folders: &[PathBuf]) -> Vec<SavedRun> {
    let runs = store::kept_in(folders).unwrap_or_default();
    let mut others: Vec<PathBuf> = folders.iter().flat_map(|folder| files_in(folder)).collect();
    others.retain(|path| !runs.contains(path) && path.file_name().is_some_and(|name| name != history::NAME));
    others.sort();
    let others = others.iter().map(|path| described(path, false));
    others.chain(runs.iter().map(|path| described(path, true))).collect()
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| !path.is_dir()).collect()
}

/// Contents of a file among saved runs.
enum Content {
    Run(Box<RunDocument>),
    Other(RunState, String),
}

fn described(path: &Path, named_like_a_run: bool) -> SavedRun {
    let (state, reason, run) = match read_as(path, |text| Ok(content(text, named_like_a_run))) {
        Ok(Content::Run(run)) => (RunState::Saved, None, Some(run)),
        Ok(Content::Other(state, reason)) => (state, Some(reason), None),
        Err(error) => {
            let state = if named_like_a_run { RunState::Damaged } else { RunState::Foreign };
            (state, Some(error.root_cause().to_string()), None)
        }
    };
    SavedRun {
        file: path.display().to_string(),
        state,
        reason,
        started_at: run.as_ref().map(|run| run.started_at.clone()),
        rows: run.iter().flat_map(|run| &run.body.results).map(|result| result.title()).collect(),
        is_complete: run.as_ref().map(|run| run.body.ending == Ending::Complete),
        kernel: run.as_ref().map(|run| run.host.kernel.clone()),
        cpu_model: run.as_ref().and_then(|run| run.host.cpu_model.clone()),
        size_bytes: fs::symlink_metadata(path).map_or(0, |file| file.len()),
    }
}

fn content(text: &str, named_like_a_run: bool) -> Content {
    let (header, text) = match Header::of(text) {
        Ok(read) => read,
        Err(error) if named_like_a_run => return Content::Other(RunState::Damaged, error.root_cause().to_string()),
        Err(error) => return Content::Other(RunState::Foreign, error.to_string()),
    };
    let read = match header.schema.as_str() {
        run::SCHEMA => of_document(text),
        samples::SCHEMA => of_samples(text),
        other => {
            return match header.check_age([run::SCHEMA, samples::SCHEMA]) {
                Err(error) => Content::Other(RunState::OldVersion, format!("{error:#}")),
                Ok(()) => Content::Other(RunState::Foreign, format!("its schema is {other:?}")),
            };
        }
    };
    match read {
        Ok(run) => Content::Run(run),
        Err(error) => Content::Other(RunState::Damaged, format!("{error:#}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = include_str!("../../../tests/golden/run-2.json");

    #[test]
    fn every_file_is_listed_for_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("run-20261124T000000Z-1.json", RUN);
        write("run-20261123T000000Z-1.json", &RUN[..RUN.len() / 2]);
        write("run-20261122T000000Z-1.json", "{\"schema\": \"ctxprof.run/1\"}");
        write("run-20261121T000000Z-1.json", "{\"schema\": \"ctxprof.stat/2\"}");
        write("notes.txt", "remember");
        write(history::NAME, "");
        fs::create_dir(folder.path().join("run-folder")).unwrap();
        let listed = listed(&[folder.path().to_path_buf(), folder.path().join("absent")]);
        let states: Vec<RunState> = listed.iter().map(|run| run.state).collect();
        use RunState::*;
        assert_eq!(states, [Foreign, Foreign, OldVersion, Damaged, Saved], "{listed:?}");
        let newest = listed.last().unwrap();
        assert_eq!(newest.rows, ["thread-pipe", "process-pipe", "task-channel"]);
        assert!(newest.is_complete == Some(true) && newest.size_bytes == RUN.len() as u64, "{newest:?}");
        assert!(listed.iter().all(|run| (run.state == Saved) == run.reason.is_none()), "{listed:?}");
    }
}
