//! Ops that were timed one by one.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::bench::sample::Sample;

/// Latencies of one repetition's ops, with the clock read after every one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Samples of participants that read the clock after every op; their time is the sum of their ops' durations.
    pub samples: Vec<Sample>,
    /// Durations, ns, each with its number of ops: of all ops, disturbed or not, as [`Durations::steps`] has them.
    pub durations: Vec<(u64, u64)>,
    /// Cost of reading the clock per op, ns, measured with nothing to play between two readings.
    pub lap_cost_ns: f64,
    /// Timer interrupts of the participants' CPUs meanwhile; `None` where they are not counted.
    pub timer: Option<TimerInterrupts>,
}

/// Interrupts by the CPUs' own timers: the scheduler's tick, nearly always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimerInterrupts {
    pub count: u64,
    /// Time in which they came: the samples', and that between them.
    pub over_ns: u64,
}

/// Durations in ns, to three significant digits.
#[derive(Debug, Clone, PartialEq)]
pub struct Durations(Histogram<u64>);

impl Durations {
    const DIGITS: u8 = 3;
    /// 146 years.
    const LONGEST_NS: u64 = 1 << 62;

    /// Returns an empty histogram.
    ///
    /// # Panics
    /// Never: the histogram's bounds are those that its makers allow.
    pub fn new() -> Durations {
        Durations(Histogram::new_with_bounds(1, Durations::LONGEST_NS, Durations::DIGITS).expect("bounds in order"))
    }

    /// Adds ops of this duration, or of the longest that can be recorded.
    pub fn record(&mut self, duration_ns: u64, ops: u64) {
        self.0.saturating_record_n(duration_ns, ops);
    }

    /// Returns the shortest duration of each step that has any, with its number of ops, in ascending order. Recorded
    /// again they are the same steps.
    pub fn steps(&self) -> Vec<(u64, u64)> {
        let recorded = self.0.iter_recorded();
        recorded.map(|step| (self.0.lowest_equivalent(step.value_iterated_to()), step.count_at_value())).collect()
    }

    pub fn histogram(&self) -> &Histogram<u64> {
        &self.0
    }
}

impl Default for Durations {
    fn default() -> Durations {
        Durations::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(durations: &[(u64, u64)]) -> Durations {
        let mut all = Durations::new();
        durations.iter().for_each(|&(duration_ns, ops)| all.record(duration_ns, ops));
        all
    }

    #[test]
    fn durations_are_exact_to_two_microseconds_and_to_a_thousandth_beyond() {
        let steps = of(&[(0, 1), (2047, 1), (2048, 1), (2049, 2), (1_000_000, 1), (1_000_300, 1)]).steps();
        assert_eq!(steps, [(0, 1), (2047, 1), (2048, 3), (999_936, 2)]);
        assert_eq!(of(&[]).steps(), []);
    }

    proptest! {
        #[test]
        fn steps_recorded_again_are_the_same(durations in prop::collection::vec((any::<u64>(), 1..1000_u64), 0..50)) {
            let once = of(&durations);
            prop_assert_eq!(of(&once.steps()).steps(), once.steps());
        }

        #[test]
        fn the_sum_is_that_of_what_was_recorded(durations in prop::collection::vec(0..1_u64 << 40, 1..200)) {
            let recorded: Vec<(u64, u64)> = durations.iter().map(|&duration_ns| (duration_ns, 1)).collect();
            let histogram = of(&recorded);
            let mean = durations.iter().map(|&each| each as f64).sum::<f64>() / durations.len() as f64;
            prop_assert!((histogram.histogram().mean() - mean).abs() <= 1e-3 * mean + 1e-9);
            prop_assert_eq!(histogram.histogram().len(), durations.len() as u64);
        }
    }
}
