//! `conntrack`: fill of the connection tracking table and its per-CPU event counts, summed.

use crate::collector::Context;
use crate::error::CollectError;
use crate::page::Page;

const STATISTICS: &str = "proc/net/stat/nf_conntrack";

/// Column of /proc/net/stat/nf_conntrack, which is also the end of the family name, and the help.
const COLUMNS: &[(&str, &str)] = &[
    (
        "drop",
        "Packets dropped because connection tracking failed.",
    ),
    (
        "early_drop",
        "Entries dropped to make room for new ones in a full table.",
    ),
    ("found", "Entries searched for and found."),
    ("ignore", "Packets already connected to an entry."),
    ("insert", "Entries inserted into the list."),
    (
        "insert_failed",
        "Entries that could not be inserted into the list.",
    ),
    ("invalid", "Packets that cannot be tracked."),
    (
        "search_restart",
        "Lookups that were restarted because the table was resized.",
    ),
];

pub(crate) fn collect(context: &Context<'_>, page: &mut Page) -> Result<(), CollectError> {
    let entries = context
        .tree
        .required_number("proc/sys/net/netfilter/nf_conntrack_count")?;
    let limit = context
        .tree
        .required_number("proc/sys/net/netfilter/nf_conntrack_max")?;
    page.gauge(
        "node_nf_conntrack_entries",
        "Entries in the connection tracking table.",
        entries,
    );
    page.gauge(
        "node_nf_conntrack_entries_limit",
        "Size of the connection tracking table.",
        limit,
    );

    let text = context.tree.read(STATISTICS)?;
    let mut lines = text.lines();
    // Columns came and went with kernel versions; their titles say which ones there are.
    let titles: Vec<&str> = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let mut sums = vec![0_u64; titles.len()];
    for line in lines {
        for (sum, word) in sums.iter_mut().zip(line.split_whitespace()) {
            let count = u64::from_str_radix(word, 16).map_err(|_| {
                CollectError::parse(STATISTICS, format_args!("{word:?} is not hex"))
            })?;
            *sum = sum.saturating_add(count);
        }
    }
    for (column, help) in COLUMNS {
        if let Some(at) = titles.iter().position(|title| title == column) {
            page.gauge(
                &format!("node_nf_conntrack_stat_{column}"),
                help,
                sums[at] as f64,
            );
        }
    }
    Ok(())
}
