//! `/api/v1/targets`, `/api/v1/scrape_pools`.

use std::collections::BTreeMap;

use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use tsdb_model::Labels;
use tsdb_scrape::{ActiveTarget, DroppedTarget, Targets};

use crate::answer::{ApiResult, Success};
use crate::json::rfc3339_ms;
use crate::router::Call;
use crate::state::Running;

/// Labels as an object, written as everywhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LabelMap(pub(crate) Labels);

impl Serialize for LabelMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::new();
        crate::json::write_labels(&mut text, &self.0);
        let raw = RawValue::from_string(text).map_err(S::Error::custom)?;
        raw.serialize(serializer)
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownTargets {
    active_targets: Vec<Active>,
    dropped_targets: Vec<Dropped>,
    dropped_target_counts: Option<BTreeMap<String, usize>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Active {
    discovered_labels: LabelMap,
    labels: LabelMap,
    scrape_pool: String,
    scrape_url: String,
    global_url: String,
    last_error: String,
    last_scrape: String,
    last_scrape_duration: f64,
    health: &'static str,
    scrape_interval: String,
    scrape_timeout: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Dropped {
    discovered_labels: LabelMap,
    scrape_pool: String,
}

impl From<ActiveTarget> for Active {
    fn from(t: ActiveTarget) -> Self {
        Self {
            discovered_labels: LabelMap(t.discovered_labels),
            labels: LabelMap(t.labels),
            scrape_pool: t.scrape_pool,
            scrape_url: t.scrape_url,
            global_url: t.global_url,
            last_error: t.last_error,
            // Go's zero time stands for "never".
            last_scrape: t
                .last_scrape_ms
                .map_or_else(|| "0001-01-01T00:00:00Z".to_string(), rfc3339_ms),
            last_scrape_duration: t.last_scrape_duration_seconds,
            health: t.health.as_str(),
            scrape_interval: t.scrape_interval,
            scrape_timeout: t.scrape_timeout,
        }
    }
}

impl From<DroppedTarget> for Dropped {
    fn from(t: DroppedTarget) -> Self {
        Self {
            discovered_labels: LabelMap(t.discovered_labels),
            scrape_pool: t.scrape_pool,
        }
    }
}

/// Active and dropped targets.
pub(crate) fn targets(call: &Call, running: &Running) -> ApiResult {
    let targets = running
        .scrape
        .as_ref()
        .map(|s| s.targets())
        .unwrap_or_default();
    Success::json(&shown(
        targets,
        call.params.get("state"),
        call.params.get("scrapePool"),
    ))
}

fn shown(targets: Targets, state: &str, pool: &str) -> ShownTargets {
    let state = state.to_lowercase();
    let (active, dropped) = match state.as_str() {
        "" | "any" => (true, true),
        "active" => (true, false),
        "dropped" => (false, true),
        _ => (false, false),
    };
    let in_pool = |name: &str| pool.is_empty() || name == pool;
    let all_active = targets.active.into_iter();
    let all_dropped = targets.dropped.into_iter();
    ShownTargets {
        active_targets: all_active
            .filter(|t| active && in_pool(&t.scrape_pool))
            .map(Active::from)
            .collect(),
        dropped_targets: all_dropped
            .filter(|t| dropped && in_pool(&t.scrape_pool))
            .map(Dropped::from)
            .collect(),
        dropped_target_counts: dropped.then_some(targets.dropped_counts),
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ScrapePools {
    scrape_pools: Vec<String>,
}

/// Names of the pools.
pub(crate) fn scrape_pools(_: &Call, running: &Running) -> ApiResult {
    let scrape_pools = running
        .scrape
        .as_ref()
        .map(|s| s.scrape_pools())
        .unwrap_or_default();
    Success::json(&ScrapePools { scrape_pools })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tsdb_scrape::Health;

    fn all() -> Targets {
        let active = |pool: &str, last_scrape_ms| ActiveTarget {
            discovered_labels: Labels::from_pairs([("__address__", "h:1"), ("job", pool)]),
            labels: Labels::from_pairs([("instance", "h:1"), ("job", pool)]),
            scrape_pool: pool.into(),
            scrape_url: "http://h:1/metrics".into(),
            global_url: "http://h:1/metrics".into(),
            last_error: String::new(),
            last_scrape_ms,
            last_scrape_duration_seconds: 0.25,
            health: Health::Up,
            scrape_interval: "15s".into(),
            scrape_timeout: "10s".into(),
        };
        let dropped = DroppedTarget {
            discovered_labels: Labels::from_pairs([("__address__", "x:1")]),
            scrape_pool: "b".into(),
        };
        Targets {
            active: vec![active("a", Some(1500)), active("b", None)],
            dropped: vec![dropped],
            dropped_counts: BTreeMap::from([("a".into(), 0), ("b".into(), 1)]),
        }
    }

    fn text(state: &str, pool: &str) -> String {
        crate::json::to_json(&shown(all(), state, pool)).unwrap()
    }

    #[test]
    fn states_and_pools() {
        assert_eq!(
            text("Active", "a"),
            r#"{"activeTargets":[{"discoveredLabels":{"__address__":"h:1","job":"a"},"labels":{"instance":"h:1","job":"a"},"scrapePool":"a","scrapeUrl":"http://h:1/metrics","globalUrl":"http://h:1/metrics","lastError":"","lastScrape":"1970-01-01T00:00:01.5Z","lastScrapeDuration":0.25,"health":"up","scrapeInterval":"15s","scrapeTimeout":"10s"}],"droppedTargets":[],"droppedTargetCounts":null}"#
        );
        assert_eq!(
            text("dropped", ""),
            r#"{"activeTargets":[],"droppedTargets":[{"discoveredLabels":{"__address__":"x:1"},"scrapePool":"b"}],"droppedTargetCounts":{"a":0,"b":1}}"#
        );
        assert_eq!(
            text("dropped", "a"),
            r#"{"activeTargets":[],"droppedTargets":[],"droppedTargetCounts":{"a":0,"b":1}}"#
        );
        assert_eq!(
            text("else", ""),
            r#"{"activeTargets":[],"droppedTargets":[],"droppedTargetCounts":null}"#
        );
        let both = shown(all(), "", "");
        assert_eq!(
            (both.active_targets.len(), both.dropped_targets.len()),
            (2, 1)
        );
        assert_eq!(both.active_targets[1].last_scrape, "0001-01-01T00:00:00Z");
    }
}
