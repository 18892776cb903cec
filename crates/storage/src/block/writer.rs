//! Writing a block.

use std::sync::Arc;

use hashbrown::HashMap;
use tsdb_codec::times::encode_presence;
use tsdb_model::{Labels, StorageError};

use super::bytes::Bad;
use super::columns::{Columns, Placed, exact_page};
use super::entry::{ENTRY_RESTART, Entry, INLINE_BYTES, Place, Slot, put_entry};
use super::frames::FrameWriter;
use super::histogram::put_histograms;
use super::index::{build, put_lists};
use super::layout::{Footer, Section, Sections, header, tail};
use super::reader::Block;
use super::starts::put_starts;
use super::{BLOCKS_DIR, NewBlock, SeriesColumns, block_name, factor, temporary_name};
use crate::dir::Dir;
use crate::wal::io_error;

/// Pages remembered, to find equal ones.
const REMEMBERED: usize = 1 << 16;

/// A block that is being written. Dropped unfinished, it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct BlockWriter {
    dir: Arc<dyn Dir>,
    new: NewBlock,
    sets: Vec<Labels>,
    groups: (Vec<u32>, usize),
    has_samples: Vec<bool>,
    /// The set that is expected next, at least.
    next: usize,
    frames: Option<FrameWriter>,
    pages_start: u64,
    columns: Columns,
    seen: Seen,
    directory: Vec<u8>,
    restarts: Vec<u8>,
    series: u32,
    samples: u64,
    min_t: i64,
    max_t: i64,
    /// The file under its temporary name is ours to remove.
    unfinished: bool,
}

/// Pages written lately, to store equal ones once.
#[derive(Debug, Default)]
struct Seen {
    pages: HashMap<u16, (u64, Vec<u8>)>,
}

impl Seen {
    /// Where such a page is already; else it is remembered as being at `offset`.
    fn find(&mut self, page: &[u8], offset: u64) -> Option<u64> {
        let slot = (crc32c::crc32c(page) as usize % REMEMBERED) as u16;
        match self.pages.get(&slot) {
            Some((at, known)) if known == page => Some(*at),
            _ => {
                self.pages.insert(slot, (offset, page.to_vec()));
                None
            }
        }
    }
}

/// What a slot is before it is written.
struct Written {
    page: usize,
    presence: Option<Vec<u8>>,
    inline: Vec<u8>,
    stored: Option<(u64, usize)>,
}

fn refused(bad: Bad) -> StorageError {
    StorageError::Unavailable(format!("a block cannot hold this: {}", bad.0))
}

impl BlockWriter {
    /// Begins a block of series with these label sets, which are sorted and differ.
    pub(crate) fn create(
        dir: Arc<dyn Dir>,
        new: NewBlock,
        sets: Vec<Labels>,
    ) -> Result<Self, StorageError> {
        if !sets.is_sorted_by(|a, b| a < b) || u32::try_from(sets.len()).is_err() {
            return Err(refused(Bad("label sets that are not sorted")));
        }
        let name = temporary_name(new.id);
        let file = dir
            .create(&name)
            .map_err(|e| io_error("creating", &name, &e))?;
        let groups = factor::groups(&sets);
        let columns = Columns::new(groups.1);
        let mut writer = Self {
            dir,
            groups,
            has_samples: vec![false; sets.len()],
            next: 0,
            frames: Some(FrameWriter::new(file, name)),
            pages_start: 0,
            columns,
            seen: Seen::default(),
            directory: Vec::new(),
            restarts: Vec::new(),
            series: 0,
            samples: 0,
            min_t: i64::MAX,
            max_t: i64::MIN,
            unfinished: true,
            new,
            sets,
        };
        let header = header(&writer.new);
        writer.append(&header)?;
        writer.pages_start = writer.bytes();
        Ok(writer)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        match &mut self.frames {
            Some(frames) => frames.append(bytes),
            None => Err(refused(Bad("samples behind its end"))),
        }
    }

    /// Bytes written so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.frames.as_ref().map_or(0, FrameWriter::position)
    }

    /// Place in the section of pages.
    fn position(&self) -> u64 {
        self.bytes() - self.pages_start
    }

    /// Writes the samples of a set; sets come in order. One without samples will not be in the
    /// block.
    pub(crate) fn write_series(
        &mut self,
        index: usize,
        columns: &SeriesColumns,
    ) -> Result<(), StorageError> {
        let (Some(group), true) = (self.groups.0.get(index).copied(), index >= self.next) else {
            return Err(refused(Bad("series out of order")));
        };
        self.next = index + 1;
        let (floats, histograms) = (columns.values.len(), columns.histograms.len());
        if floats == 0 && histograms == 0 {
            return Ok(());
        }
        let rows = columns.first_row..columns.first_row.saturating_add(floats);
        let times = columns.times.get(rows.clone());
        let times = times.ok_or_else(|| refused(Bad("values without times")))?;
        let rise =
            times.is_sorted_by(|a, b| a < b) && columns.histograms.is_sorted_by(|a, b| a.t < b.t);
        let starts = columns.starts.is_sorted_by(|a, b| a.0 < b.0)
            && columns.starts.last().is_none_or(|s| s.0 < floats);
        if !rise || !starts {
            return Err(refused(Bad("times or starts that do not rise")));
        }
        let first = [
            times.first().copied(),
            columns.histograms.first().map(|h| h.t),
        ];
        let last = [
            times.last().copied(),
            columns.histograms.last().map(|h| h.t),
        ];

        if self.series.is_multiple_of(ENTRY_RESTART) {
            let at = u32::try_from(self.directory.len())
                .map_err(|_| refused(Bad("a directory this long")))?;
            let position = self.position().to_le_bytes();
            self.restarts.extend(at.to_le_bytes());
            self.restarts.extend(position.iter().take(6));
        }
        let begin = self.position();
        let mut written = Vec::new();
        let mut column = None;
        if floats > 0 {
            let placed = self
                .columns
                .place(group, &columns.times, rows)
                .map_err(refused)?;
            column = Some(placed.index);
            written = self.write_pages(&placed, &columns.values)?;
        }
        let mut entry = Entry {
            column,
            slots: written.iter().map(Written::slot).collect(),
            ..Entry::default()
        };
        if !columns.starts.is_empty() {
            entry.starts = Some(self.write_blob(&put_starts(&columns.starts).map_err(refused)?)?);
        }
        if histograms > 0 {
            let blob = put_histograms(&columns.histograms).map_err(refused)?;
            entry.histograms = Some(self.write_blob(&blob)?);
        }
        let end = put_entry(&mut self.directory, &entry, begin);
        debug_assert_eq!(end, self.position());
        if let Some(has) = self.has_samples.get_mut(index) {
            *has = true;
        }
        self.series += 1;
        self.samples += (floats + histograms) as u64;
        self.min_t = first.into_iter().flatten().fold(self.min_t, i64::min);
        self.max_t = last.into_iter().flatten().fold(self.max_t, i64::max);
        Ok(())
    }

    fn write_blob(&mut self, blob: &[u8]) -> Result<(u64, usize), StorageError> {
        let at = self.position();
        self.append(blob)?;
        Ok((at, blob.len()))
    }

    fn write_pages(
        &mut self,
        placed: &Placed,
        values: &[f64],
    ) -> Result<Vec<Written>, StorageError> {
        let mut written = Vec::new();
        let mut left = values;
        let (Some(first), Some(last)) = (placed.runs.first(), placed.runs.last()) else {
            return Ok(written);
        };
        let (first, last) = (first.start, last.end);
        let pages = self.columns.pages(placed.column).to_vec();
        let mut runs = placed.runs.iter().peekable();
        for (number, page) in pages.iter().enumerate() {
            let end = page.first_row + page.rows;
            if end <= first || page.first_row >= last {
                continue;
            }
            let mut present = Vec::new();
            let mut count = 0;
            while let Some(run) = runs.peek() {
                let (from, to) = (run.start.max(page.first_row), run.end.min(end));
                if from < to {
                    present.push(from - page.first_row..to - page.first_row);
                    count += to - from;
                }
                if run.end > end {
                    break;
                }
                runs.next();
            }
            if count == 0 {
                continue;
            }
            let (now, behind) = left
                .split_at_checked(count)
                .ok_or_else(|| refused(Bad("rows without values")))?;
            left = behind;
            let presence = (count < page.rows)
                .then(|| encode_presence(&present, page.rows))
                .transpose()
                .map_err(|_| refused(Bad("rows of a series")))?;
            let coded = exact_page(now).map_err(refused)?;
            let mut slot = Written {
                page: number,
                presence,
                inline: Vec::new(),
                stored: None,
            };
            if coded.len() <= INLINE_BYTES {
                slot.inline = coded;
            } else {
                let at = self.position();
                let place = match self.seen.find(&coded, at) {
                    Some(known) => known,
                    None => {
                        self.append(&coded)?;
                        at
                    }
                };
                slot.stored = Some((place, coded.len()));
            }
            written.push(slot);
        }
        Ok(written)
    }

    /// Writes index and footer, forces all to the disk, reads it back, checks it, and gives the
    /// block its name.
    pub(crate) fn finish(mut self) -> Result<Block, StorageError> {
        let series: Vec<(&Labels, u32)> = self
            .sets
            .iter()
            .zip(self.groups.0.iter().copied())
            .zip(&self.has_samples)
            .filter(|(_, has)| **has)
            .map(|(one, _)| one)
            .collect();
        let index = build(&series, self.groups.1).map_err(refused)?;
        let (columns, times) = self.columns.write().map_err(refused)?;
        let lists = index
            .target_groups
            .iter()
            .map(|g| self.columns.of_group(*g));
        let target_columns = put_lists(lists).map_err(refused)?;
        let mut sections = Sections::default();
        sections.set(Section::Pages, self.pages_start..self.bytes());
        let directory = std::mem::take(&mut self.directory);
        let restarts = std::mem::take(&mut self.restarts);
        for (section, bytes) in [
            (Section::Times, times),
            (Section::Columns, columns),
            (Section::TargetColumns, target_columns),
            (Section::Names, index.names),
            (Section::Pairs, index.pairs),
            (Section::Locals, index.locals),
            (Section::Targets, index.targets),
            (Section::Postings, index.postings),
            (Section::Identity, index.identity),
            (Section::Directory, directory),
            (Section::DirectoryRestarts, restarts),
        ] {
            let start = self.bytes();
            self.append(&bytes)?;
            sections.set(section, start..self.bytes());
        }
        let mut counts = index.counts;
        counts.columns = self.columns.len();
        let footer = Footer {
            new: self.new.clone(),
            min_t: self.min_t,
            max_t: self.max_t,
            samples: self.samples,
            counts,
            body: self.bytes(),
            table_crc: 0,
            sections,
        };
        if let Some(frames) = self.frames.take() {
            frames.finish(|crcs| tail(footer, crcs))?;
        }
        let (id, temporary) = (self.new.id, temporary_name(self.new.id));
        Block::check_file(&self.dir, &temporary, id)?;
        let name = block_name(id);
        self.dir
            .rename(&temporary, &name)
            .map_err(|e| io_error("renaming", &temporary, &e))?;
        self.unfinished = false;
        self.dir
            .sync_dir(BLOCKS_DIR)
            .map_err(|e| io_error("syncing", BLOCKS_DIR, &e))?;
        Block::open(&self.dir, id)
    }
}

impl Written {
    fn slot(&self) -> Slot<'_> {
        let place = match self.stored {
            Some((offset, len)) => Place::Stored {
                offset,
                len,
                member: None,
            },
            None => Place::Inline(&self.inline),
        };
        Slot {
            page: self.page,
            presence: self.presence.as_deref(),
            place,
        }
    }
}

impl Drop for BlockWriter {
    fn drop(&mut self) {
        if self.unfinished {
            self.frames = None;
            // If this fails too, the file goes when the store is opened the next time.
            let _ = self.dir.remove(&temporary_name(self.new.id));
        }
    }
}
