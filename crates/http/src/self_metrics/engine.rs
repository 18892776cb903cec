//! `prometheus_engine_*`.

use tsdb_model::MetricType::Summary;

use super::Page;
use crate::state::ApiState;

pub(super) fn write(page: &mut Page, state: &ApiState) {
    let (running, samples, phases) = state.engine_counters.snapshot();
    page.gauge(
        "prometheus_engine_queries",
        "Queries running or waiting for their turn.",
        running as f64,
    );
    page.gauge(
        "prometheus_engine_queries_concurrent_max",
        "Most queries that run at the same time.",
        state.options.max_concurrency.max(1) as f64,
    );
    page.0.family(
        "prometheus_engine_query_duration_seconds",
        Summary,
        "Seconds spent in each phase of a query; quantiles over the last 512 queries.",
    );
    for (slice, window) in [
        ("inner_eval", &phases.inner_eval),
        ("prepare_time", &phases.prepare_time),
        ("queue_time", &phases.queue_time),
        ("result_sort", &phases.result_sort),
    ] {
        page.summary(
            &[("slice", slice)],
            &window.quantiles(),
            window.sum,
            window.count,
        );
    }
    page.counter(
        "prometheus_engine_query_samples_total",
        "Samples read by queries, each counted once per step that used it.",
        samples,
    );
    let memory = state.options.engine.memory();
    page.gauge(
        "tsdb_query_memory_bytes",
        "Memory that running queries and answers being sent have taken.",
        memory.used() as f64,
    );
    page.gauge(
        "tsdb_query_memory_limit_bytes",
        "Memory that they may take together; 0 for no limit.",
        memory.limit() as f64,
    );
    page.gauge(
        "prometheus_engine_query_log_enabled",
        "1 when queries are logged, else 0.",
        f64::from(u8::from(state.query_log.is_enabled())),
    );
    page.counter(
        "prometheus_engine_query_log_failures_total",
        "Failed writes to the query log.",
        state.query_log.failures(),
    );
}
