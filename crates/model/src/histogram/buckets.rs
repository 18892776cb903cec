//! Iterating over buckets with their bounds.

use super::bounds::upper_bound;
use super::layout::{Cell, Side};
use super::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram};
use crate::log::log2;

/// One bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
    /// The lower bound belongs to the bucket.
    pub lower_inclusive: bool,
    /// The upper bound belongs to the bucket.
    pub upper_inclusive: bool,
    /// Observations in the bucket.
    pub count: f64,
}

impl Bucket {
    /// Which bounds belong to the bucket, as the HTTP API writes it: 0 the upper one, 1 the lower
    /// one, 2 none, 3 both.
    pub fn boundaries(&self) -> u8 {
        match (self.lower_inclusive, self.upper_inclusive) {
            (false, true) => 0,
            (true, false) => 1,
            (false, false) => 2,
            (true, true) => 3,
        }
    }

    /// The part (0 to 1) of a bucket's observations that is estimated to be at or below `v`, which
    /// must lie strictly between its finite bounds: by linear interpolation, or by one on a
    /// logarithmic scale as fits exponential buckets.
    pub fn fraction_below(&self, v: f64, linear: bool) -> f64 {
        if linear {
            return (v - self.lower) / (self.upper - self.lower);
        }
        let log_lower = log2(self.lower.abs());
        let log_upper = log2(self.upper.abs());
        let log_v = log2(v.abs());
        if v > 0.0 {
            (log_v - log_lower) / (log_upper - log_lower)
        } else {
            1.0 - (log_v - log_upper) / (log_lower - log_upper)
        }
    }
}

impl FloatHistogram {
    /// Buckets of positive values (or custom buckets), from the zero bucket upwards.
    pub fn positive_iter(&self) -> impl Iterator<Item = Bucket> + '_ {
        let (spans, counts) = self.side(Side::Positive);
        let cells = super::layout::indices(spans).zip(counts);
        cells.map(|(index, count)| self.bucket(Side::Positive, index, *count))
    }

    /// Buckets of negative values, from the zero bucket downwards.
    pub fn negative_iter(&self) -> impl Iterator<Item = Bucket> + '_ {
        let (spans, counts) = self.side(Side::Negative);
        let cells = super::layout::indices(spans).zip(counts);
        cells.map(|(index, count)| self.bucket(Side::Negative, index, *count))
    }

    /// The zero bucket; histograms with custom bounds have an empty one.
    pub fn zero_bucket(&self) -> Bucket {
        Bucket {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            lower_inclusive: true,
            upper_inclusive: true,
            count: self.zero_count,
        }
    }

    /// All buckets in ascending order of their values: negative ones, the zero bucket unless it is
    /// empty, positive ones. Bounds that lie inside the zero bucket are moved to its edge.
    pub fn all_iter(&self) -> impl DoubleEndedIterator<Item = Bucket> + '_ {
        let negative = self.cells(Side::Negative, None).into_iter().rev();
        let zero = (self.zero_count > 0.0 && !self.uses_custom_buckets())
            .then(|| self.zero_bucket())
            .into_iter();
        let positive = self.cells(Side::Positive, None).into_iter();
        let outside = |mut b: Bucket| {
            if b.upper < 0.0 && b.upper > -self.zero_threshold {
                b.upper = -self.zero_threshold;
            } else if b.lower > 0.0 && b.lower < self.zero_threshold {
                b.lower = self.zero_threshold;
            }
            b
        };
        let at = move |side| move |c: Cell| outside(self.bucket(side, c.index, c.count));
        negative
            .map(at(Side::Negative))
            .chain(zero)
            .chain(positive.map(at(Side::Positive)))
    }

    /// The buckets as the HTTP API shows them: [`FloatHistogram::all_iter`] without empty ones.
    pub fn api_buckets(&self) -> Vec<Bucket> {
        self.all_iter().filter(|b| b.count != 0.0).collect()
    }

    fn bucket(&self, side: Side, index: i32, count: f64) -> Bucket {
        let upper = upper_bound(index, self.schema, &self.custom_values);
        let lower = upper_bound(index.wrapping_sub(1), self.schema, &self.custom_values);
        let (lower, upper) = match side {
            Side::Positive => (lower, upper),
            Side::Negative => (-upper, -lower),
        };
        let custom = self.schema == CUSTOM_BUCKETS_SCHEMA;
        Bucket {
            lower,
            upper,
            lower_inclusive: if custom { index == 0 } else { lower < 0.0 },
            upper_inclusive: custom || upper > 0.0,
            count,
        }
    }
}
