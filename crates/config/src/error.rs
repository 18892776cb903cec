//! Why a configuration cannot be used.

use std::io;

/// Why a configuration cannot be used. The texts name the file, and the place in it if there is
/// one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{file}: {source}")]
    Read {
        /// The file.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// The file is larger than any configuration.
    #[error("{file}: larger than {limit} bytes")]
    TooLarge {
        /// The file.
        file: String,
        /// The most that is read.
        limit: u64,
    },
    /// Not YAML, or YAML beyond the limits on depth and size.
    #[error("{file}:{line}:{column}: {reason}")]
    Syntax {
        /// The file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// What is wrong.
        reason: String,
    },
    /// YAML that is no valid configuration.
    #[error("{file}:{line}:{column}: {}{reason}", prefix(field))]
    Invalid {
        /// The file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// The section or field, such as `scrape_configs[0].scheme`; empty for the whole file.
        field: String,
        /// What is wrong.
        reason: String,
    },
}

fn prefix(field: &str) -> String {
    if field.is_empty() {
        String::new()
    } else {
        format!("{field}: ")
    }
}

/// A place in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Position {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

/// What is wrong and where; the file's name comes later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) at: Position,
    pub(crate) field: String,
    pub(crate) reason: String,
}

impl Problem {
    pub(crate) fn new(at: Position, field: &str, reason: impl ToString) -> Self {
        Self {
            at,
            field: field.to_string(),
            reason: reason.to_string(),
        }
    }

    pub(crate) fn in_file(self, file: &str) -> ConfigError {
        ConfigError::Invalid {
            file: file.to_string(),
            line: self.at.line,
            column: self.at.column,
            field: self.field,
            reason: self.reason,
        }
    }
}
