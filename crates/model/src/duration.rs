//! Prometheus durations: `1y2w3d4h5m6s7ms`, units in that order, each at most once.

use std::fmt::Write as _;

/// Units from the largest to the smallest, in milliseconds. A year is 365 days, as in Prometheus.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// The empty text.
    #[error("empty duration string")]
    Empty,
    /// Not of the form `[y][w][d][h][m][s][ms]`.
    #[error("not a valid duration string: {0:?}")]
    Invalid(String),
    /// More than about 292 years, Prometheus's limit (int64 nanoseconds).
    #[error("duration out of range")]
    OutOfRange,
}

/// Parses a Prometheus duration (`5m`, `1h30m`, `0`) into milliseconds. `0` needs no unit, every
/// other number does; there is no sign and no fraction.
pub fn parse_duration_ms(text: &str) -> Result<i64, DurationError> {
    match text {
        "" => return Err(DurationError::Empty),
        "0" => return Ok(0),
        _ => {}
    }
    let invalid = || DurationError::Invalid(text.to_string());
    let mut rest = text;
    let mut next_unit = 0;
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_lowercase).count();
        let (unit, tail) = tail.split_at(letters);
        let at = UNITS.iter().skip(next_unit).position(|(u, _)| *u == unit);
        let Some(at) = at else { return Err(invalid()) };
        if digits == 0 {
            return Err(invalid());
        }
        let (_, unit_ms) = UNITS[next_unit + at];
        let number: i64 = number.parse().map_err(|_| DurationError::OutOfRange)?;
        total = number
            .checked_mul(unit_ms)
            .and_then(|ms| total.checked_add(ms))
            .filter(|ms| *ms <= i64::MAX / 1_000_000)
            .ok_or(DurationError::OutOfRange)?;
        next_unit += at + 1;
        rest = tail;
    }
    Ok(total)
}

/// Prints milliseconds the way Prometheus prints a duration: `0s`, `5m`, `1h30m`, `1w`, `15d`.
/// Years, weeks and days appear only when they divide what is left exactly. Negative durations get
/// a minus sign in front.
pub fn format_duration_ms(ms: i64) -> String {
    let mut out = String::new();
    if ms == 0 {
        return "0s".to_string();
    }
    if ms < 0 {
        out.push('-');
    }
    let mut rest = ms.unsigned_abs();
    for (unit, unit_ms) in UNITS {
        let unit_ms = unit_ms.unsigned_abs();
        let exact_only = matches!(unit, "y" | "w" | "d");
        if exact_only && !rest.is_multiple_of(unit_ms) {
            continue;
        }
        let n = rest / unit_ms;
        if n > 0 {
            let _ = write!(out, "{n}{unit}");
            rest -= n * unit_ms;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_prometheus_parses() {
        for (text, ms) in [
            ("0", 0),
            ("0s", 0),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1y2w3d4h5m6s7ms", 33_019_506_007),
            ("300ms", 300),
            ("15d", 15 * 86_400_000),
        ] {
            assert_eq!(parse_duration_ms(text), Ok(ms), "{text}");
        }
        for text in [
            "",
            "15",
            "1m1h",
            "1.5s",
            "-1s",
            "1ns",
            "s",
            "1m1m",
            "99999999999y",
            "1 m",
        ] {
            assert!(parse_duration_ms(text).is_err(), "{text}");
        }
    }

    #[test]
    fn prints_what_prometheus_prints() {
        for (ms, text) in [
            (0, "0s"),
            (300_000, "5m"),
            (5_400_000, "1h30m"),
            (604_800_000, "1w"),
            (86_400_000 * 15, "15d"),
            (86_400_000 + 3_600_000, "25h"),
            (1_500, "1s500ms"),
            (-60_000, "-1m"),
        ] {
            assert_eq!(format_duration_ms(ms), text);
        }
    }
}
