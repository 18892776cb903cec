//! The memory this process may take: the flag, what the system allows, and measuring it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use procfs::process::Process;
use tsdb_config::{format_size, parse_size};
use tsdb_model::MemoryBudget;

/// Between two measurements.
const EVERY: Duration = Duration::from_millis(100);

/// Value of `--storage.memory-limit`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum MemoryLimit {
    /// Bytes; 0 for none.
    Bytes(u64),
    /// Percent of what the system allows.
    Percent(u64),
}

/// Reads `80%`, `512MB` or `0`.
pub(crate) fn memory_limit(text: &str) -> Result<MemoryLimit, String> {
    let Some(percent) = text.strip_suffix('%') else {
        return parse_size(text).map(MemoryLimit::Bytes);
    };
    match percent.trim().parse() {
        Ok(percent @ 1..=100) => Ok(MemoryLimit::Percent(percent)),
        _ => Err(format!("{text}: a share is 1% to 100%")),
    }
}

impl std::fmt::Display for MemoryLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => f.write_str(&format_size(*bytes)),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl MemoryLimit {
    /// In bytes; 0 for none, also when nobody says how much there is.
    pub(crate) fn bytes(self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => available().unwrap_or(0) / 100 * percent,
        }
    }
}

/// Bytes that this process can have: memory of the machine, or less by the limits of its cgroup and
/// those around it.
fn available() -> Option<u64> {
    use procfs::Current as _;
    let machine = procfs::Meminfo::current().ok().map(|m| m.mem_total);
    let group = Process::myself().and_then(|p| p.cgroups()).ok();
    let groups = group.into_iter().flatten().filter_map(|g| {
        if g.hierarchy == 0 {
            narrowest(Path::new("/sys/fs/cgroup"), &g.pathname, "memory.max")
        } else if g.controllers.iter().any(|c| c == "memory") {
            let root = Path::new("/sys/fs/cgroup/memory");
            narrowest(root, &g.pathname, "memory.limit_in_bytes")
        } else {
            None
        }
    });
    groups.chain(machine).min()
}

/// The smallest limit of a cgroup and the groups around it. Inside a container the path may be that
/// of the machine: what is not there is passed over.
fn narrowest(root: &Path, group: &str, file: &str) -> Option<u64> {
    let group = root.join(group.trim_start_matches('/'));
    let levels: Vec<PathBuf> = group
        .ancestors()
        .take_while(|level| level.starts_with(root))
        .map(|level| level.join(file))
        .collect();
    let limits = levels.iter().filter_map(|path| {
        let text = std::fs::read_to_string(path).ok()?;
        text.trim().parse().ok()
    });
    limits.min()
}

/// Bytes of this process that are not files.
fn anonymous() -> Option<u64> {
    let statm = Process::myself().ok()?.statm().ok()?;
    let pages = statm.resident.saturating_sub(statm.shared);
    Some(pages * procfs::page_size())
}

/// Measures for ever.
pub(crate) async fn watch(budget: Arc<MemoryBudget>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut full = false;
    loop {
        ticks.tick().await;
        let Some(bytes) = anonymous() else {
            continue;
        };
        budget.measured(bytes);
        let limit = budget.limit();
        if limit == 0 {
            continue;
        }
        let now = bytes >= limit / 10 * 9;
        if now && !full {
            tracing::warn!(
                used = format_size(bytes),
                limit = format_size(limit),
                "memory is nearly used up: new series are refused (--storage.memory-limit)"
            );
        } else if !now && full {
            tracing::info!("there is memory for new series again");
        }
        full = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_as_typed() {
        for (text, limit) in [
            ("0", MemoryLimit::Bytes(0)),
            ("512MB", MemoryLimit::Bytes(512 << 20)),
            ("80%", MemoryLimit::Percent(80)),
        ] {
            assert_eq!(memory_limit(text), Ok(limit));
        }
        for bad in ["", "0%", "101%", "-1%", "x%", "512", "%"] {
            assert!(memory_limit(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_system_says_what_there_is() {
        let all = MemoryLimit::Percent(100).bytes();
        let half = MemoryLimit::Percent(50).bytes();
        assert!(all > 16 << 20 && half < all);
        let used = anonymous().unwrap();
        assert!(used > 100_000 && used < all);
    }

    #[test]
    fn the_narrowest_group_counts() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            #[expect(clippy::disallowed_methods, reason = "a file of a test")]
            std::fs::write(path, text).unwrap();
        };
        write("a/memory.max", "1000\n");
        write("a/b/memory.max", "max\n");
        write("a/b/c/memory.max", "5000\n");
        let limit = |group| narrowest(dir.path(), group, "memory.max");
        assert_eq!(limit("/a/b/c"), Some(1000));
        assert_eq!(limit("/x/y"), None);
    }
}
