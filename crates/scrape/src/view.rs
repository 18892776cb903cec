//! What the targets look like from outside: the content of `/api/v1/targets`.

use std::collections::BTreeMap;

use tsdb_model::Labels;

/// Health of a target after its last scrape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Health {
    /// Not scraped yet.
    #[default]
    Unknown,
    /// The last scrape worked.
    Up,
    /// The last scrape failed.
    Down,
}

impl Health {
    /// The word used in the HTTP API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// A target that is scraped.
#[derive(Debug, Clone)]
pub struct ActiveTarget {
    /// Labels before relabelling.
    pub discovered_labels: Labels,
    /// Labels of its series.
    pub labels: Labels,
    /// Name of its job in the configuration.
    pub scrape_pool: String,
    /// The URL asked.
    pub scrape_url: String,
    /// The URL as seen from other machines.
    pub global_url: String,
    /// Why the last scrape failed; empty when it did not.
    pub last_error: String,
    /// Start of the last scrape, milliseconds since the Unix epoch; `None` before the first.
    pub last_scrape_ms: Option<i64>,
    /// Length of the last scrape in seconds.
    pub last_scrape_duration_seconds: f64,
    /// Outcome of the last scrape.
    pub health: Health,
    /// Time between scrapes, a duration such as `15s`.
    pub scrape_interval: String,
    /// Time a scrape may take, a duration such as `10s`.
    pub scrape_timeout: String,
}

/// A target that relabelling dropped.
#[derive(Debug, Clone)]
pub struct DroppedTarget {
    /// Labels before relabelling.
    pub discovered_labels: Labels,
    /// Name of its job in the configuration.
    pub scrape_pool: String,
}

/// All targets, pools in order of their names.
#[derive(Debug, Clone, Default)]
pub struct Targets {
    /// Targets that are scraped.
    pub active: Vec<ActiveTarget>,
    /// Targets that relabelling dropped, at most `keep_dropped_targets` per pool.
    pub dropped: Vec<DroppedTarget>,
    /// How many were dropped, by pool; every pool is named.
    pub dropped_counts: BTreeMap<String, usize>,
}
