use super::*;
use crate::test_page::print;

/// All entries of a page, one text each.
fn read(page: &[u8]) -> Result<Vec<String>, TextError> {
    let mut parser = OpenMetricsParser::new(page);
    let mut all = Vec::new();
    while let Some(entry) = parser.next()? {
        all.push(print(&entry)?);
    }
    Ok(all)
}

/// The lines, ended with `# EOF`, are read as `expected`.
#[track_caller]
fn accepts(lines: &str, expected: &[&str]) {
    let page = format!("{lines}# EOF\n");
    let expected: Vec<String> = expected.iter().map(|s| (*s).to_string()).collect();
    assert_eq!(read(page.as_bytes()), Ok(expected), "{page:?}");
}

#[track_caller]
fn rejects(page: &[u8], line: usize, message: &str) {
    let error = read(page).expect_err(&String::from_utf8_lossy(page));
    assert_eq!(error.line, line, "{error}");
    assert!(error.message.starts_with(message), "{error}");
}

#[test]
fn samples() {
    accepts("", &[]);
    accepts(
        "a 1\nb{c=\"d\",e=\"f\",} -2.5\n",
        &["{a} 1", "{b c=\"d\" e=\"f\"} -2.5"],
    );
    accepts(
        "a{} NaN\na{b=\"c\"} +Inf\n",
        &["{a} NaN", "{a b=\"c\"} inf"],
    );
    accepts(
        "a{b=\"\\n\\\\\\\"\\x\"} 1\n",
        &["{a b=\"\\n\\\\\\\"\\\\x\"} 1"],
    );
    // Names may go on over lines, values may not.
    accepts(
        "{\"a\nb\",\"c\nd\"=\"e\"} 1\n# HELP \"a\nb\" x\n",
        &["{a\nb c\nd=\"e\"} 1", "help a\nb: x"],
    );
    accepts("{\"a.b\",\"c.d\"=\"e\"} 1\n", &["{a.b c.d=\"e\"} 1"]);
    // Not enforced, as in Prometheus: _total, order, and whether families hang together.
    accepts(
        "# TYPE a counter\na 1\nb_total 2\na_total 3\n",
        &["type a: counter", "{a} 1", "{b_total} 2", "{a_total} 3"],
    );
    accepts(
        "# TYPE a counter\na_total 1\na_created 1.5e9\n",
        &["type a: counter", "{a_total} 1", "{a_created} 1500000000"],
    );
}

#[test]
fn timestamps_in_seconds() {
    accepts("a 1 1395066363\n", &["{a} 1 @1395066363000"]);
    accepts("a 1 1395066363.25\n", &["{a} 1 @1395066363250"]);
    accepts("a 1 -1.5\na 1 1e3\n", &["{a} 1 @-1500", "{a} 1 @1000000"]);
    rejects(b"a 1 NaN\n# EOF\n", 1, "invalid timestamp");
    rejects(b"a 1 +Inf\n# EOF\n", 1, "invalid timestamp");
    rejects(b"a 1 x\n# EOF\n", 1, "invalid number \"x\"");
    rejects(b"a 1 1 1\n# EOF\n", 1, "expected next entry");
}

#[test]
fn metadata() {
    accepts(
        "# TYPE a_seconds gauge\n# UNIT a_seconds seconds\n# HELP a_seconds x \\\"q\\\" \\\\ \\n\n",
        &[
            "type a_seconds: gauge",
            "unit a_seconds: seconds",
            "help a_seconds: x \"q\" \\ \n",
        ],
    );
    accepts("# HELP a \n# UNIT a \n", &["help a: ", "unit a: "]);
    accepts("# TYPE \"a.b\" stateset\n", &["type a.b: stateset"]);
    for word in [
        "counter",
        "gauge",
        "histogram",
        "summary",
        "gaugehistogram",
        "info",
        "stateset",
        "unknown",
    ] {
        accepts(&format!("# TYPE a {word}\n"), &[&format!("type a: {word}")]);
    }
    rejects(
        b"# TYPE a untyped\n# EOF\n",
        1,
        "invalid metric type \"untyped\"",
    );
    rejects(b"# TYPE a foo\n# EOF\n", 1, "invalid metric type \"foo\"");
    rejects(
        b"# UNIT x seconds\n# EOF\n",
        1,
        "unit \"seconds\" not a suffix of metric \"x\"",
    );
    rejects(
        b"# UNIT xseconds seconds\n# EOF\n",
        1,
        "unit \"seconds\" not a suffix",
    );
    rejects(
        b"# UNIT seconds seconds\n# EOF\n",
        1,
        "unit \"seconds\" not a suffix",
    );
    rejects(b"# HELP a\n# EOF\n", 1, "expected text in HELP");
    rejects(b"# HELP a x", 1, "expected text in HELP");
    rejects(b"# HELP 1 x\n# EOF\n", 1, "expected metric name after HELP");
    rejects(
        b"# HELP a \xff\n# EOF\n",
        1,
        "text of HELP a is not a valid utf8 string",
    );
    rejects(
        b"# HELP \"\xff\" x\n# EOF\n",
        1,
        "invalid UTF-8 metric name",
    );
}

#[test]
fn exemplars() {
    accepts(
        "a_total 1 # {trace_id=\"x y\",span=\"\"} 0.5\n",
        &["{a_total} 1 #{trace_id=\"x y\" span=\"\"} 0.5"],
    );
    accepts(
        "a{b=\"c\"} 1 2.5 # {} 3 4.25\na 1 # {\"x.y\"=\"z\"} 1 1\n",
        &[
            "{a b=\"c\"} 1 @2500 #{} 3 @4250",
            "{a} 1 #{x.y=\"z\"} 1 @1000",
        ],
    );
    for (tail, message) in [
        ("# {a=\"b\"}", "expected value after exemplar labels"),
        ("# {a=\"b\"} x", "invalid number"),
        ("# {a=\"b\"} 1 x", "invalid number"),
        ("# {a=\"b\"} 1 NaN", "invalid timestamp"),
        ("# {a=\"b\"} 1 1 1", "expected next entry"),
        ("# {a=\"b\"} 1 # {a=\"b\"} 1", "expected next entry"),
        ("# {\"a\"} 1", "expected label in exemplar"),
        ("# {a} 1", "expected equal"),
        ("# {a=\"b\" c=\"d\"} 1", "expected comma or brace close"),
        ("# {a=\"b} 1", "expected label value"),
        ("# x", "invalid number"),
        ("#", "invalid number"),
    ] {
        rejects(format!("b 1\na 1 {tail}\n# EOF\n").as_bytes(), 2, message);
    }
    rejects(
        b"a 1 # {b=\"\xff\"} 1\n# EOF\n",
        1,
        "invalid UTF-8 label value",
    );
}

#[test]
fn the_end() {
    assert_eq!(read(b"# EOF"), Ok(vec![]));
    assert_eq!(read(b"a 1\n# EOF"), Ok(vec!["{a} 1".to_string()]));
    rejects(b"", 1, "data does not end with # EOF");
    rejects(b"a 1\n", 2, "data does not end with # EOF");
    rejects(b"a 1\n# EOF\n\n", 2, "unexpected data after # EOF");
    rejects(b"# EOF\na 1\n", 1, "unexpected data after # EOF");
    rejects(b"# EOFx", 1, "unexpected data after # EOF");
    let mut parser = OpenMetricsParser::new(b"a\n# EOF\n");
    assert!(parser.next().is_err());
    assert_eq!(parser.next(), Ok(None));
}

#[test]
fn what_breaks_a_page() {
    for (line, message) in [
        ("a  1", "expected value after metric"),
        ("a\t1", "expected value after metric"),
        (" a 1", "expected a valid start token"),
        ("", "expected a valid start token"),
        ("a 1 ", "expected timestamp"),
        ("a 1\r", "invalid number"),
        ("a", "expected value after metric"),
        ("a ", "expected value after metric"),
        ("a {b=\"c\"} 1", "invalid number \"{b=\\\"c\\\"}\""),
        ("a{b=\"c\"}1", "expected value after metric"),
        ("a{ b=\"c\"} 1", "expected label name"),
        ("a{b =\"c\"} 1", "expected equal"),
        ("a{b= \"c\"} 1", "expected label value"),
        ("a{b=\"c\" d=\"e\"} 1", "expected comma or brace close"),
        ("a{b=\"c\", d=\"e\"} 1", "expected label name"),
        ("a{,} 1", "expected label name"),
        ("a{b=\"c\n\"} 1", "expected label value"),
        ("{b=\"c\"} 1", "metric name not set"),
        ("a{\"b\"} 1", "metric name already set"),
        (
            "a{b=\"1\",b=\"2\"} 1",
            "label name \"b\" is not unique: invalid sample",
        ),
        ("a 1_0", "unsupported character in float"),
        ("a 0x1p1", "unsupported character in float"),
        ("a 1e999", "invalid number"),
        ("# free comment", "expected HELP, TYPE, UNIT or EOF"),
        ("#  HELP a x", "expected HELP, TYPE, UNIT or EOF"),
        ("#HELP a x", "expected a valid start token"),
        ("#", "expected a valid start token"),
    ] {
        rejects(format!("ok 1\n{line}\n# EOF\n").as_bytes(), 2, message);
    }
    rejects(b"a 1", 1, "expected next entry");
    rejects(b"a{b=\"\xff\"} 1\n# EOF\n", 1, "invalid UTF-8 label value");
}

#[test]
fn bounds_and_quantiles_below_their_type() {
    accepts(
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\n# TYPE s summary\ns{quantile=\"0\"} 1\n\
         # TYPE g gaugehistogram\ng_bucket{le=\"1\"} 1\n",
        &[
            "type h: histogram",
            "{h_bucket le=\"1.0\"} 1",
            "type s: summary",
            "{s quantile=\"0.0\"} 1",
            "type g: gaugehistogram",
            "{g_bucket le=\"1\"} 1",
        ],
    );
}
