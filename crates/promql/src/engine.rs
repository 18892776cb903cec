//! The way in: parse, plan and evaluate one query.

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tsdb_model::{Queryable, StopToken, StorageError};

use crate::ast::{Expr, ValueType};
use crate::error::{ParseError, QueryError};
use crate::eval::column::{Cell, Grid, Series};
use crate::eval::limits::Limits;
use crate::eval::{Evaluated, Evaluator, range_series};
use crate::memory::{MemoryPool, QueryProgress};
use crate::parse::{MAX_DEPTH, ParseOptions, parse};
use crate::plan::{Plan, QueryTimes, plan, time_range};
use crate::value::{InstantSample, QueryOutput, QueryStats, RangeSeries, SampleValue, Value};

/// Settings of an [`Engine`].
#[derive(Debug, Clone, PartialEq)]
pub struct EngineOptions {
    /// How far an instant selector looks back, milliseconds. Default 5 minutes.
    pub lookback_delta_ms: i64,
    /// Most samples one query may hold in memory. Default 50 million.
    pub max_samples: usize,
    /// Most bytes one query may hold; 0 for no limit, the default.
    pub max_query_bytes: usize,
    /// Most bytes all queries together may hold, results that are being sent included; 0 for no
    /// limit, the default.
    pub max_total_bytes: usize,
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
            max_query_bytes: 0,
            max_total_bytes: 0,
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
pub struct CancelToken(StopToken);

impl CancelToken {
    /// Stops the query at its next check.
    pub fn cancel(&self) {
        self.0.stop();
    }

    /// True once [`CancelToken::cancel`] was called.
    pub fn is_canceled(&self) -> bool {
        self.0.is_asked()
    }

    /// What the store looks at: this flag and a time.
    pub fn token(&self, deadline: Option<Instant>) -> StopToken {
        self.0.until(deadline)
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
    /// Tells how far the query has come.
    pub progress: QueryProgress,
}

impl QueryOptions {
    /// The store knows only that it was stopped; whoever was not told to took too long.
    fn stopped(&self, error: QueryError) -> QueryError {
        match error {
            QueryError::Storage(StorageError::Canceled) if self.cancel.is_canceled() => {
                QueryError::Canceled("query execution")
            }
            QueryError::Storage(StorageError::Canceled) => QueryError::Timeout("query execution"),
            other => other,
        }
    }
}

/// Evaluates queries. Holds no data and no state of a query: share it freely. Clones share the
/// memory for all queries.
#[derive(Debug, Clone)]
pub struct Engine {
    options: EngineOptions,
    memory: Arc<MemoryPool>,
}

impl Engine {
    /// An engine with these settings.
    pub fn new(options: EngineOptions) -> Self {
        Self {
            memory: Arc::new(MemoryPool::new(options.max_total_bytes)),
            options,
        }
    }

    /// The memory of all queries.
    pub fn memory(&self) -> &Arc<MemoryPool> {
        &self.memory
    }

    /// The settings.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Parses a query with the features that are switched on.
    pub fn parse(&self, query: &str) -> Result<Expr, ParseError> {
        let options = ParseOptions {
            experimental_functions: self.options.experimental_functions,
            extended_range_selectors: self.options.extended_range_selectors,
            duration_expressions: self.options.duration_expressions,
            fill_modifiers: self.options.fill_modifiers,
        };
        parse(query, &options)
    }

    /// Evaluates `query` at one time (milliseconds since the Unix epoch).
    pub fn instant(
        &self,
        store: &dyn Queryable,
        query: &str,
        time_ms: i64,
        options: &QueryOptions,
    ) -> Result<QueryOutput, QueryError> {
        let times = QueryTimes {
            start: time_ms,
            end: time_ms,
            step: 0,
        };
        Self::contained(query, || {
            let result = self.run(store, query, times, options);
            result.map_err(|e| options.stopped(e))
        })
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
        if end_ms < start_ms {
            return Err(QueryError::BadData(
                "end timestamp must not be before start time".into(),
            ));
        }
        if step_ms <= 0 {
            return Err(QueryError::BadData(
                "zero or negative query resolution step widths are not accepted. Try a positive \
                 integer"
                    .into(),
            ));
        }
        let times = QueryTimes {
            start: start_ms,
            end: end_ms,
            step: step_ms,
        };
        Self::contained(query, || {
            let result = self.run(store, query, times, options);
            result.map_err(|e| options.stopped(e))
        })
    }

    /// Runs `work` so that neither a deep query nor a panic does harm.
    fn contained<R: Send>(
        query: &str,
        work: impl FnOnce() -> Result<R, QueryError> + Send,
    ) -> Result<R, QueryError> {
        let guarded = || {
            catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
                let text = panic_text(&*panic);
                tracing::error!(query, panic = text, "panic during query evaluation");
                Err(QueryError::Execution(format!("unexpected error: {text}")))
            })
        };
        // Each level of nesting takes a byte of the query at least.
        let levels = query.len().min(MAX_DEPTH);
        if levels <= SHALLOW {
            return guarded();
        }
        std::thread::scope(|scope| {
            std::thread::Builder::new()
                .name("promql".into())
                .stack_size(STACK + levels * STACK_PER_LEVEL)
                .spawn_scoped(scope, guarded)
                .map_err(|e| QueryError::Execution(format!("unexpected error: {e}")))?
                .join()
                .unwrap_or_else(|panic| {
                    let text = panic_text(&*panic);
                    Err(QueryError::Execution(format!("unexpected error: {text}")))
                })
        })
    }

    fn run(
        &self,
        store: &dyn Queryable,
        query: &str,
        times: QueryTimes,
        query_options: &QueryOptions,
    ) -> Result<QueryOutput, QueryError> {
        let begin = Instant::now();
        let cpu = query_options.progress.count_cpu();
        let options = &self.options;
        let timeout = query_options.timeout_ms.unwrap_or(u64::MAX);
        let limits = Limits::new(
            options.max_samples,
            timeout.min(options.timeout_ms),
            query_options.cancel.clone(),
        )
        .with_memory(
            options.max_query_bytes,
            self.memory.clone(),
            query_options.progress.clone(),
        );
        let expr = self.parse(query)?;
        let value_type = expr.value_type();
        if times.step > 0 {
            check_range_type(value_type)?;
        }
        limits.check()?;
        let plan = plan(&expr, times, options)?;
        let lookback = query_options
            .lookback_delta_ms
            .filter(|ms| *ms > 0)
            .unwrap_or(options.lookback_delta_ms);
        // Queries without selectors read nothing.
        let (mint, maxt) = time_range(&plan, times.start, times.end, lookback).unwrap_or((0, -1));
        let querier = store
            .querier_until(mint, maxt, limits.token())
            .map_err(QueryError::Storage)?;
        let evaluator = Evaluator {
            querier: &*querier,
            options,
            lookback,
            limits: &limits,
            notes: Mutex::default(),
            threads: threads(options.threads),
        };
        let prepared = Instant::now();
        let mut value = if times.step > 0 {
            range_value(&evaluator, &plan, times)?
        } else {
            instant_value(&evaluator, &plan, value_type, times.start)?
        };
        limits.check()?;
        let evaluated = Instant::now();
        if let Value::Matrix(series) = &mut value {
            series.sort_by(|a, b| a.labels.cmp(&b.labels));
        }
        drop(cpu);
        let notes = evaluator.notes.into_inner();
        let stats = QueryStats {
            total_queryable_samples: limits.samples_read(),
            peak_samples: limits.peak_samples(),
            peak_bytes: query_options.progress.peak_bytes() as u64,
            series: query_options.progress.series(),
            cpu_seconds: query_options.progress.cpu_seconds(),
            eval_total_seconds: begin.elapsed().as_secs_f64(),
            prepare_seconds: (prepared - begin).as_secs_f64(),
            inner_eval_seconds: (evaluated - prepared).as_secs_f64(),
            result_sort_seconds: evaluated.elapsed().as_secs_f64(),
        };
        let memory = Arc::new(limits.into_reservation(value.bytes()));
        Ok(QueryOutput {
            value,
            annotations: notes.unwrap_or_else(PoisonError::into_inner).finish(),
            stats,
            memory,
        })
    }
}

/// Longest query that is evaluated on the stack of the caller, bytes.
const SHALLOW: usize = 256;

/// Stack of the thread for longer ones, bytes, and what each level of nesting adds. Only what is
/// used becomes memory.
const STACK: usize = 4 << 20;
const STACK_PER_LEVEL: usize = 48 << 10;

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic")
}

fn threads(configured: usize) -> usize {
    if configured > 0 {
        return configured;
    }
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

fn check_range_type(value_type: ValueType) -> Result<(), QueryError> {
    let name = match value_type {
        ValueType::Scalar | ValueType::Vector => return Ok(()),
        ValueType::String => "string",
        ValueType::Matrix => "range vector",
    };
    Err(QueryError::BadData(format!(
        "invalid expression type \"{name}\" for range query, must be Scalar or instant Vector"
    )))
}

fn instant_value(
    evaluator: &Evaluator<'_>,
    plan: &Plan,
    value_type: ValueType,
    time: i64,
) -> Result<Value, QueryError> {
    if value_type == ValueType::Matrix {
        return evaluator.range_vector(plan, time).map(Value::Matrix);
    }
    match evaluator.eval(plan, Grid::single(time))? {
        Evaluated::Text(text) => Ok(Value::String(time, text)),
        Evaluated::Scalar(scalar) => Ok(Value::Scalar(time, scalar.get(0))),
        Evaluated::Vector(mut frame) => {
            evaluator.finish(&mut frame)?;
            let sample = |series: Series| {
                let value = match series.get(0)? {
                    Cell::Float(v) => SampleValue::Float(v),
                    Cell::Histogram(h) => SampleValue::Histogram(h),
                };
                Some(InstantSample {
                    labels: series.labels,
                    timestamp_ms: time,
                    value,
                })
            };
            Ok(Value::Vector(
                frame.series.into_iter().filter_map(sample).collect(),
            ))
        }
    }
}

fn range_value(
    evaluator: &Evaluator<'_>,
    plan: &Plan,
    times: QueryTimes,
) -> Result<Value, QueryError> {
    let grid = Grid::new(times.start, times.end, times.step);
    evaluator.limits.fits(grid.steps)?;
    match evaluator.eval(plan, grid)? {
        Evaluated::Text(_) => Err(QueryError::Execution("unexpected error: string".into())),
        Evaluated::Scalar(scalar) => {
            let floats = (0..grid.steps).map(|step| (grid.time(step), scalar.get(step)));
            Ok(Value::Matrix(vec![RangeSeries {
                floats: floats.collect(),
                ..RangeSeries::default()
            }]))
        }
        Evaluated::Vector(mut frame) => {
            evaluator.finish(&mut frame)?;
            Ok(Value::Matrix(range_series(frame.series, grid)))
        }
    }
}
