//! What all handles and threads of an open store share, and who may hold which lock: first the jobs
//! (the right to run one), then the log (the right to commit), then the head, then the small ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak,
};
use std::time::Instant;

use tsdb_model::{AppendError, StorageError};

use crate::dir::{Dir, DirLock, WriteFile};
use crate::durations::Durations;
use crate::head::Head;
use crate::jobs::Jobs;
use crate::options::Options;
use crate::stop::Stop;
use crate::sync::SyncState;
use crate::trouble::Trouble;
use crate::view::View;
use crate::wal::log::Log;

/// Locks, also after a panic elsewhere: nothing is left half done under these locks.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counters that belong to no structure under a lock.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) late_samples: AtomicU64,
    pub(crate) out_of_order: AtomicU64,
    pub(crate) out_of_bounds: AtomicU64,
    pub(crate) too_old: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) out_of_order_exemplars: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) writes_failed: AtomicU64,
    pub(crate) fsyncs: AtomicU64,
    pub(crate) fsync_nanos: AtomicU64,
    pub(crate) fsyncs_failed: AtomicU64,
    pub(crate) wal_truncations: AtomicU64,
    pub(crate) wal_truncations_failed: AtomicU64,
    pub(crate) head_truncations: AtomicU64,
    pub(crate) head_gc_nanos: AtomicU64,
    pub(crate) cuts: AtomicU64,
    pub(crate) cut_durations: Durations,
    pub(crate) merges: AtomicU64,
    pub(crate) merge_durations: Durations,
    pub(crate) upkeeps: AtomicU64,
    pub(crate) jobs_failed: AtomicU64,
    pub(crate) block_bytes_written: AtomicU64,
    pub(crate) blocks_retired_by_time: AtomicU64,
    pub(crate) blocks_retired_by_size: AtomicU64,
    pub(crate) time_retentions: AtomicU64,
    pub(crate) size_retentions: AtomicU64,
    pub(crate) quarantined: AtomicU64,
    pub(crate) damaged_reads: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    /// Counts a failed read of a block.
    pub(crate) fn read_failed(&self, error: &StorageError) {
        if matches!(error, StorageError::Corrupt { .. }) {
            count(&self.damaged_reads);
        }
    }

    /// Counts a refused sample.
    pub(crate) fn refused(&self, error: &AppendError) {
        match error {
            AppendError::OutOfOrder => count(&self.out_of_order),
            AppendError::OutOfBounds => count(&self.out_of_bounds),
            AppendError::TooOld => count(&self.too_old),
            AppendError::Duplicate { .. } => count(&self.duplicates),
            AppendError::OutOfOrderExemplar => count(&self.out_of_order_exemplars),
            _ => {}
        }
    }
}

/// Facts about the opening.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Opening {
    pub(crate) clean_start: bool,
    pub(crate) corruptions: u64,
    pub(crate) replay_seconds: f64,
    /// Lists of deletions that could not be read.
    pub(crate) tombstones_damaged: u64,
}

/// The shared part of a store.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) dir: Arc<dyn Dir>,
    pub(crate) log: Mutex<Log>,
    head: RwLock<Head>,
    /// Commits that open queriers see, with the number of these queriers.
    readers: Mutex<BTreeMap<u64, usize>>,
    /// Open appenders, and the number of the next one.
    appenders: Mutex<(BTreeSet<u64>, u64)>,
    pub(crate) sync: SyncState,
    pub(crate) counters: Counters,
    pub(crate) opening: Opening,
    pub(crate) trouble: Trouble,
    /// Why nothing can be written (any more).
    refusal: Mutex<Option<String>>,
    pub(crate) dir_lock: Mutex<Option<Box<dyn DirLock>>>,
    pub(crate) stop: Stop,
    /// Taken before all other locks.
    pub(crate) jobs: Mutex<Jobs>,
    /// Views that were replaced, with their numbers.
    pub(crate) old_views: Mutex<Vec<(u64, Weak<View>)>>,
}

impl Shared {
    #[expect(
        clippy::too_many_arguments,
        reason = "called at one place, with names that tell"
    )]
    pub(crate) fn new(
        options: Options,
        dir: Arc<dyn Dir>,
        head: Head,
        log: Log,
        jobs: Jobs,
        opening: Opening,
        refusal: Option<String>,
        dir_lock: Option<Box<dyn DirLock>>,
    ) -> Self {
        Self {
            options,
            dir,
            log: Mutex::new(log),
            head: RwLock::new(head),
            readers: Mutex::default(),
            appenders: Mutex::new((BTreeSet::new(), 1)),
            sync: SyncState::default(),
            counters: Counters::default(),
            opening,
            trouble: Trouble::default(),
            refusal: Mutex::new(refusal),
            dir_lock: Mutex::new(dir_lock),
            stop: Stop::default(),
            jobs: Mutex::new(jobs),
            old_views: Mutex::default(),
        }
    }

    pub(crate) fn head(&self) -> RwLockReadGuard<'_, Head> {
        self.head.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn head_mut(&self) -> RwLockWriteGuard<'_, Head> {
        self.head.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// An error when nothing can be written.
    pub(crate) fn check_writable(&self) -> Result<(), StorageError> {
        match &*lock(&self.refusal) {
            Some(why) => Err(StorageError::Unavailable(why.clone())),
            None => Ok(()),
        }
    }

    /// Refuses all writes from now on; the first reason stays.
    pub(crate) fn refuse_writes(&self, why: &str) {
        lock(&self.refusal).get_or_insert_with(|| why.to_string());
    }

    /// Forces a file to the disk. After a failure nobody knows what is on the disk: no more writes.
    pub(crate) fn sync_file(&self, file: &dyn WriteFile) -> Result<(), StorageError> {
        let start = Instant::now();
        let result = file.sync_data();
        let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        count(&self.counters.fsyncs);
        self.counters
            .fsync_nanos
            .fetch_add(nanos, Ordering::Relaxed);
        result.map_err(|e| {
            count(&self.counters.fsyncs_failed);
            self.refuse_writes(&format!(
                "the log could not be forced to the disk ({e}); nothing is stored until the store \
                 is opened again"
            ));
            tracing::error!(error = %e, "forcing the log to the disk failed; writes are refused");
            StorageError::Io {
                context: "forcing the log to the disk".into(),
                message: e.to_string(),
            }
        })
    }

    /// Open appenders.
    pub(crate) fn appenders(&self) -> u64 {
        lock(&self.appenders).0.len() as u64
    }

    /// Pins the commit and the blocks that a new querier sees.
    pub(crate) fn open_reader(&self) -> (u64, Arc<View>) {
        // Under the head's lock, so that no commit is applied in between without notes.
        let head = self.head();
        *lock(&self.readers).entry(head.published).or_default() += 1;
        (head.published, Arc::clone(&head.view))
    }

    pub(crate) fn close_reader(&self, commit: u64) {
        let mut readers = lock(&self.readers);
        if let Some(open) = readers.get_mut(&commit) {
            *open -= 1;
            if *open == 0 {
                readers.remove(&commit);
            }
        }
    }

    /// True when a querier is open, and the last commit that every present and future querier sees.
    pub(crate) fn horizon(&self, head: &Head) -> (bool, u64) {
        match lock(&self.readers).first_key_value() {
            Some((oldest, _)) => (true, (*oldest).min(head.published)),
            None => (false, head.published),
        }
    }

    pub(crate) fn open_appender(&self) -> u64 {
        let mut appenders = lock(&self.appenders);
        let number = appenders.1;
        appenders.1 += 1;
        appenders.0.insert(number);
        number
    }

    pub(crate) fn close_appender(&self, number: u64) {
        lock(&self.appenders).0.remove(&number);
    }

    /// Number of the oldest appender that is open or may still be opened.
    pub(crate) fn oldest_appender(&self) -> u64 {
        let appenders = lock(&self.appenders);
        appenders.0.first().copied().unwrap_or(appenders.1)
    }
}
