//! PromQL: lexer, parser, checker, printer and evaluator over [`tsdb_model::Queryable`].
//!
//! Plain synchronous code without I/O.

pub mod annotations;
pub mod ast;
pub mod engine;
pub mod error;
pub mod functions;
pub mod value;

pub use annotations::Annotations;
pub use engine::{CancelToken, Engine, EngineOptions, QueryOptions};
pub use error::{ParseError, QueryError};
pub use value::{InstantSample, QueryOutput, QueryStats, RangeSeries, SampleValue, Value};
