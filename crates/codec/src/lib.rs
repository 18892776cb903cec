//! Bit streams, varints, chunk encodings and value pages of tsdb: bytes in, columns out.
//!
//! Decoders take any bytes: they answer with an error, never with a panic, and never read or
//! allocate more than the bytes can hold.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod bits;
pub mod error;
pub mod histogram_chunk;
pub mod page;
pub mod times;
pub mod varint;
pub mod xor;

pub use bits::{BitReader, BitWriter};
pub use error::CodecError;
pub use xor::{XorAppender, XorIter, max_chunk_bytes};
