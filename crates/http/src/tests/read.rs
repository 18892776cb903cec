//! Remote read, federation, export.

use http::Method;
use tsdb_codec::XorIter;
use tsdb_config::Config;
use tsdb_model::{Label, Labels, MatchOp};
use tsdb_wire::remote::encode::{OutgoingMatcher, read_request};
use tsdb_wire::remote::{
    KeyHasher, ResponseType, WriteRequest, WriteVersion, compress, decompress,
};

use crate::test_server::{Answer, T0, TestServer};

async fn ask(
    server: &TestServer,
    matchers: Vec<OutgoingMatcher<'_>>,
    accepted: &[ResponseType],
) -> Answer {
    let message = read_request(&[(T0, T0 + 100_000, matchers)], accepted);
    let body = compress(&message).into();
    server
        .send_bytes(Method::POST, "/api/v1/read", &[], body)
        .await
}

/// Fields of a message: number and bytes, or number and value.
fn fields(mut message: &[u8]) -> Vec<(u64, u64, Vec<u8>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut v = 0;
        for shift in (0..).step_by(7) {
            let (first, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            v |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                break;
            }
        }
        v
    }
    let mut out = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        let n = varint(&mut message);
        let mut bytes = Vec::new();
        if tag & 7 == 2 {
            let (inner, rest) = message.split_at(n as usize);
            bytes = inner.to_vec();
            message = rest;
        }
        out.push((tag >> 3, n, bytes));
    }
    out
}

fn series_labels(fields_of_series: &[(u64, u64, Vec<u8>)]) -> String {
    let labels = fields_of_series.iter().filter(|f| f.0 == 1).map(|f| {
        let pair = fields(&f.2);
        let text = |i: usize| String::from_utf8(pair[i].2.clone()).unwrap();
        (text(0), text(1))
    });
    let labels: Vec<(String, String)> = labels.collect();
    // In the order they came in, which must be sorted.
    Labels::from_sorted(labels.iter().map(|(name, value)| Label { name, value })).to_string()
}

fn with_external_labels(server: &TestServer) {
    let yaml = "global:\n  external_labels:\n    cluster: c1\n    job: outer\n";
    let config = Config::parse(yaml, "test.yml").unwrap();
    server.state.config_applied(config.into());
}

#[tokio::test]
async fn samples_in_one_message() {
    let server = TestServer::new();
    with_external_labels(&server);
    let matchers = vec![
        (MatchOp::Equal, "__name__", "up"),
        (MatchOp::Equal, "cluster", "c1"),
    ];
    let answer = ask(&server, matchers, &[]).await;
    assert_eq!(answer.status, 200, "{:?}", answer.bytes);
    assert_eq!(answer.header("content-type"), "application/x-protobuf");
    assert_eq!(answer.header("content-encoding"), "snappy");
    let mut plain = Vec::new();
    decompress(&answer.bytes, 1 << 20, &mut plain).unwrap();
    let results = fields(&plain);
    assert_eq!(results.len(), 1);
    // A query result is made like a write request.
    let mut request = WriteRequest::new();
    request
        .read_plain(WriteVersion::V1, &results[0].2, &KeyHasher::new())
        .unwrap();
    let got: Vec<String> = request
        .series
        .iter()
        .map(|s| request.labels(s).unwrap().to_string())
        .collect();
    assert_eq!(
        got,
        [
            r#"{__name__="up", cluster="c1", instance="h:1", job="a"}"#,
            r#"{__name__="up", cluster="c1", instance="h:2", job="b"}"#
        ]
    );
    let second = &request.samples[request.series[1].samples.range()];
    let got: Vec<(i64, f64)> = second.iter().map(|s| (s.timestamp_ms, s.value)).collect();
    assert_eq!(got, [(T0, 0.0), (T0 + 15_000, 1e-7)]);
}

#[tokio::test]
async fn chunks_in_frames() {
    let server = TestServer::new();
    let mut appender = server.db.as_ref().unwrap().appender();
    let labels = Labels::from_pairs([("__name__", "long")]);
    let series = appender.series(&labels).unwrap();
    for i in 0..250 {
        appender.append(series, T0 + i * 100, i as f64).unwrap();
    }
    let h = tsdb_model::FloatHistogram {
        count: 1.0,
        zero_count: 1.0,
        zero_threshold: 0.1,
        ..Default::default()
    };
    let h = tsdb_model::HistogramValue::Float(h.into());
    appender.append_histogram(series, T0 + 99_999, h).unwrap();
    appender.commit().unwrap();
    let matchers = vec![(MatchOp::Regex, "__name__", "long|up")];
    let accepted = [ResponseType::StreamedXorChunks, ResponseType::Samples];
    let answer = ask(&server, matchers, &accepted).await;
    assert_eq!(
        answer.header("content-type"),
        "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
    );
    let mut rest = &answer.bytes[..];
    let mut seen = Vec::new();
    while !rest.is_empty() {
        let mut len = 0;
        let mut at = 0;
        loop {
            len |= usize::from(rest[at] & 0x7f) << (7 * at);
            at += 1;
            if rest[at - 1] & 0x80 == 0 {
                break;
            }
        }
        let message = &rest[at + 4..at + 4 + len];
        rest = &rest[at + 4 + len..];
        for series in fields(message).iter().filter(|f| f.0 == 1) {
            let parts = fields(&series.2);
            let name = series_labels(&parts);
            for chunk in parts.iter().filter(|f| f.0 == 2) {
                let chunk = fields(&chunk.2);
                let (min, max, encoding, data) = (
                    chunk[0].1 as i64,
                    chunk[1].1 as i64,
                    chunk[2].1,
                    &chunk[3].2,
                );
                let samples = u16::from_be_bytes([data[0], data[1]]);
                if encoding == 1 {
                    let mut times = Vec::new();
                    let mut iter = XorIter::new(data).unwrap();
                    while let Some((t, _)) = iter.next().transpose().unwrap() {
                        times.push(t);
                    }
                    assert_eq!((times[0], times[times.len() - 1]), (min, max));
                }
                seen.push((name.clone(), encoding, samples));
            }
        }
    }
    let long = "{__name__=\"long\"}".to_string();
    let up = |i: usize| {
        format!(
            "{{__name__=\"up\", instance=\"h:{i}\", job=\"{}\"}}",
            ["a", "b"][i - 1]
        )
    };
    assert_eq!(
        seen,
        [
            (long.clone(), 1, 120),
            (long.clone(), 1, 120),
            (long.clone(), 1, 10),
            (long, 3, 1),
            (up(1), 1, 2),
            (up(2), 1, 2),
        ]
    );
}

#[tokio::test]
async fn reads_that_cannot_be() {
    let server = TestServer::new();
    let answer = server
        .send(Method::POST, "/api/v1/read", &[], "nonsense")
        .await;
    assert_eq!(
        (answer.status, answer.text()),
        (400, "snappy: corrupt input\n")
    );
    assert_eq!(answer.header("content-encoding"), "");
    let answer = ask(&server, vec![(MatchOp::Regex, "a", "(")], &[]).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    // Without a matcher nothing is selected.
    let answer = ask(&server, vec![], &[ResponseType::StreamedXorChunks]).await;
    assert_eq!((answer.status, answer.text()), (200, ""));
}

#[tokio::test]
async fn federation() {
    let server = TestServer::new();
    with_external_labels(&server);
    let path = "/federate?match[]=up&match[]=%7Bjob%3D%22a%22%7D";
    let answer = server.get(path).await;
    assert_eq!(
        answer.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
    );
    let expected = "# TYPE foo_total untyped\n\
        foo_total{job=\"a\",lab_el=\"x\",cluster=\"c1\",instance=\"\"} 10 1700000015000\n\
        # TYPE up untyped\n\
        up{instance=\"h:1\",job=\"a\",cluster=\"c1\"} 1 1700000015000\n\
        up{instance=\"h:2\",job=\"b\",cluster=\"c1\"} 1e-07 1700000015000\n";
    assert_eq!(answer.text(), expected);
    let headers = [("accept", "text/plain; version=1.0.0; escaping=allow-utf-8")];
    let answer = server.send(Method::GET, path, &headers, "").await;
    assert!(
        answer.text().contains("\"lab.el\"=\"x\""),
        "{}",
        answer.text()
    );

    let mut appender = server.db.as_ref().unwrap().appender();
    let ended = Labels::from_pairs([("__name__", "up"), ("instance", "h:1"), ("job", "a")]);
    let series = appender.series(&ended).unwrap();
    appender
        .append(series, T0 + 16_000, tsdb_model::stale_nan())
        .unwrap();
    let native = Labels::from_pairs([("__name__", "nhcb")]);
    let series = appender.series(&native).unwrap();
    let h = tsdb_model::Histogram {
        schema: -53,
        count: 6,
        sum: 4.5,
        positive_spans: vec![tsdb_model::Span {
            offset: 1,
            length: 2,
        }],
        positive_deltas: vec![2, 2],
        custom_values: vec![0.5, 2.0],
        ..Default::default()
    };
    appender
        .append_histogram(
            series,
            T0 + 16_000,
            tsdb_model::HistogramValue::Int(h.into()),
        )
        .unwrap();
    appender.commit().unwrap();
    let answer = server
        .get("/federate?match[]=%7B__name__%3D~%22up|nhcb%22%7D")
        .await;
    let expected = "# TYPE nhcb histogram\n\
        nhcb_bucket{cluster=\"c1\",instance=\"\",job=\"outer\",le=\"0.5\"} 0 1700000016000\n\
        nhcb_bucket{cluster=\"c1\",instance=\"\",job=\"outer\",le=\"2\"} 2 1700000016000\n\
        nhcb_bucket{cluster=\"c1\",instance=\"\",job=\"outer\",le=\"+Inf\"} 6 1700000016000\n\
        nhcb_sum{cluster=\"c1\",instance=\"\",job=\"outer\"} 4.5 1700000016000\n\
        nhcb_count{cluster=\"c1\",instance=\"\",job=\"outer\"} 6 1700000016000\n\
        # TYPE up untyped\n\
        up{instance=\"h:2\",job=\"b\",cluster=\"c1\"} 1e-07 1700000015000\n";
    assert_eq!(answer.text(), expected);

    for empty in ["/federate", "/federate?match[]=%7B%7D"] {
        let answer = server.get(empty).await;
        assert_eq!((answer.status, answer.text()), (200, ""));
    }
    let answer = server.get("/federate?match[]=up%7B").await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("parse error"), "{}", answer.text());
    assert_eq!(server.post("/federate", "").await.status, 405);
    let page = server.get("/metrics").await;
    assert!(
        page.text()
            .contains("\nprometheus_web_federation_errors_total 1\n")
    );
}

#[tokio::test]
async fn export_in_three_forms_and_back_in() {
    let server = TestServer::new();
    let mut appender = server.db.as_ref().unwrap().appender();
    let odd = Labels::from_pairs([("__name__", "odd.name"), ("q", "a\"b,c\n")]);
    let series = appender.series(&odd).unwrap();
    let values = [0.1, -0.0, f64::NAN, f64::INFINITY, tsdb_model::stale_nan()];
    for (i, v) in values.into_iter().enumerate() {
        appender.append(series, T0 + 500 * i as i64, v).unwrap();
    }
    appender.commit().unwrap();
    let all = "match[]=up&match[]=%7B%22odd.name%22%7D";
    let answer = server.get(&format!("/api/v1/export?{all}")).await;
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    let odd_line = "{\"metric\":{\"__name__\":\"odd.name\",\"q\":\"a\\\"b,c\\n\"},\"values\":[0.1,-0,null,\"Infinity\",\"StaleNaN\"],\"timestamps\":[1700000000000,1700000000500,1700000001000,1700000001500,1700000002000]}";
    assert_eq!(
        answer.text().lines().collect::<Vec<_>>(),
        [
            odd_line,
            "{\"metric\":{\"__name__\":\"up\",\"instance\":\"h:1\",\"job\":\"a\"},\"values\":[1,1],\"timestamps\":[1700000000000,1700000015000]}",
            "{\"metric\":{\"__name__\":\"up\",\"instance\":\"h:2\",\"job\":\"b\"},\"values\":[0,1e-07],\"timestamps\":[1700000000000,1700000015000]}",
        ]
    );
    // Taken in by another server it is exported the same.
    let other = TestServer::new();
    let json = [("content-type", "application/x-ndjson")];
    let taken = other
        .send(Method::POST, "/api/v1/import", &json, answer.text())
        .await;
    assert_eq!((taken.status, taken.text()), (204, ""));
    let again = other.get(&format!("/api/v1/export?{all}")).await;
    assert_eq!(again.text(), answer.text());

    let times = format!("start={}&end={}", T0 / 1000, T0 / 1000 + 1);
    let answer = server
        .get(&format!("/api/v1/export?{all}&{times}&format=csv"))
        .await;
    assert_eq!(
        answer.text().split("\r\n").collect::<Vec<_>>(),
        [
            "series,timestamp_ms,value",
            r#""{__name__=""odd.name"", q=""a\""b,c\n""}",1700000000000,0.1"#,
            r#""{__name__=""odd.name"", q=""a\""b,c\n""}",1700000000500,-0"#,
            r#""{__name__=""odd.name"", q=""a\""b,c\n""}",1700000001000,NaN"#,
            r#""up{instance=""h:1"", job=""a""}",1700000000000,1"#,
            r#""up{instance=""h:2"", job=""b""}",1700000000000,0"#,
            "",
        ]
    );
    let answer = server
        .get(&format!("/api/v1/export?{all}&format=openmetrics"))
        .await;
    let expected = "# TYPE \"odd.name\" unknown\n\
        {\"odd.name\",q=\"a\\\"b,c\\n\"} 0.1 1700000000\n\
        {\"odd.name\",q=\"a\\\"b,c\\n\"} -0 1700000000.500\n\
        {\"odd.name\",q=\"a\\\"b,c\\n\"} NaN 1700000001\n\
        {\"odd.name\",q=\"a\\\"b,c\\n\"} +Inf 1700000001.500\n\
        # TYPE up unknown\n\
        up{instance=\"h:1\",job=\"a\"} 1 1700000000\n\
        up{instance=\"h:1\",job=\"a\"} 1 1700000015\n\
        up{instance=\"h:2\",job=\"b\"} 0 1700000000\n\
        up{instance=\"h:2\",job=\"b\"} 1e-07 1700000015\n\
        # EOF\n";
    assert_eq!(answer.text(), expected);
    for (query, error) in [
        ("", "no match[] parameter provided"),
        (
            "match[]=up&format=xml",
            "invalid parameter \\\"format\\\": must be json, csv or openmetrics",
        ),
        (
            "match[]=up&start=x",
            "invalid parameter \\\"start\\\": invalid time value for 'start': cannot parse \\\"x\\\" to a valid timestamp",
        ),
    ] {
        let answer = server.get(&format!("/api/v1/export?{query}")).await;
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains(error), "{}", answer.text());
    }
}
