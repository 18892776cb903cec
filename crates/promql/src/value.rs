//! What a query answers.

use std::sync::Arc;

use tsdb_model::{FloatHistogram, Labels};

use crate::annotations::Annotations;
use crate::eval::column::histogram_samples;
use crate::memory::Reservation;

/// A float or a native histogram.
#[derive(Debug, Clone, PartialEq)]
pub enum SampleValue {
    /// A float.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<FloatHistogram>),
}

/// One element of an instant vector.
#[derive(Debug, Clone, PartialEq)]
pub struct InstantSample {
    /// Labels.
    pub labels: Labels,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// The value.
    pub value: SampleValue,
}

/// One series of a matrix.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RangeSeries {
    /// Labels.
    pub labels: Labels,
    /// Floats as `(ms, value)`, in time order.
    pub floats: Vec<(i64, f64)>,
    /// Histograms as `(ms, value)`, in time order.
    pub histograms: Vec<(i64, Arc<FloatHistogram>)>,
}

/// The value of a query.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `(ms, value)`
    Scalar(i64, f64),
    /// `(ms, text)`
    String(i64, String),
    /// Instant vector.
    Vector(Vec<InstantSample>),
    /// Matrix, sorted by labels when it comes from a range query.
    Matrix(Vec<RangeSeries>),
}

impl Value {
    /// Bytes it takes in memory, about.
    pub fn bytes(&self) -> usize {
        let of_histogram = |h: &Arc<FloatHistogram>| 16 * histogram_samples(h);
        match self {
            Self::Scalar(..) => 0,
            Self::String(_, text) => text.len(),
            Self::Vector(samples) => samples
                .iter()
                .map(|sample| {
                    size_of::<InstantSample>()
                        + sample.labels.heap_bytes()
                        + match &sample.value {
                            SampleValue::Float(_) => 0,
                            SampleValue::Histogram(h) => of_histogram(h),
                        }
                })
                .sum(),
            Self::Matrix(series) => series
                .iter()
                .map(|series| {
                    size_of::<RangeSeries>()
                        + series.labels.heap_bytes()
                        + 16 * series.floats.len()
                        + series
                            .histograms
                            .iter()
                            .map(|(_, h)| of_histogram(h))
                            .sum::<usize>()
                })
                .sum(),
        }
    }
}

/// How much a query did, and how long it took.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct QueryStats {
    /// Samples read, each counted once per step that uses it.
    pub total_queryable_samples: u64,
    /// Most samples held at one time.
    pub peak_samples: u64,
    /// Most bytes held at one time.
    pub peak_bytes: u64,
    /// Series selected.
    pub series: u64,
    /// Seconds of processor time, on all threads.
    pub cpu_seconds: f64,
    /// Seconds from start to end of the evaluation, preparation and sorting included.
    pub eval_total_seconds: f64,
    /// Seconds of preparation: parsing, planning, selecting.
    pub prepare_seconds: f64,
    /// Seconds of evaluation proper.
    pub inner_eval_seconds: f64,
    /// Seconds of sorting the result.
    pub result_sort_seconds: f64,
}

/// A value with what is to be said about it.
#[derive(Debug, Clone)]
pub struct QueryOutput {
    /// The value.
    pub value: Value,
    /// Warnings and infos.
    pub annotations: Annotations,
    /// Statistics.
    pub stats: QueryStats,
    /// The part of the memory for all queries that the value takes.
    pub memory: Arc<Reservation>,
}
