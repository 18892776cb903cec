//! The only road to the disk: the trait [`Dir`], and [`StdDir`], the real one.
//!
//! Names are relative to the data directory, with `/` between a folder and a file.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

pub use crate::mmap::Mapped;

/// A data directory.
pub trait Dir: Send + Sync + fmt::Debug {
    /// What to call the directory in messages.
    fn display(&self) -> String;

    /// Makes the folder `name` (and the data directory itself), unless it is there.
    fn create_dir(&self, name: &str) -> io::Result<()>;

    /// Makes a new file; one that is there already is an error of kind `AlreadyExists`.
    fn create(&self, name: &str) -> io::Result<Box<dyn WriteFile>>;

    /// Reads up to `len` bytes of a file from `offset` on; fewer only at the end of the file.
    fn read_at(&self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>>;

    /// Size of a file in bytes.
    fn size(&self, name: &str) -> io::Result<u64>;

    /// Opens a file that is finished, for reading. It can be read even after it was removed, where
    /// the system allows that.
    fn open(&self, name: &str) -> io::Result<Box<dyn ReadFile>>;

    /// Renames a file over whatever has the new name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes `to`, a path anywhere on the same disk, another name of a file. May be not supported.
    fn hard_link(&self, from: &str, to: &Path) -> io::Result<()> {
        let _ = (from, to);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Names (without the folder) of what is in folder `name`, `""` for the data directory, in no
    /// particular order. A folder that does not exist is an error of kind `NotFound`.
    fn list(&self, name: &str) -> io::Result<Vec<String>>;

    /// Forces creations, renames and removals in folder `name` to the disk.
    fn sync_dir(&self, name: &str) -> io::Result<()>;

    /// Space of the disk, if that is known.
    fn space(&self) -> io::Result<Option<Space>> {
        Ok(None)
    }

    /// Takes the lock file `name` for this process, making it if needed. An error of kind
    /// `WouldBlock` means that another process has it. Dropping the lock gives it back.
    fn lock(&self, name: &str) -> io::Result<Box<dyn DirLock>>;
}

/// Space of a disk in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// What this process may still write.
    pub free: u64,
    /// All there is.
    pub total: u64,
}

/// A file being written, at its end only.
pub trait WriteFile: Send + Sync + fmt::Debug {
    /// Adds bytes at the end. After an error any part of them may have been added.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file to `len` bytes; what is appended next goes there.
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// Forces the content to the disk.
    fn sync_data(&self) -> io::Result<()>;
}

/// A finished file.
pub trait ReadFile: Send + Sync + fmt::Debug {
    /// Size in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Reads up to `len` bytes from `offset` on; fewer only at the end of the file.
    fn read_at(&self, offset: u64, len: usize) -> io::Result<Vec<u8>>;

    /// The file as memory, where there is such a thing.
    fn map(&self) -> io::Result<Option<Mapped>> {
        Ok(None)
    }
}

/// A held lock.
pub trait DirLock: Send + Sync + fmt::Debug {}

/// A directory of the operating system.
#[derive(Debug, Clone)]
pub struct StdDir {
    root: PathBuf,
    no_mmap: bool,
}

impl StdDir {
    /// The directory at `root`. Nothing is touched yet.
    pub fn new(root: impl AsRef<Path>) -> Self {
        Self {
            root: root.as_ref().to_path_buf(),
            no_mmap: false,
        }
    }

    /// Finished files are read by system calls, never mapped.
    #[must_use]
    pub fn without_mmap(self) -> Self {
        Self {
            no_mmap: true,
            ..self
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() {
            self.root.clone()
        } else {
            self.root.join(name)
        }
    }
}

#[derive(Debug)]
struct StdWriteFile(File);

impl WriteFile for StdWriteFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.0).write_all(bytes)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[derive(Debug)]
struct StdReadFile {
    file: File,
    no_mmap: bool,
}

#[cfg(unix)]
fn read_some(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_some(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

impl ReadFile for StdReadFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let left = self.size()?.saturating_sub(offset);
        let mut bytes = vec![0; usize::try_from(left).unwrap_or(usize::MAX).min(len)];
        let mut read = 0;
        while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match read_some(&self.file, rest, offset + read as u64) {
                Ok(0) => break,
                Ok(n) => read += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        bytes.truncate(read);
        Ok(bytes)
    }

    fn map(&self) -> io::Result<Option<Mapped>> {
        if self.no_mmap || self.size()? == 0 {
            return Ok(None);
        }
        Mapped::of(&self.file).map(Some)
    }
}

#[derive(Debug)]
struct StdLock(#[expect(dead_code, reason = "held for its lock, released on drop")] File);

impl DirLock for StdLock {}

#[expect(
    clippy::disallowed_methods,
    reason = "this is where `Dir` meets the operating system"
)]
impl Dir for StdDir {
    fn display(&self) -> String {
        self.root.display().to_string()
    }

    fn create_dir(&self, name: &str) -> io::Result<()> {
        std::fs::create_dir_all(self.path(name))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn WriteFile>> {
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(self.path(name))?;
        Ok(Box::new(StdWriteFile(file)))
    }

    fn read_at(&self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.path(name))?;
        let left = file.metadata()?.len().saturating_sub(offset);
        let mut bytes = Vec::with_capacity(usize::try_from(left).unwrap_or(usize::MAX).min(len));
        file.seek(SeekFrom::Start(offset))?;
        file.take(len as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn size(&self, name: &str) -> io::Result<u64> {
        Ok(std::fs::metadata(self.path(name))?.len())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn ReadFile>> {
        Ok(Box::new(StdReadFile {
            file: File::open(self.path(name))?,
            no_mmap: self.no_mmap,
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(name))
    }

    fn hard_link(&self, from: &str, to: &Path) -> io::Result<()> {
        std::fs::hard_link(self.path(from), to)
    }

    fn list(&self, name: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.path(name))? {
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn sync_dir(&self, name: &str) -> io::Result<()> {
        File::open(self.path(name))?.sync_all()
    }

    #[cfg(unix)]
    fn space(&self) -> io::Result<Option<Space>> {
        let disk = rustix::fs::statvfs(&self.root)?;
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        Ok(Some(Space {
            free: bytes(disk.f_bavail),
            total: bytes(disk.f_blocks),
        }))
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn DirLock>> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.path(name))?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(StdLock(file))),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }
}
