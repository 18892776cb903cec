//! The list of questions that dashboards ask.

/// How a question is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// `/api/v1/query` at the end of the data.
    Instant,
    /// `/api/v1/query_range`: hours back from the end, step in seconds.
    Range(u32, u32),
    /// Another path below `/api/v1/`, with `match[]` if the expression is not empty, over an hour.
    Meta(&'static str),
}

/// A question and its short name.
pub(crate) struct Question {
    pub(crate) name: &'static str,
    pub(crate) ask: Ask,
    pub(crate) expr: &'static str,
}

const fn q(name: &'static str, ask: Ask, expr: &'static str) -> Question {
    Question { name, ask, expr }
}

const HOUR: Ask = Ask::Range(1, 15);

/// All of them. `rate` over all 50 k series at once is not among them: Prometheus refuses results
/// that differ by name only.
#[rustfmt::skip] // one question a line
pub(crate) const QUESTIONS: &[Question] = &[
    q("i_one", Ask::Instant, r#"node_load1{instance="host-0007:9100"}"#),
    q("i_sel50k", Ask::Instant, r#"count({job="node"})"#),
    q("i_raw16k", Ask::Instant, "node_cpu_seconds_total"),
    q("i_count_names", Ask::Instant, r#"count by (__name__) ({job="node"})"#),
    q("i_topk", Ask::Instant, "topk(10, rate(node_network_receive_bytes_total[5m]))"),
    q("i_avg4h_16k", Ask::Instant, "sum by (mode) (avg_over_time(node_cpu_seconds_total[4h]))"),
    q("i_max4h", Ask::Instant, "max by (region) (max_over_time(node_load1[4h]))"),
    q("i_regex", Ask::Instant, r#"sum by (mountpoint) (node_filesystem_avail_bytes{instance=~"host-0[0-2].*"})"#),
    q("i_hist_quantile", Ask::Instant, "histogram_quantile(0.99, sum by (le, region) (rate(http_request_duration_seconds_bucket[5m])))"),
    q("i_group_left", Ask::Instant, "rate(node_context_switches_total[5m]) * on (instance) group_left (release) node_uname_info"),
    q("i_subquery", Ask::Instant, "max_over_time(sum(rate(node_context_switches_total[5m]))[1h:1m])"),
    q("i_alert", Ask::Instant, r#"node_filesystem_avail_bytes{mountpoint="/"} / node_filesystem_size_bytes < 0.1"#),
    q("r_one", HOUR, r#"node_load1{instance="host-0007:9100"}"#),
    q("r_rate_one", HOUR, r#"rate(node_network_receive_bytes_total{instance="host-0007:9100",device="eth0"}[5m])"#),
    q("r_cpu_host", HOUR, r#"sum by (mode) (rate(node_cpu_seconds_total{instance="host-0007:9100"}[5m]))"#),
    q("r_mem_host", HOUR, r#"1 - node_memory_MemAvailable_bytes{instance="host-0007:9100"} / node_memory_MemTotal_bytes"#),
    q("r_disk_host", HOUR, r#"irate(node_disk_io_time_seconds_total{instance="host-0007:9100"}[5m])"#),
    q("r_fleet_cpu16k", HOUR, "sum by (mode) (rate(node_cpu_seconds_total[5m]))"),
    q("r_busy16k", HOUR, r#"1 - avg by (region) (rate(node_cpu_seconds_total{mode="idle"}[5m]))"#),
    q("r_sum50k", HOUR, r#"sum by (region) ({job="node"})"#),
    q("r_hist_quantile", HOUR, "histogram_quantile(0.95, sum by (le, job) (rate(http_request_duration_seconds_bucket[5m])))"),
    q("r_topk", Ask::Range(1, 60), "topk(10, rate(node_network_receive_bytes_total[5m]))"),
    q("r_regex", HOUR, r#"sum by (device) (rate(node_disk_read_bytes_total{instance=~"host-00.*|host-01[1-5].*"}[5m]))"#),
    q("r_group_left", HOUR, "sum by (release) (rate(node_context_switches_total[5m]) * on (instance) group_left (release) node_uname_info)"),
    q("r_mem_ratio", HOUR, "1 - avg by (region) (node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes)"),
    q("r_quantile_ot", Ask::Range(1, 60), "quantile_over_time(0.9, node_load1[1h])"),
    q("r_max4h", Ask::Range(1, 60), "max by (team) (max_over_time(node_load5[4h]))"),
    q("r_stddev", Ask::Range(1, 60), "avg by (region) (stddev_over_time(node_load1[10m]))"),
    q("r_subquery", Ask::Range(1, 60), "max_over_time(sum by (region) (rate(http_request_duration_seconds_count[5m]))[30m:1m])"),
    q("r_rate_4h", Ask::Range(4, 60), r#"rate(node_network_receive_bytes_total{device="eth0"}[5m])"#),
    q("r_mode_4h", Ask::Range(4, 60), r#"sum by (mode) (rate(node_cpu_seconds_total{region="region-1"}[5m]))"#),
    q("r_predict", Ask::Range(1, 60), r#"predict_linear(node_filesystem_avail_bytes{mountpoint="/"}[1h], 14400) < 0"#),
    q("r_offset", HOUR, "sum(rate(node_forks_total[5m])) - sum(rate(node_forks_total[5m] offset 30m))"),
    q("r_and", HOUR, "count(node_load1 > 2 and on (instance) node_load5 > 1)"),
    q("r_flapping", HOUR, "count(node_hwmon_fan_rpm) by (az)"),
    q("m_labels", Ask::Meta("labels"), ""),
    q("m_names", Ask::Meta("label/__name__/values"), ""),
    q("m_instances", Ask::Meta("label/instance/values"), r#"{__name__="node_load1"}"#),
    q("m_series16k", Ask::Meta("series"), "node_cpu_seconds_total"),
    q("m_series_host", Ask::Meta("series"), r#"{instance="host-0007:9100"}"#),
];

impl Question {
    /// Path and form of the request for data that ends at `end_ms`.
    pub(crate) fn request(&self, end_ms: i64) -> (String, Vec<(&'static str, String)>) {
        let end = end_ms / 1000;
        match self.ask {
            Ask::Instant => (
                "/api/v1/query".to_owned(),
                vec![("query", self.expr.to_owned()), ("time", end.to_string())],
            ),
            Ask::Range(hours, step) => (
                "/api/v1/query_range".to_owned(),
                vec![
                    ("query", self.expr.to_owned()),
                    ("start", (end - i64::from(hours) * 3600).to_string()),
                    ("end", end.to_string()),
                    ("step", step.to_string()),
                ],
            ),
            Ask::Meta(path) => {
                let mut form = vec![
                    ("start", (end - 3600).to_string()),
                    ("end", end.to_string()),
                ];
                if !self.expr.is_empty() {
                    form.push(("match[]", self.expr.to_owned()));
                }
                (format!("/api/v1/{path}"), form)
            }
        }
    }

    /// Whether the path takes `POST`; values of a label are asked for by `GET` only.
    pub(crate) fn takes_post(&self) -> bool {
        !matches!(self.ask, Ask::Meta(path) if path.starts_with("label/"))
    }
}
