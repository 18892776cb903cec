use std::time::Duration;

use http::Method;

use crate::test_server::TestServer;

async fn expect(server: &TestServer, path: &str, expected: &str) {
    let answer = server.get(path).await;
    assert_eq!(answer.text(), expected, "{path}");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
}

#[tokio::test]
async fn instant_queries() {
    let server = TestServer::new();
    for (query, data) in [
        (
            "foo_total&time=1700000015.5",
            r#"{"resultType":"vector","result":[{"metric":{"__name__":"foo_total","job":"a","lab.el":"x"},"value":[1700000015.500,"10"]}]}"#,
        ),
        (
            "up%7Bjob=%22b%22%7D&time=2023-11-14T22:13:40Z",
            r#"{"resultType":"vector","result":[{"metric":{"__name__":"up","instance":"h:2","job":"b"},"value":[1700000020,"1e-07"]}]}"#,
        ),
        // Without a time: now.
        (
            "sum(up)%2B0",
            r#"{"resultType":"vector","result":[{"metric":{},"value":[1700000020,"1.0000001"]}]}"#,
        ),
        (
            "1%2B1&time=4",
            r#"{"resultType":"scalar","result":[4,"2"]}"#,
        ),
        (
            "1e21&time=4.41",
            r#"{"resultType":"scalar","result":[4.41,"1000000000000000000000"]}"#,
        ),
        (
            "%22a%3Cb%22&time=4",
            r#"{"resultType":"string","result":[4,"a\u003cb"]}"#,
        ),
        ("nothing&time=4", r#"{"resultType":"vector","result":[]}"#),
        ("up&time=NaN", r#"{"resultType":"vector","result":[]}"#),
        (
            "foo_total%5B1m%5D&time=1700000016",
            r#"{"resultType":"matrix","result":[{"metric":{"__name__":"foo_total","job":"a","lab.el":"x"},"values":[[1700000000,"0"],[1700000015,"10"]]}]}"#,
        ),
    ] {
        let expected = format!("{{\"status\":\"success\",\"data\":{data}}}");
        expect(&server, &format!("/api/v1/query?query={query}"), &expected).await;
    }
    // Unknown parameters and a trailing slash do not matter.
    expect(
        &server,
        "/api/v1/query/?query=1&time=4&max_samples_processed_error_threshold=7",
        r#"{"status":"success","data":{"resultType":"scalar","result":[4,"1"]}}"#,
    )
    .await;
}

#[tokio::test]
async fn range_queries() {
    let server = TestServer::new();
    for (query, data) in [
        (
            "foo_total&start=1700000000&end=1700000030&step=15",
            r#"{"resultType":"matrix","result":[{"metric":{"__name__":"foo_total","job":"a","lab.el":"x"},"values":[[1700000000,"0"],[1700000015,"10"],[1700000030,"10"]]}]}"#,
        ),
        (
            "1&start=1&end=2&step=500ms",
            r#"{"resultType":"matrix","result":[{"metric":{},"values":[[1,"1"],[1.500,"1"],[2,"1"]]}]}"#,
        ),
        (
            "nothing&start=0&end=0&step=1",
            r#"{"resultType":"matrix","result":[]}"#,
        ),
    ] {
        let expected = format!("{{\"status\":\"success\",\"data\":{data}}}");
        expect(
            &server,
            &format!("/api/v1/query_range?query={query}"),
            &expected,
        )
        .await;
    }
}

#[tokio::test]
async fn forms_win_over_the_url() {
    let server = TestServer::new();
    let path = "/api/v1/query?query=1&time=4";
    let two = r#"{"status":"success","data":{"resultType":"scalar","result":[4,"2"]}}"#;
    let one = two.replace('2', "1");
    assert_eq!(server.post(path, "query=2").await.text(), two);
    assert_eq!(server.post(path, "").await.text(), one);
    let multipart = [("content-type", "multipart/form-data; boundary=B")];
    let body = "--B\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\n2\r\n--B--\r\n";
    assert_eq!(
        server
            .send(Method::POST, path, &multipart, body)
            .await
            .text(),
        two
    );
    // The body of a GET and a body of another type are not read.
    let json = [("content-type", "application/json")];
    let body = r#"{"query":"2"}"#;
    assert_eq!(
        server.send(Method::POST, path, &json, body).await.text(),
        one
    );
    let form = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(
        server
            .send(Method::GET, path, &form, "query=2")
            .await
            .text(),
        one
    );
}

#[tokio::test]
async fn limits_and_stats() {
    let server = TestServer::new();
    let answer = server.get("/api/v1/query?query=sort(up)&limit=1").await;
    assert_eq!(
        answer.text(),
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","instance":"h:2","job":"b"},"value":[1700000020,"1e-07"]}]},"warnings":["results truncated due to limit"]}"#
    );
    let path = "/api/v1/query_range?query=up&start=1700000000&end=1700000015&step=15&limit=2";
    let answer = server.get(path).await;
    assert!(!answer.text().contains("warnings"), "{}", answer.text());

    let data = server.get("/api/v1/query?query=up&stats=all").await.data();
    let samples = &data["stats"]["samples"];
    assert_eq!(samples["totalQueryableSamples"], 2);
    assert!(samples["peakSamples"].as_u64() >= Some(2), "{data}");
    for timing in [
        "evalTotalTime",
        "resultSortTime",
        "queryPreparationTime",
        "innerEvalTime",
        "execQueueTime",
        "execTotalTime",
    ] {
        assert!(
            data["stats"]["timings"][timing].as_f64() >= Some(0.0),
            "{timing}: {data}"
        );
    }
    let page = server.get("/metrics").await;
    let count = "prometheus_engine_query_duration_seconds_count{slice=\"inner_eval\"} 3";
    assert!(page.text().contains(count));
}

#[tokio::test]
async fn lookback_can_be_changed() {
    let server = TestServer::new();
    let path = "/api/v1/query?query=count(up)&time=1700000016&lookback_delta=";
    let found = |answer: serde_json::Value| answer["result"].as_array().unwrap().len();
    assert_eq!(found(server.get(&format!("{path}2s")).await.data()), 1);
    assert_eq!(found(server.get(&format!("{path}0.5")).await.data()), 0);
    assert_eq!(found(server.get(&format!("{path}0")).await.data()), 1);
}

#[tokio::test]
async fn annotations_are_shown() {
    let server = TestServer::new();
    let answer = server
        .get("/api/v1/query?query=rate(up%5B1m%5D)&time=1700000016")
        .await;
    let json: serde_json::Value = serde_json::from_slice(&answer.bytes).unwrap();
    let info = json["infos"][0].as_str().unwrap();
    assert!(
        info.starts_with("PromQL info: metric might not be a counter"),
        "{info}"
    );
}

#[tokio::test]
async fn a_query_waits_for_its_turn_no_longer_than_its_timeout() {
    let server = TestServer::with(crate::ApiOptions {
        max_concurrency: 1,
        ..crate::ApiOptions::default()
    });
    let slot = server.state.queries.clone().acquire_owned().await.unwrap();
    let answer = server.get("/api/v1/query?query=1&timeout=20ms").await;
    assert_eq!(
        (answer.status, answer.text()),
        (
            503,
            r#"{"status":"error","errorType":"timeout","error":"query timed out in query queue"}"#
        )
    );
    let waiting = server.get("/api/v1/query?query=1&time=4");
    tokio::pin!(waiting);
    let early = tokio::time::timeout(Duration::from_millis(20), &mut waiting).await;
    assert!(early.is_err());
    assert_eq!(server.state.engine_counters.snapshot().0, 1);
    drop(slot);
    assert_eq!(waiting.await.status, 200);
    assert_eq!(server.state.engine_counters.snapshot().0, 0);
}

#[tokio::test]
async fn a_gone_client_stops_its_query() {
    let server = TestServer::new();
    // Ten million evaluations: minutes, were it not stopped.
    let path = "/api/v1/query?query=count_over_time((up%2Bup)%5B10000000s:1s%5D)";
    let asked = tokio::time::timeout(Duration::from_millis(100), server.get(path)).await;
    if let Ok(answer) = asked {
        panic!("the query was over too soon: {}", answer.text());
    }
    for _ in 0..500 {
        if server.state.engine_counters.snapshot().0 == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the query still runs");
}

#[tokio::test]
async fn exemplars() {
    let server = TestServer::new();
    let path = "/api/v1/query_exemplars?query=histogram_quantile(0.9,rate(foo_total%5B1m%5D))";
    let found = r#"{"status":"success","data":[{"seriesLabels":{"__name__":"foo_total","job":"a","lab.el":"x"},"exemplars":[{"labels":{"trace_id":"abc"},"value":"0.67","timestamp":1700000000.001}]}]}"#;
    let none = r#"{"status":"success","data":[]}"#;
    expect(
        &server,
        &format!("{path}&start=1700000000&end=1700000100"),
        found,
    )
    .await;
    expect(&server, path, found).await;
    expect(&server, &format!("{path}&start=1700000001"), none).await;
    // Grafana's probe: milliseconds where seconds are meant, parameters in the URL of a POST.
    let probe = "/api/v1/query_exemplars?query=test&start=1700000000000&end=1700000100000";
    assert_eq!(server.post(probe, "").await.text(), none);
    let answer = server.get("/api/v1/query_exemplars?query=1").await;
    assert_eq!((answer.status, answer.text()), (204, ""));
}

#[tokio::test]
async fn format_and_parse() {
    let server = TestServer::new();
    expect(
        &server,
        "/api/v1/format_query?query=sum%20by(job)(up)",
        r#"{"status":"success","data":"sum by (job) (up)"}"#,
    )
    .await;
    let selector = |kind: &str, name: &str, rest: &str| {
        format!(
            r#"{{"anchored":false,"matchers":[{{"name":"__name__","type":"=","value":"{name}"}}],"name":"{name}",{rest},"smoothed":false,"startOrEnd":null,"timestamp":null,"type":"{kind}"}}"#
        )
    };
    let up = selector("vectorSelector", "up", r#""offset":0"#);
    let matrix = selector("matrixSelector", "up", r#""offset":-60000,"range":300000"#);
    for (query, tree) in [
        ("2", r#"{"type":"numberLiteral","val":"2"}"#.to_string()),
        ("\"a<\"", r#"{"type":"stringLiteral","val":"a\u003c"}"#.to_string()),
        ("up", up.clone()),
        ("(up)", format!(r#"{{"expr":{up},"type":"parenExpr"}}"#)),
        ("-up", format!(r#"{{"expr":{up},"op":"-","type":"unaryExpr"}}"#)),
        (
            "rate(up[5m] offset -1m)",
            format!(
                r#"{{"args":[{matrix}],"func":{{"argTypes":["matrix"],"name":"rate","returnType":"vector","variadic":0}},"type":"call"}}"#
            ),
        ),
        (
            "topk without(a) (2, up)",
            format!(
                r#"{{"expr":{up},"grouping":["a"],"op":"topk","param":{{"type":"numberLiteral","val":"2"}},"type":"aggregation","without":true}}"#
            ),
        ),
        (
            "up == bool on(j) group_left(k) up",
            format!(
                r#"{{"bool":true,"lhs":{up},"matching":{{"card":"many-to-one","fillValues":{{"lhs":null,"rhs":null}},"include":["k"],"labels":["j"],"on":true}},"op":"==","rhs":{up},"type":"binaryExpr"}}"#
            ),
        ),
        (
            "1 + 2",
            r#"{"bool":false,"lhs":{"type":"numberLiteral","val":"1"},"matching":null,"op":"+","rhs":{"type":"numberLiteral","val":"2"},"type":"binaryExpr"}"#.to_string(),
        ),
        (
            "up[1h:5m] @ end()",
            format!(
                r#"{{"expr":{up},"offset":0,"range":3600000,"startOrEnd":"end","step":300000,"timestamp":null,"type":"subquery"}}"#
            ),
        ),
        ("up @ 1.5", up.replace("\"timestamp\":null", "\"timestamp\":1500")),
    ] {
        let escaped = query.replace('+', "%2b");
        let answer = server.post("/api/v1/parse_query", &format!("query={escaped}")).await;
        let expected = format!("{{\"status\":\"success\",\"data\":{tree}}}");
        assert_eq!(answer.text(), expected, "{query}");
    }
}

#[tokio::test]
async fn deep_queries_do_no_harm() {
    let server = TestServer::new();
    for depth in [50, 950, 5000] {
        for (open, inner, close) in [
            ("(", "up", ")"),
            ("-", "up", ""),
            ("1%2b", "up", ""),
            ("abs(", "up", ")"),
            ("1^", "up", ""),
        ] {
            let query = open.repeat(depth) + inner + &close.repeat(depth);
            let form = format!("query={query}");
            for endpoint in ["format_query", "parse_query", "query_exemplars", "query"] {
                let answer = server.post(&format!("/api/v1/{endpoint}"), &form).await;
                assert!(
                    matches!(answer.status, 200 | 400 | 422),
                    "{endpoint} {open} {depth}: {} {}",
                    answer.status,
                    answer.text()
                );
                if depth < 1000 {
                    assert_eq!(answer.status, 200, "{endpoint} {open}");
                }
            }
        }
    }
}
