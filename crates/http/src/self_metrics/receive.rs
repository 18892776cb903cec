//! Pushed data, remote read and federation.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Page;
use crate::receive::Reason;
use crate::state::ApiState;

pub(super) fn write(page: &mut Page, state: &ApiState) {
    let get = |c: &AtomicU64| c.load(Ordering::Relaxed);
    let c = &state.receiver.counters;
    let refused = |reason: Reason| c.refused.get(reason as usize).map_or(0, get);
    page.counter(
        "prometheus_api_remote_write_invalid_labels_samples_total",
        "Pushed samples and histograms refused because of their labels.",
        refused(Reason::InvalidLabels),
    );
    page.counter(
        "prometheus_api_remote_write_without_metadata_appended_samples_total",
        "Pushed samples and histograms stored whose metric came without metadata.",
        get(&c.without_metadata),
    );
    page.counters(
        "tsdb_remote_write_stored_total",
        "What pushes brought and is stored, repetitions included.",
        "type",
        [
            ("float", get(&c.samples)),
            ("histogram", get(&c.histograms)),
            ("exemplar", get(&c.exemplars)),
        ],
    );
    page.counters(
        "tsdb_remote_write_refused_samples_total",
        "Pushed samples and histograms that were refused.",
        "reason",
        Reason::ALL.map(|reason| (reason.as_str(), refused(reason))),
    );
    page.counters(
        "tsdb_remote_write_series_lookups_total",
        "Series of write requests, by whether their handle was known.",
        "result",
        [
            ("known", get(&c.lookups_known)),
            ("new", get(&c.lookups_new)),
        ],
    );
    page.gauge(
        "tsdb_remote_write_series_cache_entries",
        "Spellings of series whose handle is remembered.",
        state.receiver.cached_series() as f64,
    );
    for (name, help, n) in [
        (
            "tsdb_remote_write_refused_exemplars_total",
            "Pushed exemplars that were refused.",
            get(&c.exemplars_refused),
        ),
        (
            "tsdb_remote_write_received_bytes_total",
            "Bytes of write requests as received, compressed.",
            get(&c.body_bytes),
        ),
        (
            "tsdb_remote_write_turned_away_total",
            "Write requests that were told to come again because too many were under way.",
            get(&c.turned_away),
        ),
        (
            "tsdb_import_samples_total",
            "Samples stored by imports.",
            get(&c.imported),
        ),
        (
            "prometheus_web_federation_errors_total",
            "Federation requests that failed.",
            get(&state.federation_errors),
        ),
        (
            "prometheus_web_federation_warnings_total",
            "Series left out of federation pages because they have no name.",
            get(&state.federation_warnings),
        ),
    ] {
        page.counter(name, help, n);
    }
    page.gauge(
        "prometheus_remote_read_handler_queries",
        "Remote reads, exports and federation requests being answered.",
        (crate::state::MAX_READS - state.reads.available_permits()) as f64,
    );
}
