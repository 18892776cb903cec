//! The log: every commit, in segments. The format is in docs/format/wal.md.

mod chain;
pub(crate) mod decode;
mod define;
mod encode;
pub(crate) mod entries;
pub(crate) mod frame;
pub(crate) mod group_reader;
mod groups;
pub(crate) mod log;
mod ops;
pub(crate) mod read;
mod records;
mod sets;
#[cfg(test)]
pub(crate) mod v1_writer;

use tsdb_model::StorageError;

/// Folder of the segments.
pub(crate) const WAL_DIR: &str = "wal";

/// Name of a segment, relative to the data directory.
pub(crate) fn segment_name(number: u32) -> String {
    format!("{WAL_DIR}/{number:08}")
}

/// The number that a file name in the log's folder stands for.
pub(crate) fn segment_number(name: &str) -> Option<u32> {
    let digits = name.len() >= 8 && name.bytes().all(|b| b.is_ascii_digit());
    let number = name.parse().ok().filter(|_| digits)?;
    (format!("{number:08}") == name).then_some(number)
}

/// An error of the disk as the callers see it.
pub(crate) fn io_error(what: &str, name: &str, error: &std::io::Error) -> StorageError {
    StorageError::Io {
        context: format!("{what} {name}"),
        message: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(segment_name(7), "wal/00000007");
        assert_eq!(segment_number("00000007"), Some(7));
        assert_eq!(segment_number("123456789"), Some(123_456_789));
        for name in ["7", "0000000x", "000000007", "99999999999", ""] {
            assert_eq!(segment_number(name), None, "{name}");
        }
    }
}
