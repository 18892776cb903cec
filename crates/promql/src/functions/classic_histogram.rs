//! Quantiles and fractions of classic histograms, whose buckets are series with the label `le`.

use std::cmp::Ordering;

use tsdb_model::{Labels, parse_float};

use super::time::rfc3339;

/// Relative difference of two bucket counts up to which they count as equal: what rounding does to
/// counts that were added up in different orders.
const SMALL_DELTA: f64 = 1e-12;

/// Label with the upper bound of a classic bucket.
pub const BUCKET_LABEL: &str = "le";

/// The upper bound in the label `le`; `None` when it is missing or no number.
pub fn bucket_bound(labels: &Labels) -> Option<f64> {
    parse_float(labels.value(BUCKET_LABEL)).filter(|bound| !bound.is_nan())
}

/// One bucket: all observations up to its upper bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassicBucket {
    /// Upper bound, inclusive.
    pub upper_bound: f64,
    /// Observations up to the bound, those of lower buckets included.
    pub count: f64,
}

/// Where counts had to be raised because they fell with a rising bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ForcedMonotonicity {
    /// Lowest upper bound of a raised bucket.
    pub min_bucket: f64,
    /// Highest upper bound of a raised bucket.
    pub max_bucket: f64,
    /// Largest fall of the count.
    pub max_diff: f64,
}

/// The buckets of one histogram at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassicHistogram {
    buckets: Vec<ClassicBucket>, // ascending, each bound once
}

impl ClassicHistogram {
    /// A histogram from its buckets in any order; counts of equal bounds are added up.
    pub fn new(mut buckets: Vec<ClassicBucket>) -> Self {
        buckets.sort_by(|a, b| a.upper_bound.total_cmp(&b.upper_bound));
        buckets.dedup_by(|next, kept| {
            let same = next.upper_bound == kept.upper_bound;
            if same {
                kept.count += next.count;
            }
            same
        });
        Self { buckets }
    }

    /// The `q`-quantile, by linear interpolation in its bucket; the first bucket begins at 0 when
    /// its bound is above. In the last bucket the answer is the second highest bound, in a first
    /// one that ends at or below 0 its bound. NaN without `+Inf` bucket, with fewer than two
    /// buckets or without observations.
    ///
    /// Counts that fall with a rising bound are raised first. The second value tells when that
    /// was more than to smooth rounding out; only the first call can need it.
    pub fn quantile(&mut self, q: f64) -> (f64, Option<ForcedMonotonicity>) {
        if q.is_nan() {
            return (f64::NAN, None);
        }
        if q < 0.0 {
            return (f64::NEG_INFINITY, None);
        }
        if q > 1.0 {
            return (f64::INFINITY, None);
        }
        if !self.ends_with_infinity() {
            return (f64::NAN, None);
        }
        let forced = make_monotonic(&mut self.buckets);
        (self.interpolate(q), forced)
    }

    fn interpolate(&self, q: f64) -> f64 {
        let [.., second_last, last] = self.buckets.as_slice() else {
            return f64::NAN;
        };
        if last.count == 0.0 {
            return f64::NAN;
        }
        let mut rank = q * last.count;
        let finite = &self.buckets[..self.buckets.len() - 1];
        // A rank that is no number is in the last bucket.
        let below = |b: &ClassicBucket| b.count.partial_cmp(&rank).is_none_or(Ordering::is_lt);
        let place = finite.partition_point(below);
        let Some(bucket) = finite.get(place) else {
            return second_last.upper_bound;
        };
        if place == 0 && bucket.upper_bound <= 0.0 {
            return bucket.upper_bound;
        }
        let mut start = 0.0;
        let mut count = bucket.count;
        if let Some(before) = place.checked_sub(1).map(|p| finite[p]) {
            start = before.upper_bound;
            count -= before.count;
            rank -= before.count;
        }
        start + (bucket.upper_bound - start) * (rank / count)
    }

    /// The fraction of the observations between two values, by linear interpolation in their
    /// buckets; nothing is interpolated in a bucket without a lower or upper end. NaN without
    /// `+Inf` bucket and without observations.
    pub fn fraction(&self, lower: f64, upper: f64) -> f64 {
        let Some(last) = self.buckets.last() else {
            return f64::NAN;
        };
        let count = last.count;
        if !self.ends_with_infinity() || count == 0.0 || lower.is_nan() || upper.is_nan() {
            return f64::NAN;
        }
        if lower >= upper {
            return 0.0;
        }
        let rank = |v| match self.rank_of(v) {
            Some(rank) if rank > count => count,
            Some(rank) => rank,
            None => count,
        };
        (rank(upper) - rank(lower)) / count
    }

    /// Estimate of how many observations lie below `v`; `None` when no bucket reaches as far.
    fn rank_of(&self, v: f64) -> Option<f64> {
        let first = self.buckets.first().map_or(0.0, |b| b.upper_bound);
        let mut start = if first > 0.0 { 0.0 } else { f64::NEG_INFINITY };
        let mut rank = 0.0;
        for bucket in &self.buckets {
            if start >= v {
                return Some(rank);
            }
            if bucket.upper_bound > v {
                if start == f64::NEG_INFINITY {
                    return Some(bucket.count);
                }
                let width = bucket.upper_bound - start;
                return Some(rank + (bucket.count - rank) * (v - start) / width);
            }
            rank = bucket.count;
            start = bucket.upper_bound;
        }
        None
    }

    fn ends_with_infinity(&self) -> bool {
        self.buckets
            .last()
            .is_some_and(|b| b.upper_bound == f64::INFINITY)
    }
}

/// Raises counts that are lower than one before them.
fn make_monotonic(buckets: &mut [ClassicBucket]) -> Option<ForcedMonotonicity> {
    let mut forced: Option<ForcedMonotonicity> = None;
    let (first, rest) = buckets.split_first_mut()?;
    let mut before = first.count;
    for bucket in rest {
        let count = bucket.count;
        if count == before {
            continue;
        }
        if almost_equal(before, count) {
            bucket.count = before;
        } else if count < before {
            bucket.count = before;
            let bound = bucket.upper_bound;
            let note = forced.get_or_insert(ForcedMonotonicity {
                min_bucket: bound,
                max_bucket: bound,
                max_diff: 0.0,
            });
            note.max_bucket = note.max_bucket.max(bound);
            note.max_diff = note.max_diff.max(before - count);
        } else {
            before = count;
        }
    }
    forced
}

fn almost_equal(a: f64, b: f64) -> bool {
    if a.is_nan() || b.is_nan() {
        return a.is_nan() && b.is_nan();
    }
    let sum = a.abs() + b.abs();
    let difference = (a - b).abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        difference < SMALL_DELTA * f64::MIN_POSITIVE
    } else {
        difference / sum.min(f64::MAX) < SMALL_DELTA
    }
}

/// The info about forced monotonicity, gathered over the steps of a query.
#[derive(Debug, Clone, PartialEq)]
pub struct MonotonicityInfo {
    worst: ForcedMonotonicity,
    min_time_ms: i64,
    max_time_ms: i64,
    samples: u64,
}

impl MonotonicityInfo {
    /// The info about one histogram at one time.
    pub fn new(forced: ForcedMonotonicity, time_ms: i64) -> Self {
        Self {
            worst: forced,
            min_time_ms: time_ms,
            max_time_ms: time_ms,
            samples: 1,
        }
    }

    /// Takes in what `other` says. Only infos of the same metric name belong together.
    pub fn merge(&mut self, other: &Self) {
        let (own, other_worst) = (&mut self.worst, &other.worst);
        own.min_bucket = own.min_bucket.min(other_worst.min_bucket);
        own.max_bucket = own.max_bucket.max(other_worst.max_bucket);
        own.max_diff = own.max_diff.max(other_worst.max_diff);
        self.min_time_ms = self.min_time_ms.min(other.min_time_ms);
        self.max_time_ms = self.max_time_ms.max(other.max_time_ms);
        self.samples += other.samples;
    }

    /// The text of the annotation, without prefix and position. The metric name is left out when
    /// empty.
    pub fn text(&self, metric_name: &str) -> String {
        format!(
            "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile){}, from buckets {} to {}, with a max diff of {}, over {} samples from {} to {}",
            super::for_metric_name(metric_name),
            super::general(self.worst.min_bucket),
            super::general(self.worst.max_bucket),
            two_digits(self.worst.max_diff),
            self.samples,
            rfc3339(self.min_time_ms / 1000),
            rfc3339(self.max_time_ms / 1000),
        )
    }
}

/// `v` as Go's `%.2g` prints it.
fn two_digits(v: f64) -> String {
    let text = format!("{v:.1e}");
    let rounded: f64 = text.parse().unwrap_or(v);
    let exponent = text.split_once('e').and_then(|(_, e)| e.parse().ok());
    match exponent {
        Some(-4..2) => format!("{rounded}"),
        Some(_) => {
            let mut out = String::new();
            tsdb_model::float::write_exponent(&mut out, rounded);
            out
        }
        None => super::general(v),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INF: f64 = f64::INFINITY;

    fn histogram(buckets: &[(f64, f64)]) -> ClassicHistogram {
        let bucket = |(upper_bound, count): &(f64, f64)| ClassicBucket {
            upper_bound: *upper_bound,
            count: *count,
        };
        ClassicHistogram::new(buckets.iter().map(bucket).collect())
    }

    fn quantile(q: f64, buckets: &[(f64, f64)]) -> f64 {
        histogram(buckets).quantile(q).0
    }

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} {b}");
    }

    #[test]
    fn quantiles() {
        let positive = [(0.1, 50.0), (0.2, 70.0), (1.0, 110.0), (INF, 120.0)];
        let negative = [(-0.2, 10.0), (-0.1, 20.0), (0.3, 20.0), (INF, 30.0)];
        for (q, p, n) in [
            (-0.1, -INF, -INF),
            (1.01, INF, INF),
            (0.0, 0.0, -0.2),
            (0.2, 0.048, -0.2),
            (0.5, 0.15, -0.15),
            (0.8, 0.72, 0.3),
            (1.0, 1.0, 0.3),
        ] {
            assert!(quantile(q, &positive) == p || (quantile(q, &positive) - p).abs() < 1e-12);
            assert!(quantile(q, &negative) == n || (quantile(q, &negative) - n).abs() < 1e-12);
        }
        assert!(quantile(f64::NAN, &positive).is_nan());
        let middle = [(0.0, 0.0), (2.0, 1.0), (4.0, 2.0), (6.0, 3.0), (INF, 3.0)];
        near(quantile(1.0 / 6.0, &middle), 1.0);
        near(quantile(0.5, &middle), 3.0);
        near(quantile(5.0 / 6.0, &middle), 5.0);
    }

    #[test]
    fn histograms_without_an_answer() {
        assert!(quantile(0.5, &[]).is_nan());
        assert!(quantile(0.5, &[(INF, 5.0)]).is_nan());
        assert!(quantile(0.5, &[(1.0, 5.0), (2.0, 7.0)]).is_nan());
        assert!(quantile(0.5, &[(1.0, 0.0), (INF, 0.0)]).is_nan());
        assert_eq!(
            quantile(0.5, &[(1.0, 2.0), (3.0, 2.0), (INF, f64::NAN)]),
            3.0
        );
        assert!(histogram(&[]).fraction(0.0, 1.0).is_nan());
        assert!(histogram(&[(1.0, 5.0)]).fraction(0.0, 1.0).is_nan());
    }

    #[test]
    fn equal_bounds_are_one_bucket() {
        let mixed = [
            (0.2, 10.0),
            (0.1, 10.0),
            (INF, 40.0),
            (0.2, 10.0),
            (0.2, 10.0),
        ];
        near(quantile(0.5, &mixed), 0.15);
        near(quantile(0.75, &mixed), 0.2);
    }

    #[test]
    fn falling_counts_are_raised_once() {
        let mut h = histogram(&[
            (0.1, 20.0),
            (1.0, 10.0),
            (10.0, 50.0),
            (100.0, 40.0),
            (1000.0, 90.0),
            (INF, 80.0),
        ]);
        let (v, forced) = h.quantile(0.01);
        near(v, 0.0045);
        assert_eq!(
            forced,
            Some(ForcedMonotonicity {
                min_bucket: 1.0,
                max_bucket: INF,
                max_diff: 10.0
            })
        );
        let (v, forced) = h.quantile(0.5);
        near(v, 8.5);
        assert_eq!(forced, None);
        near(h.quantile(0.99).0, 979.75);
    }

    #[test]
    fn rounding_errors_are_no_news() {
        let mut h = histogram(&[
            (1.0, 100.0),
            (2.0, 100.0 - 1e-11),
            (3.0, 200.0),
            (INF, 200.0),
        ]);
        let (v, forced) = h.quantile(0.5);
        assert_eq!((v, forced), (1.0, None));
        let (_, forced) = histogram(&[(1.0, 100.0), (2.0, 99.999), (INF, 100.0)]).quantile(0.5);
        assert!(forced.is_some());
    }

    #[test]
    fn fractions() {
        let h = histogram(&[(0.0, 0.0), (2.0, 1.0), (4.0, 2.0), (6.0, 3.0), (INF, 3.0)]);
        near(h.fraction(0.0, 4.0), 2.0 / 3.0);
        near(h.fraction(0.0, 6.0), 1.0);
        near(h.fraction(0.0, 3.5), 0.5833333333333334);
        assert!(h.fraction(f64::NAN, 1.0).is_nan());
        assert_eq!(h.fraction(2.0, 2.0), 0.0);
        assert_eq!(h.fraction(3.0, 2.0), 0.0);
        let positive = histogram(&[(1.0, 1.0), (2.0, 3.0), (3.0, 6.0), (INF, 100.0)]);
        near(positive.fraction(0.0, 1.5), 0.02);
        near(positive.fraction(0.5, 2.0), 0.025);
        near(positive.fraction(4.0, 5.0), 0.0);
        near(positive.fraction(2.0, 5.0), 0.03);
        near(positive.fraction(3.0, INF), 0.94);
        near(positive.fraction(-INF, INF), 1.0);
        let negative = histogram(&[(-3.0, 10.0), (-2.0, 12.0), (-1.0, 15.0), (INF, 100.0)]);
        near(negative.fraction(-4.0, -2.0), 0.02);
        near(negative.fraction(-INF, -1.5), 0.135);
        near(negative.fraction(-INF, INF), 1.0);
        near(negative.fraction(0.0, 1.0), 0.0);
        near(histogram(&[(INF, 100.0)]).fraction(0.0, 1.0), 0.0);
    }

    #[test]
    fn bounds_from_labels() {
        let bound = |le: &str| bucket_bound(&Labels::from_pairs([("le", le)]));
        assert_eq!(bound("0.5"), Some(0.5));
        assert_eq!(bound("+Inf"), Some(INF));
        assert_eq!(bound(".2"), Some(0.2));
        for bad in ["", "Hello World", "NaN"] {
            assert_eq!(bound(bad), None);
        }
    }

    #[test]
    fn infos_are_gathered() {
        let forced = |min_bucket, max_bucket, max_diff| ForcedMonotonicity {
            min_bucket,
            max_bucket,
            max_diff,
        };
        let mut info = MonotonicityInfo::new(forced(1.0, INF, 10.0), 60_000);
        info.merge(&MonotonicityInfo::new(forced(0.1, 2.0, 123.4), 1_500));
        assert_eq!(
            info.text("h_bucket"),
            "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile) for metric name \"h_bucket\", from buckets 0.1 to +Inf, with a max diff of 1.2e+02, over 2 samples from 1970-01-01T00:00:01Z to 1970-01-01T00:01:00Z"
        );
        for (v, text) in [
            (10.0, "10"),
            (0.5, "0.5"),
            (99.6, "1e+02"),
            (2.0, "2"),
            (0.000012345, "1.2e-05"),
            (0.00012345, "0.00012"),
            (INF, "+Inf"),
        ] {
            assert_eq!(two_digits(v), text);
        }
    }

    proptest! {
        #[test]
        fn quantiles_rise(counts in proptest::collection::vec(0u8..20, 2..8), a in 0.0..=1.0_f64, b in 0.0..=1.0_f64) {
            let last = counts.len() - 1;
            let buckets: Vec<(f64, f64)> = counts.iter().enumerate().map(|(i, c)| {
                (if i == last { INF } else { i as f64 }, f64::from(*c))
            }).collect();
            let mut h = histogram(&buckets);
            let low = h.quantile(a.min(b)).0;
            let high = h.quantile(a.max(b)).0;
            prop_assert!(low.is_nan() || low <= high + 1e-9);
        }

        #[test]
        fn fractions_invert_quantiles(steps in proptest::collection::vec(1u8..20, 2..8), q in 0.001..=0.99_f64) {
            let mut count = 0.0;
            let last = steps.len() - 1;
            let buckets: Vec<(f64, f64)> = steps.iter().enumerate().map(|(i, c)| {
                count += f64::from(*c);
                (if i == last { INF } else { i as f64 + 1.0 }, count)
            }).collect();
            let mut h = histogram(&buckets);
            let v = h.quantile(q).0;
            if v < last as f64 {
                prop_assert!((h.fraction(-INF, v) - q).abs() < 1e-9);
            }
        }
    }
}
