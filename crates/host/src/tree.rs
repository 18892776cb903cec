//! The directory tree that holds proc, sys and etc; all reading of the machine goes through it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::CollectError;

/// A root directory (`/`, or a mounted or made-up one) with `proc` and `sys` under it. Paths given
/// to its methods are relative to the root.
#[derive(Debug)]
pub(crate) struct Tree {
    root: PathBuf,
}

impl Tree {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
        }
    }

    /// Full path of `file`; a leading `/` does not escape the root.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.root.join(file.trim_start_matches('/'))
    }

    /// Whole content; bytes that are not UTF-8 become replacement characters.
    pub(crate) fn read(&self, file: &str) -> Result<String, CollectError> {
        let path = self.path(file);
        match fs::read(&path) {
            Ok(bytes) => Ok(into_text(bytes)),
            Err(e) => Err(failure(file, path, e)),
        }
    }

    /// Trimmed content, or `None` if the file is missing, refused or empty. Many files in /sys
    /// exist for each device but answer an error where the device lacks the property.
    pub(crate) fn value(&self, file: &str) -> Option<String> {
        let text = into_text(fs::read(self.path(file)).ok()?);
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_string())
    }

    /// [`Tree::value`] as a number, decimal or with a `0x` prefix.
    pub(crate) fn number(&self, file: &str) -> Option<f64> {
        parse_integer(&self.value(file)?)
    }

    /// A file that must hold one number.
    pub(crate) fn required_number(&self, file: &str) -> Result<f64, CollectError> {
        let text = self.read(file)?;
        parse_integer(text.trim()).ok_or_else(|| {
            CollectError::parse(file, format_args!("{:?} is no number", text.trim()))
        })
    }

    /// Names in a directory, sorted; names that are not UTF-8 are left out.
    pub(crate) fn list(&self, dir: &str) -> Result<Vec<String>, CollectError> {
        let path = self.path(dir);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(e) => return Err(failure(dir, path, e)),
        };
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// True if `dir` is a directory, or a link to one.
    pub(crate) fn is_dir(&self, dir: &str) -> bool {
        self.path(dir).is_dir()
    }

    /// `file` with all links followed.
    pub(crate) fn resolve(&self, file: &str) -> Option<PathBuf> {
        fs::canonicalize(self.path(file)).ok()
    }
}

/// Decimal with an optional sign, or hexadecimal with `0x`.
fn parse_integer(text: &str) -> Option<f64> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok().map(|v| v as f64);
    }
    text.parse::<i128>().ok().map(|v| v as f64)
}

fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

fn failure(file: &str, path: PathBuf, source: io::Error) -> CollectError {
    if source.kind() == io::ErrorKind::NotFound {
        CollectError::NoData {
            what: file.to_string(),
        }
    } else {
        CollectError::Read { path, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_as_sysfs_writes_them() {
        for (text, v) in [
            ("12", Some(12.0)),
            ("-1", Some(-1.0)),
            ("0x1003", Some(4099.0)),
        ] {
            assert_eq!(parse_integer(text), v);
        }
        for text in ["", "x", "0x", "1.5", "1 2"] {
            assert_eq!(parse_integer(text), None, "{text}");
        }
    }

    #[test]
    fn a_missing_file_is_no_data_and_a_refused_one_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::new(dir.path());
        assert!(tree.read("proc/stat").unwrap_err().is_no_data());
        let error = tree.read("").unwrap_err();
        assert!(!error.is_no_data(), "{error}");
    }

    #[test]
    fn absolute_paths_stay_under_the_root() {
        let tree = Tree::new(Path::new("/somewhere"));
        assert_eq!(tree.path("/proc/stat"), Path::new("/somewhere/proc/stat"));
        assert_eq!(tree.path("/"), Path::new("/somewhere/"));
    }
}
