//! `ctxprof report`: a saved document again.

use anyhow::Result;

use crate::cli::{ColorChoice, ReportArgs};
use crate::command::output::deliver;
use crate::command::sort;
use crate::record::reader::{self, Saved};
use crate::record::store;
use crate::render::report_of;

pub(super) fn execute(arguments: &ReportArgs, color: ColorChoice) -> Result<()> {
    let path = match &arguments.file {
        Some(path) => path.clone(),
        None => store::newest(&store::folder()?)?,
    };
    let mut saved = reader::read(&path)?;
    if let Saved::Run(run) = &mut saved {
        sort(run, arguments.sort);
    }
    deliver(report_of(&saved), &arguments.output, color)
}
