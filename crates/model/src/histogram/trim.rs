//! The operators `</` and `>/`: cutting observations off at a value.

use super::FloatHistogram;
use super::buckets::Bucket;
use super::layout::Side;

/// What is left of a bucket: the count, and the value its observations have on average.
#[derive(Debug, Clone, Copy)]
struct Kept {
    count: f64,
    midpoint: f64,
}

impl FloatHistogram {
    /// Keeps the observations at or below `bound` (`</`, when `upper` is true) or those above it
    /// (`>/`), interpolating in the bucket that holds it. When anything is cut off, count and sum
    /// are worked out anew from the buckets, which are compacted; else nothing changes.
    pub fn trim(&mut self, bound: f64, upper: bool) {
        let linear = self.uses_custom_buckets();
        let (mut count, mut sum, mut trimmed) = (0.0, 0.0, false);
        let mut populated = [false; 2];
        for (side, populated) in [Side::Positive, Side::Negative]
            .into_iter()
            .zip(&mut populated)
        {
            let positive = side == Side::Positive;
            let buckets: Vec<Bucket> = match side {
                Side::Positive => self.positive_iter().collect(),
                Side::Negative => self.negative_iter().collect(),
            };
            for (i, bucket) in buckets.iter().enumerate() {
                if bucket.count == 0.0 {
                    continue;
                }
                *populated = true;
                let kept = keep(bucket, bound, upper, positive, linear);
                if kept.count != 0.0 {
                    count += kept.count;
                    sum += kept.midpoint * kept.count;
                }
                if kept.count != bucket.count {
                    trimmed = true;
                    match side {
                        Side::Positive => self.positive_buckets[i] = kept.count,
                        Side::Negative => self.negative_buckets[i] = kept.count,
                    }
                }
            }
        }
        if self.zero_count > 0.0 {
            let [positive, negative] = populated;
            let kept = keep_zero(&self.zero_bucket(), bound, upper, positive, negative);
            trimmed |= kept.count != self.zero_count;
            self.zero_count = kept.count;
            sum += kept.midpoint * kept.count;
            count += kept.count;
        }
        if trimmed {
            self.count = count;
            self.sum = sum;
            self.compact(0);
        }
    }
}

fn keep(bucket: &Bucket, bound: f64, upper: bool, positive: bool, linear: bool) -> Kept {
    let (whole, part) = if upper {
        (bucket.upper <= bound, bucket.lower < bound)
    } else {
        (bucket.lower >= bound, bucket.upper > bound)
    };
    if whole {
        Kept {
            count: bucket.count,
            midpoint: midpoint(bucket.lower, bucket.upper, positive, linear),
        }
    } else if !part {
        Kept {
            count: 0.0,
            midpoint: 0.0,
        }
    } else if bucket.lower == f64::NEG_INFINITY || bucket.upper == f64::INFINITY {
        keep_unbounded(bucket, bound, upper)
    } else {
        // The bound is strictly inside.
        let below = bucket.count * bucket.fraction_below(bound, linear);
        if upper {
            Kept {
                count: below,
                midpoint: midpoint(bucket.lower, bound, positive, linear),
            }
        } else {
            Kept {
                count: bucket.count - below,
                midpoint: midpoint(bound, bucket.upper, positive, linear),
            }
        }
    }
}

/// A bucket without a lower or an upper bound that `bound` is inside of. Where its observations
/// are is not known: they are kept at the bound or left out, except that a bucket that ends above
/// zero is taken to begin there.
fn keep_unbounded(bucket: &Bucket, bound: f64, upper: bool) -> Kept {
    let count = bucket.count;
    let kept = |count, midpoint| Kept { count, midpoint };
    if bucket.lower == f64::NEG_INFINITY {
        let from_zero = bucket.upper > 0.0 && bucket.upper < f64::INFINITY;
        match upper {
            true if bound > 0.0 && from_zero => kept(count * bound / bucket.upper, bound / 2.0),
            true if bucket.upper <= 0.0 => kept(count, bound),
            false if bound >= 0.0 && from_zero => kept(
                count * (1.0 - bound / bucket.upper),
                f64::midpoint(bound, bucket.upper),
            ),
            _ => kept(0.0, 0.0),
        }
    } else if upper {
        kept(0.0, 0.0)
    } else {
        kept(count, bound)
    }
}

/// The zero bucket reaches to both sides of zero only when there are observations on both sides,
/// or on none.
fn keep_zero(bucket: &Bucket, bound: f64, upper: bool, positive: bool, negative: bool) -> Kept {
    let low = if positive && !negative {
        0.0
    } else {
        bucket.lower
    };
    let high = if negative && !positive {
        0.0
    } else {
        bucket.upper
    };
    let all = Kept {
        count: bucket.count,
        midpoint: f64::midpoint(low, high),
    };
    let none = Kept {
        count: 0.0,
        midpoint: 0.0,
    };
    if bound <= low {
        if upper { none } else { all }
    } else if bound >= high {
        if upper { all } else { none }
    } else if upper {
        Kept {
            count: bucket.count * ((bound - low) / (high - low)),
            midpoint: f64::midpoint(low, bound),
        }
    } else {
        Kept {
            count: bucket.count * ((high - bound) / (high - low)),
            midpoint: f64::midpoint(bound, high),
        }
    }
}

/// The value that observations between two bounds have on average: the arithmetic mean of the
/// bounds in buckets of linear width, else the geometric one.
fn midpoint(lower: f64, upper: f64, positive: bool, linear: bool) -> f64 {
    match (lower.is_infinite(), upper.is_infinite()) {
        (true, true) => 0.0,
        (true, false) if upper > 0.0 => upper / 2.0,
        (true, false) => upper,
        (false, true) => lower,
        (false, false) if linear => f64::midpoint(lower, upper),
        (false, false) => {
            let mean = (lower * upper).abs().sqrt();
            if positive { mean } else { -mean }
        }
    }
}
