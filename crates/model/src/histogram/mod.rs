//! Native histograms, integer and float, exponential and with custom bucket bounds.
//!
//! Layout as in Prometheus (`model/histogram`): spans say which buckets exist; a span's `offset`
//! is the gap to the bucket after the previous span (for the first one: its bucket index).
//!
//! Everything here also copes with histograms that are not valid (see `validate`): results are then
//! arbitrary, but there are no panics and no endless loops.

mod arithmetic;
mod bounds;
mod buckets;
mod compact;
mod equals;
pub mod kahan;
mod layout;
mod reset;
#[cfg(test)]
mod tests;
mod text;
mod trim;
mod validate;
mod zero;

pub use arithmetic::ArithmeticNotes;
pub use bounds::upper_bound;
pub use buckets::Bucket;
pub use validate::HistogramError;

/// Schema of histograms with custom bucket bounds (NHCB).
pub const CUSTOM_BUCKETS_SCHEMA: i32 = -53;

/// A run of consecutive buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Gap to the previous span, or the index of the first bucket.
    pub offset: i32,
    /// Number of consecutive buckets.
    pub length: u32,
}

/// What is known about counter resets between a histogram and the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CounterResetHint {
    /// Has to be found out by comparing.
    #[default]
    Unknown,
    /// There was a reset.
    Reset,
    /// There was none.
    NotReset,
    /// A gauge histogram: resets have no meaning.
    Gauge,
}

/// Histogram with integer counts, as scraped and stored. Bucket values are deltas: the first is
/// absolute, each later one is relative to the bucket before it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Histogram {
    /// What is known about a counter reset before this histogram.
    pub reset_hint: CounterResetHint,
    /// Resolution, -4 to 8, or [`CUSTOM_BUCKETS_SCHEMA`].
    pub schema: i32,
    /// Width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: u64,
    /// All observations.
    pub count: u64,
    /// Sum of all observations; the staleness marker here marks the whole sample stale.
    pub sum: f64,
    /// Spans of positive buckets (or of custom buckets).
    pub positive_spans: Vec<Span>,
    /// Spans of negative buckets.
    pub negative_spans: Vec<Span>,
    /// Delta-coded counts of the positive buckets.
    pub positive_deltas: Vec<i64>,
    /// Delta-coded counts of the negative buckets.
    pub negative_deltas: Vec<i64>,
    /// Upper bounds of custom buckets, without `+Inf`.
    pub custom_values: Vec<f64>,
}

/// Histogram with float counts: what queries work on. Bucket values are absolute.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FloatHistogram {
    /// What is known about a counter reset before this histogram.
    pub reset_hint: CounterResetHint,
    /// Resolution, -4 to 8, or [`CUSTOM_BUCKETS_SCHEMA`].
    pub schema: i32,
    /// Width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations.
    pub count: f64,
    /// Sum of all observations; the staleness marker here marks the whole sample stale.
    pub sum: f64,
    /// Spans of positive buckets (or of custom buckets).
    pub positive_spans: Vec<Span>,
    /// Spans of negative buckets.
    pub negative_spans: Vec<Span>,
    /// Absolute counts of the positive buckets.
    pub positive_buckets: Vec<f64>,
    /// Absolute counts of the negative buckets.
    pub negative_buckets: Vec<f64>,
    /// Upper bounds of custom buckets, without `+Inf`.
    pub custom_values: Vec<f64>,
}

impl Histogram {
    /// The same histogram with float counts.
    pub fn to_float(&self) -> FloatHistogram {
        FloatHistogram {
            reset_hint: self.reset_hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count as f64,
            count: self.count as f64,
            sum: self.sum,
            positive_spans: self.positive_spans.clone(),
            negative_spans: self.negative_spans.clone(),
            positive_buckets: absolute(&self.positive_deltas),
            negative_buckets: absolute(&self.negative_deltas),
            custom_values: self.custom_values.clone(),
        }
    }
}

/// Absolute counts from delta-coded ones.
fn absolute(deltas: &[i64]) -> Vec<f64> {
    let running = |count: &mut f64, delta: &i64| {
        *count += *delta as f64;
        Some(*count)
    };
    deltas.iter().scan(0.0, running).collect()
}
