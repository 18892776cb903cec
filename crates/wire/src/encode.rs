//! Writes the Prometheus text format 0.0.4 the way the Prometheus client libraries do.

use std::fmt::Write as _;

use tsdb_model::MetricType;
use tsdb_model::float::write_float_general;
use tsdb_model::labels::{is_legacy_label_name, is_legacy_metric_name};

/// `Content-Type` of the pages that [`TextWriter`] writes.
pub const TEXT_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Builds a page family by family. Names that are not letters, digits and underscores are quoted.
#[derive(Debug, Default)]
pub struct TextWriter {
    page: String,
    family: String,
}

impl TextWriter {
    /// An empty page.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a family: its HELP line (unless `help` is empty) and TYPE line. Types that the text
    /// format does not know are written as the nearest it has.
    pub fn family(&mut self, name: &str, metric_type: MetricType, help: &str) {
        self.family.clear();
        self.family.push_str(name);
        if !help.is_empty() {
            self.page.push_str("# HELP ");
            self.metric_name();
            self.page.push(' ');
            escape(&mut self.page, help, false);
            self.page.push('\n');
        }
        self.page.push_str("# TYPE ");
        self.metric_name();
        self.page.push(' ');
        self.page.push_str(match metric_type {
            MetricType::Counter => "counter",
            MetricType::Gauge | MetricType::Info | MetricType::StateSet => "gauge",
            MetricType::Histogram => "histogram",
            MetricType::Summary => "summary",
            MetricType::GaugeHistogram | MetricType::Unknown => "untyped",
        });
        self.page.push('\n');
    }

    /// Writes a sample of the family started last. `suffix` stands behind the family's name:
    /// `""`, `"_bucket"`, `"_sum"`, `"_count"`.
    pub fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: f64) {
        self.sample_at(suffix, labels, value, "");
    }

    /// Writes a sample with its time, a text in the unit of the format; empty for none.
    pub fn sample_at(&mut self, suffix: &str, labels: &[(&str, &str)], value: f64, time: &str) {
        let family = self.family.len();
        self.family.push_str(suffix);
        let plain = is_legacy_metric_name(&self.family);
        if plain {
            self.page.push_str(&self.family);
        }
        let mut separator = '{';
        if !plain {
            self.page.push('{');
            self.metric_name();
            separator = ',';
        }
        self.family.truncate(family);
        for (name, value) in labels {
            self.page.push(separator);
            separator = ',';
            if is_legacy_label_name(name) {
                self.page.push_str(name);
            } else {
                self.page.push('"');
                escape(&mut self.page, name, true);
                self.page.push('"');
            }
            self.page.push_str("=\"");
            escape(&mut self.page, value, true);
            self.page.push('"');
        }
        if separator == ',' {
            self.page.push('}');
        }
        self.page.push(' ');
        write_value(&mut self.page, value);
        if !time.is_empty() {
            self.page.push(' ');
            self.page.push_str(time);
        }
        self.page.push('\n');
    }

    /// Starts a family of an OpenMetrics page, which has its own names of types.
    pub fn open_metrics_family(&mut self, name: &str, metric_type: MetricType) {
        self.family.clear();
        self.family.push_str(name);
        self.page.push_str("# TYPE ");
        self.metric_name();
        self.page.push(' ');
        self.page.push_str(metric_type.as_str());
        self.page.push('\n');
    }

    /// Takes away what was written so far; the family goes on.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.page)
    }

    /// The page.
    pub fn finish(self) -> String {
        self.page
    }

    /// The family's name, quoted when it must be.
    fn metric_name(&mut self) {
        if is_legacy_metric_name(&self.family) {
            self.page.push_str(&self.family);
        } else {
            self.page.push('"');
            escape(&mut self.page, &self.family, true);
            self.page.push('"');
        }
    }
}

/// Go's shortest `%g`, with a short cut for counts.
fn write_value(out: &mut String, value: f64) {
    if value.fract() == 0.0 && value.abs() < 1e6 && (value != 0.0 || value.is_sign_positive()) {
        let _ = write!(out, "{}", value as i64);
    } else {
        write_float_general(out, value);
    }
}

fn escape(out: &mut String, text: &str, quotes: bool) {
    let mut rest = text;
    while let Some(at) = rest.find(|c| c == '\\' || c == '\n' || (quotes && c == '"')) {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        out.push_str(match after.as_bytes().first() {
            Some(b'\n') => "\\n",
            Some(b'"') => "\\\"",
            _ => "\\\\",
        });
        rest = after.get(1..).unwrap_or_default();
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests;
