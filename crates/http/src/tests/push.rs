//! Remote write and import: what is stored, what is answered.

use http::Method;
use serde_json::json;
use tsdb_model::{
    CounterResetHint, Exemplar, Histogram, HistogramValue, Labels, Metadata, MetricType, Span,
};
use tsdb_wire::remote::encode::{Message, OutgoingSeries, write_v1, write_v2};
use tsdb_wire::remote::{SampleEntry, compress};

use crate::ApiOptions;
use crate::test_server::{Answer, T0, TestServer};

const NOW: i64 = T0 + 20_000;
const V2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied())
}

fn sample(timestamp_ms: i64, value: f64) -> SampleEntry {
    SampleEntry {
        timestamp_ms,
        start_timestamp_ms: 0,
        value,
    }
}

fn series<'a>(labels: &'a Labels, samples: &'a [SampleEntry]) -> OutgoingSeries<'a> {
    OutgoingSeries {
        labels,
        samples,
        histograms: &[],
        exemplars: &[],
        metadata: None,
    }
}

async fn push_bytes(server: &TestServer, content_type: &str, message: &[u8]) -> Answer {
    let headers = [("content-type", content_type)];
    let body = compress(message).into();
    server
        .send_bytes(Method::POST, "/api/v1/write", &headers, body)
        .await
}

async fn push_v1(server: &TestServer, list: &[OutgoingSeries<'_>]) -> Answer {
    push_bytes(server, "application/x-protobuf", &write_v1(list, &[])).await
}

async fn push_v2(server: &TestServer, list: &[OutgoingSeries<'_>]) -> Answer {
    push_bytes(server, V2, &write_v2(list)).await
}

fn written(answer: &Answer) -> [&str; 3] {
    [
        "x-prometheus-remote-write-samples-written",
        "x-prometheus-remote-write-histograms-written",
        "x-prometheus-remote-write-exemplars-written",
    ]
    .map(|name| answer.header(name))
}

async fn values(server: &TestServer, query: &str) -> serde_json::Value {
    let query = query.replace('"', "%22").replace('{', "%7B");
    let query = query.replace('}', "%7D").replace('=', "%3D");
    let path = format!(
        "/api/v1/query?query={query}&time={}",
        (NOW + 1_000_000) / 1000
    );
    let data = server.get(&path).await.data();
    data["result"][0]["values"].clone()
}

fn histogram() -> Histogram {
    Histogram {
        reset_hint: CounterResetHint::Unknown,
        schema: 0,
        count: 3,
        sum: 5.5,
        positive_spans: vec![Span {
            offset: 0,
            length: 2,
        }],
        positive_deltas: vec![1, 1],
        ..Histogram::default()
    }
}

#[tokio::test]
async fn both_versions_store_everything() {
    let server = TestServer::new();
    let (a, h) = (
        labels(&[("__name__", "pushed_total"), ("job", "rw")]),
        labels(&[("__name__", "pushed_seconds"), ("job", "rw")]),
    );
    let metadata = Metadata {
        metric_type: MetricType::Counter,
        unit: String::new(),
        help: "Pushed.".into(),
    };
    for (i, version) in [1_i64, 2].into_iter().enumerate() {
        let t = NOW + 1000 * i as i64;
        let samples = [SampleEntry {
            start_timestamp_ms: T0,
            ..sample(t, 7.5)
        }];
        let histograms = [(t, 0, HistogramValue::Int(histogram().into()))];
        let exemplars = [Exemplar {
            labels: labels(&[("trace_id", "x")]),
            value: 1.0,
            timestamp_ms: t,
        }];
        let list = [
            OutgoingSeries {
                exemplars: &exemplars,
                metadata: Some(&metadata),
                ..series(&a, &samples)
            },
            OutgoingSeries {
                histograms: &histograms,
                ..series(&h, &[])
            },
        ];
        let answer = if version == 1 {
            let message = write_v1(&list, &[("pushed_total".into(), metadata.clone())]);
            push_bytes(&server, "application/x-protobuf", &message).await
        } else {
            push_v2(&server, &list).await
        };
        assert_eq!((answer.status, answer.text()), (204, ""));
        let expected = if version == 1 { [""; 3] } else { ["1"; 3] };
        assert_eq!(written(&answer), expected);
        // The same again is no error: it is stored.
        let again = if version == 1 {
            push_v1(&server, &list).await
        } else {
            push_v2(&server, &list).await
        };
        assert_eq!(again.status, 204, "{}", again.text());
    }
    let expected = json!([[(NOW / 1000), "7.5"], [(NOW + 1000) / 1000, "7.5"]]);
    assert_eq!(values(&server, "pushed_total[1h]").await, expected);
    let path = format!("/api/v1/query?query=pushed_seconds&time={}", NOW / 1000);
    let data = server.get(&path).await.data();
    assert_eq!(data["result"][0]["histogram"][1]["count"], "3");
    let data = server
        .get("/api/v1/metadata?metric=pushed_total")
        .await
        .data();
    assert_eq!(data["pushed_total"][0]["help"], "Pushed.");
    let path = "/api/v1/query_exemplars?query=pushed_total";
    let data = server.get(path).await.data();
    assert_eq!(data[0]["exemplars"].as_array().unwrap().len(), 2);
    let page = server.get("/metrics").await;
    for line in [
        "tsdb_remote_write_stored_total{type=\"float\"} 4",
        "tsdb_remote_write_stored_total{type=\"histogram\"} 4",
        "tsdb_remote_write_series_cache_entries 4",
        "prometheus_api_remote_write_without_metadata_appended_samples_total 6",
    ] {
        assert!(
            page.text().contains(&format!("\n{line}\n")),
            "{line}\n{}",
            page.text()
        );
    }
}

#[tokio::test]
async fn one_bad_series_does_not_cost_the_good_ones() {
    let server = TestServer::new();
    let good = labels(&[("__name__", "good"), ("job", "rw")]);
    let up = labels(&[("__name__", "up"), ("instance", "h:1"), ("job", "a")]);
    let nameless = labels(&[("job", "rw")]);
    let two = [sample(NOW, 1.0), sample(NOW + 1, 2.0)];
    let other_value = [sample(T0 + 15_000, 99.0)];
    let far = [sample(NOW + 600_001, 1.0)];
    let just_near = [sample(NOW + 600_000, 3.0)];
    let twice = [sample(NOW + 5, 1.0), sample(NOW + 5, 2.0)];
    let again = labels(&[("__name__", "twice")]);
    let mut contradicting = histogram();
    contradicting.count = 9;
    let bad = [(NOW, 0, HistogramValue::Int(contradicting.into()))];
    let list = [
        series(&nameless, &two),
        series(&good, &two),
        series(&up, &other_value),
        series(&good, &far),
        series(&good, &just_near),
        OutgoingSeries {
            histograms: &bad,
            ..series(&good, &[])
        },
        series(&again, &twice),
    ];
    let answer = push_v2(&server, &list).await;
    assert_eq!(answer.status, 400);
    assert_eq!(written(&answer), ["4", "0", "0"]);
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    let lines: Vec<&str> = answer.text().lines().collect();
    assert_eq!(
        lines,
        [
            r#"invalid metric name or labels, got {job="rw"}"#,
            r#"invalid metric name or labels, got {job="rw"}"#,
            "duplicate sample for timestamp 1700000015000; overrides not allowed: existing 1, new value 99 for series {__name__=\"up\", instance=\"h:1\", job=\"a\"}",
            r#"out of bounds: timestamp is too far in the future for series {__name__="good", job="rw"}"#,
            "3 observations found in buckets, but the Count field is 9: histogram's observation count should equal the number of observations found in the buckets (in absence of NaN) for series {__name__=\"good\", job=\"rw\"}",
            "duplicate sample for timestamp 1700000020005; overrides not allowed: existing 1, new value 2 for series {__name__=\"twice\"}",
        ]
    );
    let got = values(&server, "good[1h]").await;
    assert_eq!(got.as_array().unwrap().len(), 3);
    let page = server.get("/metrics").await;
    for line in [
        "prometheus_api_remote_write_invalid_labels_samples_total 2",
        "tsdb_remote_write_refused_samples_total{reason=\"duplicate\"} 2",
        "tsdb_remote_write_refused_samples_total{reason=\"out_of_bounds\"} 1",
        "tsdb_remote_write_refused_samples_total{reason=\"invalid_histogram\"} 1",
    ] {
        assert!(page.text().contains(&format!("\n{line}\n")), "{line}");
    }
    // 1.0 names them as well, and stores the rest.
    let later = [sample(NOW + 10, 3.0)];
    let answer = push_v1(&server, &[series(&nameless, &later), series(&good, &later)]).await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.text(),
        "invalid metric name or labels, got {job=\"rw\"}\n"
    );
    assert_eq!(written(&answer), [""; 3]);
    let got = values(&server, "good[1h]").await;
    assert_eq!(got.as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn bad_requests_are_refused_whole() {
    let server = TestServer::new();
    let send = |content_type: &'static str, body: Vec<u8>| {
        let server = &server;
        async move {
            let headers = [("content-type", content_type)];
            let path = "/api/v1/write";
            server
                .send_bytes(Method::POST, path, &headers, body.into())
                .await
        }
    };
    let answer = send("application/json", b"{}".to_vec()).await;
    assert_eq!(answer.status, 415);
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    let answer = send("", b"\xff\xff".to_vec()).await;
    assert_eq!(
        (answer.status, answer.text()),
        (400, "snappy: corrupt input\n")
    );
    let answer = send(V2, compress(b"\x2a\x05")).await;
    assert_eq!((answer.status, answer.text()), (400, "unexpected EOF\n"));
    assert_eq!(written(&answer), ["0"; 3]);
    let mut series = Message::new();
    series.numbers(1, [1]);
    let mut request = Message::new();
    request.bytes(4, b"").bytes(4, b"a").message(5, &series);
    let answer = send(V2, compress(request.as_bytes())).await;
    assert_eq!(
        (answer.status, answer.text()),
        (400, "invalid labelRefs length 1: must be even\n")
    );
    // An empty request stores nothing, which works.
    let answer = send(V2, compress(b"")).await;
    assert_eq!((answer.status, written(&answer)), (204, ["0"; 3]));
    let answer = server.get("/api/v1/write").await;
    assert_eq!(
        (answer.status, answer.header("allow")),
        (405, "OPTIONS, POST")
    );
    let starting = TestServer::starting(ApiOptions::default());
    let answer = push_v1(&starting, &[]).await;
    assert_eq!((answer.status, answer.text()), (503, "Service Unavailable"));
}

#[tokio::test]
async fn a_store_that_cannot_write_asks_to_come_again() {
    let server = TestServer::new();
    server.db.as_ref().unwrap().close().unwrap();
    let good = labels(&[("__name__", "good")]);
    let samples = [sample(NOW, 1.0)];
    let answer = push_v2(&server, &[series(&good, &samples)]).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "5"));
    assert_eq!(written(&answer), ["0"; 3]);
    assert_eq!(answer.text(), "the store is closed\n");
}

#[tokio::test]
async fn senders_hold_back_when_there_is_no_memory_for_new_series() {
    let server = TestServer::new();
    let db = server.db.clone().unwrap();
    let (old, new) = (
        labels(&[("__name__", "old")]),
        labels(&[("__name__", "new")]),
    );
    let sample = |t: i64| [sample(t, 1.0)];
    assert_eq!(
        push_v1(&server, &[series(&old, &sample(T0))]).await.status,
        204
    );
    db.budget().set_limit(1000);
    db.budget().measured(900);
    let both = sample(T0 + 1000);
    let list = [series(&new, &both), series(&old, &both)];
    let answer = push_v1(&server, &list).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, "5"));
    assert_eq!(
        answer.text(),
        "memory limit of 1000 bytes nearly reached: no new series for series \
         {__name__=\"new\"}\n"
    );
    let stored = json!([[T0 / 1000, "1"], [T0 / 1000 + 1, "1"]]);
    assert_eq!(values(&server, "old[1d]").await, stored);

    db.budget().measured(980);
    let answer = push_v1(&server, &[series(&old, &sample(T0 + 2000))]).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "5"));
    assert_eq!(values(&server, "old[1d]").await, stored);

    db.budget().measured(100);
    assert_eq!(push_v1(&server, &list).await.status, 204);
    let page = server.get("/metrics").await;
    for line in [
        "tsdb_memory_limit_bytes 1000",
        "tsdb_memory_refused_total{what=\"series\"} 1",
        "tsdb_memory_refused_total{what=\"write\"} 1",
        "tsdb_memory_held_bytes{owner=\"writes\"} 0",
    ] {
        assert!(page.text().lines().any(|l| l == line), "{line}");
    }
}

#[tokio::test]
async fn many_samples_go_in_order_around_stale_handles() {
    let server = TestServer::new();
    let names: Vec<_> = (0..300)
        .map(|i| labels(&[("__name__", "many"), ("i", &i.to_string())]))
        .collect();
    for round in 0..3 {
        let samples = [
            sample(T0 + round * 1000, 1.0),
            sample(T0 + round * 1000 + 1, 2.0),
            // The same time again with another value is refused.
            sample(T0 + round * 1000 + 1, 3.0),
        ];
        let list: Vec<_> = names.iter().map(|l| series(l, &samples)).collect();
        let answer = push_v1(&server, &list).await;
        assert_eq!(answer.status, 400);
        let lines: Vec<&str> = answer.text().lines().collect();
        assert_eq!(lines.len(), 21);
        assert!(
            lines[0].starts_with("duplicate sample for timestamp"),
            "{}",
            lines[0]
        );
        assert!(
            lines[0].contains("for series {__name__=\"many\", i="),
            "{}",
            lines[0]
        );
        assert_eq!(lines[20], "280 more refused");
    }
    let got = values(&server, "many{i=\"299\"}[1d]").await;
    assert_eq!(got.as_array().unwrap().len(), 6);
    let page = server.get("/metrics").await;
    for line in [
        "tsdb_remote_write_stored_total{type=\"float\"} 1800",
        "tsdb_remote_write_refused_samples_total{reason=\"duplicate\"} 900",
        "tsdb_remote_write_series_lookups_total{result=\"known\"} 600",
        "prometheus_api_remote_write_without_metadata_appended_samples_total 1800",
    ] {
        assert!(page.text().lines().any(|l| l == line), "{line}");
    }
}

#[tokio::test]
async fn imports_may_be_compressed_and_long() {
    use std::io::Write as _;
    let server = TestServer::new();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for i in 0..250_000 {
        let t = T0 - 86_400_000 + i % 5000 * 10;
        let line = format!(
            "{{\"metric\":{{\"__name__\":\"long\",\"i\":\"{}\"}},\"values\":[{i}],\"timestamps\":[{t}]}}\n",
            i / 5000
        );
        gzip.write_all(line.as_bytes()).unwrap();
    }
    let body = gzip.finish().unwrap();
    let headers = [("content-encoding", "gzip")];
    let send = |body: &[u8]| {
        let body = body.to_vec().into();
        server.send_bytes(Method::POST, "/api/v1/import", &headers, body)
    };
    let answer = send(&body).await;
    assert_eq!((answer.status, answer.text()), (204, ""));
    let got = server
        .get("/api/v1/query?query=sum(count_over_time(long%5B2d%5D))")
        .await
        .data();
    assert_eq!(got["result"][0]["value"][1], "250000");
    // What came before the end of a broken body is stored.
    let answer = send(&body[..body.len() / 2]).await;
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().starts_with("reading the body: line ")
            && answer.text().ends_with("the lines before it are stored\n"),
        "{}",
        answer.text()
    );
    let headers = [("content-encoding", "br")];
    let answer = server
        .send_bytes(Method::POST, "/api/v1/import", &headers, "x".into())
        .await;
    assert_eq!(answer.status, 415);
}

#[tokio::test]
async fn import_takes_json_lines_and_text() {
    let server = TestServer::new();
    let json = [("content-type", "application/json")];
    let body = "{\"metric\":{\"__name__\":\"imp\",\"a\":\"b\"},\"values\":[1,null,\"Infinity\"],\
        \"timestamps\":[1600000000000,1600000001000,1600000002000]}\n\n\
        {\"metric\":{\"a\":\"b\"},\"values\":[1],\"timestamps\":[1]}\n\
        {\"metric\":{\"__name__\":\"imp\"},\"values\":[1,2],\"timestamps\":[1]}\n\
        nonsense\n\
        {\"metric\":{\"__name__\":\"imp2\"},\"values\":[0.1],\"timestamps\":[1600000000000]}";
    let server_no_retention = &server;
    let answer = server_no_retention
        .send(Method::POST, "/api/v1/import", &json, body)
        .await;
    assert_eq!(answer.status, 400);
    let lines: Vec<&str> = answer.text().lines().collect();
    // The samples of 2020 are beyond the retention of this store.
    assert_eq!(lines.len(), 7, "{lines:?}");
    assert_eq!(
        lines[0],
        r#"too old sample for series {__name__="imp", a="b"}"#
    );
    assert_eq!(lines[3], r#"invalid metric name or labels, got {a="b"}"#);
    assert_eq!(lines[4], "line 4: 2 values with 1 timestamps");
    assert!(lines[5].starts_with("line 5: expected"), "{lines:?}");

    let recent = body.replace("1600000", "1699999");
    let recent: Vec<&str> = recent.lines().filter(|l| l.contains("1699999")).collect();
    let answer = server
        .send(Method::POST, "/api/v1/import", &json, &recent.join("\n"))
        .await;
    assert_eq!((answer.status, answer.text()), (204, ""));
    let got = values(&server, "imp[1d]").await;
    assert_eq!(
        got,
        json!([[1699999000, "1"], [1699999001, "NaN"], [1699999002, "+Inf"]])
    );

    let text = [("content-type", "text/plain; version=0.0.4")];
    let page = "# TYPE t gauge\n# HELP t A t.\nt{x=\"1\"} 4 1699999000000\nt{x=\"2\"} 5\n";
    let answer = server
        .send(
            Method::POST,
            "/api/v1/import?timestamp=1699999000500",
            &text,
            page,
        )
        .await;
    assert_eq!((answer.status, answer.text()), (204, ""));
    let got = values(&server, "t{x=\"1\"}[1d]").await;
    assert_eq!(got, json!([[1699999000, "4"]]));
    let got = values(&server, "t{x=\"2\"}[1d]").await;
    assert_eq!(got, json!([[1699999000.5, "5"]]));
    let data = server.get("/api/v1/metadata?metric=t").await.data();
    assert_eq!(data["t"][0]["help"], "A t.");

    let open = [(
        "content-type",
        "application/openmetrics-text; version=1.0.0",
    )];
    let page = "# TYPE o counter\no_total 1 1699999000 # {trace_id=\"q\"} 0.5 1699999000\n# EOF\n";
    let answer = server
        .send(Method::POST, "/api/v1/import", &open, page)
        .await;
    assert_eq!((answer.status, answer.text()), (204, ""));
    let got = values(&server, "o_total[1d]").await;
    assert_eq!(got, json!([[1699999000, "1"]]));
    // A page that breaks off is refused whole.
    let answer = server
        .send(Method::POST, "/api/v1/import", &open, "cut 1 1699999000\n")
        .await;
    assert_eq!(
        (answer.status, answer.text()),
        (400, "line 2: data does not end with # EOF\n")
    );
    assert_eq!(values(&server, "cut[1d]").await, json!(null));
}
