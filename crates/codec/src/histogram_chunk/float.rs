//! Samples with float counts: every number but the time as a difference of bits.

use tsdb_model::{FloatHistogram, Span, is_stale, stale_nan};

use super::state::{Delta, Parts, SampleState};
use super::varbit::{put_int, read_int};
use super::xor_value::XorValue;
use crate::bits::{BitReader, BitWriter};
use crate::error::CodecError;

/// The last sample of a chunk of float counts.
#[derive(Debug, Clone)]
pub struct FloatState {
    t: Delta,
    count: XorValue,
    zero_count: XorValue,
    sum: XorValue,
    positive: Vec<XorValue>,
    negative: Vec<XorValue>,
}

fn values(buckets: &[XorValue]) -> Vec<f64> {
    buckets.iter().map(XorValue::get).collect()
}

fn read_full(bits: &mut BitReader<'_>) -> Result<XorValue, CodecError> {
    Ok(XorValue::new(f64::from_bits(bits.read_bits(64)?)))
}

impl SampleState for FloatState {
    type Histogram = FloatHistogram;
    type Count = f64;

    const CUT_SAYS_NOT_RESET: bool = false;

    fn parts(h: &FloatHistogram) -> Parts<'_> {
        Parts {
            reset_hint: h.reset_hint,
            schema: h.schema,
            zero_threshold: h.zero_threshold,
            sum: h.sum,
            positive_spans: &h.positive_spans,
            negative_spans: &h.negative_spans,
            custom_values: &h.custom_values,
            positive_len: h.positive_buckets.len(),
            negative_len: h.negative_buckets.len(),
        }
    }

    fn counts_of(h: &FloatHistogram) -> (Vec<f64>, Vec<f64>) {
        (h.positive_buckets.clone(), h.negative_buckets.clone())
    }

    fn rearranged(
        h: &FloatHistogram,
        spans: [&[Span]; 2],
        counts: [Vec<f64>; 2],
    ) -> FloatHistogram {
        let [positive_spans, negative_spans] = spans.map(<[Span]>::to_vec);
        let [positive_buckets, negative_buckets] = counts;
        FloatHistogram {
            positive_spans,
            negative_spans,
            positive_buckets,
            negative_buckets,
            custom_values: h.custom_values.clone(),
            ..*h
        }
    }

    fn stale() -> FloatHistogram {
        FloatHistogram {
            sum: stale_nan(),
            ..FloatHistogram::default()
        }
    }

    fn write_first(bits: &mut BitWriter, t_ms: i64, h: &FloatHistogram) -> Self {
        put_int(bits, t_ms);
        for v in [h.count, h.zero_count, h.sum] {
            bits.write_bits(v.to_bits(), 64);
        }
        for v in h.positive_buckets.iter().chain(&h.negative_buckets) {
            bits.write_bits(v.to_bits(), 64);
        }
        let buckets = |counts: &[f64]| counts.iter().copied().map(XorValue::new).collect();
        Self {
            t: Delta::new(t_ms),
            count: XorValue::new(h.count),
            zero_count: XorValue::new(h.zero_count),
            sum: XorValue::new(h.sum),
            positive: buckets(&h.positive_buckets),
            negative: buckets(&h.negative_buckets),
        }
    }

    fn write_next(&mut self, bits: &mut BitWriter, t_ms: i64, h: &FloatHistogram) {
        self.t.write(bits, t_ms);
        let stale = is_stale(h.sum);
        self.count.write(bits, if stale { 0.0 } else { h.count });
        self.zero_count
            .write(bits, if stale { 0.0 } else { h.zero_count });
        self.sum.write(bits, h.sum);
        if stale {
            return;
        }
        for (bucket, v) in self.positive.iter_mut().zip(&h.positive_buckets) {
            bucket.write(bits, *v);
        }
        for (bucket, v) in self.negative.iter_mut().zip(&h.negative_buckets) {
            bucket.write(bits, *v);
        }
    }

    fn read_first(
        bits: &mut BitReader<'_>,
        positive: usize,
        negative: usize,
    ) -> Result<Self, CodecError> {
        Ok(Self {
            t: Delta::new(read_int(bits)?),
            count: read_full(bits)?,
            zero_count: read_full(bits)?,
            sum: read_full(bits)?,
            positive: (0..positive)
                .map(|_| read_full(bits))
                .collect::<Result<_, _>>()?,
            negative: (0..negative)
                .map(|_| read_full(bits))
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

    fn histogram(&self, parts: &Parts<'_>) -> FloatHistogram {
        FloatHistogram {
            reset_hint: parts.reset_hint,
            schema: parts.schema,
            zero_threshold: parts.zero_threshold,
            zero_count: self.zero_count.get(),
            count: self.count.get(),
            sum: self.sum.get(),
            positive_spans: parts.positive_spans.to_vec(),
            negative_spans: parts.negative_spans.to_vec(),
            positive_buckets: values(&self.positive),
            negative_buckets: values(&self.negative),
            custom_values: parts.custom_values.to_vec(),
        }
    }

    fn t_ms(&self) -> i64 {
        self.t.value
    }

    fn sum(&self) -> f64 {
        self.sum.get()
    }

    fn count_fell(&self, next: &FloatHistogram) -> bool {
        next.count < self.count.get()
    }

    fn zero_count_fell(&self, next: &FloatHistogram) -> bool {
        next.zero_count < self.zero_count.get()
    }

    fn counts(&self) -> (Vec<f64>, Vec<f64>) {
        (values(&self.positive), values(&self.negative))
    }
}
