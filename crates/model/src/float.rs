//! Floats as Prometheus prints and reads them (Go's `strconv`).

use std::fmt::Write as _;

/// Appends the shortest decimal form that reads back to the same bits, as Prometheus writes sample
/// values in the HTTP API: positional when `1e-6 <= |v| < 1e21` or `v` is zero, else with a
/// two-digit exponent (`1e+300`, `1e-09`); `NaN`, `+Inf`, `-Inf`.
pub fn write_float(out: &mut String, v: f64) {
    let abs = v.abs();
    if !v.is_finite() {
        write_special(out, v);
    } else if abs == 0.0 || (1e-6..1e21).contains(&abs) {
        write_finite(out, v);
    } else {
        write_exponent(out, v);
    }
}

/// Appends a whole number.
pub fn write_integer(out: &mut String, mut n: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.push_str(std::str::from_utf8(&digits[at..]).unwrap_or_default());
}

/// Appends a finite number in positional form with the fewest digits that read back to its bits.
fn write_finite(out: &mut String, v: f64) {
    const WHOLE: f64 = 9_007_199_254_740_992.0; // 2^53
    if v.abs() < WHOLE && v.trunc() == v {
        if v.is_sign_negative() {
            out.push('-');
        }
        write_integer(out, v.abs() as u64);
        return;
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(v);
    if text.contains('e') {
        // Rust's `Display` is positional whatever the number.
        let _ = write!(out, "{v}");
    } else {
        out.push_str(text.strip_suffix(".0").unwrap_or(text));
    }
}

/// [`write_float`] into a fresh string.
pub fn format_float(v: f64) -> String {
    let mut out = String::with_capacity(24);
    write_float(&mut out, v);
    out
}

/// Appends `v` always in positional form, as Prometheus prints scalars and `count_values` labels.
pub fn write_float_positional(out: &mut String, v: f64) {
    if v.is_finite() {
        write_finite(out, v);
    } else {
        write_special(out, v);
    }
}

/// Appends `v` in Go's `%g` form with shortest digits, as annotations and the text of histograms
/// have it: exponent form when the exponent is below -4 or at least 6.
pub fn write_float_general(out: &mut String, v: f64) {
    let abs = v.abs();
    if !v.is_finite() {
        write_special(out, v);
    } else if abs == 0.0 || (1e-4..1e6).contains(&abs) {
        let _ = write!(out, "{v}");
    } else {
        write_exponent(out, v);
    }
}

/// Go's exponent form: at least two exponent digits, always signed.
pub fn write_exponent(out: &mut String, v: f64) {
    let text = format!("{v:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    out.push_str(mantissa);
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    let _ = write!(out, "e{sign}{digits:0>2}");
}

fn write_special(out: &mut String, v: f64) {
    out.push_str(if v.is_nan() {
        "NaN"
    } else if v > 0.0 {
        "+Inf"
    } else {
        "-Inf"
    });
}

/// Reads a float as Go's `ParseFloat(s, 64)` does, without hexadecimal and underscores: decimal
/// forms, and `inf`, `infinity`, `nan` in any case with an optional sign. Overflow to infinity is
/// an error (`None`), underflow is zero.
pub fn parse_float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let first = unsigned.bytes().next()?;
    if first.is_ascii_digit() || first == b'.' {
        let v: f64 = text.parse().ok()?;
        return v.is_finite().then_some(v);
    }
    let negative = text.starts_with('-');
    if unsigned.eq_ignore_ascii_case("inf") || unsigned.eq_ignore_ascii_case("infinity") {
        Some(if negative {
            f64::NEG_INFINITY
        } else {
            f64::INFINITY
        })
    } else if unsigned.eq_ignore_ascii_case("nan") && unsigned.len() == text.len() {
        Some(f64::from_bits(NORMAL_NAN_BITS))
    } else {
        None
    }
}

/// Bits of the NaN that Prometheus stores for a value written as `NaN`.
pub const NORMAL_NAN_BITS: u64 = 0x7ff8_0000_0000_0001;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn positional_as_the_standard_library(v in prop_oneof![
            any::<f64>(),
            -1e6..1e6,
            (-1_000_000i64..1_000_000).prop_map(|n| n as f64 / 100.0),
            any::<i64>().prop_map(|n| n as f64),
            (any::<u64>(), 0u32..70).prop_map(|(n, by)| (n >> (by % 64)) as f64),
        ]) {
            if v.is_finite() {
                let mut out = String::new();
                write_float_positional(&mut out, v);
                prop_assert_eq!(out, format!("{v}"));
            }
        }

        #[test]
        fn whole_numbers(n: u64) {
            let mut out = String::new();
            write_integer(&mut out, n);
            prop_assert_eq!(out, n.to_string());
        }
    }

    #[test]
    fn prints_as_the_http_api() {
        for (v, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (1e-6, "0.000001"),
            (9.9e-7, "9.9e-07"),
            (1e21, "1e+21"),
            (1e20, "100000000000000000000"),
            (1e300, "1e+300"),
            (-1.5e-9, "-1.5e-09"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(format_float(v), text);
        }
    }

    #[test]
    fn prints_as_go_general() {
        for (v, text) in [
            (-0.0, "-0"),
            (123456.0, "123456"),
            (12345678.0, "1.2345678e+07"),
            (1e6, "1e+06"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (f64::INFINITY, "+Inf"),
        ] {
            let mut out = String::new();
            write_float_general(&mut out, v);
            assert_eq!(out, text);
        }
    }

    #[test]
    fn reads_as_go() {
        assert_eq!(parse_float("1E+2"), Some(100.0));
        assert_eq!(parse_float(".5"), Some(0.5));
        assert_eq!(parse_float("5."), Some(5.0));
        assert_eq!(parse_float("-Infinity"), Some(f64::NEG_INFINITY));
        assert_eq!(parse_float("nan").map(f64::to_bits), Some(NORMAL_NAN_BITS));
        for bad in ["", "1e999", "0x10", "1_0", "-nan", "+", "e5", "1 "] {
            assert_eq!(parse_float(bad), None, "{bad}");
        }
    }
}
