//! The functions `*_over_time`: one window at a time.

use std::sync::Arc;

use tsdb_model::HistogramSample;

use super::histogram_aggregate::{Aggregated, HistogramMean, HistogramSum};
use super::kahan::{KahanMean, KahanSum};
use super::quantile::{median_absolute_deviation, quantile, variance_over_time};
use super::window::{Window, WindowNotes};
use crate::eval::column::Cell;

/// `sum_over_time`.
pub(crate) fn sum(w: &Window<'_>, notes: &mut WindowNotes) -> Option<Cell> {
    if w.is_mixed() {
        notes.mixed_types = true;
        return None;
    }
    let Some((first, rest)) = w.histograms.split_first() else {
        return Some(Cell::Float(sum_floats(w.values)));
    };
    let mut sum = HistogramSum::new(&first.histogram);
    let added = rest.iter().try_for_each(|h| sum.add(&h.histogram));
    aggregated(added.is_ok().then(|| sum.finish()), notes)
}

/// Sum of floats with compensation.
pub(crate) fn sum_floats(values: &[f64]) -> f64 {
    let mut sum = KahanSum::default();
    for value in values {
        sum.add(*value);
    }
    sum.value()
}

/// `avg_over_time`.
pub(crate) fn avg(w: &Window<'_>, notes: &mut WindowNotes) -> Option<Cell> {
    if w.is_mixed() {
        notes.mixed_types = true;
        return None;
    }
    let Some((first, rest)) = w.histograms.split_first() else {
        return avg_floats(w.values).map(Cell::Float);
    };
    let mut mean = HistogramMean::new(&first.histogram);
    let added = rest.iter().try_for_each(|h| mean.add(&h.histogram));
    aggregated(added.is_ok().then(|| mean.finish()), notes)
}

/// Mean of floats with compensation; `None` for none.
pub(crate) fn avg_floats(values: &[f64]) -> Option<f64> {
    let (first, rest) = values.split_first()?;
    let mut mean = KahanMean::new(*first);
    for value in rest {
        mean.add(*value);
    }
    Some(mean.value())
}

/// A sum or mean of histograms; `None` when they do not go together.
fn aggregated(result: Option<Aggregated>, notes: &mut WindowNotes) -> Option<Cell> {
    let Some(result) = result else {
        notes.mixed_schemas = true;
        return None;
    };
    notes.reset_collision |= result.counter_reset_collision;
    notes.reconciled_aggregation |= result.bounds_reconciled;
    Some(Cell::Histogram(Arc::new(result.histogram)))
}

/// The floats of a window for functions that leave histograms out; `None` when there are none.
fn floats_only<'a>(w: &Window<'a>, notes: &mut WindowNotes) -> Option<&'a [f64]> {
    if w.values.is_empty() {
        return None;
    }
    notes.ignored_histograms |= !w.histograms.is_empty();
    Some(w.values)
}

/// Which extreme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extreme {
    Min,
    Max,
}

impl Extreme {
    #[inline]
    pub(crate) fn beats(self, value: f64, best: f64) -> bool {
        best.is_nan()
            || match self {
                Self::Min => value < best,
                Self::Max => value > best,
            }
    }
}

/// `min_over_time`, `max_over_time`: NaN counts only when there is nothing else.
pub(crate) fn extreme(w: &Window<'_>, which: Extreme, notes: &mut WindowNotes) -> Option<f64> {
    let values = floats_only(w, notes)?;
    let mut best = values[0];
    for value in values {
        if which.beats(*value, best) {
            best = *value;
        }
    }
    Some(best)
}

/// `ts_of_min_over_time`, `ts_of_max_over_time`: time of the last extreme, seconds.
pub(crate) fn time_of_extreme(
    w: &Window<'_>,
    which: Extreme,
    notes: &mut WindowNotes,
) -> Option<f64> {
    let values = floats_only(w, notes)?;
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        if which.beats(*value, values[best]) || *value == values[best] {
            best = i;
        }
    }
    Some(w.times[best] as f64 / 1000.0)
}

/// `quantile_over_time`.
pub(crate) fn quantile_of(
    w: &Window<'_>,
    q: f64,
    scratch: &mut Vec<f64>,
    notes: &mut WindowNotes,
) -> Option<f64> {
    scratch.clear();
    scratch.extend_from_slice(floats_only(w, notes)?);
    Some(quantile(q, scratch))
}

/// `mad_over_time`.
pub(crate) fn mad(w: &Window<'_>, scratch: &mut Vec<f64>, notes: &mut WindowNotes) -> Option<f64> {
    scratch.clear();
    scratch.extend_from_slice(floats_only(w, notes)?);
    Some(median_absolute_deviation(scratch))
}

/// `stdvar_over_time`.
pub(crate) fn variance(w: &Window<'_>, notes: &mut WindowNotes) -> Option<f64> {
    Some(variance_over_time(floats_only(w, notes)?.iter().copied()))
}

/// `count_over_time`.
pub(crate) fn count(w: &Window<'_>) -> f64 {
    (w.values.len() + w.histograms.len()) as f64
}

fn newer_or_float(
    float: Option<(i64, f64)>,
    histogram: Option<&HistogramSample>,
    float_wins: impl Fn(i64, i64) -> bool,
) -> Option<Result<(i64, f64), &HistogramSample>> {
    match (float, histogram) {
        (Some(f), Some(h)) if float_wins(f.0, h.timestamp_ms) => Some(Ok(f)),
        (_, Some(h)) => Some(Err(h)),
        (Some(f), None) => Some(Ok(f)),
        (None, None) => None,
    }
}

fn first_sample<'a>(w: &Window<'a>) -> Option<Result<(i64, f64), &'a HistogramSample>> {
    let float = w.times.first().map(|t| (*t, w.values[0]));
    newer_or_float(float, w.histograms.first(), |f, h| f < h)
}

fn last_sample<'a>(w: &Window<'a>) -> Option<Result<(i64, f64), &'a HistogramSample>> {
    let float = w.times.last().map(|t| (*t, w.values[w.values.len() - 1]));
    newer_or_float(float, w.histograms.last(), |f, h| f > h)
}

fn cell(sample: Result<(i64, f64), &HistogramSample>) -> Cell {
    match sample {
        Ok((_, value)) => Cell::Float(value),
        Err(h) => Cell::Histogram(h.histogram.clone()),
    }
}

fn seconds(sample: Result<(i64, f64), &HistogramSample>) -> f64 {
    let ms = sample.map_or_else(|h| h.timestamp_ms, |(t, _)| t);
    ms as f64 / 1000.0
}

/// `first_over_time`.
pub(crate) fn first(w: &Window<'_>) -> Option<Cell> {
    first_sample(w).map(cell)
}

/// `last_over_time`.
pub(crate) fn last(w: &Window<'_>) -> Option<Cell> {
    last_sample(w).map(cell)
}

/// `ts_of_first_over_time`, seconds.
pub(crate) fn time_of_first(w: &Window<'_>) -> Option<f64> {
    first_sample(w).map(seconds)
}

/// `ts_of_last_over_time`, seconds.
pub(crate) fn time_of_last(w: &Window<'_>) -> Option<f64> {
    last_sample(w).map(seconds)
}
