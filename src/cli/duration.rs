//! Times on the command line.

use std::time::Duration;

/// Limit of any time on the command line: larger ones could overflow a clock that they are added to.
const DAY: Duration = Duration::from_secs(86_400);
const MILLISECOND: Duration = Duration::from_millis(1);
/// Shortest interval between two polls: each takes time, too.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// Returns the time of `500ms`, `1.5s`, `1m 30s`, or of a bare number of seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    within(text, MILLISECOND, "1ms")
}

/// Returns a time, as [`duration`], between two polls.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    within(text, SHORTEST_INTERVAL, "10ms")
}

/// Returns a time, as [`duration`], or none at all for 0.
pub(super) fn patience(text: &str) -> Result<Duration, String> {
    match parse(text)? {
        0.0 => Ok(Duration::ZERO),
        _ => duration(text),
    }
}

fn within(text: &str, least: Duration, least_text: &str) -> Result<Duration, String> {
    let seconds = parse(text)?;
    if (least.as_secs_f64()..=DAY.as_secs_f64()).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(format!("must be between {least_text} and 24h (a day, 86400 s)"))
    }
}

/// Returns the seconds of a text, however many.
fn parse(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let unit_at = text.find(|letter: char| letter.is_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    // One with several parts, or with a longer name of a unit.
    let written_out = || humantime::parse_duration(text).ok().map(|time| time.as_secs_f64());
    let of_unit = |scale: f64| number.trim().parse::<f64>().ok().map(|number| number * scale);
    let seconds = match unit {
        _ if text.parse::<f64>().is_ok() => text.parse().ok(),
        "s" => of_unit(1.0),
        "ms" => of_unit(1e-3),
        "us" | "µs" => of_unit(1e-6),
        "m" | "min" => of_unit(60.0),
        "h" => of_unit(3600.0),
        _ => None,
    };
    seconds.or_else(written_out).ok_or_else(|| "not a time; write it as 500ms, 2s or 1m".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_or_is_in_seconds() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("2s", 2000),
            ("10", 10_000),
            ("0.5", 500),
            ("1.5s", 1500),
            ("1m", 60_000),
            ("1.5min", 90_000),
            ("1m 30s", 90_000),
            ("2h", 7_200_000),
            ("24h", 86_400_000),
            ("1day", 86_400_000),
            ("2 seconds", 2000),
            ("5000us", 5),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_or_too_short_or_too_long_is_refused() {
        for (text, words) in [
            ("", "not a time"),
            ("ms", "not a time"),
            ("1x", "not a time"),
            ("1e3s", "not a time"),
            ("soon", "not a time"),
            ("nan", "between 1ms"),
            ("0", "between 1ms"),
            ("-1", "between"),
            ("0.9ms", "between"),
            ("25h", "24h"),
            ("1e300", "24h"),
        ] {
            let error = duration(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert!(interval("9ms").unwrap_err().contains("10ms"));
        assert_eq!(interval("10ms"), Ok(Duration::from_millis(10)));
        for nothing in ["0", "0s", "0ms"] {
            assert_eq!(patience(nothing), Ok(Duration::ZERO));
        }
        assert!(patience("0.1ms").is_err());
    }
}
