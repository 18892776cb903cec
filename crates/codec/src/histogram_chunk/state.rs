//! What differs between chunks of integer and of float counts.

use std::fmt;

use tsdb_model::{CounterResetHint, Span};

use crate::bits::{BitReader, BitWriter};
use crate::error::CodecError;

/// What both kinds of histograms have.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// The hint it came with.
    pub reset_hint: CounterResetHint,
    /// Schema.
    pub schema: i32,
    /// Width of the zero bucket.
    pub zero_threshold: f64,
    /// Sum of the observations.
    pub sum: f64,
    /// Spans of positive buckets.
    pub positive_spans: &'a [Span],
    /// Spans of negative buckets.
    pub negative_spans: &'a [Span],
    /// Upper bounds of custom buckets.
    pub custom_values: &'a [f64],
    /// Number of positive bucket counts.
    pub positive_len: usize,
    /// Number of negative bucket counts.
    pub negative_len: usize,
}

/// The last sample of a chunk, and all that the next one is written against.
pub trait SampleState: Clone + fmt::Debug {
    /// The histograms of the chunk.
    type Histogram: Clone + fmt::Debug;
    /// A bucket's count.
    type Count: Copy + Default + PartialOrd;

    /// A cut chunk's header says that there was no reset, or nothing; chunks of float counts never
    /// say the former.
    const CUT_SAYS_NOT_RESET: bool;

    /// What both kinds have.
    fn parts(histogram: &Self::Histogram) -> Parts<'_>;

    /// Absolute counts of the positive and negative buckets.
    fn counts_of(histogram: &Self::Histogram) -> (Vec<Self::Count>, Vec<Self::Count>);

    /// The histogram with other buckets: spans and absolute counts, positive ones first.
    fn rearranged(
        histogram: &Self::Histogram,
        spans: [&[Span]; 2],
        counts: [Vec<Self::Count>; 2],
    ) -> Self::Histogram;

    /// A staleness marker.
    fn stale() -> Self::Histogram;

    /// Appends the first sample of a chunk, behind its layout.
    fn write_first(bits: &mut BitWriter, t_ms: i64, histogram: &Self::Histogram) -> Self;

    /// Appends a further sample, of the same layout or stale.
    fn write_next(&mut self, bits: &mut BitWriter, t_ms: i64, histogram: &Self::Histogram);

    /// Takes the first sample, with so many positive and negative buckets.
    fn read_first(
        bits: &mut BitReader<'_>,
        positive: usize,
        negative: usize,
    ) -> Result<Self, CodecError>;

    /// Takes a further sample.
    fn read_next(&mut self, bits: &mut BitReader<'_>) -> Result<(), CodecError>;

    /// The last sample, parts of the layout taken from `parts`.
    fn histogram(&self, parts: &Parts<'_>) -> Self::Histogram;

    /// Time of the last sample.
    fn t_ms(&self) -> i64;

    /// Its sum.
    fn sum(&self) -> f64;

    /// The total count of `next` is below the last one.
    fn count_fell(&self, next: &Self::Histogram) -> bool;

    /// The zero bucket's count of `next` is below the last one.
    fn zero_count_fell(&self, next: &Self::Histogram) -> bool;

    /// Absolute counts of the last sample's positive and negative buckets.
    fn counts(&self) -> (Vec<Self::Count>, Vec<Self::Count>);
}

/// A time written as the change of its distance to the one before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delta {
    pub(super) value: i64,
    pub(super) delta: i64,
}

impl Delta {
    pub(super) fn new(value: i64) -> Self {
        Self { value, delta: 0 }
    }

    pub(super) fn write(&mut self, bits: &mut BitWriter, value: i64) {
        let delta = value.wrapping_sub(self.value);
        super::varbit::put_int(bits, delta.wrapping_sub(self.delta));
        *self = Self { value, delta };
    }

    pub(super) fn read(&mut self, bits: &mut BitReader<'_>) -> Result<(), CodecError> {
        self.delta = self.delta.wrapping_add(super::varbit::read_int(bits)?);
        self.value = self.value.wrapping_add(self.delta);
        Ok(())
    }
}
