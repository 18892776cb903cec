//! Metadata of a metric family: type, unit and help text.

use std::fmt;

/// Type of a metric family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MetricType {
    /// Monotonic counter.
    Counter,
    /// Value that goes up and down.
    Gauge,
    /// Classic or native histogram.
    Histogram,
    /// Histogram whose buckets may fall.
    GaugeHistogram,
    /// Client-side quantiles.
    Summary,
    /// Constant 1 with labels.
    Info,
    /// Set of boolean states.
    StateSet,
    /// Not stated; `untyped` in the text format.
    #[default]
    Unknown,
}

impl MetricType {
    /// The name used in the HTTP API and in OpenMetrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
            Self::Unknown => "unknown",
        }
    }

    /// Reads a `# TYPE` word; `untyped` is another spelling of `unknown`.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "counter" => Self::Counter,
            "gauge" => Self::Gauge,
            "histogram" => Self::Histogram,
            "gaugehistogram" => Self::GaugeHistogram,
            "summary" => Self::Summary,
            "info" => Self::Info,
            "stateset" => Self::StateSet,
            "unknown" | "untyped" => Self::Unknown,
            _ => return None,
        })
    }
}

impl fmt::Display for MetricType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an exporter says about one metric family.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Metadata {
    /// Type of the family.
    pub metric_type: MetricType,
    /// Unit, or empty.
    pub unit: String,
    /// Help text, or empty.
    pub help: String,
}
