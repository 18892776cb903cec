//! Subqueries: an expression evaluated once on its own grid for all steps.

use tsdb_model::histogram::CounterResetHint;

use super::column::Grid;
use super::{Evaluator, Frame};
use crate::error::QueryError;
use crate::plan::SubqueryPlan;

impl<'q> Evaluator<'q> {
    /// Values of the inner expression at all times that the windows of `grid` hold.
    pub(super) fn subquery(
        &self,
        plan: &SubqueryPlan,
        grid: Grid,
    ) -> Result<(Frame<'q>, Grid), QueryError> {
        let inner = subquery_grid(plan, grid);
        self.limits.fits(inner.steps)?;
        let mut frame = self.vector(&plan.expr, inner)?;
        // What histograms say about counter resets is about their neighbours in the store.
        for series in &mut frame.series {
            for (_, h) in &mut series.histograms {
                if matches!(
                    h.reset_hint,
                    CounterResetHint::Reset | CounterResetHint::NotReset
                ) {
                    std::sync::Arc::make_mut(h).reset_hint = CounterResetHint::Unknown;
                }
            }
        }
        Ok((frame, inner))
    }
}

/// The times of the inner evaluations: multiples of the step.
fn subquery_grid(plan: &SubqueryPlan, grid: Grid) -> Grid {
    let (start, end) = plan.outer_range(grid.start, grid.end());
    let first = start
        .div_euclid(plan.step)
        .saturating_add(1)
        .saturating_mul(plan.step);
    Grid::new(first, end, plan.step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ast::Span;
    use crate::plan::{Node, Plan};

    #[test]
    fn multiples_of_the_step() {
        let mut plan = SubqueryPlan {
            expr: Plan {
                node: Node::Number(1.0),
                span: Span::default(),
            },
            range: 50,
            step: 20,
            offset: 0,
            at: None,
        };
        let grid = subquery_grid(&plan, Grid::new(100, 130, 10));
        assert_eq!((grid.start, grid.end(), grid.steps), (60, 120, 4));
        // The start is exclusive.
        plan.range = 60;
        assert_eq!(subquery_grid(&plan, Grid::single(100)).start, 60);
        assert_eq!(subquery_grid(&plan, Grid::single(0)).start, -40);
        plan.at = Some(45);
        plan.offset = 5;
        let grid = subquery_grid(&plan, Grid::new(100, 130, 10));
        assert_eq!((grid.start, grid.end()), (0, 40));
    }
}
