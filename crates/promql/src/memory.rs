//! Memory that queries may take: one budget for all of them together, and what one query has taken
//! of it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Bytes a query takes out of the common budget at a time.
const GRANULE: usize = 256 << 10;

/// The bytes that all queries together may hold.
#[derive(Debug, Default)]
pub struct MemoryPool {
    limit: usize, // 0 for none
    used: AtomicUsize,
}

impl MemoryPool {
    /// A budget of so many bytes; 0 for no limit.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            used: AtomicUsize::new(0),
        }
    }

    /// Bytes taken at present.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// The budget; 0 for none.
    pub fn limit(&self) -> usize {
        self.limit
    }

    fn take(&self, bytes: usize) -> bool {
        let taken = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                let sum = used.checked_add(bytes)?;
                (self.limit == 0 || sum <= self.limit).then_some(sum)
            });
        taken.is_ok()
    }

    fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Bytes taken out of a [`MemoryPool`]; given back on drop.
#[derive(Debug, Default)]
pub struct Reservation {
    pool: Arc<MemoryPool>,
    covered: AtomicUsize,
    changing: Mutex<()>,
}

impl Reservation {
    /// Nothing yet.
    pub fn new(pool: Arc<MemoryPool>) -> Self {
        Self {
            pool,
            covered: AtomicUsize::new(0),
            changing: Mutex::default(),
        }
    }

    /// Makes sure that at least `bytes` are taken; false when there are not so many.
    pub fn cover(&self, bytes: usize) -> bool {
        if bytes <= self.covered.load(Ordering::Relaxed) {
            return true;
        }
        let _guard = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let covered = self.covered.load(Ordering::Relaxed);
        let missing = bytes.saturating_sub(covered);
        if missing == 0 {
            return true;
        }
        // The last bytes of the budget are given out one by one.
        let rounded = missing.checked_next_multiple_of(GRANULE).unwrap_or(missing);
        for wanted in [rounded, missing] {
            if self.pool.take(wanted) {
                self.covered.store(covered + wanted, Ordering::Relaxed);
                return true;
            }
        }
        false
    }

    /// Gives back what is above `bytes`.
    pub fn shrink(&self, bytes: usize) {
        let _guard = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let covered = self.covered.load(Ordering::Relaxed);
        if bytes < covered {
            self.covered.store(bytes, Ordering::Relaxed);
            self.pool.give(covered - bytes);
        }
    }

    /// Bytes taken.
    pub fn bytes(&self) -> usize {
        self.covered.load(Ordering::Relaxed)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

/// How far a query has come; may be looked at while it runs. Clones share the numbers.
#[derive(Debug, Clone, Default)]
pub struct QueryProgress(Arc<Progress>);

#[derive(Debug, Default)]
struct Progress {
    samples: AtomicU64,
    bytes: AtomicUsize,
    peak_bytes: AtomicUsize,
    series: AtomicU64,
    cpu_ns: AtomicU64,
}

impl QueryProgress {
    /// Samples read so far, each counted once per step that uses it.
    pub fn samples_read(&self) -> u64 {
        self.0.samples.load(Ordering::Relaxed)
    }

    /// Bytes held at present.
    pub fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Most bytes held at one time so far.
    pub fn peak_bytes(&self) -> usize {
        self.0.peak_bytes.load(Ordering::Relaxed)
    }

    /// Series selected so far.
    pub fn series(&self) -> u64 {
        self.0.series.load(Ordering::Relaxed)
    }

    /// Seconds of processor time that threads of the query have used and reported so far.
    pub fn cpu_seconds(&self) -> f64 {
        Duration::from_nanos(self.0.cpu_ns.load(Ordering::Relaxed)).as_secs_f64()
    }

    /// Counts what the calling thread uses until the guard is dropped.
    pub(crate) fn count_cpu(&self) -> CpuGuard<'_> {
        CpuGuard {
            progress: self,
            before: thread_cpu(),
        }
    }

    pub(crate) fn count_samples(&self, samples: u64) {
        self.0.samples.fetch_add(samples, Ordering::Relaxed);
    }

    pub(crate) fn set_samples(&self, samples: u64) {
        self.0.samples.store(samples, Ordering::Relaxed);
    }

    pub(crate) fn count_series(&self, series: u64) {
        self.0.series.fetch_add(series, Ordering::Relaxed);
    }

    /// Takes bytes; answers how many are held now.
    pub(crate) fn take_bytes(&self, bytes: usize) -> usize {
        let held = self.0.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.0.peak_bytes.fetch_max(held, Ordering::Relaxed);
        held
    }

    pub(crate) fn give_bytes(&self, bytes: usize) {
        self.0.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// See [`QueryProgress::count_cpu`].
pub(crate) struct CpuGuard<'a> {
    progress: &'a QueryProgress,
    before: Duration,
}

impl Drop for CpuGuard<'_> {
    fn drop(&mut self) {
        let used = thread_cpu().saturating_sub(self.before).as_nanos();
        let used = u64::try_from(used).unwrap_or(u64::MAX);
        self.progress.0.cpu_ns.fetch_add(used, Ordering::Relaxed);
    }
}

/// Processor time that the calling thread has used.
fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back() {
        let pool = Arc::new(MemoryPool::new(10 * GRANULE + 7));
        let a = Reservation::new(pool.clone());
        assert!(a.cover(1));
        assert_eq!((pool.used(), a.bytes()), (GRANULE, GRANULE));
        let b = Reservation::new(pool.clone());
        assert!(b.cover(9 * GRANULE + 7));
        assert_eq!(pool.used(), pool.limit());
        assert!(!a.cover(GRANULE + 1));
        b.shrink(GRANULE);
        assert!(a.cover(GRANULE + 1));
        assert!(!a.cover(usize::MAX));
        drop((a, b));
        assert_eq!(pool.used(), 0);
        let unlimited = Reservation::new(Arc::default());
        assert!(unlimited.cover(usize::MAX / 2));
    }
}
