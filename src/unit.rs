//! Quantities, and their printed form.

use std::fmt;

/// A duration or a cost in nanoseconds, printed with three significant digits or to the nanosecond, whichever is finer.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Nanoseconds(pub f64);

impl fmt::Display for Nanoseconds {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        significant(self.0, out)
    }
}

/// A count per op or in total, printed like [`Nanoseconds`].
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Count(pub f64);

impl fmt::Display for Count {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        significant(self.0, out)
    }
}

/// A whole number of things, printed to the last: `22,812`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Whole(pub f64);

impl fmt::Display for Whole {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&grouped(&format!("{:.0}", self.0)))
    }
}

/// A share between 0 and 1, printed in percent: whole above 10 %, else with one significant digit or two.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Share(pub f64);

impl fmt::Display for Share {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.0 * 100.0;
        let decimals = match percent.abs() {
            size if size >= 9.95 || size == 0.0 => 0,
            size if size >= 0.095 => 1,
            _ => 2,
        };
        write!(out, "{percent:.decimals$} %")
    }
}

/// A ratio, printed as a factor: `15x`, `1.3x`, `0.85x`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Times(pub f64);

impl fmt::Display for Times {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = match self.0 {
            ratio if ratio >= 9.95 => 0,
            ratio if ratio >= 0.995 => 1,
            _ => 2,
        };
        write!(out, "{:.decimals$}x", self.0)
    }
}

/// A span of time in nanoseconds, printed with three significant digits and the unit that suits it.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Span(pub f64);

impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // From 999.5 on, three digits are the next unit's 1.00.
        let (value, unit) = match self.0.abs() {
            size if size < 999.5 => (self.0, "ns"),
            size if size < 999.5e3 => (self.0 / 1e3, "µs"),
            size if size < 999.5e6 => (self.0 / 1e6, "ms"),
            _ => (self.0 / 1e9, "s"),
        };
        significant(value, out)?;
        write!(out, " {unit}")
    }
}

/// A number of things in a second, printed with three significant digits: `18.5 K/s`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Rate(pub f64);

impl fmt::Display for Rate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, unit) = match self.0.abs() {
            size if size < 999.5 => (self.0, ""),
            size if size < 999.5e3 => (self.0 / 1e3, "K"),
            _ => (self.0 / 1e6, "M"),
        };
        significant(value, out)?;
        write!(out, " {unit}/s")
    }
}

/// A number of bytes, printed with three significant digits and the unit that suits it.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Bytes(pub f64);

impl fmt::Display for Bytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, unit) = match self.0.abs() {
            size if size < 999.5 => return write!(out, "{:.0} B", self.0),
            size if size < 999.5 * 1024.0 => (self.0 / 1024.0, "KiB"),
            size if size < 999.5 * 1024.0 * 1024.0 => (self.0 / (1024.0 * 1024.0), "MiB"),
            _ => (self.0 / (1024.0 * 1024.0 * 1024.0), "GiB"),
        };
        significant(value, out)?;
        write!(out, " {unit}")
    }
}

/// A large number of things, printed with two significant digits: 52,000 or 2.6 million.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Roughly(pub f64);

impl fmt::Display for Roughly {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.is_finite() || self.0 < 1.0 {
            return write!(out, "0");
        }
        let step = 10_f64.powf((self.0.log10().floor() - 1.0).max(0.0));
        // Down, so that as many do fit.
        let rounded = (self.0 / step).floor() * step;
        if rounded >= 1e6 {
            let millions = rounded / 1e6;
            return write!(out, "{millions:.*} million", usize::from(millions < 10.0));
        }
        out.write_str(&grouped(&format!("{rounded:.0}")))
    }
}

/// A moment of a clock, in whole nanoseconds since that clock's start.
pub type MonotonicNs = u64;

fn significant(value: f64, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let decimals = match value.abs() {
        size if size >= 99.95 || size == 0.0 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.9995 => 2,
        _ => 3,
    };
    out.write_str(&grouped(&format!("{value:.decimals$}")))
}

/// Returns a number with a comma between its thousands.
fn grouped(number: &str) -> String {
    let whole = number.find('.').unwrap_or(number.len());
    let is_digit = |at: usize| number.as_bytes()[at].is_ascii_digit();
    let with_comma = |(at, letter): (usize, char)| {
        let begins_thousand = at > 0 && at < whole && (whole - at) % 3 == 0 && is_digit(at - 1);
        begins_thousand.then_some(',').into_iter().chain([letter])
    };
    number.char_indices().flat_map(with_comma).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: fmt::Display>(value: T, expected: &str) {
        assert_eq!(value.to_string(), expected);
    }

    #[test]
    fn quantities_keep_three_digits() {
        check(Nanoseconds(4553.4), "4,553");
        check(Nanoseconds(1_234_567.0), "1,234,567");
        check(Nanoseconds(-12_345.6), "-12,346");
        check(Nanoseconds(-123.0), "-123");
        check(Nanoseconds(256.2), "256");
        check(Nanoseconds(99.96), "100");
        check(Nanoseconds(24.16), "24.2");
        check(Nanoseconds(1.5), "1.50");
        check(Nanoseconds(0.3084), "0.308");
        check(Nanoseconds(-12.34), "-12.3");
        check(Count(0.0), "0");
    }

    #[test]
    fn ratios_read_as_factors() {
        for (ratio, expected) in [(39.4, "39x"), (9.96, "10x"), (3.21, "3.2x"), (1.0, "1.0x"), (0.8, "0.80x")] {
            check(Times(ratio), expected);
        }
    }

    #[test]
    fn spans_have_the_unit_that_suits_them() {
        check(Span(0.0), "0 ns");
        check(Span(999.0), "999 ns");
        check(Span(999.6), "1.00 µs");
        check(Span(45_600.0), "45.6 µs");
        check(Span(1_230_000.0), "1.23 ms");
        check(Span(3_600e9), "3,600 s");
    }

    #[test]
    fn rates_have_a_thousand_or_a_million_where_that_suits_them() {
        check(Rate(0.0), "0 /s");
        check(Rate(999.4), "999 /s");
        check(Rate(18_519.0), "18.5 K/s");
        check(Rate(22_800_000.0), "22.8 M/s");
    }

    #[test]
    fn bytes_have_the_unit_that_suits_them() {
        check(Bytes(0.0), "0 B");
        check(Bytes(412.6), "413 B");
        check(Bytes(-3.2), "-3 B");
        check(Bytes(2048.0), "2.00 KiB");
        check(Bytes(999.9), "0.976 KiB");
        check(Bytes(2_101_248.0), "2.00 MiB");
        check(Bytes(5.5 * 1024.0 * 1024.0 * 1024.0), "5.50 GiB");
    }

    #[test]
    fn large_numbers_are_said_roughly_and_never_too_high() {
        check(Roughly(2_688_000.0), "2.6 million");
        check(Roughly(439_999.0), "430,000");
        check(Roughly(52_900.0), "52,000");
        check(Roughly(12_900_000.0), "12 million");
        check(Roughly(987.0), "980");
        check(Roughly(7.9), "7");
        check(Roughly(0.4), "0");
        check(Roughly(f64::INFINITY), "0");
    }

    #[test]
    fn shares_are_percent() {
        check(Share(1.0), "100 %");
        check(Share(0.984), "98 %");
        check(Share(0.0996), "10 %");
        check(Share(0.0412), "4.1 %");
        check(Share(0.003), "0.3 %");
        check(Share(0.0004), "0.04 %");
        check(Share(0.0), "0 %");
    }
}
