//! A data directory of which only one log segment is seen.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use crate::dir::{Dir, DirLock, ReadFile, WriteFile};
use crate::wal::{WAL_DIR, segment_name};

/// The directory; it can only be read.
#[derive(Debug)]
pub(super) struct OneSegment {
    pub(super) dir: Arc<dyn Dir>,
    pub(super) number: u32,
}

fn refused<T>() -> io::Result<T> {
    Err(ErrorKind::ReadOnlyFilesystem.into())
}

impl Dir for OneSegment {
    fn display(&self) -> String {
        self.dir.display()
    }

    fn create_dir(&self, _: &str) -> io::Result<()> {
        refused()
    }

    fn create(&self, _: &str) -> io::Result<Box<dyn WriteFile>> {
        refused()
    }

    fn read_at(&self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.dir.read_at(name, offset, len)
    }

    fn size(&self, name: &str) -> io::Result<u64> {
        self.dir.size(name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn ReadFile>> {
        self.dir.open(name)
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        refused()
    }

    fn list(&self, name: &str) -> io::Result<Vec<String>> {
        let name = (name == WAL_DIR).then(|| segment_name(self.number));
        let file = name.and_then(|n| n.rsplit_once('/').map(|(_, file)| file.to_string()));
        Ok(file.into_iter().collect())
    }

    fn sync_dir(&self, _: &str) -> io::Result<()> {
        refused()
    }

    fn lock(&self, _: &str) -> io::Result<Box<dyn DirLock>> {
        refused()
    }
}
