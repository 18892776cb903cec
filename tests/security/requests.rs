//! Requests at the edges of HTTP, and beyond: what is answered, and that what comes next is not
//! taken for something else.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::hostile::{connect, read, send};
use crate::support::{Server, escape, wait_for};

fn start(dir: &TempDir) -> Server {
    Server::start(&dir.path().join("d"), &["--no-host-metrics"])
}

/// Status codes of all answers to what is sent at once and a last request behind it, until the
/// server closes.
fn statuses(server: &Server, bytes: &[u8]) -> Vec<u16> {
    let mut stream = connect(server);
    let last = b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let _ = stream.write_all(&[bytes, last].concat());
    let text = read(stream);
    let lines = text.split("HTTP/1.").skip(1);
    lines.map(|l| l[2..5].parse().unwrap()).collect()
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

#[test]
fn one_answer_for_each_request() {
    let dir = TempDir::new().unwrap();
    let server = start(&dir);
    let healthy = "GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n";
    let post = |headers: &str, body: &str| {
        format!("POST /api/v1/query HTTP/1.1\r\nHost: x\r\n{FORM}{headers}\r\n{body}")
    };
    let mut wrong = Vec::new();
    for (what, request, expected) in [
        ("pipelining", healthy.repeat(50), vec![200; 51]),
        (
            "a body between",
            post("Content-Length: 7\r\n", "query=1") + healthy,
            vec![200, 200, 200],
        ),
        (
            "HTTP/1.0",
            "GET /-/healthy HTTP/1.0\r\n\r\n".to_string() + healthy,
            vec![200],
        ),
        (
            "HTTP/1.0 that stays",
            "GET /-/healthy HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_string() + healthy,
            vec![200, 200, 200],
        ),
        (
            "an absolute URI",
            "GET http://other.example/-/healthy HTTP/1.1\r\nHost: x\r\n\r\n".to_string(),
            vec![200, 200],
        ),
        (
            "a newline alone",
            "GET /-/healthy HTTP/1.1\nHost: x\n\n".to_string(),
            vec![200, 200],
        ),
        (
            "empty lines before",
            "\r\n\r\n".to_string() + healthy,
            vec![200, 200],
        ),
        (
            "chunks with extensions and trailers",
            post(
                "Transfer-Encoding: chunked\r\n",
                "3;a=b\r\nque\r\n4\r\nry=1\r\n0\r\nX: y\r\n\r\n",
            ) + healthy,
            vec![200, 200, 200],
        ),
        // Who reads it otherwise would find another request behind it: that is the end.
        (
            "length and chunks",
            post(
                "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
                "7\r\nquery=1\r\n0\r\n\r\n",
            ) + healthy,
            vec![200],
        ),
        (
            "chunks and length",
            post(
                "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
                "7\r\nquery=1\r\n0\r\n\r\n",
            ) + healthy,
            vec![200],
        ),
        (
            "an unknown coding",
            post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n") + healthy,
            vec![400],
        ),
        (
            "chunks that are not last",
            post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n") + healthy,
            vec![400],
        ),
        (
            "chunks in HTTP/1.0",
            format!(
                "POST /api/v1/query HTTP/1.0\r\n{FORM}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{healthy}"
            ),
            vec![400],
        ),
        (
            "two lengths",
            post("Content-Length: 7\r\nContent-Length: 0\r\n", "query=1") + healthy,
            vec![400],
        ),
        (
            "a signed length",
            post("Content-Length: +7\r\n", "query=1") + healthy,
            vec![400],
        ),
        (
            "a list of lengths",
            post("Content-Length: 7, 7\r\n", "query=1") + healthy,
            vec![400],
        ),
        (
            "a space before the colon",
            post("Content-Length : 7\r\n", "query=1") + healthy,
            vec![400],
        ),
        (
            "a folded header",
            post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n") + healthy,
            vec![400],
        ),
        ("a zero byte", post("X: a\0b\r\n", "") + healthy, vec![400]),
        (
            "a bare return",
            post("X: a\rContent-Length: 7\r\n", "query=1") + healthy,
            vec![400],
        ),
        (
            "a method with spaces",
            "GET  /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n".to_string() + healthy,
            vec![400],
        ),
        (
            "a tunnel",
            "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n".to_string(),
            vec![405, 200],
        ),
        (
            "all of the server",
            "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n".to_string(),
            vec![404, 200],
        ),
        (
            "a body that waits to be asked for",
            post("Content-Length: 7\r\nExpect: 100-continue\r\n", "query=1"),
            vec![100, 200, 200],
        ),
        (
            "too much that waits to be asked for",
            post("Content-Length: 99999999\r\nExpect: 100-continue\r\n", ""),
            vec![413],
        ),
        (
            "another protocol",
            "GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
                .to_string(),
            vec![200, 200],
        ),
        (
            "a part of the answer",
            "GET /-/healthy HTTP/1.1\r\nHost: x\r\nRange: bytes=0-3\r\n\r\n".to_string(),
            vec![200, 200],
        ),
        (
            "an echo",
            "TRACE /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n".to_string(),
            vec![405, 200],
        ),
        (
            "HTTP/2 without asking",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_string(),
            vec![],
        ),
        (
            "another version",
            "GET /-/healthy HTTP/3.7\r\nHost: x\r\n\r\n".to_string(),
            vec![400],
        ),
    ] {
        let got = statuses(&server, request.as_bytes());
        if got != expected {
            wrong.push((what, got, expected));
        }
    }
    assert!(wrong.is_empty(), "what, got, expected: {wrong:#?}");
    let log = server.log.lock().unwrap();
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn bytes_that_are_no_text() {
    let dir = TempDir::new().unwrap();
    let server = start(&dir);
    let post = |body: &[u8]| {
        let head = format!(
            "POST /api/v1/query HTTP/1.1\r\nHost: x\r\n{FORM}Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    let get = |path: &[u8]| {
        [
            b"GET ",
            path,
            b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        ]
        .concat()
    };
    for (request, allowed) in [
        (post(b"query=\xff\xfe"), &[400][..]),
        (post(b"query=%ff%fe"), &[400]),
        (post(b"query=%00"), &[400]),
        (post(b"query=%22%00%22"), &[200, 400]),
        (post(b"\xff=\xff&query=1"), &[200]),
        (post(b"query=1&query=%C0%80"), &[200]),
        (get(b"/api/v1/label/%ff/values"), &[400]),
        (get(b"/api/v1/label/%00/values"), &[200, 400]),
        (get(b"/\xff\xfe"), &[400, 404]),
        (get(b"/api/v1/query?query=\xc3\xa9"), &[400]),
        (get(b"/%2e%2e/%2e%2e/etc/passwd"), &[404]),
        (get(b"/../../etc/passwd"), &[404]),
        (get(b"/api/v1/../../-/healthy"), &[404]),
        (get(b"/-/healthy%00"), &[404]),
        (get(b"/-/healthy;x"), &[404]),
        (get(b"/-/HEALTHY"), &[404]),
    ] {
        let shown = String::from_utf8_lossy(&request).into_owned();
        let statuses = statuses(&server, &request);
        assert_eq!(statuses.len(), 1, "{shown}");
        assert!(allowed.contains(&statuses[0]), "{shown}: {statuses:?}");
    }
    let log = server.log.lock().unwrap();
    assert!(!log.contains("panicked") && !log.contains('\u{0}'), "{log}");
}

/// Resident memory in MiB.
fn resident_mib(server: &Server) -> f64 {
    let page = server.get("/metrics").body;
    let name = "process_resident_memory_bytes ";
    let line = page.lines().find_map(|l| l.strip_prefix(name)).unwrap();
    line.parse::<f64>().unwrap() / f64::from(1 << 20)
}

#[test]
fn bombs_of_clients() {
    let dir = TempDir::new().unwrap();
    let server = start(&dir);
    let before = resident_mib(&server);
    let zeros = vec![0; 64 << 20];
    let snappy = snap::raw::Encoder::new().compress_vec(&zeros).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&zeros).unwrap();
    let gzip = gzip.finish().unwrap();
    // Announces 4 GiB and holds nothing.
    let empty = b"\xff\xff\xff\xff\x0f".to_vec();
    for (path, encoding, body, allowed) in [
        ("write", "snappy", &snappy, &[400, 413][..]),
        ("write", "snappy", &empty, &[400, 413]),
        ("write", "gzip", &gzip, &[415]),
        ("write", "zstd", &gzip, &[415]),
        ("read", "snappy", &snappy, &[400, 413]),
        ("read", "snappy", &empty, &[400, 413]),
        ("import", "gzip", &gzip, &[415, 400, 413]),
    ] {
        for _ in 0..4 {
            let head = format!(
                "POST /api/v1/{path} HTTP/1.1\r\nHost: x\r\nContent-Encoding: {encoding}\r\n\
                 Content-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let got = statuses(&server, &[head.as_bytes(), body].concat());
            assert!(!got.is_empty(), "{path} {encoding}");
            assert!(allowed.contains(&got[0]), "{path} {encoding}: {got:?}");
        }
    }
    let after = resident_mib(&server);
    assert!(after < before + 64.0, "{before} MiB before, {after} after");
}

#[test]
fn heads_have_a_size() {
    let dir = TempDir::new().unwrap();
    let server = start(&dir);
    let head = |headers: String| format!("GET /-/healthy HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    let large = format!("X: {}\r\n", "x".repeat(100 << 10));
    assert_eq!(statuses(&server, head(large).as_bytes()), [200, 200]);
    let larger = format!("X: {}\r\n", "x".repeat(200 << 10));
    assert_eq!(statuses(&server, head(larger).as_bytes()), [431]);
    let some = (0..90).map(|i| format!("X-{i}: y\r\n")).collect();
    assert_eq!(statuses(&server, head(some).as_bytes()), [200, 200]);
    let many = (0..1000).map(|i| format!("X-{i}: y\r\n")).collect();
    assert_eq!(statuses(&server, head(many).as_bytes()), [431]);
    let query = format!("query={}1", "-".repeat(60_000));
    let long = format!("GET /api/v1/query?{query} HTTP/1.1\r\nHost: x\r\n\r\n");
    let got = statuses(&server, long.as_bytes());
    assert!(matches!(got[..], [400, 200] | [414]), "{got:?}");
}

#[test]
fn clients_that_leave_take_their_queries_with_them() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(
        &dir.path().join("d"),
        &["--no-host-metrics", "--query.max-concurrency=2"],
    );
    // Takes minutes when nobody stops it.
    let inner = "count_over_time(vector(1)[10000d:1s])";
    let slow = format!(
        "GET /api/v1/query_range?query={}&start=0&end=110000&step=10&timeout=100s HTTP/1.1\r\nHost: x\r\n\r\n",
        escape(inner)
    );
    let began = Instant::now();
    for _ in 0..8 {
        let clients: Vec<_> = (0..4).map(|_| send(&server, &slow)).collect();
        crate::support::pause(Duration::from_millis(50));
        drop(clients);
    }
    // With two turns only, this one has to wait for those before it to be given up.
    let answer = wait_for("a turn", || {
        let answer = server.get("/api/v1/query?query=1");
        (answer.status == 200).then_some(answer)
    });
    assert!(answer.body.contains("success"));
    assert!(began.elapsed() < Duration::from_secs(20));
    // Half an answer that nobody takes is no harm either.
    let wide = format!(
        "GET /api/v1/query_range?query={}&start=0&end=110000&step=10 HTTP/1.1\r\nHost: x\r\n\r\n",
        escape("label_replace(vector(time()), \"a\", \"b\", \"\", \"\")")
    );
    let mut half = send(&server, &wide);
    let mut some = [0; 100];
    half.read_exact(&mut some).unwrap();
    drop(half);
    assert_eq!(server.get("/-/healthy").status, 200);
    let log = server.log.lock().unwrap();
    assert!(!log.contains("panicked"), "{log}");
}
