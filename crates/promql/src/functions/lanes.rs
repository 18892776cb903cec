//! Sums of several windows at a time. Each is worked out in the order of its samples, so it has
//! the bits it would have alone; side by side none has to wait for the additions of its own last
//! sample.

use super::kahan::increment;
use super::over_time::avg_floats;

/// Windows that are worked on side by side.
pub(crate) const LANES: usize = 8;

/// Rows `from..to` of a column.
pub(crate) type Rows = (usize, usize);

/// Sums with what rounding took from them.
fn sums(values: &[f64], windows: &[Rows; LANES]) -> [(f64, f64); LANES] {
    let shortest = windows.iter().map(|(from, to)| to - from).min();
    let shortest = shortest.unwrap_or(0);
    let parts = windows.map(|(from, _)| &values[from..from + shortest]);
    let mut sum = [0.0; LANES];
    let mut compensation = [0.0; LANES];
    #[expect(clippy::needless_range_loop, reason = "goes through all parts at once")]
    for row in 0..shortest {
        for lane in 0..LANES {
            let v = parts[lane][row];
            (sum[lane], compensation[lane]) = increment(v, sum[lane], compensation[lane]);
        }
    }
    let mut out = [(0.0, 0.0); LANES];
    for (lane, (from, to)) in windows.iter().enumerate() {
        out[lane] = (sum[lane], compensation[lane]);
        for v in &values[from + shortest..*to] {
            out[lane] = increment(*v, out[lane].0, out[lane].1);
        }
    }
    out
}

/// `sum_over_time` of the windows.
pub(crate) fn sum(values: &[f64], windows: &[Rows; LANES]) -> [f64; LANES] {
    sums(values, windows).map(|(sum, compensation)| sum + compensation)
}

/// `avg_over_time` of the windows; NaN for those that are empty.
pub(crate) fn avg(values: &[f64], windows: &[Rows; LANES]) -> [f64; LANES] {
    let sums = sums(values, windows);
    std::array::from_fn(|lane| {
        let (from, to) = windows[lane];
        let (sum, compensation) = sums[lane];
        if sum.is_finite() {
            let n = (to - from) as f64;
            sum / n + compensation / n
        } else {
            // It may be the sum only that is not.
            avg_floats(&values[from..to]).unwrap_or(f64::NAN)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::over_time::sum_floats;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_one_by_one(
            values in proptest::collection::vec(
                prop_oneof![
                    8 => -1e3..1e3,
                    2 => proptest::sample::select(vec![1e300, -1e308, 1.7e308, 0.0, -0.0, 1e-300]),
                    1 => proptest::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
                ],
                40,
            ),
            windows in proptest::array::uniform8((0usize..20, 1usize..20)),
        ) {
            let windows = windows.map(|(from, len)| (from, from + len));
            let same = |a: f64, b: f64| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
            let (sums, means) = (sum(&values, &windows), avg(&values, &windows));
            for (lane, (from, to)) in windows.into_iter().enumerate() {
                let part = &values[from..to];
                prop_assert!(same(sums[lane], sum_floats(part)));
                prop_assert!(same(means[lane], avg_floats(part).unwrap()));
            }
        }
    }
}
