//! Numbers of exposition pages: what Go's `ParseFloat` takes, without its hexadecimal forms.

use tsdb_model::MetricType;
use tsdb_model::float::{parse_float, write_float_general};

/// Why a text is not a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberError {
    /// `p`, `P` or `_`, which Go would take but expositions may not contain.
    Character,
    /// Anything else.
    Syntax,
}

/// Reads a sample value. NaN becomes the one NaN that Prometheus stores.
#[inline]
pub(crate) fn parse_value(text: &[u8]) -> Result<f64, NumberError> {
    if let Some(v) = small_integer(text) {
        return Ok(v);
    }
    let (sign, digits) = match text {
        [b'+', rest @ ..] => (1.0, rest),
        [b'-', rest @ ..] => (-1.0, rest),
        rest => (1.0, rest),
    };
    if matches!(digits, [b'0'..=b'9' | b'.', ..]) {
        // The sign is taken off here, so that a second one is an error.
        if let Ok(v) = fast_float2::parse::<f64, _>(digits)
            && v.is_finite()
        {
            return Ok(sign * v);
        }
    } else if let Some(v) = std::str::from_utf8(text).ok().and_then(parse_float) {
        return Ok(v);
    }
    Err(match memchr::memchr3(b'p', b'P', b'_', text) {
        Some(_) => NumberError::Character,
        None => NumberError::Syntax,
    })
}

/// Most values are counts: up to 15 digits are exact in a float.
#[inline]
fn small_integer(text: &[u8]) -> Option<f64> {
    if text.is_empty() || text.len() > 15 {
        return None;
    }
    let mut n: u64 = 0;
    for b in text {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        n = n * 10 + u64::from(digit);
    }
    Some(n as f64)
}

/// Reads digits only, without a sign; `None` also when the number is too large.
pub(crate) fn parse_digits(text: &[u8]) -> Option<i64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0i64, |n, b| {
        let digit = b.is_ascii_digit().then(|| i64::from(b - b'0'))?;
        n.checked_mul(10)?.checked_add(digit)
    })
}

/// The float form (`1.0`, `0.1`, `+Inf`) of a `le` value of a histogram or a `quantile` value of a
/// summary; `None` for other labels and for values that are no numbers.
pub(crate) fn normalized(metric_type: MetricType, name: &str, value: &str) -> Option<String> {
    let applies = match metric_type {
        MetricType::Histogram => name == "le",
        MetricType::Summary => name == "quantile",
        _ => false,
    };
    if !applies {
        return None;
    }
    let v = parse_float(value)? + 0.0; // -0 becomes 0, as in Prometheus
    let mut out = String::with_capacity(value.len() + 2);
    write_float_general(&mut out, v);
    if v.is_finite() && !out.contains(['.', 'e']) {
        out.push_str(".0");
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use tsdb_model::float::NORMAL_NAN_BITS;

    use super::*;

    #[test]
    fn values_as_go_reads_them() {
        for (text, v) in [
            ("0", 0.0),
            ("42", 42.0),
            ("999999999999999", 999999999999999.0),
            ("9999999999999999", 9999999999999999.0),
            ("+1", 1.0),
            ("-1.5", -1.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("1E+2", 100.0),
            ("1e-400", 0.0),
            ("1.7976931348623157e308", f64::MAX),
            ("4.9e-324", 5e-324),
            ("inf", f64::INFINITY),
            ("+INF", f64::INFINITY),
            ("Infinity", f64::INFINITY),
            ("-inf", f64::NEG_INFINITY),
        ] {
            assert_eq!(parse_value(text.as_bytes()), Ok(v), "{text}");
        }
        assert!(parse_value(b"-0").unwrap().is_sign_negative());
        for text in [b"NaN", b"nan"] {
            let bits = parse_value(text).map(f64::to_bits);
            assert_eq!(bits, Ok(NORMAL_NAN_BITS));
        }
    }

    #[test]
    fn what_is_no_value() {
        for text in [
            "", "+", "-", ".", "e5", "1e", "1e999", "-1e999", "0x10", "--1", "+-1", "1-", "1\r",
            "infin", "+nan", "1,5", "\u{ff}",
        ] {
            assert_eq!(
                parse_value(text.as_bytes()),
                Err(NumberError::Syntax),
                "{text}"
            );
        }
        for text in ["1_000", "0x1p4", "0X1P4"] {
            assert_eq!(
                parse_value(text.as_bytes()),
                Err(NumberError::Character),
                "{text}"
            );
        }
    }

    #[test]
    fn digits_only() {
        assert_eq!(parse_digits(b"1395066363000"), Some(1395066363000));
        assert_eq!(parse_digits(b"9223372036854775807"), Some(i64::MAX));
        for text in ["", "-1", "+1", "1.5", "1e3", "9223372036854775808"] {
            assert_eq!(parse_digits(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn bounds_and_quantiles_get_float_form() {
        let le = |v| normalized(MetricType::Histogram, "le", v);
        for (text, want) in [
            ("1", "1.0"),
            ("0.10", "0.1"),
            ("1e3", "1000.0"),
            ("1000000", "1e+06"),
            ("+Inf", "+Inf"),
            ("Inf", "+Inf"),
            ("0", "0.0"),
            ("-0", "0.0"),
            ("5e-05", "5e-05"),
        ] {
            assert_eq!(le(text).as_deref(), Some(want), "{text}");
        }
        assert_eq!(le("big"), None);
        assert_eq!(
            normalized(MetricType::Summary, "quantile", "1"),
            Some("1.0".into())
        );
        assert_eq!(normalized(MetricType::Summary, "le", "1"), None);
        assert_eq!(normalized(MetricType::Unknown, "le", "1"), None);
    }
}
