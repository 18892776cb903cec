//! Bit streams inside pages, read from either end: docs/format/page.md section 1.

use super::error::PageError;

/// Appends bits to a byte vector, least significant first.
#[derive(Debug)]
pub(crate) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    acc: u64,
    used: u32,
    written: usize,
}

impl<'a> BitWriter<'a> {
    pub(crate) const fn new(out: &'a mut Vec<u8>) -> Self {
        Self {
            out,
            acc: 0,
            used: 0,
            written: 0,
        }
    }

    /// Appends the low `k` (0 to 64) bits of `v`, which has no others.
    #[inline]
    pub(crate) fn put(&mut self, v: u64, k: u32) {
        debug_assert!(k <= 64 && (k == 64 || v >> k == 0), "{v} in {k} bits");
        if k == 0 {
            return;
        }
        self.written += k as usize;
        self.acc |= v << self.used;
        let total = self.used + k;
        if total < 64 {
            self.used = total;
            return;
        }
        self.out.extend_from_slice(&self.acc.to_le_bytes());
        let taken = 64 - self.used;
        self.acc = if taken == 64 { 0 } else { v >> taken };
        self.used = total - 64;
    }

    /// `x` is 1 to 2^17 - 1.
    pub(crate) fn put_gamma(&mut self, x: u64) {
        let low = x.ilog2();
        self.put(1 << low, low + 1);
        self.put(x & ((1 << low) - 1), low);
    }

    pub(crate) fn put_golomb(&mut self, k: u32, x: u64) {
        self.put_gamma((x >> k) + 1);
        self.put(x & ((1 << k) - 1), k);
    }

    /// Bits written so far.
    pub(crate) const fn bits(&self) -> usize {
        self.written
    }

    /// Fills the last byte with zero bits.
    pub(crate) fn finish(self) {
        let bytes = self.used.div_ceil(8) as usize;
        self.out
            .extend(self.acc.to_le_bytes().into_iter().take(bytes));
    }
}

/// Bits that [`BitWriter::put_gamma`] takes.
pub(crate) const fn gamma_bits(x: u64) -> u32 {
    2 * x.ilog2() + 1
}

/// Bits that [`BitWriter::put_golomb`] takes.
pub(crate) const fn golomb_bits(k: u32, x: u64) -> u32 {
    gamma_bits((x >> k) + 1) + k
}

/// Reads bits from the front. Beyond the end it gives zeros; whoever reads compares
/// [`position`](Self::position) with the length once at the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Forward<'a> {
    bytes: &'a [u8],
    /// The last 8 bytes (fewer if there are fewer), and where they begin.
    tail: u64,
    tail_at: usize,
    pos: usize,
}

impl<'a> Forward<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let tail_at = bytes.len().saturating_sub(8);
        let tail = bytes
            .iter()
            .skip(tail_at)
            .rev()
            .fold(0, |acc, &b| acc << 8 | u64::from(b));
        Self {
            bytes,
            tail,
            tail_at,
            pos: 0,
        }
    }

    pub(crate) const fn position(&self) -> usize {
        self.pos
    }

    /// At least 57 bits from `pos` on, the first in bit 0.
    #[inline(always)]
    pub(crate) fn word_at(&self, pos: usize) -> u64 {
        let at = pos >> 3;
        let word = match self
            .bytes
            .get(at..)
            .and_then(|rest| rest.first_chunk::<8>())
        {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => self.late(at),
        };
        word >> (pos & 7)
    }

    #[cold]
    fn late(&self, at: usize) -> u64 {
        let shift = at.saturating_sub(self.tail_at).saturating_mul(8);
        if shift < 64 { self.tail >> shift } else { 0 }
    }

    /// The next `k` (0 to 64) bits.
    #[inline]
    pub(crate) fn get(&mut self, k: u32) -> u64 {
        if k > 57 {
            let low = self.get(32);
            return low | self.get(k - 32) << 32;
        }
        let word = self.word_at(self.pos);
        self.pos += k as usize;
        word & !(u64::MAX << k)
    }

    #[inline]
    pub(crate) fn gamma(&mut self) -> Result<u64, PageError> {
        Ok(self.golomb(0)? + 1)
    }

    /// `k` is at most 3: all of it lies in one word.
    #[inline]
    pub(crate) fn golomb(&mut self, k: u32) -> Result<u64, PageError> {
        let word = self.word_at(self.pos);
        let low = word.trailing_zeros();
        if low > 16 {
            return Err(PageError::corrupt("gamma code too long"));
        }
        let high = word >> (low + 1);
        let x = 1 << low | high & !(u64::MAX << low);
        let rest = high >> low & !(u64::MAX << k);
        self.pos += (2 * low + 1 + k) as usize;
        Ok((x - 1) << k | rest)
    }

    /// Fewer than 8 bits, all zero, are left.
    pub(crate) fn end(&self) -> Result<(), PageError> {
        let total = self.bytes.len() * 8;
        if self.pos > total {
            return Err(PageError::Truncated);
        }
        if total - self.pos >= 8 || self.word_at(self.pos) != 0 {
            return Err(PageError::corrupt("bits left over"));
        }
        Ok(())
    }
}

/// Bits that are read from both ends by position. What lies outside is zero, or anything: whoever
/// reads compares what was read with the length at the end.
pub(crate) trait TwoEnded {
    /// At least 57 bits from `pos` on, the first in bit 0.
    fn forward(&self, pos: usize) -> u64;

    /// At least 57 bits when `used` have been read from the back, the next in bit 63.
    fn backward(&self, used: usize) -> u64;
}

/// Any number of bytes, with checks.
#[derive(Debug)]
pub(crate) struct Checked<'a> {
    forward: Forward<'a>,
    /// The first 8 bytes, zeros above.
    head: u64,
}

impl<'a> Checked<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let head = bytes
            .iter()
            .take(8)
            .rev()
            .fold(0, |acc, &b| acc << 8 | u64::from(b));
        Self {
            forward: Forward::new(bytes),
            head,
        }
    }
}

impl TwoEnded for Checked<'_> {
    #[inline(always)]
    fn forward(&self, pos: usize) -> u64 {
        self.forward.word_at(pos)
    }

    #[inline(always)]
    fn backward(&self, used: usize) -> u64 {
        let bytes = self.forward.bytes;
        let left = (bytes.len() * 8).saturating_sub(used);
        let end = left.div_ceil(8);
        let eight = end.checked_sub(8).and_then(|at| bytes.get(at..end));
        let word = match eight.map(<[u8; 8]>::try_from) {
            Some(Ok(bytes)) => u64::from_le_bytes(bytes),
            // `end` is below 8, as it is not behind the bytes.
            _ if end == 0 => 0,
            _ => self.head << (64 - end * 8),
        };
        word << (end * 8 - left)
    }
}

/// A copy of fewer than 1024 bytes between zeros, where masked positions need no checks.
#[derive(Debug)]
pub(crate) struct Copied {
    bytes: [u8; Self::SIZE + 16],
    bits: usize,
}

impl Copied {
    const SIZE: usize = 1024;

    /// Whether so many bytes fit.
    pub(crate) const fn fits(bytes: &[u8]) -> bool {
        bytes.len() < Self::SIZE
    }

    /// Zeros, to be filled.
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; Self::SIZE + 16],
            bits: 0,
        }
    }

    /// Copies bytes that fit into the zeros.
    pub(crate) fn fill(&mut self, bytes: &[u8]) {
        if let Some(to) = self.bytes.get_mut(8..8 + bytes.len()) {
            to.copy_from_slice(bytes);
            self.bits = bytes.len() * 8;
        }
    }

    /// The eight bytes from a place in the copy on, below `SIZE` + 9.
    #[inline(always)]
    fn word(&self, at: usize) -> u64 {
        match self.bytes.get(at..at + 8).map(<[u8; 8]>::try_from) {
            Some(Ok(bytes)) => u64::from_le_bytes(bytes),
            _ => 0,
        }
    }
}

impl TwoEnded for Copied {
    #[inline(always)]
    fn forward(&self, pos: usize) -> u64 {
        self.word((pos >> 3 & (Self::SIZE - 1)) + 8) >> (pos & 7)
    }

    #[inline(always)]
    fn backward(&self, used: usize) -> u64 {
        let left = self.bits.wrapping_sub(used);
        // The eight bytes that end where the bits left do begin as far into the copy.
        self.word(left.wrapping_add(7) >> 3 & (Self::SIZE - 1)) << (left.wrapping_neg() & 7)
    }
}
