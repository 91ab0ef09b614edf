//! `ctxprof run`: the price list.

use std::path::Path;
use std::time::SystemTime;

use anyhow::{Result, anyhow, bail};

use crate::bench;
use crate::bench::handicap::Handicap;
use crate::bench::plan::{Entry, Plan, lay_out, leave_out_too_large};
use crate::cli::run::RunArgs;
use crate::cli::{ColorChoice, OutputArgs};
use crate::command::diff;
use crate::command::output::{self, deliver};
use crate::command::progress::Bar;
use crate::command::{Outcome, ended, place, places, sort};
use crate::counter::ladder::Ladder;
use crate::host::placement::{PlaceChoice, Processors};
use crate::host::probe;
use crate::record::run::{RunDocument, from_samples};
use crate::record::samples::SamplesDocument;
use crate::record::settings::RunSettings;
use crate::record::{reader, store, timestamp};
use crate::render::Report;
use crate::sample::{Ending, LeftOut};
use crate::sys::signal;
use crate::workload;

pub(super) fn execute(arguments: &RunArgs, color: ColorChoice) -> Result<Outcome> {
    signal::catch_stops()?;
    for path in arguments.output.output.iter().chain(&arguments.samples_out) {
        store::check_writable(path)?;
    }
    // Before minutes are spent on what could then not be compared.
    let baseline = arguments.baseline.as_deref().map(reader::read_run).transpose()?;
    let samples = measure(arguments)?;
    let mut document = from_samples(&samples);
    let mut outcome = Outcome::Done;
    let delivered = if document.body.results.iter().any(|result| result.samples.taken > 0) {
        keep(&document, arguments);
        sort(&mut document, arguments.sort);
        let delivered = deliver(&document, &arguments.output, color);
        let compared = against_baseline(&document, baseline, arguments, color).map(|of_baseline| outcome = of_baseline);
        delivered.and(write_samples(&samples, arguments)).and(compared)
    } else {
        nothing_measured(&document.body.left_out, &samples.body.seen.ending)
    };
    ended(samples.body.seen.ending, delivered.map(|()| outcome))
}

/// That a run that came to its end measured nothing is an error: every ring was refused.
fn nothing_measured(left_out: &[LeftOut], ending: &Ending) -> Result<()> {
    match ending {
        Ending::Complete => {
            let reasons: Vec<String> = left_out.iter().map(LeftOut::to_string).collect();
            bail!("nothing could be measured: {}", reasons.join("; "))
        }
        Ending::Interrupted(_) | Ending::Failed(_) => Ok(()),
    }
}

/// Sets the run beside its baseline: below the report, where people read it, else on stderr.
fn against_baseline(
    document: &RunDocument,
    baseline: Option<RunDocument>,
    arguments: &RunArgs,
    color: ColorChoice,
) -> Result<Outcome> {
    let (Some(old), Some(file)) = (baseline, &arguments.baseline) else { return Ok(Outcome::Done) };
    let diff = diff::with_baseline(document, old, file, arguments.fail_above)?;
    if ["table", "markdown"].contains(&arguments.output.format.as_str()) {
        let below = OutputArgs { format: arguments.output.format.clone(), output: Vec::new(), wide: false };
        deliver(&diff, &below, color)?;
    } else {
        diff.body
            .rows
            .iter()
            .filter(|row| row.regression)
            .for_each(|row| output::say(&format!("{} is slower than the baseline allows", row.workload)));
    }
    Ok(diff::outcome(&diff))
}

fn measure(arguments: &RunArgs) -> Result<SamplesDocument> {
    let started_at = timestamp(SystemTime::now());
    let root = Path::new("/");
    let leader = match (arguments.place, arguments.cpu) {
        (PlaceChoice::Cpus(..), Some(_)) => {
            bail!("--place {} names the CPUs already: leave out --cpu", arguments.place)
        }
        (PlaceChoice::Cpus(leader, follower), None) => {
            place(Some(follower))?;
            Some(leader)
        }
        (_, cpu) => cpu,
    };
    let (place, processors) = place(leader)?;
    let plan = plan(arguments, place.cpu, &processors)?;
    let host = probe::facts(root, Some(&place), &processors);
    let choice = arguments.counter_choice();
    let mut ladder = Ladder::new(choice);
    let mut bar = Bar::new(!arguments.quiet && !arguments.no_progress);
    let seen = bench::run(&plan, &mut ladder, &mut |progress| bar.show(progress))?;
    bar.finish();
    let mut names: Vec<&str> = Vec::new();
    for entry in &plan.entries {
        if !names.contains(&entry.workload.name) {
            names.push(entry.workload.name);
        }
    }
    let settings = RunSettings {
        workloads: names.into_iter().map(String::from).collect(),
        incarnations: plan.incarnations,
        time_s: plan.effort.time.map(|time| time.as_secs_f64()),
        samples: plan.effort.samples,
        ops_per_sample: plan.ops_per_sample,
        latency: plan.latency,
        counters: choice.name().to_string(),
        place: Some(arguments.place.to_string()),
        policy: plan.policy.map(|policy| policy.to_string()),
        nice: plan.nice,
        workers: Some(arguments.workers.into()),
        layers: arguments.layers,
        timeline: arguments.timeline,
        handicap: plan.handicap.map(|handicap| format!("{}:{}", handicap.workload, handicap.share)),
    };
    Ok(SamplesDocument::of(started_at, host, settings, seen))
}

/// What is to be measured, with all that takes long made beforehand.
fn plan(arguments: &RunArgs, leader: usize, processors: &Processors) -> Result<Plan> {
    let workers = usize::from(arguments.workers);
    let mut places = places(arguments.place, leader, processors)?;
    places.iter_mut().for_each(|(_, setting)| (setting.workers, setting.ring) = (workers, arguments.ring()));
    let selected = arguments.selected();
    let workloads = if selected.is_empty() { workload::defaults().collect() } else { selected };
    let (mut entries, mut left_out) = lay_out(&workloads, &places);
    leave_out_too_large(&mut entries, &mut left_out, Path::new("/"));
    provide(&mut entries, &mut left_out, arguments.quiet);
    if entries.is_empty() {
        let reasons: Vec<String> = left_out.iter().map(|left_out| left_out.to_string()).collect();
        bail!("nothing of this can be measured here: {}", reasons.join("; "));
    }
    Ok(Plan {
        entries,
        left_out,
        incarnations: arguments.incarnations,
        effort: arguments.effort(),
        ops_per_sample: arguments.ops_per_sample,
        latency: arguments.latency,
        policy: arguments.policy,
        nice: arguments.nice,
        record: arguments.layers || arguments.timeline,
        handicap: handicap()?,
    })
}

/// Makes what takes long to make; leaves out what cannot be made, with the reason.
fn provide(entries: &mut Vec<Entry>, left_out: &mut Vec<LeftOut>, quiet: bool) {
    let say = |what: &str| output::say_unless(quiet, what);
    // A workload may be meant for several placements, and is made once.
    let mut made: Vec<(&str, Result<()>)> = Vec::new();
    for entry in entries.iter() {
        if made.iter().all(|(name, _)| *name != entry.workload.name) {
            made.push((entry.workload.name, (entry.workload.provide)(&say)));
        }
    }
    entries.retain(|entry| {
        let outcome = made.iter().find(|(name, _)| *name == entry.workload.name);
        let Some((_, Err(error))) = outcome else { return true };
        left_out.push(entry.left_out(format!("{error:#}"), None));
        false
    });
}

/// What a test asks to be made slower. Every document of such a run says so.
fn handicap() -> Result<Option<Handicap>> {
    const HOOK: &str = "CTXPROF_TEST_HANDICAP";
    let asked = std::env::var(HOOK).ok().map(|text| text.parse().map_err(|reason| anyhow!("{HOOK}: {reason}")));
    asked.transpose()
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
