//! Functions of range vectors, one series after the other.

use std::sync::Arc;

use tsdb_model::Labels;
use tsdb_model::float::write_float_positional;

use super::super::column::{Cell, Grid, Scalar, Series, histogram_samples};
use super::super::matrix::Ranges;
use super::super::samples::Samples;
use super::super::selector::one_metric_name;
use super::super::source::{ReadMemory, SeriesSource};
use super::super::windows::WindowCache;
use super::super::{Evaluator, without_metadata};
use super::RangeFunction;
use super::float_windows::{FloatWindows, Read, Windows, window_spacing};
use crate::ast::Span;
use crate::error::QueryError;
use crate::functions::extended_rate::extended;
use crate::functions::lanes::{self, LANES, Rows};
use crate::functions::over_time::{self, Extreme};
use crate::functions::rate::{self, RateKind, Spacing};
use crate::functions::regression;
use crate::functions::resets;
use crate::functions::sliding::{SlidingExtreme, SlidingQuantile};
use crate::functions::window::{Window, WindowNotes};
use crate::notes::Note;

/// The results of a function of a range vector.
pub(in crate::eval) struct RangeSource<'a, 'q> {
    pub(super) evaluator: &'a Evaluator<'q>,
    pub(super) ranges: Ranges<'a, 'q>,
    pub(super) function: RangeFunction,
    pub(super) grid: Grid,
    pub(super) range_seconds: f64,
    pub(super) start_times: bool,
    /// An info is due when the metric does not look like a counter.
    pub(super) check_counter: bool,
    pub(super) keep_name: bool,
    /// Equal label sets are no error.
    pub(super) keep_duplicates: bool,
    /// Of the first argument: where notes point to.
    pub(super) span: Span,
}

/// What one thread keeps from series to series.
#[derive(Default)]
pub(in crate::eval) struct RangeMemory {
    windows: WindowCache<Windows>,
    numbers: Vec<f64>,
    histogram_times: Vec<i64>,
    falls: Vec<u32>,
    extreme: SlidingExtreme,
    sorted: SlidingQuantile,
    seconds: Vec<f64>,
}

impl SeriesSource for RangeSource<'_, '_> {
    type Memory = ReadMemory<RangeMemory>;

    fn len(&self) -> usize {
        self.ranges.len()
    }

    fn make(
        &self,
        index: usize,
        memory: &mut Self::Memory,
        series: &mut Series,
    ) -> Result<(), QueryError> {
        self.ranges.read(index, &mut memory.scratch)?;
        let samples = memory
            .scratch
            .samples(self.start_times, self.ranges.stats_only());
        if samples.times.is_empty() && samples.histograms.is_empty() {
            return Ok(());
        }
        let (labels, drop_name) = self.ranges.labels(index);
        series.drop_name = drop_name || !self.keep_name;
        let windows = self.float_windows(&samples, &mut memory.other);
        let other = &mut memory.other;
        let floats_only = samples.histograms.is_empty();
        if floats_only {
            series.floats.reserve(self.grid.steps);
        }
        match &self.function {
            RangeFunction::Rate(kind) if self.is_plain(&samples) => {
                self.plain_rate(*kind, &samples, &windows, other, series)?;
            }
            RangeFunction::Extreme(which) if floats_only => {
                self.plain_extreme(*which, &samples, &windows, other, series)?;
            }
            RangeFunction::Sum if floats_only => {
                self.plain_lanes(&windows, series, |_, w| lanes::sum(samples.values, w))?;
            }
            RangeFunction::Avg if floats_only => {
                self.plain_lanes(&windows, series, |_, w| lanes::avg(samples.values, w))?;
            }
            RangeFunction::Variance if floats_only => {
                self.plain_lanes(&windows, series, |_, w| lanes::variance(samples.values, w))?;
            }
            RangeFunction::Deviation if floats_only => {
                self.plain_lanes(&windows, series, |_, w| {
                    lanes::variance(samples.values, w).map(f64::sqrt)
                })?;
            }
            RangeFunction::PredictLinear(ahead) if floats_only => {
                self.plain_predict(ahead, &samples, &windows, other, series)?;
            }
            RangeFunction::Quantile(q) if floats_only => {
                self.plain_quantile(q, &samples, &windows, other, series)?;
            }
            _ => {
                let name = labels.metric_name();
                self.windows(&samples, &windows, name, other, series)?;
            }
        }
        if self.check_counter && !series.floats.is_empty() {
            self.check_counter(&labels);
        }
        series.labels = if series.drop_name && !self.evaluator.options.delayed_name_removal {
            without_metadata(&labels)
        } else {
            labels
        };
        Ok(())
    }

    fn weight(&self) -> usize {
        let samples = self.ranges.windows.range / 15_000;
        let heavy = matches!(
            self.function,
            RangeFunction::Quantile(_)
                | RangeFunction::Mad
                | RangeFunction::PredictLinear(_)
                | RangeFunction::Deriv
                | RangeFunction::Smoothing(..)
                | RangeFunction::Variance
                | RangeFunction::Deviation
        );
        let per_step = if heavy { samples.clamp(1, 4096) } else { 1 };
        let stepwise = self.grid.steps.saturating_mul(per_step as usize);
        1 + (stepwise / 512).saturating_add(samples.clamp(0, 1 << 20) as usize / 512)
    }

    fn may_collide(&self) -> bool {
        if self.keep_duplicates || self.keep_name {
            return false;
        }
        self.ranges.selector().is_none_or(|s| {
            !one_metric_name(&s.matchers) || self.evaluator.options.type_and_unit_labels
        })
    }
}

impl RangeSource<'_, '_> {
    /// Floats only, no extensions: rates need no more than first, last and falls.
    fn is_plain(&self, samples: &Samples<'_>) -> bool {
        samples.histograms.is_empty()
            && samples.start_times.is_empty()
            && !self.ranges.anchored()
            && !self.ranges.smoothed()
    }

    fn float_windows(&self, samples: &Samples<'_>, memory: &mut RangeMemory) -> FloatWindows {
        let grid = &self.ranges.windows;
        let rate = match self.function {
            RangeFunction::Rate(kind) => Some((kind, self.range_seconds)),
            _ => None,
        };
        let len = samples.times.len();
        match samples.shared {
            Some((column, first_row)) => FloatWindows {
                windows: memory
                    .windows
                    .get(column, self.grid.steps, || Windows::new(column, grid, rate)),
                first_row,
                len,
            },
            None => FloatWindows {
                windows: Arc::new(Windows::new(samples.times, grid, rate)),
                first_row: 0,
                len,
            },
        }
    }

    fn check_counter(&self, labels: &Labels) {
        let metric = labels.metric_name();
        if metric.is_empty() {
            return;
        }
        if self.evaluator.options.type_and_unit_labels {
            let metric_type = labels.value("__type__");
            if !matches!(metric_type, "counter" | "histogram") {
                let note = Note::TypeNotCounter {
                    metric,
                    metric_type,
                };
                self.evaluator.note(&note, self.span);
            }
        } else if !["_total", "_sum", "_count", "_bucket"]
            .iter()
            .any(|suffix| metric.ends_with(suffix))
        {
            let note = Note::MaybeNotCounter { metric };
            self.evaluator.note(&note, self.span);
        }
    }

    /// `rate`, `increase` and `delta` of floats.
    fn plain_rate(
        &self,
        kind: RateKind,
        samples: &Samples<'_>,
        windows: &FloatWindows,
        memory: &mut RangeMemory,
        series: &mut Series,
    ) -> Result<(), QueryError> {
        let values = samples.values;
        let falls = &mut memory.falls;
        falls.clear();
        if kind.counter && !samples.monotone {
            let rows = (1..values.len()).filter(|i| values[*i] < values[i - 1]);
            falls.extend(rows.map(|i| i as u32));
        }
        // Windows only move forward, so the first fall of interest does, too.
        let mut next_fall = 0;
        let mut increase = |from: usize, to: usize| {
            let mut increase = values[to - 1] - values[from];
            while falls.get(next_fall).is_some_and(|f| *f as usize <= from) {
                next_fall += 1;
            }
            for fall in &falls[next_fall..] {
                let fall = *fall as usize;
                if fall >= to {
                    break;
                }
                increase += values[fall - 1];
            }
            increase
        };
        let result = |spacing: &Spacing, first: f64, increase: f64| {
            let spacing = spacing.limited_by_zero(first, increase);
            increase * spacing.factor(self.range_seconds, kind.per_second)
        };
        let known = &*windows.windows;
        if windows.are_whole()
            && let Some(steps) = known.twos.clone()
        {
            let first_row = windows.first_row as u32;
            let (bounds, factors) = (&known.bounds[steps.clone()], &known.factors[steps.clone()]);
            let spacing = &known.spacing[steps.clone()];
            let each = bounds.iter().zip(factors).zip(spacing);
            let values = each.map(|(((from, to), factor), spacing)| {
                let (from, to) = ((from - first_row) as usize, (to - first_row) as usize);
                let first = values[from];
                let increase = increase(from, to);
                if kind.counter && spacing.may_reach_zero(first, increase) {
                    result(spacing, first, increase)
                } else {
                    increase * factor
                }
            });
            series.floats.fill(steps.start, values);
            return Read::of_all(known).finish(self.evaluator);
        }
        let mut read = Read::default();
        for step in 0..self.grid.steps {
            let (from, to) = windows.bounds(step);
            read.add(self.evaluator, to - from)?;
            if to - from < 2 {
                continue;
            }
            let increase = increase(from, to);
            let spacing = if windows.is_whole(step) {
                known.spacing[step]
            } else {
                window_spacing(samples.times, (from, to), &self.ranges.windows, step)
            };
            let value = if kind.counter {
                result(&spacing, values[from], increase)
            } else {
                increase * spacing.factor(self.range_seconds, kind.per_second)
            };
            series.floats.push(step, value);
        }
        read.finish(self.evaluator)
    }

    /// `min_over_time` and `max_over_time` of floats.
    fn plain_extreme(
        &self,
        which: Extreme,
        samples: &Samples<'_>,
        windows: &FloatWindows,
        memory: &mut RangeMemory,
        series: &mut Series,
    ) -> Result<(), QueryError> {
        let mut read = Read::default();
        let extreme = &mut memory.extreme;
        extreme.clear();
        for step in 0..self.grid.steps {
            let (from, to) = windows.bounds(step);
            if from == to {
                continue;
            }
            read.add(self.evaluator, to - from)?;
            let value = extreme.get(samples.values, from, to, which);
            series.floats.push(step, value);
        }
        read.finish(self.evaluator)?;
        Ok(())
    }

    /// Functions of floats that are worked out for some windows at a time.
    fn plain_lanes(
        &self,
        windows: &FloatWindows,
        series: &mut Series,
        mut f: impl FnMut(&[usize; LANES], &[Rows; LANES]) -> [f64; LANES],
    ) -> Result<(), QueryError> {
        let mut read = Read::default();
        let mut steps = [0; LANES];
        let mut rows: [Rows; LANES] = [(0, 0); LANES];
        let mut filled = 0;
        for step in 0..self.grid.steps {
            let (from, to) = windows.bounds(step);
            if from < to {
                read.add(self.evaluator, to - from)?;
                (steps[filled], rows[filled]) = (step, (from, to));
                filled += 1;
            }
            if filled == LANES || (filled > 0 && step + 1 == self.grid.steps) {
                rows[filled..].fill((0, 0));
                let values = f(&steps, &rows);
                for (step, value) in steps[..filled].iter().zip(values) {
                    series.floats.push(*step, value);
                }
                filled = 0;
            }
        }
        read.finish(self.evaluator)
    }

    /// `predict_linear` of floats.
    fn plain_predict(
        &self,
        ahead: &Scalar,
        samples: &Samples<'_>,
        windows: &FloatWindows,
        memory: &mut RangeMemory,
        series: &mut Series,
    ) -> Result<(), QueryError> {
        let seconds = &mut memory.seconds;
        seconds.clear();
        seconds.extend(samples.times.iter().map(|t| *t as f64));
        // Windows of one sample have no slope.
        let (mut steps, mut values) = (Vec::new(), Vec::new());
        self.plain_lanes(windows, &mut Series::default(), |at, rows| {
            let times = at.map(|step| self.grid.time(step) as f64);
            let lines = lanes::regression(seconds, samples.values, rows, &times);
            for ((step, (from, to)), (slope, intercept)) in at.iter().zip(rows).zip(lines) {
                if to - from >= 2 {
                    steps.push(*step);
                    values.push(slope * ahead.get(*step) + intercept);
                }
            }
            [0.0; LANES]
        })?;
        for (step, value) in steps.into_iter().zip(values) {
            series.floats.push(step, value);
        }
        Ok(())
    }

    /// `quantile_over_time` of floats.
    fn plain_quantile(
        &self,
        q: &Scalar,
        samples: &Samples<'_>,
        windows: &FloatWindows,
        memory: &mut RangeMemory,
        series: &mut Series,
    ) -> Result<(), QueryError> {
        let mut read = Read::default();
        let mut warned = None;
        memory.sorted.clear();
        for step in 0..self.grid.steps {
            let (from, to) = windows.bounds(step);
            if from == to {
                continue;
            }
            read.add(self.evaluator, to - from)?;
            let q = q.get(step);
            self.check_quantile(q, &mut warned);
            let value = memory.sorted.get(samples.values, from, to, q);
            series.floats.push(step, value);
        }
        read.finish(self.evaluator)
    }

    /// Any function, window by window.
    fn windows(
        &self,
        samples: &Samples<'_>,
        windows: &FloatWindows,
        metric: &str,
        memory: &mut RangeMemory,
        series: &mut Series,
    ) -> Result<(), QueryError> {
        let grid = &self.ranges.windows;
        let times = &mut memory.histogram_times;
        times.clear();
        times.extend(samples.histograms.iter().map(|h| h.timestamp_ms));
        let histogram_bounds = if times.is_empty() {
            Vec::new()
        } else {
            grid.bounds(times)
        };
        let mut notes = WindowNotes::default();
        let mut warned = None;
        let mut read = Read::default();
        for step in 0..self.grid.steps {
            let (from, to) = windows.bounds(step);
            let bounds = histogram_bounds.get(step);
            let (h_from, h_to) = bounds.map_or((0, 0), |b| (b.0 as usize, b.1 as usize));
            if from == to && h_from == h_to {
                continue;
            }
            let histograms = &samples.histograms[h_from..h_to];
            let sizes = histograms.iter().map(|h| histogram_samples(&h.histogram));
            read.add(self.evaluator, to - from + sizes.sum::<usize>())?;
            let window = Window {
                times: &samples.times[from..to],
                values: &samples.values[from..to],
                start_times: samples.start_times.get(from..to).unwrap_or(&[]),
                histograms,
                use_start_times: self.start_times,
                time: self.grid.time(step),
                range_start: grid.range_start(step),
                range_end: grid.range_end(step),
            };
            if let RangeFunction::Quantile(q) = &self.function
                && to > from
            {
                self.check_quantile(q.get(step), &mut warned);
            }
            let numbers = &mut memory.numbers;
            if let Some(cell) = self.value(&window, step, numbers, &mut notes)? {
                series.push(step, cell);
            }
        }
        read.finish(self.evaluator)?;
        self.evaluator
            .window_notes(&notes, metric, self.span, self.span);
        Ok(())
    }

    fn check_quantile(&self, q: f64, warned: &mut Option<u64>) {
        if !(0.0..=1.0).contains(&q) && *warned != Some(q.to_bits()) {
            *warned = Some(q.to_bits());
            self.evaluator.note(&Note::QuantileOutOfRange(q), self.span);
        }
    }

    fn value(
        &self,
        w: &Window<'_>,
        step: usize,
        numbers: &mut Vec<f64>,
        notes: &mut WindowNotes,
    ) -> Result<Option<Cell>, QueryError> {
        let float = |v: Option<f64>| v.map(Cell::Float);
        let anchored = self.ranges.anchored();
        Ok(match &self.function {
            RangeFunction::Rate(kind) if anchored || self.ranges.smoothed() => {
                extended(w, *kind, self.ranges.smoothed(), self.range_seconds, notes)
            }
            RangeFunction::Rate(kind) => rate::extrapolated(w, *kind, self.range_seconds, notes),
            RangeFunction::Irate => rate::instant(w, true, notes),
            RangeFunction::Idelta => rate::instant(w, false, notes),
            RangeFunction::Resets => float(resets::resets(w, anchored)),
            RangeFunction::Changes => float(resets::changes(w, anchored)),
            RangeFunction::Deriv => float(regression::deriv(w, notes)),
            RangeFunction::PredictLinear(seconds) => {
                float(regression::predict_linear(w, seconds.get(step), notes))
            }
            RangeFunction::Smoothing(smoothing, trend) => {
                let (sf, tf) = (smoothing.get(step), trend.get(step));
                check_factor("smoothing", "sf", sf)?;
                check_factor("trend", "tf", tf)?;
                float(regression::double_exponential_smoothing(w, sf, tf, notes))
            }
            RangeFunction::Sum => over_time::sum(w, notes),
            RangeFunction::Avg => over_time::avg(w, notes),
            RangeFunction::Extreme(which) => float(over_time::extreme(w, *which, notes)),
            RangeFunction::TimeOfExtreme(which) => {
                float(over_time::time_of_extreme(w, *which, notes))
            }
            RangeFunction::Quantile(q) => {
                float(over_time::quantile_of(w, q.get(step), numbers, notes))
            }
            RangeFunction::Mad => float(over_time::mad(w, numbers, notes)),
            RangeFunction::Variance => float(over_time::variance(w, notes)),
            RangeFunction::Deviation => float(over_time::variance(w, notes).map(f64::sqrt)),
            RangeFunction::Count => Some(Cell::Float(over_time::count(w))),
            RangeFunction::First => over_time::first(w),
            RangeFunction::Last => over_time::last(w),
            RangeFunction::TimeOfFirst => float(over_time::time_of_first(w)),
            RangeFunction::TimeOfLast => float(over_time::time_of_last(w)),
            RangeFunction::Present => Some(Cell::Float(1.0)),
        })
    }
}

/// The error of `double_exponential_smoothing`, the number as C's `%f` prints it.
fn check_factor(name: &str, short: &str, factor: f64) -> Result<(), QueryError> {
    if !(factor <= 0.0 || factor >= 1.0) {
        return Ok(());
    }
    let mut text = String::new();
    if factor.is_finite() {
        text = format!("{factor:.6}");
    } else {
        write_float_positional(&mut text, factor);
    }
    Err(QueryError::Execution(format!(
        "invalid {name} factor. Expected: 0 < {short} < 1, got: {text}"
    )))
}
