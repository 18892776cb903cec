//! A float written as the bits in which it differs from the one before it, with a window of its
//! own. The same bits as the values of an XOR chunk.

use crate::bits::{BitReader, BitWriter};
use crate::error::CodecError;

/// One stream of floats: the last value, and the window in use.
#[derive(Debug, Clone, Copy)]
pub(super) struct XorValue {
    bits: u64,
    /// Leading and trailing zeros; `None` until the first window.
    window: Option<(u32, u32)>,
}

impl XorValue {
    /// A stream whose first value stands elsewhere.
    pub(super) fn new(first: f64) -> Self {
        Self {
            bits: first.to_bits(),
            window: None,
        }
    }

    /// The last value.
    pub(super) fn get(&self) -> f64 {
        f64::from_bits(self.bits)
    }

    /// Appends the next value.
    pub(super) fn write(&mut self, bits: &mut BitWriter, v: f64) {
        let xor = v.to_bits() ^ self.bits;
        self.bits = v.to_bits();
        if xor == 0 {
            bits.write_bit(false);
            return;
        }
        let leading = xor.leading_zeros().min(31);
        let trailing = xor.trailing_zeros();
        if let Some((l, t)) = self.window
            && leading >= l
            && trailing >= t
        {
            bits.write_bits(0b10, 2);
            bits.write_bits(xor >> t, 64 - l - t);
            return;
        }
        self.window = Some((leading, trailing));
        let width = 64 - leading - trailing;
        bits.write_bits(0b11, 2);
        bits.write_bits(u64::from(leading), 5);
        bits.write_bits(u64::from(width), 6); // 64 becomes 0
        bits.write_bits(xor >> trailing, width);
    }

    /// Takes the next value.
    pub(super) fn read(&mut self, bits: &mut BitReader<'_>) -> Result<(), CodecError> {
        if !bits.read_bit()? {
            return Ok(());
        }
        if bits.read_bit()? {
            let leading = bits.read_bits(5)? as u32;
            let width = match bits.read_bits(6)? as u32 {
                0 => 64,
                n => n,
            };
            let trailing = 64u32
                .checked_sub(leading + width)
                .ok_or(CodecError::BadWindow)?;
            self.window = Some((leading, trailing));
        }
        let (leading, trailing) = self.window.unwrap_or((0, 0));
        self.bits ^= bits.read_bits(64 - leading - trailing)? << trailing;
        Ok(())
    }
}
