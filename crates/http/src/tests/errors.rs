use crate::test_server::TestServer;

/// Checks kind and text of an error; a text that ends in `*` is a beginning.
async fn expect(server: &TestServer, path: &str, status: u16, kind: &str, text: &str) {
    let answer = server.get(path).await;
    assert_eq!(answer.status, status, "{path}: {}", answer.text());
    assert_eq!(answer.header("content-type"), "application/json");
    let json: serde_json::Value = serde_json::from_slice(&answer.bytes).unwrap();
    assert_eq!(
        (json["status"].as_str(), json["errorType"].as_str()),
        (Some("error"), Some(kind))
    );
    assert_eq!(json.as_object().unwrap().len(), 3);
    let error = json["error"].as_str().unwrap();
    match text.strip_suffix('*') {
        Some(beginning) => assert!(error.starts_with(beginning), "{path}: {error}"),
        None => assert_eq!(error, text, "{path}"),
    }
}

#[tokio::test]
async fn whole_answer() {
    let answer = TestServer::new()
        .get("/api/v1/query?query=1&time=%3Cb%3E")
        .await;
    assert_eq!(
        answer.text(),
        r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"time\": invalid time value for 'time': cannot parse \"\u003cb\u003e\" to a valid timestamp"}"#
    );
}

#[tokio::test]
async fn bad_parameters() {
    let server = TestServer::new();
    let empty = "invalid parameter \"query\": unknown position: parse error: no expression found \
                 in input";
    let many = "invalid parameter \"query\": *";
    for (path, text) in [
        ("query", empty),
        ("query?query=%zz", empty),
        ("query?query=1;time=4", many),
        (
            "query?query=1&limit=-1",
            "invalid parameter \"limit\": limit must be non-negative",
        ),
        (
            "query?query=1&limit=x",
            "invalid parameter \"limit\": strconv.Atoi: parsing \"x\": invalid syntax",
        ),
        (
            "query?query=1&timeout=x",
            "invalid parameter \"timeout\": cannot parse \"x\" to a valid duration",
        ),
        (
            "query?query=1&timeout=1e20",
            "invalid parameter \"timeout\": cannot parse \"1e20\" to a valid duration. It \
             overflows int64",
        ),
        (
            "query?query=1&lookback_delta=x",
            "error parsing lookback delta duration: cannot parse \"x\" to a valid duration",
        ),
        (
            "query_range?query=1&start=x&end=2&step=1",
            "invalid parameter \"start\": cannot parse \"x\" to a valid timestamp",
        ),
        (
            "query_range?query=1&start=2&end=1&step=1",
            "invalid parameter \"end\": end timestamp must not be before start time",
        ),
        (
            "query_range?query=1&start=0&end=11001&step=1",
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the \
             query resolution (?step=XX)",
        ),
        (
            "query_range?query=%22a%22&start=0&end=1&step=1",
            "invalid parameter \"query\": invalid expression type \"string\" for range query, \
             must be Scalar or instant Vector",
        ),
        (
            "query_range?query=up%5B1m%5D&start=0&end=1&step=1",
            "invalid parameter \"query\": invalid expression type \"range vector\" for range \
             query, must be Scalar or instant Vector",
        ),
        (
            "query?query=up%7B",
            "invalid parameter \"query\": 1:4: parse error: *",
        ),
        (
            "query?query=%7Ba=%22%22%7D",
            "invalid parameter \"query\": 1:1: parse error: vector selector must contain at \
             least one non-empty matcher",
        ),
        ("format_query?query=", empty),
        ("parse_query?query=", empty),
        (
            "query_exemplars?query=",
            "unknown position: parse error: no expression found in input",
        ),
        (
            "query_exemplars?query=up&start=2&end=1",
            "end timestamp must not be before start timestamp",
        ),
        (
            "query_exemplars?query=up&start=x",
            "invalid parameter \"start\": invalid time value for 'start': cannot parse \"x\" to a \
             valid timestamp",
        ),
    ] {
        expect(&server, &format!("/api/v1/{path}"), 400, "bad_data", text).await;
    }
}

#[tokio::test]
async fn bad_selections() {
    let server = TestServer::new();
    for (path, text) in [
        ("labels?match[]=%7B", "1:2: parse error: *"),
        ("label/job/values?match[]=%7B", "1:2: parse error: *"),
        ("rules?match[]=%7B", "1:2: parse error: *"),
        (
            "series?match[]=%7B",
            "invalid parameter \"match[]\": 1:2: parse error: *",
        ),
        (
            "labels?match[]=%7Ba=%22%22%7D",
            "match[] must contain at least one non-empty matcher",
        ),
        (
            "series?match[]=%7Ba=%22%22%7D",
            "invalid parameter \"match[]\": match[] must contain at least one non-empty matcher",
        ),
        ("series", "no match[] parameter provided"),
        (
            "series?match[]=up&x=%zz",
            "error parsing form values: invalid URL escape \"%zz\"",
        ),
        (
            "rules?x=%zz",
            "error parsing form values: invalid URL escape \"%zz\"",
        ),
        (
            "labels?start=2020-01-01",
            "invalid parameter \"start\": invalid time value for 'start': cannot parse \
             \"2020-01-01\" to a valid timestamp",
        ),
        (
            "series?match[]=up&end=x&limit=-1",
            "invalid parameter \"limit\": limit must be non-negative",
        ),
        ("label/%FF/values", "invalid label name: \"\\xff\""),
        ("label/%zz/values", "invalid URL escape \"%zz\""),
        ("metadata?limit=x", "limit must be a number"),
        (
            "metadata?limit_per_metric=x",
            "limit_per_metric must be a number",
        ),
        ("targets/metadata?limit=x", "limit must be a number"),
        (
            "targets/metadata?match_target=%7B",
            "invalid parameter \"match_target\": 1:2: parse error: *",
        ),
        ("status/tsdb?limit=0", "limit must be a positive number"),
        ("status/tsdb?limit=x", "limit must be a positive number"),
        ("status/tsdb?limit=10001", "limit must not exceed 10000"),
        (
            "rules?type=x",
            "invalid parameter \"type\": not supported value \"x\"",
        ),
        (
            "rules?group_limit=0",
            "invalid parameter \"group_limit\": group_limit needs to be greater than 0",
        ),
        (
            "rules?group_next_token=x",
            "invalid parameter \"group_next_token\": group_limit needs to be present in order to \
             paginate over the groups",
        ),
        (
            "rules?exclude_alerts=x",
            "invalid parameter \"exclude_alerts\": error converting exclude_alerts: \
             strconv.ParseBool: parsing \"x\": invalid syntax",
        ),
    ] {
        expect(&server, &format!("/api/v1/{path}"), 400, "bad_data", text).await;
    }
}

#[tokio::test]
async fn failed_evaluations() {
    let server = TestServer::with(crate::ApiOptions {
        engine: std::sync::Arc::new(tsdb::Engine::new(tsdb::EngineOptions {
            max_samples: 2,
            ..tsdb::EngineOptions::default()
        })),
        ..crate::ApiOptions::default()
    });
    for timeout in ["0", "-1"] {
        let path = format!("/api/v1/query?query=up&timeout={timeout}");
        expect(&server, &path, 503, "timeout", "query timed out in *").await;
    }
    expect(
        &server,
        "/api/v1/query?query=up%2Bup&time=1700000016",
        422,
        "execution",
        "query processing would load too many samples into memory in query execution",
    )
    .await;
    let server = TestServer::new();
    let path = "/api/v1/query?query=label_replace(up,%22a%22,%22%22,%22b%22,%22(%22)";
    let text = "invalid regular expression in label_replace(): (";
    expect(&server, path, 422, "execution", text).await;
}

#[tokio::test]
async fn stopping() {
    let server = TestServer::new();
    server.state.stop();
    let answer = server.get("/api/v1/labels").await;
    assert_eq!((answer.status, answer.text()), (503, "Service Unavailable"));
    assert_eq!(answer.header("x-prometheus-stopping"), "true");
}

#[tokio::test]
async fn too_many_parameters() {
    let server = TestServer::new();
    let answer = server.post("/api/v1/labels", &"a&".repeat(100_000)).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("too many parameters"));
}

#[tokio::test]
async fn memory_comes_back_when_the_answer_is_sent() {
    let server = TestServer::with(crate::ApiOptions {
        engine: std::sync::Arc::new(tsdb::Engine::new(tsdb::EngineOptions {
            max_query_bytes: 1000,
            max_total_bytes: 100_000,
            ..tsdb::EngineOptions::default()
        })),
        ..crate::ApiOptions::default()
    });
    let path = "/api/v1/query?query=up&time=1700000016";
    server.get(path).await.data();
    assert_eq!(server.state.options.engine.memory().used(), 0);
    let path = "/api/v1/query_range?query=up&start=1700000000&end=1700000300&step=1";
    expect(
        &server,
        path,
        422,
        "execution",
        "query processing would load too many samples into memory in query execution: *",
    )
    .await;
    assert_eq!(server.state.options.engine.memory().used(), 0);
    let page = server.get("/metrics").await;
    assert!(
        page.text()
            .contains("\ntsdb_query_memory_limit_bytes 100000\n")
    );
}
