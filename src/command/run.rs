//! `ctxprof run`: the price list.

use std::path::Path;
use std::time::SystemTime;

use anyhow::{Result, bail};
use nix::sys::signal::Signal;

use crate::bench;
use crate::cli::{ColorChoice, RunArgs};
use crate::command::output::{self, deliver};
use crate::command::progress::Bar;
use crate::command::{Outcome, place};
use crate::counter::ladder::Ladder;
use crate::host::probe;
use crate::host::surroundings::Surveyor;
use crate::record::run::{RunDocument, from_samples};
use crate::record::samples::{self, SamplesBody, SamplesDocument};
use crate::record::settings::RunSettings;
use crate::record::{Tool, store, timestamp};
use crate::render::Report;
use crate::sample::Ending;
use crate::sys::signal;

pub(super) fn execute(arguments: &RunArgs, color: ColorChoice) -> Result<Outcome> {
    signal::catch_stops()?;
    for path in arguments.output.output.iter().chain(&arguments.samples_out) {
        store::check_writable(path)?;
    }
    let samples = measure(arguments)?;
    let document = from_samples(&samples);
    let delivered = if document.body.results.iter().any(|result| result.samples.taken > 0) {
        keep(&document, arguments);
        let delivered = deliver(&document, &arguments.output, color);
        delivered.and(write_samples(&samples, arguments))
    } else {
        Ok(())
    };
    match samples.body.seen.ending {
        Ending::Failed(reason) => bail!(reason),
        Ending::Interrupted(number) => {
            delivered.map(|()| Outcome::Interrupted(Signal::try_from(number).unwrap_or(Signal::SIGINT)))
        }
        Ending::Complete => delivered.map(|()| Outcome::Done),
    }
}

fn measure(arguments: &RunArgs) -> Result<SamplesDocument> {
    let started_at = timestamp(SystemTime::now());
    let plan = arguments.plan();
    let root = Path::new("/");
    let (place, processors) = place(arguments.cpu)?;
    let host = probe::facts(root, &place, &processors);
    let surveyor = Surveyor::new(place.cpu, probe::smt_siblings(root, place.cpu).unwrap_or_default());
    let choice = arguments.counter_choice();
    let mut ladder = Ladder::new(choice, place.cpu);
    let mut bar = Bar::new(!arguments.quiet && !arguments.no_progress);
    let seen = bench::run(&plan, place.cpu, &surveyor, &mut ladder, &mut |progress| bar.show(progress))?;
    bar.finish();
    let settings = RunSettings {
        workloads: plan.workloads.iter().map(|workload| workload.name.to_string()).collect(),
        incarnations: plan.incarnations,
        time_s: plan.effort.time.map(|time| time.as_secs_f64()),
        samples: plan.effort.samples,
        ops_per_sample: plan.ops_per_sample,
        counters: choice.name().to_string(),
    };
    let schema = samples::SCHEMA.to_string();
    Ok(SamplesDocument {
        schema,
        tool: Tool::this(),
        started_at,
        host,
        settings,
        body: SamplesBody { seen },
        warnings: Vec::new(),
    })
}

/// Keeps the run for later. That it could not be kept is no reason to withhold it now.
fn keep(document: &RunDocument, arguments: &RunArgs) {
    if arguments.no_save {
        return;
    }
    let kept = store::folder().and_then(|folder| store::keep(&folder, &document.started_at, &document.json()?));
    match kept {
        Ok(path) if !arguments.quiet => output::say(&format!("kept as {}", path.display())),
        Ok(_) => {}
        Err(error) => output::say(&format!("this run was not kept: {error:#}")),
    }
}

fn write_samples(samples: &SamplesDocument, arguments: &RunArgs) -> Result<()> {
    match &arguments.samples_out {
        Some(path) => store::write_whole(path, &serde_json::to_string(samples)?),
        None => Ok(()),
    }
}
