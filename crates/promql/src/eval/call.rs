//! Function calls, those of range vectors and of histograms excepted.

use std::f64::consts::PI;

use tsdb_model::Labels;

use super::column::{Column, Grid, Scalar, Series};
use super::range_call::{absent_labels, absent_series, is_range_function};
use super::selector::Pick;
use super::set::Presence;
use super::topk::{insertion_order, nan_last};
use super::{Evaluated, Evaluator, Frame, unexpected, unite};
use crate::ast::Span;
use crate::error::QueryError;
use crate::functions::label::{LabelJoin, LabelReplace};
use crate::functions::natural_sort::compare_by_labels;
use crate::functions::{math, time};
use crate::notes::Note;
use crate::plan::{CallPlan, Node, Plan};

impl<'q> Evaluator<'q> {
    /// Value of a function call.
    pub(super) fn call(
        &self,
        call: &CallPlan,
        span: Span,
        grid: Grid,
    ) -> Result<Evaluated<'q>, QueryError> {
        let name = call.name;
        if is_range_function(name) {
            return self.range_call(call, grid);
        }
        if let Some(f) = math::lookup(name) {
            let frame = self.vector(argument(call, 0)?, grid)?;
            return self.map_floats(frame, grid, |_, v| Some(f(v)));
        }
        if let Some(f) = time::lookup(name) {
            return self.calendar(call, f, grid);
        }
        match name {
            "time" => self
                .scalar_steps(grid, |step| grid.time(step) as f64 / 1000.0)
                .map(Evaluated::Scalar),
            "pi" => Ok(Evaluated::Scalar(Scalar::Constant(PI))),
            "max_of" => self.of_two(call, math::max, grid),
            "min_of" => self.of_two(call, math::min, grid),
            "scalar" => self.to_scalar(call, grid),
            "vector" => self.to_vector(call, grid),
            "absent" => self.absent(call, grid),
            "timestamp" => self.timestamp(call, grid),
            "start_timestamp" => self.start_timestamp(call, grid),
            "round" => self.round(call, grid),
            "clamp" | "clamp_min" | "clamp_max" => self.clamp(call, grid),
            "label_replace" => self.label_replace(call, grid),
            "label_join" => self.label_join(call, grid),
            "sort" | "sort_desc" => self.sort(call, span, grid),
            "sort_by_label" | "sort_by_label_desc" => self.sort_by_label(call, span, grid),
            "info" => self.info(call, grid),
            _ => self.histogram_call(call, grid),
        }
    }

    /// The floats changed, histograms left out, the metric name dropped.
    pub(super) fn map_floats(
        &self,
        mut frame: Frame<'q>,
        grid: Grid,
        mut f: impl FnMut(usize, f64) -> Option<f64>,
    ) -> Result<Evaluated<'q>, QueryError> {
        for series in &mut frame.series {
            self.limits.check()?;
            series.histograms.clear();
            series.floats = series.floats.filter_map(&mut f);
            self.drop_name(series);
        }
        self.united(frame, grid)
    }

    /// The frame with series of equal labels made one.
    fn united(&self, mut frame: Frame<'q>, grid: Grid) -> Result<Evaluated<'q>, QueryError> {
        let mut series = std::mem::take(&mut frame.series);
        series.retain(|s| !s.is_empty());
        let series = self.unite(series, grid)?;
        Self::reframe(frame, series).map(Evaluated::Vector)
    }

    fn of_two(
        &self,
        call: &CallPlan,
        f: fn(f64, f64) -> f64,
        grid: Grid,
    ) -> Result<Evaluated<'q>, QueryError> {
        let a = self.scalar(argument(call, 0)?, grid)?;
        let b = self.scalar(argument(call, 1)?, grid)?;
        self.scalar_steps(grid, |step| f(a.get(step), b.get(step)))
            .map(Evaluated::Scalar)
    }

    fn to_scalar(&self, call: &CallPlan, grid: Grid) -> Result<Evaluated<'q>, QueryError> {
        let frame = self.vector(argument(call, 0)?, grid)?;
        self.limits.fits(grid.steps)?;
        let mut values: Vec<Option<f64>> = vec![None; grid.steps];
        for series in &frame.series {
            for (step, value) in series.floats.iter() {
                let known = &mut values[step];
                *known = Some(if known.is_some() { f64::NAN } else { value });
            }
        }
        let values = values.into_iter().map(|v| v.unwrap_or(f64::NAN));
        Ok(Evaluated::Scalar(Scalar::Steps(values.collect())))
    }

    fn to_vector(&self, call: &CallPlan, grid: Grid) -> Result<Evaluated<'q>, QueryError> {
        let scalar = self.scalar(argument(call, 0)?, grid)?;
        self.one_series(grid, |step| scalar.get(step))
    }

    /// A series without labels that has a value at each step.
    fn one_series(
        &self,
        grid: Grid,
        f: impl FnMut(usize) -> f64,
    ) -> Result<Evaluated<'q>, QueryError> {
        self.limits.fits(grid.steps)?;
        let mut series = Series::new(Labels::empty(), false);
        series.floats = Column::full(0, (0..grid.steps).map(f).collect());
        self.frame(vec![series]).map(Evaluated::Vector)
    }

    fn calendar(
        &self,
        call: &CallPlan,
        f: fn(f64) -> f64,
        grid: Grid,
    ) -> Result<Evaluated<'q>, QueryError> {
        match call.args.first() {
            // Whole seconds only, cut off as Go's integer division does.
            None => self.one_series(grid, |step| f((grid.time(step) / 1000) as f64)),
            Some(arg) => {
                let frame = self.vector(arg, grid)?;
                self.map_floats(frame, grid, |_, v| Some(f(v)))
            }
        }
    }

    fn absent(&self, call: &CallPlan, grid: Grid) -> Result<Evaluated<'q>, QueryError> {
        let arg = argument(call, 0)?;
        let frame = self.vector(arg, grid)?;
        let mut present = Presence::default();
        for series in &frame.series {
            present.insert_all(series);
        }
        drop(frame);
        let mut series = absent_series(absent_labels(arg), &present, grid);
        series.drop_name = false;
        self.frame(vec![series]).map(Evaluated::Vector)
    }

    /// The time of each sample of a selector, of anything else that of the step.
    fn timestamp(&self, call: &CallPlan, grid: Grid) -> Result<Evaluated<'q>, QueryError> {
        let arg = argument(call, 0)?;
        if let Node::Selector(selector) = &arg.node {
            let frame = self.newest(selector, grid, Pick::Timestamp)?;
            return self.without_names(frame, grid);
        }
        let mut frame = self.vector(arg, grid)?;
        for series in &mut frame.series {
            self.limits.check()?;
            let mut times = Column::with_capacity(series.samples().min(grid.steps));
            for step in series.steps() {
                times.push(step, grid.time(step) as f64 / 1000.0);
            }
            series.floats = times;
            series.histograms.clear();
        }
        self.without_names(frame, grid)
    }

    /// There is something to tell about the samples of selectors only.
    fn start_timestamp(&self, call: &CallPlan, grid: Grid) -> Result<Evaluated<'q>, QueryError> {
        let arg = argument(call, 0)?;
        match &arg.node {
            Node::Selector(selector) if self.options.start_timestamps => {
                let frame = self.newest(selector, grid, Pick::StartTimestamp)?;
                self.without_names(frame, grid)
            }
            _ => {
                self.vector(arg, grid)?;
                Ok(Evaluated::Vector(self.empty()))
            }
        }
    }

    fn without_names(&self, mut frame: Frame<'q>, grid: Grid) -> Result<Evaluated<'q>, QueryError> {
        for series in &mut frame.series {
            self.drop_name(series);
        }
        self.united(frame, grid)
    }

    fn round(&self, call: &CallPlan, grid: Grid) -> Result<Evaluated<'q>, QueryError> {
        let frame = self.vector(argument(call, 0)?, grid)?;
        let to_nearest = match call.args.get(1) {
            Some(arg) => self.scalar(arg, grid)?,
            None => Scalar::Constant(1.0),
        };
        self.map_floats(frame, grid, |step, v| {
            Some(math::round(v, to_nearest.get(step)))
        })
    }

    fn clamp(&self, call: &CallPlan, grid: Grid) -> Result<Evaluated<'q>, QueryError> {
        let frame = self.vector(argument(call, 0)?, grid)?;
        let bound = |i| self.scalar(argument(call, i)?, grid);
        let (low, high) = match call.name {
            "clamp_min" => (bound(1)?, Scalar::Constant(f64::INFINITY)),
            "clamp_max" => (Scalar::Constant(f64::NEG_INFINITY), bound(1)?),
            _ => (bound(1)?, bound(2)?),
        };
        self.map_floats(frame, grid, |step, v| {
            let (low, high) = (low.get(step), high.get(step));
            (high >= low || high.is_nan() || low.is_nan()).then(|| math::clamp(v, low, high))
        })
    }

    fn label_replace(&self, call: &CallPlan, grid: Grid) -> Result<Evaluated<'q>, QueryError> {
        let replace = LabelReplace::new(
            text(call, 1)?,
            text(call, 2)?,
            text(call, 3)?,
            text(call, 4)?,
        )?;
        let mut frame = self.vector(argument(call, 0)?, grid)?;
        for series in &mut frame.series {
            self.limits.check()?;
            frame
                .charge
                .add_bytes(replace.result_bytes(&series.labels))?;
            if let Some(labels) = replace.apply(&series.labels) {
                series.labels = labels;
                series.drop_name &= !replace.sets_metric_name();
            }
        }
        Self::relabelled(frame)
    }

    fn label_join(&self, call: &CallPlan, grid: Grid) -> Result<Evaluated<'q>, QueryError> {
        let sources = (3..call.args.len())
            .map(|i| text(call, i).map(str::to_string))
            .collect::<Result<Vec<_>, _>>()?;
        let join = LabelJoin::new(text(call, 1)?, text(call, 2)?, sources)?;
        let mut frame = self.vector(argument(call, 0)?, grid)?;
        for series in &mut frame.series {
            self.limits.check()?;
            frame.charge.add_bytes(join.result_bytes(&series.labels))?;
            series.labels = join.apply(&series.labels);
            series.drop_name &= !join.sets_metric_name();
        }
        Self::relabelled(frame)
    }

    /// Series with equal labels become one, also when names are dropped at the end only.
    fn relabelled(mut frame: Frame<'q>) -> Result<Evaluated<'q>, QueryError> {
        let series = unite::unite(std::mem::take(&mut frame.series))?;
        Self::reframe(frame, series).map(Evaluated::Vector)
    }

    /// `sort`, `sort_desc`: of floats, NaN last.
    fn sort(&self, call: &CallPlan, span: Span, grid: Grid) -> Result<Evaluated<'q>, QueryError> {
        let mut frame = self.vector(argument(call, 0)?, grid)?;
        self.check_sort(span, grid);
        for series in &mut frame.series {
            series.histograms.clear();
        }
        let mut series = std::mem::take(&mut frame.series);
        series.retain(|s| !s.is_empty());
        if grid.steps == 1 {
            let descending = call.name == "sort_desc";
            let value = |s: &Series| s.floats.get(0).unwrap_or(f64::NAN);
            insertion_order(&mut series, |a, b| nan_last(value(a), value(b), descending));
        }
        Self::reframe(frame, series).map(Evaluated::Vector)
    }

    fn sort_by_label(
        &self,
        call: &CallPlan,
        span: Span,
        grid: Grid,
    ) -> Result<Evaluated<'q>, QueryError> {
        let names = (1..call.args.len())
            .map(|i| text(call, i).map(str::to_string))
            .collect::<Result<Vec<_>, _>>()?;
        let mut frame = self.vector(argument(call, 0)?, grid)?;
        self.check_sort(span, grid);
        if grid.steps == 1 {
            let descending = call.name == "sort_by_label_desc";
            frame.series.sort_by(|a, b| {
                let order = compare_by_labels(&a.labels, &b.labels, &names);
                if descending { order.reverse() } else { order }
            });
        }
        Ok(Evaluated::Vector(frame))
    }

    fn check_sort(&self, span: Span, grid: Grid) {
        if grid.steps > 1 {
            self.note(&Note::SortIneffective, span);
        }
    }

    /// Floats made of histograms, the metric name dropped.
    pub(super) fn map_histograms(
        &self,
        mut frame: Frame<'q>,
        grid: Grid,
        f: impl Fn(&tsdb_model::FloatHistogram) -> f64,
    ) -> Result<Evaluated<'q>, QueryError> {
        for series in &mut frame.series {
            self.limits.check()?;
            let histograms = std::mem::take(&mut series.histograms);
            series.floats = histograms.iter().map(|(step, h)| (*step, f(h))).collect();
            series.drop_name = true;
            // Type and unit stay here.
            if !self.options.delayed_name_removal {
                series.labels = series.labels.without_name();
            }
        }
        self.united(frame, grid)
    }
}

/// An argument; the parser has seen to its being there.
pub(super) fn argument(call: &CallPlan, index: usize) -> Result<&Plan, QueryError> {
    call.args
        .get(index)
        .ok_or_else(|| unexpected("too few arguments"))
}

/// An argument that is a string.
pub(super) fn text(call: &CallPlan, index: usize) -> Result<&str, QueryError> {
    match &argument(call, index)?.node {
        Node::Text(text) => Ok(text),
        _ => Err(unexpected("no string")),
    }
}
