//! The evaluator: walks the plan once; at each node all series are worked on one after the other,
//! each over all steps of the grid.

pub(crate) mod column;
pub(crate) mod limits;

mod aggregate;
mod binary;
mod call;
mod grouping;
mod histogram_call;
mod info;
mod matching;
mod matrix;
mod range_call;
mod samples;
mod selector;
mod set;
mod source;
mod subquery;
#[cfg(test)]
mod tests;
mod topk;
mod unite;
mod windows;

use std::sync::{Arc, Mutex, PoisonError};

use tsdb_model::{Labels, METRIC_NAME, Querier};

use crate::ast::Span;
use crate::engine::EngineOptions;
use crate::error::QueryError;
use crate::notes::{Note, Notes};
use crate::plan::{Node, Plan};

use column::{Grid, Scalar, Series};
use limits::{Charge, Limits};
pub(crate) use matrix::range_series;
pub(crate) use range_call::is_range_function;

/// Series with the part of the budget they take.
#[derive(Debug)]
pub(crate) struct Frame<'q> {
    pub(crate) series: Vec<Series>,
    charge: Charge<'q>,
}

/// Value of a node at all steps.
#[derive(Debug)]
pub(crate) enum Evaluated<'q> {
    Scalar(Scalar),
    Text(String),
    Vector(Frame<'q>),
}

/// Evaluates plans for one query.
pub(crate) struct Evaluator<'q> {
    pub(crate) querier: &'q dyn Querier,
    pub(crate) options: &'q EngineOptions,
    /// How far instant selectors look back, milliseconds.
    pub(crate) lookback: i64,
    pub(crate) limits: &'q Limits,
    pub(crate) notes: Mutex<Notes>,
    /// Threads that work on many series.
    pub(crate) threads: usize,
}

impl<'q> Evaluator<'q> {
    /// Value of `plan` at the times of `grid`.
    pub(crate) fn eval(&self, plan: &Plan, grid: Grid) -> Result<Evaluated<'q>, QueryError> {
        self.limits.check()?;
        match &plan.node {
            Node::Number(value) => Ok(Evaluated::Scalar(Scalar::Constant(*value))),
            Node::Text(text) => Ok(Evaluated::Text(text.clone())),
            _ if grid.steps == 0 => Ok(self.nothing(plan)),
            Node::Selector(selector) => self
                .instant_vector(selector, plan.span, grid)
                .map(Evaluated::Vector),
            Node::Matrix(_) | Node::Subquery(_) => Err(unexpected("range vector")),
            Node::Invariant(inner) => self.invariant(inner, grid),
            Node::Sign(negative, inner) => self.sign(*negative, inner, grid),
            Node::Binary(binary) => self.binary(binary, plan.span, grid),
            Node::Aggregate(aggregate) => self
                .aggregate(aggregate, plan.span, grid)
                .map(Evaluated::Vector),
            Node::Call(call) => self.call(call, plan.span, grid),
        }
    }

    /// The value of a vector at no steps; scalars are constants then, which is as good.
    fn nothing(&self, plan: &Plan) -> Evaluated<'q> {
        if is_scalar(plan) {
            Evaluated::Scalar(Scalar::Constant(f64::NAN))
        } else {
            Evaluated::Vector(self.empty())
        }
    }

    /// Value of a node that is an instant vector.
    pub(crate) fn vector(&self, plan: &Plan, grid: Grid) -> Result<Frame<'q>, QueryError> {
        match self.eval(plan, grid)? {
            Evaluated::Vector(frame) => Ok(frame),
            Evaluated::Scalar(_) | Evaluated::Text(_) => Err(unexpected("scalar or string")),
        }
    }

    /// Value of a node that is a scalar.
    fn scalar(&self, plan: &Plan, grid: Grid) -> Result<Scalar, QueryError> {
        match self.eval(plan, grid)? {
            Evaluated::Scalar(scalar) => Ok(scalar),
            Evaluated::Vector(_) | Evaluated::Text(_) => Err(unexpected("vector or string")),
        }
    }

    /// One number per step, taken out of the budget only while it is made.
    fn scalar_steps(
        &self,
        grid: Grid,
        mut f: impl FnMut(usize) -> f64,
    ) -> Result<Scalar, QueryError> {
        if grid.steps == 1 {
            return Ok(Scalar::Steps(vec![f(0)]));
        }
        self.limits.fits(grid.steps)?;
        Ok(Scalar::Steps((0..grid.steps).map(&mut f).collect()))
    }

    /// No series.
    fn empty(&self) -> Frame<'q> {
        Frame {
            series: Vec::new(),
            charge: self.limits.charge(),
        }
    }

    /// A frame of these series, those without values left out.
    fn frame(&self, mut series: Vec<Series>) -> Result<Frame<'q>, QueryError> {
        series.retain(|s| !s.is_empty());
        let mut charge = self.limits.charge();
        charge.set_series(&series)?;
        Ok(Frame { series, charge })
    }

    /// The series of `frame` changed.
    fn reframe(mut frame: Frame<'q>, series: Vec<Series>) -> Result<Frame<'q>, QueryError> {
        frame.series = series;
        frame.series.retain(|s| !s.is_empty());
        frame.charge.set_series(&frame.series)?;
        Ok(frame)
    }

    /// What is the same at all steps: evaluated at the first one and repeated.
    fn invariant(&self, plan: &Plan, grid: Grid) -> Result<Evaluated<'q>, QueryError> {
        let before = self.limits.samples_read();
        let first = self.eval(plan, Grid::single(grid.start))?;
        if grid.steps == 1 {
            return Ok(first);
        }
        let read = self.limits.samples_read() - before;
        let repeated = grid.steps as u64 - 1;
        self.limits.count_read(read.saturating_mul(repeated));
        match first {
            Evaluated::Text(text) => Ok(Evaluated::Text(text)),
            Evaluated::Scalar(scalar) => Ok(Evaluated::Scalar(Scalar::Constant(scalar.get(0)))),
            Evaluated::Vector(mut frame) => {
                let samples: usize = frame.series.iter().map(Series::samples).sum();
                frame.charge.set(samples.saturating_mul(grid.steps))?;
                for series in &mut frame.series {
                    self.limits.check()?;
                    if let Some(value) = series.floats.get(0) {
                        series.floats = column::Column::full(0, vec![value; grid.steps]);
                    } else if let Some((_, h)) = series.histograms.pop() {
                        series.histograms = (0..grid.steps).map(|i| (i, h.clone())).collect();
                    }
                }
                Ok(Evaluated::Vector(frame))
            }
        }
    }

    fn sign(&self, negative: bool, plan: &Plan, grid: Grid) -> Result<Evaluated<'q>, QueryError> {
        let value = self.eval(plan, grid)?;
        if !negative {
            return Ok(value);
        }
        match value {
            Evaluated::Text(_) => Err(unexpected("string")),
            Evaluated::Scalar(Scalar::Constant(v)) => Ok(Evaluated::Scalar(Scalar::Constant(-v))),
            Evaluated::Scalar(Scalar::Steps(values)) => Ok(Evaluated::Scalar(Scalar::Steps(
                values.into_iter().map(|v| -v).collect(),
            ))),
            Evaluated::Vector(mut frame) => {
                for series in &mut frame.series {
                    self.drop_name(series);
                    series.floats.map(|v| -v);
                    for (_, h) in &mut series.histograms {
                        Arc::make_mut(h).mul(-1.0);
                    }
                }
                if !self.options.delayed_name_removal {
                    let series = unite::unite(std::mem::take(&mut frame.series))?;
                    frame = Self::reframe(frame, series)?;
                }
                Ok(Evaluated::Vector(frame))
            }
        }
    }

    /// Takes the metric name away from a computed series, or marks it to be taken away at the end.
    fn drop_name(&self, series: &mut Series) {
        series.drop_name = true;
        if !self.options.delayed_name_removal {
            series.labels = without_metadata(&series.labels);
        }
    }

    /// Makes series with equal labels one. At one step with delayed name removal that has time
    /// until the end.
    fn unite(&self, series: Vec<Series>, grid: Grid) -> Result<Vec<Series>, QueryError> {
        if grid.steps == 1 && self.options.delayed_name_removal {
            return Ok(series);
        }
        unite::unite(series)
    }

    /// Drops the names that were to be dropped at the end. Fails when two series come out with the
    /// same labels.
    pub(crate) fn finish(&self, frame: &mut Frame<'q>) -> Result<(), QueryError> {
        if !self.options.delayed_name_removal {
            if unite::has_duplicates(frame.series.iter().map(|s| &s.labels)) {
                return Err(same_labels());
            }
            return Ok(());
        }
        for series in frame.series.iter_mut().filter(|s| s.drop_name) {
            series.labels = without_metadata(&series.labels);
        }
        frame.series = unite::unite(std::mem::take(&mut frame.series))?;
        Ok(())
    }

    /// Adds a note about the part of the query at `span`.
    fn note(&self, note: &Note<'_>, span: Span) {
        self.lock_notes().add(note, span);
    }

    fn lock_notes(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The parser checks types, so this is never seen.
fn unexpected(what: &str) -> QueryError {
    QueryError::Execution(format!("unexpected error: {what} where it cannot be"))
}

/// The error when two elements of a vector have the same labels.
fn same_labels() -> QueryError {
    QueryError::Execution("vector cannot contain metrics with the same labelset".into())
}

/// True for the label names that belong to the identity of a metric and go when it is computed
/// with: name, type and unit.
fn is_metadata_label(name: &str) -> bool {
    matches!(name, METRIC_NAME | "__type__" | "__unit__")
}

/// The labels without name, type and unit.
fn without_metadata(labels: &Labels) -> Labels {
    if labels.iter().any(|l| is_metadata_label(l.name)) {
        labels.filter(|l| !is_metadata_label(l.name))
    } else {
        labels.clone()
    }
}

/// True when the value of a node is a scalar.
fn is_scalar(plan: &Plan) -> bool {
    match &plan.node {
        Node::Number(_) => true,
        Node::Sign(_, inner) | Node::Invariant(inner) => is_scalar(inner),
        Node::Binary(b) => is_scalar(&b.lhs) && is_scalar(&b.rhs),
        Node::Call(call) => matches!(call.name, "scalar" | "time" | "pi" | "max_of" | "min_of"),
        _ => false,
    }
}
