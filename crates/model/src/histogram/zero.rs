//! Widening the zero bucket.

use std::cmp::Ordering;

use super::FloatHistogram;
use super::kahan::increment;
use super::layout::Side;

/// The zero bucket a histogram would have with a higher threshold.
struct Widened {
    count: f64,
    compensation: f64,
    threshold: f64,
}

impl FloatHistogram {
    /// Widens the zero bucket until it is as wide as that of `other` and no populated bucket of
    /// either histogram is partly inside. Answers the count `other` would have in its zero bucket,
    /// and the compensation of that count.
    pub(super) fn reconcile_zero_buckets(
        &mut self,
        other: &Self,
        mut compensation: Option<&mut Self>,
    ) -> (f64, f64) {
        let mut theirs = Widened {
            count: other.zero_count,
            compensation: 0.0,
            threshold: other.zero_threshold,
        };
        // A threshold that is no number compares with nothing and is left alone.
        while theirs
            .threshold
            .partial_cmp(&self.zero_threshold)
            .is_some_and(Ordering::is_ne)
        {
            if self.zero_threshold > theirs.threshold {
                theirs = other.widened_zero_bucket(self.zero_threshold, None);
            }
            if theirs.threshold > self.zero_threshold {
                let ours = self.widened_zero_bucket(theirs.threshold, compensation.as_deref());
                self.zero_count = ours.count;
                self.zero_threshold = ours.threshold;
                if let Some(c) = compensation.as_deref_mut() {
                    c.zero_count = ours.compensation;
                }
                self.empty_buckets_inside_zero(compensation.as_deref_mut());
            }
        }
        (theirs.count, theirs.compensation)
    }

    /// The count of the zero bucket with this threshold, which is not lower than the present one,
    /// and the threshold: higher still when the one asked for is inside a populated bucket.
    pub(super) fn zero_count_for_threshold(&self, threshold: f64) -> (f64, f64) {
        let widened = self.widened_zero_bucket(threshold, None);
        (widened.count, widened.threshold)
    }

    fn widened_zero_bucket(&self, mut threshold: f64, compensation: Option<&Self>) -> Widened {
        let mut lost = compensation.map_or(0.0, |c| c.zero_count);
        if threshold == self.zero_threshold {
            return Widened {
                count: self.zero_count,
                compensation: lost,
                threshold,
            };
        }
        let lost_in = |side, i: usize| compensation.and_then(|c| c.side(side).1.get(i).copied());
        loop {
            let mut count = self.zero_count;
            let mut moved = false;
            for (i, b) in self.positive_iter().enumerate() {
                if b.lower >= threshold {
                    break;
                }
                (count, lost) = increment(b.count, count, lost);
                if let Some(v) = lost_in(Side::Positive, i) {
                    (count, lost) = increment(v, count, lost);
                }
                if b.upper > threshold {
                    if b.count != 0.0 {
                        threshold = b.upper;
                    }
                    break;
                }
            }
            for (i, b) in self.negative_iter().enumerate() {
                if b.upper <= -threshold {
                    break;
                }
                (count, lost) = increment(b.count, count, lost);
                if let Some(v) = lost_in(Side::Negative, i) {
                    (count, lost) = increment(v, count, lost);
                }
                if b.lower < -threshold {
                    if b.count != 0.0 {
                        // More positive buckets may be inside now: once more from the start.
                        threshold = -b.lower;
                        moved = true;
                    }
                    break;
                }
            }
            if !moved {
                return Widened {
                    count,
                    compensation: lost,
                    threshold,
                };
            }
        }
    }

    fn empty_buckets_inside_zero(&mut self, mut compensation: Option<&mut Self>) {
        let threshold = self.zero_threshold;
        let positive = self.positive_iter().take_while(|b| b.lower < threshold);
        let positive = positive.count();
        let negative = self.negative_iter().take_while(|b| b.upper > -threshold);
        let negative = negative.count();
        let empty = |h: &mut Self| {
            h.positive_buckets[..positive].fill(0.0);
            h.negative_buckets[..negative].fill(0.0);
        };
        empty(self);
        if let Some(c) = compensation.as_deref_mut() {
            empty(c);
        }
        self.compact_with(0, compensation);
    }
}
