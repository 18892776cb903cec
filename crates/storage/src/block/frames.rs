//! The body of a block file, and a CRC32C of each 16 KiB of it.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tsdb_model::StorageError;

use crate::dir::{ReadFile, WriteFile};
use crate::mmap::Mapped;
use crate::wal::io_error;

/// Bytes that have one checksum.
pub(super) const FRAME_BYTES: usize = 16 << 10;

/// Bytes written at once.
const WRITE_BYTES: usize = 16 * FRAME_BYTES;

/// Writes a body.
#[derive(Debug)]
pub(super) struct FrameWriter {
    file: Box<dyn WriteFile>,
    name: String,
    buffer: Vec<u8>,
    written: u64,
    crcs: Vec<u32>,
}

impl FrameWriter {
    pub(super) fn new(file: Box<dyn WriteFile>, name: String) -> Self {
        Self {
            file,
            name,
            buffer: Vec::new(),
            written: 0,
            crcs: Vec::new(),
        }
    }

    /// Where the next byte goes.
    pub(super) fn position(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= WRITE_BYTES {
            let whole = self.buffer.len() / FRAME_BYTES * FRAME_BYTES;
            self.write(whole)?;
        }
        Ok(())
    }

    /// Writes the first `count` bytes of the buffer, whole frames or all that is left.
    fn write(&mut self, count: usize) -> Result<(), StorageError> {
        let now = self.buffer.get(..count).unwrap_or_default();
        self.crcs
            .extend(now.chunks(FRAME_BYTES).map(crc32c::crc32c));
        self.file
            .append(now)
            .map_err(|e| io_error("writing", &self.name, &e))?;
        self.written += count as u64;
        self.buffer.drain(..count);
        Ok(())
    }

    /// Writes what is left, gives the checksums of the body to `tail`, writes the tail that it
    /// makes of them, and forces all of it to the disk.
    pub(super) fn finish(
        mut self,
        tail: impl FnOnce(&[u32]) -> Vec<u8>,
    ) -> Result<(), StorageError> {
        self.write(self.buffer.len())?;
        let tail = tail(&self.crcs);
        self.file
            .append(&tail)
            .map_err(|e| io_error("writing", &self.name, &e))?;
        self.file
            .sync_data()
            .map_err(|e| io_error("syncing", &self.name, &e))
    }
}

/// The body of a finished file. Each frame is read through the file and checked when it is first
/// touched; later it is read through the map, if there is one. So a disk that fails is an error.
#[derive(Debug)]
pub(super) struct Body {
    file: Box<dyn ReadFile>,
    map: Option<Mapped>,
    path: Arc<str>,
    len: u64,
    crcs: Vec<u32>,
    checked: Vec<AtomicU64>,
}

impl Body {
    pub(super) fn new(
        file: Box<dyn ReadFile>,
        map: bool,
        path: Arc<str>,
        len: u64,
        crcs: Vec<u32>,
    ) -> Result<Self, StorageError> {
        let map = if map {
            file.map().map_err(|e| io_error("mapping", &path, &e))?
        } else {
            None
        };
        let words = crcs.len().div_ceil(64);
        Ok(Self {
            file,
            map: map.filter(|m| m.len() as u64 >= len),
            path,
            len,
            crcs,
            checked: (0..words).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn corrupt(&self, offset: u64, what: impl Into<String>) -> StorageError {
        StorageError::Corrupt {
            path: self.path.to_string(),
            offset,
            what: what.into(),
        }
    }

    fn pread(&self, offset: u64, len: usize) -> Result<Vec<u8>, StorageError> {
        let read = self.file.read_at(offset, len);
        let bytes = read.map_err(|e| io_error("reading", &self.path, &e))?;
        if bytes.len() != len {
            let end = io::Error::from(io::ErrorKind::UnexpectedEof);
            return Err(io_error("reading", &self.path, &end));
        }
        Ok(bytes)
    }

    fn is_checked(&self, frame: usize) -> bool {
        self.checked
            .get(frame / 64)
            .is_some_and(|word| word.load(Ordering::Relaxed) >> (frame % 64) & 1 != 0)
    }

    /// Reads a frame through the file and checks it.
    pub(super) fn check(&self, frame: usize) -> Result<Vec<u8>, StorageError> {
        let offset = frame as u64 * FRAME_BYTES as u64;
        let left = self.len.saturating_sub(offset);
        let bytes = self.pread(offset, left.min(FRAME_BYTES as u64) as usize)?;
        if self.crcs.get(frame) != Some(&crc32c::crc32c(&bytes)) {
            return Err(self.corrupt(offset, "checksum does not match"));
        }
        if let Some(word) = self.checked.get(frame / 64) {
            word.fetch_or(1 << (frame % 64), Ordering::Relaxed);
        }
        Ok(bytes)
    }

    /// Number of frames.
    pub(super) fn frames(&self) -> usize {
        self.crcs.len()
    }

    /// The checked bytes from `offset` on.
    pub(super) fn bytes(&self, offset: u64, len: usize) -> Result<Cow<'_, [u8]>, StorageError> {
        let end = offset.checked_add(len as u64).filter(|e| *e <= self.len);
        let Some(end) = end else {
            return Err(self.corrupt(offset, "reference behind the end of the body"));
        };
        if len == 0 {
            return Ok(Cow::Borrowed(&[]));
        }
        let (first, last) = (
            (offset / FRAME_BYTES as u64) as usize,
            ((end - 1) / FRAME_BYTES as u64) as usize,
        );
        for frame in first..=last {
            if !self.is_checked(frame) {
                let bytes = self.check(frame)?;
                if first == last && self.map.is_none() {
                    let from = (offset % FRAME_BYTES as u64) as usize;
                    return Ok(Cow::Owned(
                        bytes.get(from..from + len).unwrap_or_default().to_vec(),
                    ));
                }
            }
        }
        match self.map.as_deref() {
            Some(map) => map
                .get(offset as usize..end as usize)
                .map(Cow::Borrowed)
                .ok_or_else(|| self.corrupt(offset, "reference behind the end of the file")),
            None => self.pread(offset, len).map(Cow::Owned),
        }
    }
}
