//! Metrics of blocks: cuts and merges (which Prometheus calls compactions), retention, damage.

use tsdb::DbStats;
use tsdb_model::MetricType::Histogram;

use super::Page;

pub(super) fn write(page: &mut Page, s: &DbStats) {
    for (name, help, value) in [
        (
            "prometheus_tsdb_blocks_loaded",
            "Blocks loaded.",
            s.blocks_loaded,
        ),
        (
            "prometheus_tsdb_storage_blocks_bytes",
            "Bytes of the blocks loaded.",
            s.block_bytes,
        ),
        (
            "prometheus_tsdb_retention_limit_bytes",
            "Most bytes of data on the disk; 0 for no limit.",
            s.retention_bytes,
        ),
        (
            "tsdb_blocks_samples",
            "Samples in the blocks loaded.",
            s.block_samples,
        ),
        (
            "tsdb_blocks_quarantined",
            "Blocks that cannot be read and were left alone.",
            s.blocks_quarantined,
        ),
        (
            "tsdb_tombstones",
            "Deletions that are not in all blocks yet.",
            s.tombstones,
        ),
        (
            "tsdb_late_samples",
            "Samples in memory that came too late for the block of their time.",
            s.late_samples,
        ),
    ] {
        page.gauge(name, help, value as f64);
    }
    counters(page, s);
    page.0.family(
        "prometheus_tsdb_compaction_duration_seconds",
        Histogram,
        "Seconds that cuts and merges took, rests included.",
    );
    for (end, count) in &s.compactions.buckets {
        let le = end.to_string();
        page.0.sample("_bucket", &[("le", &le)], *count as f64);
    }
    let count = s.compactions.count as f64;
    page.0.sample("_bucket", &[("le", "+Inf")], count);
    page.0.sample("_sum", &[], s.compactions.seconds);
    page.0.sample("_count", &[], count);
}

fn counters(page: &mut Page, s: &DbStats) {
    for (name, help, value) in [
        (
            "prometheus_tsdb_compactions_total",
            "Blocks cut from memory, and merges of blocks.",
            s.cuts.saturating_add(s.merges),
        ),
        (
            "prometheus_tsdb_compactions_failed_total",
            "Cuts, merges and other upkeep that failed.",
            s.jobs_failed,
        ),
        (
            "prometheus_tsdb_compactions_triggered_total",
            "Rounds of upkeep.",
            s.upkeeps,
        ),
        (
            "prometheus_tsdb_time_retentions_total",
            "Times that blocks were dropped because of their age.",
            s.time_retentions,
        ),
        (
            "prometheus_tsdb_size_retentions_total",
            "Times that blocks were dropped because of the size limit.",
            s.size_retentions,
        ),
        (
            "tsdb_block_bytes_written_total",
            "Bytes of all blocks written.",
            s.block_bytes_written,
        ),
        (
            "tsdb_block_reads_damaged_total",
            "Times that reading from a block failed because it is damaged.",
            s.damaged_reads,
        ),
        (
            "tsdb_tombstones_damaged_total",
            "Lists of deletions that could not be read at the start.",
            s.tombstones_damaged,
        ),
    ] {
        page.counter(name, help, value);
    }
    page.counters(
        "tsdb_blocks_retired_total",
        "Blocks dropped by retention.",
        "limit",
        [
            ("size", s.blocks_retired_by_size),
            ("time", s.blocks_retired_by_time),
        ],
    );
}
