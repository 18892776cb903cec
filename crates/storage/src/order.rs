//! Which samples are taken: Prometheus's rules about time and about samples that are there.

use tsdb_model::{AppendError, is_stale};

use crate::head::histograms::{same, sum};
use crate::head::series::SampleValue;
use crate::options::Options;

/// How far behind the newest sample of the store a series may begin or go on.
const MAX_BEHIND_MS: i64 = 3_600_000;

/// The times the store takes at present.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Samples behind it are never in order.
    min_valid: i64,
    /// Oldest late sample; `None` when there must be none.
    late_floor: Option<i64>,
    /// What is older would be dropped at once.
    pub(crate) retention_floor: i64,
}

/// What to do with a sample that is not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    InOrder,
    Late,
    /// It is stored already.
    Repetition,
}

impl Bounds {
    /// The bounds when the newest sample of the store is at `max_t`.
    pub(crate) fn new(options: &Options, ooo_window_ms: i64, max_t: Option<i64>) -> Self {
        let Some(max_t) = max_t else {
            return Self {
                min_valid: i64::MIN,
                late_floor: (ooo_window_ms > 0).then_some(i64::MIN),
                retention_floor: i64::MIN,
            };
        };
        let retention_floor = if options.retention_ms > 0 {
            max_t
                .min(options.clock.now_ms())
                .saturating_sub(options.retention_ms)
        } else {
            i64::MIN
        };
        Self {
            min_valid: max_t.saturating_sub(MAX_BEHIND_MS),
            late_floor: (ooo_window_ms > 0).then(|| max_t.saturating_sub(ooo_window_ms)),
            retention_floor,
        }
    }

    /// The same bounds, but no late samples.
    pub(crate) fn without_late(self) -> Self {
        Self {
            late_floor: None,
            ..self
        }
    }

    /// Judges a sample at `t` of a series whose newest sample is at `newest`. `existing` looks up
    /// what the series has at `t`.
    pub(crate) fn check(
        &self,
        t: i64,
        value: &SampleValue,
        newest: Option<i64>,
        existing: impl FnOnce() -> Option<SampleValue>,
    ) -> Result<Verdict, AppendError> {
        let in_order = newest.is_none_or(|n| t > n);
        match self.late_floor {
            None if t < self.min_valid => return Err(AppendError::OutOfBounds),
            None if newest.is_some_and(|n| t < n) => return Err(AppendError::OutOfOrder),
            Some(floor) if t < floor && !(t >= self.min_valid && newest.is_none_or(|n| t >= n)) => {
                return Err(AppendError::TooOld);
            }
            _ => {}
        }
        if t < self.retention_floor {
            return Err(AppendError::TooOld);
        }
        if in_order {
            return Ok(Verdict::InOrder);
        }
        match existing() {
            None => Ok(Verdict::Late),
            Some(existing) if same_value(&existing, value) => Ok(Verdict::Repetition),
            Some(existing) => Err(AppendError::Duplicate {
                timestamp_ms: t,
                existing: number(&existing),
                new: number(value),
            }),
        }
    }
}

/// The value to name in an error: of a histogram its sum.
fn number(value: &SampleValue) -> f64 {
    match value {
        SampleValue::Float(v) => *v,
        SampleValue::Histogram(h) => sum(h),
    }
}

/// True for the same sample to the bit. A staleness marker is one in every form: behind a
/// histogram it is stored as a histogram.
fn same_value(a: &SampleValue, b: &SampleValue) -> bool {
    match (a, b) {
        (SampleValue::Float(a), SampleValue::Float(b)) => a.to_bits() == b.to_bits(),
        (SampleValue::Histogram(a), SampleValue::Histogram(b)) => same(a, b),
        (SampleValue::Float(v), SampleValue::Histogram(h))
        | (SampleValue::Histogram(h), SampleValue::Float(v)) => is_stale(*v) && is_stale(sum(h)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tsdb_model::ManualClock;

    use super::*;

    const HOUR: i64 = 3_600_000;

    fn bounds(window: i64, retention: i64) -> Bounds {
        let options = Options {
            retention_ms: retention,
            clock: Arc::new(ManualClock::new(100 * HOUR)),
            ..Options::default()
        };
        Bounds::new(&options, window, Some(100 * HOUR))
    }

    fn check(bounds: Bounds, t: i64, newest: Option<i64>) -> Result<Verdict, AppendError> {
        bounds.check(t, &SampleValue::Float(2.0), newest, || None)
    }

    #[test]
    fn without_a_window_as_prometheus() {
        let b = bounds(0, 0);
        assert_eq!(check(b, 99 * HOUR, None), Ok(Verdict::InOrder));
        assert_eq!(check(b, 99 * HOUR - 1, None), Err(AppendError::OutOfBounds));
        let newest = Some(100 * HOUR);
        assert_eq!(check(b, 99 * HOUR, newest), Err(AppendError::OutOfOrder));
        assert_eq!(
            check(b, 99 * HOUR - 1, newest),
            Err(AppendError::OutOfBounds)
        );
    }

    #[test]
    fn with_a_window() {
        let b = bounds(10 * HOUR, 0);
        let newest = Some(100 * HOUR);
        assert_eq!(check(b, 90 * HOUR, newest), Ok(Verdict::Late));
        assert_eq!(check(b, 90 * HOUR - 1, newest), Err(AppendError::TooOld));
        assert_eq!(check(b, 90 * HOUR, None), Ok(Verdict::InOrder));
        assert_eq!(check(b, 90 * HOUR - 1, None), Err(AppendError::TooOld));
        // A short window does not shorten the hour that every series has.
        let b = bounds(HOUR / 2, 0);
        assert_eq!(check(b, 99 * HOUR, Some(98 * HOUR)), Ok(Verdict::InOrder));
        assert_eq!(check(b, 99 * HOUR, newest), Err(AppendError::TooOld));
    }

    #[test]
    fn retention_ends_it() {
        let b = bounds(i64::MAX, 5 * HOUR);
        assert_eq!(check(b, 95 * HOUR, None), Ok(Verdict::InOrder));
        assert_eq!(check(b, 95 * HOUR - 1, None), Err(AppendError::TooOld));
        assert_eq!(check(bounds(i64::MAX, 0), 0, Some(7)), Ok(Verdict::Late));
    }

    #[test]
    fn values_compare_by_bits() {
        let b = bounds(i64::MAX, 0);
        let judge = |old: f64, new: f64| {
            let existing = || Some(SampleValue::Float(old));
            b.check(5, &SampleValue::Float(new), Some(5), existing)
        };
        assert_eq!(judge(f64::NAN, f64::NAN), Ok(Verdict::Repetition));
        assert!(matches!(
            judge(0.0, -0.0),
            Err(AppendError::Duplicate {
                timestamp_ms: 5,
                ..
            })
        ));
    }
}
