//! The Prometheus HTTP API of tsdb.
