//! Upkeep: cuts, merges, retention; what blocks hold or is past retention leaves the log.

use std::sync::atomic::Ordering;
use std::time::Instant;

use tsdb_model::StorageError;

use crate::head::Batch;
use crate::jobs::Jobs;
use crate::order::Bounds;
use crate::shared::{Shared, count, lock};
use crate::stop::Throttle;

/// Series looked at under one lock.
const SLICE: usize = 4096;

impl Shared {
    /// Does all upkeep that is due. In the `background` it rests half of the time.
    pub(crate) fn maintain(&self, background: bool) -> Result<(), StorageError> {
        if self.check_writable().is_err() {
            return Ok(());
        }
        let mut jobs = lock(&self.jobs);
        let jobs = &mut *jobs;
        count(&self.counters.upkeeps);
        let mut throttle = Throttle::new(&self.stop, background);
        self.drop_embodied(jobs);
        let mut result = self.job(
            "cutting blocks",
            self.cut_due(jobs, &mut throttle).map(drop),
        );
        let floor = self.retention_floor();
        self.clean_head(floor);
        let dropped = self.drop_segments(floor, jobs.cut_log).inspect_err(|e| {
            count(&self.counters.wal_truncations_failed);
            tracing::warn!(error = %e, "dropping old log segments failed");
        });
        result = result.and(dropped);
        self.retire_blocks(jobs, floor);
        result = result.and(self.job("removing blocks", jobs.catalogue.remove_retired(&*self.dir)));
        let merged = self.merge_due(jobs, &mut throttle).map(drop);
        result = result.and(self.job("merging blocks", merged));
        result = result.and(self.job("removing blocks", jobs.catalogue.remove_retired(&*self.dir)));
        result.and(self.job("writing the deletions", self.retire_deletes(jobs)))
    }

    /// Counts and tells a failure; being told to stop is none.
    pub(crate) fn job(
        &self,
        what: &str,
        result: Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        match result {
            Err(StorageError::Canceled) => Ok(()),
            Err(e) => {
                count(&self.counters.jobs_failed);
                tracing::warn!(error = %e, "{what} failed");
                Err(e)
            }
            Ok(()) => Ok(()),
        }
    }

    /// What is older is past retention.
    pub(crate) fn retention_floor(&self) -> i64 {
        self.bounds(self.head().max_t).retention_floor
    }

    /// Which times are taken when the newest sample is at `max_t`.
    pub(crate) fn bounds(&self, max_t: Option<i64>) -> Bounds {
        let window = self.ooo_window_ms.load(Ordering::Relaxed);
        Bounds::new(&self.options, window, max_t)
    }

    /// Runs one job now, not in the background.
    pub(crate) fn run_job<T>(
        &self,
        job: impl FnOnce(&mut Jobs, &mut Throttle<'_>) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        self.check_writable()?;
        let mut jobs = lock(&self.jobs);
        let result = job(&mut jobs, &mut Throttle::new(&self.stop, false));
        if result.is_err() {
            count(&self.counters.jobs_failed);
        }
        result
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
            let before = (head.pool.totals, head.counters.series_removed);
            let open_appender = self.oldest_appender();
            let (_, horizon) = self.horizon(&head);
            for slot in needy {
                head.clean_slot(slot, floor, open_appender, horizon);
            }
            dropped |= before != (head.pool.totals, head.counters.series_removed);
        }
        if floor > i64::MIN {
            self.head_mut().exemplars.drop_before(floor);
        }
        if dropped {
            self.refresh_range();
        }
        let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.counters
            .head_gc_nanos
            .fetch_add(nanos, Ordering::Relaxed);
    }

    /// Works out anew what times the head has, after something was dropped.
    pub(crate) fn refresh_range(&self) {
        let _log = lock(&self.log);
        let (min_t, max_t) = self.head().time_range();
        let mut head = self.head_mut();
        (head.min_t, head.max_t) = (min_t, max_t.max(head.max_t));
        count(&self.counters.head_truncations);
    }

    /// Removes segments that hold nothing from `floor` on, and those that blocks embody (see
    /// [`Jobs::cut_log`]). Each segment stands for itself, except that metadata of an old one must
    /// be in the newest.
    pub(crate) fn drop_segments(&self, floor: i64, cut: (u32, i64)) -> Result<(), StorageError> {
        if floor == i64::MIN && cut.0 == 0 {
            return Ok(());
        }
        let mut log = lock(&self.log);
        self.check_writable()?;
        let old = log.droppable(floor, cut);
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
            tracing::info!(segment = number, "dropped a log segment");
        }
        count(&self.counters.wal_truncations);
        Ok(())
    }
}
