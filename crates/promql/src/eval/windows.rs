//! Which samples lie in the window of each step.

use std::collections::HashMap;
use std::sync::Arc;

use super::column::Grid;

/// Where the windows lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WindowGrid {
    pub(super) grid: Grid,
    /// The time that stands for that of each step.
    pub(super) at: Option<i64>,
    pub(super) offset: i64,
    pub(super) range: i64,
    /// How much further windows reach back, and forth, than the range.
    pub(super) before: i64,
    pub(super) after: i64,
}

impl WindowGrid {
    /// End of the range at a step, inclusive.
    #[inline]
    pub(super) fn range_end(&self, step: usize) -> i64 {
        let time = self.at.unwrap_or_else(|| self.grid.time(step));
        time.saturating_sub(self.offset)
    }

    /// Start of the range at a step, exclusive.
    #[inline]
    pub(super) fn range_start(&self, step: usize) -> i64 {
        self.range_end(step).saturating_sub(self.range)
    }

    /// For each step the samples `from..to` in its window.
    pub(super) fn bounds(&self, times: &[i64]) -> Vec<(u32, u32)> {
        let steps = self.grid.steps;
        if steps == 1 || self.at.is_some() {
            return vec![self.find(times, 0); steps];
        }
        let mut out = Vec::with_capacity(steps);
        let (mut from, mut to) = self.find(times, 0);
        for step in 0..steps {
            let end = self.range_end(step);
            let start = end.saturating_sub(self.range).saturating_sub(self.before);
            let end = end.saturating_add(self.after);
            while times.get(from as usize).is_some_and(|t| *t <= start) {
                from += 1;
            }
            to = to.max(from);
            while times.get(to as usize).is_some_and(|t| *t <= end) {
                to += 1;
            }
            out.push((from, to));
        }
        out
    }

    fn find(&self, times: &[i64], step: usize) -> (u32, u32) {
        let start = self.range_start(step).saturating_sub(self.before);
        let end = self.range_end(step).saturating_add(self.after);
        let from = times.partition_point(|t| *t <= start);
        let to = times.partition_point(|t| *t <= end);
        (from as u32, to.max(from) as u32)
    }
}

/// Most steps whose windows are kept.
const CACHED_STEPS: usize = 1 << 17;

/// A column of times, and which of its rows count.
type Key<'a> = (&'a Arc<Vec<i64>>, usize, usize);

/// Windows of columns of times that many series share.
#[derive(Debug, Default)]
pub(super) struct WindowCache<T> {
    // By address and rows; the column is kept alive with it, so that the address stays its own.
    known: HashMap<(usize, usize, usize), (Arc<Vec<i64>>, Arc<T>)>,
    last: Option<((usize, usize, usize), Arc<T>)>,
}

impl<T> WindowCache<T> {
    /// What `make` makes of the column; made once for each column.
    pub(super) fn get(
        &mut self,
        times: &Arc<Vec<i64>>,
        steps: usize,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        let made: Result<_, std::convert::Infallible> =
            self.try_get((times, 0, times.len()), steps, || Ok(make()));
        match made {
            Ok(made) => made,
        }
    }

    /// The same for some rows of a column.
    pub(super) fn try_get<E>(
        &mut self,
        (times, first, count): Key<'_>,
        steps: usize,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let key = (Arc::as_ptr(times) as usize, first, count);
        if let Some((known, made)) = &self.last
            && *known == key
        {
            return Ok(made.clone());
        }
        if let Some((_, made)) = self.known.get(&key) {
            self.last = Some((key, made.clone()));
            return Ok(made.clone());
        }
        if self.known.len().saturating_mul(steps) >= CACHED_STEPS {
            self.known.clear();
            self.last = None;
        }
        let made = Arc::new(make()?);
        self.known.insert(key, (times.clone(), made.clone()));
        self.last = Some((key, made.clone()));
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_counted_one_by_one(
            gaps in proptest::collection::vec(1i64..30, 0..60),
            start in -100i64..500,
            step in 1i64..50,
            steps in 1usize..40,
            range in 1i64..100,
            offset in -50i64..50,
            (before, after) in (0i64..20, 0i64..20),
            at in proptest::option::of(0i64..500),
        ) {
            let times: Vec<i64> = gaps.iter().scan(0, |t, g| { *t += g; Some(*t) }).collect();
            let windows = WindowGrid { grid: Grid { start, step, steps }, at, offset, range, before, after };
            let bounds = windows.bounds(&times);
            prop_assert_eq!(bounds.len(), steps);
            for (i, (from, to)) in bounds.into_iter().enumerate() {
                let end = at.unwrap_or(start + i as i64 * step) - offset;
                let inside: Vec<i64> = times.iter().copied()
                    .filter(|t| *t > end - range - before && *t <= end + after).collect();
                prop_assert_eq!(&times[from as usize..to as usize], inside.as_slice());
            }
        }
    }
}
