//! Times as people type them on a command line.

use tsdb_model::parse_duration_ms;

/// Reads Unix seconds (`1700000000.5`), RFC 3339, `now`, or a time relative to now (`-1h`,
/// `now-1h`), in milliseconds since the Unix epoch.
pub(crate) fn parse_time(text: &str, now_ms: i64) -> Result<i64, String> {
    let relative = text.strip_prefix("now").unwrap_or(text);
    if relative.is_empty() && text == "now" {
        return Ok(now_ms);
    }
    for (sign, factor) in [("-", -1), ("+", 1)] {
        if let Some(Ok(ms)) = relative.strip_prefix(sign).map(parse_duration_ms) {
            return Ok(now_ms + factor * ms);
        }
    }
    if let Ok(seconds) = text.parse::<f64>() {
        let ms = (seconds * 1000.0).round();
        return if ms.abs() < 1e15 {
            Ok(ms as i64)
        } else {
            Err(bad(text))
        };
    }
    tsdb_http::params::parse_rfc3339_ms(text).ok_or_else(|| bad(text))
}

fn bad(text: &str) -> String {
    format!("{text:?} is not a time: give Unix seconds, RFC 3339, `now` or a relative time (-1h)")
}

/// A step that gives about 240 points, rounded to a length people use; milliseconds.
pub(crate) fn default_step_ms(range_ms: i64) -> i64 {
    const STEPS: [i64; 18] = [
        1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200,
        86_400,
    ];
    let wanted = range_ms / 240;
    STEPS
        .iter()
        .map(|s| s * 1000)
        .find(|s| *s >= wanted)
        .unwrap_or(wanted / 86_400_000 * 86_400_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_time() {
        let now = 1_700_000_000_000;
        assert_eq!(parse_time("now", now), Ok(now));
        assert_eq!(parse_time("-1h", now), Ok(now - 3_600_000));
        assert_eq!(parse_time("now-1h30m", now), Ok(now - 5_400_000));
        assert_eq!(parse_time("1700000000.5", now), Ok(now + 500));
        assert_eq!(parse_time("2023-11-14T22:13:20Z", now), Ok(now));
        assert!(parse_time("yesterday", now).is_err());
        assert!(parse_time("1e300", now).is_err());
    }

    #[test]
    fn steps_are_round() {
        assert_eq!(default_step_ms(3_600_000), 15_000);
        assert_eq!(default_step_ms(86_400_000), 600_000);
        assert_eq!(default_step_ms(60_000), 1_000);
    }
}
