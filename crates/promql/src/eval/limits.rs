//! What one query may use: time, samples in memory, and the patience of whoever asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tsdb_model::StopToken;

use super::column::Series;
use crate::engine::CancelToken;
use crate::error::QueryError;
use crate::memory::{CpuGuard, MemoryPool, QueryProgress, Reservation};

const EXECUTION: &str = "query execution";
const EVALUATION: &str = "expression evaluation";

/// Bytes that a sample takes: time and value.
const SAMPLE_BYTES: usize = 16;

/// Bytes that a selected series takes in the store's list and in the evaluator's.
const SELECTED_BYTES: usize = 160;

/// Budget, deadline and cancel flag of a running query.
#[derive(Debug)]
pub(crate) struct Limits {
    max_samples: usize,
    held: AtomicUsize,
    peak: AtomicUsize,
    max_bytes: usize, // 0 for no limit
    progress: QueryProgress,
    reservation: Reservation,
    deadline: Option<Instant>, // none when too far off to be told
    cancel: CancelToken,
}

impl Limits {
    /// Limits of a query that begins now.
    pub(crate) fn new(max_samples: usize, timeout_ms: u64, cancel: CancelToken) -> Self {
        Self {
            max_samples,
            held: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            max_bytes: 0,
            progress: QueryProgress::default(),
            reservation: Reservation::default(),
            deadline: Instant::now().checked_add(Duration::from_millis(timeout_ms)),
            cancel,
        }
    }

    /// Limits memory: this query's to `max_bytes` (0 for no limit), that of all to the pool's.
    pub(crate) fn with_memory(
        mut self,
        max_bytes: usize,
        pool: Arc<MemoryPool>,
        progress: QueryProgress,
    ) -> Self {
        self.max_bytes = max_bytes;
        self.reservation = Reservation::new(pool);
        self.progress = progress;
        self
    }

    /// What is left to be held when the query is done: a result of so many bytes.
    pub(crate) fn into_reservation(self, bytes: usize) -> Reservation {
        self.reservation.shrink(bytes);
        self.reservation
    }

    /// Counts processor time of a thread that works for the query.
    pub(crate) fn count_cpu(&self) -> CpuGuard<'_> {
        self.progress.count_cpu()
    }

    /// What tells the store to stop.
    pub(crate) fn token(&self) -> StopToken {
        self.cancel.token(self.deadline)
    }

    /// Fails when the query was told to stop or took too long. Loops call it at least once per
    /// series or thousand steps.
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        if self.cancel.is_canceled() {
            return Err(QueryError::Canceled(EVALUATION));
        }
        if self.deadline.is_some_and(|d| Instant::now() >= d) {
            return Err(QueryError::Timeout(EVALUATION));
        }
        Ok(())
    }

    /// Takes `samples` out of the budget until the charge is dropped.
    pub(crate) fn hold(&self, samples: usize) -> Result<Charge<'_>, QueryError> {
        let mut charge = self.charge();
        charge.add(samples)?;
        Ok(charge)
    }

    /// A charge of nothing yet.
    pub(crate) fn charge(&self) -> Charge<'_> {
        Charge {
            limits: self,
            samples: 0,
            bytes: 0,
        }
    }

    /// Fails when `samples` more would not fit, without taking them.
    pub(crate) fn fits(&self, samples: usize) -> Result<(), QueryError> {
        self.hold(samples).map(drop)
    }

    /// Counts series that were selected, and the memory they take until the query ends.
    pub(crate) fn selected(&self, series: usize) -> Result<(), QueryError> {
        self.progress.count_series(series as u64);
        let bytes = series.saturating_mul(SELECTED_BYTES);
        self.can_fit(bytes)?;
        self.take_bytes(bytes)
    }

    /// Fails when so many bytes can never fit.
    fn can_fit(&self, bytes: usize) -> Result<(), QueryError> {
        if self.max_bytes > 0 && bytes > self.max_bytes {
            return Err(QueryError::QueryMemory(self.max_bytes));
        }
        if bytes > usize::MAX / 4 {
            return Err(QueryError::AllQueriesMemory);
        }
        Ok(())
    }

    fn take_bytes(&self, bytes: usize) -> Result<(), QueryError> {
        let held = self.progress.take_bytes(bytes);
        if self.max_bytes > 0 && held > self.max_bytes {
            return Err(QueryError::QueryMemory(self.max_bytes));
        }
        if !self.reservation.cover(held) {
            return Err(QueryError::AllQueriesMemory);
        }
        Ok(())
    }

    /// Counts samples used by steps, for the statistics.
    pub(crate) fn count_read(&self, samples: u64) {
        self.progress.count_samples(samples);
    }

    /// Takes samples back that were counted since `samples_read` answered `before`.
    pub(crate) fn forget_read(&self, before: u64) {
        self.progress.set_samples(before);
    }

    /// Samples used by steps so far.
    pub(crate) fn samples_read(&self) -> u64 {
        self.progress.samples_read()
    }

    /// Most samples held at one time so far.
    pub(crate) fn peak_samples(&self) -> u64 {
        self.peak.load(Ordering::Relaxed) as u64
    }
}

/// Samples taken out of the budget; given back on drop.
#[derive(Debug)]
pub(crate) struct Charge<'q> {
    limits: &'q Limits,
    samples: usize,
    bytes: usize,
}

impl Charge<'_> {
    /// Takes more.
    pub(crate) fn add(&mut self, samples: usize) -> Result<(), QueryError> {
        let limits = self.limits;
        if samples > limits.max_samples {
            return Err(QueryError::TooManySamples(EXECUTION));
        }
        let held = limits.held.fetch_add(samples, Ordering::Relaxed) + samples;
        self.samples += samples;
        if held > limits.max_samples {
            return Err(QueryError::TooManySamples(EXECUTION));
        }
        limits.peak.fetch_max(held, Ordering::Relaxed);
        self.add_bytes(samples.saturating_mul(SAMPLE_BYTES))
    }

    /// Takes bytes that are no samples.
    pub(crate) fn add_bytes(&mut self, bytes: usize) -> Result<(), QueryError> {
        self.limits.can_fit(bytes)?;
        // Even when it fails they are taken until the charge is dropped.
        self.bytes += bytes;
        self.limits.take_bytes(bytes)
    }

    /// Takes the samples of a series, and its labels.
    pub(crate) fn add_series(&mut self, series: &Series) -> Result<(), QueryError> {
        self.add_bytes(series_bytes(series))?;
        self.add(series.samples())
    }

    /// Changes what is taken to these series.
    pub(crate) fn set_series(&mut self, series: &[Series]) -> Result<(), QueryError> {
        self.release();
        self.add_bytes(series.iter().map(series_bytes).sum())?;
        self.add(series.iter().map(Series::samples).sum())
    }

    /// Changes what is taken to `samples`.
    pub(crate) fn set(&mut self, samples: usize) -> Result<(), QueryError> {
        self.release();
        self.add(samples)
    }

    fn release(&mut self) {
        self.limits.held.fetch_sub(self.samples, Ordering::Relaxed);
        self.samples = 0;
        self.limits.progress.give_bytes(self.bytes);
        self.bytes = 0;
    }
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        self.release();
    }
}

/// Bytes of a series beside its samples.
fn series_bytes(series: &Series) -> usize {
    size_of::<Series>() + series.labels.heap_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_one_query_and_of_all() {
        let pool = Arc::new(MemoryPool::new(1 << 20));
        let limits = |max| {
            Limits::new(usize::MAX, 1000, CancelToken::default()).with_memory(
                max,
                pool.clone(),
                QueryProgress::default(),
            )
        };
        let small = limits(1600);
        let held = small.hold(100).unwrap();
        assert!(matches!(small.hold(1), Err(QueryError::QueryMemory(1600))));
        assert!(matches!(
            small.charge().add_bytes(1),
            Err(QueryError::QueryMemory(_))
        ));
        assert!(small.selected(1).is_err());
        drop(held);
        // The list of selected series stays.
        assert_eq!(small.progress.bytes(), SELECTED_BYTES);
        assert!(small.hold(90).is_ok());

        drop(small);
        let (a, b) = (limits(0), limits(0));
        let held = a.hold(60_000).unwrap();
        assert!(matches!(b.hold(10_000), Err(QueryError::AllQueriesMemory)));
        drop(held);
        let reservation = a.into_reservation(1000);
        assert!(b.hold(60_000).is_ok());
        assert_eq!(reservation.bytes(), 1000);
        drop((reservation, b));
        assert_eq!(pool.used(), 0);
    }

    #[test]
    fn charges_come_back() {
        let limits = Limits::new(10, 1000, CancelToken::default());
        let mut a = limits.hold(6).unwrap();
        assert!(limits.hold(5).is_err());
        assert!(limits.fits(4).is_ok());
        a.set(10).unwrap();
        assert!(a.add(1).is_err());
        drop(a);
        assert!(limits.hold(10).is_ok());
        assert!(limits.hold(usize::MAX).is_err());
        assert_eq!(limits.peak_samples(), 10);
    }

    #[test]
    fn stops() {
        let cancel = CancelToken::default();
        let limits = Limits::new(10, 1_000_000, cancel.clone());
        assert!(limits.check().is_ok());
        cancel.cancel();
        assert!(matches!(limits.check(), Err(QueryError::Canceled(_))));
        let limits = Limits::new(10, 0, CancelToken::default());
        assert!(matches!(limits.check(), Err(QueryError::Timeout(_))));
        let limits = Limits::new(10, u64::MAX, CancelToken::default());
        assert!(limits.check().is_ok());
    }
}
