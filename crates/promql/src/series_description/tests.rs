use super::*;
use tsdb_model::{CounterResetHint, Span, is_stale};

fn values(text: &str) -> Vec<SequenceValue> {
    let parsed = parse_series_description(text);
    parsed.unwrap_or_else(|e| panic!("{text}: {e}")).1
}

fn error(text: &str) -> String {
    match parse_series_description(text) {
        Ok((_, values)) => panic!("{text} is accepted: {values:?}"),
        Err(e) => e.to_string(),
    }
}

/// Floats as text, `_` for what is left out.
fn floats(text: &str) -> String {
    let one = |v: &SequenceValue| match v {
        v if v.omitted => "_".to_string(),
        v if is_stale(v.value) => "stale".into(),
        v => v.value.to_string(),
    };
    let all: Vec<_> = values(text).iter().map(one).collect();
    all.join(" ")
}

#[test]
fn labels() {
    for (text, wanted) in [
        ("up 1", r#"{__name__="up"}"#),
        ("up", r#"{__name__="up"}"#),
        ("", "{}"),
        ("{} 1", "{}"),
        (
            r#"  up{a="b", c='d'}  1 "#,
            r#"{__name__="up", a="b", c="d"}"#,
        ),
        (r#"{"a.b", "c.d"=`e`} 1"#, r#"{__name__="a.b", "c.d"="e"}"#),
        ("sum 1", r#"{__name__="sum"}"#),
        ("a:b{} 1", r#"{__name__="a:b"}"#),
        (
            r#"up{a="\u70ac = torch"} 1"#,
            r#"{__name__="up", a="炬 = torch"}"#,
        ),
    ] {
        let (labels, _) = parse_series_description(text).unwrap();
        assert_eq!(labels.to_string(), wanted, "{text}");
    }
}

#[test]
fn sequences() {
    for (text, wanted) in [
        ("{} 1 2 3", "1 2 3"),
        ("{}\t-1  +2 \t.5 ", "-1 2 0.5"),
        (
            "x 1e3 1_000 1e-1 -Inf inf NaN",
            "1000 1000 0.1 -inf inf NaN",
        ),
        ("x _ 1 _x4", "_ 1 _ _ _ _"),
        ("x 7x3", "7 7 7 7"),
        ("x 1x0", "1"),
        ("x 0+10x3", "0 10 20 30"),
        ("x 5-2x2", "5 3 1"),
        ("x -2-3x1 1e2+0.5x2", "-2 -5 100 100.5 101"),
        ("x 1 stale 2", "1 stale 2"),
        ("x 0x5", "0 0 0 0 0 0"),
        ("x 8+0x10", "8 8 8 8 8 8 8 8 8 8 8"),
        ("x", ""),
    ] {
        assert_eq!(floats(text), wanted, "{text}");
    }
}

#[test]
fn bad_sequences() {
    for (text, wanted) in [
        (
            "{} 1+1",
            "1:7: parse error: unexpected end of input in series values",
        ),
        (
            "{} 1 _a4",
            "1:7: parse error: unexpected \"a\" in series values",
        ),
        (
            "{} -3-3 -3",
            "1:8: parse error: unexpected \" \" in series values",
        ),
        (
            "{} 3+3x4-4",
            "1:9: parse error: unexpected <op:-> in series values",
        ),
        (
            "{} NaNx3",
            "1:4: parse error: unexpected identifier \"NaNx3\" in series values, expected number or \"stale\"",
        ),
        (
            "{} 1xa",
            "1:6: parse error: unexpected \"a\" in series values",
        ),
        (
            "{} 1x1e3",
            "1:6: parse error: invalid repetition in series values: strconv.ParseUint: parsing \"1e3\": invalid syntax",
        ),
        ("{} 1..2", "1:4: parse error: bad number syntax: \"1..\""),
        (
            "{} (",
            "1:4: parse error: unexpected character in series sequence: '('",
        ),
        (
            "1 2",
            "1:1: parse error: unexpected number \"1\" in series values",
        ),
        (
            "{\"a\"xx} 1",
            "1:5: parse error: unexpected identifier \"xx\" in label set, expected \",\" or \"}\"",
        ),
        (
            "{\"a\"=, x=\"y\"} 1",
            "1:6: parse error: unexpected \",\" in label set, expected string",
        ),
        ("{\"a} 1", "1:2: parse error: unterminated quoted string"),
        (
            "x 1x99999999999",
            "1:16: parse error: series description has more than 2000000 values",
        ),
        (
            "x 1x99999999999999999999",
            "1:5: parse error: invalid repetition in series values: strconv.ParseUint: parsing \"99999999999999999999\": value out of range",
        ),
        (
            "x _x3000000",
            "1:12: parse error: series description has more than 2000000 values",
        ),
    ] {
        assert_eq!(error(text), wanted, "{text}");
    }
    let wide = format!("x {{{{buckets:[{}]}}}}x1000", "1 ".repeat(50_000));
    assert!(error(&wide).contains("more than 2000000 values"));
}

#[test]
fn histograms() {
    let text = "{} {{schema:1  sum:-0.3 count:3.1 z_bucket:7.1 z_bucket_w:0.05 \
                buckets:[5.1 10  7 ] offset:-3 n_buckets:[4.1 -5] n_offset:5 counter_reset_hint:gauge }}";
    let value = &values(text)[0];
    assert!(value.counter_reset_hint_set && !value.omitted);
    let h = value.histogram.as_ref().unwrap();
    let wanted = FloatHistogram {
        reset_hint: CounterResetHint::Gauge,
        schema: 1,
        zero_threshold: 0.05,
        zero_count: 7.1,
        count: 3.1,
        sum: -0.3,
        positive_spans: vec![Span {
            offset: -3,
            length: 3,
        }],
        negative_spans: vec![Span {
            offset: 5,
            length: 2,
        }],
        positive_buckets: vec![5.1, 10.0, 7.0],
        negative_buckets: vec![4.1, -5.0],
        custom_values: Vec::new(),
    };
    assert_eq!(*h, wanted);
    for text in ["{} {{}}", "{} {{ }}"] {
        assert_eq!(values(text)[0].histogram, Some(FloatHistogram::default()));
    }
    let custom =
        &values("x {{schema:-53 count:Inf sum:NaN custom_values:[-1 5.5] buckets:[1 Inf]}}")[0];
    let h = custom.histogram.as_ref().unwrap();
    assert_eq!(
        (h.schema, h.custom_values.as_slice()),
        (-53, &[-1.0, 5.5][..])
    );
    assert!(h.count.is_infinite() && h.sum.is_nan() && h.positive_buckets[1].is_infinite());
    assert!(!custom.counter_reset_hint_set);
}

#[test]
fn sequences_of_histograms() {
    let counts = |text: &str| -> Vec<(f64, bool)> {
        let one = |v: &SequenceValue| {
            (
                v.histogram.as_ref().unwrap().count,
                v.counter_reset_hint_set,
            )
        };
        values(text).iter().map(one).collect()
    };
    assert_eq!(counts("x {{count:1}}x2"), [(1.0, false); 3]);
    assert_eq!(
        counts("x {{count:1}}+{{count:2 counter_reset_hint:gauge}}x2 {{count:9}}"),
        [(1.0, true), (3.0, true), (5.0, true), (9.0, false)]
    );
    assert_eq!(
        counts("x {{count:5}}-{{count:2}}x1"),
        [(5.0, false), (3.0, false)]
    );
    let mixed = values("x {{count:1}} 5 _ stale");
    assert!(mixed[0].histogram.is_some());
    assert_eq!((mixed[1].value, mixed[2].omitted), (5.0, true));
}

#[test]
fn bad_histograms() {
    for (text, wanted) in [
        ("x {{foo:1}}", "bad histogram descriptor found: \"foo\""),
        ("x {{schema :1}}", "missing `:` for histogram descriptor"),
        (
            "x {{schema: 1}}",
            "unexpected \" \" in histogram description",
        ),
        ("x {{ schema:1}}", "expected histogram description key"),
        (
            "x {{buckets:[ 1]}}",
            "unexpected \" \" in histogram description",
        ),
        ("x {{buckets:[]}}", "unexpected"),
        (
            "x {{schema:1 schema:1}}",
            "duplicate key \"schema\" in histogram",
        ),
        (
            "x {{counter_reset_hint:foo}}",
            "bad histogram descriptor found: \"foo\"",
        ),
        ("x {{schema:99999999999}}", "too large"),
        ("x {{count:1", "expected histogram description key"),
        ("x {{count:+}}", "unexpected"),
        (
            "x {{schema:1}}+{{schema:0}}x1",
            "cannot merge from schema 0 to 1",
        ),
        (
            "x {{schema:1}}+{{schema:0}}",
            "unexpected end of input in series values",
        ),
        (
            "x {{schema:1}}+5x1",
            "unexpected number \"5\" in series values",
        ),
    ] {
        let e = error(text);
        assert!(e.contains(wanted), "{text}: {e}");
    }
}
