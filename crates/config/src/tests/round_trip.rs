//! The configuration as YAML.

use proptest::prelude::*;

use super::*;

#[test]
fn printed_as_prometheus_does() {
    let config = parse(
        "global: {scrape_interval: 15s, external_labels: {site: a$$b}}\n\
         scrape_configs:\n\
         - job_name: node\n  sample_limit: 7\n  params: {m: [x, 'true']}\n\
         \x20 relabel_configs: [{source_labels: [a, b], regex: 'x: .*', target_label: c}]\n\
         \x20 static_configs: [{targets: ['localhost:9100', '10.0.0.1:80'], labels: {v: '1.10'}}]\n",
    );
    let want = "\
global:
  scrape_interval: 15s
  scrape_timeout: 10s
  scrape_protocols:
  - OpenMetricsText1.0.0
  - OpenMetricsText0.0.1
  - PrometheusText1.0.0
  - PrometheusText0.0.4
  evaluation_interval: 1m
  external_labels:
    site: a$$b
  metric_name_validation_scheme: utf8
  metric_name_escaping_scheme: allow-utf-8
scrape_configs:
- job_name: node
  honor_timestamps: true
  track_timestamps_staleness: false
  params:
    m:
    - x
    - \"true\"
  scrape_interval: 15s
  scrape_timeout: 10s
  scrape_protocols:
  - OpenMetricsText1.0.0
  - OpenMetricsText0.0.1
  - PrometheusText1.0.0
  - PrometheusText0.0.4
  metrics_path: /metrics
  scheme: http
  enable_compression: true
  sample_limit: 7
  metric_name_validation_scheme: utf8
  metric_name_escaping_scheme: allow-utf-8
  relabel_configs:
  - source_labels: [a, b]
    separator: ;
    regex: 'x: .*'
    target_label: c
    replacement: $1
    action: replace
  static_configs:
  - targets:
    - localhost:9100
    - 10.0.0.1:80
    labels:
      v: \"1.10\"
";
    assert_eq!(config.to_yaml(), want);
}

#[test]
fn what_is_printed_reads_back() {
    for yaml in ["", FULL, "storage: {tsdb: {out_of_order_time_window: 0s}}"] {
        let config = parse(yaml);
        assert_eq!(parse(&config.to_yaml()), config);
    }
}

/// Texts that YAML could take for something else.
fn tricky() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[-a-z0-9_ :#,.'\"{}\\[\\]&*!|>%@`~?=+$\\\\\n\t\r]{0,8}",
        "[-+0-9.:_xe]{1,6}",
        prop::sample::select(vec![
            "yes",
            "null",
            "~",
            "",
            " ",
            "<<",
            "=",
            "---",
            "...",
            "\u{85}",
            "\u{feff}x",
            "\u{2028}",
            "0x1F",
            ".inf",
            "a: b",
            "a #b",
            "'",
            "\"",
            "\0",
            "1e3",
            "12:30",
        ])
        .prop_map(String::from),
    ]
}

proptest! {
    #[test]
    fn any_strings_read_back(
        name in tricky(),
        values in prop::collection::vec(tricky(), 0..4),
        labels in prop::collection::btree_map(tricky(), tricky(), 0..4),
    ) {
        let mut config = parse(FULL);
        let mut labels = labels;
        labels.remove("");
        config.global.external_labels = labels.clone();
        let job = &mut config.scrape_configs[1];
        job.metrics_path = name.clone();
        job.params = BTreeMap::from([(name.clone(), values.clone())]);
        job.relabel_configs[0].separator = name;
        job.relabel_configs[0].source_labels =
            values.iter().filter(|v| !v.is_empty()).cloned().collect();
        job.static_configs[0] = StaticConfig { targets: values, labels };
        let yaml = config.to_yaml();
        let read = Config::parse_with(&yaml, "p.yml", &|_| None);
        let read = read.map_err(|e| TestCaseError::fail(format!("{e}\n{yaml}")))?;
        prop_assert_eq!(read, config, "{}", yaml);
    }

    #[test]
    fn any_text_is_taken_or_refused(text in any::<String>()) {
        let _ = Config::parse(&text, "p.yml");
    }

    #[test]
    fn any_change_to_a_file_is_taken_or_refused(
        at in 0..FULL.len(),
        cut in 0_usize..20,
        insert in "[-a-z0-9 :#,'\"{}\\[\\]&*!|>\n\t]{0,6}",
    ) {
        let end = (at + cut).min(FULL.len());
        let text = format!("{}{insert}{}", &FULL[..at], &FULL[end..]);
        if let Ok(config) = Config::parse_with(&text, "p.yml", &|_| None) {
            prop_assert_eq!(parse(&config.to_yaml()), config);
        }
    }
}
