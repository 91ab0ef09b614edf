//! `ctxprof sweep`: the cost of a switch by the size of the ring.

use anyhow::{Error, Result};

use crate::bench::document::sweep::from_samples;
use crate::cli::ColorChoice;
use crate::cli::sweep::SweepArgs;
use crate::command::measure::{More, Request, measure, nothing_to_measure};
use crate::command::output::{check_writable, deliver};
use crate::command::{Outcome, ended};
use crate::document::Ending;
use crate::sys::signal;

pub(super) fn execute(arguments: &SweepArgs, color: ColorChoice) -> Result<Outcome> {
    signal::catch_stops()?;
    check_writable(&arguments.output.output)?;
    let steps = arguments.steps().map_err(Error::msg)?;
    let request = Request {
        more: More::default(),
        measure: &arguments.measure,
        workloads: arguments.selected().map_err(Error::msg)?,
        rings: steps.rings().map(Some).collect(),
        workers: 1,
        effort: arguments.effort(),
        quiet: arguments.quiet,
        no_progress: arguments.no_progress,
    };
    let document = from_samples(measure(&request)?, steps);
    let ending = document.body.ending.clone();
    let delivered = if !document.body.results.is_empty() {
        deliver(&document, &arguments.output, color)
    } else if ending == Ending::Complete {
        Err(nothing_to_measure(&document.body.left_out))
    } else {
        Ok(())
    };
    ended(ending, delivered.map(|()| Outcome::Done))
}
