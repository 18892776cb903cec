//! A finished block: opening it, and its parts.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tsdb_model::StorageError;

use super::bytes::Bad;
use super::frames::{Body, FRAME_BYTES};
use super::labels::TextCache;
use super::layout::{Counts, Refused, SECTION_NAMES, Section, Sections, TRAILER_BYTES, Trailer};
use super::samples::TimesCache;
use super::symbols::{Name, take_names};
use super::{BlockMeta, block_name};
use crate::dir::Dir;
use crate::wal::io_error;

/// A finished block. Index and pages are read where they are; decoded times are kept for a while.
#[derive(Debug)]
pub(crate) struct Block {
    meta: BlockMeta,
    pub(super) body: Body,
    pub(super) sections: Sections,
    pub(super) counts: Counts,
    pub(super) names: Vec<Name>,
    pub(super) times: Mutex<TimesCache>,
    pub(super) texts: Mutex<TextCache>,
    /// Reading failed because the file is damaged.
    damaged: AtomicBool,
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
}
