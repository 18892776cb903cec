//! What crosses the network as bytes: exposition formats, remote write and remote read.
//!
//! [`text`] and [`openmetrics`] read exposition pages without copying, [`encode`] writes them, and
//! [`negotiate`] says which format a page has. [`remote`] reads and writes the messages of remote
//! write and remote read.

pub mod encode;
pub mod negotiate;
mod number;
pub mod openmetrics;
pub mod remote;
mod series;
pub mod text;

#[cfg(test)]
mod test_page;
