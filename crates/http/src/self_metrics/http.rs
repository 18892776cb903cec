//! `prometheus_http_*`.

use tsdb_model::MetricType::{Counter, Histogram as HistogramType};
use tsdb_model::float::format_float;

use super::Page;
use crate::counters::{HandlerCounters, Histogram};
use crate::state::ApiState;

pub(super) fn write(page: &mut Page, state: &ApiState) {
    let all: Vec<(String, HandlerCounters)> = state
        .http
        .snapshot()
        .into_iter()
        .map(|(pattern, counters)| (handler(pattern), counters))
        .collect();
    page.0.family(
        "prometheus_http_request_duration_seconds",
        HistogramType,
        "Seconds from the request to the end of its answer.",
    );
    for (handler, counters) in &all {
        histogram(page, handler, &counters.duration);
    }
    page.0.family(
        "prometheus_http_requests_total",
        Counter,
        "Answered requests.",
    );
    for (handler, counters) in &all {
        for (code, n) in &counters.codes {
            let code = code.to_string();
            page.0
                .sample("", &[("code", &code), ("handler", handler)], *n as f64);
        }
    }
    page.0.family(
        "promhttp_metric_handler_requests_total",
        Counter,
        "Answered requests for this page.",
    );
    for (_, counters) in all.iter().filter(|(handler, _)| handler == "/metrics") {
        for (code, n) in &counters.codes {
            page.0.sample("", &[("code", &code.to_string())], *n as f64);
        }
    }
    page.0.family(
        "prometheus_http_response_size_bytes",
        HistogramType,
        "Bytes of answers before compression.",
    );
    for (handler, counters) in &all {
        histogram(page, handler, &counters.size);
    }
}

/// The pattern of a route as Prometheus writes it: `:name` for `{name}`.
fn handler(pattern: &str) -> String {
    pattern.replace('{', ":").replace('}', "")
}

fn histogram(page: &mut Page, handler: &str, h: &Histogram) {
    let mut total = 0;
    for (i, n) in h.counts.iter().enumerate() {
        total += n;
        let le = format_float(h.bounds.get(i).copied().unwrap_or(f64::INFINITY));
        page.0.sample(
            "_bucket",
            &[("handler", handler), ("le", &le)],
            total as f64,
        );
    }
    page.0.sample("_sum", &[("handler", handler)], h.sum);
    page.0
        .sample("_count", &[("handler", handler)], total as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_are_named_as_in_prometheus() {
        assert_eq!(
            handler("/api/v1/label/{name}/values"),
            "/api/v1/label/:name/values"
        );
        assert_eq!(handler("/metrics"), "/metrics");
    }
}
