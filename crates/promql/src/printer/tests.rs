//! Printing as Prometheus, and reading back what was printed.

mod random;

use proptest::prelude::*;

use super::*;
use crate::ast::{Span, Unary};
use crate::parse::{ParseOptions, parse};

fn parsed(query: &str) -> Expr {
    parse(query, &ParseOptions::all()).unwrap_or_else(|e| panic!("{query}: {e}"))
}

/// Takes all places out of a tree.
fn without_spans(expr: &mut Expr) {
    let nowhere = Span::default();
    let duration = |d: &mut Option<Duration>| {
        if let Some(d) = d {
            duration_without_spans(d);
        }
    };
    match expr {
        Expr::Number(e) => e.span = nowhere,
        Expr::String(e) => e.span = nowhere,
        Expr::Vector(e) => {
            e.span = nowhere;
            duration(&mut e.offset);
        }
        Expr::Matrix(e) => {
            (e.span, e.selector.span) = (nowhere, nowhere);
            duration_without_spans(&mut e.range);
            duration(&mut e.selector.offset);
        }
        Expr::Subquery(e) => {
            e.span = nowhere;
            without_spans(&mut e.expr);
            duration_without_spans(&mut e.range);
            duration(&mut e.step);
            duration(&mut e.offset);
        }
        Expr::Paren(e) => {
            e.span = nowhere;
            without_spans(&mut e.expr);
        }
        Expr::Unary(e) => {
            e.span = nowhere;
            without_spans(&mut e.expr);
        }
        Expr::Binary(e) => {
            e.span = nowhere;
            without_spans(&mut e.lhs);
            without_spans(&mut e.rhs);
        }
        Expr::Aggregate(e) => {
            e.span = nowhere;
            without_spans(&mut e.expr);
            e.param.iter_mut().for_each(without_spans);
        }
        Expr::Call(e) => {
            e.span = nowhere;
            e.args.iter_mut().for_each(without_spans);
        }
    }
    // The order of matchers is not kept by printing.
    let (Expr::Vector(VectorSelector { matchers, name, .. })
    | Expr::Matrix(MatrixSelector {
        selector: VectorSelector { matchers, name, .. },
        ..
    })) = expr
    else {
        return;
    };
    let others = matchers.len() - usize::from(name.is_some());
    matchers[..others].sort_by_key(ToString::to_string);
}

fn duration_without_spans(duration: &mut Duration) {
    fn strip(e: &mut DurationExpr) {
        e.span = Span::default();
        match &mut e.kind {
            DurationExprKind::Number(n) => n.span = Span::default(),
            DurationExprKind::Sign(_, a) => strip(a),
            DurationExprKind::Binary(_, a, b)
            | DurationExprKind::MinOf(a, b)
            | DurationExprKind::MaxOf(a, b) => {
                strip(a);
                strip(b);
            }
            DurationExprKind::Step | DurationExprKind::Range => {}
        }
    }
    if let Duration::Expr(e) = duration {
        strip(e);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_printed_reads_back_the_same(expr in random::vector()) {
        let printed = expr.to_string();
        let mut back = parsed(&printed);
        without_spans(&mut back);
        let mut expr = expr;
        without_spans(&mut expr);
        prop_assert_eq!(&back, &expr, "{}", printed);
        let mut pretty = parsed(&format(&expr));
        without_spans(&mut pretty);
        prop_assert_eq!(&pretty, &expr, "{}", format(&expr));
    }

    #[test]
    fn any_text_gives_an_answer(text in "[-a-c0-9m{}()\\[\\]\"'`=~!<>@:,+*^/ \\\\#\n]{0,60}") {
        if let Ok(expr) = parse(&text, &ParseOptions::all()) {
            let printed = expr.to_string();
            prop_assert_eq!(parsed(&printed).to_string(), printed);
        }
        let _ = crate::series_description::parse_series_description(&text);
    }
}

#[test]
fn prints_as_prometheus() {
    for (query, wanted) in [
        ("sum by() (x)", "sum(x)"),
        ("SUM(x) BY(code)", "sum by (code) (x)"),
        ("sum without() (x)", "sum without () (x)"),
        (r#"sum by("foo.bar", üüü) (x)"#, ""),
        (
            r#"count by("ööö", job) (x)"#,
            r#"count by ("ööö", job) (x)"#,
        ),
        ("topk(5,x)", "topk(5, x)"),
        ("a - on() c", "a - on () c"),
        ("a - on(b) group_left c", "a - on (b) group_left () c"),
        (
            "a - on(b) group_right(x,y) c",
            "a - on (b) group_right (x, y) c",
        ),
        ("a - ignoring() c", "a - c"),
        (
            "a - ignoring() group_left c",
            "a - ignoring () group_left () c",
        ),
        ("a + fill(-23) b", "a + fill (-23) b"),
        ("a + fill_left(5) fill_right(5) b", "a + fill (5) b"),
        (
            "a + fill_right(1e7) fill_left(.5) b",
            "a + fill_left (0.5) fill_right (1e+07) b",
        ),
        ("up > bool 0", "up > bool 0"),
        ("a offset -7m", "a offset -7m"),
        ("a offset 90", "a offset 1m30s"),
        ("a offset 0", "a"),
        ("a[1h:5m] offset 1m", "a[1h:5m] offset 1m"),
        ("a[1h:]", "a[1h:]"),
        ("a offset 1m anchored @ 10", "a @ 10.000 anchored offset 1m"),
        (
            "a[5m] smoothed offset 1m @ start()",
            "a[5m] smoothed @ start() offset 1m",
        ),
        (r#"{"a"}"#, r#"{__name__="a"}"#),
        (r#"{a="x",__name__=""}"#, r#"{__name__="",a="x"}"#),
        (r#"b{z=~"c",a!="d"}"#, r#"b{a!="d",z=~"c"}"#),
        (r#"{"_0"="1","a.b"!~'c'}"#, r#"{"a.b"!~"c",_0="1"}"#),
        (r#"{""="0"}"#, r#"{""="0"}"#),
        ("1048576", "1048576"),
        ("1e21", "1000000000000000000000"),
        ("-0", "-0"),
        ("Inf", "+Inf"),
        ("nan", "NaN"),
        ("90m", "1h30m"),
        ("-5m", "-5m"),
        ("'a\"\\n'", r#""a\"\n""#),
        ("- a", "-a"),
        ("+(a)", "+(a)"),
        ("foo[-(step())]", "foo[-(step())]"),
        ("foo offset +(5)", "foo offset (5)"),
        ("foo[(5m):(1m)]", "foo[(5m):(1m)]"),
        (
            "foo[200-min_of(-step()^+step(),1)]",
            "foo[200 - min_of(-step() ^ step(), 1)]",
        ),
        ("info(a, {b=~\".*\"})", "info(a, {b=~\".*\"})"),
        ("time()", "time()"),
    ] {
        if wanted.is_empty() {
            assert!(parse(query, &ParseOptions::all()).is_err(), "{query}");
        } else {
            assert_eq!(parsed(query).to_string(), wanted, "{query}");
        }
    }
}

#[test]
fn splits_what_is_long() {
    let long =
        "some_quite_long_metric_name_total{instance=\"somewhere\",job=\"a job with a long name\"}";
    for (query, wanted) in [
        ("a + b".to_string(), "a + b".to_string()),
        (format!("a + ignoring(x) {long}[5m:]"), String::new()),
        (
            format!("rate({long}[5m]) / on (job) rate({long}[5m])"),
            format!("  rate({long}[5m])\n/ on (job)\n  rate({long}[5m])"),
        ),
        (
            format!("sum by (job) (rate({long}[5m] offset 1h))"),
            format!("sum by (job) (\n  rate(\n    {long}[5m] offset 1h\n  )\n)"),
        ),
        (
            format!("-(label_replace({long}, \"a\", \"b\", \"c\", \"d\"))"),
            format!(
                "-(\n  label_replace(\n    {long},\n    \"a\",\n    \"b\",\n    \"c\",\n    \"d\"\n  )\n)"
            ),
        ),
        (
            format!("topk(10, {long} > 111)"),
            format!("topk(10, {long} > 111)"),
        ),
        (
            format!("topk(10, {long} > 1111)"),
            format!("topk(\n  10,\n  {long} > 1111\n)"),
        ),
        (
            format!("max_over_time(rate({long}[5m])[1h:1m] offset 5m)"),
            format!("max_over_time(\n  rate({long}[5m])[1h:1m] offset 5m\n)"),
        ),
        (
            format!("predict_linear(up[1h:1m], scalar({long}))"),
            format!("predict_linear(\nup[1h:1m],\n  scalar({long})\n)"),
        ),
    ] {
        if wanted.is_empty() {
            assert!(parse(&query, &ParseOptions::all()).is_err());
        } else {
            assert_eq!(format(&parsed(&query)), wanted, "{query}");
        }
    }
    let unary = Expr::Unary(Box::new(Unary {
        negative: true,
        expr: parsed("a"),
        span: Span::default(),
    }));
    assert_eq!(format(&unary), "-a");
}
