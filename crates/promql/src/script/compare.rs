//! Comparing results with what is expected.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use tsdb_model::{FloatHistogram, Labels, format_float, is_stale};

use super::eval::{ExpectedSeries, Steps};
use crate::series_description::SequenceValue;
use crate::value::{InstantSample, RangeSeries, SampleValue, Value};

/// Relative difference that is still equal.
const EPSILON: f64 = 1e-6;

/// True when the floats are equal up to rounding.
pub(super) fn almost_equal(a: f64, b: f64) -> bool {
    if is_stale(a) || is_stale(b) {
        return is_stale(a) && is_stale(b);
    }
    if (a.is_nan() && b.is_nan()) || a == b {
        return true;
    }
    let sum = a.abs() + b.abs();
    let difference = (a - b).abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < EPSILON * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < EPSILON
}

/// True when the histograms are equal up to rounding and empty buckets; hints do not count.
fn histograms_almost_equal(expected: &FloatHistogram, got: &FloatHistogram) -> bool {
    let (mut a, mut b) = (expected.clone(), got.clone());
    a.compact(0);
    b.compact(0);
    let counts = |a: &[f64], b: &[f64]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| almost_equal(*a, *b))
    };
    a.schema == b.schema
        && almost_equal(a.count, b.count)
        && almost_equal(a.sum, b.sum)
        && almost_equal(a.zero_count, b.zero_count)
        && a.zero_threshold == b.zero_threshold
        && (!a.uses_custom_buckets() || a.custom_values == b.custom_values)
        && a.positive_spans == b.positive_spans
        && a.negative_spans == b.negative_spans
        && counts(&a.positive_buckets, &b.positive_buckets)
        && counts(&a.negative_buckets, &b.negative_buckets)
}

fn same_value(expected: &SequenceValue, got: &SampleValue) -> bool {
    match (&expected.histogram, got) {
        (None, SampleValue::Float(got)) => almost_equal(expected.value, *got),
        (Some(expected_histogram), SampleValue::Histogram(got)) => {
            histograms_almost_equal(expected_histogram, got)
                && (!expected.counter_reset_hint_set
                    || expected_histogram.reset_hint == got.reset_hint)
        }
        _ => false,
    }
}

/// Compares a scalar.
pub(super) fn scalar(expected: f64, got: f64) -> Result<(), String> {
    if almost_equal(expected, got) {
        return Ok(());
    }
    let (expected, got) = (format_float(expected), format_float(got));
    Err(format!("expected scalar {expected}\n     got scalar {got}"))
}

/// Compares an instant vector.
pub(super) fn vector(
    expected: &[ExpectedSeries],
    got: &[InstantSample],
    ordered: bool,
) -> Result<(), String> {
    let wanted: BTreeMap<&Labels, (usize, &SequenceValue)> = expected
        .iter()
        .enumerate()
        .filter_map(|(i, s)| Some((&s.labels, (i, s.values.first()?))))
        .collect();
    let mut seen = BTreeSet::new();
    for (position, sample) in got.iter().enumerate() {
        let labels = &sample.labels;
        if !seen.insert(labels) {
            return Err(format!("{labels} is in the result twice"));
        }
        let Some((wanted_position, value)) = wanted.get(labels) else {
            return Err(format!("unexpected {}", sample_text(labels, &sample.value)));
        };
        if !same_value(value, &sample.value) {
            return Err(format!(
                "expected {labels} {}\n     got {labels} {}",
                expected_text(value),
                value_text(&sample.value, value.counter_reset_hint_set)
            ));
        }
        if ordered && *wanted_position != position {
            let (wanted, position) = (wanted_position + 1, position + 1);
            return Err(format!(
                "expected {labels} in place {wanted}, got it in place {position}"
            ));
        }
    }
    match expected.iter().find(|s| !seen.contains(&s.labels)) {
        Some(s) => {
            let value = s.values.first().map(expected_text).unwrap_or_default();
            Err(format!("missing {} {value}", s.labels))
        }
        None => Ok(()),
    }
}

/// Compares a matrix, whose points are expected at the given steps.
pub(super) fn matrix(
    expected: &[ExpectedSeries],
    steps: Steps,
    got: &[RangeSeries],
) -> Result<(), String> {
    sorted(got)?;
    let by_labels: BTreeMap<&Labels, &RangeSeries> = got.iter().map(|s| (&s.labels, s)).collect();
    for wanted in expected {
        let labels = &wanted.labels;
        let mut floats = Vec::new();
        let mut histograms = Vec::new();
        for (i, value) in wanted.values.iter().enumerate() {
            let Some(t) = steps.time(i) else {
                let n = wanted.values.len();
                return Err(format!(
                    "{labels}: {n} values are expected, more than there are steps"
                ));
            };
            if value.histogram.is_some() {
                histograms.push((t, value));
            } else if !value.omitted {
                floats.push((t, value));
            }
        }
        let Some(got) = by_labels.get(labels) else {
            return Err(format!(
                "missing {labels} {}",
                expected_points(&floats, &histograms)
            ));
        };
        let same_floats = floats.len() == got.floats.len()
            && floats
                .iter()
                .zip(&got.floats)
                .all(|((t, e), (got_t, v))| t == got_t && same_value(e, &SampleValue::Float(*v)));
        let same_histograms = histograms.len() == got.histograms.len()
            && histograms
                .iter()
                .zip(&got.histograms)
                .all(|((t, e), (got_t, h))| {
                    t == got_t && same_value(e, &SampleValue::Histogram(h.clone()))
                });
        if !same_floats || !same_histograms {
            return Err(format!(
                "expected {labels} {}\n     got {labels} {}",
                expected_points(&floats, &histograms),
                points(got)
            ));
        }
    }
    match got
        .iter()
        .find(|s| !expected.iter().any(|e| e.labels == s.labels))
    {
        Some(s) => Err(format!("unexpected {} {}", s.labels, points(s))),
        None => Ok(()),
    }
}

/// A matrix must be sorted by labels and have each label set once.
pub(super) fn sorted(matrix: &[RangeSeries]) -> Result<(), String> {
    match matrix.windows(2).find(|w| w[0].labels >= w[1].labels) {
        Some(w) => Err(format!(
            "not sorted: {} before {}",
            w[0].labels, w[1].labels
        )),
        None => Ok(()),
    }
}

/// The points of a matrix at one time, as an instant vector.
pub(super) fn vector_at(matrix: &[RangeSeries], t_ms: i64) -> Vec<InstantSample> {
    let mut vector = Vec::new();
    for series in matrix {
        let floats = series
            .floats
            .iter()
            .map(|(t, v)| (*t, SampleValue::Float(*v)));
        let histograms = series
            .histograms
            .iter()
            .map(|(t, h)| (*t, SampleValue::Histogram(h.clone())));
        let at = floats.chain(histograms).filter(|(t, _)| *t == t_ms);
        vector.extend(at.map(|(timestamp_ms, value)| InstantSample {
            labels: series.labels.clone(),
            timestamp_ms,
            value,
        }));
    }
    vector
}

/// A result in a few words, for messages.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Scalar(_, v) => format!("scalar {}", format_float(*v)),
        Value::String(_, text) => format!("string {text:?}"),
        Value::Vector(samples) if samples.is_empty() => "an empty vector".into(),
        Value::Vector(samples) => {
            let all = samples.iter().map(|s| sample_text(&s.labels, &s.value));
            format!("vector {}", all.collect::<Vec<_>>().join(", "))
        }
        Value::Matrix(series) if series.is_empty() => "an empty matrix".into(),
        Value::Matrix(series) => {
            let all = series.iter().map(|s| format!("{} {}", s.labels, points(s)));
            format!("matrix {}", all.collect::<Vec<_>>().join(", "))
        }
    }
}

fn sample_text(labels: &Labels, value: &SampleValue) -> String {
    format!("{labels} {}", value_text(value, false))
}

fn value_text(value: &SampleValue, with_hint: bool) -> String {
    match value {
        SampleValue::Float(v) => float_text(*v),
        SampleValue::Histogram(h) => histogram_text(h, with_hint),
    }
}

fn float_text(v: f64) -> String {
    if is_stale(v) {
        "stale".into()
    } else {
        format_float(v)
    }
}

/// All that is compared.
fn histogram_text(h: &FloatHistogram, with_hint: bool) -> String {
    let mut h = h.clone();
    h.compact(0);
    let mut text = format!(
        "{h} schema:{} z_bucket:{} z_bucket_w:{}",
        h.schema,
        format_float(h.zero_count),
        format_float(h.zero_threshold)
    );
    if h.uses_custom_buckets() {
        let _ = write!(text, " custom_values:{:?}", h.custom_values);
    }
    if with_hint {
        let _ = write!(text, " counter_reset_hint:{:?}", h.reset_hint);
    }
    text
}

fn expected_text(value: &SequenceValue) -> String {
    match &value.histogram {
        Some(h) => histogram_text(h, value.counter_reset_hint_set),
        None => float_text(value.value),
    }
}

type ExpectedPoint<'a> = (i64, &'a SequenceValue);

fn expected_points(floats: &[ExpectedPoint<'_>], histograms: &[ExpectedPoint<'_>]) -> String {
    let all = floats
        .iter()
        .chain(histograms)
        .map(|(t, v)| (*t, expected_text(v)));
    joined(all.collect())
}

fn points(series: &RangeSeries) -> String {
    let floats = series.floats.iter().map(|(t, v)| (*t, float_text(*v)));
    let histograms = series
        .histograms
        .iter()
        .map(|(t, h)| (*t, histogram_text(h, true)));
    joined(floats.chain(histograms).collect())
}

fn joined(mut points: Vec<(i64, String)>) -> String {
    points.sort_by_key(|(t, _)| *t);
    let text = |(t, value): &(i64, String)| format!("{value} @{}s", *t as f64 / 1000.0);
    if points.is_empty() {
        return "(no points)".into();
    }
    points.iter().map(text).collect::<Vec<_>>().join("  ")
}
