//! Flags of `tsdb serve` about the memory of queries.

use std::path::Path;

use clap::Args;
use tsdb::EngineOptions;
use tsdb_config::{format_size, parse_size};

/// Memory taken for granted when it cannot be found out.
const UNKNOWN_MEMORY: u64 = 4 << 30;

/// A number of bytes, or a share of the memory there is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Amount {
    Bytes(u64),
    Percent(u64),
}

impl Amount {
    fn parse(text: &str) -> Result<Self, String> {
        match text.strip_suffix('%') {
            None => parse_size(text).map(Self::Bytes),
            Some(number) => match number.parse() {
                Ok(percent @ 1..=100) => Ok(Self::Percent(percent)),
                _ => Err("a share is between 1% and 100%".into()),
            },
        }
    }

    fn bytes(self, memory: u64) -> usize {
        let bytes = match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => memory / 100 * percent,
        };
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    fn show(self) -> String {
        match self {
            Self::Bytes(bytes) => format_size(bytes),
            Self::Percent(percent) => format!("{percent}%"),
        }
    }
}

/// What queries may use.
#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// Most memory that one query may take; 0 for no limit.
    ///
    /// A number with B, KB, MB, GB, TB, PB or EB (powers of 1024), or a share of the memory that
    /// this machine or its control group has, for example 10%.
    #[arg(
        long = "query.max-bytes",
        value_name = "BYTES",
        default_value = "15%",
        value_parser = Amount::parse,
        help_heading = "Queries"
    )]
    pub(crate) max_bytes: Amount,

    /// Most memory that all queries together may take, answers that are being sent included; 0 for
    /// no limit.
    #[arg(
        long = "query.max-total-bytes",
        value_name = "BYTES",
        default_value = "30%",
        value_parser = Amount::parse,
        help_heading = "Queries"
    )]
    pub(crate) max_total_bytes: Amount,
}

impl QueryArgs {
    /// Puts the settings into the options of the engine.
    pub(crate) fn apply(&self, options: &mut EngineOptions) {
        let memory = memory();
        options.max_query_bytes = self.max_bytes.bytes(memory);
        options.max_total_bytes = self.max_total_bytes.bytes(memory);
    }

    /// Names and values for `/api/v1/status/flags`.
    pub(crate) fn values(&self) -> Vec<(&'static str, String)> {
        vec![
            ("query.max-bytes", self.max_bytes.show()),
            ("query.max-total-bytes", self.max_total_bytes.show()),
        ]
    }
}

/// Bytes of memory this process may use at most: those of the machine or of its control group.
fn memory() -> u64 {
    let info = rustix::system::sysinfo();
    let machine = info.totalram.saturating_mul(u64::from(info.mem_unit));
    let machine = if machine == 0 {
        UNKNOWN_MEMORY
    } else {
        machine
    };
    machine.min(control_group().unwrap_or(u64::MAX))
}

/// The limit of the control group, when there is one.
fn control_group() -> Option<u64> {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let path = own.lines().find_map(|line| line.strip_prefix("0::"));
    let mut directory = Path::new("/sys/fs/cgroup").join(path?.trim_start_matches('/'));
    let mut least: Option<u64> = None;
    // The groups above limit, too.
    while directory.starts_with("/sys/fs/cgroup") {
        let limit = std::fs::read_to_string(directory.join("memory.max"));
        if let Some(limit) = limit.ok().and_then(|text| text.trim().parse().ok()) {
            least = Some(least.map_or(limit, |least| least.min(limit)));
        }
        if !directory.pop() {
            break;
        }
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        assert_eq!(Amount::parse("10%"), Ok(Amount::Percent(10)));
        assert_eq!(Amount::parse("2KB"), Ok(Amount::Bytes(2048)));
        for wrong in ["0%", "101%", "x%", "%", "-1", "1%%"] {
            assert!(Amount::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Amount::Percent(10).bytes(1000), 100);
        assert_eq!(Amount::Bytes(0).bytes(1000), 0);
        assert!(memory() > 1 << 20);
    }
}
