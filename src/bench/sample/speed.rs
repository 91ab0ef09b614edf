//! Speed of the core itself, by the reference loop that is timed beside each sample: it finds slow periods without
//! looking at their effect on a cost.

use crate::bench::sample::Sample;

/// A CPU is below full speed when the reference loop takes longer than it can, by this factor.
///
/// Beside a busy SMT sibling it takes 1.2 to 1.3 times as long, undisturbed within 1 %.
pub const SLOWED: f64 = 1.1;
/// Quantile of a run's samples at its own full speed; the very fastest may be a misread clock.
const QUICKEST: f64 = 0.1;
/// A repetition is slow when more than this share of its samples was below full speed.
const MOST: f64 = 0.5;

/// Returns the loop's time in the fastest of these samples, ns; `None` if it was not timed.
pub fn quickest_ns<'s>(samples: impl Iterator<Item = &'s Sample>) -> Option<f64> {
    let mut times: Vec<u64> = samples.map(|sample| sample.reference_loop_ns).filter(|&ns| ns > 0).collect();
    times.sort_unstable();
    let at = (times.len() as f64 * QUICKEST) as usize;
    times.get(at).map(|&ns| ns as f64)
}

/// Returns the loop's time at full speed, ns: as in earlier runs, or less where this one was faster still.
pub fn full_speed_ns(reference_ns: Option<f64>, quickest_ns: Option<f64>) -> Option<f64> {
    reference_ns.into_iter().chain(quickest_ns).min_by(f64::total_cmp)
}

/// Returns true if the CPU was below full speed during this sample: its SMT sibling was busy, on this machine or on the
/// host, or its frequency was low.
pub fn is_slowed(sample: &Sample, full_speed_ns: f64) -> bool {
    sample.reference_loop_ns as f64 > SLOWED * full_speed_ns
}

pub fn are_mostly_slowed(samples: &[Sample], full_speed_ns: f64) -> bool {
    let slowed = samples.iter().filter(|sample| is_slowed(sample, full_speed_ns)).count();
    slowed as f64 > MOST * samples.len() as f64
}
