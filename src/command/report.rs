//! `ctxprof report`: a saved document again.

use anyhow::Result;

use crate::cli::{ColorChoice, ReportArgs};
use crate::command::output::deliver;
use crate::command::sort;
use crate::record::reader::{self, Saved};
use crate::record::store;
use crate::render::Report;

pub(super) fn execute(arguments: &ReportArgs, color: ColorChoice) -> Result<()> {
    let path = match &arguments.file {
        Some(path) => path.clone(),
        None => store::newest(&store::folder()?)?,
    };
    let mut saved = reader::read(&path)?;
    let report: &dyn Report = match &mut saved {
        Saved::Run(run) => {
            sort(run, arguments.sort);
            &**run
        }
        Saved::Stat(stat) => &**stat,
        Saved::Compare(compare) => &**compare,
        Saved::Diff(diff) => &**diff,
        Saved::List(list) => &**list,
        Saved::Memory(memory) => &**memory,
        Saved::Sweep(sweep) => &**sweep,
    };
    deliver(report, &arguments.output, color)
}
