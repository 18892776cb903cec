//! Grids of times and columns of values: how the value of an expression at all steps is held.

use std::sync::Arc;

use tsdb_model::{FloatHistogram, Labels};

/// The times at which something is evaluated, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    /// First time.
    pub(crate) start: i64,
    /// Distance of the times; at least 1.
    pub(crate) step: i64,
    /// Number of times; may be 0.
    pub(crate) steps: usize,
}

impl Grid {
    /// One time only.
    pub(crate) fn single(time: i64) -> Self {
        Self {
            start: time,
            step: 1,
            steps: 1,
        }
    }

    /// `start`, `start + step`, .. up to `end`.
    pub(crate) fn new(start: i64, end: i64, step: i64) -> Self {
        let step = step.max(1);
        let steps = if end < start {
            0
        } else {
            let steps = (i128::from(end) - i128::from(start)) / i128::from(step) + 1;
            usize::try_from(steps).unwrap_or(usize::MAX)
        };
        Self { start, step, steps }
    }

    /// Time of step `i`.
    #[inline]
    pub(crate) fn time(&self, i: usize) -> i64 {
        self.start
            .saturating_add((i as i64).saturating_mul(self.step))
    }

    /// The last time; the first one when there is none.
    pub(crate) fn end(&self) -> i64 {
        self.time(self.steps.saturating_sub(1))
    }
}

/// Floats at some of the steps of a grid.
#[derive(Debug, Clone, Default)]
pub(crate) struct Column {
    first: usize, // step of values[0]
    values: Vec<f64>,
    present: Option<Vec<u64>>, // one bit per value; none when all are there
}

impl Column {
    /// `values[i]` at step `first + i`.
    pub(crate) fn full(first: usize, values: Vec<f64>) -> Self {
        Self {
            first,
            values,
            present: None,
        }
    }

    /// An empty column with room for `steps` values.
    pub(crate) fn with_capacity(steps: usize) -> Self {
        Self::full(0, Vec::with_capacity(steps))
    }

    /// Takes all values out, keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.values.clear();
        self.present = None;
    }

    /// Makes room for values at `steps` steps, in an empty column.
    pub(crate) fn reserve(&mut self, steps: usize) {
        self.values.reserve_exact(steps.min(1 << 16));
    }

    /// Gives memory back that was reserved for far more values than came.
    pub(crate) fn give_back(&mut self) {
        if self.values.capacity() / 2 > self.values.len() {
            self.values.shrink_to_fit();
        }
    }

    /// Adds values from step `first` on without a gap, to an empty column.
    #[inline]
    pub(crate) fn fill(&mut self, first: usize, values: impl ExactSizeIterator<Item = f64>) {
        self.first = first;
        self.values.extend(values);
    }

    /// Adds a value. Steps must increase from call to call.
    #[inline]
    pub(crate) fn push(&mut self, step: usize, value: f64) {
        if self.values.is_empty() {
            self.first = step;
        }
        let at = step - self.first;
        if at > self.values.len() || self.present.is_some() {
            self.push_sparse(at, value);
        } else {
            self.values.push(value);
        }
    }

    #[cold]
    fn push_sparse(&mut self, at: usize, value: f64) {
        let bits = self.present.get_or_insert_with(|| {
            let mut bits = vec![u64::MAX; self.values.len() / 64];
            bits.push((1 << (self.values.len() % 64)) - 1);
            bits
        });
        self.values.resize(at, 0.0);
        self.values.push(value);
        bits.resize(at / 64 + 1, 0);
        bits[at / 64] |= 1 << (at % 64);
    }

    #[inline]
    fn has(&self, at: usize) -> bool {
        match &self.present {
            None => at < self.values.len(),
            Some(bits) => bits
                .get(at / 64)
                .is_some_and(|word| word >> (at % 64) & 1 == 1),
        }
    }

    /// The value at a step.
    #[inline]
    pub(crate) fn get(&self, step: usize) -> Option<f64> {
        let at = step.checked_sub(self.first)?;
        self.has(at).then(|| self.values[at])
    }

    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        match &self.present {
            None => self.values.len(),
            Some(bits) => bits.iter().map(|word| word.count_ones() as usize).sum(),
        }
    }

    /// True when there is no value.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// `(first step, values)` when there is no gap between the first value and the last.
    pub(crate) fn run(&self) -> Option<(usize, &[f64])> {
        self.present
            .is_none()
            .then_some((self.first, self.values.as_slice()))
    }

    /// `(step, value)` in order of steps.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        self.values
            .iter()
            .enumerate()
            .filter(|(at, _)| self.present.is_none() || self.has(*at))
            .map(|(at, value)| (self.first + at, *value))
    }

    /// Replaces each value.
    pub(crate) fn map(&mut self, f: impl Fn(f64) -> f64) {
        for value in &mut self.values {
            *value = f(*value);
        }
    }

    /// What `f(step, value)` makes of the values.
    pub(crate) fn filter_map(&self, mut f: impl FnMut(usize, f64) -> Option<f64>) -> Self {
        let mut out = Self::with_capacity(self.values.len());
        for (step, value) in self.iter() {
            if let Some(value) = f(step, value) {
                out.push(step, value);
            }
        }
        out
    }

    /// Values of both; `None` when both have one at the same step.
    pub(crate) fn union(&self, other: &Self) -> Option<Self> {
        let mut out = Self::with_capacity(self.len() + other.len());
        let (mut a, mut b) = (self.iter().peekable(), other.iter().peekable());
        loop {
            let next = match (a.peek(), b.peek()) {
                (Some(x), Some(y)) if x.0 == y.0 => return None,
                (Some(x), Some(y)) if x.0 < y.0 => a.next(),
                (_, Some(_)) => b.next(),
                (Some(_), None) => a.next(),
                (None, None) => return Some(out),
            };
            if let Some((step, value)) = next {
                out.push(step, value);
            }
        }
    }
}

impl FromIterator<(usize, f64)> for Column {
    fn from_iter<I: IntoIterator<Item = (usize, f64)>>(iter: I) -> Self {
        let mut out = Self::default();
        for (step, value) in iter {
            out.push(step, value);
        }
        out
    }
}

/// The value of one series at one step.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    Float(f64),
    Histogram(Arc<FloatHistogram>),
}

/// One series of a vector at all steps. At each step there is a float, a histogram or nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    /// The metric name is to be dropped at the end of the query.
    pub(crate) drop_name: bool,
    pub(crate) floats: Column,
    /// `(step, histogram)` in order of steps.
    pub(crate) histograms: Vec<(usize, Arc<FloatHistogram>)>,
}

impl Series {
    /// A series without values.
    pub(crate) fn new(labels: Labels, drop_name: bool) -> Self {
        Self {
            labels,
            drop_name,
            ..Self::default()
        }
    }

    /// Takes all values out, keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.floats.clear();
        self.histograms.clear();
    }

    /// The value at a step.
    pub(crate) fn get(&self, step: usize) -> Option<Cell> {
        if let Some(value) = self.floats.get(step) {
            return Some(Cell::Float(value));
        }
        let at = self.histograms.binary_search_by_key(&step, |(s, _)| *s);
        at.ok()
            .map(|at| Cell::Histogram(self.histograms[at].1.clone()))
    }

    /// Adds a value. Steps must increase from call to call.
    pub(crate) fn push(&mut self, step: usize, cell: Cell) {
        match cell {
            Cell::Float(value) => self.floats.push(step, value),
            Cell::Histogram(h) => self.histograms.push((step, h)),
        }
    }

    /// True when there is no value at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.floats.is_empty() && self.histograms.is_empty()
    }

    /// Steps that have a value, in order.
    pub(crate) fn steps(&self) -> Vec<usize> {
        let floats = self.floats.iter().map(|(step, _)| step);
        if self.histograms.is_empty() {
            return floats.collect();
        }
        let mut steps: Vec<usize> = floats
            .chain(self.histograms.iter().map(|(step, _)| *step))
            .collect();
        steps.sort_unstable();
        steps
    }

    /// Samples it stands for in the budget.
    pub(crate) fn samples(&self) -> usize {
        let histograms = self.histograms.iter().map(|(_, h)| histogram_samples(h));
        self.floats.len() + histograms.sum::<usize>()
    }

    /// Values of both under the labels of `self`; `None` when both have one at the same step.
    pub(crate) fn union(self, other: &Self) -> Option<Self> {
        let floats = self.floats.union(&other.floats)?;
        let mut histograms = self.histograms;
        histograms.extend(other.histograms.iter().cloned());
        histograms.sort_by_key(|(step, _)| *step);
        if histograms.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return None;
        }
        Some(Self {
            labels: self.labels,
            drop_name: self.drop_name,
            floats,
            histograms,
        })
    }
}

/// Float samples a histogram counts for in the budget: its size in units of 16 bytes.
pub(crate) fn histogram_samples(h: &FloatHistogram) -> usize {
    let spans = h.positive_spans.len() + h.negative_spans.len();
    let numbers = h.positive_buckets.len() + h.negative_buckets.len() + h.custom_values.len();
    (168 + 8 * (spans + numbers) + 8) / 16
}

/// A number at all steps.
#[derive(Debug, Clone)]
pub(crate) enum Scalar {
    /// The same at all steps.
    Constant(f64),
    /// One per step.
    Steps(Vec<f64>),
}

impl Scalar {
    /// The number at a step.
    #[inline]
    pub(crate) fn get(&self, step: usize) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Steps(values) => values[step],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids() {
        let grid = Grid::new(10, 35, 10);
        assert_eq!((grid.steps, grid.time(2), grid.end()), (3, 30, 30));
        assert_eq!(Grid::new(10, 9, 10).steps, 0);
        assert_eq!(Grid::new(i64::MIN, i64::MAX, 1).steps, usize::MAX);
        assert_eq!(Grid::new(5, 5, 0).steps, 1);
    }

    #[test]
    fn columns_with_gaps() {
        for gap in [1usize, 2, 63, 64, 65, 200] {
            let steps: Vec<usize> = (0..150).map(|i| 3 + i * gap).collect();
            let column: Column = steps.iter().map(|s| (*s, *s as f64)).collect();
            assert_eq!(column.len(), 150);
            assert_eq!(column.run().is_some(), gap == 1);
            let got: Vec<usize> = column.iter().map(|(s, _)| s).collect();
            assert_eq!(got, steps);
            for step in 0..(4 + 150 * gap) {
                assert_eq!(
                    column.get(step).is_some(),
                    steps.contains(&step),
                    "{gap} {step}"
                );
            }
        }
    }

    #[test]
    fn dense_then_gap() {
        let mut column = Column::default();
        for step in (0..64).chain(66..70) {
            column.push(step, 1.0);
        }
        assert_eq!(column.len(), 68);
        assert_eq!(column.get(64), None);
        assert_eq!(column.get(66), Some(1.0));
    }

    #[test]
    fn unions() {
        let a: Column = [(0, 1.0), (4, 2.0)].into_iter().collect();
        let b: Column = [(2, 3.0), (3, 4.0)].into_iter().collect();
        let both: Vec<_> = a.union(&b).unwrap().iter().collect();
        assert_eq!(both, [(0, 1.0), (2, 3.0), (3, 4.0), (4, 2.0)]);
        assert!(a.union(&a).is_none());
    }
}
