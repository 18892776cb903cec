//! What a store tells about itself: counters and cardinality.

/// Counters and sizes of an open store. Counters start at 0 when the store is opened, unless said
/// otherwise.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DbStats {
    /// Series in memory.
    pub head_series: u64,
    /// Chunks in memory, open ones included.
    pub head_chunks: u64,
    /// Bytes of the chunks in memory.
    pub head_chunks_bytes: u64,
    /// Series made.
    pub series_created: u64,
    /// Series removed because no sample was left.
    pub series_removed: u64,
    /// Float samples stored.
    pub float_samples_appended: u64,
    /// Native histogram samples stored.
    pub histogram_samples_appended: u64,
    /// Stored samples (both kinds) that were older than the newest one of their series.
    pub out_of_order_samples_appended: u64,
    /// Samples refused with `OutOfOrder`.
    pub out_of_order_samples: u64,
    /// Samples refused with `OutOfBounds`.
    pub out_of_bounds_samples: u64,
    /// Samples refused with `TooOld`.
    pub too_old_samples: u64,
    /// Samples refused with `Duplicate`.
    pub duplicate_samples: u64,
    /// Exemplars stored.
    pub exemplars_appended: u64,
    /// Exemplars refused because they were older than their series' newest one.
    pub out_of_order_exemplars: u64,
    /// Exemplars in memory.
    pub exemplars_in_storage: u64,
    /// Most exemplars kept.
    pub max_exemplars: u64,
    /// Time of the oldest sample, ms; `i64::MAX` when there is none.
    pub min_time_ms: i64,
    /// Time of the newest sample, ms; `i64::MIN` when there is none.
    pub max_time_ms: i64,
    /// Time of the oldest sample in memory, ms; `i64::MAX` when there is none.
    pub head_min_time_ms: i64,
    /// Retention, ms; 0 for none.
    pub retention_ms: i64,
    /// Bytes of the label index in memory (names, values, postings), estimated.
    pub index_bytes: u64,
    /// Commits made.
    pub commits: u64,
    /// Bytes of all log segments.
    pub wal_bytes: u64,
    /// Log segments.
    pub wal_segments: u64,
    /// Number of the segment being written.
    pub wal_segment_current: u64,
    /// Damaged places found in the log when opening.
    pub wal_corruptions: u64,
    /// Failed writes to the log.
    pub wal_writes_failed: u64,
    /// Forced writes (fdatasync).
    pub wal_fsyncs: u64,
    /// Seconds spent in forced writes.
    pub wal_fsync_seconds: f64,
    /// Failed forced writes.
    pub wal_fsyncs_failed: u64,
    /// Times that old segments were dropped.
    pub wal_truncations: u64,
    /// Times that dropping old segments failed.
    pub wal_truncations_failed: u64,
    /// Times that old chunks were dropped from memory.
    pub head_truncations: u64,
    /// Seconds spent dropping old chunks and series from memory.
    pub head_gc_seconds: f64,
    /// Late samples in memory that no block holds yet, about.
    pub late_samples: u64,
    /// End of the times that blocks were cut up to, ms; `i64::MIN` before the first cut.
    pub cut_until_ms: i64,
    /// Blocks loaded.
    pub blocks_loaded: u64,
    /// Bytes of the blocks loaded.
    pub block_bytes: u64,
    /// Samples in the blocks loaded.
    pub block_samples: u64,
    /// Blocks that could not be read and were left alone.
    pub blocks_quarantined: u64,
    /// Deletions that are not embodied by all blocks yet.
    pub tombstones: u64,
    /// Lists of deletions that could not be read when opening.
    pub tombstones_damaged: u64,
    /// Cuts of the head into blocks.
    pub cuts: u64,
    /// Merges of blocks.
    pub merges: u64,
    /// Cuts, merges and other jobs that failed.
    pub jobs_failed: u64,
    /// How long cuts and merges took.
    pub compactions: DurationStats,
    /// Rounds of upkeep.
    pub upkeeps: u64,
    /// Appenders that are open.
    pub active_appenders: u64,
    /// Times that reading from a block failed because it is damaged.
    pub damaged_reads: u64,
    /// Times that blocks were dropped because of their age, and because of the size limit.
    pub time_retentions: u64,
    /// See [`Self::time_retentions`].
    pub size_retentions: u64,
    /// True since a write to the log failed, until one works.
    pub wal_failing: bool,
    /// Seconds that the last cut took.
    pub last_cut_seconds: f64,
    /// Seconds that the last merge took.
    pub last_merge_seconds: f64,
    /// Bytes of all blocks written.
    pub block_bytes_written: u64,
    /// Blocks dropped because of their age.
    pub blocks_retired_by_time: u64,
    /// Blocks dropped because of the size limit.
    pub blocks_retired_by_size: u64,
    /// Most bytes of blocks and log; 0 for no limit.
    pub retention_bytes: u64,
    /// Seconds that reading the log took when opening.
    pub replay_seconds: f64,
    /// False when the store was not closed properly the last time.
    pub clean_start: bool,
}

/// How often something was done, and how long it took.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DurationStats {
    /// Upper end of a class in seconds, and how many took no longer.
    pub buckets: Vec<(f64, u64)>,
    /// How many there were.
    pub count: u64,
    /// Seconds they took together.
    pub seconds: f64,
}

/// What a check of all blocks found.
#[derive(Debug, Clone, Default)]
pub struct Verification {
    /// Blocks checked.
    pub blocks: u64,
    /// Series in them.
    pub series: u64,
    /// Samples in them.
    pub samples: u64,
    /// All that is wrong.
    pub errors: Vec<tsdb_model::StorageError>,
}

/// Where the series come from: counts per name and label, largest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cardinality {
    /// Series.
    pub num_series: u64,
    /// Distinct label pairs.
    pub num_label_pairs: u64,
    /// Chunks.
    pub num_chunks: u64,
    /// Time of the oldest sample, ms; `i64::MAX` when there is none.
    pub min_time_ms: i64,
    /// Time of the newest sample, ms; `i64::MIN` when there is none.
    pub max_time_ms: i64,
    /// Metric name and number of its series.
    pub series_by_metric: Vec<(String, u64)>,
    /// Label name and number of its values.
    pub values_by_label: Vec<(String, u64)>,
    /// Label name and bytes of its values, each counted once per series that has it.
    pub bytes_by_label: Vec<(String, u64)>,
    /// `name=value` and number of series.
    pub series_by_pair: Vec<(String, u64)>,
}
