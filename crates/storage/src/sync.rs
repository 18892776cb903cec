//! Forcing the log to the disk: shared by commits (`group`), in the background (`interval`), and at
//! close.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tsdb_model::StorageError;

use crate::dir::WriteFile;
use crate::shared::{Shared, lock};

/// How long a shared sync waits for more commits.
const GATHER: Duration = Duration::from_millis(2);

#[derive(Debug, Default)]
struct State {
    /// The segment being written.
    file: Option<Arc<dyn WriteFile>>,
    /// Last commit that was written, and last one that is known to be on the disk.
    written: u64,
    synced: u64,
    busy: bool,
}

/// How far the disk is.
#[derive(Debug, Default)]
pub(crate) struct SyncState {
    state: Mutex<State>,
    changed: Condvar,
}

impl SyncState {
    /// Commit `commit` was written to `file`, and all before it to it or to synced files.
    pub(crate) fn written(&self, commit: u64, file: &Arc<dyn WriteFile>) {
        let mut state = lock(&self.state);
        state.written = commit;
        state.file = Some(Arc::clone(file));
    }

    /// Everything written is on the disk.
    pub(crate) fn all_synced(&self) {
        let mut state = lock(&self.state);
        state.synced = state.written;
        self.changed.notify_all();
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Waits until commit `commit` is on the disk; one of those who wait does the work for all.
    pub(crate) fn sync_shared(&self, commit: u64, gather: bool) -> Result<(), StorageError> {
        let mut state = lock(&self.sync.state);
        loop {
            if state.synced >= commit {
                return Ok(());
            }
            self.check_not_failed()?;
            if state.busy {
                state = self.sync.wait(state);
                continue;
            }
            state.busy = true;
            if gather {
                let deadline = Instant::now() + GATHER;
                loop {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    let waited = self.sync.changed.wait_timeout(state, left);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
            let (file, upto) = (state.file.clone(), state.written);
            drop(state);
            let result = file.map_or(Ok(()), |f| self.sync_file(&*f));
            state = lock(&self.sync.state);
            state.busy = false;
            if result.is_ok() {
                state.synced = state.synced.max(upto);
            }
            self.sync.changed.notify_all();
            result?;
        }
    }

    /// Forces everything written to the disk.
    pub(crate) fn sync_all(&self) -> Result<(), StorageError> {
        let written = lock(&self.sync.state).written;
        self.sync_shared(written, false)
    }

    fn check_not_failed(&self) -> Result<(), StorageError> {
        match self
            .counters
            .fsyncs_failed
            .load(std::sync::atomic::Ordering::Relaxed)
        {
            0 => Ok(()),
            _ => self.check_writable(),
        }
    }
}
