//! Queries that are listed, killed and logged; work that ends when nobody waits for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::ApiOptions;
use crate::test_server::TestServer;

/// Takes minutes.
const LONG: &str = "/api/v1/query_range?query=quantile_over_time(0.5,vector(1)[1d:1s])\
                    &start=1700000000&end=1700010000&step=1&timeout=100s";

/// Longest time until work has stopped, with room for a slow machine.
const SOON: Duration = Duration::from_millis(1500);

async fn until_running(server: &TestServer) -> serde_json::Value {
    for _ in 0..500 {
        let data = server.get("/api/v1/status/active_queries").await.data();
        if data["queries"]
            .as_array()
            .is_some_and(|all| !all.is_empty())
        {
            return data;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no query is running");
}

async fn until_free(server: &TestServer) -> Duration {
    let began = Instant::now();
    while server.state.queries.available_permits() < 20 {
        assert!(began.elapsed() < 10 * SOON, "the query goes on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_listed_and_killed() {
    let server = Arc::new(TestServer::new());
    let asking = server.clone();
    let asked = tokio::spawn(async move { asking.get(LONG).await });
    let data = until_running(&server).await;
    let query = &data["queries"][0];
    assert_eq!(query["query"], "quantile_over_time(0.5,vector(1)[1d:1s])");
    assert_eq!(query["step"], 1.0);
    let kill = |id: &str| format!("/api/v1/status/active_queries/{id}/kill");
    let id = query["id"].as_str().unwrap();
    assert_eq!(server.post(&kill("4711"), "").await.status, 404);
    assert_eq!(server.post(&kill("x"), "").await.status, 400);
    assert_eq!(server.get(&kill(id)).await.status, 405);
    let killed = server.post(&kill(id), "").await;
    assert_eq!(killed.data()["killed"], id);
    let began = Instant::now();
    let answer = asked.await.unwrap();
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert_eq!(answer.status, 499, "{}", answer.text());
    let data = server.get("/api/v1/status/active_queries").await.data();
    assert_eq!(data["queries"], serde_json::json!([]));
    assert_eq!(data["memoryBytes"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_ends_its_query() {
    let server = Arc::new(TestServer::new());
    let asking = server.clone();
    let asked = tokio::spawn(async move { asking.get(LONG).await });
    until_running(&server).await;
    asked.abort();
    assert!(until_free(&server).await < SOON);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_queries_end_in_time() {
    let server = TestServer::new();
    let nested = format!("{}1{}", "(".repeat(100_000), ")".repeat(100_000));
    let functions = format!("{}1{}", "abs(".repeat(100_000), ")".repeat(100_000));
    let regex = format!("up{{job=~\"({}|x)\"}}", "(a{1,1000}){1,1000}".repeat(100));
    let long = format!("up{{{}}}", "job!=\"x\",".repeat(100_000));
    for query in [
        nested.as_str(),
        &functions,
        &regex,
        &long,
        "max_over_time(up[100y:1ms])",
        "sum_over_time(sum_over_time(vector(1)[1d:1s])[1d:1s])",
        "quantile_over_time(0.5,vector(1)[1d:1s])",
    ] {
        let began = Instant::now();
        let form = format!(
            "query={}&timeout=500ms&start=1700000000&end=1700010000&step=1",
            query.replace('%', "%25").replace('+', "%2B")
        );
        let answer = server.post("/api/v1/query_range", &form).await;
        let shown = &query[..query.len().min(60)];
        assert!(
            began.elapsed() < 500 * Duration::from_millis(1) + 2 * SOON,
            "{shown}"
        );
        // The others may be done in time.
        if [nested.as_str(), &functions, &regex].contains(&query) || query.contains("100y") {
            assert!(matches!(answer.status, 400 | 422 | 503), "{shown}");
        }
    }
}

#[tokio::test]
async fn lookups_stop_when_they_are_told_to() {
    let server = TestServer::with(ApiOptions {
        engine: Arc::new(tsdb::Engine::new(tsdb::EngineOptions {
            timeout_ms: 0,
            ..tsdb::EngineOptions::default()
        })),
        ..ApiOptions::default()
    });
    for path in [
        "/api/v1/series?match[]=up",
        "/api/v1/labels?match[]=up",
        "/api/v1/label/job/values?match[]=up",
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 503, "{path}: {}", answer.text());
        assert!(answer.text().contains("took too long"));
    }
    assert_eq!(server.get("/federate?match[]=up").await.status, 503);
}

#[tokio::test]
async fn queries_are_logged() {
    let server = TestServer::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("q.log");
    let file = crate::QueryLogFile::open(&path).unwrap();
    server.state.set_query_log(Some(file));
    server
        .get("/api/v1/query?query=up&time=1700000016")
        .await
        .data();
    // Never evaluated, so not logged.
    let _ = server.get("/api/v1/query?query=up%2B").await;
    let _ = server.get("/api/v1/query?query=up%2Bon()up").await;
    let log = std::fs::read_to_string(path).unwrap();
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["params"]["query"], "up");
    assert_eq!(lines[0]["stats"]["samples"]["totalQueryableSamples"], 2);
    assert_eq!(lines[0]["httpRequest"]["method"], "GET");
    assert!(lines[0]["stats"]["memory"]["peakBytes"].as_u64() > Some(0));
    let error = lines[1]["error"].as_str().unwrap();
    assert!(error.contains("many-to-many"), "{error}");
    let page = server.get("/metrics").await;
    assert!(
        page.text()
            .contains("\nprometheus_engine_query_log_enabled 1\n")
    );
}
