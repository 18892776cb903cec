//! The texts of warnings and infos, and their gathering while a query runs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tsdb_model::float::write_float_general;
use tsdb_model::labels::write_quoted;

use crate::annotations::Annotations;
use crate::ast::{BinaryOp, Span};
use crate::functions::classic_histogram::MonotonicityInfo;

/// What is done with histograms, as notes name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HistogramOperation {
    Addition,
    Subtraction,
    Aggregation,
}

impl HistogramOperation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Addition => "addition",
            Self::Subtraction => "subtraction",
            Self::Aggregation => "aggregation",
        }
    }
}

/// Something to be said about a result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Note<'a> {
    QuantileOutOfRange(f64),
    RatioOutOfRange(f64, f64),
    BadBucketLabel {
        metric: &'a str,
        value: &'a str,
    },
    MixedFloatsHistograms {
        metric: &'a str,
    },
    MixedFloatsHistogramsInAggregation,
    MixedClassicNative {
        metric: &'a str,
    },
    NotCounterHistogram {
        metric: &'a str,
    },
    NotGaugeHistogram {
        metric: &'a str,
    },
    MixedExponentialCustom {
        metric: &'a str,
    },
    IncompatibleBucketLayout(BinaryOp),
    SortIneffective,
    CounterResetCollision(HistogramOperation),
    MaybeNotCounter {
        metric: &'a str,
    },
    TypeNotCounter {
        metric: &'a str,
        metric_type: &'a str,
    },
    IncompatibleTypes {
        lhs: &'static str,
        op: BinaryOp,
        rhs: &'static str,
    },
    HistogramIgnored {
        aggregation: &'static str,
    },
    HistogramsIgnoredInMixedRange {
        metric: &'a str,
    },
    BoundsReconciled(HistogramOperation),
    /// The text of an info made elsewhere.
    Info(String),
}

impl Note<'_> {
    fn is_warning(&self) -> bool {
        !matches!(
            self,
            Self::MaybeNotCounter { .. }
                | Self::TypeNotCounter { .. }
                | Self::IncompatibleTypes { .. }
                | Self::HistogramIgnored { .. }
                | Self::HistogramsIgnoredInMixedRange { .. }
                | Self::BoundsReconciled(_)
                | Self::Info(_)
        )
    }

    fn text(&self) -> String {
        match self {
            Self::QuantileOutOfRange(q) => {
                format!(
                    "quantile value should be between 0 and 1, got {}",
                    general(*q)
                )
            }
            Self::RatioOutOfRange(ratio, capped) => format!(
                "ratio value should be between -1 and 1, got {}, capping to {}",
                general(*ratio),
                general(*capped)
            ),
            Self::BadBucketLabel { metric, value } => with_name(
                format!(
                    "bucket label \"le\" is missing or has a malformed value of {}",
                    quoted(value)
                ),
                metric,
            ),
            Self::MixedFloatsHistograms { metric } => format!(
                "encountered a mix of histograms and floats for metric name {}",
                quoted(metric)
            ),
            Self::MixedFloatsHistogramsInAggregation => {
                "encountered a mix of histograms and floats for aggregation".into()
            }
            Self::MixedClassicNative { metric } => with_name(
                "vector contains a mix of classic and native histograms".into(),
                metric,
            ),
            Self::NotCounterHistogram { metric } => format!(
                "this native histogram metric is not a counter: {}",
                quoted(metric)
            ),
            Self::NotGaugeHistogram { metric } => format!(
                "this native histogram metric is not a gauge: {}",
                quoted(metric)
            ),
            Self::MixedExponentialCustom { metric } => format!(
                "vector contains a mix of histograms with exponential and custom buckets schemas for metric name {}",
                quoted(metric)
            ),
            Self::IncompatibleBucketLayout(op) => format!(
                "incompatible bucket layout encountered for binary operator {}",
                op.as_str()
            ),
            Self::SortIneffective => {
                "sort is ineffective for range queries since results are always ordered by labels"
                    .into()
            }
            Self::CounterResetCollision(op) => format!(
                "conflicting counter resets during histogram {}",
                op.as_str()
            ),
            Self::MaybeNotCounter { metric } => format!(
                "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {}",
                quoted(metric)
            ),
            Self::TypeNotCounter {
                metric,
                metric_type,
            } => format!(
                "metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", got {}: {}",
                quoted(metric_type),
                quoted(metric)
            ),
            Self::IncompatibleTypes { lhs, op, rhs } => format!(
                "incompatible sample types encountered for binary operator {}: {lhs} {} {rhs}",
                quoted(op.as_str()),
                op.as_str()
            ),
            Self::HistogramIgnored { aggregation } => {
                format!("ignored histogram in {aggregation} aggregation")
            }
            Self::HistogramsIgnoredInMixedRange { metric } => format!(
                "ignored histograms in a range containing both floats and histograms for metric name {}",
                quoted(metric)
            ),
            Self::BoundsReconciled(op) => format!(
                "mismatched custom buckets were reconciled during {}",
                op.as_str()
            ),
            Self::Info(text) => text.clone(),
        }
    }
}

fn with_name(mut text: String, metric: &str) -> String {
    if !metric.is_empty() {
        let _ = write!(text, " for metric name {}", quoted(metric));
    }
    text
}

fn quoted(text: &str) -> String {
    let mut out = String::new();
    let _ = write_quoted(&mut out, text);
    out
}

fn general(v: f64) -> String {
    let mut out = String::new();
    write_float_general(&mut out, v);
    out
}

/// Notes of a running query.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    annotations: Annotations,
    monotonicity: BTreeMap<String, (MonotonicityInfo, Span)>,
    overlaps: BTreeMap<String, (u64, Span)>,
}

impl Notes {
    /// Adds a note about the part of the query at `span`.
    pub(crate) fn add(&mut self, note: &Note<'_>, span: Span) {
        if note.is_warning() {
            self.annotations.warn(note.text(), Some(span));
        } else {
            self.annotations.info(note.text(), Some(span));
        }
    }

    /// Adds what was found out about a classic histogram; one note per metric name comes of it.
    pub(crate) fn add_monotonicity(&mut self, metric: &str, info: MonotonicityInfo, span: Span) {
        match self.monotonicity.get_mut(metric) {
            Some((known, _)) => known.merge(&info),
            None => {
                self.monotonicity.insert(metric.to_string(), (info, span));
            }
        }
    }

    /// Counts samples that start before the sample before them.
    pub(crate) fn add_start_time_overlaps(&mut self, metric: &str, count: u64, span: Span) {
        let entry = self.overlaps.entry(metric.to_string());
        entry.or_insert((0, span)).0 += count;
    }

    /// All notes.
    pub(crate) fn finish(mut self) -> Annotations {
        for (metric, (info, span)) in self.monotonicity {
            self.annotations.info(info.text(&metric), Some(span));
        }
        for (metric, (count, span)) in self.overlaps {
            let mut text = format!(
                "sample has start time that overlaps with previous sample timestamp for metric {}",
                quoted(&metric)
            );
            if count > 1 {
                let _ = write!(text, " ({count} occurrences)");
            }
            self.annotations.warn(text, Some(span));
        }
        self.annotations
    }
}
