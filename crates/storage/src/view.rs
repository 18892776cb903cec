//! What queriers see of the disk: the blocks and the deletions that are not in them yet. A view is
//! never changed, only replaced; each querier holds the one it began with.

use std::sync::{Arc, OnceLock};

use hashbrown::HashMap;
use tsdb_model::StorageError;

use crate::block::Block;
use crate::stats::BlockInfo;
use crate::tombstones::Delete;

/// Ranges of times, ends included.
type Ranges = Vec<(i64, i64)>;

/// A block, and the deletions that it does not embody.
#[derive(Debug)]
pub(crate) struct ViewBlock {
    pub(crate) block: Arc<Block>,
    deletes: Vec<Arc<Delete>>,
    /// Deleted ranges by series; worked out when first needed.
    hidden: OnceLock<HashMap<u32, Ranges>>,
}

impl ViewBlock {
    fn new(block: Arc<Block>, deletes: Vec<Arc<Delete>>) -> Self {
        Self {
            block,
            deletes,
            hidden: OnceLock::new(),
        }
    }

    /// True when some sample may have `mint <= t <= maxt`.
    pub(crate) fn overlaps(&self, mint: i64, maxt: i64) -> bool {
        let meta = self.block.meta();
        meta.min_t <= maxt && meta.max_t >= mint
    }

    /// What can be told about the block.
    pub(crate) fn info(&self) -> BlockInfo {
        let meta = self.block.meta();
        BlockInfo {
            id: meta.new.id,
            min_time_ms: meta.min_t,
            max_time_ms: meta.max_t,
            series: meta.series,
            samples: meta.samples,
            bytes: meta.bytes,
            level: meta.new.level,
            late: meta.new.late,
            parents: meta.new.replaces.clone(),
            tombstones: self.deletes.len() as u64,
        }
    }

    /// True when deletions may touch the block.
    pub(crate) fn has_deletes(&self) -> bool {
        !self.deletes.is_empty()
    }

    fn all_hidden(&self) -> Result<&HashMap<u32, Ranges>, StorageError> {
        if let Some(hidden) = self.hidden.get() {
            return Ok(hidden);
        }
        let mut hidden: HashMap<u32, Ranges> = HashMap::new();
        for delete in &self.deletes {
            for series in self.block.select(&delete.matchers)? {
                let ranges = hidden.entry(series).or_default();
                ranges.push((delete.mint, delete.maxt));
            }
        }
        Ok(self.hidden.get_or_init(|| hidden))
    }

    /// Deleted ranges of a series, in no particular order.
    pub(crate) fn hidden(&self, series: u32) -> Result<&[(i64, i64)], StorageError> {
        if self.deletes.is_empty() {
            return Ok(&[]);
        }
        Ok(self
            .all_hidden()?
            .get(&series)
            .map_or(&[], |ranges| ranges.as_slice()))
    }

    /// True when a deletion touches a series of the block.
    pub(crate) fn is_touched(&self) -> Result<bool, StorageError> {
        Ok(self.has_deletes() && !self.all_hidden()?.is_empty())
    }

    /// True when deletion number `seq` touches a series of the block.
    pub(crate) fn is_touched_by(&self, seq: u64) -> Result<bool, StorageError> {
        match self.deletes.iter().find(|d| d.seq == seq) {
            Some(delete) => Ok(!self.block.select(&delete.matchers)?.is_empty()),
            None => Ok(false),
        }
    }

    /// True when nothing is left of a series between two times.
    pub(crate) fn all_deleted(
        &self,
        series: u32,
        mint: i64,
        maxt: i64,
    ) -> Result<bool, StorageError> {
        let meta = self.block.meta();
        let (mint, maxt) = (mint.max(meta.min_t), maxt.min(meta.max_t));
        let hidden = self.hidden(series)?;
        Ok(hidden.iter().any(|(from, to)| *from <= mint && maxt <= *to))
    }
}

/// The blocks in order of their age, and all deletions that some block or log segment needs.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) blocks: Vec<Arc<ViewBlock>>,
    pub(crate) deletes: Vec<Arc<Delete>>,
    /// Number of the last deletion ever tried.
    pub(crate) last_delete: u64,
    /// How many views there were before.
    pub(crate) number: u64,
}

impl View {
    /// A view of these blocks and deletions; what is the same as in `before` is taken from there.
    pub(crate) fn new(
        before: &Self,
        mut blocks: Vec<Arc<Block>>,
        deletes: Vec<Arc<Delete>>,
        last_delete: u64,
    ) -> Self {
        // What came late is younger than what was cut in time.
        blocks.sort_by_key(|b| {
            let new = &b.meta().new;
            (new.late, new.order, new.id)
        });
        let blocks = blocks.into_iter().map(|block| {
            let meta = block.meta();
            let pending: Vec<Arc<Delete>> = deletes
                .iter()
                .filter(|d| {
                    d.seq > meta.new.deletes_until && d.mint <= meta.max_t && d.maxt >= meta.min_t
                })
                .cloned()
                .collect();
            let known = before.blocks.iter().find(|b| {
                let same = b.deletes.iter().map(|d| d.seq);
                Arc::ptr_eq(&b.block, &block) && same.eq(pending.iter().map(|d| d.seq))
            });
            match known {
                Some(known) => Arc::clone(known),
                None => Arc::new(ViewBlock::new(block, pending)),
            }
        });
        Self {
            blocks: blocks.collect(),
            deletes,
            last_delete,
            number: before.number + 1,
        }
    }

    /// The blocks themselves.
    pub(crate) fn plain_blocks(&self) -> Vec<Arc<Block>> {
        self.blocks.iter().map(|b| Arc::clone(&b.block)).collect()
    }

    /// Samples in all blocks.
    pub(crate) fn samples(&self) -> u64 {
        self.blocks.iter().map(|b| b.block.meta().samples).sum()
    }

    /// Time of the oldest sample; `i64::MAX` when there is none.
    pub(crate) fn min_t(&self) -> i64 {
        let metas = self.blocks.iter().map(|b| b.block.meta());
        let times = metas.filter(|m| m.samples > 0).map(|m| m.min_t);
        times.min().unwrap_or(i64::MAX)
    }

    /// Bytes of all blocks.
    pub(crate) fn bytes(&self) -> u64 {
        self.blocks.iter().map(|b| b.block.meta().bytes).sum()
    }
}
