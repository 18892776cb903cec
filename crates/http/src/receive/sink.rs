//! A transaction of pushed samples: counts what is taken, names what is refused.

use std::collections::HashMap;

use tsdb::{Appender, Db};
use tsdb_model::{
    AppendError, Exemplar, FloatSample, HistogramValue, Labels, Metadata, SeriesRef, StorageError,
};

use super::MAX_AHEAD_MS;
use super::report::{Outcome, Reason};

/// A float or a histogram.
pub(crate) enum PushedValue {
    Float(f64),
    Histogram(HistogramValue),
}

/// One pushed sample.
pub(crate) struct Pushed {
    pub(crate) timestamp_ms: i64,
    /// 0 when not stated.
    pub(crate) start_timestamp_ms: i64,
    pub(crate) value: PushedValue,
}

/// A transaction.
pub(crate) struct Sink<'a> {
    appender: Box<dyn Appender + 'a>,
    latest_ms: i64,
    outcome: Outcome,
    /// Series whose start timestamp was stated last, with it.
    start: Option<(SeriesRef, i64)>,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(db: &'a Db, now_ms: i64) -> Self {
        Self {
            appender: db.appender(),
            latest_ms: now_ms.saturating_add(MAX_AHEAD_MS),
            outcome: Outcome::default(),
            start: None,
        }
    }

    /// Samples and histograms taken so far.
    pub(crate) fn stored(&self) -> u64 {
        self.outcome.samples + self.outcome.histograms
    }

    pub(crate) fn is_too_far_ahead(&self, t_ms: i64) -> bool {
        t_ms > self.latest_ms
    }

    pub(crate) fn series(&mut self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        self.appender.series(labels)
    }

    pub(crate) fn push(&mut self, series: SeriesRef, pushed: &Pushed) -> Result<(), AppendError> {
        let (t, start) = (pushed.timestamp_ms, pushed.start_timestamp_ms);
        // A start behind the sample itself makes no sense and is left out.
        if start != 0 && start <= t && self.start != Some((series, start)) {
            self.appender.append_start_timestamp(series, start)?;
            self.start = Some((series, start));
        }
        match &pushed.value {
            PushedValue::Float(v) => {
                self.appender.append(series, t, *v)?;
                self.outcome.samples += 1;
            }
            PushedValue::Histogram(histogram) => {
                self.appender
                    .append_histogram(series, t, histogram.clone())?;
                self.outcome.histograms += 1;
            }
        }
        Ok(())
    }

    /// Adds many floats; those refused are put into `refused` with their positions.
    pub(crate) fn push_floats(
        &mut self,
        samples: &[FloatSample],
        refused: &mut Vec<(usize, AppendError)>,
    ) {
        let before = refused.len();
        self.appender.append_floats(samples, refused);
        self.outcome.samples += (samples.len() + before - refused.len()) as u64;
    }

    /// Refusals are counted here.
    pub(crate) fn exemplar(
        &mut self,
        series: SeriesRef,
        exemplar: Exemplar,
    ) -> Result<(), AppendError> {
        let taken = self.appender.append_exemplar(series, exemplar);
        match taken {
            Ok(()) => self.outcome.exemplars += 1,
            Err(AppendError::UnknownSeries) => {}
            Err(_) => self.refuse_exemplar(),
        }
        taken
    }

    pub(crate) fn refuse_exemplar(&mut self) {
        self.outcome.exemplars_refused += 1;
    }

    pub(crate) fn metadata(&mut self, family: &str, metadata: Metadata) {
        self.appender.update_metadata(family, metadata);
    }

    pub(crate) fn without_metadata(&mut self, samples: u64) {
        self.outcome.without_metadata += samples;
    }

    pub(crate) fn refuse(&mut self, reason: Reason, samples: u64, line: impl FnOnce() -> String) {
        self.outcome.refusals.add(reason, samples, line);
    }

    /// Commits. `find` gives the labels of a series that has a sample at this time, and whether
    /// that one is a histogram.
    pub(crate) fn commit(
        self,
        mut find: impl FnMut(SeriesRef, i64) -> Option<(Labels, bool)>,
    ) -> Result<Outcome, StorageError> {
        let Self {
            appender,
            mut outcome,
            ..
        } = self;
        let report = appender.commit()?;
        // Labels are looked for as long as lines are wanted; behind that only the kinds count.
        let mut found: HashMap<(SeriesRef, i64), Option<(Labels, bool)>> = HashMap::new();
        for rejected in report.rejected {
            let place = (rejected.series, rejected.timestamp_ms);
            let known = if outcome.refusals.wants_lines() || outcome.histograms > 0 {
                found.entry(place).or_insert_with(|| find(place.0, place.1))
            } else {
                &None
            };
            let is_histogram = known.as_ref().is_some_and(|k| k.1) || outcome.samples == 0;
            if is_histogram {
                outcome.histograms = outcome.histograms.saturating_sub(1);
            } else {
                outcome.samples = outcome.samples.saturating_sub(1);
            }
            if rejected.error == AppendError::UnknownSeries {
                // The store let go of it meanwhile; the same request will find it anew.
                outcome.retry = true;
            }
            let error = rejected.error;
            outcome.refusals.add(Reason::of(&error), 1, || match known {
                Some((labels, _)) => format!("{error} for series {labels}"),
                None => error.to_string(),
            });
        }
        // Which of the refused ones had none is not known here.
        let stored = outcome.samples + outcome.histograms;
        outcome.without_metadata = outcome.without_metadata.min(stored);
        Ok(outcome)
    }
}
