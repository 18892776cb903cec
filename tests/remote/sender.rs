//! A sender of our own.

use tempfile::TempDir;
use tsdb_model::MatchOp;
use tsdb_wire::remote::encode::read_request;
use tsdb_wire::remote::{
    KeyHasher, ResponseType, WriteRequest, WriteVersion, compress, decompress,
};

use super::{now_ms, post, push, request, series_labels};
use crate::support::Server;

#[test]
fn what_was_acknowledged_is_there_at_once_and_after_a_kill() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path(), &[]);
    let labels: Vec<_> = (0..500).map(series_labels).collect();
    let start = now_ms() - 60_000;
    for i in 0..6 {
        let version = [WriteVersion::V1, WriteVersion::V2][i % 2];
        let t = start + i as i64 * 1000;
        let answer = push(
            &server.url,
            version,
            &request(version, &labels, t, i as f64),
        );
        assert_eq!(answer.status, 204, "{}", answer.text());
        if version == WriteVersion::V2 {
            let written = answer.header("x-prometheus-remote-write-samples-written");
            assert_eq!(written, "500");
        }
        // Acknowledged means readable.
        let at = format!(
            "/api/v1/query?query=sum(pushed)&time={}",
            (t + 1) as f64 / 1e3
        );
        let sum = server.data(&at)["result"][0]["value"][1].clone();
        assert_eq!(sum, (500 * i).to_string());
    }
    let count = "sum(count_over_time(pushed[5m]))";
    assert_eq!(server.value(count), Some(3000.0));
    server.kill();
    let server = Server::start(dir.path(), &[]);
    assert_eq!(server.value(count), Some(3000.0));
    // The same series go on: their handles are found anew.
    let body = request(WriteVersion::V1, &labels, start + 20_000, 1.0);
    assert_eq!(push(&server.url, WriteVersion::V1, &body).status, 204);
    assert_eq!(server.value(count), Some(3500.0));
    assert_eq!(server.value("count(pushed)"), Some(500.0));
}

#[test]
fn many_senders_at_once() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path(), &[]);
    let start = now_ms() - 60_000;
    std::thread::scope(|scope| {
        for sender in 0..8 {
            let url = &server.url;
            scope.spawn(move || {
                let version = [WriteVersion::V1, WriteVersion::V2][sender % 2];
                // Half of the series are everybody's, at times of one's own.
                let own = (0..50).map(|i| series_labels(1000 * (sender + 1) + i));
                let labels: Vec<_> = (0..50).map(series_labels).chain(own).collect();
                for i in 0..20 {
                    let t = start + (i * 8 + sender) as i64 * 10;
                    let answer = push(url, version, &request(version, &labels, t, 1.0));
                    assert_eq!(answer.status, 204, "{}", answer.text());
                }
            });
        }
    });
    assert_eq!(server.value("count(pushed)"), Some(450.0));
    let count = "sum(count_over_time(pushed[5m]))";
    assert_eq!(server.value(count), Some(8.0 * 20.0 * 100.0));
}

#[test]
fn hostile_bodies_are_refused_and_leave_the_server_standing() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path(), &[]);
    let mut bomb = vec![0x80, 0x80, 0x80, 0x80, 0x08]; // declares 2 GiB
    bomb.extend([0xfe; 100]);
    // Millions of empty series; each version ignores those of the other.
    let elements = compress(&[0x0a, 0, 0x2a, 0].repeat(8 << 20));
    let mut cut = request(WriteVersion::V2, &[series_labels(1)], now_ms(), 1.0);
    cut.truncate(cut.len() / 2);
    for body in [&bomb, &elements, &cut, &Vec::new(), &vec![0xff; 1000]] {
        for version in [WriteVersion::V1, WriteVersion::V2] {
            let answer = push(&server.url, version, body);
            assert_eq!(answer.status, 400, "{}", answer.text());
        }
        let answer = post(&format!("{}/api/v1/read", server.url), &[], body);
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
    let body = request(WriteVersion::V1, &[series_labels(1)], now_ms(), 1.0);
    assert_eq!(push(&server.url, WriteVersion::V1, &body).status, 204);
    assert_eq!(server.value("pushed"), Some(1.0));
}

#[test]
fn remote_read_gives_back_what_was_pushed() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path(), &[]);
    let labels: Vec<_> = (0..3).map(series_labels).collect();
    let t = now_ms() - 60_000;
    let body = request(WriteVersion::V1, &labels, t, 0.1);
    assert_eq!(push(&server.url, WriteVersion::V1, &body).status, 204);
    let ask = |accepted: &[ResponseType]| {
        let matchers = vec![(MatchOp::Equal, "__name__", "pushed")];
        let body = compress(&read_request(&[(t, t, matchers)], accepted));
        post(&format!("{}/api/v1/read", server.url), &[], &body)
    };
    let answer = ask(&[ResponseType::Samples]);
    assert_eq!(
        (answer.status, answer.header("content-encoding")),
        (200, "snappy")
    );
    let mut plain = Vec::new();
    decompress(&answer.body, 1 << 20, &mut plain).unwrap();
    // One result, whose series look like those of a write request.
    assert_eq!(plain[0], 0x0a);
    let length_bytes = if plain[1] < 0x80 { 1 } else { 2 };
    let mut result = WriteRequest::new();
    result
        .read_plain(
            WriteVersion::V1,
            &plain[1 + length_bytes..],
            &KeyHasher::new(),
        )
        .unwrap();
    let got: Vec<_> = result
        .series
        .iter()
        .map(|s| result.labels(s).unwrap())
        .collect();
    assert_eq!(got, labels);
    let samples: Vec<_> = result
        .samples
        .iter()
        .map(|s| (s.timestamp_ms, s.value))
        .collect();
    assert_eq!(samples, [(t, 0.1); 3]);
    let answer = ask(&[ResponseType::StreamedXorChunks]);
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (
            200,
            "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
        )
    );
}
