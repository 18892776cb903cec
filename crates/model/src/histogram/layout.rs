//! Buckets by index: what all work that changes the layout of a histogram is done on.

use super::kahan::increment;
use super::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram, Span};

/// One bucket: its index, its count, and the compensation of that count where sums are
/// compensated (0 elsewhere).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cell {
    pub(super) index: i32,
    pub(super) count: f64,
    pub(super) compensation: f64,
}

/// How counts are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Adding {
    Plain,
    Compensated,
}

impl Cell {
    /// Adds a count with its compensation.
    pub(super) fn add(&mut self, other: Self, adding: Adding) {
        match adding {
            Adding::Plain => self.count += other.count,
            Adding::Compensated => {
                for v in [other.count, other.compensation] {
                    (self.count, self.compensation) = increment(v, self.count, self.compensation);
                }
            }
        }
    }
}

/// Indices of the buckets that spans describe, in order. Endless spans are the caller's to cut.
pub(super) fn indices(spans: &[Span]) -> impl Iterator<Item = i32> + '_ {
    let mut next = 0i32;
    spans.iter().flat_map(move |span| {
        let start = next.wrapping_add(span.offset);
        next = start.wrapping_add(span.length as i32);
        (0..span.length).map(move |i| start.wrapping_add(i as i32))
    })
}

/// The buckets of one side; without `compensations` these are 0.
pub(super) fn cells(spans: &[Span], counts: &[f64], compensations: &[f64]) -> Vec<Cell> {
    let with_index = indices(spans).zip(counts).enumerate();
    let cell = |(i, (index, count)): (usize, (i32, &f64))| Cell {
        index,
        count: *count,
        compensation: compensations.get(i).copied().unwrap_or(0.0),
    };
    with_index.map(cell).collect()
}

/// Spans for buckets in ascending order of their indices.
pub(super) fn spans(cells: &[Cell]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut next = 0i32;
    for cell in cells {
        match spans.last_mut() {
            Some(span) if cell.index == next => span.length += 1,
            _ => spans.push(Span {
                offset: cell.index.wrapping_sub(next),
                length: 1,
            }),
        }
        next = cell.index.wrapping_add(1);
    }
    spans
}

/// Index of the bucket of a lower resolution that holds the bucket `index`.
pub(super) fn target_index(index: i32, schema: i32, target: i32) -> i32 {
    let shift = schema.saturating_sub(target).clamp(0, 31);
    (index.wrapping_sub(1) >> shift).wrapping_add(1)
}

/// Merges buckets to a lower resolution.
pub(super) fn reduce(cells: Vec<Cell>, schema: i32, target: i32, adding: Adding) -> Vec<Cell> {
    if schema == target {
        return cells;
    }
    let mut out: Vec<Cell> = Vec::with_capacity(cells.len());
    for cell in cells {
        let index = target_index(cell.index, schema, target);
        match out.last_mut() {
            Some(last) if last.index == index => last.add(cell, adding),
            _ => out.push(Cell { index, ..cell }),
        }
    }
    out
}

/// Adds the buckets `other` to `own`, both in ascending order.
pub(super) fn merge(own: Vec<Cell>, other: Vec<Cell>, adding: Adding) -> Vec<Cell> {
    let mut out = Vec::with_capacity(own.len().max(other.len()));
    let mut own = own.into_iter().peekable();
    for cell in other {
        while let Some(before) = own.next_if(|o| o.index < cell.index) {
            out.push(before);
        }
        match own.next_if(|o| o.index == cell.index) {
            Some(mut both) => {
                both.add(cell, adding);
                out.push(both);
            }
            None => out.push(cell),
        }
    }
    out.extend(own);
    out
}

/// Which side of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Positive,
    Negative,
}

impl FloatHistogram {
    /// Spans and counts of one side.
    pub(super) fn side(&self, side: Side) -> (&[Span], &[f64]) {
        match side {
            Side::Positive => (&self.positive_spans, &self.positive_buckets),
            Side::Negative => (&self.negative_spans, &self.negative_buckets),
        }
    }

    /// The buckets of one side, with those of the compensating histogram.
    pub(super) fn cells(&self, side: Side, compensation: Option<&Self>) -> Vec<Cell> {
        let (spans, counts) = self.side(side);
        cells(spans, counts, compensation.map_or(&[], |c| c.side(side).1))
    }

    /// Replaces the buckets of one side, also in the compensating histogram.
    pub(super) fn set_cells(
        &mut self,
        side: Side,
        cells: &[Cell],
        compensation: Option<&mut Self>,
    ) {
        let spans = spans(cells);
        if let Some(c) = compensation {
            let counts = cells.iter().map(|cell| cell.compensation).collect();
            c.set_side(side, spans.clone(), counts);
        }
        self.set_side(side, spans, cells.iter().map(|cell| cell.count).collect());
    }

    fn set_side(&mut self, side: Side, spans: Vec<Span>, counts: Vec<f64>) {
        match side {
            Side::Positive => (self.positive_spans, self.positive_buckets) = (spans, counts),
            Side::Negative => (self.negative_spans, self.negative_buckets) = (spans, counts),
        }
    }

    /// True for histograms with custom bucket bounds (NHCB).
    pub fn uses_custom_buckets(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(index: i32, count: f64) -> Cell {
        Cell {
            index,
            count,
            compensation: 0.0,
        }
    }

    fn span(offset: i32, length: u32) -> Span {
        Span { offset, length }
    }

    #[test]
    fn spans_and_back() {
        let layout = [span(-2, 2), span(1, 0), span(1, 1), span(0, 2)];
        let buckets = cells(&layout, &[1.0, 2.0, 3.0, 4.0, 5.0], &[]);
        let indices: Vec<i32> = buckets.iter().map(|c| c.index).collect();
        assert_eq!(indices, [-2, -1, 2, 3, 4]);
        assert_eq!(spans(&buckets), [span(-2, 2), span(2, 3)]);
        // Fewer counts than the spans ask for, and indices beyond all bounds.
        assert_eq!(cells(&[span(1, u32::MAX)], &[1.0], &[]), [cell(1, 1.0)]);
        let wild = [span(i32::MAX, 2), span(i32::MAX, 1)];
        assert_eq!(cells(&wild, &[1.0; 3], &[]).len(), 3);
    }

    #[test]
    fn reducing() {
        let fine: Vec<Cell> = (-3..=5).map(|i| cell(i, 1.0)).collect();
        let coarse = reduce(fine, 1, 0, Adding::Plain);
        let got: Vec<(i32, f64)> = coarse.iter().map(|c| (c.index, c.count)).collect();
        assert_eq!(got, [(-1, 2.0), (0, 2.0), (1, 2.0), (2, 2.0), (3, 1.0)]);
        assert_eq!(target_index(i32::MIN, 8, -4), (i32::MAX >> 12) + 1);
    }

    #[test]
    fn merging() {
        let a = vec![cell(0, 1.0), cell(2, 1.0)];
        let b = vec![cell(-1, 5.0), cell(2, 5.0), cell(3, 5.0)];
        let got = merge(a, b, Adding::Plain);
        assert_eq!(
            got,
            [cell(-1, 5.0), cell(0, 1.0), cell(2, 6.0), cell(3, 5.0)]
        );
    }
}
