//! Quantiles, fractions and moments of native histograms.

use tsdb_model::FloatHistogram;
use tsdb_model::histogram::Bucket;

use super::kahan::increment;
use super::math::{exp2, log2};

/// What observations of NaN, which are in no bucket, did to a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NanNote {
    /// The quantile lies among them.
    QuantileIsNan,
    /// The quantile is lower than it would be without them.
    QuantileIsSkewed,
    /// They are in no fraction.
    FractionExcludes,
}

impl NanNote {
    /// The text of the info annotation, without prefix and position. The metric name is left out
    /// when empty.
    pub fn text(self, metric_name: &str) -> String {
        let text = match self {
            Self::QuantileIsNan => {
                "input to histogram_quantile has NaN observations, result is NaN"
            }
            Self::QuantileIsSkewed => {
                "input to histogram_quantile has NaN observations, result is skewed higher"
            }
            Self::FractionExcludes => {
                "input to histogram_fraction has NaN observations, which are excluded from all fractions"
            }
        };
        format!("{text}{}", super::for_metric_name(metric_name))
    }
}

/// The `q`-quantile. Interpolation is on a logarithmic scale in exponential buckets, linear in the
/// zero bucket and in custom buckets. The zero bucket begins or ends at 0 when the histogram has
/// buckets only on the other side of it; a first custom bucket begins at 0 or, when it ends at or
/// below 0, stands for its upper bound; the last one stands for its lower bound. NaN without
/// observations.
pub fn quantile(q: f64, h: &FloatHistogram) -> (f64, Option<NanNote>) {
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if h.count == 0.0 || q.is_nan() {
        return (f64::NAN, None);
    }
    // From the nearer end. Observations of NaN count as larger than all others, but only from
    // below does the rank take no notice of how many there are.
    let from_below = h.sum.is_nan() || q < 0.5;
    let mut rank = if from_below { q } else { 1.0 - q } * h.count;
    let mut buckets = h.all_iter();
    let mut next = || {
        if from_below {
            buckets.next()
        } else {
            buckets.next_back()
        }
    };
    let mut bucket = Bucket {
        lower: 0.0,
        upper: 0.0,
        lower_inclusive: false,
        upper_inclusive: false,
        count: 0.0,
    };
    let mut count = 0.0;
    while let Some(b) = next() {
        bucket = b;
        count += b.count;
        if b.count != 0.0 && count >= rank {
            break;
        }
    }
    if h.uses_custom_buckets() {
        if bucket.lower == f64::NEG_INFINITY {
            if bucket.upper <= 0.0 {
                return (bucket.upper, None);
            }
            bucket.lower = 0.0;
        } else if bucket.upper == f64::INFINITY {
            return (bucket.lower, None);
        }
    } else if bucket.lower < 0.0 && bucket.upper > 0.0 {
        limit_zero_bucket(&mut bucket, h);
    }
    // Rounding must not make the buckets hold more than all observations.
    if count > h.count {
        count = h.count;
    }
    if count < rank {
        return if h.sum.is_nan() {
            (f64::NAN, Some(NanNote::QuantileIsNan))
        } else {
            (bucket.upper, None)
        };
    }
    if from_below {
        rank -= count - bucket.count;
    } else {
        rank = count - rank;
    }
    let mut note = None;
    if h.sum.is_nan() {
        // The sum is also NaN when both infinities were observed; only NaN are in no bucket.
        while let Some(b) = next() {
            count += b.count;
        }
        if count < h.count {
            note = Some(NanNote::QuantileIsSkewed);
        }
    }
    (interpolate(&bucket, rank / bucket.count, h), note)
}

/// The value below which this fraction of a bucket's observations lies.
fn interpolate(bucket: &Bucket, fraction: f64, h: &FloatHistogram) -> f64 {
    if h.uses_custom_buckets() || (bucket.lower <= 0.0 && bucket.upper >= 0.0) {
        return bucket.lower + (bucket.upper - bucket.lower) * fraction;
    }
    let log_lower = log2(bucket.lower.abs());
    let log_upper = log2(bucket.upper.abs());
    if bucket.lower > 0.0 {
        exp2(log_lower + (log_upper - log_lower) * fraction)
    } else {
        -exp2(log_upper + (log_lower - log_upper) * (1.0 - fraction))
    }
}

/// When there are buckets on only one side of the zero bucket, it is taken to be on that side too.
fn limit_zero_bucket(bucket: &mut Bucket, h: &FloatHistogram) {
    match (h.negative_buckets.is_empty(), h.positive_buckets.is_empty()) {
        (true, false) => bucket.lower = 0.0,
        (false, true) => bucket.upper = 0.0,
        _ => {}
    }
}

/// The fraction of the observations between two values, interpolated as [`quantile`] does. NaN
/// without observations or when a bound is NaN.
pub fn fraction(lower: f64, upper: f64, h: &FloatHistogram) -> (f64, Option<NanNote>) {
    if h.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return (f64::NAN, None);
    }
    if lower >= upper {
        return (0.0, None);
    }
    let mut rank = 0.0;
    let (mut lower_rank, mut upper_rank) = (None, None);
    for mut b in h.all_iter() {
        let zero_bucket = b.lower <= 0.0 && b.upper >= 0.0;
        if zero_bucket {
            limit_zero_bucket(&mut b, h);
        }
        let linear = zero_bucket || h.uses_custom_buckets();
        for (v, found) in [(lower, &mut lower_rank), (upper, &mut upper_rank)] {
            if found.is_some() {
                continue;
            }
            if b.lower >= v {
                *found = Some(rank);
            } else if b.upper > v {
                *found = Some(if linear && b.lower == f64::NEG_INFINITY {
                    b.count
                } else {
                    rank + b.count * b.fraction_below(v, linear)
                });
            }
        }
        if lower_rank.is_some() && upper_rank.is_some() {
            break;
        }
        rank += b.count;
    }
    let (mut count, mut note) = (h.count, None);
    if h.sum.is_nan() {
        count = h.all_iter().map(|b| b.count).fold(0.0, |sum, c| sum + c);
        if count < h.count {
            note = Some(NanNote::FractionExcludes);
        }
    }
    let bounded = |rank: Option<f64>| match rank {
        Some(rank) if rank > count => count,
        Some(rank) => rank,
        None => count,
    };
    ((bounded(upper_rank) - bounded(lower_rank)) / h.count, note)
}

/// `histogram_avg`.
pub fn average(h: &FloatHistogram) -> f64 {
    h.sum / h.count
}

/// `histogram_stdvar`: the variance when all observations of a bucket lie in its middle: the
/// arithmetic mean of its bounds in custom buckets, 0 in the zero bucket, the geometric mean in
/// exponential buckets.
pub fn variance(h: &FloatHistogram) -> f64 {
    let mean = average(h);
    let (mut sum, mut compensation) = (0.0, 0.0);
    for b in h.all_iter().filter(|b| b.count != 0.0) {
        let middle = if h.uses_custom_buckets() {
            #[expect(clippy::manual_midpoint, reason = "must overflow as in Prometheus")]
            let middle = (b.upper + b.lower) / 2.0;
            middle
        } else if b.lower <= 0.0 && b.upper >= 0.0 {
            0.0
        } else {
            (b.upper * b.lower).sqrt().copysign(b.upper)
        };
        let delta = middle - mean;
        (sum, compensation) = increment(b.count * delta * delta, sum, compensation);
    }
    (sum + compensation) / h.count
}

/// `histogram_stddev`.
pub fn deviation(h: &FloatHistogram) -> f64 {
    variance(h).sqrt()
}

#[cfg(test)]
mod tests;
