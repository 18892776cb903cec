//! One series in memory: labels, samples, and what readers and the log need to know about it.

use std::sync::atomic::{AtomicU64, Ordering};

use tsdb_model::{HistogramValue, Labels};

use super::floats::{ChunkTotals, FloatSnapshot, Floats};
use super::histograms::{HistogramEntry, Histograms, size};
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
}

impl Rare {
    fn is_empty(&self) -> bool {
        self.histograms.is_empty() && self.starts.is_empty() && self.recent.is_empty()
    }
}

/// A series.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    /// Number of the last appender that used the series.
    touched: AtomicU64,
    /// Its number in the log.
    pub(crate) log_id: u64,
    /// The segment that has its definition last.
    pub(crate) log_segment: Option<u32>,
    /// The commit that brought its first sample; `None` without samples.
    pub(crate) first_commit: Option<u64>,
    floats: Floats,
    rare: Option<Box<Rare>>,
}

/// What a reader takes along under the lock, to decode later.
#[derive(Debug, Default)]
pub(crate) struct SeriesSnapshot {
    pub(crate) floats: FloatSnapshot,
    pub(crate) histograms: Vec<HistogramEntry>,
    pub(crate) starts: Starts,
    /// Times of samples the reader must not see, sorted.
    pub(crate) hidden: Vec<i64>,
}

impl Series {
    pub(crate) fn new(labels: Labels, log_id: u64) -> Self {
        Self {
            labels,
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

    fn histograms(&self) -> Option<&Histograms> {
        self.rare.as_ref().map(|r| &r.histograms)
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

    /// The histogram that is the newest sample, if it is one.
    pub(crate) fn newest_histogram(&self) -> Option<&HistogramEntry> {
        let newest = self.histograms()?.newest()?;
        (self.floats.max_t() < Some(newest.t)).then_some(newest)
    }

    /// The sample at exactly `t`.
    pub(crate) fn at(&self, t: i64) -> Option<SampleValue> {
        if let Some((newest, v)) = self.floats.newest()
            && newest == t
        {
            return Some(SampleValue::Float(v));
        }
        if let Some(h) = self.histograms().and_then(|h| h.at(t)) {
            return Some(SampleValue::Histogram(h.clone()));
        }
        self.floats.at(t).map(SampleValue::Float)
    }

    fn next_after(&self, t: i64) -> Option<i64> {
        if self.max_t() <= Some(t) {
            return None;
        }
        let histogram = self.histograms().and_then(|h| h.next_after(t));
        match (self.floats.next_after(t), histogram) {
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
        totals: &mut ChunkTotals,
    ) {
        scratch.clear();
        for sample in samples {
            if sample.start != 0 || self.rare.as_ref().is_some_and(|r| !r.starts.is_empty()) {
                let next = self.next_after(sample.t);
                let rare = self.rare.get_or_insert_default();
                rare.starts.set(sample.t, sample.start, next);
            }
            match sample.value {
                SampleValue::Float(v) => scratch.push((sample.t, v)),
                SampleValue::Histogram(h) => {
                    let before = scratch.last().map(|s| s.0);
                    let newest_float = self.floats.max_t().max(before);
                    totals.bytes += size(&h) as u64;
                    let rare = self.rare.get_or_insert_default();
                    rare.histograms.insert(sample.t, h, newest_float);
                }
            }
        }
        self.floats.insert(scratch, totals);
    }

    /// Notes that commit `commit` brought the sample at `t`; notes up to commit `horizon` are
    /// needed by nobody any more.
    pub(crate) fn note_recent(&mut self, commit: u64, t: i64) {
        self.rare.get_or_insert_default().recent.push((commit, t));
    }

    /// True when there are notes of recent commits.
    pub(crate) fn has_recent(&self) -> bool {
        self.rare.as_ref().is_some_and(|r| !r.recent.is_empty())
    }

    /// Forgets notes up to commit `horizon`.
    pub(crate) fn forget_recent(&mut self, horizon: u64) {
        if let Some(rare) = &mut self.rare {
            rare.recent.retain(|r| r.0 > horizon);
            if rare.is_empty() {
                self.rare = None;
            }
        }
    }

    /// True when [`Self::drop_before`] would drop something.
    pub(crate) fn has_before(&self, floor: i64) -> bool {
        self.floats.has_before(floor)
            || self
                .histograms()
                .and_then(Histograms::min_t)
                .is_some_and(|t| t < floor)
    }

    /// Drops float chunks that end before `floor`, and histograms before it.
    pub(crate) fn drop_before(&mut self, floor: i64, totals: &mut ChunkTotals) {
        self.floats.drop_before(floor, totals);
        let oldest = self.floats.min_t();
        let Some(rare) = &mut self.rare else {
            return;
        };
        let sizes = |h: &Histograms| -> usize {
            let gone = h.range(i64::MIN, floor.saturating_sub(1));
            gone.iter().map(|e| size(&e.value)).sum()
        };
        if floor > i64::MIN {
            totals.bytes -= sizes(&rare.histograms) as u64;
            rare.histograms.drop_before(floor);
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
    pub(crate) fn snapshot(&self, mint: i64, maxt: i64, commit: u64) -> SeriesSnapshot {
        let floats = self.floats.snapshot(mint, maxt);
        let Some(rare) = &self.rare else {
            return SeriesSnapshot {
                floats,
                ..SeriesSnapshot::default()
            };
        };
        let later = rare.recent.iter().filter(|r| r.0 > commit);
        let mut hidden: Vec<i64> = later.map(|r| r.1).collect();
        hidden.sort_unstable();
        SeriesSnapshot {
            floats,
            histograms: rare.histograms.range(mint, maxt).to_vec(),
            starts: rare.starts.clone(),
            hidden,
        }
    }
}
