//! Counts of a workload's counters, and the cost of counting.

use serde::{Deserialize, Serialize};

use crate::bench::figures::chosen::{Chosen, counted_samples, ns_per_op, per_op, position};
use crate::bench::sample::{Repetition, Sample, WorkloadSamples};
use crate::estimate::{Estimate, median};
use crate::perf::counting::{CounterInfo, Counting, CountingMode, names};

/// A counter's counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CounterRecord {
    pub name: String,
    /// Where it was attached.
    pub source: CountingMode,
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
    pub accounting_per_op: f64,
    /// perf's count on the pinned CPU ÷ kernel accounting, the median over those samples: a neighbour that ran while
    /// the accounting was read is in a few of them, maybe with thousands of switches.
    pub perf_by_accounting: f64,
}

/// Compares perf's count of the participants' switches with kernel accounting. `None` where a CPU's switches are not
/// the participants': if some samples are disturbed, and across CPUs, where idle has half of them.
pub(super) fn audit(samples: &WorkloadSamples, counting: &Counting, chosen: Chosen) -> Option<Audit> {
    let is_participants_own = counting.mode == CountingMode::Cpu && chosen.undisturbed_only && samples.cpus.len() < 2;
    let at = position(counting, names::CONTEXT_SWITCHES).filter(|_| is_participants_own)?;
    let counted = || chosen.counted(&samples.repetitions);
    let by_accounting = |sample: &Sample| {
        let accounting = sample.participants.switches().filter(|&accounting| accounting > 0)?;
        Some(sample.counts[at]? as f64 / accounting as f64)
    };
    Some(Audit {
        accounting_per_op: per_op(counted(), |sample| sample.participants.switches())?,
        perf_by_accounting: median(counted().filter_map(by_accounting).collect())?,
    })
}

/// Returns the participants' kernel switches per op, by the kernel's counter where it counted them and no others.
pub(super) fn kernel_switches(samples: &WorkloadSamples, counting: &Counting, chosen: Chosen) -> Option<f64> {
    if samples.cpus.len() > 1 {
        // The CPUs' counters have the switches to and from idle as well.
        return None;
    }
    let at = position(counting, names::CONTEXT_SWITCHES)?;
    // A CPU's counter has everybody's switches: in disturbed samples the neighbours', too.
    let own_only = match counting.mode {
        CountingMode::Thread => true,
        CountingMode::Cpu => chosen.undisturbed_only,
        CountingMode::Rusage | CountingMode::None => false,
    };
    if own_only {
        let undisturbed = chosen.counted(&samples.repetitions).filter(|sample| {
            counting.mode != CountingMode::Cpu || foreign(sample, at).is_none_or(|foreign| foreign == 0)
        });
        return per_op(undisturbed, |sample| sample.counts[at]);
    }
    None
}

/// Returns CPU-wide switches less the participants' own. Never below 0, unless the two are read in the wrong order.
fn foreign(sample: &Sample, switches_at: usize) -> Option<i64> {
    Some(sample.counts[switches_at]? as i64 - sample.participants.switches()? as i64)
}

/// Returns the foreign switches of every counted sample; none where a CPU's were not counted.
pub(super) fn foreign_switches<'s>(
    samples: &'s WorkloadSamples,
    counting: &Counting,
) -> impl Iterator<Item = i64> + use<'s> {
    let on_one_cpu = samples.cpus.len() < 2;
    let at = position(counting, names::CONTEXT_SWITCHES).filter(|_| counting.mode == CountingMode::Cpu && on_one_cpu);
    let counted = samples.repetitions.iter().flat_map(counted_samples);
    counted.filter_map(move |sample| foreign(sample, at?))
}

/// Returns the counts of these counters in these repetitions, per op in the samples that figures are taken from.
fn counter_totals(repetitions: &[Repetition], counters: &[CounterInfo], chosen: Chosen) -> Vec<CounterRecord> {
    let total = |(at, counter): (usize, &CounterInfo)| {
        // An event opened on demand counted in `counted` only, where it has no times of its own; it is a software event,
        // and those never share.
        let on_demand = repetitions.iter().any(|each| each.samples.iter().any(|sample| sample.counts[at].is_none()));
        let source = |each| -> &[Sample] { if on_demand { counted_samples(each) } else { &each.samples } };
        let times = || repetitions.iter().filter_map(|each: &Repetition| each.times.get(at));
        let enabled: u64 = times().map(|times| times.enabled_ns).sum();
        let running: u64 = times().map(|times| times.running_ns).sum();
        let running_ratio = if on_demand { 1.0 } else { running_ratio(enabled, running)? };
        let total: u64 = repetitions.iter().flat_map(source).map(|sample| sample.counts[at]).sum::<Option<u64>>()?;
        let used = repetitions.iter().flat_map(|each| chosen.of(source(each)));
        let per_op = per_op(used, |sample| sample.counts[at])? / running_ratio;
        let (name, source) = (counter.name.clone(), counter.scope);
        Some(CounterRecord { name, source, per_op, total: total as f64 / running_ratio, running_ratio })
    };
    counters.iter().enumerate().filter_map(total).collect()
}

/// Returns every counter of a workload, from whichever pass.
pub(super) fn all_counters(samples: &WorkloadSamples, counting: &Counting, chosen: Chosen) -> Vec<CounterRecord> {
    let mut counters = counter_totals(&samples.repetitions, &counting.counters, chosen);
    counters.extend(accounted_switches(samples, counting, chosen));
    for pass in &samples.passes {
        let counted = counter_totals(&pass.repetitions, &pass.counters, chosen.of_pass(&pass.repetitions));
        // Counters of the main pass are not repeated.
        counters.extend(counted.into_iter().filter(|new| counting.counters.iter().all(|old| old.name != new.name)));
    }
    counters
}

/// Returns a count per op from a pass of its own, over all of its samples; `None` if there was no such pass.
pub(super) fn counted_in_pass(samples: &WorkloadSamples, name: &str) -> Option<f64> {
    let pass = samples.passes.iter().find(|pass| pass.counters.iter().any(|counter| counter.name == name))?;
    let at = pass.counters.iter().position(|counter| counter.name == name)?;
    per_op(pass.repetitions.iter().flat_map(|repetition| &repetition.samples), |sample| sample.counts[at])
}

/// Returns kernel accounting as a counter, where it is the only one.
fn accounted_switches(samples: &WorkloadSamples, counting: &Counting, chosen: Chosen) -> Option<CounterRecord> {
    if counting.mode != CountingMode::Rusage {
        return None;
    }
    let all = || samples.repetitions.iter().flat_map(|repetition| &repetition.samples);
    let total: u64 = all().map(|sample| sample.participants.switches()).sum::<Option<u64>>()?;
    let used = chosen.timed(&samples.repetitions);
    Some(CounterRecord {
        name: names::CONTEXT_SWITCHES.to_string(),
        source: CountingMode::Rusage,
        per_op: per_op(used, |sample| sample.participants.switches())?,
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
    if samples.uncounted.is_empty() { cost_within(&samples.repetitions, chosen) } else { cost_between(samples, chosen) }
}

/// Pairs samples within repetitions that have counted ones of their own.
fn cost_within(repetitions: &[Repetition], chosen: Chosen) -> Option<Estimate> {
    let median_of = |samples: &[Sample]| median(chosen.of(samples).map(ns_per_op).collect());
    let factor = |each: &Repetition| Some(median_of(&each.counted)? / median_of(&each.samples)?);
    Estimate::over(repetitions.iter().filter_map(factor))
}

/// Compares the main pass with the uncounted one, with the range that their intervals allow.
fn cost_between(samples: &WorkloadSamples, chosen: Chosen) -> Option<Estimate> {
    let over = |repetitions: &[Repetition], chosen: Chosen| {
        let costs = repetitions.iter().filter_map(|repetition| chosen.costs(repetition));
        Estimate::over(costs.map(|costs| costs.ns_per_op))
    };
    let counted = over(&samples.repetitions, chosen)?;
    let uncounted = over(&samples.uncounted, chosen.of_pass(&samples.uncounted))?;
    Some(Estimate {
        median: counted.median / uncounted.median,
        low: counted.low.zip(uncounted.high).map(|(low, high)| low / high),
        high: counted.high.zip(uncounted.low).map(|(high, low)| high / low),
    })
}
