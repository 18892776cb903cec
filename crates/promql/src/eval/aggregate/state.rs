//! What aggregations keep of the samples of a group at a step.

use tsdb_model::FloatHistogram;
use tsdb_model::histogram::HistogramError;

use crate::ast::AggregateOp;
use crate::functions::histogram_aggregate::{Aggregated, HistogramMean, HistogramSum};
use crate::functions::kahan::{KahanMean, increment};
use crate::functions::quantile::{Variance, quantile};

/// What an aggregation keeps of the floats of a group, for all steps.
pub(super) trait Accumulator {
    /// Memory that a step takes.
    const STEP_BYTES: usize;

    /// Of no floats at any of so many steps.
    fn new(steps: usize) -> Self;
    /// Takes in one float.
    fn add(&mut self, step: usize, v: f64);
    /// Takes in floats at steps one after the other.
    fn add_run(&mut self, first: usize, values: &[f64]);
    /// The result at a step that has floats; `param` is the quantile.
    fn finish(&mut self, step: usize, param: f64) -> f64;
}

/// Sums and what rounding took from them, apart, so that several steps are added up at a time.
pub(super) struct Sums {
    sums: Vec<f64>,
    compensations: Vec<f64>,
}

impl Accumulator for Sums {
    const STEP_BYTES: usize = 2 * size_of::<f64>();

    fn new(steps: usize) -> Self {
        // Of all numbers only -0 added to any other leaves it as it is.
        Self {
            sums: vec![-0.0; steps],
            compensations: vec![0.0; steps],
        }
    }

    #[inline]
    fn add(&mut self, step: usize, v: f64) {
        let (sum, compensation) = (&mut self.sums[step], &mut self.compensations[step]);
        (*sum, *compensation) = increment(v, *sum, *compensation);
    }

    fn add_run(&mut self, first: usize, values: &[f64]) {
        let steps = first..first + values.len();
        let sums = &mut self.sums[steps.clone()];
        let compensations = &mut self.compensations[steps];
        for ((sum, compensation), v) in sums.iter_mut().zip(compensations).zip(values) {
            (*sum, *compensation) = increment(*v, *sum, *compensation);
        }
    }

    fn finish(&mut self, step: usize, _: f64) -> f64 {
        self.sums[step] + self.compensations[step]
    }
}

/// What an aggregation keeps of the floats of a group at a step.
pub(super) trait State: Clone {
    /// Of no floats.
    const NONE: Self;
    /// Takes in one more.
    fn add(&mut self, v: f64);
    /// The result.
    fn finish(&mut self, param: f64) -> f64;
}

impl<S: State> Accumulator for Vec<S> {
    const STEP_BYTES: usize = size_of::<S>();

    fn new(steps: usize) -> Self {
        vec![S::NONE; steps]
    }

    #[inline]
    fn add(&mut self, step: usize, v: f64) {
        self[step].add(v);
    }

    fn add_run(&mut self, first: usize, values: &[f64]) {
        for (state, v) in self[first..first + values.len()].iter_mut().zip(values) {
            state.add(*v);
        }
    }

    fn finish(&mut self, step: usize, param: f64) -> f64 {
        self[step].finish(param)
    }
}

impl State for KahanMean {
    const NONE: Self = Self::NONE;
    #[inline]
    fn add(&mut self, v: f64) {
        Self::add(self, v);
    }
    fn finish(&mut self, _: f64) -> f64 {
        self.value()
    }
}

#[derive(Clone)]
pub(super) struct Min(f64);

impl State for Min {
    const NONE: Self = Self(f64::NAN);
    #[inline]
    fn add(&mut self, v: f64) {
        if self.0 > v || self.0.is_nan() {
            self.0 = v;
        }
    }
    fn finish(&mut self, _: f64) -> f64 {
        self.0
    }
}

#[derive(Clone)]
pub(super) struct Max(f64);

impl State for Max {
    const NONE: Self = Self(f64::NAN);
    #[inline]
    fn add(&mut self, v: f64) {
        if self.0 < v || self.0.is_nan() {
            self.0 = v;
        }
    }
    fn finish(&mut self, _: f64) -> f64 {
        self.0
    }
}

#[derive(Clone)]
pub(super) struct Count(u64);

impl State for Count {
    const NONE: Self = Self(0);
    #[inline]
    fn add(&mut self, _: f64) {
        self.0 += 1;
    }
    fn finish(&mut self, _: f64) -> f64 {
        self.0 as f64
    }
}

#[derive(Clone)]
pub(super) struct One;

impl State for One {
    const NONE: Self = Self;
    fn add(&mut self, _: f64) {}
    fn finish(&mut self, _: f64) -> f64 {
        1.0
    }
}

impl State for Option<Variance> {
    const NONE: Self = None;
    #[inline]
    fn add(&mut self, v: f64) {
        match self {
            Some(state) => state.add(v),
            None => *self = Some(Variance::new(v)),
        }
    }
    fn finish(&mut self, _: f64) -> f64 {
        self.map_or(f64::NAN, |v| v.variance())
    }
}

#[derive(Clone)]
pub(super) struct Deviation(Option<Variance>);

impl State for Deviation {
    const NONE: Self = Self(None);
    #[inline]
    fn add(&mut self, v: f64) {
        State::add(&mut self.0, v);
    }
    fn finish(&mut self, _: f64) -> f64 {
        self.0.map_or(f64::NAN, |v| v.deviation())
    }
}

#[derive(Clone)]
pub(super) struct Quantile(Vec<f64>);

impl State for Quantile {
    const NONE: Self = Self(Vec::new());
    fn add(&mut self, v: f64) {
        self.0.push(v);
    }
    fn finish(&mut self, param: f64) -> f64 {
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
