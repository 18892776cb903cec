//! Admin API, blocks, notifications, search, features.

use std::time::Duration;

use http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::ApiOptions;
use crate::test_server::{T0, TestServer};

fn admin() -> (tempfile::TempDir, TestServer) {
    let dir = tempfile::tempdir().unwrap();
    let server = TestServer::with(ApiOptions {
        enable_admin_api: true,
        data_dir: dir.path().to_path_buf(),
        ..ApiOptions::default()
    });
    (dir, server)
}

async fn put(server: &TestServer, path: &str) -> (u16, String) {
    let path = format!("/api/v1/admin/tsdb/{path}");
    let answer = server.send(Method::PUT, &path, &[], "").await;
    (answer.status, answer.text().to_string())
}

#[tokio::test]
async fn disabled() {
    let server = TestServer::new();
    for path in ["delete_series?match[]=up", "clean_tombstones", "snapshot"] {
        let (status, text) = put(&server, path).await;
        assert_eq!(status, 500);
        assert_eq!(
            text,
            r#"{"status":"error","errorType":"unavailable","error":"admin APIs disabled"}"#
        );
    }
    assert_eq!(
        server
            .get("/api/v1/series?match[]=up")
            .await
            .data()
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn deletes() {
    let (_dir, server) = admin();
    for (query, error) in [
        ("", "no match[] parameter provided"),
        (
            "?match[]=up&start=x",
            "invalid parameter \"start\": invalid time value for 'start': cannot parse \"x\" to a valid timestamp",
        ),
        (
            "?match[]=up&match[]=%7B",
            "invalid parameter \"match[]\": 1:2: parse error: unexpected end of input inside braces",
        ),
        (
            "?match[]=%zz",
            "error parsing form values: invalid URL escape \"%zz\"",
        ),
    ] {
        let (status, text) = put(&server, &format!("delete_series{query}")).await;
        let json: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (status, json["error"].as_str().unwrap()),
            (400, error),
            "{query}"
        );
    }
    let count = async || {
        let answer = server
            .get("/api/v1/query?query=count(up)or+vector(0)&time=1700000020")
            .await;
        answer.data()["result"][0]["value"][1]
            .as_str()
            .unwrap()
            .to_string()
    };
    // Nothing was deleted by a request with a mistake in it, and `{}` and no time select nothing.
    for query in ["?match[]=%7B%7D", "?match[]=up&start=5&end=1"] {
        assert_eq!(
            put(&server, &format!("delete_series{query}")).await,
            (204, String::new())
        );
        assert_eq!(count().await, "2", "{query}");
    }
    let one = "delete_series?match[]=up%7Bjob%3D%22a%22%7D";
    assert_eq!(put(&server, one).await.0, 204);
    assert_eq!(count().await, "1");
    let form = server
        .post("/api/v1/admin/tsdb/delete_series", "match[]=up")
        .await;
    assert_eq!(form.status, 204);
    assert_eq!(count().await, "0");
    assert_eq!(put(&server, "clean_tombstones").await, (204, String::new()));
    assert_eq!(count().await, "0");
}

#[tokio::test]
async fn snapshots_and_blocks() {
    let (dir, server) = admin();
    let (status, text) = put(&server, "snapshot").await;
    assert_eq!(status, 200, "{text}");
    let json: Value = serde_json::from_str(&text).unwrap();
    let name = json["data"]["name"].as_str().unwrap();
    let copy = dir.path().join("snapshots").join(name);
    let options = tsdb::Options {
        maintenance_interval_ms: 0,
        ..tsdb::Options::default()
    };
    let db = tsdb::Db::open(&copy, options).unwrap();
    let querier = tsdb::Queryable::querier(&db, T0, T0 + 60_000).unwrap();
    assert_eq!(querier.label_values("job", &[], 0).unwrap(), ["a", "b"]);
    let (status, text) = put(&server, "snapshot?skip_head=true").await;
    assert_eq!(status, 200, "{text}");
    let (status, text) = put(&server, "snapshot?skip_head=x").await;
    assert_eq!(status, 400);
    assert!(text.contains(r#"invalid parameter \"skip_head\": unable to parse boolean: strconv.ParseBool: parsing \"x\": invalid syntax"#), "{text}");

    let blocks = server.get("/api/v1/status/tsdb/blocks").await.data();
    assert_eq!(blocks, json!({"blocks": []}));
    server
        .db
        .as_ref()
        .unwrap()
        .cut(T0 + 10 * 7_200_000)
        .unwrap();
    let blocks = server.get("/api/v1/status/tsdb/blocks").await.data();
    let block = &blocks["blocks"][0];
    assert_eq!(block["minTime"], T0);
    assert_eq!(block["maxTime"], T0 + 15_001);
    assert_eq!(block["stats"]["numSeries"], 3);
    assert_eq!(block["stats"]["numSamples"], 6);
    assert_eq!(block["compaction"]["level"], 1);
}

#[tokio::test]
async fn notifications_are_told_live() {
    let server = TestServer::starting(ApiOptions::default());
    let active = server.get("/api/v1/notifications").await.data();
    assert_eq!(
        active[0]["text"],
        "Prometheus is starting and replaying the write-ahead log."
    );
    let request = Request::get("/api/v1/notifications/live").body(()).unwrap();
    let (head, ()) = request.into_parts();
    let response = server.api.answer(head.clone(), bytes::Bytes::new()).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    let mut next = async || {
        let frame = tokio::time::timeout(Duration::from_secs(5), body.frame())
            .await
            .unwrap()?;
        let bytes = frame.unwrap().into_data().unwrap();
        let text = std::str::from_utf8(&bytes).unwrap();
        let json = text
            .strip_prefix("data: ")
            .unwrap()
            .strip_suffix("\n\n")
            .unwrap();
        Some(serde_json::from_str::<Value>(json).unwrap())
    };
    assert!(
        next().await.unwrap()["text"]
            .as_str()
            .unwrap()
            .contains("starting")
    );
    server.state.config_failed();
    let told = next().await.unwrap();
    assert_eq!(
        (&told["text"], &told["active"]),
        (&json!("Configuration reload has failed."), &json!(true))
    );
    server.state.config_applied(server.state.config());
    assert_eq!(next().await.unwrap()["active"], false);
    // The end of the program ends the listening.
    server.state.stop();
    assert!(
        next().await.unwrap()["text"]
            .as_str()
            .unwrap()
            .contains("shutting down")
    );
    assert_eq!(next().await, None);
    let late = server.api.answer(head, bytes::Bytes::new()).await;
    assert_eq!(late.status(), 204);
}

#[tokio::test]
async fn listeners_are_few() {
    let server = TestServer::new();
    let ask = || async {
        let request = Request::get("/api/v1/notifications/live").body(()).unwrap();
        server
            .api
            .answer(request.into_parts().0, bytes::Bytes::new())
            .await
    };
    let mut all = Vec::new();
    for _ in 0..16 {
        all.push(ask().await);
    }
    assert!(all.iter().all(|r| r.status() == 200));
    assert_eq!(ask().await.status(), 204);
    all.clear();
    // Their tasks notice it soon.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(ask().await.status(), 200);
}

async fn search(server: &TestServer, query: &str) -> Vec<Value> {
    let answer = server.get(&format!("/api/v1/search/{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.header("content-type"),
        "application/x-ndjson; charset=utf-8"
    );
    answer
        .text()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect()
}

#[tokio::test]
async fn searches() {
    let server = TestServer::new();
    let end = json!({"status": "success", "has_more": false});
    let more = json!({"status": "success", "has_more": true});
    let names = |names: &[&str]| json!({"results": names.iter().map(|n| json!({"name": n})).collect::<Vec<_>>()});
    assert_eq!(
        search(&server, "metric_names").await,
        [names(&["foo_total", "up"]), end.clone()]
    );
    assert_eq!(
        search(&server, "metric_names?search[]=u").await,
        [names(&["up"]), end.clone()]
    );
    assert_eq!(
        search(&server, "metric_names?search[]=zz").await,
        [names(&[]), end.clone()]
    );
    assert_eq!(
        search(&server, "metric_names?search[]=UP&case_sensitive=false").await[0],
        names(&["up"])
    );
    assert_eq!(
        search(&server, "metric_names?limit=1").await,
        [names(&["foo_total"]), more]
    );
    assert_eq!(
        search(&server, "metric_names?batch_size=1").await,
        [names(&["foo_total"]), names(&["up"]), end]
    );
    assert_eq!(
        search(
            &server,
            "metric_names?search[]=o&search[]=u&sort_by=score&include_score=true"
        )
        .await[0]["results"][0],
        json!({"name": "up", "score": 1.0})
    );
    assert_eq!(
        search(&server, "metric_names?include_metadata=true").await[0]["results"],
        json!([
            {"name": "foo_total", "type": "counter", "help": "Foos."},
            {"name": "up", "type": "gauge", "help": "<Up>"},
        ])
    );
    assert_eq!(
        search(
            &server,
            "metric_names?match[]=up&match[]=foo_total&sort_by=alpha&sort_dir=dsc"
        )
        .await[0],
        names(&["up", "foo_total"])
    );
    assert_eq!(
        search(&server, "label_names").await[0],
        names(&["__name__", "instance", "job", "lab.el"])
    );
    assert_eq!(
        search(&server, "label_values?label=job").await[0],
        json!({"results": [{"value": "a"}, {"value": "b"}]})
    );
    // The last hour by default.
    assert_eq!(
        search(&server, "metric_names?start=1&end=2").await[0],
        names(&[])
    );
    for (query, error) in [
        ("label_values", "missing required parameter \"label\""),
        (
            "metric_names?start=2&end=1",
            "end timestamp must not be before start timestamp",
        ),
        (
            "metric_names?limit=0",
            "invalid limit \"0\": must be a positive integer",
        ),
        (
            "metric_names?limit=10001",
            "limit 10001 exceeds the configured maximum (10000)",
        ),
        (
            "metric_names?batch_size=x",
            "invalid batch_size \"x\": must be a positive integer",
        ),
        (
            "metric_names?fuzz_threshold=101",
            "invalid fuzz_threshold \"101\": must be 0-100",
        ),
        (
            "metric_names?fuzz_alg=x",
            "unsupported fuzz_alg \"x\": must be one of [subsequence jarowinkler]",
        ),
        (
            "metric_names?sort_dir=asc",
            "sort_dir is only valid when sort_by is set",
        ),
        (
            "metric_names?sort_by=score",
            "sort_by=score requires search[] to be set",
        ),
        (
            "metric_names?sort_by=x",
            "invalid sort_by \"x\" for metric_names: must be \"alpha\" or \"score\"",
        ),
        (
            "metric_names?sort_by=alpha&sort_dir=x",
            "invalid sort_dir \"x\": must be \"asc\" or \"dsc\"",
        ),
        (
            "metric_names?case_sensitive=x",
            "invalid case_sensitive \"x\": must be boolean",
        ),
    ] {
        let answer = server.get(&format!("/api/v1/search/{query}")).await;
        let json: Value = serde_json::from_slice(&answer.bytes).unwrap();
        assert_eq!(
            (answer.status, json["error"].as_str().unwrap()),
            (400, error),
            "{query}"
        );
    }
}

#[tokio::test]
async fn families_and_features() {
    let server = TestServer::new();
    let data = server
        .get("/api/v1/status/self_metrics?metric_name_pattern=prometheus_b.*")
        .await
        .data();
    assert_eq!(data.as_array().unwrap().len(), 1);
    assert_eq!(data[0]["metric"][0]["gauge"]["value"], 1.0);
    let all = server.get("/api/v1/status/self_metrics").await.data();
    assert!(all.as_array().unwrap().len() > 50);
    let bad = server
        .get("/api/v1/status/self_metrics?metric_name_pattern=(")
        .await;
    assert_eq!(bad.status, 400);
    let answer = server.get("/api/v1/features").await;
    assert!(answer.text().contains("\">=\":true"));
    assert_eq!(answer.data()["api"]["admin"], false);
}
