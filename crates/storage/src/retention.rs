//! Retention: blocks that are too old, or too much, leave the store whole.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::block::Block;
use crate::jobs::Jobs;
use crate::shared::{Shared, lock};

/// The newest time a block has something to say about.
fn newest(block: &Block) -> i64 {
    let meta = block.meta();
    let cut = meta.new.cut_until.map_or(i64::MIN, |t| t.saturating_sub(1));
    meta.max_t.max(cut)
}

impl Shared {
    /// Drops blocks that end before `floor`, then the oldest ones until the rest fits.
    pub(crate) fn retire_blocks(&self, jobs: &mut Jobs, floor: i64) {
        let (mut blocks, cut_floor) = {
            let head = self.head();
            (head.view.plain_blocks(), head.cuts.floor)
        };
        blocks.sort_by_key(|b| newest(b));
        let old = blocks.partition_point(|b| newest(b) < floor);
        let kept = blocks.split_off(old);
        let mut gone: Vec<Arc<Block>> = blocks;
        let by_time = gone.len() as u64;
        let limit = self.options.retention_bytes;
        if limit > 0 {
            let mut bytes = lock(&self.log).bytes();
            bytes += kept.iter().map(|b| b.meta().bytes).sum::<u64>();
            for block in kept {
                // The one that states how far the cuts are stays.
                if bytes <= limit || block.meta().new.cut_until == Some(cut_floor) {
                    break;
                }
                bytes -= block.meta().bytes;
                gone.push(block);
            }
        }
        if gone.is_empty() {
            return;
        }
        let by_size = gone.len() as u64 - by_time;
        tracing::info!(by_time, by_size, "blocks past retention dropped");
        let counters = &self.counters;
        counters
            .time_retentions
            .fetch_add(u64::from(by_time > 0), Ordering::Relaxed);
        counters
            .size_retentions
            .fetch_add(u64::from(by_size > 0), Ordering::Relaxed);
        counters
            .blocks_retired_by_time
            .fetch_add(by_time, Ordering::Relaxed);
        counters
            .blocks_retired_by_size
            .fetch_add(by_size, Ordering::Relaxed);
        self.exchange(jobs, &gone, None);
    }
}
