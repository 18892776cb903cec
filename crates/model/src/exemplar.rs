//! Exemplars: one observation of a series, with labels that lead elsewhere (a trace id, mostly).

use crate::labels::Labels;

/// One exemplar of one series.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    /// The exemplar's own labels, for example `trace_id`.
    pub labels: Labels,
    /// The observed value.
    pub value: f64,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
}
