//! How readers of the store learn that nobody waits for them any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::storage::StorageError;

/// Tells work to stop: asked to from outside, or out of time. Clones share the flag.
#[derive(Debug, Clone, Default)]
pub struct StopToken {
    stopped: Arc<AtomicBool>,
    deadline: Option<Instant>,
}

impl StopToken {
    /// The same flag, and a time at which the work must end.
    #[must_use]
    pub fn until(&self, deadline: Option<Instant>) -> Self {
        Self {
            stopped: Arc::clone(&self.stopped),
            deadline,
        }
    }

    /// Asks the work to stop.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// [`StopToken::stop`] was called.
    pub fn is_asked(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// The time is over.
    pub fn is_late(&self) -> bool {
        self.deadline.is_some_and(|d| Instant::now() >= d)
    }

    /// Fails when it is time to stop, either way.
    pub fn check(&self) -> Result<(), StorageError> {
        if self.is_asked() || self.is_late() {
            return Err(StorageError::Canceled);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn asked_or_late() {
        let token = StopToken::default();
        let timed = token.until(Instant::now().checked_add(Duration::from_secs(1000)));
        assert!(timed.check().is_ok());
        let late = token.until(Some(Instant::now()));
        assert!(late.is_late() && !late.is_asked() && late.check().is_err());
        token.stop();
        assert!(timed.is_asked() && timed.check().is_err());
    }
}
