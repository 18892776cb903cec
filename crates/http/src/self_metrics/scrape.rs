//! `prometheus_target_*` and `prometheus_sd_*`.

use tsdb_model::MetricType::{Gauge, Summary};
use tsdb_scrape::{PoolStats, ScrapeStats};

use super::Page;

pub(super) fn write(page: &mut Page, s: &ScrapeStats) {
    page.0.family(
        "prometheus_target_interval_length_seconds",
        Summary,
        "Seconds between scrapes; quantiles over the last 512 of each interval.",
    );
    for (interval, summary) in &s.interval_length {
        let labels = [("interval", interval.as_str())];
        page.summary(&labels, &summary.quantiles, summary.sum, summary.count);
    }
    totals(page, s);
    pools(page, s);
}

fn totals(page: &mut Page, s: &ScrapeStats) {
    for (name, help, n) in [
        (
            "prometheus_target_scrape_pools_total",
            "Scrape pools made.",
            s.pools_created,
        ),
        (
            "prometheus_target_scrape_pools_failed_total",
            "Scrape pools that could not be made.",
            0,
        ),
        (
            "prometheus_target_scrape_pool_reloads_total",
            "Scrape pools given a changed configuration.",
            s.pool_reloads,
        ),
        (
            "prometheus_target_scrape_pool_reloads_failed_total",
            "Scrape pools that did not take a changed configuration.",
            0,
        ),
        (
            "prometheus_target_scrape_pool_exceeded_target_limit_total",
            "Times that a pool had more targets than its limit.",
            s.exceeded_target_limit,
        ),
        (
            "prometheus_target_scrape_pool_exceeded_label_limits_total",
            "Scrapes refused because of a limit on labels.",
            s.exceeded_label_limits,
        ),
        (
            "prometheus_target_scrapes_exceeded_sample_limit_total",
            "Scrapes refused because they had more samples than the limit.",
            s.exceeded_sample_limit,
        ),
        (
            "prometheus_target_scrapes_exceeded_body_size_limit_total",
            "Scrapes refused because their page was longer than the limit.",
            s.exceeded_body_size_limit,
        ),
        (
            "prometheus_target_scrapes_sample_duplicate_timestamp_total",
            "Samples refused because another value stands at their time.",
            s.duplicate_timestamp,
        ),
        (
            "prometheus_target_scrapes_sample_out_of_order_total",
            "Samples refused because they were older than the newest one of their series.",
            s.out_of_order,
        ),
        (
            "prometheus_target_scrapes_sample_out_of_bounds_total",
            "Samples refused because their time is not accepted.",
            s.out_of_bounds,
        ),
        (
            "prometheus_target_scrapes_exemplar_out_of_order_total",
            "Exemplars refused because they were older than their series' newest one.",
            s.exemplar_out_of_order,
        ),
        (
            "prometheus_target_scrapes_cache_flush_forced_total",
            "Times that a target's series cache was emptied because it grew too large.",
            s.cache_flush_forced,
        ),
        (
            "tsdb_scrapes_total",
            "Scrapes made, failed ones included.",
            s.scrapes,
        ),
        (
            "tsdb_scrapes_failed_total",
            "Scrapes that failed.",
            s.scrapes_failed,
        ),
        (
            "tsdb_scrape_samples_total",
            "Samples stored by scrapes.",
            s.samples,
        ),
    ] {
        page.counter(name, help, n);
    }
}

fn pools(page: &mut Page, s: &ScrapeStats) {
    let counters: [(&str, &str, fn(&PoolStats) -> u64); 2] = [
        (
            "prometheus_target_scrape_pool_sync_total",
            "Times that the targets were worked out.",
            |p| p.syncs,
        ),
        (
            "prometheus_target_sync_failed_total",
            "Targets that could not be made from their labels.",
            |p| p.sync_failures,
        ),
    ];
    for (name, help, get) in counters {
        let all = s.pools.iter().map(|(job, pool)| (job.as_str(), get(pool)));
        page.counters(name, help, "scrape_job", all);
    }
    let gauges: [(&str, &str, fn(&PoolStats) -> u64); 4] = [
        (
            "prometheus_target_scrape_pool_targets",
            "Targets that are scraped.",
            |p| p.targets,
        ),
        (
            "prometheus_target_scrape_pool_target_limit",
            "Most targets allowed; 0 for no limit.",
            |p| p.target_limit,
        ),
        (
            "prometheus_target_metadata_cache_entries",
            "Metric families whose metadata is known.",
            |p| p.metadata_entries,
        ),
        (
            "prometheus_target_metadata_cache_bytes",
            "Bytes of the metadata known.",
            |p| p.metadata_bytes,
        ),
    ];
    for (name, help, get) in gauges {
        page.0.family(name, Gauge, help);
        for (job, pool) in &s.pools {
            page.0.sample("", &[("scrape_job", job)], get(pool) as f64);
        }
    }
    page.0.family(
        "prometheus_target_sync_length_seconds",
        Summary,
        "Seconds that working out the targets took.",
    );
    for (job, pool) in &s.pools {
        let (labels, length) = ([("scrape_job", job.as_str())], &pool.sync_length);
        page.summary(&labels, &length.quantiles, length.sum, length.count);
    }
    page.0.family(
        "prometheus_sd_discovered_targets",
        Gauge,
        "Targets found, before relabelling.",
    );
    for (job, pool) in &s.pools {
        let labels = [("config", job.as_str()), ("name", "scrape")];
        page.0.sample("", &labels, pool.discovered as f64);
    }
    let name = "prometheus_sd_failed_configs";
    page.0.family(
        name,
        Gauge,
        "Service discovery configurations that could not be used.",
    );
    page.0.sample("", &[("name", "scrape")], 0.0);
}
