//! Arithmetic on durations.

use crate::ast::{BinaryOp, DurationExpr, DurationExprKind};
use crate::error::QueryError;
use crate::functions::math;

/// Most seconds a duration may have: 64 bits of nanoseconds.
const MAX_SECONDS: f64 = 9_223_372_036.854_775;

/// What durations may refer to, seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct DurationContext {
    pub(super) step: f64,
    pub(super) range: f64,
}

impl DurationContext {
    /// Value in milliseconds.
    pub(super) fn evaluate(
        &self,
        expr: &DurationExpr,
        may_be_negative: bool,
    ) -> Result<i64, QueryError> {
        let seconds = self.seconds(expr)?;
        if !seconds.is_finite() {
            return Err(error(expr, "duration is NaN or infinite"));
        }
        if seconds <= 0.0 && !may_be_negative {
            return Err(error(expr, "duration must be greater than 0"));
        }
        if seconds.abs() > MAX_SECONDS {
            return Err(error(expr, "duration is out of range"));
        }
        Ok((seconds * 1000.0) as i64)
    }

    fn seconds(&self, expr: &DurationExpr) -> Result<f64, QueryError> {
        Ok(match &expr.kind {
            DurationExprKind::Number(number) => number.value,
            DurationExprKind::Sign(negative, inner) => {
                let value = self.seconds(inner)?;
                if *negative { -value } else { value }
            }
            DurationExprKind::Step => self.step,
            DurationExprKind::Range => self.range,
            DurationExprKind::MinOf(a, b) => math::min(self.seconds(a)?, self.seconds(b)?),
            DurationExprKind::MaxOf(a, b) => math::max(self.seconds(a)?, self.seconds(b)?),
            DurationExprKind::Binary(op, lhs, rhs) => {
                let (a, b) = (self.seconds(lhs)?, self.seconds(rhs)?);
                match op {
                    BinaryOp::Add => a + b,
                    BinaryOp::Sub => a - b,
                    BinaryOp::Mul => a * b,
                    BinaryOp::Div if b == 0.0 => return Err(error(expr, "division by zero")),
                    BinaryOp::Div => a / b,
                    BinaryOp::Mod if b == 0.0 => return Err(error(expr, "modulo by zero")),
                    BinaryOp::Mod => a % b,
                    BinaryOp::Pow => math::pow(a, b),
                    _ => return Err(error(expr, "unexpected duration expression operator")),
                }
            }
        })
    }
}

fn error(expr: &DurationExpr, text: &str) -> QueryError {
    QueryError::BadData(format!("{}:{}: {text}", expr.span.start, expr.span.end))
}
