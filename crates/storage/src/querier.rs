//! Reading: queriers see the store as of one commit.

use std::collections::BTreeSet;
use std::sync::Arc;

use tsdb_model::{
    HistogramSample, Labels, Matcher, Querier, SelectHints, SeriesData, SeriesRef, SeriesSet,
    StorageError, is_stale,
};

use crate::head::Head;
use crate::head::index::Name;
use crate::head::series::{Series, SeriesSnapshot};
use crate::shared::Shared;

/// A view of the store between two times, as of one commit.
#[derive(Debug)]
pub(crate) struct StoreQuerier<'a> {
    shared: &'a Shared,
    mint: i64,
    maxt: i64,
    /// The last commit it sees.
    commit: u64,
}

impl<'a> StoreQuerier<'a> {
    pub(crate) fn new(shared: &'a Shared, mint: i64, maxt: i64) -> Self {
        Self {
            shared,
            mint,
            maxt,
            commit: shared.open_reader(),
        }
    }

    /// True when the series has samples in the range that the querier may see.
    fn sees(&self, series: &Series, mint: i64, maxt: i64) -> bool {
        series.first_commit.is_some_and(|c| c <= self.commit) && series.overlaps(mint, maxt)
    }

    fn sees_slot(&self, head: &Head, slot: u32) -> bool {
        head.in_slot(slot)
            .is_some_and(|s| self.sees(s, self.mint, self.maxt))
    }

    fn sees_name(&self, head: &Head, name: &Name) -> bool {
        name.present.iter().any(|slot| self.sees_slot(head, slot))
    }

    /// Calls `each` for the labels of all series that pass the matchers.
    fn for_each(&self, head: &Head, matchers: &[Matcher], mut each: impl FnMut(&Labels)) {
        for slot in &head.index.select(matchers) {
            if let Some(series) = head.in_slot(slot)
                && self.sees(series, self.mint, self.maxt)
            {
                each(&series.labels);
            }
        }
    }
}

impl Drop for StoreQuerier<'_> {
    fn drop(&mut self) {
        self.shared.close_reader(self.commit);
    }
}

/// The first `limit` of sorted texts; all for 0.
fn limited<'a>(sorted: impl Iterator<Item = &'a str>, limit: usize) -> Vec<String> {
    let limit = if limit == 0 { usize::MAX } else { limit };
    sorted.take(limit).map(String::from).collect()
}

impl Querier for StoreQuerier<'_> {
    fn select(
        &self,
        hints: &SelectHints,
        matchers: &[Matcher],
    ) -> Result<Box<dyn SeriesSet + '_>, StorageError> {
        let (mint, maxt) = (self.mint.max(hints.start_ms), self.maxt.min(hints.end_ms));
        let limit = if hints.limit == 0 {
            usize::MAX
        } else {
            hints.limit
        };
        let head = self.shared.head();
        let found = head.index.select(matchers);
        let series = found.iter().filter_map(|slot| {
            let series = head.in_slot(slot).filter(|s| self.sees(s, mint, maxt))?;
            Some((head.handle_of(slot)?, series.labels.clone()))
        });
        Ok(Box::new(StoreSeriesSet {
            shared: self.shared,
            commit: self.commit,
            mint,
            maxt,
            series: series.take(limit).collect(),
        }))
    }

    fn label_names(&self, matchers: &[Matcher], limit: usize) -> Result<Vec<String>, StorageError> {
        let head = self.shared.head();
        if matchers.is_empty() {
            let names = head
                .index
                .names
                .iter()
                .filter(|(_, name)| self.sees_name(&head, name));
            return Ok(limited(names.map(|(name, _)| &**name), limit));
        }
        let mut names: BTreeSet<String> = BTreeSet::new();
        self.for_each(&head, matchers, |labels| {
            for label in labels {
                if !names.contains(label.name) {
                    names.insert(label.name.to_string());
                }
            }
        });
        Ok(limited(names.iter().map(String::as_str), limit))
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        limit: usize,
    ) -> Result<Vec<String>, StorageError> {
        let head = self.shared.head();
        if matchers.is_empty() {
            let values = head
                .index
                .names
                .get(name)
                .into_iter()
                .flat_map(|n| &n.values);
            let seen = values.filter(|(_, p)| p.any(|slot| self.sees_slot(&head, slot)));
            return Ok(limited(seen.map(|(value, _)| &**value), limit));
        }
        let mut values: BTreeSet<String> = BTreeSet::new();
        self.for_each(&head, matchers, |labels| {
            if let Some(value) = labels.get(name)
                && !values.contains(value)
            {
                values.insert(value.to_string());
            }
        });
        Ok(limited(values.iter().map(String::as_str), limit))
    }
}

/// Selected series.
struct StoreSeriesSet<'a> {
    shared: &'a Shared,
    commit: u64,
    mint: i64,
    maxt: i64,
    series: Vec<(SeriesRef, Labels)>,
}

impl SeriesSet for StoreSeriesSet<'_> {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.series[index].1.clone()
    }

    fn read(&self, index: usize, data: &mut SeriesData) -> Result<(), StorageError> {
        data.clear();
        let Some((handle, _)) = self.series.get(index) else {
            return Err(StorageError::Unavailable(format!(
                "no series at position {index}"
            )));
        };
        // A series that retention removed meanwhile has no samples any more.
        let snapshot = self
            .shared
            .head()
            .get(*handle)
            .map(|s| s.snapshot(self.mint, self.maxt, self.commit))
            .unwrap_or_default();
        decode(&snapshot, self.mint, self.maxt, data)
    }
}

/// Fills `data`, which is empty.
fn decode(
    snapshot: &SeriesSnapshot,
    mint: i64,
    maxt: i64,
    data: &mut SeriesData,
) -> Result<(), StorageError> {
    let hidden = |t: i64| !snapshot.hidden.is_empty() && snapshot.hidden.binary_search(&t).is_ok();
    if Arc::get_mut(&mut data.timestamps).is_none() {
        data.timestamps = Arc::default();
    }
    let times = Arc::make_mut(&mut data.timestamps);
    times.clear();
    let values = &mut data.values;
    let (mut stale, mut monotone, mut before) = (false, true, f64::NEG_INFINITY);
    let decoded = snapshot.floats.decode(mint, maxt, |t, v| {
        if hidden(t) {
            return;
        }
        stale |= is_stale(v);
        // False for NaN too.
        monotone &= v >= before;
        before = v;
        times.push(t);
        values.push(v);
    });
    decoded.map_err(|e| StorageError::Corrupt {
        path: "a chunk in memory".into(),
        offset: 0,
        what: e.to_string(),
    })?;
    data.no_stale = !stale;
    data.monotone = monotone;
    if !snapshot.starts.is_empty() {
        let mut last = 0;
        for (row, t) in times.iter().enumerate() {
            let start = snapshot.starts.at(*t);
            if start != last {
                data.start_timestamps.push((row, start));
                last = start;
            }
        }
    }
    let histograms = snapshot.histograms.iter().filter(|h| !hidden(h.t));
    data.histograms.extend(histograms.map(|h| HistogramSample {
        timestamp_ms: h.t,
        start_timestamp_ms: snapshot.starts.at(h.t),
        histogram: h.to_float(),
    }));
    Ok(())
}
