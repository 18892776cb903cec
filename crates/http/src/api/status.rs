//! `/api/v1/status/*`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;
use tsdb::DbStats;
use tsdb_config::format_size;
use tsdb_model::format_duration_ms;

use crate::answer::{ApiResult, Success};
use crate::error::ApiError;
use crate::json::rfc3339_ms;
use crate::params::parse_int;
use crate::process;
use crate::router::Call;
use crate::state::Running;

/// Most entries of each list of `/api/v1/status/tsdb`.
const MAX_LIMIT: i64 = 10_000;

/// What this program is.
pub(crate) fn build_info(call: &Call, _: &Running) -> ApiResult {
    Success::json(&call.state.options.build)
}

/// Under Prometheus's names. What belongs to Go's runtime has the value that means "not set".
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RuntimeInfo {
    start_time: String,
    #[serde(rename = "CWD")]
    cwd: String,
    hostname: String,
    server_time: String,
    reload_config_success: bool,
    last_config_time: String,
    corruption_count: u64,
    /// Threads, the nearest there is.
    goroutine_count: u64,
    #[serde(rename = "GOMAXPROCS")]
    gomaxprocs: usize,
    #[serde(rename = "GOMEMLIMIT")]
    gomemlimit: i64,
    #[serde(rename = "GOGC")]
    gogc: &'static str,
    #[serde(rename = "GODEBUG")]
    godebug: &'static str,
    storage_retention: String,
}

/// How the program runs.
pub(crate) fn runtime_info(call: &Call, running: &Running) -> ApiResult {
    let state = &call.state;
    let stats = running.db.stats();
    let (config_ok, config_loaded_ms) = state.config_status();
    let cwd = std::env::current_dir().unwrap_or_default();
    Success::json(&RuntimeInfo {
        start_time: rfc3339_ms(state.started_ms),
        cwd: cwd.display().to_string(),
        hostname: process::hostname(),
        server_time: rfc3339_ms(state.now_ms()),
        reload_config_success: config_ok,
        last_config_time: rfc3339_ms(config_loaded_ms),
        corruption_count: stats.wal_corruptions,
        goroutine_count: process::read().map_or(0, |p| p.threads),
        gomaxprocs: std::thread::available_parallelism().map_or(1, usize::from),
        gomemlimit: i64::MAX,
        gogc: "",
        godebug: "",
        storage_retention: storage_retention(&stats),
    })
}

/// `15d`, `10GiB`, or `15d or 10GiB`.
fn storage_retention(stats: &DbStats) -> String {
    let time = (stats.retention_ms > 0).then(|| format_duration_ms(stats.retention_ms));
    let size = (stats.retention_bytes > 0).then(|| format_size(stats.retention_bytes));
    let limits: Vec<String> = time.into_iter().chain(size).collect();
    limits.join(" or ")
}

/// Command line flags.
pub(crate) fn flags(call: &Call, _: &Running) -> ApiResult {
    let flags: BTreeMap<_, _> = call
        .state
        .options
        .flags
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    Success::json(&flags)
}

/// The configuration in force.
pub(crate) fn config(call: &Call, _: &Running) -> ApiResult {
    Success::json(&json!({"yaml": call.state.config().to_yaml()}))
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TsdbStatus {
    head_stats: HeadStats,
    series_count_by_metric_name: Vec<Count>,
    label_value_count_by_label_name: Vec<Count>,
    memory_in_bytes_by_label_name: Vec<Count>,
    series_count_by_label_value_pair: Vec<Count>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct HeadStats {
    num_series: u64,
    num_label_pairs: u64,
    chunk_count: u64,
    min_time: i64,
    max_time: i64,
}

#[derive(Debug, Serialize)]
struct Count {
    name: String,
    value: u64,
}

/// Where the series come from.
pub(crate) fn tsdb(call: &Call, running: &Running) -> ApiResult {
    let limit = match call.params.get("limit") {
        "" => 10,
        text => match parse_int(text) {
            Ok(n @ 1..=MAX_LIMIT) => n,
            Ok(n) if n > MAX_LIMIT => {
                return Err(ApiError::bad_data(format!(
                    "limit must not exceed {MAX_LIMIT}"
                )));
            }
            _ => return Err(ApiError::bad_data("limit must be a positive number")),
        },
    };
    let cardinality = running.db.cardinality(usize::try_from(limit).unwrap_or(10));
    let counts = |list: Vec<(String, u64)>| {
        list.into_iter()
            .map(|(name, value)| Count { name, value })
            .collect()
    };
    Success::json(&TsdbStatus {
        head_stats: HeadStats {
            num_series: cardinality.num_series,
            num_label_pairs: cardinality.num_label_pairs,
            chunk_count: cardinality.num_chunks,
            min_time: cardinality.min_time_ms,
            max_time: cardinality.max_time_ms,
        },
        series_count_by_metric_name: counts(cardinality.series_by_metric),
        label_value_count_by_label_name: counts(cardinality.values_by_label),
        memory_in_bytes_by_label_name: counts(cardinality.bytes_by_label),
        series_count_by_label_value_pair: counts(cardinality.series_by_pair),
    })
}

/// First and last segment of the log, and the one replay has come to: 0 each until the store is
/// open, all read from then on.
pub(crate) fn wal_replay(call: &Call) -> ApiResult {
    let (min, max) = call.state.running().map_or((0, 0), |running| {
        let stats = running.db.stats();
        let max = stats.wal_segment_current;
        (
            max.saturating_sub(stats.wal_segments.saturating_sub(1)),
            max,
        )
    });
    Success::json(&json!({"min": min, "max": max, "current": max}))
}
