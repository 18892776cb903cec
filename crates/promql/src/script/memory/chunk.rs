//! Counter reset hints of stored histograms.
//!
//! Prometheus keeps samples in chunks and lets a histogram into a chunk only if no counter reset
//! lies between it and the one before. When read, the first histogram of a chunk has an unknown
//! hint and all later ones have none to fear. Hints show in results, so they are worked out here
//! by the same rules.

use std::sync::Arc;

use tsdb_model::{CounterResetHint, FloatHistogram, Span, is_stale};

/// Samples after which a new chunk begins.
const MAX_SAMPLES: usize = 120;
/// No chunk reaches across a multiple of this.
const RANGE_MS: i64 = 24 * 3600 * 1000;

/// What has to be known about the newest chunk of a series to go on with it.
#[derive(Debug, Clone, Default)]
pub(super) struct Chunk {
    samples: usize,
    first_ms: i64,
    gauge: bool,
    /// Newest histogram; `None` in a chunk of floats.
    last: Option<Arc<FloatHistogram>>,
}

impl Chunk {
    /// Adds a float.
    pub(super) fn add_float(&mut self, t_ms: i64) {
        if self.last.is_some() {
            *self = Self::default();
        }
        self.count(t_ms);
        self.last = None;
    }

    /// Adds a histogram; the answer is the hint that it has when read.
    pub(super) fn add_histogram(
        &mut self,
        t_ms: i64,
        histogram: &Arc<FloatHistogram>,
    ) -> CounterResetHint {
        let gauge = histogram.reset_hint == CounterResetHint::Gauge;
        let goes_on = match &self.last {
            Some(last) if gauge => self.gauge && same_layout(last, histogram),
            Some(last) => !self.gauge && may_follow(last, histogram),
            None => false,
        };
        if !goes_on {
            *self = Self {
                gauge,
                ..Self::default()
            };
        }
        let first = self.count(t_ms);
        if first {
            self.gauge = gauge;
        }
        self.last = Some(Arc::clone(histogram));
        match (self.gauge, first) {
            (true, _) => CounterResetHint::Gauge,
            (false, true) => CounterResetHint::Unknown,
            (false, false) => CounterResetHint::NotReset,
        }
    }

    /// Counts a sample, in a new chunk when this one is full; true when it is the first.
    fn count(&mut self, t_ms: i64) -> bool {
        let full = self.samples >= MAX_SAMPLES
            || t_ms.div_euclid(RANGE_MS) != self.first_ms.div_euclid(RANGE_MS);
        if self.samples == 0 || full {
            self.samples = 0;
            self.first_ms = t_ms;
        }
        self.samples += 1;
        self.samples == 1
    }
}

fn same_layout(last: &FloatHistogram, new: &FloatHistogram) -> bool {
    last.schema == new.schema
        && last.zero_threshold == new.zero_threshold
        && last.custom_values == new.custom_values
}

/// Whether a histogram that is not a gauge may be in one chunk with the one before it.
fn may_follow(last: &FloatHistogram, new: &FloatHistogram) -> bool {
    if new.reset_hint == CounterResetHint::Reset {
        return false;
    }
    if is_stale(new.sum) {
        return true;
    }
    !is_stale(last.sum)
        && new.count >= last.count
        && same_layout(last, new)
        && new.zero_count >= last.zero_count
        && no_bucket_fell(
            (&last.positive_spans, &last.positive_buckets),
            (&new.positive_spans, &new.positive_buckets),
        )
        && no_bucket_fell(
            (&last.negative_spans, &last.negative_buckets),
            (&new.negative_spans, &new.negative_buckets),
        )
}

type Buckets<'a> = (&'a [Span], &'a [f64]);

fn no_bucket_fell(last: Buckets<'_>, new: Buckets<'_>) -> bool {
    let mut new = buckets(new).peekable();
    buckets(last).all(|(index, count)| {
        while new.next_if(|(i, _)| *i < index).is_some() {}
        match new.peek() {
            Some((i, now)) if *i == index => *now >= count,
            _ => count == 0.0,
        }
    })
}

/// Indices and counts of the buckets.
fn buckets((spans, counts): Buckets<'_>) -> impl Iterator<Item = (i64, f64)> + '_ {
    let mut next = 0;
    let indices = spans.iter().flat_map(move |span| {
        let first = next + i64::from(span.offset);
        next = first + i64::from(span.length);
        first..next
    });
    indices.zip(counts.iter().copied())
}
