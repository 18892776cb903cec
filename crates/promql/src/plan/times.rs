//! Which times a plan reads.

use super::{MatrixSelector, Node, Plan, Selector, SubqueryPlan};

/// First and last time (milliseconds, inclusive) of the samples that evaluating `plan` from
/// `start` to `end` may need; `None` when it needs none.
pub(crate) fn time_range(plan: &Plan, start: i64, end: i64, lookback: i64) -> Option<(i64, i64)> {
    let below = |plan: &Plan| time_range(plan, start, end, lookback);
    match &plan.node {
        Node::Number(_) | Node::Text(_) => None,
        Node::Selector(s) => Some(s.time_range(start, end, None, lookback)),
        Node::Matrix(m) => Some(m.time_range(start, end, lookback)),
        Node::Subquery(s) => {
            let (start, end) = s.outer_range(start, end);
            time_range(&s.expr, start, end, lookback)
        }
        Node::Invariant(inner) => time_range(inner, start, start, lookback),
        Node::Sign(_, inner) => below(inner),
        Node::Binary(b) => union(below(&b.lhs), below(&b.rhs)),
        Node::Aggregate(a) => union(below(&a.expr), a.param.as_ref().and_then(below)),
        Node::Call(call) if call.name == "info" => {
            let base = call.args.first()?;
            let reference = info_reference(base);
            union(
                below(base),
                Some(reference.time_range(start, end, None, lookback)),
            )
        }
        Node::Call(call) => call.args.iter().map(below).fold(None, union),
    }
}

fn union(a: Option<(i64, i64)>, b: Option<(i64, i64)>) -> Option<(i64, i64)> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    }
}

impl Selector {
    /// Times of the samples it needs from `start` to `end`; as an instant selector without
    /// `range`.
    pub(crate) fn time_range(
        &self,
        start: i64,
        end: i64,
        range: Option<i64>,
        lookback: i64,
    ) -> (i64, i64) {
        let (start, end) = self.at.map_or((start, end), |at| (at, at));
        let mut before = range.unwrap_or(lookback);
        let mut after = 0;
        if range.is_some() && (self.anchored || self.smoothed) {
            before = before.saturating_add(lookback);
        }
        if self.smoothed {
            after = lookback;
            if range.is_none() {
                before = lookback;
            }
        }
        (
            start
                .saturating_sub(self.offset)
                .saturating_sub(before)
                .saturating_add(1),
            end.saturating_sub(self.offset).saturating_add(after),
        )
    }
}

impl MatrixSelector {
    /// Times of the samples it needs from `start` to `end`.
    pub(crate) fn time_range(&self, start: i64, end: i64, lookback: i64) -> (i64, i64) {
        self.selector
            .time_range(start, end, Some(self.range), lookback)
    }
}

impl SubqueryPlan {
    /// First and last time at which the inner expression is evaluated, both not yet aligned, the
    /// first one exclusive.
    pub(crate) fn outer_range(&self, start: i64, end: i64) -> (i64, i64) {
        let (start, end) = self.at.map_or((start, end), |at| (at, at));
        (
            start.saturating_sub(self.offset).saturating_sub(self.range),
            end.saturating_sub(self.offset),
        )
    }
}

/// At which times `info` looks for info series: those of the first selector in its argument, as
/// an instant selector without matchers.
pub(crate) fn info_reference(plan: &Plan) -> Selector {
    let mut reference = Selector {
        matchers: Vec::new(),
        offset: 0,
        at: None,
        anchored: false,
        smoothed: false,
        stats_only: false,
    };
    if let Some((at, offset)) = first_selector(plan) {
        reference.at = at;
        reference.offset = offset;
    }
    reference
}

/// `@` and offset of the first selector: those of enclosing subqueries add up until an `@`
/// anchors them.
fn first_selector(plan: &Plan) -> Option<(Option<i64>, i64)> {
    match &plan.node {
        Node::Number(_) | Node::Text(_) => None,
        Node::Selector(s) => Some((s.at, s.offset)),
        Node::Matrix(m) => Some((m.selector.at, m.selector.offset)),
        Node::Subquery(s) => {
            let (at, offset) = first_selector(&s.expr)?;
            Some(match at {
                Some(at) => (Some(at), offset),
                None => (s.at, offset.saturating_add(s.offset)),
            })
        }
        Node::Invariant(inner) | Node::Sign(_, inner) => first_selector(inner),
        Node::Binary(b) => first_selector(&b.lhs).or_else(|| first_selector(&b.rhs)),
        Node::Aggregate(a) => {
            first_selector(&a.expr).or_else(|| a.param.as_ref().and_then(first_selector))
        }
        Node::Call(call) => call.args.iter().find_map(first_selector),
    }
}
