//! The samples of series in a block: docs/format/block.md sections 4 to 8.

use std::ops::Range;
use std::sync::{Arc, PoisonError};

use hashbrown::HashMap;
use tsdb_codec::page::{decode_bundle_column, decode_page_range};
use tsdb_codec::times::{decode_presence, decode_times};
use tsdb_model::{HistogramSample, HistogramValue, SeriesData, StorageError, is_stale};

use super::bytes::{Bad, Cursor};
use super::columns::{ColumnPage, take_column};
use super::entry::{ENTRY_RESTART, Head, Place, RESTART_BYTES, Slot};
use super::histogram::take_histograms;
use super::layout::Section;
use super::reader::Block;
use super::starts::{starts_within, take_starts};
use super::{HistogramRow, SeriesColumns};

/// Bytes of decoded times kept, so that series of a target share them.
const CACHED_TIME_BYTES: usize = 4 << 20;

/// Column and time range.
type TimesKey = (u32, i64, i64);

#[derive(Debug, Default)]
pub(super) struct TimesCache {
    columns: HashMap<TimesKey, Times>,
    bytes: usize,
}

/// Rows of a column within a time range.
#[derive(Debug, Clone, Default)]
struct Times {
    first_row: usize,
    times: Arc<Vec<i64>>,
}

/// The floats of a series in a time range, and what is known of them.
#[derive(Debug, Default)]
struct Floats {
    times: Arc<Vec<i64>>,
    first_row: usize,
    no_stale: bool,
    monotone: bool,
    starts: Vec<(usize, i64)>,
}

impl Block {
    /// Calls `work` with the directory entry of a series, its time column and its pages.
    fn with_entry<T>(
        &self,
        index: u32,
        work: impl FnOnce(EntryOf<'_>) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let section = Section::Directory;
        let bad = |b| self.bad(section, b);
        if index >= self.counts.series {
            return Err(bad(Bad("number of a series")));
        }
        let number = u64::from(index / ENTRY_RESTART);
        let count = self.counts.series.div_ceil(ENTRY_RESTART);
        let more = usize::from(number + 1 < u64::from(count));
        let restarts = self.part(
            Section::DirectoryRestarts,
            number * RESTART_BYTES as u64,
            RESTART_BYTES * (1 + more),
        )?;
        let mut cursor = Cursor::new(&restarts);
        let from = u64::from(cursor.fixed_u32().map_err(bad)?);
        let [a, b, c, d, e, f] = cursor.fixed().map_err(bad)?;
        let mut position = u64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
        let all = self.sections.get(section);
        let to = if more > 0 {
            u64::from(cursor.fixed_u32().map_err(bad)?)
        } else {
            all.end - all.start
        };
        let len = to
            .checked_sub(from)
            .and_then(|len| usize::try_from(len).ok());
        let entries = self.part(section, from, len.ok_or_else(|| bad(Bad("places")))?)?;
        let mut cursor = Cursor::new(&entries);
        for _ in 0..index % ENTRY_RESTART {
            let head = Head::take(&mut cursor).map_err(bad)?;
            head.rest(&mut cursor, &mut position, None).map_err(bad)?;
        }
        let head = Head::take(&mut cursor).map_err(bad)?;
        let mut slots = Vec::new();
        let mut column = (0, Vec::new());
        if let Some(number) = head.column {
            column = self.column(index, number)?;
            let pages = head.first.checked_add(head.count);
            if pages.is_none_or(|p| p > column.1.len()) {
                return Err(bad(Bad("pages behind the time column")));
            }
        }
        let begin = position;
        let [starts, histograms] = head
            .rest(&mut cursor, &mut position, Some(&mut slots))
            .map_err(bad)?;
        work(EntryOf {
            new_bytes: position.wrapping_sub(begin),
            column: column.0,
            pages: &column.1,
            slots: &slots,
            starts,
            histograms,
        })
    }

    /// Time column `number` of the target of a series: its number in the block, and its pages.
    fn column(&self, index: u32, number: u32) -> Result<(u32, Vec<ColumnPage>), StorageError> {
        let section = Section::TargetColumns;
        let (_, target) = self.identity(index)?;
        let places = self.part(section, u64::from(target) * 4, 8)?;
        let mut cursor = Cursor::new(&places);
        let bad = |b| self.bad(section, b);
        let (from, to) = (
            cursor.fixed_u32().map_err(bad)?,
            cursor.fixed_u32().map_err(bad)?,
        );
        let at = from.checked_add(number).filter(|at| *at < to);
        let at = at.ok_or_else(|| bad(Bad("number of a time column")))?;
        let heads = (u64::from(self.counts.targets) + 1) * 4;
        let bytes = self.part(section, heads + u64::from(at) * 4, 4)?;
        let column = Cursor::new(&bytes).fixed_u32().map_err(bad)?;
        if column >= self.counts.columns {
            return Err(bad(Bad("number of a time column")));
        }
        let heads = u64::from(self.counts.columns) * 4;
        let bytes = self.between(Section::Columns, heads, column)?;
        let pages = take_column(&mut Cursor::new(&bytes));
        Ok((column, pages.map_err(|b| self.bad(Section::Columns, b))?))
    }

    /// The rows of a column with `mint <= t <= maxt`.
    fn times(
        &self,
        column: u32,
        pages: &[ColumnPage],
        mint: i64,
        maxt: i64,
    ) -> Result<Times, StorageError> {
        let (Some(first), Some(last)) = (pages.first(), pages.last()) else {
            return Ok(Times::default());
        };
        let (mint, maxt) = (mint.max(first.first), maxt.min(last.last));
        let from = pages.partition_point(|p| p.last < mint);
        let to = pages.partition_point(|p| p.first <= maxt);
        let Some(within) = pages
            .get(from..to)
            .filter(|w| !w.is_empty() && mint <= maxt)
        else {
            return Ok(Times::default());
        };
        let key = (column, mint, maxt);
        let cache = || self.times.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = cache().columns.get(&key) {
            return Ok(known.clone());
        }
        let mut times = Vec::with_capacity(within.iter().map(|p| p.rows).sum());
        for page in within {
            let bytes = self.part(Section::Times, page.at, page.len)?;
            let bad = |what: &'static str| self.bad(Section::Times, Bad(what));
            let at = times.len();
            decode_times(&bytes, page.rows, &mut times).map_err(|_| bad("time column"))?;
            let own = times.get(at..).unwrap_or_default();
            let fits = own.first() == Some(&page.first)
                && own.last() == Some(&page.last)
                && own.is_sorted_by(|a, b| a < b);
            if !fits {
                return Err(bad("times of a column"));
            }
        }
        let skip = times.partition_point(|t| *t < mint);
        times.truncate(times.partition_point(|t| *t <= maxt));
        times.drain(..skip);
        let found = Times {
            first_row: within.first().map_or(0, |p| p.first_row) + skip,
            times: Arc::new(times),
        };
        let bytes = found.times.len() * size_of::<i64>();
        let mut cache = cache();
        if cache.bytes + bytes > CACHED_TIME_BYTES {
            cache.columns.clear();
            cache.bytes = 0;
        }
        if let Some(known) = cache.columns.get(&key) {
            return Ok(known.clone());
        }
        cache.bytes += bytes;
        cache.columns.insert(key, found.clone());
        Ok(found)
    }

    /// Decodes rows `range` (of those there are) of a page.
    fn page(
        &self,
        slot: &Slot<'_>,
        rows: usize,
        range: Range<usize>,
        values: &mut Vec<f64>,
    ) -> Result<(bool, bool), StorageError> {
        let bytes;
        let (page, offset, member) = match slot.place {
            Place::Inline(page) => (page, 0, None),
            Place::Stored {
                offset,
                len,
                member,
            } => {
                bytes = self.part(Section::Pages, offset, len)?;
                (&*bytes, offset, member)
            }
        };
        let decoded = match member {
            None => decode_page_range(page, rows, range, values),
            Some(column) => {
                let from = values.len();
                let flags = decode_bundle_column(page, rows, usize::from(column), values);
                if flags.is_ok() {
                    values.truncate(from + range.end);
                    values.drain(from..from + range.start);
                }
                flags
            }
        };
        match decoded {
            Ok(flags) => Ok((flags.dense, flags.monotone)),
            Err(e) => {
                let start = self.sections.get(Section::Pages).start;
                Err(self
                    .body
                    .corrupt(start.saturating_add(offset), e.to_string()))
            }
        }
    }

    fn floats(
        &self,
        entry: &EntryOf<'_>,
        mint: i64,
        maxt: i64,
        values: &mut Vec<f64>,
    ) -> Result<Floats, StorageError> {
        let wanted = self.times(entry.column, entry.pages, mint, maxt)?;
        let rows = wanted.first_row..wanted.first_row + wanted.times.len();
        let mut runs: Vec<Range<usize>> = Vec::new();
        let (mut no_stale, mut monotone) = (true, true);
        // Rows of the series in front of the range, if they must be known.
        let mut before = 0;
        for slot in entry.slots {
            let Some(page) = entry.pages.get(slot.page) else {
                continue;
            };
            let end = page.first_row + page.rows;
            let outside = page.first_row >= rows.end || end <= rows.start;
            if outside && (entry.starts.is_none() || page.first_row >= rows.end) {
                continue;
            }
            let from = rows.start.max(page.first_row) - page.first_row;
            let to = rows.end.clamp(page.first_row, end) - page.first_row;
            let (mut skipped, mut taken, mut count) = (from, to.max(from), page.rows);
            if let Some(presence) = slot.presence {
                let present = decode_presence(presence, page.rows).map_err(|e| {
                    self.body
                        .corrupt(self.sections.get(Section::Directory).start, e.to_string())
                })?;
                (skipped, taken, count) = (0, 0, 0);
                for run in present {
                    count += run.len();
                    skipped += run.end.min(from).saturating_sub(run.start);
                    taken += run.end.min(to).saturating_sub(run.start);
                    if !outside {
                        push_run(
                            &mut runs,
                            page.first_row + run.start.max(from)..page.first_row + run.end.min(to),
                        );
                    }
                }
            } else if !outside {
                push_run(&mut runs, page.first_row + from..page.first_row + to);
            }
            before += if outside { count } else { skipped };
            if outside || skipped >= taken {
                continue;
            }
            let at = values.len();
            let (dense, rises) = self.page(slot, count, skipped..taken, values)?;
            let last = at.checked_sub(1).and_then(|i| values.get(i));
            monotone &= rises && last.is_none_or(|last| values.get(at).is_some_and(|v| v >= last));
            no_stale &= dense || !values.iter().skip(at).any(|v| is_stale(*v));
        }
        let mut out = Floats {
            times: Arc::clone(&wanted.times),
            first_row: 0,
            no_stale,
            monotone,
            starts: Vec::new(),
        };
        match runs.as_slice() {
            [] => {}
            [run] => out.first_row = run.start - rows.start,
            runs => {
                let of_run = |run: &Range<usize>| {
                    wanted
                        .times
                        .get(run.start - rows.start..run.end - rows.start)
                        .unwrap_or_default()
                };
                out.times = Arc::new(runs.iter().flat_map(of_run).copied().collect());
            }
        }
        if let Some((at, len)) = entry.starts {
            let total = self.rows(entry)?;
            let bytes = self.part(Section::Pages, at, len)?;
            let starts = take_starts(&bytes, total).map_err(|b| self.bad(Section::Pages, b))?;
            out.starts = starts_within(&starts, before, before + values.len());
        }
        Ok(out)
    }

    /// Float samples of a series.
    fn rows(&self, entry: &EntryOf<'_>) -> Result<usize, StorageError> {
        let mut rows = 0;
        for slot in entry.slots {
            let of_page = entry.pages.get(slot.page).map_or(0, |p| p.rows);
            rows += match slot.presence {
                None => of_page,
                Some(presence) => decode_presence(presence, of_page)
                    .map_err(|e| {
                        self.body
                            .corrupt(self.sections.get(Section::Directory).start, e.to_string())
                    })?
                    .iter()
                    .map(Range::len)
                    .sum(),
            };
        }
        Ok(rows)
    }

    /// Samples of a series, and the bytes that only they take.
    pub(crate) fn weight(&self, index: u32) -> Result<(u64, u64), StorageError> {
        self.with_entry(index, |entry| {
            let inline = entry.slots.iter().map(|slot| match slot.place {
                Place::Inline(bytes) => bytes.len() as u64,
                Place::Stored { .. } => 0,
            });
            let bytes = entry.new_bytes + inline.sum::<u64>();
            let mut rows = Vec::new();
            self.histograms(&entry, i64::MIN, i64::MAX, &mut rows)?;
            let floats = self.rows(&entry)?;
            Ok(((floats + rows.len()) as u64, bytes))
        })
    }

    fn histograms(
        &self,
        entry: &EntryOf<'_>,
        mint: i64,
        maxt: i64,
        out: &mut Vec<HistogramRow>,
    ) -> Result<(), StorageError> {
        let Some((at, len)) = entry.histograms else {
            return Ok(());
        };
        let bytes = self.part(Section::Pages, at, len)?;
        let start = self.sections.get(Section::Pages).start;
        take_histograms(&bytes, mint, maxt, out)
            .map_err(|b| self.body.corrupt(start.saturating_add(at), b.0))
    }

    /// The samples of a series with `mint <= t <= maxt`, as queries want them. Series with the same
    /// times share the allocation.
    pub(crate) fn read(
        &self,
        index: u32,
        mint: i64,
        maxt: i64,
        data: &mut SeriesData,
    ) -> Result<(), StorageError> {
        data.clear();
        self.with_entry(index, |entry| {
            let floats = self.floats(&entry, mint, maxt, &mut data.values)?;
            data.timestamps = floats.times;
            data.first_row = floats.first_row;
            data.no_stale = floats.no_stale;
            data.monotone = floats.monotone;
            data.start_timestamps = floats.starts;
            let mut rows = Vec::new();
            self.histograms(&entry, mint, maxt, &mut rows)?;
            data.histograms.extend(rows.into_iter().map(sample));
            Ok(())
        })
        .inspect_err(|_| data.clear())
    }

    /// The samples of a series with `mint <= t <= maxt`, exact.
    pub(crate) fn read_columns(
        &self,
        index: u32,
        mint: i64,
        maxt: i64,
        columns: &mut SeriesColumns,
    ) -> Result<(), StorageError> {
        *columns = SeriesColumns::default();
        self.with_entry(index, |entry| {
            let floats = self.floats(&entry, mint, maxt, &mut columns.values)?;
            columns.times = floats.times;
            columns.first_row = floats.first_row;
            columns.starts = floats.starts;
            self.histograms(&entry, mint, maxt, &mut columns.histograms)
        })
    }
}

/// The directory entry of a series.
struct EntryOf<'a> {
    /// Bytes in the section of pages that no series before has.
    new_bytes: u64,
    column: u32,
    pages: &'a [ColumnPage],
    slots: &'a [Slot<'a>],
    starts: Option<(u64, usize)>,
    histograms: Option<(u64, usize)>,
}

fn push_run(runs: &mut Vec<Range<usize>>, run: Range<usize>) {
    if run.start >= run.end {
        return;
    }
    match runs.last_mut() {
        Some(last) if last.end == run.start => last.end = run.end,
        _ => runs.push(run),
    }
}

fn sample(row: HistogramRow) -> HistogramSample {
    let histogram = match row.value {
        HistogramValue::Float(h) if h.reset_hint == row.hint => h,
        HistogramValue::Float(h) => {
            let mut h = Arc::unwrap_or_clone(h);
            h.reset_hint = row.hint;
            Arc::new(h)
        }
        HistogramValue::Int(h) => {
            let mut h = h.to_float();
            h.reset_hint = row.hint;
            Arc::new(h)
        }
    };
    HistogramSample {
        timestamp_ms: row.t,
        start_timestamp_ms: row.start,
        histogram,
    }
}
