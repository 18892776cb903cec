//! Reading a block.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;
use tsdb_codec::page::{decode_bundle_column, decode_page_range};
use tsdb_codec::times::{decode_presence, decode_times};
use tsdb_model::{
    HistogramSample, HistogramValue, Label, Labels, SeriesData, StorageError, is_stale,
};

use super::bytes::{Bad, Cursor};
use super::columns::{ColumnPage, take_column};
use super::entry::{ENTRY_RESTART, Head, Place, RESTART_BYTES, Slot};
use super::frames::{Body, FRAME_BYTES};
use super::histogram::take_histograms;
use super::identity::{CHUNK_SERIES, ChunkHead, HEAD_BYTES};
use super::layout::{Counts, Refused, SECTION_NAMES, Section, Sections, TRAILER_BYTES, Trailer};
use super::sets::{SETS_RESTART, restart_bytes as set_restart_bytes, take_set};
use super::starts::{starts_within, take_starts};
use super::symbols::{
    Name, PAIRS_RESTART, Values, restart_bytes as pair_restart_bytes, take_names,
};
use super::{BlockMeta, HistogramRow, SeriesColumns, block_name};
use crate::dir::Dir;
use crate::wal::io_error;

/// Bytes of decoded times kept, so that series of a target share them.
const CACHED_TIME_BYTES: usize = 4 << 20;

/// A finished block. Index and pages are read where they are; decoded times are kept for a while.
#[derive(Debug)]
pub(crate) struct Block {
    meta: BlockMeta,
    pub(super) body: Body,
    sections: Sections,
    pub(super) counts: Counts,
    pub(super) names: Vec<Name>,
    times: Mutex<TimesCache>,
    texts: Mutex<TextCache>,
    /// Reading failed because the file is damaged.
    damaged: AtomicBool,
}

/// Label values and targets met lately: most series share most of theirs.
#[derive(Debug, Default)]
struct TextCache {
    values: HashMap<u32, Box<str>>,
    targets: HashMap<u32, Box<[u32]>>,
}

/// Pairs and targets whose texts are kept, most.
const CACHED_PAIRS: usize = 4096;
const CACHED_TARGETS: usize = 512;

/// Column and time range.
type TimesKey = (u32, i64, i64);

#[derive(Debug, Default)]
struct TimesCache {
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
    /// Opens a block: its footer and index are checked, pages when they are read.
    pub(crate) fn open(dir: &Arc<dyn Dir>, id: u64) -> Result<Self, StorageError> {
        Self::open_file(dir, &block_name(id), id, true)
    }

    /// Checks every checksum of a file that has no name yet.
    pub(super) fn check_file(dir: &Arc<dyn Dir>, name: &str, id: u64) -> Result<(), StorageError> {
        let block = Self::open_file(dir, name, id, false)?;
        for frame in 0..block.body.frames() {
            block.body.check(frame)?;
        }
        Ok(())
    }

    fn open_file(dir: &Arc<dyn Dir>, name: &str, id: u64, map: bool) -> Result<Self, StorageError> {
        let io = |e| io_error("reading", name, &e);
        let corrupt = |offset: u64, what: &str| StorageError::Corrupt {
            path: name.to_string(),
            offset,
            what: what.to_string(),
        };
        let file = dir.open(name).map_err(|e| io_error("opening", name, &e))?;
        let size = file.size().map_err(io)?;
        let Some(trailer_at) = size.checked_sub(TRAILER_BYTES as u64) else {
            return Err(corrupt(0, "too short for a block"));
        };
        let trailer = file.read_at(trailer_at, TRAILER_BYTES).map_err(io)?;
        let trailer = Trailer::parse(&trailer).map_err(|b| corrupt(trailer_at, b.0))?;
        let Some(footer_at) = trailer_at.checked_sub(trailer.footer_bytes as u64) else {
            return Err(corrupt(trailer_at, "length of the footer"));
        };
        let footer = file.read_at(footer_at, trailer.footer_bytes).map_err(io)?;
        let footer = trailer
            .footer(&footer, size)
            .map_err(|refused| match refused {
                Refused::Damaged(what) => corrupt(footer_at, what),
                Refused::Newer => StorageError::Unavailable(format!(
                    "{name} was written by a newer version of tsdb, which this one cannot read"
                )),
            })?;
        if footer.new.id != id {
            return Err(corrupt(footer_at, "it is another block than its name says"));
        }
        let table = usize::try_from(footer.table_bytes());
        let table = table.map_err(|_| corrupt(footer.body, "too large"))?;
        let table = file.read_at(footer.body, table).map_err(io)?;
        if table.len() as u64 != footer.table_bytes() || crc32c::crc32c(&table) != footer.table_crc
        {
            return Err(corrupt(footer.body, "checksum of the table does not match"));
        }
        let crcs = table
            .as_chunks::<4>()
            .0
            .iter()
            .map(|crc| u32::from_le_bytes(*crc))
            .collect();
        let mut block = Self {
            meta: footer.meta(size),
            body: Body::new(file, map, name.into(), footer.body, crcs)?,
            counts: footer.counts,
            sections: footer.sections,
            names: Vec::new(),
            times: Mutex::default(),
            texts: Mutex::default(),
            damaged: AtomicBool::new(false),
        };
        // Of the directory each frame is only needed for the series in it.
        let index =
            block.sections.get(Section::Times).end..block.sections.get(Section::Directory).start;
        let frame = |at: u64| (at / FRAME_BYTES as u64) as usize;
        for frame in frame(index.start)..=frame(index.end.saturating_sub(1)) {
            block.body.check(frame)?;
        }
        let names = block.whole(Section::Names)?;
        let names = take_names(&names, block.counts.pairs);
        block.names = names.map_err(|b| block.bad(Section::Names, b))?;
        Ok(block)
    }

    /// Remembers that a part cannot be read; true the first time.
    pub(crate) fn mark_damaged(&self) -> bool {
        !self.damaged.swap(true, Ordering::Relaxed)
    }

    /// True when some part could not be read.
    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    /// What is known of the block.
    pub(crate) fn meta(&self) -> &BlockMeta {
        &self.meta
    }

    /// Number of series. They are numbered from 0 in the order of their labels.
    pub(crate) fn series(&self) -> u32 {
        self.counts.series
    }

    /// Numbers of what is in the index.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// The sections and their bytes.
    pub(crate) fn sections(&self) -> Vec<(&'static str, u64)> {
        let names = SECTION_NAMES.into_iter();
        let bytes = |section| {
            let range = self.sections.get(section);
            range.end - range.start
        };
        names
            .map(|(section, name)| (name, bytes(section)))
            .collect()
    }

    /// Bytes of a section.
    #[cfg(test)]
    pub(super) fn section_bytes(&self, section: Section) -> u64 {
        let range = self.sections.get(section);
        range.end - range.start
    }

    pub(super) fn bad(&self, section: Section, bad: Bad) -> StorageError {
        self.body.corrupt(self.sections.get(section).start, bad.0)
    }

    fn whole(&self, section: Section) -> Result<Cow<'_, [u8]>, StorageError> {
        let range = self.sections.get(section);
        let len = usize::try_from(range.end - range.start);
        self.body.bytes(
            range.start,
            len.map_err(|_| self.bad(section, Bad("too large")))?,
        )
    }

    /// Bytes of a section, from `at` on.
    pub(super) fn part(
        &self,
        section: Section,
        at: u64,
        len: usize,
    ) -> Result<Cow<'_, [u8]>, StorageError> {
        let range = self.sections.get(section);
        let start = range.start.checked_add(at);
        let start = start.filter(|s| {
            s.checked_add(len as u64)
                .is_some_and(|end| end <= range.end)
        });
        let start = start.ok_or_else(|| self.bad(section, Bad("reference behind the end")))?;
        self.body.bytes(start, len)
    }

    /// The part of a section between two restarts. `heads` bytes of places stand in front; the
    /// one wanted is the `number`th.
    pub(super) fn between(
        &self,
        section: Section,
        heads: u64,
        number: u32,
    ) -> Result<Cow<'_, [u8]>, StorageError> {
        let at = u64::from(number) * 4;
        let count = if at + 8 <= heads { 2 } else { 1 };
        let places = self.part(section, at, 4 * count)?;
        let range = self.sections.get(section);
        let all = (range.end - range.start).saturating_sub(heads);
        let mut places = places.as_chunks::<4>().0.iter();
        let mut place = || places.next().map(|p| u64::from(u32::from_le_bytes(*p)));
        let from = place().unwrap_or(0);
        let to = place().unwrap_or(all);
        let len = to
            .checked_sub(from)
            .and_then(|len| usize::try_from(len).ok());
        let len = len.ok_or_else(|| self.bad(section, Bad("places do not rise")))?;
        self.part(section, heads.saturating_add(from), len)
    }

    /// Local set and target of a series.
    fn identity(&self, index: u32) -> Result<(u32, u32), StorageError> {
        let section = Section::Identity;
        let number = index / CHUNK_SERIES;
        let head = self.chunk_head(number)?;
        let count = CHUNK_SERIES.min(self.counts.series.saturating_sub(number * CHUNK_SERIES));
        let bits = self.chunk_bits(&head, count)?;
        head.get(&bits, index % CHUNK_SERIES)
            .map_err(|b| self.bad(section, b))
    }

    pub(super) fn chunks(&self) -> u32 {
        self.counts.series.div_ceil(CHUNK_SERIES)
    }

    pub(super) fn chunk_head(&self, number: u32) -> Result<ChunkHead, StorageError> {
        let at = u64::from(number) * HEAD_BYTES as u64;
        let bytes = self.part(Section::Identity, at, HEAD_BYTES)?;
        ChunkHead::parse(&bytes).map_err(|b| self.bad(Section::Identity, b))
    }

    pub(super) fn chunk_bits(
        &self,
        head: &ChunkHead,
        series: u32,
    ) -> Result<Cow<'_, [u8]>, StorageError> {
        let at = u64::from(self.chunks()) * HEAD_BYTES as u64 + u64::from(head.at);
        self.part(Section::Identity, at, head.bytes(series))
    }

    fn set(
        &self,
        section: Section,
        sets: u32,
        number: u32,
        out: &mut Vec<u32>,
    ) -> Result<(), StorageError> {
        if number >= sets {
            return Err(self.bad(section, Bad("number of a label set")));
        }
        let bytes = self.between(section, set_restart_bytes(sets), number / SETS_RESTART)?;
        take_set(&bytes, number % SETS_RESTART, self.counts.pairs, out)
            .map_err(|b| self.bad(section, b))
    }

    /// The values from the restart before a pair on.
    pub(super) fn pair_group(&self, group: u32) -> Result<Cow<'_, [u8]>, StorageError> {
        self.between(Section::Pairs, pair_restart_bytes(self.counts.pairs), group)
    }

    /// The name of a pair.
    fn name_of(&self, pair: u32) -> Result<&str, StorageError> {
        let number = self.names.partition_point(|n| n.first_pair <= pair);
        let name = number.checked_sub(1).and_then(|n| self.names.get(n));
        name.map(|n| &*n.text)
            .ok_or_else(|| self.bad(Section::Names, Bad("pair without a name")))
    }

    /// The value of a pair.
    pub(super) fn value_of(&self, pair: u32) -> Result<Box<str>, StorageError> {
        let bytes = self.pair_group(pair / PAIRS_RESTART)?;
        let mut values = Values::new(&bytes);
        let value = values.nth(pair % PAIRS_RESTART);
        value
            .map(Box::from)
            .map_err(|b| self.bad(Section::Pairs, b))
    }

    /// The labels of a series.
    pub(crate) fn labels(&self, index: u32) -> Result<Labels, StorageError> {
        // Who finds the cache taken goes without.
        match self.texts.try_lock() {
            Ok(mut cache) => self.labels_with(index, &mut cache),
            Err(_) => self.labels_with(index, &mut TextCache::default()),
        }
    }

    fn labels_with(&self, index: u32, cache: &mut TextCache) -> Result<Labels, StorageError> {
        if index >= self.counts.series {
            return Err(self.bad(Section::Identity, Bad("number of a series")));
        }
        let (local, target) = self.identity(index)?;
        let mut set = Vec::new();
        if let Some(of_target) = cache.targets.get(&target) {
            self.set(Section::Locals, self.counts.locals, local, &mut set)?;
            set.extend_from_slice(of_target);
        } else {
            let mut of_target = Vec::new();
            self.set(
                Section::Targets,
                self.counts.targets,
                target,
                &mut of_target,
            )?;
            self.set(Section::Locals, self.counts.locals, local, &mut set)?;
            set.extend_from_slice(&of_target);
            if cache.targets.len() >= CACHED_TARGETS {
                cache.targets.clear();
            }
            cache.targets.insert(target, of_target.into());
        }
        set.sort_unstable();
        if cache.values.len() + set.len() > CACHED_PAIRS {
            cache.values.clear();
        }
        for pair in &set {
            if !cache.values.contains_key(pair) {
                cache.values.insert(*pair, self.value_of(*pair)?);
            }
        }
        let mut labels: Vec<Label<'_>> = Vec::with_capacity(set.len());
        for pair in &set {
            let (name, value) = (self.name_of(*pair)?, cache.values.get(pair));
            let value = value.map_or("", |v| v);
            if value.is_empty() || labels.last().is_some_and(|l| l.name >= name) {
                return Err(self.bad(Section::Locals, Bad("not a label set")));
            }
            labels.push(Label { name, value });
        }
        Ok(Labels::from_sorted(labels))
    }

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
