//! Arithmetic and comparisons: of scalars, of a vector and a scalar, of two vectors.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use tsdb_model::histogram::{ArithmeticNotes, CounterResetHint, HistogramError};
use tsdb_model::{FloatHistogram, Labels};

use super::column::{Cell, Column, Grid, Scalar, Series};
use super::matching::{changes_metric, match_series, matching_labels, result_labels};
use super::set::Presence;
use super::{Evaluated, Evaluator, Frame, unexpected};
use crate::ast::{BinaryOp, Cardinality, Span, VectorMatching};
use crate::error::QueryError;
use crate::functions::math;
use crate::notes::{HistogramOperation, Note};
use crate::plan::BinaryPlan;

/// What an operation on two values makes.
enum Outcome {
    /// A value.
    Value(Cell),
    /// The left value, and whether it passed the comparison.
    Compared(Cell, bool),
    /// Nothing: the values do not go together.
    Failed,
}

/// What is to be said about an operation, gathered over all its values.
#[derive(Debug, Default)]
struct OperationNotes {
    incompatible_types: [[bool; 2]; 2], // by "is a histogram" of left and right
    incompatible_layout: bool,
    collision: Option<HistogramOperation>,
    reconciled: Option<HistogramOperation>,
}

impl OperationNotes {
    fn add(&self, evaluator: &Evaluator<'_>, op: BinaryOp, span: Span) {
        const TYPES: [&str; 2] = ["float", "histogram"];
        for (l, row) in self.incompatible_types.iter().enumerate() {
            for (r, seen) in row.iter().enumerate() {
                if *seen {
                    let (lhs, rhs) = (TYPES[l], TYPES[r]);
                    evaluator.note(&Note::IncompatibleTypes { lhs, op, rhs }, span);
                }
            }
        }
        if self.incompatible_layout {
            evaluator.note(&Note::IncompatibleBucketLayout(op), span);
        }
        if let Some(operation) = self.collision {
            evaluator.note(&Note::CounterResetCollision(operation), span);
        }
        if let Some(operation) = self.reconciled {
            evaluator.note(&Note::BoundsReconciled(operation), span);
        }
    }
}

/// The function of an arithmetic operator.
fn arithmetic(op: BinaryOp) -> Option<fn(f64, f64) -> f64> {
    Some(match op {
        BinaryOp::Add => |a, b| a + b,
        BinaryOp::Sub => |a, b| a - b,
        BinaryOp::Mul => |a, b| a * b,
        BinaryOp::Div => |a, b| a / b,
        BinaryOp::Mod => math::modulo,
        BinaryOp::Pow => math::pow,
        BinaryOp::Atan2 => math::atan2,
        _ => return None,
    })
}

/// The function of a comparison.
fn comparison(op: BinaryOp) -> Option<fn(f64, f64) -> bool> {
    Some(match op {
        BinaryOp::Eq => |a, b| a == b,
        BinaryOp::Ne => |a, b| a != b,
        BinaryOp::Lt => |a, b| a < b,
        BinaryOp::Le => |a, b| a <= b,
        BinaryOp::Gt => |a, b| a > b,
        BinaryOp::Ge => |a, b| a >= b,
        _ => return None,
    })
}

/// One operation on two values.
fn operate(op: BinaryOp, lhs: &Cell, rhs: &Cell, notes: &mut OperationNotes) -> Outcome {
    let made = |change: &dyn Fn(&mut FloatHistogram), h: &FloatHistogram| {
        let mut h = h.clone();
        change(&mut h);
        Outcome::Value(Cell::Histogram(Arc::new(h)))
    };
    match (lhs, rhs) {
        (Cell::Float(a), Cell::Float(b)) => {
            if let Some(f) = arithmetic(op) {
                return Outcome::Value(Cell::Float(f(*a, *b)));
            }
            if let Some(f) = comparison(op) {
                return Outcome::Compared(Cell::Float(*a), f(*a, *b));
            }
            notes.incompatible_types[0][0] = true;
            Outcome::Failed
        }
        (Cell::Float(factor), Cell::Histogram(h)) => {
            if op == BinaryOp::Mul {
                return made(&|h| scaled(h, |h| h.mul(*factor)), h);
            }
            notes.incompatible_types[0][1] = true;
            Outcome::Failed
        }
        (Cell::Histogram(h), Cell::Float(v)) => match op {
            BinaryOp::Mul => made(&|h| scaled(h, |h| h.mul(*v)), h),
            BinaryOp::Div => made(&|h| scaled(h, |h| h.div(*v)), h),
            BinaryOp::TrimUpper => made(&|h| h.trim(*v, true), h),
            BinaryOp::TrimLower => made(&|h| h.trim(*v, false), h),
            _ => {
                notes.incompatible_types[1][0] = true;
                Outcome::Failed
            }
        },
        (Cell::Histogram(a), Cell::Histogram(b)) => match op {
            BinaryOp::Add => combined(a, HistogramOperation::Addition, notes, |h| h.add(b)),
            BinaryOp::Sub => combined(a, HistogramOperation::Subtraction, notes, |h| h.sub(b)),
            BinaryOp::Eq => Outcome::Compared(Cell::Histogram(a.clone()), a.same_data(b)),
            BinaryOp::Ne => Outcome::Compared(Cell::Histogram(a.clone()), !a.same_data(b)),
            _ => {
                notes.incompatible_types[1][1] = true;
                Outcome::Failed
            }
        },
    }
}

fn scaled(h: &mut FloatHistogram, change: impl Fn(&mut FloatHistogram)) {
    change(h);
    h.compact(0);
}

/// Sum or difference of two histograms. As in Prometheus there is none when their counter reset
/// hints contradict each other.
fn combined(
    lhs: &FloatHistogram,
    operation: HistogramOperation,
    notes: &mut OperationNotes,
    combine: impl Fn(&mut FloatHistogram) -> Result<ArithmeticNotes, HistogramError>,
) -> Outcome {
    let mut h = lhs.clone();
    match combine(&mut h) {
        Ok(said) if said.counter_reset_collision => {
            notes.collision = Some(operation);
            Outcome::Failed
        }
        Ok(said) => {
            if said.bounds_reconciled {
                notes.reconciled = Some(operation);
            }
            if operation == HistogramOperation::Subtraction {
                h.reset_hint = CounterResetHint::Gauge;
            }
            h.compact(0);
            Outcome::Value(Cell::Histogram(Arc::new(h)))
        }
        Err(error) => {
            notes.incompatible_layout |= matches!(error, HistogramError::IncompatibleSchemas);
            Outcome::Failed
        }
    }
}

fn one_or_zero(v: bool) -> f64 {
    f64::from(u8::from(v))
}

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
        let charge = self.limits.hold(series.iter().map(Series::samples).sum())?;
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

/// Series that match each other, by position.
#[derive(Debug, Clone, Default)]
struct Group {
    many: Vec<usize>,
    one: Vec<usize>,
}

/// The element of the "one" side at each step.
enum Partners {
    Nobody,
    Always(usize),
    /// Where several series take turns.
    Steps(HashMap<usize, usize>),
}

impl Partners {
    fn at(&self, step: usize) -> Option<usize> {
        match self {
            Self::Nobody => None,
            Self::Always(one) => Some(*one),
            Self::Steps(steps) => steps.get(&step).copied(),
        }
    }
}

/// An operation on two vectors under way.
struct Join<'a> {
    plan: &'a BinaryPlan,
    matching: &'a VectorMatching,
    /// The "many" side is the right one.
    swapped: bool,
    many: &'a [Series],
    one: &'a [Series],
    /// Labels that belong to the metric go.
    drop_labels: bool,
    notes: OperationNotes,
    /// Results by the series of the "many" side, and of the "one" side where that stood alone.
    out_many: Vec<Vec<Series>>,
    out_one: Vec<Vec<Series>>,
}

impl Join<'_> {
    /// The partners in all groups. Fails when the "one" side has two at the same step.
    fn partners(&self, groups: &[Group]) -> Result<Vec<Partners>, QueryError> {
        let mut conflicts: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        let partners = groups
            .iter()
            .map(|group| match group.one.as_slice() {
                [] => Partners::Nobody,
                [one] => Partners::Always(*one),
                several => {
                    let mut steps = HashMap::new();
                    for one in several {
                        for step in self.one[*one].steps() {
                            if let Some(other) = steps.insert(step, *one) {
                                conflicts.entry((step, *one)).or_insert(other);
                            }
                        }
                    }
                    Partners::Steps(steps)
                }
            })
            .collect();
        if conflicts.is_empty() {
            return Ok(partners);
        }
        // Nothing is looked at where there is nothing to match with.
        let filled = self.matching.fill_lhs.is_some() || self.matching.fill_rhs.is_some();
        let mut present = Presence::default();
        for series in self.many {
            present.insert_all(series);
        }
        for ((step, one), other) in conflicts {
            if filled || present.contains(step) {
                return Err(self.duplicate(&self.one[one].labels, &self.one[other].labels));
            }
        }
        Ok(partners)
    }

    fn duplicate(&self, a: &Labels, b: &Labels) -> QueryError {
        let group = matching_labels(a, self.matching);
        let side = if self.swapped { "left" } else { "right" };
        let (mut a, mut b) = (a.to_string(), b.to_string());
        if a > b {
            std::mem::swap(&mut a, &mut b);
        }
        QueryError::Execution(format!(
            "found duplicate series for the match group {group} on the {side} hand-side of the \
             operation: [{a}, {b}];many-to-many matching not allowed: matching labels must be \
             unique on one side"
        ))
    }

    fn group(&mut self, group: &Group, partners: &Partners) -> Result<(), QueryError> {
        let fill_one = self.matching.fill_rhs;
        let fill_many = self.matching.fill_lhs;
        if group.many.is_empty() && fill_many.is_none()
            || group.one.is_empty() && fill_one.is_none()
        {
            return Ok(());
        }
        let tracked =
            fill_many.is_some() || (group.many.len() > 1 && self.may_clash(group, partners));
        let mut taken = Taken::new(self.matching.card, tracked);
        for many in &group.many {
            self.many_series(*many, partners, &mut taken)?;
        }
        let Some(fill) = fill_many else {
            return Ok(());
        };
        for one in &group.one {
            let matched = matching_labels(&self.one[*one].labels, self.matching);
            let labels = self.labels(&matched, &self.one[*one].labels);
            let mut series = self.result(labels);
            for step in self.one[*one].steps() {
                if taken.any.contains(step) {
                    continue;
                }
                if let Some(value) = self.one[*one].get(step) {
                    self.element(step, &Cell::Float(fill), &value, &mut series, &mut taken)?;
                }
            }
            self.out_one[*one].push(series);
        }
        Ok(())
    }

    /// True when two results of a group could be one and the same.
    fn may_clash(&self, group: &Group, partners: &Partners) -> bool {
        let Partners::Always(one) = partners else {
            return true;
        };
        if self.matching.card == Cardinality::OneToOne {
            return true;
        }
        let one = &self.one[*one].labels;
        let mut seen = HashSet::with_capacity(group.many.len());
        let mut results = group
            .many
            .iter()
            .map(|m| self.labels(&self.many[*m].labels, one));
        !results.all(|labels| seen.insert(labels))
    }

    /// All elements of one series of the "many" side.
    fn many_series(
        &mut self,
        index: usize,
        partners: &Partners,
        taken: &mut Taken,
    ) -> Result<(), QueryError> {
        let fill = self.matching.fill_rhs;
        if fill.is_none()
            && !taken.tracked
            && let Partners::Always(one) = partners
            && self.many[index].histograms.is_empty()
            && self.one[*one].histograms.is_empty()
            && let Some(floats) = self.floats(&self.many[index].floats, &self.one[*one].floats)
        {
            let labels = self.labels(&self.many[index].labels, &self.one[*one].labels);
            let mut series = self.result(labels);
            series.floats = floats;
            self.out_many[index].push(series);
            return Ok(());
        }
        let matched = matching_labels(&self.many[index].labels, self.matching);
        let mut results: Vec<(Option<usize>, Series)> = Vec::new();
        for step in self.many[index].steps() {
            let Some(value) = self.many[index].get(step) else {
                continue;
            };
            let found = partners
                .at(step)
                .and_then(|one| Some((one, self.one[one].get(step)?)));
            let (partner, other) = match (found, fill) {
                (Some((one, other)), _) => (Some(one), other),
                (None, Some(fill)) => (None, Cell::Float(fill)),
                (None, None) => continue,
            };
            let place = match results.iter().position(|(p, _)| *p == partner) {
                Some(place) => place,
                None => {
                    let one = partner.map_or(&matched, |one| &self.one[one].labels);
                    let labels = self.labels(&self.many[index].labels, one);
                    results.push((partner, self.result(labels)));
                    results.len() - 1
                }
            };
            self.element(step, &value, &other, &mut results[place].1, taken)?;
        }
        self.out_many[index].extend(results.into_iter().map(|(_, series)| series));
        Ok(())
    }

    /// One element of the result.
    fn element(
        &mut self,
        step: usize,
        many: &Cell,
        one: &Cell,
        series: &mut Series,
        taken: &mut Taken,
    ) -> Result<(), QueryError> {
        let (lhs, rhs) = if self.swapped {
            (one, many)
        } else {
            (many, one)
        };
        let outcome = operate(self.plan.op, lhs, rhs, &mut self.notes);
        if matches!(outcome, Outcome::Failed) {
            return Ok(());
        }
        taken.take(step, &series.labels)?;
        let cell = match outcome {
            Outcome::Failed => return Ok(()),
            Outcome::Compared(_, passed) if self.plan.return_bool => {
                Cell::Float(one_or_zero(passed))
            }
            Outcome::Compared(_, false) => return Ok(()),
            Outcome::Value(cell) | Outcome::Compared(cell, true) => cell,
        };
        series.push(step, cell);
        Ok(())
    }

    /// The operation on two columns of floats.
    fn floats(&self, many: &Column, one: &Column) -> Option<Column> {
        let swapped = self.swapped;
        let ordered = |a: f64, b: f64| if swapped { (b, a) } else { (a, b) };
        if let Some(f) = arithmetic(self.plan.op) {
            return Some(many.filter_map(|step, v| {
                let (a, b) = ordered(v, one.get(step)?);
                Some(f(a, b))
            }));
        }
        let f = comparison(self.plan.op)?;
        let return_bool = self.plan.return_bool;
        Some(many.filter_map(|step, v| {
            let (a, b) = ordered(v, one.get(step)?);
            match (f(a, b), return_bool) {
                (passed, true) => Some(one_or_zero(passed)),
                (passed, false) => passed.then_some(a),
            }
        }))
    }

    fn labels(&self, many: &Labels, one: &Labels) -> Labels {
        result_labels(many, one, self.matching, self.drop_labels)
    }

    fn result(&self, labels: Labels) -> Series {
        Series::new(labels, self.plan.return_bool)
    }
}

/// Which results a group has already at each step: one for all in one-to-one matching, else one
/// per label set.
struct Taken {
    one_to_one: bool,
    /// Must be known at all.
    tracked: bool,
    any: Presence,
    labels: HashMap<Labels, Presence>,
}

impl Taken {
    fn new(card: Cardinality, tracked: bool) -> Self {
        Self {
            one_to_one: card == Cardinality::OneToOne,
            tracked,
            any: Presence::default(),
            labels: HashMap::new(),
        }
    }

    fn take(&mut self, step: usize, labels: &Labels) -> Result<(), QueryError> {
        if !self.tracked {
            return Ok(());
        }
        if self.one_to_one {
            if self.any.contains(step) {
                return Err(QueryError::Execution(
                    "multiple matches for labels: many-to-one matching must be explicit \
                     (group_left/group_right)"
                        .into(),
                ));
            }
        } else {
            if !self.labels.contains_key(labels) {
                self.labels.insert(labels.clone(), Presence::default());
            }
            if let Some(known) = self.labels.get_mut(labels) {
                if known.contains(step) {
                    return Err(QueryError::Execution(
                        "multiple matches for labels: grouping labels must ensure unique matches"
                            .into(),
                    ));
                }
                known.insert(step);
            }
        }
        self.any.insert(step);
        Ok(())
    }
}
