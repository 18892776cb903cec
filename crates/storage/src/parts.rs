//! One series out of several sources: the parts that blocks and the head have of it, by time.
//!
//! Parts are given in order of their age. Where two have a sample at the same time, the older one
//! counts. A histogram behind a sample of another source, or behind deleted ones, says nothing
//! about resets: that has to be seen from the values.

use std::sync::Arc;

use tsdb_model::{CounterResetHint, HistogramSample, SeriesData};

use crate::block::{HistogramRow, SeriesColumns};

/// A histogram sample in one of the forms in which it is read.
pub(crate) trait HistogramPart {
    fn t(&self) -> i64;
    fn start(&self) -> i64;
    /// Makes what is said about a reset unknown, except that it is a gauge.
    fn forget_reset(&mut self);
}

impl HistogramPart for HistogramSample {
    fn t(&self) -> i64 {
        self.timestamp_ms
    }

    fn start(&self) -> i64 {
        self.start_timestamp_ms
    }

    fn forget_reset(&mut self) {
        use CounterResetHint::{Gauge, Unknown};
        if !matches!(self.histogram.reset_hint, Gauge | Unknown) {
            Arc::make_mut(&mut self.histogram).reset_hint = Unknown;
        }
    }
}

impl HistogramPart for HistogramRow {
    fn t(&self) -> i64 {
        self.t
    }

    fn start(&self) -> i64 {
        self.start
    }

    fn forget_reset(&mut self) {
        if self.hint != CounterResetHint::Gauge {
            self.hint = CounterResetHint::Unknown;
        }
    }
}

/// What one source has of a series: floats as columns, histograms by time.
#[derive(Debug)]
pub(crate) struct Part<H> {
    pub(crate) times: Arc<Vec<i64>>,
    pub(crate) first_row: usize,
    pub(crate) values: Vec<f64>,
    pub(crate) starts: Vec<(usize, i64)>,
    pub(crate) histograms: Vec<H>,
}

impl<H> Default for Part<H> {
    fn default() -> Self {
        Self {
            times: Arc::default(),
            first_row: 0,
            values: Vec::new(),
            starts: Vec::new(),
            histograms: Vec::new(),
        }
    }
}

impl Part<HistogramSample> {
    /// Takes the samples out of `data`.
    pub(crate) fn take(data: &mut SeriesData) -> Self {
        let data = std::mem::take(data);
        Self {
            times: data.timestamps,
            first_row: data.first_row,
            values: data.values,
            starts: data.start_timestamps,
            histograms: data.histograms,
        }
    }

    /// Puts the samples into `data`; the flags are for the caller.
    pub(crate) fn put(self, data: &mut SeriesData) {
        data.timestamps = self.times;
        data.first_row = self.first_row;
        data.values = self.values;
        data.start_timestamps = self.starts;
        data.histograms = self.histograms;
    }
}

impl From<SeriesColumns> for Part<HistogramRow> {
    fn from(columns: SeriesColumns) -> Self {
        Self {
            times: columns.times,
            first_row: columns.first_row,
            values: columns.values,
            starts: columns.starts,
            histograms: columns.histograms,
        }
    }
}

impl From<Part<HistogramRow>> for SeriesColumns {
    fn from(part: Part<HistogramRow>) -> Self {
        Self {
            times: part.times,
            first_row: part.first_row,
            values: part.values,
            starts: part.starts,
            histograms: part.histograms,
        }
    }
}

enum Value<H> {
    Float(f64),
    Histogram(H),
}

/// One sample of either kind.
struct Row<H> {
    t: i64,
    start: i64,
    value: Value<H>,
}

impl<H: HistogramPart> Row<H> {
    /// What this row says about resets is forgotten if `gap`, which ends with the next histogram.
    fn forget_behind(&mut self, gap: &mut bool) {
        if let Value::Histogram(h) = &mut self.value
            && std::mem::take(gap)
        {
            h.forget_reset();
        }
    }
}

impl<H: HistogramPart> Part<H> {
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty() && self.histograms.is_empty()
    }

    /// Times of the floats.
    pub(crate) fn times(&self) -> &[i64] {
        &self.times[self.first_row..self.first_row + self.values.len()]
    }

    /// Times of the first and last sample.
    fn range(&self) -> Option<(i64, i64)> {
        let (times, histograms) = (self.times(), &self.histograms);
        let firsts = [times.first().copied(), histograms.first().map(H::t)];
        let lasts = [times.last().copied(), histograms.last().map(H::t)];
        let first = firsts.into_iter().flatten().min()?;
        Some((first, lasts.into_iter().flatten().max()?))
    }

    fn into_rows(self) -> Vec<Row<H>> {
        let mut rows = Vec::with_capacity(self.values.len() + self.histograms.len());
        let Self {
            times,
            first_row,
            values,
            starts,
            histograms,
        } = self;
        let histogram = |h: H| Row {
            t: h.t(),
            start: h.start(),
            value: Value::Histogram(h),
        };
        let mut histograms = histograms.into_iter().peekable();
        let mut starts = starts.into_iter().peekable();
        let mut start = 0;
        for (row, (t, v)) in times.iter().skip(first_row).zip(values).enumerate() {
            while let Some((_, s)) = starts.next_if(|s| s.0 <= row) {
                start = s;
            }
            while let Some(h) = histograms.next_if(|h| h.t() < *t) {
                rows.push(histogram(h));
            }
            rows.push(Row {
                t: *t,
                start,
                value: Value::Float(v),
            });
        }
        rows.extend(histograms.map(histogram));
        rows
    }

    fn from_rows(rows: Vec<Row<H>>) -> Self {
        let mut part = Self::default();
        let mut times = Vec::new();
        let mut last = 0;
        for row in rows {
            match row.value {
                Value::Float(v) => {
                    if row.start != last {
                        part.starts.push((times.len(), row.start));
                        last = row.start;
                    }
                    times.push(row.t);
                    part.values.push(v);
                }
                Value::Histogram(h) => part.histograms.push(h),
            }
        }
        part.times = Arc::new(times);
        part
    }

    /// Without the samples in `hidden`, ranges of times with both ends included.
    pub(crate) fn without(self, hidden: &[(i64, i64)]) -> Self {
        let Some((first, last)) = self.range() else {
            return self;
        };
        if !hidden
            .iter()
            .any(|(from, to)| *from <= last && first <= *to)
        {
            return self;
        }
        let mut gap = false;
        let mut rows = self.into_rows();
        rows.retain_mut(|row| {
            if hidden
                .iter()
                .any(|(from, to)| *from <= row.t && row.t <= *to)
            {
                gap = true;
                return false;
            }
            row.forget_behind(&mut gap);
            true
        });
        Self::from_rows(rows)
    }
}

/// One part behind the other; each ends before the next begins.
fn concatenate<H: HistogramPart>(parts: Vec<Part<H>>) -> Part<H> {
    let mut out = Part::default();
    let mut times = Vec::with_capacity(parts.iter().map(|p| p.values.len()).sum());
    out.values.reserve_exact(times.capacity());
    let mut last = 0;
    for (i, mut part) in parts.into_iter().enumerate() {
        if i > 0
            && let Some(first) = part.histograms.first_mut()
        {
            first.forget_reset();
        }
        let before = times.len();
        if !part.values.is_empty() {
            if part.starts.first().is_none_or(|s| s.0 > 0) && last != 0 {
                out.starts.push((before, 0));
                last = 0;
            }
            for (row, start) in &part.starts {
                if *start != last {
                    out.starts.push((before + row, *start));
                    last = *start;
                }
            }
        }
        times.extend_from_slice(part.times());
        out.values.append(&mut part.values);
        out.histograms.append(&mut part.histograms);
    }
    out.times = Arc::new(times);
    out
}

/// Samples of both by time; of two at the same time the one of `older`.
fn merge_two<H: HistogramPart>(older: Vec<Row<H>>, newer: Vec<Row<H>>) -> Vec<Row<H>> {
    let mut out: Vec<Row<H>> = Vec::with_capacity(older.len() + newer.len());
    let (mut older, mut newer) = (older.into_iter().peekable(), newer.into_iter().peekable());
    // Whether the last histogram was of the newer part, and whether samples are missing in front of
    // the next of each.
    let mut from_newer = None;
    let (mut older_gap, mut newer_gap) = (false, false);
    loop {
        let take_newer = match (older.peek(), newer.peek()) {
            (Some(o), Some(n)) => n.t < o.t,
            (None, Some(_)) => true,
            (Some(_), None) => false,
            (None, None) => return out,
        };
        let row = if take_newer {
            newer.next()
        } else {
            let row = older.next();
            if let Some(row) = &row {
                newer_gap |= newer.next_if(|n| n.t == row.t).is_some();
            }
            row
        };
        let Some(mut row) = row else { continue };
        if matches!(row.value, Value::Histogram(_)) {
            let gap = if take_newer {
                &mut newer_gap
            } else {
                &mut older_gap
            };
            *gap |= from_newer.is_some_and(|f| f != take_newer);
            row.forget_behind(gap);
            from_newer = Some(take_newer);
        }
        out.push(row);
    }
}

/// All parts as one. They are in order of their age.
pub(crate) fn merge<H: HistogramPart>(mut parts: Vec<Part<H>>) -> Part<H> {
    parts.retain(|p| !p.is_empty());
    if parts.len() < 2 {
        return parts.pop().unwrap_or_default();
    }
    let mut ranges: Vec<(i64, i64, usize)> = parts
        .iter()
        .enumerate()
        .filter_map(|(i, p)| p.range().map(|(first, last)| (first, last, i)))
        .collect();
    ranges.sort_unstable();
    if ranges.is_sorted_by(|a, b| a.1 < b.0) {
        if !ranges.is_sorted_by_key(|r| r.2) {
            parts.sort_by_key(|p| p.range());
        }
        return concatenate(parts);
    }
    let mut parts = parts.into_iter();
    let mut rows = parts.next().map(Part::into_rows).unwrap_or_default();
    for part in parts {
        rows = merge_two(rows, part.into_rows());
    }
    Part::from_rows(rows)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use tsdb_model::FloatHistogram;

    use super::*;

    /// Time to start timestamp and value; odd values are histograms.
    type Model = BTreeMap<i64, (i64, u32)>;

    fn sample(t: i64, start: i64, v: u32) -> HistogramSample {
        HistogramSample {
            timestamp_ms: t,
            start_timestamp_ms: start,
            histogram: Arc::new(FloatHistogram {
                count: f64::from(v),
                reset_hint: CounterResetHint::NotReset,
                ..FloatHistogram::default()
            }),
        }
    }

    fn part(model: &Model) -> Part<HistogramSample> {
        let rows = model.iter().map(|(t, (start, v))| Row {
            t: *t,
            start: *start,
            value: if v % 2 == 0 {
                Value::Float(f64::from(*v))
            } else {
                Value::Histogram(sample(*t, *start, *v))
            },
        });
        let mut part = Part::from_rows(rows.collect());
        // Columns may begin before the first value and go on behind the last.
        let mut times = vec![i64::MIN];
        times.extend(part.times());
        times.push(i64::MAX);
        part.first_row = 1;
        part.times = Arc::new(times);
        part
    }

    fn model(part: Part<HistogramSample>) -> Model {
        let rows = part.into_rows().into_iter().map(|row| {
            let v = match row.value {
                Value::Float(v) => v,
                Value::Histogram(h) => h.histogram.count,
            };
            (row.t, (row.start, v as u32))
        });
        rows.collect()
    }

    fn any_model() -> impl Strategy<Value = Model> {
        (0..3i64).prop_flat_map(|place| {
            let times = place * 20..place * 20 + 30;
            proptest::collection::btree_map(times, (0..3i64, 0..40u32), 0..12)
        })
    }

    proptest! {
        #[test]
        fn the_older_counts(
            models in proptest::collection::vec(any_model(), 0..5),
            hidden in proptest::collection::vec((0..70i64, 0..9i64), 0..3),
        ) {
            let parts = models.iter().map(part).collect();
            let merged = merge(parts);
            prop_assert!(merged.times().is_sorted_by(|a, b| a < b));
            prop_assert_eq!(merged.times().len(), merged.values.len());
            let mut want = Model::new();
            for m in models.iter().rev() {
                want.extend(m.clone());
            }
            let got = model(merged);
            prop_assert_eq!(&got, &want);
            let hidden: Vec<(i64, i64)> = hidden.into_iter().map(|(f, n)| (f, f + n)).collect();
            let got = model(part(&want).without(&hidden));
            want.retain(|t, _| !hidden.iter().any(|h| h.0 <= *t && *t <= h.1));
            prop_assert_eq!(&got, &want);
        }
    }

    #[test]
    fn resets_are_known_within_a_source_only() {
        use CounterResetHint::{NotReset, Unknown};
        let of = |times: &[i64]| part(&times.iter().map(|t| (*t, (0, 1))).collect());
        let hints = |part: Part<HistogramSample>| -> Vec<(i64, CounterResetHint)> {
            let all = part.histograms.iter();
            all.map(|h| (h.timestamp_ms, h.histogram.reset_hint))
                .collect()
        };
        let merged = merge(vec![of(&[1, 2, 4]), of(&[2, 3, 5, 6])]);
        let want = [
            (1, NotReset),
            (2, NotReset),
            (3, Unknown),
            (4, Unknown),
            (5, Unknown),
        ];
        assert_eq!(hints(merged)[..5], want);
        let merged = merge(vec![of(&[5, 6]), of(&[1, 2])]);
        let want = [(1, NotReset), (2, NotReset), (5, Unknown), (6, NotReset)];
        assert_eq!(hints(merged), want);
        let left = of(&[1, 2, 3, 4]).without(&[(2, 2)]);
        assert_eq!(hints(left), [(1, NotReset), (3, Unknown), (4, NotReset)]);
    }
}
