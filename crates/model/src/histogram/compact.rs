//! Leaving out empty buckets, and lowering the resolution.

use super::layout::{Adding, Cell, Side, reduce};
use super::{FloatHistogram, HistogramError};

impl FloatHistogram {
    /// Leaves empty buckets out, except for at most `max_empty` of them between two others, where
    /// they save a span.
    pub fn compact(&mut self, max_empty: usize) {
        self.compact_with(max_empty, None);
    }

    /// [`FloatHistogram::compact`] on a histogram and its compensation: a bucket is empty when it
    /// is in both.
    pub(super) fn compact_with(&mut self, max_empty: usize, mut compensation: Option<&mut Self>) {
        let max_empty = i64::try_from(max_empty).unwrap_or(i64::MAX);
        for side in [Side::Positive, Side::Negative] {
            let (spans, counts) = self.side(side);
            let compacted = counts.iter().all(|c| *c != 0.0)
                && spans.iter().all(|s| s.length > 0)
                && spans
                    .iter()
                    .skip(1)
                    .all(|s| i64::from(s.offset) > max_empty);
            if compacted {
                continue;
            }
            let cells = self.cells(side, compensation.as_deref());
            let cells = without_empty(cells, max_empty);
            self.set_cells(side, &cells, compensation.as_deref_mut());
        }
    }

    /// Merges buckets so that the schema becomes `schema`, which must be a lower one.
    pub fn reduce_resolution(&mut self, schema: i32) -> Result<(), HistogramError> {
        if self.uses_custom_buckets() {
            return Err(HistogramError::CannotReduceCustom);
        }
        if schema >= self.schema || schema == super::CUSTOM_BUCKETS_SCHEMA {
            return Err(HistogramError::CannotReduce {
                from: self.schema,
                to: schema,
            });
        }
        for side in [Side::Positive, Side::Negative] {
            let cells = reduce(self.cells(side, None), self.schema, schema, Adding::Plain);
            self.set_cells(side, &cells, None);
        }
        self.schema = schema;
        Ok(())
    }
}

fn without_empty(cells: Vec<Cell>, max_empty: i64) -> Vec<Cell> {
    let mut out: Vec<Cell> = Vec::with_capacity(cells.len());
    for cell in cells {
        if cell.count == 0.0 && cell.compensation == 0.0 {
            continue;
        }
        if let Some(last) = out.last().copied() {
            let gap = i64::from(cell.index) - i64::from(last.index) - 1;
            if gap > 0 && gap <= max_empty {
                out.extend((last.index + 1..cell.index).map(|index| Cell {
                    index,
                    count: 0.0,
                    compensation: 0.0,
                }));
            }
        }
        out.push(cell);
    }
    out
}
