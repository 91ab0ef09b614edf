//! `ctxprof runs`: the saved runs, and removing the oldest.

use std::path::Path;
use std::time::SystemTime;

use anyhow::Result;

use crate::bench::document::runs::{RunState, RunsDocument, SCHEMA, SavedRun, listed};
use crate::cli::ColorChoice;
use crate::cli::runs::RunsArgs;
use crate::command::output::deliver;
use crate::document::Tool;
use crate::store::{self, timestamp};

pub(super) fn execute(arguments: &RunsArgs, color: ColorChoice) -> Result<()> {
    let folders = store::folders();
    let mut runs = listed(&folders);
    let (mut removed, mut failure) = (Vec::new(), None);
    if let Some(keep) = arguments.keep {
        let own = store::folder()?;
        for run in beyond(keep, &own, &runs) {
            if !arguments.dry_run {
                if let Err(error) = store::remove(&own, Path::new(&run.file)) {
                    failure = Some(error);
                    break;
                }
                runs.retain(|other| other.file != run.file);
            }
            removed.push(run);
        }
    }
    let document = RunsDocument {
        schema: SCHEMA.to_string(),
        tool: Tool::this(),
        started_at: timestamp(SystemTime::now()),
        folders: folders.iter().map(|folder| folder.display().to_string()).collect(),
        keep: arguments.keep,
        dry_run: arguments.dry_run,
        removed,
        runs,
    };
    let delivered = deliver(&document, &arguments.output, color);
    failure.map_or(delivered, Err)
}

/// Returns the oldest readable runs of a folder, without the newest `keep`.
fn beyond(keep: usize, folder: &Path, runs: &[SavedRun]) -> Vec<SavedRun> {
    let is_own = |run: &&SavedRun| run.state == RunState::Saved && Path::new(&run.file).parent() == Some(folder);
    let own: Vec<&SavedRun> = runs.iter().filter(is_own).collect();
    own[..own.len().saturating_sub(keep)].iter().map(|run| (*run).clone()).collect()
}
