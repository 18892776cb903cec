//! Tests of the whole way: configuration, HTTP, store, views. Targets are served by `tsdb-net`.

use super::*;
use crate::test_store::TestStore;
use crate::view::Health;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;
use tsdb_net::{Body, Server, ServerOptions, server};

struct Bench {
    store: Arc<TestStore>,
    manager: Arc<ScrapeManager>,
    /// `127.0.0.1:port` of the page server.
    address: String,
}

/// The pages: the path says how the answer is.
async fn page(request: server::Request) -> server::Response {
    let text = "# HELP a some help\n# TYPE a counter\na 1\n";
    let answer = |content_type: &str, body: Vec<u8>| {
        let builder = http::Response::builder().header("content-type", content_type);
        builder.body(Body::full(body)).unwrap()
    };
    match request.uri().path() {
        "/gzip" => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(text.as_bytes()).unwrap();
            let mut response = answer("text/plain", gzip.finish().unwrap());
            let gzip = http::HeaderValue::from_static("gzip");
            response.headers_mut().insert("content-encoding", gzip);
            response
        }
        "/openmetrics" => {
            let text = "# TYPE a counter\na_total 1\n# EOF\n";
            answer("application/openmetrics-text; version=1.0.0", text.into())
        }
        "/html" => answer("text/html", text.into()),
        "/missing" => {
            let mut response = answer("text/plain", text.into());
            *response.status_mut() = http::StatusCode::NOT_FOUND;
            response
        }
        "/headers" => {
            let mut text = String::new();
            for (name, value) in request.headers() {
                let _ = writeln!(text, "h{{name=\"{name}\",value={value:?}}} 1");
            }
            answer("text/plain", text.into())
        }
        "/slow" => std::future::pending().await,
        _ => answer("text/plain; version=0.0.4", text.into()),
    }
}

impl Bench {
    async fn new() -> Self {
        let server = Server::bind(&["127.0.0.1:0"], ServerOptions::default())
            .await
            .unwrap();
        let address = server.local_addrs()[0].to_string();
        tokio::spawn(server.serve(Arc::new(page), std::future::pending()));
        let store = TestStore::new();
        let options = ScrapeOptions {
            external_url: "http://box.example:9090/".to_string(),
            ..ScrapeOptions::default()
        };
        Self {
            manager: ScrapeManager::new(store.clone(), options),
            store,
            address,
        }
    }

    /// Applies jobs given as YAML; `ADDR` stands for the page server.
    fn apply(&self, jobs: &str) {
        let yaml = format!(
            "global: {{scrape_interval: 100ms, scrape_timeout: 100ms}}\nscrape_configs:\n{jobs}"
        );
        let yaml = yaml.replace("ADDR", &self.address);
        self.manager
            .apply(&Config::parse(&yaml, "test.yml").unwrap());
    }

    fn only(&self) -> ActiveTarget {
        let targets = self.manager.targets();
        assert_eq!(targets.active.len(), 1);
        targets.active.into_iter().next().unwrap()
    }

    async fn scraped(&self) -> ActiveTarget {
        eventually(|| self.only().health != Health::Unknown).await;
        self.only()
    }

    fn series(&self, name: &str, job: &str) -> Vec<String> {
        let address = &self.address;
        let labels = format!(r#"{{__name__="{name}", instance="{address}", job="{job}"}}"#);
        self.store
            .samples(&labels)
            .into_iter()
            .map(|(_, v)| v)
            .collect()
    }
}

async fn eventually(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let done = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    assert!(done.is_ok(), "waited in vain");
}

const STATIC: &str = "static_configs: [{targets: ['ADDR']}]";

#[tokio::test]
async fn pages_become_samples() {
    for (path, series, family) in [
        ("/metrics", "a", "a"),
        ("/gzip", "a", "a"),
        ("/openmetrics", "a_total", "a"),
    ] {
        let bench = Bench::new().await;
        bench.apply(&format!(
            "- {{job_name: j, metrics_path: {path}, {STATIC}}}\n"
        ));
        let target = bench.scraped().await;
        assert_eq!(
            (target.health, target.last_error.as_str()),
            (Health::Up, ""),
            "{path}"
        );
        assert_eq!(bench.series(series, "j")[0], "1");
        assert_eq!(bench.series("up", "j")[0], "1");
        let metadata = bench.manager.metadata();
        assert_eq!(metadata[0].0.value("job"), "j");
        assert_eq!(metadata[0].1[0].0, family);
        assert_eq!(metadata[0].1[0].1.metric_type.as_str(), "counter");
        bench.manager.stop().await;
    }
}

#[tokio::test]
async fn failures_are_told_as_prometheus_tells_them() {
    let bench = Bench::new().await;
    let address = bench.address.clone();
    for (path, error) in [
        (
            "/html",
            "received unsupported Content-Type \"text/html\" and no fallback_scrape_protocol \
             specified for target"
                .to_string(),
        ),
        (
            "/missing",
            "server returned HTTP status 404 Not Found".to_string(),
        ),
        (
            "/slow",
            format!("Get \"http://{address}/slow\": context deadline exceeded"),
        ),
    ] {
        let name = path.trim_start_matches('/');
        bench.apply(&format!(
            "- {{job_name: {name}, metrics_path: {path}, {STATIC}}}\n"
        ));
        let target = bench.scraped().await;
        assert_eq!((target.health, target.last_error), (Health::Down, error));
        assert_eq!(bench.series("up", name)[0], "0");
    }
}

#[tokio::test]
async fn fallback_protocol_and_body_limit() {
    let bench = Bench::new().await;
    bench.apply(&format!(
        "- {{job_name: j, metrics_path: /html, fallback_scrape_protocol: PrometheusText0.0.4, {STATIC}}}\n"
    ));
    assert_eq!(bench.scraped().await.health, Health::Up);
    let bench = Bench::new().await;
    bench.apply(&format!(
        "- {{job_name: j, body_size_limit: 10B, {STATIC}}}\n"
    ));
    assert_eq!(bench.scraped().await.last_error, "body size limit exceeded");
    assert!(bench.manager.stats().exceeded_body_size_limit > 0);
}

#[tokio::test]
async fn views_of_targets_and_pools() {
    let bench = Bench::new().await;
    bench.apply(
        "- job_name: b\n  static_configs: [{targets: ['ADDR', 'ADDR', 'drop:1', 'no/host']}]\n  \
         relabel_configs: [{source_labels: [__address__], regex: 'drop.*', action: drop}]\n\
         - job_name: a\n",
    );
    eventually(|| bench.only().health == Health::Up).await;
    let targets = bench.manager.targets();
    let target = &targets.active[0];
    assert_eq!(target.scrape_pool, "b");
    assert_eq!(
        target.scrape_url,
        format!("http://{}/metrics", bench.address)
    );
    let port = bench.address.split(':').nth(1).unwrap();
    assert_eq!(
        target.global_url,
        format!("http://box.example:{port}/metrics")
    );
    assert_eq!(
        (
            target.scrape_interval.as_str(),
            target.scrape_timeout.as_str()
        ),
        ("100ms", "100ms")
    );
    assert_eq!(target.labels.value("instance"), bench.address);
    assert_eq!(target.discovered_labels.value("__address__"), bench.address);
    assert!(target.last_scrape_ms.is_some() && target.last_scrape_duration_seconds > 0.0);
    assert_eq!(targets.dropped.len(), 1);
    assert_eq!(
        targets.dropped[0].discovered_labels.value("__address__"),
        "drop:1"
    );
    let counts: Vec<_> = targets.dropped_counts.into_iter().collect();
    assert_eq!(counts, [("a".to_string(), 0), ("b".to_string(), 1)]);
    assert_eq!(bench.manager.scrape_pools(), ["a", "b"]);
    let stats = bench.manager.stats();
    let pool = &stats.pools["b"];
    assert_eq!(
        (
            pool.targets,
            pool.discovered,
            pool.syncs,
            pool.sync_failures
        ),
        (1, 4, 1, 1)
    );
    assert_eq!((pool.metadata_entries, stats.pools_created), (1, 2));
}

#[tokio::test]
async fn target_limit_refuses_all() {
    let bench = Bench::new().await;
    bench.apply("- {job_name: j, target_limit: 1, static_configs: [{targets: ['ADDR', 'h:2']}]}\n");
    let down = || {
        let targets = bench.manager.targets().active;
        targets
            .iter()
            .all(|t| t.last_error == "target_limit exceeded (number of targets: 2, limit: 1)")
    };
    eventually(down).await;
    assert_eq!(bench.series("up", "j")[0], "0");
    assert_eq!(bench.manager.stats().exceeded_target_limit, 1);
}

#[tokio::test]
async fn removed_job_ends_its_series() {
    let bench = Bench::new().await;
    bench.apply(&format!(
        "- {{job_name: gone, {STATIC}}}\n- {{job_name: stays, {STATIC}}}\n"
    ));
    let both = || {
        ["gone", "stays"]
            .iter()
            .all(|j| !bench.series("up", j).is_empty())
    };
    eventually(both).await;
    bench.apply(&format!("- {{job_name: stays, {STATIC}}}\n"));
    assert_eq!(bench.manager.scrape_pools(), ["stays"]);
    let ended = |name| {
        bench
            .series(name, "gone")
            .last()
            .is_some_and(|v| v == "stale")
    };
    eventually(|| ended("up") && ended("a")).await;
    let seen = bench.series("up", "stays").len();
    eventually(|| bench.series("up", "stays").len() > seen).await;
    assert!(!bench.series("up", "stays").contains(&"stale".to_string()));
}

#[tokio::test]
async fn reload_keeps_series_known() {
    let bench = Bench::new().await;
    let job = |more: &str| format!("- {{job_name: j, {more} {STATIC}}}\n");
    bench.apply(&job(""));
    eventually(|| bench.series("up", "j").len() > 1).await;
    let lookups = bench.store.lookups();
    bench.apply(&job(""));
    bench.apply(&job("sample_limit: 50,"));
    // The URL changes, the labels do not: the series go on.
    bench.apply(&job("params: {x: [y]},"));
    assert!(bench.only().scrape_url.ends_with("?x=y"));
    let seen = bench.series("up", "j").len();
    eventually(|| bench.series("up", "j").len() > seen + 2).await;
    assert_eq!(bench.store.lookups(), lookups);
    assert_eq!(bench.manager.stats().pool_reloads, 2);
    assert!(!bench.series("a", "j").contains(&"stale".to_string()));
}

#[tokio::test]
async fn stop_writes_no_markers_and_is_final() {
    let bench = Bench::new().await;
    bench.apply(&format!("- {{job_name: j, {STATIC}}}\n"));
    eventually(|| !bench.series("up", "j").is_empty()).await;
    bench.manager.stop().await;
    let up = bench.series("up", "j");
    assert!(!up.contains(&"stale".to_string()));
    bench.apply(&format!("- {{job_name: j, {STATIC}}}\n"));
    assert!(bench.manager.targets().active.is_empty());
    assert_eq!(bench.series("up", "j").len(), up.len());
}

#[tokio::test]
async fn requests_say_what_prometheus_says() {
    let bench = Bench::new().await;
    let name = "sent-by-prometheus";
    let seen = |header: &str, value: &str| {
        let address = &bench.address;
        let labels = format!(
            r#"{{__name__="h", instance="{address}", job="{name}", name="{header}", value="{value}"}}"#
        );
        !bench.store.samples(&labels).is_empty()
    };
    bench.apply(&format!(
        "- {{job_name: {name}, metrics_path: /headers, {STATIC}}}\n"
    ));
    assert_eq!(bench.scraped().await.last_error, "");
    let accept = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                  application/openmetrics-text;version=0.0.1;q=0.5,\
                  text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                  text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    assert!(seen("accept", accept));
    assert!(seen("accept-encoding", "gzip"));
    assert!(seen("x-prometheus-scrape-timeout-seconds", "0.1"));
    assert!(seen("host", &bench.address));
    assert!(seen("user-agent", &ScrapeOptions::default().user_agent));
    bench.apply(&format!(
        "- {{job_name: {name}, metrics_path: /headers, enable_compression: false, {STATIC}}}\n"
    ));
    eventually(|| seen("accept-encoding", "identity")).await;
}

#[tokio::test]
async fn job_that_comes_back_goes_on() {
    let bench = Bench::new().await;
    let jobs = format!("- {{job_name: j, {STATIC}}}\n");
    bench.apply(&jobs);
    eventually(|| !bench.series("up", "j").is_empty()).await;
    bench.apply("- job_name: another\n");
    assert!(bench.manager.targets().active.is_empty());
    bench.apply(&jobs);
    let seen = bench.series("a", "j").len();
    eventually(|| bench.series("a", "j").len() > seen + 3).await;
    assert!(!bench.series("a", "j").contains(&"stale".to_string()));
    assert_eq!(bench.manager.scrape_pools(), ["j"]);
}
