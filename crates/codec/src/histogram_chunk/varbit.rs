//! Integers of 1 to 72 bits: a run of ones says how wide the number behind it is.

use crate::bits::{BitReader, BitWriter};
use crate::error::CodecError;

/// Width of the number behind a prefix of one, two, .. ones and a zero. Zero is a single zero bit;
/// eight ones stand before a number of 64 bits.
const WIDTHS: [u32; 7] = [3, 6, 9, 12, 18, 25, 56];

/// Ones before a number of 64 bits.
const FULL_ONES: usize = 8;

fn put(bits: &mut BitWriter, v: u64, fits: impl Fn(u32) -> bool) {
    if v == 0 {
        bits.write_bit(false);
        return;
    }
    for (i, width) in WIDTHS.into_iter().enumerate() {
        if fits(width) {
            let prefix_bits = i as u32 + 2;
            bits.write_bits((1 << prefix_bits) - 2, prefix_bits);
            bits.write_bits(v, width);
            return;
        }
    }
    bits.write_bits(0xff, FULL_ONES as u32);
    bits.write_bits(v, 64);
}

/// Appends a signed number. A field of n bits holds -(2^(n-1) - 1) to 2^(n-1).
pub(super) fn put_int(bits: &mut BitWriter, v: i64) {
    put(bits, v as u64, |width| {
        let limit = 1i64 << (width - 1);
        -limit < v && v <= limit
    });
}

/// Appends an unsigned number.
pub(super) fn put_uint(bits: &mut BitWriter, v: u64) {
    put(bits, v, |width| v >> width == 0);
}

/// The width that the next prefix announces; `None` for zero.
fn read_width(bits: &mut BitReader<'_>) -> Result<Option<u32>, CodecError> {
    let mut ones = 0;
    while ones < FULL_ONES && bits.read_bit()? {
        ones += 1;
    }
    Ok(ones
        .checked_sub(1)
        .map(|i| WIDTHS.get(i).copied().unwrap_or(64)))
}

/// Takes a signed number.
pub(super) fn read_int(bits: &mut BitReader<'_>) -> Result<i64, CodecError> {
    let Some(width) = read_width(bits)? else {
        return Ok(0);
    };
    let v = bits.read_bits(width)? as i64;
    if width == 64 {
        return Ok(v);
    }
    let limit = 1i64 << (width - 1);
    Ok(if v > limit { v - 2 * limit } else { v })
}

/// Takes an unsigned number.
pub(super) fn read_uint(bits: &mut BitReader<'_>) -> Result<u64, CodecError> {
    match read_width(bits)? {
        None => Ok(0),
        Some(width) => bits.read_bits(width),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_bits() {
        let mut w = BitWriter::default();
        put_int(&mut w, 0); // 0
        put_int(&mut w, 4); // 10 100
        put_int(&mut w, -3); // 10 101
        put_int(&mut w, 5); // 110 000101
        put_uint(&mut w, 7); // 10 111
        assert_eq!(
            w.bytes(),
            [0b0101_0010, 0b1011_1000, 0b0101_1011, 0b1000_0000]
        );
    }

    #[test]
    fn lengths_at_the_borders() {
        for (width, total) in [
            (3, 5),
            (6, 9),
            (9, 13),
            (12, 17),
            (18, 24),
            (25, 32),
            (56, 64),
        ] {
            let limit = 1i64 << (width - 1);
            for (v, fits) in [
                (limit, true),
                (limit + 1, false),
                (1 - limit, true),
                (-limit, false),
            ] {
                let mut w = BitWriter::default();
                (0..8).for_each(|_| put_int(&mut w, v)); // bytes of eight are bits of one
                assert_eq!(w.bytes().len() == total, fits, "{v}");
            }
        }
    }

    proptest! {
        #[test]
        fn round_trip(numbers: Vec<(i64, u64, u8)>) {
            let numbers: Vec<(i64, u64)> = numbers
                .into_iter()
                .map(|(i, u, shift)| (i >> (shift % 64), u >> (shift % 64)))
                .collect();
            let mut w = BitWriter::default();
            for (i, u) in &numbers {
                put_int(&mut w, *i);
                put_uint(&mut w, *u);
            }
            let mut r = BitReader::new(w.bytes());
            for (i, u) in &numbers {
                prop_assert_eq!(read_int(&mut r), Ok(*i));
                prop_assert_eq!(read_uint(&mut r), Ok(*u));
            }
        }
    }
}
