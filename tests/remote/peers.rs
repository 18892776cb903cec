//! Real senders and readers. They run where `PEERS` names a folder with their binaries.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::now_ms;
use crate::support::{Pages, Server, escape, free_port, http_get, wait_for, write};

/// A process; killed when dropped.
struct Peer(Child);

impl Peer {
    fn start(binary: &Path, log: &Path, args: &[String]) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a log of the test's own")]
        let log = std::fs::File::create(log).unwrap();
        let child = Command::new(binary)
            .args(args)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the peer starts");
        Self(child)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The binary of a peer, or a note that the test is skipped.
#[expect(clippy::print_stdout, reason = "says that it is skipped")]
fn peer(name: &str) -> Option<PathBuf> {
    let found = std::env::var_os("PEERS").map(|peers: OsString| Path::new(&peers).join(name));
    let found = found.filter(|path| path.exists());
    if found.is_none() {
        println!("skipped: PEERS does not name a folder with {name}");
    }
    found
}

/// A page with the metrics that the tests look for.
fn page() -> Pages {
    let pages = Pages::start();
    pages.set(
        "/metrics",
        "# HELP jobs_total Jobs.\n# TYPE jobs_total counter\njobs_total{queue=\"a\"} {COUNTER}\n\
         # HELP temp Temperature.\n# TYPE temp gauge\ntemp -3.25\n\
         # TYPE lat_seconds histogram\nlat_seconds_bucket{le=\"1\"} 1\n\
         lat_seconds_bucket{le=\"+Inf\"} 2\nlat_seconds_sum 5\nlat_seconds_count 2\n",
    );
    pages
}

fn scrape_config(pages: &Pages) -> String {
    format!(
        "global:\n  scrape_interval: 1s\n  external_labels:\n    replica: r1\nscrape_configs:\n  \
         - job_name: app\n    static_configs:\n      - targets: ['{}']\n",
        pages.address
    )
}

/// Waits until the counter has been pushed at least three times.
fn wait_for_counter(server: &Server) {
    wait_for("pushed samples", || {
        let n = server.value("max(count_over_time(jobs_total[5m]))")?;
        (n >= 3.0).then_some(())
    });
}

fn refused(server: &Server) -> f64 {
    let page = server.get("/metrics").body;
    let lines = page
        .lines()
        .filter(|l| l.starts_with("tsdb_remote_write_refused_samples_total{"));
    lines
        .map(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

fn prometheus_sends(message: &str, mode: &[&str]) {
    let Some(binary) = peer("prometheus") else {
        return;
    };
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir.path().join("ours"), &[]);
    let pages = page();
    let yaml = format!(
        "{}remote_write:\n  - url: {}/api/v1/write\n    protobuf_message: {message}\n    \
         send_exemplars: true\n    send_native_histograms: true\n    queue_config:\n      \
         batch_send_deadline: 500ms\n    metadata_config:\n      send_interval: 1s\n",
        scrape_config(&pages),
        server.url
    );
    let config = write(&dir.path().join("agent.yml"), &yaml);
    let log = dir.path().join("agent.log");
    let mut args: Vec<String> = mode.iter().map(ToString::to_string).collect();
    let storage = if mode.is_empty() { "tsdb" } else { "agent" };
    let data = dir.path().join("theirs");
    args.extend([
        format!("--config.file={}", config.display()),
        format!("--storage.{storage}.path={}", data.display()),
        format!("--web.listen-address=127.0.0.1:{}", free_port()),
        "--enable-feature=metadata-wal-records".into(),
    ]);
    let _agent = Peer::start(&binary, &log, &args);
    wait_for_counter(&server);
    let labels = format!(
        "{{instance=\"{}\",job=\"app\",queue=\"a\",replica=\"r1\"}}",
        pages.address
    );
    assert!(server.value(&format!("jobs_total{labels}")).is_some());
    assert_eq!(server.value("temp"), Some(-3.25));
    assert_eq!(server.value("lat_seconds_bucket{le=\"+Inf\"}"), Some(2.0));
    assert_eq!(server.value("up{job=\"app\"}"), Some(1.0));
    assert!(refused(&server).abs() < f64::EPSILON);
    wait_for("metadata", || {
        let data = server.data("/api/v1/metadata");
        (data["jobs_total"][0]["help"] == "Jobs." && data["temp"][0]["type"] == "gauge")
            .then_some(())
    });
    // The target goes away: its series end.
    pages.set_full("/metrics", 500, "text/plain", "");
    wait_for("the end of the series", || {
        server.value("temp").is_none().then_some(())
    });
    let log = std::fs::read_to_string(log).unwrap();
    assert!(!log.contains("non-recoverable"), "{log}");
}

#[test]
fn a_prometheus_agent_sends_1_0() {
    prometheus_sends("prometheus.WriteRequest", &["--agent"]);
}

#[test]
fn a_prometheus_sends_2_0() {
    // Not an agent: that one leaves metadata out of 2.0.
    prometheus_sends("io.prometheus.write.v2.Request", &[]);
}

#[test]
fn vmagent_sends() {
    let Some(binary) = peer("vmagent") else {
        return;
    };
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir.path().join("ours"), &[]);
    let pages = page();
    let config = write(&dir.path().join("vmagent.yml"), &scrape_config(&pages));
    // It begins with a protocol of its own and falls back when that is refused.
    let _agent = Peer::start(
        &binary,
        &dir.path().join("vmagent.log"),
        &[
            format!("-remoteWrite.url={}/api/v1/write", server.url),
            format!("-promscrape.config={}", config.display()),
            format!(
                "-remoteWrite.tmpDataPath={}",
                dir.path().join("tmp").display()
            ),
            format!("-httpListenAddr=127.0.0.1:{}", free_port()),
            "-remoteWrite.flushInterval=200ms".into(),
        ],
    );
    wait_for_counter(&server);
    assert_eq!(server.value("temp"), Some(-3.25));
    assert!(refused(&server).abs() < f64::EPSILON);
}

#[test]
fn promtool_pushes() {
    let Some(binary) = peer("promtool") else {
        return;
    };
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir.path().join("ours"), &[]);
    let file = write(
        &dir.path().join("m.prom"),
        "# TYPE tool gauge\ntool{a=\"b\"} 42\n",
    );
    let output = Command::new(binary)
        .args(["push", "metrics", "--label=job=tool"])
        .arg(format!("{}/api/v1/write", server.url))
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(server.value("tool{job=\"tool\",a=\"b\"}"), Some(42.0));
}

#[test]
fn a_prometheus_reads_and_federates() {
    let Some(binary) = peer("prometheus") else {
        return;
    };
    let dir = TempDir::new().unwrap();
    let yaml = "global:\n  external_labels:\n    cluster: ours\n";
    let config = write(&dir.path().join("ours.yml"), yaml);
    let server = Server::start(
        &dir.path().join("ours"),
        &[&format!("--config.file={}", config.display())],
    );
    // An hour of samples, in more than one chunk.
    let end = now_ms() / 1000 * 1000;
    let mut lines = String::new();
    for series in ["a", "b"] {
        let times: Vec<i64> = (0..=720).map(|i| end - (720 - i) * 5000).collect();
        let values: Vec<i64> = (0..=720).map(|i| i * 2).collect();
        lines += &format!(
            "{{\"metric\":{{\"__name__\":\"far_total\",\"s\":\"{series}\"}},\"values\":{values:?},\
             \"timestamps\":{times:?}}}\n"
        );
    }
    let taken = super::post(
        &format!("{}/api/v1/import", server.url),
        &[],
        lines.as_bytes(),
    );
    assert_eq!(taken.status, 204, "{}", taken.text());
    let host = server.url.strip_prefix("http://").unwrap();
    let yaml = format!(
        "remote_read:\n  - url: {}/api/v1/read\n    read_recent: true\nscrape_configs:\n  \
         - job_name: federate\n    honor_labels: true\n    metrics_path: /federate\n    \
         scrape_interval: 1s\n    params:\n      'match[]': ['{{s=\"a\"}}']\n    \
         static_configs:\n      - targets: ['{host}']\n",
        server.url
    );
    let config = write(&dir.path().join("theirs.yml"), &yaml);
    let port = free_port();
    let _theirs = Peer::start(
        &binary,
        &dir.path().join("theirs.log"),
        &[
            format!("--config.file={}", config.display()),
            format!(
                "--storage.tsdb.path={}",
                dir.path().join("theirs").display()
            ),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ],
    );
    let url = format!("http://127.0.0.1:{port}");
    let ask = |query: &str| -> Option<Value> {
        let at = end / 1000;
        let path = format!("{url}/api/v1/query?query={}&time={at}", escape(query));
        let response = http_get(&path).ok().filter(|r| r.status == 200)?;
        let answer: Value = serde_json::from_str(&response.body).ok()?;
        Some(answer["data"]["result"].clone())
    };
    wait_for("their prometheus", || {
        (http_get(&format!("{url}/-/ready")).ok()?.status == 200).then_some(())
    });
    // Series "b" is there by remote read only.
    let theirs = ask("far_total{s=\"b\"}[2h]").unwrap();
    let samples = theirs[0]["values"].as_array().unwrap();
    assert_eq!(samples.len(), 721);
    assert_eq!(samples[720][1], "1440");
    assert_eq!(theirs[0]["metric"]["cluster"], "ours");
    assert_eq!(
        ask("sum(rate(far_total{s=\"b\"}[30m]))").unwrap()[0]["value"][1],
        "0.4"
    );
    let by_label = ask("count(far_total{cluster=\"ours\"})").unwrap();
    assert_eq!(by_label[0]["value"][1], "2");
    wait_for("a federated sample", || {
        let path = format!("{url}/api/v1/targets");
        let answer: Value = serde_json::from_str(&http_get(&path).ok()?.body).ok()?;
        // There is none until discovery has run.
        let target = answer["data"]["activeTargets"].get(0)?;
        assert_eq!(target["lastError"], "", "{target}");
        (target["health"] == "up").then_some(())
    });
}
