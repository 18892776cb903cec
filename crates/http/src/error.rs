//! Errors of the API: kind, HTTP status, text.

use http::StatusCode;
use tsdb_model::StorageError;
use tsdb_promql::QueryError;

use crate::params::quoted;

/// What kind of failure it is; the words are the API's `errorType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is wrong.
    BadData,
    /// The query cannot be evaluated.
    Execution,
    /// The client went away.
    Canceled,
    /// The query took too long.
    Timeout,
    /// The store failed, or this program.
    Internal,
    /// Not in this server, or not now.
    Unavailable,
    /// No such thing.
    NotFound,
}

impl ErrorKind {
    /// The word in `errorType`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadData => "bad_data",
            Self::Execution => "execution",
            Self::Canceled => "canceled",
            Self::Timeout => "timeout",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
            Self::NotFound => "not_found",
        }
    }

    /// The HTTP status Prometheus answers with; 500 for `unavailable`, too.
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadData => StatusCode::BAD_REQUEST,
            Self::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Canceled => {
                StatusCode::from_u16(499).expect("invariant: 499 is in the range of status codes")
            }
            Self::Timeout => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal | Self::Unavailable => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotFound => StatusCode::NOT_FOUND,
        }
    }
}

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// Its kind.
    pub kind: ErrorKind,
    /// Its text.
    pub message: String,
}

impl ApiError {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// The request is wrong.
    pub fn bad_data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadData, message)
    }

    /// A parameter is wrong: `invalid parameter "NAME": CAUSE`.
    pub fn invalid(parameter: &str, cause: impl std::fmt::Display) -> Self {
        Self::bad_data(format!("invalid parameter {}: {cause}", quoted(parameter)))
    }
}

impl From<StorageError> for ApiError {
    fn from(e: StorageError) -> Self {
        let kind = match e {
            StorageError::Canceled => ErrorKind::Canceled,
            _ => ErrorKind::Internal,
        };
        Self::new(kind, e.to_string())
    }
}

impl From<QueryError> for ApiError {
    fn from(e: QueryError) -> Self {
        let kind = match &e {
            QueryError::Parse(e) => return Self::invalid("query", e),
            QueryError::BadData(text) => return Self::invalid("query", text),
            QueryError::Timeout(_) => ErrorKind::Timeout,
            QueryError::Canceled(_) | QueryError::Storage(StorageError::Canceled) => {
                ErrorKind::Canceled
            }
            QueryError::Storage(_) => ErrorKind::Internal,
            _ => ErrorKind::Execution,
        };
        Self::new(kind, e.to_string())
    }
}
