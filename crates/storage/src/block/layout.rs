//! Head and tail of a block file: docs/format/block.md.

use std::ops::Range;

use tsdb_codec::varint::{put_uvarint, put_varint};

use super::bytes::{Bad, Cursor};
use super::frames::FRAME_BYTES;
use super::{BlockMeta, NewBlock};

const MAGIC: [u8; 8] = *b"tsdb-blk";
const TRAILER_MAGIC: [u8; 8] = *b"klb-bdst";

/// Version written.
const VERSION: u16 = 1;

/// Features a reader must know; none so far.
const REQUIRED: u32 = 0;

/// Features a reader may ignore; none so far.
const OPTIONAL: u32 = 0;

/// Bytes of the trailer.
pub(super) const TRAILER_BYTES: usize = 32;

/// Largest footer; there is no reason for one of even a hundredth.
const MAX_FOOTER: usize = 16 << 20;

/// The parts of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Pages = 0,
    Times = 1,
    Columns = 2,
    TargetColumns = 3,
    Names = 4,
    Pairs = 5,
    Locals = 6,
    Targets = 7,
    Postings = 8,
    Identity = 9,
    Directory = 10,
    DirectoryRestarts = 11,
}

/// Number of [`Section`]s.
pub(super) const SECTIONS: usize = 12;

/// Their names in docs/format/block.md.
pub(super) const SECTION_NAMES: [(Section, &str); SECTIONS] = [
    (Section::Pages, "pages"),
    (Section::Times, "times"),
    (Section::Columns, "columns"),
    (Section::TargetColumns, "target columns"),
    (Section::Names, "names"),
    (Section::Pairs, "pairs"),
    (Section::Locals, "locals"),
    (Section::Targets, "targets"),
    (Section::Postings, "postings"),
    (Section::Identity, "identity"),
    (Section::Directory, "directory"),
    (Section::DirectoryRestarts, "restarts"),
];

/// Where the sections are.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sections([Range<u64>; SECTIONS]);

impl Sections {
    pub(super) fn get(&self, section: Section) -> Range<u64> {
        self.0.get(section as usize).cloned().unwrap_or_default()
    }

    pub(super) fn set(&mut self, section: Section, range: Range<u64>) {
        if let Some(place) = self.0.get_mut(section as usize) {
            *place = range;
        }
    }
}

/// Numbers that the index needs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Counts {
    pub(super) series: u32,
    pub(crate) pairs: u32,
    pub(super) locals: u32,
    pub(crate) targets: u32,
    pub(super) columns: u32,
}

/// What the footer says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Footer {
    pub(super) new: NewBlock,
    pub(super) min_t: i64,
    pub(super) max_t: i64,
    pub(super) samples: u64,
    pub(super) counts: Counts,
    pub(super) body: u64,
    pub(super) table_crc: u32,
    pub(super) sections: Sections,
}

fn put_new(out: &mut Vec<u8>, new: &NewBlock) {
    put_uvarint(out, new.id);
    put_uvarint(out, new.order);
    out.push(u8::from(new.late) | u8::from(new.cut_until.is_some()) << 1);
    put_varint(out, new.range_from);
    put_varint(out, new.range_until);
    put_uvarint(out, u64::from(new.log_until));
    if let Some(t) = new.cut_until {
        put_varint(out, t);
    }
    put_uvarint(out, new.deletes_until);
    put_uvarint(out, u64::from(new.level));
    put_uvarint(out, new.replaces.len() as u64);
    for id in &new.replaces {
        put_uvarint(out, *id);
    }
}

fn take_new(cursor: &mut Cursor<'_>) -> Result<NewBlock, Bad> {
    let (id, order) = (cursor.u64()?, cursor.u64()?);
    let flags = cursor.byte()?;
    if flags > 3 {
        return Err(Bad("flags of the block"));
    }
    let (range_from, range_until) = (cursor.i64()?, cursor.i64()?);
    let log_until = cursor.u32()?;
    let cut_until = (flags & 2 != 0).then(|| cursor.i64()).transpose()?;
    let (deletes_until, level) = (cursor.u64()?, cursor.u32()?);
    let parents = cursor.count(cursor.len())?;
    let replaces = (0..parents)
        .map(|_| cursor.u64())
        .collect::<Result<_, _>>()?;
    Ok(NewBlock {
        id,
        order,
        late: flags & 1 != 0,
        range_from,
        range_until,
        log_until,
        cut_until,
        deletes_until,
        level,
        replaces,
    })
}

/// The first bytes of the file.
pub(super) fn header(new: &NewBlock) -> Vec<u8> {
    let mut meta = Vec::new();
    put_new(&mut meta, new);
    let mut out = MAGIC.to_vec();
    out.extend(VERSION.to_le_bytes());
    out.extend(0u16.to_le_bytes());
    out.extend(REQUIRED.to_le_bytes());
    out.extend(OPTIONAL.to_le_bytes());
    out.extend((meta.len() as u32).to_le_bytes());
    out.extend(meta);
    out.extend(crc32c::crc32c(&out).to_le_bytes());
    out
}

/// True when the file begins with the header of this block.
pub(super) fn is_header_of(bytes: &[u8], new: &NewBlock) -> bool {
    bytes.starts_with(&header(new))
}

/// All behind the body: checksums, footer, trailer. `footer.table_crc` is filled in.
pub(super) fn tail(mut footer: Footer, crcs: &[u32]) -> Vec<u8> {
    let mut out: Vec<u8> = crcs.iter().flat_map(|crc| crc.to_le_bytes()).collect();
    footer.table_crc = crc32c::crc32c(&out);
    let mut words = Vec::new();
    put_new(&mut words, &footer.new);
    put_varint(&mut words, footer.min_t);
    put_varint(&mut words, footer.max_t);
    put_uvarint(&mut words, footer.samples);
    let counts = footer.counts;
    for n in [
        counts.series,
        counts.pairs,
        counts.locals,
        counts.targets,
        counts.columns,
    ] {
        put_uvarint(&mut words, u64::from(n));
    }
    put_uvarint(&mut words, footer.body);
    words.extend(footer.table_crc.to_le_bytes());
    for range in &footer.sections.0 {
        put_uvarint(&mut words, range.start);
        put_uvarint(&mut words, range.end.wrapping_sub(range.start));
    }
    let mut trailer = Vec::new();
    trailer.extend((words.len() as u32).to_le_bytes());
    trailer.extend(VERSION.to_le_bytes());
    trailer.extend(0u16.to_le_bytes());
    trailer.extend(REQUIRED.to_le_bytes());
    trailer.extend(OPTIONAL.to_le_bytes());
    trailer.extend(0u32.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&words), &trailer);
    trailer.extend(crc.to_le_bytes());
    trailer.extend(TRAILER_MAGIC);
    out.extend(words);
    out.extend(trailer);
    out
}

/// The last bytes of the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trailer {
    pub(super) footer_bytes: usize,
    crc: u32,
    words: [u8; 20],
    version: u16,
    required: u32,
}

/// What is wrong with a trailer or a footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Damaged(&'static str),
    Newer,
}

impl From<Bad> for Refused {
    fn from(bad: Bad) -> Self {
        Self::Damaged(bad.0)
    }
}

impl Trailer {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Bad> {
        let mut cursor = Cursor::new(bytes);
        let words: [u8; 20] = cursor.fixed()?;
        let crc = cursor.fixed_u32()?;
        if cursor.fixed()? != TRAILER_MAGIC {
            return Err(Bad("the file does not end as a block does"));
        }
        let mut cursor = Cursor::new(&words);
        let footer_bytes = cursor.fixed_u32()? as usize;
        if footer_bytes > MAX_FOOTER {
            return Err(Bad("length of the footer"));
        }
        let version = u16::from_le_bytes(cursor.fixed()?);
        let _: [u8; 2] = cursor.fixed()?;
        Ok(Self {
            footer_bytes,
            crc,
            words,
            version,
            required: cursor.fixed_u32()?,
        })
    }

    /// Checks and reads the footer of a file of `size` bytes.
    pub(super) fn footer(&self, bytes: &[u8], size: u64) -> Result<Footer, Refused> {
        if crc32c::crc32c_append(crc32c::crc32c(bytes), &self.words) != self.crc {
            return Err(Refused::Damaged("checksum of the footer does not match"));
        }
        if self.version != VERSION || self.required & !REQUIRED != 0 {
            return Err(Refused::Newer);
        }
        let mut cursor = Cursor::new(bytes);
        let new = take_new(&mut cursor)?;
        let (min_t, max_t, samples) = (cursor.i64()?, cursor.i64()?, cursor.u64()?);
        let counts = Counts {
            series: cursor.u32()?,
            pairs: cursor.u32()?,
            locals: cursor.u32()?,
            targets: cursor.u32()?,
            columns: cursor.u32()?,
        };
        let body = cursor.u64()?;
        let table_crc = cursor.fixed_u32()?;
        let mut sections = Sections::default();
        for place in &mut sections.0 {
            let start = cursor.u64()?;
            let end = start.checked_add(cursor.u64()?).filter(|e| *e <= body);
            *place = start..end.ok_or(Bad("section behind the end of the body"))?;
        }
        cursor.end()?;
        let footer = Footer {
            new,
            min_t,
            max_t,
            samples,
            counts,
            body,
            table_crc,
            sections,
        };
        let tail = footer
            .table_bytes()
            .checked_add((bytes.len() + TRAILER_BYTES) as u64);
        if tail.and_then(|t| t.checked_add(body)) != Some(size) {
            return Err(Refused::Damaged("size of the file"));
        }
        Ok(footer)
    }
}

impl Footer {
    /// Bytes of the table of checksums, which stands behind the body.
    pub(super) const fn table_bytes(&self) -> u64 {
        self.body.div_ceil(FRAME_BYTES as u64) * 4
    }

    pub(super) fn meta(&self, bytes: u64) -> BlockMeta {
        BlockMeta {
            new: self.new.clone(),
            min_t: self.min_t,
            max_t: self.max_t,
            series: u64::from(self.counts.series),
            samples: self.samples,
            bytes,
        }
    }
}
