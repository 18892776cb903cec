//! Variable-length integers as Go's `encoding/binary` has them: seven bits a byte, lowest first,
//! the top bit set while more follow; signed ones in zigzag form.

use crate::error::CodecError;

/// Most bytes of a varint.
pub const MAX_VARINT_BYTES: usize = 10;

/// Appends `v`.
#[inline]
pub fn put_uvarint(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

/// Appends `v` in zigzag form.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, v: i64) {
    put_uvarint(out, zigzag(v));
}

/// Small absolute values become small unsigned ones.
#[inline]
pub fn zigzag(v: i64) -> u64 {
    ((v << 1) ^ (v >> 63)) as u64
}

/// The reverse of [`zigzag`].
#[inline]
pub fn unzigzag(v: u64) -> i64 {
    (v >> 1) as i64 ^ -((v & 1) as i64)
}

/// Reads a varint byte by byte from `next`.
#[inline]
pub fn read_uvarint(mut next: impl FnMut() -> Result<u8, CodecError>) -> Result<u64, CodecError> {
    let mut v = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = next()?;
        if shift == 63 && byte > 1 {
            break;
        }
        v |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(v);
        }
    }
    Err(CodecError::VarintOverflow)
}

/// Takes a varint off the front of `bytes`.
#[inline]
pub fn take_uvarint(bytes: &mut &[u8]) -> Result<u64, CodecError> {
    read_uvarint(|| {
        let (first, rest) = bytes.split_first().ok_or(CodecError::UnexpectedEnd)?;
        *bytes = rest;
        Ok(*first)
    })
}

/// Takes a zigzag varint off the front of `bytes`.
#[inline]
pub fn take_varint(bytes: &mut &[u8]) -> Result<i64, CodecError> {
    take_uvarint(bytes).map(unzigzag)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_bytes() {
        let mut out = Vec::new();
        put_uvarint(&mut out, 300);
        put_varint(&mut out, -1);
        put_varint(&mut out, 64);
        assert_eq!(out, [0xac, 0x02, 0x01, 0x80, 0x01]);
    }

    #[test]
    fn too_long_and_too_short() {
        let mut long: &[u8] = &[0xff; 11];
        assert_eq!(take_uvarint(&mut long), Err(CodecError::VarintOverflow));
        let mut over: &[u8] = &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        assert_eq!(take_uvarint(&mut over), Err(CodecError::VarintOverflow));
        let mut short: &[u8] = &[0x80];
        assert_eq!(take_uvarint(&mut short), Err(CodecError::UnexpectedEnd));
    }

    proptest! {
        #[test]
        fn round_trip(u: u64, i: i64) {
            let mut out = Vec::new();
            put_uvarint(&mut out, u);
            put_varint(&mut out, i);
            prop_assert!(out.len() <= 2 * MAX_VARINT_BYTES);
            let mut bytes = out.as_slice();
            prop_assert_eq!(take_uvarint(&mut bytes), Ok(u));
            prop_assert_eq!(take_varint(&mut bytes), Ok(i));
            prop_assert!(bytes.is_empty());
        }

        #[test]
        fn any_bytes(bytes: Vec<u8>) {
            let mut rest = bytes.as_slice();
            while take_uvarint(&mut rest).is_ok() {}
        }
    }
}
