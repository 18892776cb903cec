use std::fmt::Write as _;

use super::*;
use crate::parse::{ParseOptions, parse};

fn times(start: i64, end: i64, step: i64) -> QueryTimes {
    QueryTimes { start, end, step }
}

fn planned(query: &str, times: QueryTimes) -> Result<Plan, QueryError> {
    let expr = parse(query, &ParseOptions::all()).unwrap_or_else(|e| panic!("{query}: {e}"));
    plan(&expr, times, &EngineOptions::default())
}

/// The plan in short: what is in angle brackets is evaluated once.
fn sketch(plan: &Plan) -> String {
    let all = |plans: &[Plan]| plans.iter().map(sketch).collect::<Vec<_>>().join(", ");
    match &plan.node {
        Node::Number(v) => format!("{v}"),
        Node::Text(text) => format!("{text:?}"),
        Node::Selector(s) => selector(s),
        Node::Matrix(m) => format!("{}[{}]", selector(&m.selector), m.range),
        Node::Subquery(s) => {
            let at = s.at.map_or(String::new(), |t| format!("@{t}"));
            format!("({})[{}:{}]{at}", sketch(&s.expr), s.range, s.step)
        }
        Node::Invariant(inner) => format!("<{}>", sketch(inner)),
        Node::Sign(true, inner) => format!("-{}", sketch(inner)),
        Node::Sign(false, inner) => format!("+{}", sketch(inner)),
        Node::Binary(b) => format!("({} {} {})", sketch(&b.lhs), b.op.as_str(), sketch(&b.rhs)),
        Node::Aggregate(a) => {
            let param = a
                .param
                .as_ref()
                .map_or(String::new(), |p| format!("{}, ", sketch(p)));
            format!("{}({param}{})", a.op.as_str(), sketch(&a.expr))
        }
        Node::Call(c) => format!("{}({})", c.name, all(&c.args)),
    }
}

fn selector(s: &Selector) -> String {
    let mut out = s.matchers.last().map_or("{}".into(), |m| m.value.clone());
    if let Some(at) = s.at {
        let _ = write!(out, "@{at}");
    }
    if s.offset != 0 {
        let _ = write!(out, " offset {}", s.offset);
    }
    if s.stats_only {
        out += " stats";
    }
    out
}

fn of(query: &str) -> String {
    sketch(&planned(query, times(10_000, 70_000, 5_000)).unwrap())
}

#[test]
fn what_is_the_same_at_all_steps_is_marked() {
    for (query, want) in [
        ("a", "a"),
        ("(a)", "a"),
        ("a @ 5", "<a@5000>"),
        ("a @ start() + b", "(<a@10000> + b)"),
        ("a @ 5 + b @ end()", "<(a@5000 + b@70000)>"),
        ("rate(a[1m] @ 5)", "<rate(a@5000[60000])>"),
        ("sum(abs(a @ 5))", "<sum(abs(a@5000))>"),
        ("1 + 2", "<(1 + 2)>"),
        ("a + 1", "(a + 1)"),
        // The value of the function depends on the step.
        (
            "predict_linear(a[1m] @ 5, 3)",
            "predict_linear(a@5000[60000], 3)",
        ),
        ("timestamp(a @ 5)", "<timestamp(a@5000)>"),
        ("timestamp(abs(a @ 5))", "timestamp(<abs(a@5000)>)"),
        ("time()", "time()"),
        // A parameter has no say.
        ("topk(scalar(b), a @ 5)", "<topk(scalar(b), a@5000)>"),
        ("-a @ 5", "<-a@5000>"),
        (
            "max_over_time((a @ 5)[1m:10s])",
            "max_over_time((<a@5000>)[60000:10000])",
        ),
        (
            "max_over_time(a[1m:] @ 5)",
            "<max_over_time((a)[60000:60000]@5000)>",
        ),
    ] {
        assert_eq!(of(query), want, "{query}");
    }
}

#[test]
fn times_of_the_query_are_filled_in() {
    for (query, want) in [
        ("start()", "10"),
        ("end()", "70"),
        ("range()", "60"),
        ("step()", "5"),
        ("a[step() * 2]", "a[10000]"),
        ("a offset -(range())", "a offset -60000"),
        ("a[max_of(step(), 1m)]", "a[60000]"),
        ("a[1h / 2]", "a[1800000]"),
    ] {
        assert_eq!(of(query), want, "{query}");
    }
    let instant = planned("step()", times(10_000, 10_000, 0)).unwrap();
    assert_eq!(sketch(&instant), "0");
}

#[test]
fn durations_must_be_positive() {
    let error = |query: &str| {
        planned(query, times(10_000, 70_000, 5_000))
            .unwrap_err()
            .to_string()
    };
    assert!(error("a[step() - 5]").ends_with("duration must be greater than 0"));
    assert!(error("a[1m / (step() - 5)]").ends_with("division by zero"));
    assert!(error("a[1m % (step() - 5)]").ends_with("modulo by zero"));
}

#[test]
fn whole_histograms_only_where_needed() {
    for (query, want) in [
        ("histogram_count(a)", "histogram_count(a stats)"),
        ("histogram_sum(sum(a))", "histogram_sum(sum(a stats))"),
        ("histogram_quantile(0.5, a)", "histogram_quantile(0.5, a)"),
        ("sum(a)", "sum(a)"),
        ("histogram_count(a >/ 2)", "histogram_count((a >/ 2))"),
    ] {
        assert_eq!(of(query), want, "{query}");
    }
}

#[test]
fn times_that_are_read() {
    let read = |query: &str| {
        let times = times(10_000_000, 10_060_000, 5_000);
        let plan = planned(query, times).unwrap();
        time_range(&plan, times.start, times.end, 300_000)
    };
    for (query, want) in [
        ("1", None),
        ("time()", None),
        ("a", Some((9_700_001, 10_060_000))),
        ("a offset 1m", Some((9_640_001, 10_000_000))),
        ("a @ 500", Some((200_001, 500_000))),
        ("rate(a[1m])", Some((9_940_001, 10_060_000))),
        ("a + b @ 500", Some((200_001, 10_060_000))),
        ("max_over_time(a[10m:1m])", Some((9_100_001, 10_060_000))),
        ("rate(a[1m] anchored)", Some((9_640_001, 10_060_000))),
        ("rate(a[1m] smoothed)", Some((9_640_001, 10_360_000))),
        ("info(a offset 1m)", Some((9_640_001, 10_000_000))),
        ("quantile(scalar(b @ 500), a)", Some((200_001, 10_060_000))),
    ] {
        assert_eq!(read(query), want, "{query}");
    }
}
