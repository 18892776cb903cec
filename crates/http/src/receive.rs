//! Storing what clients push: remote write requests and imports. One bad series never costs the
//! good ones; each refused sample is counted and, up to a number, named.

mod cache;
mod report;
mod sink;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

use tsdb::Db;
use tsdb_model::{
    AppendError, FloatSample, METRIC_NAME, Metadata, MetricType, SeriesRef, StorageError,
};
use tsdb_wire::remote::{
    ExemplarEntry, KeyHasher, MetadataEntry, RemoteError, SampleEntry, SeriesEntry, SeriesKey,
    WriteRequest, WriteVersion,
};

use cache::SeriesCache;
pub(crate) use report::{Outcome, Reason};
pub(crate) use sink::{Pushed, PushedValue, Sink};

/// How far ahead of now a sample may be.
pub(crate) const MAX_AHEAD_MS: i64 = 10 * 60 * 1000;

/// Exemplars with more characters of labels than this are left out, as in Prometheus.
const MAX_EXEMPLAR_CHARS: usize = 128;

/// Requests whose memory is kept for later ones.
const MAX_POOLED: usize = 16;

/// Floats handed to the store together.
const TOGETHER: usize = 8192;

/// Statements about metrics that are remembered as made, and for how long.
const MAX_STATEMENTS: usize = 100_000;
const STATEMENT_MS: i64 = 5 * 60 * 1000;

/// Counters of pushed data.
#[derive(Debug, Default)]
pub(crate) struct ReceiveCounters {
    pub(crate) samples: AtomicU64,
    pub(crate) histograms: AtomicU64,
    pub(crate) exemplars: AtomicU64,
    pub(crate) exemplars_refused: AtomicU64,
    pub(crate) without_metadata: AtomicU64,
    pub(crate) refused: [AtomicU64; Reason::ALL.len()],
    pub(crate) lookups_known: AtomicU64,
    pub(crate) lookups_new: AtomicU64,
    pub(crate) body_bytes: AtomicU64,
    pub(crate) turned_away: AtomicU64,
    pub(crate) imported: AtomicU64,
}

pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

/// What was said about metrics lately, so that it is not said to the store with each request.
#[derive(Debug, Default)]
struct Statements {
    seen: hashbrown::HashSet<u64>,
    since_ms: i64,
}

/// What requests share.
#[derive(Debug)]
pub(crate) struct Receiver {
    keys: KeyHasher,
    cache: SeriesCache,
    pool: Mutex<Vec<WriteRequest>>,
    statements: RwLock<Statements>,
    started_ms: i64,
    pub(crate) counters: ReceiveCounters,
}

impl Receiver {
    pub(crate) fn new(now_ms: i64) -> Self {
        Self {
            keys: KeyHasher::new(),
            cache: SeriesCache::new(),
            pool: Mutex::default(),
            statements: RwLock::default(),
            started_ms: now_ms,
            counters: ReceiveCounters::default(),
        }
    }

    /// Series that are found without looking at their labels.
    pub(crate) fn cached_series(&self) -> usize {
        self.cache.len()
    }

    /// Takes a request apart and hands it to `work`. The memory is used again.
    pub(crate) fn with_request<R>(
        &self,
        version: WriteVersion,
        block: &[u8],
        work: impl FnOnce(&mut WriteRequest) -> R,
    ) -> Result<R, RemoteError> {
        let pooled = self.lock_pool().pop();
        let mut request = pooled.unwrap_or_default();
        let read = request.read(version, block, &self.keys);
        let done = read.map(|()| work(&mut request));
        request.clear();
        let mut pool = self.lock_pool();
        if pool.len() < MAX_POOLED {
            pool.push(request);
        }
        done
    }

    fn lock_pool(&self) -> std::sync::MutexGuard<'_, Vec<WriteRequest>> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores all of a request that can be stored. An error means that nothing was.
    pub(crate) fn store(
        &self,
        db: &Db,
        request: &WriteRequest,
        now_ms: i64,
    ) -> Result<Outcome, StorageError> {
        let minute = self.minute(now_ms);
        let mut handles = Vec::with_capacity(request.series.len());
        self.cache.find(&request.series, &mut handles, minute);
        let mut write = Write {
            receiver: self,
            request,
            handles,
            made: Vec::new(),
            statements: Vec::new(),
            floats: Vec::new(),
            places: Vec::new(),
            sink: Sink::new(db, now_ms),
        };
        let floats = request.samples.len().min(TOGETHER);
        write.floats.reserve_exact(floats);
        write.places.reserve_exact(floats);
        for index in 0..request.series.len() {
            write.series(index);
        }
        write.pass_on();
        write.families();
        let Write {
            handles,
            made,
            statements,
            sink,
            ..
        } = write;
        let known = request.series.len().saturating_sub(made.len());
        add(&self.counters.lookups_known, known as u64);
        add(&self.counters.lookups_new, made.len() as u64);
        let live = || db.stats().head_series;
        self.cache.insert(&made, minute, live);
        // Refusals this late are rare, so nothing is kept ready for them.
        let mut places = None;
        let outcome = sink.commit(|handle, t| {
            let places = places.get_or_insert_with(|| places_of(request, &handles));
            let (index, is_histogram) = places.get(&(handle, t)).copied()?;
            let series = request.series.get(index)?;
            Some((request.labels(series).ok()?, is_histogram))
        })?;
        self.count(&outcome);
        self.remember(&statements, now_ms);
        Ok(outcome)
    }

    /// Counts what became of some samples.
    pub(crate) fn count(&self, outcome: &Outcome) {
        let c = &self.counters;
        add(&c.samples, outcome.samples);
        add(&c.histograms, outcome.histograms);
        add(&c.exemplars, outcome.exemplars);
        add(&c.exemplars_refused, outcome.exemplars_refused);
        add(&c.without_metadata, outcome.without_metadata);
        for (counter, n) in c.refused.iter().zip(outcome.refusals.counts()) {
            add(counter, *n);
        }
    }

    fn minute(&self, now_ms: i64) -> u32 {
        let since = now_ms.saturating_sub(self.started_ms) / 60_000;
        u32::try_from(since.max(0)).unwrap_or(u32::MAX)
    }

    fn was_said(&self, hash: u64) -> bool {
        let known = self.statements.read();
        let known = known.unwrap_or_else(PoisonError::into_inner);
        known.seen.contains(&hash)
    }

    fn remember(&self, made: &[u64], now_ms: i64) {
        if made.is_empty() {
            return;
        }
        let known = self.statements.write();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        if now_ms.saturating_sub(known.since_ms) > STATEMENT_MS || known.seen.len() > MAX_STATEMENTS
        {
            known.seen.clear();
            known.since_ms = now_ms;
        }
        known.seen.extend(made.iter().copied());
    }
}

/// Which series of a request has a sample at a time, and whether that is a histogram.
fn places_of(
    request: &WriteRequest,
    handles: &[Option<SeriesRef>],
) -> HashMap<(SeriesRef, i64), (usize, bool)> {
    let mut places = HashMap::new();
    for (index, (series, handle)) in request.series.iter().zip(handles).enumerate() {
        let Some(handle) = handle else { continue };
        let samples = request.samples.get(series.samples.range());
        for sample in samples.unwrap_or_default() {
            places.insert((*handle, sample.timestamp_ms), (index, false));
        }
        let histograms = request.histograms.get(series.histograms.range());
        for histogram in histograms.unwrap_or_default() {
            places.insert((*handle, histogram.timestamp_ms), (index, true));
        }
    }
    places
}

/// One request on its way into the store.
struct Write<'a> {
    receiver: &'a Receiver,
    request: &'a WriteRequest,
    handles: Vec<Option<SeriesRef>>,
    made: Vec<(SeriesKey, SeriesRef)>,
    /// Hashes of the statements about metrics that this request makes.
    statements: Vec<u64>,
    /// Floats that wait to be handed on together, and the series of each in the request.
    floats: Vec<FloatSample>,
    places: Vec<u32>,
    sink: Sink<'a>,
}

impl Write<'_> {
    fn series(&mut self, index: usize) {
        let request = self.request;
        let Some(series) = request.series.get(index) else {
            return;
        };
        let samples = request
            .samples
            .get(series.samples.range())
            .unwrap_or_default();
        let histograms = request
            .histograms
            .get(series.histograms.range())
            .unwrap_or_default();
        let exemplars = request
            .exemplars
            .get(series.exemplars.range())
            .unwrap_or_default();
        for sample in samples {
            self.float(index, series, sample);
        }
        if !histograms.is_empty() {
            // Of two samples of a series at the same time the first one counts.
            self.pass_on();
        }
        let stored_before = self.sink.stored();
        for histogram in histograms {
            match &histogram.value {
                Ok(value) => self.push(
                    index,
                    series,
                    &Pushed {
                        timestamp_ms: histogram.timestamp_ms,
                        start_timestamp_ms: histogram.start_timestamp_ms,
                        value: PushedValue::Histogram(value.clone()),
                    },
                ),
                Err(e) => {
                    let labels = || {
                        request
                            .labels(series)
                            .map_or_else(|e| e.to_string(), |l| l.to_string())
                    };
                    self.sink.refuse(Reason::InvalidHistogram, 1, || {
                        format!("{e} for series {}", labels())
                    });
                }
            }
        }
        for exemplar in exemplars {
            let newest = samples.iter().map(|s| s.timestamp_ms).max();
            self.exemplar(index, series, exemplar, newest);
        }
        match series
            .metadata
            .and_then(|m| request.metadata.get(m as usize))
        {
            Some(metadata) => self.of_series(series, metadata),
            None => self
                .sink
                .without_metadata(self.sink.stored() - stored_before),
        }
    }

    /// Puts a float among those that wait.
    fn float(&mut self, index: usize, series: &SeriesEntry, sample: &SampleEntry) {
        let from_cache = self.handles.get(index).copied().flatten();
        let too_far = self.sink.is_too_far_ahead(sample.timestamp_ms);
        let Some(handle) = from_cache.filter(|_| !too_far) else {
            let stored_before = self.sink.stored();
            self.push(index, series, &pushed(sample));
            if series.metadata.is_none() {
                self.sink
                    .without_metadata(self.sink.stored() - stored_before);
            }
            return;
        };
        // A start behind the sample itself makes no sense and is left out.
        let start = sample.start_timestamp_ms;
        self.floats.push(FloatSample {
            series: handle,
            timestamp_ms: sample.timestamp_ms,
            start_timestamp_ms: if start <= sample.timestamp_ms {
                start
            } else {
                0
            },
            value: sample.value,
        });
        self.places.push(index as u32);
        if self.floats.len() >= TOGETHER {
            self.pass_on();
        }
    }

    /// Hands the waiting floats to the store. Handles that mean nothing any more are looked up
    /// again.
    fn pass_on(&mut self) {
        if self.floats.is_empty() {
            return;
        }
        let request = self.request;
        let mut floats = std::mem::take(&mut self.floats);
        let mut places = std::mem::take(&mut self.places);
        let mut refused = Vec::new();
        self.sink.push_floats(&floats, &mut refused);
        let series = |place: u32| request.series.get(place as usize);
        let without = places
            .iter()
            .filter(|p| series(**p).is_some_and(|s| s.metadata.is_none()))
            .count() as u64;
        let mut lost = 0;
        for (i, error) in refused {
            let (Some(float), Some(place)) = (floats.get(i), places.get(i)) else {
                continue;
            };
            let Some(entry) = series(*place) else {
                continue;
            };
            let stored_before = self.sink.stored();
            if error == AppendError::UnknownSeries {
                let index = *place as usize;
                if let Some(known) = self.handles.get_mut(index)
                    && *known == Some(float.series)
                {
                    *known = None;
                }
                let sample = SampleEntry {
                    timestamp_ms: float.timestamp_ms,
                    start_timestamp_ms: float.start_timestamp_ms,
                    value: float.value,
                };
                self.push(index, entry, &pushed(&sample));
            } else {
                self.refuse(entry, error);
            }
            if self.sink.stored() == stored_before && entry.metadata.is_none() {
                lost += 1;
            }
        }
        self.sink.without_metadata(without.saturating_sub(lost));
        floats.clear();
        places.clear();
        (self.floats, self.places) = (floats, places);
    }

    /// Adds one sample; a handle that means nothing any more is looked up again, once.
    fn push(&mut self, index: usize, series: &SeriesEntry, pushed: &Pushed) {
        if self.sink.is_too_far_ahead(pushed.timestamp_ms) {
            let request = self.request;
            let labels = || match request.labels(series) {
                Ok(labels) => labels.to_string(),
                Err(e) => e.to_string(),
            };
            self.sink.refuse(Reason::OutOfBounds, 1, || {
                format!(
                    "out of bounds: timestamp is too far in the future for series {}",
                    labels()
                )
            });
            return;
        }
        let from_cache = self.handles.get(index).copied().flatten();
        if let Some(handle) = from_cache {
            match self.sink.push(handle, pushed) {
                Err(AppendError::UnknownSeries) => {}
                Err(e) => return self.refuse(series, e),
                Ok(()) => return,
            }
        }
        let Some(handle) = self.resolve(index, series, 1) else {
            return;
        };
        if let Err(e) = self.sink.push(handle, pushed) {
            self.refuse(series, e);
        }
    }

    fn refuse(&mut self, series: &SeriesEntry, error: AppendError) {
        let request = self.request;
        self.sink
            .refuse(Reason::of(&error), 1, || match request.labels(series) {
                Ok(labels) => format!("{error} for series {labels}"),
                Err(e) => e.to_string(),
            });
    }

    /// Finds or makes a series by its labels; `samples` are refused when it cannot be.
    fn resolve(&mut self, index: usize, series: &SeriesEntry, samples: u64) -> Option<SeriesRef> {
        let labels = match self.request.labels(series) {
            Ok(labels) => labels,
            Err(e) => {
                self.sink
                    .refuse(Reason::InvalidLabels, samples, || e.to_string());
                return None;
            }
        };
        match self.sink.series(&labels) {
            Ok(handle) => {
                if let Some(known) = self.handles.get_mut(index) {
                    *known = Some(handle);
                }
                self.made.extend(series.key.map(|key| (key, handle)));
                Some(handle)
            }
            Err(e) => {
                self.sink.refuse(Reason::of(&e), samples, || {
                    format!("{e} for series {labels}")
                });
                None
            }
        }
    }

    /// Exemplars never fail a request, they are counted only.
    fn exemplar(
        &mut self,
        index: usize,
        series: &SeriesEntry,
        entry: &ExemplarEntry,
        newest_sample: Option<i64>,
    ) {
        let timestamp_ms = match entry.timestamp_ms {
            0 => newest_sample.unwrap_or(0),
            t => t,
        };
        let labels = self.request.exemplar_labels(entry).filter(|labels| {
            let chars = labels
                .iter()
                .map(|l| l.name.chars().count() + l.value.chars().count());
            chars.sum::<usize>() <= MAX_EXEMPLAR_CHARS
        });
        let Some(labels) = labels.filter(|_| !self.sink.is_too_far_ahead(timestamp_ms)) else {
            self.sink.refuse_exemplar();
            return;
        };
        let exemplar = tsdb_model::Exemplar {
            labels,
            value: entry.value,
            timestamp_ms,
        };
        let from_cache = self.handles.get(index).copied().flatten();
        if let Some(handle) = from_cache
            && self.sink.exemplar(handle, exemplar.clone()) != Err(AppendError::UnknownSeries)
        {
            return;
        }
        match self.resolve(index, series, 0) {
            Some(handle) => drop(self.sink.exemplar(handle, exemplar)),
            None => self.sink.refuse_exemplar(),
        }
    }

    /// Passes on what a series of a 2.0 request says about its metric, unless it was said lately.
    fn of_series(&mut self, series: &SeriesEntry, entry: &MetadataEntry) {
        let request = self.request;
        let hash = entry.hash ^ series.key.map_or(0, |key| key.0 as u64);
        if self.receiver.was_said(hash) {
            return;
        }
        let Ok(labels) = request.labels(series) else {
            return;
        };
        let name = labels.value(METRIC_NAME);
        self.state(family(name, entry.metric_type), entry, hash);
    }

    /// Passes on what a 1.0 request says about families.
    fn families(&mut self) {
        let request = self.request;
        for entry in request.metadata.iter().filter(|m| !m.family.is_empty()) {
            if !self.receiver.was_said(entry.hash) {
                self.state(&request.text(entry.family), entry, entry.hash);
            }
        }
    }

    fn state(&mut self, family: &str, entry: &MetadataEntry, hash: u64) {
        let metadata = Metadata {
            metric_type: entry.metric_type,
            help: self.request.text(entry.help).into_owned(),
            unit: self.request.text(entry.unit).into_owned(),
        };
        self.sink.metadata(family, metadata);
        self.statements.push(hash);
    }
}

fn pushed(sample: &SampleEntry) -> Pushed {
    Pushed {
        timestamp_ms: sample.timestamp_ms,
        start_timestamp_ms: sample.start_timestamp_ms,
        value: PushedValue::Float(sample.value),
    }
}

/// The family that a series of this name belongs to.
fn family(name: &str, metric_type: MetricType) -> &str {
    let suffixes: &[&str] = match metric_type {
        MetricType::Histogram | MetricType::GaugeHistogram => &["_bucket", "_sum", "_count"],
        MetricType::Summary => &["_sum", "_count"],
        _ => &[],
    };
    let base = suffixes.iter().find_map(|s| name.strip_suffix(s));
    base.filter(|b| !b.is_empty()).unwrap_or(name)
}
