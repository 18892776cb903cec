//! Histograms as text: `{count:4, sum:5, [-0.5,0.5]:1, (0.5,1]:3}`.

use std::fmt;

use super::FloatHistogram;
use super::buckets::Bucket;
use crate::float::write_float_general;

/// A float as Go's `%g` prints it.
pub(super) fn general(v: f64) -> String {
    let mut out = String::new();
    write_float_general(&mut out, v);
    out
}

/// `(0.5,1]:3`, with square brackets beside bounds that belong to the bucket.
impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{},{}{}:{}",
            if self.lower_inclusive { '[' } else { '(' },
            general(self.lower),
            general(self.upper),
            if self.upper_inclusive { ']' } else { ')' },
            general(self.count)
        )
    }
}

/// As Prometheus prints histograms in `count_values` labels and in errors: all populated buckets
/// in ascending order.
impl fmt::Display for FloatHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{{count:{}, sum:{}",
            general(self.count),
            general(self.sum)
        )?;
        let mut negative: Vec<Bucket> = self.negative_iter().collect();
        negative.reverse();
        let zero = (!self.uses_custom_buckets()).then(|| self.zero_bucket());
        let buckets = negative.into_iter().chain(zero).chain(self.positive_iter());
        for bucket in buckets.filter(|b| b.count != 0.0) {
            write!(f, ", {bucket}")?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::{CUSTOM_BUCKETS_SCHEMA, Span};

    #[test]
    fn prints_as_prometheus() {
        assert_eq!(FloatHistogram::default().to_string(), "{count:0, sum:0}");
        let h = FloatHistogram {
            count: 3493.3,
            sum: 2349209.324,
            zero_count: 5.5,
            zero_threshold: 0.01,
            schema: 1,
            positive_spans: vec![
                Span {
                    offset: -2,
                    length: 1,
                },
                Span {
                    offset: 2,
                    length: 3,
                },
            ],
            positive_buckets: vec![1.0, 3.3, 4.2, 0.1],
            negative_spans: vec![
                Span {
                    offset: 3,
                    length: 2,
                },
                Span {
                    offset: 3,
                    length: 2,
                },
            ],
            negative_buckets: vec![3.1, 3.0, 0.0, 1e6],
            ..FloatHistogram::default()
        };
        assert_eq!(
            h.to_string(),
            "{count:3493.3, sum:2.349209324e+06, [-22.62741699796952,-16):1e+06, [-4,-2.82842712474619):3, [-2.82842712474619,-2):3.1, [-0.01,0.01]:5.5, (0.35355339059327373,0.5]:1, (1,1.414213562373095]:3.3, (1.414213562373095,2]:4.2, (2,2.82842712474619]:0.1}"
        );
    }

    #[test]
    fn custom_buckets() {
        let h = FloatHistogram {
            count: 4.0,
            sum: 5.0,
            schema: CUSTOM_BUCKETS_SCHEMA,
            positive_spans: vec![Span {
                offset: 0,
                length: 3,
            }],
            positive_buckets: vec![1.0, 2.0, 1.0],
            custom_values: vec![5.0, 10.0],
            ..FloatHistogram::default()
        };
        assert_eq!(
            h.to_string(),
            "{count:4, sum:5, [-Inf,5]:1, (5,10]:2, (10,+Inf]:1}"
        );
    }
}
