//! Sums and means that keep the rounding errors of their additions beside them and add them in the
//! end: Kahan's method as Neumaier improved it.

pub use tsdb_model::histogram::kahan::increment;

/// A sum.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct KahanSum {
    sum: f64,
    compensation: f64,
}

impl KahanSum {
    /// Adds `v`.
    #[inline]
    pub fn add(&mut self, v: f64) {
        (self.sum, self.compensation) = increment(v, self.sum, self.compensation);
    }

    /// The sum of all that was added; 0 when nothing was.
    #[inline]
    pub fn value(&self) -> f64 {
        self.sum + self.compensation
    }
}

/// A mean: the sum divided by the count as long as the sum is finite, else carried on as a running
/// mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KahanMean {
    value: f64, // the sum, or the mean once `incremental`
    compensation: f64,
    count: f64,
    incremental: bool,
}

impl KahanMean {
    /// The mean of no numbers: only to be added to.
    pub const NONE: Self = Self {
        // Leaves what is added as it is, -0 included.
        value: -0.0,
        compensation: 0.0,
        count: 0.0,
        incremental: false,
    };

    /// The mean of one number.
    pub fn new(first: f64) -> Self {
        Self {
            value: first,
            compensation: 0.0,
            count: 1.0,
            incremental: false,
        }
    }

    /// Takes one more number in.
    #[inline]
    pub fn add(&mut self, v: f64) {
        self.count += 1.0;
        if !self.incremental {
            let (sum, compensation) = increment(v, self.value, self.compensation);
            // One number is its own sum, infinite or not.
            if !sum.is_infinite() || self.count == 1.0 {
                (self.value, self.compensation) = (sum, compensation);
                return;
            }
            self.incremental = true;
            self.value /= self.count - 1.0;
            self.compensation /= self.count - 1.0;
        }
        let weight = (self.count - 1.0) / self.count;
        (self.value, self.compensation) = increment(
            v / self.count,
            weight * self.value,
            weight * self.compensation,
        );
    }

    /// The mean of all numbers.
    pub fn value(&self) -> f64 {
        if self.incremental {
            self.value + self.compensation
        } else {
            self.value / self.count + self.compensation / self.count
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(values: &[f64]) -> f64 {
        let mut sum = KahanSum::default();
        for v in values {
            sum.add(*v);
        }
        sum.value()
    }

    fn mean(values: &[f64]) -> f64 {
        let mut mean = KahanMean::new(values[0]);
        let mut from_none = KahanMean::NONE;
        from_none.add(values[0]);
        for v in &values[1..] {
            mean.add(*v);
            from_none.add(*v);
        }
        assert_eq!(mean.value().to_bits(), from_none.value().to_bits());
        mean.value()
    }

    #[test]
    fn small_terms_survive_large_ones() {
        assert_eq!(sum(&[1.0, 1e100, 1.0, -1e100]), 2.0);
        assert_eq!(sum(&[5.0, 1e100, -1e100]), 5.0);
        assert_eq!(mean(&[1.0, 1e100, 1.0, -1e100]), 0.5);
        assert_eq!(sum(&[]), 0.0);
    }

    #[test]
    fn infinities() {
        assert_eq!(sum(&[1.0, f64::INFINITY, 2.0]), f64::INFINITY);
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert_eq!(mean(&[f64::INFINITY, 1.0]), f64::INFINITY);
        assert_eq!(mean(&[f64::NEG_INFINITY, -1.0, 3.0]), f64::NEG_INFINITY);
        assert!(mean(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert!(mean(&[f64::NAN, 1.0]).is_nan());
    }

    #[test]
    fn a_mean_does_not_overflow() {
        let max = f64::MAX;
        assert_eq!(mean(&[max, max]), max);
        assert!((mean(&[max, max, max, max]) / max - 1.0).abs() < 1e-15);
        let got = mean(&[9.98846567431158e307, 9.98846567431158e307, 1e308]);
        assert!((got / 9.992310449541053e307 - 1.0).abs() < 1e-15);
    }
}
