//! `deriv`, `predict_linear` and `double_exponential_smoothing`: one window at a time.

use super::kahan::KahanSum;
use super::window::{Window, WindowNotes};

/// Two or more floats; notes when histograms are left out beside at least one.
fn enough_floats(w: &Window<'_>, notes: &mut WindowNotes) -> bool {
    notes.ignored_histograms |= w.is_mixed();
    w.values.len() >= 2
}

/// Slope per second and value at `at` (milliseconds) of the straight line that fits best.
pub(super) fn linear_regression(times: &[i64], values: &[f64], at: i64) -> (f64, f64) {
    let [mut sum_x, mut sum_y, mut sum_xy, mut sum_xx] = [KahanSum::default(); 4];
    for (time, y) in times.iter().zip(values) {
        let x = (time - at) as f64 / 1e3;
        sum_x.add(x);
        sum_y.add(*y);
        sum_xy.add(x * y);
        sum_xx.add(x * x);
    }
    line(values, [sum_x, sum_y, sum_xy, sum_xx].map(|s| s.value()))
}

/// The line by the sums of x, y, xy and xx.
pub(super) fn line(values: &[f64], [x, y, xy, xx]: [f64; 4]) -> (f64, f64) {
    let Some(first) = values.first() else {
        return (f64::NAN, f64::NAN);
    };
    if values.iter().all(|v| v == first) {
        return if first.is_infinite() {
            (f64::NAN, f64::NAN)
        } else {
            (0.0, *first)
        };
    }
    let n = values.len() as f64;
    let covariance = xy - x * y / n;
    let variance = xx - x * x / n;
    let slope = covariance / variance;
    (slope, y / n - slope * x / n)
}

/// `deriv`, per second.
pub(crate) fn deriv(w: &Window<'_>, notes: &mut WindowNotes) -> Option<f64> {
    enough_floats(w, notes).then(|| linear_regression(w.times, w.values, w.times[0]).0)
}

/// `predict_linear`: the value `seconds` after the time of the step.
pub(crate) fn predict_linear(w: &Window<'_>, seconds: f64, notes: &mut WindowNotes) -> Option<f64> {
    enough_floats(w, notes).then(|| {
        let (slope, intercept) = linear_regression(w.times, w.values, w.time);
        slope * seconds + intercept
    })
}

/// `double_exponential_smoothing`; both factors are between 0 and 1.
pub(crate) fn double_exponential_smoothing(
    w: &Window<'_>,
    smoothing: f64,
    trend: f64,
    notes: &mut WindowNotes,
) -> Option<f64> {
    if !enough_floats(w, notes) {
        return None;
    }
    let values = w.values;
    let (mut before, mut smoothed) = (0.0, values[0]);
    let mut slope = values[1] - values[0];
    for (i, value) in values.iter().enumerate().skip(1) {
        if i > 1 {
            slope = trend * (smoothed - before) + (1.0 - trend) * slope;
        }
        let next = smoothing * value + (1.0 - smoothing) * (smoothed + slope);
        (before, smoothed) = (smoothed, next);
    }
    Some(smoothed)
}
