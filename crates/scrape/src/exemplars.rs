//! Exemplars, each appended once: pages show the same one until there is a new one.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use tsdb_model::{Appender, Exemplar, Labels, SeriesRef};
use tsdb_wire::text::{ExemplarLine, LabelPair};

/// Exemplars with more characters of labels than this are left out.
const MAX_CHARS: usize = 128;

/// What the last pages showed.
#[derive(Debug, Default)]
pub(crate) struct Exemplars {
    hasher: RandomState,
    /// Hashes of those that are stored, one per series.
    last: HashMap<SeriesRef, u64>,
    /// The same of the page being taken in.
    now: HashMap<SeriesRef, u64>,
}

impl Exemplars {
    /// Appends the exemplar of a sample, unless it was there last time. Refusals by the store are
    /// given back to be counted, labels that cannot be read fail the page.
    pub(crate) fn take<'a>(
        &mut self,
        appender: &mut dyn Appender,
        series: SeriesRef,
        line: &ExemplarLine<'a>,
        sample_ms: i64,
        labels: &mut Vec<LabelPair<'a>>,
    ) -> Result<Result<(), tsdb_model::AppendError>, String> {
        let seen = (line.text, line.value.to_bits(), line.timestamp_ms);
        let hash = self.hasher.hash_one(seen);
        self.now.insert(series, hash);
        if self.last.get(&series) == Some(&hash) {
            return Ok(Ok(()));
        }
        labels.clear();
        line.labels(labels).map_err(|e| e.to_string())?;
        let chars = labels
            .iter()
            .map(|(n, v)| n.chars().count() + v.chars().count());
        if chars.sum::<usize>() > MAX_CHARS {
            return Ok(Ok(()));
        }
        let exemplar = Exemplar {
            labels: Labels::from_pairs(labels.iter().map(|(n, v)| (n, v))),
            value: line.value,
            timestamp_ms: line.timestamp_ms.unwrap_or(sample_ms),
        };
        Ok(appender.append_exemplar(series, exemplar))
    }

    /// Ends a page; `stored` when what it brought is in the store.
    pub(crate) fn end(&mut self, stored: bool) {
        if stored {
            self.last = std::mem::take(&mut self.now);
        } else {
            self.now.clear();
        }
    }
}
