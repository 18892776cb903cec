//! The XOR chunk (Gorilla), bit for bit Prometheus's float chunk encoding 1. The format is in
//! docs/format/chunk.md.

#[cfg(test)]
mod tests;

use crate::bits::{BitReader, BitWriter};
use crate::error::CodecError;
use crate::varint::{MAX_VARINT_BYTES, put_uvarint, put_varint, read_uvarint, unzigzag};

/// Prometheus's number for this encoding.
pub const ENCODING_XOR: u8 = 1;

/// Bytes of the sample count in front.
const COUNT_BYTES: usize = 2;

/// Most bits of a sample after the second: 4 + 64 for the time, 2 + 5 + 6 + 64 for the value.
const MAX_SAMPLE_BITS: usize = 68 + 77;

/// The widths of a delta of deltas between `0` and the full 64 bits, with their prefixes.
const DOD_WIDTHS: [(u64, u32, u32); 3] = [(0b10, 2, 14), (0b110, 3, 17), (0b1110, 4, 20)];

/// Most bytes a chunk of `samples` samples can have.
pub const fn max_chunk_bytes(samples: usize) -> usize {
    let first = MAX_VARINT_BYTES + 8;
    let second = MAX_VARINT_BYTES * 8 + 77;
    match samples {
        0 => COUNT_BYTES,
        1 => COUNT_BYTES + first,
        n => COUNT_BYTES + first + (second + (n - 2) * MAX_SAMPLE_BITS).div_ceil(8),
    }
}

/// The bits of a value that differ from the value before: those between `leading` and `trailing`.
#[derive(Debug, Clone, Copy)]
struct Window {
    leading: u32,
    trailing: u32,
}

/// Appends samples to a chunk.
#[derive(Debug, Clone)]
pub struct XorAppender {
    bits: BitWriter,
    count: u16,
    t: i64,
    delta: u64,
    value: u64,
    window: Option<Window>,
}

impl Default for XorAppender {
    fn default() -> Self {
        Self::new()
    }
}

impl XorAppender {
    /// An empty chunk.
    pub fn new() -> Self {
        Self {
            bits: BitWriter::new(vec![0; COUNT_BYTES]),
            count: 0,
            t: 0,
            delta: 0,
            value: 0,
            window: None,
        }
    }

    /// Samples in the chunk.
    pub fn count(&self) -> u16 {
        self.count
    }

    /// The sample appended last.
    pub fn last(&self) -> Option<(i64, f64)> {
        (self.count > 0).then(|| (self.t, f64::from_bits(self.value)))
    }

    /// The chunk as it is now.
    pub fn bytes(&self) -> &[u8] {
        self.bits.bytes()
    }

    /// The finished chunk.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bits.into_bytes()
    }

    /// Appends a sample. Any time is taken, though ones that rise steadily cost least.
    pub fn append(&mut self, t_ms: i64, value: f64) -> Result<(), CodecError> {
        let v = value.to_bits();
        let count = self.count.checked_add(1).ok_or(CodecError::ChunkFull)?;
        let delta = t_ms.wrapping_sub(self.t) as u64;
        match self.count {
            0 => {
                let mut time = Vec::with_capacity(MAX_VARINT_BYTES);
                put_varint(&mut time, t_ms);
                self.write_bytes(&time);
                self.bits.write_bits(v, 64);
            }
            1 => {
                let mut time = Vec::with_capacity(MAX_VARINT_BYTES);
                put_uvarint(&mut time, delta);
                self.write_bytes(&time);
                self.write_value(v);
                self.delta = delta;
            }
            _ => {
                self.write_delta_of_delta(delta.wrapping_sub(self.delta) as i64);
                self.write_value(v);
                self.delta = delta;
            }
        }
        (self.t, self.value, self.count) = (t_ms, v, count);
        if let Some(front) = self.bits.bytes_mut().first_chunk_mut() {
            *front = count.to_be_bytes();
        }
        Ok(())
    }

    fn write_bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.bits.write_bits(u64::from(*byte), 8);
        }
    }

    fn write_delta_of_delta(&mut self, dod: i64) {
        if dod == 0 {
            self.bits.write_bit(false);
            return;
        }
        for (prefix, prefix_bits, width) in DOD_WIDTHS {
            // The range of a width is not that of two's complement, but one further up.
            let limit = 1i64 << (width - 1);
            if -limit < dod && dod <= limit {
                self.bits.write_bits(prefix, prefix_bits);
                self.bits.write_bits(dod as u64, width);
                return;
            }
        }
        self.bits.write_bits(0b1111, 4);
        self.bits.write_bits(dod as u64, 64);
    }

    fn write_value(&mut self, v: u64) {
        let xor = v ^ self.value;
        if xor == 0 {
            self.bits.write_bit(false);
            return;
        }
        let leading = xor.leading_zeros().min(31);
        let trailing = xor.trailing_zeros();
        if let Some(w) = self.window
            && leading >= w.leading
            && trailing >= w.trailing
        {
            self.bits.write_bits(0b10, 2);
            self.bits
                .write_bits(xor >> w.trailing, 64 - w.leading - w.trailing);
            return;
        }
        self.window = Some(Window { leading, trailing });
        let width = 64 - leading - trailing;
        self.bits.write_bits(0b11, 2);
        self.bits.write_bits(u64::from(leading), 5);
        self.bits.write_bits(u64::from(width), 6); // 64 becomes 0
        self.bits.write_bits(xor >> trailing, width);
    }
}

/// Reads the samples of a chunk in order. After an error it ends.
#[derive(Debug, Clone)]
pub struct XorIter<'a> {
    bits: BitReader<'a>,
    read: u16,
    count: u16,
    t: i64,
    delta: u64,
    value: u64,
    window: Window,
}

impl<'a> XorIter<'a> {
    /// Starts at the first sample of `chunk`.
    pub fn new(chunk: &'a [u8]) -> Result<Self, CodecError> {
        let (count, rest) = chunk.split_first_chunk().ok_or(CodecError::UnexpectedEnd)?;
        Ok(Self {
            bits: BitReader::new(rest),
            read: 0,
            count: u16::from_be_bytes(*count),
            t: 0,
            delta: 0,
            value: 0,
            window: Window {
                leading: 0,
                trailing: 0,
            },
        })
    }

    /// Samples that the chunk says it has and that were not read yet.
    pub fn remaining(&self) -> usize {
        usize::from(self.count - self.read)
    }

    #[inline]
    fn read_sample(&mut self) -> Result<(i64, f64), CodecError> {
        match self.read {
            0 => {
                self.t = unzigzag(read_uvarint(|| self.bits.read_byte())?);
                self.value = self.bits.read_bits(64)?;
            }
            1 => {
                self.delta = read_uvarint(|| self.bits.read_byte())?;
                self.t = self.t.wrapping_add(self.delta as i64);
                self.read_value()?;
            }
            _ => {
                let dod = self.read_delta_of_delta()?;
                self.delta = self.delta.wrapping_add(dod as u64);
                self.t = self.t.wrapping_add(self.delta as i64);
                self.read_value()?;
            }
        }
        self.read += 1;
        Ok((self.t, f64::from_bits(self.value)))
    }

    #[inline]
    fn read_delta_of_delta(&mut self) -> Result<i64, CodecError> {
        if !self.bits.read_bit()? {
            return Ok(0);
        }
        for (_, _, width) in DOD_WIDTHS {
            if !self.bits.read_bit()? {
                let v = self.bits.read_bits(width)? as i64;
                let limit = 1i64 << (width - 1);
                return Ok(if v > limit { v - 2 * limit } else { v });
            }
        }
        Ok(self.bits.read_bits(64)? as i64)
    }

    #[inline]
    fn read_value(&mut self) -> Result<(), CodecError> {
        if !self.bits.read_bit()? {
            return Ok(());
        }
        if self.bits.read_bit()? {
            let leading = self.bits.read_bits(5)? as u32;
            let width = match self.bits.read_bits(6)? as u32 {
                0 => 64,
                n => n,
            };
            let trailing = 64u32
                .checked_sub(leading + width)
                .ok_or(CodecError::BadWindow)?;
            self.window = Window { leading, trailing };
        }
        let Window { leading, trailing } = self.window;
        let bits = self.bits.read_bits(64 - leading - trailing)?;
        self.value ^= bits << trailing;
        Ok(())
    }
}

impl Iterator for XorIter<'_> {
    type Item = Result<(i64, f64), CodecError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.read >= self.count {
            return None;
        }
        let sample = self.read_sample();
        if sample.is_err() {
            self.count = self.read;
        }
        Some(sample)
    }
}
