//! Checking histograms that come from outside.

use super::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram, Histogram, Span};

/// Why a histogram is not valid, or an operation on it not possible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HistogramError {
    /// Exponential and custom buckets do not mix.
    #[error(
        "cannot apply this operation on histograms with a mix of exponential and custom bucket schemas"
    )]
    IncompatibleSchemas,
    /// Custom buckets have no resolution.
    #[error("cannot reduce resolution when there are custom buckets")]
    CannotReduceCustom,
    /// The schema asked for is not a lower one.
    #[error("cannot reduce resolution from schema {from} to {to}")]
    CannotReduce {
        /// Present schema.
        from: i32,
        /// Schema asked for.
        to: i32,
    },
    /// The histogram is not valid.
    #[error("{place}{problem}")]
    Invalid {
        /// Where and what exactly, with a colon behind it, or empty.
        place: String,
        /// The rule that does not hold.
        problem: &'static str,
    },
}

const COUNT_NOT_BIG_ENOUGH: &str = "histogram's observation count should be at least the number of observations found in the buckets";
const COUNT_MISMATCH: &str = "histogram's observation count should equal the number of observations found in the buckets (in absence of NaN)";
const NEGATIVE_COUNT: &str = "histogram's observation count is negative";
const NEGATIVE_BUCKET_COUNT: &str = "histogram has a bucket whose observation count is negative";
const NEGATIVE_OFFSET: &str = "histogram has a span whose offset is negative";
const SPANS_MISMATCH: &str = "histogram spans specify different number of buckets than provided";
const TOO_FEW_BOUNDS: &str = "histogram custom bounds are too few";
const UNORDERED_BOUNDS: &str = "histogram custom bounds must be in strictly increasing order";
const INFINITE_BOUNDS: &str = "histogram custom bounds must be finite";
const NAN_BOUNDS: &str = "histogram custom bounds must not be NaN";

fn invalid(place: impl Into<String>, problem: &'static str) -> HistogramError {
    HistogramError::Invalid {
        place: place.into(),
        problem,
    }
}

/// The parts of a histogram that are checked alike whether counts are integer or not.
struct Shape<'a> {
    schema: i32,
    has_zero_count: bool,
    zero_threshold: f64,
    positive: (&'a [Span], usize),
    negative: (&'a [Span], usize),
    custom_values: &'a [f64],
}

impl Shape<'_> {
    fn validate(&self) -> Result<(), HistogramError> {
        match self.schema {
            CUSTOM_BUCKETS_SCHEMA => {
                check_custom_bounds(self.custom_values, self.positive.0, self.positive.1)?;
                for (wrong, problem) in [
                    (self.has_zero_count, "must have zero count of 0"),
                    (self.zero_threshold != 0.0, "must have zero threshold of 0"),
                    (!self.negative.0.is_empty(), "must not have negative spans"),
                    (self.negative.1 > 0, "must not have negative buckets"),
                ] {
                    if wrong {
                        return Err(invalid("custom buckets: ", problem));
                    }
                }
                Ok(())
            }
            -4..=8 => {
                check_spans(self.positive.0, self.positive.1, "positive side")?;
                check_spans(self.negative.0, self.negative.1, "negative side")?;
                if self.custom_values.is_empty() {
                    Ok(())
                } else {
                    Err(invalid(
                        "",
                        "histogram with exponential schema must not have custom bounds",
                    ))
                }
            }
            schema => Err(invalid(
                format!(
                    "histogram has an invalid schema, which must be between -4 and 8 for exponential buckets, or {CUSTOM_BUCKETS_SCHEMA} for custom buckets, got schema {schema}"
                ),
                "",
            )),
        }
    }
}

impl FloatHistogram {
    /// Checks that spans, buckets and custom bounds fit together and no count is negative. The
    /// total count is not compared with the buckets: rounding may set them apart.
    pub fn validate(&self) -> Result<(), HistogramError> {
        Shape {
            schema: self.schema,
            has_zero_count: self.zero_count != 0.0,
            zero_threshold: self.zero_threshold,
            positive: (&self.positive_spans, self.positive_buckets.len()),
            negative: (&self.negative_spans, self.negative_buckets.len()),
            custom_values: &self.custom_values,
        }
        .validate()?;
        check_counts(self.negative_buckets.iter().copied(), "negative side")?;
        if self.zero_count < 0.0 {
            return Err(invalid(
                format!(
                    "zero bucket has observation count of {}: ",
                    super::text::general(self.zero_count)
                ),
                NEGATIVE_BUCKET_COUNT,
            ));
        }
        if self.count < 0.0 {
            return Err(invalid(
                format!(
                    "observation count is  {}: ",
                    super::text::general(self.count)
                ),
                NEGATIVE_COUNT,
            ));
        }
        check_counts(self.positive_buckets.iter().copied(), "positive side")
    }
}

impl Histogram {
    /// Checks that spans, buckets and custom bounds fit together, no count is negative and the
    /// total count is that of the buckets. Observations of NaN are in no bucket: when the sum is
    /// NaN, the total may be higher.
    pub fn validate(&self) -> Result<(), HistogramError> {
        Shape {
            schema: self.schema,
            has_zero_count: self.zero_count != 0,
            zero_threshold: self.zero_threshold,
            positive: (&self.positive_spans, self.positive_deltas.len()),
            negative: (&self.negative_spans, self.negative_deltas.len()),
            custom_values: &self.custom_values,
        }
        .validate()?;
        let negative = check_deltas(&self.negative_deltas, "negative side")?;
        let positive = check_deltas(&self.positive_deltas, "positive side")?;
        let found = negative
            .saturating_add(positive)
            .saturating_add(self.zero_count);
        let wrong = if self.sum.is_nan() {
            (found > self.count).then_some(COUNT_NOT_BIG_ENOUGH)
        } else {
            (found != self.count).then_some(COUNT_MISMATCH)
        };
        match wrong {
            None => Ok(()),
            Some(problem) => Err(invalid(
                format!(
                    "{found} observations found in buckets, but the Count field is {}: ",
                    self.count
                ),
                problem,
            )),
        }
    }
}

fn check_spans(spans: &[Span], buckets: usize, side: &str) -> Result<(), HistogramError> {
    if let Some(i) = spans.iter().skip(1).position(|s| s.offset < 0) {
        return Err(negative_offset(side, i + 1, spans[i + 1]));
    }
    check_span_lengths(spans, buckets, side)
}

fn negative_offset(side: &str, i: usize, span: Span) -> HistogramError {
    invalid(
        format!(
            "{side}: span number {} with offset {}: ",
            i + 1,
            span.offset
        ),
        NEGATIVE_OFFSET,
    )
}

fn check_span_lengths(spans: &[Span], buckets: usize, side: &str) -> Result<(), HistogramError> {
    let needed: u64 = spans.iter().map(|s| u64::from(s.length)).sum();
    if needed == buckets as u64 {
        return Ok(());
    }
    Err(invalid(
        format!("{side}: spans need {needed} buckets, have {buckets} buckets: "),
        SPANS_MISMATCH,
    ))
}

fn check_counts(counts: impl Iterator<Item = f64>, side: &str) -> Result<(), HistogramError> {
    match counts.enumerate().find(|(_, c)| *c < 0.0) {
        None => Ok(()),
        Some((i, count)) => Err(negative_bucket(side, i, &super::text::general(count))),
    }
}

fn negative_bucket(side: &str, i: usize, count: &str) -> HistogramError {
    invalid(
        format!(
            "{side}: bucket number {} has observation count of {count}: ",
            i + 1
        ),
        NEGATIVE_BUCKET_COUNT,
    )
}

/// The sum of delta-coded counts, none of which may be negative.
fn check_deltas(deltas: &[i64], side: &str) -> Result<u64, HistogramError> {
    let (mut count, mut total) = (0i64, 0u64);
    for (i, delta) in deltas.iter().enumerate() {
        count = count.wrapping_add(*delta);
        if count < 0 {
            return Err(negative_bucket(side, i, &count.to_string()));
        }
        total = total.saturating_add(count as u64);
    }
    Ok(total)
}

fn check_custom_bounds(
    bounds: &[f64],
    spans: &[Span],
    buckets: usize,
) -> Result<(), HistogramError> {
    const SIDE: &str = "custom buckets";
    if bounds.iter().any(|b| b.is_nan()) {
        return Err(invalid("custom buckets: ", NAN_BOUNDS));
    }
    if let Some([previous, current]) = bounds.array_windows().find(|[a, b]| b <= a) {
        return Err(invalid(
            format!(
                "custom buckets: previous bound is {previous:.6} and current is {current:.6}: "
            ),
            UNORDERED_BOUNDS,
        ));
    }
    if bounds.last() == Some(&f64::INFINITY) {
        return Err(invalid(
            "custom buckets: last +Inf bound must not be explicitly defined: ",
            INFINITE_BOUNDS,
        ));
    }
    if let Some(i) = spans.iter().position(|s| s.offset < 0) {
        return Err(negative_offset(SIDE, i, spans[i]));
    }
    check_span_lengths(spans, buckets, SIDE)?;
    let reach: i64 = spans
        .iter()
        .map(|s| i64::from(s.length) + i64::from(s.offset))
        .sum();
    if (bounds.len() as i64) + 1 < reach {
        return Err(invalid(
            format!(
                "custom buckets: only {} custom bounds defined which is insufficient to cover total span length of {reach}: ",
                bounds.len()
            ),
            TOO_FEW_BOUNDS,
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(offset: i32, length: u32) -> Span {
        Span { offset, length }
    }

    fn text(result: Result<(), HistogramError>) -> String {
        result.err().map(|e| e.to_string()).unwrap_or_default()
    }

    fn float() -> FloatHistogram {
        FloatHistogram {
            schema: 1,
            zero_count: 2.0,
            count: 7.0,
            positive_spans: vec![span(0, 2), span(1, 1)],
            positive_buckets: vec![1.0, 2.0, 2.0],
            ..FloatHistogram::default()
        }
    }

    fn custom() -> FloatHistogram {
        FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count: 3.0,
            positive_spans: vec![span(0, 3)],
            positive_buckets: vec![1.0, 1.0, 1.0],
            custom_values: vec![1.0, 2.0],
            ..FloatHistogram::default()
        }
    }

    fn broken(mut h: FloatHistogram, f: impl Fn(&mut FloatHistogram)) -> String {
        f(&mut h);
        text(h.validate())
    }

    #[test]
    fn float_histograms() {
        assert_eq!(float().validate(), Ok(()));
        assert_eq!(
            broken(float(), |h| h.positive_spans[1].offset = -1),
            "positive side: span number 2 with offset -1: histogram has a span whose offset is negative"
        );
        assert_eq!(
            broken(float(), |h| h.positive_spans[1].length = 3),
            "positive side: spans need 5 buckets, have 3 buckets: histogram spans specify different number of buckets than provided"
        );
        assert_eq!(
            broken(float(), |h| h.positive_buckets[1] = -0.5),
            "positive side: bucket number 2 has observation count of -0.5: histogram has a bucket whose observation count is negative"
        );
        assert_eq!(
            broken(float(), |h| h.zero_count = -1.0),
            "zero bucket has observation count of -1: histogram has a bucket whose observation count is negative"
        );
        assert_eq!(
            broken(float(), |h| h.count = -1.0),
            "observation count is  -1: histogram's observation count is negative"
        );
        assert_eq!(
            broken(float(), |h| h.custom_values = vec![1.0]),
            "histogram with exponential schema must not have custom bounds"
        );
        assert_eq!(
            broken(float(), |h| h.schema = 9),
            "histogram has an invalid schema, which must be between -4 and 8 for exponential buckets, or -53 for custom buckets, got schema 9"
        );
    }

    #[test]
    fn custom_histograms() {
        assert_eq!(custom().validate(), Ok(()));
        assert_eq!(
            broken(custom(), |h| h.custom_values = vec![2.0, 1.0]),
            "custom buckets: previous bound is 2.000000 and current is 1.000000: histogram custom bounds must be in strictly increasing order"
        );
        assert_eq!(
            broken(custom(), |h| h.custom_values[1] = f64::NAN),
            "custom buckets: histogram custom bounds must not be NaN"
        );
        assert_eq!(
            broken(custom(), |h| h.custom_values[1] = f64::INFINITY),
            "custom buckets: last +Inf bound must not be explicitly defined: histogram custom bounds must be finite"
        );
        assert_eq!(
            broken(custom(), |h| h.positive_spans[0].offset = 1),
            "custom buckets: only 2 custom bounds defined which is insufficient to cover total span length of 4: histogram custom bounds are too few"
        );
        assert_eq!(
            broken(custom(), |h| h.zero_count = 1.0),
            "custom buckets: must have zero count of 0"
        );
        assert_eq!(
            broken(custom(), |h| h.negative_spans = vec![span(0, 0)]),
            "custom buckets: must not have negative spans"
        );
    }

    #[test]
    fn integer_histograms() {
        let mut h = Histogram {
            count: 5,
            zero_count: 1,
            positive_spans: vec![span(-3, 2)],
            positive_deltas: vec![1, 2],
            ..Histogram::default()
        };
        assert_eq!(h.validate(), Ok(()));
        h.count = 6;
        assert_eq!(
            text(h.validate()),
            "5 observations found in buckets, but the Count field is 6: histogram's observation count should equal the number of observations found in the buckets (in absence of NaN)"
        );
        h.sum = f64::NAN;
        assert_eq!(h.validate(), Ok(()));
        h.positive_deltas[1] = -2;
        assert_eq!(
            text(h.validate()),
            "positive side: bucket number 2 has observation count of -1: histogram has a bucket whose observation count is negative"
        );
        h.positive_deltas = vec![i64::MAX, i64::MAX];
        assert!(h.validate().is_err());
        h.positive_spans = vec![span(0, u32::MAX), span(0, u32::MAX)];
        assert!(text(h.validate()).contains("spans need 8589934590 buckets"));
    }
}
