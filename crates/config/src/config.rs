//! The configuration as meant: every value resolved.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tsdb_model::relabel::RelabelConfig;

use crate::file_sd::FileSdConfig;
use crate::http_client::HttpClientConfig;

/// `scrape_interval` and `evaluation_interval` of a configuration that names none: 1m.
pub const DEFAULT_INTERVAL_MS: i64 = 60_000;
/// `scrape_timeout` of a configuration that names none: 10s.
pub const DEFAULT_TIMEOUT_MS: i64 = 10_000;
/// `scrape_protocols` of a configuration that names none.
pub const DEFAULT_SCRAPE_PROTOCOLS: [&str; 4] = [
    "OpenMetricsText1.0.0",
    "OpenMetricsText0.0.1",
    "PrometheusText1.0.0",
    "PrometheusText0.0.4",
];

pub(crate) const UTF8: &str = "utf8";
pub(crate) const LEGACY: &str = "legacy";
pub(crate) const ALLOW_UTF8: &str = "allow-utf-8";
pub(crate) const UNDERSCORES: &str = "underscores";

/// A whole configuration file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// `global`
    pub global: GlobalConfig,
    /// `scrape_configs`
    pub scrape_configs: Vec<ScrapeConfig>,
    /// `storage`
    pub storage: StorageConfig,
}

/// `global`: what jobs inherit. Limits are 0 when there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct GlobalConfig {
    /// `scrape_interval` in milliseconds.
    pub scrape_interval_ms: i64,
    /// `scrape_timeout` in milliseconds, not above the interval.
    pub scrape_timeout_ms: i64,
    /// `scrape_protocols`, wanted most first.
    pub scrape_protocols: Vec<String>,
    /// `evaluation_interval` in milliseconds: the step of subqueries that name none.
    pub evaluation_interval_ms: i64,
    /// `external_labels`, with variables of the environment expanded.
    pub external_labels: BTreeMap<String, String>,
    /// `query_log_file`, below the directory of the configuration.
    pub query_log_file: Option<PathBuf>,
    /// `body_size_limit` in bytes, uncompressed.
    pub body_size_limit: u64,
    /// `sample_limit`
    pub sample_limit: u64,
    /// `label_limit`
    pub label_limit: u64,
    /// `label_name_length_limit`
    pub label_name_length_limit: u64,
    /// `label_value_length_limit`
    pub label_value_length_limit: u64,
    /// `target_limit`
    pub target_limit: u64,
    /// `keep_dropped_targets`
    pub keep_dropped_targets: u64,
    /// `metric_name_validation_scheme`: `utf8` or `legacy`.
    pub metric_name_validation_scheme: String,
    /// `metric_name_escaping_scheme`: `allow-utf-8`, `underscores`, `dots` or `values`.
    pub metric_name_escaping_scheme: String,
}

impl Default for GlobalConfig {
    fn default() -> Self {
        Self {
            scrape_interval_ms: DEFAULT_INTERVAL_MS,
            scrape_timeout_ms: DEFAULT_TIMEOUT_MS,
            scrape_protocols: DEFAULT_SCRAPE_PROTOCOLS.map(String::from).to_vec(),
            evaluation_interval_ms: DEFAULT_INTERVAL_MS,
            external_labels: BTreeMap::new(),
            query_log_file: None,
            body_size_limit: 0,
            sample_limit: 0,
            label_limit: 0,
            label_name_length_limit: 0,
            label_value_length_limit: 0,
            target_limit: 0,
            keep_dropped_targets: 0,
            metric_name_validation_scheme: UTF8.to_string(),
            metric_name_escaping_scheme: ALLOW_UTF8.to_string(),
        }
    }
}

/// `storage`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StorageConfig {
    /// `tsdb.out_of_order_time_window` in milliseconds.
    pub out_of_order_time_window_ms: Option<i64>,
}

/// One job of `scrape_configs`, with what it does not say taken from `global`. Limits are 0 when
/// there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct ScrapeConfig {
    /// `job_name`
    pub job_name: String,
    /// `honor_labels`
    pub honor_labels: bool,
    /// `honor_timestamps`
    pub honor_timestamps: bool,
    /// `track_timestamps_staleness`
    pub track_timestamps_staleness: bool,
    /// `params`
    pub params: BTreeMap<String, Vec<String>>,
    /// `scrape_interval` in milliseconds.
    pub scrape_interval_ms: i64,
    /// `scrape_timeout` in milliseconds, not above the interval.
    pub scrape_timeout_ms: i64,
    /// `scrape_protocols`, wanted most first.
    pub scrape_protocols: Vec<String>,
    /// `fallback_scrape_protocol`
    pub fallback_scrape_protocol: Option<String>,
    /// `metrics_path`
    pub metrics_path: String,
    /// `scheme`
    pub scheme: String,
    /// `enable_compression`
    pub enable_compression: bool,
    /// `body_size_limit` in bytes, uncompressed.
    pub body_size_limit: u64,
    /// `sample_limit`
    pub sample_limit: u64,
    /// `label_limit`
    pub label_limit: u64,
    /// `label_name_length_limit`
    pub label_name_length_limit: u64,
    /// `label_value_length_limit`
    pub label_value_length_limit: u64,
    /// `target_limit`
    pub target_limit: u64,
    /// `keep_dropped_targets`
    pub keep_dropped_targets: u64,
    /// `metric_name_validation_scheme`: `utf8` or `legacy`.
    pub metric_name_validation_scheme: String,
    /// `metric_name_escaping_scheme`: `allow-utf-8`, `underscores`, `dots` or `values`.
    pub metric_name_escaping_scheme: String,
    /// The settings of the HTTP client, which stand beside the others.
    pub http_client: HttpClientConfig,
    /// `file_sd_configs`
    pub file_sd_configs: Vec<FileSdConfig>,
    /// `static_configs`
    pub static_configs: Vec<StaticConfig>,
    /// `relabel_configs`
    pub relabel_configs: Vec<RelabelConfig>,
    /// `metric_relabel_configs`
    pub metric_relabel_configs: Vec<RelabelConfig>,
}

/// One group of `static_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StaticConfig {
    /// Addresses, `host:port`.
    pub targets: Vec<String>,
    /// Labels of all of them.
    pub labels: BTreeMap<String, String>,
}
