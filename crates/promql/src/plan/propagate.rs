//! What the labels of one side of an operator say about the other: `a{x="1"} / b` needs of `b` only
//! what has `x="1"` as well. A selector gets matchers of the other side where that can change
//! neither the result nor an error nor a note: it stands in the operation as it is, and the side
//! whose elements must be unique has only one element in each group by its make.

use tsdb_model::{METRIC_NAME, MatchOp, Matcher};

use super::{AggregatePlan, BinaryPlan, Node, Plan, Selector};
use crate::ast::{AggregateOp, BinaryOp, Cardinality, VectorMatching};
use crate::functions::math;

/// How deep under an operator matchers are looked for, and most that are carried over.
const DEPTH: usize = 8;
const MOST: usize = 16;

/// Carries matchers over from each side to the other.
pub(super) fn propagate(binary: &mut BinaryPlan) {
    let Some(matching) = &binary.matching else {
        return;
    };
    if matching.fill_lhs.is_some() || matching.fill_rhs.is_some() {
        return;
    }
    let (to_left, to_right) = match binary.op {
        BinaryOp::Or => (false, false),
        BinaryOp::And => (true, true),
        BinaryOp::Unless => (false, true),
        _ => {
            let one = match matching.card {
                Cardinality::OneToMany => &binary.lhs,
                _ => &binary.rhs,
            };
            let safe = is_unique(one, matching);
            (safe, safe)
        }
    };
    if to_right {
        carry(&binary.lhs, &mut binary.rhs, matching);
    }
    if to_left {
        carry(&binary.rhs, &mut binary.lhs, matching);
    }
}

/// True when no two series can have the same matching labels.
fn is_unique(plan: &Plan, matching: &VectorMatching) -> bool {
    match &plan.node {
        Node::Selector(selector) => {
            // Without the name, series of one metric differ still.
            let one_name = |m: &Matcher| {
                m.name == METRIC_NAME && m.op == MatchOp::Equal && !m.value.is_empty()
            };
            !matching.on && matching.labels.is_empty() && selector.matchers.iter().any(one_name)
        }
        Node::Sign(_, inner) => is_unique(inner, matching),
        Node::Aggregate(a) => {
            is_folding(a) && !a.without && a.grouping.iter().all(|name| is_matched(name, matching))
        }
        _ => false,
    }
}

/// True for aggregations that make one series of each group.
fn is_folding(aggregate: &AggregatePlan) -> bool {
    !matches!(
        aggregate.op,
        AggregateOp::Topk
            | AggregateOp::Bottomk
            | AggregateOp::Limitk
            | AggregateOp::LimitRatio
            | AggregateOp::CountValues
    )
}

/// True for labels that elements of both sides must have in common.
fn is_matched(name: &str, matching: &VectorMatching) -> bool {
    let listed = matching.labels.iter().any(|l| l == name);
    name != METRIC_NAME && listed == matching.on
}

fn carry(from: &Plan, to: &mut Plan, matching: &VectorMatching) {
    let Some(selector) = selector_of(to) else {
        return;
    };
    let mut known = Vec::new();
    constraints(from, DEPTH, &mut known);
    for matcher in known {
        if is_matched(&matcher.name, matching) && !selector.matchers.contains(matcher) {
            selector.matchers.push(matcher.clone());
        }
    }
}

/// The selector that a side is, but for a sign.
fn selector_of(plan: &mut Plan) -> Option<&mut Selector> {
    match &mut plan.node {
        Node::Selector(selector) if !selector.smoothed => Some(selector),
        Node::Sign(_, inner) => selector_of(inner),
        _ => None,
    }
}

/// Matchers that all series of a vector pass.
fn constraints<'p>(plan: &'p Plan, depth: usize, out: &mut Vec<&'p Matcher>) {
    if depth == 0 {
        return;
    }
    let before = out.len();
    match &plan.node {
        Node::Selector(selector) => from_selector(selector, out),
        Node::Matrix(matrix) => from_selector(&matrix.selector, out),
        Node::Sign(_, inner) | Node::Invariant(inner) => constraints(inner, depth - 1, out),
        Node::Call(call) => {
            let keeps_labels = math::lookup(call.name).is_some()
                || crate::eval::is_range_function(call.name) && call.name != "absent_over_time";
            if keeps_labels {
                let is_range = |plan: &&Plan| matches!(plan.node, Node::Matrix(_));
                let range = call.args.iter().find(is_range);
                let arg = range.or_else(|| call.args.first());
                if let Some(arg) = arg {
                    constraints(arg, depth - 1, out);
                }
            }
        }
        Node::Binary(binary) => match &binary.matching {
            // One side is a scalar, of which nothing is known.
            None => {
                constraints(&binary.lhs, depth - 1, out);
                constraints(&binary.rhs, depth - 1, out);
            }
            Some(matching) if !binary.op.is_set() && matching.include.is_empty() => {
                if matching.fill_lhs.is_some() || matching.fill_rhs.is_some() {
                    return;
                }
                let many = match matching.card {
                    Cardinality::OneToMany => &binary.rhs,
                    _ => &binary.lhs,
                };
                constraints(many, depth - 1, out);
                if matching.card == Cardinality::OneToOne {
                    keep(out, before, |name| is_matched(name, matching));
                }
            }
            Some(_) => {}
        },
        Node::Aggregate(aggregate) => {
            if aggregate.op == AggregateOp::CountValues {
                return;
            }
            constraints(&aggregate.expr, depth - 1, out);
            if is_folding(aggregate) {
                let listed = |name: &str| aggregate.grouping.iter().any(|g| g == name);
                keep(out, before, |name| listed(name) != aggregate.without);
            }
        }
        _ => {}
    }
    out.truncate(MOST);
}

fn from_selector<'p>(selector: &'p Selector, out: &mut Vec<&'p Matcher>) {
    let matchers = selector.matchers.iter();
    out.extend(matchers.filter(|m| m.name != METRIC_NAME));
}

/// Drops those from place `from` on whose label `wanted` does not accept.
fn keep(out: &mut Vec<&Matcher>, from: usize, wanted: impl Fn(&str) -> bool) {
    let kept: Vec<_> = out.drain(from..).filter(|m| wanted(&m.name)).collect();
    out.extend(kept);
}

#[cfg(test)]
mod tests {
    use crate::ast::Expr;
    use crate::engine::EngineOptions;
    use crate::parse::{ParseOptions, parse};
    use crate::plan::{Node, Plan, QueryTimes, plan};

    /// The matchers of all instant selectors, from left to right, names left out.
    fn matchers(query: &str) -> String {
        fn walk(plan: &Plan, out: &mut Vec<String>) {
            match &plan.node {
                Node::Selector(s) => {
                    let own = s.matchers.iter().filter(|m| m.name != "__name__");
                    let texts: Vec<String> = own.map(ToString::to_string).collect();
                    out.push(texts.join(","));
                }
                Node::Sign(_, inner) | Node::Invariant(inner) => walk(inner, out),
                Node::Binary(b) => {
                    walk(&b.lhs, out);
                    walk(&b.rhs, out);
                }
                Node::Aggregate(a) => walk(&a.expr, out),
                Node::Call(c) => c.args.iter().for_each(|a| walk(a, out)),
                _ => {}
            }
        }
        let expr: Expr = parse(query, &ParseOptions::default()).unwrap();
        let times = QueryTimes {
            start: 0,
            end: 60_000,
            step: 15_000,
        };
        let plan = plan(&expr, times, &EngineOptions::default()).unwrap();
        let mut out = Vec::new();
        walk(&plan, &mut out);
        out.join(" ; ")
    }

    #[test]
    fn carried_over() {
        let cases = [
            (r#"a{x="1"} / b"#, r#"x="1" ; x="1""#),
            (r#"a / b{x="1"}"#, r#"x="1" ; x="1""#),
            (r#"1 - a{x=~"1|2"} / b"#, r#"x=~"1|2" ; x=~"1|2""#),
            (r#"rate(a{x="1"}[5m]) > b"#, r#"x="1""#),
            (r#"a{x="1"} and on (x) b"#, r#"x="1" ; x="1""#),
            (r#"a unless on (x) b{x="1"}"#, r#" ; x="1""#),
            (r#"a{x="1"} unless on (x) b"#, r#"x="1" ; x="1""#),
            (
                r#"a{x="1",y="2"} / b / -c"#,
                r#"x="1",y="2" ; x="1",y="2" ; x="1",y="2""#,
            ),
            (
                r#"a * on (x) group_left sum by (x) (b{x="1",y="2"})"#,
                r#"x="1" ; x="1",y="2""#,
            ),
        ];
        for (query, want) in cases {
            assert_eq!(matchers(query), want, "{query}");
        }
    }

    #[test]
    fn not_carried_over() {
        let cases = [
            // Two elements of the right side could be in one group: that is an error.
            (r#"a{x="1"} / on (x) b"#, r#"x="1" ; "#),
            (r#"a{x="1"} * on (x) group_left (y) b"#, r#"x="1" ; "#),
            (r#"a{x="1"} / {y="1"}"#, r#"x="1" ; y="1""#),
            (r#"a{x="1"} / ignoring (x) b"#, r#"x="1" ; "#),
            (r#"a{x="1"} and on (y) b"#, r#"x="1" ; "#),
            (r#"a{x="1"} or b"#, r#"x="1" ; "#),
            (r#"sum by (y) (a{x="1"}) / b"#, r#"x="1" ; "#),
            (
                r#"label_replace(a{x="1"}, "x", "2", "", "") / b"#,
                r#"x="1" ; "#,
            ),
            (r#"a{x="1"} / abs(b)"#, r#"x="1" ; "#),
        ];
        for (query, want) in cases {
            assert_eq!(matchers(query), want, "{query}");
        }
    }
}
