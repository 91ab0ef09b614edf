//! Cost of one more, from the total costs of several numbers of them.

use crate::estimate::median;

/// Returns the slope of a line through points, which fixed costs do not change and one outlier changes little: the median of
/// the slopes between all pairs. `None` if no two points differ in `x`.
///
/// # References
/// Sen, *Estimates of the regression coefficient based on Kendall's tau*, JASA 63 (1968); Theil (1950).
pub fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let pairs =
        points.iter().enumerate().flat_map(|(at, &one)| points[at + 1..].iter().map(move |&other| (one, other)));
    let slopes =
        pairs.filter(|(one, other)| one.0 != other.0).map(|(one, other)| (other.1 - one.1) / (other.0 - one.0));
    median(slopes.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sens_own_example_has_his_slope() {
        // Sen (1968), section 6.
        let points = [(1.0, 9.0), (2.0, 15.0), (3.0, 19.0), (4.0, 20.0), (10.0, 45.0), (12.0, 55.0), (18.0, 78.0)];
        assert!((slope(&points).unwrap() - 4.0).abs() < 1e-12);
    }

    #[test]
    fn fixed_costs_drop_out_and_one_point_that_is_off_does_little() {
        let points = [(500.0, 1e6 + 500.0 * 400.0), (1000.0, 1e6 + 1000.0 * 400.0), (2000.0, 1e6 + 2000.0 * 400.0)];
        assert!((slope(&points).unwrap() - 400.0).abs() < 1e-9);
        let off = [(1.0, 10.0), (2.0, 20.0), (3.0, 30.0), (4.0, 40.0), (5.0, 500.0)];
        assert!((slope(&off).unwrap() - 10.0).abs() < 1e-9);
    }

    #[test]
    fn one_point_or_one_count_has_no_slope() {
        assert_eq!(slope(&[]), None);
        assert_eq!(slope(&[(1.0, 2.0)]), None);
        assert_eq!(slope(&[(1.0, 2.0), (1.0, 3.0)]), None);
    }

    proptest! {
        #[test]
        fn a_line_has_its_slope(each in -1e6..1e6_f64, fixed in -1e9..1e9_f64, xs in prop::collection::btree_set(0_u32..1_000_000, 2..9)) {
            let points: Vec<(f64, f64)> = xs.iter().map(|&x| (f64::from(x), fixed + each * f64::from(x))).collect();
            prop_assert!((slope(&points).unwrap() - each).abs() < 1e-3 * each.abs().max(1.0));
        }
    }
}
