//! Looking at a data directory without a running store: which files there are, what is in them,
//! and whether every byte is sound. Nothing is written and no lock is taken, so a server may be at
//! work on the directory meanwhile.

mod log;
mod one_segment;
#[cfg(test)]
mod tests;
mod usage;
mod verify;

use std::io::ErrorKind;
use std::sync::Arc;

use tsdb_model::StorageError;

use crate::block::{BLOCKS_DIR, Block, block_name};
use crate::catalogue::block_number;
use crate::dir::Dir;
use crate::wal::io_error;

pub use log::{LogSegment, log};
pub use usage::{LabelUsage, MetricUsage, PairUsage, TargetUsage, Usage};
pub use verify::{Problem, Verified, verify};

/// What a file in the folder of blocks is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockState {
    /// Part of the store.
    Used,
    /// Its content is in a newer block; it goes soon.
    Replaced,
    /// It cannot be read; why.
    Damaged(String),
    /// It is being written, or a process died while it was.
    Unfinished,
}

/// A file in the folder of blocks.
#[derive(Debug, Clone)]
pub struct BlockFile {
    /// Name, relative to the data directory.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// What it is.
    pub state: BlockState,
    /// What it says about itself, if it can be read.
    pub info: Option<BlockInfo>,
}

/// What a block says about itself.
#[derive(Debug, Clone)]
pub struct BlockInfo {
    /// Its number.
    pub number: u64,
    /// Time of the first sample, ms; later than the last when there is none.
    pub min_time_ms: i64,
    /// Time of the last sample, ms.
    pub max_time_ms: i64,
    /// Series.
    pub series: u64,
    /// Samples, floats and histograms.
    pub samples: u64,
    /// Scrape targets, and other sets of labels that series share.
    pub targets: u64,
    /// Distinct label pairs.
    pub label_pairs: u64,
    /// 1 for a block cut from memory, one more for each merge.
    pub level: u32,
    /// It holds samples that came late, and lies over other blocks.
    pub late: bool,
    /// Number of the last deletion that it embodies.
    pub deletes_until: u64,
    /// Numbers of the blocks whose place it takes.
    pub replaces: Vec<u64>,
    /// Its parts and their bytes.
    pub sections: Vec<(&'static str, u64)>,
}

fn info_of(block: &Block) -> BlockInfo {
    let meta = block.meta();
    BlockInfo {
        number: meta.new.id,
        min_time_ms: meta.min_t,
        max_time_ms: meta.max_t,
        series: meta.series,
        samples: meta.samples,
        targets: u64::from(block.counts().targets),
        label_pairs: u64::from(block.counts().pairs),
        level: meta.new.level,
        late: meta.new.late,
        deletes_until: meta.new.deletes_until,
        replaces: meta.new.replaces.clone(),
        sections: block.sections(),
    }
}

/// The files in the folder of blocks, by name. None when there is no such folder.
pub fn blocks(dir: &Arc<dyn Dir>) -> Result<Vec<BlockFile>, StorageError> {
    let mut names = match dir.list(BLOCKS_DIR) {
        Ok(names) => names,
        Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(io_error("listing", BLOCKS_DIR, &e)),
    };
    names.sort_unstable();
    let mut files = Vec::new();
    for name in names {
        let number = block_number(&name);
        let name = format!("{BLOCKS_DIR}/{name}");
        let bytes = match dir.size(&name) {
            Ok(bytes) => bytes,
            // A running server removed it meanwhile.
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            Err(e) => return Err(io_error("reading", &name, &e)),
        };
        let opened = number.map(|id| Block::open(dir, id));
        let gone = |id| dir.size(&block_name(id)).is_err();
        let (state, info) = match opened {
            None => (BlockState::Unfinished, None),
            Some(Ok(block)) => (BlockState::Used, Some(info_of(&block))),
            Some(Err(_)) if number.is_some_and(gone) => continue,
            Some(Err(e)) => (BlockState::Damaged(e.to_string()), None),
        };
        files.push(BlockFile {
            name,
            bytes,
            state,
            info,
        });
    }
    let infos = files.iter().filter_map(|f| f.info.as_ref());
    let replaced: Vec<u64> = infos.flat_map(|i| i.replaces.clone()).collect();
    for file in &mut files {
        let number = file.info.as_ref().map(|i| i.number);
        if number.is_some_and(|n| replaced.contains(&n)) {
            file.state = BlockState::Replaced;
        }
    }
    Ok(files)
}
