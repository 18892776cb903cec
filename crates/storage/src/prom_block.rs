//! Exchange with Prometheus: its blocks, written ([`export`]) and read ([`import`]).
//!
//! A block is a folder named by a ULID with `meta.json`, `index`, `chunks/000001` and so on, and
//! `tombstones`. Index version 2 and chunks of encoding 1 (floats), 2 and 3 (native histograms) are
//! read and written. The format is in docs/format/prometheus-block.md.
//!
//! Blocks come from anywhere: whatever the bytes, reading ends with an error that names file and
//! offset, never with a panic, and never takes more memory than the files are large.

mod block_reader;
mod block_writer;
mod chunk_builder;
mod chunk_file;
mod error;
mod export;
mod file;
mod import;
mod index_reader;
mod index_writer;
mod meta;
mod tombstones;
mod ulid;

#[cfg(test)]
mod tests;

pub use block_reader::{BlockReader, BlockSample, SampleValue, SeriesEntry};
pub use block_writer::BlockWriter;
pub use chunk_builder::{Chunk, ChunkBuilder};
pub use error::PromBlockError;
pub use export::{ExportProgress, export};
pub use import::{ImportProgress, Imported, import, list_blocks};
pub use index_reader::ChunkMeta;
pub use meta::{BlockMeta, BlockStats};
pub use ulid::Ulid;

/// Length of a block in milliseconds; blocks start at multiples of it.
pub const BLOCK_RANGE_MS: i64 = 2 * 3600 * 1000;

/// Samples that a chunk is filled up to.
pub const SAMPLES_PER_CHUNK: u16 = 120;

const META_FILE: &str = "meta.json";
const INDEX_FILE: &str = "index";
const TOMBSTONES_FILE: &str = "tombstones";
const CHUNKS_FOLDER: &str = "chunks";

/// What the folder of a block is called while it is being written.
const UNFINISHED_SUFFIX: &str = ".tmp-for-creation";

/// `name` in folder `folder`, which may be the directory itself (`""`).
fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_string()
    } else {
        format!("{folder}/{name}")
    }
}

/// The start of the block range that `t_ms` is in.
fn range_start(t_ms: i64) -> i64 {
    t_ms.saturating_sub(t_ms.rem_euclid(BLOCK_RANGE_MS))
}

/// The last millisecond of the block range that `t_ms` is in.
fn range_end(t_ms: i64) -> i64 {
    t_ms.saturating_add(BLOCK_RANGE_MS - 1 - t_ms.rem_euclid(BLOCK_RANGE_MS))
}
