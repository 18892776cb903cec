//! Bit streams, varints and chunk encodings of tsdb: bytes in, columns out.

pub mod page;
pub mod times;
