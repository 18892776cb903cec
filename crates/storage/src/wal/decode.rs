//! Records back to commits. Takes any bytes.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::ops::Range;
use std::sync::Arc;

use tsdb_codec::CodecError;
use tsdb_codec::varint::{take_uvarint, take_varint, unzigzag};
use tsdb_model::histogram::{FloatHistogram, Histogram, Span};
use tsdb_model::{Exemplar, HistogramValue, Label, Labels, Metadata};

use super::define::DefinitionReader;
use super::encode::{FLAG_FIRST, FLAG_LAST, Kind};
use super::entries::{
    HINTS, HISTOGRAM_FLOAT, HISTOGRAM_HAS_START, HISTOGRAM_HINT_SHIFT, METRIC_TYPES,
};
use crate::head::series::{SampleValue, StoredSample};

/// Most bytes of labels that one record may expand to.
pub(super) const MAX_EXPANDED: usize = 512 << 20;

/// Float record entries of version 1: bits of the first number.
pub(super) const FLOAT_HAS_TIME: u64 = 1 << 4;
pub(super) const FLOAT_HAS_START: u64 = 1 << 5;
pub(super) const FLOAT_ID_SHIFT: u32 = 6;

/// A record that was written whole but says nothing sensible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

impl From<CodecError> for Malformed {
    fn from(_: CodecError) -> Self {
        Self
    }
}

/// A commit as the log has it: series by the numbers they have there.
#[derive(Debug, Default)]
pub(crate) struct LogCommit {
    pub(crate) definitions: Vec<(u64, Labels)>,
    pub(crate) samples: Vec<(u64, StoredSample)>,
    pub(crate) exemplars: Vec<(u64, Exemplar)>,
    pub(crate) metadata: Vec<(String, Metadata)>,
}

/// Which record of which commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) first: bool,
    pub(crate) last: bool,
    /// Number of the commit in the segment.
    pub(crate) seq: u64,
    /// Number of the record in the commit.
    pub(crate) index: u64,
}

/// Bytes that are taken off the front, and what entries are relative to.
#[derive(Debug)]
pub(super) struct Body<'a> {
    rest: &'a [u8],
    last_id: u64,
    last_t: i64,
}

impl<'a> Body<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            last_id: 0,
            last_t: 0,
        }
    }

    /// What was not taken yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.rest.split_first().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*first)
    }

    pub(super) fn uvarint(&mut self) -> Result<u64, Malformed> {
        Ok(take_uvarint(&mut self.rest)?)
    }

    pub(super) fn varint(&mut self) -> Result<i64, Malformed> {
        Ok(take_varint(&mut self.rest)?)
    }

    pub(super) fn bytes(&mut self, count: u64) -> Result<&'a [u8], Malformed> {
        let count = usize::try_from(count).map_err(|_| Malformed)?;
        let (now, rest) = self.rest.split_at_checked(count).ok_or(Malformed)?;
        self.rest = rest;
        Ok(now)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        let length = self.uvarint()?;
        std::str::from_utf8(self.bytes(length)?).map_err(|_| Malformed)
    }

    fn float(&mut self) -> Result<f64, Malformed> {
        let bytes = self.bytes(8)?.first_chunk().ok_or(Malformed)?;
        Ok(f64::from_le_bytes(*bytes))
    }

    /// As many items as a number in front says; each takes at least a byte.
    fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = self.uvarint()?;
        let mut out = Vec::new();
        for _ in 0..count {
            out.push(item(self)?);
        }
        Ok(out)
    }

    fn step_id(&mut self, step: u64) -> u64 {
        let step = unzigzag(step) as u64;
        self.last_id = self.last_id.wrapping_add(step).wrapping_add(1);
        self.last_id
    }

    pub(super) fn id(&mut self) -> Result<u64, Malformed> {
        let step = self.uvarint()?;
        Ok(self.step_id(step))
    }

    fn time(&mut self) -> Result<i64, Malformed> {
        self.last_t = self.last_t.wrapping_add(self.varint()?);
        Ok(self.last_t)
    }

    fn spans(&mut self) -> Result<Vec<Span>, Malformed> {
        self.list(|b| {
            let offset = i32::try_from(b.varint()?).map_err(|_| Malformed)?;
            let length = u32::try_from(b.uvarint()?).map_err(|_| Malformed)?;
            Ok(Span { offset, length })
        })
    }

    /// Definitions of version 1.
    fn definitions(&mut self, out: &mut Vec<(u64, Labels)>) -> Result<(), Malformed> {
        let mut symbols: Vec<&str> = Vec::new();
        let mut expanded = 0;
        while !self.rest.is_empty() {
            let id = self.id()?;
            let count = self.uvarint()?;
            let mut fields: Vec<&str> = Vec::new();
            for _ in 0..count.checked_mul(2).ok_or(Malformed)? {
                let field = match self.uvarint()? {
                    0 => {
                        let text = self.text()?;
                        symbols.push(text);
                        text
                    }
                    n => {
                        let index = usize::try_from(n - 1).map_err(|_| Malformed)?;
                        *symbols.get(index).ok_or(Malformed)?
                    }
                };
                expanded += field.len() + size_of::<&str>();
                if expanded > MAX_EXPANDED {
                    return Err(Malformed);
                }
                fields.push(field);
            }
            let mut labels: Vec<Label<'_>> = Vec::new();
            for pair in fields.chunks_exact(2) {
                let [name, value] = pair else { continue };
                if value.is_empty() || labels.last().is_some_and(|l| l.name >= *name) {
                    return Err(Malformed);
                }
                labels.push(Label { name, value });
            }
            if labels.is_empty() {
                return Err(Malformed);
            }
            out.push((id, Labels::from_sorted(labels)));
        }
        Ok(())
    }

    /// Floats of version 1.
    fn float_samples(&mut self, out: &mut Vec<(u64, StoredSample)>) -> Result<(), Malformed> {
        while !self.rest.is_empty() {
            let first = self.uvarint()?;
            let mut step = first >> FLOAT_ID_SHIFT;
            if step == u64::MAX >> FLOAT_ID_SHIFT {
                step = self.uvarint()?;
            }
            let id = self.step_id(step);
            let t = if first & FLOAT_HAS_TIME != 0 {
                self.time()?
            } else {
                self.last_t
            };
            let start = if first & FLOAT_HAS_START != 0 {
                t.wrapping_sub(self.varint()?)
            } else {
                0
            };
            let mut bits = [0; 8];
            let bytes = self.bytes(first & 0xf)?;
            bits.get_mut(..bytes.len())
                .ok_or(Malformed)?
                .copy_from_slice(bytes);
            let value = SampleValue::Float(f64::from_bits(u64::from_be_bytes(bits)));
            out.push((id, StoredSample { t, start, value }));
        }
        Ok(())
    }

    fn histograms(&mut self, out: &mut Vec<(u64, StoredSample)>) -> Result<(), Malformed> {
        while !self.rest.is_empty() {
            let id = self.id()?;
            let flags = self.byte()?;
            let t = self.time()?;
            let start = if flags & HISTOGRAM_HAS_START != 0 {
                t.wrapping_sub(self.varint()?)
            } else {
                0
            };
            let hint = usize::from(flags >> HISTOGRAM_HINT_SHIFT);
            let reset_hint = *HINTS.get(hint).ok_or(Malformed)?;
            let schema = i32::try_from(self.varint()?).map_err(|_| Malformed)?;
            let zero_threshold = self.float()?;
            let sum = self.float()?;
            let value = if flags & HISTOGRAM_FLOAT != 0 {
                let h = FloatHistogram {
                    reset_hint,
                    schema,
                    zero_threshold,
                    sum,
                    count: self.float()?,
                    zero_count: self.float()?,
                    positive_spans: self.spans()?,
                    negative_spans: self.spans()?,
                    positive_buckets: self.list(Self::float)?,
                    negative_buckets: self.list(Self::float)?,
                    custom_values: self.list(Self::float)?,
                };
                h.validate().map_err(|_| Malformed)?;
                HistogramValue::Float(Arc::new(h))
            } else {
                let h = Histogram {
                    reset_hint,
                    schema,
                    zero_threshold,
                    sum,
                    count: self.uvarint()?,
                    zero_count: self.uvarint()?,
                    positive_spans: self.spans()?,
                    negative_spans: self.spans()?,
                    positive_deltas: self.list(Self::varint)?,
                    negative_deltas: self.list(Self::varint)?,
                    custom_values: self.list(Self::float)?,
                };
                h.validate().map_err(|_| Malformed)?;
                HistogramValue::Int(Arc::new(h))
            };
            let value = SampleValue::Histogram(value);
            out.push((id, StoredSample { t, start, value }));
        }
        Ok(())
    }

    fn exemplars(&mut self, out: &mut Vec<(u64, Exemplar)>) -> Result<(), Malformed> {
        while !self.rest.is_empty() {
            let id = self.id()?;
            let timestamp_ms = self.time()?;
            let value = self.float()?;
            let pairs = self.list(|b| Ok((b.text()?, b.text()?)))?;
            let exemplar = Exemplar {
                labels: Labels::from_pairs(pairs),
                value,
                timestamp_ms,
            };
            out.push((id, exemplar));
        }
        Ok(())
    }

    fn metadata(&mut self, out: &mut Vec<(String, Metadata)>) -> Result<(), Malformed> {
        while !self.rest.is_empty() {
            let family = self.text()?.to_string();
            let metric_type = usize::from(self.byte()?);
            let metadata = Metadata {
                metric_type: *METRIC_TYPES.get(metric_type).ok_or(Malformed)?,
                unit: self.text()?.to_string(),
                help: self.text()?.to_string(),
            };
            out.push((family, metadata));
        }
        Ok(())
    }
}

/// Which part of a commit a record's payload of version 1 is, its kind, and the entries.
pub(crate) fn part_v1(payload: &[u8]) -> Result<(Part, u8, &[u8]), Malformed> {
    let (kind, rest) = payload.split_first().ok_or(Malformed)?;
    let (part, rest) = part(rest)?;
    Ok((part, *kind, rest))
}

/// Which part of a commit a record's payload is, and the sections.
pub(crate) fn part(payload: &[u8]) -> Result<(Part, &[u8]), Malformed> {
    let (flags, mut rest) = payload.split_first().ok_or(Malformed)?;
    let part = Part {
        first: flags & FLAG_FIRST != 0,
        last: flags & FLAG_LAST != 0,
        seq: take_uvarint(&mut rest)?,
        index: take_uvarint(&mut rest)?,
    };
    Ok((part, rest))
}

const DEFINITIONS: u8 = Kind::Definitions as u8;
const PIECES: u8 = Kind::Pieces as u8;
const HISTOGRAMS: u8 = Kind::Histograms as u8;
const EXEMPLARS: u8 = Kind::Exemplars as u8;
const METADATA: u8 = Kind::Metadata as u8;

/// Adds the entries of a record of version 1 to a commit.
pub(crate) fn entries_v1(
    kind: u8,
    entries: &[u8],
    commit: &mut LogCommit,
) -> Result<(), Malformed> {
    let mut body = Body::new(entries);
    match kind {
        DEFINITIONS => body.definitions(&mut commit.definitions),
        PIECES => body.float_samples(&mut commit.samples),
        HISTOGRAMS => body.histograms(&mut commit.samples),
        EXEMPLARS => body.exemplars(&mut commit.exemplars),
        METADATA => body.metadata(&mut commit.metadata),
        _ => Err(Malformed),
    }
}

/// A piece that was not decoded yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PieceAt {
    pub(crate) group: u32,
    pub(crate) number: u64,
    /// Where its content stands in the payload.
    pub(crate) range: Range<usize>,
}

/// Takes the sections of a record apart; all but floats is added to `commit`.
pub(crate) fn sections(
    payload: &[u8],
    sections: &[u8],
    commit: &mut LogCommit,
    pieces: &mut Vec<PieceAt>,
) -> Result<(), Malformed> {
    let mut all = Body::new(sections);
    while !all.is_empty() {
        let kind = all.byte()?;
        let length = all.uvarint()?;
        let mut body = Body::new(all.bytes(length)?);
        match kind {
            DEFINITIONS => {
                let mut reader = DefinitionReader::default();
                while !body.is_empty() {
                    let id = body.id()?;
                    commit.definitions.push((id, reader.take(&mut body)?));
                }
            }
            PIECES => {
                let mut group = 0i64;
                while !body.is_empty() {
                    group = group.wrapping_add(body.varint()?);
                    let number = body.uvarint()?;
                    let length = body.uvarint()?;
                    let content = body.bytes(length)?;
                    let behind = all.rest().len() + body.rest().len();
                    let end = payload.len().checked_sub(behind).ok_or(Malformed)?;
                    pieces.push(PieceAt {
                        group: u32::try_from(group).map_err(|_| Malformed)?,
                        number,
                        range: end.saturating_sub(content.len())..end,
                    });
                }
            }
            HISTOGRAMS => body.histograms(&mut commit.samples)?,
            EXEMPLARS => body.exemplars(&mut commit.exemplars)?,
            METADATA => body.metadata(&mut commit.metadata)?,
            _ => return Err(Malformed),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
