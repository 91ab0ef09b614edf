//! Numbers as other tools print them in the C locale, and the error for a line that has none.

use anyhow::{Context, Error, Result, anyhow, bail};

/// Characters of a line that an error shows.
const LINE_LIMIT: usize = 200;

/// Returns a whole number above 0.
///
/// # Errors
/// It is no such number, with the number.
pub(super) fn count(text: &str) -> Result<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        bail!("{text:?} is no number of things");
    }
    let number = text.parse().with_context(|| format!("{text:?} is too large"))?;
    if number == 0 { Err(anyhow!("{text:?} is not above 0")) } else { Ok(number) }
}

/// Returns a number above 0, with or without decimals: not `inf` or `1e3`, which Rust would accept, nor `1,5`, which C would in
/// other locales.
///
/// # Errors
/// It is no such number, with the number.
pub(super) fn positive(text: &str) -> Result<f64> {
    let number = decimal(text)?;
    if number > 0.0 { Ok(number) } else { Err(anyhow!("{text:?} is not above 0")) }
}

/// As [`positive`], or 0.
///
/// # Errors
/// It is no such number, with the number.
pub(super) fn decimal(text: &str) -> Result<f64> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    if !digits(whole) || !digits(decimals) {
        bail!("{text:?} is no number");
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => bail!("{text:?} is too large"),
    }
}

/// Returns the error that a tool's line is not understood.
pub(super) fn refuse(tool: &str, line: &str, why: &str) -> Error {
    let shown: String = line.trim().chars().take(LINE_LIMIT).collect();
    anyhow!("{tool} printed {shown:?}: {why}")
}

/// Returns another program's output on one line; each character that a terminal would obey becomes a `?`.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|char| {
            if char == '\t' {
                ' '
            } else if char.is_control() {
                '?'
            } else {
                char
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits_with_or_without_decimals() {
        assert_eq!((count("7").unwrap(), positive("7").unwrap(), positive("0.50").unwrap()), (7, 7.0, 0.5));
        assert_eq!(decimal("0.000").unwrap(), 0.0);
        let vast = "9".repeat(400);
        for garbage in ["", ".", "1.", ".5", "1,5", "1.5.2", "+1", "-1", " 1", "1e3", "inf", "NaN", "0x1", "٣", &vast]
        {
            assert!(decimal(garbage).is_err() && positive(garbage).is_err() && count(garbage).is_err(), "{garbage:?}");
        }
        assert!(count("1.0").is_err() && count("0").is_err() && positive("0.0").is_err());
    }

    #[test]
    fn a_line_is_shown_shortened_and_without_control_characters() {
        let error = refuse("tool", &format!("  \u{1b}[31m{}", "x".repeat(1000)), "why").to_string();
        assert!(error.starts_with("tool printed \"\\u{1b}[31mxxx") && error.ends_with("xxx\": why"), "{error}");
        assert!(error.len() < 250);
    }
}
