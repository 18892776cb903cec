//! `/api/v1/query`, `/api/v1/query_range`.

use std::time::{Duration, Instant};

use http::Method;
use tsdb_net::server::Response;
use tsdb_promql::{
    CancelToken, Engine, QueryError, QueryOptions, QueryOutput, QueryProgress, QueryStats, Value,
};

use crate::answer::{Success, blocking, error_response};
use crate::error::{ApiError, ErrorKind};
use crate::json::{self, ShownStats};
use crate::params::{Params, parse_duration_ns};
use crate::query_log::Logged;
use crate::router::Call;
use crate::running::Subject;
use crate::state::{ApiState, Running};

/// Most points per series of a range query.
const MAX_POINTS: i128 = 11_000;

/// What is asked, and when; milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    At(i64),
    Range { start: i64, end: i64, step: i64 },
}

/// A checked request.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ask {
    query: String,
    when: When,
    /// 0 for none.
    limit: usize,
    timeout_ns: Option<i64>,
    lookback_delta_ms: Option<i64>,
    stats: bool,
    all_stats: bool,
}

impl Ask {
    // The order of the checks is Prometheus's: of several mistakes the same one is named.
    fn instant(params: &Params, now_ms: i64) -> Result<Self, ApiError> {
        let limit = params.limit()?;
        let when = When::At(params.time_or("time", now_ms)?);
        Self::rest(params, limit, when)
    }

    fn range(params: &Params) -> Result<Self, ApiError> {
        let limit = params.limit()?;
        let start = params.time("start")?;
        let end = params.time("end")?;
        if end < start {
            let cause = "end timestamp must not be before start time";
            return Err(ApiError::invalid("end", cause));
        }
        let step_ns =
            parse_duration_ns(params.get("step")).map_err(|e| ApiError::invalid("step", e))?;
        if step_ns <= 0 {
            let cause = "zero or negative query resolution step widths are not accepted. \
                         Try a positive integer";
            return Err(ApiError::invalid("step", cause));
        }
        if (i128::from(end) - i128::from(start)) * 1_000_000 / i128::from(step_ns) > MAX_POINTS {
            return Err(ApiError::bad_data(
                "exceeded maximum resolution of 11,000 points per timeseries. \
                 Try decreasing the query resolution (?step=XX)",
            ));
        }
        let step = step_ns / 1_000_000;
        if step == 0 {
            let cause = "query resolution step widths below 1ms are not accepted";
            return Err(ApiError::invalid("step", cause));
        }
        Self::rest(params, limit, When::Range { start, end, step })
    }

    fn rest(params: &Params, limit: usize, when: When) -> Result<Self, ApiError> {
        Ok(Self {
            query: params.get("query").to_string(),
            when,
            limit,
            timeout_ns: params.timeout_ns()?,
            lookback_delta_ms: params.lookback_delta_ms()?,
            stats: !params.get("stats").is_empty(),
            all_stats: params.get("stats") == "all",
        })
    }
}

impl Ask {
    fn subject(&self, client: String) -> Subject {
        let (handler, (start_ms, end_ms, step_ms)) = match self.when {
            When::At(t) => ("/api/v1/query", (t, t, 0)),
            When::Range { start, end, step } => ("/api/v1/query_range", (start, end, step)),
        };
        Subject {
            query: self.query.clone(),
            handler,
            start_ms,
            end_ms,
            step_ms,
            client,
        }
    }
}

pub(crate) async fn instant(call: Call, running: Running) -> Response {
    let ask = Ask::instant(&call.params, call.state.now_ms());
    answer(call, running, ask).await
}

pub(crate) async fn range(call: Call, running: Running) -> Response {
    let ask = Ask::range(&call.params);
    answer(call, running, ask).await
}

/// Stops the query when the client goes away before the answer begins.
struct CancelOnDrop(CancelToken);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

async fn answer(call: Call, running: Running, ask: Result<Ask, ApiError>) -> Response {
    let ask = match ask {
        Ok(ask) => ask,
        Err(e) => return error_response(&e),
    };
    let Call {
        state,
        client,
        method,
        ..
    } = call;
    let timeout = timeout(state.options.engine.options().timeout_ms, ask.timeout_ns);
    let count = state.engine_counters.running();
    let began = Instant::now();
    let cancel = CancelToken::default();
    let progress = QueryProgress::default();
    let _guard = CancelOnDrop(cancel.clone());
    let listed = state.running_queries.enter(
        ask.subject(client.clone()),
        state.now_ms(),
        cancel.clone(),
        progress.clone(),
    );
    // Polled once even when no time is left: the text of the query may still be wrong.
    let slot = tokio::time::timeout(timeout, state.queries.clone().acquire_owned()).await;
    let slot = match slot {
        Ok(Ok(slot)) => slot,
        Ok(Err(_)) => {
            let e = ApiError::new(ErrorKind::Unavailable, "the server is stopping");
            return error_response(&e);
        }
        Err(_) => return error_response(&QueryError::Timeout("query queue").into()),
    };
    let queued = began.elapsed();
    state.engine_counters.observe_queue(queued.as_secs_f64());
    blocking(move || {
        let options = QueryOptions {
            lookback_delta_ms: ask.lookback_delta_ms,
            timeout_ms: Some(timeout.saturating_sub(queued).as_millis() as u64),
            cancel,
            progress,
        };
        let _listed = listed;
        let evaluating = Instant::now();
        let output = evaluate(&state.options.engine, &running, &ask, &options);
        if state.query_log.is_enabled() {
            let elapsed = evaluating.elapsed();
            log(&state, &ask, &output, (queued, elapsed), (&client, &method));
        }
        let output = output?;
        state.engine_counters.observe(&output.stats);
        // A slow client takes no slot from other queries.
        drop(count);
        drop(slot);
        Ok(success(output, &ask, queued))
    })
    .await
}

/// Writes a query to the query log. One that cannot be read was never evaluated.
fn log(
    state: &ApiState,
    ask: &Ask,
    output: &Result<QueryOutput, QueryError>,
    (queued, elapsed): (Duration, Duration),
    (client, method): (&str, &Method),
) {
    let (start, end, step, path) = match ask.when {
        When::At(t) => (t, t, 0, "/api/v1/query"),
        When::Range { start, end, step } => (start, end, step, "/api/v1/query_range"),
    };
    let (engine, error) = match output {
        Ok(output) => (output.stats, None),
        Err(QueryError::Parse(_)) => return,
        Err(e) => {
            let stats = QueryStats {
                eval_total_seconds: elapsed.as_secs_f64(),
                ..QueryStats::default()
            };
            (stats, Some(e.to_string()))
        }
    };
    let logged = Logged {
        query: &ask.query,
        start,
        end,
        step,
        error,
        stats: ShownStats {
            engine,
            queue_seconds: queued.as_secs_f64(),
            all: true,
        },
        client,
        method: method.as_str(),
        path,
    };
    state.query_log.write(state.now_ms(), &logged);
}

/// The time a query has: what the client grants, at most what the server allows.
fn timeout(server_ms: u64, client_ns: Option<i64>) -> Duration {
    let server = Duration::from_millis(server_ms);
    match client_ns {
        Some(ns) => server.min(Duration::from_nanos(u64::try_from(ns).unwrap_or(0))),
        None => server,
    }
}

fn evaluate(
    engine: &Engine,
    running: &Running,
    ask: &Ask,
    options: &QueryOptions,
) -> Result<QueryOutput, QueryError> {
    match ask.when {
        When::At(t) => engine.instant(running, &ask.query, t, options),
        When::Range { start, end, step } => {
            engine.range(running, &ask.query, start, end, step, options)
        }
    }
}

fn success(mut output: QueryOutput, ask: &Ask, queued: Duration) -> Success {
    let truncated = truncate(&mut output.value, ask.limit);
    let warnings = output.annotations.warning_texts(&ask.query);
    let infos = output.annotations.info_texts(&ask.query);
    let stats = ask.stats.then_some(ShownStats {
        engine: output.stats,
        queue_seconds: queued.as_secs_f64(),
        all: ask.all_stats,
    });
    let (value, memory) = (output.value, output.memory);
    Success::streamed(move |out| {
        let _held_until_sent = memory;
        json::write_query_data(out, &value, stats.as_ref())
    })
    .notes(warnings, infos)
    .truncated(truncated)
}

/// Cuts a result to `limit` series; 0 for no limit.
fn truncate(value: &mut Value, limit: usize) -> bool {
    match value {
        Value::Vector(samples) if limit > 0 && samples.len() > limit => samples.truncate(limit),
        Value::Matrix(series) if limit > 0 && series.len() > limit => series.truncate(limit),
        _ => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use tsdb_promql::RangeSeries;

    fn range(query: &str) -> Result<Ask, String> {
        Ask::range(&Params::from_query(query)).map_err(|e| e.message)
    }

    #[test]
    fn checks_of_a_range_come_in_order() {
        for (query, error) in [
            (
                "limit=-1&start=x",
                "invalid parameter \"limit\": limit must be non-negative",
            ),
            (
                "start=x&end=y",
                "invalid parameter \"start\": cannot parse \"x\" to a valid timestamp",
            ),
            (
                "start=1",
                "invalid parameter \"end\": cannot parse \"\" to a valid timestamp",
            ),
            (
                "start=1&end=0&step=x",
                "invalid parameter \"end\": end timestamp must not be before start time",
            ),
            (
                "start=1&end=2&step=x",
                "invalid parameter \"step\": cannot parse \"x\" to a valid duration",
            ),
            (
                "start=1&end=2&step=0",
                "invalid parameter \"step\": zero or negative query resolution step widths are \
                 not accepted. Try a positive integer",
            ),
            (
                "start=0&end=11001&step=1&timeout=x",
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the \
                 query resolution (?step=XX)",
            ),
            (
                "start=0&end=0&step=0.0001",
                "invalid parameter \"step\": query resolution step widths below 1ms are not \
                 accepted",
            ),
            (
                "start=0&end=1&step=1&timeout=x&lookback_delta=y",
                "invalid parameter \"timeout\": cannot parse \"x\" to a valid duration",
            ),
            (
                "start=0&end=1&step=1&lookback_delta=y",
                "error parsing lookback delta duration: cannot parse \"y\" to a valid duration",
            ),
        ] {
            assert_eq!(range(query), Err(error.to_string()), "{query}");
        }
        assert!(range("start=0&end=11000&step=1").is_ok());
        assert!(range("start=0&end=11000.5&step=1").is_ok());
        let ask = range("start=1&end=2.5&step=1m30s&query=up&limit=3&stats=all").unwrap();
        let expected = Ask {
            query: "up".into(),
            when: When::Range {
                start: 1000,
                end: 2500,
                step: 90_000,
            },
            limit: 3,
            timeout_ns: None,
            lookback_delta_ms: None,
            stats: true,
            all_stats: true,
        };
        assert_eq!(ask, expected);
    }

    #[test]
    fn timeouts_are_capped_by_the_server() {
        let ms = Duration::from_millis;
        assert_eq!(timeout(2000, None), ms(2000));
        assert_eq!(timeout(2000, Some(1_000_000)), ms(1));
        assert_eq!(timeout(2000, Some(i64::MAX)), ms(2000));
        assert_eq!(timeout(2000, Some(-5)), Duration::ZERO);
    }

    #[test]
    fn limits_count_series() {
        let mut value = Value::Matrix(vec![RangeSeries::default(); 3]);
        assert!(!truncate(&mut value, 0));
        assert!(!truncate(&mut value, 3));
        assert!(truncate(&mut value, 2));
        assert_eq!(value, Value::Matrix(vec![RangeSeries::default(); 2]));
        assert!(!truncate(&mut Value::Scalar(0, 1.0), 1));
    }
}
