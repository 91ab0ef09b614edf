//! Which of a workload's samples its figures are taken from.

use crate::sample::{Incarnation, Sample};
use crate::summary::estimate::median;

/// A sample is disturbed when its wall time exceeds the parties' CPU time by this factor.
///
/// A foreign thread that runs for 5 µs does that to the usual sample of 250 µs; the undisturbed lie within 50 ns.
const DISTURBED: f64 = 1.02;
/// Fewer clean samples than this say nothing about an incarnation.
const FEWEST_CLEAN: usize = 3;

/// Which samples the figures are of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chosen {
    pub(super) clean_only: bool,
}

impl Chosen {
    /// The clean ones, unless fewer than half of the incarnations have enough of them: what is left would be luck.
    pub(super) fn of_incarnations(incarnations: &[Incarnation]) -> Chosen {
        let usable =
            incarnations.iter().filter(|incarnation| clean(&incarnation.samples).count() >= FEWEST_CLEAN).count();
        Chosen { clean_only: usable > 0 && usable * 2 >= incarnations.len() }
    }

    pub(super) fn of(self, samples: &[Sample]) -> impl Iterator<Item = &Sample> {
        samples.iter().filter(move |sample| !self.clean_only || is_clean(sample))
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

pub(super) fn is_clean(sample: &Sample) -> bool {
    match sample.parties.cpu_ns {
        Some(cpu_ns) => sample.parties.wall_ns as f64 <= DISTURBED * cpu_ns as f64,
        // Nothing is known against it.
        None => true,
    }
}

pub(super) fn clean(samples: &[Sample]) -> impl Iterator<Item = &Sample> {
    samples.iter().filter(|sample| is_clean(sample))
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
