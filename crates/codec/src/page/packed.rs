//! Bit-packing with patches: docs/format/page.md section 5.1.

use super::bit_stream::BitWriter;
use super::bytes::{Cursor, put_varint};
use super::error::PageError;
use super::slot::Slot;

/// Whether any number needs a patch at this width.
pub(crate) fn has_patches(numbers: &[u64], width: u32) -> bool {
    width < 64 && numbers.iter().any(|&u| u >> width != 0)
}

/// Appends the width and the packed bits.
pub(crate) fn write(numbers: &[u64], width: u32, out: &mut Vec<u8>) {
    out.push(width as u8);
    let mask = low_mask(width);
    let mut w = BitWriter::new(out);
    for u in numbers {
        w.put(u & mask, width);
    }
    w.finish();
}

/// Appends the patches, of which there is at least one.
pub(crate) fn write_patches(numbers: &[u64], width: u32, out: &mut Vec<u8>) {
    let patched = || {
        numbers
            .iter()
            .enumerate()
            .filter(|(_, u)| **u >> width != 0)
    };
    put_varint(out, patched().count() as u64);
    let mut last = 0;
    for (i, u) in patched() {
        put_varint(out, (i - last) as u64);
        put_varint(out, u >> width);
        last = i;
    }
}

const fn low_mask(width: u32) -> u64 {
    if width >= 64 {
        u64::MAX
    } else {
        !(u64::MAX << width)
    }
}

/// The packed bits of a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packed<'a> {
    width: u32,
    body: &'a [u8],
}

impl<'a> Packed<'a> {
    /// Reads the width and takes the bytes of so many numbers.
    pub(crate) fn read(cursor: &mut Cursor<'a>, numbers: usize) -> Result<Self, PageError> {
        let width = u32::from(cursor.u8()?);
        if width > 64 {
            return Err(PageError::corrupt("width above 64"));
        }
        let body = cursor.take((width as usize * numbers).div_ceil(8))?;
        Ok(Self { width, body })
    }

    /// Unpacks the numbers from `first` on into `out`.
    pub(crate) fn unpack<S: Slot>(&self, first: usize, out: &mut [S]) {
        unpack(self.body, self.width, first, out);
    }

    /// Reads all patches, of so many numbers, and puts them onto those from `first` on.
    pub(crate) fn patch<S: Slot>(
        &self,
        cursor: &mut Cursor<'_>,
        numbers: usize,
        first: usize,
        out: &mut [S],
    ) -> Result<(), PageError> {
        if self.width == 64 {
            return Err(PageError::corrupt("patches on full width"));
        }
        let count = cursor.count(numbers, "more patches than numbers")?;
        if count == 0 {
            return Err(PageError::corrupt("no patches"));
        }
        let mut at = 0usize;
        for i in 0..count {
            let gap = cursor.count(numbers, "patch outside the stream")?;
            at += gap;
            if at >= numbers || (i > 0 && gap == 0) {
                return Err(PageError::corrupt("patch outside the stream"));
            }
            let high = cursor.varint()?;
            if high == 0 || high.leading_zeros() < self.width {
                return Err(PageError::corrupt("patch does not fit"));
            }
            if let Some(slot) = at.checked_sub(first).and_then(|i| out.get_mut(i)) {
                *slot = S::from_bits(slot.bits() | high << self.width);
            }
        }
        Ok(())
    }
}

/// Numbers that are unpacked at once: so many of any width end on a byte.
const BLOCK: usize = 8;

/// Unpacks a block from the front of `src`, which has at least W + 8 bytes, else gives zeros.
/// Every shift and offset is a constant.
fn unpack_block<const W: usize, S: Slot>(src: &[u8], out: &mut [S; BLOCK]) {
    let Some(src) = src.get(..W + 8) else {
        *out = [S::from_bits(0); BLOCK];
        return;
    };
    for (i, slot) in out.iter_mut().enumerate() {
        let bit = i * W;
        let word = match src.get(bit / 8..bit / 8 + 8).map(<[u8; 8]>::try_from) {
            Some(Ok(bytes)) => u64::from_le_bytes(bytes),
            _ => 0,
        };
        *slot = S::from_bits(word >> (bit % 8) & low_mask(W as u32));
    }
}

type Unpack<S> = fn(&[u8], &mut [S; BLOCK]);

/// The function for a width; none for wider numbers, which may lie in nine bytes.
fn unpacker<S: Slot>(width: usize) -> Option<Unpack<S>> {
    macro_rules! unpackers {
        ($($w:literal)*) => {
            match width {
                $($w => Some(unpack_block::<$w, S>),)*
                _ => None,
            }
        };
    }
    unpackers!(
        1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33
        34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56
    )
}

fn unpack<S: Slot>(body: &[u8], width: u32, first: usize, out: &mut [S]) {
    let width = width as usize;
    if width == 0 {
        out.fill(S::from_bits(0));
        return;
    }
    let Some(unpack) = unpacker::<S>(width) else {
        for (i, slot) in out.iter_mut().enumerate() {
            *slot = S::from_bits(wide(body, width, (first + i) * width));
        }
        return;
    };
    let mut block = [S::from_bits(0); BLOCK];
    let mut bytes = body.get(first / BLOCK * width..).unwrap_or_default();
    let mut out = out;
    let skip = first % BLOCK;
    if skip > 0 {
        let mut copy = [0; 64];
        for (to, from) in copy.iter_mut().zip(bytes) {
            *to = *from;
        }
        unpack(&copy, &mut block);
        let (front, rest) = out.split_at_mut((BLOCK - skip).min(out.len()));
        for (slot, &number) in front.iter_mut().zip(block.iter().skip(skip)) {
            *slot = number;
        }
        out = rest;
        bytes = bytes.get(width..).unwrap_or_default();
    }
    let (blocks, partial) = out.as_chunks_mut::<BLOCK>();
    // The last few lack eight bytes behind them and are unpacked from a copy that has them.
    let whole = (bytes.len().saturating_sub(8) / width).min(blocks.len());
    let (inside, rest) = blocks.split_at_mut(whole);
    for slots in inside {
        unpack(bytes, slots);
        bytes = bytes.get(width..).unwrap_or_default();
    }
    // Fewer than width + 8 bytes are left, or fewer than eight numbers.
    let mut copy = [0u8; 3 * 64];
    for (to, from) in copy.iter_mut().zip(bytes) {
        *to = *from;
    }
    let mut bytes = copy.as_slice();
    for slots in rest {
        unpack(bytes, slots);
        bytes = bytes.get(width..).unwrap_or_default();
    }
    unpack(bytes, &mut block);
    for (slot, number) in partial.iter_mut().zip(block) {
        *slot = number;
    }
}

/// A number of any width, near the end or not.
fn wide(body: &[u8], width: usize, bit: usize) -> u64 {
    let rest = body.get(bit >> 3..).unwrap_or_default();
    let word = rest
        .iter()
        .take(9)
        .rev()
        .fold(0u128, |acc, &b| acc << 8 | u128::from(b));
    (word >> (bit & 7)) as u64 & low_mask(width as u32)
}
