//! Why one collector could not read its part of the machine.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Failure of one collector; the others are not touched by it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum CollectError {
    /// The kernel does not offer this here (no such driver, module or hardware).
    #[error("{what}: nothing there to collect")]
    NoData {
        /// The file or directory that is missing.
        what: String,
    },
    /// A file exists but cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file has content that is not understood.
    #[error("{file}: {what}")]
    Parse {
        /// The file, relative to the root of the tree.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// There is more to read than one collection may take.
    #[error("{0}")]
    Limit(String),
}

impl CollectError {
    /// A parse failure of `file`.
    pub(crate) fn parse(file: &str, what: impl ToString) -> Self {
        Self::Parse {
            file: file.to_string(),
            what: what.to_string(),
        }
    }

    /// True if there is just nothing there, which is not worth a warning.
    pub(crate) fn is_no_data(&self) -> bool {
        matches!(self, Self::NoData { .. })
    }

    /// Failures with the same kind are warned about once.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::NoData { .. } => "no data",
            Self::Read { .. } => "read",
            Self::Parse { .. } => "parse",
            Self::Limit(_) => "limit",
        }
    }
}
