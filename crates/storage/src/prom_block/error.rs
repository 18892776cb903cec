//! Why an export or an import stopped.

use std::io;

use tsdb_codec::histogram_chunk::HistogramChunkError;
use tsdb_model::{Labels, StorageError};

use crate::dir::Dir;

/// A failure to write or read blocks of Prometheus.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PromBlockError {
    /// The disk refused, bytes are damaged, or the store that is read or written failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A histogram that no chunk can hold.
    #[error("histogram of {labels} at {timestamp_ms}: {source}")]
    Histogram {
        /// Its series.
        labels: Labels,
        /// Its time, milliseconds since the Unix epoch.
        timestamp_ms: i64,
        /// What is wrong with it.
        source: HistogramChunkError,
    },
    /// More than the block format can address.
    #[error("{path}: {what} too large for the format")]
    TooLarge {
        /// File.
        path: String,
        /// What is too large.
        what: &'static str,
    },
    /// A part of the format that is not read.
    #[error("{path}: {what} is not supported")]
    Unsupported {
        /// File.
        path: String,
        /// What it has.
        what: String,
    },
    /// Series must be added in the order of their labels.
    #[error("series {0} is out of order")]
    SeriesOrder(Labels),
}

/// A failed call of the operating system.
pub(super) fn io_error(dir: &dyn Dir, doing: &str, name: &str, e: &io::Error) -> StorageError {
    StorageError::Io {
        context: format!("{doing} {}", path_of(dir, name)),
        message: e.to_string(),
    }
}

/// Bytes that are not what a block has there.
pub(super) fn corrupt(
    dir: &dyn Dir,
    name: &str,
    offset: u64,
    what: impl Into<String>,
) -> StorageError {
    StorageError::Corrupt {
        path: path_of(dir, name),
        offset,
        what: what.into(),
    }
}

/// What to call a file in messages.
pub(super) fn path_of(dir: &dyn Dir, name: &str) -> String {
    format!("{}/{name}", dir.display())
}
