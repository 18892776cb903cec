//! Reads protobuf fields from a range of a body. Positions are positions in the whole body, so that
//! parts of it can be remembered as numbers.

use super::RemoteError;

/// Wire types.
pub(super) const VARINT: u8 = 0;
pub(super) const FIXED64: u8 = 1;
pub(super) const BYTES: u8 = 2;
pub(super) const FIXED32: u8 = 5;

/// A range of a body of less than 4 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Part {
    /// First byte or element.
    pub start: u32,
    /// Behind the last one.
    pub end: u32,
}

impl Part {
    pub(super) fn new(start: usize, end: usize) -> Self {
        Self {
            start: start as u32,
            end: end as u32,
        }
    }

    /// As a range of indices.
    #[inline]
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Number of elements.
    #[inline]
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    /// True when there is none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// The bytes of a body.
    #[inline]
    pub(super) fn of(self, body: &[u8]) -> &[u8] {
        body.get(self.range()).unwrap_or_default()
    }
}

/// Walks the fields of a message.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    /// The body up to the end of the message.
    bytes: &'a [u8],
    at: usize,
}

/// What stands in front of a field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) field: u32,
    pub(super) wire_type: u8,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// A reader of the message that stands in `part` of the body.
    #[inline]
    pub(super) fn of(body: &'a [u8], part: Part) -> Self {
        let end = (part.end as usize).min(body.len());
        Self {
            bytes: body.get(..end).unwrap_or_default(),
            at: part.start as usize,
        }
    }

    /// Where the next field begins.
    #[inline]
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Goes over bytes that were looked at already.
    #[inline]
    pub(super) fn pass(&mut self, bytes: usize) {
        self.at += bytes;
    }

    #[inline]
    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, RemoteError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(first) = rest.first() else {
            return Err(RemoteError::UnexpectedEof);
        };
        if *first < 0x80 {
            self.at += 1;
            return Ok(u64::from(*first));
        }
        self.long_varint(rest)
    }

    fn long_varint(&mut self, rest: &[u8]) -> Result<u64, RemoteError> {
        let mut value = 0_u64;
        for (i, byte) in rest.iter().take(10).enumerate() {
            let bits = u64::from(byte & 0x7f);
            if i == 9 && bits > 1 {
                return Err(RemoteError::IntegerOverflow);
            }
            value |= bits << (7 * i);
            if byte & 0x80 == 0 {
                self.at += i + 1;
                return Ok(value);
            }
        }
        Err(if rest.len() < 10 {
            RemoteError::UnexpectedEof
        } else {
            RemoteError::IntegerOverflow
        })
    }

    /// The tag of the next field, `None` at the end of the message.
    #[inline]
    pub(super) fn tag(&mut self) -> Result<Option<Tag>, RemoteError> {
        if self.is_at_end() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let field = tag >> 3;
        if field == 0 || field > 0x1fff_ffff {
            return Err(RemoteError::IllegalTag);
        }
        Ok(Some(Tag {
            field: field as u32,
            wire_type: (tag & 7) as u8,
        }))
    }

    #[inline]
    fn expect(tag: Tag, wire_type: u8, field: &'static str) -> Result<(), RemoteError> {
        if tag.wire_type == wire_type {
            Ok(())
        } else {
            Err(RemoteError::WrongWireType {
                field,
                wire_type: tag.wire_type,
            })
        }
    }

    #[inline]
    fn delimited(&mut self) -> Result<Part, RemoteError> {
        let len = self.varint()?;
        let left = self.bytes.len() - self.at.min(self.bytes.len());
        if len > left as u64 {
            return Err(RemoteError::UnexpectedEof);
        }
        let start = self.at;
        self.at += len as usize;
        Ok(Part::new(start, self.at))
    }

    #[inline]
    fn fixed64(&mut self) -> Result<u64, RemoteError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(bytes) = rest.first_chunk() else {
            return Err(RemoteError::UnexpectedEof);
        };
        self.at += 8;
        Ok(u64::from_le_bytes(*bytes))
    }

    /// The value of a field of strings, bytes or messages: where it stands.
    #[inline]
    pub(super) fn part(&mut self, tag: Tag, field: &'static str) -> Result<Part, RemoteError> {
        Self::expect(tag, BYTES, field)?;
        self.delimited()
    }

    #[inline]
    pub(super) fn number(&mut self, tag: Tag, field: &'static str) -> Result<u64, RemoteError> {
        Self::expect(tag, VARINT, field)?;
        self.varint()
    }

    #[inline]
    pub(super) fn double(&mut self, tag: Tag, field: &'static str) -> Result<f64, RemoteError> {
        Self::expect(tag, FIXED64, field)?;
        Ok(f64::from_bits(self.fixed64()?))
    }

    /// Hands over the numbers of a repeated field, packed or not.
    #[inline]
    pub(super) fn numbers(
        &mut self,
        tag: Tag,
        field: &'static str,
        mut take: impl FnMut(u64) -> Result<(), RemoteError>,
    ) -> Result<(), RemoteError> {
        if tag.wire_type != BYTES {
            return take(self.number(tag, field)?);
        }
        let part = self.delimited()?;
        let mut packed = Self::of(self.bytes, part);
        while !packed.is_at_end() {
            take(packed.varint()?)?;
        }
        Ok(())
    }

    /// Hands over the floats of a repeated field, packed or not.
    pub(super) fn doubles(
        &mut self,
        tag: Tag,
        field: &'static str,
        mut take: impl FnMut(f64) -> Result<(), RemoteError>,
    ) -> Result<(), RemoteError> {
        if tag.wire_type != BYTES {
            return take(self.double(tag, field)?);
        }
        let part = self.delimited()?;
        let mut packed = Self::of(self.bytes, part);
        while !packed.is_at_end() {
            take(f64::from_bits(packed.fixed64()?))?;
        }
        Ok(())
    }

    /// Passes over a field that is not known.
    #[inline]
    pub(super) fn skip(&mut self, tag: Tag) -> Result<(), RemoteError> {
        match tag.wire_type {
            VARINT => drop(self.varint()?),
            FIXED64 => drop(self.fixed64()?),
            BYTES => drop(self.delimited()?),
            FIXED32 => {
                if self.bytes.len() - self.at.min(self.bytes.len()) < 4 {
                    return Err(RemoteError::UnexpectedEof);
                }
                self.at += 4;
            }
            other => return Err(RemoteError::IllegalWireType(other)),
        }
        Ok(())
    }
}

/// Undoes zigzag.
#[inline]
pub(super) fn signed(v: u64) -> i64 {
    (v >> 1) as i64 ^ -((v & 1) as i64)
}
