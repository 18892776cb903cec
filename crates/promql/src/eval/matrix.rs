//! Range vectors: stored samples or the values of a subquery, and the windows of all steps.

use std::sync::Arc;

use tsdb_model::{HistogramSample, Labels, SeriesSet};

use super::column::{Grid, Series, histogram_samples};
use super::samples::{Samples, Scratch};
use super::windows::WindowGrid;
use super::{Evaluator, Frame, unexpected};
use crate::error::QueryError;
use crate::functions::extended_rate::extend;
use crate::plan::{Node, Plan, Selector};
use crate::value::RangeSeries;

/// The series of a range vector.
pub(super) struct Ranges<'a, 'q> {
    content: Content<'q>,
    selector: Option<&'a Selector>,
    /// Where the windows lie.
    pub(super) windows: WindowGrid,
}

enum Content<'q> {
    Stored(Box<dyn SeriesSet + 'q>),
    Computed {
        frame: Frame<'q>,
        grid: Grid,
        times: Arc<Vec<i64>>, // of `grid`
    },
}

impl<'q> Evaluator<'q> {
    /// The series of a matrix selector or a subquery.
    pub(super) fn ranges<'a>(
        &self,
        plan: &'a Plan,
        grid: Grid,
    ) -> Result<Ranges<'a, 'q>, QueryError> {
        match &plan.node {
            Node::Matrix(matrix) => {
                let selector = &matrix.selector;
                let times = matrix.time_range(grid.start, grid.end(), self.lookback);
                let set = self.select(&selector.matchers, times, matrix.range, grid)?;
                let extended = selector.anchored || selector.smoothed;
                Ok(Ranges {
                    content: Content::Stored(set),
                    selector: Some(selector),
                    windows: WindowGrid {
                        grid,
                        at: selector.at,
                        offset: selector.offset,
                        range: matrix.range,
                        before: if extended { self.lookback } else { 0 },
                        after: if selector.smoothed { self.lookback } else { 0 },
                    },
                })
            }
            Node::Subquery(subquery) => {
                // What the windows use is counted, not what the inner expression does.
                let read = self.limits.samples_read();
                let (frame, inner) = self.subquery(subquery, grid)?;
                self.limits.forget_read(read);
                Ok(Ranges {
                    content: Content::Computed {
                        frame,
                        grid: inner,
                        times: Arc::new((0..inner.steps).map(|i| inner.time(i)).collect()),
                    },
                    selector: None,
                    windows: WindowGrid {
                        grid,
                        at: subquery.at,
                        offset: subquery.offset,
                        range: subquery.range,
                        before: 0,
                        after: 0,
                    },
                })
            }
            _ => Err(unexpected("instant vector")),
        }
    }

    /// Value of a query that is a range vector: the samples themselves.
    pub(crate) fn range_vector(
        &self,
        plan: &Plan,
        time: i64,
    ) -> Result<Vec<RangeSeries>, QueryError> {
        if let Node::Subquery(subquery) = &plan.node {
            let (mut frame, grid) = self.subquery(subquery, Grid::single(time))?;
            self.finish(&mut frame)?;
            return Ok(range_series(frame.series, grid));
        }
        let ranges = self.ranges(plan, Grid::single(time))?;
        let mut scratch = Scratch::default();
        let mut charge = self.limits.charge();
        let mut out = Vec::new();
        for index in 0..ranges.len() {
            self.limits.check()?;
            ranges.read(index, &mut scratch)?;
            let samples = scratch.samples(false, ranges.stats_only());
            let (labels, _) = ranges.labels(index);
            let mut series = RangeSeries {
                labels,
                ..RangeSeries::default()
            };
            ranges.raw(&samples, &mut series)?;
            let histograms = series.histograms.iter().map(|(_, h)| histogram_samples(h));
            let count = series.floats.len() + histograms.sum::<usize>();
            if count > 0 {
                charge.add(count)?;
                charge.add_bytes(size_of::<RangeSeries>() + series.labels.heap_bytes())?;
                self.limits.count_read(count as u64);
                out.push(series);
            }
        }
        Ok(out)
    }
}

/// Series with the times of a grid.
pub(crate) fn range_series(series: Vec<Series>, grid: Grid) -> Vec<RangeSeries> {
    let with_times = |series: Series| RangeSeries {
        floats: series
            .floats
            .iter()
            .map(|(step, value)| (grid.time(step), value))
            .collect(),
        histograms: series
            .histograms
            .into_iter()
            .map(|(step, h)| (grid.time(step), h))
            .collect(),
        labels: series.labels,
    };
    series.into_iter().map(with_times).collect()
}

impl Ranges<'_, '_> {
    /// Number of series.
    pub(super) fn len(&self) -> usize {
        match &self.content {
            Content::Stored(set) => set.len(),
            Content::Computed { frame, .. } => frame.series.len(),
        }
    }

    /// Labels of a series, and whether its metric name is to be dropped in the end.
    pub(super) fn labels(&self, index: usize) -> (Labels, bool) {
        match &self.content {
            Content::Stored(set) => (set.labels(index), false),
            Content::Computed { frame, .. } => {
                let series = &frame.series[index];
                (series.labels.clone(), series.drop_name)
            }
        }
    }

    /// The selector says `anchored`.
    pub(super) fn anchored(&self) -> bool {
        self.selector.is_some_and(|s| s.anchored)
    }

    /// The selector says `smoothed`.
    pub(super) fn smoothed(&self) -> bool {
        self.selector.is_some_and(|s| s.smoothed)
    }

    /// Of histograms only count and sum are wanted.
    pub(super) fn stats_only(&self) -> bool {
        self.selector.is_some_and(|s| s.stats_only)
    }

    /// The selector of stored samples.
    pub(super) fn selector(&self) -> Option<&Selector> {
        self.selector
    }

    /// Reads the samples of a series.
    pub(super) fn read(&self, index: usize, scratch: &mut Scratch) -> Result<(), QueryError> {
        let data = &mut scratch.data;
        match &self.content {
            Content::Stored(set) => set.read(index, data).map_err(QueryError::Storage),
            Content::Computed { frame, grid, times } => {
                let series = &frame.series[index];
                data.clear();
                if let Some((first, values)) = series.floats.run() {
                    data.timestamps = times.clone();
                    data.first_row = first;
                    data.values.extend_from_slice(values);
                } else {
                    let (steps, values): (Vec<i64>, Vec<f64>) = series
                        .floats
                        .iter()
                        .map(|(step, value)| (grid.time(step), value))
                        .unzip();
                    data.timestamps = Arc::new(steps);
                    data.values = values;
                }
                let samples = series.histograms.iter().map(|(step, h)| HistogramSample {
                    timestamp_ms: grid.time(*step),
                    start_timestamp_ms: 0,
                    histogram: h.clone(),
                });
                data.histograms.extend(samples);
                Ok(())
            }
        }
    }

    /// The samples in the only window.
    fn raw(&self, samples: &Samples<'_>, out: &mut RangeSeries) -> Result<(), QueryError> {
        let (from, to) = self.windows.bounds(samples.times)[0];
        let (from, to) = (from as usize, to as usize);
        let histograms = samples.histograms.iter();
        let start = self
            .windows
            .range_start(0)
            .saturating_sub(self.windows.before);
        let end = self.windows.range_end(0).saturating_add(self.windows.after);
        let inside = histograms.filter(|h| h.timestamp_ms > start && h.timestamp_ms <= end);
        out.histograms = inside
            .map(|h| (h.timestamp_ms, h.histogram.clone()))
            .collect();
        let times = &samples.times[from..to];
        let values = &samples.values[from..to];
        if !self.anchored() && !self.smoothed() {
            out.floats = times.iter().copied().zip(values.iter().copied()).collect();
            return Ok(());
        }
        if !out.histograms.is_empty() {
            let modifier = if self.anchored() {
                "anchored"
            } else {
                "smoothed"
            };
            return Err(QueryError::Execution(format!(
                "{modifier} modifier is not supported with histograms"
            )));
        }
        let (start, end) = (self.windows.range_start(0), self.windows.range_end(0));
        out.floats = extend(times, values, start, end, self.smoothed());
        Ok(())
    }
}
