use crate::test_server::TestServer;

async fn expect(server: &TestServer, path: &str, data: &str, warned: bool) {
    let warnings = if warned {
        r#","warnings":["results truncated due to limit"]"#
    } else {
        ""
    };
    let answer = server.get(path).await;
    let expected = format!("{{\"status\":\"success\",\"data\":{data}{warnings}}}");
    assert_eq!(answer.text(), expected, "{path}");
}

#[tokio::test]
async fn label_names() {
    let server = TestServer::new();
    for (query, data, warned) in [
        ("", r#"["__name__","instance","job","lab.el"]"#, false),
        ("?limit=2", r#"["__name__","instance"]"#, true),
        (
            "?limit=4",
            r#"["__name__","instance","job","lab.el"]"#,
            false,
        ),
        (
            "?match[]=foo_total",
            r#"["__name__","job","lab.el"]"#,
            false,
        ),
        (
            "?match[]=foo_total&match[]=up",
            r#"["__name__","instance","job","lab.el"]"#,
            false,
        ),
        (
            "?match[]=foo_total&match[]=up&limit=3",
            r#"["__name__","instance","job"]"#,
            true,
        ),
        ("?match[]=nothing", "[]", false),
        ("?start=2&end=1", "[]", false),
    ] {
        expect(&server, &format!("/api/v1/labels{query}"), data, warned).await;
    }
    let answer = server
        .post("/api/v1/labels", "match%5B%5D=up&limit=2")
        .await;
    assert_eq!(
        answer.text(),
        r#"{"status":"success","data":["__name__","instance"],"warnings":["results truncated due to limit"]}"#
    );
}

#[tokio::test]
async fn label_values() {
    let server = TestServer::new();
    for (path, data, warned) in [
        ("job/values", r#"["a","b"]"#, false),
        ("job/values/", r#"["a","b"]"#, false),
        ("job/values?limit=1", r#"["a"]"#, true),
        ("job/values?match[]=foo_total", r#"["a"]"#, false),
        (
            "job/values?match[]=%7Bjob=%22b%22%7D&match[]=foo_total",
            r#"["a","b"]"#,
            false,
        ),
        ("__name__/values", r#"["foo_total","up"]"#, false),
        (
            "__name__/values?start=1700000000&end=1700000000&limit=40000",
            r#"["foo_total","up"]"#,
            false,
        ),
        ("U__lab_2e_el/values", r#"["x"]"#, false),
        ("lab.el/values", r#"["x"]"#, false),
        ("lab%2eel/values", r#"["x"]"#, false),
        ("nothing/values", "[]", false),
        ("job/values?start=2&end=1", "[]", false),
    ] {
        expect(&server, &format!("/api/v1/label/{path}"), data, warned).await;
    }
}

#[tokio::test]
async fn series() {
    let server = TestServer::new();
    let foo = r#"{"__name__":"foo_total","job":"a","lab.el":"x"}"#;
    let up_a = r#"{"__name__":"up","instance":"h:1","job":"a"}"#;
    let up_b = r#"{"__name__":"up","instance":"h:2","job":"b"}"#;
    let path = "/api/v1/series?match[]=";
    for (query, data) in [
        ("up", format!("[{up_a},{up_b}]")),
        (
            "up&match[]=foo_total&match[]=up",
            format!("[{foo},{up_a},{up_b}]"),
        ),
        (
            "%7Bjob!=%22%22%7D&start=1700000000&end=1700000020",
            format!("[{foo},{up_a},{up_b}]"),
        ),
        ("nothing", "[]".to_string()),
        ("up&start=2&end=1", "[]".to_string()),
    ] {
        expect(&server, &format!("{path}{query}"), &data, false).await;
    }
    let answer = server
        .post("/api/v1/series", "match%5B%5D=up&limit=1")
        .await;
    let json: serde_json::Value = serde_json::from_slice(&answer.bytes).unwrap();
    assert_eq!(json["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        json["warnings"],
        serde_json::json!(["results truncated due to limit"])
    );
}

#[tokio::test]
async fn metadata() {
    let server = TestServer::new();
    let foo = r#"[{"type":"counter","unit":"","help":"Foos."}]"#;
    let up = r#"[{"type":"gauge","unit":"","help":"\u003cUp\u003e"}]"#;
    for (query, data) in [
        // The counter stands under its family's name and under its series' name.
        (
            "",
            format!(r#"{{"foo":{foo},"foo_total":{foo},"up":{up}}}"#),
        ),
        (
            "?limit=40000&limit_per_metric=1",
            format!(r#"{{"foo":{foo},"foo_total":{foo},"up":{up}}}"#),
        ),
        ("?limit=1", format!(r#"{{"foo":{foo}}}"#)),
        ("?limit=0", "{}".to_string()),
        ("?limit=-1&metric=up", format!(r#"{{"up":{up}}}"#)),
        ("?metric=foo_total", format!(r#"{{"foo_total":{foo}}}"#)),
        ("?metric=nothing", "{}".to_string()),
    ] {
        expect(&server, &format!("/api/v1/metadata{query}"), &data, false).await;
    }
    expect(&server, "/api/v1/targets/metadata", "[]", false).await;
}
