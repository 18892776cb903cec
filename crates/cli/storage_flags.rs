//! Flags of `tsdb serve` about blocks and the disk.

use clap::Args;

use tsdb::{Options, RetentionRule};
use tsdb_config::{format_size, parse_size};
use tsdb_model::format_duration_ms;

use crate::flags::duration;
use crate::memory::{MemoryLimit, memory_limit};

/// Longest time between two rounds of upkeep.
const MAX_UPKEEP_MS: i64 = 60_000;

/// Shortest.
const MIN_UPKEEP_MS: i64 = 250;

/// What blocks are cut for and how much of them is kept.
#[derive(Debug, Args)]
pub(crate) struct StorageArgs {
    /// Most bytes of data on the disk, log included; the oldest blocks go first. 0 for no limit.
    ///
    /// A number with B, KB, MB, GB, TB, PB or EB (powers of 1024), for example 50GB.
    #[arg(
        long = "storage.tsdb.retention.size",
        value_name = "BYTES",
        default_value = "0",
        value_parser = parse_size,
        help_heading = "Storage"
    )]
    pub(crate) retention_size: u64,

    /// Length of the times that a block is cut for; twelve such blocks are merged to one.
    #[arg(
        long = "storage.tsdb.min-block-duration",
        value_name = "DURATION",
        default_value = "2h",
        value_parser = duration,
        help_heading = "Storage"
    )]
    pub(crate) min_block_duration: i64,

    /// Keep the series that a selector selects for less time; may be repeated.
    ///
    /// For example '{__name__=~"debug_.*"}=3d'. Space becomes free when blocks are written anew.
    #[arg(
        long = "storage.retention-rule",
        value_name = "SELECTOR=DURATION",
        value_parser = rule,
        help_heading = "Storage"
    )]
    pub(crate) retention_rules: Vec<Rule>,

    /// Memory to get along with: bytes, a share of what the machine or its cgroup allows, or 0.
    ///
    /// At 90 % new series are refused, at 97 % all writes; senders are told to come again.
    #[arg(
        long = "storage.memory-limit",
        value_name = "BYTES|PERCENT",
        default_value = "80%",
        value_parser = memory_limit,
        help_heading = "Storage"
    )]
    pub(crate) memory_limit: MemoryLimit,

    /// Read blocks by system calls instead of mapping them into memory.
    ///
    /// Slower. A disk that fails then never kills the process.
    #[arg(long = "storage.no-mmap", help_heading = "Storage")]
    pub(crate) no_mmap: bool,
}

/// A retention rule, and how it was given.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    text: String,
    rule: RetentionRule,
}

fn rule(text: &str) -> Result<Rule, String> {
    let parts = text.rsplit_once('=');
    let (selector, keep) = parts.ok_or("expected SELECTOR=DURATION")?;
    Ok(Rule {
        text: text.to_string(),
        rule: RetentionRule {
            matchers: tsdb_promql::parse_selector(selector).map_err(|e| e.to_string())?,
            keep_ms: duration(keep)?,
        },
    })
}

impl StorageArgs {
    /// Puts the settings into the options of the store.
    pub(crate) fn apply(&self, options: &mut Options) {
        options.retention_bytes = self.retention_size;
        options.block_range_ms = self.min_block_duration;
        options.no_mmap = self.no_mmap;
        let rules = self.retention_rules.iter();
        options.retention_rules = rules.map(|r| r.rule.clone()).collect();
        let upkeep = (self.min_block_duration / 16).clamp(MIN_UPKEEP_MS, MAX_UPKEEP_MS);
        options.maintenance_interval_ms = upkeep.unsigned_abs();
    }

    /// Names and values for `/api/v1/status/flags`.
    pub(crate) fn values(&self) -> Vec<(&'static str, String)> {
        vec![
            (
                "storage.tsdb.retention.size",
                format_size(self.retention_size),
            ),
            (
                "storage.tsdb.min-block-duration",
                format_duration_ms(self.min_block_duration),
            ),
            (
                "storage.retention-rule",
                self.retention_rules
                    .iter()
                    .map(|r| r.text.as_str())
                    .collect::<Vec<_>>()
                    .join(","),
            ),
            ("storage.memory-limit", self.memory_limit.to_string()),
            ("storage.no-mmap", self.no_mmap.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: StorageArgs,
    }

    fn options(flags: &[&str]) -> Options {
        let mut options = Options::default();
        let line = Line::try_parse_from(["x"].iter().chain(flags)).unwrap();
        line.args.apply(&mut options);
        options
    }

    #[test]
    fn the_defaults_are_those_of_the_store() {
        let (ours, store) = (options(&[]), Options::default());
        assert_eq!(format!("{ours:?}"), format!("{store:?}"));
    }

    #[test]
    fn given_values_reach_the_store() {
        let given = options(&[
            "--storage.tsdb.retention.size=1.5GB",
            "--storage.tsdb.min-block-duration=4s",
            "--storage.no-mmap",
            "--storage.retention-rule=up{job=\"a=b\"}=3d",
            "--storage.retention-rule",
            "{a!=\"\"}=1h",
        ]);
        let rules = given.retention_rules.iter();
        let rules: Vec<_> = rules.map(|r| (r.matchers.len(), r.keep_ms)).collect();
        assert_eq!(rules, [(2, 259_200_000), (1, 3_600_000)]);
        assert_eq!(given.retention_bytes, 3 << 29);
        assert_eq!(given.block_range_ms, 4000);
        assert_eq!(given.maintenance_interval_ms, 250);
        assert!(given.no_mmap);
        for bad in [
            "--storage.tsdb.retention.size=5",
            "--storage.tsdb.min-block-duration=0s",
            "--storage.retention-rule=up",
            "--storage.retention-rule={=3d",
            "--storage.retention-rule=up=x",
        ] {
            assert!(Line::try_parse_from(["x", bad]).is_err(), "{bad}");
        }
    }
}
