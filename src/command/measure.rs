//! From a command line to samples, for every command that measures workloads.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Error, Result, anyhow, bail};

use crate::bench::document::pace;
use crate::bench::document::samples::SamplesDocument;
use crate::bench::document::settings::RunSettings;
use crate::bench::engine;
use crate::bench::engine::injected_slowdown::InjectedSlowdown;
use crate::bench::engine::plan::{Effort, Entry, Plan, lay_out, leave_out_too_large};
use crate::bench::left_out::LeftOut;
use crate::cli::measure::MeasureArgs;
use crate::command::progress::Bar;
use crate::command::{output, place, places};
use crate::document::Tool;
use crate::host::placement::{PlaceChoice, Placement, Processors};
use crate::host::probe;
use crate::perf::fallback_chain::FallbackChain;
use crate::store::{self, timestamp};
use crate::workload::Workload;
use crate::workload::session::Setting;
use crate::workload::shape::RingShape;

/// Workloads and options of a measurement.
pub(super) struct Request<'a> {
    pub(super) measure: &'a MeasureArgs,
    /// In the order of the report.
    pub(super) workloads: Vec<&'static Workload>,
    /// Each workload is measured as each of these; `None` is a pair.
    pub(super) rings: Vec<Option<RingShape>>,
    pub(super) workers: u16,
    pub(super) effort: Effort,
    pub(super) more: More,
    pub(super) quiet: bool,
    pub(super) no_progress: bool,
}

/// Passes to make besides those for cost.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct More {
    pub(super) latency: bool,
    pub(super) breakdown: bool,
    pub(super) timeline: bool,
}

/// Measures the request.
///
/// # Errors
/// As [`engine::run`]; or none of its workloads can be measured on this host.
pub(super) fn measure(request: &Request<'_>) -> Result<SamplesDocument> {
    let arguments = request.measure;
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
    let host = probe::facts(root, Some(&place), &processors);
    let plan = Plan {
        reference_ns: pace::reference_ns(&store::folders(), &Tool::this(), &host),
        patience: arguments.patience,
        ..plan(request, place.cpu, &processors)?
    };
    let choice = arguments.counter_choice();
    let mut fallback_chain = FallbackChain::new(choice);
    let mut bar = Bar::new(!request.quiet && !request.no_progress);
    let seen = engine::run(&plan, &mut fallback_chain, &mut |progress| bar.show(progress))?;
    bar.finish();
    if let Some(waited) = seen.waited_ns.map(Duration::from_nanos).filter(|&waited| waited >= WORTH_A_WORD) {
        let (seconds, cpu) = (waited.as_secs_f64(), place.cpu);
        output::say_unless(request.quiet, &format!("waited {seconds:.1} s for CPU {cpu} to reach full speed"));
    }
    let mut names: Vec<&str> = Vec::new();
    for entry in &plan.entries {
        if !names.contains(&entry.workload.name) {
            names.push(entry.workload.name);
        }
    }
    let settings = RunSettings {
        workloads: names.into_iter().map(String::from).collect(),
        repetitions: plan.repetitions,
        time_s: plan.effort.time.map(|time| time.as_secs_f64()),
        samples: plan.effort.samples,
        ops_per_sample: plan.ops_per_sample,
        latency: plan.latency,
        breakdown: request.more.breakdown,
        timeline: request.more.timeline,
        counters: choice.name().to_string(),
        place: Some(arguments.place.to_string()),
        policy: plan.policy.map(|policy| policy.to_string()),
        nice: plan.nice,
        workers: Some(request.workers.into()),
        seed: Some(plan.seed),
        injected_slowdown: plan
            .injected_slowdown
            .map(|injected_slowdown| format!("{}:{}", injected_slowdown.workload, injected_slowdown.share)),
    };
    Ok(SamplesDocument::of(started_at, host, settings, seen))
}

/// Shorter waits for the CPU are not reported.
const WORTH_A_WORD: Duration = Duration::from_millis(100);

/// Returns the plan of a request, with everything prepared that takes long.
fn plan(request: &Request<'_>, leader: usize, processors: &Processors) -> Result<Plan> {
    let arguments = request.measure;
    let workers = usize::from(request.workers);
    let mut places = places(arguments.place, leader, processors)?;
    places.iter_mut().for_each(|(_, setting)| setting.workers = workers);
    let rings = |(placement, setting)| request.rings.iter().map(move |&ring| (placement, Setting { ring, ..setting }));
    let places: Vec<(Placement, Setting)> = places.into_iter().flat_map(rings).collect();
    let (mut entries, mut left_out) = lay_out(&request.workloads, &places);
    if request.rings.len() > 1 {
        // The rows of one curve stand together.
        entries.sort_by_key(|entry| request.workloads.iter().position(|workload| workload.name == entry.workload.name));
    }
    leave_out_too_large(&mut entries, &mut left_out, Path::new("/"));
    provide(&mut entries, &mut left_out, request.quiet);
    if entries.is_empty() {
        return Err(nothing_to_measure(&left_out));
    }
    let costs = Plan::of_costs(entries, left_out, arguments.repetitions, request.effort);
    Ok(Plan {
        ops_per_sample: arguments.ops_per_sample,
        latency: request.more.latency,
        record: request.more.breakdown || request.more.timeline,
        policy: arguments.policy,
        nice: arguments.nice,
        seed: arguments.seed.unwrap_or(costs.seed),
        injected_slowdown: injected_slowdown()?,
        ..costs
    })
}

/// Returns the error for a request of which all was left out, with the reasons.
pub(super) fn nothing_to_measure(left_out: &[LeftOut]) -> Error {
    let reasons: Vec<String> = left_out.iter().map(ToString::to_string).collect();
    anyhow!("nothing of this can be measured here: {}", reasons.join("; "))
}

/// Prepares what takes long; leaves out the workloads that fail, with the reason.
fn provide(entries: &mut Vec<Entry>, left_out: &mut Vec<LeftOut>, quiet: bool) {
    let say = |what: &str| output::say_unless(quiet, what);
    // A workload may be requested at several placements, and is prepared once.
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

/// Returns the slowdown that a test injects. Every document of such a run reports it.
fn injected_slowdown() -> Result<Option<InjectedSlowdown>> {
    const HOOK: &str = "CTXPROF_TEST_SLOWDOWN";
    let asked = std::env::var(HOOK).ok().map(|text| text.parse().map_err(|reason| anyhow!("{HOOK}: {reason}")));
    asked.transpose()
}
