//! What aggregations keep of the samples of a group at a step.

use tsdb_model::FloatHistogram;
use tsdb_model::histogram::HistogramError;

use crate::ast::AggregateOp;
use crate::functions::histogram_aggregate::{Aggregated, HistogramMean, HistogramSum};
use crate::functions::kahan::{KahanMean, increment};
use crate::functions::quantile::{Variance, quantile};

/// What an aggregation keeps of the floats of a group at a step.
pub(super) trait State: Sized {
    /// Of one float.
    fn new(v: f64) -> Self;
    /// Takes in one more.
    fn add(&mut self, v: f64);
    /// The result; `param` is the quantile.
    fn finish(self, param: f64) -> f64;
}

/// Sum and what rounding took from it.
pub(super) struct Sum(f64, f64);

impl State for Sum {
    fn new(v: f64) -> Self {
        Self(v, 0.0)
    }
    #[inline]
    fn add(&mut self, v: f64) {
        (self.0, self.1) = increment(v, self.0, self.1);
    }
    fn finish(self, _: f64) -> f64 {
        self.0 + self.1
    }
}

impl State for KahanMean {
    fn new(v: f64) -> Self {
        Self::new(v)
    }
    fn add(&mut self, v: f64) {
        Self::add(self, v);
    }
    fn finish(self, _: f64) -> f64 {
        self.value()
    }
}

pub(super) struct Min(f64);

impl State for Min {
    fn new(v: f64) -> Self {
        Self(v)
    }
    fn add(&mut self, v: f64) {
        if self.0 > v || self.0.is_nan() {
            self.0 = v;
        }
    }
    fn finish(self, _: f64) -> f64 {
        self.0
    }
}

pub(super) struct Max(f64);

impl State for Max {
    fn new(v: f64) -> Self {
        Self(v)
    }
    fn add(&mut self, v: f64) {
        if self.0 < v || self.0.is_nan() {
            self.0 = v;
        }
    }
    fn finish(self, _: f64) -> f64 {
        self.0
    }
}

pub(super) struct Count(u64);

impl State for Count {
    fn new(_: f64) -> Self {
        Self(1)
    }
    fn add(&mut self, _: f64) {
        self.0 += 1;
    }
    fn finish(self, _: f64) -> f64 {
        self.0 as f64
    }
}

pub(super) struct One;

impl State for One {
    fn new(_: f64) -> Self {
        Self
    }
    fn add(&mut self, _: f64) {}
    fn finish(self, _: f64) -> f64 {
        1.0
    }
}

impl State for Variance {
    fn new(v: f64) -> Self {
        Self::new(v)
    }
    fn add(&mut self, v: f64) {
        Self::add(self, v);
    }
    fn finish(self, _: f64) -> f64 {
        self.variance()
    }
}

pub(super) struct Deviation(Variance);

impl State for Deviation {
    fn new(v: f64) -> Self {
        Self(Variance::new(v))
    }
    fn add(&mut self, v: f64) {
        self.0.add(v);
    }
    fn finish(self, _: f64) -> f64 {
        self.0.deviation()
    }
}

pub(super) struct Quantile(Vec<f64>);

impl State for Quantile {
    fn new(v: f64) -> Self {
        Self(vec![v])
    }
    fn add(&mut self, v: f64) {
        self.0.push(v);
    }
    fn finish(mut self, param: f64) -> f64 {
        quantile(param, &mut self.0)
    }
}

/// Sum or mean of the histograms of a group at a step.
pub(super) enum HistogramState {
    Sum(HistogramSum),
    Mean(HistogramMean),
    /// Exponential and custom buckets met.
    Incompatible,
    /// There were floats before.
    Mixed,
}

impl HistogramState {
    pub(super) fn new(op: AggregateOp, h: &FloatHistogram) -> Self {
        if op == AggregateOp::Avg {
            Self::Mean(HistogramMean::new(h))
        } else {
            Self::Sum(HistogramSum::new(h))
        }
    }

    pub(super) fn add(&mut self, h: &FloatHistogram) -> Result<(), HistogramError> {
        let added = match self {
            Self::Sum(sum) => sum.add(h),
            Self::Mean(mean) => mean.add(h),
            Self::Incompatible | Self::Mixed => Ok(()),
        };
        if added.is_err() {
            *self = Self::Incompatible;
        }
        added
    }

    pub(super) fn finish(self) -> Option<Aggregated> {
        match self {
            Self::Sum(sum) => Some(sum.finish()),
            Self::Mean(mean) => Some(mean.finish()),
            Self::Incompatible | Self::Mixed => None,
        }
    }
}
