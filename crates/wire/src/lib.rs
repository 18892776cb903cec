//! What crosses the network as bytes: exposition formats.
//!
//! [`text`] and [`openmetrics`] read exposition pages without copying, [`encode`] writes them, and
//! [`negotiate`] says which format a page has.

pub mod encode;
pub mod negotiate;
mod number;
pub mod openmetrics;
mod series;
pub mod text;

#[cfg(test)]
mod test_page;
