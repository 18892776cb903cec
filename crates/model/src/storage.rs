//! The seams between storage and everything else: [`Queryable`], [`Querier`] and [`SeriesSet`] for
//! reading, [`Appendable`] and [`Appender`] for writing.
//!
//! Reading is by columns: a querier selects series, the caller then reads each series' samples of
//! the whole time range into a scratch buffer. There is no call per sample.

use std::sync::Arc;

use crate::exemplar::Exemplar;
use crate::histogram::{FloatHistogram, Histogram};
use crate::labels::Labels;
use crate::matcher::Matcher;
use crate::metadata::Metadata;
use crate::stop::StopToken;

/// A failure of the store itself, not of the caller's input.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The disk refused.
    #[error("{context}: {message}")]
    Io {
        /// What was being done, and to which file.
        context: String,
        /// The operating system's words.
        message: String,
    },
    /// Bytes that are not what was written.
    #[error("corrupt data in {path} at byte {offset}: {what}")]
    Corrupt {
        /// File.
        path: String,
        /// Offset in bytes.
        offset: u64,
        /// What does not fit.
        what: String,
    },
    /// The store refuses to work: closed, read-only, locked, or stopped by an earlier failure.
    #[error("{0}")]
    Unavailable(String),
    /// The reader was told to stop.
    #[error("canceled")]
    Canceled,
}

/// Handle of a series inside one open store; means nothing after a restart. A stale handle is
/// answered with [`AppendError::UnknownSeries`], never with another series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesRef(pub u64);

/// Why one sample was not taken. The texts are Prometheus's.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// Older than the newest sample of its series, and late samples are not accepted.
    #[error("out of order sample")]
    OutOfOrder,
    /// Outside the times that the store accepts at present.
    #[error("out of bounds")]
    OutOfBounds,
    /// Older than the out-of-order window.
    #[error("too old sample")]
    TooOld,
    /// Another value stands at this time already.
    #[error(
        "duplicate sample for timestamp {timestamp_ms}; overrides not allowed: \
         existing {existing}, new value {new}"
    )]
    Duplicate {
        /// Milliseconds since the Unix epoch.
        timestamp_ms: i64,
        /// The stored value.
        existing: f64,
        /// The refused value.
        new: f64,
    },
    /// The handle does not belong to a series (any more): append with labels.
    #[error("unknown series reference")]
    UnknownSeries,
    /// A label set no series may have: empty.
    #[error("empty label set")]
    NoLabels,
    /// A limit on the number of series is reached.
    #[error("series limit of {limit} reached")]
    SeriesLimit {
        /// The limit.
        limit: u64,
    },
    /// Memory is nearly used up: known series go on, new ones have to wait.
    #[error("memory limit of {limit} bytes nearly reached: no new series")]
    MemoryLimit {
        /// The limit.
        limit: u64,
    },
    /// Exemplars of a series must come in time order.
    #[error("out of order exemplar")]
    OutOfOrderExemplar,
    /// A histogram that contradicts itself.
    #[error("invalid histogram")]
    InvalidHistogram,
}

/// Something samples can be written to.
pub trait Appendable: Send + Sync {
    /// Starts a transaction.
    fn appender(&self) -> Box<dyn Appender + '_>;
}

/// A sample for [`Appender::append_floats`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FloatSample {
    /// Its series.
    pub series: SeriesRef,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// Start timestamp in milliseconds, 0 when not stated.
    pub start_timestamp_ms: i64,
    /// The value; every bit counts.
    pub value: f64,
}

/// A transaction of appends: nothing is visible or durable before [`Appender::commit`].
///
/// Appending finds out most refusals at once; samples that only turn out to be refused when the
/// transaction is applied (a concurrent commit was faster, say) are named in the [`CommitReport`].
pub trait Appender {
    /// Finds or makes the series of a label set, so that later appends can use the handle.
    fn series(&mut self, labels: &Labels) -> Result<SeriesRef, AppendError>;

    /// Adds a float sample. `t_ms` in milliseconds since the Unix epoch.
    fn append(&mut self, series: SeriesRef, t_ms: i64, value: f64) -> Result<(), AppendError>;

    /// Adds many float samples, cheaper than one by one. Those refused are put into `refused` with
    /// their positions, in order; a store may leave everything but unknown handles to the commit,
    /// which names what it refuses.
    fn append_floats(&mut self, samples: &[FloatSample], refused: &mut Vec<(usize, AppendError)>) {
        for (i, s) in samples.iter().enumerate() {
            let start = match s.start_timestamp_ms {
                0 => Ok(()),
                start => self.append_start_timestamp(s.series, start),
            };
            if let Err(e) = start.and_then(|()| self.append(s.series, s.timestamp_ms, s.value)) {
                refused.push((i, e));
            }
        }
    }

    /// Adds a native histogram sample.
    fn append_histogram(
        &mut self,
        series: SeriesRef,
        t_ms: i64,
        histogram: HistogramValue,
    ) -> Result<(), AppendError>;

    /// States the start timestamp (ms) that holds for this series from the next appended sample on.
    fn append_start_timestamp(&mut self, series: SeriesRef, st_ms: i64) -> Result<(), AppendError>;

    /// Adds an exemplar.
    fn append_exemplar(&mut self, series: SeriesRef, exemplar: Exemplar)
    -> Result<(), AppendError>;

    /// From here on a sample older than its series' newest one is refused, whatever the store takes
    /// otherwise. Stores that never take such samples need not do anything.
    fn refuse_late(&mut self) {}

    /// Remembers type, unit and help of a metric family.
    fn update_metadata(&mut self, family: &str, metadata: Metadata);

    /// Writes the transaction to the log and makes it visible, whole.
    fn commit(self: Box<Self>) -> Result<CommitReport, StorageError>;

    /// Forgets the transaction.
    fn rollback(self: Box<Self>);
}

/// A native histogram in either form.
#[derive(Debug, Clone, PartialEq)]
pub enum HistogramValue {
    /// Integer counts.
    Int(Arc<Histogram>),
    /// Float counts.
    Float(Arc<FloatHistogram>),
}

/// What a commit did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CommitReport {
    /// Samples now stored; an exact repetition of a stored sample counts.
    pub samples: u64,
    /// Samples refused while applying.
    pub rejected: Vec<Rejected>,
}

/// One refused sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejected {
    /// Its series.
    pub series: SeriesRef,
    /// Its time, milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// Why.
    pub error: AppendError,
}

/// Something that can be queried.
pub trait Queryable: Send + Sync {
    /// A consistent view of the samples with `mint_ms <= t <= maxt_ms`: commits are seen whole or
    /// not at all, and later ones not.
    fn querier(&self, mint_ms: i64, maxt_ms: i64) -> Result<Box<dyn Querier + '_>, StorageError>;

    /// The same; what it does ends with [`StorageError::Canceled`] soon after `stop` says so.
    /// Stores whose work is never long need not look at it.
    fn querier_until(
        &self,
        mint_ms: i64,
        maxt_ms: i64,
        stop: StopToken,
    ) -> Result<Box<dyn Querier + '_>, StorageError> {
        drop(stop);
        self.querier(mint_ms, maxt_ms)
    }
}

/// What a selection is for; lets storage skip work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelectHints {
    /// First time wanted, milliseconds, inclusive.
    pub start_ms: i64,
    /// Last time wanted, milliseconds, inclusive.
    pub end_ms: i64,
    /// Distance of the evaluated steps in milliseconds; 0 for instant queries.
    pub step_ms: i64,
    /// Length of the range selector in milliseconds; 0 for instant selectors.
    pub range_ms: i64,
    /// Most series wanted; 0 for all.
    pub limit: usize,
    /// Only labels are wanted, no samples: `read` will not be called.
    pub labels_only: bool,
}

/// A view of the store over a time range.
pub trait Querier: Send + Sync {
    /// The series that pass all matchers and may have samples in the hinted range, in no
    /// particular order, each label set once.
    fn select(
        &self,
        hints: &SelectHints,
        matchers: &[Matcher],
    ) -> Result<Box<dyn SeriesSet + '_>, StorageError>;

    /// Label names of the series that pass all matchers, sorted. `limit` 0 means all.
    fn label_names(&self, matchers: &[Matcher], limit: usize) -> Result<Vec<String>, StorageError>;

    /// Values of a label among the series that pass all matchers, sorted. `limit` 0 means all.
    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        limit: usize,
    ) -> Result<Vec<String>, StorageError>;
}

/// Selected series, addressed by position, so that several threads can each read their part.
pub trait SeriesSet: Send + Sync {
    /// Number of series.
    fn len(&self) -> usize;

    /// True when no series was selected.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Labels of series `index`.
    ///
    /// # Panics
    /// When `index` is not below [`SeriesSet::len`].
    fn labels(&self, index: usize) -> Labels;

    /// Decodes the samples of series `index` in the hinted range into `data`, replacing what it
    /// holds and reusing its memory.
    fn read(&self, index: usize, data: &mut SeriesData) -> Result<(), StorageError>;

    /// As [`SeriesSet::read`], but of the floats only the newest one is wanted, and of the
    /// histograms only the newest one: more may be answered. For queries at one time.
    fn read_newest(&self, index: usize, data: &mut SeriesData) -> Result<(), StorageError> {
        self.read(index, data)
    }
}

/// The samples of one series in a time range, as columns. Times increase strictly within the
/// floats and within the histograms.
#[derive(Debug, Clone, Default)]
pub struct SeriesData {
    /// Times of a whole scrape target, milliseconds. Series of one target share this allocation,
    /// so that work that depends on times only can be done once per target (compare by pointer).
    pub timestamps: Arc<Vec<i64>>,
    /// Position in `timestamps` of the first value.
    pub first_row: usize,
    /// `values[i]` was observed at `timestamps[first_row + i]`.
    pub values: Vec<f64>,
    /// No value is a staleness marker. May be false although there is none.
    pub no_stale: bool,
    /// No value is below the one before it, and none is NaN. May be false although it holds.
    pub monotone: bool,
    /// Start timestamps: `(row of values, start timestamp ms)`; each holds from its row on.
    pub start_timestamps: Vec<(usize, i64)>,
    /// Native histogram samples.
    pub histograms: Vec<HistogramSample>,
    /// Memory of the store between two reads; of no meaning.
    pub spare_times: Vec<i64>,
}

impl SeriesData {
    /// Times of `values`, milliseconds.
    #[inline]
    pub fn times(&self) -> &[i64] {
        &self.timestamps[self.first_row..self.first_row + self.values.len()]
    }

    /// Forgets all samples, keeps the memory.
    pub fn clear(&mut self) {
        self.first_row = 0;
        self.values.clear();
        self.no_stale = false;
        self.monotone = false;
        self.start_timestamps.clear();
        self.histograms.clear();
    }
}

/// One native histogram sample, as queries see it.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramSample {
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// Start timestamp in milliseconds, 0 when unknown.
    pub start_timestamp_ms: i64,
    /// The histogram, its counter reset hint filled in by the store.
    pub histogram: Arc<FloatHistogram>,
}
