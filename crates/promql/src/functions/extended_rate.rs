//! `rate`, `increase` and `delta` of anchored and smoothed selectors: no extrapolation; values at
//! the ends of the range are taken from the samples around them.

use std::sync::Arc;

use tsdb_model::histogram::{CounterResetHint, HistogramError};
use tsdb_model::{FloatHistogram, HistogramSample};

use super::rate::{RateKind, add, sub};
use super::window::{Window, WindowNotes};
use crate::eval::column::Cell;

/// The value of one window, which reaches a lookback delta beyond the range: before it when
/// anchored, on both sides when `smoothed`.
pub(crate) fn extended(
    w: &Window<'_>,
    kind: RateKind,
    smoothed: bool,
    range_seconds: f64,
    notes: &mut WindowNotes,
) -> Option<Cell> {
    if w.is_mixed() {
        notes.mixed_types = true;
        return None;
    }
    if !w.histograms.is_empty() {
        return extended_histogram(w, kind, smoothed, range_seconds, notes);
    }
    let (mut first, mut last) = bounds(w.times, w.range_start, w.range_end, smoothed)?;
    let (times, values) = (w.times, w.values);
    let point = |i: usize| (times[i], values[i]);
    let left = if smoothed && times[first] < w.range_start {
        interpolate(point(first), point(first + 1), w.range_start, kind.counter)
    } else {
        values[first]
    };
    let right = if smoothed && last > 0 && times[last] > w.range_end {
        interpolate(point(last - 1), point(last), w.range_end, kind.counter)
    } else {
        values[last]
    };
    let mut result = right - left;
    if kind.counter {
        // The ends have seen to the resets beside them.
        first += usize::from(times[first] <= w.range_start);
        last += usize::from(times[last] < w.range_end);
        let mut correction = 0.0;
        let mut previous = left;
        let inner = values.get(first..last).unwrap_or(&[]);
        for value in inner.iter().chain([&right]) {
            if *value < previous {
                correction += previous;
            }
            previous = *value;
        }
        result += correction;
    }
    if kind.per_second {
        result /= range_seconds;
    }
    Some(Cell::Float(result))
}

/// Indices of the samples that stand for the ends of the range; `None` when nothing lies in it.
fn bounds(times: &[i64], start: i64, end: i64, smoothed: bool) -> Option<(usize, usize)> {
    let mut last = times.len().checked_sub(1)?;
    let first = times[..last]
        .partition_point(|t| *t <= start)
        .saturating_sub(1);
    if smoothed {
        last = times[..last].partition_point(|t| *t < end);
    }
    if times[last] <= start || (smoothed && times[first] > end) {
        return None;
    }
    Some((first, last))
}

/// The samples of an anchored or smoothed range, with values at both ends of it; for range
/// selectors that stand alone.
pub(crate) fn extend(
    times: &[i64],
    values: &[f64],
    start: i64,
    end: i64,
    smoothed: bool,
) -> Vec<(i64, f64)> {
    let Some(mut last) = times.len().checked_sub(1) else {
        return Vec::new();
    };
    let mut first = times[..last]
        .partition_point(|t| *t <= start)
        .saturating_sub(1);
    if smoothed {
        last = times[..last].partition_point(|t| *t < end);
    }
    if times[last] <= start {
        return Vec::new();
    }
    let point = |i: usize| (times[i], values[i]);
    let left = if smoothed && times[first] < start {
        interpolate(point(first), point(first + 1), start, false)
    } else {
        values[first]
    };
    let right = if smoothed && last > 0 && times[last] > end {
        interpolate(point(last - 1), point(last), end, false)
    } else {
        values[last]
    };
    first += usize::from(times[first] <= start);
    last += usize::from(times[last] < end);
    let mut out = vec![(start, left)];
    out.extend((first..last).map(point));
    out.push((end, right));
    out
}

/// Linear interpolation; a counter that falls is taken to start from 0.
pub(crate) fn interpolate(a: (i64, f64), b: (i64, f64), time: i64, counter: bool) -> f64 {
    let from = if counter && b.1 < a.1 { 0.0 } else { a.1 };
    from + (b.1 - from) * (time - a.0) as f64 / (b.0 - a.0) as f64
}

/// The same for histograms. Fails when exponential and custom buckets meet.
pub(crate) fn interpolate_histograms(
    a: &HistogramSample,
    b: &HistogramSample,
    time: i64,
    counter: bool,
    notes: &mut WindowNotes,
) -> Result<FloatHistogram, HistogramError> {
    if time == a.timestamp_ms {
        return Ok((*a.histogram).clone());
    }
    let mut result = (*b.histogram).clone();
    if time == b.timestamp_ms {
        return Ok(result);
    }
    let fraction = (time - a.timestamp_ms) as f64 / (b.timestamp_ms - a.timestamp_ms) as f64;
    if counter && b.histogram.detect_reset(&a.histogram) {
        result.mul(fraction);
        return Ok(result);
    }
    notes.reconciled_subtraction |= result.sub(&a.histogram)?.bounds_reconciled;
    result.mul(fraction);
    notes.reconciled_addition |= result.add(&a.histogram)?.bounds_reconciled;
    Ok(result)
}

fn extended_histogram(
    w: &Window<'_>,
    kind: RateKind,
    smoothed: bool,
    range_seconds: f64,
    notes: &mut WindowNotes,
) -> Option<Cell> {
    let points = w.histograms;
    let times: Vec<i64> = points.iter().map(|p| p.timestamp_ms).collect();
    let (first, last) = bounds(&times, w.range_start, w.range_end, smoothed)?;
    let custom = points[first].histogram.uses_custom_buckets();
    for point in &points[first..=last] {
        if point.histogram.uses_custom_buckets() != custom {
            notes.mixed_schemas = true;
            return None;
        }
        notes.not_counter |= kind.counter && point.histogram.reset_hint == CounterResetHint::Gauge;
    }
    let mut end = |i: usize, between: Option<(usize, usize)>, time: i64| match between {
        None => Some((*points[i].histogram).clone()),
        Some((a, b)) => {
            match interpolate_histograms(&points[a], &points[b], time, kind.counter, notes) {
                Ok(h) => Some(h),
                Err(_) => {
                    notes.mixed_schemas = true;
                    None
                }
            }
        }
    };
    let before = smoothed && times[first] < w.range_start;
    let left = end(first, before.then_some((first, first + 1)), w.range_start)?;
    let after = smoothed && last > 0 && times[last] > w.range_end;
    let right = end(last, after.then(|| (last - 1, last)), w.range_end)?;
    let is_gauge = |h: &FloatHistogram| h.reset_hint == CounterResetHint::Gauge;
    if !kind.counter && (!is_gauge(&left) || !is_gauge(&right)) {
        notes.not_gauge = true;
    }
    let mut result = right.clone();
    sub(&mut result, &left, notes)?;
    if kind.counter
        && let Some(sum) = correction(points, (first, last), &left, &right, before, notes)?
    {
        add(&mut result, &sum, notes)?;
    }
    if kind.per_second {
        result.div(range_seconds);
    }
    result.reset_hint = CounterResetHint::Gauge;
    result.compact(0);
    Some(Cell::Histogram(Arc::new(result)))
}

/// Sum of the histograms before resets between the ends; the outer `None` when they do not go
/// together.
fn correction(
    points: &[HistogramSample],
    (first, last): (usize, usize),
    left: &FloatHistogram,
    right: &FloatHistogram,
    left_interpolated: bool,
    notes: &mut WindowNotes,
) -> Option<Option<FloatHistogram>> {
    let mut from = first + 1;
    let mut previous = left;
    if left_interpolated {
        let next = &points[first + 1].histogram;
        if next.detect_reset(&points[first].histogram) {
            // The left end has seen to this reset.
            previous = next;
            from += 1;
        }
    }
    // `right` stands for the last sample.
    if from > last {
        return Some(None);
    }
    let mut sum: Option<FloatHistogram> = None;
    let inner = points[from..last].iter().map(|p| &*p.histogram);
    for h in inner.chain([right]) {
        if h.detect_reset(previous) {
            match &mut sum {
                None => sum = Some(previous.clone()),
                Some(sum) => add(sum, previous, notes)?,
            }
        }
        previous = h;
    }
    Some(sum)
}
