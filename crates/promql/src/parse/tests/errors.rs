//! Errors as Prometheus words and places them.

use super::*;

#[test]
fn errors_are_prometheus_s() {
    let wrong: Vec<String> = ERRORS
        .iter()
        .filter_map(|(query, wanted)| {
            let got = parse(query, &ParseOptions::all()).map(|e| e.to_string());
            let got = got.map_or_else(|e| e.to_string(), |e| format!("accepted: {e}"));
            (got != *wanted).then(|| format!("{query:?}\n  wanted {wanted}\n  got    {got}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_not_switched_on() {
    for (query, wanted) in [
        (
            "info(up)",
            "1:1: parse error: function \"info\" is not enabled",
        ),
        (
            "vector(start())",
            "1:8: parse error: function \"start\" is not enabled",
        ),
        (
            "limitk(1, up)",
            "1:1: parse error: limitk() is experimental and must be enabled with \
             --enable-feature=promql-experimental-functions",
        ),
        (
            "up[5m] anchored",
            "1:1: parse error: anchored modifier is experimental and not enabled",
        ),
        (
            "up smoothed",
            "1:1: parse error: smoothed modifier is experimental and not enabled",
        ),
        (
            "a + (b * fill(1) c)",
            "1:6: parse error: binop fill modifiers are experimental and not enabled",
        ),
        (
            "up[5m*2]",
            "1:4: parse error: experimental duration expression is not enabled",
        ),
        (
            "up[(5m)]",
            "1:5: parse error: experimental duration expression is not enabled",
        ),
        (
            "up offset step()",
            "1:11: parse error: experimental duration expression is not enabled",
        ),
    ] {
        let options = ParseOptions {
            experimental_functions: false,
            extended_range_selectors: false,
            duration_expressions: false,
            fill_modifiers: false,
        };
        let got = parse(query, &options).unwrap_err().to_string();
        assert_eq!(got, wanted, "{query}");
        assert!(parse(query, &ParseOptions::all()).is_ok(), "{query}");
    }
    assert!(parse("up[5m*2]", &ParseOptions::default()).is_ok());
}

#[test]
fn selectors_alone() {
    let error = |text: &str| parse_selector(text).unwrap_err().to_string();
    assert_eq!(
        error(""),
        "unknown position: parse error: unexpected end of input"
    );
    assert_eq!(
        error("up offset 5m"),
        "1:4: parse error: unexpected <offset>"
    );
    assert_eq!(error("rate(up[5m])"), "1:5: parse error: unexpected \"(\"");
    assert_eq!(error("1"), "1:1: parse error: unexpected number \"1\"");
    assert_eq!(
        error("up{a=b}"),
        "1:6: parse error: unexpected identifier \"b\" in label matching, expected string"
    );
    assert!(parse_selector("{}").unwrap().is_empty());
    let matchers = parse_selector("{\"a.b\", x=~'y.*'}").unwrap();
    assert_eq!(matchers[0].to_string(), "__name__=\"a.b\"");
    assert_eq!(matchers[1].to_string(), "x=~\"y.*\"");
    assert_eq!(parse_selector("sum # comment").unwrap().len(), 1);
}

#[test]
fn metrics() {
    let metric = |text: &str| {
        parse_metric(text)
            .map(|l| l.to_string())
            .map_err(|e| e.to_string())
    };
    assert_eq!(metric("up").unwrap(), r#"{__name__="up"}"#);
    assert_eq!(metric("{}").unwrap(), "{}");
    assert_eq!(
        metric(r#"up {b="2", a='1',}"#).unwrap(),
        r#"{__name__="up", a="1", b="2"}"#
    );
    assert_eq!(
        metric(r#"{"a.b", "c d"=`e`}"#).unwrap(),
        r#"{__name__="a.b", "c d"="e"}"#
    );
    for (text, wanted) in [
        (
            "up{a!=\"b\"}",
            "1:5: parse error: unexpected <op:!=> in label set, expected \"=\"",
        ),
        (
            "up{a=1}",
            "1:6: parse error: unexpected character inside braces: '1'",
        ),
        (
            "up{a=b}",
            "1:6: parse error: unexpected identifier \"b\" in label set, expected string",
        ),
        (
            "up{,}",
            "1:4: parse error: unexpected \",\" in label set, expected identifier or \"}\"",
        ),
        ("up 1", "1:4: parse error: unexpected number \"1\""),
    ] {
        assert_eq!(metric(text).unwrap_err(), wanted);
    }
}

/// Query and error, most of them from Prometheus's own tests.
const ERRORS: &[(&str, &str)] = &[
    (
        "",
        "unknown position: parse error: no expression found in input",
    ),
    (
        "# just a comment\n\n",
        "1:1: parse error: no expression found in input",
    ),
    ("1+", "1:3: parse error: unexpected end of input"),
    (".", "1:1: parse error: unexpected character: '.'"),
    (
        "2.5.",
        "1:1: parse error: bad number or duration syntax: \"2.5.\"",
    ),
    (
        "100..4",
        "1:1: parse error: bad number or duration syntax: \"100..\"",
    ),
    (
        "0deadbeef",
        "1:1: parse error: bad number or duration syntax: \"0de\"",
    ),
    ("1 /", "1:4: parse error: unexpected end of input"),
    ("*1", "1:1: parse error: unexpected <op:*>"),
    ("(1))", "1:5: parse error: unexpected right parenthesis ')'"),
    ("((1)", "1:5: parse error: unclosed left parenthesis"),
    ("(", "1:2: parse error: unclosed left parenthesis"),
    (
        "1 and 1",
        "1:1: parse error: set operator \"and\" not allowed in binary scalar expression",
    ),
    (
        "1 == 1",
        "1:3: parse error: comparisons between scalars must use BOOL modifier",
    ),
    (
        "1 or 1",
        "1:1: parse error: set operator \"or\" not allowed in binary scalar expression",
    ),
    (
        "1 unless 1",
        "1:1: parse error: set operator \"unless\" not allowed in binary scalar expression",
    ),
    (
        "1 !~ 1",
        "1:3: parse error: unexpected character after '!': '~'",
    ),
    (
        "1 =~ 1",
        "1:3: parse error: unexpected character after '=': '~'",
    ),
    (
        "-\"string\"",
        "1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, got \"string\"",
    ),
    (
        "-test[5m]",
        "1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, got \"range vector\"",
    ),
    ("*test", "1:1: parse error: unexpected <op:*>"),
    ("@@", "1:1: parse error: unexpected <op:@>"),
    (
        "1 offset 1d",
        "1:1: parse error: offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
    ),
    (
        "foo offset 1s offset 2s",
        "1:1: parse error: offset may not be set multiple times",
    ),
    (
        "a - on(b) ignoring(c) d",
        "1:11: parse error: unexpected <ignoring>",
    ),
    (
        "foo and 1",
        "1:1: parse error: set operator \"and\" not allowed in binary scalar expression",
    ),
    (
        "1 and foo",
        "1:1: parse error: set operator \"and\" not allowed in binary scalar expression",
    ),
    (
        "foo or 1",
        "1:1: parse error: set operator \"or\" not allowed in binary scalar expression",
    ),
    (
        "1 or foo",
        "1:1: parse error: set operator \"or\" not allowed in binary scalar expression",
    ),
    (
        "foo unless 1",
        "1:1: parse error: set operator \"unless\" not allowed in binary scalar expression",
    ),
    (
        "1 unless foo",
        "1:1: parse error: set operator \"unless\" not allowed in binary scalar expression",
    ),
    (
        "1 or on(bar) foo",
        "1:1: parse error: vector matching only allowed between instant vectors",
    ),
    (
        "foo == on(bar) 10",
        "1:1: parse error: vector matching only allowed between instant vectors",
    ),
    (
        "foo + group_left(baz) bar",
        "1:7: parse error: unexpected <group_left>",
    ),
    (
        "foo and on(bar) group_left(baz) bar",
        "1:1: parse error: no grouping allowed for \"and\" operation",
    ),
    (
        "foo and on(bar) group_right(baz) bar",
        "1:1: parse error: no grouping allowed for \"and\" operation",
    ),
    (
        "foo or on(bar) group_left(baz) bar",
        "1:1: parse error: no grouping allowed for \"or\" operation",
    ),
    (
        "foo or on(bar) group_right(baz) bar",
        "1:1: parse error: no grouping allowed for \"or\" operation",
    ),
    (
        "foo unless on(bar) group_left(baz) bar",
        "1:1: parse error: no grouping allowed for \"unless\" operation",
    ),
    (
        "foo unless on(bar) group_right(baz) bar",
        "1:1: parse error: no grouping allowed for \"unless\" operation",
    ),
    (
        "http_requests{group=\"production\"} + on(instance) group_left(job,instance) cpu_count{type=\"smp\"}",
        "1:35: parse error: label \"instance\" must not occur in ON and GROUP clause at once",
    ),
    (
        "foo + bool bar",
        "1:5: parse error: bool modifier can only be used on comparison operators",
    ),
    (
        "foo + bool 10",
        "1:5: parse error: bool modifier can only be used on comparison operators",
    ),
    (
        "foo and bool 10",
        "1:5: parse error: bool modifier can only be used on comparison operators",
    ),
    (
        "foo @ +Inf",
        "1:1: parse error: timestamp out of bounds for @ modifier: +Inf",
    ),
    (
        "foo @ -Inf",
        "1:1: parse error: timestamp out of bounds for @ modifier: -Inf",
    ),
    (
        "foo @ NaN",
        "1:1: parse error: timestamp out of bounds for @ modifier: NaN",
    ),
    (
        "{",
        "1:2: parse error: unexpected end of input inside braces",
    ),
    ("}", "1:1: parse error: unexpected character: '}'"),
    (
        "some{",
        "1:6: parse error: unexpected end of input inside braces",
    ),
    ("some}", "1:5: parse error: unexpected character: '}'"),
    (
        "some_metric{a=b}",
        "1:15: parse error: unexpected identifier \"b\" in label matching, expected string",
    ),
    (
        "some_metric{a:b=\"b\"}",
        "1:14: parse error: unexpected character inside braces: ':'",
    ),
    (
        "foo{a*\"b\"}",
        "1:6: parse error: unexpected character inside braces: '*'",
    ),
    (
        "foo{a>=\"b\"}",
        "1:6: parse error: unexpected character inside braces: '>'",
    ),
    (
        "some_metric{a=\"\u{fffd}\"}",
        "1:15: parse error: invalid UTF-8 rune",
    ),
    (
        "foo{gibberish}",
        "1:14: parse error: unexpected \"}\" in label matching, expected label matching operator",
    ),
    (
        "foo{1}",
        "1:5: parse error: unexpected character inside braces: '1'",
    ),
    (
        "{}",
        "1:1: parse error: vector selector must contain at least one non-empty matcher",
    ),
    (
        "{x=\"\"}",
        "1:1: parse error: vector selector must contain at least one non-empty matcher",
    ),
    (
        "{x=~\".*\"}",
        "1:1: parse error: vector selector must contain at least one non-empty matcher",
    ),
    (
        "{x!~\".+\"}",
        "1:1: parse error: vector selector must contain at least one non-empty matcher",
    ),
    (
        "{x!=\"a\"}",
        "1:1: parse error: vector selector must contain at least one non-empty matcher",
    ),
    (
        "foo{__name__=\"bar\"}",
        "1:1: parse error: metric name must not be set twice: \"foo\" or \"bar\"",
    ),
    (
        "foo{__name__= =}",
        "1:15: parse error: unexpected \"=\" in label matching, expected string",
    ),
    (
        "foo{,}",
        "1:5: parse error: unexpected \",\" in label matching, expected identifier or \"}\"",
    ),
    (
        "foo{__name__ == \"bar\"}",
        "1:15: parse error: unexpected \"=\" in label matching, expected string",
    ),
    (
        "foo{__name__=\"bar\" lol}",
        "1:20: parse error: unexpected identifier \"lol\" in label matching, expected \",\" or \"}\"",
    ),
    (
        "foo{\"a\"=}",
        "1:9: parse error: unexpected \"}\" in label matching, expected string",
    ),
    (
        "foo[5mm]",
        "1:5: parse error: bad number or duration syntax: \"5mm\"",
    ),
    (
        "foo[5m1]",
        "1:5: parse error: bad number or duration syntax: \"5m1\"",
    ),
    (
        "foo[5m:1m1]",
        "1:8: parse error: bad number or duration syntax: \"1m1\"",
    ),
    (
        "foo[5y1hs]",
        "1:5: parse error: unknown unit \"hs\" in duration \"5y1hs\"",
    ),
    (
        "foo[5m1h]",
        "1:5: parse error: not a valid duration string: \"5m1h\"",
    ),
    (
        "foo[5m1m]",
        "1:5: parse error: not a valid duration string: \"5m1m\"",
    ),
    (
        "foo[0m]",
        "1:5: parse error: duration must be greater than 0",
    ),
    (
        "foo[\"5m\"]",
        "1:5: parse error: unexpected character in duration expression: '\"'",
    ),
    (
        "foo[]",
        "1:5: parse error: unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()",
    ),
    (
        "foo[-1]",
        "1:5: parse error: duration must be greater than 0",
    ),
    (
        "some_metric[5m] OFFSET 1mm",
        "1:24: parse error: bad number or duration syntax: \"1mm\"",
    ),
    (
        "some_metric[5m] OFFSET",
        "1:23: parse error: unexpected end of input in offset, expected number, duration, step(), or range()",
    ),
    (
        "some_metric OFFSET 1m[5m]",
        "1:22: parse error: no offset modifiers allowed before range",
    ),
    (
        "some_metric[5m] @",
        "1:18: parse error: unexpected end of input in @, expected timestamp",
    ),
    (
        "some_metric @ 1234 [5m]",
        "1:20: parse error: no @ modifiers allowed before range",
    ),
    (
        "some_metric @ start() [5m]",
        "1:23: parse error: no @ modifiers allowed before range",
    ),
    (
        "some_metric @ end()[5m]",
        "1:20: parse error: no @ modifiers allowed before range",
    ),
    (
        "some_metric offset step()[5m]",
        "1:26: parse error: no offset modifiers allowed before range",
    ),
    (
        "(foo + bar)[5m]",
        "1:12: parse error: ranges only allowed for vector selectors",
    ),
    (
        "sum by (\"foo)(some_metric{})",
        "1:9: parse error: unterminated quoted string",
    ),
    (
        "sum without(==)(some_metric)",
        "1:13: parse error: unexpected <op:==> in grouping opts, expected label",
    ),
    (
        "sum without(,)(some_metric)",
        "1:13: parse error: unexpected \",\" in grouping opts, expected label",
    ),
    (
        "sum without(foo,,)(some_metric)",
        "1:17: parse error: unexpected \",\" in grouping opts, expected label",
    ),
    (
        "sum some_metric by (test)",
        "1:5: parse error: unexpected identifier \"some_metric\"",
    ),
    (
        "sum (some_metric) by test",
        "1:22: parse error: unexpected identifier \"test\" in grouping opts, expected \"(\"",
    ),
    (
        "sum () by (test)",
        "1:1: parse error: no arguments for aggregate expression provided",
    ),
    (
        "MIN keep_common (some_metric)",
        "1:5: parse error: unexpected identifier \"keep_common\"",
    ),
    (
        "MIN (some_metric) keep_common",
        "1:19: parse error: unexpected identifier \"keep_common\"",
    ),
    (
        "sum (some_metric) without (test) by (test)",
        "1:34: parse error: unexpected <by>",
    ),
    (
        "sum without (test) (some_metric) by (test)",
        "1:34: parse error: unexpected <by>",
    ),
    (
        "topk(some_metric)",
        "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1",
    ),
    (
        "topk(some_metric,)",
        "1:17: parse error: trailing commas not allowed in function call args",
    ),
    (
        "topk(some_metric, other_metric)",
        "1:6: parse error: expected type scalar in aggregation parameter, got instant vector",
    ),
    (
        "count_values(5, other_metric)",
        "1:14: parse error: expected type string in aggregation parameter, got scalar",
    ),
    (
        "rate(some_metric[5m]) @ 1234",
        "1:1: parse error: @ modifier must be preceded by an instant vector selector or range vector selector or a subquery",
    ),
    (
        "floor()",
        "1:1: parse error: expected 1 argument(s) in call to \"floor\", got 0",
    ),
    (
        "floor(some_metric, other_metric)",
        "1:1: parse error: expected 1 argument(s) in call to \"floor\", got 2",
    ),
    (
        "floor(some_metric, 1)",
        "1:1: parse error: expected 1 argument(s) in call to \"floor\", got 2",
    ),
    (
        "floor(1)",
        "1:7: parse error: expected type instant vector in call to function \"floor\", got scalar",
    ),
    (
        "hour(some_metric, some_metric, some_metric)",
        "1:1: parse error: expected at most 1 argument(s) in call to \"hour\", got 3",
    ),
    (
        "time(some_metric)",
        "1:1: parse error: expected 0 argument(s) in call to \"time\", got 1",
    ),
    (
        "non_existent_function_far_bar()",
        "1:1: parse error: unknown function with name \"non_existent_function_far_bar\"",
    ),
    (
        "rate(some_metric)",
        "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector",
    ),
    (
        "label_replace(a, `b`, `c\u{fffd}`, `d`, `.*`)",
        "1:23: parse error: invalid UTF-8 rune",
    ),
    ("-=", "1:2: parse error: unexpected \"=\""),
    ("++-++-+-+-<", "1:11: parse error: unexpected <op:<>"),
    ("e-+=/(0)", "1:4: parse error: unexpected \"=\""),
    (
        "a>b()",
        "1:3: parse error: unknown function with name \"b\"",
    ),
    (
        "rate(avg)",
        "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector",
    ),
    ("`\\``", "1:4: parse error: unterminated raw string"),
    ("\"\\", "1:1: parse error: escape sequence not terminated"),
    (
        "\"\\c\"",
        "1:1: parse error: unknown escape sequence U+0063 'c'",
    ),
    (
        "\"\\x.\"",
        "1:1: parse error: illegal character U+002E '.' in escape sequence",
    ),
    (
        "foo{bar=\"baz\"}[",
        "1:16: parse error: unexpected end of input in duration expression",
    ),
    (
        "test[5d] OFFSET 10s [10m:5s]",
        "1:1: parse error: subquery is only allowed on instant vector, got matrix instead",
    ),
    (
        "(foo + bar{nm=\"val\"})[5m:][10m:5s]",
        "1:1: parse error: subquery is only allowed on instant vector, got matrix instead",
    ),
    (
        "rate(food[1m])[1h] offset 1h",
        "1:15: parse error: ranges only allowed for vector selectors",
    ),
    (
        "rate(food[1m])[1h] @ 100",
        "1:15: parse error: ranges only allowed for vector selectors",
    ),
    (
        "info(rate(http_request_counter_total{}[5m]), target_info{foo=\"bar\"})",
        "1:46: parse error: expected label selectors only, got vector selector instead",
    ),
    (
        "info(http_request_counter_total{namespace=\"zzz\"}, {foo=\"bar\"} == 1)",
        "1:51: parse error: expected label selectors only",
    ),
    (
        "foo[step]",
        "1:9: parse error: unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()",
    ),
    ("foo[step()/0d]", "1:11: parse error: division by zero"),
    ("foo[5s/0d]", "1:7: parse error: division by zero"),
    ("foo offset (4d/0)", "1:15: parse error: division by zero"),
    ("foo[5s%0d]", "1:7: parse error: modulo by zero"),
    (
        "foo offset 9.5e10",
        "1:12: parse error: duration out of range",
    ),
    ("foo[9.5e10]", "1:5: parse error: duration out of range"),
    ("sum(", "1:5: parse error: unclosed left parenthesis"),
    ("sum(rate(", "1:10: parse error: unclosed left parenthesis"),
    (
        "foo[5s x 5s]",
        "1:8: parse error: unexpected character: 'x', expected ':'",
    ),
    (
        "foo[5s s 5s]",
        "1:8: parse error: unexpected character: 's', expected ':'",
    ),
    (
        "1[5m] smoothed",
        "1:2: parse error: ranges only allowed for vector selectors",
    ),
    (
        "1[5m] anchored",
        "1:2: parse error: ranges only allowed for vector selectors",
    ),
    // In aggregations.
    (
        "sum(1 +)",
        "1:8: parse error: unexpected \")\" in aggregation",
    ),
    (
        "sum by (x) foo",
        "1:12: parse error: unexpected identifier \"foo\" in aggregation",
    ),
    (
        "sum(foo bar)",
        "1:9: parse error: unexpected identifier \"bar\" in aggregation",
    ),
    ("sum(foo) + ==", "1:12: parse error: unexpected <op:==>"),
    (
        "rate(sum(foo{a}))",
        "1:15: parse error: unexpected \"}\" in label matching, expected label matching operator",
    ),
    (
        "sum by (without) (x)",
        "1:9: parse error: unexpected <without> in grouping opts, expected label",
    ),
    (
        "sum by (a b) (x)",
        "1:11: parse error: unexpected identifier \"b\" in grouping opts, expected \",\" or \")\"",
    ),
    (
        "sum by (\"\") (x)",
        "1:9: parse error: invalid label name for grouping: \"\"",
    ),
    (
        "sum(x) by (nan)",
        "1:12: parse error: unexpected number \"nan\" in grouping opts, expected label",
    ),
    (
        "limitk(x)",
        "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1",
    ),
    (
        "sum(1)",
        "1:5: parse error: expected type instant vector in aggregation expression, got scalar",
    ),
    // Of operators.
    (
        "a + on b",
        "1:8: parse error: unexpected identifier \"b\" in grouping opts, expected \"(\"",
    ),
    (
        "a + on(b) group_left ==",
        "1:22: parse error: unexpected <op:==>",
    ),
    (
        "a + fill_left(1) fill_left(2) b",
        "1:27: parse error: unexpected \"(\"",
    ),
    (
        "a == fill(x) b",
        "1:11: parse error: unexpected identifier \"x\"",
    ),
    (
        "1 + fill(1) b",
        "1:1: parse error: filling in missing series only allowed between instant vectors",
    ),
    (
        "a and fill(1) b",
        "1:1: parse error: filling in missing series not allowed for set operators",
    ),
    (
        "a\n+ bool\nb",
        "2:1: parse error: bool modifier can only be used on comparison operators",
    ),
    (
        "a + b[5m]",
        "1:5: parse error: binary expression must contain only scalar and instant vector types",
    ),
    (
        "\"a\" + b",
        "1:1: parse error: binary expression must contain only scalar and instant vector types",
    ),
    ("a atan2", "1:8: parse error: unexpected end of input"),
    ("bool", "1:1: parse error: unexpected <bool>"),
    ("a ON(b)", "1:3: parse error: unexpected <ON>"),
    ("a =", "1:3: parse error: unexpected \"=\""),
    ("foo bar", "1:5: parse error: unexpected identifier \"bar\""),
    (
        "foo a:b",
        "1:5: parse error: unexpected metric identifier \"a:b\"",
    ),
    (
        "foo \"quite a long text\"",
        "1:5: parse error: unexpected string \"\\\"quite a l\"...",
    ),
    ("foo start", "1:5: parse error: unexpected \"start\""),
    ("foo sum", "1:5: parse error: unexpected <aggr:sum>"),
    ("foo 5m", "1:5: parse error: unexpected duration \"5m\""),
    ("(a, b)", "1:3: parse error: unexpected \",\""),
    ("()", "1:2: parse error: unexpected \")\""),
    ("foo)", "1:5: parse error: unexpected right parenthesis ')'"),
    ("foo]", "1:4: parse error: unexpected right bracket ']'"),
    (
        "foo !",
        "1:5: parse error: unexpected character after '!': '\u{fffd}'",
    ),
    ("a:b(c)", "1:4: parse error: unexpected \"(\""),
    (
        "RATE(x[5m])",
        "1:1: parse error: unknown function with name \"RATE\"",
    ),
    (
        "STEP()",
        "1:1: parse error: unknown function with name \"STEP\"",
    ),
    (
        "holt_winters(x[5m], 1, 1)",
        "1:1: parse error: unknown function with name \"holt_winters\"",
    ),
    (
        "rate(x[5m],)",
        "1:11: parse error: trailing commas not allowed in function call args",
    ),
    ("rate(,)", "1:6: parse error: unexpected \",\""),
    (
        "label_join(x, \"a\")",
        "1:1: parse error: expected at least 3 argument(s) in call to \"label_join\", got 2",
    ),
    (
        "label_join(x, \"a\", \"b\", \"c\", 1)",
        "1:30: parse error: expected type string in call to function \"label_join\", got scalar",
    ),
    (
        "info(a, 1)",
        "1:1: parse error: expected type instant vector in call to function \"info\", got scalar",
    ),
    (
        "rate(rate(x))",
        "1:11: parse error: expected type range vector in call to function \"rate\", got instant vector",
    ),
    (
        "1[5m:]",
        "1:1: parse error: subquery is only allowed on instant vector, got scalar instead",
    ),
    (
        "\"x\"[5m:]",
        "1:1: parse error: subquery is only allowed on instant vector, got string instead",
    ),
    // Of durations and times.
    ("foo[5m", "1:7: parse error: unclosed left bracket"),
    ("foo[5m:1m", "1:10: parse error: unclosed left bracket"),
    (
        "foo[5m 5m]",
        "1:8: parse error: unexpected duration \"5m\" in subquery or range, expected \":\" or \"]\"",
    ),
    ("foo[5m:5m:5m]", "1:10: parse error: unexpected colon ':'"),
    (
        "foo[5m:5m 5m]",
        "1:11: parse error: unexpected duration \"5m\" in subquery selector, expected \"]\"",
    ),
    (
        "foo[5m:,]",
        "1:8: parse error: unexpected \",\" in subquery selector, expected number, duration, step(), range(), or \"]\"",
    ),
    (
        "foo[5m+]",
        "1:8: parse error: unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()",
    ),
    (
        "foo[:1m]",
        "1:6: parse error: unexpected colon before duration in duration expression",
    ),
    ("foo[1m[", "1:7: parse error: unexpected left bracket '['"),
    (
        "foo[#]",
        "1:5: parse error: unexpected character in duration expression: '#'",
    ),
    (
        "foo[1.5h]",
        "1:5: parse error: unknown unit \".\" in duration \"1.5h\"",
    ),
    (
        "1m1h",
        "1:1: parse error: not a valid duration string: \"1m1h\"",
    ),
    ("300y", "1:1: parse error: duration out of range"),
    (
        "foo offset",
        "1:11: parse error: unexpected end of input in offset, expected number, duration, step(), or range()",
    ),
    (
        "foo offset (1h) + bar",
        "1:19: parse error: unexpected identifier \"bar\" in offset, expected number, duration, step(), or range()",
    ),
    (
        "foo offset bar",
        "1:12: parse error: unexpected identifier \"bar\" in offset, expected number, duration, step(), or range()",
    ),
    (
        "foo offset -inf",
        "1:12: parse error: duration out of range",
    ),
    (
        "foo @ start",
        "1:12: parse error: unexpected end of input in @, expected timestamp",
    ),
    (
        "foo @ bar",
        "1:7: parse error: unexpected identifier \"bar\" in @, expected timestamp",
    ),
    (
        "foo @ 1 @ 2",
        "1:1: parse error: @ <timestamp> may not be set multiple times",
    ),
    (
        "foo @ start() @ 2",
        "1:1: parse error: @ <timestamp> may not be set multiple times",
    ),
    (
        "foo @ 1e30",
        "1:1: parse error: timestamp out of bounds for @ modifier: 1000000000000000019884624838656.000000",
    ),
    (
        "1 anchored",
        "1:1: parse error: anchored modifier not implemented",
    ),
    (
        "foo[5m:] smoothed",
        "1:1: parse error: smoothed modifier is not supported for subqueries",
    ),
    (
        "foo anchored smoothed",
        "1:1: parse error: anchored and smoothed modifiers cannot be used together",
    ),
    // Of words and numbers.
    (
        "1_",
        "1:1: parse error: bad number or duration syntax: \"1_\"",
    ),
    (
        "1__0",
        "1:1: parse error: bad number or duration syntax: \"1__\"",
    ),
    (
        "1e",
        "1:1: parse error: bad number or duration syntax: \"1e\"",
    ),
    (
        "0x",
        "1:1: parse error: error parsing number: strconv.ParseFloat: parsing \"0x\": invalid syntax",
    ),
    (
        "5mx",
        "1:1: parse error: bad number or duration syntax: \"5mx\"",
    ),
    ("é", "1:1: parse error: unexpected character: 'é'"),
    ("'a\nb'", "1:1: parse error: unterminated quoted string"),
    (
        "\"\\xz0\"",
        "1:1: parse error: illegal character U+007A 'z' in escape sequence",
    ),
    (
        "\"\\uD800\"",
        "1:1: parse error: escape sequence is an invalid Unicode code point",
    ),
    (
        "\"\\400\"",
        "1:1: parse error: escape sequence is an invalid Unicode code point",
    ),
    (
        "foo{a=\"b\" c=\"d\"}",
        "1:11: parse error: unexpected identifier \"c\" in label matching, expected \",\" or \"}\"",
    ),
    (
        "foo{a=\"b\",,}",
        "1:11: parse error: unexpected \",\" in label matching, expected identifier or \"}\"",
    ),
    ("foo{{", "1:5: parse error: unexpected left brace '{'"),
    (
        "foo{a!b}",
        "1:6: parse error: unexpected character after '!' inside braces: 'b'",
    ),
    (
        "foo{\"a\" \"b\"}",
        "1:9: parse error: unexpected string \"\\\"b\\\"\" in label matching, expected \",\" or \"}\"",
    ),
];
