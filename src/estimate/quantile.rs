//! Quantiles of the normal distribution and of Student's.

use std::f64::consts::{PI, SQRT_2};

/// Returns the z for which a normal variable lies beyond ±z with this probability.
pub(super) fn normal_two_sided(alpha: f64) -> f64 {
    let (mut low, mut high) = (0.0, 40.0);
    // Each step halves what is left of 40: sixty leave less than the precision of a double.
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if libm::erfc(middle / SQRT_2) > alpha { low = middle } else { high = middle }
    }
    low
}

/// Returns the t for which a variable of Student's distribution lies beyond ±t with this probability; `freedom`, above 0, may
/// be any number: Welch and Satterthwaite's seldom is a whole one.
pub fn student_two_sided(freedom: f64, alpha: f64) -> f64 {
    let mut t = normal_two_sided(alpha);
    // The tail is convex and t still too small, so that Newton's steps never go too far.
    for _ in 0..500 {
        let step = (student_tails(freedom, t) - alpha) / (2.0 * student_density(freedom, t));
        if step.is_nan() || step <= 1e-12 * t {
            break;
        }
        t += step;
    }
    t
}

fn student_density(freedom: f64, t: f64) -> f64 {
    let ln_scale = libm::lgamma((freedom + 1.0) / 2.0) - libm::lgamma(freedom / 2.0) - 0.5 * (freedom * PI).ln();
    (ln_scale - (freedom + 1.0) / 2.0 * (t * t / freedom).ln_1p()).exp()
}

/// Returns the probability beyond ±t.
fn student_tails(freedom: f64, t: f64) -> f64 {
    incomplete_beta(freedom / 2.0, 0.5, freedom / (freedom + t * t))
}

/// Returns the regularized incomplete beta function, by its continued fraction.
///
/// # References
/// Abramowitz & Stegun, 26.5.8 and 26.7.1; evaluated forwards by Lentz's method.
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    let ln_beta = libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b);
    let front = |a: f64, b: f64, x: f64| (a * x.ln() + b * (-x).ln_1p() - ln_beta).exp() / a;
    // The fraction converges quickly on this side of the mean; the other side is its complement.
    if x <= 0.0 {
        0.0
    } else if x >= 1.0 {
        1.0
    } else if x < (a + 1.0) / (a + b + 2.0) {
        front(a, b, x) * beta_fraction(a, b, x)
    } else {
        1.0 - front(b, a, 1.0 - x) * beta_fraction(b, a, 1.0 - x)
    }
}

fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const LEAST: f64 = 1e-300;
    let away_from_zero = |value: f64| if value.abs() < LEAST { LEAST } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for m in 1..1000 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for numerator in [even, odd] {
            d = 1.0 / away_from_zero(1.0 + numerator * d);
            c = away_from_zero(1.0 + numerator / c);
            change = c * d;
            fraction *= change;
        }
        if (change - 1.0).abs() < 1e-15 {
            break;
        }
    }
    fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_quantiles_are_those_of_the_published_table() {
        // Abramowitz & Stegun, table 26.5.
        for (alpha, z) in [(0.05, 1.95996), (0.01, 2.57583), (0.001, 3.29053)] {
            assert!((normal_two_sided(alpha) - z).abs() < 1e-5, "{alpha}");
        }
    }

    #[test]
    fn students_quantiles_are_those_of_the_published_table() {
        // Abramowitz & Stegun, table 26.10; that of 1 is a Cauchy variable's, tan(π·0.475).
        for (freedom, alpha, t) in [
            (1.0, 0.05, 12.706),
            (2.0, 0.05, 4.303),
            (3.0, 0.05, 3.182),
            (3.0, 0.01, 5.841),
            (4.0, 0.05, 2.776),
            (9.0, 0.05, 2.262),
            (30.0, 0.05, 2.042),
            (120.0, 0.01, 2.617),
            (1e6, 0.05, 1.960),
        ] {
            let found = student_two_sided(freedom, alpha);
            assert!((found - t).abs() < 6e-4, "{freedom} {alpha}: {found}");
        }
        // Of 2 in closed form: t = (1 - α)·√(2 / (α·(2 - α))); one of a hundred rows.
        let exact = (1.0 - 5e-4) * (2.0 / (5e-4 * (2.0 - 5e-4_f64))).sqrt();
        assert!((student_two_sided(2.0, 5e-4) / exact - 1.0).abs() < 1e-9);
        let between = student_two_sided(3.5, 0.05);
        assert!(between < 3.182 && between > 2.776, "{between}");
    }
}
