//! Varints over byte slices, for page internals: docs/format/page.md section 1.

use super::error::PageError;

/// Maps small magnitudes to small numbers.
pub(crate) const fn zigzag(x: i64) -> u64 {
    ((x << 1) ^ (x >> 63)) as u64
}

/// Undoes [`zigzag`].
pub(crate) const fn unzigzag(u: u64) -> i64 {
    ((u >> 1) as i64) ^ -((u & 1) as i64)
}

/// Bytes a varint takes.
pub(crate) const fn varint_len(u: u64) -> u32 {
    let bits = 64 - (u | 1).leading_zeros();
    bits.div_ceil(7)
}

/// Appends a varint.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut u: u64) {
    while u >= 0x80 {
        out.push(u as u8 | 0x80);
        u >>= 7;
    }
    out.push(u as u8);
}

/// Appends a zigzag varint.
pub(crate) fn put_zigzag(out: &mut Vec<u8>, x: i64) {
    put_varint(out, zigzag(x));
}

/// Reads a slice from its front.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn u8(&mut self) -> Result<u8, PageError> {
        let (&first, rest) = self.rest.split_first().ok_or(PageError::Truncated)?;
        self.rest = rest;
        Ok(first)
    }

    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], PageError> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(PageError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, PageError> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<8>()
            .ok_or(PageError::Truncated)?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*head))
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, PageError> {
        if let Some((&byte, rest)) = self.rest.split_first()
            && byte < 0x80
        {
            self.rest = rest;
            return Ok(u64::from(byte));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64, PageError> {
        let mut u = 0u64;
        let mut shift = 0;
        loop {
            let byte = self.u8()?;
            if shift == 63 && byte > 1 {
                return Err(PageError::corrupt("varint longer than 64 bits"));
            }
            u |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(u);
            }
            shift += 7;
        }
    }

    pub(crate) fn zigzag(&mut self) -> Result<i64, PageError> {
        self.varint().map(unzigzag)
    }

    /// A varint that counts something of which there are at most `max`.
    pub(crate) fn count(&mut self, max: usize, what: &'static str) -> Result<usize, PageError> {
        let u = self.varint()?;
        usize::try_from(u)
            .ok()
            .filter(|&n| n <= max)
            .ok_or(PageError::corrupt(what))
    }

    /// Everything must have been read.
    pub(crate) fn end(&self) -> Result<(), PageError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(PageError::corrupt("bytes left over"))
        }
    }
}
