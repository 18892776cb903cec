use std::io::Read as _;

use super::*;
use crate::ApiOptions;
use crate::test_server::{Answer, TestServer};

fn starting() -> TestServer {
    TestServer::starting(ApiOptions::default())
}

async fn send(server: &TestServer, method: Method, path: &str, origin: &str) -> Answer {
    let headers = [("origin", origin)];
    server
        .send(
            method,
            path,
            if origin.is_empty() { &[] } else { &headers },
            "",
        )
        .await
}

#[test]
fn paths_are_cleaned() {
    for (path, clean) in [
        ("/", "/"),
        ("", "/"),
        ("//", "/"),
        ("/api/v1/query/", "/api/v1/query"),
        ("//api//v1/query", "/api/v1/query"),
    ] {
        assert_eq!(clean_path(path), clean);
    }
}

#[tokio::test]
async fn unknown_paths_and_methods() {
    let server = starting();
    for path in [
        "/api/v1/nothing",
        "/nothing",
        "/api/v1/label//values",
        "/api/v1/search/x",
    ] {
        let answer = server.get(path).await;
        assert_eq!(
            (answer.status, answer.text()),
            (404, "404 page not found\n"),
            "{path}"
        );
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    }
    for (method, path, allow) in [
        (Method::DELETE, "/api/v1/query", "GET, OPTIONS, POST"),
        (Method::HEAD, "/api/v1/query", "GET, OPTIONS, POST"),
        (Method::POST, "/api/v1/rules", "GET, OPTIONS"),
        (Method::POST, "/api/v1/label/a/values", "GET, OPTIONS"),
        (Method::HEAD, "/metrics", "GET, OPTIONS"),
        (Method::POST, "/-/healthy", "GET, HEAD, OPTIONS"),
        (Method::DELETE, "/-/reload", "GET, OPTIONS, POST, PUT"),
    ] {
        let answer = server.send(method.clone(), path, &[], "").await;
        let got = (answer.status, answer.text(), answer.header("allow"));
        assert_eq!(got, (405, "Method Not Allowed\n", allow), "{method} {path}");
    }
}

#[tokio::test]
async fn options_and_head() {
    let server = starting();
    for path in ["/api/v1/query", "/api/v1/nothing"] {
        let answer = server.send(Method::OPTIONS, path, &[], "").await;
        assert_eq!((answer.status, answer.text()), (204, ""), "{path}");
    }
    assert_eq!(
        server
            .send(Method::OPTIONS, "/metrics", &[], "")
            .await
            .status,
        200
    );
    assert_eq!(
        server
            .send(Method::HEAD, "/-/healthy", &[], "")
            .await
            .status,
        200
    );
    assert_eq!(
        server.send(Method::HEAD, "/-/ready", &[], "").await.status,
        503
    );
}

#[tokio::test]
async fn cors() {
    let options = ApiOptions {
        cors_origin: "https?://(a|b)".into(),
        ..Default::default()
    };
    let server = TestServer::starting(options);
    let names = [
        "access-control-allow-origin",
        "access-control-allow-headers",
        "access-control-allow-methods",
        "access-control-expose-headers",
    ];
    let headers = "Accept, Authorization, Content-Type, Origin";
    let methods = "GET, POST, OPTIONS";
    for (method, path, origin, expected) in [
        (Method::GET, "/api/v1/query", "", ["", "", "", ""]),
        (
            Method::GET,
            "/api/v1/query",
            "http://a",
            ["http://a", headers, methods, "Date"],
        ),
        (
            Method::OPTIONS,
            "/api/v1/x",
            "https://b",
            ["https://b", headers, methods, "Date"],
        ),
        (
            Method::GET,
            "/api/v1/query",
            "http://ab",
            ["", headers, methods, "Date"],
        ),
    ] {
        let answer = send(&server, method, path, origin).await;
        assert_eq!(names.map(|n| answer.header(n)), expected, "{origin}");
        assert_eq!(answer.header("vary"), "Origin");
    }
    let page = send(&server, Method::GET, "/-/healthy", "http://a").await;
    assert_eq!((page.header("vary"), page.header(names[0])), ("", ""));
}

#[tokio::test]
async fn before_the_store_is_open() {
    let server = starting();
    for path in [
        "/api/v1/query?query=1",
        "/api/v1/labels",
        "/api/v1/status/config",
        "/-/ready",
    ] {
        let answer = server.get(path).await;
        let stopping = answer.header("x-prometheus-stopping");
        let got = (answer.status, answer.text(), stopping);
        assert_eq!(got, (503, "Service Unavailable", "false"), "{path}");
    }
    let healthy = server.get("/-/healthy").await;
    assert_eq!(
        (healthy.status, healthy.text()),
        (200, "Prometheus Server is Healthy.\n")
    );
    assert_eq!(
        server.get("/api/v1/status/walreplay").await.text(),
        r#"{"status":"success","data":{"current":0,"max":0,"min":0}}"#
    );
    let notifications = server.get("/api/v1/notifications").await;
    let starting = "Prometheus is starting and replaying the write-ahead log.";
    assert!(notifications.text().contains(starting));
    assert!(server.get("/").await.text().contains("Starting"));
    assert!(
        server
            .get("/metrics")
            .await
            .text()
            .contains("\nprometheus_ready 0\n")
    );
    server.state.stop();
    assert_eq!(
        server.get("/-/ready").await.header("x-prometheus-stopping"),
        "true"
    );
}

#[tokio::test]
async fn failed_reloads_are_notified() {
    let server = TestServer::new();
    server.state.config_failed();
    assert_eq!(
        server.get("/api/v1/notifications").await.text(),
        r#"{"status":"success","data":[{"text":"Configuration reload has failed.","date":"2023-11-14T22:13:40Z","active":true}]}"#
    );
    let name = "\nprometheus_config_last_reload_successful";
    assert!(
        server
            .get("/metrics")
            .await
            .text()
            .contains(&format!("{name} 0\n"))
    );
    server.state.config_applied(server.state.config());
    let notifications = server.get("/api/v1/notifications").await;
    assert_eq!(notifications.text(), r#"{"status":"success","data":[]}"#);
    assert!(
        server
            .get("/metrics")
            .await
            .text()
            .contains(&format!("{name} 1\n"))
    );
}

#[tokio::test]
async fn version_is_plain_json() {
    let answer = starting().get("/version").await;
    assert_eq!(answer.header("content-type"), "application/json");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        answer.text(),
        format!(
            "{{\"version\":\"3.5.0\",\"revision\":\"tsdb-{version}\",\"branch\":\"\",\
             \"buildUser\":\"\",\"buildDate\":\"\",\"goVersion\":\"\"}}\n"
        )
    );
}

#[tokio::test]
async fn lifecycle() {
    let server = starting();
    for path in ["/-/reload", "/-/quit"] {
        let answer = server.get(path).await;
        assert_eq!(
            (answer.status, answer.text()),
            (405, "Only POST or PUT requests allowed")
        );
        let answer = server.post(path, "").await;
        assert_eq!(
            (answer.status, answer.text()),
            (403, "Lifecycle API is not enabled.")
        );
    }
    let (sender, quits) = std::sync::mpsc::channel();
    let results = std::sync::Mutex::new(vec![Err("bad file".to_string()), Ok(())]);
    let server = TestServer::starting(ApiOptions {
        enable_lifecycle: true,
        reload: Some(Box::new(move || results.lock().unwrap().pop().unwrap())),
        quit: Some(Box::new(move || sender.send(()).unwrap())),
        ..ApiOptions::default()
    });
    let answer = server.send(Method::PUT, "/-/reload", &[], "").await;
    assert_eq!((answer.status, answer.text()), (200, ""));
    let answer = server.post("/-/reload", "").await;
    let text = "failed to reload config: bad file\n";
    assert_eq!((answer.status, answer.text()), (500, text));
    // Nothing is left to pop: the hook panics.
    let answer = server.post("/-/reload", "").await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (500, "application/json")
    );
    assert_eq!(
        answer.text(),
        r#"{"status":"error","errorType":"internal","error":"the request made the server fail; its log says more"}"#
    );
    let answer = server.post("/-/quit", "").await;
    assert_eq!(
        (answer.status, answer.text()),
        (200, "Requesting termination... Goodbye!")
    );
    assert_eq!(quits.recv(), Ok(()));
}

#[tokio::test]
async fn metrics_page() {
    let server = starting();
    let _ = server.get("/-/healthy").await;
    let _ = server.get("/nothing").await;
    let answer = server.get("/metrics").await;
    assert_eq!(
        answer.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
    );
    let page = answer.text();
    for line in [
        "# TYPE prometheus_build_info gauge",
        "# TYPE process_cpu_seconds_total counter",
        "# TYPE prometheus_engine_query_duration_seconds summary",
        "prometheus_engine_queries 0",
        "prometheus_engine_queries_concurrent_max 20",
        "prometheus_engine_query_duration_seconds{slice=\"inner_eval\",quantile=\"0.5\"} NaN",
        "prometheus_engine_query_duration_seconds_count{slice=\"inner_eval\"} 0",
        "prometheus_http_requests_total{code=\"200\",handler=\"/-/healthy\"} 1",
        "prometheus_http_requests_total{code=\"404\",handler=\"not_found\"} 1",
        "prometheus_http_requests_total{code=\"200\",handler=\"/api/v1/label/:name/values\"} 0",
        "prometheus_http_request_duration_seconds_bucket{handler=\"/-/healthy\",le=\"+Inf\"} 1",
        "prometheus_http_response_size_bytes_bucket{handler=\"/-/healthy\",le=\"100\"} 1",
        "prometheus_http_response_size_bytes_sum{handler=\"/-/healthy\"} 30",
    ] {
        assert!(page.lines().any(|l| l == line), "{line} is not in\n{page}");
    }
    // Every family has its two lines once, and every sample belongs to the family above it.
    let (mut family, mut families) = ("", std::collections::BTreeSet::new());
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            family = rest.split(' ').next().unwrap();
            assert!(families.insert(family), "{family} twice");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            assert_eq!(rest.split(' ').next(), Some(family));
        } else {
            assert!(line.starts_with(family), "{line} stands below {family}");
        }
    }
    assert_eq!(server.get("/metrics/host").await.status, 404);
}

#[tokio::test]
async fn long_answers_are_compressed_on_request() {
    let server = starting();
    let headers = [("accept-encoding", "gzip")];
    let answer = server.send(Method::GET, "/metrics", &headers, "").await;
    assert_eq!(answer.header("content-encoding"), "gzip");
    let mut page = String::new();
    flate2::read::GzDecoder::new(&*answer.bytes)
        .read_to_string(&mut page)
        .unwrap();
    assert!(page.starts_with("# HELP prometheus_build_info "));
    let answer = server
        .send(Method::GET, "/api/v1/status/walreplay", &headers, "")
        .await;
    assert_eq!(answer.header("content-encoding"), "");
}

#[tokio::test]
async fn panics_outside_of_threads_are_answered() {
    let response = survive(async { panic!("on purpose") }).await;
    assert_eq!(response.status(), 500);
}
