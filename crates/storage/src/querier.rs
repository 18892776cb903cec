//! Reading: queriers see the store as of one commit, head and blocks as one.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use hashbrown::HashMap;
use tsdb_model::{
    HistogramSample, Labels, Matcher, Querier, SelectHints, SeriesData, SeriesRef, SeriesSet,
    StopToken, StorageError, is_stale,
};

use crate::head::Head;
use crate::head::index::Name;
use crate::head::series::SeriesSnapshot;
use crate::parts::{Part, merge};
use crate::shared::Shared;
use crate::view::{View, ViewBlock};

/// A view of the store between two times, as of one commit.
#[derive(Debug)]
pub(crate) struct StoreQuerier<'a> {
    shared: &'a Shared,
    mint: i64,
    maxt: i64,
    /// The last commit it sees.
    commit: u64,
    /// The blocks it sees.
    view: Arc<View>,
    stop: StopToken,
}

/// Series looked at between two looks at the clock.
const CHECK: usize = 1024;

impl<'a> StoreQuerier<'a> {
    pub(crate) fn new(shared: &'a Shared, mint: i64, maxt: i64, stop: StopToken) -> Self {
        let (commit, view) = shared.open_reader();
        Self {
            shared,
            mint,
            maxt,
            commit,
            view,
            stop,
        }
    }

    /// Fails now and then when it is time to stop: `n` counts what was done.
    fn check(&self, n: usize) -> Result<(), StorageError> {
        if n.is_multiple_of(CHECK) {
            self.stop.check()?;
        }
        Ok(())
    }

    fn sees_slot(&self, head: &Head, slot: u32) -> bool {
        head.in_slot(slot)
            .is_some_and(|s| s.visible(self.commit, self.mint, self.maxt))
    }

    fn sees_name(&self, head: &Head, name: &Name) -> bool {
        name.present.iter().any(|slot| self.sees_slot(head, slot))
    }

    /// The blocks with something between two times.
    fn blocks(&self, mint: i64, maxt: i64) -> impl Iterator<Item = (usize, &Arc<ViewBlock>)> {
        let all = self.view.blocks.iter().enumerate();
        all.filter(move |(_, b)| b.overlaps(mint, maxt))
    }

    /// Calls `each` for the labels of all series of the head that pass the matchers.
    fn for_each(
        &self,
        matchers: &[Matcher],
        mut each: impl FnMut(&Labels),
    ) -> Result<(), StorageError> {
        let head = self.shared.head();
        let selected = head.index.select_until(matchers, &self.stop);
        for (n, slot) in selected.iter().enumerate() {
            self.check(n)?;
            if let Some(series) = head.in_slot(slot)
                && series.visible(self.commit, self.mint, self.maxt)
            {
                each(&head.labels(series));
            }
        }
        self.stop.check()
    }

    /// Calls `each` for the labels of all series of a block that pass the matchers.
    fn for_each_in(
        &self,
        block: &ViewBlock,
        matchers: &[Matcher],
        mut each: impl FnMut(&Labels),
    ) -> Result<(), StorageError> {
        for (n, series) in block.block.select(matchers)?.into_iter().enumerate() {
            self.check(n)?;
            if !block.all_deleted(series, self.mint, self.maxt)? {
                each(&block.block.labels(series)?);
            }
        }
        Ok(())
    }

    /// The texts that `of` finds in the labels of series that pass the matchers. Without matchers
    /// `in_head` and `in_block` name them more quickly.
    fn texts(
        &self,
        matchers: &[Matcher],
        limit: usize,
        in_head: impl FnOnce(&Head, &mut BTreeSet<String>),
        in_block: impl Fn(&ViewBlock) -> Result<Vec<String>, StorageError>,
        of: impl Fn(&Labels, &mut BTreeSet<String>),
    ) -> Result<Vec<String>, StorageError> {
        let mut texts = BTreeSet::new();
        if matchers.is_empty() {
            in_head(&self.shared.head(), &mut texts);
        } else {
            self.for_each(matchers, |labels| of(labels, &mut texts))?;
        }
        for (_, block) in self.blocks(self.mint, self.maxt) {
            self.stop.check()?;
            if matchers.is_empty() && !block.has_deletes() {
                texts.extend(in_block(block)?);
            } else {
                self.for_each_in(block, matchers, |labels| of(labels, &mut texts))?;
            }
        }
        let limit = if limit == 0 { usize::MAX } else { limit };
        Ok(texts.into_iter().take(limit).collect())
    }
}

impl Drop for StoreQuerier<'_> {
    fn drop(&mut self) {
        self.shared.close_reader(self.commit);
    }
}

fn insert(texts: &mut BTreeSet<String>, text: &str) {
    if !texts.contains(text) {
        texts.insert(text.to_string());
    }
}

/// Finds out which series of several sources are the same.
#[derive(Default)]
struct Found {
    series: Vec<(Labels, Option<SeriesRef>)>,
    /// Series, block, and the series' number there.
    parts: Vec<(u32, u32, u32)>,
    by_labels: HashMap<Labels, u32>,
}

impl Found {
    /// The position of a series that is in a block; `None` when there are enough.
    fn position(&mut self, labels: Labels, limit: usize) -> Option<u32> {
        if let Some(position) = self.by_labels.get(&labels) {
            return Some(*position);
        }
        if self.series.len() >= limit {
            return None;
        }
        let position = self.series.len() as u32;
        self.series.push((labels.clone(), None));
        self.by_labels.insert(labels, position);
        Some(position)
    }
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
        let mut found = Found::default();
        {
            let head = self.shared.head();
            let selected = head.index.select_until(matchers, &self.stop);
            self.stop.check()?;
            let series = selected.iter().filter_map(|slot| {
                let series = head.in_slot(slot)?;
                if !series.visible(self.commit, mint, maxt) {
                    return None;
                }
                Some((head.labels(series), head.handle_of(slot)))
            });
            found.series.extend(series.take(limit));
        }
        let blocks: Vec<_> = self.blocks(mint, maxt).collect();
        if !blocks.is_empty() {
            let known = found.series.iter().zip(0..);
            found.by_labels = known.map(|((labels, _), i)| (labels.clone(), i)).collect();
        }
        for (number, block) in blocks {
            self.stop.check()?;
            for (n, series) in block.block.select(matchers)?.into_iter().enumerate() {
                self.check(n)?;
                if !block.all_deleted(series, mint, maxt)?
                    && let Some(position) = found.position(block.block.labels(series)?, limit)
                {
                    found.parts.push((position, number as u32, series));
                }
            }
        }
        // Those of one series together, in order of the blocks.
        found.parts.sort_unstable();
        Ok(Box::new(StoreSeriesSet {
            shared: self.shared,
            commit: self.commit,
            view: &self.view,
            stop: &self.stop,
            mint,
            maxt,
            series: found.series,
            parts: found.parts,
            last_times: Mutex::default(),
        }))
    }

    fn label_names(&self, matchers: &[Matcher], limit: usize) -> Result<Vec<String>, StorageError> {
        self.texts(
            matchers,
            limit,
            |head, names| {
                let seen = head.index.names.iter();
                let seen = seen.filter(|(_, name)| self.sees_name(head, name));
                names.extend(seen.map(|(name, _)| name.to_string()));
            },
            |block| block.block.label_names(),
            |labels, names| labels.iter().for_each(|l| insert(names, l.name)),
        )
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        limit: usize,
    ) -> Result<Vec<String>, StorageError> {
        self.texts(
            matchers,
            limit,
            |head, texts| {
                let name = head.index.names.get(name);
                let values = name.into_iter().flat_map(|n| &n.values);
                let seen = values.filter(|(_, p)| p.any(|slot| self.sees_slot(head, slot)));
                texts.extend(seen.map(|(value, _)| value.to_string()));
            },
            |block| block.block.label_values(name),
            |labels, values| {
                if let Some(value) = labels.get(name) {
                    insert(values, value);
                }
            },
        )
    }
}

/// Selected series.
struct StoreSeriesSet<'a> {
    shared: &'a Shared,
    commit: u64,
    view: &'a View,
    stop: &'a StopToken,
    mint: i64,
    maxt: i64,
    /// Labels, and the handle of those that the head has.
    series: Vec<(Labels, Option<SeriesRef>)>,
    /// What blocks have: series, block, number there; sorted.
    parts: Vec<(u32, u32, u32)>,
    /// The times of the series that was put together last, to be shared by the next.
    last_times: Mutex<Arc<Vec<i64>>>,
}

impl StoreSeriesSet<'_> {
    fn parts_of(&self, index: usize) -> &[(u32, u32, u32)] {
        let index = index as u32;
        let from = self.parts.partition_point(|p| p.0 < index);
        let to = self.parts.partition_point(|p| p.0 <= index);
        self.parts.get(from..to).unwrap_or_default()
    }

    fn read_head(&self, handle: SeriesRef, data: &mut SeriesData) -> Result<(), StorageError> {
        // A series that retention removed meanwhile has no samples any more.
        let snapshot = {
            let head = self.shared.head();
            head.get(handle)
                .map(|s| s.snapshot(self.mint, self.maxt, self.commit, &head.pool))
                .unwrap_or_default()
        };
        decode(&snapshot, self.mint, self.maxt, data)
    }

    /// The newest sample, when the head has it as a float and nothing has to be decoded for it.
    fn newest_in_head(&self, index: usize) -> Option<(i64, f64)> {
        let (_, handle) = self.series.get(index)?;
        let newest = self.shared.head().get((*handle)?)?.plain_newest()?;
        let newer = |(_, block, _): &(u32, u32, u32)| {
            let block = self.view.blocks.get(*block as usize);
            block.is_none_or(|b| b.block.meta().max_t >= newest.0)
        };
        let sees = self.mint <= newest.0 && newest.0 <= self.maxt;
        (sees && !self.parts_of(index).iter().any(newer)).then_some(newest)
    }

    /// Reads what a block has. The flags hold unless something was deleted from it.
    fn read_block(
        &self,
        block: u32,
        series: u32,
        data: &mut SeriesData,
    ) -> Result<(), StorageError> {
        let Some(block) = self.view.blocks.get(block as usize) else {
            return Ok(());
        };
        let read = block.block.read(series, self.mint, self.maxt, data);
        read.inspect_err(|e| self.shared.read_failed(&block.block, e))?;
        let hidden = block.hidden(series)?;
        if !hidden.is_empty() {
            let flags = (data.no_stale, data.monotone);
            Part::take(data).without(hidden).put(data);
            // Less samples are not less in order.
            (data.no_stale, data.monotone) = flags;
        }
        Ok(())
    }

    /// The same times as those of the series before are the same object.
    fn share_times(&self, data: &mut SeriesData) {
        if let Ok(mut last) = self.last_times.try_lock() {
            if data.first_row == 0 && **last == *data.timestamps {
                data.timestamps = Arc::clone(&last);
            } else {
                *last = Arc::clone(&data.timestamps);
            }
        }
    }
}

impl SeriesSet for StoreSeriesSet<'_> {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.series[index].0.clone()
    }

    fn read_newest(&self, index: usize, data: &mut SeriesData) -> Result<(), StorageError> {
        let Some((t, v)) = self.newest_in_head(index) else {
            return self.read(index, data);
        };
        data.clear();
        data.spare_times.clear();
        data.spare_times.push(t);
        share_times(data);
        data.values.push(v);
        Ok(())
    }

    fn read(&self, index: usize, data: &mut SeriesData) -> Result<(), StorageError> {
        data.clear();
        let Some((_, handle)) = self.series.get(index) else {
            return Err(StorageError::Unavailable(format!(
                "no series at position {index}"
            )));
        };
        let in_blocks = self.parts_of(index);
        match (in_blocks, handle) {
            ([], Some(handle)) => return self.read_head(*handle, data),
            ([(_, block, series)], None) => return self.read_block(*block, *series, data),
            _ => {}
        }
        let mut read = Vec::with_capacity(in_blocks.len() + 1);
        let mut add = |part: SeriesData| {
            if !part.values.is_empty() || !part.histograms.is_empty() {
                read.push(part);
            }
        };
        for (_, block, series) in in_blocks {
            self.stop.check()?;
            let mut part = SeriesData::default();
            self.read_block(*block, *series, &mut part)?;
            add(part);
        }
        if let Some(handle) = handle {
            // The head is younger than all blocks.
            let mut part = SeriesData::default();
            self.read_head(*handle, &mut part)?;
            add(part);
        }
        if read.len() < 2 {
            *data = read.pop().unwrap_or_default();
            return Ok(());
        }
        let stale = read.iter().any(|part| !part.no_stale);
        let merged = merge(read.iter_mut().map(Part::take).collect());
        merged.put(data);
        data.no_stale = !stale || !data.values.iter().any(|v| is_stale(*v));
        let ascend = |pair: &[f64]| pair[0] <= pair[1];
        data.monotone =
            data.values.windows(2).all(ascend) && !data.values.first().is_some_and(|v| v.is_nan());
        self.share_times(data);
        Ok(())
    }
}

/// Makes the times in `spare_times` those of `data`. When the series read before had the same, both
/// share one object.
fn share_times(data: &mut SeriesData) {
    let times = &mut data.spare_times;
    if *data.timestamps == *times {
        return;
    }
    match Arc::get_mut(&mut data.timestamps) {
        Some(before) => std::mem::swap(before, times),
        None => data.timestamps = Arc::new(times.clone()),
    }
}

/// Fills `data`, which is empty but for the times of the series before.
fn decode(
    snapshot: &SeriesSnapshot,
    mint: i64,
    maxt: i64,
    data: &mut SeriesData,
) -> Result<(), StorageError> {
    let hidden = |t: i64| !snapshot.hidden.is_empty() && snapshot.hidden.binary_search(&t).is_ok();
    let times = &mut data.spare_times;
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
    share_times(data);
    if !snapshot.starts.is_empty() {
        let mut last = 0;
        for (row, t) in data.timestamps.iter().enumerate() {
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
