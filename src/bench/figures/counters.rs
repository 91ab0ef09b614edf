//! What the counters of a workload counted, and what counting cost it.

use serde::{Deserialize, Serialize};

use crate::bench::figures::chosen::{Chosen, counted_samples, ns_per_op, per_op, position};
use crate::bench::sample::{Incarnation, Sample, WorkloadSamples};
use crate::estimate::{Estimate, median};
use crate::perf::counting::{CounterInfo, Counting, CountingMode};

/// What one counter counted.
#[derive(Debug, Clone, PartialEq)]
pub struct CounterTotal {
    pub counter: CounterInfo,
    pub per_op: f64,
    /// In all samples that were counted, as the kernel scaled it.
    pub total: f64,
    /// The share of the time in which it really counted: below 1 it shared its hardware, and the figures are scaled.
    pub running_ratio: f64,
}

/// The kernel's two counters of the same switches: its books on the parties, which figures are made with, and perf's event.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    /// Per op, by the books, in the samples in which perf counted too.
    pub books_per_op: f64,
    /// What perf counted on the pinned CPU by what the books have, the median over those samples: a neighbour that had the CPU while
    /// the books were read is in a few of them, with thousands of switches maybe.
    pub perf_by_books: f64,
}

/// Sets perf's count of the parties' switches beside the kernel's books, in the samples that have both. `None` where a CPU's
/// switches are not the parties': in samples of which some are disturbed, and across CPUs, where idle has half of them.
pub(super) fn audit(samples: &WorkloadSamples, counting: &Counting, chosen: Chosen) -> Option<Audit> {
    let is_parties_own = counting.mode == CountingMode::Cpu && chosen.clean_only && samples.cpus.len() < 2;
    let at = position(counting, "context-switches").filter(|_| is_parties_own)?;
    let counted = || samples.incarnations.iter().flat_map(|incarnation| chosen.of(counted_samples(incarnation)));
    let by_books = |sample: &Sample| {
        let books = sample.parties.switches().filter(|&books| books > 0)?;
        Some(sample.counts[at]? as f64 / books as f64)
    };
    Some(Audit {
        books_per_op: per_op(counted(), |sample| sample.parties.switches())?,
        perf_by_books: median(counted().filter_map(by_books).collect())?,
    })
}

/// The parties' kernel switches per op, by the kernel's counter where it counted them and no others.
pub(super) fn kernel_switches<'s>(
    samples: &WorkloadSamples,
    counting: &Counting,
    chosen: Chosen,
    counted: impl Iterator<Item = &'s Sample>,
) -> Option<f64> {
    if samples.cpus.len() > 1 {
        // The CPUs' counters have the switches to and to idle as well.
        return None;
    }
    let at = position(counting, "context-switches")?;
    // A CPU's counter has everybody's switches: in clean samples the parties', in others the neighbours' too.
    let own_only = match counting.mode {
        CountingMode::Thread => true,
        CountingMode::Cpu => chosen.clean_only,
        CountingMode::Rusage | CountingMode::None => false,
    };
    if own_only {
        let undisturbed = counted.filter(|sample| {
            counting.mode != CountingMode::Cpu || foreign(sample, at).is_none_or(|foreign| foreign == 0)
        });
        return per_op(undisturbed, |sample| sample.counts[at]);
    }
    None
}

/// CPU-wide switches less the parties' own. Never below 0, unless the two are read in the wrong order.
fn foreign(sample: &Sample, switches_at: usize) -> Option<i64> {
    Some(sample.counts[switches_at]? as i64 - sample.parties.switches()? as i64)
}

/// The foreign switches of every counted sample; none where a CPU's were not counted.
pub(super) fn foreign_switches<'s>(
    samples: &'s WorkloadSamples,
    counting: &Counting,
) -> impl Iterator<Item = i64> + use<'s> {
    let on_one_cpu = samples.cpus.len() < 2;
    let at = position(counting, "context-switches").filter(|_| counting.mode == CountingMode::Cpu && on_one_cpu);
    let counted = samples.incarnations.iter().flat_map(counted_samples);
    counted.filter_map(move |sample| foreign(sample, at?))
}

/// What these counters counted in these incarnations, in those of their samples that figures are taken from.
fn counter_totals(incarnations: &[Incarnation], counters: &[CounterInfo], chosen: Chosen) -> Vec<CounterTotal> {
    let total = |(at, counter): (usize, &CounterInfo)| {
        // An event opened on demand counted in `counted` only, where it has no times of its own; it is a software event,
        // and those never share.
        let on_demand = incarnations.iter().any(|each| each.samples.iter().any(|sample| sample.counts[at].is_none()));
        let source = |each| -> &[Sample] { if on_demand { counted_samples(each) } else { &each.samples } };
        let times = || incarnations.iter().filter_map(|each: &Incarnation| each.times.get(at));
        let enabled: u64 = times().map(|times| times.enabled_ns).sum();
        let running: u64 = times().map(|times| times.running_ns).sum();
        let running_ratio = if on_demand { 1.0 } else { running_ratio(enabled, running)? };
        let total: u64 = incarnations.iter().flat_map(source).map(|sample| sample.counts[at]).sum::<Option<u64>>()?;
        let used = incarnations.iter().flat_map(|each| chosen.of(source(each)));
        let per_op = per_op(used, |sample| sample.counts[at])? / running_ratio;
        Some(CounterTotal { counter: counter.clone(), per_op, total: total as f64 / running_ratio, running_ratio })
    };
    counters.iter().enumerate().filter_map(total).collect()
}

/// Every counter of a workload, whichever pass it counted in.
pub(super) fn all_counters(samples: &WorkloadSamples, counting: &Counting, chosen: Chosen) -> Vec<CounterTotal> {
    let mut counters = counter_totals(&samples.incarnations, &counting.counters, chosen);
    counters.extend(booked_switches(samples, counting, chosen));
    for pass in &samples.passes {
        let counted = counter_totals(&pass.incarnations, &pass.counters, chosen.of_pass(&pass.incarnations));
        // What stands beside the prices already is not said a second time.
        counters
            .extend(counted.into_iter().filter(|new| counting.counters.iter().all(|old| old.name != new.counter.name)));
    }
    counters
}

/// What a pass of its own counted per op, in all of its samples; `None` where there was no such pass.
pub(super) fn counted_in_pass(samples: &WorkloadSamples, name: &str) -> Option<f64> {
    let pass = samples.passes.iter().find(|pass| pass.counters.iter().any(|counter| counter.name == name))?;
    let at = pass.counters.iter().position(|counter| counter.name == name)?;
    per_op(pass.incarnations.iter().flat_map(|incarnation| &incarnation.samples), |sample| sample.counts[at])
}

/// The kernel's books as a counter, where they are the only one.
fn booked_switches(samples: &WorkloadSamples, counting: &Counting, chosen: Chosen) -> Option<CounterTotal> {
    if counting.mode != CountingMode::Rusage {
        return None;
    }
    let all = || samples.incarnations.iter().flat_map(|incarnation| &incarnation.samples);
    let total: u64 = all().map(|sample| sample.parties.switches()).sum::<Option<u64>>()?;
    let used = samples.incarnations.iter().flat_map(|incarnation| chosen.of(&incarnation.samples));
    let counter = CounterInfo { name: "context-switches".to_string(), scope: CountingMode::Rusage };
    Some(CounterTotal {
        counter,
        per_op: per_op(used, |sample| sample.parties.switches())?,
        total: total as f64,
        running_ratio: 1.0,
    })
}

/// What counts are divided by to stand for the whole time, as `perf stat` scales them; `None` if the counter never ran.
pub(super) fn running_ratio(enabled_ns: u64, running_ns: u64) -> Option<f64> {
    (running_ns > 0).then(|| running_ns as f64 / enabled_ns.max(running_ns) as f64)
}

/// What counting costs the parties: against the uncounted pass where there was one, else against the timed samples of the
/// same incarnations.
pub(super) fn counting_cost(samples: &WorkloadSamples, chosen: Chosen) -> Option<Estimate> {
    if samples.uncounted.is_empty() {
        cost_within(&samples.incarnations, chosen)
    } else {
        cost_between(samples, chosen)
    }
}

/// Paired within incarnations that have counted samples of their own.
fn cost_within(incarnations: &[Incarnation], chosen: Chosen) -> Option<Estimate> {
    let median_of = |samples: &[Sample]| median(chosen.of(samples).map(ns_per_op).collect());
    let factor = |each: &Incarnation| Some(median_of(&each.counted)? / median_of(&each.samples)?);
    Estimate::over(incarnations.iter().filter_map(factor))
}

/// Between the main pass and the uncounted one, with the range that their intervals allow.
fn cost_between(samples: &WorkloadSamples, chosen: Chosen) -> Option<Estimate> {
    let over = |incarnations: &[Incarnation], chosen: Chosen| {
        let prices = incarnations.iter().filter_map(|incarnation| chosen.prices(incarnation));
        Estimate::over(prices.map(|prices| prices.ns_per_op))
    };
    let counted = over(&samples.incarnations, chosen)?;
    let uncounted = over(&samples.uncounted, chosen.of_pass(&samples.uncounted))?;
    Some(Estimate {
        median: counted.median / uncounted.median,
        low: counted.low.zip(uncounted.high).map(|(low, high)| low / high),
        high: counted.high.zip(uncounted.low).map(|(high, low)| high / low),
    })
}
