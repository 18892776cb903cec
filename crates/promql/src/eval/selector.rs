//! Instant selectors: the newest sample of each series at each step.

use tsdb_model::histogram::CounterResetHint;
use tsdb_model::{
    HistogramSample, METRIC_NAME, MatchOp, Matcher, SelectHints, SeriesData, SeriesSet, is_stale,
};

use super::column::{Cell, Grid, Series};
use super::samples::keep_stats;
use super::source::{ReadMemory, SeriesSource};
use super::windows::WindowCache;
use super::{Evaluator, Frame};
use crate::ast::Span;
use crate::error::QueryError;
use crate::functions::extended_rate::{interpolate, interpolate_histograms};
use crate::functions::window::WindowNotes;
use crate::notes::{HistogramOperation, Note};
use crate::plan::Selector;

/// Steps between two looks at the clock.
const CHECK: usize = 1 << 13;

/// What is wanted of the sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pick {
    /// Its value.
    Value,
    /// Its time, seconds.
    Timestamp,
    /// Its start timestamp, seconds.
    StartTimestamp,
    /// Its time, milliseconds; only floats may be selected.
    FloatTimeMs,
}

/// The series of an instant selector.
struct InstantSource<'a, 'q> {
    evaluator: &'a Evaluator<'q>,
    set: Box<dyn SeriesSet + 'q>,
    selector: &'a Selector,
    grid: Grid,
    pick: Pick,
}

impl<'q> Evaluator<'q> {
    /// The series a selector selects, for the times `mint..=maxt`.
    pub(super) fn select(
        &self,
        matchers: &[Matcher],
        (mint, maxt): (i64, i64),
        range: i64,
        grid: Grid,
    ) -> Result<Box<dyn SeriesSet + 'q>, QueryError> {
        let hints = SelectHints {
            start_ms: mint,
            end_ms: maxt,
            step_ms: if grid.steps > 1 { grid.step } else { 0 },
            range_ms: range,
            limit: 0,
            labels_only: false,
        };
        let set = self
            .querier
            .select(&hints, matchers)
            .map_err(QueryError::Storage)?;
        self.limits.selected(set.len())?;
        Ok(set)
    }

    /// Value of an instant selector.
    pub(super) fn instant_vector(
        &self,
        selector: &Selector,
        span: Span,
        grid: Grid,
    ) -> Result<Frame<'q>, QueryError> {
        if selector.smoothed {
            return self.smoothed(selector, span, grid);
        }
        self.newest(selector, grid, Pick::Value)
    }

    /// The newest sample of each series at each step.
    pub(super) fn newest(
        &self,
        selector: &Selector,
        grid: Grid,
        pick: Pick,
    ) -> Result<Frame<'q>, QueryError> {
        self.collect(&self.instant_source(selector, grid, pick)?)
    }

    /// The same, one series after the other.
    pub(super) fn instant_source<'a>(
        &'a self,
        selector: &'a Selector,
        grid: Grid,
        pick: Pick,
    ) -> Result<impl SeriesSource + 'a, QueryError> {
        let times = selector.time_range(grid.start, grid.end(), None, self.lookback);
        let set = self.select(&selector.matchers, times, 0, grid)?;
        Ok(InstantSource {
            evaluator: self,
            set,
            selector,
            grid,
            pick,
        })
    }

    /// The values of a smoothed selector: between two samples interpolated, behind the last one
    /// carried on.
    fn smoothed(
        &self,
        selector: &Selector,
        span: Span,
        grid: Grid,
    ) -> Result<Frame<'q>, QueryError> {
        let times = selector.time_range(grid.start, grid.end(), None, self.lookback);
        let set = self.select(&selector.matchers, times, 0, grid)?;
        let mut memory = ReadMemory::<()>::default();
        let mut frame = self.empty();
        for index in 0..set.len() {
            self.limits.check()?;
            set.read(index, &mut memory.scratch.data)
                .map_err(QueryError::Storage)?;
            let samples = memory.scratch.samples(false, selector.stats_only);
            let labels = set.labels(index);
            let mut notes = WindowNotes::default();
            let mut series = Series::new(labels, false);
            for step in 0..grid.steps {
                if step % CHECK == CHECK - 1 {
                    self.limits.check()?;
                }
                let time = selector.at.unwrap_or_else(|| grid.time(step));
                let time = time.saturating_sub(selector.offset);
                let near = (
                    time.saturating_sub(self.lookback),
                    time.saturating_add(self.lookback),
                );
                let from = samples.times.partition_point(|t| *t <= near.0);
                let to = samples.times.partition_point(|t| *t <= near.1);
                let h = samples.histograms;
                let h_from = h.partition_point(|h| h.timestamp_ms <= near.0);
                let h_to = h.partition_point(|h| h.timestamp_ms <= near.1);
                if from < to && h_from < h_to {
                    notes.mixed_types = true;
                } else if from < to {
                    let points = (&samples.times[from..to], &samples.values[from..to]);
                    if let Some(value) = smoothed_float(points, time) {
                        series.push(step, Cell::Float(value));
                    }
                } else if let Some(cell) = smoothed_histogram(&h[h_from..h_to], time, &mut notes) {
                    series.push(step, cell);
                }
            }
            self.window_notes(&notes, series.labels.metric_name(), span, span);
            if !series.is_empty() {
                frame.charge.add_series(&series)?;
                self.limits.count_read(series.samples() as u64);
                frame.series.push(series);
            }
        }
        Ok(frame)
    }

    /// Passes on what functions had to say about the windows of one series.
    pub(super) fn window_notes(
        &self,
        notes: &WindowNotes,
        metric: &str,
        span: Span,
        call_span: Span,
    ) {
        if *notes == WindowNotes::default() {
            return;
        }
        let mut all = self.lock_notes();
        let mut add = |flag: bool, note: Note<'_>| {
            if flag {
                all.add(&note, span);
            }
        };
        add(notes.mixed_types, Note::MixedFloatsHistograms { metric });
        add(notes.not_counter, Note::NotCounterHistogram { metric });
        add(notes.not_gauge, Note::NotGaugeHistogram { metric });
        add(notes.mixed_schemas, Note::MixedExponentialCustom { metric });
        let reconciled = Note::BoundsReconciled;
        add(
            notes.reconciled_addition,
            reconciled(HistogramOperation::Addition),
        );
        add(
            notes.reconciled_subtraction,
            reconciled(HistogramOperation::Subtraction),
        );
        add(
            notes.reconciled_aggregation,
            reconciled(HistogramOperation::Aggregation),
        );
        add(
            notes.reset_collision,
            Note::CounterResetCollision(HistogramOperation::Aggregation),
        );
        add(
            notes.ignored_histograms,
            Note::HistogramsIgnoredInMixedRange { metric },
        );
        if notes.start_time_overlaps > 0 {
            all.add_start_time_overlaps(metric, notes.start_time_overlaps, call_span);
        }
    }
}

/// True when the matchers leave only one metric name.
pub(super) fn one_metric_name(matchers: &[Matcher]) -> bool {
    matchers
        .iter()
        .any(|m| m.name == METRIC_NAME && m.op == MatchOp::Equal && !m.value.is_empty())
}

/// What one thread keeps from series to series.
#[derive(Default)]
pub(super) struct InstantMemory {
    data: SeriesData,
    rows: WindowCache<Rows>,
}

/// The newest row of a column of times at each of the steps from `first` on, up to the last step
/// that has one.
#[derive(Debug, Default)]
struct Rows {
    first: usize,
    rows: Vec<u32>,
}

/// Stands for no row.
const NONE: u32 = u32::MAX;

impl SeriesSource for InstantSource<'_, '_> {
    type Memory = InstantMemory;

    fn len(&self) -> usize {
        self.set.len()
    }

    fn make(
        &self,
        index: usize,
        memory: &mut InstantMemory,
        series: &mut Series,
    ) -> Result<(), QueryError> {
        let data = &mut memory.data;
        if self.grid.steps == 1 {
            self.set.read_newest(index, data)
        } else {
            self.set.read(index, data)
        }
        .map_err(QueryError::Storage)?;
        if data.values.is_empty() && data.histograms.is_empty() {
            return Ok(());
        }
        if self.selector.stats_only {
            keep_stats(&mut data.histograms);
        }
        if !data.histograms.is_empty() {
            series.labels = self.set.labels(index);
            self.floats_and_histograms(data, series)?;
        } else if self.grid.steps == 1 {
            let row = self.newest_row(data.times(), 0);
            if let Some(row) = row.filter(|row| !is_stale(data.values[*row])) {
                series.floats.push(0, self.pick(data, row));
            }
        } else {
            self.floats(data, &mut memory.rows, series)?;
        }
        if !series.is_empty() {
            series.drop_name = false;
            series.labels = self.set.labels(index);
        }
        self.evaluator.limits.count_read(series.samples() as u64);
        Ok(())
    }

    fn may_collide(&self) -> bool {
        false
    }

    fn weight(&self) -> usize {
        1 + self.grid.steps / 512
    }
}

impl InstantSource<'_, '_> {
    /// Time up to which samples count at a step.
    #[inline]
    fn time(&self, step: usize) -> i64 {
        let time = self.selector.at.unwrap_or_else(|| self.grid.time(step));
        time.saturating_sub(self.selector.offset)
    }

    fn pick(&self, data: &SeriesData, row: usize) -> f64 {
        match self.pick {
            Pick::Value => data.values[row],
            Pick::Timestamp => data.times()[row] as f64 / 1000.0,
            Pick::FloatTimeMs => data.times()[row] as f64,
            Pick::StartTimestamp => {
                let known = data
                    .start_timestamps
                    .partition_point(|(from, _)| *from <= row);
                let start = known
                    .checked_sub(1)
                    .map_or(0, |i| data.start_timestamps[i].1);
                start as f64 / 1000.0
            }
        }
    }

    /// The first step that is not before `time`.
    fn first_step(&self, time: i64) -> usize {
        if self.selector.at.is_some() {
            return 0;
        }
        let before = i128::from(time) - i128::from(self.time(0));
        let step = i128::from(self.grid.step);
        usize::try_from((before + step - 1).div_euclid(step)).unwrap_or(0)
    }

    /// The newest row that counts at a step.
    fn newest_row(&self, times: &[i64], step: usize) -> Option<usize> {
        let time = self.time(step);
        let row = times.partition_point(|t| *t <= time).checked_sub(1)?;
        (times[row] > time.saturating_sub(self.evaluator.lookback)).then_some(row)
    }

    /// The rows of all steps.
    fn rows(&self, times: &[i64]) -> Result<Rows, QueryError> {
        let Some(first) = times.first() else {
            return Ok(Rows {
                first: 0,
                rows: Vec::new(),
            });
        };
        let lookback = self.evaluator.lookback;
        let first = self.first_step(*first);
        let mut next = times.partition_point(|t| *t <= self.time(first));
        let mut rows = Vec::with_capacity(self.grid.steps.saturating_sub(first));
        for step in first..self.grid.steps {
            self.check(step)?;
            let time = self.time(step);
            while times.get(next).is_some_and(|t| *t <= time) {
                next += 1;
            }
            let row = next.checked_sub(1);
            let row = row.filter(|row| times[*row] > time.saturating_sub(lookback));
            if row.is_none() && next == times.len() {
                break;
            }
            rows.push(row.map_or(NONE, |row| row as u32));
        }
        Ok(Rows { first, rows })
    }

    fn floats(
        &self,
        data: &SeriesData,
        known: &mut WindowCache<Rows>,
        series: &mut Series,
    ) -> Result<(), QueryError> {
        let key = (&data.timestamps, data.first_row, data.values.len());
        let rows = known.try_get(key, self.grid.steps, || self.rows(data.times()))?;
        let out = &mut series.floats;
        out.reserve(self.grid.steps);
        let whole = data.no_stale && !rows.rows.contains(&NONE);
        if whole && self.pick == Pick::Value {
            let values = data.values.as_slice();
            let values = rows.rows.iter().map(|row| values[*row as usize]);
            out.fill(rows.first, values);
            return Ok(());
        }
        for (step, row) in (rows.first..).zip(&rows.rows) {
            let row = *row as usize;
            if let Some(value) = data.values.get(row)
                && !is_stale(*value)
            {
                out.push(step, self.pick(data, row));
            }
        }
        Ok(())
    }

    /// Looks at the clock every so many steps.
    #[inline]
    fn check(&self, step: usize) -> Result<(), QueryError> {
        if step % CHECK == CHECK - 1 {
            self.evaluator.limits.check()?;
        }
        Ok(())
    }

    fn floats_and_histograms(
        &self,
        data: &SeriesData,
        series: &mut Series,
    ) -> Result<(), QueryError> {
        let times = data.times();
        for step in 0..self.grid.steps {
            self.check(step)?;
            let time = self.time(step);
            let oldest = time.saturating_sub(self.evaluator.lookback);
            let float = times.partition_point(|t| *t <= time).checked_sub(1);
            let histogram = data
                .histograms
                .partition_point(|h| h.timestamp_ms <= time)
                .checked_sub(1)
                .map(|i| &data.histograms[i]);
            let float_time = float.map_or(i64::MIN, |row| times[row]);
            // Of the two the newer one counts, even when it is a marker.
            let histogram = histogram.filter(|h| h.timestamp_ms >= float_time);
            if let Some(h) = histogram {
                if h.timestamp_ms > oldest && !is_stale(h.histogram.sum) {
                    let cell = self.pick_histogram(h, &series.labels)?;
                    series.push(step, cell);
                }
            } else if let Some(row) = float
                && float_time > oldest
                && !is_stale(data.values[row])
            {
                series.push(step, Cell::Float(self.pick(data, row)));
            }
        }
        Ok(())
    }

    fn pick_histogram(
        &self,
        h: &HistogramSample,
        labels: &tsdb_model::Labels,
    ) -> Result<Cell, QueryError> {
        Ok(match self.pick {
            Pick::Value => Cell::Histogram(h.histogram.clone()),
            Pick::Timestamp => Cell::Float(h.timestamp_ms as f64 / 1000.0),
            Pick::StartTimestamp => Cell::Float(h.start_timestamp_ms as f64 / 1000.0),
            Pick::FloatTimeMs => {
                return Err(QueryError::Execution(format!(
                    "this should be an info metric, with float samples: {labels}"
                )));
            }
        })
    }
}

fn smoothed_float((times, values): (&[i64], &[f64]), time: i64) -> Option<f64> {
    let next = times.partition_point(|t| *t < time);
    if times.get(next) == Some(&time) {
        return Some(values[next]);
    }
    let before = next.checked_sub(1)?;
    Some(if next < times.len() {
        let point = |i: usize| (times[i], values[i]);
        interpolate(point(before), point(next), time, false)
    } else {
        values[before]
    })
}

fn smoothed_histogram(
    points: &[HistogramSample],
    time: i64,
    notes: &mut WindowNotes,
) -> Option<Cell> {
    let next = points.partition_point(|h| h.timestamp_ms < time);
    if let Some(exact) = points.get(next).filter(|h| h.timestamp_ms == time) {
        return Some(Cell::Histogram(exact.histogram.clone()));
    }
    let before = &points[next.checked_sub(1)?];
    let Some(after) = points.get(next) else {
        // What the hint says is about its neighbours in the store.
        let mut h = (*before.histogram).clone();
        h.reset_hint = CounterResetHint::Unknown;
        return Some(Cell::Histogram(h.into()));
    };
    let gauge = |h: &HistogramSample| h.histogram.reset_hint == CounterResetHint::Gauge;
    let counter = !gauge(before) || !gauge(after);
    let mixed = before.histogram.uses_custom_buckets() != after.histogram.uses_custom_buckets();
    let result = if mixed {
        None
    } else {
        interpolate_histograms(before, after, time, counter, notes).ok()
    };
    notes.mixed_schemas |= result.is_none();
    result.map(|h| Cell::Histogram(h.into()))
}
