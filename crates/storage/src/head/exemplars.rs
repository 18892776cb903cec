//! The newest exemplars of all series, in order of arrival.

use std::collections::VecDeque;

use hashbrown::HashMap;
use tsdb_model::{Exemplar, Labels, SeriesRef};

/// An exemplar with its series.
#[derive(Debug, Clone)]
pub(crate) struct ExemplarEntry {
    pub(crate) series: SeriesRef,
    pub(crate) series_labels: Labels,
    pub(crate) exemplar: Exemplar,
    /// The commit that brought it.
    pub(crate) commit: u64,
}

/// The newest exemplar of a series and the number of all it has.
#[derive(Debug)]
struct Newest {
    count: usize,
    exemplar: Exemplar,
}

/// How an exemplar relates to the newest one of its series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExemplarOrder {
    Newer,
    Same,
    Older,
}

/// The exemplars.
#[derive(Debug)]
pub(crate) struct Exemplars {
    ring: VecDeque<ExemplarEntry>,
    newest: HashMap<SeriesRef, Newest>,
    max: usize,
}

/// Order of two exemplars of one series.
pub(crate) fn order(newest: &Exemplar, exemplar: &Exemplar) -> ExemplarOrder {
    if exemplar.timestamp_ms != newest.timestamp_ms {
        return if exemplar.timestamp_ms > newest.timestamp_ms {
            ExemplarOrder::Newer
        } else {
            ExemplarOrder::Older
        };
    }
    if exemplar.value.to_bits() == newest.value.to_bits() && exemplar.labels == newest.labels {
        return ExemplarOrder::Same;
    }
    let key = |e: &Exemplar| (e.labels.stable_hash(), e.labels.clone());
    let by_value = exemplar.value.total_cmp(&newest.value);
    if by_value
        .then_with(|| key(exemplar).cmp(&key(newest)))
        .is_lt()
    {
        ExemplarOrder::Older
    } else {
        ExemplarOrder::Newer
    }
}

impl Exemplars {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            ring: VecDeque::new(),
            newest: HashMap::new(),
            max,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.ring.len()
    }

    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// Changes how many are kept.
    pub(crate) fn set_max(&mut self, max: usize) {
        self.max = max;
        while self.ring.len() > max {
            self.pop();
        }
    }

    /// In order of arrival.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &ExemplarEntry> {
        self.ring.iter()
    }

    /// Newest exemplar of a series.
    pub(crate) fn newest(&self, series: SeriesRef) -> Option<&Exemplar> {
        self.newest.get(&series).map(|n| &n.exemplar)
    }

    /// Adds an exemplar that is newer than all of its series; the oldest of all makes room.
    pub(crate) fn push(&mut self, entry: ExemplarEntry) {
        if self.max == 0 {
            return;
        }
        if self.ring.len() >= self.max {
            self.pop();
        }
        let newest = self.newest.entry(entry.series).or_insert_with(|| Newest {
            count: 0,
            exemplar: entry.exemplar.clone(),
        });
        newest.count += 1;
        newest.exemplar = entry.exemplar.clone();
        self.ring.push_back(entry);
    }

    fn pop(&mut self) {
        if let Some(entry) = self.ring.pop_front() {
            self.forget(entry.series);
        }
    }

    fn forget(&mut self, series: SeriesRef) {
        if let Some(newest) = self.newest.get_mut(&series) {
            newest.count -= 1;
            if newest.count == 0 {
                self.newest.remove(&series);
            }
        }
    }

    /// Drops exemplars before `floor`, as far as they are the first to go anyway.
    pub(crate) fn drop_before(&mut self, floor: i64) {
        while self
            .ring
            .front()
            .is_some_and(|e| e.exemplar.timestamp_ms < floor)
        {
            self.pop();
        }
    }
}
