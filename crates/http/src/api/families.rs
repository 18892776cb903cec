//! `/api/v1/status/self_metrics`: the metrics of `/metrics` as JSON, in the words of the metric
//! families of Prometheus's client library.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tsdb_model::matcher::AnchoredRegex;
use tsdb_model::{METRIC_NAME, MetricType};
use tsdb_wire::text::{Entry, SeriesLine, TextParser};

use crate::answer::{ApiResult, Success};
use crate::error::{ApiError, ErrorKind};
use crate::router::Call;
use crate::self_metrics;

/// Metric families, all or those with a name that matches `metric_name_pattern`.
pub(crate) fn self_metrics(call: &Call) -> ApiResult {
    let filter = match call.params.get("metric_name_pattern") {
        "" => None,
        pattern => Some(AnchoredRegex::new(pattern).map_err(|e| {
            ApiError::bad_data(format!(
                "invalid metric_name_pattern: error parsing regexp: {e}"
            ))
        })?),
    };
    let page = self_metrics::metrics_page(&call.state);
    let mut families = families(page.as_bytes())
        .map_err(|e| ApiError::new(ErrorKind::Internal, format!("gathering metrics: {e}")))?;
    if let Some(filter) = filter {
        families.retain(|name, _| filter.is_match(name));
    }
    Success::json(&families.values().map(Family::shown).collect::<Vec<_>>())
}

#[derive(Debug, Default)]
struct Family {
    name: String,
    help: String,
    metric_type: MetricType,
    /// By labels, without `le` and `quantile`.
    metrics: BTreeMap<Vec<(String, String)>, Metric>,
}

#[derive(Debug, Default)]
struct Metric {
    value: f64,
    sum: f64,
    count: f64,
    /// Upper bound and count of buckets, or quantile and value.
    parts: Vec<(f64, f64)>,
}

fn families(page: &[u8]) -> Result<BTreeMap<String, Family>, String> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    let mut parser = TextParser::new(page);
    while let Some(entry) = parser.next().map_err(|e| e.to_string())? {
        let mut named = |name: &str| {
            current = name.to_string();
        };
        match entry {
            Entry::Help { family, help } => {
                named(&family);
                family_of(&mut families, &family).help = help.into_owned();
            }
            Entry::Type {
                family,
                metric_type,
            } => {
                named(&family);
                family_of(&mut families, &family).metric_type = metric_type;
            }
            Entry::Unit { .. } => {}
            Entry::Series(line) => {
                if let Some(family) = families.get_mut(&current) {
                    family.add(&line)?;
                }
            }
        }
    }
    Ok(families)
}

fn family_of<'a>(families: &'a mut BTreeMap<String, Family>, name: &str) -> &'a mut Family {
    let family = families.entry(name.to_string()).or_default();
    family.name = name.to_string();
    family
}

impl Family {
    fn add(&mut self, line: &SeriesLine<'_>) -> Result<(), String> {
        let mut pairs = Vec::new();
        line.labels(&mut pairs).map_err(|e| e.to_string())?;
        let (mut name, mut part) = (String::new(), None);
        let mut labels = Vec::new();
        for (label, value) in pairs.iter().map(|(n, v)| (n.as_ref(), v.as_ref())) {
            let value: &str = value;
            match label {
                METRIC_NAME => name = value.to_string(),
                "le" | "quantile" => part = value.parse::<f64>().ok(),
                label => labels.push((label.to_string(), value.to_string())),
            }
        }
        let metric = self.metrics.entry(labels).or_default();
        let suffix = name.strip_prefix(&self.name).unwrap_or_default();
        match (suffix, part) {
            ("" | "_bucket", Some(bound)) => metric.parts.push((bound, line.value)),
            ("_sum", _) => metric.sum = line.value,
            ("_count", _) => metric.count = line.value,
            _ => metric.value = line.value,
        }
        Ok(())
    }

    fn shown(&self) -> Value {
        let metrics: Vec<Value> = self
            .metrics
            .iter()
            .map(|(labels, metric)| {
                let mut shown = Map::new();
                let labels: Vec<Value> = labels
                    .iter()
                    .map(|(name, value)| json!({"name": name, "value": value}))
                    .collect();
                if !labels.is_empty() {
                    shown.insert("label".into(), labels.into());
                }
                let (kind, value) = metric.shown(self.metric_type);
                shown.insert(kind.into(), value);
                Value::Object(shown)
            })
            .collect();
        json!({
            "name": self.name,
            "help": self.help,
            "type": match self.metric_type {
                MetricType::Counter => "COUNTER",
                MetricType::Gauge => "GAUGE",
                MetricType::Histogram => "HISTOGRAM",
                MetricType::Summary => "SUMMARY",
                _ => "UNTYPED",
            },
            "metric": metrics,
        })
    }
}

impl Metric {
    fn shown(&self, metric_type: MetricType) -> (&'static str, Value) {
        // Protocol buffers as JSON: 64-bit integers are strings.
        let whole = |n: f64| json!(format!("{n:.0}"));
        match metric_type {
            MetricType::Counter => ("counter", json!({"value": number(self.value)})),
            MetricType::Gauge => ("gauge", json!({"value": number(self.value)})),
            MetricType::Histogram => {
                let buckets = self.parts.iter().map(
                    |(bound, count)| json!({"cumulativeCount": whole(*count), "upperBound": number(*bound)}),
                );
                let buckets: Vec<Value> = buckets.collect();
                let shown = json!({
                    "sampleCount": whole(self.count),
                    "sampleSum": number(self.sum),
                    "bucket": buckets,
                });
                ("histogram", shown)
            }
            MetricType::Summary => {
                let quantiles = self.parts.iter().map(
                    |(quantile, value)| json!({"quantile": number(*quantile), "value": number(*value)}),
                );
                let quantiles: Vec<Value> = quantiles.collect();
                let shown = json!({
                    "sampleCount": whole(self.count),
                    "sampleSum": number(self.sum),
                    "quantile": quantiles,
                });
                ("summary", shown)
            }
            _ => ("untyped", json!({"value": number(self.value)})),
        }
    }
}

/// A float in the JSON of protocol buffers.
fn number(v: f64) -> Value {
    if v.is_finite() {
        return json!(v);
    }
    let text = match v {
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => "NaN",
    };
    json!(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind() {
        let page = b"# HELP a All.\n# TYPE a counter\na{x=\"1\"} 5\na{x=\"2\"} +Inf\n\
            # TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 4.5\nh_count 3\n\
            # TYPE s summary\ns{quantile=\"0.5\"} NaN\ns_sum 1\ns_count 2\n# TYPE g gauge\ng -1\n";
        let families = families(page).unwrap();
        let shown: Vec<Value> = families.values().map(Family::shown).collect();
        assert_eq!(
            json!(shown),
            json!([
                {"name": "a", "help": "All.", "type": "COUNTER", "metric": [
                    {"label": [{"name": "x", "value": "1"}], "counter": {"value": 5.0}},
                    {"label": [{"name": "x", "value": "2"}], "counter": {"value": "Infinity"}},
                ]},
                {"name": "g", "help": "", "type": "GAUGE", "metric": [{"gauge": {"value": -1.0}}]},
                {"name": "h", "help": "", "type": "HISTOGRAM", "metric": [{"histogram": {
                    "sampleCount": "3", "sampleSum": 4.5, "bucket": [
                        {"cumulativeCount": "2", "upperBound": 1.0},
                        {"cumulativeCount": "3", "upperBound": "Infinity"},
                    ],
                }}]},
                {"name": "s", "help": "", "type": "SUMMARY", "metric": [{"summary": {
                    "sampleCount": "2", "sampleSum": 1.0,
                    "quantile": [{"quantile": 0.5, "value": "NaN"}],
                }}]},
            ])
        );
    }
}
