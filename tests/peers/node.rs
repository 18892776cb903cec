//! A real node exporter, scraped each second by us and by a real Prometheus at the same time.
//!
//! `PEERS=DIR SECONDS=300 cargo test --release --test integration peers::node -- --nocapture`

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::{Prometheus, ask, env_number, normal};
use crate::support::{Server, escape, free_port, pause, wait_for, write};

/// Queries as dashboards send them.
const QUERIES: &[&str] = &[
    "up",
    "node_memory_MemTotal_bytes",
    "node_load1",
    "count(node_cpu_seconds_total)",
    "sum by (mode) (rate(node_cpu_seconds_total[1m]))",
    "100 * (1 - avg(rate(node_cpu_seconds_total{mode=\"idle\"}[2m])))",
    "node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
    "sum(rate(node_network_receive_bytes_total[1m]))",
    "max_over_time(node_load1[3m])",
    "topk(3, node_filesystem_size_bytes)",
    "avg_over_time(scrape_samples_scraped[4m])",
    "count by (job) ({__name__=~\"node_.+\"})",
];

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Resident bytes and CPU seconds of a process so far.
fn cost(pid: u32) -> (u64, f64) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let rss = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let rss_kib: u64 = rss
        .and_then(|l| l.split_whitespace().next()?.parse().ok())
        .unwrap_or_default();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<_> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |i: usize| {
        fields
            .get(i)
            .and_then(|f| f.parse::<f64>().ok())
            .unwrap_or_default()
    };
    (rss_kib * 1024, (ticks(11) + ticks(12)) / 100.0)
}

/// Bytes of all files below a directory.
fn disk_bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|e| match e.metadata() {
            Ok(m) if m.is_dir() => disk_bytes(&e.path()),
            Ok(m) => m.len(),
            Err(_) => 0,
        })
        .sum()
}

#[test]
fn a_node_exporter_beside_prometheus() {
    let Some(peers) = std::env::var_os("PEERS") else {
        println!("skipped: PEERS does not name a folder with the binaries of the peers");
        return;
    };
    let seconds = env_number("SECONDS", 20);
    let peers = Path::new(&peers);
    let port = free_port();
    let _exporter = Process(
        Command::new(peers.join("prometheus-node-exporter"))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("node exporter starts"),
    );
    let dir = TempDir::new().unwrap();
    let yaml = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: node\n    \
         static_configs:\n      - targets: ['127.0.0.1:{port}']\n"
    );
    let config = write(&dir.path().join("prometheus.yml"), &yaml);
    let (our_dir, their_dir) = (dir.path().join("ours"), dir.path().join("theirs"));
    let theirs = Prometheus::start(&peers.join("prometheus"), &their_dir, &config);
    let ours = Server::start(&our_dir, &[&format!("--config.file={}", config.display())]);
    let everything = format!("/api/v1/query?query={}", escape("node_load1"));
    wait_for("both to have samples", || {
        let some = |url: &str| ask(url, &everything).1["data"]["result"][0].is_object();
        (some(&ours.url) && some(&theirs.url)).then_some(())
    });
    let began = (cost(ours.pid()), cost(theirs.child.id()));
    pause(Duration::from_secs(seconds));
    let ended = (cost(ours.pid()), cost(theirs.child.id()));

    println!("| after {seconds} s | tsdb | Prometheus |\n|---|---|---|");
    println!(
        "| resident memory, MB | {:.1} | {:.1} |",
        ended.0.0 as f64 / 1e6,
        ended.1.0 as f64 / 1e6
    );
    println!(
        "| CPU seconds for the scrapes | {:.2} | {:.2} |",
        ended.0.1 - began.0.1,
        ended.1.1 - began.1.1
    );
    println!(
        "| bytes on disk | {} | {} |\n",
        disk_bytes(&our_dir),
        disk_bytes(&their_dir)
    );
    println!("| query | largest relative difference |\n|---|---|");
    let now = std::time::UNIX_EPOCH
        .elapsed()
        .expect("after 1970")
        .as_secs();
    for query in QUERIES {
        let path = format!("/api/v1/query?query={}&time={now}", escape(query));
        let (a, b) = (ask(&ours.url, &path), ask(&theirs.url, &path));
        assert_eq!((a.0, b.0), (200, 200), "{query}: {} {}", a.1, b.1);
        let (a, b) = (normal(&a.1["data"]), normal(&b.1["data"]));
        assert!(
            a.keys().eq(b.keys()),
            "{query}: {:?} and {:?}",
            a.keys(),
            b.keys()
        );
        assert!(!a.is_empty(), "{query}");
        let value =
            |s: &serde_json::Value| -> f64 { s["value"][1].as_str().unwrap().parse().unwrap() };
        let differences = a.iter().map(|(k, s)| {
            let (x, y) = (value(s), value(b[k]));
            if x == y {
                0.0
            } else {
                (x - y).abs() / x.abs().max(y.abs())
            }
        });
        println!("| `{query}` | {:.2e} |", differences.fold(0.0, f64::max));
    }
}
