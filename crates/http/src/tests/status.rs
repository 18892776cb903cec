use crate::ApiOptions;
use crate::test_server::TestServer;

async fn expect(server: &TestServer, path: &str, data: &str) {
    let answer = server.get(path).await;
    assert_eq!(
        answer.text(),
        format!("{{\"status\":\"success\",\"data\":{data}}}"),
        "{path}"
    );
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn nothing_is_scraped() {
    let server = TestServer::new();
    let targets = r#"{"activeTargets":[],"droppedTargets":[],"droppedTargetCounts":{}}"#;
    for (path, data) in [
        ("targets", targets),
        ("scrape_pools", r#"{"scrapePools":[]}"#),
        ("targets/metadata", "[]"),
        ("rules", r#"{"groups":[]}"#),
        (
            "rules?type=alert&rule_name[]=x&file=f&exclude_alerts=true&group_limit=5",
            r#"{"groups":[]}"#,
        ),
        ("alerts", r#"{"alerts":[]}"#),
        (
            "alertmanagers",
            r#"{"activeAlertmanagers":[],"droppedAlertmanagers":[]}"#,
        ),
        ("notifications", "[]"),
    ] {
        expect(&server, &format!("/api/v1/{path}"), data).await;
    }
}

#[tokio::test]
async fn targets_of_a_configuration() {
    let server = TestServer::scraping(
        "scrape_configs:\n- job_name: j\n  scrape_interval: 1d\n  scrape_timeout: 10s\n  \
         static_configs:\n  - targets: ['h:1', 'gone:1']\n  relabel_configs:\n  \
         - {source_labels: [__address__], regex: 'gone.*', action: drop}\n",
    );
    let discovered = |address: &str| {
        format!(
            r#"{{"__address__":"{address}","__metrics_path__":"/metrics","__scheme__":"http","__scrape_interval__":"1d","__scrape_timeout__":"10s","job":"j"}}"#
        )
    };
    let expected = format!(
        r#"{{"activeTargets":[{{"discoveredLabels":{},"labels":{{"instance":"h:1","job":"j"}},"scrapePool":"j","scrapeUrl":"http://h:1/metrics","globalUrl":"http://h:1/metrics","lastError":"","lastScrape":"0001-01-01T00:00:00Z","lastScrapeDuration":0.0,"health":"unknown","scrapeInterval":"1d","scrapeTimeout":"10s"}}],"droppedTargets":[{{"discoveredLabels":{},"scrapePool":"j"}}],"droppedTargetCounts":{{"j":1}}}}"#,
        discovered("h:1"),
        discovered("gone:1")
    );
    expect(&server, "/api/v1/targets?state=any&scrapePool=j", &expected).await;
    expect(&server, "/api/v1/scrape_pools", r#"{"scrapePools":["j"]}"#).await;
    let page = server.get("/metrics").await;
    for line in [
        "prometheus_target_scrape_pool_targets{scrape_job=\"j\"} 1",
        "prometheus_sd_discovered_targets{config=\"j\",name=\"scrape\"} 2",
    ] {
        assert!(
            page.text().lines().any(|l| l == line),
            "{line} is not in\n{}",
            page.text()
        );
    }
    let index = server.get("/").await;
    assert!(
        index.text().contains("<h2>Targets (0 of 1 up)</h2>"),
        "{}",
        index.text()
    );
    assert!(index.text().contains("<td>http://h:1/metrics</td>"));
}

#[tokio::test]
async fn what_runs() {
    let flags = [("web.b", "x"), ("storage.tsdb.path", "<d>")];
    let server = TestServer::with(ApiOptions {
        flags: flags.map(|(n, v)| (n.to_string(), v.to_string())).to_vec(),
        ..ApiOptions::default()
    });
    let version = env!("CARGO_PKG_VERSION");
    let build = format!(
        r#"{{"version":"3.5.0","revision":"tsdb-{version}","branch":"","buildUser":"","buildDate":"","goVersion":""}}"#
    );
    expect(&server, "/api/v1/status/buildinfo", &build).await;
    let flags = r#"{"storage.tsdb.path":"\u003cd\u003e","web.b":"x"}"#;
    expect(&server, "/api/v1/status/flags", flags).await;
    let data = server.get("/api/v1/status/config").await.data();
    assert_eq!(
        data["yaml"].as_str(),
        Some(server.state.config().to_yaml().as_str())
    );

    let data = server.get("/api/v1/status/runtimeinfo").await.data();
    assert_eq!(data["startTime"], "2023-11-14T22:13:40Z");
    assert_eq!(data["serverTime"], "2023-11-14T22:13:40Z");
    assert_eq!(data["lastConfigTime"], "2023-11-14T22:13:40Z");
    assert_eq!(data["reloadConfigSuccess"], true);
    assert_eq!(data["corruptionCount"], 0);
    assert_eq!(data["storageRetention"], "15d");
    assert_eq!(data["GOMEMLIMIT"], i64::MAX);
    assert!(data["goroutineCount"].as_u64() > Some(0) && data["GOMAXPROCS"].as_u64() > Some(0));
    for text in ["CWD", "hostname", "GOGC", "GODEBUG"] {
        assert!(data[text].is_string(), "{text}");
    }
}

#[tokio::test]
async fn store_status() {
    let server = TestServer::new();
    let data = server.get("/api/v1/status/tsdb").await.data();
    let head = &data["headStats"];
    assert_eq!(head["numSeries"], 3);
    assert_eq!(head["numLabelPairs"], 7);
    assert_eq!(head["minTime"], 1_700_000_000_000_i64);
    assert_eq!(head["maxTime"], 1_700_000_015_000_i64);
    let by_metric = r#"[{"name":"up","value":2},{"name":"foo_total","value":1}]"#;
    assert_eq!(data["seriesCountByMetricName"].to_string(), by_metric);
    let data = server.get("/api/v1/status/tsdb?limit=1").await.data();
    assert_eq!(
        data["seriesCountByMetricName"].to_string(),
        r#"[{"name":"up","value":2}]"#
    );
    for list in [
        "labelValueCountByLabelName",
        "memoryInBytesByLabelName",
        "seriesCountByLabelValuePair",
    ] {
        assert_eq!(data[list].as_array().unwrap().len(), 1, "{list}");
    }
    let data = server.get("/api/v1/status/walreplay").await.data();
    assert_eq!(data["max"], data["current"]);

    let page = server.get("/metrics").await;
    for line in [
        "prometheus_ready 1",
        "prometheus_tsdb_head_series 3",
        "prometheus_tsdb_head_samples_appended_total{type=\"float\"} 6",
        "prometheus_tsdb_head_min_time 1.7e+12",
        "prometheus_tsdb_head_max_time_seconds 1.700000015e+09",
        "prometheus_tsdb_lowest_timestamp_seconds 1.7e+09",
        "prometheus_tsdb_exemplar_exemplars_in_storage 1",
        "prometheus_tsdb_retention_limit_seconds 1.296e+06",
        "prometheus_tsdb_retention_limit_bytes 0",
        "prometheus_tsdb_blocks_loaded 0",
        "prometheus_tsdb_compactions_total 0",
        "prometheus_tsdb_compaction_duration_seconds_bucket{le=\"+Inf\"} 0",
        "prometheus_tsdb_size_retentions_total 0",
        "tsdb_blocks_retired_total{limit=\"size\"} 0",
        "tsdb_wal_failing 0",
    ] {
        assert!(
            page.text().lines().any(|l| l == line),
            "{line} is not in\n{}",
            page.text()
        );
    }
    let ready = server.get("/-/ready").await;
    assert_eq!(
        (ready.status, ready.text()),
        (200, "Prometheus Server is Ready.\n")
    );
}

#[tokio::test]
async fn status_page() {
    let server = TestServer::with(ApiOptions {
        data_dir: "/<data>".into(),
        ..ApiOptions::default()
    });
    let answer = server.get("/").await;
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert!(
        answer
            .header("content-security-policy")
            .starts_with("default-src 'none'")
    );
    let page = answer.text();
    assert!(
        page.contains("<tr><th>Data directory</th><td>/&lt;data&gt;</td></tr>"),
        "{page}"
    );
    assert!(page.contains("<tr><th>Series</th><td>3</td></tr>"));
    assert!(page.contains("Nothing is scraped."));
    // Nothing is loaded from elsewhere.
    for loading in [" src=", "<link", "@import", "url(", "http:", "https:"] {
        assert!(!page.contains(loading), "{loading}");
    }
}

#[tokio::test]
async fn host_metrics() {
    if !tsdb_host::HostCollector::supported() {
        return;
    }
    let host = tsdb_host::HostCollector::new(std::path::Path::new("/"));
    let server = TestServer::starting(ApiOptions {
        host: Some(host),
        ..ApiOptions::default()
    });
    let answer = server.get("/metrics/host").await;
    assert_eq!(
        answer.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    assert!(answer.text().contains("\nnode_scrape_collector_success{"));
}
