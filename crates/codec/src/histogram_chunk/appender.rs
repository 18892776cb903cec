//! Writing a histogram chunk: what fits behind the samples that are there, and how.

use tsdb_model::histogram::CUSTOM_BUCKETS_SCHEMA;
use tsdb_model::{CounterResetHint, Span, is_stale};

use super::buckets::{are_valid, counter_difference, gauge_difference, spread, union};
use super::iter::ChunkIter;
use super::layout::Layout;
use super::state::{Parts, SampleState};
use super::{CounterResetHeader, FLAGS_AT, HEADER_BYTES, HistogramChunkError};
use crate::bits::BitWriter;
use crate::error::CodecError;

/// What became of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It is in the chunk.
    Added,
    /// It is in the chunk, which was written anew with more buckets.
    Recoded,
    /// It does not fit behind the samples of this chunk, which is unchanged: it belongs into a new
    /// one with this header ([`ChunkAppender::with_header`]).
    Cut(CounterResetHeader),
}

/// Appends histograms to a chunk.
#[derive(Debug, Clone)]
pub struct ChunkAppender<S> {
    bits: BitWriter,
    count: u16,
    header: CounterResetHeader,
    layout: Layout,
    state: Option<S>,
}

impl<S: SampleState> Default for ChunkAppender<S> {
    fn default() -> Self {
        Self::new()
    }
}

/// How a histogram fits into a chunk.
struct Fit {
    /// Spans that the chunk must be written anew with.
    recode: Option<[Vec<Span>; 2]>,
    /// Spans that the histogram must be spread over.
    spread: Option<[Vec<Span>; 2]>,
}

impl<S: SampleState> ChunkAppender<S> {
    /// An empty chunk.
    pub fn new() -> Self {
        Self::with_header(CounterResetHeader::Unknown)
    }

    /// An empty chunk whose header is known.
    pub fn with_header(header: CounterResetHeader) -> Self {
        let mut chunk = Self {
            bits: BitWriter::new(vec![0; HEADER_BYTES]),
            count: 0,
            header,
            layout: Layout::default(),
            state: None,
        };
        chunk.write_header();
        chunk
    }

    /// Samples in the chunk.
    pub fn count(&self) -> u16 {
        self.count
    }

    /// What the chunk says about a reset before it.
    pub fn header(&self) -> CounterResetHeader {
        self.header
    }

    /// Time of the sample appended last.
    pub fn last_t_ms(&self) -> Option<i64> {
        self.state.as_ref().map(S::t_ms)
    }

    /// The chunk as it is now.
    pub fn bytes(&self) -> &[u8] {
        self.bits.bytes()
    }

    /// The finished chunk.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bits.into_bytes()
    }

    /// Appends a histogram. `previous` is the chunk before this one in the series, if it has the
    /// same encoding: the first histogram is compared with its last one.
    pub fn append(
        &mut self,
        previous: Option<&Self>,
        t_ms: i64,
        histogram: &S::Histogram,
    ) -> Result<Appended, HistogramChunkError> {
        if self.count == u16::MAX {
            return Err(CodecError::ChunkFull.into());
        }
        let parts = S::parts(histogram);
        check(&parts)?;
        if self.state.is_none() {
            self.header = match (parts.reset_hint, previous) {
                (CounterResetHint::Gauge, _) => CounterResetHeader::Gauge,
                (CounterResetHint::Reset, _) => CounterResetHeader::Reset,
                (_, Some(previous)) => previous.header_of_next(histogram),
                (_, None) => self.header,
            };
            self.push(t_ms, histogram);
            return Ok(Appended::Added);
        }
        let fit = if parts.reset_hint == CounterResetHint::Gauge {
            self.fit_gauge(histogram).ok_or(CounterResetHeader::Gauge)
        } else {
            self.fit_counter(histogram).map_err(|header| match header {
                CounterResetHeader::Reset => header,
                header if S::CUT_SAYS_NOT_RESET => header,
                _ => CounterResetHeader::Unknown,
            })
        };
        let fit = match fit {
            Ok(fit) => fit,
            Err(header) => return Ok(Appended::Cut(header)),
        };
        let recoded = fit.recode.is_some();
        if let Some([positive, negative]) = fit.recode {
            *self = self.recoded(positive, negative)?;
        }
        match fit.spread {
            Some([positive, negative]) => {
                self.push(t_ms, &spread_over::<S>(histogram, &positive, &negative));
            }
            None => self.push(t_ms, histogram),
        }
        Ok(if recoded {
            Appended::Recoded
        } else {
            Appended::Added
        })
    }

    /// The header of a chunk after this one that starts with `next`.
    fn header_of_next(&self, next: &S::Histogram) -> CounterResetHeader {
        match self.fit_counter(next) {
            Err(header) if S::CUT_SAYS_NOT_RESET || header == CounterResetHeader::Reset => header,
            _ => CounterResetHeader::NotReset,
        }
    }

    /// How a counter fits; if it does not, the header of the chunk that it begins.
    fn fit_counter(&self, next: &S::Histogram) -> Result<Fit, CounterResetHeader> {
        use CounterResetHeader::{Gauge, NotReset, Reset, Unknown};
        let as_is = Ok(Fit {
            recode: None,
            spread: None,
        });
        let parts = S::parts(next);
        let Some(last) = &self.state else {
            return as_is;
        };
        if self.header == Gauge {
            return Err(NotReset);
        }
        if parts.reset_hint == CounterResetHint::Reset {
            return Err(Reset);
        }
        if is_stale(parts.sum) {
            return as_is;
        }
        if is_stale(last.sum()) {
            // Behind a marker there are only markers.
            return Err(Unknown);
        }
        if last.count_fell(next) {
            return Err(Reset);
        }
        if !self.same_scale(&parts) {
            return Err(Unknown);
        }
        if !self.same_bounds(&parts) || last.zero_count_fell(next) {
            return Err(Reset);
        }
        let (positive, negative) = last.counts();
        let (next_positive, next_negative) = S::counts_of(next);
        let positive = counter_difference(
            (&self.layout.positive_spans, &positive),
            (parts.positive_spans, &next_positive),
        )
        .ok_or(Reset)?;
        let negative = counter_difference(
            (&self.layout.negative_spans, &negative),
            (parts.negative_spans, &next_negative),
        )
        .ok_or(Reset)?;

        let missing = positive.missing || negative.missing;
        if !(positive.new || negative.new) {
            let own = [&self.layout.positive_spans, &self.layout.negative_spans];
            return Ok(Fit {
                recode: None,
                spread: missing.then(|| own.map(Clone::clone)),
            });
        }
        let side = |missing: bool, own: &[Span], next: &[Span]| {
            if missing {
                union(own, next)
            } else {
                next.to_vec()
            }
        };
        let all = [
            side(
                positive.missing,
                &self.layout.positive_spans,
                parts.positive_spans,
            ),
            side(
                negative.missing,
                &self.layout.negative_spans,
                parts.negative_spans,
            ),
        ];
        Ok(Fit {
            spread: missing.then(|| all.clone()),
            recode: Some(all),
        })
    }

    /// How a gauge fits, `None` if it needs a new chunk.
    fn fit_gauge(&self, next: &S::Histogram) -> Option<Fit> {
        let parts = S::parts(next);
        let last = self.state.as_ref()?;
        if self.header != CounterResetHeader::Gauge {
            return None;
        }
        if is_stale(parts.sum) {
            return Some(Fit {
                recode: None,
                spread: None,
            });
        }
        if is_stale(last.sum()) || !self.same_scale(&parts) || !self.same_bounds(&parts) {
            return None;
        }
        let (positive, negative) = last.counts();
        let (next_positive, next_negative) = S::counts_of(next);
        let own = [&self.layout.positive_spans, &self.layout.negative_spans];
        let theirs = [parts.positive_spans, parts.negative_spans];
        let positive = gauge_difference((own[0], &positive), (theirs[0], &next_positive));
        let negative = gauge_difference((own[1], &negative), (theirs[1], &next_negative));
        let missing = positive.missing || negative.missing;
        let new = positive.new || negative.new;
        let all = if missing {
            [union(own[0], theirs[0]), union(own[1], theirs[1])]
        } else {
            theirs.map(<[Span]>::to_vec)
        };
        Some(Fit {
            spread: missing.then(|| all.clone()),
            recode: new.then_some(all),
        })
    }

    fn same_scale(&self, next: &Parts<'_>) -> bool {
        next.schema == self.layout.schema && next.zero_threshold == self.layout.zero_threshold
    }

    fn same_bounds(&self, next: &Parts<'_>) -> bool {
        let own = &self.layout.custom_values;
        self.layout.schema != CUSTOM_BUCKETS_SCHEMA
            || (own.len() == next.custom_values.len()
                && own.iter().zip(next.custom_values).all(|(a, b)| a == b))
    }

    /// The same samples with more buckets.
    fn recoded(
        &self,
        positive: Vec<Span>,
        negative: Vec<Span>,
    ) -> Result<Self, HistogramChunkError> {
        let mut new = Self::with_header(self.header);
        for sample in ChunkIter::<S>::new(self.bytes())? {
            let (t_ms, histogram) = sample?;
            if is_stale(S::parts(&histogram).sum) {
                new.push(t_ms, &histogram);
            } else {
                new.push(t_ms, &spread_over::<S>(&histogram, &positive, &negative));
            }
        }
        Ok(new)
    }

    /// Appends a sample that fits as it is.
    fn push(&mut self, t_ms: i64, histogram: &S::Histogram) {
        let stale = S::stale();
        let histogram = if is_stale(S::parts(histogram).sum) {
            &stale
        } else {
            histogram
        };
        match &mut self.state {
            Some(state) => state.write_next(&mut self.bits, t_ms, histogram),
            None => {
                let parts = S::parts(histogram);
                self.layout = Layout {
                    schema: parts.schema,
                    zero_threshold: parts.zero_threshold,
                    positive_spans: parts.positive_spans.to_vec(),
                    negative_spans: parts.negative_spans.to_vec(),
                    custom_values: parts.custom_values.to_vec(),
                };
                self.layout.write(&mut self.bits);
                self.state = Some(S::write_first(&mut self.bits, t_ms, histogram));
            }
        }
        self.count += 1;
        self.write_header();
    }

    fn write_header(&mut self) {
        let [high, low] = self.count.to_be_bytes();
        let flags = self.header.to_flags();
        if let Some(front) = self.bits.bytes_mut().first_chunk_mut::<HEADER_BYTES>() {
            *front = [high, low, flags];
        }
        debug_assert_eq!(self.bits.bytes().get(FLAGS_AT), Some(&flags));
    }
}

/// The histogram with the buckets of `positive` and `negative`, which have all of its own.
fn spread_over<S: SampleState>(
    histogram: &S::Histogram,
    positive: &[Span],
    negative: &[Span],
) -> S::Histogram {
    let parts = S::parts(histogram);
    let (own_positive, own_negative) = S::counts_of(histogram);
    let counts = [
        spread(&own_positive, parts.positive_spans, positive),
        spread(&own_negative, parts.negative_spans, negative),
    ];
    S::rearranged(histogram, [positive, negative], counts)
}

/// Refuses histograms that no chunk can hold; a marker is all in its sum.
fn check(parts: &Parts<'_>) -> Result<(), HistogramChunkError> {
    if is_stale(parts.sum) {
        return Ok(());
    }
    if !matches!(parts.schema, -4..=8 | CUSTOM_BUCKETS_SCHEMA) {
        return Err(HistogramChunkError::UnknownSchema(i64::from(parts.schema)));
    }
    if are_valid(parts.positive_spans, parts.positive_len)
        && are_valid(parts.negative_spans, parts.negative_len)
    {
        Ok(())
    } else {
        Err(HistogramChunkError::InvalidHistogram)
    }
}
