//! The native histogram samples of one series, as given, each with the counter reset hint that
//! queries see.

use std::sync::Arc;

use tsdb_model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FloatHistogram, Histogram};
use tsdb_model::{HistogramValue, is_stale};

use super::floats::CHUNK_SAMPLES;

/// One stored histogram.
#[derive(Debug, Clone)]
pub(crate) struct HistogramEntry {
    pub(crate) t: i64,
    pub(crate) value: HistogramValue,
    /// What queries are told about a counter reset.
    pub(crate) hint: CounterResetHint,
    /// Samples in the same run up to and including this one; a run is what would be one chunk.
    row: u32,
}

impl HistogramEntry {
    /// The histogram as queries see it.
    pub(crate) fn to_float(&self) -> Arc<FloatHistogram> {
        match &self.value {
            HistogramValue::Float(h) if h.reset_hint == self.hint => h.clone(),
            HistogramValue::Float(h) => Arc::new(FloatHistogram {
                reset_hint: self.hint,
                ..(**h).clone()
            }),
            HistogramValue::Int(h) => {
                let mut float = h.to_float();
                float.reset_hint = self.hint;
                Arc::new(float)
            }
        }
    }
}

/// The sum of a histogram.
pub(crate) fn sum(value: &HistogramValue) -> f64 {
    match value {
        HistogramValue::Int(h) => h.sum,
        HistogramValue::Float(h) => h.sum,
    }
}

/// Bytes of a histogram in memory, about.
pub(crate) fn size(value: &HistogramValue) -> usize {
    let (spans, numbers) = match value {
        HistogramValue::Int(h) => (
            h.positive_spans.len() + h.negative_spans.len(),
            h.positive_deltas.len() + h.negative_deltas.len() + h.custom_values.len(),
        ),
        HistogramValue::Float(h) => (
            h.positive_spans.len() + h.negative_spans.len(),
            h.positive_buckets.len() + h.negative_buckets.len() + h.custom_values.len(),
        ),
    };
    size_of::<HistogramEntry>() + size_of::<Histogram>() + 8 * (spans + numbers)
}

/// The marker that a float staleness marker becomes behind the histogram `before`.
pub(crate) fn stale_like(before: &HistogramValue, marker: f64) -> HistogramValue {
    match before {
        HistogramValue::Int(_) => HistogramValue::Int(Arc::new(Histogram {
            sum: marker,
            ..Histogram::default()
        })),
        HistogramValue::Float(_) => HistogramValue::Float(Arc::new(FloatHistogram {
            sum: marker,
            ..FloatHistogram::default()
        })),
    }
}

fn same_bits(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

/// True when both are the same sample to the bit. Hints do not count.
pub(crate) fn same(a: &HistogramValue, b: &HistogramValue) -> bool {
    match (a, b) {
        (HistogramValue::Int(a), HistogramValue::Int(b)) => {
            a.schema == b.schema
                && a.count == b.count
                && a.zero_count == b.zero_count
                && same_bits(&[a.sum, a.zero_threshold], &[b.sum, b.zero_threshold])
                && a.positive_spans == b.positive_spans
                && a.negative_spans == b.negative_spans
                && a.positive_deltas == b.positive_deltas
                && a.negative_deltas == b.negative_deltas
                && same_bits(&a.custom_values, &b.custom_values)
        }
        (HistogramValue::Float(a), HistogramValue::Float(b)) => {
            a.schema == b.schema
                && same_bits(
                    &[a.sum, a.zero_threshold, a.count, a.zero_count],
                    &[b.sum, b.zero_threshold, b.count, b.zero_count],
                )
                && a.positive_spans == b.positive_spans
                && a.negative_spans == b.negative_spans
                && same_bits(&a.positive_buckets, &b.positive_buckets)
                && same_bits(&a.negative_buckets, &b.negative_buckets)
                && same_bits(&a.custom_values, &b.custom_values)
        }
        _ => false,
    }
}

/// The samples of one series, times strictly increasing.
#[derive(Debug, Default)]
pub(crate) struct Histograms {
    entries: Vec<HistogramEntry>,
}

impl Histograms {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn newest(&self) -> Option<&HistogramEntry> {
        self.entries.last()
    }

    pub(crate) fn min_t(&self) -> Option<i64> {
        self.entries.first().map(|e| e.t)
    }

    pub(crate) fn max_t(&self) -> Option<i64> {
        self.entries.last().map(|e| e.t)
    }

    pub(crate) fn at(&self, t: i64) -> Option<&HistogramValue> {
        let i = self.entries.binary_search_by_key(&t, |e| e.t).ok()?;
        self.entries.get(i).map(|e| &e.value)
    }

    pub(crate) fn next_after(&self, t: i64) -> Option<i64> {
        self.entries
            .get(self.entries.partition_point(|e| e.t <= t))
            .map(|e| e.t)
    }

    /// Adds a sample; one at the same time is replaced. `newest_float` is the time of the series'
    /// newest float: floats end a run of histograms.
    pub(crate) fn insert(&mut self, t: i64, value: HistogramValue, newest_float: Option<i64>) {
        let i = self.entries.partition_point(|e| e.t < t);
        if i == self.entries.len() {
            let interrupted = |last: &HistogramEntry| newest_float.is_some_and(|f| f > last.t);
            let before = self.entries.last().filter(|last| !interrupted(last));
            let (hint, row) = hint_behind(before, &value);
            self.entries.push(HistogramEntry {
                t,
                value,
                hint,
                row,
            });
            return;
        }
        let hint = if is_gauge(&value) {
            CounterResetHint::Gauge
        } else {
            CounterResetHint::Unknown
        };
        let entry = HistogramEntry {
            t,
            value,
            hint,
            row: 1,
        };
        if self.entries[i].t == t {
            self.entries[i] = entry;
        } else {
            self.entries.insert(i, entry);
        }
        // What was known about the next sample was relative to another one.
        if let Some(next) = self.entries.get_mut(i + 1)
            && next.hint != CounterResetHint::Gauge
        {
            next.hint = CounterResetHint::Unknown;
        }
    }

    /// Drops samples before `floor`.
    pub(crate) fn drop_before(&mut self, floor: i64) {
        let gone = self.entries.partition_point(|e| e.t < floor);
        self.entries.drain(..gone);
        if self.entries.capacity() > 2 * self.entries.len() + 8 {
            self.entries.shrink_to_fit();
        }
    }

    /// Removes the samples with `mint <= t <= maxt`, but for those at the (sorted) times `except`;
    /// each is handed to `each`. The sample behind a gap does not know any more whether it is a
    /// reset.
    pub(crate) fn remove(
        &mut self,
        mint: i64,
        maxt: i64,
        except: &[i64],
        mut each: impl FnMut(&HistogramEntry),
    ) {
        let mut gap = false;
        self.entries.retain_mut(|e| {
            if mint <= e.t && e.t <= maxt && except.binary_search(&e.t).is_err() {
                each(e);
                gap = true;
                return false;
            }
            if gap && e.hint != CounterResetHint::Gauge {
                e.hint = CounterResetHint::Unknown;
            }
            gap = false;
            true
        });
        if self.entries.capacity() > 2 * self.entries.len() + 8 {
            self.entries.shrink_to_fit();
        }
    }

    pub(crate) fn range(&self, mint: i64, maxt: i64) -> &[HistogramEntry] {
        let from = self.entries.partition_point(|e| e.t < mint);
        let to = self.entries.partition_point(|e| e.t <= maxt);
        self.entries.get(from..to).unwrap_or_default()
    }
}

fn explicit_hint(value: &HistogramValue) -> CounterResetHint {
    match value {
        HistogramValue::Int(h) => h.reset_hint,
        HistogramValue::Float(h) => h.reset_hint,
    }
}

fn is_gauge(value: &HistogramValue) -> bool {
    explicit_hint(value) == CounterResetHint::Gauge
}

fn comparable(value: &HistogramValue) -> FloatHistogram {
    let mut float = match value {
        HistogramValue::Int(h) => h.to_float(),
        HistogramValue::Float(h) => (**h).clone(),
    };
    float.reset_hint = CounterResetHint::Unknown;
    float
}

/// Hint and row of `value` behind `before`, as Prometheus's chunks give them: within a chunk there
/// are no resets; of the first sample of a chunk nothing is known, even if the chunk was begun
/// because of a reset (prometheus/prometheus issue 15346): the engine compares it itself.
fn hint_behind(before: Option<&HistogramEntry>, value: &HistogramValue) -> (CounterResetHint, u32) {
    use CounterResetHint::{Gauge, NotReset, Reset, Unknown};
    if is_stale(sum(value)) {
        // A marker says nothing about resets, and what comes behind it begins a run.
        return (Unknown, 1);
    }
    match explicit_hint(value) {
        Gauge => return (Gauge, 1),
        Reset => return (Unknown, 1),
        NotReset | Unknown => {}
    }
    let Some(before) = before else {
        return (Unknown, 1);
    };
    let same_form = matches!(
        (&before.value, value),
        (HistogramValue::Int(_), HistogramValue::Int(_))
            | (HistogramValue::Float(_), HistogramValue::Float(_))
    );
    if !same_form || is_gauge(&before.value) || is_stale(sum(&before.value)) {
        return (Unknown, 1);
    }
    let (old, new) = (comparable(&before.value), comparable(value));
    let same_layout = old.schema == new.schema
        && old.zero_threshold == new.zero_threshold
        && (new.schema != CUSTOM_BUCKETS_SCHEMA || old.custom_values == new.custom_values);
    let reset = new.count < old.count || (same_layout && new.detect_reset(&old));
    if reset || !same_layout || before.row as usize >= CHUNK_SAMPLES {
        (Unknown, 1)
    } else {
        (NotReset, before.row + 1)
    }
}

#[cfg(test)]
mod tests {
    use tsdb_model::Span;
    use tsdb_model::stale_nan;

    use super::*;

    fn histogram(count: u64) -> Histogram {
        Histogram {
            count,
            sum: count as f64,
            positive_spans: vec![Span {
                offset: 0,
                length: 1,
            }],
            positive_deltas: vec![count as i64],
            ..Histogram::default()
        }
    }

    fn int(count: u64) -> HistogramValue {
        HistogramValue::Int(Arc::new(histogram(count)))
    }

    fn hints(histograms: &Histograms) -> Vec<CounterResetHint> {
        let entries = histograms.range(i64::MIN, i64::MAX);
        entries.iter().map(|e| e.to_float().reset_hint).collect()
    }

    #[test]
    fn hints_follow_the_runs() {
        use CounterResetHint::{Gauge, NotReset, Reset, Unknown};
        let mut h = Histograms::default();
        for (t, count) in [(1, 5), (2, 6), (3, 2), (4, 3)] {
            h.insert(t, int(count), None);
        }
        assert_eq!(hints(&h), [Unknown, NotReset, Unknown, NotReset]);
        h.insert(5, stale_like(&int(1), stale_nan()), None);
        h.insert(6, int(4), None);
        h.insert(7, int(4), Some(3));
        assert_eq!(hints(&h)[4..], [Unknown, Unknown, NotReset]);
        // A float in between.
        h.insert(9, int(5), Some(8));
        let gauge = Histogram {
            reset_hint: Gauge,
            ..histogram(1)
        };
        h.insert(10, HistogramValue::Int(Arc::new(gauge)), Some(8));
        h.insert(11, int(5), Some(8));
        h.insert(
            12,
            HistogramValue::Float(Arc::new(histogram(6).to_float())),
            Some(8),
        );
        let told = Histogram {
            reset_hint: Reset,
            ..histogram(60)
        };
        h.insert(
            13,
            HistogramValue::Float(Arc::new(told.to_float())),
            Some(8),
        );
        assert_eq!(hints(&h)[7..], [Unknown, Gauge, Unknown, Unknown, Unknown]);
    }

    #[test]
    fn a_run_ends_after_120_samples() {
        let mut h = Histograms::default();
        for i in 0..241 {
            h.insert(i, int(i as u64), None);
        }
        let unknown: Vec<usize> = hints(&h)
            .iter()
            .enumerate()
            .filter(|(_, hint)| **hint == CounterResetHint::Unknown)
            .map(|(i, _)| i)
            .collect();
        assert_eq!(unknown, [0, 120, 240]);
    }

    #[test]
    fn a_late_sample_makes_its_neighbour_unknown() {
        use CounterResetHint::{NotReset, Unknown};
        let mut h = Histograms::default();
        for t in [10, 20, 30] {
            h.insert(t, int(t as u64), None);
        }
        h.insert(15, int(15), None);
        assert_eq!(hints(&h), [Unknown, Unknown, Unknown, NotReset]);
        h.insert(15, int(16), None);
        assert!(same(h.at(15).unwrap(), &int(16)));
        assert_eq!(
            (h.min_t(), h.max_t(), h.next_after(15)),
            (Some(10), Some(30), Some(20))
        );
        h.drop_before(20);
        assert_eq!(hints(&h), [Unknown, NotReset]);
    }

    #[test]
    fn sameness_is_by_bits() {
        let stale = stale_like(&int(1), stale_nan());
        assert!(same(&stale, &stale));
        assert!(!same(&stale, &int(0)));
        let float = HistogramValue::Float(Arc::new(histogram(3).to_float()));
        assert!(same(&float, &float.clone()));
        assert!(!same(&float, &int(3)));
    }
}
