//! Knees of a curve: points from which a cost grows faster than before.
//!
//! ```text
//! net ns     doubling x multiplies the cost by 2^growth
//!      │              ╭──   growth 0 again
//!      │             ╱
//!      │            ╱       growth 1
//!      │ ──────────╯        growth 0
//!      └───────────┬─────
//!                  the knee is between the last x of the old growth and the first of the new one
//! ```

use serde::{Deserialize, Serialize};

use crate::estimate::Estimate;

/// A knee, from which a curve grows faster than before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Knee {
    /// Last point of the slower growth.
    pub below: u64,
    /// First point by which growth had become faster, for good or until it slowed again.
    pub above: u64,
    /// Costs at these points.
    pub below_ns: f64,
    pub above_ns: f64,
    /// Doublings of the cost per doubling of x, before the knee and in it.
    pub growth_before: f64,
    pub growth: f64,
}

/// A growth faster by less than this is no knee, however narrow the intervals are: effects outside a run's intervals change
/// costs by 2 %, and the growth between two points by a tenth of a doubling at most.
const LEAST_CHANGE: f64 = 0.2;

/// Returns the knees of a curve, in the order of x. The points are in the order of x, which is positive: a point at 0 has no
/// place on a logarithmic axis and is skipped, as are costs that are not above 0, or have no interval.
///
/// A step is a knee if the cost grows, and its growth exceeds that of the segment before it by a fifth of a doubling, and by
/// more than the points' intervals leave open: the least possible growth of the step is then above the greatest possible one of
/// the segment. Adjacent steps, each steeper than the one before, are one knee.
pub fn knees(points: &[(u64, Option<Estimate>)]) -> Vec<Knee> {
    let points: Vec<Point> = points.iter().filter_map(|&(x, cost)| Point::of(x, cost?)).collect();
    let mut knees: Vec<(usize, Knee)> = Vec::new();
    // Start of the segment that the next step is compared with.
    let mut since = 0;
    for at in 1..points.len().saturating_sub(1) {
        let (before, step) =
            (Growth::between(&points[since], &points[at]), Growth::between(&points[at], &points[at + 1]));
        if step.rises_above(&before) {
            let (below, above) = (points[at], points[at + 1]);
            match knees.last_mut() {
                Some((end, knee)) if *end == at => {
                    (knee.above, knee.above_ns) = (above.x, above.cost.median);
                    knee.growth = Growth::between(&below, &above).median;
                    *end = at + 1;
                }
                _ => knees.push((
                    at + 1,
                    Knee {
                        below: below.x,
                        above: above.x,
                        below_ns: below.cost.median,
                        above_ns: above.cost.median,
                        growth_before: before.median,
                        growth: step.median,
                    },
                )),
            }
            since = at;
        } else if before.exceeds(&step) || step.exceeds(&before) {
            since = at;
        }
    }
    knees.into_iter().map(|(_, knee)| knee).collect()
}

/// A point that has a place on logarithmic axes.
#[derive(Debug, Clone, Copy)]
struct Point {
    x: u64,
    cost: Estimate,
    low: f64,
    high: f64,
}

impl Point {
    fn of(x: u64, cost: Estimate) -> Option<Point> {
        let is_placed = x > 0 && cost.median.is_finite() && cost.median > 0.0;
        // An interval that reaches below 0 leaves open how far the cost has fallen, and so by how much it has grown.
        is_placed.then_some(Point { x, cost, low: cost.low?.max(0.0), high: cost.high? })
    }
}

/// Doublings of the cost per doubling of x.
#[derive(Debug, Clone, Copy)]
struct Growth {
    least: f64,
    median: f64,
    most: f64,
}

impl Growth {
    fn between(from: &Point, to: &Point) -> Growth {
        let doublings = (to.x as f64 / from.x as f64).log2();
        let growth = |from: f64, to: f64| (to / from).log2() / doublings;
        Growth {
            least: growth(from.high, to.low),
            median: growth(from.cost.median, to.cost.median),
            most: growth(from.low, to.high),
        }
    }

    /// Returns true if it is clearly the faster; false if either is not a number.
    fn exceeds(&self, other: &Growth) -> bool {
        self.least > other.most && self.median - other.median >= LEAST_CHANGE
    }

    /// Returns true if it is clearly a growth, too: a curve that merely stops falling has no knee.
    fn rises_above(&self, before: &Growth) -> bool {
        const LEVEL: Growth = Growth { least: 0.0, median: 0.0, most: 0.0 };
        self.exceeds(before) && self.exceeds(&LEVEL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Returns a curve over doublings from 4096 on, each cost known to ±1 %.
    fn curve(costs: &[f64]) -> Vec<(u64, Option<Estimate>)> {
        let point = |(at, &cost): (usize, &f64)| {
            let estimate = Estimate { median: cost, low: Some(cost * 0.99), high: Some(cost * 1.01) };
            (4096 << at, (cost > 0.0).then_some(estimate))
        };
        costs.iter().enumerate().map(point).collect()
    }

    /// Checks where knees are found, as numbers of points.
    fn check(costs: &[f64], expected: &[(u32, u32)]) {
        let found: Vec<(u32, u32)> = knees(&curve(costs))
            .iter()
            .map(|knee| ((knee.below / 4096).ilog2(), (knee.above / 4096).ilog2()))
            .collect();
        assert_eq!(found, expected, "{costs:?}");
    }

    #[test]
    fn a_flat_curve_and_a_straight_power_law_have_none() {
        check(&[1000.0; 10], &[]);
        check(&[100.0, 200.0, 400.0, 800.0, 1600.0], &[]);
        check(&[100.0, 141.0, 200.0, 283.0, 400.0], &[]);
        check(&[800.0, 400.0, 200.0, 100.0], &[]);
    }

    #[test]
    fn a_step_is_one_knee_where_it_begins() {
        check(&[1000.0, 1000.0, 1000.0, 2000.0, 2000.0, 2000.0], &[(2, 3)]);
        // Where a cache ends, the first misses come before the last hits go.
        check(&[1000.0, 1000.0, 1200.0, 1900.0, 2000.0, 2000.0], &[(1, 3)]);
        let knee = knees(&curve(&[1000.0, 1000.0, 4000.0, 4000.0]))[0];
        assert_eq!((knee.below, knee.above, knee.below_ns, knee.above_ns), (8192, 16_384, 1000.0, 4000.0));
        assert!((knee.growth_before, knee.growth) == (0.0, 2.0), "{knee:?}");
    }

    #[test]
    fn a_curve_that_goes_on_rising_has_its_knee_where_it_began() {
        check(&[1000.0, 1000.0, 2000.0, 4000.0, 8000.0, 16_000.0], &[(1, 2)]);
    }

    #[test]
    fn a_curve_that_falls_no_more_has_no_knee() {
        check(&[1000.0, 1000.0, 4000.0, 2000.0, 1000.0, 1000.0, 1000.0, 1000.0], &[(1, 2)]);
        check(&[1000.0, 500.0, 500.0, 500.0, 1500.0], &[(3, 4)]);
    }

    #[test]
    fn two_steps_are_two_knees() {
        check(&[1000.0, 1000.0, 2000.0, 2000.0, 2000.0, 6000.0, 6000.0], &[(1, 2), (4, 5)]);
        // Straight on, and then steeper still.
        check(&[1000.0, 1000.0, 1500.0, 2250.0, 3375.0, 9000.0, 27_000.0], &[(1, 2), (4, 5)]);
    }

    #[test]
    fn the_first_step_has_nothing_before_it_and_the_last_counts() {
        check(&[1000.0, 2000.0, 2000.0, 2000.0], &[]);
        check(&[1000.0, 1000.0, 1000.0, 2000.0], &[(2, 3)]);
        check(&[1000.0, 2000.0], &[]);
        check(&[], &[]);
    }

    #[test]
    fn what_intervals_leave_open_is_no_knee() {
        let wide: Vec<_> = curve(&[1000.0, 1000.0, 1000.0, 1400.0, 1400.0])
            .into_iter()
            .map(|(x, cost)| (x, cost.map(|cost| cost.blurred(0.2))))
            .collect();
        assert_eq!(knees(&wide), []);
        let unknown: Vec<_> = curve(&[1000.0, 1000.0, 1000.0, 4000.0])
            .into_iter()
            .map(|(x, cost)| (x, cost.map(|cost| Estimate { low: None, high: None, ..cost })))
            .collect();
        assert_eq!(knees(&unknown), []);
    }

    #[test]
    fn what_is_missing_or_not_above_0_is_passed_over() {
        check(&[1000.0, 1000.0, 0.0, 1000.0, 2000.0, 2000.0], &[(3, 4)]);
        check(&[1000.0, 1000.0, 1000.0, 0.0, 4000.0, 4000.0], &[(2, 4)]);
        let mut from_zero = curve(&[1000.0, 1000.0, 1000.0, 4000.0]);
        from_zero.insert(0, (0, from_zero[0].1));
        assert_eq!(knees(&from_zero), knees(&curve(&[1000.0, 1000.0, 1000.0, 4000.0])));
        let negative = Estimate { median: -5.0, low: Some(-9.0), high: Some(1.0) };
        let about_zero = Estimate { median: 5.0, low: Some(-9.0), high: Some(20.0) };
        let known = Estimate { median: 9000.0, low: Some(9000.0), high: Some(9000.0) };
        assert_eq!(knees(&[(1, Some(negative)), (2, Some(about_zero)), (4, Some(about_zero)), (8, Some(known))]), []);
    }

    proptest! {
        #[test]
        fn noise_within_its_intervals_has_none(
            factors in prop::collection::vec(-0.03..0.03_f64, 2..20),
            growth in -0.5..1.5_f64,
        ) {
            let points = factors.iter().enumerate().map(|(at, &factor)| {
                let straight = 1000.0 * growth.mul_add(at as f64, 0.0).exp2();
                let cost = straight * (1.0 + factor);
                (1 << at, Some(Estimate { median: cost, low: Some(straight * 0.96), high: Some(straight * 1.04) }))
            });
            prop_assert_eq!(knees(&points.collect::<Vec<_>>()), vec![]);
        }

        #[test]
        fn no_curve_makes_it_panic(
            points in prop::collection::vec((any::<u64>(), prop::option::of((any::<f64>(), any::<f64>(), any::<f64>()))), 0..20),
        ) {
            let points: Vec<_> = points
                .into_iter()
                .map(|(x, cost)| (x, cost.map(|(low, median, high)| Estimate { median, low: Some(low), high: Some(high) })))
                .collect();
            let _ = knees(&points);
        }
    }
}
