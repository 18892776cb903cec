//! Prometheus remote write 1.0 and 2.0 and remote read: snappy blocks and protobuf messages, read
//! by hand without copying.
//!
//! [`WriteRequest`] takes a write request apart into arrays that are used again for the next one.
//! Each series carries a [`SeriesKey`], a hash of its labels as sent, so that a receiver finds the
//! series it knows without building and sorting label sets. Every decoder takes any bytes and keeps
//! to bounds: what does not fit is an error.

pub mod encode;
mod histogram;
mod key;
mod labels;
mod proto;
mod read;
mod request;
mod snappy;
#[cfg(test)]
mod tests;
mod v1;
mod v2;

pub use key::{KeyHasher, SeriesKey};
pub use labels::InvalidLabels;
pub use read::{ReadQuery, ReadRequest, ResponseType};
pub use request::{
    ExemplarEntry, HistogramEntry, MetadataEntry, Part, SampleEntry, SeriesEntry, WriteRequest,
    max_memory,
};
pub use snappy::{compress, declared_len, decompress};

/// Most bytes of a request after decompression; what declares more is not decompressed.
pub const MAX_DECOMPRESSED_BYTES: usize = 32 << 20;

/// Which message a write request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WriteVersion {
    /// `prometheus.WriteRequest`
    V1,
    /// `io.prometheus.write.v2.Request`
    V2,
}

impl WriteVersion {
    /// The name of the message, as in the content type.
    pub fn message(self) -> &'static str {
        match self {
            Self::V1 => "prometheus.WriteRequest",
            Self::V2 => "io.prometheus.write.v2.Request",
        }
    }
}

/// Why the bytes of a request cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// Not a snappy block.
    #[error("snappy: corrupt input")]
    Snappy,
    /// The block declares more bytes than are taken.
    #[error("snappy: decoded block is too large: {size} bytes, the limit is {limit}")]
    TooLarge {
        /// Declared size.
        size: u64,
        /// The limit.
        limit: usize,
    },
    /// The message is made of so many small parts that taking it apart would need too much memory.
    #[error("the request holds too many elements")]
    TooManyElements,
    /// The message ends within a field.
    #[error("unexpected EOF")]
    UnexpectedEof,
    /// A number of more than 64 bits.
    #[error("proto: integer overflow")]
    IntegerOverflow,
    /// A field number of 0, or one that is too large.
    #[error("proto: illegal tag")]
    IllegalTag,
    /// A wire type that there is not, or groups.
    #[error("proto: illegal wireType {0}")]
    IllegalWireType(u8),
    /// A field whose wire type is not that of its definition.
    #[error("proto: wrong wireType = {wire_type} for field {field}")]
    WrongWireType {
        /// Name of the field.
        field: &'static str,
        /// What it came with.
        wire_type: u8,
    },
    /// The first symbol must be the empty string.
    #[error("invalid symbols: the first one must be an empty string")]
    FirstSymbol,
    /// A label without its value.
    #[error("invalid labelRefs length {0}: must be even")]
    OddRefs(usize),
    /// A reference to a symbol that there is not.
    #[error("labelRefs {reference} (index {index}) is outside of symbols array (size {size})")]
    RefOutOfRange {
        /// The reference.
        reference: u32,
        /// Its place in the list of references.
        index: usize,
        /// Number of symbols.
        size: usize,
    },
    /// A text that is not UTF-8 where one must be.
    #[error("proto: field {0} contains invalid UTF-8")]
    InvalidUtf8(&'static str),
    /// A read request asks with a matcher that there is not.
    #[error("{0}")]
    BadMatcher(String),
    /// A read request accepts no kind of answer that there is.
    #[error(
        "server does not support any of the requested response types: {0:?}; supported: [SAMPLES STREAMED_XOR_CHUNKS]"
    )]
    NoResponseType(Vec<u64>),
}
