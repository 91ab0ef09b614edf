//! `ctxprof report`: a saved document, shown again.

use std::path::PathBuf;

use anyhow::Result;

use crate::cli::{ColorChoice, ReportArgs};
use crate::command::documents::{self, Saved};
use crate::command::output::{deliver, say};
use crate::command::sort;
use crate::store;

pub(super) fn execute(arguments: &ReportArgs, color: ColorChoice) -> Result<()> {
    let path = match &arguments.file {
        Some(path) => path.clone(),
        None => newest()?,
    };
    let mut saved = documents::read(&path)?;
    if let Saved::Run(run) = &mut saved {
        sort(run, arguments.sort);
    }
    deliver(saved.report(), &arguments.output, color)
}

/// The run that was saved last, of this user's and of root's.
fn newest() -> Result<PathBuf> {
    let folders = store::folders();
    let newest = store::newest(&folders)?;
    store::remarks_on_newest(&folders, &newest).iter().for_each(|remark| say(remark));
    Ok(newest)
}
