//! Bit streams, the most significant bit of a byte first.

use crate::error::CodecError;

/// Appends bits to bytes. The last byte is filled up with zeros.
#[derive(Debug, Clone, Default)]
pub struct BitWriter {
    bytes: Vec<u8>,
    /// Bits of the last byte that are not used yet.
    free: u8,
}

impl BitWriter {
    /// Goes on behind `bytes`, at a byte boundary.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, free: 0 }
    }

    /// What was written, the last byte filled up with zeros.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same, mutable: for counts at the front.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Gives the bytes away.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Memory held, in bytes.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Appends one bit.
    #[inline]
    pub fn write_bit(&mut self, bit: bool) {
        self.write_bits(u64::from(bit), 1);
    }

    /// Appends the lowest `count` bits of `v`, at most 64, the highest of them first.
    #[inline]
    pub fn write_bits(&mut self, v: u64, count: u32) {
        let count = count.min(64);
        // What does not fit into eight bytes with the rest of the last one goes first.
        let first = count.saturating_sub(56);
        if first > 0 {
            self.write_few(v >> 56, first);
        }
        self.write_few(v, count - first);
    }

    /// Appends at most 56 bits.
    #[inline]
    fn write_few(&mut self, v: u64, count: u32) {
        if count == 0 {
            return;
        }
        let free = u32::from(self.free);
        // All bits behind those that the last byte has.
        let used = (8 - free) % 8;
        let word = (v << (64 - count)) >> used;
        let [front, behind @ ..] = word.to_be_bytes();
        let more = if free == 0 {
            self.bytes.push(front);
            (count - 1) / 8
        } else {
            if let Some(last) = self.bytes.last_mut() {
                *last |= front;
            }
            (used + count - 1) / 8
        };
        if more > 0 {
            let end = self.bytes.len() + more as usize;
            // A copy of fixed length is one instruction.
            self.bytes.extend_from_slice(&behind);
            self.bytes.truncate(end);
        }
        self.free = ((8 - (used + count) % 8) % 8) as u8;
    }
}

/// Takes bits off the front of bytes.
#[derive(Debug, Clone)]
pub struct BitReader<'a> {
    rest: &'a [u8],
    /// Bits taken from `rest` but not handed out yet, at the low end.
    buffer: u64,
    /// Their number, at most 64.
    held: u32,
}

impl<'a> BitReader<'a> {
    /// Reads from the first bit of `bytes` on.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            buffer: 0,
            held: 0,
        }
    }

    /// Takes up to eight bytes into the empty buffer.
    #[inline]
    fn refill(&mut self) -> Result<(), CodecError> {
        if let Some((eight, rest)) = self.rest.split_first_chunk::<8>() {
            self.buffer = u64::from_be_bytes(*eight);
            self.held = 64;
            self.rest = rest;
            return Ok(());
        }
        self.held = self.rest.len() as u32 * 8;
        self.buffer = self
            .rest
            .iter()
            .fold(0, |v, byte| v << 8 | u64::from(*byte));
        self.rest = &[];
        if self.held == 0 {
            Err(CodecError::UnexpectedEnd)
        } else {
            Ok(())
        }
    }

    /// Takes one bit.
    #[inline]
    pub fn read_bit(&mut self) -> Result<bool, CodecError> {
        if self.held == 0 {
            self.refill()?;
        }
        self.held -= 1;
        Ok(self.buffer >> self.held & 1 == 1)
    }

    /// Takes `count` bits, at most 64.
    #[inline]
    pub fn read_bits(&mut self, count: u32) -> Result<u64, CodecError> {
        let count = count.min(64);
        if count <= self.held {
            return Ok(self.take(count));
        }
        let missing = count - self.held;
        let high = self.take(self.held);
        self.refill()?;
        if missing > self.held {
            self.held = 0;
            return Err(CodecError::UnexpectedEnd);
        }
        let low = self.take(missing);
        Ok(high.checked_shl(missing).unwrap_or(0) | low)
    }

    /// Takes `count` bits of the buffer, which has them.
    #[inline]
    fn take(&mut self, count: u32) -> u64 {
        self.held -= count;
        let mask = u64::MAX.checked_shr(64 - count).unwrap_or(0);
        self.buffer.checked_shr(self.held).unwrap_or(0) & mask
    }

    /// Takes eight bits.
    #[inline]
    pub fn read_byte(&mut self) -> Result<u8, CodecError> {
        self.read_bits(8).map(|v| v as u8)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_bits() {
        let mut w = BitWriter::default();
        w.write_bit(true);
        w.write_bits(0b0110, 4);
        w.write_bits(0x1ff, 9);
        assert_eq!(w.bytes(), [0b1011_0111, 0b1111_1100]);
        assert_eq!(w.into_bytes().len(), 2);
    }

    proptest! {
        #[test]
        fn round_trip(parts: Vec<(u64, u8)>) {
            let mut w = BitWriter::default();
            let parts: Vec<(u64, u32)> =
                parts.into_iter().map(|(v, n)| (v, u32::from(n) % 65)).collect();
            for (v, n) in &parts {
                w.write_bits(*v, *n);
            }
            let bits: u32 = parts.iter().map(|p| p.1).sum();
            prop_assert_eq!(w.bytes().len(), bits.div_ceil(8) as usize);
            let mut r = BitReader::new(w.bytes());
            for (v, n) in &parts {
                let want = if *n == 0 { 0 } else { v << (64 - n) >> (64 - n) };
                prop_assert_eq!(r.read_bits(*n), Ok(want));
            }
            prop_assert_eq!(r.read_bits(8), Err(CodecError::UnexpectedEnd));
        }

        #[test]
        fn bits_one_by_one(bytes: Vec<u8>) {
            let mut r = BitReader::new(&bytes);
            let mut again = BitWriter::default();
            while let Ok(bit) = r.read_bit() {
                again.write_bit(bit);
            }
            prop_assert_eq!(again.bytes(), &bytes);
        }
    }
}
