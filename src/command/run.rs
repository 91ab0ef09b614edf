//! `ctxprof run`: the cost of a switch, by mechanism.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use nix::unistd::geteuid;

use crate::bench::document::run::{RunDocument, from_samples};
use crate::bench::document::samples::SamplesDocument;
use crate::bench::document::{history, saved_runs};
use crate::cli::run::RunArgs;
use crate::cli::{ColorChoice, OutputArgs};
use crate::command::measure::{More, Request, measure, nothing_to_measure};
use crate::command::output::{self, check_writable, deliver, write_file};
use crate::command::{Outcome, diff, ended, sort};
use crate::document::Ending;
use crate::output::Report;
use crate::sys::signal;
use crate::{store, workload};

pub(super) fn execute(arguments: &RunArgs, color: ColorChoice) -> Result<Outcome> {
    // Before minutes are spent on a run that could not be compared; and before signals are caught, as opening a FIFO without
    // a writer blocks until a signal ends this process.
    let baseline = arguments.baseline.as_deref().map(saved_runs::read_run).transpose()?;
    signal::catch_stops()?;
    check_writable(arguments.output.output.iter().chain(&arguments.samples_out))?;
    let mut samples = samples(arguments)?;
    let mut document = from_samples(&samples);
    let mut outcome = Outcome::Done;
    let delivered = if document.body.results.iter().any(|result| result.samples.taken > 0) {
        let saved_as = keep(&mut document, &mut samples, arguments);
        sort(&mut document, arguments.sort);
        let delivered = deliver(&document, &arguments.output, color);
        if let Some(path) = saved_as.filter(|_| !arguments.quiet) {
            output::say(&format!("saved as {}. More: report --wide | run all | explain", path.display()));
        }
        let compared = against_baseline(&document, baseline, arguments, color).map(|of_baseline| outcome = of_baseline);
        delivered.and(write_samples(&samples, arguments)).and(compared)
    } else if document.body.ending == Ending::Complete {
        Err(nothing_to_measure(&document.body.left_out))
    } else {
        Ok(())
    };
    ended(samples.body.seen.ending, delivered.map(|()| outcome))
}

/// Compares the run with its baseline: below the report in formats for people, else on stderr.
fn against_baseline(
    document: &RunDocument,
    baseline: Option<RunDocument>,
    arguments: &RunArgs,
    color: ColorChoice,
) -> Result<Outcome> {
    let (Some(old), Some(file)) = (baseline, &arguments.baseline) else { return Ok(Outcome::Done) };
    let diff = diff::with_baseline(document, old, file, &arguments.gate)?;
    if ["table", "markdown"].contains(&arguments.output.format.as_str()) {
        let below =
            OutputArgs { format: arguments.output.format.clone(), output: Vec::new(), wide: false, table: None };
        deliver(&diff, &below, color)?;
    } else {
        for row in &diff.body.rows {
            let what = if row.regression { "slower than the baseline allows" } else { "undecided beside the baseline" };
            if row.regression || row.is_undecided() {
                output::say(&format!("{} is {what}", row.title()));
            }
        }
    }
    diff::outcome(&diff)
}

/// Default time for each workload: the defaults are seven, and take less than 8 s with preparation and report.
const TIME_EACH: Duration = Duration::from_millis(800);

/// Measures the requested pairs or rings, or the defaults.
fn samples(arguments: &RunArgs) -> Result<SamplesDocument> {
    let selected = arguments.measure.selected();
    let request = Request {
        measure: &arguments.measure,
        workloads: if selected.is_empty() { workload::defaults().collect() } else { selected },
        rings: vec![arguments.ring()],
        workers: arguments.workers,
        effort: arguments.measure.effort(TIME_EACH),
        more: More { latency: arguments.latency, breakdown: arguments.breakdown, timeline: arguments.timeline },
        quiet: arguments.quiet,
        no_progress: arguments.no_progress,
    };
    measure(&request)
}

/// Adds the reproducibility predicted from earlier runs, then saves this run and adds it to the history; returns the file it is
/// saved in. A failure to save it is no reason to withhold the report.
fn keep(document: &mut RunDocument, samples: &mut SamplesDocument, arguments: &RunArgs) -> Option<PathBuf> {
    let folder = store::folder();
    let beside = || folder.as_ref().ok().map(|folder| folder.join(history::NAME));
    let history = arguments.history.clone().or_else(beside);
    if let Some(history) = &history {
        history::apply(document, history);
        samples.body.reproducibility = document.body.results.iter().map(|result| result.reproducibility).collect();
    }
    if arguments.no_save {
        return None;
    }
    let kept = folder.and_then(|folder| store::keep(&folder, &document.started_at, &document.json()?));
    let saved_as = kept.map_err(|error| output::say(&format!("this run was not saved: {error:#}"))).ok();
    // Beside saved runs only if this one could be saved, as that checked root's folder.
    let Some(history) = history.filter(|_| saved_as.is_some() || arguments.history.is_some()) else { return saved_as };
    let for_all_readers = arguments.history.is_none() && geteuid().is_root();
    if let Err(error) = history::remember(document, &history, for_all_readers) {
        output::say(&format!("this run was not added to the history: {error:#}"));
    }
    saved_as
}

fn write_samples(samples: &SamplesDocument, arguments: &RunArgs) -> Result<()> {
    match &arguments.samples_out {
        Some(path) => write_file(path, &serde_json::to_string(samples)?),
        None => Ok(()),
    }
}
