//! Samples with integer counts: every number but the sum as a change of its change.

use tsdb_model::{Histogram, Span, is_stale, stale_nan};

use super::state::{Delta, Parts, SampleState};
use super::varbit::{put_int, put_uint, read_int, read_uint};
use super::xor_value::XorValue;
use crate::bits::{BitReader, BitWriter};
use crate::error::CodecError;

/// The last sample of a chunk of integer counts.
#[derive(Debug, Clone)]
pub struct IntegerState {
    t: Delta,
    count: Delta,
    zero_count: Delta,
    sum: XorValue,
    /// Bucket counts relative to the bucket before, as histograms have them.
    positive: Vec<Delta>,
    negative: Vec<Delta>,
}

/// Absolute counts from relative ones.
fn absolute(deltas: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut count = 0i64;
    deltas
        .map(|delta| {
            count = count.wrapping_add(delta);
            count
        })
        .collect()
}

/// Relative counts from absolute ones.
fn relative(counts: Vec<i64>) -> Vec<i64> {
    let mut before = 0i64;
    counts
        .into_iter()
        .map(|count| count.wrapping_sub(std::mem::replace(&mut before, count)))
        .collect()
}

impl SampleState for IntegerState {
    type Histogram = Histogram;
    type Count = i64;

    const CUT_SAYS_NOT_RESET: bool = true;

    fn parts(h: &Histogram) -> Parts<'_> {
        Parts {
            reset_hint: h.reset_hint,
            schema: h.schema,
            zero_threshold: h.zero_threshold,
            sum: h.sum,
            positive_spans: &h.positive_spans,
            negative_spans: &h.negative_spans,
            custom_values: &h.custom_values,
            positive_len: h.positive_deltas.len(),
            negative_len: h.negative_deltas.len(),
        }
    }

    fn counts_of(h: &Histogram) -> (Vec<i64>, Vec<i64>) {
        let counts = |deltas: &[i64]| absolute(deltas.iter().copied());
        (counts(&h.positive_deltas), counts(&h.negative_deltas))
    }

    fn rearranged(h: &Histogram, spans: [&[Span]; 2], counts: [Vec<i64>; 2]) -> Histogram {
        let [positive_spans, negative_spans] = spans.map(<[Span]>::to_vec);
        let [positive_deltas, negative_deltas] = counts.map(relative);
        Histogram {
            positive_spans,
            negative_spans,
            positive_deltas,
            negative_deltas,
            custom_values: h.custom_values.clone(),
            ..*h
        }
    }

    fn stale() -> Histogram {
        Histogram {
            sum: stale_nan(),
            ..Histogram::default()
        }
    }

    fn write_first(bits: &mut BitWriter, t_ms: i64, h: &Histogram) -> Self {
        put_int(bits, t_ms);
        put_uint(bits, h.count);
        put_uint(bits, h.zero_count);
        bits.write_bits(h.sum.to_bits(), 64);
        for delta in h.positive_deltas.iter().chain(&h.negative_deltas) {
            put_int(bits, *delta);
        }
        let buckets = |deltas: &[i64]| deltas.iter().copied().map(Delta::new).collect();
        Self {
            t: Delta::new(t_ms),
            count: Delta::new(h.count as i64),
            zero_count: Delta::new(h.zero_count as i64),
            sum: XorValue::new(h.sum),
            positive: buckets(&h.positive_deltas),
            negative: buckets(&h.negative_deltas),
        }
    }

    fn write_next(&mut self, bits: &mut BitWriter, t_ms: i64, h: &Histogram) {
        self.t.write(bits, t_ms);
        if is_stale(h.sum) {
            // No change of the change, whatever the counts would become: nobody reads them.
            put_int(bits, 0);
            put_int(bits, 0);
            self.sum.write(bits, h.sum);
            return;
        }
        self.count.write(bits, h.count as i64);
        self.zero_count.write(bits, h.zero_count as i64);
        self.sum.write(bits, h.sum);
        for (bucket, delta) in self.positive.iter_mut().zip(&h.positive_deltas) {
            bucket.write(bits, *delta);
        }
        for (bucket, delta) in self.negative.iter_mut().zip(&h.negative_deltas) {
            bucket.write(bits, *delta);
        }
    }

    fn read_first(
        bits: &mut BitReader<'_>,
        positive: usize,
        negative: usize,
    ) -> Result<Self, CodecError> {
        Ok(Self {
            t: Delta::new(read_int(bits)?),
            count: Delta::new(read_uint(bits)? as i64),
            zero_count: Delta::new(read_uint(bits)? as i64),
            sum: XorValue::new(f64::from_bits(bits.read_bits(64)?)),
            positive: (0..positive)
                .map(|_| read_int(bits).map(Delta::new))
                .collect::<Result<_, _>>()?,
            negative: (0..negative)
                .map(|_| read_int(bits).map(Delta::new))
                .collect::<Result<_, _>>()?,
        })
    }

    fn read_next(&mut self, bits: &mut BitReader<'_>) -> Result<(), CodecError> {
        self.t.read(bits)?;
        self.count.read(bits)?;
        self.zero_count.read(bits)?;
        self.sum.read(bits)?;
        if is_stale(self.sum.get()) {
            return Ok(());
        }
        self.positive
            .iter_mut()
            .chain(&mut self.negative)
            .try_for_each(|b| b.read(bits))
    }

    fn histogram(&self, parts: &Parts<'_>) -> Histogram {
        let deltas = |buckets: &[Delta]| buckets.iter().map(|b| b.value).collect();
        Histogram {
            reset_hint: parts.reset_hint,
            schema: parts.schema,
            zero_threshold: parts.zero_threshold,
            zero_count: self.zero_count.value as u64,
            count: self.count.value as u64,
            sum: self.sum.get(),
            positive_spans: parts.positive_spans.to_vec(),
            negative_spans: parts.negative_spans.to_vec(),
            positive_deltas: deltas(&self.positive),
            negative_deltas: deltas(&self.negative),
            custom_values: parts.custom_values.to_vec(),
        }
    }

    fn t_ms(&self) -> i64 {
        self.t.value
    }

    fn sum(&self) -> f64 {
        self.sum.get()
    }

    fn count_fell(&self, next: &Histogram) -> bool {
        next.count < self.count.value as u64
    }

    fn zero_count_fell(&self, next: &Histogram) -> bool {
        next.zero_count < self.zero_count.value as u64
    }

    fn counts(&self) -> (Vec<i64>, Vec<i64>) {
        let counts = |buckets: &[Delta]| absolute(buckets.iter().map(|b| b.value));
        (counts(&self.positive), counts(&self.negative))
    }
}
