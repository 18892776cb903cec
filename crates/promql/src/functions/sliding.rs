//! Extremes and quantiles of windows that move forward: what one window has taken is not worked
//! out again for the next.

use std::collections::VecDeque;

use super::over_time::Extreme;
use super::quantile::{nan_first, quantile, quantile_of_sorted};

/// The extreme of a window of rows: of the samples those that could yet become it.
#[derive(Debug, Default)]
pub(crate) struct SlidingExtreme {
    candidates: VecDeque<usize>,
    next: usize, // first row not yet seen
}

impl SlidingExtreme {
    /// Begins anew.
    pub(crate) fn clear(&mut self) {
        self.candidates.clear();
        self.next = 0;
    }

    /// The extreme of the rows `from..to`, which are not before those of the last call; NaN only
    /// when there is nothing else. Of equal values the first one.
    pub(crate) fn get(&mut self, values: &[f64], from: usize, to: usize, which: Extreme) -> f64 {
        self.next = self.next.max(from);
        for row in self.next..to {
            let value = values[row];
            if value.is_nan() {
                continue;
            }
            while let Some(last) = self.candidates.back()
                && which.beats(value, values[*last])
            {
                self.candidates.pop_back();
            }
            self.candidates.push_back(row);
        }
        self.next = self.next.max(to);
        while self.candidates.front().is_some_and(|row| *row < from) {
            self.candidates.pop_front();
        }
        self.candidates.front().map_or(f64::NAN, |row| values[*row])
    }
}

/// The samples of a window of rows in order, as long as windows move by a few rows at a time.
#[derive(Debug, Default)]
pub(crate) struct SlidingQuantile {
    /// The window, sorted or as it came.
    values: Vec<f64>,
    sorted: bool,
    from: usize,
    to: usize,
}

impl SlidingQuantile {
    /// Begins anew.
    pub(crate) fn clear(&mut self) {
        self.values.clear();
        (self.sorted, self.from, self.to) = (false, 0, 0);
    }

    /// The quantile of the rows `from..to`, which are not before those of the last call.
    pub(crate) fn get(&mut self, values: &[f64], from: usize, to: usize, q: f64) -> f64 {
        let overlap = self.to.saturating_sub(from);
        let moved = if overlap == 0 {
            usize::MAX
        } else {
            (from - self.from) + (to - self.to)
        };
        // Beyond that finding the value anew is cheaper than keeping the order.
        let slides = moved <= 8 + overlap / 24;
        if slides && self.sorted {
            for v in &values[self.from..from] {
                self.remove(*v);
            }
            for v in &values[self.to..to] {
                let place = self.place(*v);
                self.values.insert(place, *v);
            }
        } else {
            self.values.clear();
            self.values.extend_from_slice(&values[from..to]);
            self.sorted = slides;
            if slides {
                self.values.sort_unstable_by(nan_first);
            }
        }
        (self.from, self.to) = (from, to);
        if self.sorted {
            quantile_of_sorted(q, &self.values)
        } else {
            quantile(q, &mut self.values)
        }
    }

    /// The first place at which nothing is before `v`.
    fn place(&self, v: f64) -> usize {
        self.values
            .partition_point(|other| nan_first(other, &v).is_lt())
    }

    fn remove(&mut self, v: f64) {
        let place = self.place(v);
        let equal = self.values[place..].iter();
        // Of the two zeros the one that goes is the one that came.
        let same = equal
            .take_while(|other| nan_first(other, &v).is_eq())
            .position(|other| other.to_bits() == v.to_bits());
        self.values.remove(place + same.unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::over_time::extreme;
    use crate::functions::window::{Window, WindowNotes};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn quantiles_as_window_by_window(
            values in proptest::collection::vec(
                prop_oneof![
                    proptest::sample::select(vec![0.0, 1.0, 2.0, f64::NAN, -3.0, f64::INFINITY]),
                    -9.0..9.0,
                ],
                1..300,
            ),
            moves in proptest::collection::vec((0usize..6, 0usize..9), 1..60),
            q in prop_oneof![0.0..1.0, Just(1.0), Just(-0.5), Just(1.5), Just(f64::NAN)],
        ) {
            let mut sliding = SlidingQuantile::default();
            let (mut from, mut to) = (0, 0);
            for (a, b) in &moves {
                from = (from + a).min(values.len());
                to = (to + b).min(values.len()).max(from);
                if from == to {
                    continue;
                }
                let want = quantile(q, &mut values[from..to].to_vec());
                let got = sliding.get(&values, from, to, q);
                prop_assert!(got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan());
            }
        }

        #[test]
        fn as_window_by_window(
            values in proptest::collection::vec(
                proptest::sample::select(vec![0.0, -0.0, 1.0, 2.0, f64::NAN, -3.0, f64::INFINITY]),
                1..60,
            ),
            moves in proptest::collection::vec((0usize..4, 0usize..5), 1..40),
        ) {
            for which in [Extreme::Min, Extreme::Max] {
                let mut sliding = SlidingExtreme::default();
                let (mut from, mut to) = (0, 0);
                for (a, b) in &moves {
                    from = (from + a).min(values.len());
                    to = (to + b).min(values.len()).max(from);
                    if from == to {
                        continue;
                    }
                    let window = Window {
                        times: &[],
                        values: &values[from..to],
                        start_times: &[],
                        histograms: &[],
                        use_start_times: false,
                        time: 0,
                        range_start: 0,
                        range_end: 0,
                    };
                    let want = extreme(&window, which, &mut WindowNotes::default()).unwrap();
                    let got = sliding.get(&values, from, to, which);
                    prop_assert!(got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan());
                }
            }
        }
    }
}
