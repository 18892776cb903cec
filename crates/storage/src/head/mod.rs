//! The head: all series in memory. Everything here happens under the lock of whoever owns it; no
//! I/O.

pub(crate) mod exemplars;
pub(crate) mod floats;
pub(crate) mod histograms;
pub(crate) mod index;
mod open;
mod paged;
mod pairs;
mod postings;
mod sealed;
pub(crate) mod series;
mod slab;
mod starts;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::Arc;

use hashbrown::HashTable;
use tsdb_model::{Exemplar, Labels, Metadata, SeriesRef};

use exemplars::{ExemplarEntry, ExemplarOrder, Exemplars};
use floats::Pool;
use index::Index;
use paged::Paged;
use pairs::Pairs;
use series::{SampleValue, Series, StoredSample};

use crate::view::View;

/// Metric families whose metadata is kept; more are ignored.
const MAX_FAMILIES: usize = 200_000;

/// Series that are fetched together before samples are stored in them.
pub(crate) const WARM: usize = 32;

/// A place for a series. The generation counts the series that had it before, so that their
/// handles do not fit any more.
#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    series: Option<Series>,
}

/// What a commit stores: samples sorted by series, then time, each time of a series once.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) samples: Vec<(SeriesRef, StoredSample)>,
    pub(crate) exemplars: Vec<(SeriesRef, Exemplar)>,
    pub(crate) metadata: Vec<(String, Metadata)>,
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.exemplars.is_empty() && self.metadata.is_empty()
    }

    /// Time of the newest sample or exemplar.
    pub(crate) fn max_t(&self) -> Option<i64> {
        let samples = self.samples.iter().map(|s| s.1.t).max();
        samples.max(self.exemplars.iter().map(|e| e.1.timestamp_ms).max())
    }
}

/// Which samples blocks hold. What is before the floor is in blocks, but for what came since the
/// snapshot of the cut `embodied`; such samples are noted with their series.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cuts {
    /// End of the times that blocks were cut up to.
    pub(crate) floor: i64,
    /// End of the cut that is being written.
    pub(crate) until: i64,
    /// Cuts begun.
    pub(crate) begun: u32,
    /// Number of the last cut that succeeded.
    pub(crate) embodied: u32,
    /// Late samples that no block holds, about.
    pub(crate) late: u64,
}

impl Default for Cuts {
    fn default() -> Self {
        Self {
            floor: i64::MIN,
            until: i64::MIN,
            begun: 0,
            embodied: 0,
            late: 0,
        }
    }
}

/// Counters of the head.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct HeadCounters {
    pub(crate) series_created: u64,
    pub(crate) series_removed: u64,
    pub(crate) float_samples: u64,
    pub(crate) histogram_samples: u64,
    pub(crate) exemplars: u64,
}

/// All series.
#[derive(Debug)]
pub(crate) struct Head {
    slots: Paged<Slot>,
    free: Vec<u32>,
    by_labels: HashTable<u32>,
    pairs: Pairs,
    pub(crate) index: Index,
    pub(crate) exemplars: Exemplars,
    pub(crate) metadata: BTreeMap<String, Metadata>,
    pub(crate) pool: Pool,
    pub(crate) counters: HeadCounters,
    /// Times of the oldest and newest sample.
    pub(crate) min_t: Option<i64>,
    pub(crate) max_t: Option<i64>,
    /// The last commit that is in memory, and the last one that readers may see.
    pub(crate) applied: u64,
    pub(crate) published: u64,
    /// Above all numbers that series ever had in the log.
    pub(crate) next_log_id: u64,
    /// The blocks, and what else queriers see of the disk.
    pub(crate) view: Arc<View>,
    pub(crate) cuts: Cuts,
    scratch: Vec<(i64, f64)>,
}

fn handle(slot: u32, generation: u32) -> SeriesRef {
    SeriesRef(u64::from(generation) << 32 | u64::from(slot))
}

impl Head {
    pub(crate) fn new(max_exemplars: usize) -> Self {
        Self {
            slots: Paged::default(),
            free: Vec::new(),
            by_labels: HashTable::new(),
            pairs: Pairs::default(),
            index: Index::default(),
            exemplars: Exemplars::new(max_exemplars),
            metadata: BTreeMap::new(),
            pool: Pool::default(),
            counters: HeadCounters::default(),
            min_t: None,
            max_t: None,
            applied: 0,
            published: 0,
            next_log_id: 0,
            view: Arc::default(),
            cuts: Cuts::default(),
            scratch: Vec::new(),
        }
    }

    /// Number of slots, used or not.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Series with a handle, those without samples included.
    pub(crate) fn known(&self) -> u64 {
        self.by_labels.len() as u64
    }

    /// The series in a slot.
    pub(crate) fn in_slot(&self, slot: u32) -> Option<&Series> {
        self.slots.get(slot)?.series.as_ref()
    }

    /// The handle of a slot.
    pub(crate) fn handle_of(&self, slot: u32) -> Option<SeriesRef> {
        let entry = self.slots.get(slot)?;
        entry
            .series
            .is_some()
            .then(|| handle(slot, entry.generation))
    }

    pub(crate) fn get(&self, series: SeriesRef) -> Option<&Series> {
        let slot = self.slots.get(series.0 as u32)?;
        if slot.generation != (series.0 >> 32) as u32 {
            return None;
        }
        slot.series.as_ref()
    }

    pub(crate) fn get_mut(&mut self, series: SeriesRef) -> Option<&mut Series> {
        let slot = self.slots.get_mut(series.0 as u32)?;
        if slot.generation != (series.0 >> 32) as u32 {
            return None;
        }
        slot.series.as_mut()
    }

    /// The labels of a series.
    pub(crate) fn labels(&self, series: &Series) -> Labels {
        self.pairs.labels(series.set)
    }

    /// Bytes of names, values and lists of series in memory, about.
    pub(crate) fn index_bytes(&self) -> usize {
        self.index.bytes() + self.pairs.bytes()
    }

    pub(crate) fn find(&self, labels: &Labels) -> Option<SeriesRef> {
        let hash = self.pairs.hash(labels);
        let same = |slot: &u32| {
            let series = self.in_slot(*slot);
            series.is_some_and(|s| self.pairs.is(s.set, labels))
        };
        let slot = *self.by_labels.find(hash, same)?;
        self.handle_of(slot)
    }

    /// Makes a series; its labels must not be there. `log_id` is its number in the log if it has
    /// one. `None` when there are as many series as can be.
    pub(crate) fn create(&mut self, labels: &Labels, log_id: Option<u64>) -> Option<SeriesRef> {
        let log_id = log_id.unwrap_or(self.next_log_id);
        self.next_log_id = self.next_log_id.max(log_id.saturating_add(1));
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                let slot = u32::try_from(self.slots.len()).ok()?;
                self.slots.push(Slot::default());
                slot
            }
        };
        let Some(set) = self.pairs.intern(labels) else {
            self.free.push(slot);
            return None;
        };
        let entry = self.slots.get_mut(slot)?;
        entry.series = Some(Series::new(set, log_id));
        let series = handle(slot, entry.generation);
        let (slots, pairs) = (&self.slots, &self.pairs);
        self.by_labels
            .insert_unique(pairs.hash_of(set), slot, |slot| {
                let series = slots.get(*slot).and_then(|s| s.series.as_ref());
                series.map_or(0, |s| pairs.hash_of(s.set))
            });
        Some(series)
    }

    /// Stores a commit. With `note` its samples are noted, for readers that must not see them yet;
    /// older notes up to commit `horizon` are forgotten.
    pub(crate) fn apply(&mut self, batch: Batch, commit: u64, note: bool, horizon: u64) {
        self.applied = commit;
        let late_below = self.cuts.floor.max(self.cuts.until);
        let mut samples = batch.samples.into_iter();
        let mut warm = 0;
        while let Some((handle, _)) = samples.as_slice().first() {
            let handle = *handle;
            if warm == 0 {
                self.warm(samples.as_slice().iter().take(WARM).map(|s| s.0));
                warm = WARM;
            }
            warm -= 1;
            let Some(series) = self
                .slots
                .get_mut(handle.0 as u32)
                .filter(|s| s.generation == (handle.0 >> 32) as u32)
                .and_then(|s| s.series.as_mut())
            else {
                samples.next();
                continue;
            };
            if series.first_commit.is_none() {
                series.first_commit = NonZero::new(commit);
                let texts = self.pairs.texts(series.set);
                self.index.insert(handle.0 as u32, texts);
                self.counters.series_created += 1;
            }
            if series.has_recent() {
                series.forget_recent(horizon);
            }
            let (mut floats, mut histograms) = (0, 0);
            let (mut times, mut late) = (Vec::new(), Vec::new());
            let (mut min_t, mut max_t) = (i64::MAX, i64::MIN);
            let of_series = std::iter::from_fn(|| {
                samples.as_slice().first().filter(|s| s.0 == handle)?;
                let (_, sample) = samples.next()?;
                match sample.value {
                    SampleValue::Float(_) => floats += 1,
                    SampleValue::Histogram(_) => histograms += 1,
                }
                if note {
                    times.push(sample.t);
                }
                if sample.t < late_below {
                    late.push(sample.t);
                }
                (min_t, max_t) = (min_t.min(sample.t), max_t.max(sample.t));
                Some(sample)
            });
            series.insert(of_series, &mut self.scratch, &mut self.pool);
            for t in times {
                series.note_recent(commit, t);
            }
            self.cuts.late += late.len() as u64;
            for t in late {
                series.note_late(self.cuts.begun, t);
            }
            self.counters.float_samples += floats;
            self.counters.histogram_samples += histograms;
            self.min_t = Some(self.min_t.map_or(min_t, |t| t.min(min_t)));
            self.max_t = Some(self.max_t.map_or(max_t, |t| t.max(max_t)));
        }
        for (handle, exemplar) in batch.exemplars {
            self.push_exemplar(handle, exemplar, commit);
        }
        for (family, metadata) in batch.metadata {
            if self.metadata.len() < MAX_FAMILIES || self.metadata.contains_key(&family) {
                self.metadata.insert(family, metadata);
            }
        }
    }

    /// Stores floats of one series that a segment of the log has, in the order it has them; of
    /// those at one time the last one counts. `(row, start)` in `starts`: the start timestamp from
    /// this row on, 0 at first.
    pub(crate) fn load(
        &mut self,
        handle: SeriesRef,
        samples: &[(i64, f64)],
        starts: &[(usize, i64)],
    ) {
        if !samples.is_sorted_by(|a, b| a.0 < b.0) {
            return self.load_unsorted(handle, samples, starts);
        }
        let late_below = self.cuts.floor.max(self.cuts.until);
        self.applied = self.applied.max(1);
        let commit = self.applied;
        let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
            return;
        };
        let (min_t, max_t) = (first.0, last.0);
        let Some(series) = self
            .slots
            .get_mut(handle.0 as u32)
            .filter(|s| s.generation == (handle.0 >> 32) as u32)
            .and_then(|s| s.series.as_mut())
        else {
            return;
        };
        if series.first_commit.is_none() {
            series.first_commit = NonZero::new(commit);
            let texts = self.pairs.texts(series.set);
            self.index.insert(handle.0 as u32, texts);
            self.counters.series_created += 1;
        }
        series.load(samples, starts, &mut self.scratch, &mut self.pool);
        for (t, _) in samples.iter().take_while(|s| s.0 < late_below) {
            self.cuts.late += 1;
            series.note_late(self.cuts.begun, *t);
        }
        self.counters.float_samples += samples.len() as u64;
        self.min_t = Some(self.min_t.map_or(min_t, |t| t.min(min_t)));
        self.max_t = Some(self.max_t.map_or(max_t, |t| t.max(max_t)));
    }

    fn load_unsorted(
        &mut self,
        handle: SeriesRef,
        samples: &[(i64, f64)],
        starts: &[(usize, i64)],
    ) {
        let mut changes = starts.iter().peekable();
        let mut start = 0;
        let mut all: Vec<(i64, f64, i64)> = Vec::with_capacity(samples.len());
        for (row, (t, v)) in samples.iter().enumerate() {
            while let Some(change) = changes.next_if(|c| c.0 <= row) {
                start = change.1;
            }
            all.push((*t, *v, start));
        }
        // The last one of each time.
        all.reverse();
        all.sort_by_key(|s| s.0);
        all.dedup_by_key(|s| s.0);
        let mut starts = Vec::new();
        let mut start = 0;
        for (row, sample) in all.iter().enumerate() {
            if sample.2 != start {
                starts.push((row, sample.2));
                start = sample.2;
            }
        }
        let samples: Vec<(i64, f64)> = all.into_iter().map(|s| (s.0, s.1)).collect();
        self.load(handle, &samples, &starts);
    }

    /// Fetches what storing a sample in these series needs: they are all over the memory. Loads
    /// that do not wait for each other let the processor fetch several at a time.
    pub(crate) fn warm(&self, series: impl Iterator<Item = SeriesRef>) {
        let known = series.filter_map(|s| self.in_slot(s.0 as u32));
        std::hint::black_box(known.fold(0, |sum, s| sum ^ s.warm()));
    }

    fn push_exemplar(&mut self, series: SeriesRef, exemplar: Exemplar, commit: u64) {
        let newer = self
            .exemplars
            .newest(series)
            .is_none_or(|n| exemplars::order(n, &exemplar) == ExemplarOrder::Newer);
        let Some(series_labels) = self.get(series).map(|s| self.labels(s)) else {
            return;
        };
        if newer {
            self.counters.exemplars += 1;
            self.exemplars.push(ExemplarEntry {
                series,
                series_labels,
                exemplar,
                commit,
            });
        }
    }

    /// True when [`Self::clean_slot`] would do something.
    pub(crate) fn needs_cleaning(&self, slot: u32, floor: i64) -> bool {
        let Some(series) = self.in_slot(slot) else {
            return false;
        };
        series.max_t().is_none() || series.has_recent() || series.has_before(floor)
    }

    /// Drops what a series has before `floor`, and the series when nothing is left of it and no
    /// appender from number `open_appender` on can have its handle. Forgets notes up to commit
    /// `horizon`.
    pub(crate) fn clean_slot(&mut self, slot: u32, floor: i64, open_appender: u64, horizon: u64) {
        let Some(entry) = self.slots.get_mut(slot) else {
            return;
        };
        let Some(series) = entry.series.as_mut() else {
            return;
        };
        series.forget_recent(horizon);
        series.drop_before(floor, &mut self.pool);
        if series.max_t().is_some() || series.has_past() {
            return;
        }
        if series.first_commit.take().is_some() {
            self.index.remove(slot, self.pairs.texts(series.set));
            self.counters.series_removed += 1;
        }
        if series.touched() >= open_appender {
            return;
        }
        let set = series.set;
        let hash = self.pairs.hash_of(set);
        if let Ok(found) = self.by_labels.find_entry(hash, |s| *s == slot) {
            found.remove();
        }
        entry.series = None;
        self.pairs.free(set);
        // The last generation is not given away: the slot rests for ever.
        if let Some(next) = entry.generation.checked_add(1) {
            entry.generation = next;
            self.free.push(slot);
        }
    }

    /// Drops what blocks hold of a series.
    pub(crate) fn drop_embodied(&mut self, slot: u32) {
        let Cuts {
            floor, embodied, ..
        } = self.cuts;
        let entry = self.slots.get_mut(slot);
        if let Some(series) = entry.and_then(|e| e.series.as_mut()) {
            series.drop_embodied(floor, embodied, &mut self.pool);
        }
    }

    /// Removes samples of a series; see [`Series::delete`].
    pub(crate) fn delete(&mut self, slot: u32, mint: i64, maxt: i64, commit: Option<u64>) {
        let entry = self.slots.get_mut(slot);
        if let Some(series) = entry.and_then(|e| e.series.as_mut()) {
            series.delete(mint, maxt, commit, &mut self.pool);
        }
    }

    /// Works out the times of the oldest and newest sample anew.
    pub(crate) fn time_range(&self) -> (Option<i64>, Option<i64>) {
        let series = (0..self.slots() as u32).filter_map(|slot| self.in_slot(slot));
        let mut range = (None, None);
        for s in series {
            range.0 = match (range.0, s.min_t()) {
                (Some(a), Some(b)) => Some(i64::min(a, b)),
                (a, b) => a.or(b),
            };
            range.1 = range.1.max(s.max_t());
        }
        range
    }
}
