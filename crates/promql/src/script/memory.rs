//! A small store in memory, for tests of the engine: correct, not fast.

mod chunk;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tsdb_model::{
    AppendError, Appendable, Appender, CommitReport, Exemplar, FloatHistogram, HistogramSample,
    HistogramValue, Labels, Matcher, Metadata, Querier, Queryable, Rejected, SelectHints,
    SeriesData, SeriesRef, SeriesSet, StorageError, is_stale,
};

use chunk::Chunk;

/// Keeps all samples of all series, sorted by labels. Refuses what Prometheus refuses without an
/// out-of-order window, and fills in counter reset hints as its head does.
#[derive(Debug, Default)]
pub struct MemoryStore {
    data: Mutex<Data>,
}

#[derive(Debug, Default)]
struct Data {
    refs: BTreeMap<Labels, SeriesRef>,
    series: Vec<(Labels, Arc<Series>)>, // by handle
}

#[derive(Debug, Clone, Default)]
struct Series {
    samples: Vec<Stored>,
    /// What the next sample is added to.
    chunk: Chunk,
}

#[derive(Debug, Clone)]
struct Stored {
    timestamp_ms: i64,
    start_timestamp_ms: i64,
    value: StoredValue,
}

#[derive(Debug, Clone)]
enum StoredValue {
    Float(f64),
    Histogram(Arc<FloatHistogram>),
}

impl StoredValue {
    /// True when both are the same sample to the bit; hints do not count.
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Histogram(a), Self::Histogram(b)) => a.same_data(b),
            _ => false,
        }
    }

    /// What stands for the value in the error about a duplicate.
    fn number(&self) -> f64 {
        match self {
            Self::Float(v) => *v,
            Self::Histogram(h) => h.sum,
        }
    }
}

impl Series {
    /// Whether a sample may follow; `Ok(false)` when it stands there already.
    fn accepts(&self, new: &Stored) -> Result<bool, AppendError> {
        self.samples
            .last()
            .map_or(Ok(true), |last| may_follow(last, new))
    }

    fn push(&mut self, mut new: Stored) {
        if let StoredValue::Float(v) = new.value
            && is_stale(v)
            && matches!(
                self.samples.last(),
                Some(Stored {
                    value: StoredValue::Histogram(_),
                    ..
                })
            )
        {
            // The marker ends what was there: a series of histograms.
            let marker = FloatHistogram {
                sum: v,
                ..FloatHistogram::default()
            };
            new.value = StoredValue::Histogram(Arc::new(marker));
        }
        match &mut new.value {
            StoredValue::Float(_) => self.chunk.add_float(new.timestamp_ms),
            StoredValue::Histogram(h) => {
                let hint = self.chunk.add_histogram(new.timestamp_ms, h);
                if h.reset_hint != hint {
                    Arc::make_mut(h).reset_hint = hint;
                }
            }
        }
        self.samples.push(new);
    }
}

fn may_follow(last: &Stored, new: &Stored) -> Result<bool, AppendError> {
    if new.timestamp_ms > last.timestamp_ms {
        return Ok(true);
    }
    if new.timestamp_ms < last.timestamp_ms {
        return Err(AppendError::OutOfOrder);
    }
    if last.value.same(&new.value) {
        return Ok(false);
    }
    Err(AppendError::Duplicate {
        timestamp_ms: new.timestamp_ms,
        existing: last.value.number(),
        new: new.value.number(),
    })
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Appendable for MemoryStore {
    fn appender(&self) -> Box<dyn Appender + '_> {
        Box::new(MemoryAppender {
            store: self,
            pending: BTreeMap::new(),
        })
    }
}

struct MemoryAppender<'a> {
    store: &'a MemoryStore,
    pending: BTreeMap<SeriesRef, Pending>,
}

#[derive(Default)]
struct Pending {
    samples: Vec<Stored>,
    start_timestamp: Option<i64>,
}

impl MemoryAppender<'_> {
    fn add(&mut self, series: SeriesRef, t_ms: i64, value: StoredValue) -> Result<(), AppendError> {
        let data = self.store.lock();
        let (_, stored) = data.get(series)?;
        let pending = self.pending.entry(series).or_default();
        let last = pending.samples.last().or(stored.samples.last());
        let new = Stored {
            timestamp_ms: t_ms,
            start_timestamp_ms: pending
                .start_timestamp
                .or(stored.samples.last().map(|s| s.start_timestamp_ms))
                .unwrap_or(0),
            value,
        };
        if last.map_or(Ok(true), |last| may_follow(last, &new))? {
            pending.samples.push(new);
        }
        Ok(())
    }
}

impl Data {
    fn get(&self, series: SeriesRef) -> Result<&(Labels, Arc<Series>), AppendError> {
        let index = usize::try_from(series.0).ok();
        index
            .and_then(|i| self.series.get(i))
            .ok_or(AppendError::UnknownSeries)
    }
}

impl Appender for MemoryAppender<'_> {
    fn series(&mut self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        if labels.is_empty() {
            return Err(AppendError::NoLabels);
        }
        let mut data = self.store.lock();
        if let Some(series) = data.refs.get(labels) {
            return Ok(*series);
        }
        let series = SeriesRef(data.series.len() as u64);
        data.series.push((labels.clone(), Arc::default()));
        data.refs.insert(labels.clone(), series);
        Ok(series)
    }

    fn append(&mut self, series: SeriesRef, t_ms: i64, value: f64) -> Result<(), AppendError> {
        self.add(series, t_ms, StoredValue::Float(value))
    }

    fn append_histogram(
        &mut self,
        series: SeriesRef,
        t_ms: i64,
        histogram: HistogramValue,
    ) -> Result<(), AppendError> {
        let histogram = match histogram {
            HistogramValue::Int(h) => Arc::new(h.to_float()),
            HistogramValue::Float(h) => h,
        };
        if !is_stale(histogram.sum) && histogram.validate().is_err() {
            return Err(AppendError::InvalidHistogram);
        }
        self.add(series, t_ms, StoredValue::Histogram(histogram))
    }

    fn append_start_timestamp(&mut self, series: SeriesRef, st_ms: i64) -> Result<(), AppendError> {
        self.store.lock().get(series)?;
        self.pending.entry(series).or_default().start_timestamp = Some(st_ms);
        Ok(())
    }

    fn append_exemplar(&mut self, series: SeriesRef, _: Exemplar) -> Result<(), AppendError> {
        // Queries do not see exemplars.
        self.store.lock().get(series).map(|_| ())
    }

    fn update_metadata(&mut self, _: &str, _: Metadata) {}

    fn commit(self: Box<Self>) -> Result<CommitReport, StorageError> {
        let mut report = CommitReport::default();
        let mut data = self.store.lock();
        for (series, pending) in self.pending {
            let slot = usize::try_from(series.0)
                .ok()
                .and_then(|i| data.series.get_mut(i));
            let Some((_, stored)) = slot else { continue };
            let stored = Arc::make_mut(stored);
            for new in pending.samples {
                let timestamp_ms = new.timestamp_ms;
                match stored.accepts(&new) {
                    Ok(is_new) => {
                        report.samples += 1;
                        if is_new {
                            stored.push(new);
                        }
                    }
                    Err(error) => report.rejected.push(Rejected {
                        series,
                        timestamp_ms,
                        error,
                    }),
                }
            }
        }
        Ok(report)
    }

    fn rollback(self: Box<Self>) {}
}

impl Queryable for MemoryStore {
    fn querier(&self, mint_ms: i64, maxt_ms: i64) -> Result<Box<dyn Querier + '_>, StorageError> {
        let data = self.lock();
        let mut series: Vec<_> = data.series.clone();
        series.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Box::new(MemoryQuerier {
            series,
            mint_ms,
            maxt_ms,
        }))
    }
}

/// What was committed when the querier was made.
struct MemoryQuerier {
    series: Vec<(Labels, Arc<Series>)>,
    mint_ms: i64,
    maxt_ms: i64,
}

impl MemoryQuerier {
    fn matching<'a>(
        &'a self,
        from: i64,
        to: i64,
        matchers: &'a [Matcher],
    ) -> impl Iterator<Item = &'a (Labels, Arc<Series>)> {
        let has_samples = move |series: &Series| {
            let first = series.samples.partition_point(|s| s.timestamp_ms < from);
            series
                .samples
                .get(first)
                .is_some_and(|s| s.timestamp_ms <= to)
        };
        self.series.iter().filter(move |(labels, series)| {
            matchers.iter().all(|m| m.matches(labels.value(&m.name))) && has_samples(series)
        })
    }

    fn collect<'a>(
        &'a self,
        matchers: &'a [Matcher],
        limit: usize,
        texts: impl Fn(&'a Labels) -> Vec<&'a str>,
    ) -> Vec<String> {
        let series = self.matching(self.mint_ms, self.maxt_ms, matchers);
        let all: BTreeSet<&str> = series.flat_map(|(labels, _)| texts(labels)).collect();
        let limit = if limit == 0 { usize::MAX } else { limit };
        all.into_iter().take(limit).map(str::to_string).collect()
    }
}

impl Querier for MemoryQuerier {
    fn select(
        &self,
        hints: &SelectHints,
        matchers: &[Matcher],
    ) -> Result<Box<dyn SeriesSet + '_>, StorageError> {
        let from_ms = hints.start_ms.max(self.mint_ms);
        let to_ms = hints.end_ms.min(self.maxt_ms);
        let limit = if hints.limit == 0 {
            usize::MAX
        } else {
            hints.limit
        };
        let series = self
            .matching(from_ms, to_ms, matchers)
            .take(limit)
            .cloned()
            .collect();
        Ok(Box::new(MemorySeriesSet {
            series,
            from_ms,
            to_ms,
        }))
    }

    fn label_names(&self, matchers: &[Matcher], limit: usize) -> Result<Vec<String>, StorageError> {
        Ok(self.collect(matchers, limit, |labels| {
            labels.iter().map(|l| l.name).collect()
        }))
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        limit: usize,
    ) -> Result<Vec<String>, StorageError> {
        Ok(self.collect(matchers, limit, |labels| {
            labels.get(name).into_iter().collect()
        }))
    }
}

struct MemorySeriesSet {
    series: Vec<(Labels, Arc<Series>)>,
    from_ms: i64,
    to_ms: i64,
}

impl SeriesSet for MemorySeriesSet {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.series[index].0.clone()
    }

    fn read(&self, index: usize, data: &mut SeriesData) -> Result<(), StorageError> {
        data.clear();
        let samples = &self.series[index].1.samples;
        let from = samples.partition_point(|s| s.timestamp_ms < self.from_ms);
        let to = samples.partition_point(|s| s.timestamp_ms <= self.to_ms);
        let mut times = Vec::new();
        let mut start_timestamp = 0;
        for sample in samples.get(from..to).unwrap_or_default() {
            match &sample.value {
                StoredValue::Float(v) => {
                    if sample.start_timestamp_ms != start_timestamp {
                        start_timestamp = sample.start_timestamp_ms;
                        data.start_timestamps
                            .push((data.values.len(), start_timestamp));
                    }
                    times.push(sample.timestamp_ms);
                    data.values.push(*v);
                }
                StoredValue::Histogram(h) => data.histograms.push(HistogramSample {
                    timestamp_ms: sample.timestamp_ms,
                    start_timestamp_ms: sample.start_timestamp_ms,
                    histogram: Arc::clone(h),
                }),
            }
        }
        data.timestamps = Arc::new(times);
        data.no_stale = data.values.iter().all(|v| !is_stale(*v));
        data.monotone = data.values.first().is_none_or(|v| !v.is_nan())
            && data.values.windows(2).all(|w| w[0] <= w[1]);
        Ok(())
    }
}
