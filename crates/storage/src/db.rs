//! [`Db`]: opening, reading, writing and closing a store.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tsdb_model::{
    Appendable, Appender, Exemplar, Labels, Matcher, MemoryBudget, Metadata, Querier, Queryable,
    StopToken, StorageError,
};

use crate::appender::StoreAppender;
use crate::block::BLOCKS_DIR;
use crate::cardinality;
use crate::catalogue::{Catalogue, LoadError, Loaded, load};
use crate::dir::{Dir, DirLock, StdDir};
use crate::durations::Durations;
use crate::jobs::Jobs;
use crate::options::{Options, WalSync};
use crate::querier::StoreQuerier;
use crate::replay::{OnDisk, Replayed, replay};
use crate::shared::{Opening, Shared, lock};
use crate::stats::{BlockInfo, Cardinality, DbStats, Verification};
use crate::tombstones::{self, Tombstones, set_aside};
use crate::view::View;
use crate::wal::log::Log;
use crate::wal::{WAL_DIR, io_error};

/// Locked while a process has the store open for writing.
const LOCK_FILE: &str = "lock";

/// Exists while the store is closed properly.
const CLEAN_FILE: &str = "clean";

/// Most periods of upkeep that are left out after failures.
const MAX_REST: u32 = 10;

/// An open store.
pub struct Db {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Open for writing and not closed yet.
    open: Mutex<bool>,
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db")
            .field("dir", &self.shared.dir.display())
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

fn directory(path: &Path, options: &Options) -> Arc<dyn Dir> {
    options.dir.clone().unwrap_or_else(|| {
        let dir = StdDir::new(path);
        Arc::new(if options.no_mmap {
            dir.without_mmap()
        } else {
            dir
        })
    })
}

/// How often reading begins anew because a running writer changed the blocks.
const ATTEMPTS: usize = 10;

/// The deletions; a damaged list is put aside later and counts as empty.
fn read_tombstones(dir: &Arc<dyn Dir>) -> Result<(Tombstones, u64), StorageError> {
    match Tombstones::read(&**dir) {
        Ok(tombstones) => Ok((tombstones, 0)),
        Err(Some(e)) => Err(e),
        Err(None) => {
            tracing::error!(
                file = tombstones::FILE,
                "the list of deletions is damaged: what was deleted may come back"
            );
            Ok((Tombstones::default(), 1))
        }
    }
}

/// What a writer finds besides the log.
fn on_disk(dir: &Arc<dyn Dir>) -> Result<(OnDisk, u64), StorageError> {
    let (tombstones, damaged) = read_tombstones(dir)?;
    let loaded = load(dir).map_err(|e| match e {
        LoadError::Changed => StorageError::Unavailable("the blocks changed meanwhile".into()),
        LoadError::Other(e) => e,
    })?;
    Ok((OnDisk { tombstones, loaded }, damaged))
}

/// Reads everything while a writer may be at work: the log first, because what leaves it is in
/// blocks by then. What is in both does not matter.
fn read_beside_writer(
    dir: &Arc<dyn Dir>,
    options: &Options,
) -> Result<(OnDisk, Replayed, u64), StorageError> {
    for _ in 0..ATTEMPTS {
        let (tombstones, damaged) = read_tombstones(dir)?;
        let mut found = OnDisk {
            tombstones,
            loaded: Loaded::default(),
        };
        let replayed = replay(dir, options.max_exemplars, &found)?;
        found.loaded = match load(dir) {
            Ok(loaded) => loaded,
            Err(LoadError::Changed) => continue,
            Err(LoadError::Other(e)) => return Err(e),
        };
        let seqs = |t: &Tombstones| -> Vec<u64> { t.deletes.iter().map(|d| d.seq).collect() };
        let (now, _) = read_tombstones(dir)?;
        if seqs(&now) == seqs(&found.tombstones) {
            return Ok((found, replayed, damaged));
        }
    }
    let text = format!(
        "the blocks in {} change faster than they can be read",
        dir.display()
    );
    Err(StorageError::Unavailable(text))
}

/// Puts what was found on the disk together.
#[expect(
    clippy::too_many_arguments,
    reason = "called at two places, with names that tell"
)]
fn assemble(
    options: Options,
    dir: Arc<dyn Dir>,
    replayed: Replayed,
    found: &OnDisk,
    jobs: Jobs,
    opening: Opening,
    refusal: Option<String>,
    held: Option<Box<dyn DirLock>>,
) -> Shared {
    let mut head = replayed.head;
    let blocks = found.loaded.blocks.clone();
    let newest = blocks.iter().map(|b| b.meta()).filter(|m| m.samples > 0);
    head.max_t = head.max_t.max(newest.map(|m| m.max_t).max());
    let last_delete = found.last_delete();
    let deletes = found.tombstones.deletes.clone();
    head.view = Arc::new(View::new(&View::default(), blocks, deletes, last_delete));
    let next_segment = found.next_segment();
    let mut log = Log::new(Arc::clone(&dir), options.segment_bytes, replayed.segments);
    log.skip_to(next_segment);
    let quarantined = found.loaded.quarantined.len() as u64;
    let shared = Shared::new(options, dir, head, log, jobs, opening, refusal, held);
    let counter = &shared.counters.quarantined;
    counter.store(quarantined, Ordering::Relaxed);
    shared
}

impl Db {
    /// Opens the store in directory `path`, making it if needed. Fails when another process has
    /// it open, or when it was written by a newer version.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, StorageError> {
        let dir = directory(path.as_ref(), &options);
        let shown = dir.display();
        let io = |what: &'static str| {
            let shown = shown.clone();
            move |e: std::io::Error| io_error(what, &shown, &e)
        };
        dir.create_dir("")
            .map_err(io("making the data directory"))?;
        let held = dir.lock(LOCK_FILE).map_err(|e| match e.kind() {
            std::io::ErrorKind::WouldBlock => {
                StorageError::Unavailable(format!("{shown} is in use by another process"))
            }
            _ => io_error("locking", &shown, &e),
        })?;
        dir.create_dir(WAL_DIR)
            .map_err(io("making the log's folder in"))?;
        dir.create_dir(BLOCKS_DIR)
            .map_err(io("making the blocks' folder in"))?;
        let names = dir.list("").map_err(io("listing"))?;
        let had_log = !dir
            .list(WAL_DIR)
            .map_err(io("listing the log in"))?
            .is_empty();
        let marked = names.iter().any(|n| n == CLEAN_FILE);
        let (found, tombstones_damaged) = on_disk(&dir)?;
        found.loaded.remove_temporaries(&*dir);
        if names.iter().any(|n| n == tombstones::TEMPORARY) {
            // If that fails it is done before the next deletion.
            let _ = dir.remove(tombstones::TEMPORARY);
        }
        let replayed = replay(&dir, options.max_exemplars, &found)?;
        if tombstones_damaged > 0 {
            set_aside(&*dir)?;
            found.tombstones.write(&*dir)?;
        }
        if marked {
            dir.remove(CLEAN_FILE)
                .map_err(io("removing the mark of a proper end in"))?;
        }
        dir.sync_dir("").map_err(io("forcing to the disk"))?;
        dir.sync_dir(BLOCKS_DIR)
            .map_err(io("forcing to the disk"))?;
        let opening = Opening {
            clean_start: marked || !had_log,
            corruptions: replayed.corruptions,
            lost_pieces: replayed.lost_pieces,
            replay_seconds: replayed.seconds,
            tombstones_damaged,
        };
        if !opening.clean_start {
            tracing::warn!(
                dir = shown,
                "the store was not closed properly the last time"
            );
        }
        let jobs = Jobs {
            catalogue: Catalogue::new(&found.loaded),
            quarantined: found.loaded.quarantined.len() as u64,
            ..Jobs::default()
        };
        let shared = assemble(
            options,
            dir,
            replayed,
            &found,
            jobs,
            opening,
            None,
            Some(held),
        );
        shared.clean_head(shared.retention_floor());
        if let Err(e) = lock(&shared.jobs).catalogue.remove_retired(&*shared.dir) {
            tracing::warn!(error = %e, "removing replaced blocks failed; tried again later");
        }
        let db = Self::around(shared, true);
        if let Err(e) = db.start_threads() {
            db.stop_threads();
            return Err(e);
        }
        Ok(db)
    }

    /// Opens a store for reading only, also while another process has it open: sees what was
    /// committed until now, takes no lock and writes nothing.
    pub fn open_read_only(path: impl AsRef<Path>, options: Options) -> Result<Self, StorageError> {
        let dir = directory(path.as_ref(), &options);
        let shown = dir.display();
        let names = dir.list("").map_err(|e| io_error("opening", &shown, &e))?;
        if !names.iter().any(|n| n == WAL_DIR) {
            return Err(StorageError::Unavailable(format!(
                "there is no store in {shown}"
            )));
        }
        let (found, replayed, tombstones_damaged) = read_beside_writer(&dir, &options)?;
        let opening = Opening {
            clean_start: names.iter().any(|n| n == CLEAN_FILE),
            corruptions: replayed.corruptions,
            lost_pieces: replayed.lost_pieces,
            replay_seconds: replayed.seconds,
            tombstones_damaged,
        };
        let refusal = Some("the store is open for reading only".to_string());
        let jobs = Jobs::default();
        let shared = assemble(options, dir, replayed, &found, jobs, opening, refusal, None);
        Ok(Self::around(shared, false))
    }

    fn around(shared: Shared, open: bool) -> Self {
        Self {
            shared: Arc::new(shared),
            threads: Mutex::default(),
            open: Mutex::new(open),
        }
    }

    fn start_threads(&self) -> Result<(), StorageError> {
        if let WalSync::Interval(period) = self.shared.options.wal_sync {
            // A failure is counted, logged, and stops all writing.
            self.start_thread("tsdb-wal-sync", period.max(1), |s| drop(s.sync_all()))?;
        }
        let period = self.shared.options.maintenance_interval_ms;
        if period > 0 {
            let (failures, rest) = (AtomicU32::new(0), AtomicU32::new(0));
            self.start_thread("tsdb-maintenance", period, move |s| {
                // After failures it is tried less and less often.
                if rest
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |r| r.checked_sub(1))
                    .is_ok()
                {
                    return;
                }
                let failed = if s.maintain(true).is_ok() {
                    0
                } else {
                    failures.load(Ordering::Relaxed).saturating_add(1)
                };
                failures.store(failed, Ordering::Relaxed);
                rest.store(failed.min(MAX_REST), Ordering::Relaxed);
            })?;
        }
        Ok(())
    }

    fn start_thread(
        &self,
        name: &str,
        period_ms: u64,
        work: impl Fn(&Shared) + Send + 'static,
    ) -> Result<(), StorageError> {
        let shared = Arc::clone(&self.shared);
        let period = Duration::from_millis(period_ms.min(365 * 24 * 3_600_000));
        let run = move || {
            while !shared.stop.wait(period) {
                work(&shared);
            }
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(run);
        let thread = thread.map_err(|e| io_error("starting thread", name, &e))?;
        lock(&self.threads).push(thread);
        Ok(())
    }

    fn stop_threads(&self) {
        self.shared.stop.set();
        for thread in std::mem::take(&mut *lock(&self.threads)) {
            if thread.join().is_err() {
                tracing::error!("a thread of the store panicked");
            }
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The settings.
    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    /// Changes [`Options::ooo_window_ms`] for the samples that come from now on.
    pub fn set_ooo_window(&self, window_ms: i64) {
        let window = &self.shared.ooo_window_ms;
        window.store(window_ms.max(0), Ordering::Relaxed);
    }

    /// Changes [`Options::max_exemplars`]; what is too many then goes at once.
    pub fn set_max_exemplars(&self, max: usize) {
        self.shared.head_mut().exemplars.set_max(max);
    }

    /// A consistent view of the samples with `mint_ms <= t <= maxt_ms`.
    pub fn querier(
        &self,
        mint_ms: i64,
        maxt_ms: i64,
    ) -> Result<Box<dyn Querier + '_>, StorageError> {
        self.querier_until(mint_ms, maxt_ms, StopToken::default())
    }

    /// The same; it stops soon after `stop` says so.
    pub fn querier_until(
        &self,
        mint_ms: i64,
        maxt_ms: i64,
        stop: StopToken,
    ) -> Result<Box<dyn Querier + '_>, StorageError> {
        let querier = StoreQuerier::new(&self.shared, mint_ms, maxt_ms, stop);
        Ok(Box::new(querier))
    }

    /// Starts a transaction.
    pub fn appender(&self) -> Box<dyn Appender + '_> {
        Box::new(StoreAppender::new(&self.shared))
    }

    /// The memory that new series and writes are taken against.
    pub fn budget(&self) -> &Arc<MemoryBudget> {
        &self.shared.options.budget
    }

    /// Counters and sizes.
    pub fn stats(&self) -> DbStats {
        let shared = &self.shared;
        let get = |c: &std::sync::atomic::AtomicU64| c.load(Ordering::Relaxed);
        let seconds = |c| Duration::from_nanos(get(c)).as_secs_f64();
        let (wal_bytes, wal_segments, wal_segment_current) = {
            let log = lock(&shared.log);
            (log.bytes(), log.segments(), u64::from(log.current_number()))
        };
        let head = shared.head();
        let c = &shared.counters;
        DbStats {
            head_series: head.index.len(),
            head_chunks: head.pool.totals.chunks,
            head_chunks_bytes: head.pool.totals.bytes,
            series_created: head.counters.series_created,
            series_removed: head.counters.series_removed,
            float_samples_appended: head.counters.float_samples,
            histogram_samples_appended: head.counters.histogram_samples,
            out_of_order_samples_appended: get(&c.late_samples),
            out_of_order_samples: get(&c.out_of_order),
            out_of_bounds_samples: get(&c.out_of_bounds),
            too_old_samples: get(&c.too_old),
            duplicate_samples: get(&c.duplicates),
            exemplars_appended: head.counters.exemplars,
            out_of_order_exemplars: get(&c.out_of_order_exemplars),
            exemplars_in_storage: head.exemplars.len() as u64,
            max_exemplars: head.exemplars.max() as u64,
            min_time_ms: head.min_t.unwrap_or(i64::MAX).min(head.view.min_t()),
            max_time_ms: head.max_t.unwrap_or(i64::MIN),
            head_min_time_ms: head.min_t.unwrap_or(i64::MAX),
            retention_ms: shared.options.retention_ms,
            index_bytes: head.index_bytes() as u64,
            commits: get(&c.commits),
            wal_bytes,
            wal_segments,
            wal_segment_current,
            wal_corruptions: shared.opening.corruptions,
            wal_lost_pieces: shared.opening.lost_pieces,
            wal_writes_failed: get(&c.writes_failed),
            wal_fsyncs: get(&c.fsyncs),
            wal_fsync_seconds: seconds(&c.fsync_nanos),
            wal_fsyncs_failed: get(&c.fsyncs_failed),
            wal_truncations: get(&c.wal_truncations),
            wal_truncations_failed: get(&c.wal_truncations_failed),
            head_truncations: get(&c.head_truncations),
            head_gc_seconds: seconds(&c.head_gc_nanos),
            late_samples: head.cuts.late,
            cut_until_ms: head.cuts.floor,
            blocks_loaded: head.view.blocks.len() as u64,
            block_bytes: head.view.bytes(),
            block_samples: head.view.samples(),
            blocks_quarantined: get(&c.quarantined),
            tombstones: head.view.deletes.len() as u64,
            tombstones_damaged: shared.opening.tombstones_damaged,
            cuts: get(&c.cuts),
            merges: get(&c.merges),
            jobs_failed: get(&c.jobs_failed),
            compactions: Durations::stats(&[&c.cut_durations, &c.merge_durations]),
            upkeeps: get(&c.upkeeps),
            active_appenders: shared.appenders(),
            damaged_reads: get(&c.damaged_reads),
            time_retentions: get(&c.time_retentions),
            size_retentions: get(&c.size_retentions),
            wal_failing: shared.trouble.goes_on(),
            last_cut_seconds: c.cut_durations.last_seconds(),
            last_merge_seconds: c.merge_durations.last_seconds(),
            block_bytes_written: get(&c.block_bytes_written),
            blocks_retired_by_time: get(&c.blocks_retired_by_time),
            blocks_retired_by_size: get(&c.blocks_retired_by_size),
            retention_bytes: shared.options.retention_bytes,
            replay_seconds: shared.opening.replay_seconds,
            clean_start: shared.opening.clean_start,
        }
    }

    /// Where the series come from; each list holds at most `limit` entries.
    pub fn cardinality(&self, limit: usize) -> Cardinality {
        cardinality::of(&self.shared.head(), limit)
    }

    /// Metadata of all metric families, sorted by family.
    pub fn metadata(&self) -> Vec<(String, Metadata)> {
        let head = self.shared.head();
        head.metadata
            .iter()
            .map(|(f, m)| (f.clone(), m.clone()))
            .collect()
    }

    /// Exemplars with `mint_ms <= t <= maxt_ms` of the series that pass all matchers of at least
    /// one of the lists: series sorted by labels, exemplars by time.
    pub fn exemplars(
        &self,
        mint_ms: i64,
        maxt_ms: i64,
        matchers: &[Vec<Matcher>],
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, StorageError> {
        let head = self.shared.head();
        let passes = |labels: &Labels| {
            matchers
                .iter()
                .any(|all| all.iter().all(|m| m.matches(labels.value(&m.name))))
        };
        let mut found: BTreeMap<Labels, Vec<Exemplar>> = BTreeMap::new();
        for entry in head.exemplars.iter() {
            let t = entry.exemplar.timestamp_ms;
            let in_range = mint_ms <= t && t <= maxt_ms && entry.commit <= head.published;
            if in_range && passes(&entry.series_labels) {
                let of_series = found.entry(entry.series_labels.clone()).or_default();
                of_series.push(entry.exemplar.clone());
            }
        }
        for of_series in found.values_mut() {
            of_series.sort_by_key(|e| e.timestamp_ms);
        }
        Ok(found.into_iter().collect())
    }

    /// The blocks loaded, in order of time.
    pub fn blocks(&self) -> Vec<BlockInfo> {
        let view = Arc::clone(&self.shared.head().view);
        let mut blocks: Vec<BlockInfo> = view.blocks.iter().map(|b| b.info()).collect();
        blocks.sort_by_key(|b| (b.min_time_ms, b.id));
        blocks
    }

    /// Does all upkeep that is due now: cuts, merges, retention.
    pub fn maintain(&self) -> Result<(), StorageError> {
        self.shared.maintain(false)
    }

    /// Writes all ranges that end at `until_ms` or before, and all late samples, to blocks, also
    /// those that it is early for. True when something was written.
    pub fn cut(&self, until_ms: i64) -> Result<bool, StorageError> {
        self.shared
            .run_job(|jobs, throttle| self.shared.cut_all(jobs, until_ms, throttle))
    }

    /// Merges all blocks that there is a reason to merge. True when something was merged.
    pub fn merge(&self) -> Result<bool, StorageError> {
        self.shared.run_job(|jobs, throttle| {
            let merged = self.shared.merge_due(jobs, throttle)?;
            jobs.catalogue.remove_retired(&*self.shared.dir)?;
            Ok(merged)
        })
    }

    /// Deletes the samples with `mint_ms <= t <= maxt_ms` of the series that pass all matchers.
    /// They are gone for every later querier, also after a crash; samples written later are not
    /// touched. Space on the disk becomes free when blocks are merged, or by
    /// [`Self::clean_tombstones`].
    pub fn delete(
        &self,
        matchers: &[Matcher],
        mint_ms: i64,
        maxt_ms: i64,
    ) -> Result<(), StorageError> {
        self.shared.delete(matchers, mint_ms, maxt_ms)
    }

    /// Writes the blocks that deletions touch anew, without what was deleted.
    pub fn clean_tombstones(&self) -> Result<(), StorageError> {
        self.shared
            .run_job(|jobs, throttle| self.shared.clean_tombstones(jobs, throttle))
    }

    /// Reads every byte of all blocks and checks it. `progress` gets the steps done and all steps
    /// of the block being checked; when it says false, the check ends.
    pub fn verify_blocks(&self, mut progress: impl FnMut(u64, u64) -> bool) -> Verification {
        let view = Arc::clone(&self.shared.head().view);
        let mut found = Verification::default();
        let mut goes_on = true;
        for block in &view.blocks {
            let report = block.block.scrub(|done, all| {
                goes_on = progress(done, all);
                goes_on
            });
            found.blocks += 1;
            found.series += report.series;
            found.samples += report.samples;
            found.errors.extend(report.errors);
            if !goes_on {
                break;
            }
        }
        found
    }

    /// Makes a copy of the store, as of now, in the directory `path`, which must not be there or be
    /// empty: blocks as hard links (or copies, on another disk), and the rest as new blocks.
    pub fn snapshot(&self, path: impl AsRef<Path>) -> Result<(), StorageError> {
        self.shared
            .run_job(|jobs, throttle| self.shared.snapshot(jobs, path.as_ref(), true, throttle))
    }

    /// As [`Self::snapshot`], without the samples that no block holds yet.
    pub fn snapshot_blocks(&self, path: impl AsRef<Path>) -> Result<(), StorageError> {
        self.shared
            .run_job(|jobs, throttle| self.shared.snapshot(jobs, path.as_ref(), false, throttle))
    }

    /// Forces everything committed to the disk, stops the threads and gives the lock back.
    /// Reading goes on working, writing does not. Closing twice is fine.
    pub fn close(&self) -> Result<(), StorageError> {
        let mut open = lock(&self.open);
        if !*open {
            return Ok(());
        }
        *open = false;
        self.stop_threads();
        let result = {
            let mut log = lock(&self.shared.log);
            let healthy = self.shared.check_writable();
            self.shared.refuse_writes("the store is closed");
            healthy
                .and_then(|()| self.shared.finish_segment(&mut log))
                .and_then(|()| self.mark_clean())
        };
        lock(&self.shared.dir_lock).take();
        result
    }

    fn mark_clean(&self) -> Result<(), StorageError> {
        let dir = &self.shared.dir;
        let marked = dir
            .create(CLEAN_FILE)
            .and_then(|file| file.sync_data())
            .and_then(|()| dir.sync_dir(""));
        match marked {
            Err(e) if e.kind() == std::io::ErrorKind::StorageFull => {
                // All data is safe; the next start only cannot tell.
                tracing::warn!(error = %e, "no space to mark the proper end");
                Ok(())
            }
            other => other.map_err(|e| io_error("marking the proper end in", &dir.display(), &e)),
        }
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        if let Err(e) = self.close() {
            tracing::error!(error = %e, "closing the store failed");
        }
    }
}

impl Queryable for Db {
    fn querier(&self, mint_ms: i64, maxt_ms: i64) -> Result<Box<dyn Querier + '_>, StorageError> {
        Self::querier(self, mint_ms, maxt_ms)
    }

    fn querier_until(
        &self,
        mint_ms: i64,
        maxt_ms: i64,
        stop: StopToken,
    ) -> Result<Box<dyn Querier + '_>, StorageError> {
        Self::querier_until(self, mint_ms, maxt_ms, stop)
    }
}

impl Appendable for Db {
    fn appender(&self) -> Box<dyn Appender + '_> {
        Self::appender(self)
    }
}
