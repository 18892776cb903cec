//! The stored samples of one series, made ready for functions.

use std::sync::Arc;

use tsdb_model::histogram::CounterResetHint;
use tsdb_model::{FloatHistogram, HistogramSample, SeriesData, is_stale};

/// Memory that one thread uses again and again for one series after the other.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) data: SeriesData,
    times: Vec<i64>,
    values: Vec<f64>,
    start_times: Vec<i64>,
    histograms: Vec<HistogramSample>,
}

/// Samples of one series in order of time, without staleness markers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Samples<'a> {
    pub(super) times: &'a [i64],
    pub(super) values: &'a [f64],
    /// One per value, or empty when they do not matter.
    pub(super) start_times: &'a [i64],
    pub(super) histograms: &'a [HistogramSample],
    /// `times` is this part of a column that other series share: its first row.
    pub(super) shared: Option<(&'a Arc<Vec<i64>>, usize)>,
    /// No value is below the one before it, and none is NaN.
    pub(super) monotone: bool,
}

impl Scratch {
    /// The samples that were read into `data`.
    pub(super) fn samples(&mut self, start_times: bool, stats_only: bool) -> Samples<'_> {
        if stats_only {
            keep_stats(&mut self.data.histograms);
        }
        self.start_times.clear();
        if start_times {
            expand_start_times(&self.data, &mut self.start_times);
        }
        let stale_histograms = self
            .data
            .histograms
            .iter()
            .any(|h| is_stale(h.histogram.sum));
        if stale_histograms {
            self.histograms.clear();
            let live = self.data.histograms.iter();
            let live = live.filter(|h| !is_stale(h.histogram.sum)).cloned();
            self.histograms.extend(live);
        }
        let histograms = if stale_histograms {
            &self.histograms
        } else {
            &self.data.histograms
        };
        let data = &self.data;
        if data.no_stale || !data.values.iter().any(|v| is_stale(*v)) {
            return Samples {
                times: data.times(),
                values: &data.values,
                start_times: &self.start_times,
                histograms,
                shared: Some((&data.timestamps, data.first_row)),
                monotone: data.monotone,
            };
        }
        self.times.clear();
        self.values.clear();
        let mut kept = 0;
        for (i, (time, value)) in data.times().iter().zip(&data.values).enumerate() {
            if is_stale(*value) {
                continue;
            }
            self.times.push(*time);
            self.values.push(*value);
            if start_times {
                self.start_times[kept] = self.start_times[i];
            }
            kept += 1;
        }
        self.start_times.truncate(kept);
        Samples {
            times: &self.times,
            values: &self.values,
            start_times: &self.start_times,
            histograms,
            shared: None,
            monotone: false,
        }
    }
}

fn expand_start_times(data: &SeriesData, out: &mut Vec<i64>) {
    out.resize(data.values.len(), 0);
    for (i, (row, start)) in data.start_timestamps.iter().enumerate() {
        let end = data
            .start_timestamps
            .get(i + 1)
            .map_or(out.len(), |(row, _)| *row);
        if let Some(rows) = out.get_mut(*row..end) {
            rows.fill(*start);
        }
    }
}

/// Leaves count and sum of histograms only. What the buckets say about counter resets is put into
/// the hints first.
pub(super) fn keep_stats(histograms: &mut [HistogramSample]) {
    let mut previous: Option<Arc<FloatHistogram>> = None;
    for sample in histograms {
        let whole = sample.histogram.clone();
        let mut reset_hint = whole.reset_hint;
        let stale = is_stale(whole.sum);
        if reset_hint == CounterResetHint::Unknown
            && !stale
            && let Some(previous) = &previous
        {
            reset_hint = if whole.detect_reset(previous) {
                CounterResetHint::Reset
            } else {
                CounterResetHint::NotReset
            };
        }
        sample.histogram = Arc::new(FloatHistogram {
            reset_hint,
            schema: whole.schema,
            count: whole.count,
            sum: whole.sum,
            ..FloatHistogram::default()
        });
        if !stale {
            previous = Some(whole);
        }
    }
}
