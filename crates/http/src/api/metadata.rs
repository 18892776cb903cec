//! `/api/v1/metadata`, `/api/v1/targets/metadata`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tsdb_model::{METRIC_NAME, Matcher, Metadata, MetricType, StorageError};

use crate::answer::{ApiResult, Success};
use crate::api::targets::LabelMap;
use crate::error::ApiError;
use crate::params::{MAX_TIME_MS, MIN_TIME_MS, Params, parse_int};
use crate::router::Call;
use crate::state::Running;

/// Metadata of one metric, as shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Shown {
    #[serde(rename = "type")]
    metric_type: &'static str,
    unit: String,
    help: String,
}

impl From<Metadata> for Shown {
    fn from(m: Metadata) -> Self {
        Self {
            metric_type: m.metric_type.as_str(),
            unit: m.unit,
            help: m.help,
        }
    }
}

/// Metadata by metric.
pub(crate) fn metadata(call: &Call, running: &Running) -> ApiResult {
    let limit = number(&call.params, "limit")?;
    let limit_per_metric = number(&call.params, "limit_per_metric")?;
    let mut all = collect(running);
    add_series_names(&mut all, running)?;
    let wanted = call.params.get("metric");
    if !wanted.is_empty() {
        all.retain(|name, _| name == wanted);
    }
    let per_metric = usize::try_from(limit_per_metric).unwrap_or(0);
    let shown: BTreeMap<String, Vec<Shown>> = all
        .into_iter()
        .take(usize::try_from(limit).unwrap_or(usize::MAX))
        .map(|(name, mut list)| {
            if per_metric > 0 {
                list.truncate(per_metric);
            }
            (name, list.into_iter().map(Shown::from).collect())
        })
        .collect();
    Success::json(&shown)
}

/// Metadata by metric, of those that have some; by the names of the series, too.
pub(crate) fn by_series_name(
    running: &Running,
) -> Result<BTreeMap<String, Metadata>, StorageError> {
    let mut all = collect(running);
    add_series_names(&mut all, running)?;
    let first = |(name, list): (String, Vec<Metadata>)| Some((name, list.into_iter().next()?));
    Ok(all.into_iter().filter_map(first).collect())
}

/// What active targets say, and what the store remembers of metrics they do not name.
fn collect(running: &Running) -> BTreeMap<String, Vec<Metadata>> {
    let mut all: BTreeMap<String, Vec<Metadata>> = BTreeMap::new();
    let targets = running
        .scrape
        .as_ref()
        .map(|s| s.metadata())
        .unwrap_or_default();
    for (name, metadata) in targets.into_iter().flat_map(|(_, families)| families) {
        let list = all.entry(name).or_default();
        if !list.contains(&metadata) {
            list.push(metadata);
        }
    }
    for (name, metadata) in running.db.metadata() {
        all.entry(name).or_insert_with(|| vec![metadata]);
    }
    all
}

/// In OpenMetrics the series of the counter `x` is called `x_total`. People and Grafana look for
/// the name of the series, so its metadata stands under that name, too.
fn add_series_names(
    all: &mut BTreeMap<String, Vec<Metadata>>,
    running: &Running,
) -> Result<(), StorageError> {
    let suffix = |t: MetricType| match t {
        MetricType::Counter => Some("_total"),
        MetricType::Info => Some("_info"),
        _ => None,
    };
    let mut renamed: Vec<(String, Vec<Metadata>)> = Vec::new();
    for (name, list) in &*all {
        let Some(suffix) = list.first().and_then(|m| suffix(m.metric_type)) else {
            continue;
        };
        let series = format!("{name}{suffix}");
        if !name.ends_with(suffix) && !all.contains_key(&series) {
            renamed.push((series, list.clone()));
        }
    }
    if renamed.is_empty() {
        return Ok(());
    }
    let querier = running.db.querier(MIN_TIME_MS, MAX_TIME_MS)?;
    let stored: BTreeSet<String> = querier
        .label_values(METRIC_NAME, &[], 0)?
        .into_iter()
        .collect();
    all.extend(
        renamed
            .into_iter()
            .filter(|(name, _)| stored.contains(name)),
    );
    Ok(())
}

/// One line of `/api/v1/targets/metadata`.
#[derive(Debug, Serialize)]
struct Row {
    target: LabelMap,
    #[serde(rename = "metric", skip_serializing_if = "String::is_empty")]
    family: String,
    #[serde(rename = "type")]
    metric_type: &'static str,
    help: String,
    unit: String,
}

/// Metadata by target.
pub(crate) fn target_metadata(call: &Call, running: &Running) -> ApiResult {
    let limit = number(&call.params, "limit")?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let matchers: Vec<Matcher> = match call.params.get("match_target") {
        "" => Vec::new(),
        text => {
            tsdb_promql::parse_selector(text).map_err(|e| ApiError::invalid("match_target", e))?
        }
    };
    let metric = call.params.get("metric");
    let mut rows = Vec::new();
    let targets = running
        .scrape
        .as_ref()
        .map(|s| s.metadata())
        .unwrap_or_default();
    'targets: for (labels, families) in targets {
        if !matchers.iter().all(|m| m.matches(labels.value(&m.name))) {
            continue;
        }
        for (family, metadata) in families {
            if !metric.is_empty() && family != metric {
                continue;
            }
            if rows.len() >= limit {
                break 'targets;
            }
            rows.push(Row {
                target: LabelMap(labels.clone()),
                family: if metric.is_empty() {
                    family
                } else {
                    String::new()
                },
                metric_type: metadata.metric_type.as_str(),
                help: metadata.help,
                unit: metadata.unit,
            });
        }
    }
    Success::json(&rows)
}

/// A parameter that is a number; -1 when it is absent.
fn number(params: &Params, name: &str) -> Result<i64, ApiError> {
    match params.get(name) {
        "" => Ok(-1),
        text => parse_int(text).map_err(|_| ApiError::bad_data(format!("{name} must be a number"))),
    }
}
