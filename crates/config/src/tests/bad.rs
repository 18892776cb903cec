//! What is refused, and with which words.

use super::*;

pub(super) fn error(yaml: &str) -> String {
    match Config::parse(yaml, "p.yml") {
        Ok(config) => panic!("accepted:\n{}", config.to_yaml()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn bad_files() {
    let not_supported = |key: &str| format!("{key}: not supported yet");
    // Error without `p.yml:`, file.
    let table = [
        // Strictness.
        ("1:1: field foo not found", "foo: 1\n"),
        ("2:3: global: field foo not found", "global:\n  foo: 1\n"),
        (
            "5:5: scrape_configs[1]: field metric_path not found",
            "scrape_configs:\n  - job_name: a\n  - job_name: b\n    scheme: http\n    metric_path: x\n",
        ),
        (
            "3:21: scrape_configs[0].static_configs[0]: field target not found",
            "scrape_configs:\n- job_name: a\n  static_configs: [{target: [x]}]\n",
        ),
        (
            "3:1: field global already set",
            "global:\n  scrape_interval: 1m\nglobal: {}\n",
        ),
        (
            "3:3: scrape_configs[0]: field job_name already set",
            "scrape_configs:\n- job_name: a\n  job_name: a\n",
        ),
        (
            "2:27: global.external_labels: key \"a\" already set",
            "global:\n  external_labels: {a: 1, a: 2}\n",
        ),
        ("1:9: global: expected a mapping, got \"x\"", "global: x\n"),
        (
            "1:17: scrape_configs: expected a list, got a mapping",
            "scrape_configs: {job_name: a}\n",
        ),
        (
            "1:18: scrape_configs[0]: expected a mapping, got a list",
            "scrape_configs: [[]]\n",
        ),
        ("1:1: expected a mapping, got a list", "- a\n"),
        // Types.
        (
            "1:24: global.sample_limit: expected a number that is not negative, got \"-5\"",
            "global: {sample_limit: -5}\n",
        ),
        (
            "1:24: global.sample_limit: expected a number that is not negative, got \"5\"",
            "global: {sample_limit: '5'}\n",
        ),
        (
            "1:24: global.sample_limit: expected a number that is not negative, got \"99999999999999999999\"",
            "global: {sample_limit: 99999999999999999999}\n",
        ),
        (
            "3:17: scrape_configs[0].honor_labels: expected true or false, got \"1\"",
            "scrape_configs:\n- job_name: a\n  honor_labels: 1\n",
        ),
        (
            "2:13: scrape_configs[0].job_name: expected a string, got a list",
            "scrape_configs:\n- job_name: [a]\n",
        ),
        (
            "3:20: scrape_configs[0].params.module: expected a list, got \"x\"",
            "scrape_configs:\n- job_name: a\n  params: {module: x}\n",
        ),
        // Durations and sizes.
        (
            "2:20: global.scrape_interval: not a valid duration string: \"15\"",
            "global:\n  scrape_interval: 15\n",
        ),
        (
            "2:20: global.scrape_interval: not a valid duration string: \"1.5s\"",
            "global:\n  scrape_interval: 1.5s\n",
        ),
        (
            "2:20: global.scrape_interval: empty duration string",
            "global:\n  scrape_interval: ''\n",
        ),
        (
            "2:20: global.body_size_limit: units: unknown unit  in 10",
            "global:\n  body_size_limit: 10\n",
        ),
        (
            "1:44: storage.tsdb.out_of_order_time_window: not a valid duration string: \"1\"",
            "storage: {tsdb: {out_of_order_time_window: 1}}\n",
        ),
        // Sense.
        (
            "1:49: global.scrape_timeout: global scrape timeout greater than scrape interval",
            "global: {scrape_interval: 10s,  scrape_timeout: 11s}\n",
        ),
        (
            "3:19: scrape_configs[0].scrape_timeout: scrape timeout greater than scrape interval \
             for scrape config with job name \"a\"",
            "scrape_configs:\n- job_name: a\n  scrape_timeout: 2m\n",
        ),
        (
            "2:3: scrape_configs[0]: job_name is empty",
            "scrape_configs:\n- scheme: http\n",
        ),
        (
            "2:13: scrape_configs[0].job_name: job_name is empty",
            "scrape_configs:\n- job_name: ''\n",
        ),
        (
            "3:13: scrape_configs[1].job_name: found multiple scrape configs with job name \"a\"",
            "scrape_configs:\n- job_name: a\n- job_name: a\n",
        ),
        (
            "2:2: scrape_configs[0]: empty or null scrape config section",
            "scrape_configs:\n-\n",
        ),
        (
            "2:22: global.scrape_protocols[0]: scrape_protocols: unknown scrape protocol foo, \
             supported: [OpenMetricsText0.0.1 OpenMetricsText1.0.0 PrometheusProto \
             PrometheusText0.0.4 PrometheusText1.0.0] for global config",
            "global:\n  scrape_protocols: [foo]\n",
        ),
        (
            "3:21: scrape_configs[0].scrape_protocols: scrape_protocols cannot be empty for \
             scrape config with job name \"a\"",
            "scrape_configs:\n- job_name: a\n  scrape_protocols: []\n",
        ),
        (
            "2:43: global.scrape_protocols[1]: duplicated protocol in scrape_protocols, got \
             [PrometheusText0.0.4 PrometheusText0.0.4] for global config",
            "global:\n  scrape_protocols: [PrometheusText0.0.4, PrometheusText0.0.4]\n",
        ),
        (
            "3:29: scrape_configs[0].fallback_scrape_protocol: invalid fallback_scrape_protocol \
             for scrape config with job name \"a\": unknown scrape protocol x, supported: \
             [OpenMetricsText0.0.1 OpenMetricsText1.0.0 PrometheusProto PrometheusText0.0.4 \
             PrometheusText1.0.0]",
            "scrape_configs:\n- job_name: a\n  fallback_scrape_protocol: x\n",
        ),
        (
            "3:32: global.metric_name_escaping_scheme: utf8 metric names requested but validation \
             scheme is not set to UTF8",
            "global:\n  metric_name_validation_scheme: legacy\n  metric_name_escaping_scheme: allow-utf-8\n",
        ),
        (
            "1:41: global.metric_name_validation_scheme: unknown name validation method \
             specified, must be either 'legacy' or 'utf8', got \"x\"",
            "global: {metric_name_validation_scheme: x}\n",
        ),
        (
            "1:28: global.external_labels: \"\" is not a valid label name",
            "global: {external_labels: {'': x}}\n",
        ),
        (
            "3:31: scrape_configs[0].static_configs[0].targets[0]: \"http://x\" is not a valid hostname",
            "scrape_configs:\n- job_name: a\n  static_configs: [{targets: ['http://x']}]\n",
        ),
        // Relabelling.
        (
            "3:30: scrape_configs[0].relabel_configs[0].action: unknown relabel action \"foo\"",
            "scrape_configs:\n- job_name: a\n  relabel_configs: [{action: foo}]\n",
        ),
        (
            "4:5: scrape_configs[0].metric_relabel_configs[0]: relabel configuration for replace \
             action requires 'target_label' value",
            "scrape_configs:\n- job_name: a\n  metric_relabel_configs:\n  - source_labels: [x]\n",
        ),
        (
            "4:5: scrape_configs[0].relabel_configs[0]: \"x-y\" is invalid 'target_label' for \
             replace action",
            "scrape_configs:\n- {job_name: a, metric_name_validation_scheme: legacy,\n  relabel_configs: [\n    {target_label: x-y}]}\n",
        ),
        (
            "3:21: scrape_configs[0].relabel_configs[0]: empty or null target relabeling rule in \
             scrape config",
            "scrape_configs:\n- job_name: a\n  relabel_configs: [null]\n",
        ),
        // Not supported.
        (&not_supported("1:1: rule_files"), "rule_files: [a.yml]\n"),
        (
            &not_supported("1:1: alerting"),
            "alerting: {alertmanagers: [{static_configs: [{targets: ['a:1']}]}]}\n",
        ),
        (
            "1:12: alerting: field foo not found",
            "alerting: {foo: []}\n",
        ),
        (
            &not_supported("1:1: remote_write"),
            "remote_write: [{url: 'http://x'}]\n",
        ),
        (
            &not_supported("2:3: global.convert_classic_histograms_to_nhcb"),
            "global:\n  convert_classic_histograms_to_nhcb: true\n",
        ),
        (
            "3:30: scrape_configs[0].file_sd_configs[0].files[0]: path name \"a.txt\" is not valid \
             for file discovery",
            "scrape_configs:\n- job_name: a\n  file_sd_configs: [{files: [a.txt]}]\n",
        ),
        (
            "3:21: scrape_configs[0].file_sd_configs[0]: file service discovery config must \
             contain at least one path name",
            "scrape_configs:\n- job_name: a\n  file_sd_configs: [{files: []}]\n",
        ),
        (
            &not_supported("3:3: scrape_configs[0].http_sd_configs"),
            "scrape_configs:\n- job_name: a\n  http_sd_configs: [{url: 'http://x'}]\n",
        ),
        (
            &not_supported("3:3: scrape_configs[0].oauth2"),
            "scrape_configs:\n- job_name: a\n  oauth2: {client_id: me, token_url: 'http://x'}\n",
        ),
        (
            &not_supported("1:18: storage.tsdb.retention"),
            "storage: {tsdb: {retention: {time: 1d}}}\n",
        ),
    ];
    let mut wrong = Vec::new();
    for (want, yaml) in table {
        let got = error(yaml);
        if got != format!("p.yml:{want}") {
            wrong.push(format!("{yaml}  want p.yml:{want}\n  got  {got}\n"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn bad_regex() {
    let got = error(
        "scrape_configs:\n- job_name: a\n  relabel_configs:\n  - {action: drop, regex: '('}\n",
    );
    let want = "p.yml:4:27: scrape_configs[0].relabel_configs[0].regex: error parsing regexp: ";
    assert!(got.starts_with(want), "{got}");
}

#[test]
fn broken_yaml_has_a_place() {
    for (place, yaml) in [
        ("1:9", "global: {\n"),
        ("2:2", "global:\n\tscrape_interval: 1m\n"),
        ("1:9", "global: *nope\n"),
        ("2:3", "a: 1\n- b\n"),
    ] {
        let got = error(yaml);
        let rest = got.strip_prefix("p.yml:").unwrap();
        let (line_column, reason) = rest.split_once(": ").unwrap();
        assert_eq!(line_column, place, "{got}");
        assert!(!reason.is_empty() && !reason.contains('\n'), "{got}");
    }
}
