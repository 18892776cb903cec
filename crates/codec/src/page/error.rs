//! What can be wrong with a page.

/// Why bytes are not a page, or values do not fit one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// More rows than [`MAX_ROWS`](super::MAX_ROWS).
    #[error("{rows} rows are more than a page holds ({})", super::MAX_ROWS)]
    TooManyRows {
        /// Rows asked for.
        rows: usize,
    },
    /// A wrong number of columns, or columns of different lengths.
    #[error("a bundle has 1 to {} columns of the same length", super::MAX_COLUMNS)]
    BadColumns,
    /// Rows outside the page were asked for.
    #[error("rows outside the page")]
    BadRange,
    /// Runs that do not rise or do not lie inside the column.
    #[error("presence runs are not rising or not inside the column")]
    BadRuns,
    /// The bytes end too early.
    #[error("page ends too early")]
    Truncated,
    /// The bytes do not follow the format.
    #[error("corrupt page: {what}")]
    Corrupt {
        /// What is wrong.
        what: &'static str,
    },
}

impl PageError {
    pub(crate) const fn corrupt(what: &'static str) -> Self {
        Self::Corrupt { what }
    }
}
