//! How long jobs take, counted by classes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::stats::DurationStats;

/// Upper ends of the classes are 1, 2, 4, .. seconds; one more for all that is longer.
const CLASSES: usize = 14;

/// Durations so far.
#[derive(Debug, Default)]
pub(crate) struct Durations {
    classes: [AtomicU64; CLASSES],
    count: AtomicU64,
    nanos: AtomicU64,
    last_nanos: AtomicU64,
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Durations {
    pub(crate) fn add(&self, duration: Duration) {
        let end = |class: usize| Duration::from_secs(1 << class);
        let class = (0..CLASSES).find(|class| duration <= end(*class));
        if let Some(class) = class.and_then(|class| self.classes.get(class)) {
            class.fetch_add(1, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos(duration), Ordering::Relaxed);
        self.last_nanos.store(nanos(duration), Ordering::Relaxed);
    }

    /// Seconds that the last one took; 0 before the first.
    pub(crate) fn last_seconds(&self) -> f64 {
        Duration::from_nanos(self.last_nanos.load(Ordering::Relaxed)).as_secs_f64()
    }

    /// All of `several` together.
    pub(crate) fn stats(several: &[&Self]) -> DurationStats {
        let sum = |of: &dyn Fn(&Self) -> u64| several.iter().map(|d| of(d)).sum::<u64>();
        let mut below = 0;
        let buckets = (0..CLASSES).map(|class| {
            below += sum(&|d| {
                let class = d.classes.get(class);
                class.map_or(0, |c| c.load(Ordering::Relaxed))
            });
            ((1u64 << class) as f64, below)
        });
        DurationStats {
            buckets: buckets.collect(),
            count: sum(&|d| d.count.load(Ordering::Relaxed)),
            seconds: Duration::from_nanos(sum(&|d| d.nanos.load(Ordering::Relaxed))).as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_add_up() {
        let (a, b) = (Durations::default(), Durations::default());
        for seconds in [1, 2, 3, 100_000] {
            a.add(Duration::from_secs(seconds));
        }
        b.add(Duration::from_millis(1500));
        let stats = Durations::stats(&[&a, &b]);
        assert_eq!(stats.buckets[..3], [(1.0, 1), (2.0, 3), (4.0, 4)]);
        assert_eq!(stats.buckets[13], (8192.0, 4));
        assert_eq!((stats.count, stats.seconds), (5, 100_007.5));
        assert_eq!((a.last_seconds(), b.last_seconds()), (100_000.0, 1.5));
    }
}
