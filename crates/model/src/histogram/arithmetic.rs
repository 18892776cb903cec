//! Adding, subtracting and scaling histograms.

use super::bounds::upper_bound;
use super::kahan::increment;
use super::layout::{Adding, Cell, Side, cells, merge, reduce};
use super::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FloatHistogram, HistogramError};

/// What is to be said about a sum or a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ArithmeticNotes {
    /// One histogram begins after a counter reset, the other one does not.
    pub counter_reset_collision: bool,
    /// The custom bounds differed; those that both have are left.
    pub bounds_reconciled: bool,
}

impl FloatHistogram {
    /// Multiplies all counts and the sum. A negative factor makes a gauge.
    pub fn mul(&mut self, factor: f64) {
        self.scale(|v| v * factor);
        if factor < 0.0 {
            self.reset_hint = CounterResetHint::Gauge;
        }
    }

    /// Divides all counts and the sum. A negative divisor makes a gauge; zero leaves no buckets.
    pub fn div(&mut self, divisor: f64) {
        if divisor == 0.0 {
            self.positive_spans.clear();
            self.positive_buckets.clear();
            self.negative_spans.clear();
            self.negative_buckets.clear();
        }
        self.scale(|v| v / divisor);
        if divisor < 0.0 {
            self.reset_hint = CounterResetHint::Gauge;
        }
    }

    fn scale(&mut self, f: impl Fn(f64) -> f64) {
        let buckets = self.positive_buckets.iter_mut();
        for v in buckets.chain(&mut self.negative_buckets) {
            *v = f(*v);
        }
        self.zero_count = f(self.zero_count);
        self.count = f(self.count);
        self.sum = f(self.sum);
    }

    /// Adds `other`. The result has the lower resolution and the wider zero bucket of the two, or
    /// the custom bounds they have in common. It may hold empty buckets: see
    /// [`FloatHistogram::compact`].
    pub fn add(&mut self, other: &Self) -> Result<ArithmeticNotes, HistogramError> {
        self.combine(other, false)
    }

    /// Subtracts `other`, otherwise as [`FloatHistogram::add`]. The operator `-` makes the result
    /// a gauge, which is left to it.
    pub fn sub(&mut self, other: &Self) -> Result<ArithmeticNotes, HistogramError> {
        self.combine(other, true)
    }

    fn combine(&mut self, other: &Self, negate: bool) -> Result<ArithmeticNotes, HistogramError> {
        let mut notes = self.start_combining(other)?;
        let sign = if negate { -1.0 } else { 1.0 };
        if !self.uses_custom_buckets() {
            let (zero_count, _) = self.reconcile_zero_buckets(other, None);
            self.zero_count += sign * zero_count;
        }
        self.count += sign * other.count;
        self.sum += sign * other.sum;
        if self.custom_bounds_differ(other) {
            notes.bounds_reconciled = true;
            self.combine_custom(other, sign, None);
        } else if !self.combine_same_layout(other, sign, None) {
            self.combine_buckets(other, sign, None);
        }
        Ok(notes)
    }

    /// Adds `other` with compensated sums: the lost parts go to `compensation`, which is made when
    /// there is none yet and always has the layout of `self`. In the end
    /// `self.add(&compensation)` gives the sum.
    pub fn kahan_add(
        &mut self,
        other: &Self,
        compensation: &mut Option<Self>,
    ) -> Result<ArithmeticNotes, HistogramError> {
        let mut notes = self.start_combining(other)?;
        let c = compensation.get_or_insert_with(|| self.empty_compensation());
        if !self.uses_custom_buckets() {
            let (count, lost) = self.reconcile_zero_buckets(other, Some(&mut *c));
            for v in [count, lost] {
                (self.zero_count, c.zero_count) = increment(v, self.zero_count, c.zero_count);
            }
        }
        (self.count, c.count) = increment(other.count, self.count, c.count);
        (self.sum, c.sum) = increment(other.sum, self.sum, c.sum);
        if self.custom_bounds_differ(other) {
            notes.bounds_reconciled = true;
            self.combine_custom(other, 1.0, Some(&mut *c));
        } else if !self.combine_same_layout(other, 1.0, Some(&mut *c)) {
            self.combine_buckets(other, 1.0, Some(&mut *c));
        }
        c.schema = self.schema;
        c.zero_threshold = self.zero_threshold;
        c.custom_values.clone_from(&self.custom_values);
        Ok(notes)
    }

    /// True when any number in the histogram is infinite.
    pub fn has_overflow(&self) -> bool {
        let buckets = self.positive_buckets.iter().chain(&self.negative_buckets);
        [self.zero_count, self.count, self.sum]
            .iter()
            .chain(buckets)
            .chain(&self.custom_values)
            .any(|v| v.is_infinite())
    }

    fn empty_compensation(&self) -> Self {
        Self {
            reset_hint: self.reset_hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            positive_spans: self.positive_spans.clone(),
            negative_spans: self.negative_spans.clone(),
            positive_buckets: vec![0.0; self.positive_buckets.len()],
            negative_buckets: vec![0.0; self.negative_buckets.len()],
            custom_values: self.custom_values.clone(),
            ..Self::default()
        }
    }

    fn start_combining(&mut self, other: &Self) -> Result<ArithmeticNotes, HistogramError> {
        if self.uses_custom_buckets() != other.uses_custom_buckets() {
            return Err(HistogramError::IncompatibleSchemas);
        }
        Ok(ArithmeticNotes {
            counter_reset_collision: self.adjust_reset_hint(other.reset_hint),
            bounds_reconciled: false,
        })
    }

    /// Works out the hint of a sum; true when the two contradict each other.
    fn adjust_reset_hint(&mut self, other: CounterResetHint) -> bool {
        use CounterResetHint::{Gauge, NotReset, Reset, Unknown};
        let (hint, collision) = match (self.reset_hint, other) {
            (a, b) if a == b => (a, false),
            (Gauge, _) | (_, Gauge) => (Gauge, false),
            (Reset, NotReset) | (NotReset, Reset) => (Unknown, true),
            _ => (Unknown, false),
        };
        self.reset_hint = hint;
        collision
    }

    pub(super) fn custom_bounds_differ(&self, other: &Self) -> bool {
        self.uses_custom_buckets() && self.custom_values != other.custom_values
    }

    /// Adds bucket by bucket when both histograms have the same ones, the usual case. False when
    /// they do not.
    fn combine_same_layout(
        &mut self,
        other: &Self,
        sign: f64,
        compensation: Option<&mut Self>,
    ) -> bool {
        if self.schema != other.schema
            || !self.same_buckets(other, Side::Positive)
            || !self.same_buckets(other, Side::Negative)
        {
            return false;
        }
        let own = self.positive_buckets.iter_mut();
        let own = own.chain(&mut self.negative_buckets);
        let added = other.positive_buckets.iter().chain(&other.negative_buckets);
        let pairs = own.zip(added);
        match compensation {
            None => pairs.for_each(|(own, added)| *own += sign * added),
            Some(c) => {
                let lost = c.positive_buckets.iter_mut().chain(&mut c.negative_buckets);
                for ((own, added), lost) in pairs.zip(lost) {
                    (*own, *lost) = increment(sign * added, *own, *lost);
                }
            }
        }
        true
    }

    /// True when one side has the same buckets in both, none of them inside the zero bucket.
    fn same_buckets(&self, other: &Self, side: Side) -> bool {
        let (spans, counts) = self.side(side);
        let (other_spans, other_counts) = other.side(side);
        let first_is_outside_zero = || match spans.first() {
            Some(first) => upper_bound(first.offset, self.schema, &[]) > self.zero_threshold,
            None => true,
        };
        spans == other_spans
            && counts.len() == other_counts.len()
            && (self.uses_custom_buckets() || first_is_outside_zero())
    }

    fn combine_buckets(&mut self, other: &Self, sign: f64, mut compensation: Option<&mut Self>) {
        let adding = match compensation {
            Some(_) => Adding::Compensated,
            None => Adding::Plain,
        };
        let schema = self.schema.min(other.schema);
        for side in [Side::Positive, Side::Negative] {
            let own = self.cells(side, compensation.as_deref());
            let own = reduce(own, self.schema, schema, adding);
            let mut added = other.cells(side, None);
            if schema != CUSTOM_BUCKETS_SCHEMA {
                // What lies inside the zero bucket is already counted there. To be looked for in
                // the full resolution: lower ones may have no bound at the threshold.
                let threshold = self.zero_threshold;
                let inside = |c: &&Cell| upper_bound(c.index, other.schema, &[]) <= threshold;
                let inside = added.iter().take_while(inside).count();
                added.drain(..inside);
            }
            let mut added = reduce(added, other.schema, schema, adding);
            for cell in &mut added {
                cell.count *= sign;
                cell.compensation *= sign;
            }
            let merged = merge(own, added, adding);
            self.set_cells(side, &merged, compensation.as_deref_mut());
        }
        self.schema = schema;
    }

    /// Adds histograms whose custom bounds differ, in buckets between the bounds both have.
    fn combine_custom(&mut self, other: &Self, sign: f64, compensation: Option<&mut Self>) {
        let bounds = common_bounds(&self.custom_values, &other.custom_values);
        let mut out: Vec<Cell> = (0..=bounds.len() as i32)
            .map(|index| Cell {
                index,
                count: 0.0,
                compensation: 0.0,
            })
            .collect();
        let own = self.cells(Side::Positive, compensation.as_deref());
        let (spans, counts) = other.side(Side::Positive);
        let mut added = cells(spans, counts, &[]);
        for cell in &mut added {
            cell.count *= sign;
        }
        for (cells, old_bounds) in [(own, &self.custom_values), (added, &other.custom_values)] {
            for cell in cells {
                let place = rebinned(cell.index, old_bounds, &bounds);
                out[place].add(cell, Adding::Compensated);
            }
        }
        out.retain(|c| c.count != 0.0 || c.compensation != 0.0);
        self.set_cells(Side::Positive, &out, compensation);
        self.custom_values = bounds;
    }
}

/// Bounds that both lists have; the lists are strictly ascending.
pub(super) fn common_bounds(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut rest = b.iter().peekable();
    let is_common = |bound: &f64| {
        while rest.next_if(|r| *r < bound).is_some() {}
        rest.peek().is_some_and(|r| *r == bound)
    };
    a.iter().copied().filter(is_common).collect()
}

/// Place among the buckets between `bounds` of the bucket `index` between `old_bounds`.
pub(super) fn rebinned(index: i32, old_bounds: &[f64], bounds: &[f64]) -> usize {
    match usize::try_from(index) {
        Ok(i) => match old_bounds.get(i) {
            Some(old) => bounds.partition_point(|b| b < old),
            None => bounds.len(),
        },
        Err(_) => 0,
    }
}
