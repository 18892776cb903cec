//! When a target is scraped: at a fixed phase of its interval, the same over restarts, different
//! for each target and each server.

use tsdb_model::Labels;
use twox_hash::XxHash64;

/// A target's first scrape comes within this time, milliseconds, even if its phase does not: a
/// fresh server shows data at once. Prometheus waits for the phase, after five seconds.
pub(crate) const FIRST_SCRAPE_MS: i64 = 1000;

/// Seed from the server's name and the external labels: FNV-1a, 64 bits.
pub(crate) fn server_seed<'a>(
    hostname: &str,
    external_labels: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |text: &str| {
        for byte in text.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    };
    add(hostname);
    for (name, value) in external_labels {
        add(name);
        add(value);
    }
    hash
}

/// Hash of a target: its labels and URL.
pub(crate) fn target_hash(labels: &Labels, url: &str) -> u64 {
    XxHash64::oneshot(labels.stable_hash(), url.as_bytes())
}

/// The ticks of one target: `t = phase (mod interval)`, milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schedule {
    interval_ms: i64,
    phase_ms: i64,
}

impl Schedule {
    /// `interval_ms` below 1 counts as 1.
    pub(crate) fn new(interval_ms: i64, target_hash: u64, server_seed: u64) -> Self {
        let interval_ms = interval_ms.max(1);
        let phase_ms = ((target_hash ^ server_seed) % interval_ms as u64) as i64;
        Self {
            interval_ms,
            phase_ms,
        }
    }

    /// Time between ticks, milliseconds.
    pub(crate) fn interval_ms(self) -> i64 {
        self.interval_ms
    }

    /// The last tick at or before `t_ms`.
    fn tick_at_or_before(self, t_ms: i64) -> i64 {
        t_ms - (t_ms - self.phase_ms).rem_euclid(self.interval_ms)
    }

    /// When a target that appears at `now_ms` is scraped first.
    pub(crate) fn first(self, now_ms: i64) -> i64 {
        let soon = FIRST_SCRAPE_MS.min(self.interval_ms);
        let tick = self.tick_at_or_before(now_ms - 1) + self.interval_ms;
        if tick - now_ms <= soon {
            return tick;
        }
        now_ms + self.phase_ms * soon / self.interval_ms
    }

    /// The scrape after the one that was due at `last_ms`, at `now_ms`. When a tick was missed
    /// because the scrape took long, one is made up for at once, the others are skipped. Also
    /// right when the clock was set meanwhile.
    pub(crate) fn next(self, last_ms: i64, now_ms: i64) -> i64 {
        if now_ms < last_ms.saturating_sub(self.interval_ms) {
            return self.tick_at_or_before(now_ms) + self.interval_ms;
        }
        let following = self.tick_at_or_before(last_ms) + self.interval_ms;
        if following <= now_ms {
            self.tick_at_or_before(now_ms)
        } else {
            following
        }
    }

    /// The timestamp of a scrape that was due at `due_ms` and starts at `now_ms`: the due time
    /// when it is not missed by more than 2 ms or 1 % of the interval, because equal distances
    /// compress better.
    pub(crate) fn timestamp(self, due_ms: i64, now_ms: i64) -> i64 {
        let tolerance = (self.interval_ms / 100).min(2);
        if (now_ms - due_ms).abs() <= tolerance {
            due_ms
        } else {
            now_ms
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Schedule = Schedule {
        interval_ms: 15_000,
        phase_ms: 4_000,
    };

    #[test]
    fn first_scrape_is_soon_and_on_phase_when_that_is_near() {
        assert_eq!(SCHEDULE.first(3_500), 4_000);
        assert_eq!(SCHEDULE.first(4_000), 4_000);
        assert_eq!(SCHEDULE.first(4_001), 4_001 + 266);
        for now in 0..40_000 {
            let first = SCHEDULE.first(now);
            assert!((now..=now + FIRST_SCRAPE_MS).contains(&first));
        }
    }

    #[test]
    fn ticks_follow_at_the_interval() {
        assert_eq!(SCHEDULE.next(4_000, 4_100), 19_000);
        assert_eq!(SCHEDULE.next(4_267, 4_300), 19_000);
        // Woken up a little early.
        assert_eq!(SCHEDULE.next(4_000, 3_999), 19_000);
    }

    #[test]
    fn one_missed_tick_is_made_up_for() {
        assert_eq!(SCHEDULE.next(4_000, 19_000), 19_000);
        assert_eq!(SCHEDULE.next(4_000, 20_000), 19_000);
        assert_eq!(SCHEDULE.next(19_000, 20_000), 34_000);
        assert_eq!(SCHEDULE.next(4_000, 95_000), 94_000);
    }

    #[test]
    fn clock_set_back_or_forward() {
        assert_eq!(SCHEDULE.next(1_000_004_000, 5_000), 19_000);
        assert_eq!(SCHEDULE.next(4_000, 1_500_000_005_000), 1_500_000_004_000);
    }

    #[test]
    fn timestamps_are_aligned_when_close() {
        assert_eq!(SCHEDULE.timestamp(4_000, 4_002), 4_000);
        assert_eq!(SCHEDULE.timestamp(4_000, 3_999), 4_000);
        assert_eq!(SCHEDULE.timestamp(4_000, 4_003), 4_003);
        let fast = Schedule::new(100, 0, 0);
        assert_eq!(fast.timestamp(100, 101), 100);
        assert_eq!(fast.timestamp(100, 102), 102);
    }

    #[test]
    fn phases_differ_by_target_and_server() {
        let a = Labels::from_pairs([("instance", "a")]);
        let b = Labels::from_pairs([("instance", "b")]);
        let seed = server_seed("host", [("replica", "1")]);
        let phase = |l: &Labels, seed| Schedule::new(60_000, target_hash(l, "u"), seed).phase_ms;
        assert_eq!(phase(&a, seed), phase(&a, seed));
        assert_ne!(phase(&a, seed), phase(&b, seed));
        assert_ne!(
            phase(&a, seed),
            phase(&a, server_seed("host", [("replica", "2")]))
        );
        assert_ne!(server_seed("ab", []), server_seed("a", [("b", "")]));
    }
}
