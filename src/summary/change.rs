//! How a price has changed between two sides, each of one run or more, and whether that says anything.

use serde::{Deserialize, Serialize};

use crate::summary::estimate::{Confidence, Estimate, median};

/// Below this nothing is called a change: between two runs of the same program on the same idle machine, prices differ by
/// as much now and then, for reasons that no single run can see.
const LEAST: f64 = 0.03;

/// What a change amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Same,
    Faster,
    Slower,
}

impl Verdict {
    pub const ALL: [Verdict; 3] = [Verdict::Same, Verdict::Faster, Verdict::Slower];

    pub fn name(self) -> &'static str {
        match self {
            Verdict::Same => "same",
            Verdict::Faster => "faster",
            Verdict::Slower => "slower",
        }
    }
}

/// A change of a price.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// New ÷ old, less 1: 0.1 is a tenth slower. The interval is wide enough for all rows of a comparison at once.
    pub relative: Estimate,
    /// What a change must exceed to be one: the larger of 3 % and what the two sides leave open.
    pub threshold: f64,
    pub verdict: Verdict,
}

/// The change from the old side's prices to the new side's, as one of `rows` that are judged together. `None` if a side
/// has no price, or an impossible one.
pub fn change(old: &[Estimate], new: &[Estimate], rows: usize) -> Option<Change> {
    let (old, new) = (Side::of(old, rows)?, Side::of(new, rows)?);
    let median = new.median / old.median - 1.0;
    // The worst of both sides at once: wider than the root of squares, and right whatever the two have in common.
    let low = (new.median * (1.0 - new.below)) / (old.median * (1.0 + old.above)) - 1.0;
    let high = (new.median * (1.0 + new.above)) / (old.median * (1.0 - old.below).max(f64::MIN_POSITIVE)) - 1.0;
    let threshold = LEAST.max(high - median).max(median - low);
    let verdict = match median {
        change if change > threshold => Verdict::Slower,
        change if change < -threshold => Verdict::Faster,
        _ => Verdict::Same,
    };
    let relative = Estimate { median, low: Some(low), high: Some(high) };
    [median, low, high].iter().all(|value| value.is_finite()).then_some(Change { relative, threshold, verdict })
}

/// What one side knows of a price: its median, and how far it may be off on either side, as shares of it.
#[derive(Debug, Clone, Copy)]
struct Side {
    median: f64,
    below: f64,
    above: f64,
}

impl Side {
    /// Of one run its interval; of several the wider of the runs' own and that between them.
    fn of(runs: &[Estimate], rows: usize) -> Option<Side> {
        let center = median(runs.iter().map(|run| run.median).collect())?;
        if center <= 0.0 || runs.iter().any(|run| run.median <= 0.0) {
            return None;
        }
        let between = Estimate::over(runs.iter().map(|run| run.median))?;
        let share = |ends: fn(&Estimate) -> Option<f64>| {
            let own = median(runs.iter().filter_map(|run| Some((ends(run)? / run.median - 1.0).abs())).collect());
            let between = ends(&between).map(|end| (end / center - 1.0).abs());
            own.unwrap_or(0.0).max(between.unwrap_or(0.0)) * for_all_at_once(rows)
        };
        Some(Side { median: center, below: share(|run| run.low).min(1.0), above: share(|run| run.high) })
    }
}

/// By how much an interval that is right for one row in [`Confidence::AIM`] must be widened to be right for all of `rows`
/// at once: the ratio of two quantiles of the normal distribution, each row taking its part of what may go wrong.
///
/// # References
/// Dunn: "Multiple comparisons among means", JASA 56, 1961 (Bonferroni's inequality).
fn for_all_at_once(rows: usize) -> f64 {
    let alpha = 1.0 - Confidence::AIM;
    two_sided_quantile(alpha / rows.max(1) as f64) / two_sided_quantile(alpha)
}

/// The z for which a normal variable lies beyond ±z with probability `alpha`.
fn two_sided_quantile(alpha: f64) -> f64 {
    let (mut low, mut high) = (0.0, 40.0);
    // Each step halves what is left of 40: sixty leave less than a double can tell.
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if libm::erfc(middle / std::f64::consts::SQRT_2) > alpha { low = middle } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(median: f64, half: f64) -> Estimate {
        Estimate { median, low: Some(median * (1.0 - half)), high: Some(median * (1.0 + half)) }
    }

    #[track_caller]
    fn check(old: &[Estimate], new: &[Estimate], rows: usize, verdict: Verdict) -> Change {
        let change = change(old, new, rows).unwrap();
        assert_eq!(change.verdict, verdict, "{change:?}");
        change
    }

    #[test]
    fn quantiles_are_those_of_the_published_tables() {
        // Abramowitz & Stegun, table 26.5.
        for (alpha, z) in [(0.05, 1.95996), (0.01, 2.57583), (0.001, 3.29053)] {
            assert!((two_sided_quantile(alpha) - z).abs() < 1e-5, "{alpha}");
        }
        assert!((for_all_at_once(1) - 1.0).abs() < 1e-12);
        assert!((for_all_at_once(5) - 2.57583 / 1.95996).abs() < 1e-4);
    }

    #[test]
    fn small_changes_are_none_and_large_ones_are() {
        check(&[run(100.0, 0.002)], &[run(102.9, 0.002)], 1, Verdict::Same);
        check(&[run(100.0, 0.002)], &[run(104.0, 0.002)], 1, Verdict::Slower);
        check(&[run(100.0, 0.002)], &[run(96.0, 0.002)], 1, Verdict::Faster);
    }

    #[test]
    fn what_the_intervals_leave_open_is_no_change() {
        let open = check(&[run(100.0, 0.05)], &[run(108.0, 0.05)], 1, Verdict::Same);
        assert!(open.threshold > 0.10 && open.relative.low.unwrap() < 0.0, "{open:?}");
        check(&[run(100.0, 0.02)], &[run(105.0, 0.02)], 1, Verdict::Slower);
        // One of many rows has to stand out further.
        check(&[run(100.0, 0.02)], &[run(105.0, 0.02)], 22, Verdict::Same);
    }

    #[test]
    fn several_runs_a_side_bring_their_own_spread() {
        let spread = [run(100.0, 0.001), run(106.0, 0.001), run(94.0, 0.001)];
        check(&spread, &[run(108.0, 0.001)], 1, Verdict::Slower);
        check(&spread, &[run(105.0, 0.001)], 1, Verdict::Same);
    }

    #[test]
    fn what_has_no_price_has_no_change() {
        assert_eq!(change(&[], &[run(1.0, 0.1)], 1), None);
        assert_eq!(change(&[run(0.0, 0.1)], &[run(1.0, 0.1)], 1), None);
        assert_eq!(change(&[run(1.0, 0.1)], &[run(-1.0, 0.1)], 1), None);
        let without = Estimate { median: 100.0, low: None, high: None };
        check(&[without], &[Estimate { median: 110.0, ..without }], 1, Verdict::Slower);
    }

    proptest! {
        #[test]
        fn no_numbers_make_it_panic(values in prop::collection::vec(any::<[f64; 3]>(), 0..5), rows in 0_usize..100) {
            let runs: Vec<Estimate> =
                values.iter().map(|[median, low, high]| Estimate { median: *median, low: Some(*low), high: Some(*high) }).collect();
            let _ = change(&runs, &runs, rows);
        }

        #[test]
        fn a_run_is_the_same_as_itself(median in 1.0..1e9_f64, half in 0.0..0.5_f64) {
            prop_assert_eq!(change(&[run(median, half)], &[run(median, half)], 3).unwrap().verdict, Verdict::Same);
        }
    }
}
