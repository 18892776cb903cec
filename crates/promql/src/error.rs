//! Errors of parsing and of evaluation.

use crate::ast::Span;

/// A query text that is not PromQL, or does not type-check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// What is wrong, in Prometheus's words, without position and prefix.
    pub message: String,
    /// Where.
    pub span: Span,
    /// Line of `span.start`, from 1.
    pub line: usize,
    /// Column of `span.start`, in bytes from 1.
    pub column: usize,
    /// The position is known (it is not for an empty query).
    pub has_position: bool,
}

/// `1:5: parse error: message`, as Prometheus prints it.
impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.has_position {
            write!(
                f,
                "{}:{}: parse error: {}",
                self.line, self.column, self.message
            )
        } else {
            write!(f, "unknown position: parse error: {}", self.message)
        }
    }
}

impl std::error::Error for ParseError {}

/// Why a query has no result.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// Bad text (`bad_data`).
    #[error("{0}")]
    Parse(ParseError),
    /// Bad request that is not about the text (`bad_data`).
    #[error("{0}")]
    BadData(String),
    /// Evaluation failed (`execution`).
    #[error("{0}")]
    Execution(String),
    /// Took too long (`timeout`); the text names the phase.
    #[error("query timed out in {0}")]
    Timeout(&'static str),
    /// Was told to stop (`canceled`).
    #[error("query was canceled in {0}")]
    Canceled(&'static str),
    /// Too many samples in memory at once (`execution`).
    #[error("query processing would load too many samples into memory in {0}")]
    TooManySamples(&'static str),
    /// Too much memory for one query (`execution`).
    #[error(
        "query processing would load too many samples into memory in query execution: \
         it may take {0} bytes (query.max-bytes)"
    )]
    QueryMemory(usize),
    /// Too much memory together with the queries that run at the same time (`execution`).
    #[error(
        "query processing would load too many samples into memory in query execution: \
         the memory for all running queries is used up (query.max-total-bytes)"
    )]
    AllQueriesMemory,
    /// The store failed (`internal`).
    #[error("{0}")]
    Storage(tsdb_model::StorageError),
}

impl From<ParseError> for QueryError {
    fn from(e: ParseError) -> Self {
        Self::Parse(e)
    }
}
