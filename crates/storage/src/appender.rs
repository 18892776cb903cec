//! The appender: collects a transaction and finds out what is refused anyway.

use hashbrown::HashMap;
use tsdb_model::{
    AppendError, Appender, CommitReport, Exemplar, HistogramValue, Labels, Metadata, SeriesRef,
    StorageError,
};

use crate::commit::{Pending, PendingSample};
use crate::head::exemplars::{ExemplarOrder, order};
use crate::head::series::SampleValue;
use crate::order::Bounds;
use crate::shared::Shared;

/// A transaction on a store.
#[derive(Debug)]
pub(crate) struct StoreAppender<'a> {
    shared: &'a Shared,
    number: u64,
    pending: Pending,
    starts: HashMap<SeriesRef, i64>,
}

impl<'a> StoreAppender<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            number: shared.open_appender(),
            pending: Pending::default(),
            starts: HashMap::new(),
        }
    }

    fn push(&mut self, series: SeriesRef, t: i64, value: SampleValue) -> Result<(), AppendError> {
        let checked = {
            let head = self.shared.head();
            let known = head.get(series).ok_or(AppendError::UnknownSeries)?;
            known.touch(self.number);
            let mut bounds = Bounds::new(&self.shared.options, head.max_t);
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
