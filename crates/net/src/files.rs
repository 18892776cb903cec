//! Files that are read again when they change: certificates, keys, passwords, tokens.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tsdb_config::Source;

/// Most bytes of a file with certificates or secrets. The authorities of a system take 250 kB.
const MAX_BYTES: u64 = 4 << 20;

/// By what a changed file is told: any write or rename alters one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// `None` when there is no such file.
    pub fn of(path: &Path) -> Option<Self> {
        let meta = std::fs::metadata(path).ok()?;
        Some(Self {
            inode: meta.ino(),
            length: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }
}

/// The stamps of several files.
pub(crate) fn stamps(paths: &[PathBuf]) -> Vec<Option<Stamp>> {
    paths.iter().map(|path| Stamp::of(path)).collect()
}

/// The file of a source, if it is one.
pub(crate) fn path_of(source: &Source) -> Option<&Path> {
    match source {
        Source::Inline(_) => None,
        Source::File(path) => Some(path),
    }
}

/// The content of a source. The error names the file, in Go's words.
pub(crate) fn read(source: &Source) -> Result<Vec<u8>, String> {
    match source {
        Source::Inline(text) => Ok(text.expose().as_bytes().to_vec()),
        Source::File(path) => read_file(path),
    }
}

pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let name = path.display();
    let bytes = tsdb_config::read_file(path, MAX_BYTES + 1)
        .map_err(|e| format!("open {name}: {}", crate::dial::bare(&e)))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("{name}: longer than {MAX_BYTES} bytes"));
    }
    Ok(bytes)
}

/// Texts of files, read again only when a file changed.
#[derive(Debug, Default)]
pub(crate) struct TextFiles(Mutex<HashMap<PathBuf, (Stamp, Arc<str>)>>);

impl TextFiles {
    /// The text without white space around it.
    pub(crate) fn read(&self, path: &Path) -> Result<Arc<str>, String> {
        let fail = |reason: String| format!("unable to read file {}: {reason}", path.display());
        let stamp = Stamp::of(path);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(stamp), Some((then, text))) = (stamp, known.get(path))
            && stamp == *then
        {
            return Ok(text.clone());
        }
        let bytes = read_file(path).map_err(fail)?;
        let text = String::from_utf8(bytes).map_err(|_| fail("not UTF-8".to_string()))?;
        let text: Arc<str> = text.trim().into();
        // A file written at this very moment has the older stamp and is read once more.
        if let Some(stamp) = stamp {
            known.insert(path.to_path_buf(), (stamp, text.clone()));
        }
        Ok(text)
    }

    /// The text of a source.
    pub(crate) fn source(&self, source: &Source) -> Result<Arc<str>, String> {
        match source {
            Source::Inline(text) => Ok(text.expose().into()),
            Source::File(path) => self.read(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's own files")]
    fn changed_files_are_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let files = TextFiles::default();
        let error = files.read(&path).unwrap_err();
        assert!(error.ends_with("no such file or directory"), "{error}");
        std::fs::write(&path, "  one\n").unwrap();
        assert_eq!(&*files.read(&path).unwrap(), "one");
        let next = dir.path().join("next");
        std::fs::write(&next, "two").unwrap();
        std::fs::rename(&next, &path).unwrap();
        assert_eq!(&*files.read(&path).unwrap(), "two");
        std::fs::remove_file(&path).unwrap();
        assert!(files.read(&path).is_err());
    }
}
