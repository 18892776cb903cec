//! What one page brought, and what of it was refused.

use tsdb_model::{AppendError, Labels};

use crate::stats::{Counters, add};

/// What one page brought.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Series lines.
    pub(crate) scraped: u64,
    /// Of them, kept by relabelling.
    pub(crate) kept: u64,
    /// Of them, new.
    pub(crate) added: u64,
    pub(crate) duplicates: u64,
    pub(crate) out_of_order: u64,
    pub(crate) out_of_bounds: u64,
    pub(crate) exemplars_out_of_order: u64,
    /// New series that the store refused.
    pub(crate) refused: u64,
}

impl Tally {
    /// Counts a refused sample; gives the error back when it is not one of those that concern
    /// only this sample.
    pub(crate) fn count(&mut self, error: AppendError) -> Result<(), AppendError> {
        match error {
            AppendError::OutOfOrder | AppendError::TooOld => self.out_of_order += 1,
            AppendError::Duplicate { .. } => self.duplicates += 1,
            AppendError::OutOfBounds => self.out_of_bounds += 1,
            AppendError::SeriesLimit { .. }
            | AppendError::MemoryLimit { .. }
            | AppendError::UnknownSeries => self.refused += 1,
            other => return Err(other),
        }
        Ok(())
    }

    /// Adds to the counters, and says in the log once per page what was refused.
    pub(crate) fn publish(&self, counters: &Counters, target: &Labels) {
        add(&counters.duplicate_timestamp, self.duplicates);
        add(&counters.out_of_order, self.out_of_order);
        add(&counters.out_of_bounds, self.out_of_bounds);
        add(&counters.exemplar_out_of_order, self.exemplars_out_of_order);
        if self.duplicates + self.out_of_order + self.out_of_bounds + self.refused > 0 {
            tracing::warn!(
                target_labels = %target,
                duplicate_timestamp = self.duplicates,
                out_of_order = self.out_of_order,
                out_of_bounds = self.out_of_bounds,
                refused_series = self.refused,
                "samples dropped"
            );
        }
    }
}
