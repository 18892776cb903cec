//! `/federate`: the newest sample of the selected series, as a page that another server scrapes.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use http::header::ACCEPT;
use tsdb_model::labels::{is_legacy_label_name, is_legacy_metric_name};
use tsdb_model::{
    FloatHistogram, Labels, METRIC_NAME, MetricType, SeriesData, format_float, is_stale,
};
use tsdb_net::server::Response;
use tsdb_wire::encode::TextWriter;

use crate::router::Call;
use crate::selected::Selected;
use crate::state::Running;
use crate::stream::{Out, Stopped, read_turn, streamed};

const ESCAPED_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
const UTF8_TYPE: &str = "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8";

/// Writes the page.
pub(crate) async fn federate(call: Call, running: Running) -> Response {
    let turn = match read_turn(&call.state).await {
        Ok(turn) => turn,
        Err(response) => return response,
    };
    streamed(turn, ESCAPED_TYPE, move |out| {
        let written = write(&call, &running, out);
        if let Err(Stopped::Refused(..)) = &written {
            call.state.federation_errors.fetch_add(1, Ordering::Relaxed);
        }
        written
    })
    .await
}

fn write(call: &Call, running: &Running, out: &mut Out) -> Result<(), Stopped> {
    call.params
        .check_form()
        .map_err(|e| Stopped::bad_request(e.to_string()))?;
    let mut selectors = Vec::new();
    for text in call.params.all("match[]") {
        let matchers =
            tsdb_promql::parse_selector(text).map_err(|e| Stopped::bad_request(e.to_string()))?;
        // `{}` selects nothing here, as in Prometheus.
        if !matchers.is_empty() {
            selectors.push(matchers);
        }
    }
    let accept = call.headers.get_all(ACCEPT);
    let utf8 = accept.iter().any(|a| {
        let a = String::from_utf8_lossy(a.as_bytes());
        a.replace(' ', "").contains("escaping=allow-utf-8")
    });
    if utf8 {
        out.content_type(UTF8_TYPE);
    }
    let now = call.state.now_ms();
    let lookback = call.state.options.engine.options().lookback_delta_ms;
    let range = (now.saturating_sub(lookback), now);
    let timeout = Duration::from_millis(call.state.options.engine.options().timeout_ms);
    let stop = out.stop.until(Instant::now().checked_add(timeout));
    let querier = running.querier_until(range.0, range.1, stop.clone())?;
    let mut selected = Selected::new(&*querier, range, &selectors)?;
    selected.sort_by_metric();
    let mut external: BTreeMap<String, String> = call.state.config().global.external_labels.clone();
    external.entry("instance".into()).or_default();

    let mut page = Page {
        text: TextWriter::new(),
        utf8,
        family: None,
    };
    let mut data = SeriesData::default();
    for place in 0..selected.len() {
        stop.check()?;
        selected.read(place, &mut data)?;
        let labels = selected.labels(place);
        if labels.get(METRIC_NAME).is_none() {
            call.state
                .federation_warnings
                .fetch_add(1, Ordering::Relaxed);
            continue;
        }
        page.newest(&labels, &external, &data);
        out.buffer.append(&mut page.text.take().into_bytes());
        out.checkpoint()?;
    }
    Ok(())
}

struct Page {
    text: TextWriter,
    utf8: bool,
    /// Family begun last.
    family: Option<(String, MetricType)>,
}

impl Page {
    /// Writes the newest sample of a series, unless it is a staleness marker.
    fn newest(&mut self, labels: &Labels, external: &BTreeMap<String, String>, data: &SeriesData) {
        let float = data
            .times()
            .last()
            .copied()
            .zip(data.values.last().copied());
        let histogram = data.histograms.last();
        let name = self.escaped(labels.metric_name(), is_legacy_metric_name);
        let mut pairs: Vec<(String, &str)> = labels
            .iter()
            .filter(|l| l.name != METRIC_NAME)
            .map(|l| (self.escaped(l.name, is_legacy_label_name), l.value))
            .collect();
        for (label, value) in external {
            if labels.get(label).is_none() {
                pairs.push((self.escaped(label, is_legacy_label_name), value));
            }
        }
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (n.as_str(), *v)).collect();
        let float = float.filter(|(t, _)| histogram.is_none_or(|h| h.timestamp_ms < *t));
        match (float, histogram) {
            (Some((_, v)), _) if is_stale(v) => {}
            (Some((t, v)), _) => {
                self.begin(&name, MetricType::Unknown);
                self.text.sample_at("", &pairs, v, &t.to_string());
            }
            (None, Some(h)) if !is_stale(h.histogram.sum) => {
                self.begin(&name, MetricType::Histogram);
                self.classic(&pairs, h.timestamp_ms, &h.histogram);
            }
            _ => {}
        }
    }

    fn begin(&mut self, name: &str, metric_type: MetricType) {
        let begun = |(n, t): &(String, MetricType)| n == name && *t == metric_type;
        if !self.family.as_ref().is_some_and(begun) {
            self.text.family(name, metric_type, "");
            self.family = Some((name.to_string(), metric_type));
        }
    }

    /// A native histogram in classic form: custom buckets as they are, of exponential ones (which
    /// text cannot show) only count and sum.
    fn classic(&mut self, pairs: &[(&str, &str)], t: i64, h: &FloatHistogram) {
        let time = t.to_string();
        let mut below = 0.0;
        let mut buckets = h.positive_iter().peekable();
        let bounds = h.custom_values.iter().copied();
        for bound in bounds.filter(|_| h.uses_custom_buckets()) {
            while let Some(bucket) = buckets.next_if(|b| b.upper <= bound) {
                below += bucket.count;
            }
            let le = format_float(bound);
            let with_le: Vec<(&str, &str)> =
                pairs.iter().copied().chain([("le", le.as_str())]).collect();
            self.text.sample_at("_bucket", &with_le, below, &time);
        }
        let with_le: Vec<(&str, &str)> = pairs.iter().copied().chain([("le", "+Inf")]).collect();
        self.text.sample_at("_bucket", &with_le, h.count, &time);
        self.text.sample_at("_sum", pairs, h.sum, &time);
        self.text.sample_at("_count", pairs, h.count, &time);
    }

    /// The name, with underscores for what old scrapers do not know.
    fn escaped(&self, name: &str, is_legacy: fn(&str) -> bool) -> String {
        if self.utf8 || is_legacy(name) {
            return name.to_string();
        }
        let keep = |(i, c): (usize, char)| {
            let fits = c.is_ascii_alphabetic()
                || c == '_'
                || (c.is_ascii_digit() && i > 0)
                || (c == ':' && is_legacy(":"));
            if fits { c } else { '_' }
        };
        name.chars().enumerate().map(keep).collect()
    }
}
