//! Which series a line of a page stands for, and which series were there last time.
//!
//! Lines are known by a 128-bit hash of their series text, so that a series costs tens of bytes
//! here, not the length of its text. The hash is seeded at random: a page cannot be made to
//! collide, and would only ever mix up its own series. Pages repeat their order, so each slot
//! remembers which slot came after it; the table is asked only where the order changed.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};

use hashbrown::HashTable;
use tsdb_model::SeriesRef;
use twox_hash::XxHash3_128;

/// Identity of a line's series text within one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key([u64; 2]);

/// Position of a slot; valid until [`SeriesCache::end`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotId(u32);

const NONE: u32 = u32::MAX;

/// What [`Slot::state`] holds below the generation.
const DROPPED: u32 = 1;
/// In its generation the series took part in staleness.
const TRACKED: u32 = 2;
/// It did so in the generation before, too.
const WAS_TRACKED: u32 = 4;
const FLAG_BITS: u32 = 3;

#[derive(Debug)]
struct Slot {
    key: Key,
    /// Meaningless when dropped.
    series: SeriesRef,
    /// The slot that followed last time.
    next: u32,
    /// Generation of the last sight, and flags.
    state: u32,
}

impl Slot {
    fn generation(&self) -> u32 {
        self.state >> FLAG_BITS
    }
}

/// The cache of one target.
pub(crate) struct SeriesCache {
    slots: Vec<Slot>,
    index: HashTable<u32>,
    seed: u64,
    /// Counts scrapes, from 2 on, so that a new slot was never seen "last time".
    generation: u32,
    first: u32,
    last: u32,
    /// Slots seen in the last successful scrape.
    live: usize,
    /// Series still tracked whose slots were dropped with the rules that made them.
    orphans: Vec<SeriesRef>,
}

impl SeriesCache {
    pub(crate) fn new() -> Self {
        Self {
            slots: Vec::new(),
            index: HashTable::new(),
            seed: RandomState::new().build_hasher().finish(),
            generation: 1,
            first: NONE,
            last: NONE,
            live: 0,
            orphans: Vec::new(),
        }
    }

    /// The key of a series text; `variant` tells apart equal texts that mean different labels.
    pub(crate) fn key(&self, text: &[u8], variant: u8) -> Key {
        let seed = self.seed ^ u64::from(variant);
        let hash = XxHash3_128::oneshot_with_seed(seed, text);
        Key([hash as u64, (hash >> 64) as u64])
    }

    /// Starts a scrape.
    pub(crate) fn begin(&mut self) {
        self.advance();
        self.last = NONE;
    }

    fn advance(&mut self) {
        self.generation += 1;
        if self.generation > u32::MAX >> FLAG_BITS {
            // After half a billion scrapes: forget everything rather than mistake old for new.
            let seed = self.seed;
            *self = Self::new();
            self.seed = seed;
            self.generation += 1;
        }
    }

    /// The slot of the next line.
    pub(crate) fn find(&mut self, key: Key) -> Option<SlotId> {
        let predicted = match self.slots.get(self.last as usize) {
            Some(last) => last.next,
            None => self.first,
        };
        if let Some(slot) = self.slots.get(predicted as usize)
            && slot.key == key
        {
            self.last = predicted;
            return Some(SlotId(predicted));
        }
        let slots = &self.slots;
        let found = self.index.find(key.0[0], |i| slots[*i as usize].key == key);
        let found = *found?;
        self.follow(found);
        Some(SlotId(found))
    }

    fn follow(&mut self, slot: u32) {
        match self.slots.get_mut(self.last as usize) {
            Some(last) => last.next = slot,
            None => self.first = slot,
        }
        self.last = slot;
    }

    /// Remembers a line not found; `None` when relabelling drops it.
    pub(crate) fn insert(&mut self, key: Key, series: Option<SeriesRef>) -> SlotId {
        let id = self.slots.len() as u32;
        self.slots.push(Slot {
            key,
            series: series.unwrap_or(SeriesRef(0)),
            next: NONE,
            state: if series.is_none() { DROPPED } else { 0 },
        });
        let slots = &self.slots;
        self.index
            .insert_unique(key.0[0], id, |i| slots[*i as usize].key.0[0]);
        self.follow(id);
        SlotId(id)
    }

    /// The series of a slot; `None` when relabelling drops it.
    pub(crate) fn series(&self, id: SlotId) -> Option<SeriesRef> {
        let slot = &self.slots[id.0 as usize];
        (slot.state & DROPPED == 0).then_some(slot.series)
    }

    /// Gives a slot the handle that the store now uses for its series.
    pub(crate) fn set_series(&mut self, id: SlotId, series: SeriesRef) {
        self.slots[id.0 as usize].series = series;
    }

    /// Notes that the line is in this scrape, `tracked` when the end of its series shall be
    /// marked. False when it was there already.
    pub(crate) fn see(&mut self, id: SlotId, tracked: bool) -> bool {
        let generation = self.generation;
        let slot = &mut self.slots[id.0 as usize];
        let first = slot.generation() != generation;
        if first {
            let was = slot.generation() + 1 == generation && slot.state & TRACKED != 0;
            slot.state = generation << FLAG_BITS
                | (slot.state & DROPPED)
                | if was { WAS_TRACKED } else { 0 };
        }
        if tracked {
            slot.state |= TRACKED;
        }
        first
    }

    /// The series to be marked as ended: those tracked last time and not in this scrape.
    pub(crate) fn vanished(&self) -> Vec<SeriesRef> {
        let now = self.generation;
        let mut gone: Vec<SeriesRef> =
            self.tracked_before(|s| s.generation() != now || s.state & TRACKED == 0);
        if !gone.is_empty() {
            // The same series may be there in other words.
            let here: HashSet<SeriesRef> = self
                .slots
                .iter()
                .filter(|s| s.generation() == now && s.state & TRACKED != 0)
                .map(|s| s.series)
                .collect();
            gone.retain(|series| !here.contains(series));
        }
        gone
    }

    /// All series tracked last time, whether or not they are in this scrape.
    pub(crate) fn tracked_last_time(&self) -> Vec<SeriesRef> {
        self.tracked_before(|_| true)
    }

    fn tracked_before(&self, also: impl Fn(&Slot) -> bool) -> Vec<SeriesRef> {
        let now = self.generation;
        let before = |s: &Slot| {
            s.state & DROPPED == 0
                && if s.generation() == now {
                    s.state & WAS_TRACKED != 0
                } else {
                    s.generation() + 1 == now && s.state & TRACKED != 0
                }
        };
        let slots = self.slots.iter().filter(|s| before(s) && also(s));
        let mut all: Vec<_> = slots.map(|s| s.series).collect();
        all.extend(&self.orphans);
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Ends a successful scrape; forgets lines that are no longer there once they are many.
    pub(crate) fn end(&mut self) {
        self.orphans = Vec::new();
        let now = self.generation;
        self.live = self.slots.iter().filter(|s| s.generation() == now).count();
        if self.slots.len() - self.live > self.live / 2 + 64 {
            self.flush();
        }
    }

    /// Ends a failed scrape, whose series count as ended. True when lines had to be forgotten
    /// because failing scrapes brought more and more of them.
    pub(crate) fn end_failed(&mut self) -> bool {
        self.orphans = Vec::new();
        let flush = self.slots.len() > 2 * self.live + 1000;
        if flush {
            self.flush();
        }
        self.advance(); // what this scrape saw does not count as seen
        flush
    }

    /// Ends a scrape that could not be committed: what was tracked stays tracked.
    pub(crate) fn end_uncommitted(&mut self) {
        let now = self.generation;
        for slot in &mut self.slots {
            let was = if slot.generation() == now {
                slot.state & WAS_TRACKED != 0
            } else {
                slot.generation() + 1 == now && slot.state & TRACKED != 0
            };
            let dropped = slot.state & DROPPED;
            slot.state = if was {
                now << FLAG_BITS | dropped | TRACKED
            } else {
                dropped
            };
        }
    }

    /// Forgets what lines mean, because the rules changed, but not which series were there.
    pub(crate) fn forget_meanings(&mut self) {
        self.advance();
        self.orphans = self.tracked_last_time();
        self.slots = Vec::new();
        self.index = HashTable::new();
        self.first = NONE;
        self.last = NONE;
        self.live = 0;
    }

    /// Keeps only the slots seen in this generation.
    fn flush(&mut self) {
        let now = self.generation;
        let mut moved = vec![NONE; self.slots.len()];
        let mut kept = 0;
        for (old, slot) in self.slots.iter().enumerate() {
            if slot.generation() == now {
                moved[old] = kept;
                kept += 1;
            }
        }
        let follow = |i: u32| moved.get(i as usize).copied().unwrap_or(NONE);
        self.first = follow(self.first);
        self.last = NONE;
        self.slots.retain(|s| s.generation() == now);
        self.slots.shrink_to_fit();
        self.index = HashTable::with_capacity(self.slots.len());
        let slots = &mut self.slots;
        for slot in slots.iter_mut() {
            slot.next = follow(slot.next);
        }
        for (i, slot) in slots.iter().enumerate() {
            self.index
                .insert_unique(slot.key.0[0], i as u32, |i| slots[*i as usize].key.0[0]);
        }
    }
}

#[cfg(test)]
mod tests;
