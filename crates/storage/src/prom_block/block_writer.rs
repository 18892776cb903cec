//! Writing one block.

use tsdb_model::Labels;

use super::UNFINISHED_SUFFIX;
use super::chunk_builder::Chunk;
use super::chunk_file::ChunkWriter;
use super::error::{PromBlockError, io_error};
use super::index_reader::ChunkMeta;
use super::index_writer::IndexWriter;
use super::meta::{BlockMeta, BlockStats};
use super::tombstones::Tombstones;
use super::ulid::Ulid;
use crate::dir::Dir;
use tsdb_codec::xor::ENCODING_XOR;

/// Writes a block of level 1. It has its name only when it is complete and on the disk; what a
/// writer that was dropped leaves behind ends in `.tmp-for-creation`, which Prometheus deletes.
///
/// Chunks go to the disk at once; of each series about eight bytes a label and eight a chunk stay
/// in memory, of each name, value and label pair one copy.
#[derive(Debug)]
pub struct BlockWriter<'a> {
    dir: &'a dyn Dir,
    ulid: Ulid,
    chunks: ChunkWriter<'a>,
    index: IndexWriter,
    last: Option<Labels>,
    stats: BlockStats,
    min_time_ms: i64,
    max_time_ms: i64,
}

fn unfinished_folder(ulid: Ulid) -> String {
    format!("{ulid}{UNFINISHED_SUFFIX}")
}

impl<'a> BlockWriter<'a> {
    /// Starts a block in the directory `dir`, which is made if needed.
    pub fn new(dir: &'a dyn Dir, ulid: Ulid) -> Result<Self, PromBlockError> {
        let folder = unfinished_folder(ulid);
        for name in ["", &folder] {
            dir.create_dir(name)
                .map_err(|e| io_error(dir, "create", name, &e))?;
        }
        Ok(Self {
            dir,
            ulid,
            chunks: ChunkWriter::new(dir, &folder)?,
            index: IndexWriter::default(),
            last: None,
            stats: BlockStats::default(),
            min_time_ms: i64::MAX,
            max_time_ms: i64::MIN,
        })
    }

    #[cfg(test)]
    pub(super) fn set_segment_bytes(&mut self, bytes: u64) {
        self.chunks.set_segment_bytes(bytes);
    }

    /// Adds a series, behind all that sort before it, with its chunks in order of time. Without
    /// chunks it is left out.
    pub fn add_series(&mut self, labels: &Labels, chunks: &[Chunk]) -> Result<(), PromBlockError> {
        if chunks.is_empty() {
            return Ok(());
        }
        if self.last.as_ref().is_some_and(|last| last >= labels) {
            return Err(PromBlockError::SeriesOrder(labels.clone()));
        }
        let mut metas = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            let Chunk {
                min_time_ms,
                max_time_ms,
                ..
            } = *chunk;
            let reference = self.chunks.write(chunk)?;
            metas.push(ChunkMeta {
                min_time_ms,
                max_time_ms,
                reference,
            });
            self.min_time_ms = self.min_time_ms.min(min_time_ms);
            self.max_time_ms = self.max_time_ms.max(max_time_ms);
            let samples = u64::from(chunk.samples);
            self.stats.samples += samples;
            if chunk.encoding == ENCODING_XOR {
                self.stats.float_samples += samples;
            } else {
                self.stats.histogram_samples += samples;
            }
        }
        self.stats.series += 1;
        self.stats.chunks += chunks.len() as u64;
        self.index.add(labels, &metas);
        self.last = Some(labels.clone());
        Ok(())
    }

    /// Counts until now.
    pub fn stats(&self) -> &BlockStats {
        &self.stats
    }

    /// Writes the rest and gives the block its name.
    pub fn finish(self) -> Result<BlockMeta, PromBlockError> {
        let (dir, folder) = (self.dir, unfinished_folder(self.ulid));
        self.chunks.finish()?;
        self.index.finish(dir, &folder)?;
        Tombstones::write_empty(dir, &folder)?;
        let empty = self.stats.samples == 0;
        let meta = BlockMeta {
            ulid: self.ulid,
            min_time_ms: if empty { 0 } else { self.min_time_ms },
            max_time_ms: if empty {
                0
            } else {
                self.max_time_ms.saturating_add(1)
            },
            stats: self.stats,
            level: 1,
            sources: vec![self.ulid],
            parents: Vec::new(),
            deletable: false,
        };
        meta.write(dir, &folder)?;
        dir.sync_dir(&folder)
            .map_err(|e| io_error(dir, "sync", &folder, &e))?;
        let name = self.ulid.to_string();
        dir.rename(&folder, &name)
            .map_err(|e| io_error(dir, "rename", &folder, &e))?;
        dir.sync_dir("")
            .map_err(|e| io_error(dir, "sync", "", &e))?;
        Ok(meta)
    }
}
