//! The files in `chunks/`: chunks one behind the other, each with its checksum.

use std::collections::BTreeMap;

use tsdb_codec::varint::put_uvarint;
use tsdb_model::StorageError;

use super::chunk_builder::Chunk;
use super::error::{PromBlockError, corrupt, io_error, path_of};
use super::file::{FileReader, FileWriter};
use super::{CHUNKS_FOLDER, join};
use crate::dir::Dir;

const MAGIC: u32 = 0x85bd_40dd;
const VERSION: u8 = 1;

/// Magic, version, three bytes of padding.
const HEADER_BYTES: u64 = 8;

/// Largest file.
const SEGMENT_BYTES: u64 = 512 << 20;

/// Bytes around the data of a chunk: length, encoding, checksum.
const MAX_FRAME_BYTES: u64 = 5 + 1 + 4;

/// Longest chunk that is read: far more than any that Prometheus writes.
const MAX_CHUNK_BYTES: u64 = 16 << 20;

fn file_name(folder: &str, number: u64) -> String {
    join(&join(folder, CHUNKS_FOLDER), &format!("{number:06}"))
}

/// Writes chunks.
#[derive(Debug)]
pub(super) struct ChunkWriter<'a> {
    dir: &'a dyn Dir,
    folder: String,
    number: u64,
    file: Option<FileWriter<'a>>,
    /// Largest file; smaller in tests.
    segment_bytes: u64,
}

impl<'a> ChunkWriter<'a> {
    /// Writes into `chunks/` in `folder`, which is made.
    pub(super) fn new(dir: &'a dyn Dir, folder: &str) -> Result<Self, StorageError> {
        let chunks = join(folder, CHUNKS_FOLDER);
        dir.create_dir(&chunks)
            .map_err(|e| io_error(dir, "create", &chunks, &e))?;
        let folder = folder.to_string();
        Ok(Self {
            dir,
            folder,
            number: 0,
            file: None,
            segment_bytes: SEGMENT_BYTES,
        })
    }

    #[cfg(test)]
    pub(super) fn set_segment_bytes(&mut self, bytes: u64) {
        self.segment_bytes = bytes;
    }

    /// Writes a chunk; gives its reference.
    pub(super) fn write(&mut self, chunk: &Chunk) -> Result<u64, PromBlockError> {
        let size = MAX_FRAME_BYTES + chunk.data.len() as u64;
        if size + HEADER_BYTES > SEGMENT_BYTES {
            let path = path_of(self.dir, &self.folder);
            return Err(PromBlockError::TooLarge {
                path,
                what: "chunk",
            });
        }
        if self
            .file
            .as_ref()
            .is_some_and(|f| f.position() + size > self.segment_bytes)
        {
            self.finish_file()?;
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                self.number += 1;
                let mut file = FileWriter::create(self.dir, file_name(&self.folder, self.number))?;
                file.write(&MAGIC.to_be_bytes())?;
                file.write(&[VERSION, 0, 0, 0])?;
                self.file.insert(file)
            }
        };
        let reference = (self.number - 1) << 32 | file.position();
        let mut length = Vec::new();
        put_uvarint(&mut length, chunk.data.len() as u64);
        file.write(&length)?;
        file.start_crc();
        file.write(&[chunk.encoding])?;
        file.write(&chunk.data)?;
        file.write_crc()?;
        Ok(reference)
    }

    fn finish_file(&mut self) -> Result<(), StorageError> {
        self.file.take().map_or(Ok(()), FileWriter::finish)
    }

    /// Forces all to the disk.
    pub(super) fn finish(mut self) -> Result<(), StorageError> {
        self.finish_file()?;
        let chunks = join(&self.folder, CHUNKS_FOLDER);
        self.dir
            .sync_dir(&chunks)
            .map_err(|e| io_error(self.dir, "sync", &chunks, &e))
    }
}

/// Reads chunks.
#[derive(Debug)]
pub(super) struct ChunkReader<'a> {
    dir: &'a dyn Dir,
    folder: String,
    /// Opened files by number.
    files: BTreeMap<u64, FileReader<'a>>,
}

impl<'a> ChunkReader<'a> {
    pub(super) fn new(dir: &'a dyn Dir, folder: &str) -> Self {
        Self {
            dir,
            folder: folder.to_string(),
            files: BTreeMap::new(),
        }
    }

    /// File name and offset of a chunk, for messages.
    pub(super) fn place(&self, reference: u64) -> (String, u64) {
        (
            file_name(&self.folder, (reference >> 32) + 1),
            reference & 0xffff_ffff,
        )
    }

    /// An error in the chunk `reference`.
    pub(super) fn corrupt(&self, reference: u64, what: impl Into<String>) -> StorageError {
        let (name, offset) = self.place(reference);
        corrupt(self.dir, &name, offset, what)
    }

    /// Reads a chunk into `data`, gives its encoding.
    pub(super) fn read(&mut self, reference: u64, data: &mut Vec<u8>) -> Result<u8, StorageError> {
        let number = (reference >> 32) + 1;
        let (name, offset) = self.place(reference);
        let file = match self.files.entry(number) {
            std::collections::btree_map::Entry::Occupied(e) => e.into_mut(),
            std::collections::btree_map::Entry::Vacant(e) => {
                let mut file = FileReader::open(self.dir, name)?;
                if file.u32()? != MAGIC {
                    return Err(file.corrupt_at(0, "not a file of chunks"));
                }
                match file.byte()? {
                    VERSION => e.insert(file),
                    v => return Err(file.corrupt_at(4, format!("unknown version {v}"))),
                }
            }
        };
        if offset < HEADER_BYTES {
            return Err(file.corrupt_at(offset, "chunk inside the file header"));
        }
        file.seek(offset);
        let len = file.uvarint()?;
        if len > MAX_CHUNK_BYTES {
            return Err(file.corrupt_at(offset, format!("chunk of {len} bytes")));
        }
        file.start_crc();
        let encoding = file.byte()?;
        data.clear();
        data.extend_from_slice(file.take(len)?);
        file.check_crc("chunk")?;
        Ok(encoding)
    }
}
