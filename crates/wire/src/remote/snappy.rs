//! Snappy blocks.

use super::RemoteError;

/// Decompresses a block into `out`, replacing what it holds and using its memory again. A block
/// that declares more than `limit` bytes is refused before anything is allocated.
pub fn decompress(block: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), RemoteError> {
    out.clear();
    let size = snap::raw::decompress_len(block).map_err(|_| RemoteError::Snappy)?;
    if size > limit {
        return Err(RemoteError::TooLarge {
            size: size as u64,
            limit,
        });
    }
    // The longest copy makes 64 bytes of two or three: no block can grow by more than this.
    if size / 64 > block.len() {
        return Err(RemoteError::Snappy);
    }
    out.resize(size, 0);
    let written = snap::raw::Decoder::new()
        .decompress(block, out)
        .map_err(|_| RemoteError::Snappy)?;
    out.truncate(written);
    Ok(())
}

/// Bytes that a block says it holds; `None` when it is no block.
pub fn declared_len(block: &[u8]) -> Option<usize> {
    snap::raw::decompress_len(block).ok()
}

/// Compresses bytes into one block.
pub fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = snap::raw::Encoder::new();
    // The only error is an input of 4 GiB and more, which no answer here can have.
    encoder.compress_vec(bytes).unwrap_or_default()
}
