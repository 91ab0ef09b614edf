//! `ctxprof report`: a saved run again.

use anyhow::Result;

use crate::cli::{ColorChoice, ReportArgs};
use crate::command::output::deliver;
use crate::command::sort;
use crate::record::{reader, store};

pub(super) fn execute(arguments: &ReportArgs, color: ColorChoice) -> Result<()> {
    let path = match &arguments.file {
        Some(path) => path.clone(),
        None => store::newest(&store::folder()?)?,
    };
    let mut document = reader::read_run(&path)?;
    sort(&mut document, arguments.sort);
    deliver(&document, &arguments.output, color)
}
