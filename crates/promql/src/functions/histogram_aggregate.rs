//! Sums and means of native histograms, as the aggregations and the functions over time have them.

use tsdb_model::histogram::{CounterResetHint, FloatHistogram, HistogramError};

/// A sum or a mean with what is to be said about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregated {
    /// The result, not compacted.
    pub histogram: FloatHistogram,
    /// Some inputs begin after a counter reset, others say there was none.
    pub counter_reset_collision: bool,
    /// Custom bounds differed; those that all have are left.
    pub bounds_reconciled: bool,
}

/// What the inputs said so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Seen {
    reset: bool,
    not_reset: bool,
    bounds_reconciled: bool,
}

impl Seen {
    fn hint(&mut self, hint: CounterResetHint) {
        self.reset |= hint == CounterResetHint::Reset;
        self.not_reset |= hint == CounterResetHint::NotReset;
    }

    fn aggregated(self, histogram: FloatHistogram) -> Aggregated {
        Aggregated {
            histogram,
            counter_reset_collision: self.reset && self.not_reset,
            bounds_reconciled: self.bounds_reconciled,
        }
    }
}

/// A sum with compensated additions.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramSum {
    sum: FloatHistogram,
    compensation: Option<FloatHistogram>,
    seen: Seen,
}

impl HistogramSum {
    /// The sum of one histogram.
    pub fn new(first: &FloatHistogram) -> Self {
        let mut seen = Seen::default();
        seen.hint(first.reset_hint);
        Self {
            sum: first.clone(),
            compensation: None,
            seen,
        }
    }

    /// Adds one more. Fails when exponential and custom buckets meet: there is no sum then.
    pub fn add(&mut self, h: &FloatHistogram) -> Result<(), HistogramError> {
        self.seen.hint(h.reset_hint);
        let notes = self.sum.kahan_add(h, &mut self.compensation)?;
        self.seen.bounds_reconciled |= notes.bounds_reconciled;
        Ok(())
    }

    /// The sum of all.
    pub fn finish(mut self) -> Aggregated {
        add_compensation(&mut self.sum, self.compensation.as_ref());
        self.seen.aggregated(self.sum)
    }
}

/// A mean: the compensated sum divided by the count as long as it is finite, else carried on as a
/// running mean.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramMean {
    value: FloatHistogram, // the sum, or the mean once `incremental`
    compensation: Option<FloatHistogram>,
    count: f64,
    incremental: bool,
    seen: Seen,
}

impl HistogramMean {
    /// The mean of one histogram.
    pub fn new(first: &FloatHistogram) -> Self {
        let mut seen = Seen::default();
        seen.hint(first.reset_hint);
        Self {
            value: first.clone(),
            compensation: None,
            count: 1.0,
            incremental: false,
            seen,
        }
    }

    /// Takes one more in. Fails when exponential and custom buckets meet: there is no mean then.
    pub fn add(&mut self, h: &FloatHistogram) -> Result<(), HistogramError> {
        self.seen.hint(h.reset_hint);
        self.count += 1.0;
        if !self.incremental {
            let mut sum = self.value.clone();
            let mut compensation = self.compensation.clone();
            let notes = sum.kahan_add(h, &mut compensation)?;
            self.seen.bounds_reconciled |= notes.bounds_reconciled;
            if !sum.has_overflow() {
                (self.value, self.compensation) = (sum, compensation);
                return Ok(());
            }
            self.incremental = true;
            let before = self.count - 1.0;
            self.scale(|h| h.div(before));
        }
        let weight = (self.count - 1.0) / self.count;
        self.scale(|h| h.mul(weight));
        let mut part = h.clone();
        part.div(self.count);
        let notes = self.value.kahan_add(&part, &mut self.compensation)?;
        self.seen.bounds_reconciled |= notes.bounds_reconciled;
        Ok(())
    }

    fn scale(&mut self, f: impl Fn(&mut FloatHistogram)) {
        f(&mut self.value);
        self.compensation.iter_mut().for_each(f);
    }

    /// The mean of all.
    pub fn finish(mut self) -> Aggregated {
        if !self.incremental {
            let count = self.count;
            self.scale(|h| h.div(count));
        }
        add_compensation(&mut self.value, self.compensation.as_ref());
        self.seen.aggregated(self.value)
    }
}

fn add_compensation(h: &mut FloatHistogram, compensation: Option<&FloatHistogram>) {
    if let Some(compensation) = compensation {
        h.add(compensation)
            .expect("invariant: the compensation has the layout of the histogram");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tsdb_model::Span;
    use tsdb_model::histogram::CUSTOM_BUCKETS_SCHEMA;

    fn histogram(count: f64, sum: f64, buckets: &[f64]) -> FloatHistogram {
        let span = Span {
            offset: 0,
            length: buckets.len() as u32,
        };
        FloatHistogram {
            count,
            sum,
            positive_spans: vec![span],
            positive_buckets: buckets.to_vec(),
            ..FloatHistogram::default()
        }
    }

    fn sum(all: &[FloatHistogram]) -> Aggregated {
        let mut sum = HistogramSum::new(&all[0]);
        for h in &all[1..] {
            sum.add(h).unwrap();
        }
        sum.finish()
    }

    fn mean(all: &[FloatHistogram]) -> Aggregated {
        let mut mean = HistogramMean::new(&all[0]);
        for h in &all[1..] {
            mean.add(h).unwrap();
        }
        mean.finish()
    }

    #[test]
    fn small_terms_survive() {
        let all: Vec<_> = [(1.0, 1.0), (2.0, 1e100), (3.0, 1.0), (4.0, -1e100)]
            .map(|(count, sum)| histogram(count, sum, &[sum]))
            .to_vec();
        let got = sum(&all).histogram;
        assert_eq!(
            (got.count, got.sum, got.positive_buckets),
            (10.0, 2.0, vec![2.0])
        );
        let got = mean(&all).histogram;
        assert_eq!(
            (got.count, got.sum, got.positive_buckets),
            (2.5, 0.5, vec![0.5])
        );
    }

    #[test]
    fn a_mean_does_not_overflow() {
        let all: Vec<_> = [
            (f64::MAX, 5.3),
            (1e308, 1e100),
            (1e-6, 1.0),
            (1e-6, -1e100),
            (1e-6, 2.0),
            (1e-6, 0.0),
            (1e-6, 0.0),
        ]
        .map(|(count, sum)| histogram(count, sum, &[]))
        .to_vec();
        let got = mean(&all).histogram;
        assert!((got.count / 3.9967044783747367e307 - 1.0).abs() < 1e-12);
        assert!((got.sum - 1.1857142857142857).abs() < 1e-12);
        let got = sum(&all).histogram;
        assert_eq!(got.count, f64::INFINITY);
        assert!((got.sum - 8.3).abs() < 1e-12);
    }

    #[test]
    fn one_histogram_stays_as_it_is() {
        let h = histogram(4.0, 5.0, &[1.0, 2.0, 1.0]);
        assert_eq!(mean(std::slice::from_ref(&h)).histogram, h);
        assert_eq!(sum(std::slice::from_ref(&h)).histogram, h);
    }

    #[test]
    fn notes() {
        let with = |reset_hint| FloatHistogram {
            reset_hint,
            ..histogram(1.0, 1.0, &[1.0])
        };
        let both = [
            with(CounterResetHint::NotReset),
            with(CounterResetHint::Reset),
        ];
        assert!(sum(&both).counter_reset_collision);
        assert!(mean(&both).counter_reset_collision);
        assert_eq!(sum(&both).histogram.reset_hint, CounterResetHint::Unknown);
        assert!(!sum(&both[..1]).counter_reset_collision);
        let custom = |bound| FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            custom_values: vec![bound],
            ..histogram(1.0, 1.0, &[1.0])
        };
        let differing = [custom(1.0), custom(2.0)];
        assert!(sum(&differing).bounds_reconciled);
        assert!(mean(&differing).bounds_reconciled);
        assert!(HistogramSum::new(&custom(1.0)).add(&both[0]).is_err());
        assert!(HistogramMean::new(&custom(1.0)).add(&both[0]).is_err());
    }
}
