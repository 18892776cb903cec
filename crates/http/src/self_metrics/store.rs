//! `prometheus_tsdb_*`, and `tsdb_*` for what Prometheus has no name for.

use tsdb::DbStats;
use tsdb_model::MetricType::Summary;

use super::{Page, blocks};

pub(super) fn write(page: &mut Page, s: &DbStats) {
    head(page, s);
    log(page, s);
    exemplars(page, s);
    blocks::write(page, s);
    page.gauge(
        "prometheus_tsdb_lowest_timestamp",
        "Time of the oldest sample, ms; the largest integer when there is none.",
        s.min_time_ms as f64,
    );
    page.gauge(
        "prometheus_tsdb_lowest_timestamp_seconds",
        "Time of the oldest sample, seconds.",
        seconds(s.min_time_ms),
    );
    page.gauge(
        "prometheus_tsdb_retention_limit_seconds",
        "Time that samples are kept; 0 for ever.",
        s.retention_ms as f64 / 1000.0,
    );
    page.gauge(
        "prometheus_tsdb_clean_start",
        "1 when the store was closed properly the last time, else 0.",
        f64::from(u8::from(s.clean_start)),
    );
    page.gauge(
        "prometheus_tsdb_data_replay_duration_seconds",
        "Seconds that reading the log took at the start.",
        s.replay_seconds,
    );
    page.gauge(
        "tsdb_index_bytes",
        "Bytes of the label index in memory, estimated.",
        s.index_bytes as f64,
    );
}

fn head(page: &mut Page, s: &DbStats) {
    page.gauge(
        "prometheus_tsdb_head_series",
        "Series in memory.",
        s.head_series as f64,
    );
    page.gauge(
        "prometheus_tsdb_head_chunks",
        "Chunks in memory.",
        s.head_chunks as f64,
    );
    page.gauge(
        "prometheus_tsdb_head_active_appenders",
        "Transactions that are open.",
        s.active_appenders as f64,
    );
    page.gauge(
        "tsdb_head_chunks_bytes",
        "Bytes of the chunks in memory.",
        s.head_chunks_bytes as f64,
    );
    let name = "prometheus_tsdb_head_series_created_total";
    page.counter(name, "Series made.", s.series_created);
    let name = "prometheus_tsdb_head_series_removed_total";
    page.counter(name, "Series removed.", s.series_removed);
    page.counters(
        "prometheus_tsdb_head_samples_appended_total",
        "Samples stored.",
        "type",
        [
            ("float", s.float_samples_appended),
            ("histogram", s.histogram_samples_appended),
        ],
    );
    for (name, help, n) in [
        (
            "prometheus_tsdb_head_out_of_order_samples_appended_total",
            "Samples stored that were older than the newest one of their series.",
            s.out_of_order_samples_appended,
        ),
        (
            "prometheus_tsdb_out_of_order_samples_total",
            "Samples refused because they were older than the newest one of their series.",
            s.out_of_order_samples,
        ),
        (
            "prometheus_tsdb_out_of_bound_samples_total",
            "Samples refused because their time is not accepted.",
            s.out_of_bounds_samples,
        ),
        (
            "prometheus_tsdb_too_old_samples_total",
            "Samples refused because they were older than the out-of-order window.",
            s.too_old_samples,
        ),
        (
            "tsdb_duplicate_samples_total",
            "Samples refused because another value stands at their time.",
            s.duplicate_samples,
        ),
    ] {
        // The store counts both kinds of samples together.
        page.counters(name, help, "type", [("float", n)]);
    }
    let min = (
        "prometheus_tsdb_head_min_time",
        "Time of the oldest sample in memory",
    );
    let max = (
        "prometheus_tsdb_head_max_time",
        "Time of the newest sample in memory",
    );
    for ((name, help), ms) in [(min, s.head_min_time_ms), (max, s.max_time_ms)] {
        page.gauge(name, &format!("{help}, ms."), ms as f64);
        page.gauge(
            &format!("{name}_seconds"),
            &format!("{help}, seconds."),
            seconds(ms),
        );
    }
    let name = "prometheus_tsdb_head_truncations_total";
    page.counter(
        name,
        "Times that old chunks were dropped.",
        s.head_truncations,
    );
    page.0.family(
        "prometheus_tsdb_head_gc_duration_seconds",
        Summary,
        "Seconds spent dropping old chunks and series.",
    );
    page.summary(&[], &[], s.head_gc_seconds, s.head_truncations);
}

fn log(page: &mut Page, s: &DbStats) {
    page.counter("tsdb_commits_total", "Commits made.", s.commits);
    page.gauge(
        "prometheus_tsdb_wal_storage_size_bytes",
        "Bytes of the log on disk.",
        s.wal_bytes as f64,
    );
    page.gauge(
        "tsdb_wal_segments",
        "Segments of the log on disk.",
        s.wal_segments as f64,
    );
    page.gauge(
        "prometheus_tsdb_wal_segment_current",
        "Number of the segment being written.",
        s.wal_segment_current as f64,
    );
    page.gauge(
        "tsdb_wal_failing",
        "1 since a write to the log failed, until one works; else 0.",
        f64::from(u8::from(s.wal_failing)),
    );
    page.0.family(
        "prometheus_tsdb_wal_fsync_duration_seconds",
        Summary,
        "Seconds spent forcing the log to the disk.",
    );
    page.summary(&[], &[], s.wal_fsync_seconds, s.wal_fsyncs);
    for (name, help, n) in [
        (
            "tsdb_wal_fsyncs_failed_total",
            "Times that forcing the log to the disk failed.",
            s.wal_fsyncs_failed,
        ),
        (
            "prometheus_tsdb_wal_corruptions_total",
            "Damaged places found in the log at the start.",
            s.wal_corruptions,
        ),
        (
            "prometheus_tsdb_wal_writes_failed_total",
            "Failed writes to the log.",
            s.wal_writes_failed,
        ),
        (
            "prometheus_tsdb_wal_truncations_total",
            "Times that old segments were dropped.",
            s.wal_truncations,
        ),
        (
            "prometheus_tsdb_wal_truncations_failed_total",
            "Times that dropping old segments failed.",
            s.wal_truncations_failed,
        ),
    ] {
        page.counter(name, help, n);
    }
}

fn exemplars(page: &mut Page, s: &DbStats) {
    page.counter(
        "prometheus_tsdb_exemplar_exemplars_appended_total",
        "Exemplars stored.",
        s.exemplars_appended,
    );
    page.gauge(
        "prometheus_tsdb_exemplar_exemplars_in_storage",
        "Exemplars in memory.",
        s.exemplars_in_storage as f64,
    );
    page.gauge(
        "prometheus_tsdb_exemplar_max_exemplars",
        "Most exemplars kept.",
        s.max_exemplars as f64,
    );
    page.counter(
        "prometheus_tsdb_exemplar_out_of_order_exemplars_total",
        "Exemplars refused because they were older than their series' newest one.",
        s.out_of_order_exemplars,
    );
}

/// Whole seconds, as in Prometheus: the times that stand for "none" are no exact floats anyway.
fn seconds(ms: i64) -> f64 {
    (ms / 1000) as f64
}
