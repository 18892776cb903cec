//! `rate`, `increase`, `delta`, `irate`, `idelta`: one window at a time.

use std::sync::Arc;

use tsdb_model::FloatHistogram;
use tsdb_model::histogram::{CounterResetHint, HistogramError};

use super::window::{Window, WindowNotes, start_time_overlaps, start_time_resets};
use crate::eval::column::Cell;

/// Which of the functions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RateKind {
    /// Falls are counter resets.
    pub(crate) counter: bool,
    /// Divide by the range.
    pub(crate) per_second: bool,
}

/// Distances of a window's samples from each other and from its ends, seconds: all that the
/// extrapolation needs to know about times.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spacing {
    pub(crate) sampled: f64,
    pub(crate) to_start: f64,
    pub(crate) to_end: f64,
    pub(crate) average: f64,
}

impl Spacing {
    /// Spacing of `count` samples, the ends of the range as given.
    #[inline]
    pub(crate) fn new(
        first: i64,
        last: i64,
        count: usize,
        range_start: i64,
        range_end: i64,
    ) -> Self {
        let sampled = (last - first) as f64 / 1000.0;
        let average = if count > 1 {
            sampled / (count - 1) as f64
        } else {
            0.0
        };
        Self {
            sampled,
            to_start: (first - range_start) as f64 / 1000.0,
            to_end: (range_end - last) as f64 / 1000.0,
            average,
        }
    }

    /// The distances to the ends up to which the series is taken to go on: all the way when a
    /// sample is about where one is to be expected, else half an average distance.
    #[inline]
    pub(crate) fn limited(mut self) -> Self {
        let threshold = self.average * 1.1;
        if self.to_start >= threshold {
            self.to_start = self.average / 2.0;
        }
        if self.to_end >= threshold {
            self.to_end = self.average / 2.0;
        }
        self
    }

    /// A counter that starts at zero or above does not begin before it was zero.
    #[inline]
    pub(crate) fn limited_by_zero(mut self, first: f64, increase: f64) -> Self {
        if increase > 0.0 && first >= 0.0 {
            let to_zero = self.sampled * (first / increase);
            if to_zero < self.to_start {
                self.to_start = to_zero;
            }
        }
        self
    }

    /// False when [`Self::limited_by_zero`] surely changes nothing. Cheaper than that, and on the
    /// safe side: what is close to the limit, or to the ends of what floats can tell, may change.
    #[inline]
    pub(crate) fn may_reach_zero(&self, first: f64, increase: f64) -> bool {
        const MARGIN: f64 = 1.0 + 1e-9;
        if !(increase > 0.0 && first >= 0.0) {
            return false;
        }
        let surely_not = self.sampled * first >= self.to_start * increase * MARGIN;
        !(surely_not && increase > 1e-200 && first < 1e200)
    }

    /// What the increase between the samples is multiplied by.
    #[inline]
    pub(crate) fn factor(&self, range_seconds: f64, per_second: bool) -> f64 {
        let mut factor = 1.0;
        if self.sampled != 0.0 {
            factor = (self.sampled + self.to_start + self.to_end) / self.sampled;
        }
        if per_second {
            factor /= range_seconds;
        }
        factor
    }
}

/// `rate`, `increase` and `delta` of a plain selector: the increase between the samples,
/// extrapolated to the ends of the range.
pub(crate) fn extrapolated(
    w: &Window<'_>,
    kind: RateKind,
    range_seconds: f64,
    notes: &mut WindowNotes,
) -> Option<Cell> {
    if w.is_mixed() {
        notes.mixed_types = true;
        return None;
    }
    let mut float = 0.0;
    let mut histogram = None;
    let (count, first_time, last_time, first_start);
    if let (Some(first), Some(last)) = (w.histograms.first(), w.histograms.last()) {
        count = w.histograms.len();
        (first_time, last_time) = (first.timestamp_ms, last.timestamp_ms);
        first_start = w.histogram_start_time(0);
        if count > 1 {
            histogram = Some(histogram_increase(w, kind.counter, notes)?);
        }
    } else {
        let (first, last) = (w.times.first()?, w.times.last()?);
        count = w.times.len();
        (first_time, last_time) = (*first, *last);
        first_start = w.start_time(0);
        float = float_increase(w, kind.counter, notes);
    }
    let mut spacing = Spacing::new(first_time, last_time, count, w.range_start, w.range_end);
    let starts_inside = first_start != 0 && first_start > w.range_start && first_start < first_time;
    if kind.counter && starts_inside {
        // There was a zero at the start timestamp: no need to guess.
        spacing = spacing.limited();
        spacing.to_start = 0.0;
        spacing.sampled = (last_time - first_start) as f64 / 1000.0;
        match (w.histograms.first(), &mut histogram) {
            (None, _) => float += w.values[0],
            (Some(first), None) => histogram = Some((*first.histogram).clone()),
            (Some(first), Some(sum)) => add(sum, &first.histogram, notes)?,
        }
    } else {
        if count < 2 {
            return None;
        }
        spacing = spacing.limited();
        if kind.counter {
            spacing = match &histogram {
                None => spacing.limited_by_zero(w.values[0], float),
                Some(h) => spacing.limited_by_zero(w.histograms[0].histogram.count, h.count),
            };
        }
    }
    let factor = spacing.factor(range_seconds, kind.per_second);
    Some(match histogram {
        None => Cell::Float(float * factor),
        Some(mut h) => {
            h.mul(factor);
            Cell::Histogram(Arc::new(h))
        }
    })
}

/// Last minus first, plus, for counters, the value before each reset.
fn float_increase(w: &Window<'_>, counter: bool, notes: &mut WindowNotes) -> f64 {
    let n = w.values.len();
    let mut increase = w.values[n - 1] - w.values[0];
    if !counter {
        return increase;
    }
    let mut overlap = false;
    for i in 1..n {
        let (before, now) = (w.values[i - 1], w.values[i]);
        let mut reset = now < before;
        if !w.start_times.is_empty() {
            let (start_before, start) = (w.start_time(i - 1), w.start_time(i));
            overlap |= start_time_overlaps(start_before, w.times[i - 1], start);
            reset |= start_time_resets(start_before, w.times[i - 1], start, w.times[i]);
        }
        if reset {
            increase += before;
        }
    }
    notes.start_time_overlaps += u64::from(overlap);
    increase
}

/// The same for two or more histograms; `None` when they do not go together. The result is a
/// gauge.
fn histogram_increase(
    w: &Window<'_>,
    counter: bool,
    notes: &mut WindowNotes,
) -> Option<FloatHistogram> {
    let points = w.histograms;
    let at = |i: usize| &*points[i].histogram;
    let last = at(points.len() - 1);
    let resets = |i: usize, previous: &FloatHistogram| {
        start_time_resets(
            w.histogram_start_time(i - 1),
            points[i - 1].timestamp_ms,
            w.histogram_start_time(i),
            points[i].timestamp_ms,
        ) || at(i).detect_reset(previous)
    };
    let is_gauge = |h: &FloatHistogram| h.reset_hint == CounterResetHint::Gauge;
    if counter && (is_gauge(at(0)) || is_gauge(last)) {
        notes.not_counter = true;
    }
    // Nothing before a reset right behind the first histogram counts, not even its layout.
    let empty;
    let mut first = at(0);
    if counter && resets(1, first) {
        empty = FloatHistogram {
            schema: at(1).schema,
            custom_values: at(1).custom_values.clone(),
            ..FloatHistogram::default()
        };
        first = &empty;
    }
    let custom = first.uses_custom_buckets();
    if last.uses_custom_buckets() != custom {
        notes.mixed_schemas = true;
        return None;
    }
    let mut schema = last.schema.min(first.schema);
    if counter {
        for point in &points[1..points.len() - 1] {
            let h = &point.histogram;
            notes.not_counter |= is_gauge(h);
            schema = schema.min(h.schema);
            if h.uses_custom_buckets() != custom {
                notes.mixed_schemas = true;
                return None;
            }
        }
    }
    let mut result = last.clone();
    if result.schema != schema && !custom {
        result
            .reduce_resolution(schema)
            .expect("invariant: the schema is a lower exponential one");
    }
    sub(&mut result, first, notes)?;
    if counter {
        let mut previous = first;
        let mut overlap = false;
        for i in 1..points.len() {
            overlap |= start_time_overlaps(
                w.histogram_start_time(i - 1),
                points[i - 1].timestamp_ms,
                w.histogram_start_time(i),
            );
            if resets(i, previous) {
                add(&mut result, previous, notes)?;
            }
            previous = at(i);
        }
        notes.start_time_overlaps += u64::from(overlap);
    } else if !is_gauge(at(0)) || !is_gauge(last) {
        notes.not_gauge = true;
    }
    result.reset_hint = CounterResetHint::Gauge;
    result.compact(0);
    Some(result)
}

/// Adds in place; `None` when exponential and custom buckets meet.
pub(crate) fn add(
    sum: &mut FloatHistogram,
    h: &FloatHistogram,
    notes: &mut WindowNotes,
) -> Option<()> {
    match sum.add(h) {
        Ok(n) => notes.reconciled_addition |= n.bounds_reconciled,
        Err(error) => {
            note_error(&error, notes);
            return None;
        }
    }
    Some(())
}

/// Subtracts in place; `None` when exponential and custom buckets meet.
pub(crate) fn sub(
    difference: &mut FloatHistogram,
    h: &FloatHistogram,
    notes: &mut WindowNotes,
) -> Option<()> {
    match difference.sub(h) {
        Ok(n) => notes.reconciled_subtraction |= n.bounds_reconciled,
        Err(error) => {
            note_error(&error, notes);
            return None;
        }
    }
    Some(())
}

fn note_error(error: &HistogramError, notes: &mut WindowNotes) {
    notes.mixed_schemas |= matches!(error, HistogramError::IncompatibleSchemas);
}

/// One of the last two samples of a window.
#[derive(Clone, Copy)]
struct Point<'a> {
    time: i64,
    start_time: i64,
    value: PointValue<'a>,
}

#[derive(Clone, Copy)]
enum PointValue<'a> {
    Float(f64),
    Histogram(&'a FloatHistogram),
}

/// The last two samples, floats and histograms taken together.
fn last_two<'a>(w: &Window<'a>) -> Option<(Point<'a>, Point<'a>)> {
    let float = |i: usize| Point {
        time: w.times[i],
        start_time: w.start_time(i),
        value: PointValue::Float(w.values[i]),
    };
    let histogram = |i: usize| Point {
        time: w.histograms[i].timestamp_ms,
        start_time: w.histogram_start_time(i),
        value: PointValue::Histogram(&w.histograms[i].histogram),
    };
    let (mut f, mut h) = (w.times.len(), w.histograms.len());
    let mut newest = || {
        let take_float = f > 0 && (h == 0 || w.times[f - 1] > w.histograms[h - 1].timestamp_ms);
        if take_float {
            f -= 1;
            Some(float(f))
        } else if h > 0 {
            h -= 1;
            Some(histogram(h))
        } else {
            None
        }
    };
    let last = newest()?;
    Some((newest()?, last))
}

/// `irate` (of counters, per second) and `idelta`: from the last two samples.
pub(crate) fn instant(w: &Window<'_>, rate: bool, notes: &mut WindowNotes) -> Option<Cell> {
    let (before, now) = last_two(w)?;
    let interval = now.time - before.time;
    if interval == 0 {
        return None;
    }
    let seconds = interval as f64 / 1000.0;
    let restarted = || start_time_resets(before.start_time, before.time, now.start_time, now.time);
    match (before.value, now.value) {
        (PointValue::Float(a), PointValue::Float(b)) => {
            if !rate {
                return Some(Cell::Float(b - a));
            }
            let increase = if b < a || restarted() { b } else { b - a };
            Some(Cell::Float(increase / seconds))
        }
        (PointValue::Histogram(a), PointValue::Histogram(b)) => {
            let gauge = |h: &FloatHistogram| h.reset_hint == CounterResetHint::Gauge;
            if rate {
                notes.not_counter |= gauge(a) || gauge(b);
            } else {
                notes.not_gauge |= !gauge(a) || !gauge(b);
            }
            let mut result = b.clone();
            if !rate || !(restarted() || b.detect_reset(a)) {
                sub(&mut result, a, notes)?;
            }
            result.reset_hint = CounterResetHint::Gauge;
            result.compact(0);
            if rate {
                result.div(seconds);
            }
            Some(Cell::Histogram(Arc::new(result)))
        }
        _ => {
            notes.mixed_types = true;
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_cannot_reach_zero_is_not_limited(
            first in prop_oneof![0.0..1e6, Just(0.0), Just(5e-324), Just(1e300), -5.0..5.0],
            increase in prop_oneof![0.0..1e6, Just(5e-324), Just(1e-310), Just(1e300), -5.0..5.0],
            times in (0i64..1000, 0i64..100_000, 1usize..9, 0i64..1000),
        ) {
            let (before, length, count, after) = times;
            let spacing = Spacing::new(before, before + length, count, 0, before + length + after);
            let spacing = spacing.limited();
            let limited = spacing.limited_by_zero(first, increase);
            prop_assert!(limited == spacing || spacing.may_reach_zero(first, increase));
        }
    }
}
