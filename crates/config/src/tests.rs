//! Tests of the whole way: text to configuration and back.

use std::collections::BTreeMap;

use tsdb_model::relabel::RelabelAction;

use super::*;

mod bad;
mod files;
mod http;
mod round_trip;
mod web;

fn parse(yaml: &str) -> Config {
    let env = |name: &str| (name == "REGION").then(|| "eu".to_string());
    Config::parse_with(yaml, "p.yml", &env).unwrap_or_else(|e| panic!("{e}"))
}

fn job(lines: &str) -> ScrapeConfig {
    let config = parse(&format!("scrape_configs:\n- job_name: a\n{lines}"));
    config.scrape_configs.into_iter().next().unwrap()
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(n, v)| (n.to_string(), v.to_string()))
        .collect()
}

const FULL: &str = "\
# Everything that is supported.
global:
  scrape_interval: 30s
  scrape_timeout: 20s
  scrape_protocols: [PrometheusText0.0.4, OpenMetricsText1.0.0]
  evaluation_interval: 15s
  rule_query_offset: 1m
  external_labels: {region: $REGION, replica: '${REGION}-$$1', n: 007}
  body_size_limit: 10MB
  sample_limit: 1_000
  label_limit: 30
  label_name_length_limit: 100
  label_value_length_limit: 200
  target_limit: 50
  keep_dropped_targets: 5
  metric_name_validation_scheme: utf8
  metric_name_escaping_scheme: dots
  always_scrape_classic_histograms: false
  convert_classic_histograms_to_nhcb: false
  scrape_native_histograms: false
  extra_scrape_metrics: false
runtime:
  gogc: 75
rule_files:
  # - first.yml
alerting:
  alertmanagers:
    - static_configs:
        - targets:
          # - alertmanager:9093
remote_write: []
scrape_configs:
  - job_name: inherits
  - job_name: own
    honor_labels: yes
    honor_timestamps: off
    track_timestamps_staleness: true
    scrape_interval: 5s
    scrape_timeout: 500ms
    scrape_protocols:
      - PrometheusProto
      - PrometheusText1.0.0
    fallback_scrape_protocol: PrometheusText0.0.4
    metrics_path: /probe
    scheme: https
    params: {module: [http_2xx, icmp], empty: []}
    enable_compression: false
    body_size_limit: 1KB
    sample_limit: 0
    label_limit: 1
    label_name_length_limit: 2
    label_value_length_limit: 3
    target_limit: 4
    keep_dropped_targets: 6
    metric_name_validation_scheme: legacy
    native_histogram_bucket_limit: 100
    native_histogram_min_bucket_factor: 1.1
    follow_redirects: true
    enable_http2: false
    file_sd_configs: []
    static_configs:
      - targets: ['localhost:9090', \"[::1]:80\"]
        labels: {version: 1.10, on: yes, none: null}
      - targets:
    relabel_configs:
      - source_labels: [__address__, env]
        regex: '(.*):\\d+;'
        target_label: host
      - {action: LabelMap, regex: __meta_(.+)}
    metric_relabel_configs:
      - {source_labels: [x], separator: '', modulus: 8, action: hashmod, target_label: shard}
storage:
  tsdb:
    out_of_order_time_window: 30m
  exemplars:
    max_exemplars: 1000
";

#[test]
fn everything_supported() {
    let config = parse(FULL);
    let global = &config.global;
    assert_eq!(global.scrape_interval_ms, 30_000);
    assert_eq!(global.scrape_timeout_ms, 20_000);
    assert_eq!(global.evaluation_interval_ms, 15_000);
    let labels = pairs(&[("region", "eu"), ("replica", "eu-$1"), ("n", "007")]);
    assert_eq!(global.external_labels, labels);
    assert_eq!(config.storage.out_of_order_time_window_ms, Some(1_800_000));

    let [inherits, own] = config.scrape_configs.as_slice() else {
        panic!("{} jobs", config.scrape_configs.len());
    };
    let strings = |list: &[&str]| list.iter().map(|s| s.to_string()).collect::<Vec<_>>();
    let expected = ScrapeConfig {
        job_name: "inherits".to_string(),
        honor_labels: false,
        honor_timestamps: true,
        track_timestamps_staleness: false,
        params: BTreeMap::new(),
        scrape_interval_ms: 30_000,
        scrape_timeout_ms: 20_000,
        scrape_protocols: strings(&["PrometheusText0.0.4", "OpenMetricsText1.0.0"]),
        fallback_scrape_protocol: None,
        metrics_path: "/metrics".to_string(),
        scheme: "http".to_string(),
        enable_compression: true,
        body_size_limit: 10 << 20,
        sample_limit: 1_000,
        label_limit: 30,
        label_name_length_limit: 100,
        label_value_length_limit: 200,
        target_limit: 50,
        keep_dropped_targets: 5,
        metric_name_validation_scheme: "utf8".to_string(),
        metric_name_escaping_scheme: "dots".to_string(),
        http_client: HttpClientConfig::default(),
        file_sd_configs: Vec::new(),
        static_configs: Vec::new(),
        relabel_configs: Vec::new(),
        metric_relabel_configs: Vec::new(),
    };
    assert_eq!(*inherits, expected);

    let relabel_configs = own.relabel_configs.clone();
    let metric_relabel_configs = own.metric_relabel_configs.clone();
    let expected = ScrapeConfig {
        job_name: "own".to_string(),
        honor_labels: true,
        honor_timestamps: false,
        track_timestamps_staleness: true,
        params: BTreeMap::from([
            ("empty".to_string(), Vec::new()),
            ("module".to_string(), strings(&["http_2xx", "icmp"])),
        ]),
        scrape_interval_ms: 5_000,
        scrape_timeout_ms: 500,
        scrape_protocols: strings(&["PrometheusProto", "PrometheusText1.0.0"]),
        fallback_scrape_protocol: Some("PrometheusText0.0.4".to_string()),
        metrics_path: "/probe".to_string(),
        scheme: "https".to_string(),
        enable_compression: false,
        body_size_limit: 1024,
        sample_limit: 1_000,
        label_limit: 1,
        label_name_length_limit: 2,
        label_value_length_limit: 3,
        target_limit: 4,
        keep_dropped_targets: 6,
        metric_name_validation_scheme: "legacy".to_string(),
        metric_name_escaping_scheme: "underscores".to_string(),
        http_client: HttpClientConfig {
            enable_http2: false,
            ..HttpClientConfig::default()
        },
        file_sd_configs: Vec::new(),
        static_configs: vec![
            StaticConfig {
                targets: strings(&["localhost:9090", "[::1]:80"]),
                labels: pairs(&[("version", "1.10"), ("on", "yes"), ("none", "")]),
            },
            StaticConfig::default(),
        ],
        relabel_configs: relabel_configs.clone(),
        metric_relabel_configs: metric_relabel_configs.clone(),
    };
    assert_eq!(*own, expected);
    let [replace, labelmap] = relabel_configs.as_slice() else {
        panic!("{relabel_configs:?}");
    };
    assert_eq!(replace.source_labels, ["__address__", "env"]);
    assert_eq!(replace.regex_text, r"(.*):\d+;");
    assert_eq!(
        (replace.action, replace.target_label.as_str()),
        (RelabelAction::Replace, "host")
    );
    assert_eq!(
        (replace.separator.as_str(), replace.replacement.as_str()),
        (";", "$1")
    );
    assert_eq!(labelmap.action, RelabelAction::LabelMap);
    let shard = &metric_relabel_configs[0];
    assert_eq!((shard.modulus, shard.separator.as_str()), (8, ""));
}

#[test]
fn empty_files_and_sections() {
    for yaml in [
        "",
        "\n\n",
        "# only a comment\n",
        "---\n",
        "null",
        "{}",
        "global:\nscrape_configs:\nstorage:\nruntime:\n",
        "global: {scrape_interval: , scrape_protocols: , external_labels: , sample_limit: }\n",
        "global: {scrape_interval: 0s, scrape_timeout: 0s, evaluation_interval: 0}\n",
        "storage: {tsdb: }\nscrape_configs: []\n",
        "\u{feff}global:\n",
    ] {
        assert_eq!(parse(yaml), Config::default(), "{yaml:?}");
    }
    let zero = parse("storage: {tsdb: {out_of_order_time_window: 0s}}");
    assert_eq!(zero.storage.out_of_order_time_window_ms, Some(0));
}

#[test]
fn times_that_are_not_set() {
    let times = |global: &str, own: &str| {
        let config = parse(&format!(
            "global: {{{global}}}\nscrape_configs: [{{job_name: a{own}}}]"
        ));
        let job = &config.scrape_configs[0];
        (
            config.global.scrape_timeout_ms,
            job.scrape_interval_ms,
            job.scrape_timeout_ms,
        )
    };
    assert_eq!(times("", ""), (10_000, 60_000, 10_000));
    assert_eq!(times("scrape_interval: 5s", ""), (5_000, 5_000, 5_000));
    assert_eq!(times("", ", scrape_interval: 5s"), (10_000, 5_000, 5_000));
    assert_eq!(times("", ", scrape_timeout: 1m"), (10_000, 60_000, 60_000));
    assert_eq!(
        times("scrape_timeout: 20s", ", scrape_interval: 2m"),
        (20_000, 120_000, 20_000)
    );
}

#[test]
fn name_schemes() {
    let schemes = |global: &str, own: &str| {
        let config = parse(&format!(
            "global: {{{global}}}\nscrape_configs: [{{job_name: a{own}}}]"
        ));
        let job = &config.scrape_configs[0];
        format!(
            "{} {}",
            job.metric_name_validation_scheme, job.metric_name_escaping_scheme
        )
    };
    const LEGACY: &str = "metric_name_validation_scheme: legacy";
    assert_eq!(schemes("", ""), "utf8 allow-utf-8");
    assert_eq!(schemes(LEGACY, ""), "legacy underscores");
    assert_eq!(schemes("", &format!(", {LEGACY}")), "legacy underscores");
    assert_eq!(
        schemes(LEGACY, ", metric_name_validation_scheme: utf8"),
        "utf8 allow-utf-8"
    );
    assert_eq!(
        schemes("metric_name_escaping_scheme: values", ""),
        "utf8 values"
    );
}

#[test]
fn anchors_and_merges() {
    let config = parse(
        "scrape_configs:\n\
         - &base {job_name: a, scrape_interval: 5s, sample_limit: &n 1_0}\n\
         - {<<: *base, job_name: b}\n\
         - {job_name: c, label_limit: *n}\n",
    );
    let [a, b, c] = config.scrape_configs.as_slice() else {
        panic!("{config:?}");
    };
    assert_eq!((a.scrape_interval_ms, a.sample_limit), (5_000, 10));
    assert_eq!(
        (b.job_name.as_str(), b.scrape_interval_ms, b.sample_limit),
        ("b", 5_000, 10)
    );
    assert_eq!((c.scrape_interval_ms, c.label_limit), (60_000, 10));
}

#[test]
fn slashes_in_targets_need_relabelling() {
    let group = "  static_configs: [{targets: ['http://x/y']}]\n";
    let rule = "  relabel_configs: [{target_label: __address__, replacement: 'x:80'}]\n";
    let job = job(&format!("{group}{rule}"));
    assert_eq!(job.static_configs[0].targets, ["http://x/y"]);
}
