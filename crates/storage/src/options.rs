//! Settings of a [`Db`](crate::Db).

use std::fmt;
use std::sync::Arc;

use tsdb_model::{Clock, SystemClock};

use crate::dir::Dir;

/// When what was written to the log is forced to the disk. A process that dies loses nothing in
/// any mode; the modes differ in what a power cut may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalSync {
    /// Before every commit returns.
    Always,
    /// Before every commit returns, commits of about 2 ms sharing one sync.
    Group,
    /// In the background every so many milliseconds: a power cut costs that much at most.
    Interval(u64),
    /// When a segment is finished and at close; otherwise the operating system decides.
    Never,
}

impl Default for WalSync {
    fn default() -> Self {
        Self::Interval(1000)
    }
}

/// Settings of a [`Db`](crate::Db).
#[derive(Clone)]
pub struct Options {
    /// How long samples are kept, in milliseconds, counted back from the newest sample (but not
    /// from later than now). 0 keeps them for ever. Default 15 days.
    pub retention_ms: i64,
    /// When the log is forced to the disk. Default every second.
    pub wal_sync: WalSync,
    /// Source of the current time.
    pub clock: Arc<dyn Clock>,
    /// The disk; `None` for the directory named when opening.
    pub dir: Option<Arc<dyn Dir>>,
    /// How far behind the newest sample of the store a sample may be that is older than its
    /// series' newest one, in milliseconds. 0 refuses all such samples as Prometheus does by
    /// default. Default [`i64::MAX`]: any age within retention.
    pub ooo_window_ms: i64,
    /// Size at which the log goes on in a new segment, in bytes. Default 64 MiB.
    pub segment_bytes: u64,
    /// Exemplars kept, the newest ones. Default 100 000.
    pub max_exemplars: usize,
    /// Series the store takes at the same time; 0 for no limit. Default 0.
    pub max_series: u64,
    /// Length of the times that a block is cut for, in milliseconds; blocks of 12 such ranges are
    /// merged to one. Default two hours.
    pub block_range_ms: i64,
    /// Most bytes of blocks and log together; the oldest blocks go first. 0 for no limit. Default 0.
    pub retention_bytes: u64,
    /// Read finished files by system calls instead of mapping them. No effect with `dir`. Default
    /// false.
    pub no_mmap: bool,
    /// Late samples kept in memory before they are written to blocks without waiting for the next
    /// cut. Default 4 million.
    pub max_late_samples: u64,
    /// Run retention and other upkeep in a thread every so many milliseconds; 0 for never (call
    /// [`Db::maintain`](crate::Db::maintain)). Default one minute.
    pub maintenance_interval_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            retention_ms: 15 * 24 * 3600 * 1000,
            wal_sync: WalSync::default(),
            clock: Arc::new(SystemClock),
            dir: None,
            ooo_window_ms: i64::MAX,
            segment_bytes: 64 << 20,
            max_exemplars: 100_000,
            max_series: 0,
            block_range_ms: 2 * 3600 * 1000,
            retention_bytes: 0,
            no_mmap: false,
            max_late_samples: 4_000_000,
            maintenance_interval_ms: 60_000,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("retention_ms", &self.retention_ms)
            .field("wal_sync", &self.wal_sync)
            .field("ooo_window_ms", &self.ooo_window_ms)
            .field("segment_bytes", &self.segment_bytes)
            .field("max_exemplars", &self.max_exemplars)
            .field("max_series", &self.max_series)
            .field("block_range_ms", &self.block_range_ms)
            .field("retention_bytes", &self.retention_bytes)
            .field("max_late_samples", &self.max_late_samples)
            .field("retention_bytes", &self.retention_bytes)
            .field("no_mmap", &self.no_mmap)
            .field("maintenance_interval_ms", &self.maintenance_interval_ms)
            .finish_non_exhaustive()
    }
}
