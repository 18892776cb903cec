//! Reading one block: series in order of their labels, and their samples.

use tsdb_codec::XorIter;
use tsdb_codec::histogram_chunk::{
    ChunkIter, ENCODING_FLOAT_HISTOGRAM, ENCODING_HISTOGRAM, FloatState, IntegerState, SampleState,
};
use tsdb_codec::xor::ENCODING_XOR;
use tsdb_model::{HistogramValue, Labels};

use super::chunk_file::ChunkReader;
use super::error::{PromBlockError, path_of};
use super::index_reader::{ChunkMeta, IndexReader};
use super::meta::BlockMeta;
use super::tombstones::Tombstones;
use crate::dir::Dir;

/// Most bucket counts that one chunk may hold, all samples together. Real ones have thousands; a
/// chunk made for the purpose could have 64 times as many bytes of them in memory as on disk.
const MAX_COUNTS_PER_CHUNK: usize = 16 << 20;

/// The value of a sample.
#[derive(Debug, Clone, PartialEq)]
pub enum SampleValue {
    /// A float.
    Float(f64),
    /// A native histogram.
    Histogram(HistogramValue),
}

/// A sample.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockSample {
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// The value.
    pub value: SampleValue,
}

/// A series of a block.
#[derive(Debug, Clone)]
pub struct SeriesEntry {
    /// Its reference, which tombstones use.
    reference: u64,
    /// Its labels.
    pub labels: Labels,
    /// Its chunks in order of time.
    pub chunks: Vec<ChunkMeta>,
}

/// An open block.
#[derive(Debug)]
pub struct BlockReader<'a> {
    dir: &'a dyn Dir,
    meta: BlockMeta,
    index: IndexReader<'a>,
    chunks: ChunkReader<'a>,
    tombstones: Tombstones,
    data: Vec<u8>,
}

impl<'a> BlockReader<'a> {
    /// Opens the block in the folder `folder` of `dir` (`""` for `dir` itself). The checksums of
    /// the index are checked now, those of chunks when they are read.
    pub fn open(dir: &'a dyn Dir, folder: &str) -> Result<Self, PromBlockError> {
        Ok(Self {
            dir,
            meta: BlockMeta::read(dir, folder)?,
            index: IndexReader::open(dir, folder)?,
            chunks: ChunkReader::new(dir, folder),
            tombstones: Tombstones::read(dir, folder)?,
            data: Vec::new(),
        })
    }

    /// What the block says about itself.
    pub fn meta(&self) -> &BlockMeta {
        &self.meta
    }

    /// Number of series.
    pub fn series_count(&self) -> usize {
        self.index.len()
    }

    /// Reads labels and list of chunks of series `i`, counted in order of labels.
    ///
    /// # Panics
    /// When `i` is not below [`BlockReader::series_count`].
    pub fn series(&mut self, i: usize) -> Result<SeriesEntry, PromBlockError> {
        let mut chunks = Vec::new();
        let (reference, labels) = self.index.series(i, &mut chunks)?;
        Ok(SeriesEntry {
            reference,
            labels,
            chunks,
        })
    }

    /// An error in series `i` of the index.
    pub(super) fn corrupt_series(&self, i: usize, what: impl Into<String>) -> PromBlockError {
        self.index.corrupt_series(i, what).into()
    }

    /// Appends the samples of a series with `mint_ms <= t <= maxt_ms` to `samples`, without those
    /// that are deleted or outside the times of the block. Gives a time after `maxt_ms` before
    /// which no more follow, `None` if no more follow at all.
    pub fn samples(
        &mut self,
        series: &SeriesEntry,
        mint_ms: i64,
        maxt_ms: i64,
        samples: &mut Vec<BlockSample>,
    ) -> Result<Option<i64>, PromBlockError> {
        // The block ends before its maximum; one without a length is taken as it is.
        let block_end = self
            .meta
            .max_time_ms
            .saturating_sub(1)
            .max(self.meta.min_time_ms);
        let (mint, maxt) = (mint_ms.max(self.meta.min_time_ms), maxt_ms.min(block_end));
        let mut next: Option<i64> = None;
        let mut later = |t: i64| {
            if t > maxt_ms && t <= block_end && next.is_none_or(|next| t < next) {
                next = Some(t);
            }
        };
        for chunk in &series.chunks {
            if chunk.min_time_ms > maxt || chunk.max_time_ms < mint {
                later(chunk.min_time_ms);
                continue;
            }
            let start = samples.len();
            self.decode(chunk, samples)?;
            let deleted = self.tombstones.of(series.reference);
            // In place, over the samples of this chunk only.
            let mut kept = start;
            for i in start..samples.len() {
                let t = samples[i].timestamp_ms;
                later(t);
                if mint <= t && t <= maxt && !Tombstones::deleted(deleted, t) {
                    samples.swap(kept, i);
                    kept += 1;
                }
            }
            samples.truncate(kept);
        }
        Ok(next)
    }

    /// Appends all samples of a chunk.
    fn decode(
        &mut self,
        chunk: &ChunkMeta,
        samples: &mut Vec<BlockSample>,
    ) -> Result<(), PromBlockError> {
        let start = samples.len();
        let encoding = self.chunks.read(chunk.reference, &mut self.data)?;
        let result = match encoding {
            ENCODING_XOR => decode_floats(&self.data, samples),
            ENCODING_HISTOGRAM => decode_histograms::<IntegerState>(&self.data, samples, |h| {
                HistogramValue::Int(h.into())
            }),
            ENCODING_FLOAT_HISTOGRAM => decode_histograms::<FloatState>(&self.data, samples, |h| {
                HistogramValue::Float(h.into())
            }),
            other => {
                let (name, offset) = self.chunks.place(chunk.reference);
                return Err(PromBlockError::Unsupported {
                    path: path_of(self.dir, &name),
                    what: format!("encoding {other} of the chunk at byte {offset}"),
                });
            }
        };
        let result = result.and_then(|()| check_times(&samples[start..], chunk));
        Ok(result.map_err(|what| self.chunks.corrupt(chunk.reference, what))?)
    }
}

fn decode_floats(data: &[u8], samples: &mut Vec<BlockSample>) -> Result<(), String> {
    for sample in XorIter::new(data).map_err(|e| e.to_string())? {
        let (timestamp_ms, v) = sample.map_err(|e| e.to_string())?;
        samples.push(BlockSample {
            timestamp_ms,
            value: SampleValue::Float(v),
        });
    }
    Ok(())
}

fn decode_histograms<S: SampleState>(
    data: &[u8],
    samples: &mut Vec<BlockSample>,
    value: impl Fn(S::Histogram) -> HistogramValue,
) -> Result<(), String> {
    let mut counts = 0;
    for sample in ChunkIter::<S>::new(data).map_err(|e| e.to_string())? {
        let (timestamp_ms, histogram) = sample.map_err(|e| e.to_string())?;
        let parts = S::parts(&histogram);
        counts += parts.positive_len + parts.negative_len;
        if counts > MAX_COUNTS_PER_CHUNK {
            return Err("chunk has too many buckets".into());
        }
        let value = SampleValue::Histogram(value(histogram));
        samples.push(BlockSample {
            timestamp_ms,
            value,
        });
    }
    Ok(())
}

/// Times must rise, and be those that the index has.
fn check_times(samples: &[BlockSample], chunk: &ChunkMeta) -> Result<(), String> {
    if samples
        .windows(2)
        .any(|pair| pair[0].timestamp_ms >= pair[1].timestamp_ms)
    {
        return Err("times of the samples do not rise".into());
    }
    let outside =
        |s: &BlockSample| s.timestamp_ms < chunk.min_time_ms || s.timestamp_ms > chunk.max_time_ms;
    if samples.first().is_some_and(outside) || samples.last().is_some_and(outside) {
        return Err("samples outside the times that the index has".into());
    }
    Ok(())
}
