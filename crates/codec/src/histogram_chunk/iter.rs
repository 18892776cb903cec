//! Reading a histogram chunk.

use tsdb_model::{CounterResetHint, is_stale};

use super::layout::{Layout, bucket_count};
use super::state::{Parts, SampleState};
use super::{CounterResetHeader, HEADER_BYTES, HistogramChunkError};
use crate::bits::BitReader;
use crate::error::CodecError;

/// Reads the samples of a chunk in order. After an error it ends.
///
/// The hint of a histogram is what the chunk can vouch for: gauge, or no reset since the sample
/// before in the same chunk. For the first one it is unknown even if the header says more, since
/// the chunk before may be gone.
#[derive(Debug, Clone)]
pub struct ChunkIter<'a, S> {
    bits: BitReader<'a>,
    chunk_bits: u64,
    header: CounterResetHeader,
    read: u16,
    count: u16,
    layout: Layout,
    state: Option<S>,
}

impl<'a, S: SampleState> ChunkIter<'a, S> {
    /// Starts at the first sample of `chunk`.
    pub fn new(chunk: &'a [u8]) -> Result<Self, HistogramChunkError> {
        let (front, rest) = chunk
            .split_first_chunk::<HEADER_BYTES>()
            .ok_or(CodecError::UnexpectedEnd)?;
        let [high, low, flags] = *front;
        Ok(Self {
            bits: BitReader::new(rest),
            chunk_bits: rest.len() as u64 * 8,
            header: CounterResetHeader::from_flags(flags),
            read: 0,
            count: u16::from_be_bytes([high, low]),
            layout: Layout::default(),
            state: None,
        })
    }

    /// What the chunk says about a reset before it.
    pub fn header(&self) -> CounterResetHeader {
        self.header
    }

    /// Samples that the chunk says it has and that were not read yet.
    pub fn remaining(&self) -> usize {
        usize::from(self.count - self.read)
    }

    fn read_sample(&mut self) -> Result<(i64, S::Histogram), HistogramChunkError> {
        match &mut self.state {
            None => {
                self.layout = Layout::read(&mut self.bits, self.count, self.chunk_bits)?;
                let positive = bucket_count(&self.layout.positive_spans) as usize;
                let negative = bucket_count(&self.layout.negative_spans) as usize;
                self.state = Some(S::read_first(&mut self.bits, positive, negative)?);
            }
            Some(state) => state.read_next(&mut self.bits)?,
        }
        self.read += 1;
        let state = self.state.as_ref().ok_or(CodecError::UnexpectedEnd)?;
        if is_stale(state.sum()) {
            return Ok((state.t_ms(), S::stale()));
        }
        let reset_hint = match self.header {
            CounterResetHeader::Gauge => CounterResetHint::Gauge,
            _ if self.read > 1 => CounterResetHint::NotReset,
            _ => CounterResetHint::Unknown,
        };
        let parts = Parts {
            reset_hint,
            schema: self.layout.schema,
            zero_threshold: self.layout.zero_threshold,
            sum: state.sum(),
            positive_spans: &self.layout.positive_spans,
            negative_spans: &self.layout.negative_spans,
            custom_values: &self.layout.custom_values,
            positive_len: 0,
            negative_len: 0,
        };
        Ok((state.t_ms(), state.histogram(&parts)))
    }
}

impl<S: SampleState> Iterator for ChunkIter<'_, S> {
    type Item = Result<(i64, S::Histogram), HistogramChunkError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.read >= self.count {
            return None;
        }
        let sample = self.read_sample();
        if sample.is_err() {
            self.count = self.read;
        }
        Some(sample)
    }
}
