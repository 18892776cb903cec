//! Merges: several blocks become one. What they cost is bounded by one series at a time and the
//! label sets of the blocks; a merge that is stopped starts over.
//!
//! Blocks of the same times are only merged all together, or all late ones together: so it stays
//! clear which of them is older.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::Instant;

use tsdb_model::{Labels, StorageError};

use crate::block::{Block, BlockMeta, BlockWriter, NewBlock, SeriesColumns};
use crate::cut::MERGED_RANGES;
use crate::jobs::Jobs;
use crate::parts::{Part, merge};
use crate::shared::{Shared, count};
use crate::stop::Throttle;
use crate::view::{View, ViewBlock};

/// Late blocks of the same merged range that are merged to one.
const LATE_BLOCKS: usize = 4;

/// Share of a block's bytes that late blocks must have to be worth writing it anew.
const LATE_SHARE: u64 = 5;

/// Most bytes of blocks that are merged to one.
const MAX_MERGED_BYTES: u64 = 4 << 30;

fn overlap(a: &BlockMeta, b: &BlockMeta) -> bool {
    a.min_t <= b.max_t && b.min_t <= a.max_t
}

/// Positions (in the order given) of blocks to merge next; empty when there is nothing to do.
/// `merged_range` is the length of the times that a merged block spans, `floor` the end of what was
/// cut.
pub(crate) fn plan(blocks: &[&BlockMeta], merged_range: i64, floor: i64) -> Vec<usize> {
    let number = |t: i64| t.div_euclid(merged_range);
    let mut ranges: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (i, meta) in blocks.iter().enumerate() {
        // One that reaches over the end of its range stays as it is.
        if meta.samples > 0 && number(meta.min_t) == number(meta.max_t) {
            ranges.entry(number(meta.min_t)).or_default().push(i);
        }
    }
    for (range, members) in ranges {
        let (late, main): (Vec<usize>, Vec<usize>) =
            members.iter().partition(|i| blocks[**i].new.late);
        let bytes = |of: &[usize]| -> u64 { of.iter().map(|i| blocks[*i].bytes).sum() };
        let complete = number(floor) > range;
        let whole = complete
            && bytes(&members) <= MAX_MERGED_BYTES
            && match main.len() {
                0 => false,
                1 => bytes(&late) > 0 && bytes(&late) >= bytes(&main) / LATE_SHARE,
                _ => true,
            };
        let chosen = if whole {
            members.clone()
        } else if late.len() >= LATE_BLOCKS {
            late
        } else {
            continue;
        };
        // A block outside that lies over several of them would be of an age in between.
        let is_alone = (0..blocks.len()).all(|i| {
            let over = chosen.iter().filter(|c| overlap(blocks[i], blocks[**c]));
            chosen.contains(&i) || members.contains(&i) || over.count() == 0
        });
        if is_alone {
            return chosen;
        }
    }
    Vec::new()
}

/// What the child of these blocks states, but for its number.
fn child_of(parents: &[Arc<ViewBlock>]) -> NewBlock {
    let metas = || parents.iter().map(|p| &p.block.meta().new);
    let mut claims: Vec<&NewBlock> = metas().filter(|m| m.log_until > 0).collect();
    claims.sort_by_key(|m| m.range_from);
    let gapless = claims
        .windows(2)
        .all(|pair| pair[0].range_until >= pair[1].range_from);
    let all_claim = metas().filter(|m| !m.late).count() == claims.len();
    let mut child = NewBlock {
        order: metas().map(|m| m.order).min().unwrap_or(0),
        late: metas().all(|m| m.late),
        range_from: metas().map(|m| m.range_from).min().unwrap_or(0),
        range_until: metas().map(|m| m.range_until).max().unwrap_or(0),
        cut_until: metas().filter_map(|m| m.cut_until).max(),
        level: metas().map(|m| m.level).max().unwrap_or(0) + 1,
        ..NewBlock::default()
    };
    if gapless
        && all_claim
        && let (Some(first), Some(last)) = (claims.first(), claims.last())
    {
        child.range_from = first.range_from;
        child.range_until = last.range_until.max(first.range_until);
        child.log_until = claims.iter().map(|m| m.log_until).min().unwrap_or(0);
    }
    child
}

/// The label sets of all parents in order, each with its places: parent and number there.
type Sets = (Vec<Labels>, Vec<(u32, u32, u32)>);

fn all_sets(parents: &[Arc<ViewBlock>], throttle: &mut Throttle<'_>) -> Result<Sets, StorageError> {
    let mut sets: Vec<Labels> = Vec::new();
    let mut places = Vec::new();
    let mut heap = BinaryHeap::new();
    for (i, parent) in parents.iter().enumerate() {
        if parent.block.series() > 0 {
            heap.push(Reverse((parent.block.labels(0)?, i as u32, 0u32)));
        }
    }
    while let Some(Reverse((labels, parent, series))) = heap.pop() {
        let block = &parents[parent as usize].block;
        if series + 1 < block.series() {
            heap.push(Reverse((block.labels(series + 1)?, parent, series + 1)));
        }
        if sets.last() != Some(&labels) {
            sets.push(labels);
            throttle.pause()?;
        }
        places.push((sets.len() as u32 - 1, parent, series));
    }
    Ok((sets, places))
}

impl Shared {
    /// Merges as long as there is something to merge. True when something was.
    pub(crate) fn merge_due(
        &self,
        jobs: &mut Jobs,
        throttle: &mut Throttle<'_>,
    ) -> Result<bool, StorageError> {
        let mut any = false;
        loop {
            let (view, floor) = {
                let head = self.head();
                (Arc::clone(&head.view), head.cuts.floor)
            };
            let metas: Vec<&BlockMeta> = view.blocks.iter().map(|b| b.block.meta()).collect();
            let merged_range = self.options.block_range_ms.saturating_mul(MERGED_RANGES);
            let chosen = plan(&metas, merged_range, floor);
            if chosen.is_empty() {
                return Ok(any);
            }
            let parents: Vec<Arc<ViewBlock>> = chosen
                .iter()
                .map(|i| Arc::clone(&view.blocks[*i]))
                .collect();
            self.merge(jobs, &view, parents, throttle)?;
            any = true;
        }
    }

    /// Writes every block anew that deletions touch.
    pub(crate) fn clean_blocks(
        &self,
        jobs: &mut Jobs,
        throttle: &mut Throttle<'_>,
    ) -> Result<(), StorageError> {
        let view = Arc::clone(&self.head().view);
        for block in &view.blocks {
            if block.is_touched()? {
                self.merge(jobs, &view, vec![Arc::clone(block)], throttle)?;
            }
        }
        Ok(())
    }

    /// Makes one block of `parents`, which are in order of their age, and puts it in their place.
    fn merge(
        &self,
        jobs: &mut Jobs,
        view: &View,
        parents: Vec<Arc<ViewBlock>>,
        throttle: &mut Throttle<'_>,
    ) -> Result<(), StorageError> {
        let start = Instant::now();
        let plain: Vec<Arc<Block>> = parents.iter().map(|p| Arc::clone(&p.block)).collect();
        let id = jobs.catalogue.new_id();
        let new = NewBlock {
            id,
            deletes_until: view.last_delete,
            replaces: jobs.catalogue.replaces(&plain),
            ..child_of(&parents)
        };
        let child = self
            .write_merged(new, &parents, throttle)
            .inspect_err(|_| self.discard(jobs, id))?;
        drop(parents);
        self.exchange(jobs, &plain, child);
        count(&self.counters.merges);
        self.counters.merge_durations.add(start.elapsed());
        Ok(())
    }

    /// `None` when nothing is left.
    fn write_merged(
        &self,
        new: NewBlock,
        parents: &[Arc<ViewBlock>],
        throttle: &mut Throttle<'_>,
    ) -> Result<Option<Block>, StorageError> {
        let (sets, places) = all_sets(parents, throttle)?;
        let floor = self.head().cuts.floor;
        let states_floor = new.cut_until.is_some_and(|t| t >= floor);
        let mut writer = BlockWriter::create(Arc::clone(&self.dir), new, sets)?;
        let mut any = false;
        for of_set in places.chunk_by(|a, b| a.0 == b.0) {
            let mut parts = Vec::new();
            for (_, parent, series) in of_set {
                let parent = &parents[*parent as usize];
                let mut columns = SeriesColumns::default();
                parent
                    .block
                    .read_columns(*series, i64::MIN, i64::MAX, &mut columns)?;
                parts.push(Part::from(columns).without(parent.hidden(*series)?));
            }
            let columns = SeriesColumns::from(merge(parts));
            any |= !columns.values.is_empty() || !columns.histograms.is_empty();
            let index = of_set.first().map_or(0, |place| place.0 as usize);
            writer.write_series(index, &columns)?;
            throttle.pause()?;
        }
        if !any && !states_floor {
            return Ok(None);
        }
        self.finish_block(writer).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(id: u64, late: bool, min_t: i64, max_t: i64, bytes: u64) -> BlockMeta {
        BlockMeta {
            new: NewBlock {
                id,
                order: id,
                late,
                ..NewBlock::default()
            },
            min_t,
            max_t,
            series: 1,
            samples: 1,
            bytes,
        }
    }

    fn planned(blocks: &[BlockMeta], floor: i64) -> Vec<usize> {
        plan(&blocks.iter().collect::<Vec<_>>(), 120, floor)
    }

    #[test]
    fn a_complete_range_becomes_one_block() {
        let blocks = [
            meta(1, false, 0, 9, 100),
            meta(2, false, 10, 19, 100),
            meta(3, true, 5, 100, 1),
            meta(4, false, 120, 129, 100),
        ];
        assert!(planned(&blocks, 119).is_empty());
        assert_eq!(planned(&blocks, 130), [0, 1, 2]);
        assert!(planned(&blocks[2..], 1000).is_empty());
    }

    #[test]
    fn late_blocks_wait_until_they_are_worth_it() {
        let blocks = [meta(1, false, 0, 119, 100), meta(2, true, 5, 9, 19)];
        assert!(planned(&blocks, 500).is_empty());
        let blocks = [meta(1, false, 0, 119, 100), meta(2, true, 5, 9, 20)];
        assert_eq!(planned(&blocks, 500), [0, 1]);
        assert!(planned(&blocks, 100).is_empty());
        let mut many = vec![meta(1, false, 0, 100, 100)];
        many.extend((2..6).map(|id| meta(id, true, 7, 8, 1)));
        assert_eq!(planned(&many, 50), [1, 2, 3, 4]);
        assert!(planned(&many[..4], 50).is_empty());
    }

    #[test]
    fn a_block_over_two_ranges_keeps_its_neighbours_apart() {
        let blocks = [
            meta(1, false, 0, 9, 100),
            meta(2, false, 50, 130, 100),
            meta(3, false, 20, 60, 100),
        ];
        assert!(planned(&blocks, 500).is_empty());
    }
}
