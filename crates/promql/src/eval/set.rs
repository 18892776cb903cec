//! The set operators `and`, `or` and `unless`.

use super::column::{Grid, Series};
use super::matching::match_series;
use super::{Evaluator, Frame};
use crate::ast::{BinaryOp, VectorMatching};
use crate::error::QueryError;

/// At which steps something is there: one bit per step.
#[derive(Debug, Clone, Default)]
pub(super) struct Presence(Vec<u64>);

impl Presence {
    /// Marks a step.
    pub(super) fn insert(&mut self, step: usize) {
        if self.0.len() <= step / 64 {
            self.0.resize(step / 64 + 1, 0);
        }
        self.0[step / 64] |= 1 << (step % 64);
    }

    /// Marks the steps `first..first + count`.
    pub(super) fn insert_run(&mut self, first: usize, count: usize) {
        let end = first + count;
        if self.0.len() < end.div_ceil(64) {
            self.0.resize(end.div_ceil(64), 0);
        }
        let mut step = first;
        while step < end {
            let (word, bit) = (step / 64, step % 64);
            let bits = (64 - bit).min(end - step);
            self.0[word] |= (u64::MAX >> (64 - bits)) << bit;
            step += bits;
        }
    }

    /// True when the step is marked.
    pub(super) fn contains(&self, step: usize) -> bool {
        self.0
            .get(step / 64)
            .is_some_and(|word| word >> (step % 64) & 1 == 1)
    }

    /// Marks all steps at which a series has a value.
    pub(super) fn insert_all(&mut self, series: &Series) {
        if let Some((first, values)) = series.floats.run() {
            self.insert_run(first, values.len());
        } else {
            for (step, _) in series.floats.iter() {
                self.insert(step);
            }
        }
        for (step, _) in &series.histograms {
            self.insert(*step);
        }
    }

    /// Number of marked steps.
    pub(super) fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }
}

impl<'q> Evaluator<'q> {
    /// Value of a set operation.
    pub(super) fn set_operation(
        &self,
        op: BinaryOp,
        lhs: Frame<'q>,
        rhs: Frame<'q>,
        matching: &VectorMatching,
        grid: Grid,
    ) -> Result<Frame<'q>, QueryError> {
        let matched = match_series(&lhs.series, &rhs.series, matching);
        // What decides about the other side: the right one, with `or` the left one.
        let (deciding, groups) = match op {
            BinaryOp::Or => (&lhs.series, &matched.lhs),
            _ => (&rhs.series, &matched.rhs),
        };
        let mut present = vec![Presence::default(); matched.groups];
        for (series, group) in deciding.iter().zip(groups) {
            self.limits.check()?;
            present[*group].insert_all(series);
        }
        let mut charge = lhs.charge;
        let mut out = lhs.series;
        if op == BinaryOp::Or {
            charge.add(rhs.series.iter().map(Series::samples).sum())?;
            let kept = rhs.series.into_iter().zip(&matched.rhs);
            out.extend(kept.map(|(s, group)| keep(s, |step| !present[*group].contains(step))));
        } else {
            let wanted = op == BinaryOp::And;
            for (series, group) in out.iter_mut().zip(&matched.lhs) {
                let whole = std::mem::take(series);
                *series = keep(whole, |step| present[*group].contains(step) == wanted);
            }
        }
        out.retain(|series| !series.is_empty());
        let series = self.unite(out, grid)?;
        let frame = Frame {
            series: Vec::new(),
            charge,
        };
        Self::reframe(frame, series)
    }
}

/// The values at the steps that `wanted` accepts.
fn keep(mut series: Series, wanted: impl Fn(usize) -> bool) -> Series {
    if series.floats.iter().any(|(step, _)| !wanted(step)) {
        series.floats = series
            .floats
            .filter_map(|step, value| wanted(step).then_some(value));
    }
    series.histograms.retain(|(step, _)| wanted(*step));
    series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs() {
        for first in [0, 1, 63, 64, 65, 130] {
            for count in [0, 1, 2, 63, 64, 65, 200] {
                let mut one_by_one = Presence::default();
                let mut at_once = Presence::default();
                for step in first..first + count {
                    one_by_one.insert(step);
                }
                at_once.insert_run(first, count);
                for step in 0..400 {
                    assert_eq!(at_once.contains(step), one_by_one.contains(step));
                }
                assert_eq!(at_once.count(), count);
            }
        }
    }
}
