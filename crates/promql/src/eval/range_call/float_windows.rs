//! The windows of the floats of a series, shared by series with the same times.

use std::ops::Range;
use std::sync::Arc;

use super::super::Evaluator;
use super::super::windows::WindowGrid;
use crate::error::QueryError;
use crate::functions::rate::{RateKind, Spacing};

/// The windows of a column of times.
#[derive(Debug, Default)]
pub(super) struct Windows {
    pub(super) bounds: Vec<(u32, u32)>,
    /// For rates; the ends limited.
    pub(super) spacing: Vec<Spacing>,
    /// For rates: what the increase is multiplied by where nothing else limits the ends.
    pub(super) factors: Vec<f64>,
    /// The steps whose windows hold two samples or more, when they follow each other.
    pub(super) twos: Option<Range<usize>>,
    /// Samples of all windows together, and of the largest.
    all: u64,
    largest: usize,
}

impl Windows {
    /// For rates `kind` and the range in seconds are given.
    pub(super) fn new(times: &[i64], grid: &WindowGrid, rate: Option<(RateKind, f64)>) -> Self {
        let bounds = grid.bounds(times);
        let mut out = Self {
            bounds,
            ..Self::default()
        };
        let (mut first, mut last, mut count) = (0, 0, 0);
        for (step, (from, to)) in out.bounds.iter().enumerate() {
            let samples = (to - from) as usize;
            out.all += samples as u64;
            out.largest = out.largest.max(samples);
            if samples >= 2 {
                if count == 0 {
                    first = step;
                }
                last = step;
                count += 1;
            }
        }
        if count > 0 && last + 1 - first == count {
            out.twos = Some(first..last + 1);
        }
        if let Some((kind, seconds)) = rate {
            out.spacing.reserve_exact(out.bounds.len());
            out.factors.reserve_exact(out.bounds.len());
            for (step, (from, to)) in out.bounds.iter().enumerate() {
                let spacing = window_spacing(times, (*from as usize, *to as usize), grid, step);
                out.factors.push(spacing.factor(seconds, kind.per_second));
                out.spacing.push(spacing);
            }
        }
        out
    }
}

/// Spacing of a window, its ends limited; of no meaning when it is empty.
pub(super) fn window_spacing(
    times: &[i64],
    (from, to): (usize, usize),
    grid: &WindowGrid,
    step: usize,
) -> Spacing {
    let (first, last) = match times.get(from..to) {
        Some([first, .., last]) => (*first, *last),
        Some([only]) => (*only, *only),
        _ => (0, 0),
    };
    let (start, end) = (grid.range_start(step), grid.range_end(step));
    Spacing::new(first, last, to - from, start, end).limited()
}

/// Windows of the floats of one series.
pub(super) struct FloatWindows {
    pub(super) windows: Arc<Windows>,
    pub(super) first_row: usize,
    pub(super) len: usize,
}

impl FloatWindows {
    /// The window at a step, in rows of the series.
    #[inline]
    pub(super) fn bounds(&self, step: usize) -> (usize, usize) {
        let (from, to) = self.windows.bounds[step];
        let from = (from as usize).clamp(self.first_row, self.first_row + self.len);
        let to = (to as usize).clamp(from, self.first_row + self.len);
        (from - self.first_row, to - self.first_row)
    }

    /// No window of the whole column holds a row of other series.
    pub(super) fn are_whole(&self) -> bool {
        let bounds = &self.windows.bounds;
        bounds
            .first()
            .is_none_or(|b| b.0 as usize >= self.first_row)
            && bounds
                .last()
                .is_none_or(|b| b.1 as usize <= self.first_row + self.len)
    }

    /// The window of the whole column holds no row of other series.
    #[inline]
    pub(super) fn is_whole(&self, step: usize) -> bool {
        let (from, to) = self.windows.bounds[step];
        from as usize >= self.first_row && to as usize <= self.first_row + self.len
    }
}

/// What the windows of one series read.
#[derive(Default)]
pub(super) struct Read {
    largest: usize,
    all: u64,
    unchecked: usize,
}

impl Read {
    /// Work that is done between two looks at the clock, in samples.
    const CHECK: usize = 1 << 16;

    #[inline]
    pub(super) fn add(
        &mut self,
        evaluator: &Evaluator<'_>,
        samples: usize,
    ) -> Result<(), QueryError> {
        self.largest = self.largest.max(samples);
        self.all += samples as u64;
        self.unchecked += samples + 1;
        if self.unchecked > Self::CHECK {
            self.unchecked = 0;
            evaluator.limits.check()?;
        }
        Ok(())
    }

    /// What all windows read, when they are whole.
    pub(super) fn of_all(windows: &Windows) -> Self {
        Self {
            largest: windows.largest,
            all: windows.all,
            unchecked: 0,
        }
    }

    pub(super) fn finish(self, evaluator: &Evaluator<'_>) -> Result<(), QueryError> {
        evaluator.limits.count_read(self.all);
        evaluator.limits.fits(self.largest)
    }
}
