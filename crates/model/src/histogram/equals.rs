//! Equality of histograms as data.

use super::FloatHistogram;
use super::layout::{Side, indices};

impl FloatHistogram {
    /// True when both hold the same data to the bit, as `==` between histograms in PromQL compares
    /// them: same schema, counts, sum, zero bucket, custom bounds, and the same buckets, empty
    /// ones included, however spans arrange them. Hints do not count.
    pub fn same_data(&self, other: &Self) -> bool {
        let bits = |a: f64, b: f64| a.to_bits() == b.to_bits();
        let same_side = |side| {
            let (spans, counts) = self.side(side);
            let (other_spans, other_counts) = other.side(side);
            counts.len() == other_counts.len()
                && counts.iter().zip(other_counts).all(|(a, b)| bits(*a, *b))
                && (spans == other_spans
                    || indices(spans)
                        .take(counts.len())
                        .eq(indices(other_spans).take(counts.len())))
        };
        self.schema == other.schema
            && bits(self.count, other.count)
            && bits(self.sum, other.sum)
            && (!self.uses_custom_buckets() || self.custom_values == other.custom_values)
            && self.zero_threshold == other.zero_threshold
            && bits(self.zero_count, other.zero_count)
            && same_side(Side::Positive)
            && same_side(Side::Negative)
    }
}
