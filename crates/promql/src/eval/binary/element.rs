//! One operation on two values.

use std::sync::Arc;

use tsdb_model::FloatHistogram;
use tsdb_model::histogram::{ArithmeticNotes, CounterResetHint, HistogramError};

use super::super::Evaluator;
use super::super::column::Cell;
use crate::ast::{BinaryOp, Span};
use crate::functions::math;
use crate::notes::{HistogramOperation, Note};

/// What an operation on two values makes.
pub(super) enum Outcome {
    /// A value.
    Value(Cell),
    /// The left value, and whether it passed the comparison.
    Compared(Cell, bool),
    /// Nothing: the values do not go together.
    Failed,
}

/// What is to be said about an operation, gathered over all its values.
#[derive(Debug, Default)]
pub(super) struct OperationNotes {
    pub(super) incompatible_types: [[bool; 2]; 2], // by "is a histogram" of left and right
    incompatible_layout: bool,
    collision: Option<HistogramOperation>,
    reconciled: Option<HistogramOperation>,
}

impl OperationNotes {
    pub(super) fn add(&self, evaluator: &Evaluator<'_>, op: BinaryOp, span: Span) {
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
pub(super) fn arithmetic(op: BinaryOp) -> Option<fn(f64, f64) -> f64> {
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
pub(super) fn comparison(op: BinaryOp) -> Option<fn(f64, f64) -> bool> {
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
pub(super) fn operate(op: BinaryOp, lhs: &Cell, rhs: &Cell, notes: &mut OperationNotes) -> Outcome {
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

pub(super) fn scaled(h: &mut FloatHistogram, change: impl Fn(&mut FloatHistogram)) {
    change(h);
    h.compact(0);
}

/// Sum or difference of two histograms. As in Prometheus there is none when their counter reset
/// hints contradict each other.
pub(super) fn combined(
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

pub(super) fn one_or_zero(v: bool) -> f64 {
    f64::from(u8::from(v))
}
