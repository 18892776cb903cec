//! What one query may use: time, samples in memory, and the patience of whoever asked.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::engine::CancelToken;
use crate::error::QueryError;

const EXECUTION: &str = "query execution";
const EVALUATION: &str = "expression evaluation";

/// Budget, deadline and cancel flag of a running query.
#[derive(Debug)]
pub(crate) struct Limits {
    max_samples: usize,
    held: AtomicUsize,
    peak: AtomicUsize,
    read: AtomicU64,
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
            read: AtomicU64::new(0),
            deadline: Instant::now().checked_add(Duration::from_millis(timeout_ms)),
            cancel,
        }
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
        }
    }

    /// Fails when `samples` more would not fit, without taking them.
    pub(crate) fn fits(&self, samples: usize) -> Result<(), QueryError> {
        self.hold(samples).map(drop)
    }

    /// Counts samples used by steps, for the statistics.
    pub(crate) fn count_read(&self, samples: u64) {
        self.read.fetch_add(samples, Ordering::Relaxed);
    }

    /// Samples used by steps so far.
    pub(crate) fn samples_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
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
        Ok(())
    }

    /// Changes what is taken to `samples`.
    pub(crate) fn set(&mut self, samples: usize) -> Result<(), QueryError> {
        self.release();
        self.add(samples)
    }

    fn release(&mut self) {
        self.limits.held.fetch_sub(self.samples, Ordering::Relaxed);
        self.samples = 0;
    }
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
