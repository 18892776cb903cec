//! One series in memory: labels, samples, and what readers and the log need to know about it.

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};

use tsdb_model::HistogramValue;

use super::floats::{FloatSnapshot, Floats, Pool};
use super::histograms::{HistogramEntry, Histograms, size};
use super::pairs::Set;
use super::starts::Starts;

/// A value of either kind.
#[derive(Debug, Clone)]
pub(crate) enum SampleValue {
    Float(f64),
    Histogram(HistogramValue),
}

/// A sample with all that is stored about it.
#[derive(Debug, Clone)]
pub(crate) struct StoredSample {
    pub(crate) t: i64,
    /// Start timestamp, 0 when unknown.
    pub(crate) start: i64,
    pub(crate) value: SampleValue,
}

/// What only few series have.
#[derive(Debug, Default)]
struct Rare {
    histograms: Histograms,
    starts: Starts,
    /// `(commit, time)` of samples that some open querier must not see.
    recent: Vec<(u64, i64)>,
    /// `(cut, time)` of samples that came behind the blocks: number of the cut begun last.
    late: Vec<(u32, i64)>,
    /// What the series was before deletions, for queriers that are older than these.
    past: Vec<Past>,
}

/// A series before a deletion.
#[derive(Debug)]
struct Past {
    /// The deletion's number among the commits.
    commit: u64,
    first_commit: u64,
    range: (i64, i64),
    snapshot: SeriesSnapshot,
    recent: Vec<(u64, i64)>,
}

impl Rare {
    fn is_empty(&self) -> bool {
        self.histograms.is_empty()
            && self.starts.is_empty()
            && self.recent.is_empty()
            && self.late.is_empty()
            && self.past.is_empty()
    }
}

/// A series.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) set: Set,
    /// Number of the last appender that used the series.
    touched: AtomicU64,
    /// Its number in the log.
    pub(crate) log_id: u64,
    /// The segment that has its definition last.
    pub(crate) log_segment: Option<u32>,
    /// The commit that brought its first sample; `None` without samples.
    pub(crate) first_commit: Option<NonZero<u64>>,
    floats: Floats,
    rare: Option<Box<Rare>>,
}

/// What a reader takes along under the lock, to decode later.
#[derive(Debug, Clone, Default)]
pub(crate) struct SeriesSnapshot {
    pub(crate) floats: FloatSnapshot,
    pub(crate) histograms: Vec<HistogramEntry>,
    pub(crate) starts: Starts,
    /// Times of samples the reader must not see, sorted.
    pub(crate) hidden: Vec<i64>,
}

impl Series {
    pub(crate) fn new(set: Set, log_id: u64) -> Self {
        Self {
            set,
            touched: AtomicU64::new(0),
            log_id,
            log_segment: None,
            first_commit: None,
            floats: Floats::default(),
            rare: None,
        }
    }

    /// Remembers that an appender uses the series.
    pub(crate) fn touch(&self, appender: u64) {
        if self.touched.load(Ordering::Relaxed) < appender {
            self.touched.fetch_max(appender, Ordering::Relaxed);
        }
    }

    /// Number of the last appender that used the series.
    pub(crate) fn touched(&self) -> u64 {
        self.touched.load(Ordering::Relaxed)
    }

    /// Reads from all places that storing the next sample needs; the number means nothing.
    pub(crate) fn warm(&self) -> u64 {
        let rare = u64::from(self.rare.is_some());
        self.touched() ^ self.log_id ^ rare ^ self.floats.warm()
    }

    fn histograms(&self) -> Option<&Histograms> {
        self.rare.as_ref().map(|r| &r.histograms)
    }

    /// The newest sample of a series that has floats only, all of them to be seen by everyone.
    pub(crate) fn plain_newest(&self) -> Option<(i64, f64)> {
        if self.rare.is_some() {
            return None;
        }
        self.floats.newest()
    }

    /// Time of the newest sample.
    pub(crate) fn max_t(&self) -> Option<i64> {
        self.floats
            .max_t()
            .max(self.histograms().and_then(Histograms::max_t))
    }

    /// Time of the oldest sample.
    pub(crate) fn min_t(&self) -> Option<i64> {
        let histograms = self.histograms().and_then(Histograms::min_t);
        match (self.floats.min_t(), histograms) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// True when some sample may have `mint <= t <= maxt`.
    pub(crate) fn overlaps(&self, mint: i64, maxt: i64) -> bool {
        self.min_t().is_some_and(|t| t <= maxt) && self.max_t().is_some_and(|t| t >= mint)
    }

    /// Time of the oldest sample from `t` on.
    pub(crate) fn oldest_from(&self, t: i64, pool: &Pool) -> Option<i64> {
        match self.min_t() {
            Some(min_t) if min_t < t => self.next_after(t - 1, pool),
            min_t => min_t,
        }
    }

    /// The histogram that is the newest sample, if it is one.
    pub(crate) fn newest_histogram(&self) -> Option<&HistogramEntry> {
        let newest = self.histograms()?.newest()?;
        (self.floats.max_t() < Some(newest.t)).then_some(newest)
    }

    /// The sample at exactly `t`.
    pub(crate) fn at(&self, t: i64, pool: &Pool) -> Option<SampleValue> {
        if let Some((newest, v)) = self.floats.newest()
            && newest == t
        {
            return Some(SampleValue::Float(v));
        }
        if let Some(h) = self.histograms().and_then(|h| h.at(t)) {
            return Some(SampleValue::Histogram(h.clone()));
        }
        self.floats.at(t, pool).map(SampleValue::Float)
    }

    fn next_after(&self, t: i64, pool: &Pool) -> Option<i64> {
        if self.max_t() <= Some(t) {
            return None;
        }
        let histogram = self.histograms().and_then(|h| h.next_after(t));
        match (self.floats.next_after(t, pool), histogram) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Start timestamp of a sample at `t` when nothing else is said.
    pub(crate) fn start_at(&self, t: i64) -> i64 {
        self.rare.as_ref().map_or(0, |r| r.starts.at(t))
    }

    /// Adds samples in order of time, each time once. `scratch` is memory to work with.
    pub(crate) fn insert(
        &mut self,
        samples: impl Iterator<Item = StoredSample>,
        scratch: &mut Vec<(i64, f64)>,
        pool: &mut Pool,
    ) {
        scratch.clear();
        for sample in samples {
            if sample.start != 0 || self.rare.as_ref().is_some_and(|r| !r.starts.is_empty()) {
                let next = self.next_after(sample.t, pool);
                let rare = self.rare.get_or_insert_default();
                rare.starts.set(sample.t, sample.start, next);
            }
            match sample.value {
                SampleValue::Float(v) => {
                    self.replace_histogram(sample.t, pool);
                    scratch.push((sample.t, v));
                }
                SampleValue::Histogram(h) => {
                    self.replace_histogram(sample.t, pool);
                    if self.floats.max_t() >= Some(sample.t) {
                        self.floats.remove(sample.t, sample.t, &[], pool);
                    }
                    let before = scratch.last().map(|s| s.0);
                    let newest_float = self.floats.max_t().max(before);
                    pool.totals.bytes += size(&h) as u64;
                    let rare = self.rare.get_or_insert_default();
                    rare.histograms.insert(sample.t, h, newest_float);
                }
            }
        }
        self.floats.insert(scratch, pool);
    }

    /// Adds floats in order of time, each time once; see [`super::Head::load`].
    pub(crate) fn load(
        &mut self,
        samples: &[(i64, f64)],
        starts: &[(usize, i64)],
        scratch: &mut Vec<(i64, f64)>,
        pool: &mut Pool,
    ) {
        if self.rare.is_none() && starts.is_empty() {
            self.floats.insert(samples, pool);
            return;
        }
        let mut changes = starts.iter().peekable();
        let mut start = 0;
        let stored = samples.iter().enumerate().map(|(row, (t, v))| {
            while let Some(change) = changes.next_if(|c| c.0 <= row) {
                start = change.1;
            }
            StoredSample {
                t: *t,
                start,
                value: SampleValue::Float(*v),
            }
        });
        self.insert(stored, scratch, pool);
    }

    /// Removes a histogram at exactly `t`: another sample comes in its place.
    fn replace_histogram(&mut self, t: i64, pool: &mut Pool) {
        if let Some(rare) = &mut self.rare
            && rare.histograms.max_t() >= Some(t)
        {
            rare.histograms.remove(t, t, &[], |e| {
                pool.totals.bytes -= size(&e.value) as u64;
            });
        }
    }

    /// Notes that commit `commit` brought the sample at `t`; notes up to commit `horizon` are
    /// needed by nobody any more.
    pub(crate) fn note_recent(&mut self, commit: u64, t: i64) {
        self.rare.get_or_insert_default().recent.push((commit, t));
    }

    /// True when there are notes for readers.
    pub(crate) fn has_recent(&self) -> bool {
        self.rare
            .as_ref()
            .is_some_and(|r| !r.recent.is_empty() || !r.past.is_empty())
    }

    /// True when a reader may need what the series was before a deletion.
    pub(crate) fn has_past(&self) -> bool {
        self.rare.as_ref().is_some_and(|r| !r.past.is_empty())
    }

    /// Notes that the sample at `t` came behind the blocks, when `cut` was the last cut begun.
    pub(crate) fn note_late(&mut self, cut: u32, t: i64) {
        self.rare.get_or_insert_default().late.push((cut, t));
    }

    /// Times of late samples that came while one of these cuts was the last one begun, sorted.
    pub(crate) fn late(&self, cuts: std::ops::Range<u32>) -> Vec<i64> {
        let all = self.rare.as_ref().map_or(&[][..], |r| &r.late);
        let mut times: Vec<i64> = all
            .iter()
            .filter(|l| cuts.contains(&l.0))
            .map(|l| l.1)
            .collect();
        times.sort_unstable();
        times.dedup();
        times
    }

    /// Drops what blocks hold now: everything before `floor` but for what came since cut number
    /// `embodied` began. True when something went.
    pub(crate) fn drop_embodied(&mut self, floor: i64, embodied: u32, pool: &mut Pool) -> bool {
        let Some(last) = floor.checked_sub(1) else {
            return false;
        };
        if self.min_t().is_none_or(|t| t >= floor) {
            return false;
        }
        let except = self.late(embodied..u32::MAX);
        let mut dropped = self.floats.remove(i64::MIN, last, &except, pool);
        if let Some(rare) = &mut self.rare {
            rare.late.retain(|l| l.0 >= embodied);
            rare.histograms.remove(i64::MIN, last, &except, |e| {
                dropped = true;
                pool.totals.bytes -= size(&e.value) as u64;
            });
        }
        self.tidy(floor);
        dropped
    }

    /// Removes the samples with `mint <= t <= maxt`. With `commit`, the deletion's number, readers
    /// of earlier commits go on seeing them.
    pub(crate) fn delete(&mut self, mint: i64, maxt: i64, commit: Option<u64>, pool: &mut Pool) {
        if !self.overlaps(mint, maxt) {
            return;
        }
        if let (Some(commit), Some(first_commit)) = (commit, self.first_commit) {
            let range = (
                self.min_t().unwrap_or(i64::MAX),
                self.max_t().unwrap_or(i64::MIN),
            );
            let rare = self.rare.get_or_insert_default();
            let past = Past {
                commit,
                first_commit: first_commit.get(),
                range,
                snapshot: SeriesSnapshot {
                    floats: self.floats.snapshot(i64::MIN, i64::MAX, pool),
                    histograms: rare.histograms.range(i64::MIN, i64::MAX).to_vec(),
                    starts: rare.starts.clone(),
                    hidden: Vec::new(),
                },
                recent: rare.recent.clone(),
            };
            rare.past.push(past);
        }
        self.floats.remove(mint, maxt, &[], pool);
        if let Some(rare) = &mut self.rare {
            rare.histograms.remove(mint, maxt, &[], |e| {
                pool.totals.bytes -= size(&e.value) as u64;
            });
            rare.late.retain(|l| l.1 < mint || l.1 > maxt);
        }
        self.tidy(i64::MIN);
    }

    /// Forgets start timestamps that no sample from `floor` on, or still there, needs.
    fn tidy(&mut self, floor: i64) {
        let oldest = self.floats.min_t();
        let Some(rare) = &mut self.rare else {
            return;
        };
        let oldest = match (oldest, rare.histograms.min_t()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        match oldest {
            None => rare.starts = Starts::default(),
            Some(oldest) => rare.starts.drop_before(oldest.min(floor)),
        }
        if rare.is_empty() {
            self.rare = None;
        }
    }

    /// True when a reader of commit `commit` may see a sample with `mint <= t <= maxt`.
    pub(crate) fn visible(&self, commit: u64, mint: i64, maxt: i64) -> bool {
        match self.past(commit) {
            Some(past) => {
                past.first_commit <= commit && past.range.0 <= maxt && past.range.1 >= mint
            }
            None => {
                self.first_commit.is_some_and(|c| c.get() <= commit) && self.overlaps(mint, maxt)
            }
        }
    }

    fn past(&self, commit: u64) -> Option<&Past> {
        let past = &self.rare.as_ref()?.past;
        past.iter().find(|p| p.commit > commit)
    }

    /// Forgets notes up to commit `horizon`.
    pub(crate) fn forget_recent(&mut self, horizon: u64) {
        if let Some(rare) = &mut self.rare {
            rare.recent.retain(|r| r.0 > horizon);
            rare.past.retain(|p| p.commit > horizon);
            if rare.is_empty() {
                self.rare = None;
            }
        }
    }

    /// True when [`Self::drop_before`] would drop something.
    pub(crate) fn has_before(&self, floor: i64) -> bool {
        let late = self.rare.as_ref().map_or(&[][..], |r| &r.late);
        late.iter().any(|l| l.1 < floor)
            || self.floats.has_before(floor)
            || self
                .histograms()
                .and_then(Histograms::min_t)
                .is_some_and(|t| t < floor)
    }

    /// Drops float chunks that end before `floor`, and histograms before it.
    pub(crate) fn drop_before(&mut self, floor: i64, pool: &mut Pool) {
        self.floats.drop_before(floor, pool);
        let oldest = self.floats.min_t();
        let Some(rare) = &mut self.rare else {
            return;
        };
        let sizes = |h: &Histograms| -> usize {
            let gone = h.range(i64::MIN, floor.saturating_sub(1));
            gone.iter().map(|e| size(&e.value)).sum()
        };
        if floor > i64::MIN {
            pool.totals.bytes -= sizes(&rare.histograms) as u64;
            rare.histograms.drop_before(floor);
            rare.late.retain(|l| l.1 >= floor);
        }
        if oldest.is_none() && rare.histograms.is_empty() {
            rare.starts = Starts::default();
        } else {
            // A float chunk may reach back beyond the floor.
            rare.starts.drop_before(oldest.unwrap_or(floor).min(floor));
        }
        if rare.is_empty() {
            self.rare = None;
        }
    }

    /// What is needed to read `mint <= t <= maxt` as of commit `commit`.
    pub(crate) fn snapshot(
        &self,
        mint: i64,
        maxt: i64,
        commit: u64,
        pool: &Pool,
    ) -> SeriesSnapshot {
        if let Some(past) = self.past(commit) {
            let mut snapshot = past.snapshot.clone();
            snapshot.histograms.retain(|h| mint <= h.t && h.t <= maxt);
            snapshot.hidden = hidden_from(&past.recent, commit);
            return snapshot;
        }
        let floats = self.floats.snapshot(mint, maxt, pool);
        let Some(rare) = &self.rare else {
            return SeriesSnapshot {
                floats,
                ..SeriesSnapshot::default()
            };
        };
        SeriesSnapshot {
            floats,
            histograms: rare.histograms.range(mint, maxt).to_vec(),
            starts: rare.starts.clone(),
            hidden: hidden_from(&rare.recent, commit),
        }
    }
}

/// Times of samples that a reader of commit `commit` must not see, sorted.
fn hidden_from(recent: &[(u64, i64)], commit: u64) -> Vec<i64> {
    let later = recent.iter().filter(|r| r.0 > commit);
    let mut hidden: Vec<i64> = later.map(|r| r.1).collect();
    hidden.sort_unstable();
    hidden
}
