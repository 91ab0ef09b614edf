//! Counts of a workload's counters, and the cost of counting.

use serde::{Deserialize, Serialize};

use crate::bench::figures::chosen::{Chosen, counted_samples, ns_per_op, per_op, position};
use crate::bench::sample::{Incarnation, Sample, WorkloadSamples};
use crate::estimate::{Estimate, median};
use crate::perf::counting::{CounterInfo, Counting, CountingMode};

#[derive(Debug, Clone, PartialEq)]
pub struct CounterTotal {
    pub counter: CounterInfo,
    pub per_op: f64,
    /// In all samples that were counted, scaled as the kernel does.
    pub total: f64,
    /// Running ÷ enabled time: below 1 the counter shared its hardware, and the figures are scaled.
    pub running_ratio: f64,
}

/// The kernel's two counts of the same switches: its accounting, which the figures use, and perf's event.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    /// Per op, by kernel accounting, in the samples in which perf counted too.
    pub books_per_op: f64,
    /// perf's count on the pinned CPU ÷ kernel accounting, the median over those samples: a neighbour that ran while
    /// the accounting was read is in a few of them, maybe with thousands of switches.
    pub perf_by_books: f64,
}

/// Compares perf's count of the participants' switches with kernel accounting. `None` where a CPU's switches are not
/// the participants': if some samples are disturbed, and across CPUs, where idle has half of them.
pub(super) fn audit(samples: &WorkloadSamples, counting: &Counting, chosen: Chosen) -> Option<Audit> {
    let is_parties_own = counting.mode == CountingMode::Cpu && chosen.clean_only && samples.cpus.len() < 2;
    let at = position(counting, "context-switches").filter(|_| is_parties_own)?;
    let counted = || chosen.counted(&samples.incarnations);
    let by_books = |sample: &Sample| {
        let books = sample.parties.switches().filter(|&books| books > 0)?;
        Some(sample.counts[at]? as f64 / books as f64)
    };
    Some(Audit {
        books_per_op: per_op(counted(), |sample| sample.parties.switches())?,
        perf_by_books: median(counted().filter_map(by_books).collect())?,
    })
}

/// Returns the participants' kernel switches per op, by the kernel's counter where it counted them and no others.
pub(super) fn kernel_switches(samples: &WorkloadSamples, counting: &Counting, chosen: Chosen) -> Option<f64> {
    if samples.cpus.len() > 1 {
        // The CPUs' counters have the switches to and from idle as well.
        return None;
    }
    let at = position(counting, "context-switches")?;
    // A CPU's counter has everybody's switches: in disturbed samples the neighbours', too.
    let own_only = match counting.mode {
        CountingMode::Thread => true,
        CountingMode::Cpu => chosen.clean_only,
        CountingMode::Rusage | CountingMode::None => false,
    };
    if own_only {
        let undisturbed = chosen.counted(&samples.incarnations).filter(|sample| {
            counting.mode != CountingMode::Cpu || foreign(sample, at).is_none_or(|foreign| foreign == 0)
        });
        return per_op(undisturbed, |sample| sample.counts[at]);
    }
    None
}

/// Returns CPU-wide switches less the participants' own. Never below 0, unless the two are read in the wrong order.
fn foreign(sample: &Sample, switches_at: usize) -> Option<i64> {
    Some(sample.counts[switches_at]? as i64 - sample.parties.switches()? as i64)
}

/// Returns the foreign switches of every counted sample; none where a CPU's were not counted.
pub(super) fn foreign_switches<'s>(
    samples: &'s WorkloadSamples,
    counting: &Counting,
) -> impl Iterator<Item = i64> + use<'s> {
    let on_one_cpu = samples.cpus.len() < 2;
    let at = position(counting, "context-switches").filter(|_| counting.mode == CountingMode::Cpu && on_one_cpu);
    let counted = samples.incarnations.iter().flat_map(counted_samples);
    counted.filter_map(move |sample| foreign(sample, at?))
}

/// Returns the counts of these counters in these repetitions, per op in the samples that figures are taken from.
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

/// Returns every counter of a workload, from whichever pass.
pub(super) fn all_counters(samples: &WorkloadSamples, counting: &Counting, chosen: Chosen) -> Vec<CounterTotal> {
    let mut counters = counter_totals(&samples.incarnations, &counting.counters, chosen);
    counters.extend(booked_switches(samples, counting, chosen));
    for pass in &samples.passes {
        let counted = counter_totals(&pass.incarnations, &pass.counters, chosen.of_pass(&pass.incarnations));
        // Counters of the main pass are not repeated.
        counters
            .extend(counted.into_iter().filter(|new| counting.counters.iter().all(|old| old.name != new.counter.name)));
    }
    counters
}

/// Returns a count per op from a pass of its own, over all of its samples; `None` if there was no such pass.
pub(super) fn counted_in_pass(samples: &WorkloadSamples, name: &str) -> Option<f64> {
    let pass = samples.passes.iter().find(|pass| pass.counters.iter().any(|counter| counter.name == name))?;
    let at = pass.counters.iter().position(|counter| counter.name == name)?;
    per_op(pass.incarnations.iter().flat_map(|incarnation| &incarnation.samples), |sample| sample.counts[at])
}

/// Returns kernel accounting as a counter, where it is the only one.
fn booked_switches(samples: &WorkloadSamples, counting: &Counting, chosen: Chosen) -> Option<CounterTotal> {
    if counting.mode != CountingMode::Rusage {
        return None;
    }
    let all = || samples.incarnations.iter().flat_map(|incarnation| &incarnation.samples);
    let total: u64 = all().map(|sample| sample.parties.switches()).sum::<Option<u64>>()?;
    let used = chosen.timed(&samples.incarnations);
    let counter = CounterInfo { name: "context-switches".to_string(), scope: CountingMode::Rusage };
    Some(CounterTotal {
        counter,
        per_op: per_op(used, |sample| sample.parties.switches())?,
        total: total as f64,
        running_ratio: 1.0,
    })
}

/// Returns the divisor that scales counts to the whole time, as `perf stat` does; `None` if the counter never ran.
pub(super) fn running_ratio(enabled_ns: u64, running_ns: u64) -> Option<f64> {
    (running_ns > 0).then(|| running_ns as f64 / enabled_ns.max(running_ns) as f64)
}

/// Returns the cost of counting: against the uncounted pass if any, else the same repetitions' timed samples.
pub(super) fn counting_cost(samples: &WorkloadSamples, chosen: Chosen) -> Option<Estimate> {
    if samples.uncounted.is_empty() {
        cost_within(&samples.incarnations, chosen)
    } else {
        cost_between(samples, chosen)
    }
}

/// Pairs samples within repetitions that have counted ones of their own.
fn cost_within(incarnations: &[Incarnation], chosen: Chosen) -> Option<Estimate> {
    let median_of = |samples: &[Sample]| median(chosen.of(samples).map(ns_per_op).collect());
    let factor = |each: &Incarnation| Some(median_of(&each.counted)? / median_of(&each.samples)?);
    Estimate::over(incarnations.iter().filter_map(factor))
}

/// Compares the main pass with the uncounted one, with the range that their intervals allow.
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
