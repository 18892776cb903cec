//! `vmstat`: paging, swapping, page faults and kills for lack of memory, from /proc/vmstat.

use std::collections::BTreeMap;

use tsdb_model::MetricType;

use crate::collector::Context;
use crate::error::CollectError;
use crate::page::{Page, name_part};

const FILE: &str = "proc/vmstat";

pub(crate) fn collect(context: &Context<'_>, page: &mut Page) -> Result<(), CollectError> {
    let text = context.tree.read(FILE)?;
    let mut fields = BTreeMap::new();
    for line in text.lines() {
        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
        if shown(name) {
            let value: u64 = value
                .trim()
                .parse()
                .map_err(|_| CollectError::parse(FILE, format_args!("cannot read {line:?}")))?;
            fields.insert(name_part(name), value);
        }
    }
    for (field, value) in fields {
        page.family(
            &format!("node_vmstat_{field}"),
            MetricType::Unknown,
            &format!("Field {field} of /proc/vmstat."),
        );
        page.sample(&[], value as f64);
    }
    Ok(())
}

/// The node exporter's default choice: `^(oom_kill|pgpg|pswp|pg.*fault).*`.
fn shown(name: &str) -> bool {
    ["oom_kill", "pgpg", "pswp"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        || name
            .strip_prefix("pg")
            .is_some_and(|rest| rest.contains("fault"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_fields() {
        for name in [
            "oom_kill",
            "pgpgin",
            "pswpout",
            "pgfault",
            "pgmajfault",
            "pglazyfaultx",
        ] {
            assert!(shown(name), "{name}");
        }
        for name in [
            "nr_free_pages",
            "pgalloc_dma",
            "numa_hint_faults",
            "fault",
            "",
        ] {
            assert!(!shown(name), "{name}");
        }
    }
}
