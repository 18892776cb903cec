//! Cuts: what the head holds before a time becomes blocks, without stalling appends or queries.
//!
//! A cut takes its snapshot between two commits, and between two log segments. From then on samples
//! before its end are noted with their series when they are committed. So, while the blocks are
//! written series by series, the snapshot is what is there but for what is noted; and when they are
//! finished, exactly that is dropped. What was noted goes into late blocks at a later cut.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tsdb_model::{Exemplar, Labels, SeriesRef, StorageError};

use crate::block::{Block, BlockWriter, HistogramRow, NewBlock, SeriesColumns};
use crate::dir::Dir;
use crate::head::series::SeriesSnapshot;
use crate::head::{Batch, Head};
use crate::jobs::Jobs;
use crate::parts::HistogramPart;
use crate::shared::{Shared, count, lock};
use crate::stop::Throttle;
use crate::wal::log::Log;

/// Series looked at under one lock.
const SLICE: usize = 512;

/// Ranges that a merged block spans.
pub(crate) const MERGED_RANGES: i64 = 12;

/// The beginning of the range of length `range` that `t` is in.
pub(crate) fn align(t: i64, range: i64) -> i64 {
    t.div_euclid(range).checked_mul(range).unwrap_or(i64::MIN)
}

/// What a cut embodies.
#[derive(Debug, Clone, Copy)]
struct Snapshot {
    number: u32,
    /// Cuts whose late samples are in blocks: those below this number.
    embodied: u32,
    floor: i64,
    until: i64,
    /// The first log segment behind it.
    segment: u32,
    deletes_until: u64,
    /// Late samples it takes, about.
    late: u64,
}

/// A series that a cut may take something of.
#[derive(Debug)]
struct Source {
    labels: Labels,
    handle: SeriesRef,
    /// It has something between the floor and the end of the cut.
    main: bool,
    /// Merged ranges, by number, in which it has late samples.
    late: Vec<i64>,
}

/// Which samples of the snapshot go into a block.
#[derive(Debug, Clone, Copy)]
enum Piece {
    Main,
    /// Late ones in these times, the end not included.
    Late(i64, i64),
}

/// The samples of a snapshot that pass `keep`, as columns. `shared` are the times of the series
/// before: the same times are not made twice.
pub(crate) fn columns(
    snapshot: &SeriesSnapshot,
    mint: i64,
    maxt: i64,
    shared: &mut Arc<Vec<i64>>,
    keep: impl Fn(i64) -> bool,
) -> Result<SeriesColumns, StorageError> {
    let mut out = SeriesColumns::default();
    let mut times = Vec::new();
    let values = &mut out.values;
    let decoded = snapshot.floats.decode(mint, maxt, |t, v| {
        if keep(t) {
            times.push(t);
            values.push(v);
        }
    });
    decoded.map_err(|e| StorageError::Corrupt {
        path: "a chunk in memory".into(),
        offset: 0,
        what: e.to_string(),
    })?;
    if !snapshot.starts.is_empty() {
        let mut last = 0;
        for (row, t) in times.iter().enumerate() {
            let start = snapshot.starts.at(*t);
            if start != last {
                out.starts.push((row, start));
                last = start;
            }
        }
    }
    let mut gap = false;
    for h in &snapshot.histograms {
        if h.t < mint || h.t > maxt || !keep(h.t) {
            gap = true;
            continue;
        }
        let mut row = HistogramRow {
            t: h.t,
            start: snapshot.starts.at(h.t),
            hint: h.hint,
            value: h.value.clone(),
        };
        if std::mem::take(&mut gap) {
            row.forget_reset();
        }
        out.histograms.push(row);
    }
    if **shared != times {
        *shared = Arc::new(times);
    }
    out.times = Arc::clone(shared);
    Ok(out)
}

impl Snapshot {
    fn source(&self, head: &Head, slot: u32, merged_range: i64) -> Option<Source> {
        let (series, handle) = (head.in_slot(slot)?, head.handle_of(slot)?);
        let mut late: Vec<i64> = series
            .late(self.embodied..self.number)
            .into_iter()
            .filter(|t| *t < self.floor)
            .map(|t| t.div_euclid(merged_range))
            .collect();
        late.dedup();
        let main = series
            .oldest_from(self.floor, &head.pool)
            .is_some_and(|t| t < self.until);
        (main || !late.is_empty()).then(|| Source {
            labels: head.labels(series),
            handle,
            main,
            late,
        })
    }

    /// The samples of a series that belong to a piece.
    fn read(
        &self,
        shared: &Shared,
        handle: SeriesRef,
        piece: Piece,
        times: &mut Arc<Vec<i64>>,
    ) -> Result<SeriesColumns, StorageError> {
        let (mint, until, noted) = match piece {
            Piece::Main => (self.floor, self.until, self.number..self.number + 1),
            Piece::Late(from, until) => (from, until.min(self.floor), self.embodied..self.number),
        };
        let Some(maxt) = until.checked_sub(1) else {
            return Ok(SeriesColumns::default());
        };
        let (snapshot, noted) = {
            let head = shared.head();
            let Some(series) = head.get(handle) else {
                return Ok(SeriesColumns::default());
            };
            (
                series.snapshot(mint, maxt, u64::MAX, &head.pool),
                series.late(noted),
            )
        };
        columns(&snapshot, mint, maxt, times, |t| {
            noted.binary_search(&t).is_ok() == matches!(piece, Piece::Late(..))
        })
    }
}

impl Shared {
    /// The end of the times that may be cut: the newest sample, but not later than now, less half a
    /// range.
    fn cuttable(&self) -> i64 {
        match self.head().max_t {
            Some(max_t) => max_t
                .min(self.options.clock.now_ms())
                .saturating_sub(self.options.block_range_ms / 2),
            None => i64::MIN,
        }
    }

    /// Cuts all ranges that are complete, and folds late samples into blocks if there are many.
    /// True when something was cut.
    pub(crate) fn cut_due(
        &self,
        jobs: &mut Jobs,
        throttle: &mut Throttle<'_>,
    ) -> Result<bool, StorageError> {
        let mut any = self.cut_ranges(jobs, self.cuttable(), throttle)?;
        let (late, floor) = {
            let head = self.head();
            (head.cuts.late, head.cuts.floor)
        };
        if late > self.options.max_late_samples {
            self.cut(jobs, floor, throttle)?;
            any = true;
        }
        Ok(any)
    }

    /// Cuts all ranges that end at `until` or before, and late samples with the first of them.
    pub(crate) fn cut_ranges(
        &self,
        jobs: &mut Jobs,
        until: i64,
        throttle: &mut Throttle<'_>,
    ) -> Result<bool, StorageError> {
        let mut any = false;
        while let Some(end) = self.next_cut(until) {
            self.cut(jobs, end, throttle)?;
            any = true;
        }
        Ok(any)
    }

    /// Cuts all ranges that end at `until` or before, and all late samples.
    pub(crate) fn cut_all(
        &self,
        jobs: &mut Jobs,
        until: i64,
        throttle: &mut Throttle<'_>,
    ) -> Result<bool, StorageError> {
        let mut any = self.cut_ranges(jobs, until, throttle)?;
        let (late, floor) = {
            let head = self.head();
            (head.cuts.late, head.cuts.floor)
        };
        if late > 0 {
            self.cut(jobs, floor, throttle)?;
            any = true;
        }
        self.clean_head(self.retention_floor());
        self.drop_segments(self.retention_floor(), jobs.cut_log)?;
        Ok(any)
    }

    /// The end of the oldest range that is not cut, if it is at `until` or before.
    fn next_cut(&self, until: i64) -> Option<i64> {
        let range = self.options.block_range_ms;
        let (floor, at_least, slots) = {
            let head = self.head();
            let floor = head.cuts.floor;
            (floor, floor.max(head.min_t?), head.slots())
        };
        if align(at_least, range).saturating_add(range) > until || floor == i64::MAX {
            return None;
        }
        let mut oldest: Option<i64> = None;
        for first in (0..slots).step_by(SLICE) {
            let head = self.head();
            let slice = first as u32..slots.min(first + SLICE) as u32;
            let series = slice.filter_map(|slot| head.in_slot(slot));
            let of_slice = series
                .filter_map(|s| s.oldest_from(floor, &head.pool))
                .min();
            oldest = match (oldest, of_slice) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        let end = align(oldest?, range).saturating_add(range);
        (floor < end && end <= until).then_some(end)
    }

    /// Takes the snapshot of a cut that ends at `until`.
    fn begin_cut(&self, until: i64) -> Result<Snapshot, StorageError> {
        let mut log = lock(&self.log);
        self.check_writable()?;
        self.finish_segment(&mut log)?;
        let segment = log.current_number();
        self.carry_exemplars(&mut log)?;
        let mut head = self.head_mut();
        // Whoever holds the log and has synced all of it may publish all that is in it.
        head.published = head.applied;
        head.cuts.begun += 1;
        head.cuts.until = until;
        Ok(Snapshot {
            number: head.cuts.begun,
            embodied: head.cuts.embodied,
            floor: head.cuts.floor,
            until,
            segment,
            deletes_until: head.view.last_delete,
            late: head.cuts.late,
        })
    }

    /// Puts all exemplars into the new segment, before anything newer: no block holds them, and the
    /// segments before it will go.
    fn carry_exemplars(&self, log: &mut Log) -> Result<(), StorageError> {
        let exemplars: Vec<(SeriesRef, Exemplar)> = {
            let head = self.head();
            let all = head.exemplars.iter();
            all.map(|e| (e.series, e.exemplar.clone())).collect()
        };
        if exemplars.is_empty() {
            return Ok(());
        }
        let batch = Batch {
            exemplars,
            ..Batch::default()
        };
        self.store(log, batch).map(drop)?;
        self.sync_all()
    }

    /// Cuts everything before `until`.
    fn cut(
        &self,
        jobs: &mut Jobs,
        until: i64,
        throttle: &mut Throttle<'_>,
    ) -> Result<(), StorageError> {
        let start = Instant::now();
        // A block takes about half of what its samples take in memory.
        let bytes = self.head().pool.totals.bytes / 2;
        self.check_space(bytes, true)?;
        let snapshot = self.begin_cut(until)?;
        let mut written = Vec::new();
        let result = self.write_cut(jobs, &snapshot, throttle, &mut written);
        if let Err(e) = result {
            self.head_mut().cuts.until = i64::MIN;
            for id in written {
                self.discard(jobs, id);
            }
            return Err(e);
        }
        {
            let mut head = self.head_mut();
            let mut blocks = head.view.plain_blocks();
            blocks.extend(result.unwrap_or_default());
            self.replace_view(&mut head, blocks, None);
            head.cuts.floor = until.max(snapshot.floor);
            head.cuts.until = i64::MIN;
            head.cuts.embodied = snapshot.number;
            head.cuts.late = head.cuts.late.saturating_sub(snapshot.late);
            jobs.undropped = Some(head.view.number);
        }
        jobs.cut_log = (snapshot.segment, until);
        count(&self.counters.cuts);
        self.counters.cut_durations.add(start.elapsed());
        self.drop_embodied(jobs);
        Ok(())
    }

    /// Writes the blocks of a cut: late ones first, because the main one states the floor. `ids`
    /// gets the numbers of all that may be on the disk.
    fn write_cut(
        &self,
        jobs: &mut Jobs,
        snapshot: &Snapshot,
        throttle: &mut Throttle<'_>,
        ids: &mut Vec<u64>,
    ) -> Result<Vec<Arc<Block>>, StorageError> {
        let merged_range = self.options.block_range_ms.saturating_mul(MERGED_RANGES);
        let sources = self.sources(snapshot, merged_range, throttle)?;
        let mut late: BTreeMap<i64, Vec<&Source>> = BTreeMap::new();
        for source in &sources {
            for range in &source.late {
                late.entry(*range).or_default().push(source);
            }
        }
        let mut blocks = Vec::new();
        let mut write = |new: NewBlock, piece: Piece, of: &[&Source]| {
            ids.push(new.id);
            let block = self.write_block(Arc::clone(&self.dir), new, of, throttle, |s, times| {
                snapshot.read(self, s.handle, piece, times)
            });
            block.map(|b| blocks.push(Arc::new(b)))
        };
        for (range, of) in late {
            let from = range.checked_mul(merged_range).unwrap_or(i64::MIN);
            let until = from.saturating_add(merged_range);
            let id = jobs.catalogue.new_id();
            let new = NewBlock {
                id,
                order: id,
                late: true,
                range_from: from,
                range_until: until,
                deletes_until: snapshot.deletes_until,
                level: 1,
                ..NewBlock::default()
            };
            write(new, Piece::Late(from, until), &of)?;
        }
        if snapshot.until > snapshot.floor {
            let main: Vec<&Source> = sources.iter().filter(|s| s.main).collect();
            let id = jobs.catalogue.new_id();
            let from = snapshot
                .until
                .saturating_sub(self.options.block_range_ms)
                .max(snapshot.floor);
            let new = NewBlock {
                id,
                order: id,
                range_from: from,
                range_until: snapshot.until,
                log_until: snapshot.segment,
                cut_until: Some(snapshot.until),
                deletes_until: snapshot.deletes_until,
                level: 1,
                ..NewBlock::default()
            };
            write(new, Piece::Main, &main)?;
        }
        Ok(blocks)
    }

    /// The series that a cut takes something of, by labels.
    fn sources(
        &self,
        snapshot: &Snapshot,
        merged_range: i64,
        throttle: &mut Throttle<'_>,
    ) -> Result<Vec<Source>, StorageError> {
        let mut sources = Vec::new();
        let slots = self.head().slots();
        for first in (0..slots).step_by(SLICE) {
            let slice = first as u32..slots.min(first + SLICE) as u32;
            {
                let head = self.head();
                sources.extend(slice.filter_map(|slot| snapshot.source(&head, slot, merged_range)));
            }
            throttle.pause()?;
        }
        sources.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        Ok(sources)
    }

    /// Writes one block, series by series.
    fn write_block(
        &self,
        dir: Arc<dyn Dir>,
        new: NewBlock,
        sources: &[&Source],
        throttle: &mut Throttle<'_>,
        read: impl Fn(&Source, &mut Arc<Vec<i64>>) -> Result<SeriesColumns, StorageError>,
    ) -> Result<Block, StorageError> {
        let sets = sources.iter().map(|s| s.labels.clone()).collect();
        let mut writer = BlockWriter::create(dir, new, sets)?;
        let mut times = Arc::default();
        for (index, source) in sources.iter().enumerate() {
            writer.write_series(index, &read(source, &mut times)?)?;
            throttle.pause()?;
        }
        self.finish_block(writer)
    }

    /// Finishes a block, and counts it.
    pub(crate) fn finish_block(&self, writer: BlockWriter) -> Result<Block, StorageError> {
        let block = writer.finish()?;
        let bytes = block.meta().bytes;
        self.counters
            .block_bytes_written
            .fetch_add(bytes, Ordering::Relaxed);
        Ok(block)
    }

    /// Drops from memory what blocks hold, as soon as no querier is left that does not see these.
    pub(crate) fn drop_embodied(&self, jobs: &mut Jobs) {
        let Some(number) = jobs.undropped else {
            return;
        };
        if self.oldest_view() < number {
            return;
        }
        let (slots, floor) = {
            let head = self.head();
            (head.slots(), head.cuts.floor)
        };
        for first in (0..slots).step_by(SLICE) {
            let slice = first as u32..slots.min(first + SLICE) as u32;
            let needy: Vec<u32> = {
                let head = self.head();
                let old = |slot: &u32| head.in_slot(*slot)?.min_t().filter(|t| *t < floor);
                slice.filter(|slot| old(slot).is_some()).collect()
            };
            if needy.is_empty() {
                continue;
            }
            // No commit may be between its check and its end.
            let _log = lock(&self.log);
            let mut head = self.head_mut();
            for slot in needy {
                head.drop_embodied(slot);
            }
        }
        jobs.undropped = None;
        self.refresh_range();
    }
}

/// The head's content as blocks in another directory, as of one commit.
impl Shared {
    pub(crate) fn snapshot_head(
        &self,
        jobs: &mut Jobs,
        dir: &Arc<dyn Dir>,
        commit: u64,
        deletes_until: u64,
        throttle: &mut Throttle<'_>,
    ) -> Result<(), StorageError> {
        let range = self.options.block_range_ms;
        let slots = self.head().slots();
        let mut sources = Vec::new();
        for slot in 0..slots as u32 {
            let head = self.head();
            if let Some(series) = head.in_slot(slot)
                && series.visible(commit, i64::MIN, i64::MAX)
                && let Some(handle) = head.handle_of(slot)
            {
                sources.push(Source {
                    labels: head.labels(series),
                    handle,
                    main: true,
                    late: Vec::new(),
                });
            }
        }
        sources.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        let read = |s: &Source, mint: i64, maxt: i64, times: &mut Arc<Vec<i64>>| {
            let head = self.head();
            let series = head.get(s.handle);
            let snapshot = series.map(|s| s.snapshot(mint, maxt, commit, &head.pool));
            drop(head);
            let snapshot = snapshot.unwrap_or_default();
            columns(&snapshot, mint, maxt, times, |t| {
                snapshot.hidden.binary_search(&t).is_err()
            })
        };
        // Which ranges there are, and who has something in each.
        let mut ranges: BTreeMap<i64, Vec<&Source>> = BTreeMap::new();
        for source in &sources {
            let all = read(source, i64::MIN, i64::MAX, &mut Arc::default())?;
            let histograms = all.histograms.iter().map(|h| h.t);
            let times = all.times.iter().copied().chain(histograms);
            let mut of_series: Vec<i64> = times.map(|t| t.div_euclid(range)).collect();
            of_series.sort_unstable();
            of_series.dedup();
            for number in of_series {
                ranges.entry(number).or_default().push(source);
            }
            throttle.pause()?;
        }
        let floor = self.head().cuts.floor;
        for (number, of) in ranges {
            let from = number.checked_mul(range).unwrap_or(i64::MIN);
            let until = from.saturating_add(range);
            let id = jobs.catalogue.new_id();
            let late = from < floor;
            let new = NewBlock {
                id,
                order: id,
                late,
                range_from: from,
                range_until: until,
                cut_until: (!late).then_some(until),
                deletes_until,
                level: 1,
                ..NewBlock::default()
            };
            let maxt = if number == i64::MAX.div_euclid(range) {
                i64::MAX
            } else {
                until - 1
            };
            self.write_block(Arc::clone(dir), new, &of, throttle, |s, times| {
                read(s, from, maxt, times)
            })?;
        }
        Ok(())
    }
}
