//! The 64-bit cells that streams are decoded into, in place.

/// A cell of the output that can hold any 64 bits while a page is being decoded.
pub(crate) trait Slot: Copy {
    fn from_bits(bits: u64) -> Self;
    fn bits(self) -> u64;
}

impl Slot for f64 {
    #[inline(always)]
    fn from_bits(bits: u64) -> Self {
        Self::from_bits(bits)
    }

    #[inline(always)]
    fn bits(self) -> u64 {
        self.to_bits()
    }
}

impl Slot for i64 {
    #[inline(always)]
    fn from_bits(bits: u64) -> Self {
        bits as Self
    }

    #[inline(always)]
    fn bits(self) -> u64 {
        self as u64
    }
}
