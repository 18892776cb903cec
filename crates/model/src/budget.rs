//! One budget of memory for the whole process: who holds how much, and what is refused when there
//! is little left.

use std::sync::atomic::{AtomicU64, Ordering};

/// Who takes memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryOwner {
    /// Series and samples that no block has yet.
    Head,
    /// Bodies of requests.
    Bodies,
    /// Write requests being taken apart and stored.
    Writes,
    /// Queries being evaluated.
    Queries,
    /// Caches that can be dropped at any time.
    Caches,
}

impl MemoryOwner {
    /// All owners, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::Head,
        Self::Bodies,
        Self::Writes,
        Self::Queries,
        Self::Caches,
    ];

    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Bodies => "bodies",
            Self::Writes => "writes",
            Self::Queries => "queries",
            Self::Caches => "caches",
        }
    }
}

/// Share of the limit, in percent, above which no new series are taken.
const NO_NEW_SERIES: u64 = 90;

/// The same for all writes.
const NO_WRITES: u64 = 97;

/// A budget. What is in use is what the operating system last measured and what has come since, by
/// estimate; without a measurement it is the sum of what the owners say.
#[derive(Debug, Default)]
pub struct MemoryBudget {
    /// 0 for none.
    limit: AtomicU64,
    measured: AtomicU64,
    /// Estimated growth since the measurement.
    grown: AtomicU64,
    owners: [AtomicU64; MemoryOwner::ALL.len()],
    refused_series: AtomicU64,
    refused_writes: AtomicU64,
}

impl MemoryBudget {
    /// A budget of so many bytes; 0 for no limit.
    pub fn new(limit: u64) -> Self {
        Self {
            limit: AtomicU64::new(limit),
            ..Self::default()
        }
    }

    /// The limit in bytes; 0 for none.
    pub fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Sets another limit; 0 for none.
    pub fn set_limit(&self, bytes: u64) {
        self.limit.store(bytes, Ordering::Relaxed);
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        let measured = self.measured.load(Ordering::Relaxed);
        let base = match measured {
            0 => self.owners.iter().map(|o| o.load(Ordering::Relaxed)).sum(),
            measured => measured,
        };
        base.saturating_add(self.grown.load(Ordering::Relaxed))
    }

    /// The process holds so many bytes, as the operating system counts.
    pub fn measured(&self, bytes: u64) {
        self.measured.store(bytes, Ordering::Relaxed);
        self.grown.store(0, Ordering::Relaxed);
    }

    /// About so many bytes were taken that no measurement has seen.
    pub fn grow(&self, bytes: u64) {
        if self.limit() > 0 {
            self.grown.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    fn of(&self, owner: MemoryOwner) -> Option<&AtomicU64> {
        self.owners.get(owner as usize)
    }

    /// An owner took so many bytes.
    pub fn take(&self, owner: MemoryOwner, bytes: u64) {
        if let Some(held) = self.of(owner) {
            held.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// An owner gave so many bytes back.
    pub fn give_back(&self, owner: MemoryOwner, bytes: u64) {
        if let Some(held) = self.of(owner) {
            let less = |held: u64| Some(held.saturating_sub(bytes));
            let _ = held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
    }

    /// An owner holds so many bytes.
    pub fn set(&self, owner: MemoryOwner, bytes: u64) {
        if let Some(held) = self.of(owner) {
            held.store(bytes, Ordering::Relaxed);
        }
    }

    /// What an owner holds.
    pub fn held(&self, owner: MemoryOwner) -> u64 {
        self.of(owner).map_or(0, |o| o.load(Ordering::Relaxed))
    }

    fn is_below(&self, percent: u64) -> bool {
        let limit = self.limit();
        limit == 0 || self.used() < limit / 100 * percent
    }

    /// False when new series must wait; each such answer is counted.
    pub fn takes_new_series(&self) -> bool {
        let takes = self.is_below(NO_NEW_SERIES);
        if !takes {
            self.refused_series.fetch_add(1, Ordering::Relaxed);
        }
        takes
    }

    /// False when all writes must wait; each such answer is counted.
    pub fn takes_writes(&self) -> bool {
        let takes = self.is_below(NO_WRITES);
        if !takes {
            self.refused_writes.fetch_add(1, Ordering::Relaxed);
        }
        takes
    }

    /// Times that a new series, and that a write, was refused.
    pub fn refused(&self) -> (u64, u64) {
        (
            self.refused_series.load(Ordering::Relaxed),
            self.refused_writes.load(Ordering::Relaxed),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_limit_everything_is_taken() {
        let budget = MemoryBudget::new(0);
        budget.measured(u64::MAX);
        budget.grow(5);
        assert!(budget.takes_new_series() && budget.takes_writes());
        assert_eq!(budget.refused(), (0, 0));
    }

    #[test]
    fn new_series_are_refused_before_writes() {
        let budget = MemoryBudget::new(1000);
        budget.measured(899);
        assert!(budget.takes_new_series());
        budget.grow(1);
        assert!(!budget.takes_new_series() && budget.takes_writes());
        budget.measured(970);
        assert!(!budget.takes_new_series() && !budget.takes_writes());
        assert_eq!(budget.refused(), (2, 1));
        budget.measured(100);
        assert!(budget.takes_new_series() && budget.takes_writes());
    }

    #[test]
    fn owners_count_while_nothing_is_measured() {
        let budget = MemoryBudget::new(1000);
        for owner in MemoryOwner::ALL {
            budget.take(owner, 100);
        }
        budget.set(MemoryOwner::Head, 600);
        assert_eq!(budget.used(), 1000);
        budget.give_back(MemoryOwner::Head, 700);
        assert_eq!(budget.held(MemoryOwner::Head), 0);
        assert_eq!(budget.used(), 400);
        for (i, owner) in MemoryOwner::ALL.into_iter().enumerate() {
            assert_eq!(owner as usize, i);
        }
    }
}
