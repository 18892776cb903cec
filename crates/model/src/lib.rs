//! What every part of tsdb talks about: label sets, samples, histograms, matchers, durations, and
//! the traits through which storage and the query engine meet. No I/O happens in this crate.

pub mod budget;
pub mod clock;
pub mod duration;
pub mod exemplar;
pub mod expand;
pub mod float;
pub mod histogram;
pub mod labels;
pub mod log;
pub mod matcher;
pub mod metadata;
pub mod relabel;
pub mod sample;
pub mod stop;
pub mod storage;

pub use budget::{MemoryBudget, MemoryOwner};
pub use clock::{Clock, ManualClock, SystemClock};
pub use duration::{format_duration_ms, parse_duration_ms};
pub use exemplar::Exemplar;
pub use float::{format_float, parse_float};
pub use histogram::{CounterResetHint, FloatHistogram, Histogram, HistogramError, Span};
pub use labels::{Label, Labels, LabelsBuilder, METRIC_NAME};
pub use matcher::{MatchOp, Matcher, MatcherError};
pub use metadata::{Metadata, MetricType};
pub use sample::{STALE_NAN_BITS, Sample, is_stale, stale_nan};
pub use stop::StopToken;
pub use storage::{
    AppendError, Appendable, Appender, CommitReport, FloatSample, HistogramSample, HistogramValue,
    Querier, Queryable, Rejected, SelectHints, SeriesData, SeriesRef, SeriesSet, StorageError,
};
