//! Functions of range vectors, series by series over all steps.

use std::sync::Arc;

use tsdb_model::float::write_float_positional;
use tsdb_model::{Labels, METRIC_NAME, MatchOp, Matcher};

use super::column::{Cell, Column, Grid, Scalar, Series, histogram_samples};
use super::matrix::Ranges;
use super::samples::Samples;
use super::selector::one_metric_name;
use super::set::Presence;
use super::source::{ReadMemory, SeriesSource};
use super::windows::{WindowCache, WindowGrid};
use super::{Evaluated, Evaluator, Frame, unexpected, without_metadata};
use crate::ast::Span;
use crate::error::QueryError;
use crate::functions::extended_rate::extended;
use crate::functions::lanes::{self, LANES, Rows};
use crate::functions::over_time::{self, Extreme};
use crate::functions::rate::{self, RateKind, Spacing};
use crate::functions::regression;
use crate::functions::resets;
use crate::functions::sliding::SlidingExtreme;
use crate::functions::window::{Window, WindowNotes};
use crate::notes::Note;
use crate::plan::{CallPlan, Node, Plan};

/// What is computed for each window.
enum RangeFunction {
    Rate(RateKind),
    Irate,
    Idelta,
    Resets,
    Changes,
    Deriv,
    PredictLinear(Scalar),
    Smoothing(Scalar, Scalar),
    Sum,
    Avg,
    Extreme(Extreme),
    TimeOfExtreme(Extreme),
    Quantile(Scalar),
    Mad,
    Variance,
    Deviation,
    Count,
    First,
    Last,
    TimeOfFirst,
    TimeOfLast,
    Present,
}

/// True for the functions of range vectors.
pub(super) fn is_range_function(name: &str) -> bool {
    matches!(
        name,
        "rate"
            | "increase"
            | "delta"
            | "irate"
            | "idelta"
            | "resets"
            | "changes"
            | "deriv"
            | "predict_linear"
            | "double_exponential_smoothing"
    ) || name.ends_with("_over_time")
}

/// Functions that take anchored and smoothed selectors.
const ANCHORED: [&str; 5] = ["changes", "delta", "increase", "rate", "resets"];
const SMOOTHED: [&str; 3] = ["delta", "increase", "rate"];

impl<'q> Evaluator<'q> {
    /// Value of a function of a range vector.
    pub(super) fn range_call(
        &self,
        call: &CallPlan,
        grid: Grid,
    ) -> Result<Evaluated<'q>, QueryError> {
        if call.name == "absent_over_time" {
            return self.absent_over_time(call, grid).map(Evaluated::Vector);
        }
        let source = self.range_source(call, grid)?;
        self.collect(&source).map(Evaluated::Vector)
    }

    /// The same, one series after the other.
    pub(super) fn range_source<'a>(
        &'a self,
        call: &'a CallPlan,
        grid: Grid,
    ) -> Result<RangeSource<'a, 'q>, QueryError> {
        let is_range = |plan: &Plan| matches!(plan.node, Node::Matrix(_) | Node::Subquery(_));
        let (Some(range), Some(first)) =
            (call.args.iter().find(|a| is_range(a)), call.args.first())
        else {
            return Err(unexpected("instant vector"));
        };
        let ranges = self.ranges(range, grid)?;
        let mut scalars = Vec::new();
        for arg in call.args.iter().filter(|a| !is_range(a)) {
            scalars.push(self.scalar(arg, grid)?);
        }
        check_modifier(call.name, &ranges)?;
        let function = range_function(call.name, scalars)?;
        let counter = matches!(call.name, "rate" | "irate" | "increase" | "resets");
        let seconds = ranges.windows.range as f64 / 1000.0;
        Ok(RangeSource {
            evaluator: self,
            ranges,
            function,
            grid,
            range_seconds: seconds,
            start_times: counter && self.options.start_timestamps,
            check_counter: matches!(call.name, "rate" | "increase"),
            keep_name: matches!(call.name, "first_over_time" | "last_over_time"),
            keep_duplicates: false,
            span: first.span,
        })
    }

    fn absent_over_time(&self, call: &CallPlan, grid: Grid) -> Result<Frame<'q>, QueryError> {
        let mut source = self.range_source(call, grid)?;
        source.keep_duplicates = true;
        let mut present = Presence::default();
        self.for_each(&source, |series| {
            present.insert_all(series);
            Ok(())
        })?;
        let labels = call.args.first().map_or_else(Labels::empty, absent_labels);
        self.frame(vec![absent_series(labels, &present, grid)])
    }
}

/// A series of ones at the steps at which nothing is present.
pub(super) fn absent_series(labels: Labels, present: &Presence, grid: Grid) -> Series {
    let mut series = Series::new(labels, true);
    if present.count() < grid.steps {
        series.floats = (0..grid.steps)
            .filter(|step| !present.contains(*step))
            .map(|step| (step, 1.0))
            .collect();
    }
    series
}

/// Labels that what is absent would have had: those its selector asks for, each by one `=` only.
pub(super) fn absent_labels(plan: &Plan) -> Labels {
    let matchers: &[Matcher] = match &plan.node {
        Node::Selector(selector) => &selector.matchers,
        Node::Matrix(matrix) => &matrix.selector.matchers,
        _ => &[],
    };
    let mut builder = Labels::empty().to_builder();
    let mut known: Vec<&str> = Vec::new();
    for matcher in matchers.iter().filter(|m| m.name != METRIC_NAME) {
        if matcher.op == MatchOp::Equal && !known.contains(&matcher.name.as_str()) {
            builder.set(&matcher.name, &matcher.value);
            known.push(&matcher.name);
        } else {
            builder.remove(&matcher.name);
        }
    }
    builder.build()
}

fn check_modifier(name: &str, ranges: &Ranges<'_, '_>) -> Result<(), QueryError> {
    let (modifier, safe) = if ranges.anchored() {
        ("anchored", ANCHORED.as_slice())
    } else if ranges.smoothed() {
        ("smoothed", SMOOTHED.as_slice())
    } else {
        return Ok(());
    };
    if safe.contains(&name) {
        return Ok(());
    }
    Err(QueryError::Execution(format!(
        "{modifier} modifier can only be used with: {} - not with {name}",
        safe.join(", ")
    )))
}

fn range_function(name: &str, scalars: Vec<Scalar>) -> Result<RangeFunction, QueryError> {
    let mut scalars = scalars.into_iter();
    let mut scalar = || {
        scalars
            .next()
            .ok_or_else(|| unexpected("too few arguments"))
    };
    let rate = |counter, per_second| {
        RangeFunction::Rate(RateKind {
            counter,
            per_second,
        })
    };
    Ok(match name {
        "rate" => rate(true, true),
        "increase" => rate(true, false),
        "delta" => rate(false, false),
        "irate" => RangeFunction::Irate,
        "idelta" => RangeFunction::Idelta,
        "resets" => RangeFunction::Resets,
        "changes" => RangeFunction::Changes,
        "deriv" => RangeFunction::Deriv,
        "predict_linear" => RangeFunction::PredictLinear(scalar()?),
        "double_exponential_smoothing" => RangeFunction::Smoothing(scalar()?, scalar()?),
        "sum_over_time" => RangeFunction::Sum,
        "avg_over_time" => RangeFunction::Avg,
        "min_over_time" => RangeFunction::Extreme(Extreme::Min),
        "max_over_time" => RangeFunction::Extreme(Extreme::Max),
        "ts_of_min_over_time" => RangeFunction::TimeOfExtreme(Extreme::Min),
        "ts_of_max_over_time" => RangeFunction::TimeOfExtreme(Extreme::Max),
        "quantile_over_time" => RangeFunction::Quantile(scalar()?),
        "mad_over_time" => RangeFunction::Mad,
        "stdvar_over_time" => RangeFunction::Variance,
        "stddev_over_time" => RangeFunction::Deviation,
        "count_over_time" => RangeFunction::Count,
        "first_over_time" => RangeFunction::First,
        "last_over_time" => RangeFunction::Last,
        "ts_of_first_over_time" => RangeFunction::TimeOfFirst,
        "ts_of_last_over_time" => RangeFunction::TimeOfLast,
        "present_over_time" | "absent_over_time" => RangeFunction::Present,
        _ => return Err(unexpected(&format!("function {name}"))),
    })
}

/// The results of a function of a range vector.
pub(super) struct RangeSource<'a, 'q> {
    evaluator: &'a Evaluator<'q>,
    ranges: Ranges<'a, 'q>,
    function: RangeFunction,
    grid: Grid,
    range_seconds: f64,
    start_times: bool,
    /// An info is due when the metric does not look like a counter.
    check_counter: bool,
    keep_name: bool,
    /// Equal label sets are no error.
    keep_duplicates: bool,
    /// Of the first argument: where notes point to.
    span: Span,
}

/// What one thread keeps from series to series.
#[derive(Default)]
pub(super) struct RangeMemory {
    windows: WindowCache<Windows>,
    numbers: Vec<f64>,
    histogram_times: Vec<i64>,
    falls: Vec<u32>,
    extreme: SlidingExtreme,
}

/// The windows of a column of times.
#[derive(Debug, Default)]
struct Windows {
    bounds: Vec<(u32, u32)>,
    /// For rates; the ends limited.
    spacing: Vec<Spacing>,
}

impl Windows {
    fn new(times: &[i64], grid: &WindowGrid, with_spacing: bool) -> Self {
        let bounds = grid.bounds(times);
        let mut spacing = Vec::new();
        if with_spacing {
            let at = |(step, (from, to)): (usize, &(u32, u32))| {
                window_spacing(times, (*from as usize, *to as usize), grid, step)
            };
            spacing.extend(bounds.iter().enumerate().map(at));
        }
        Self { bounds, spacing }
    }
}

/// Spacing of a window, its ends limited; of no meaning when it is empty.
fn window_spacing(
    times: &[i64],
    (from, to): (usize, usize),
    grid: &WindowGrid,
    step: usize,
) -> Spacing {
    let (first, last) = match times.get(from..to) {
        Some([first, .., last]) => (*first, *last),
        Some([only]) => (*only, *only),
        _ => (0, 0),
    };
    let (start, end) = (grid.range_start(step), grid.range_end(step));
    Spacing::new(first, last, to - from, start, end).limited()
}

/// Windows of the floats of one series.
struct FloatWindows {
    windows: Arc<Windows>,
    first_row: usize,
    len: usize,
}

impl FloatWindows {
    /// The window at a step, in rows of the series.
    #[inline]
    fn bounds(&self, step: usize) -> (usize, usize) {
        let (from, to) = self.windows.bounds[step];
        let from = (from as usize).clamp(self.first_row, self.first_row + self.len);
        let to = (to as usize).clamp(from, self.first_row + self.len);
        (from - self.first_row, to - self.first_row)
    }

    /// The window of the whole column holds no row of other series.
    #[inline]
    fn is_whole(&self, step: usize) -> bool {
        let (from, to) = self.windows.bounds[step];
        from as usize >= self.first_row && to as usize <= self.first_row + self.len
    }
}

impl SeriesSource for RangeSource<'_, '_> {
    type Memory = ReadMemory<RangeMemory>;

    fn len(&self) -> usize {
        self.ranges.len()
    }

    fn make(&self, index: usize, memory: &mut Self::Memory) -> Result<Series, QueryError> {
        self.ranges.read(index, &mut memory.scratch)?;
        let samples = memory
            .scratch
            .samples(self.start_times, self.ranges.stats_only());
        let (labels, drop_name) = self.ranges.labels(index);
        let drop_name = drop_name || !self.keep_name;
        let mut series = Series::new(Labels::empty(), drop_name);
        if !samples.times.is_empty() || !samples.histograms.is_empty() {
            let windows = self.float_windows(&samples, &mut memory.other);
            let other = &mut memory.other;
            match self.function {
                RangeFunction::Rate(kind) if self.is_plain(&samples) => {
                    self.plain_rate(kind, &samples, &windows, other, &mut series)?;
                }
                RangeFunction::Extreme(which) if samples.histograms.is_empty() => {
                    self.plain_extreme(which, &samples, &windows, other, &mut series)?;
                }
                RangeFunction::Sum if samples.histograms.is_empty() => {
                    self.plain_lanes(lanes::sum, &samples, &windows, &mut series)?;
                }
                RangeFunction::Avg if samples.histograms.is_empty() => {
                    self.plain_lanes(lanes::avg, &samples, &windows, &mut series)?;
                }
                _ => {
                    let name = labels.metric_name();
                    self.windows(&samples, &windows, name, other, &mut series)?;
                }
            }
        }
        if self.check_counter && !series.floats.is_empty() {
            self.check_counter(&labels);
        }
        series.labels = if drop_name && !self.evaluator.options.delayed_name_removal {
            without_metadata(&labels)
        } else {
            labels
        };
        Ok(series)
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
        let spacing = matches!(self.function, RangeFunction::Rate(_));
        let len = samples.times.len();
        match samples.shared {
            Some((column, first_row)) => FloatWindows {
                windows: memory.windows.get(column, self.grid.steps, || {
                    Windows::new(column, grid, spacing)
                }),
                first_row,
                len,
            },
            None => FloatWindows {
                windows: Arc::new(Windows::new(samples.times, grid, spacing)),
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
        let mut read = Read::default();
        let mut out = Column::with_capacity(self.grid.steps.min(1 << 16));
        // Windows only move forward, so the first fall of interest does, too.
        let mut next_fall = 0;
        for step in 0..self.grid.steps {
            let (from, to) = windows.bounds(step);
            read.add(self.evaluator, to - from)?;
            if to - from < 2 {
                continue;
            }
            let first = values[from];
            let mut increase = values[to - 1] - first;
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
            let mut spacing = if windows.is_whole(step) {
                windows.windows.spacing[step]
            } else {
                window_spacing(samples.times, (from, to), &self.ranges.windows, step)
            };
            if kind.counter {
                spacing = spacing.limited_by_zero(first, increase);
            }
            out.push(
                step,
                increase * spacing.factor(self.range_seconds, kind.per_second),
            );
        }
        read.finish(self.evaluator)?;
        series.floats = out;
        Ok(())
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

    /// `sum_over_time` and `avg_over_time` of floats, some windows at a time.
    fn plain_lanes(
        &self,
        f: fn(&[f64], &[Rows; LANES]) -> [f64; LANES],
        samples: &Samples<'_>,
        windows: &FloatWindows,
        series: &mut Series,
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
                let values = f(samples.values, &rows);
                for (step, value) in steps[..filled].iter().zip(values) {
                    series.floats.push(*step, value);
                }
                filled = 0;
            }
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

/// What the windows of one series read.
#[derive(Default)]
struct Read {
    largest: usize,
    all: u64,
    unchecked: usize,
}

impl Read {
    /// Work that is done between two looks at the clock, in samples.
    const CHECK: usize = 1 << 16;

    #[inline]
    fn add(&mut self, evaluator: &Evaluator<'_>, samples: usize) -> Result<(), QueryError> {
        self.largest = self.largest.max(samples);
        self.all += samples as u64;
        self.unchecked += samples + 1;
        if self.unchecked > Self::CHECK {
            self.unchecked = 0;
            evaluator.limits.check()?;
        }
        Ok(())
    }

    fn finish(self, evaluator: &Evaluator<'_>) -> Result<(), QueryError> {
        evaluator.limits.count_read(self.all);
        evaluator.limits.fits(self.largest)
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
