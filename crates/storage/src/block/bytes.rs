//! Reading numbers out of hostile bytes.

use tsdb_codec::varint::{take_uvarint, take_varint};

/// What does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bad(pub(super) &'static str);

/// The rest of some bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(super) const fn len(&self) -> usize {
        self.rest.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn u64(&mut self) -> Result<u64, Bad> {
        take_uvarint(&mut self.rest).map_err(|_| Bad("number"))
    }

    pub(super) fn i64(&mut self) -> Result<i64, Bad> {
        take_varint(&mut self.rest).map_err(|_| Bad("number"))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Bad> {
        u32::try_from(self.u64()?).map_err(|_| Bad("number too large"))
    }

    pub(super) fn usize(&mut self) -> Result<usize, Bad> {
        usize::try_from(self.u64()?).map_err(|_| Bad("number too large"))
    }

    /// A number that is at most `limit`.
    pub(super) fn count(&mut self, limit: usize) -> Result<usize, Bad> {
        let count = self.usize()?;
        if count > limit {
            return Err(Bad("count too large"));
        }
        Ok(count)
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Bad> {
        let (now, rest) = self.rest.split_at_checked(count).ok_or(Bad("cut short"))?;
        self.rest = rest;
        Ok(now)
    }

    /// Bytes behind their number.
    pub(super) fn blob(&mut self) -> Result<&'a [u8], Bad> {
        let count = self.usize()?;
        self.bytes(count)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Bad> {
        let (first, rest) = self.rest.split_first().ok_or(Bad("cut short"))?;
        self.rest = rest;
        Ok(*first)
    }

    pub(super) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Bad> {
        let (first, rest) = self.rest.split_first_chunk().ok_or(Bad("cut short"))?;
        self.rest = rest;
        Ok(*first)
    }

    pub(super) fn fixed_u32(&mut self) -> Result<u32, Bad> {
        Ok(u32::from_le_bytes(self.fixed()?))
    }

    pub(super) fn end(&self) -> Result<(), Bad> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Bad("bytes left over"))
        }
    }
}
