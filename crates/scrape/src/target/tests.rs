//! Tests of how discovered labels become targets.

use super::*;
use tsdb_config::Config;

/// The job `j` with more lines of configuration.
fn job(lines: &str) -> ScrapeConfig {
    let yaml = format!("scrape_configs:\n- job_name: j\n{lines}");
    let config = Config::parse(&yaml, "test.yml").unwrap();
    config.scrape_configs.into_iter().next().unwrap()
}

fn found(labels: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(labels.iter().copied())
}

fn target(job: &ScrapeConfig, labels: &[(&str, &str)]) -> Target {
    match resolve(job, &found(labels)).unwrap() {
        Resolved::Target(target) => *target,
        Resolved::Dropped(labels) => panic!("dropped: {labels}"),
    }
}

const ADDRESS_ONLY: [(&str, &str); 1] = [(ADDRESS, "h:1")];

#[test]
fn static_groups() {
    let job = job(
        "  static_configs:\n  - targets: [a:1, b:2]\n    labels: {env: prod}\n  - targets: [c:3]\n",
    );
    let found: Vec<String> = discover_static(&job)
        .iter()
        .map(|l| l.to_string())
        .collect();
    assert_eq!(
        found,
        [
            r#"{__address__="a:1", env="prod"}"#,
            r#"{__address__="b:2", env="prod"}"#,
            r#"{__address__="c:3"}"#
        ]
    );
}

#[test]
fn defaults() {
    let target = target(&job(""), &ADDRESS_ONLY);
    assert_eq!(
        target.discovered.to_string(),
        r#"{__address__="h:1", __metrics_path__="/metrics", __scheme__="http", __scrape_interval__="1m", __scrape_timeout__="10s", job="j"}"#
    );
    assert_eq!(target.labels.to_string(), r#"{instance="h:1", job="j"}"#);
    assert_eq!(target.url, "http://h:1/metrics");
    assert_eq!((target.interval_ms, target.timeout_ms), (60_000, 10_000));
}

#[test]
fn labels_win_over_the_job() {
    let labels = [
        (ADDRESS, "h:1"),
        ("job", "other"),
        ("instance", "me"),
        (SCHEME, "https"),
        (METRICS_PATH, "probe"),
        (INTERVAL, "5s"),
        (TIMEOUT, "4s"),
        ("__param_module", "icmp"),
        ("__meta_x", "y"),
        ("__tmp", "z"),
    ];
    let target = target(&job("  params: {module: [http], x: [a b, c]}\n"), &labels);
    assert_eq!(target.labels.to_string(), r#"{instance="me", job="other"}"#);
    assert_eq!(target.url, "https://h:1/probe?module=icmp&x=a+b&x=c");
    assert_eq!((target.interval_ms, target.timeout_ms), (5_000, 4_000));
}

#[test]
fn parameters_are_labels_while_relabelling() {
    let rules = "  params: {target: [x]}\n  relabel_configs:\n  \
                 - {source_labels: [__address__], target_label: __param_target}\n  \
                 - {source_labels: [__param_target], target_label: instance}\n  \
                 - {target_label: __address__, replacement: 'prober:9115'}\n";
    let target = target(&job(rules), &ADDRESS_ONLY);
    assert_eq!(target.url, "http://prober:9115/metrics?target=h%3A1");
    assert_eq!(target.labels.value("instance"), "h:1");
}

#[test]
fn dropped_targets_keep_their_labels() {
    let rules =
        "  relabel_configs:\n  - {source_labels: [__address__], regex: 'h.*', action: drop}\n";
    match resolve(&job(rules), &found(&ADDRESS_ONLY)).unwrap() {
        Resolved::Dropped(labels) => assert_eq!(labels.value("job"), "j"),
        Resolved::Target(target) => panic!("kept: {target:?}"),
    }
}

#[test]
fn what_is_not_a_target() {
    let plain = job("");
    for (labels, error) in [
        (vec![], "no address"),
        (vec![(ADDRESS, "a/b")], "\"a/b\" is not a valid hostname"),
        (
            vec![(ADDRESS, "a"), (INTERVAL, "0")],
            "scrape interval cannot be 0",
        ),
        (
            vec![(ADDRESS, "a"), (TIMEOUT, "0s")],
            "scrape timeout cannot be 0",
        ),
        (
            vec![(ADDRESS, "a"), (INTERVAL, "5s")],
            "scrape timeout cannot be greater than scrape interval (\"10s\" > \"5s\")",
        ),
        (
            vec![(ADDRESS, "a"), (INTERVAL, "x")],
            "error parsing scrape interval: not a valid duration string: \"x\"",
        ),
    ] {
        assert_eq!(resolve(&plain, &found(&labels)).unwrap_err(), error);
    }
}

#[test]
fn odd_paths_are_escaped() {
    let mut url = String::new();
    push_path(&mut url, "a b?c/d:é");
    assert_eq!(url, "/a%20b%3Fc/d:%C3%A9");
}

#[test]
fn urls_for_others() {
    for (url, global) in [
        (
            "http://localhost:9100/metrics?a=b",
            "http://box.example:9100/metrics?a=b",
        ),
        ("http://127.0.0.1/metrics", "http://box.example/metrics"),
        ("http://[::1]:9100/m", "http://box.example:9100/m"),
        (
            "http://localhost:9090/metrics",
            "https://box.example:8443/metrics",
        ),
        ("http://other:9090/metrics", "http://other:9090/metrics"),
    ] {
        assert_eq!(
            global_url(url, "https://box.example:8443/prom", 9090),
            global
        );
    }
    assert_eq!(
        global_url("http://localhost/m", "", 0),
        "http://localhost/m"
    );
}
