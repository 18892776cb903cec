//! Counters of scraping, for the `prometheus_target_*` self-metrics.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What a summary metric shows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// `(quantile, value)` over the last observations; NaN while there are none.
    pub quantiles: Vec<(f64, f64)>,
    /// Sum of all observations.
    pub sum: f64,
    /// Number of all observations.
    pub count: u64,
}

/// Counters of one scrape pool.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PoolStats {
    /// Targets that are scraped (`prometheus_target_scrape_pool_targets`).
    pub targets: u64,
    /// Configured `target_limit`, 0 for none (`prometheus_target_scrape_pool_target_limit`).
    pub target_limit: u64,
    /// Times the targets were worked out (`prometheus_target_scrape_pool_sync_total`).
    pub syncs: u64,
    /// Targets that could not be made from their labels (`prometheus_target_sync_failed_total`).
    pub sync_failures: u64,
    /// Seconds a sync took (`prometheus_target_sync_length_seconds`), quantiles as in
    /// [`INTERVAL_QUANTILES`].
    pub sync_length: Summary,
    /// Families in the metadata caches (`prometheus_target_metadata_cache_entries`).
    pub metadata_entries: u64,
    /// Bytes in the metadata caches (`prometheus_target_metadata_cache_bytes`).
    pub metadata_bytes: u64,
    /// Targets that discovery found (`prometheus_sd_discovered_targets`).
    pub discovered: u64,
}

/// Counters of all scraping. Names of the self-metrics stand in parentheses.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScrapeStats {
    /// By name of the pool.
    pub pools: BTreeMap<String, PoolStats>,
    /// Seconds between scrapes, by configured interval such as `15s`
    /// (`prometheus_target_interval_length_seconds`), quantiles as in [`INTERVAL_QUANTILES`].
    pub interval_length: BTreeMap<String, Summary>,
    /// Pools made (`prometheus_target_scrape_pools_total`).
    pub pools_created: u64,
    /// Pools given a changed configuration (`prometheus_target_scrape_pool_reloads_total`).
    pub pool_reloads: u64,
    /// (`prometheus_target_scrape_pool_exceeded_target_limit_total`)
    pub exceeded_target_limit: u64,
    /// (`prometheus_target_scrape_pool_exceeded_label_limits_total`)
    pub exceeded_label_limits: u64,
    /// (`prometheus_target_scrapes_exceeded_sample_limit_total`)
    pub exceeded_sample_limit: u64,
    /// (`prometheus_target_scrapes_exceeded_body_size_limit_total`)
    pub exceeded_body_size_limit: u64,
    /// (`prometheus_target_scrapes_sample_duplicate_timestamp_total`)
    pub duplicate_timestamp: u64,
    /// (`prometheus_target_scrapes_sample_out_of_order_total`)
    pub out_of_order: u64,
    /// (`prometheus_target_scrapes_sample_out_of_bounds_total`)
    pub out_of_bounds: u64,
    /// (`prometheus_target_scrapes_exemplar_out_of_order_total`)
    pub exemplar_out_of_order: u64,
    /// (`prometheus_target_scrapes_cache_flush_forced_total`)
    pub cache_flush_forced: u64,
    /// Scrapes made, failed ones included.
    pub scrapes: u64,
    /// Scrapes that failed.
    pub scrapes_failed: u64,
    /// Samples stored by scrapes, synthetic ones and staleness markers included.
    pub samples: u64,
}

/// Quantiles of `prometheus_target_interval_length_seconds` and of the sync length.
pub const INTERVAL_QUANTILES: [f64; 5] = [0.01, 0.05, 0.5, 0.9, 0.99];

/// Observations that quantiles are taken over.
const WINDOW: usize = 512;

/// Collects observations for a [`Summary`].
#[derive(Debug, Default)]
pub(crate) struct Reservoir {
    last: VecDeque<f64>,
    sum: f64,
    count: u64,
}

impl Reservoir {
    pub(crate) fn observe(&mut self, value: f64) {
        if self.last.len() == WINDOW {
            self.last.pop_front();
        }
        self.last.push_back(value);
        self.sum += value;
        self.count += 1;
    }

    /// Nearest-rank quantiles.
    pub(crate) fn summary(&self) -> Summary {
        let mut sorted: Vec<f64> = self.last.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |q: f64| {
            let rank = (q * sorted.len() as f64).ceil() as usize;
            sorted.get(rank.saturating_sub(1)).copied()
        };
        Summary {
            quantiles: INTERVAL_QUANTILES
                .iter()
                .map(|q| (*q, at(*q).unwrap_or(f64::NAN)))
                .collect(),
            sum: self.sum,
            count: self.count,
        }
    }
}

/// The live counters that all pools share.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) pools_created: AtomicU64,
    pub(crate) pool_reloads: AtomicU64,
    pub(crate) exceeded_target_limit: AtomicU64,
    pub(crate) exceeded_label_limits: AtomicU64,
    pub(crate) exceeded_sample_limit: AtomicU64,
    pub(crate) exceeded_body_size_limit: AtomicU64,
    pub(crate) duplicate_timestamp: AtomicU64,
    pub(crate) out_of_order: AtomicU64,
    pub(crate) out_of_bounds: AtomicU64,
    pub(crate) exemplar_out_of_order: AtomicU64,
    pub(crate) cache_flush_forced: AtomicU64,
    pub(crate) scrapes: AtomicU64,
    pub(crate) scrapes_failed: AtomicU64,
    pub(crate) samples: AtomicU64,
    interval_length: Mutex<BTreeMap<String, Reservoir>>,
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

impl Counters {
    /// Notes the time between the starts of two scrapes of a target.
    pub(crate) fn observe_interval(&self, interval_ms: i64, seconds: f64) {
        let name = tsdb_model::format_duration_ms(interval_ms);
        let mut all = self
            .interval_length
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.entry(name).or_default().observe(seconds);
    }

    /// A copy of everything, with the pools given.
    pub(crate) fn snapshot(&self, pools: BTreeMap<String, PoolStats>) -> ScrapeStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let intervals = self
            .interval_length
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        ScrapeStats {
            pools,
            interval_length: intervals
                .iter()
                .map(|(name, r)| (name.clone(), r.summary()))
                .collect(),
            pools_created: get(&self.pools_created),
            pool_reloads: get(&self.pool_reloads),
            exceeded_target_limit: get(&self.exceeded_target_limit),
            exceeded_label_limits: get(&self.exceeded_label_limits),
            exceeded_sample_limit: get(&self.exceeded_sample_limit),
            exceeded_body_size_limit: get(&self.exceeded_body_size_limit),
            duplicate_timestamp: get(&self.duplicate_timestamp),
            out_of_order: get(&self.out_of_order),
            out_of_bounds: get(&self.out_of_bounds),
            exemplar_out_of_order: get(&self.exemplar_out_of_order),
            cache_flush_forced: get(&self.cache_flush_forced),
            scrapes: get(&self.scrapes),
            scrapes_failed: get(&self.scrapes_failed),
            samples: get(&self.samples),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_the_last_observations() {
        let mut r = Reservoir::default();
        assert!(r.summary().quantiles.iter().all(|(_, v)| v.is_nan()));
        for i in 1..=1000 {
            r.observe(f64::from(i));
        }
        let s = r.summary();
        assert_eq!((s.count, s.sum), (1000, 500_500.0));
        let median = s.quantiles.iter().find(|(q, _)| *q == 0.5).unwrap().1;
        assert_eq!(median, 744.0); // of 489..=1000
    }

    #[test]
    fn intervals_are_named_as_durations() {
        let counters = Counters::default();
        counters.observe_interval(15_000, 15.0);
        counters.observe_interval(15_000, 14.9);
        let stats = counters.snapshot(BTreeMap::new());
        assert_eq!(stats.interval_length["15s"].count, 2);
    }
}
