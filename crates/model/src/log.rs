//! Logarithms to the bases 2 and 10 worked out from the natural one as Go's `math` package does it,
//! so that queries answer what Prometheus answers to the last digit.

use std::f64::consts::{LOG2_E, LOG10_E};

/// Logarithm to the base 2; exact for powers of two.
pub fn log2(v: f64) -> f64 {
    if !(v > 0.0 && v.is_finite()) {
        return v.ln();
    }
    let (fraction, exponent) = split(v);
    if fraction == 0.5 {
        return exponent - 1.0;
    }
    fraction.ln() * LOG2_E + exponent
}

/// Logarithm to the base 10.
pub fn log10(v: f64) -> f64 {
    v.ln() * LOG10_E
}

/// `v` as `fraction * 2^exponent` with a fraction in `[0.5, 1)`; `v` is positive and finite.
fn split(v: f64) -> (f64, f64) {
    const MANTISSA: u32 = 52;
    const HALF: u64 = 1022 << MANTISSA;
    const TWO_52: f64 = 4_503_599_627_370_496.0;
    // Subnormal numbers are made normal first.
    let (v, shift) = if v < f64::MIN_POSITIVE {
        (v * TWO_52, 52.0)
    } else {
        (v, 0.0)
    };
    let bits = v.to_bits();
    let exponent = (bits >> MANTISSA) as f64 - 1022.0 - shift;
    let fraction = f64::from_bits(bits & ((1 << MANTISSA) - 1) | HALF);
    (fraction, exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_two_are_exact() {
        for e in -1074..1024 {
            let v = if e < -1022 {
                f64::from_bits(1 << (e + 1074))
            } else {
                2f64.powi(e)
            };
            assert_eq!(log2(v), f64::from(e));
        }
    }

    #[test]
    fn as_go_has_them() {
        for (v, by_2, by_10) in [
            (1.0, 0.0, 0.0),
            (10.0, std::f64::consts::LOG2_10, 1.0),
            (100.0, 6.643856189774724, 2.0),
            (1000.0, 9.965784284662087, 3.0),
            (1e6, 19.931568569324174, 6.0),
            (0.001, -9.965784284662087, -3.0),
            (7.0, 2.807354922057604, 0.8450980400142568),
            (12345.0, 13.591639216030144, 4.091491094267951),
            (1e15, 49.82892142331043, 14.999999999999998),
            (1e22, 73.08241808752197, 22.0),
        ] {
            assert_eq!(log2(v), by_2, "{v}");
            assert_eq!(log10(v), by_10, "{v}");
        }
    }

    #[test]
    fn near_the_standard_library() {
        let mut v = 1e-300_f64;
        while v < 1e300 {
            assert!((log2(v) - v.log2()).abs() <= 1e-15 * v.log2().abs().max(1.0));
            assert!((log10(v) - v.log10()).abs() <= 1e-15 * v.log10().abs().max(1.0));
            v *= 1.7;
        }
    }

    #[test]
    fn special_values() {
        for f in [log2, log10] {
            assert_eq!(f(0.0), f64::NEG_INFINITY);
            assert_eq!(f(f64::INFINITY), f64::INFINITY);
            assert!(f(-1.0).is_nan());
            assert!(f(f64::NAN).is_nan());
        }
    }
}
