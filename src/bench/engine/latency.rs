//! Timing the ops of one repetition one by one.

use crate::bench::engine::plan::{Entry, Quota};
use crate::bench::engine::sampler::Sampler;
use crate::bench::engine::{Stop, take_by};
use crate::bench::sample::latency::{Durations, Latency, TimerInterrupts};
use crate::host::surroundings::NoiseMonitor;
use crate::sys::clock::monotonic_ns;
use crate::workload::session::{Laps, MOST_LAPS};

/// Plays with the clock read after every op, in samples like those that came before, until the quota is met. `latency`
/// has the samples even if it ends early.
pub(super) fn take_each(
    sampler: &mut Sampler<'_>,
    ops_per_sample: u64,
    quota: Quota,
    entry: &Entry,
    noise_monitor: &NoiseMonitor,
    latency: &mut Option<Latency>,
) -> Result<(), Stop> {
    let ops = ops_per_sample.min(MOST_LAPS);
    let mut laps = Laps::of(ops);
    let mut durations = Durations::new();
    let latency = latency.insert(Latency { lap_cost_ns: sampler.lap_cost_ns()?, ..Latency::default() });
    sampler.warm_up_each(ops, &mut laps)?;
    let (began_ns, before) = (monotonic_ns(), noise_monitor.timer_interrupts());
    let outcome = take_by(quota.of_ops(ops), &entry.setting, &mut latency.samples, || {
        let sample = sampler.sample_each(ops, &mut laps)?;
        laps.durations().for_each(|duration_ns| durations.record(duration_ns, 1));
        Ok(sample)
    });
    let (ended_ns, after) = (monotonic_ns(), noise_monitor.timer_interrupts());
    latency.timer = before
        .zip(after)
        .map(|(before, after)| TimerInterrupts { count: after.saturating_sub(before), over_ns: ended_ns - began_ns });
    latency.durations = durations.steps();
    outcome
}
