//! Checking a whole block.

use tsdb_model::{Labels, StorageError};

use super::SeriesColumns;
use super::bytes::Bad;
use super::layout::{Section, is_header_of};
use super::reader::Block;

/// What a check of a block found.
#[derive(Debug, Default)]
pub(crate) struct VerifyReport {
    /// Checksums.
    pub(crate) frames: u64,
    pub(crate) series: u64,
    pub(crate) samples: u64,
    /// All that is wrong.
    pub(crate) errors: Vec<StorageError>,
}

/// Most errors that are listed.
const MAX_ERRORS: usize = 1000;

impl VerifyReport {
    fn note<T>(&mut self, result: Result<T, StorageError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                if self.errors.len() < MAX_ERRORS {
                    self.errors.push(error);
                }
                None
            }
        }
    }
}

impl Block {
    /// Checks every checksum anew, and decodes every page and every label set. `progress` gets
    /// steps done and steps in all; when it says false, the check ends.
    pub(crate) fn scrub(&self, mut progress: impl FnMut(u64, u64) -> bool) -> VerifyReport {
        let mut report = VerifyReport::default();
        let (frames, series) = (self.body.frames() as u64, u64::from(self.series()));
        for frame in 0..self.body.frames() {
            report.note(self.body.check(frame));
            report.frames += 1;
            if !progress(report.frames, frames + series) {
                return report;
            }
        }
        let head = self.body.bytes(0, self.body.len().min(4096) as usize);
        if let Some(head) = report.note(head)
            && !is_header_of(&head, &self.meta().new)
        {
            let error = self.body.corrupt(0, "the header is not that of the footer");
            report.errors.push(error);
        }
        report.note(self.check_postings());
        let mut before: Option<Labels> = None;
        let mut columns = SeriesColumns::default();
        let meta = self.meta().clone();
        for index in 0..self.series() {
            if let Some(labels) = report.note(self.labels(index)) {
                if before.as_ref().is_some_and(|b| *b >= labels) {
                    let error = self
                        .body
                        .corrupt(0, format!("series {index} is out of order"));
                    report.errors.push(error);
                }
                before = Some(labels);
            }
            let read = self.read_columns(index, i64::MIN, i64::MAX, &mut columns);
            if report.note(read).is_some() {
                let rows = columns.first_row..columns.first_row + columns.values.len();
                let times = columns.times.get(rows).unwrap_or_default();
                let first = [
                    times.first().copied(),
                    columns.histograms.first().map(|h| h.t),
                ];
                let last = [
                    times.last().copied(),
                    columns.histograms.last().map(|h| h.t),
                ];
                let outside = first.into_iter().flatten().any(|t| t < meta.min_t)
                    || last.into_iter().flatten().any(|t| t > meta.max_t);
                if outside || times.len() != columns.values.len() {
                    let error = self.body.corrupt(0, format!("times of series {index}"));
                    report.errors.push(error);
                }
                report.samples += (columns.values.len() + columns.histograms.len()) as u64;
            }
            report.series += 1;
            if !progress(frames + report.series, frames + series) {
                return report;
            }
        }
        if report.errors.is_empty() && report.samples != meta.samples {
            let error = self.body.corrupt(0, "number of samples");
            report.errors.push(error);
        }
        report
    }

    /// Checks that the postings of all pairs can be read and make up those of the names.
    fn check_postings(&self) -> Result<(), StorageError> {
        for number in 0..self.names.len() {
            let pairs: Vec<u32> = self.pairs_of(number).collect();
            let (has, all) = (self.with_name(number)?, self.with_pairs(&pairs)?);
            if has.locals != all.locals || has.targets != all.targets {
                return Err(self.bad(Section::Names, Bad("posting of a name")));
            }
        }
        Ok(())
    }

    /// The first thing that is wrong with the block, if any.
    #[cfg(test)]
    pub(crate) fn verify(&self) -> Result<(), StorageError> {
        match self.scrub(|_, _| true).errors.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}
