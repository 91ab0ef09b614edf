//! Measures the cost of a switch on this host in a second, for a program's estimate, where no saved run has it.

use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::Result;

use crate::bench::cost_list::{CostList, CostPair, CostSource};
use crate::bench::document::cost::{self, BETWEEN, BETWEEN_YIELD, WITHIN, WITHIN_YIELD};
use crate::bench::document::run::{RunDocument, from_samples};
use crate::bench::document::samples::SamplesDocument;
use crate::bench::document::settings::RunSettings;
use crate::bench::engine;
use crate::bench::engine::plan::{Effort, Entry, Plan, lay_out};
use crate::bench::left_out::LeftOut;
use crate::command::{place, places};
use crate::host::placement::{PlaceChoice, Placement};
use crate::host::probe;
use crate::perf::counting::CountingMode;
use crate::perf::fallback_chain::{CounterChoice, FallbackChain};
use crate::store::timestamp;
use crate::sys::signal;
use crate::workload;

/// Time of each row, of six at most.
const TIME: Duration = Duration::from_millis(250);
/// The fewest repetitions that give a 95 % interval.
const REPETITIONS: u32 = 6;
/// Time for which the kernel keeps switches slow after the last event on a thread has been closed.
const AFTER_THREAD_EVENTS: Duration = Duration::from_millis(1200);

/// Measures the costs that `known` lacks; returns also those that are not available on this host. Waits first where events on
/// threads have just been closed.
///
/// # Errors
/// There is no CPU to pin to, or a workload failed.
pub(super) fn costs(known: &CostList, after_thread_events: bool) -> Result<(CostList, Vec<LeftOut>)> {
    if after_thread_events {
        thread::sleep(AFTER_THREAD_EVENTS);
    }
    let lacks = |workload: &str, placement: Placement| {
        let is_within = [WITHIN, WITHIN_YIELD].contains(&workload);
        let pair: &CostPair = if is_within { &known.within } else { &known.between };
        let is_yield = [WITHIN_YIELD, BETWEEN_YIELD].contains(&workload);
        match (is_yield, placement == Placement::Same) {
            (true, is_same) => is_same && pair.yielding.is_none(),
            (false, true) => pair.same.is_none(),
            (false, false) => pair.across.is_none(),
        }
    };
    let choice = CounterChoice::Only(CountingMode::Rusage);
    let names = [WITHIN, BETWEEN, WITHIN_YIELD, BETWEEN_YIELD];
    let run = measure(&names, choice, TIME, |entry| lacks(entry.workload.name, entry.placement))?;
    let left_out = run.body.left_out.clone();
    Ok((cost::of_run(&run, &CostSource::Calibrated), left_out))
}

/// Returns the cost that perf's counters on threads add to a switch, ns; `None` where that cannot be measured.
pub(super) fn counting_cost_ns() -> Option<f64> {
    let choice = CounterChoice::Only(CountingMode::Thread);
    let run = measure(&[WITHIN], choice, TIME * 2, |entry| entry.placement == Placement::Same).ok()?;
    let result = run.body.results.first()?;
    let (factor, ns_per_op) = (result.counting_cost?.median, result.ns_per_op?.median);
    Some(ns_per_op * (1.0 - 1.0 / factor) / result.switches_per_op?)
}

/// Runs these workloads briefly, on one CPU and on the nearest two, as far as they are `wanted`.
fn measure(
    names: &[&str],
    choice: CounterChoice,
    time: Duration,
    wanted: impl Fn(&Entry) -> bool,
) -> Result<RunDocument> {
    signal::catch_stops()?;
    let started_at = timestamp(SystemTime::now());
    let root = Path::new("/");
    let (place, processors) = place(None)?;
    let host = probe::facts(root, Some(&place), &processors);
    let mut places = places(PlaceChoice::All, place.cpu, &processors)?;
    // One CPU and the nearest other core; a hardware thread of the same core only where there is no other.
    if places.iter().any(|(placement, _)| *placement > Placement::Smt) {
        places.retain(|(placement, _)| *placement != Placement::Smt);
    }
    places.truncate(2);
    let workloads: Vec<_> = names.iter().flat_map(|name| workload::meant_by(name)).collect();
    let (mut entries, left_out) = lay_out(&workloads, &places);
    entries.retain(wanted);
    let effort = Effort { time: Some(time), samples: None };
    let plan = Plan::of_costs(entries, left_out, REPETITIONS, effort);
    let seen = engine::run(&plan, &mut FallbackChain::new(choice), &mut |_| {})?;
    let settings =
        RunSettings { repetitions: REPETITIONS, counters: choice.name().to_string(), ..RunSettings::default() };
    Ok(from_samples(&SamplesDocument::of(started_at, host, settings, seen)))
}
