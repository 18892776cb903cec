//! Functions from number to number.
//!
//! Exponentials, powers and the trigonometric functions are the standard library's; Go's, which
//! Prometheus uses, may differ from them in the last digit.

use std::f64::consts::PI;

pub use tsdb_model::log::{log2, log10};

/// `sgn`: -1 or 1; zeros and NaN stay as they are.
pub fn sgn(v: f64) -> f64 {
    if v < 0.0 {
        -1.0
    } else if v > 0.0 {
        1.0
    } else {
        v
    }
}

/// `deg`: radians to degrees.
pub fn deg(v: f64) -> f64 {
    v * 180.0 / PI
}

/// `rad`: degrees to radians.
pub fn rad(v: f64) -> f64 {
    v * PI / 180.0
}

/// `round`: to the nearest multiple of `to_nearest`, ties upwards. The inverse of `to_nearest` is
/// what is multiplied by, which spares `round(1.27, 0.1)` a rounding error.
pub fn round(v: f64, to_nearest: f64) -> f64 {
    let inverse = 1.0 / to_nearest;
    (v * inverse + 0.5).floor() / inverse
}

/// The larger of two numbers; NaN unless both are numbers or one is `+Inf`; `+0` over `-0`.
pub fn max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        if a.is_sign_negative() { b } else { a }
    } else if a > b {
        a
    } else {
        b
    }
}

/// The smaller of two numbers; NaN unless both are numbers or one is `-Inf`; `-0` over `+0`.
pub fn min(a: f64, b: f64) -> f64 {
    -max(-a, -b)
}

/// One value of `clamp`. When `max < min` the function has no result at all, which is for the
/// caller to see to.
pub fn clamp(v: f64, low: f64, high: f64) -> f64 {
    max(low, min(high, v))
}

/// The operator `%`: the remainder with the dividend's sign.
pub fn modulo(a: f64, b: f64) -> f64 {
    a % b
}

/// The operator `^`.
pub fn pow(a: f64, b: f64) -> f64 {
    a.powf(b)
}

/// The operator `atan2`.
pub fn atan2(a: f64, b: f64) -> f64 {
    a.atan2(b)
}

/// 2 to the power of `v`.
pub fn exp2(v: f64) -> f64 {
    v.exp2()
}

/// The function of this name that maps one number to another without further arguments.
pub fn lookup(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => f64::abs,
        "ceil" => f64::ceil,
        "floor" => f64::floor,
        "exp" => f64::exp,
        "sqrt" => f64::sqrt,
        "ln" => f64::ln,
        "log2" => log2,
        "log10" => log10,
        "sgn" => sgn,
        "sin" => f64::sin,
        "cos" => f64::cos,
        "tan" => f64::tan,
        "asin" => f64::asin,
        "acos" => f64::acos,
        "atan" => f64::atan,
        "sinh" => f64::sinh,
        "cosh" => f64::cosh,
        "tanh" => f64::tanh,
        "asinh" => f64::asinh,
        "acosh" => f64::acosh,
        "atanh" => f64::atanh,
        "deg" => deg,
        "rad" => rad,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_ties_upwards() {
        assert_eq!(round(2.5, 1.0), 3.0);
        assert_eq!(round(-2.5, 1.0), -2.0);
        assert_eq!(round(1.27, 0.1), 1.3);
        assert_eq!(round(123.456, 10.0), 120.0);
        assert!(round(1.0, 0.0).is_nan());
        assert!(round(f64::NAN, 1.0).is_nan());
    }

    #[test]
    fn extremes_of_special_values() {
        assert!(max(f64::NAN, 1.0).is_nan());
        assert!(min(1.0, f64::NAN).is_nan());
        assert_eq!(max(f64::NAN, f64::INFINITY), f64::INFINITY);
        assert_eq!(min(f64::NEG_INFINITY, f64::NAN), f64::NEG_INFINITY);
        assert!(max(f64::NAN, f64::NEG_INFINITY).is_nan());
        assert!(max(-0.0, 0.0).is_sign_positive());
        assert!(max(0.0, -0.0).is_sign_positive());
        assert!(min(0.0, -0.0).is_sign_negative());
        assert_eq!(max(1.0, 2.0), 2.0);
        assert_eq!(min(1.0, 2.0), 1.0);
    }

    #[test]
    fn clamps() {
        assert_eq!(clamp(-50.0, -25.0, 75.0), -25.0);
        assert_eq!(clamp(100.0, -25.0, 75.0), 75.0);
        assert!(clamp(f64::NAN, 0.0, 1.0).is_nan());
        assert!(clamp(0.5, f64::NAN, 1.0).is_nan());
        assert_eq!(clamp(f64::INFINITY, 0.0, f64::INFINITY), f64::INFINITY);
    }

    #[test]
    fn signs_and_angles() {
        assert_eq!(sgn(-7.0), -1.0);
        assert_eq!(sgn(f64::INFINITY), 1.0);
        assert!(sgn(-0.0).is_sign_negative());
        assert!(sgn(f64::NAN).is_nan());
        assert_eq!(deg(PI), 180.0);
        assert_eq!(rad(180.0), PI);
    }

    #[test]
    fn remainders_take_the_sign_of_the_dividend() {
        assert_eq!(modulo(-5.0, 3.0), -2.0);
        assert_eq!(modulo(5.0, -3.0), 2.0);
        assert_eq!(modulo(5.0, f64::INFINITY), 5.0);
        assert!(modulo(5.0, 0.0).is_nan());
        assert!(modulo(f64::INFINITY, 2.0).is_nan());
    }

    #[test]
    fn every_plain_function_is_found() {
        for name in [
            "abs", "ceil", "floor", "exp", "sqrt", "ln", "log2", "log10", "sgn", "sin", "cos",
            "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh",
            "deg", "rad",
        ] {
            assert!(lookup(name).unwrap()(f64::NAN).is_nan(), "{name}");
        }
        assert!(lookup("round").is_none());
        assert_eq!(lookup("ceil").unwrap()(0.004), 1.0);
    }
}
