//! Samples of one series into chunks, cut as Prometheus cuts them.

use tsdb_codec::XorAppender;
use tsdb_codec::histogram_chunk::{
    Appended, ChunkAppender, ENCODING_FLOAT_HISTOGRAM, ENCODING_HISTOGRAM, FloatState,
    HistogramChunkError, IntegerState, SampleState,
};
use tsdb_codec::xor::ENCODING_XOR;
use tsdb_model::HistogramValue;

use super::SAMPLES_PER_CHUNK;
use super::block_reader::SampleValue;

/// A chunk of histograms of this size is full, if it has a few samples.
const HISTOGRAM_CHUNK_BYTES: usize = 1024;

/// Samples a chunk of histograms has at least, unless they do not fit together.
const MIN_HISTOGRAMS_PER_CHUNK: u16 = 10;

/// A finished chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Time of the first sample, milliseconds since the Unix epoch.
    pub min_time_ms: i64,
    /// Time of the last sample.
    pub max_time_ms: i64,
    /// Prometheus's number of the encoding: 1 for floats, 2 and 3 for histograms.
    pub encoding: u8,
    /// Number of samples.
    pub samples: u16,
    /// The encoded samples.
    pub data: Vec<u8>,
}

/// The chunk being filled.
#[derive(Debug)]
enum Open {
    None,
    Floats(XorAppender),
    Integers(ChunkAppender<IntegerState>),
    FloatHistograms(ChunkAppender<FloatState>),
}

/// Encodes the samples of one series.
#[derive(Debug)]
pub struct ChunkBuilder {
    open: Open,
    first_ms: i64,
    last_ms: i64,
    chunks: Vec<Chunk>,
}

impl Default for ChunkBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl ChunkBuilder {
    /// No samples yet.
    pub fn new() -> Self {
        Self {
            open: Open::None,
            first_ms: 0,
            last_ms: 0,
            chunks: Vec::new(),
        }
    }

    /// Adds a sample, later than those before.
    pub fn add(&mut self, t_ms: i64, value: &SampleValue) -> Result<(), HistogramChunkError> {
        match value {
            SampleValue::Float(v) => {
                let fits = matches!(&self.open, Open::Floats(c) if c.count() < SAMPLES_PER_CHUNK);
                if !fits {
                    self.cut(Open::Floats(XorAppender::new()), t_ms);
                }
                if let Open::Floats(chunk) = &mut self.open {
                    chunk.append(t_ms, *v)?;
                }
            }
            SampleValue::Histogram(HistogramValue::Int(h)) => {
                let open = match std::mem::replace(&mut self.open, Open::None) {
                    Open::Integers(chunk) => Some(chunk),
                    other => {
                        self.open = other;
                        None
                    }
                };
                let next = self.add_histogram(open, t_ms, h, Open::Integers)?;
                self.open = Open::Integers(next);
            }
            SampleValue::Histogram(HistogramValue::Float(h)) => {
                let open = match std::mem::replace(&mut self.open, Open::None) {
                    Open::FloatHistograms(chunk) => Some(chunk),
                    other => {
                        self.open = other;
                        None
                    }
                };
                let next = self.add_histogram(open, t_ms, h, Open::FloatHistograms)?;
                self.open = Open::FloatHistograms(next);
            }
        }
        self.last_ms = t_ms;
        Ok(())
    }

    /// Appends to `chunk`, or to a new one if there is none, it is full or the histogram does not
    /// fit; gives the chunk that it is in.
    fn add_histogram<S: SampleState>(
        &mut self,
        chunk: Option<ChunkAppender<S>>,
        t_ms: i64,
        histogram: &S::Histogram,
        open: impl Fn(ChunkAppender<S>) -> Open,
    ) -> Result<ChunkAppender<S>, HistogramChunkError> {
        let mut next;
        match chunk {
            None => {
                next = ChunkAppender::new();
                next.append(None, t_ms, histogram)?;
                self.cut(Open::None, t_ms);
            }
            Some(chunk) if is_full(&chunk) => {
                next = ChunkAppender::new();
                next.append(Some(&chunk), t_ms, histogram)?;
                self.open = open(chunk);
                self.cut(Open::None, t_ms);
            }
            Some(mut chunk) => match chunk.append(None, t_ms, histogram)? {
                Appended::Cut(header) => {
                    next = ChunkAppender::with_header(header);
                    next.append(None, t_ms, histogram)?;
                    self.open = open(chunk);
                    self.cut(Open::None, t_ms);
                }
                Appended::Added | Appended::Recoded => next = chunk,
            },
        }
        Ok(next)
    }

    /// Finishes the open chunk and goes on with `next`, whose first sample is at `t_ms`.
    fn cut(&mut self, next: Open, t_ms: i64) {
        let (encoding, samples, data) = match std::mem::replace(&mut self.open, next) {
            Open::None => {
                self.first_ms = t_ms;
                return;
            }
            Open::Floats(c) => (ENCODING_XOR, c.count(), c.into_bytes()),
            Open::Integers(c) => (ENCODING_HISTOGRAM, c.count(), c.into_bytes()),
            Open::FloatHistograms(c) => (ENCODING_FLOAT_HISTOGRAM, c.count(), c.into_bytes()),
        };
        let (min_time_ms, max_time_ms) = (self.first_ms, self.last_ms);
        self.chunks.push(Chunk {
            min_time_ms,
            max_time_ms,
            encoding,
            samples,
            data,
        });
        self.first_ms = t_ms;
    }

    /// The chunks of the series; the builder is as new.
    pub fn finish(&mut self) -> Vec<Chunk> {
        self.cut(Open::None, 0);
        std::mem::take(&mut self.chunks)
    }
}

fn is_full<S: SampleState>(chunk: &ChunkAppender<S>) -> bool {
    chunk.count() >= SAMPLES_PER_CHUNK
        || chunk.count() >= MIN_HISTOGRAMS_PER_CHUNK && chunk.bytes().len() >= HISTOGRAM_CHUNK_BYTES
}
