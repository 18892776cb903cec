//! Quantiles, deviations and variances of plain numbers.

use std::cmp::Ordering;

use super::kahan::increment;

/// The `q`-quantile, interpolated between the two values around the rank; NaN counts as the
/// smallest value. NaN for no values and for a `q` that is NaN; `-Inf` and `+Inf` for one below 0
/// and above 1. `values` are left in some other order.
pub fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let (rank, weight) = rank(q, values.len());
    let (_, lower, above) = values.select_nth_unstable_by(rank, nan_first);
    let lower = *lower;
    let upper = above.iter().copied().min_by(nan_first).unwrap_or(lower);
    lower * (1.0 - weight) + upper * weight
}

/// Of `len` sorted values the one below the quantile, and how far above it that lies.
fn rank(q: f64, len: usize) -> (usize, f64) {
    let rank = q * (len - 1) as f64;
    (rank.floor() as usize, rank - rank.floor())
}

/// [`quantile`] of values in the order of [`nan_first`].
pub(super) fn quantile_of_sorted(q: f64, values: &[f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let (rank, weight) = rank(q, values.len());
    let lower = values[rank];
    let upper = values.get(rank + 1).copied().unwrap_or(lower);
    lower * (1.0 - weight) + upper * weight
}

/// Ascending order with NaN in front.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "what sorting hands over")]
pub(super) fn nan_first(a: &f64, b: &f64) -> Ordering {
    a.partial_cmp(b)
        .unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

/// Value of the label in which `histogram_quantiles` shows the quantile: as OpenMetrics has it, with
/// a decimal point or an exponent in every number.
pub fn quantile_label(q: f64) -> String {
    let mut text = super::general(q);
    if q.is_finite() && !text.contains(['.', 'e']) {
        text.push_str(".0");
    }
    text
}

/// `mad_over_time`: the median of the distances from the median; NaN when there is any NaN.
pub fn median_absolute_deviation(values: &mut [f64]) -> f64 {
    if values.iter().any(|v| v.is_nan()) {
        return f64::NAN;
    }
    let median = quantile(0.5, values);
    for v in values.iter_mut() {
        *v = (*v - median).abs();
    }
    quantile(0.5, values)
}

/// Population variance by Welford's method, as the aggregations `stddev` and `stdvar` have it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Variance {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Variance {
    /// The variance of one number: 0, or NaN when it is not finite.
    pub fn new(first: f64) -> Self {
        Self {
            count: 1.0,
            mean: first,
            squares: if first.is_finite() { 0.0 } else { f64::NAN },
        }
    }

    /// Takes one more number in.
    pub fn add(&mut self, v: f64) {
        self.count += 1.0;
        let delta = v - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (v - self.mean);
    }

    /// The variance.
    pub fn variance(&self) -> f64 {
        self.squares / self.count
    }

    /// The standard deviation.
    pub fn deviation(&self) -> f64 {
        self.variance().sqrt()
    }
}

/// Population variance as `stdvar_over_time` and, before the root, `stddev_over_time` have it: by
/// Welford's method with compensated sums. NaN for no values.
pub fn variance_over_time(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut count = 0.0;
    let (mut mean, mut mean_compensation) = (0.0, 0.0);
    let (mut squares, mut squares_compensation) = (0.0, 0.0);
    for v in values {
        count += 1.0;
        let delta = v - (mean + mean_compensation);
        (mean, mean_compensation) = increment(delta / count, mean, mean_compensation);
        let square = delta * (v - (mean + mean_compensation));
        (squares, squares_compensation) = increment(square, squares, squares_compensation);
    }
    (squares + squares_compensation) / count
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantiles() {
        let q = |q: f64, values: &[f64]| quantile(q, &mut values.to_vec());
        assert_eq!(q(0.5, &[2.0, 1.0, 0.0]), 1.0);
        assert_eq!(q(0.75, &[0.0, 1.0, 2.0]), 1.5);
        assert_eq!(
            q(0.8, &[0.0, 1.0, 4.0]),
            1.0 * (1.0 - 0.6000000000000001) + 4.0 * 0.6000000000000001
        );
        assert_eq!(q(0.0, &[3.0, -1.0]), -1.0);
        assert_eq!(q(1.0, &[3.0, -1.0]), 3.0);
        assert_eq!(q(-1.0, &[0.0]), f64::NEG_INFINITY);
        assert_eq!(q(2.0, &[0.0]), f64::INFINITY);
        assert!(q(f64::NAN, &[0.0]).is_nan());
        assert!(q(0.5, &[]).is_nan());
        // NaN is the smallest.
        assert_eq!(q(1.0, &[f64::NAN, 1.0]), 1.0);
        assert!(q(0.0, &[1.0, f64::NAN]).is_nan());
    }

    #[test]
    fn quantile_labels() {
        for (q, text) in [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (0.25, "0.25"),
            (-0.1, "-0.1"),
            (1e-9, "1e-09"),
            (7e8, "7e+08"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(quantile_label(q), text);
        }
    }

    #[test]
    fn deviations() {
        assert_eq!(
            median_absolute_deviation(&mut [4.0, 6.0, 2.0, 1.0, 999.0, 1.0, 2.0]),
            1.0
        );
        assert!(median_absolute_deviation(&mut [4.0, f64::NAN]).is_nan());
        assert!((variance_over_time([0.0, 8.0, 8.0, 2.0, 3.0]) - 10.56).abs() < 1e-14);
        assert!(variance_over_time([]).is_nan());
        assert_eq!(variance_over_time([1.5990505637277868; 3]), 0.0);
        let mut v = Variance::new(1.0);
        v.add(2.0);
        v.add(6.0);
        assert!((v.variance() - 14.0 / 3.0).abs() < 1e-15);
        assert!((v.deviation() - (14.0_f64 / 3.0).sqrt()).abs() < 1e-15);
        assert!(Variance::new(f64::INFINITY).variance().is_nan());
    }

    proptest! {
        #[test]
        fn as_by_sorting(mut values in proptest::collection::vec(-1e6..1e6_f64, 1..30), q in 0.0..=1.0_f64) {
            let got = quantile(q, &mut values);
            values.sort_by(f64::total_cmp);
            let rank = q * (values.len() - 1) as f64;
            let upper = (rank.floor() as usize + 1).min(values.len() - 1);
            let weight = rank - rank.floor();
            let expected = values[rank.floor() as usize] * (1.0 - weight) + values[upper] * weight;
            prop_assert_eq!(got, expected);
        }

        #[test]
        fn grows_with_q(mut values in proptest::collection::vec(-1e3..1e3_f64, 1..20), a in 0.0..=1.0_f64, b in 0.0..=1.0_f64) {
            let low = quantile(a.min(b), &mut values);
            let high = quantile(a.max(b), &mut values);
            prop_assert!(low <= high + 1e-9);
        }
    }
}
