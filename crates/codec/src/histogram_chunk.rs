//! Native histogram chunks, bit for bit those of Prometheus: integer counts (encoding 2) and float
//! counts (encoding 3), with exponential or custom buckets. The format is in
//! docs/format/prometheus-block.md.
//!
//! All samples of a chunk share one bucket layout. When a histogram brings new buckets, the whole
//! chunk is written again with them; when it cannot follow the samples before it (a counter reset,
//! another schema), the caller is told to begin a new chunk.

mod appender;
mod buckets;
mod float;
mod integer;
mod iter;
mod layout;
mod state;
#[cfg(test)]
mod tests;
mod varbit;
mod xor_value;

pub use appender::{Appended, ChunkAppender};
pub use float::FloatState;
pub use integer::IntegerState;
pub use iter::ChunkIter;
pub use state::{Parts, SampleState};

use crate::error::CodecError;

/// Prometheus's number of the encoding with integer counts.
pub const ENCODING_HISTOGRAM: u8 = 2;

/// Prometheus's number of the encoding with float counts.
pub const ENCODING_FLOAT_HISTOGRAM: u8 = 3;

/// Appends to a chunk with integer counts.
pub type HistogramAppender = ChunkAppender<IntegerState>;

/// Appends to a chunk with float counts.
pub type FloatHistogramAppender = ChunkAppender<FloatState>;

/// Reads a chunk with integer counts.
pub type HistogramIter<'a> = ChunkIter<'a, IntegerState>;

/// Reads a chunk with float counts.
pub type FloatHistogramIter<'a> = ChunkIter<'a, FloatState>;

/// Bytes of the sample count and the flags in front.
const HEADER_BYTES: usize = 3;

/// Position of the flags.
const FLAGS_AT: usize = 2;

/// Most bits of a number in varbit form.
const MAX_VARBIT_BITS: usize = 72;

/// Most bits of a value written as the difference to the one before.
const MAX_XOR_BITS: usize = 77;

/// Most bytes a chunk can have whose layout has so many spans, buckets (both sides together) and
/// custom bounds.
pub const fn max_chunk_bytes(samples: usize, spans: usize, buckets: usize, custom: usize) -> usize {
    let number = MAX_XOR_BITS; // more than the 72 of an integer one
    let layout =
        8 + 64 + 4 * MAX_VARBIT_BITS + spans * 2 * MAX_VARBIT_BITS + custom * (1 + 64) + custom;
    let sample = MAX_VARBIT_BITS + (3 + buckets) * number;
    HEADER_BYTES + (layout + samples * sample).div_ceil(8)
}

/// What the header of a chunk says about a counter reset between the chunk before and this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CounterResetHeader {
    /// Has to be found out by comparing.
    #[default]
    Unknown,
    /// No reset.
    NotReset,
    /// The chunk was begun because of a reset.
    Reset,
    /// A chunk of gauge histograms, which know no resets.
    Gauge,
}

impl CounterResetHeader {
    fn from_flags(flags: u8) -> Self {
        match flags >> 6 {
            0 => Self::Unknown,
            1 => Self::NotReset,
            2 => Self::Reset,
            _ => Self::Gauge,
        }
    }

    fn to_flags(self) -> u8 {
        let top = match self {
            Self::Unknown => 0,
            Self::NotReset => 1,
            Self::Reset => 2,
            Self::Gauge => 3,
        };
        top << 6
    }
}

/// Why a histogram chunk cannot be read, or a histogram not be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HistogramChunkError {
    /// The bits themselves are wrong, or the chunk is full.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// Neither an exponential schema from -4 to 8 nor that of custom buckets.
    #[error("histogram schema {0} is not supported")]
    UnknownSchema(i64),
    /// A span of more buckets or a wider gap than 32 bits can say.
    #[error("histogram span out of range")]
    BadSpan,
    /// More buckets than the chunk has bits, or a layout too large to repeat for each sample.
    #[error("histogram layout is larger than the chunk allows")]
    LayoutTooLarge,
    /// Spans and buckets of the histogram to append do not fit together.
    #[error("histogram spans do not match its buckets")]
    InvalidHistogram,
}
