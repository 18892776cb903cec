//! [`Db`]: opening, reading, writing and closing a store.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tsdb_model::{
    Appendable, Appender, Exemplar, Labels, Matcher, Metadata, Querier, Queryable, StorageError,
};

use crate::appender::StoreAppender;
use crate::cardinality;
use crate::dir::{Dir, StdDir};
use crate::options::{Options, WalSync};
use crate::order::Bounds;
use crate::querier::StoreQuerier;
use crate::replay::replay;
use crate::shared::{Opening, Shared, lock};
use crate::stats::{Cardinality, DbStats};
use crate::wal::log::Log;
use crate::wal::{WAL_DIR, io_error};

/// Locked while a process has the store open for writing.
const LOCK_FILE: &str = "lock";

/// Exists while the store is closed properly.
const CLEAN_FILE: &str = "clean";

/// Tells the threads to stop.
#[derive(Debug, Default)]
struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Waits so long; true when it is time to stop.
    fn wait(&self, period: Duration) -> bool {
        let deadline = Instant::now() + period;
        let mut stopped = lock(&self.stopped);
        while !*stopped {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.changed.wait_timeout(stopped, left);
            stopped = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *stopped
    }

    fn set(&self) {
        *lock(&self.stopped) = true;
        self.changed.notify_all();
    }
}

/// An open store.
pub struct Db {
    shared: Arc<Shared>,
    stop: Arc<Stop>,
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
    options
        .dir
        .clone()
        .unwrap_or_else(|| Arc::new(StdDir::new(path)))
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
        let names = dir.list("").map_err(io("listing"))?;
        let had_log = !dir
            .list(WAL_DIR)
            .map_err(io("listing the log in"))?
            .is_empty();
        let marked = names.iter().any(|n| n == CLEAN_FILE);
        let replayed = replay(&dir, options.max_exemplars)?;
        if marked {
            dir.remove(CLEAN_FILE)
                .map_err(io("removing the mark of a proper end in"))?;
        }
        dir.sync_dir("").map_err(io("forcing to the disk"))?;
        let opening = Opening {
            clean_start: marked || !had_log,
            corruptions: replayed.corruptions,
            replay_seconds: replayed.seconds,
        };
        if !opening.clean_start {
            tracing::warn!(
                dir = shown,
                "the store was not closed properly the last time"
            );
        }
        let log = Log::new(Arc::clone(&dir), options.segment_bytes, replayed.segments);
        let head = replayed.head;
        let shared = Shared::new(options, dir, head, log, opening, None, Some(held));
        let max_t = shared.head().max_t;
        shared.clean_head(Bounds::new(&shared.options, max_t).retention_floor);
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
        let replayed = replay(&dir, options.max_exemplars)?;
        let opening = Opening {
            clean_start: names.iter().any(|n| n == CLEAN_FILE),
            corruptions: replayed.corruptions,
            replay_seconds: replayed.seconds,
        };
        let log = Log::new(Arc::clone(&dir), options.segment_bytes, replayed.segments);
        let refusal = Some("the store is open for reading only".to_string());
        let shared = Shared::new(options, dir, replayed.head, log, opening, refusal, None);
        Ok(Self::around(shared, false))
    }

    fn around(shared: Shared, open: bool) -> Self {
        Self {
            shared: Arc::new(shared),
            stop: Arc::default(),
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
            self.start_thread("tsdb-maintenance", period, |s| drop(s.maintain()))?;
        }
        Ok(())
    }

    fn start_thread(
        &self,
        name: &str,
        period_ms: u64,
        work: impl Fn(&Shared) + Send + 'static,
    ) -> Result<(), StorageError> {
        let (shared, stop) = (Arc::clone(&self.shared), Arc::clone(&self.stop));
        let period = Duration::from_millis(period_ms.min(365 * 24 * 3_600_000));
        let run = move || {
            while !stop.wait(period) {
                work(&shared);
            }
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(run);
        let thread = thread.map_err(|e| io_error("starting thread", name, &e))?;
        lock(&self.threads).push(thread);
        Ok(())
    }

    fn stop_threads(&self) {
        self.stop.set();
        for thread in std::mem::take(&mut *lock(&self.threads)) {
            if thread.join().is_err() {
                tracing::error!("a thread of the store panicked");
            }
        }
    }

    /// The settings.
    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    /// A consistent view of the samples with `mint_ms <= t <= maxt_ms`.
    pub fn querier(
        &self,
        mint_ms: i64,
        maxt_ms: i64,
    ) -> Result<Box<dyn Querier + '_>, StorageError> {
        Ok(Box::new(StoreQuerier::new(&self.shared, mint_ms, maxt_ms)))
    }

    /// Starts a transaction.
    pub fn appender(&self) -> Box<dyn Appender + '_> {
        Box::new(StoreAppender::new(&self.shared))
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
            head_chunks: head.totals.chunks,
            head_chunks_bytes: head.totals.bytes,
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
            min_time_ms: head.min_t.unwrap_or(i64::MAX),
            max_time_ms: head.max_t.unwrap_or(i64::MIN),
            retention_ms: shared.options.retention_ms,
            index_bytes: head.index.bytes() as u64,
            commits: get(&c.commits),
            wal_bytes,
            wal_segments,
            wal_segment_current,
            wal_corruptions: shared.opening.corruptions,
            wal_writes_failed: get(&c.writes_failed),
            wal_fsyncs: get(&c.fsyncs),
            wal_fsync_seconds: seconds(&c.fsync_nanos),
            wal_fsyncs_failed: get(&c.fsyncs_failed),
            wal_truncations: get(&c.wal_truncations),
            wal_truncations_failed: get(&c.wal_truncations_failed),
            head_truncations: get(&c.head_truncations),
            head_gc_seconds: seconds(&c.head_gc_nanos),
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

    /// Drops what is past retention now, from memory and disk.
    pub fn maintain(&self) -> Result<(), StorageError> {
        self.shared.maintain()
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
        dir.create(CLEAN_FILE)
            .and_then(|file| file.sync_data())
            .and_then(|()| dir.sync_dir(""))
            .map_err(|e| io_error("marking the proper end in", &dir.display(), &e))
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
}

impl Appendable for Db {
    fn appender(&self) -> Box<dyn Appender + '_> {
        Self::appender(self)
    }
}
