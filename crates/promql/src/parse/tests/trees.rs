//! Trees: precedence, modifiers, literals, names.

use super::*;
use crate::ast::{At, BinaryOp, Cardinality, Duration, DurationExprKind};

/// The tree with parentheses around every operation.
fn grouped(expr: &Expr) -> String {
    match expr {
        Expr::Binary(e) => {
            let (lhs, rhs) = (grouped(&e.lhs), grouped(&e.rhs));
            format!("({lhs} {} {rhs})", e.op.as_str())
        }
        Expr::Unary(e) => {
            let sign = if e.negative { '-' } else { '+' };
            format!("({sign} {})", grouped(&e.expr))
        }
        Expr::Paren(e) => grouped(&e.expr),
        e => e.to_string(),
    }
}

#[test]
fn precedence() {
    for (query, wanted) in [
        ("a + b * c", "(a + (b * c))"),
        ("a * b + c", "((a * b) + c)"),
        ("a - b - c", "((a - b) - c)"),
        ("a ^ b ^ c", "(a ^ (b ^ c))"),
        ("-a ^ b", "(- (a ^ b))"),
        ("-a * b", "((- a) * b)"),
        ("a ^ -b * c", "((a ^ (- b)) * c)"),
        ("-1 ^ 2", "(- (1 ^ 2))"),
        ("- -1", "1"),
        ("a atan2 b % c", "((a atan2 b) % c)"),
        ("a + b == c", "((a + b) == c)"),
        ("a == b and c", "((a == b) and c)"),
        ("a or b and c unless d", "(a or ((b and c) unless d))"),
        ("a </ b + c", "(a </ (b + c))"),
        ("a > b >/ c", "((a > b) >/ c)"),
        ("a + b offset 5m", "(a + b offset 5m)"),
        ("-a @ 5", "(- a @ 5.000)"),
        ("a ^ b[5m:]", "(a ^ b[5m:])"),
        ("a offset 5m * 2", "(a offset 5m * 2)"),
        ("a offset -2 ^ 2", "(a offset -2s ^ 2)"),
        ("a offset -(2h) * 2", "(a offset -(2h) * 2)"),
        ("a offset step() * 2", "(a offset step() * 2)"),
        ("and and and", "(and and and)"),
        ("fill + fill(1) fill", "(fill + fill)"),
    ] {
        let parse = parse(query, &ParseOptions::all());
        // Trees of the wrong type are not of interest here.
        if let Ok(expr) = parse {
            assert_eq!(grouped(&expr), wanted, "{query}");
        } else {
            assert!(query.contains("[5m:]"), "{query}: {parse:?}");
        }
    }
}

#[test]
fn numbers() {
    for (text, wanted) in [
        ("1", 1.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e3", 1000.0),
        ("1E-3", 0.001),
        ("0x1F", 31.0),
        ("0X_1f", 31.0),
        ("1_000", 1000.0),
        ("1_000.5", 1000.5),
        ("010", 8.0),
        ("08", 8.0),
        ("00", 0.0),
        ("inf", f64::INFINITY),
        ("-Inf", f64::NEG_INFINITY),
        ("+iNf", f64::INFINITY),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1s500ms", 1.5),
        ("-1ms", -0.001),
        ("9223372036854775808", 9_223_372_036_854_775_808.0),
    ] {
        let Expr::Number(number) = parsed(text) else {
            panic!("{text}");
        };
        assert_eq!(number.value, wanted, "{text}");
    }
    let Expr::Number(nan) = parsed("NaN") else {
        panic!();
    };
    assert!(nan.value.is_nan());
}

#[test]
fn texts() {
    for (text, wanted) in [
        (r#""a""#, "a"),
        ("'a\"b'", "a\"b"),
        (r"`a\n`", r"a\n"),
        (r#""\a\b\f\n\r\t\v\\\"""#, "\u{7}\u{8}\u{c}\n\r\t\u{b}\\\""),
        (r#""\x41\101é\U0001F600""#, "AAé\u{1f600}"),
        (r#""\xc3\xa9""#, "é"),
        (r#""\xff""#, "\u{fffd}"),
        (r"'\''", "'"),
    ] {
        let Expr::String(literal) = parsed(text) else {
            panic!("{text}");
        };
        assert_eq!(literal.value, wanted, "{text}");
    }
}

#[test]
fn selectors() {
    let Expr::Vector(v) = parsed(r#" up{job="a", "lab.el"!='b',x=~`c.*`,} offset -5m @ 1.5"#)
    else {
        panic!();
    };
    assert_eq!(v.name.as_deref(), Some("up"));
    let texts: Vec<_> = v.matchers.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            r#"job="a""#,
            r#""lab.el"!="b""#,
            r#"x=~"c.*""#,
            r#"__name__="up""#
        ]
    );
    assert_eq!(v.offset, Some(Duration::Literal(-300_000)));
    assert_eq!(v.at, Some(At::Timestamp(1500)));
    assert_eq!((v.span.start, v.span.end), (1, 54));

    let Expr::Vector(v) = parsed(r#"{"a.b"}"#) else {
        panic!();
    };
    assert_eq!(v.name, None);
    assert_eq!(v.matchers[0].to_string(), r#"__name__="a.b""#);

    let Expr::Matrix(m) = parsed("up[5m] smoothed @ start() offset 1h") else {
        panic!();
    };
    assert_eq!(m.range, Duration::Literal(300_000));
    assert!(m.selector.smoothed);
    assert_eq!(m.selector.at, Some(At::Start));
    assert_eq!(m.selector.offset, Some(Duration::Literal(3_600_000)));
    assert_eq!((m.selector.span.end, m.span.end), (2, 35));

    let Expr::Subquery(s) = parsed("up[300:1m] @ end()") else {
        panic!();
    };
    assert_eq!(s.range, Duration::Literal(300_000));
    assert_eq!(s.step, Some(Duration::Literal(60_000)));
    assert_eq!(s.at, Some(At::End));
}

#[test]
fn duration_arithmetic() {
    let Expr::Matrix(m) = parsed("up[5m * 2 + step()]") else {
        panic!();
    };
    let Duration::Expr(e) = &m.range else {
        panic!("{:?}", m.range);
    };
    let DurationExprKind::Binary(BinaryOp::Add, lhs, _) = &e.kind else {
        panic!("{e:?}");
    };
    assert!(matches!(
        lhs.kind,
        DurationExprKind::Binary(BinaryOp::Mul, ..)
    ));
    for (query, wanted) in [
        ("up[-2^2 + 10]", "up[-2 ^ 2 + 10]"),
        ("up offset (1h) / 2", "up offset (1h) / 2"),
        ("up offset - - 1h", "up offset 1h"),
        ("up[MAX_OF(range(), 5s)]", "up[max_of(range(), 5s)]"),
        ("up[5m:step()]", "up[5m:step()]"),
    ] {
        assert_eq!(parsed(query).to_string(), wanted);
    }
}

#[test]
fn matching() {
    let query = "a * on(x, \"y.z\",) group_left(by) fill_right(-1) fill_left(2m) b";
    let Expr::Binary(b) = parsed(query) else {
        panic!();
    };
    let m = b.matching.unwrap();
    assert_eq!(m.card, Cardinality::ManyToOne);
    assert_eq!(
        (m.on, m.labels),
        (true, vec!["x".into(), "y.z".to_string()])
    );
    assert_eq!(m.include, ["by"]);
    assert_eq!((m.fill_lhs, m.fill_rhs), (Some(120.0), Some(-1.0)));
    let Expr::Binary(b) = parsed("a and ignoring(x) b") else {
        panic!();
    };
    assert_eq!(b.matching.unwrap().card, Cardinality::ManyToMany);
    let Expr::Binary(b) = parsed("a > bool 1") else {
        panic!();
    };
    assert!(b.return_bool && b.matching.is_none());
}

#[test]
fn spans_end_where_expressions_end() {
    for (query, end) in [
        ("sum(up) ", 7),
        ("sum(up) by (a) ", 14),
        ("sum by (a) (up) ", 15),
        ("rate(up[5m] ) ", 13),
        ("(up ) ", 5),
        ("-up ", 3),
        ("up[5m:1m] offset 5m ", 19),
    ] {
        assert_eq!(parsed(query).span().end, end, "{query}");
    }
    let Expr::Paren(p) = parsed("(sum(up))") else {
        panic!();
    };
    assert_eq!(p.expr.span().end, 8);
}

#[test]
fn what_prometheus_accepts() {
    for query in ACCEPTED {
        let expr = parsed(query);
        let printed = expr.to_string();
        assert_eq!(parsed(&printed).to_string(), printed, "{query}");
    }
}

/// Queries of Prometheus's own tests.
const ACCEPTED: &[&str] = &[
    "1",
    "+Inf",
    "-Inf",
    ".5",
    "5.",
    "123.4567",
    "5e-3",
    "5e3",
    "0xc",
    "0755",
    "+5.5e-3",
    "-0755",
    "1 + 1",
    "1 - 1",
    "1 * 1",
    "1 % 1",
    "1 / 1",
    "1 == bool 1",
    "1 != bool 1",
    "1 > bool 1",
    "1 >= bool 1",
    "1 < bool 1",
    "1 <= bool 1",
    "-1^2",
    "-1*2",
    "-1+2",
    "-1^-2",
    "+1 + -2 * 1",
    "1 + 2/(3*1)",
    "1 < bool 2 - 1 * 2",
    "-some_metric",
    "+some_metric",
    " +some_metric",
    " +{\"some_metric\"}",
    "offset{step=\"1s\"}[5m]",
    "step{offset=\"1s\"}[5m]",
    "anchored{job=\"test\"}",
    "smoothed{job=\"test\"}",
    "foo * bar",
    "foo * sum",
    "foo == 1",
    "foo == bool 1",
    "2.5 / bar",
    "foo and bar",
    "foo or bar",
    "foo unless bar",
    "foo + bar or bla and blub",
    "foo and bar unless baz or qux",
    "bar + on(foo) bla / on(baz, buz) group_right(test) blub",
    "foo * on(test,blub) bar",
    "foo * on(test,blub) group_left bar",
    "foo and on(test,blub) bar",
    "foo and on() bar",
    "foo and ignoring(test,blub) bar",
    "foo and ignoring() bar",
    "foo unless on(bar) baz",
    "foo / on(test,blub) group_left(bar) bar",
    "foo / ignoring(test,blub) group_left(blub) bar",
    "foo / ignoring(test,blub) group_left(bar) bar",
    "foo - on(test,blub) group_right(bar,foo) bar",
    "foo - ignoring(test,blub) group_right(bar,foo) bar",
    "foo",
    "min",
    "foo offset 5m",
    "foo offset -7m",
    "foo offset +(5)",
    "foo offset -(5)",
    "foo offset (5)",
    "foo[(5s)]",
    "foo OFFSET 1h30m",
    "foo OFFSET 1m30ms",
    "foo @ 1603774568",
    "foo @ -100",
    "foo @ .3",
    "foo @ 3.",
    "foo @ 3.33",
    "foo @ 3.3333",
    "foo @ 3.3335",
    "foo @ 3e2",
    "foo @ 3e-1",
    "foo @ 0xA",
    "foo @ -3.3e1",
    "foo:bar{a=\"bc\"}",
    "{\"foo\"}",
    "{'foo\\'bar', 'a\\\\dos\\\\path'='boo\\\\urns'}",
    "{\"foo\", a=\"bc\"}",
    "foo{NaN='bc'}",
    "foo{bar='}'}",
    "foo{a=\"b\", foo!=\"bar\", test=~\"test\", bar!~\"baz\"}",
    "{a=\"b\", foo!=\"bar\", \"foo\", test=~\"test\", bar!~\"baz\"}",
    "foo{a=\"b\", foo!=\"bar\", test=~\"test\", bar!~\"baz\",}",
    "{__name__=~\"bar\", __name__!~\"baz\"}",
    "{__name__=\"bar\", __name__=\"baz\"}",
    "{\"bar\", __name__=\"baz\"}",
    "test[1000ms]",
    "test[1001ms]",
    "test[1002ms]",
    "test[5s]",
    "test[5m]",
    "foo[5m30s]",
    "test[5h] OFFSET 5m",
    "test[5d] OFFSET 10s",
    "test[5w] offset 2w",
    "test{a=\"b\"}[5y] OFFSET 3d",
    "test{a=\"b\"}[5m] OFFSET 3600",
    "foo[3ms] @ 2.345",
    "foo[4s180ms] @ 2.345",
    "foo[4.18] @ 2.345",
    "foo[4s18ms] @ 2.345",
    "foo[4.018] @ 2.345",
    "test{a=\"b\"}[5y] @ 1603774699",
    "test[5]",
    "some_metric[5m] @ 1m",
    "sum by (foo)(some_metric)",
    "sum by (anchored)(some_metric)",
    "sum by (smoothed)(some_metric)",
    "sum by (\"foo bar\")({\"some.metric\"})",
    "sum by (\"foo\", bar, 'baz')({\"some.metric\"})",
    "avg by (foo)(some_metric)",
    "max by (foo)(some_metric)",
    "sum without (foo) (some_metric)",
    "sum (some_metric) without (foo)",
    "stddev(some_metric)",
    "stdvar by (foo)(some_metric)",
    "sum by ()(some_metric)",
    "sum by (foo,bar,)(some_metric)",
    "sum by (foo,)(some_metric)",
    "topk(5, some_metric)",
    "count_values(\"value\", some_metric)",
    "sum without(and, by, avg, count, alert, annotations)(some_metric)",
    "time()",
    "floor(some_metric{foo!=\"bar\"})",
    "rate(some_metric[5m])",
    "round(some_metric)",
    "round(some_metric, 5)",
    "sum(sum)",
    "a + sum",
    "\"double-quoted string \\\" with escaped quote\"",
    "'single-quoted string \\' with escaped quote'",
    "`backtick-quoted string`",
    "foo{bar=\"baz\"}[10m:6s]",
    "foo{bar=\"baz\"}[10m5s:1h6ms]",
    "foo[10m:]",
    "min_over_time(rate(foo{bar=\"baz\"}[2s])[5m:5s])",
    "min_over_time(rate(foo{bar=\"baz\"}[2s])[5m:])[4m:3s]",
    "min_over_time(rate(foo{bar=\"baz\"}[2s])[5m:] offset 4m)[4m:3s]",
    "min_over_time(rate(foo{bar=\"baz\"}[2s])[5m:] @ 1603775091)[4m:3s]",
    "min_over_time(rate(foo{bar=\"baz\"}[2s])[5m:] @ -160377509)[4m:3s]",
    "sum without(and, by, avg, count, alert, annotations)(some_metric) [30m:10s]",
    "some_metric OFFSET 1m [10m:5s]",
    "some_metric @ 123 [10m:5s]",
    "some_metric @ 123 offset 1m [10m:5s]",
    "some_metric offset 1m @ 123 [10m:5s]",
    "some_metric[10m:5s] offset 1m @ 123",
    "(foo + bar{nm=\"val\"})[5m:]",
    "(foo + bar{nm=\"val\"})[5m:] offset 10m",
    "(foo + bar{nm=\"val\"} @ 1234)[5m:] @ 1603775019",
    "foo @ start()",
    "foo @ end()",
    "test[5y] @ start()",
    "test[5y] @ end()",
    "foo[10m:6s] @ start()",
    "foo[10m:6s] @ end()",
    "start()",
    "end()",
    "start",
    "end",
    "start{end=\"foo\"}",
    "end{start=\"foo\"}",
    "foo unless on(start) bar",
    "foo unless on(end) bar",
    "info(rate(http_request_counter_total{}[5m]))",
    "info(http_request_counter_total{namespace=\"zzz\"}, {foo=\"bar\", bar=\"baz\"})",
    "foo[11s+10s-5*2^2]",
    "foo[-(10s-5s)+20s]",
    "foo[-10s+15s]",
    "foo[step()]",
    "foo[  -  step  (  )  ]",
    "foo[   step  (  )  ]",
    "foo[-step()]",
    "foo offset step()",
    "foo offset -step()",
    "foo[max_of(step(),5s)]",
    "foo offset max_of(step(),5s)",
    "foo offset -min_of(5s,step()+8s)",
    "foo[range()]",
    "foo[2m/range()]",
    "foo[-range()]",
    "foo offset range()",
    "foo offset -range()",
    "foo[max_of(range(),5s)]",
    "foo[4s+4s:1s*2] offset (5s-8)",
    "foo offset 5s-8",
    "rate(foo[2m+2m])",
    "foo offset -1^1",
    "foo offset -(1^2)",
    "foo offset (-1^2)",
    "foo[-2^2]",
    "foo[0+-2^2]",
    "(sum(foo))",
    "(sum(foo) )",
    "(sum(foo) by (bar))",
    "(sum by (bar) (foo))",
    "sum by (job)(rate(http_requests_total[30m]))",
];
