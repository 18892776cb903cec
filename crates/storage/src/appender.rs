//! The appender: collects a transaction and finds out what is refused anyway.

use hashbrown::HashMap;
use tsdb_model::{
    AppendError, Appender, CommitReport, Exemplar, FloatSample, HistogramValue, Labels, Metadata,
    SeriesRef, StorageError,
};

use crate::commit::{Pending, PendingSample};
use crate::head::WARM;
use crate::head::exemplars::{ExemplarOrder, order};
use crate::head::series::SampleValue;
use crate::order::Bounds;
use crate::shared::Shared;

/// What a new series takes besides its labels, about; counts until memory is measured next.
const SERIES_BYTES: u64 = 700;

/// A transaction on a store.
#[derive(Debug)]
pub(crate) struct StoreAppender<'a> {
    shared: &'a Shared,
    number: u64,
    pending: Pending,
    starts: HashMap<SeriesRef, i64>,
    /// Bounds, and the newest sample of the store they are for: the clock is not read per sample.
    bounds: Option<(Option<i64>, Bounds)>,
}

impl<'a> StoreAppender<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            number: shared.open_appender(),
            pending: Pending::default(),
            starts: HashMap::new(),
            bounds: None,
        }
    }

    fn push(&mut self, series: SeriesRef, t: i64, value: SampleValue) -> Result<(), AppendError> {
        let checked = {
            let head = self.shared.head();
            let known = head.get(series).ok_or(AppendError::UnknownSeries)?;
            known.touch(self.number);
            let mut bounds = match self.bounds {
                Some((max_t, bounds)) if max_t == head.max_t => bounds,
                _ => {
                    let bounds = self.shared.bounds(head.max_t);
                    self.bounds = Some((head.max_t, bounds));
                    bounds
                }
            };
            if self.pending.refuse_late {
                bounds = bounds.without_late();
            }
            bounds.check(t, &value, known.max_t(), || known.at(t, &head.pool))
        };
        checked.inspect_err(|e| self.shared.counters.refused(e))?;
        let start = if self.starts.is_empty() {
            None
        } else {
            self.starts.get(&series).copied()
        };
        self.pending.samples.push(PendingSample {
            series,
            t,
            start,
            value,
        });
        Ok(())
    }
}

impl Drop for StoreAppender<'_> {
    fn drop(&mut self) {
        self.shared.close_appender(self.number);
    }
}

impl Appender for StoreAppender<'_> {
    fn series(&mut self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        if labels.is_empty() {
            return Err(AppendError::NoLabels);
        }
        let find = |head: &crate::head::Head| {
            let series = head.find(labels)?;
            head.get(series)?.touch(self.number);
            Some(series)
        };
        if let Some(series) = find(&self.shared.head()) {
            return Ok(series);
        }
        let mut head = self.shared.head_mut();
        if let Some(series) = find(&head) {
            return Ok(series);
        }
        let limit = match self.shared.options.max_series {
            0 => u64::from(u32::MAX),
            limit => limit,
        };
        if head.known() >= limit {
            return Err(AppendError::SeriesLimit { limit });
        }
        let budget = &self.shared.options.budget;
        if !budget.takes_new_series() {
            return Err(AppendError::MemoryLimit {
                limit: budget.limit(),
            });
        }
        let texts = labels.iter().map(|l| l.name.len() + l.value.len());
        budget.grow(SERIES_BYTES + 2 * texts.sum::<usize>() as u64);
        let series = head
            .create(labels, None)
            .ok_or(AppendError::SeriesLimit { limit })?;
        if let Some(known) = head.get(series) {
            known.touch(self.number);
        }
        Ok(series)
    }

    fn append(&mut self, series: SeriesRef, t_ms: i64, value: f64) -> Result<(), AppendError> {
        self.push(series, t_ms, SampleValue::Float(value))
    }

    /// Finds the series only; times and values are judged by the commit, which has to anyway.
    fn append_floats(&mut self, samples: &[FloatSample], refused: &mut Vec<(usize, AppendError)>) {
        self.pending.samples.reserve(samples.len());
        for (block, together) in samples.chunks(WARM).enumerate() {
            let head = self.shared.head();
            head.warm(together.iter().map(|s| s.series));
            for (i, sample) in together.iter().enumerate() {
                let Some(known) = head.get(sample.series) else {
                    refused.push((block * WARM + i, AppendError::UnknownSeries));
                    continue;
                };
                known.touch(self.number);
                let start = match sample.start_timestamp_ms {
                    0 if self.starts.is_empty() => None,
                    0 => self.starts.get(&sample.series).copied(),
                    start => Some(start),
                };
                self.pending.samples.push(PendingSample {
                    series: sample.series,
                    t: sample.timestamp_ms,
                    start,
                    value: SampleValue::Float(sample.value),
                });
            }
        }
    }

    fn append_histogram(
        &mut self,
        series: SeriesRef,
        t_ms: i64,
        histogram: HistogramValue,
    ) -> Result<(), AppendError> {
        let valid = match &histogram {
            HistogramValue::Int(h) => h.validate(),
            HistogramValue::Float(h) => h.validate(),
        };
        valid.map_err(|_| AppendError::InvalidHistogram)?;
        self.push(series, t_ms, SampleValue::Histogram(histogram))
    }

    fn append_start_timestamp(&mut self, series: SeriesRef, st_ms: i64) -> Result<(), AppendError> {
        let head = self.shared.head();
        head.get(series)
            .ok_or(AppendError::UnknownSeries)?
            .touch(self.number);
        drop(head);
        self.starts.insert(series, st_ms);
        Ok(())
    }

    fn append_exemplar(
        &mut self,
        series: SeriesRef,
        exemplar: Exemplar,
    ) -> Result<(), AppendError> {
        {
            let head = self.shared.head();
            head.get(series)
                .ok_or(AppendError::UnknownSeries)?
                .touch(self.number);
            let newest = head.exemplars.newest(series);
            if newest.is_some_and(|n| order(n, &exemplar) == ExemplarOrder::Older) {
                let error = AppendError::OutOfOrderExemplar;
                self.shared.counters.refused(&error);
                return Err(error);
            }
        }
        self.pending.exemplars.push((series, exemplar));
        Ok(())
    }

    fn refuse_late(&mut self) {
        self.pending.refuse_late = true;
    }

    fn update_metadata(&mut self, family: &str, metadata: Metadata) {
        self.pending.metadata.push((family.to_string(), metadata));
    }

    fn commit(mut self: Box<Self>) -> Result<CommitReport, StorageError> {
        let pending = std::mem::take(&mut self.pending);
        self.shared.commit(pending)
    }

    fn rollback(self: Box<Self>) {}
}
