//! Extremes of windows that move forward, in time proportional to the samples.

use std::collections::VecDeque;

use super::over_time::Extreme;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::over_time::extreme;
    use crate::functions::window::{Window, WindowNotes};
    use proptest::prelude::*;

    proptest! {
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
