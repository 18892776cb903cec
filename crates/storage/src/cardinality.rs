//! Counts of series per name, label and pair.

use std::cmp::Reverse;

use tsdb_model::METRIC_NAME;

use crate::head::Head;
use crate::stats::Cardinality;

/// The `limit` largest counts, equal ones by name.
fn largest(counts: impl Iterator<Item = (String, u64)>, limit: usize) -> Vec<(String, u64)> {
    let mut all: Vec<(String, u64)> = counts.collect();
    let key = |e: &(String, u64)| (Reverse(e.1), e.0.clone());
    if limit < all.len() {
        if limit > 0 {
            all.select_nth_unstable_by_key(limit - 1, key);
        }
        all.truncate(limit);
    }
    all.sort_by_cached_key(key);
    all
}

pub(crate) fn of(head: &Head, limit: usize) -> Cardinality {
    let names = &head.index.names;
    let values = || {
        names
            .iter()
            .flat_map(|(n, name)| name.values.iter().map(move |v| (n, v)))
    };
    let metrics = names.get(METRIC_NAME).into_iter().flat_map(|n| &n.values);
    let bytes = names.iter().map(|(name, entry)| {
        let of_value = entry.values.iter().map(|(v, p)| v.len() as u64 * p.len());
        (name.to_string(), of_value.sum())
    });
    Cardinality {
        num_series: head.index.len(),
        num_label_pairs: names.values().map(|n| n.values.len() as u64).sum(),
        num_chunks: head.pool.totals.chunks,
        min_time_ms: head.min_t.unwrap_or(i64::MAX),
        max_time_ms: head.max_t.unwrap_or(i64::MIN),
        series_by_metric: largest(metrics.map(|(v, p)| (v.to_string(), p.len())), limit),
        values_by_label: largest(
            names
                .iter()
                .map(|(n, name)| (n.to_string(), name.values.len() as u64)),
            limit,
        ),
        bytes_by_label: largest(bytes, limit),
        series_by_pair: largest(
            values().map(|(n, (v, p))| (format!("{n}={v}"), p.len())),
            limit,
        ),
    }
}
