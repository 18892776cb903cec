//! Blocks: immutable files, each with the samples of a time range and their index. The format is
//! docs/format/block.md and docs/format/index.md.
//!
//! A block is written series by series in the order of their labels, which is metric by metric.
//! What the writer keeps in memory are the label sets, the directory and the (coded) time columns.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod bytes;
mod columns;
mod entry;
mod factor;
mod frames;
mod histogram;
mod identity;
mod index;
mod labels;
mod layout;
mod postings;
mod reader;
mod samples;
mod scrub;
mod select;
mod sets;
mod starts;
mod symbols;
#[cfg(test)]
pub(crate) mod tests;
mod writer;

use std::sync::Arc;

use tsdb_model::HistogramValue;
use tsdb_model::histogram::CounterResetHint;

pub(crate) use reader::Block;
pub(crate) use writer::BlockWriter;

/// Folder of the blocks.
pub(crate) const BLOCKS_DIR: &str = "blocks";

/// Name of a finished block, relative to the data directory.
pub(crate) fn block_name(id: u64) -> String {
    format!("{BLOCKS_DIR}/{id:08}.block")
}

/// Name of a block that is being written.
pub(crate) fn temporary_name(id: u64) -> String {
    format!("{BLOCKS_DIR}/{id:08}.tmp")
}

/// What a block states about its place among the others; the block keeps it untouched.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct NewBlock {
    /// Number, never used again.
    pub(crate) id: u64,
    /// Age of its data: at equal times the sample of the smaller one wins.
    pub(crate) order: u64,
    /// Late data that lies over other blocks.
    pub(crate) late: bool,
    /// Every sample in `range_from..range_until` of log segments below `log_until` is in this
    /// block, if `log_until` is not 0.
    pub(crate) range_from: i64,
    pub(crate) range_until: i64,
    pub(crate) log_until: u32,
    /// The head holds nothing before this time any more.
    pub(crate) cut_until: Option<i64>,
    /// Deletions up to this number are embodied.
    pub(crate) deletes_until: u64,
    /// 1 for a cut, one more for each merge.
    pub(crate) level: u32,
    /// Blocks that this one takes the place of.
    pub(crate) replaces: Vec<u64>,
}

/// What is known of a finished block.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct BlockMeta {
    pub(crate) new: NewBlock,
    /// Time of the first sample; later than `max_t` if there is none.
    pub(crate) min_t: i64,
    /// Time of the last sample.
    pub(crate) max_t: i64,
    pub(crate) series: u64,
    /// Floats and histograms.
    pub(crate) samples: u64,
    /// Size of the file.
    pub(crate) bytes: u64,
}

/// One histogram sample, exact: the value as given, and the hint that queries see.
#[derive(Debug, Clone)]
pub(crate) struct HistogramRow {
    pub(crate) t: i64,
    pub(crate) start: i64,
    pub(crate) hint: CounterResetHint,
    pub(crate) value: HistogramValue,
}

/// The samples of one series, exact.
#[derive(Debug, Clone, Default)]
pub(crate) struct SeriesColumns {
    /// May be shared between series.
    pub(crate) times: Arc<Vec<i64>>,
    /// `values[i]` is at `times[first_row + i]`.
    pub(crate) first_row: usize,
    pub(crate) values: Vec<f64>,
    /// Start timestamps: `(row of values, start)`, each holds from its row on; before the first: 0.
    pub(crate) starts: Vec<(usize, i64)>,
    /// By time.
    pub(crate) histograms: Vec<HistogramRow>,
}
