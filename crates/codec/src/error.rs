//! Why bytes cannot be decoded, or a sample not be encoded.

/// A failure of a decoder or encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The bytes end in the middle of something.
    #[error("unexpected end of data")]
    UnexpectedEnd,
    /// A varint that does not fit into 64 bits.
    #[error("varint longer than 64 bits")]
    VarintOverflow,
    /// A window of meaningful bits that is wider than a value.
    #[error("bit window wider than 64 bits")]
    BadWindow,
    /// The chunk holds as many samples as its count can say.
    #[error("chunk is full")]
    ChunkFull,
}
