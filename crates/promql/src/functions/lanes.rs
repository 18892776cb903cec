//! Sums of several windows at a time. Each is worked out in the order of its samples, so it has
//! the bits it would have alone; side by side none has to wait for the additions of its own last
//! sample.

use super::kahan::increment;
use super::over_time::avg_floats;
use super::regression::line;

/// Windows that are worked on side by side.
pub(crate) const LANES: usize = 8;

/// Rows `from..to` of a column.
pub(crate) type Rows = (usize, usize);

/// Sums with what rounding took from them.
fn sums(values: &[f64], windows: &[Rows; LANES]) -> [(f64, f64); LANES] {
    let shortest = shortest(windows);
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

/// Length of the shortest window.
fn shortest(windows: &[Rows; LANES]) -> usize {
    windows
        .iter()
        .map(|(from, to)| to - from)
        .min()
        .unwrap_or(0)
}

/// One number per lane, so that an operation on all of them is one on few registers.
type Lanes = [f64; LANES];

/// Sums of all lanes with what rounding took from them.
#[derive(Clone, Copy, Default)]
struct LaneSums {
    sum: Lanes,
    compensation: Lanes,
}

impl LaneSums {
    #[inline(always)]
    fn add(&mut self, v: &Lanes) {
        for (lane, v) in v.iter().enumerate() {
            (self.sum[lane], self.compensation[lane]) =
                increment(*v, self.sum[lane], self.compensation[lane]);
        }
    }

    #[inline(always)]
    fn add_to(&mut self, lane: usize, v: f64) {
        (self.sum[lane], self.compensation[lane]) =
            increment(v, self.sum[lane], self.compensation[lane]);
    }

    #[inline(always)]
    fn value(&self, lane: usize) -> f64 {
        self.sum[lane] + self.compensation[lane]
    }
}

/// `stdvar_over_time` of the windows; NaN for those that are empty.
pub(crate) fn variance(values: &[f64], windows: &[Rows; LANES]) -> Lanes {
    let shortest = shortest(windows);
    let parts = windows.map(|(from, _)| &values[from..from + shortest]);
    let (mut means, mut squares) = (LaneSums::default(), LaneSums::default());
    #[expect(clippy::needless_range_loop, reason = "goes through all parts at once")]
    for row in 0..shortest {
        let count = (row + 1) as f64;
        let v: Lanes = std::array::from_fn(|lane| parts[lane][row]);
        let delta: Lanes = std::array::from_fn(|lane| v[lane] - means.value(lane));
        means.add(&delta.map(|delta| delta / count));
        squares.add(&std::array::from_fn(|lane| {
            delta[lane] * (v[lane] - means.value(lane))
        }));
    }
    for (lane, (from, to)) in windows.iter().enumerate() {
        for (v, count) in values[from + shortest..*to].iter().zip(shortest + 1..) {
            let delta = v - means.value(lane);
            means.add_to(lane, delta / count as f64);
            squares.add_to(lane, delta * (v - means.value(lane)));
        }
    }
    std::array::from_fn(|lane| squares.value(lane) / (windows[lane].1 - windows[lane].0) as f64)
}

/// Slope per second and value at `at` of the straight line that fits the windows best; `times` and
/// `at` are whole milliseconds. Of no meaning for windows of less than two samples.
pub(crate) fn regression(
    times: &[f64],
    values: &[f64],
    windows: &[Rows; LANES],
    at: &Lanes,
) -> [(f64, f64); LANES] {
    let shortest = shortest(windows);
    let ys = windows.map(|(from, _)| &values[from..from + shortest]);
    let ts = windows.map(|(from, _)| &times[from..from + shortest]);
    // Of x, y, xy and xx.
    let mut sums = [LaneSums::default(); 4];
    for row in 0..shortest {
        let x: Lanes = std::array::from_fn(|lane| (ts[lane][row] - at[lane]) / 1e3);
        let y: Lanes = std::array::from_fn(|lane| ys[lane][row]);
        sums[0].add(&x);
        sums[1].add(&y);
        sums[2].add(&std::array::from_fn(|lane| x[lane] * y[lane]));
        sums[3].add(&std::array::from_fn(|lane| x[lane] * x[lane]));
    }
    std::array::from_fn(|lane| {
        let (from, to) = windows[lane];
        let rest = times[from + shortest..to].iter();
        for (time, y) in rest.zip(&values[from + shortest..to]) {
            let x = (time - at[lane]) / 1e3;
            for (sum, v) in sums.iter_mut().zip([x, *y, x * y, x * x]) {
                sum.add_to(lane, v);
            }
        }
        line(&values[from..to], sums.map(|sum| sum.value(lane)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::over_time::sum_floats;
    use crate::functions::quantile::variance_over_time;
    use crate::functions::regression::linear_regression;
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
            let variances = variance(&values, &windows);
            let times: Vec<i64> = (0..40).map(|i| 1_700_000_000_000 + i * 15_003).collect();
            let milliseconds: Vec<f64> = times.iter().map(|t| *t as f64).collect();
            let at: [i64; LANES] = std::array::from_fn(|lane| times[windows[lane].1 - 1] + 77);
            let lines = regression(&milliseconds, &values, &windows, &at.map(|t| t as f64));
            for (lane, (from, to)) in windows.into_iter().enumerate() {
                let part = &values[from..to];
                prop_assert!(same(sums[lane], sum_floats(part)));
                prop_assert!(same(means[lane], avg_floats(part).unwrap()));
                prop_assert!(same(variances[lane], variance_over_time(part.iter().copied())));
                let line = linear_regression(&times[from..to], part, at[lane]);
                prop_assert!(same(lines[lane].0, line.0) && same(lines[lane].1, line.1));
            }
        }
    }
}
