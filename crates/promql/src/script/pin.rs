//! The same query with `@` at every selector, so that it gives one result at any time.

use crate::ast::{At, Call, Expr, VectorSelector};

/// Functions whose value depends on the time of evaluation even if their arguments do not.
const TIME_DEPENDENT: [&str; 15] = [
    "days_in_month",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "hour",
    "minute",
    "month",
    "year",
    "predict_linear",
    "time",
    "timestamp",
    "start",
    "end",
    "range",
    "step",
];

/// Adds `@` to all selectors and subqueries that have no fixed time; what is inside such a
/// subquery stays as it is. False when the query depends on its time all the same.
pub(super) fn pin(expr: &mut Expr, at_ms: i64) -> bool {
    let at = At::Timestamp(at_ms);
    match expr {
        Expr::Number(_) | Expr::String(_) => true,
        Expr::Vector(selector) => pin_selector(selector, at),
        Expr::Matrix(matrix) => pin_selector(&mut matrix.selector, at),
        Expr::Subquery(subquery) => {
            if !matches!(subquery.at, Some(At::Timestamp(_))) {
                subquery.at = Some(at);
            }
            true
        }
        Expr::Paren(paren) => pin(&mut paren.expr, at_ms),
        Expr::Unary(unary) => pin(&mut unary.expr, at_ms),
        // No short-circuit anywhere: all parts have to be pinned.
        Expr::Binary(binary) => pin(&mut binary.lhs, at_ms) & pin(&mut binary.rhs, at_ms),
        Expr::Aggregate(aggregate) => {
            let param = aggregate
                .param
                .as_mut()
                .is_none_or(|param| pin(param, at_ms));
            pin(&mut aggregate.expr, at_ms) & param
        }
        Expr::Call(call) => pin_call(call, at_ms),
    }
}

fn pin_call(call: &mut Call, at_ms: i64) -> bool {
    let dependent = TIME_DEPENDENT.contains(&call.function.name);
    let args = call
        .args
        .iter_mut()
        .fold(true, |all, arg| pin(arg, at_ms) & all);
    args && !dependent
}

fn pin_selector(selector: &mut VectorSelector, at: At) -> bool {
    // `start()` and `end()` are the evaluation time of an instant query.
    if !matches!(selector.at, Some(At::Timestamp(_))) {
        selector.at = Some(at);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ParseOptions, parse};

    fn pinned(query: &str) -> Option<String> {
        let mut expr = parse(query, &ParseOptions::all()).unwrap();
        pin(&mut expr, 10_000).then(|| expr.to_string())
    }

    #[test]
    fn selectors_are_pinned() {
        let all = [
            ("a + b @ 5", "a @ 10.000 + b @ 5.000"),
            ("sum(rate(a[5m]))", "sum(rate(a[5m] @ 10.000))"),
            (
                "max_over_time(vector(time())[5m:1m])",
                "max_over_time(vector(time())[5m:1m] @ 10.000)",
            ),
            (
                "max_over_time(a[5m:1m] @ 3)",
                "max_over_time(a[5m:1m] @ 3.000)",
            ),
            (
                "topk(scalar(a), a @ start())",
                "topk(scalar(a @ 10.000), a @ 10.000)",
            ),
            ("1", "1"),
        ];
        for (query, expected) in all {
            assert_eq!(pinned(query).as_deref(), Some(expected));
        }
    }

    #[test]
    fn time_dependent_queries_are_left_out() {
        for query in [
            "time()",
            "a + hour()",
            "sum(timestamp(a))",
            "topk(scalar(month()), a)",
        ] {
            assert_eq!(pinned(query), None, "{query}");
        }
    }
}
