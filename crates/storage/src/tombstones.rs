//! Deletions: the list of those that blocks or log segments do not embody yet, in one small file
//! that is replaced whole. The format is in docs/format/wal.md.
//!
//! A deletion stands between two log segments: it touches all that is in the segments before it,
//! and nothing behind. Blocks say up to which deletion they embody.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::sync::Arc;

use tsdb_codec::varint::{put_uvarint, put_varint, take_uvarint, take_varint};
use tsdb_model::{MatchOp, Matcher, StorageError};

use crate::dir::Dir;
use crate::wal::io_error;

/// The file, and what it is called while it is written.
pub(crate) const FILE: &str = "tombstones";
pub(crate) const TEMPORARY: &str = "tombstones.tmp";

const MAGIC: [u8; 8] = *b"tsdb-del";
const VERSION: u32 = 1;

/// Magic, version, length.
const HEADER_BYTES: usize = 20;

/// One deletion.
#[derive(Debug, Clone)]
pub(crate) struct Delete {
    pub(crate) seq: u64,
    /// The first log segment behind it.
    pub(crate) segment: u32,
    pub(crate) mint: i64,
    pub(crate) maxt: i64,
    pub(crate) matchers: Vec<Matcher>,
}

/// The content of the file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tombstones {
    /// Number of the last deletion ever tried.
    pub(crate) last: u64,
    pub(crate) deletes: Vec<Arc<Delete>>,
}

fn op_number(op: MatchOp) -> u8 {
    match op {
        MatchOp::Equal => 0,
        MatchOp::NotEqual => 1,
        MatchOp::Regex => 2,
        MatchOp::NotRegex => 3,
    }
}

fn op_of(number: u8) -> Option<MatchOp> {
    match number {
        0 => Some(MatchOp::Equal),
        1 => Some(MatchOp::NotEqual),
        2 => Some(MatchOp::Regex),
        3 => Some(MatchOp::NotRegex),
        _ => None,
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_uvarint(out, text.len() as u64);
    out.extend(text.as_bytes());
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let length = usize::try_from(take_uvarint(rest).ok()?).ok()?;
    let (text, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    std::str::from_utf8(text).ok()
}

impl Tombstones {
    fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        put_uvarint(&mut body, self.last);
        put_uvarint(&mut body, self.deletes.len() as u64);
        for delete in &self.deletes {
            put_uvarint(&mut body, delete.seq);
            put_uvarint(&mut body, u64::from(delete.segment));
            put_varint(&mut body, delete.mint);
            put_varint(&mut body, delete.maxt);
            put_uvarint(&mut body, delete.matchers.len() as u64);
            for matcher in &delete.matchers {
                body.push(op_number(matcher.op));
                put_text(&mut body, &matcher.name);
                put_text(&mut body, &matcher.value);
            }
        }
        let mut copy = MAGIC.to_vec();
        copy.extend(VERSION.to_le_bytes());
        copy.extend((body.len() as u64).to_le_bytes());
        copy.extend(body);
        copy.extend(crc32c::crc32c(&copy).to_le_bytes());
        copy.repeat(2)
    }

    /// From one sound copy of the two; `None` when there is none.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (first, second) = bytes.split_at_checked(bytes.len() / 2)?;
        Self::decode_copy(first).or_else(|| Self::decode_copy(second))
    }

    fn decode_copy(copy: &[u8]) -> Option<Self> {
        let (content, crc) = copy.split_last_chunk::<4>()?;
        let (header, mut rest) = content.split_at_checked(HEADER_BYTES)?;
        let version = header.get(8..12)?.first_chunk::<4>()?;
        let sound = header.starts_with(&MAGIC)
            && u32::from_le_bytes(*version) == VERSION
            && crc32c::crc32c(content).to_le_bytes() == *crc;
        if !sound {
            return None;
        }
        let last = take_uvarint(&mut rest).ok()?;
        let mut deletes = Vec::new();
        for _ in 0..take_uvarint(&mut rest).ok()? {
            let seq = take_uvarint(&mut rest).ok()?;
            let segment = u32::try_from(take_uvarint(&mut rest).ok()?).ok()?;
            let (mint, maxt) = (take_varint(&mut rest).ok()?, take_varint(&mut rest).ok()?);
            let mut matchers = Vec::new();
            for _ in 0..take_uvarint(&mut rest).ok()? {
                let (op, behind) = rest.split_first()?;
                rest = behind;
                let (name, value) = (take_text(&mut rest)?, take_text(&mut rest)?);
                matchers.push(Matcher::new(op_of(*op)?, name, value).ok()?);
            }
            deletes.push(Arc::new(Delete {
                seq,
                segment,
                mint,
                maxt,
                matchers,
            }));
        }
        Some(Self { last, deletes })
    }

    /// Reads the file; none means no deletions. `Err(None)` when it is damaged.
    pub(crate) fn read(dir: &dyn Dir) -> Result<Self, Option<StorageError>> {
        let io = |e: std::io::Error| Some(io_error("reading", FILE, &e));
        let size = match dir.size(FILE) {
            Ok(size) => size,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(io(e)),
        };
        let size = usize::try_from(size).map_err(|_| None)?;
        let bytes = dir.read_at(FILE, 0, size).map_err(io)?;
        Self::decode(&bytes).ok_or(None)
    }

    /// Replaces the file, as far as the process sees it. After an error the old one is there.
    pub(crate) fn replace(&self, dir: &dyn Dir) -> Result<(), StorageError> {
        let written = (|| {
            match dir.remove(TEMPORARY) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            let file = dir.create(TEMPORARY)?;
            file.append(&self.encode())?;
            file.sync_data()?;
            dir.rename(TEMPORARY, FILE)
        })();
        written.map_err(|e| io_error("writing", FILE, &e))
    }

    /// Replaces the file. After an error either list may be found on the disk.
    pub(crate) fn write(&self, dir: &dyn Dir) -> Result<(), StorageError> {
        self.replace(dir)?;
        dir.sync_dir("")
            .map_err(|e| io_error("forcing to the disk", FILE, &e))
    }
}

/// Size of the file and number of sound copies in it; `None` when there is no file.
pub(crate) fn check(dir: &dyn Dir) -> Result<Option<(u64, usize)>, StorageError> {
    let io = |e: std::io::Error| io_error("reading", FILE, &e);
    let size = match dir.size(FILE) {
        Ok(size) => size,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io(e)),
    };
    let bytes = usize::try_from(size).unwrap_or(usize::MAX);
    let bytes = dir.read_at(FILE, 0, bytes).map_err(io)?;
    let copies = bytes.split_at_checked(bytes.len() / 2);
    let sound = copies.into_iter().flat_map(|(a, b)| [a, b]);
    let sound = sound.filter(|copy| Tombstones::decode_copy(copy).is_some());
    Ok(Some((size, sound.count())))
}

/// Puts a damaged file aside, so that the next one does not overwrite it.
pub(crate) fn set_aside(dir: &dyn Dir) -> Result<(), StorageError> {
    dir.rename(FILE, "tombstones.damaged")
        .map_err(|e| io_error("setting aside", FILE, &e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::FaultDir;

    fn sample() -> Tombstones {
        let delete = |seq, matchers| {
            Arc::new(Delete {
                seq,
                segment: 7,
                mint: -5,
                maxt: i64::MAX,
                matchers,
            })
        };
        let ops = [
            MatchOp::Equal,
            MatchOp::NotEqual,
            MatchOp::Regex,
            MatchOp::NotRegex,
        ];
        let all = ops.map(|op| Matcher::new(op, "a", "x.*").unwrap());
        Tombstones {
            last: 9,
            deletes: vec![delete(3, all.to_vec()), delete(9, Vec::new())],
        }
    }

    #[test]
    fn one_copy_is_enough() {
        let bytes = sample().encode();
        let want = format!("{:?}", sample());
        for i in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[i] ^= 0x41;
            let got = Tombstones::decode(&damaged).unwrap();
            assert_eq!(format!("{got:?}"), want, "byte {i}");
            damaged[(i + bytes.len() / 2) % bytes.len()] ^= 1;
            assert!(Tombstones::decode(&damaged).is_none(), "byte {i}");
            assert!(Tombstones::decode(&bytes[..i / 2]).is_none());
        }
    }

    #[test]
    fn the_file_is_replaced_or_left() {
        let dir = FaultDir::default();
        dir.create_dir("").unwrap();
        assert_eq!(Tombstones::read(&dir).unwrap().last, 0);
        sample().write(&dir).unwrap();
        for after in 0..5 {
            dir.fail(after, 1);
            let next = Tombstones {
                last: 10,
                ..sample()
            };
            let written = next.write(&dir);
            let found = Tombstones::read(&dir.after_kill()).unwrap().last;
            assert!(found == 10 || (found == 9 && written.is_err()), "{after}");
            dir.fail(0, 0);
            sample().write(&dir).unwrap();
        }
        dir.set_bytes(FILE, b"x".to_vec());
        assert!(matches!(Tombstones::read(&dir), Err(None)));
        set_aside(&dir).unwrap();
        assert_eq!(Tombstones::read(&dir).unwrap().last, 0);
    }
}
