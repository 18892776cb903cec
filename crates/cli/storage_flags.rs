//! Flags of `tsdb serve` about blocks and the disk.

use clap::Args;

use tsdb::Options;
use tsdb_config::{format_size, parse_size};
use tsdb_model::format_duration_ms;

use crate::flags::duration;

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

    /// Read blocks by system calls instead of mapping them into memory.
    ///
    /// Slower. A disk that fails then never kills the process.
    #[arg(long = "storage.no-mmap", help_heading = "Storage")]
    pub(crate) no_mmap: bool,
}

impl StorageArgs {
    /// Puts the settings into the options of the store.
    pub(crate) fn apply(&self, options: &mut Options) {
        options.retention_bytes = self.retention_size;
        options.block_range_ms = self.min_block_duration;
        options.no_mmap = self.no_mmap;
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
        ]);
        assert_eq!(given.retention_bytes, 3 << 29);
        assert_eq!(given.block_range_ms, 4000);
        assert_eq!(given.maintenance_interval_ms, 250);
        assert!(given.no_mmap);
        for bad in [
            "--storage.tsdb.retention.size=5",
            "--storage.tsdb.min-block-duration=0s",
        ] {
            assert!(Line::try_parse_from(["x", bad]).is_err(), "{bad}");
        }
    }
}
