//! Files mapped into memory: the only place of the workspace with `unsafe`.

use std::fs::File;
use std::io;
use std::ops::Deref;

/// A finished file as bytes.
#[derive(Debug)]
pub struct Mapped(memmap2::Mmap);

impl Mapped {
    /// Maps a file that is finished: written, forced to the disk and renamed, never changed again.
    ///
    /// Whoever cuts the file shorter all the same makes a later access to what is gone kill the
    /// process. Readers therefore read each part through the file first and only then here.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        #[expect(unsafe_code, reason = "mapping a file is unsafe by nature")]
        // SAFETY: the bytes must not change while they are borrowed. Only files that the store has
        // finished are mapped; the store itself never writes to them again, only removes them, and
        // a removed file stays mapped. The data directory is locked against other stores, and
        // other programs have no business in it.
        let map = unsafe { memmap2::Mmap::map(file)? };
        Ok(Self(map))
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
