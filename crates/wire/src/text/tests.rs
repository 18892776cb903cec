use super::*;
use crate::test_page::{label_text, print};
use tsdb_model::float::NORMAL_NAN_BITS;

/// All entries of a page, one text each.
fn read(page: &[u8]) -> Result<Vec<String>, TextError> {
    let mut parser = TextParser::new(page);
    let mut all = Vec::new();
    while let Some(entry) = parser.next()? {
        all.push(print(&entry)?);
    }
    Ok(all)
}

#[track_caller]
fn accepts(page: &str, expected: &[&str]) {
    assert_eq!(
        read(page.as_bytes()).as_deref(),
        Ok(expected.map_owned()).as_deref(),
        "{page:?}"
    );
}

trait MapOwned {
    fn map_owned(&self) -> Vec<String>;
}

impl MapOwned for [&str] {
    fn map_owned(&self) -> Vec<String> {
        self.iter().map(|s| (*s).to_string()).collect()
    }
}

/// The page must fail at `line`, with a text that begins with `message`.
#[track_caller]
fn rejects(page: &[u8], line: usize, message: &str) {
    let error = read(page).expect_err(&String::from_utf8_lossy(page));
    assert_eq!(error.line, line, "{error}");
    assert!(error.message.starts_with(message), "{error}");
    assert_eq!(error.to_string(), format!("line {line}: {}", error.message));
}

#[test]
fn plain_samples() {
    accepts("", &[]);
    accepts("\n  \n\t\n", &[]);
    accepts("a 1", &["{a} 1"]);
    accepts("a 1\nb 2.5\n", &["{a} 1", "{b} 2.5"]);
    accepts("a{} 1\n", &["{a} 1"]);
    accepts("a{b=\"c\"} 1\n", &["{a b=\"c\"} 1"]);
    accepts("a{b=\"c\",d=\"e\",} 1\n", &["{a b=\"c\" d=\"e\"} 1"]);
    accepts(":a:b_9 1\n_ 2\n", &["{:a:b_9} 1", "{_} 2"]);
    accepts("a{b=\"\"} 1\n", &["{a b=\"\"} 1"]);
    accepts("a{_b0=\"{}#,= \"} 1\n", &["{a _b0=\"{}#,= \"} 1"]);
}

#[test]
fn blanks_between_all_tokens() {
    accepts("a\t \t1 \t 5\t\n", &["{a} 1 @5"]);
    accepts("a {b=\"c\"} 1\n", &["{a b=\"c\"} 1"]);
    accepts(
        "a{ b = \"c\" ,\td\t=\t\"e\" , }1\n",
        &["{a b=\"c\" d=\"e\"} 1"],
    );
    // Prometheus would make the blanks a part of the name.
    accepts("  \ta 1\n", &["{a} 1"]);
}

#[test]
fn commas_may_miss_between_labels() {
    accepts("a{b=\"1\" c=\"2\"} 1\n", &["{a b=\"1\" c=\"2\"} 1"]);
    accepts("a{b=\"1\"c=\"2\"} 1\n", &["{a b=\"1\" c=\"2\"} 1"]);
}

#[test]
fn label_values() {
    accepts(
        "a{b=\"one\ntwo\"} 1\nc 2\n",
        &["{a b=\"one\\ntwo\"} 1", "{c} 2"],
    );
    accepts(
        r#"a{b="q\"q \\ \n \t \x"} 1"#,
        &[r#"{a b="q\"q \\ \n \\t \\x"} 1"#],
    );
    accepts("a{b=\"\\\\\"} 1\n", &["{a b=\"\\\\\"} 1"]);
    accepts("a{b=\"été ☃\"} 1\n", &["{a b=\"été ☃\"} 1"]);
}

#[test]
fn values_without_escapes_are_borrowed() {
    let page = b"a{b=\"c\",d=\"e\\nf\"} 1\n";
    let Ok(Some(Entry::Series(line))) = TextParser::new(page).next() else {
        panic!("no series");
    };
    assert_eq!(line.text, b"a{b=\"c\",d=\"e\\nf\"}");
    let mut labels = Vec::new();
    line.labels(&mut labels).unwrap();
    let owned: Vec<bool> = labels
        .iter()
        .map(|(_, v)| matches!(v, Cow::Owned(_)))
        .collect();
    assert_eq!(owned, [false, false, true]);
}

#[test]
fn quoted_names() {
    accepts("{\"a.b\"} 1\n", &["{a.b} 1"]);
    accepts("{\"a.b\",c=\"d\"} 1\n", &["{a.b c=\"d\"} 1"]);
    // The metric name comes first wherever it stands; the labels keep their order.
    accepts(
        "{a=\"b\",c=\"d\",\"x z\"} 1\n",
        &["{x z a=\"b\" c=\"d\"} 1"],
    );
    accepts("{\"a\\\"b\\\\\"} 1\n", &["{a\"b\\} 1"]);
    accepts(
        "a{\"b.c\"=\"d\", e=\"f\"} 1\n",
        &["{a b.c=\"d\" e=\"f\"} 1"],
    );
    accepts("{ \"a.b\" , } 1\n", &["{a.b} 1"]);
    accepts(
        "# HELP \"a b\" text\n# TYPE \"a b\" counter\n",
        &["help a b: text", "type a b: counter"],
    );
}

#[test]
fn timestamps_are_digits() {
    accepts("a 1 1395066363000\n", &["{a} 1 @1395066363000"]);
    accepts("a 1 0\n", &["{a} 1 @0"]);
    for time in ["1.5", "-1", "+1", "1e3", "x", "9223372036854775808"] {
        let page = format!("a 1 {time}\n");
        rejects(
            page.as_bytes(),
            1,
            "expected timestamp or new record while parsing: \"a 1",
        );
    }
}

#[test]
fn numbers() {
    for (text, bits) in [
        ("0", 0.0f64.to_bits()),
        ("-0", (-0.0f64).to_bits()),
        ("+1", 1.0f64.to_bits()),
        ("1e-400", 0.0f64.to_bits()),
        ("4.9406564584124654e-324", 1),
        ("1.7976931348623157e308", f64::MAX.to_bits()),
        ("0.1", 0.1f64.to_bits()),
        ("123456789012345678", 123_456_789_012_345_678f64.to_bits()),
        (".5", 0.5f64.to_bits()),
        ("5.", 5.0f64.to_bits()),
        ("1E+2", 100.0f64.to_bits()),
        ("inf", f64::INFINITY.to_bits()),
        ("+INF", f64::INFINITY.to_bits()),
        ("Infinity", f64::INFINITY.to_bits()),
        ("-inf", f64::NEG_INFINITY.to_bits()),
        ("nan", NORMAL_NAN_BITS),
        ("NaN", NORMAL_NAN_BITS),
    ] {
        let page = format!("a {text}\n");
        match TextParser::new(page.as_bytes()).next() {
            Ok(Some(Entry::Series(line))) => assert_eq!(line.value.to_bits(), bits, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    for (text, message) in [
        ("1e999", "invalid number \"1e999\""),
        ("0x10", "invalid number \"0x10\""),
        ("one", "invalid number \"one\""),
        ("1_000", "unsupported character in float \"1_000\""),
        ("0x1p4", "unsupported character in float \"0x1p4\""),
        ("1\r", "invalid number \"1\\r\""),
        ("1#", "invalid number \"1#\""),
    ] {
        rejects(format!("ok 1\na {text}\n").as_bytes(), 2, message);
    }
}

#[test]
fn comments() {
    accepts(
        "# anything\n#\n#HELP a x\n# HELPER a x\n# TYPES a x\n   # x\n",
        &[],
    );
    accepts("# EOF\na 1\n", &["{a} 1"]);
    accepts("#\tTYPE\ta\tgauge\n", &["type a: gauge"]);
    accepts(
        "# HELP a\n# HELP b \n# HELP c",
        &["help a: ", "help b: ", "help c: "],
    );
    accepts(
        "# HELP a  two \\\\ back\\nslash \\\" \"q\" \\t\n",
        &["help a:  two \\ back\nslash \\\" \"q\" \\t"],
    );
    // After the samples, twice, and for a family without samples.
    accepts(
        "a 1\n# TYPE a gauge\n# TYPE a counter\n# HELP zero none\nb 2",
        &[
            "{a} 1",
            "type a: gauge",
            "type a: counter",
            "help zero: none",
            "{b} 2",
        ],
    );
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
    accepts("# TYPE a untyped\n", &["type a: unknown"]);
    rejects(b"# TYPE a foo\n", 1, "invalid metric type \"foo\"");
    rejects(b"\n# TYPE a\n", 2, "invalid metric type \"\"");
    rejects(
        b"# TYPE a counter \n",
        1,
        "invalid metric type \"counter \"",
    );
    rejects(b"# TYPE a COUNTER\n", 1, "invalid metric type \"COUNTER\"");
    rejects(b"# TYPE 1a counter\n", 1, "expected metric name after TYPE");
    rejects(b"# HELP \n", 1, "expected metric name after HELP");
    rejects(b"# HELP \"a text\n", 1, "expected metric name after HELP");
    rejects(
        b"# HELP a \xff\n",
        1,
        "help text \" \u{fffd}\" is not a valid utf8 string",
    );
}

#[test]
fn what_breaks_a_page() {
    for (page, message) in [
        (&b"a\n"[..], "expected value after metric"),
        (b"a", "expected value after metric"),
        (b"a{b=\"c\"}\n", "expected value after metric"),
        (b"1a 1\n", "expected a valid start token"),
        (b"- 1\n", "expected a valid start token"),
        (b"\xc3\xa9 1\n", "expected a valid start token"),
        (b"a.b 1\n", "expected value after metric"),
        (b"x-1 1\n", "expected value after metric"), // Prometheus reads x, -1, at 1 ms
        (b"a 1 2 3\n", "expected next entry after timestamp"),
        (b"a 1 # {b=\"c\"} 1\n", "expected timestamp or new record"),
        (b"{} 1\n", "metric name not set"),
        (b"{a=\"b\"} 1\n", "metric name not set"),
        (b"{__name__=\"b\"} 1\n", "metric name not set"),
        (b"a{\"b\"} 1\n", "metric name already set"),
        (b"{\"a\",\"b\"} 1\n", "metric name already set"),
        (b"a{,} 1\n", "expected label name"),
        (b"a{,b=\"c\"} 1\n", "expected label name"),
        (b"a{b=\"c\",,} 1\n", "expected label name"),
        (b"a{0b=\"c\"} 1\n", "expected label name"),
        (b"a{b:c=\"c\"} 1\n", "expected equal"),
        (b"a{b} 1\n", "expected equal"),
        (b"a{b=c} 1\n", "expected label value"),
        (b"a{b='c'} 1\n", "expected label value"),
        (b"a{b=\"c} 1\n", "expected label value"),
        (b"a{b=\"c\\\n\"} 1\n", "expected label value"),
        (b"a{b=\"c\"", "expected label name"),
        (b"a{", "expected label name"),
        (b"a{b=\"c\"} 1\r\n", "invalid number"),
        (b"a 1\r\n", "invalid number"),
        (
            b"a{b=\"1\",b=\"2\"} 1\n",
            "label name \"b\" is not unique: invalid sample",
        ),
        (
            b"a{__name__=\"b\"} 1\n",
            "label name \"__name__\" is not unique",
        ),
        (b"a{b=\"\xff\"} 1\n", "invalid UTF-8 label value"),
        (b"{\"\xff\"} 1\n", "invalid UTF-8 metric name"),
        (b"a{\"\xff\"=\"c\"} 1\n", "invalid UTF-8 label name"),
    ] {
        rejects(page, 1, message);
    }
}

#[test]
fn errors_name_the_line_and_show_it() {
    let page = b"# HELP a x\na{b=\"two\nlines\"} 1\n\na{b=\"c\"} nonsense here\nz 1\n";
    rejects(page, 5, "invalid number \"nonsense\"");
    let error = read(b"a 1\nb what ever\n").unwrap_err();
    assert_eq!(error.to_string(), "line 2: invalid number \"what\"");
    let error = read(b"a 1\nb\n").unwrap_err();
    let text = "line 2: expected value after metric while parsing: \"b\"";
    assert_eq!(error.to_string(), text);
    // However long the line.
    let long = [b"a".repeat(1 << 20), b"\n".to_vec()].concat();
    assert!(read(&long).unwrap_err().message.len() < 300);
}

#[test]
fn after_an_error_there_is_nothing() {
    let mut parser = TextParser::new(b"a\nb 1\n");
    assert!(parser.next().is_err());
    assert_eq!(parser.next(), Ok(None));
}

#[test]
fn many_labels_with_one_twice() {
    let labels: Vec<String> = (0..5000).map(|i| format!("l{i}=\"v\",")).collect();
    let page = format!("a{{{}", labels.concat());
    let ok = format!("{page}}} 1\n");
    assert!(read(ok.as_bytes()).is_ok());
    let bad = format!("{page}l77=\"w\"}} 1\n");
    rejects(bad.as_bytes(), 1, "label name \"l77\" is not unique");
}

#[test]
fn bounds_and_quantiles_below_their_type() {
    accepts("h_bucket{le=\"1\"} 1\n", &["{h_bucket le=\"1\"} 1"]);
    accepts(
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"0.10\"} 1\nh_bucket{le=\"1e3\"} 1\n\
         h_bucket{le=\"+Inf\"} 1\nh{quantile=\"1\"} 1\n",
        &[
            "type h: histogram",
            "{h_bucket le=\"1.0\"} 1",
            "{h_bucket le=\"0.1\"} 1",
            "{h_bucket le=\"1000.0\"} 1",
            "{h_bucket le=\"+Inf\"} 1",
            "{h quantile=\"1\"} 1",
        ],
    );
    accepts(
        "# TYPE s summary\ns{quantile=\"1\"} 1\ns{quantile=\"0.990\",le=\"1\"} 1\n",
        &[
            "type s: summary",
            "{s quantile=\"1.0\"} 1",
            "{s quantile=\"0.99\" le=\"1\"} 1",
        ],
    );
    for other in ["gaugehistogram", "gauge", "untyped"] {
        let page = format!("# TYPE h {other}\nh_bucket{{le=\"1\"}} 1\n");
        let all = read(page.as_bytes()).unwrap();
        assert_eq!(all[1], "{h_bucket le=\"1\"} 1");
    }
}

#[test]
fn names_with_escapes_print_as_they_are() {
    assert_eq!(label_text("a\n\"\\"), "a\\n\\\"\\\\");
}
