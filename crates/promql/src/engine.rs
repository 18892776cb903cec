//! The way in: parse, plan and evaluate one query.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tsdb_model::Queryable;

use crate::error::QueryError;
use crate::value::QueryOutput;

/// Settings of an [`Engine`].
#[derive(Debug, Clone, PartialEq)]
pub struct EngineOptions {
    /// How far an instant selector looks back, milliseconds. Default 5 minutes.
    pub lookback_delta_ms: i64,
    /// Most samples one query may hold in memory. Default 50 million.
    pub max_samples: usize,
    /// Longest time a query may take, milliseconds. Default 2 minutes.
    pub timeout_ms: u64,
    /// Step of subqueries that name none, milliseconds. Default 1 minute.
    pub default_subquery_step_ms: i64,
    /// Experimental functions and aggregations (`promql-experimental-functions`).
    pub experimental_functions: bool,
    /// `anchored` and `smoothed` (`promql-extended-range-selectors`).
    pub extended_range_selectors: bool,
    /// Arithmetic in durations (`promql-duration-expr`; on by default since 3.14).
    pub duration_expressions: bool,
    /// `fill` modifiers (`promql-binop-fill-modifiers`).
    pub fill_modifiers: bool,
    /// Drop metric names at the end of the query (`promql-delayed-name-removal`).
    pub delayed_name_removal: bool,
    /// Treat `__type__` and `__unit__` as part of the name (`type-and-unit-labels`).
    pub type_and_unit_labels: bool,
    /// Use start timestamps in `rate` and its kin (`use-start-timestamps`).
    pub start_timestamps: bool,
    /// Threads one query may use; 0 for one per core.
    pub threads: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            lookback_delta_ms: 300_000,
            max_samples: 50_000_000,
            timeout_ms: 120_000,
            default_subquery_step_ms: 60_000,
            experimental_functions: false,
            extended_range_selectors: false,
            duration_expressions: true,
            fill_modifiers: false,
            delayed_name_removal: false,
            type_and_unit_labels: false,
            start_timestamps: false,
            threads: 0,
        }
    }
}

/// Tells a running query to stop. Clones share one flag.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// Stops the query at its next check.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// True once [`CancelToken::cancel`] was called.
    pub fn is_canceled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Settings of one query.
#[derive(Debug, Clone, Default)]
pub struct QueryOptions {
    /// Overrides [`EngineOptions::lookback_delta_ms`].
    pub lookback_delta_ms: Option<i64>,
    /// Shortens [`EngineOptions::timeout_ms`].
    pub timeout_ms: Option<u64>,
    /// Stops the query from outside.
    pub cancel: CancelToken,
}

/// Evaluates queries. Holds no data and no state of a query: share it freely.
#[derive(Debug, Clone)]
pub struct Engine {
    options: EngineOptions,
}

impl Engine {
    /// An engine with these settings.
    pub fn new(options: EngineOptions) -> Self {
        Self { options }
    }

    /// The settings.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Evaluates `query` at one time (milliseconds since the Unix epoch).
    pub fn instant(
        &self,
        store: &dyn Queryable,
        query: &str,
        time_ms: i64,
        options: &QueryOptions,
    ) -> Result<QueryOutput, QueryError> {
        let _ = (store, query, time_ms, options);
        Err(QueryError::Execution(
            "not supported yet: evaluation".into(),
        ))
    }

    /// Evaluates `query` at `start`, `start + step`, .. up to `end` (milliseconds).
    pub fn range(
        &self,
        store: &dyn Queryable,
        query: &str,
        start_ms: i64,
        end_ms: i64,
        step_ms: i64,
        options: &QueryOptions,
    ) -> Result<QueryOutput, QueryError> {
        let _ = (store, query, start_ms, end_ms, step_ms, options);
        Err(QueryError::Execution(
            "not supported yet: evaluation".into(),
        ))
    }
}
