//! What all samples of a chunk share: schema, zero threshold, spans and custom bounds.

use tsdb_model::Span;
use tsdb_model::histogram::CUSTOM_BUCKETS_SCHEMA;

use super::HistogramChunkError;
use super::varbit::{put_int, put_uint, read_int, read_uint};
use crate::bits::{BitReader, BitWriter};

/// Most spans without buckets and custom bounds that are handed out with the samples of a chunk,
/// all samples together. They cost memory with each sample although no bits of it.
const MAX_REPEATED: u64 = 1 << 22;

/// Byte that stands before a zero threshold of eight bytes.
const THRESHOLD_IN_FULL: u8 = 255;

/// `THRESHOLD_BIAS + exponent` is the byte of a power of two; 1 to 254 mean 2^-243 to 2^10.
const THRESHOLD_BIAS: i64 = 244;

/// Largest custom bound, times 1000, that is written as an integer.
const MAX_SHORT_BOUND: f64 = 33_554_430.0;

/// The layout of a chunk.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Layout {
    pub(super) schema: i32,
    pub(super) zero_threshold: f64,
    pub(super) positive_spans: Vec<Span>,
    pub(super) negative_spans: Vec<Span>,
    pub(super) custom_values: Vec<f64>,
}

/// Number of buckets of spans.
pub(super) fn bucket_count(spans: &[Span]) -> u64 {
    spans.iter().map(|s| u64::from(s.length)).sum()
}

impl Layout {
    pub(super) fn write(&self, bits: &mut BitWriter) {
        put_zero_threshold(bits, self.zero_threshold);
        put_int(bits, i64::from(self.schema));
        for spans in [&self.positive_spans, &self.negative_spans] {
            put_uint(bits, spans.len() as u64);
            for span in spans {
                put_uint(bits, u64::from(span.length));
                put_int(bits, i64::from(span.offset));
            }
        }
        if self.schema == CUSTOM_BUCKETS_SCHEMA {
            put_uint(bits, self.custom_values.len() as u64);
            for bound in &self.custom_values {
                put_custom_bound(bits, *bound);
            }
        }
    }

    /// Reads the layout of a chunk that has `samples` samples and `chunk_bits` bits.
    pub(super) fn read(
        bits: &mut BitReader<'_>,
        samples: u16,
        chunk_bits: u64,
    ) -> Result<Self, HistogramChunkError> {
        let zero_threshold = read_zero_threshold(bits)?;
        let schema = read_int(bits)?;
        let Ok(schema @ (-4..=8 | CUSTOM_BUCKETS_SCHEMA)) = i32::try_from(schema) else {
            return Err(HistogramChunkError::UnknownSchema(schema));
        };
        let positive_spans = read_spans(bits)?;
        let negative_spans = read_spans(bits)?;
        let mut custom_values = Vec::new();
        if schema == CUSTOM_BUCKETS_SCHEMA {
            for _ in 0..read_uint(bits)? {
                custom_values.push(read_custom_bound(bits)?);
            }
        }
        // Each bucket takes a bit at least.
        let buckets = bucket_count(&positive_spans) + bucket_count(&negative_spans);
        let idle = (positive_spans.iter().chain(&negative_spans))
            .filter(|s| s.length == 0)
            .count();
        let repeated = (idle + custom_values.len()) as u64 * u64::from(samples);
        if buckets > chunk_bits || repeated > MAX_REPEATED {
            return Err(HistogramChunkError::LayoutTooLarge);
        }
        Ok(Self {
            schema,
            zero_threshold,
            positive_spans,
            negative_spans,
            custom_values,
        })
    }
}

fn read_spans(bits: &mut BitReader<'_>) -> Result<Vec<Span>, HistogramChunkError> {
    let mut spans = Vec::new();
    for _ in 0..read_uint(bits)? {
        let length = read_uint(bits)?
            .try_into()
            .map_err(|_| HistogramChunkError::BadSpan)?;
        let offset = read_int(bits)?
            .try_into()
            .map_err(|_| HistogramChunkError::BadSpan)?;
        spans.push(Span { offset, length });
    }
    Ok(spans)
}

/// The exponent of a positive power of two.
fn exponent_of_power(v: f64) -> Option<i64> {
    let (bits, mantissa_bits) = (v.to_bits(), 52);
    let exponent = (bits >> mantissa_bits) as i64; // the sign included: negative ones are too large
    (bits & ((1 << mantissa_bits) - 1) == 0).then_some(exponent - 1023)
}

fn put_zero_threshold(bits: &mut BitWriter, v: f64) {
    if v == 0.0 {
        bits.write_bits(0, 8);
        return;
    }
    match exponent_of_power(v) {
        Some(exponent @ -243..=10) => bits.write_bits((exponent + THRESHOLD_BIAS) as u64, 8),
        _ => {
            bits.write_bits(u64::from(THRESHOLD_IN_FULL), 8);
            bits.write_bits(v.to_bits(), 64);
        }
    }
}

fn read_zero_threshold(bits: &mut BitReader<'_>) -> Result<f64, HistogramChunkError> {
    Ok(match bits.read_byte()? {
        0 => 0.0,
        THRESHOLD_IN_FULL => f64::from_bits(bits.read_bits(64)?),
        byte => f64::from_bits(((i64::from(byte) - THRESHOLD_BIAS + 1023) as u64) << 52),
    })
}

/// A bound that is a multiple of 0.001 within limits becomes an integer above 0, any other one a
/// zero bit and the float.
fn put_custom_bound(bits: &mut BitWriter, bound: f64) {
    let thousandfold = bound * 1000.0;
    let whole = thousandfold.round();
    if (0.0..=MAX_SHORT_BOUND).contains(&thousandfold) && (whole as u64) as f64 / 1000.0 == bound {
        put_uint(bits, whole as u64 + 1);
    } else {
        bits.write_bit(false);
        bits.write_bits(bound.to_bits(), 64);
    }
}

fn read_custom_bound(bits: &mut BitReader<'_>) -> Result<f64, HistogramChunkError> {
    Ok(match read_uint(bits)?.checked_sub(1) {
        None => f64::from_bits(bits.read_bits(64)?),
        Some(thousandfold) => thousandfold as f64 / 1000.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_thresholds() {
        for (v, bytes) in [
            (0.0, vec![0]),
            (2f64.powi(-128), vec![116]),
            (2f64.powi(-243), vec![1]),
            (1024.0, vec![254]),
            (
                0.001,
                [&[255], &0.001f64.to_bits().to_be_bytes()[..]].concat(),
            ),
            (
                2048.0,
                [&[255], &2048f64.to_bits().to_be_bytes()[..]].concat(),
            ),
            (
                -1.0,
                [&[255], &(-1f64).to_bits().to_be_bytes()[..]].concat(),
            ),
        ] {
            let mut w = BitWriter::default();
            put_zero_threshold(&mut w, v);
            assert_eq!(w.bytes(), bytes, "{v}");
            assert_eq!(read_zero_threshold(&mut BitReader::new(w.bytes())), Ok(v));
        }
    }

    #[test]
    fn custom_bounds() {
        for (v, size) in [
            (0.0, 1),
            (0.005, 1),
            (0.25, 2),
            (10.0, 3),
            (33_554.430, 4),
            (33_554.431, 9),
            (0.0005, 9),
            (-1.0, 9),
            (f64::INFINITY, 9),
        ] {
            let mut w = BitWriter::default();
            put_custom_bound(&mut w, v);
            assert_eq!(w.bytes().len(), size, "{v}");
            assert_eq!(read_custom_bound(&mut BitReader::new(w.bytes())), Ok(v));
        }
    }
}
