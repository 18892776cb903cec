//! The Prometheus HTTP API of the running program.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Pages, Server, escape, http, wait_for, write, write_config};

struct Setup {
    _dir: TempDir,
    _pages: Pages,
    server: Server,
}

/// A server that has scraped one page at least once.
fn setup() -> Setup {
    let pages = Pages::start();
    pages.set(
        "/metrics",
        "# HELP big A big number.\n# TYPE big gauge\nbig 1e300\n# TYPE neg gauge\nneg -0\n\
         # TYPE no_number gauge\nno_number NaN\n# TYPE c counter\nc{a=\"<&>\"} 1\nc{a=\"x\"} 2\n",
    );
    let dir = TempDir::new().unwrap();
    let config = write_config(dir.path(), "1s", &[("page", &pages.address, "/metrics")]);
    let server = Server::start(
        &dir.path().join("data"),
        &[&format!("--config.file={}", config.display())],
    );
    wait_for("the first scrape", || server.value("up"));
    Setup {
        _dir: dir,
        _pages: pages,
        server,
    }
}

#[test]
fn without_configuration_it_watches_itself_and_the_machine() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path(), &[]);
    wait_for("its own metrics", || {
        server.value("up{job=\"tsdb\"}").filter(|v| *v == 1.0)
    });
    wait_for("its own series", || {
        server
            .value("prometheus_tsdb_head_series")
            .filter(|v| *v > 0.0)
    });
    let log = server.log.lock().unwrap().clone();
    assert!(
        log.contains("tsdb query"),
        "the log says how to query: {log}"
    );
    if cfg!(target_os = "linux") {
        wait_for("the machine's metrics", || {
            server.value("up{job=\"node\"}").filter(|v| *v == 1.0)
        });
        for name in [
            "node_load1",
            "node_memory_MemTotal_bytes",
            "node_boot_time_seconds",
        ] {
            assert!(server.value(name).unwrap() >= 0.0, "{name}");
        }
        assert!(
            !server
                .query("node_cpu_seconds_total{mode=\"idle\"}")
                .is_empty()
        );
        assert!(!server.query("node_uname_info").is_empty());
    }
}

#[test]
fn answers_are_prometheuss_to_the_letter() {
    let s = setup().server;
    let raw = |path: &str| {
        let r = s.get(path);
        (r.status, r.body, r.headers)
    };
    let (status, body, headers) = raw("/api/v1/query?query=1%2B1&time=4");
    assert_eq!(status, 200);
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(
        body.trim_end(),
        r#"{"status":"success","data":{"resultType":"scalar","result":[4,"2"]}}"#
    );
    for (query, value) in [
        ("1e21", "1000000000000000000000"),
        ("1e-7", "0.0000001"),
        ("-0", "-0"),
        ("NaN", "NaN"),
        ("-Inf", "-Inf"),
    ] {
        let data = s.data(&format!("/api/v1/query?query={}&time=4", escape(query)));
        assert_eq!(data["result"], json!([4, value]), "{query}");
    }
    for (query, value) in [
        ("big", "1e+300"),
        ("neg", "-0"),
        ("no_number", "NaN"),
        ("sum(c)", "3"),
    ] {
        assert_eq!(s.query(query)[0]["value"][1], value, "{query}");
    }
    let (_, body, _) = raw("/api/v1/series?match[]=c");
    assert!(body.contains(r#""a":"<&>""#), "{body}");
    assert_eq!(s.data("/api/v1/label/a/values"), json!(["<&>", "x"]));
    assert_eq!(s.data("/api/v1/label/nope/values"), json!([]));
    let names = s.data("/api/v1/labels?match[]=c");
    assert_eq!(names, json!(["__name__", "a", "instance", "job"]));
    // Targets have the address under which others reach them.
    let target = &s.data("/api/v1/targets")["activeTargets"][0];
    let url = target["globalUrl"].as_str().unwrap();
    assert!(!url.contains("127.0.0.1"), "{url}");
    let metadata = s.data("/api/v1/metadata?metric=big");
    assert_eq!(
        metadata,
        json!({"big": [{"type": "gauge", "unit": "", "help": "A big number."}]})
    );
}

#[test]
fn errors_are_prometheuss_to_the_letter() {
    let s = setup().server;
    let error = |path: &str, status: u16, kind: &str, text: &str| {
        let r = s.get(path);
        let body: Value = serde_json::from_str(&r.body).unwrap();
        assert_eq!(r.status, status, "{path}: {body}");
        let expected = json!({"status": "error", "errorType": kind, "error": text});
        assert_eq!(body, expected, "{path}");
    };
    error(
        "/api/v1/query?query=",
        400,
        "bad_data",
        "invalid parameter \"query\": unknown position: parse error: no expression found in input",
    );
    error(
        "/api/v1/query?query=up&time=abc",
        400,
        "bad_data",
        "invalid parameter \"time\": invalid time value for 'time': \
         cannot parse \"abc\" to a valid timestamp",
    );
    error(
        "/api/v1/query_range?query=up&start=0&end=12000&step=1",
        400,
        "bad_data",
        "exceeded maximum resolution of 11,000 points per timeseries. \
         Try decreasing the query resolution (?step=XX)",
    );
    error(
        "/api/v1/query_range?query=up&start=10&end=0&step=1",
        400,
        "bad_data",
        "invalid parameter \"end\": end timestamp must not be before start time",
    );
    error(
        "/api/v1/query?query=c%2Bon(job)c",
        422,
        "execution",
        &format!(
            "found duplicate series for the match group {{job=\"page\"}} on the right hand-side \
             of the operation: [{}, {}];many-to-many matching not allowed: matching labels must \
             be unique on one side",
            c_series(&s, 0),
            c_series(&s, 1),
        ),
    );
    assert_eq!(s.get("/nope").status, 404);
    let r = http("DELETE", &format!("{}/api/v1/query", s.url), &[], "").unwrap();
    assert_eq!((r.status, r.body.as_str()), (405, "Method Not Allowed\n"));
    assert!(r.headers["allow"].contains("GET"));
}

/// One of the two `c` series as error texts print it.
fn c_series(s: &Server, index: usize) -> String {
    let instance = s.query("up")[0]["metric"]["instance"]
        .as_str()
        .unwrap()
        .to_string();
    let a = ["<&>", "x"][index];
    format!("{{__name__=\"c\", a=\"{a}\", instance=\"{instance}\", job=\"page\"}}")
}

#[test]
fn post_and_get_are_the_same_and_gzip_is_offered() {
    let s = setup().server;
    let url = format!("{}/api/v1/query", s.url);
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let by_post = http("POST", &url, &form, "query=c&time=2000000000").unwrap();
    let by_get = s.get("/api/v1/query?query=c&time=2000000000");
    assert_eq!(by_post.body, by_get.body);
    // The body wins over the URL.
    let both = http("POST", &format!("{url}?query=up"), &form, "query=2&time=1").unwrap();
    assert!(both.body.contains("[1,\"2\"]"), "{}", both.body);
    // Short answers are not worth it.
    let names = format!("{}/api/v1/status/config", s.url);
    let packed = http("GET", &names, &[("Accept-Encoding", "gzip")], "").unwrap();
    assert_eq!(
        packed.headers.get("content-encoding").map(String::as_str),
        Some("gzip")
    );
    assert_eq!(packed.body, http("GET", &names, &[], "").unwrap().body);
}

#[test]
fn range_queries_and_status_pages() {
    let s = setup().server;
    let data = s.data("/api/v1/query_range?query=vector(time())&start=0&end=30&step=15");
    assert_eq!(
        data,
        json!({"resultType": "matrix", "result": [
            {"metric": {}, "values": [[0, "0"], [15, "15"], [30, "30"]]}
        ]})
    );
    assert_eq!(s.get("/-/healthy").status, 200);
    assert_eq!(s.get("/-/ready").status, 200);
    let build = s.data("/api/v1/status/buildinfo");
    assert!(
        build["version"].as_str().unwrap().split('.').count() == 3
            && build.get("features").is_none()
    );
    assert!(
        s.data("/api/v1/status/tsdb")["headStats"]["numSeries"]
            .as_u64()
            .unwrap()
            >= 6
    );
    let metrics = s.get("/metrics");
    assert!(metrics.headers["content-type"].starts_with("text/plain"));
    for name in [
        "prometheus_tsdb_head_series",
        "prometheus_http_requests_total",
        "prometheus_build_info",
    ] {
        assert!(metrics.body.contains(name), "{name}");
    }
}

#[test]
fn a_wrong_configuration_is_named_with_its_place() {
    let dir = TempDir::new().unwrap();
    let file = write(
        &dir.path().join("bad.yml"),
        "global:\n  scrape_intervall: 1s\n",
    );
    let mut server = Server::spawn(
        &dir.path().join("data"),
        &[&format!("--config.file={}", file.display())],
    );
    assert_eq!(server.wait_exit(), 2);
    wait_for("the reason", || {
        let log = server.log.lock().unwrap();
        (log.contains("bad.yml") && log.contains("scrape_intervall") && log.contains('2'))
            .then_some(())
    });
}

#[test]
fn below_a_prefix_with_admin_and_lifecycle() {
    let dir = TempDir::new().unwrap();
    let config = write(&dir.path().join("p.yml"), "scrape_configs: []\n");
    let file = format!("--config.file={}", config.display());
    let flags = [
        "--web.external-url=http://metrics.example/a/b",
        "--web.enable-admin-api",
        "--web.enable-lifecycle",
        "--no-host-metrics",
        &file,
    ];
    let server = Server::spawn(&dir.path().join("data"), &flags);
    let url = format!("{}/a/b", server.url);
    let get = |path: &str| http("GET", &format!("{url}{path}"), &[], "");
    wait_for("the server", || {
        (get("/-/ready").ok()?.status == 200).then_some(())
    });
    // Every link of the page leads somewhere.
    let page = get("/").unwrap().body;
    let mut links = 0;
    for link in page.split("href=\"").skip(1) {
        let link = link.split('"').next().unwrap();
        assert!(!link.starts_with('/'), "{link}");
        let status = get(&format!("/{link}")).unwrap().status;
        assert!(status == 200 || link == "metrics/host", "{link}: {status}");
        links += 1;
    }
    assert!(links > 5, "{page}");
    assert_eq!(get("/graph?g0.expr=up").unwrap().status, 200);
    // The description says where it is described.
    let document = get("/openapi.yaml").unwrap();
    assert_eq!(
        document.headers["content-type"],
        "application/yaml; charset=utf-8"
    );
    assert!(
        document.body.contains("- url: \".\"\n"),
        "{}",
        document.body
    );

    let post = |path: &str| http("POST", &format!("{url}{path}"), &[], "").unwrap();
    let made: Value = serde_json::from_str(&post("/api/v1/admin/tsdb/snapshot").body).unwrap();
    let name = made["data"]["name"].as_str().unwrap();
    assert!(dir.path().join("data/snapshots").join(name).is_dir());

    write(&config, "scrape_configs: [\n");
    let refused = post("/-/reload");
    assert_eq!(refused.status, 500);
    let begins = format!(
        "failed to reload config: couldn't load configuration (--config.file=\"{}\"): ",
        config.display()
    );
    assert!(refused.body.starts_with(&begins), "{}", refused.body);
    let told = get("/api/v1/notifications").unwrap().body;
    assert!(told.contains("Configuration reload has failed."), "{told}");
}

#[test]
fn a_listener_does_not_hold_up_the_end() {
    use std::io::{Read as _, Write as _};
    let dir = TempDir::new().unwrap();
    let mut server = Server::start(&dir.path().join("data"), &["--no-host-metrics"]);
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let request = "GET /api/v1/notifications/live HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut begin = [0; 15];
    stream.read_exact(&mut begin).unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200 OK");
    let began = std::time::Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait_exit(), 0);
    assert!(began.elapsed() < std::time::Duration::from_secs(5));
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("shutting down"), "{rest}");
}
