//! From the key of a series, a hash of its labels as sent, to its handle in the store.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock};

use hashbrown::HashTable;
use tsdb_model::SeriesRef;
use tsdb_wire::remote::{SeriesEntry, SeriesKey};

/// Parts of the cache, each with a lock of its own, so that one that grows holds up little.
const SHARDS: usize = 16;

/// Entries not used for so many minutes are dropped when a part has doubled.
const KEEP_MINUTES: u32 = 180;

/// Entries that a part may have before anything is dropped.
const MIN_SWEEP: usize = 1024;

/// 96 bits of the key; the other bits chose the part, or are not needed.
struct Entry {
    low: u64,
    high: u32,
    /// Minute it was used last.
    used: AtomicU32,
    series: SeriesRef,
}

struct Shard {
    table: HashTable<Entry>,
    /// Length at which old entries are looked for.
    sweep_at: usize,
}

/// The cache. A handle in it may have become meaningless; the store says so when it is used.
pub(super) struct SeriesCache(Vec<RwLock<Shard>>);

impl std::fmt::Debug for SeriesCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SeriesCache")
            .field("len", &self.len())
            .finish()
    }
}

fn parts(key: SeriesKey) -> (usize, u64, u32) {
    let shard = (key.0 >> 124) as usize % SHARDS;
    (shard, key.0 as u64, (key.0 >> 64) as u32)
}

impl SeriesCache {
    pub(super) fn new() -> Self {
        let shard = || {
            RwLock::new(Shard {
                table: HashTable::new(),
                sweep_at: MIN_SWEEP,
            })
        };
        Self((0..SHARDS).map(|_| shard()).collect())
    }

    pub(super) fn len(&self) -> usize {
        let len = |s: &RwLock<Shard>| {
            let shard = s.read().unwrap_or_else(PoisonError::into_inner);
            shard.table.len()
        };
        self.0.iter().map(len).sum()
    }

    /// Appends the handle of each series, `None` where it is not known.
    pub(super) fn find(
        &self,
        series: &[SeriesEntry],
        handles: &mut Vec<Option<SeriesRef>>,
        minute: u32,
    ) {
        let shards: Vec<_> = self
            .0
            .iter()
            .map(|s| s.read().unwrap_or_else(PoisonError::into_inner))
            .collect();
        handles.extend(series.iter().map(|s| {
            let (shard, low, high) = parts(s.key?);
            let table = &shards.get(shard)?.table;
            let entry = table.find(low, |e| e.low == low && e.high == high)?;
            if entry.used.load(Ordering::Relaxed) != minute {
                entry.used.store(minute, Ordering::Relaxed);
            }
            Some(entry.series)
        }));
    }

    /// Remembers series. `live` is asked for the number of series in the store when there seem to
    /// be too many entries.
    pub(super) fn insert(
        &self,
        made: &[(SeriesKey, SeriesRef)],
        minute: u32,
        live: impl Fn() -> u64,
    ) {
        for (key, series) in made {
            let (shard, low, high) = parts(*key);
            let Some(shard) = self.0.get(shard) else {
                continue;
            };
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            let Shard { table, sweep_at } = &mut *shard;
            if table.len() >= *sweep_at {
                let oldest = minute.saturating_sub(KEEP_MINUTES);
                table.retain(|e| e.used.load(Ordering::Relaxed) >= oldest);
                // One series may be sent in many spellings, but hardly all of them in more than
                // a few.
                let most = usize::try_from(live()).unwrap_or(usize::MAX) / SHARDS * 4;
                if table.len() > most.max(4 * MIN_SWEEP) {
                    table.clear();
                }
                *sweep_at = (table.len() * 2).max(MIN_SWEEP);
            }
            let same = |e: &Entry| e.low == low && e.high == high;
            match table.find_mut(low, same) {
                Some(entry) => {
                    entry.series = *series;
                    entry.used = AtomicU32::new(minute);
                }
                None => {
                    let entry = Entry {
                        low,
                        high,
                        used: AtomicU32::new(minute),
                        series: *series,
                    };
                    table.insert_unique(low, entry, |e| e.low);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tsdb_wire::remote::{KeyHasher, WriteRequest, WriteVersion};

    use super::*;

    /// A series entry with some key.
    fn entry() -> SeriesEntry {
        let mut request = WriteRequest::new();
        request
            .read_plain(WriteVersion::V1, &[0x0a, 0], &KeyHasher::new())
            .unwrap();
        request.series[0]
    }

    fn with_key(n: u64) -> SeriesEntry {
        // Spread over the parts like a hash.
        let wide = u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let mut series = entry();
        series.key = Some(SeriesKey(wide));
        series
    }

    fn pair(n: u64) -> (SeriesKey, SeriesRef) {
        (with_key(n).key.unwrap(), SeriesRef(n))
    }

    fn find(cache: &SeriesCache, n: u64, minute: u32) -> Option<SeriesRef> {
        let mut handles = Vec::new();
        cache.find(&[with_key(n)], &mut handles, minute);
        handles[0]
    }

    #[test]
    fn finds_what_was_put_in_last() {
        let cache = SeriesCache::new();
        let all: Vec<_> = (0..10_000).map(pair).collect();
        cache.insert(&all, 0, || 10_000);
        assert_eq!(cache.len(), 10_000);
        for n in [0, 1, 5000, 9999] {
            assert_eq!(find(&cache, n, 0), Some(SeriesRef(n)));
        }
        assert_eq!(find(&cache, 10_000, 0), None);
        let mut handles = Vec::new();
        let mut without_key = entry();
        without_key.key = None;
        cache.find(&[without_key], &mut handles, 0);
        assert_eq!(handles, [None]);
        cache.insert(&[(pair(5).0, SeriesRef(77))], 0, || 0);
        assert_eq!(find(&cache, 5, 0), Some(SeriesRef(77)));
        assert_eq!(cache.len(), 10_000);
    }

    #[test]
    fn entries_that_nobody_uses_go() {
        let cache = SeriesCache::new();
        let old: Vec<_> = (0..10_000).map(pair).collect();
        cache.insert(&old, 0, || 1_000_000);
        assert_eq!(find(&cache, 3, 500), Some(SeriesRef(3)));
        let new: Vec<_> = (10_000..40_000).map(pair).collect();
        cache.insert(&new, 600, || 1_000_000);
        assert_eq!(cache.len(), 30_001);
        assert_eq!(find(&cache, 3, 600), Some(SeriesRef(3)));
        // Many spellings of few series do not grow without end.
        let spellings: Vec<_> = (40_000..1_000_000).map(pair).collect();
        cache.insert(&spellings, 600, || 10);
        assert!(cache.len() <= SHARDS * 8 * MIN_SWEEP, "{}", cache.len());
    }
}
