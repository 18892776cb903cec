use super::*;
use proptest::prelude::*;
use std::sync::Arc;
use tsdb_model::Span;
use tsdb_model::histogram::CUSTOM_BUCKETS_SCHEMA;
use tsdb_promql::Annotations;

fn output(value: Value) -> QueryOutput {
    QueryOutput {
        value,
        annotations: Annotations::default(),
        stats: QueryStats::default(),
        memory: Arc::default(),
    }
}

#[test]
fn times_have_three_decimals_or_none() {
    for (ms, text) in [
        (0, "0"),
        (1500, "1.500"),
        (1_795_391_575_150, "1795391575.150"),
        (1_795_391_579_000, "1795391579"),
        (-1, "-0.001"),
        (i64::MIN, "-9223372036854775.808"),
    ] {
        let mut out = String::new();
        write_time(&mut out, ms);
        assert_eq!(out, text);
    }
}

#[test]
fn scalars_and_strings() {
    for (v, text) in [
        (1e21, "1000000000000000000000"),
        (1e-7, "0.0000001"),
        (-0.0, "-0"),
        (f64::NAN, "NaN"),
        (f64::NEG_INFINITY, "-Inf"),
    ] {
        let expected = format!("{{\"resultType\":\"scalar\",\"result\":[1.5,\"{text}\"]}}");
        assert_eq!(data_json(&output(Value::Scalar(1500, v))), expected);
    }
    assert_eq!(
        data_json(&output(Value::String(
            1_795_391_624_410,
            "a<\"\u{2028}\u{7}\n".into()
        ))),
        r#"{"resultType":"string","result":[1795391624.41,"a\u003c\"\u2028\u0007\n"]}"#
    );
}

#[test]
fn vectors_and_matrices() {
    let labels = Labels::from_pairs([("__name__", "up"), ("a", "<&>")]);
    let sample = |v| InstantSample {
        labels: labels.clone(),
        timestamp_ms: 1500,
        value: v,
    };
    let value = Value::Vector(vec![sample(SampleValue::Float(1e21))]);
    assert_eq!(
        data_json(&output(value)),
        r#"{"resultType":"vector","result":[{"metric":{"__name__":"up","a":"<&>"},"value":[1.500,"1e+21"]}]}"#
    );
    let histogram = Arc::new(FloatHistogram {
        count: 1.0,
        sum: 2.5,
        ..Default::default()
    });
    let series = RangeSeries {
        labels: Labels::empty(),
        floats: vec![(0, 1.0), (1000, f64::NAN)],
        histograms: vec![(2000, histogram)],
    };
    assert_eq!(
        data_json(&output(Value::Matrix(vec![series]))),
        r#"{"resultType":"matrix","result":[{"metric":{},"values":[[0,"1"],[1,"NaN"]],"histograms":[[2,{"count":"1","sum":"2.5"}]]}]}"#
    );
    assert_eq!(
        data_json(&output(Value::Matrix(Vec::new()))),
        r#"{"resultType":"matrix","result":[]}"#
    );
}

#[test]
fn native_histograms() {
    // As a real Prometheus 3.5 showed it.
    let h = FloatHistogram {
        schema: 1,
        zero_threshold: 0.001,
        zero_count: 2.0,
        count: 7.0,
        sum: 18.4,
        positive_spans: vec![Span {
            offset: 1,
            length: 2,
        }],
        positive_buckets: vec![2.0, 0.0],
        negative_spans: vec![Span {
            offset: 0,
            length: 1,
        }],
        negative_buckets: vec![1.0],
        ..Default::default()
    };
    let mut out = String::new();
    write_histogram(&mut out, &h);
    assert_eq!(
        out,
        r#"{"count":"7","sum":"18.4","buckets":[[1,"-1","-0.7071067811865475","1"],[3,"-0.001","0.001","2"],[0,"1","1.414213562373095","2"]]}"#
    );
    let custom = FloatHistogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count: 6.0,
        sum: 3.0,
        positive_spans: vec![Span {
            offset: 0,
            length: 3,
        }],
        positive_buckets: vec![1.0, 2.0, 3.0],
        custom_values: vec![1.0, 2.5],
        ..Default::default()
    };
    let mut out = String::new();
    write_histogram(&mut out, &custom);
    assert_eq!(
        out,
        r#"{"count":"6","sum":"3","buckets":[[3,"-Inf","1","1"],[0,"1","2.5","2"],[0,"2.5","+Inf","3"]]}"#
    );
}

#[test]
fn statistics_are_plain_decimals() {
    let stats = ShownStats {
        engine: QueryStats {
            eval_total_seconds: 0.000_014_243,
            peak_samples: 3,
            peak_bytes: 48,
            series: 2,
            cpu_seconds: 0.5,
            ..Default::default()
        },
        queue_seconds: 1e-9,
        all: false,
    };
    let mut out = String::new();
    write_query_data(&mut out, &Value::Vector(Vec::new()), Some(&stats)).unwrap();
    assert_eq!(
        out,
        r#"{"resultType":"vector","result":[],"stats":{"timings":{"evalTotalTime":0.000014243,"resultSortTime":0,"queryPreparationTime":0,"innerEvalTime":0,"execQueueTime":0.000000001,"execTotalTime":0.000014244},"samples":{"totalQueryableSamples":0,"peakSamples":3}}}"#
    );
    let all = ShownStats { all: true, ..stats };
    let mut out = String::new();
    all.write(&mut out);
    let end = r#""peakSamples":3},"memory":{"peakBytes":48},"series":{"selected":2},"cpu":{"seconds":0.5}}"#;
    assert!(out.ends_with(end), "{out}");
}

#[test]
fn dates() {
    for (ms, text) in [
        (0, "1970-01-01T00:00:00Z"),
        (1_709_251_199_120, "2024-02-29T23:59:59.12Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (-62_135_596_800_000, "0001-01-01T00:00:00Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
    ] {
        assert_eq!(rfc3339_ms(ms), text);
    }
    let _ = (rfc3339_ms(i64::MIN), rfc3339_ms(i64::MAX));
}

/// Counts what is handed on.
#[derive(Default)]
struct Counting {
    text: String,
    longest: usize,
}

impl Sink for Counting {
    fn text(&mut self) -> &mut String {
        &mut self.text
    }

    fn checkpoint(&mut self) -> io::Result<()> {
        self.longest = self.longest.max(self.text.len());
        self.text.clear();
        Ok(())
    }
}

#[test]
fn long_series_are_handed_on_in_pieces() {
    let series = RangeSeries {
        floats: (0..100_000).map(|t| (t, 1.0)).collect(),
        ..Default::default()
    };
    let mut sink = Counting::default();
    write_query_data(&mut sink, &Value::Matrix(vec![series]), None).unwrap();
    assert!(
        sink.longest > 1000 && sink.longest < 100_000,
        "{}",
        sink.longest
    );
}

proptest! {
    #[test]
    fn strings_read_back(text in "\\PC{0,20}|[<>&\"\\\\\u{2028}\u{0}-\u{1f}]{0,20}") {
        let mut out = String::new();
        write_string(&mut out, &text);
        prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text.as_str());
        prop_assert!(!out.contains(['<', '>', '&']));
        let by_serde = to_json(&text).unwrap();
        prop_assert_eq!(serde_json::from_str::<String>(&by_serde).unwrap(), text);
        prop_assert!(!by_serde.contains(['<', '>', '&']));
    }
}
