//! HTTP client and server plumbing of tsdb.
