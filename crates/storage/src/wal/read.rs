//! Reading a segment: record after record, over damaged places too.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::io;
use std::sync::Arc;

use super::frame::{
    FRAME_BYTES, HEADER_BYTES, Header, RECORD_MAGIC, VERSION, parse_frame, record_crc,
};
use crate::dir::Dir;

/// Bytes read at once.
const BLOCK: usize = 1 << 20;

/// Why a segment cannot be read at all.
#[derive(Debug)]
pub(crate) enum ReadError {
    Io(io::Error),
    /// Written by a newer version of the program.
    Newer(u32),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A damaged place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

/// Reads one segment from its start to its end.
#[derive(Debug)]
pub(crate) struct SegmentReader {
    dir: Arc<dyn Dir>,
    name: String,
    /// Size of the file when reading began.
    size: u64,
    salt: u64,
    version: u32,
    pos: u64,
    buffer: Vec<u8>,
    buffer_at: u64,
    /// Checksum work that looking for records may still take, in bytes.
    search_budget: u64,
    /// Damaged places found so far.
    pub(crate) damage: Vec<Damage>,
}

impl SegmentReader {
    pub(crate) fn open(dir: Arc<dyn Dir>, name: String) -> Result<Self, ReadError> {
        let size = dir.size(&name)?;
        let mut reader = Self {
            dir,
            name,
            size,
            salt: 0,
            version: VERSION,
            pos: 0,
            buffer: Vec::new(),
            buffer_at: 0,
            search_budget: size.saturating_mul(4).saturating_add(64 << 20),
            damage: Vec::new(),
        };
        let header = reader.peek(0, HEADER_BYTES)?.to_vec();
        match Header::decode(&header) {
            Some((header, _)) if header.version > VERSION => {
                return Err(ReadError::Newer(header.version));
            }
            Some((Header { salt, version }, sound)) => {
                reader.salt = salt;
                reader.version = version;
                reader.pos = HEADER_BYTES as u64;
                if !sound && header.len() == HEADER_BYTES {
                    reader.damage.push(Damage {
                        offset: 0,
                        bytes: HEADER_BYTES as u64,
                    });
                }
            }
            // A header that was not finished is the end of a crashed process; nothing follows it.
            None => {
                if size >= HEADER_BYTES as u64 && header.iter().any(|b| *b != 0) {
                    reader.damage.push(Damage {
                        offset: 0,
                        bytes: size,
                    });
                }
                reader.pos = size;
            }
        }
        Ok(reader)
    }

    /// Size of the file in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Version of the format, if that can be told.
    pub(crate) fn version(&self) -> u32 {
        self.version
    }

    /// Up to `len` bytes from `at` on; fewer only at the end of the file.
    fn peek(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        let bytes = self.buffered(at, len)?;
        Ok(bytes.get(..len).unwrap_or(bytes))
    }

    /// All that is in memory from `at` on: at least `len` bytes; fewer only at the end of the file.
    fn buffered(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        let left = usize::try_from(self.size.saturating_sub(at)).unwrap_or(usize::MAX);
        let len = len.min(left);
        let buffered = at
            .checked_sub(self.buffer_at)
            .and_then(|skip| usize::try_from(skip).ok())
            .and_then(|skip| self.buffer.get(skip..))
            .map_or(0, <[u8]>::len);
        if buffered < len {
            self.buffer = self.dir.read_at(&self.name, at, len.max(BLOCK).min(left))?;
            self.buffer_at = at;
            if self.buffer.len() < len {
                // The file shrank meanwhile.
                self.size = at + self.buffer.len() as u64;
            }
        }
        let skip = at
            .checked_sub(self.buffer_at)
            .and_then(|s| usize::try_from(s).ok());
        Ok(skip.and_then(|s| self.buffer.get(s..)).unwrap_or_default())
    }

    /// The record at `at`, if a sound one stands there.
    fn record_at(&mut self, at: u64) -> io::Result<Option<Vec<u8>>> {
        let Some((length, crc)) = parse_frame(self.peek(at, FRAME_BYTES)?) else {
            return Ok(None);
        };
        if at + (FRAME_BYTES + length) as u64 > self.size {
            return Ok(None);
        }
        let salt = self.salt;
        let payload = self.peek(at + FRAME_BYTES as u64, length)?;
        let sound = payload.len() == length && record_crc(salt, at, payload) == crc;
        Ok(sound.then(|| payload.to_vec()))
    }

    /// The next record's payload, `None` at the end of the segment.
    pub(crate) fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.pos >= self.size {
            return Ok(None);
        }
        if let Some(payload) = self.record_at(self.pos)? {
            self.pos += (FRAME_BYTES + payload.len()) as u64;
            return Ok(Some(payload));
        }
        let bad = self.pos;
        match self.find_record(bad + 1)? {
            Some((at, payload)) => {
                self.damage.push(Damage {
                    offset: bad,
                    bytes: at - bad,
                });
                self.pos = at + (FRAME_BYTES + payload.len()) as u64;
                Ok(Some(payload))
            }
            None => {
                if !self.is_torn(bad)? {
                    self.damage.push(Damage {
                        offset: bad,
                        bytes: self.size - bad,
                    });
                }
                self.pos = self.size;
                Ok(None)
            }
        }
    }

    /// True when what stands at the end is what an interrupted write leaves: a record that goes on
    /// beyond the end of the file, or nothing but zeros.
    fn is_torn(&mut self, at: u64) -> io::Result<bool> {
        let size = self.size;
        let frame = self.peek(at, FRAME_BYTES)?;
        let magic = frame.iter().zip(RECORD_MAGIC).all(|(a, b)| *a == b);
        if magic && frame.len() < FRAME_BYTES {
            return Ok(true);
        }
        if let Some((length, _)) = parse_frame(frame)
            && at + (FRAME_BYTES + length) as u64 > size
        {
            return Ok(true);
        }
        let mut pos = at;
        while pos < self.size {
            let block = self.peek(pos, BLOCK)?;
            if block.is_empty() || block.iter().any(|b| *b != 0) {
                return Ok(block.is_empty());
            }
            pos += block.len() as u64;
        }
        Ok(true)
    }

    /// The next sound record from `at` on. Gives up after much fruitless work.
    fn find_record(&mut self, mut at: u64) -> io::Result<Option<(u64, Vec<u8>)>> {
        loop {
            let block = self.buffered(at, FRAME_BYTES)?;
            if block.len() < FRAME_BYTES {
                return Ok(None);
            }
            let found = block.windows(4).position(|w| w == RECORD_MAGIC);
            let Some(skip) = found else {
                at += block.len() as u64 - 3;
                continue;
            };
            at += skip as u64;
            if let Some((length, _)) = parse_frame(self.peek(at, FRAME_BYTES)?) {
                if at + (FRAME_BYTES + length) as u64 <= self.size {
                    let work = length as u64 + FRAME_BYTES as u64;
                    let Some(left) = self.search_budget.checked_sub(work) else {
                        return Ok(None);
                    };
                    self.search_budget = left;
                }
                if let Some(payload) = self.record_at(at)? {
                    return Ok(Some((at, payload)));
                }
            }
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fault::FaultDir;

    const SALT: u64 = 5;

    fn record(offset: usize, payload: &[u8]) -> Vec<u8> {
        let mut out = RECORD_MAGIC.to_vec();
        out.extend((payload.len() as u32).to_le_bytes());
        out.extend(record_crc(SALT, offset as u64, payload).to_le_bytes());
        out.extend(payload);
        out
    }

    fn read(bytes: Vec<u8>) -> (Vec<Vec<u8>>, Vec<Damage>) {
        let dir = FaultDir::default();
        dir.set_bytes("x", bytes);
        let mut reader = SegmentReader::open(Arc::new(dir), "x".into()).unwrap();
        let payloads = std::iter::from_fn(|| reader.next().unwrap()).collect();
        (payloads, reader.damage)
    }

    fn header() -> Vec<u8> {
        Header {
            version: VERSION,
            salt: SALT,
        }
        .encode()
    }

    #[test]
    fn a_record_inside_a_damaged_one_does_not_count_if_it_was_written_elsewhere() {
        let mut bytes = header();
        let inner = record(0, b"evil");
        bytes.extend(record(bytes.len(), &inner));
        let damaged = bytes.len() - 1;
        bytes[damaged] ^= 1;
        let at = bytes.len();
        bytes.extend(record(at, b"good"));
        let damage = Damage {
            offset: HEADER_BYTES as u64,
            bytes: (at - HEADER_BYTES) as u64,
        };
        assert_eq!(read(bytes), (vec![b"good".to_vec()], vec![damage]));
    }

    #[test]
    fn much_damage_is_bounded_work() {
        let mut bytes = header();
        for _ in 0..20_000 {
            bytes.extend(RECORD_MAGIC);
            bytes.extend(100_000u32.to_le_bytes());
        }
        let (payloads, damage) = read(bytes);
        assert_eq!((payloads.len(), damage.len()), (0, 1));
    }

    #[test]
    fn zeros_at_the_end_are_a_torn_write() {
        let mut bytes = header();
        bytes.extend(record(bytes.len(), b"good"));
        bytes.extend([0; 3000]);
        assert_eq!(read(bytes.clone()), (vec![b"good".to_vec()], vec![]));
        bytes.push(1);
        assert_eq!(read(bytes).1.len(), 1);
        assert_eq!(read(vec![0; 500]), (vec![], vec![]));
        assert_eq!(read(header()[..20].to_vec()), (vec![], vec![]));
    }

    proptest! {
        #[test]
        fn records_after_garbage_are_found(parts: Vec<(bool, Vec<u8>)>, bare: bool) {
            let mut bytes = if bare { Vec::new() } else { header() };
            let mut want = Vec::new();
            for (sound, part) in parts {
                if sound {
                    bytes.extend(record(bytes.len(), &part));
                    want.push(part);
                } else {
                    bytes.extend(part);
                }
            }
            let (got, _) = read(bytes);
            prop_assert_eq!(got, if bare { Vec::new() } else { want });
        }
    }
}
