//! Labels of targets and samples: relabelling, and exposed labels that collide.

use serde_json::{Value, json};

use super::Setup;
use crate::support::{Pages, escape, wait_for};

#[test]
fn relabelling() {
    let pages = Pages::start();
    pages.set(
        "/probe",
        "x{drop_me=\"1\",keep=\"Yes\"} 1\ny 2\nz{keep=\"no\"} 3\n",
    );
    let yaml = format!(
        "scrape_configs:
  - job_name: page
    scrape_interval: 1s
    metrics_path: /wrong
    params: {{module: [a, b]}}
    static_configs:
      - targets: ['{0}', 'ignored:1']
        labels: {{team: blue, __meta_path: /probe}}
    relabel_configs:
      - {{source_labels: [__address__], regex: 'ignored:.*', action: drop}}
      - {{source_labels: [__meta_path], target_label: __metrics_path__}}
      - {{source_labels: [__address__], regex: '(.*):.*', target_label: instance, replacement: 'host-$1'}}
      - {{source_labels: [__address__], target_label: __param_target}}
    metric_relabel_configs:
      - {{action: labeldrop, regex: 'drop_.*'}}
      - {{source_labels: [__name__], regex: y, action: drop}}
      - {{source_labels: [keep], target_label: keep, action: lowercase}}
      - {{source_labels: [__name__], regex: z, target_label: __name__, replacement: renamed}}
",
        pages.address
    );
    let setup = Setup::new(&yaml);
    let server = &setup.server;
    wait_for("x", || server.query("x").first().cloned());
    let mut stored: Vec<Value> = server
        .query("{job=\"page\",__name__!~\"up|scrape_.*\"}")
        .iter()
        .map(|sample| json!([sample["metric"], sample["value"][1]]))
        .collect();
    stored.sort_by_key(Value::to_string);
    let labels = |name: &str, keep: &str| {
        json!({
            "__name__": name, "instance": "host-127.0.0.1", "job": "page", "team": "blue",
            "keep": keep,
        })
    };
    assert_eq!(
        stored,
        [
            json!([labels("renamed", "no"), "3"]),
            json!([labels("x", "yes"), "1"])
        ]
    );
    assert_eq!(server.value("scrape_samples_scraped"), Some(3.0));
    assert_eq!(
        server.value("scrape_samples_post_metric_relabeling"),
        Some(2.0)
    );

    let request = pages.requests.lock().unwrap()[0].clone();
    let target = escape(&pages.address);
    let line = format!("GET /probe?module=a&module=b&target={target} HTTP/1.1");
    assert!(request.starts_with(&line), "{request}");
    let request = request.to_ascii_lowercase() + "\r\n";
    assert!(
        request.contains("\r\nx-prometheus-scrape-timeout-seconds: 1\r\n"),
        "{request}"
    );
    assert!(
        request.contains("\r\naccept-encoding: gzip\r\n"),
        "{request}"
    );
    let accept =
        "\r\naccept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,";
    assert!(request.contains(accept), "{request}");

    let targets = server.data("/api/v1/targets");
    assert_eq!(targets["droppedTargetCounts"], json!({"page": 1}));
    assert_eq!(
        targets["droppedTargets"][0]["discoveredLabels"]["__address__"],
        "ignored:1"
    );
    assert_eq!(
        targets["activeTargets"][0]["discoveredLabels"]["__meta_path"],
        "/probe"
    );
}

#[test]
fn exposed_labels_that_collide_with_the_targets() {
    let pages = Pages::start();
    pages.set(
        "/metrics",
        "x{job=\"mine\",instance=\"\",exported_job=\"e\"} 1\n",
    );
    let job = |name: &str, honor: bool| {
        format!(
            "- {{job_name: {name}, scrape_interval: 1s, honor_labels: {honor}, \
             static_configs: [{{targets: ['{}']}}]}}\n",
            pages.address
        )
    };
    let jobs = job("plain", false) + &job("honors", true);
    let setup = Setup::new(&format!("scrape_configs:\n{jobs}"));
    let server = &setup.server;
    wait_for("both", || (server.query("x").len() == 2).then_some(()));
    let one = |expr: &str| server.query(expr)[0]["metric"].clone();
    assert_eq!(
        one("x{job=\"plain\"}"),
        json!({
            "__name__": "x", "job": "plain", "instance": pages.address, "exported_job": "e",
            "exported_exported_job": "mine",
        })
    );
    // An exposed empty label keeps the target's away.
    let honored = json!({"__name__": "x", "job": "mine", "exported_job": "e"});
    assert_eq!(one("x{job=\"mine\"}"), honored);
    // What the server itself says of the scrape has the target's labels all the same.
    let up = json!({"__name__": "up", "job": "honors", "instance": pages.address});
    assert_eq!(one("up{job=\"honors\"}"), up);
}
