//! PromQL: lexer, parser, checker, printer and evaluator over [`tsdb_model::Queryable`].
//!
//! Plain synchronous code without I/O.

pub mod annotations;
pub mod ast;
mod check;
pub mod engine;
pub mod error;
mod eval;
pub mod functions;
mod lexer;
pub mod memory;
mod notes;
pub mod parse;
mod plan;
pub mod printer;
pub mod script;
pub mod series_description;
#[cfg(test)]
mod test_store;
mod token;
pub mod value;

pub use annotations::Annotations;
pub use engine::{CancelToken, Engine, EngineOptions, QueryOptions};
pub use error::{ParseError, QueryError};
pub use memory::{MemoryPool, QueryProgress, Reservation};
pub use parse::{ParseOptions, parse, parse_metric, parse_selector};
pub use printer::format;
pub use value::{InstantSample, QueryOutput, QueryStats, RangeSeries, SampleValue, Value};
