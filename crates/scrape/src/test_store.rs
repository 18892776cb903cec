//! An in-memory store for tests: keeps every sample, refuses what Prometheus refuses, and can be
//! told to fail.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tsdb_model::{
    AppendError, Appendable, Appender, CommitReport, Exemplar, HistogramValue, Labels, Metadata,
    SeriesRef, StorageError, is_stale,
};

#[derive(Default)]
struct Data {
    refs: HashMap<Labels, SeriesRef>,
    labels: HashMap<SeriesRef, Labels>,
    samples: BTreeMap<SeriesRef, BTreeMap<i64, f64>>,
    metadata: BTreeMap<String, Metadata>,
    exemplars: Vec<String>,
    next_ref: u64,
    /// Calls of `series`.
    lookups: usize,
    series_limit: Option<u64>,
}

/// The store.
#[derive(Default)]
pub(crate) struct TestStore {
    data: Mutex<Data>,
    fail_commits: AtomicBool,
}

impl TestStore {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap()
    }

    /// All samples of a series given as `{__name__="x", ...}` prints; `stale` for markers.
    pub(crate) fn samples(&self, labels: &str) -> Vec<(i64, String)> {
        let data = self.data();
        let Some(series) = data.labels.iter().find(|(_, l)| l.to_string() == labels) else {
            return Vec::new();
        };
        let samples = data.samples.get(series.0).into_iter().flatten();
        samples
            .map(|(t, v)| {
                let value = if is_stale(*v) {
                    "stale".to_string()
                } else {
                    v.to_string()
                };
                (*t, value)
            })
            .collect()
    }

    /// The samples at one time: `labels value`, sorted.
    pub(crate) fn at(&self, t_ms: i64) -> Vec<String> {
        let data = self.data();
        let mut all: Vec<String> = data
            .samples
            .iter()
            .filter_map(|(series, samples)| {
                let value = samples.get(&t_ms)?;
                let value = if is_stale(*value) {
                    "stale".to_string()
                } else {
                    value.to_string()
                };
                Some(format!("{} {value}", data.labels[series]))
            })
            .collect();
        all.sort();
        all
    }

    /// Bits of the newest sample of a series.
    pub(crate) fn last_bits(&self, name: &str) -> u64 {
        let data = self.data();
        let series = data
            .labels
            .iter()
            .find(|(_, l)| l.metric_name() == name)
            .unwrap()
            .0;
        data.samples[series].last_key_value().unwrap().1.to_bits()
    }

    pub(crate) fn series_count(&self) -> usize {
        self.data().labels.len()
    }

    pub(crate) fn lookups(&self) -> usize {
        self.data().lookups
    }

    pub(crate) fn metadata(&self, family: &str) -> Option<Metadata> {
        self.data().metadata.get(family).cloned()
    }

    /// All exemplars: `labels value time`.
    pub(crate) fn exemplars(&self) -> Vec<String> {
        self.data().exemplars.clone()
    }

    pub(crate) fn set_fail_commits(&self, fail: bool) {
        self.fail_commits.store(fail, Ordering::SeqCst);
    }

    pub(crate) fn set_series_limit(&self, limit: u64) {
        self.data().series_limit = Some(limit);
    }

    /// Forgets all handles, as a store does when it drops a series from memory.
    pub(crate) fn forget_refs(&self) {
        let mut data = self.data();
        let old = std::mem::take(&mut data.refs);
        let samples = std::mem::take(&mut data.samples);
        data.labels.clear();
        data.next_ref += 1000;
        for (labels, series) in old {
            data.next_ref += 1;
            let new = SeriesRef(data.next_ref);
            data.labels.insert(new, labels.clone());
            data.refs.insert(labels, new);
            if let Some(kept) = samples.get(&series) {
                data.samples.insert(new, kept.clone());
            }
        }
    }
}

impl Appendable for TestStore {
    fn appender(&self) -> Box<dyn Appender + '_> {
        Box::new(TestAppender {
            store: self,
            samples: Vec::new(),
            exemplars: Vec::new(),
            metadata: Vec::new(),
        })
    }
}

struct TestAppender<'a> {
    store: &'a TestStore,
    samples: Vec<(SeriesRef, i64, f64)>,
    exemplars: Vec<String>,
    metadata: Vec<(String, Metadata)>,
}

impl Appender for TestAppender<'_> {
    fn series(&mut self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        let mut data = self.store.data();
        data.lookups += 1;
        if labels.is_empty() {
            return Err(AppendError::NoLabels);
        }
        if let Some(found) = data.refs.get(labels) {
            return Ok(*found);
        }
        if let Some(limit) = data.series_limit.filter(|l| data.refs.len() as u64 >= *l) {
            return Err(AppendError::SeriesLimit { limit });
        }
        data.next_ref += 1;
        let series = SeriesRef(data.next_ref);
        data.refs.insert(labels.clone(), series);
        data.labels.insert(series, labels.clone());
        Ok(series)
    }

    fn append(&mut self, series: SeriesRef, t_ms: i64, value: f64) -> Result<(), AppendError> {
        let data = self.store.data();
        if !data.labels.contains_key(&series) {
            return Err(AppendError::UnknownSeries);
        }
        if let Some((newest, existing)) = data.samples.get(&series).and_then(|s| s.last_key_value())
        {
            if t_ms < *newest {
                return Err(AppendError::OutOfOrder);
            }
            if t_ms == *newest && existing.to_bits() != value.to_bits() {
                return Err(AppendError::Duplicate {
                    timestamp_ms: t_ms,
                    existing: *existing,
                    new: value,
                });
            }
        }
        self.samples.push((series, t_ms, value));
        Ok(())
    }

    fn append_histogram(
        &mut self,
        _: SeriesRef,
        _: i64,
        _: HistogramValue,
    ) -> Result<(), AppendError> {
        Err(AppendError::InvalidHistogram)
    }

    fn append_start_timestamp(&mut self, _: SeriesRef, _: i64) -> Result<(), AppendError> {
        Ok(())
    }

    fn append_exemplar(&mut self, _: SeriesRef, new: Exemplar) -> Result<(), AppendError> {
        let text = format!("{} {} {}", new.labels, new.value, new.timestamp_ms);
        self.exemplars.push(text);
        Ok(())
    }

    fn update_metadata(&mut self, family: &str, metadata: Metadata) {
        self.metadata.push((family.to_string(), metadata));
    }

    fn commit(self: Box<Self>) -> Result<CommitReport, StorageError> {
        if self.store.fail_commits.load(Ordering::SeqCst) {
            return Err(StorageError::Unavailable("disk full".to_string()));
        }
        let mut data = self.store.data();
        let samples = self.samples.len() as u64;
        for (series, t_ms, value) in self.samples {
            let of_series = data.samples.entry(series).or_default();
            of_series.entry(t_ms).or_insert(value);
        }
        data.metadata.extend(self.metadata);
        data.exemplars.extend(self.exemplars);
        Ok(CommitReport {
            samples,
            rejected: Vec::new(),
        })
    }

    fn rollback(self: Box<Self>) {}
}
