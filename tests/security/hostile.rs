//! Clients and targets that mean harm.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

use crate::support::{Server, http, pause, wait_for, write};

/// Files that one process of these tests may have open.
fn allow_files(count: u64) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < count) {
        let current = limit.maximum.map_or(count, |max| max.min(count));
        let wanted = Rlimit {
            current: Some(current),
            maximum: limit.maximum,
        };
        setrlimit(Resource::Nofile, wanted).unwrap();
        assert!(
            current >= count,
            "the system allows {current} open files only"
        );
    }
}

pub(super) fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream
}

pub(super) fn send(server: &Server, text: &str) -> TcpStream {
    let mut stream = connect(server);
    stream.write_all(text.as_bytes()).unwrap();
    stream
}

pub(super) fn read(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The longest that any of `count` queries takes.
fn slowest(server: &Server, count: usize) -> Duration {
    let ask = || {
        let began = Instant::now();
        let answer = server.get("/api/v1/query?query=1");
        assert_eq!(answer.status, 200);
        began.elapsed()
    };
    (0..count).map(|_| ask()).max().unwrap()
}

const SLOW_BODY: &str = "POST /api/v1/query HTTP/1.1\r\nHost: x\r\n\
    Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\nquery=";

#[test]
fn idle_floods_and_slow_bodies_leave_others_untouched() {
    allow_files(4096);
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir.path().join("d"), &["--no-host-metrics"]);
    let before = slowest(&server, 20);
    let idle: Vec<_> = (0..1000).map(|_| connect(&server)).collect();
    let mut slow: Vec<_> = (0..200).map(|_| send(&server, SLOW_BODY)).collect();
    let halves: Vec<_> = (0..200)
        .map(|_| send(&server, "GET / HTTP/1.1\r\nHo"))
        .collect();
    let during = slowest(&server, 100);
    assert!(
        during < Duration::from_secs(1),
        "{before:?} before, {during:?} during"
    );
    // Writes go on, too.
    for i in 0..50 {
        let began = Instant::now();
        let url = format!("{}/api/v1/import", server.url);
        let text = [("Content-Type", "text/plain")];
        let answer = http("POST", &url, &text, &format!("w{{i=\"{i}\"}} {i}\n")).unwrap();
        assert_eq!(answer.status, 204, "{}", answer.body);
        assert!(began.elapsed() < Duration::from_secs(1));
    }
    assert_eq!(server.value("count(w)"), Some(50.0));
    // The slow ones are still served: a body that comes to its end has its answer.
    let mut last = slow.pop().unwrap();
    last.write_all("1".repeat(994).as_bytes()).unwrap();
    let mut answer = [0; 15];
    last.read_exact(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 "), "{answer:?}");
    drop((idle, slow, halves));
}

#[test]
fn more_at_work_than_allowed_are_told_to_come_back() {
    let dir = TempDir::new().unwrap();
    let flags = ["--no-host-metrics", "--web.max-connections=4"];
    let server = Server::start(&dir.path().join("d"), &flags);
    let mut slow = Vec::new();
    let refused = wait_for("a refusal", || {
        // One whose head is not read yet counts as idle and makes room.
        slow.extend((0..8).map(|_| send(&server, SLOW_BODY)));
        let answer = http("GET", &format!("{}/-/healthy", server.url), &[], "").ok()?;
        (answer.status == 503).then_some(answer)
    });
    assert_eq!(refused.headers["retry-after"], "5");
    // After some seconds slow bodies have to make room.
    wait_for("room", || {
        let answer = http("GET", &format!("{}/-/healthy", server.url), &[], "").ok()?;
        (answer.status == 200).then_some(())
    });
    drop(slow);
}

#[test]
fn bad_requests_are_refused_and_nothing_else_happens() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir.path().join("d"), &["--no-host-metrics"]);
    let many = "A: b\r\n".repeat(1000);
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let chunked =
        format!("POST /api/v1/query HTTP/1.1\r\nHost: x\r\n{form}Transfer-Encoding: chunked\r\n");
    for (request, statuses) in [
        (
            format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(300 << 10)),
            &["431"][..],
        ),
        (format!("GET / HTTP/1.1\r\n{many}\r\n"), &["431"]),
        (
            format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(300 << 10)),
            &["414", "431"],
        ),
        ("NONSENSE\r\n\r\n".to_string(), &["400"]),
        (
            "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx".to_string(),
            &["400"],
        ),
        (
            "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n".to_string(),
            &["400"],
        ),
        ("GET / HTTP/1.1\r\nA b: c\r\n\r\n".to_string(), &["400"]),
        (format!("{chunked}\r\nxyz\r\n"), &["400"]),
        (format!("{chunked}\r\nffffffffffffffffffff\r\n"), &["400"]),
        (
            format!("{chunked}\r\n5\r\nquery=1&x\r\n0\r\n\r\n"),
            &["400"],
        ),
        (
            format!(
                "{chunked}\r\n3;{}\r\nabc\r\n0\r\n\r\n",
                "e".repeat(100 << 10)
            ),
            &["400"],
        ),
        (
            format!(
                "POST /api/v1/query HTTP/1.1\r\nHost: x\r\n{form}Content-Length: 99999999999\r\n\r\n"
            ),
            &["413"],
        ),
    ] {
        let shown: String = request.chars().take(200).collect();
        let mut stream = connect(&server);
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let answer = read(stream);
        let status = answer.get(9..12).unwrap_or("none");
        // Closing without an answer is fine, too, when the request is no HTTP.
        assert!(
            statuses.contains(&status) || status == "none",
            "{shown}\n{answer}"
        );
        assert_eq!(server.get("/-/healthy").status, 200, "{shown}");
    }
    let log = server.log.lock().unwrap();
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn a_slow_head_is_cut_off() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir.path().join("d"), &["--no-host-metrics"]);
    let mut stream = send(&server, "GET / HTTP/1.1\r\n");
    let began = Instant::now();
    // A byte now and then does not help.
    while stream.write_all(b"A").is_ok() && began.elapsed() < Duration::from_secs(25) {
        pause(Duration::from_millis(200));
    }
    let lasted = began.elapsed();
    let allowed = Duration::from_secs(8)..Duration::from_secs(20);
    assert!(allowed.contains(&lasted), "{lasted:?}");
}

#[test]
fn bombs_of_targets() {
    let dir = TempDir::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // 64 MiB of zeros in 64 KiB.
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..64 {
        gzip.write_all(&vec![b'0'; 1 << 20]).unwrap();
    }
    let bomb = gzip.finish().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            let endless = head.starts_with(b"GET /endless");
            let length = bomb.len();
            let answer = if endless {
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n".to_string()
            } else {
                format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\n\
                     Content-Length: {length}\r\nConnection: close\r\n\r\n"
                )
            };
            let _ = stream.write_all(answer.as_bytes());
            if endless {
                let comment = vec![b'#'; 65536];
                std::thread::spawn(move || while stream.write_all(&comment).is_ok() {});
            } else {
                let _ = stream.write_all(&bomb);
            }
        }
    });
    let config = write(
        &dir.path().join("p.yml"),
        &format!(
            "global: {{scrape_interval: 500ms, body_size_limit: 1MB}}\nscrape_configs:\n\
             - {{job_name: bomb, static_configs: [{{targets: ['{address}']}}]}}\n\
             - {{job_name: endless, metrics_path: /endless, static_configs: [{{targets: ['{address}']}}]}}\n"
        ),
    );
    let flag = format!("--config.file={}", config.display());
    let server = Server::start(&dir.path().join("d"), &[&flag]);
    wait_for("both to fail", || {
        let targets = server.data("/api/v1/targets");
        let targets = targets["activeTargets"].as_array()?.clone();
        let failed = |t: &serde_json::Value| t["lastError"] == "body size limit exceeded";
        (targets.len() == 2 && targets.iter().all(failed)).then_some(())
    });
    assert_eq!(server.value("sum(up)"), Some(0.0));
}

#[test]
fn clients_that_take_nothing_of_their_answers_leave_others_untouched() {
    let dir = TempDir::new().unwrap();
    let flags = ["--no-host-metrics", "--web.max-connections=16"];
    let server = Server::start(&dir.path().join("d"), &flags);
    // Some 18 MB as text: more than the buffers of a connection hold.
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
    let times: Vec<i64> = (0..50_000).map(|i| now - (50_000 - i) * 100).collect();
    let values: Vec<i64> = (0..50_000).collect();
    for i in 0..18 {
        let line = format!(
            "{{\"metric\":{{\"__name__\":\"wide\",\"i\":\"{i}\"}},\"values\":{values:?},\
             \"timestamps\":{times:?}}}"
        );
        let answer = http("POST", &format!("{}/api/v1/import", server.url), &[], &line).unwrap();
        assert_eq!(answer.status, 204, "{}", answer.body);
    }
    let export = "GET /api/v1/export?match[]=wide HTTP/1.1\r\nHost: x\r\n\r\n";
    let slow: Vec<_> = (0..12).map(|_| send(&server, export)).collect();
    // All turns of those who read much are taken by them, but they do not keep them.
    let began = Instant::now();
    let small = server.get("/api/v1/export?match[]=wide&limit=1&format=csv");
    assert_eq!(small.status, 200);
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    // All connections are taken by them. After some seconds they have to make room.
    let more: Vec<_> = (0..30).map(|_| send(&server, export)).collect();
    wait_for("room", || {
        let answer = http("GET", &format!("{}/-/healthy", server.url), &[], "").ok()?;
        (answer.status == 200).then_some(())
    });
    drop((slow, more));
    assert_eq!(server.value("count(wide)"), Some(18.0));
}
