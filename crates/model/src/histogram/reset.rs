//! Finding counter resets between two histograms.

use super::arithmetic::{common_bounds, rebinned};
use super::bounds::upper_bound;
use super::layout::{Adding, Cell, Side, reduce};
use super::{CounterResetHint, FloatHistogram};

impl FloatHistogram {
    /// True when there was a counter reset between `previous` and this histogram: when the hint
    /// says so, or, without a hint, when any count (total, zero bucket, any bucket) fell, a
    /// populated bucket is missing, the resolution grew or the zero bucket shrank. Gauges are
    /// treated as if they were counters.
    pub fn detect_reset(&self, previous: &Self) -> bool {
        match self.reset_hint {
            CounterResetHint::Reset => return true,
            CounterResetHint::NotReset => return false,
            CounterResetHint::Unknown | CounterResetHint::Gauge => {}
        }
        if self.count < previous.count {
            return true;
        }
        if self.uses_custom_buckets() {
            if !previous.uses_custom_buckets() {
                return true;
            }
            if self.custom_bounds_differ(previous) {
                return self.detect_reset_between_common_bounds(previous);
            }
        }
        if self.schema > previous.schema || self.zero_threshold < previous.zero_threshold {
            return true;
        }
        let (previous_zero_count, threshold) =
            previous.zero_count_for_threshold(self.zero_threshold);
        // The other way: the new threshold is inside a populated bucket.
        threshold != self.zero_threshold
            || self.zero_count < previous_zero_count
            || self.detect_reset_in(Side::Positive, previous)
            || self.detect_reset_in(Side::Negative, previous)
    }

    fn detect_reset_in(&self, side: Side, previous: &Self) -> bool {
        let before = self.outside_zero(side, previous);
        let now = self.outside_zero(side, self);
        let mut now = now.into_iter().peekable();
        before.into_iter().any(|before| {
            while now.next_if(|n| n.index < before.index).is_some() {}
            match now.peek().filter(|n| n.index == before.index) {
                Some(now) => now.count < before.count,
                None => before.count != 0.0,
            }
        })
    }

    /// The buckets of `histogram` in the resolution of `self` that are not inside the zero bucket
    /// of `self`.
    fn outside_zero(&self, side: Side, histogram: &Self) -> Vec<Cell> {
        let mut cells = histogram.cells(side, None);
        if self.zero_threshold != 0.0 && !self.uses_custom_buckets() {
            let threshold = self.zero_threshold;
            let inside = |c: &&Cell| upper_bound(c.index, histogram.schema, &[]) <= threshold;
            let inside = cells.iter().take_while(inside).count();
            cells.drain(..inside);
        }
        reduce(cells, histogram.schema, self.schema, Adding::Plain)
    }

    fn detect_reset_between_common_bounds(&self, previous: &Self) -> bool {
        let bounds = common_bounds(&self.custom_values, &previous.custom_values);
        let counts = |h: &Self| {
            let mut counts = vec![0.0; bounds.len() + 1];
            for cell in h.cells(Side::Positive, None) {
                counts[rebinned(cell.index, &h.custom_values, &bounds)] += cell.count;
            }
            counts
        };
        counts(self)
            .iter()
            .zip(counts(previous))
            .any(|(now, before)| *now < before)
    }
}
