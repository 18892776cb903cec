//! Trouble with the log: counted each time, told once until it is over.

use std::sync::atomic::{AtomicBool, Ordering};

use tsdb_model::StorageError;

use crate::shared::{Shared, count};

/// Whether the last write to the log failed.
#[derive(Debug, Default)]
pub(crate) struct Trouble(AtomicBool);

impl Trouble {
    /// True when it begins.
    fn begin(&self) -> bool {
        !self.0.swap(true, Ordering::Relaxed)
    }

    /// True when it ends.
    fn end(&self) -> bool {
        // Nearly always there is none: no write to memory that others read.
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed)
    }

    /// True while it goes on.
    pub(crate) fn goes_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// Counts a failed write to the log.
    pub(crate) fn write_failed(&self, error: &StorageError) {
        count(&self.counters.writes_failed);
        if self.trouble.begin() {
            tracing::error!(
                error = %error,
                "writing the log failed: nothing is stored until it works again"
            );
        }
    }

    /// A write to the log worked.
    pub(crate) fn write_worked(&self) {
        if self.trouble.end() {
            tracing::info!("writing the log works again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_episode_is_told_once() {
        let trouble = Trouble::default();
        assert!(!trouble.end());
        assert!(trouble.begin() && !trouble.begin() && trouble.goes_on());
        assert!(trouble.end() && !trouble.end() && !trouble.goes_on());
        assert!(trouble.begin());
    }
}
