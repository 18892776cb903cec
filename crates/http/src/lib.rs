//! The Prometheus HTTP API of tsdb.
//!
//! [`ApiState`] holds what the API works on, [`Api`] answers requests as a
//! [`Handler`](tsdb_net::server::Handler) of a `tsdb_net` server. Every endpoint is described in
//! docs/http-api.md.

mod access;
mod answer;
mod api;
mod counters;
pub mod error;
mod form;
pub mod json;
mod notifications;
mod pages;
pub mod params;
mod process;
mod query_log;
mod receive;
mod router;
mod running;
mod selected;
mod selector;
mod self_metrics;
pub mod state;
mod stream;
#[cfg(test)]
mod test_server;
#[cfg(test)]
mod tests;

pub use error::{ApiError, ErrorKind};
pub use query_log::QueryLogFile;
pub use router::Api;
pub use state::{ApiOptions, ApiState, BuildInfo};
