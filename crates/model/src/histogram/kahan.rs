//! Compensated addition, used by histograms and by PromQL alike.

/// Adds `v` to `sum`, of which `compensation` is the part lost to rounding so far; answers both
/// anew. Kahan's method with Neumaier's improvement. An infinite sum has no compensation.
#[inline]
pub fn increment(v: f64, sum: f64, compensation: f64) -> (f64, f64) {
    let total = sum + v;
    let compensation = if total.is_infinite() {
        0.0
    } else if sum.abs() >= v.abs() {
        compensation + ((sum - total) + v)
    } else {
        compensation + ((v - total) + sum)
    };
    (total, compensation)
}

#[cfg(test)]
mod tests {
    use super::increment;

    #[test]
    fn keeps_what_rounding_loses() {
        let (sum, c) = increment(1e100, 1.0, 0.0);
        assert_eq!((sum, c), (1e100, 1.0));
        let (sum, c) = increment(-1e100, sum, c);
        assert_eq!((sum, c), (0.0, 1.0));
    }

    #[test]
    fn infinite_sums_have_none() {
        assert_eq!(increment(f64::MAX, f64::MAX, 3.0), (f64::INFINITY, 0.0));
        assert_eq!(
            increment(1.0, f64::NEG_INFINITY, 3.0),
            (f64::NEG_INFINITY, 0.0)
        );
    }
}
