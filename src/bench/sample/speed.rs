//! How fast the core itself ran, by what a fixed stretch of arithmetic took beside each sample: what tells a slow stretch of time
//! without looking at what it did to a price.

use crate::bench::sample::Sample;

/// A core is slowed when it takes longer for the stretch than it can, by this factor.
///
/// Beside a busy hardware thread it takes 1.2 to 1.3 times as long, undisturbed within 1 %.
pub const SLOWED: f64 = 1.1;
/// A run's own full speed is that of its quickest samples; not of the very quickest, which may be a misread clock.
const QUICKEST: f64 = 0.1;
/// A repetition is slow when more than this share of its samples was slowed.
const MOST: f64 = 0.5;

/// What the stretch took in the quickest of these samples, ns; `None` where nobody timed it.
pub fn quickest_ns<'s>(samples: impl Iterator<Item = &'s Sample>) -> Option<f64> {
    let mut stretches: Vec<u64> = samples.map(|sample| sample.yardstick_ns).filter(|&ns| ns > 0).collect();
    stretches.sort_unstable();
    let at = (stretches.len() as f64 * QUICKEST) as usize;
    stretches.get(at).map(|&ns| ns as f64)
}

/// What the stretch takes at full speed, ns: as in the runs before, or less where this one was quicker still.
pub fn full_speed_ns(reference_ns: Option<f64>, quickest_ns: Option<f64>) -> Option<f64> {
    reference_ns.into_iter().chain(quickest_ns).min_by(f64::total_cmp)
}

/// Whether the core ran slower than it can during this sample: a hardware thread was busy beside it, here or on the host, or its
/// frequency was low.
pub fn is_slowed(sample: &Sample, full_speed_ns: f64) -> bool {
    sample.yardstick_ns as f64 > SLOWED * full_speed_ns
}

/// Whether most of these samples were slowed.
pub fn are_mostly_slowed(samples: &[Sample], full_speed_ns: f64) -> bool {
    let slowed = samples.iter().filter(|sample| is_slowed(sample, full_speed_ns)).count();
    slowed as f64 > MOST * samples.len() as f64
}
