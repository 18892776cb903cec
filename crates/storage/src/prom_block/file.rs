//! Buffered reading and writing of the files of a block, with checksums kept on the way.

use tsdb_codec::varint::{MAX_VARINT_BYTES, take_uvarint, unzigzag};
use tsdb_model::StorageError;

use super::error::{corrupt, io_error};
use crate::dir::{Dir, WriteFile};

/// Bytes read or written at a time.
const BUFFER_BYTES: usize = 128 << 10;

/// Reads a file from any place on.
#[derive(Debug)]
pub(super) struct FileReader<'a> {
    dir: &'a dyn Dir,
    name: String,
    size: u64,
    /// Where `buffer` starts in the file.
    buffer_at: u64,
    buffer: Vec<u8>,
    /// Position in `buffer` of the next byte.
    next: usize,
    /// Checksum of what was taken since [`FileReader::start_crc`].
    crc: u32,
}

impl<'a> FileReader<'a> {
    pub(super) fn open(dir: &'a dyn Dir, name: String) -> Result<Self, StorageError> {
        let size = dir
            .size(&name)
            .map_err(|e| io_error(dir, "open", &name, &e))?;
        Ok(Self {
            dir,
            name,
            size,
            buffer_at: 0,
            buffer: Vec::new(),
            next: 0,
            crc: 0,
        })
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Position in the file of the next byte.
    pub(super) fn position(&self) -> u64 {
        self.buffer_at + self.next as u64
    }

    /// Goes to `offset`.
    pub(super) fn seek(&mut self, offset: u64) {
        match offset.checked_sub(self.buffer_at) {
            Some(next) if next <= self.buffer.len() as u64 => self.next = next as usize,
            _ => {
                self.buffer.clear();
                self.next = 0;
                self.buffer_at = offset;
            }
        }
    }

    /// An error at `offset`.
    pub(super) fn corrupt_at(&self, offset: u64, what: impl Into<String>) -> StorageError {
        corrupt(self.dir, &self.name, offset, what)
    }

    /// Has `len` bytes in the buffer, or fewer at the end of the file.
    fn fill(&mut self, len: usize) -> Result<&[u8], StorageError> {
        if self.buffer.len() - self.next < len {
            let position = self.position();
            let read = self
                .dir
                .read_at(&self.name, position, len.max(BUFFER_BYTES))
                .map_err(|e| io_error(self.dir, "read", &self.name, &e))?;
            self.buffer = read;
            self.buffer_at = position;
            self.next = 0;
        }
        Ok(&self.buffer[self.next..])
    }

    /// Takes `len` bytes.
    pub(super) fn take(&mut self, len: u64) -> Result<&[u8], StorageError> {
        let left = self.left();
        if len > left || self.fill(len as usize)?.len() < len as usize {
            let what = format!("{len} bytes expected, {left} left in the file");
            return Err(self.corrupt_at(self.position(), what));
        }
        let start = self.next;
        self.next += len as usize;
        let bytes = &self.buffer[start..self.next];
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        Ok(bytes)
    }

    /// Bytes from here to the end of the file, as far as memory can address them.
    fn left(&self) -> u64 {
        self.size
            .saturating_sub(self.position())
            .min(usize::MAX as u64)
    }

    pub(super) fn byte(&mut self) -> Result<u8, StorageError> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn u32(&mut self) -> Result<u32, StorageError> {
        let bytes = self.take(4)?;
        Ok(bytes.iter().fold(0, |v, b| v << 8 | u32::from(*b)))
    }

    pub(super) fn u64(&mut self) -> Result<u64, StorageError> {
        let bytes = self.take(8)?;
        Ok(bytes.iter().fold(0, |v, b| v << 8 | u64::from(*b)))
    }

    pub(super) fn uvarint(&mut self) -> Result<u64, StorageError> {
        let at = self.position();
        let bytes = self.fill(MAX_VARINT_BYTES)?;
        let mut rest = bytes;
        let v = take_uvarint(&mut rest);
        let len = bytes.len() - rest.len();
        let v = v.map_err(|e| self.corrupt_at(at, e.to_string()))?;
        self.take(len as u64)?;
        Ok(v)
    }

    pub(super) fn varint(&mut self) -> Result<i64, StorageError> {
        self.uvarint().map(unzigzag)
    }

    /// Starts a checksum at the next byte.
    pub(super) fn start_crc(&mut self) {
        self.crc = 0;
    }

    /// Takes the checksum that the file has and compares it with that of what was taken.
    pub(super) fn check_crc(&mut self, of: &str) -> Result<(), StorageError> {
        let at = self.position();
        let counted = self.crc;
        if self.u32()? == counted {
            Ok(())
        } else {
            Err(self.corrupt_at(at, format!("checksum of {of} does not match")))
        }
    }
}

/// Writes a new file from its start to its end.
#[derive(Debug)]
pub(super) struct FileWriter<'a> {
    dir: &'a dyn Dir,
    name: String,
    file: Box<dyn WriteFile>,
    buffer: Vec<u8>,
    written: u64,
    crc: u32,
}

impl<'a> FileWriter<'a> {
    pub(super) fn create(dir: &'a dyn Dir, name: String) -> Result<Self, StorageError> {
        let file = dir
            .create(&name)
            .map_err(|e| io_error(dir, "create", &name, &e))?;
        Ok(Self {
            dir,
            name,
            file,
            buffer: Vec::new(),
            written: 0,
            crc: 0,
        })
    }

    /// Bytes in the file.
    pub(super) fn position(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Fills up with zeros to a multiple of `size`.
    pub(super) fn pad(&mut self, size: u64) -> Result<(), StorageError> {
        let missing = self.position().next_multiple_of(size) - self.position();
        self.write(&vec![0; missing as usize])
    }

    pub(super) fn start_crc(&mut self) {
        self.crc = 0;
    }

    /// Writes the checksum of what was written since [`FileWriter::start_crc`].
    pub(super) fn write_crc(&mut self) -> Result<(), StorageError> {
        self.write(&self.crc.to_be_bytes())
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        self.file
            .append(&self.buffer)
            .map_err(|e| io_error(self.dir, "write", &self.name, &e))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes what is left and forces it to the disk.
    pub(super) fn finish(mut self) -> Result<(), StorageError> {
        self.flush()?;
        self.file
            .sync_data()
            .map_err(|e| io_error(self.dir, "sync", &self.name, &e))
    }
}
