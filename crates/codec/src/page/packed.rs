//! Bit-packing with patches: docs/format/page.md section 5.1.

use super::bit_stream::BitWriter;
use super::bytes::{Cursor, put_varint};
use super::error::PageError;
use super::slot::Slot;

/// Whether any number needs a patch at this width.
pub(crate) fn has_patches(numbers: &[u64], width: u32) -> bool {
    width < 64 && numbers.iter().any(|&u| u >> width != 0)
}

/// Appends the width and the patches.
pub(crate) fn write_head(numbers: &[u64], width: u32, out: &mut Vec<u8>) {
    out.push(width as u8);
    if width == 64 {
        return;
    }
    let patched = || {
        numbers
            .iter()
            .enumerate()
            .filter(|(_, u)| **u >> width != 0)
    };
    let count = patched().count();
    if count == 0 {
        return;
    }
    put_varint(out, count as u64);
    let mut last = 0;
    for (i, u) in patched() {
        put_varint(out, (i - last) as u64);
        put_varint(out, u >> width);
        last = i;
    }
}

/// Appends the packed bits.
pub(crate) fn write_body(numbers: &[u64], width: u32, out: &mut Vec<u8>) {
    let mask = low_mask(width);
    let mut w = BitWriter::new(out);
    for u in numbers {
        w.put(u & mask, width);
    }
    w.finish();
}

const fn low_mask(width: u32) -> u64 {
    if width >= 64 {
        u64::MAX
    } else {
        !(u64::MAX << width)
    }
}

/// Width and patches of a packed stream, read and checked.
#[derive(Debug)]
pub(crate) struct Head<'a> {
    width: u32,
    patches: usize,
    patch_bytes: Cursor<'a>,
}

impl<'a> Head<'a> {
    /// Reads and checks everything before the restart points.
    pub(crate) fn read(
        cursor: &mut Cursor<'a>,
        patched: bool,
        numbers: usize,
    ) -> Result<Self, PageError> {
        let width = u32::from(cursor.u8()?);
        if width > 64 {
            return Err(PageError::corrupt("width above 64"));
        }
        if !patched {
            return Ok(Self {
                width,
                patches: 0,
                patch_bytes: *cursor,
            });
        }
        if width == 64 {
            return Err(PageError::corrupt("patches on full width"));
        }
        let patches = cursor.count(numbers, "more patches than numbers")?;
        if patches == 0 {
            return Err(PageError::corrupt("no patches"));
        }
        let patch_bytes = *cursor;
        let mut at = 0usize;
        for i in 0..patches {
            let gap = cursor.count(numbers, "patch outside the stream")?;
            at += gap;
            if at >= numbers || (i > 0 && gap == 0) {
                return Err(PageError::corrupt("patch outside the stream"));
            }
            let high = cursor.varint()?;
            if high == 0 || high.leading_zeros() < width {
                return Err(PageError::corrupt("patch does not fit"));
            }
        }
        Ok(Self {
            width,
            patches,
            patch_bytes,
        })
    }

    /// The packed bytes of so many numbers.
    pub(crate) fn body(
        &self,
        cursor: &mut Cursor<'a>,
        numbers: usize,
    ) -> Result<&'a [u8], PageError> {
        cursor.take((self.width as usize * numbers).div_ceil(8))
    }

    /// Unpacks the numbers from `first` on into `out`.
    pub(crate) fn unpack<S: Slot>(&self, body: &[u8], first: usize, out: &mut [S]) {
        unpack(body, self.width, first, out);
        if self.patches > 0 {
            self.patch(first, out);
        }
    }

    fn patch<S: Slot>(&self, first: usize, out: &mut [S]) {
        let mut cursor = self.patch_bytes;
        let mut at = 0usize;
        for _ in 0..self.patches {
            // Both were read before, by `read`.
            let (Ok(gap), Ok(high)) = (cursor.varint(), cursor.varint()) else {
                return;
            };
            at += gap as usize;
            if let Some(slot) = at.checked_sub(first).and_then(|i| out.get_mut(i)) {
                *slot = S::from_bits(slot.bits() | high << self.width);
            }
        }
    }
}

fn unpack<S: Slot>(body: &[u8], width: u32, first: usize, out: &mut [S]) {
    let width = width as usize;
    if width == 0 {
        out.fill(S::from_bits(0));
        return;
    }
    if width > 56 {
        for (i, slot) in out.iter_mut().enumerate() {
            *slot = S::from_bits(wide(body, width, (first + i) * width));
        }
        return;
    }
    let mask = low_mask(width as u32);
    // Numbers whose eight bytes lie inside the body; the few others take the careful way.
    let inside = match (body.len().saturating_sub(7) * 8)
        .div_ceil(width)
        .checked_sub(first)
    {
        Some(n) => n.min(out.len()),
        None => 0,
    };
    let (fast, slow) = out.split_at_mut(inside);
    let mut bit = first * width;
    for slot in fast {
        let word = match body
            .get(bit >> 3..)
            .and_then(|rest| rest.first_chunk::<8>())
        {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => 0,
        };
        *slot = S::from_bits(word >> (bit & 7) & mask);
        bit += width;
    }
    for slot in slow {
        *slot = S::from_bits(wide(body, width, bit));
        bit += width;
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
