//! How threads and jobs learn that the store is being closed.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tsdb_model::StorageError;

use crate::shared::lock;

/// Tells threads and jobs to stop.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Waits so long; true when it is time to stop.
    pub(crate) fn wait(&self, period: Duration) -> bool {
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

    pub(crate) fn set(&self) {
        *lock(&self.stopped) = true;
        self.changed.notify_all();
    }

    /// An error when it is time to stop.
    pub(crate) fn check(&self) -> Result<(), StorageError> {
        if *lock(&self.stopped) {
            return Err(StorageError::Canceled);
        }
        Ok(())
    }
}

/// Makes a job in the background work at most about half of the time, and stop when told.
#[derive(Debug)]
pub(crate) struct Throttle<'a> {
    stop: &'a Stop,
    waits: bool,
    since: Instant,
}

/// How long a job works before it rests.
const SLICE: Duration = Duration::from_millis(20);

impl<'a> Throttle<'a> {
    pub(crate) fn new(stop: &'a Stop, waits: bool) -> Self {
        Self {
            stop,
            waits,
            since: Instant::now(),
        }
    }

    /// To be called between small pieces of work.
    pub(crate) fn pause(&mut self) -> Result<(), StorageError> {
        if !self.waits {
            return self.stop.check();
        }
        let worked = self.since.elapsed();
        if worked < SLICE {
            return Ok(());
        }
        let stopped = self.stop.wait(worked.min(5 * SLICE));
        self.since = Instant::now();
        if stopped {
            return Err(StorageError::Canceled);
        }
        Ok(())
    }
}
