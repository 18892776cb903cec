//! How a script went.

use std::fmt;

use super::{ScriptError, parse};

/// How many evals of a script did as they were expected to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Evals that did.
    pub passed: usize,
    /// Evals that did not.
    pub failed: usize,
    /// One for each eval that did not, or one for a whole file that could not be parsed.
    pub failures: Vec<Failure>,
}

/// Why an eval failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Name of the file.
    pub file: String,
    /// Line of the eval, from 1.
    pub line: usize,
    /// The query; empty when it is not about a query.
    pub query: String,
    /// What was expected and what came.
    pub message: String,
}

/// `file:12: query`, and below it, indented, the reason.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.query)?;
        self.message
            .lines()
            .try_for_each(|line| write!(f, "\n    {line}"))
    }
}

impl Report {
    /// The report about a file that is not a script.
    pub fn unparsable(text: &str, error: ScriptError) -> Self {
        let failure = Failure {
            file: error.file,
            line: error.line,
            query: String::new(),
            message: error.message,
        };
        // Nothing was tested, which must not look like success.
        let failed = parse::count_evals(text).max(1);
        Self {
            passed: 0,
            failed,
            failures: vec![failure],
        }
    }

    /// True when nothing failed.
    pub fn is_success(&self) -> bool {
        self.failed == 0
    }

    /// Adds the counts and failures of another file.
    pub fn merge(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.failures.extend(other.failures);
    }
}
