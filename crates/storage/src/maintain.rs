//! Upkeep: what is past retention leaves memory and disk.

use std::sync::atomic::Ordering;
use std::time::Instant;

use tsdb_model::StorageError;

use crate::head::Batch;
use crate::order::Bounds;
use crate::shared::{Shared, count, lock};

/// Series looked at under one lock.
const SLICE: usize = 4096;

impl Shared {
    /// Drops what is past retention.
    pub(crate) fn maintain(&self) -> Result<(), StorageError> {
        if self.check_writable().is_err() {
            return Ok(());
        }
        let max_t = self.head().max_t;
        let floor = Bounds::new(&self.options, max_t).retention_floor;
        self.clean_head(floor);
        if floor == i64::MIN {
            return Ok(());
        }
        self.drop_segments(floor).inspect_err(|e| {
            count(&self.counters.wal_truncations_failed);
            tracing::warn!(error = %e, "dropping old log segments failed");
        })
    }

    /// Drops old samples, and series without any, a slice at a time.
    pub(crate) fn clean_head(&self, floor: i64) {
        let start = Instant::now();
        let slots = self.head().slots();
        let mut dropped = false;
        for first in (0..slots).step_by(SLICE) {
            let slice = first as u32..slots.min(first + SLICE) as u32;
            let needy: Vec<u32> = {
                let head = self.head();
                slice
                    .filter(|slot| head.needs_cleaning(*slot, floor))
                    .collect()
            };
            if needy.is_empty() {
                continue;
            }
            // No commit may be between its check and its end.
            let _log = lock(&self.log);
            let mut head = self.head_mut();
            let before = (head.totals, head.counters.series_removed);
            let open_appender = self.oldest_appender();
            let (_, horizon) = self.horizon(&head);
            for slot in needy {
                head.clean_slot(slot, floor, open_appender, horizon);
            }
            dropped |= before != (head.totals, head.counters.series_removed);
        }
        if floor > i64::MIN {
            self.head_mut().exemplars.drop_before(floor);
        }
        if dropped {
            let _log = lock(&self.log);
            let (min_t, max_t) = self.head().time_range();
            let mut head = self.head_mut();
            (head.min_t, head.max_t) = (min_t, max_t.max(head.max_t));
            count(&self.counters.head_truncations);
        }
        let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.counters
            .head_gc_nanos
            .fetch_add(nanos, Ordering::Relaxed);
    }

    /// Removes segments that hold nothing from `floor` on. Each segment stands for itself, except
    /// that metadata of an old one must be in the newest.
    fn drop_segments(&self, floor: i64) -> Result<(), StorageError> {
        let mut log = lock(&self.log);
        self.check_writable()?;
        let old = log.droppable(floor);
        if old.is_empty() {
            return Ok(());
        }
        if !log.has_metadata() && !self.head().metadata.is_empty() {
            self.store(&mut log, Batch::default())?;
        }
        self.sync_all()?;
        {
            // Whoever holds the log and has synced all of it may publish all that is in it.
            let mut head = self.head_mut();
            head.published = head.applied;
        }
        for number in old {
            log.remove(number)?;
            tracing::info!(segment = number, "dropped a log segment past retention");
        }
        count(&self.counters.wal_truncations);
        Ok(())
    }
}
