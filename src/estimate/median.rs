//! The standard error of a median, from the interval between two of the values that it is the median of.

/// Standard errors of the median of `n` normal values, as a share of the distance between the ends of the interval that leaves
/// out none, one, two … at either end, as one of 95 % does.
///
/// Below 21 from the simulated distribution of order statistics; beyond, by the formula below.
const BY_COUNT: [f64; 21] = [
    0.0, 0.0, 0.627, 0.396, 0.266, 0.230, 0.186, 0.171, 0.145, 0.222, 0.184, 0.174, 0.212, 0.202, 0.177, 0.226, 0.197,
    0.242, 0.214, 0.201, 0.232,
];

/// Returns the standard error of the logarithm of a median over `n` values, from the ends of its interval, of which `left_out`
/// values lie outside at either end; `None` for fewer than two values, and for ends that are no interval of positive numbers.
///
/// # References
/// David & Nagaraja, *Order Statistics*, 3rd ed., §7.1; Blom's approximation of an order statistic's mean, §4.5.
pub fn standard_error(n: usize, left_out: usize, low: f64, high: f64) -> Option<f64> {
    let range = high.ln() - low.ln();
    (n >= 2 && low > 0.0 && range.is_finite() && range >= 0.0).then(|| share(n, left_out) * range)
}

fn share(n: usize, left_out: usize) -> f64 {
    BY_COUNT.get(n).copied().unwrap_or_else(|| by_formula(n, left_out))
}

fn by_formula(n: usize, left_out: usize) -> f64 {
    let of = n as f64;
    let error = (std::f64::consts::FRAC_PI_2 / (of + 0.4)).sqrt();
    let end = 1.0 - (left_out as f64 + 1.0 - 0.375) / (of + 0.25);
    error / (2.0 * crate::estimate::quantile::normal_two_sided(2.0 * (1.0 - end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(n: usize, left_out: usize, expected: f64) {
        let found = standard_error(n, left_out, 1.0, 1.0_f64.exp()).unwrap();
        assert!((found / expected - 1.0).abs() < 0.005, "{n}: {found}");
    }

    #[test]
    fn a_median_of_few_is_known_by_the_table_and_one_of_many_by_the_formula() {
        // Of two values the median is their mean, σ/√2, and their range 2σ/√π.
        check(2, 0, std::f64::consts::PI.sqrt() / 8.0_f64.sqrt());
        check(10, 1, 0.184);
        // Simulated, 40,000 and 12,000 times.
        check(21, 5, 0.2148);
        check(25, 7, 0.2400);
        check(100, 39, 0.2348);
    }

    #[test]
    fn the_formula_continues_the_table() {
        for (n, left_out) in [(9, 1), (11, 1), (13, 2), (17, 4), (19, 4)] {
            let by_formula = by_formula(n, left_out);
            assert!((by_formula / BY_COUNT[n] - 1.0).abs() < 0.02, "{n}: {by_formula}");
        }
    }

    #[test]
    fn what_is_no_interval_has_no_error() {
        assert_eq!(standard_error(10, 1, 5.0, 5.0), Some(0.0));
        for (n, low, high) in [
            (1, 1.0, 2.0),
            (0, 1.0, 2.0),
            (10, 2.0, 1.0),
            (10, 0.0, 1.0),
            (10, -1.0, 1.0),
            (10, 1.0, f64::NAN),
            (10, 1.0, f64::INFINITY),
        ] {
            assert_eq!(standard_error(n, 1, low, high), None, "{n} {low} {high}");
        }
    }
}
