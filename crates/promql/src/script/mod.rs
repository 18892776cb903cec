//! Test scripts (`*.test`): samples to load, queries, and what they must answer.
//!
//! The format is that of Prometheus's own query tests. A [`Script`] is parsed whole and then run
//! against any store; [`MemoryStore`] is one that needs nothing else.

mod compare;
mod eval;
mod expect;
mod load;
mod memory;
mod nhcb;
mod parse;
mod pin;
mod report;
mod run;
mod start_times;
#[cfg(test)]
mod tests;

use tsdb_model::{Appendable, Queryable};

pub use memory::MemoryStore;
pub use report::{Failure, Report};

use eval::Eval;
use load::Load;

/// What a script runs against.
pub trait ScriptStore: Appendable + Queryable {}

impl<T: Appendable + Queryable> ScriptStore for T {}

/// Makes an empty store; called at the start and at each `clear`.
pub type NewStore<'a> = dyn FnMut() -> Box<dyn ScriptStore> + 'a;

/// A file that is not a script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct ScriptError {
    /// Name of the file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// A parsed script.
#[derive(Debug, Clone)]
pub struct Script {
    file: String,
    statements: Vec<Statement>,
}

#[derive(Debug, Clone)]
enum Statement {
    Clear,
    Load(Load),
    Eval(Box<Eval>),
}

impl Script {
    /// Parses the text of a script; `name` stands in messages.
    pub fn parse(name: &str, text: &str) -> Result<Self, ScriptError> {
        let error = |(line, message)| ScriptError {
            file: name.to_string(),
            line,
            message,
        };
        let statements = parse::statements(text).map_err(error)?;
        Ok(Self {
            file: name.to_string(),
            statements,
        })
    }

    /// Runs all statements in order.
    pub fn run(&self, new_store: &mut NewStore<'_>) -> Report {
        run::run(&self.file, &self.statements, new_store)
    }
}

/// Parses and runs a script. One that cannot be parsed counts all its evals as failed.
pub fn run_text(name: &str, text: &str, new_store: &mut NewStore<'_>) -> Report {
    match Script::parse(name, text) {
        Ok(script) => script.run(new_store),
        Err(error) => Report::unparsable(text, error),
    }
}
