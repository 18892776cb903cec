//! Arithmetic and comparisons: of scalars, of a vector and a scalar, of two vectors.

mod element;
mod join;

use super::column::{Cell, Column, Grid, Scalar, Series};
use super::matching::{changes_metric, match_series};
use super::{Evaluated, Evaluator, Frame, unexpected};
use crate::ast::{BinaryOp, Cardinality, Span, VectorMatching};
use crate::error::QueryError;
use crate::plan::BinaryPlan;

use element::{OperationNotes, Outcome, arithmetic, comparison, one_or_zero, operate};
use join::{Group, Join};

impl<'q> Evaluator<'q> {
    /// Value of an operation on two expressions.
    pub(super) fn binary(
        &self,
        plan: &BinaryPlan,
        span: Span,
        grid: Grid,
    ) -> Result<Evaluated<'q>, QueryError> {
        let lhs = self.eval(&plan.lhs, grid)?;
        let rhs = self.eval(&plan.rhs, grid)?;
        match (lhs, rhs) {
            (Evaluated::Scalar(a), Evaluated::Scalar(b)) => {
                self.scalars(plan.op, &a, &b, grid).map(Evaluated::Scalar)
            }
            (Evaluated::Vector(v), Evaluated::Scalar(s)) => self
                .vector_and_scalar(plan, v, &s, false, span, grid)
                .map(Evaluated::Vector),
            (Evaluated::Scalar(s), Evaluated::Vector(v)) => self
                .vector_and_scalar(plan, v, &s, true, span, grid)
                .map(Evaluated::Vector),
            (Evaluated::Vector(a), Evaluated::Vector(b)) => {
                let Some(matching) = &plan.matching else {
                    return Err(unexpected("vectors without matching"));
                };
                let frame = if plan.op.is_set() {
                    self.set_operation(plan.op, a, b, matching, grid)?
                } else {
                    self.vectors(plan, matching, a, b, span, grid)?
                };
                Ok(Evaluated::Vector(frame))
            }
            _ => Err(unexpected("string")),
        }
    }

    fn scalars(
        &self,
        op: BinaryOp,
        lhs: &Scalar,
        rhs: &Scalar,
        grid: Grid,
    ) -> Result<Scalar, QueryError> {
        let f: Box<dyn Fn(f64, f64) -> f64> = match (arithmetic(op), comparison(op)) {
            (Some(f), _) => Box::new(f),
            (None, Some(f)) => Box::new(move |a, b| one_or_zero(f(a, b))),
            (None, None) => return Err(unexpected("scalar")),
        };
        if let (Scalar::Constant(a), Scalar::Constant(b)) = (lhs, rhs) {
            return Ok(Scalar::Constant(f(*a, *b)));
        }
        self.scalar_steps(grid, |step| f(lhs.get(step), rhs.get(step)))
    }

    /// `swapped`: the scalar stands on the left.
    fn vector_and_scalar(
        &self,
        plan: &BinaryPlan,
        mut frame: Frame<'q>,
        scalar: &Scalar,
        swapped: bool,
        span: Span,
        grid: Grid,
    ) -> Result<Frame<'q>, QueryError> {
        let mut notes = OperationNotes::default();
        let drop_name = changes_metric(plan.op) || plan.return_bool;
        for series in &mut frame.series {
            self.limits.check()?;
            with_scalar(series, plan, scalar, swapped, &mut notes);
            if drop_name {
                self.drop_name(series);
            }
        }
        notes.add(self, plan.op, span);
        let mut series = std::mem::take(&mut frame.series);
        series.retain(|s| !s.is_empty());
        if drop_name {
            series = self.unite(series, grid)?;
        }
        Self::reframe(frame, series)
    }

    /// An operation on two vectors, set operators excluded.
    fn vectors(
        &self,
        plan: &BinaryPlan,
        matching: &VectorMatching,
        lhs: Frame<'q>,
        rhs: Frame<'q>,
        span: Span,
        grid: Grid,
    ) -> Result<Frame<'q>, QueryError> {
        let matched = match_series(&lhs.series, &rhs.series, matching);
        let swapped = matching.card == Cardinality::OneToMany;
        let (many, one) = if swapped {
            (&rhs.series, &lhs.series)
        } else {
            (&lhs.series, &rhs.series)
        };
        let (many_groups, one_groups) = if swapped {
            (matched.rhs, matched.lhs)
        } else {
            (matched.lhs, matched.rhs)
        };
        let mut groups = vec![Group::default(); matched.groups];
        for (i, group) in many_groups.iter().enumerate() {
            groups[*group].many.push(i);
        }
        for (i, group) in one_groups.iter().enumerate() {
            groups[*group].one.push(i);
        }
        let mut join = Join {
            plan,
            matching,
            swapped,
            many,
            one,
            drop_labels: changes_metric(plan.op)
                || (plan.return_bool && !self.options.delayed_name_removal),
            notes: OperationNotes::default(),
            out_many: vec![Vec::new(); many.len()],
            out_one: vec![Vec::new(); one.len()],
        };
        let partners = join.partners(&groups)?;
        for (group, partners) in groups.iter().zip(&partners) {
            self.limits.check()?;
            join.group(group, partners)?;
        }
        join.notes.add(self, plan.op, span);
        let series: Vec<Series> = join
            .out_many
            .into_iter()
            .chain(join.out_one)
            .flatten()
            .filter(|s| !s.is_empty())
            .collect();
        let mut charge = self.limits.charge();
        charge.set_series(&series)?;
        let series = self.unite(series, grid)?;
        Ok(Frame { series, charge })
    }
}

/// Changes a series to the result of an operation with a scalar.
fn with_scalar(
    series: &mut Series,
    plan: &BinaryPlan,
    scalar: &Scalar,
    swapped: bool,
    notes: &mut OperationNotes,
) {
    let floats = std::mem::take(&mut series.floats);
    let ordered = |value: f64, step: usize| {
        let other = scalar.get(step);
        if swapped {
            (other, value)
        } else {
            (value, other)
        }
    };
    series.floats = if let Some(f) = arithmetic(plan.op) {
        floats.filter_map(|step, v| {
            let (a, b) = ordered(v, step);
            Some(f(a, b))
        })
    } else if let Some(f) = comparison(plan.op) {
        floats.filter_map(|step, v| {
            let (a, b) = ordered(v, step);
            let passed = f(a, b);
            if plan.return_bool {
                Some(one_or_zero(passed))
            } else {
                passed.then_some(v)
            }
        })
    } else {
        notes.incompatible_types[0][0] |= !floats.is_empty();
        Column::default()
    };
    let mut histograms = Vec::with_capacity(series.histograms.len());
    for (step, h) in std::mem::take(&mut series.histograms) {
        let (value, other) = (Cell::Histogram(h), Cell::Float(scalar.get(step)));
        let (a, b) = if swapped {
            (&other, &value)
        } else {
            (&value, &other)
        };
        // Comparisons of a histogram and a number always fail.
        if let Outcome::Value(Cell::Histogram(h)) = operate(plan.op, a, b, notes) {
            histograms.push((step, h));
        }
    }
    series.histograms = histograms;
}
