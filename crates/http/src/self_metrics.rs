//! `/metrics`: what this program says about itself, under Prometheus's names where a metric means
//! the same here; and `/metrics/host`, the machine under the node exporter's names.

mod blocks;
mod engine;
mod http;
mod receive;
mod scrape;
mod store;

use ::http::StatusCode;
use tsdb_model::MetricType::{Counter, Gauge};
use tsdb_net::server::Response;
use tsdb_wire::encode::{TEXT_CONTENT_TYPE, TextWriter};

use crate::answer::{page, plain};
use crate::process;
use crate::router::Call;
use crate::state::ApiState;

/// All names are of letters, digits and underscores, and no scraper has to ask for that.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

/// This program's metrics.
pub(crate) fn metrics(call: &Call) -> Response {
    page(CONTENT_TYPE, metrics_page(&call.state))
}

/// The machine's metrics.
pub(crate) fn host_metrics(call: &Call) -> Response {
    match &call.state.options.host {
        Some(host) => page(TEXT_CONTENT_TYPE, host.collect()),
        None => plain(StatusCode::NOT_FOUND, "host metrics are off\n"),
    }
}

pub(crate) fn metrics_page(state: &ApiState) -> String {
    let mut page = Page(TextWriter::new());
    program(&mut page, state);
    process_metrics(&mut page);
    engine::write(&mut page, state);
    http::write(&mut page, state);
    receive::write(&mut page, state);
    notifier(&mut page);
    if let Some(running) = state.running() {
        let stats = running.db.stats();
        store::write(&mut page, &stats);
        store::memory(&mut page, running.db.budget(), &stats);
        if let Some(scrape) = &running.scrape {
            scrape::write(&mut page, &scrape.stats());
        }
    }
    page.0.finish()
}

/// Writes families of one sample shortly.
struct Page(TextWriter);

impl Page {
    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.0.family(name, Gauge, help);
        self.0.sample("", &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.0.family(name, Counter, help);
        self.0.sample("", &[], value as f64);
    }

    /// The same for gauges.
    fn gauges<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'a str, f64)>,
    ) {
        self.0.family(name, Gauge, help);
        for (value, v) in values {
            self.0.sample("", &[(label, value)], v);
        }
    }

    /// One sample for each value of a label.
    fn counters<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'a str, u64)>,
    ) {
        self.0.family(name, Counter, help);
        for (value, n) in values {
            self.0.sample("", &[(label, value)], n as f64);
        }
    }

    /// Samples of a summary; the family has been started.
    fn summary(&mut self, labels: &[(&str, &str)], quantiles: &[(f64, f64)], sum: f64, count: u64) {
        for (quantile, value) in quantiles {
            let quantile = quantile.to_string();
            let mut with_quantile = labels.to_vec();
            with_quantile.push(("quantile", &quantile));
            self.0.sample("", &with_quantile, *value);
        }
        self.0.sample("_sum", labels, sum);
        self.0.sample("_count", labels, count as f64);
    }
}

fn program(page: &mut Page, state: &ApiState) {
    let build = &state.options.build;
    page.0.family(
        "prometheus_build_info",
        Gauge,
        "Constant 1, labelled by the Prometheus version whose API is spoken and by this program's \
         own name and version (revision).",
    );
    let labels = [
        ("branch", build.branch.as_str()),
        ("goarch", go_arch()),
        ("goos", std::env::consts::OS),
        ("goversion", build.go_version.as_str()),
        ("revision", build.revision.as_str()),
        ("tags", ""),
        ("version", build.version.as_str()),
    ];
    page.0.sample("", &labels, 1.0);
    let ready = f64::from(u8::from(state.running().is_some()));
    page.gauge(
        "prometheus_ready",
        "1 when queries are answered, else 0.",
        ready,
    );
    let (ok, loaded_ms) = state.config_status();
    page.gauge(
        "prometheus_config_last_reload_successful",
        "1 when the last attempt to load the configuration worked, else 0.",
        f64::from(u8::from(ok)),
    );
    page.gauge(
        "prometheus_config_last_reload_success_timestamp_seconds",
        "Time the configuration was last loaded.",
        loaded_ms as f64 / 1000.0,
    );
}

/// Alerts that rely on these go on working: there is no notifier, and it has nothing to do.
fn notifier(page: &mut Page) {
    for (name, help) in [
        (
            "prometheus_notifications_alertmanagers_discovered",
            "Alertmanagers found: none, there is no notifier.",
        ),
        (
            "prometheus_notifications_queue_capacity",
            "Alerts that can wait to be sent: none, there is no notifier.",
        ),
        (
            "prometheus_notifications_queue_length",
            "Alerts waiting to be sent: none, there is no notifier.",
        ),
    ] {
        page.gauge(name, help, 0.0);
    }
    page.counter(
        "prometheus_notifications_dropped_total",
        "Alerts given up: none, there is no notifier.",
        0,
    );
}

/// The architecture as Go, and so Prometheus, calls it.
fn go_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn process_metrics(page: &mut Page) {
    let Some(process) = process::read() else {
        return;
    };
    page.0.family(
        "process_cpu_seconds_total",
        Counter,
        "Seconds of user and system CPU time spent.",
    );
    page.0.sample("", &[], process.cpu_seconds);
    if let Some((received, sent)) = process.network_bytes {
        for (name, what, bytes) in [
            ("process_network_receive_bytes_total", "received", received),
            ("process_network_transmit_bytes_total", "sent", sent),
        ] {
            let help = format!("Bytes {what} by the network this process is in.");
            page.counter(name, &help, bytes);
        }
    }
    // Without a limit Prometheus shows the largest number.
    let max_virtual = process.max_virtual_bytes.unwrap_or(u64::MAX) as f64;
    page.gauge(
        "process_virtual_memory_max_bytes",
        "Most virtual memory allowed, in bytes.",
        max_virtual,
    );
    let max_fds = process.max_fds.map_or(f64::INFINITY, |n| n as f64);
    for (name, help, value) in [
        ("process_max_fds", "Most file descriptors allowed.", max_fds),
        (
            "process_open_fds",
            "Open file descriptors.",
            process.open_fds as f64,
        ),
        (
            "process_resident_memory_bytes",
            "Resident memory in bytes.",
            process.resident_bytes as f64,
        ),
        (
            "process_start_time_seconds",
            "Start of the process, seconds since the Unix epoch.",
            process.start_time_seconds,
        ),
        ("process_threads", "Threads.", process.threads as f64),
        (
            "process_virtual_memory_bytes",
            "Virtual memory in bytes.",
            process.virtual_bytes as f64,
        ),
    ] {
        page.gauge(name, help, value);
    }
}
