//! Medians, and intervals for them that assume no distribution.

use serde::{Deserialize, Serialize};

/// A median with its interval; `low` and `high` are `None` for a single value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub median: f64,
    pub low: Option<f64>,
    pub high: Option<f64>,
}

impl Estimate {
    /// Returns the median of values that are independent of each other, one per repetition, and an interval between two of them
    /// that holds the true median with [`Confidence::of`] their number; `None` without values.
    ///
    /// # References
    /// David & Nagaraja, *Order Statistics*, 3rd ed., §7.1: the interval from the k-th smallest to the k-th largest of
    /// n values misses the median with probability 2·P(Bin(n, ½) < k).
    pub fn over(values: impl IntoIterator<Item = f64>) -> Option<Estimate> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let median = median_of_sorted(&sorted)?;
        let confidence = Confidence::of(sorted.len());
        let ends =
            confidence.map(|confidence| (sorted[confidence.left_out], sorted[sorted.len() - 1 - confidence.left_out]));
        Some(Estimate { median, low: ends.map(|ends| ends.0), high: ends.map(|ends| ends.1) })
    }

    /// Returns the estimate times this factor above 0.
    pub fn scaled(self, factor: f64) -> Estimate {
        let by = |value: f64| value * factor;
        Estimate { median: by(self.median), low: self.low.map(by), high: self.high.map(by) }
    }

    /// Returns the estimate with each end of its interval moved out by this share of the median.
    pub fn blurred(self, share: f64) -> Estimate {
        let blur = share * self.median.abs();
        Estimate { low: self.low.map(|low| low - blur), high: self.high.map(|high| high + blur), ..self }
    }

    /// Returns the estimate as an upper bound: the true value may be any less.
    pub fn at_most(self) -> Estimate {
        Estimate { low: None, high: self.high.or(Some(self.median)), ..self }
    }

    /// Returns true if it is an upper bound.
    pub fn is_at_most(&self) -> bool {
        self.low.is_none() && self.high.is_some()
    }

    /// Returns the larger of the interval's two halves, as a share of the median.
    pub fn relative_half_width(&self) -> Option<f64> {
        let half = (self.high? - self.median).max(self.median - self.low?);
        (self.median != 0.0).then(|| half / self.median.abs())
    }
}

/// Values that an interval leaves out, and its confidence level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Confidence {
    /// Number of the smallest values left out, and of the largest.
    pub left_out: usize,
    /// Probability that the interval holds the true median.
    pub level: f64,
}

impl Confidence {
    /// Level that an interval should reach.
    pub const AIM: f64 = 0.95;

    /// Returns the confidence of the narrowest interval over `n` values that reaches [`Confidence::AIM`], or of their whole
    /// range if none does; `None` below two.
    pub fn of(n: usize) -> Option<Confidence> {
        if n < 2 {
            return None;
        }
        // P(Bin(n, ½) ≤ k), built up term by term; beyond about a thousand values the first terms vanish, harmlessly.
        let mut term = 0.5_f64.powi(i32::try_from(n).unwrap_or(i32::MAX));
        let mut below = term;
        let mut best = Confidence { left_out: 0, level: 1.0 - 2.0 * below };
        for k in 1..n / 2 {
            term *= (n - k + 1) as f64 / k as f64;
            below += term;
            let level = 1.0 - 2.0 * below;
            if level < Confidence::AIM {
                break;
            }
            best = Confidence { left_out: k, level };
        }
        Some(best)
    }

    /// Returns the confidence of this level, and its number of values: the largest possible one up to `at_most`.
    pub fn of_level(level: f64, at_most: usize) -> Option<(Confidence, usize)> {
        let is_it = |n: &usize| Confidence::of(*n).is_some_and(|confidence| (confidence.level - level).abs() < 1e-9);
        // In a run worth reading, no more repetitions than this have no undisturbed samples while others have some.
        const SEARCHED: usize = 200;
        let n = (at_most.saturating_sub(SEARCHED).max(2)..=at_most.min(10_000)).rev().find(is_it)?;
        Some((Confidence::of(n)?, n))
    }
}

/// Returns the median of numbers in any order; `None` without any.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    median_of_sorted(&values)
}

fn median_of_sorted(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        length if length % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(n: usize, left_out: usize, level: f64) {
        let confidence = Confidence::of(n).unwrap();
        assert_eq!(confidence.left_out, left_out, "{n}");
        assert!((confidence.level - level).abs() < 5e-4, "{n}: {confidence:?}");
    }

    #[test]
    fn levels_are_those_of_the_published_table() {
        // Nonparametric confidence intervals for the median: Hollander & Wolfe, table A.2 of the sign test.
        check(2, 0, 0.5);
        check(5, 0, 0.9375);
        check(6, 0, 0.9688);
        check(8, 0, 0.9922);
        check(9, 1, 0.9609);
        check(10, 1, 0.9785);
        check(15, 3, 0.9648);
        check(20, 5, 0.9586);
        check(25, 7, 0.9567);
    }

    #[test]
    fn how_many_values_there_were_is_told_by_the_level() {
        for n in [2, 5, 6, 10, 20, 500] {
            let confidence = Confidence::of(n).unwrap();
            assert_eq!(Confidence::of_level(confidence.level, n + 100), Some((confidence, n)));
        }
        assert_eq!(Confidence::of_level(0.123, 100), None);
        assert_eq!(Confidence::of_level(0.5, 0), None);
    }

    #[test]
    fn one_value_has_no_interval_and_none_no_median() {
        assert_eq!(Estimate::over([3.0]), Some(Estimate { median: 3.0, low: None, high: None }));
        assert_eq!(Estimate::over([]), None);
    }

    #[test]
    fn ten_values_lose_their_extremes() {
        let estimate = Estimate::over([9.0, 1.0, 5.0, 3.0, 7.0, 2.0, 8.0, 4.0, 6.0, 100.0]).unwrap();
        assert_eq!(estimate, Estimate { median: 5.5, low: Some(2.0), high: Some(9.0) });
        assert!((estimate.relative_half_width().unwrap() - 3.5 / 5.5).abs() < 1e-12);
    }

    #[test]
    fn an_interval_is_no_narrower_than_the_clock_allows() {
        let estimate = Estimate::over([100.0; 10]).unwrap().blurred(0.01);
        assert_eq!(estimate, Estimate { median: 100.0, low: Some(99.0), high: Some(101.0) });
        assert_eq!(Estimate::over([3.0]).unwrap().blurred(0.01).low, None);
    }

    #[test]
    fn many_values_do_not_overflow() {
        let confidence = Confidence::of(10_000).unwrap();
        assert!(confidence.level >= Confidence::AIM);
    }

    proptest! {
        #[test]
        fn the_median_lies_within_its_interval(values in prop::collection::vec(0.0..1e9_f64, 2..60)) {
            let estimate = Estimate::over(values).unwrap();
            prop_assert!(estimate.low.unwrap() <= estimate.median && estimate.median <= estimate.high.unwrap());
        }
    }
}
