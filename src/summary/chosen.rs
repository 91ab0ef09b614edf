//! Which of a workload's samples its figures are taken from.

use crate::sample::{Incarnation, Sample};
use crate::summary::estimate::median;

/// A sample is disturbed when its wall time exceeds the parties' CPU time by this factor.
///
/// A foreign thread that runs for 5 µs does that to the usual sample of 250 µs; the undisturbed lie within 50 ns.
const DISTURBED: f64 = 1.02;
/// Fewer clean samples than this say nothing about an incarnation.
const FEWEST_CLEAN: usize = 3;

/// A core is slowed when it takes longer for a fixed stretch of arithmetic than it can, by this factor.
///
/// Beside a busy hardware thread it takes 1.2 to 1.3 times as long, undisturbed within 1 %.
const SLOWED: f64 = 1.1;
/// The core's full speed is that of the quickest samples; not of the very quickest, which may be a misread clock.
const QUICKEST: f64 = 0.1;

/// What tells a clean sample of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Yardstick {
    /// What the stretch takes at full speed; `None` where there is nothing to judge by.
    full_speed_ns: Option<f64>,
}

impl Yardstick {
    /// Full speed as these samples know it: all of a run's, so that one workload's bad luck shows against the others.
    pub fn of<'s>(samples: impl Iterator<Item = &'s Sample>) -> Yardstick {
        let mut stretches: Vec<u64> = samples.map(|sample| sample.yardstick_ns).filter(|&ns| ns > 0).collect();
        stretches.sort_unstable();
        let at = (stretches.len() as f64 * QUICKEST) as usize;
        Yardstick { full_speed_ns: stretches.get(at).map(|&ns| ns as f64) }
    }

    /// Whether the core ran slower than it can: a hardware thread was busy beside it, here or on the host, or its
    /// frequency was low.
    pub(super) fn is_slowed(self, sample: &Sample) -> bool {
        self.full_speed_ns.is_some_and(|full_speed_ns| sample.yardstick_ns as f64 > SLOWED * full_speed_ns)
    }

    /// Whether nothing took the parties' time: no other thread, steal or throttling, and no slowed core.
    pub(super) fn is_clean(self, sample: &Sample) -> bool {
        let undisturbed = match sample.parties.cpu_ns {
            Some(cpu_ns) => sample.parties.wall_ns as f64 <= DISTURBED * cpu_ns as f64,
            // Nothing is known against it.
            None => true,
        };
        undisturbed && !self.is_slowed(sample)
    }

    /// How many of these samples are clean.
    pub(super) fn count_clean(self, samples: &[Sample]) -> usize {
        samples.iter().filter(|sample| self.is_clean(sample)).count()
    }
}

/// Which samples the figures are of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chosen {
    pub(super) clean_only: bool,
    yardstick: Yardstick,
}

impl Chosen {
    /// The clean ones, unless fewer than half of the incarnations have enough of them: what is left would be luck.
    pub(super) fn of_incarnations(incarnations: &[Incarnation], yardstick: Yardstick) -> Chosen {
        let is_usable = |incarnation: &&Incarnation| yardstick.count_clean(&incarnation.samples) >= FEWEST_CLEAN;
        let usable = incarnations.iter().filter(is_usable).count();
        Chosen { clean_only: usable > 0 && usable * 2 >= incarnations.len(), yardstick }
    }

    /// The choice among the incarnations of another pass of the same run.
    pub(super) fn of_pass(self, incarnations: &[Incarnation]) -> Chosen {
        Chosen::of_incarnations(incarnations, self.yardstick)
    }

    /// Those of these samples.
    pub(super) fn of(self, samples: &[Sample]) -> impl Iterator<Item = &Sample> {
        samples.iter().filter(move |sample| !self.clean_only || self.yardstick.is_clean(sample))
    }

    /// `None` of an incarnation with too few samples to say anything.
    pub(super) fn prices(self, incarnation: &Incarnation) -> Option<Prices> {
        let of = |samples| -> Vec<f64> { self.of(samples).map(ns_per_op).collect() };
        let values = of(&incarnation.samples);
        if self.clean_only && values.len() < FEWEST_CLEAN {
            return None;
        }
        Some(Prices { ns_per_op: median(values)?, floor: median(of(&incarnation.floor)) })
    }
}

/// One incarnation's medians.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prices {
    pub(super) ns_per_op: f64,
    pub(super) floor: Option<f64>,
}

/// The samples of an incarnation in which every counter counted.
pub(super) fn counted_samples(incarnation: &Incarnation) -> &[Sample] {
    if incarnation.counted.is_empty() { &incarnation.samples } else { &incarnation.counted }
}

pub(super) fn ns_per_op(sample: &Sample) -> f64 {
    sample.elapsed_ns as f64 / sample.ops as f64
}

/// Σ what / Σ ops; `None` of no samples, and as soon as one of them does not have it.
pub(super) fn per_op<'s>(
    samples: impl Iterator<Item = &'s Sample>,
    what: impl Fn(&Sample) -> Option<u64>,
) -> Option<f64> {
    let (mut sum, mut ops) = (0, 0);
    for sample in samples {
        sum += what(sample)?;
        ops += sample.ops;
    }
    (ops > 0).then(|| sum as f64 / ops as f64)
}
