//! An embeddable metrics time-series database: exact, durable, with PromQL.
//!
//! [`Db`] is the store, [`Engine`] evaluates PromQL over it. Everything is synchronous: no
//! runtime is needed, and a `Db` can be shared between threads.

pub use tsdb_model as model;
pub use tsdb_model::{
    AppendError, Appendable, Appender, Clock, CommitReport, Exemplar, HistogramValue, Label,
    Labels, LabelsBuilder, ManualClock, MatchOp, Matcher, Metadata, MetricType, Querier, Queryable,
    Rejected, Sample, SelectHints, SeriesData, SeriesRef, SeriesSet, StorageError, SystemClock,
};
pub use tsdb_promql as promql;
pub use tsdb_promql::{
    Annotations, CancelToken, Engine, EngineOptions, InstantSample, ParseError, QueryError,
    QueryOptions, QueryOutput, QueryStats, RangeSeries, SampleValue, Value,
};
pub use tsdb_storage::prom_block;
pub use tsdb_storage::{
    Cardinality, Db, DbStats, Dir, DirLock, DurationStats, Options, StdDir, WalSync, WriteFile,
};
