//! Records back to commits. Takes any bytes.

#![deny(clippy::indexing_slicing)]

use std::sync::Arc;

use tsdb_codec::CodecError;
use tsdb_codec::varint::{take_uvarint, take_varint, unzigzag};
use tsdb_model::histogram::{FloatHistogram, Histogram, Span};
use tsdb_model::{Exemplar, HistogramValue, Label, Labels, Metadata};

use super::encode::{
    FLAG_FIRST, FLAG_LAST, FLOAT_HAS_START, FLOAT_HAS_TIME, FLOAT_ID_SHIFT, HINTS, HISTOGRAM_FLOAT,
    HISTOGRAM_HAS_START, HISTOGRAM_HINT_SHIFT, Kind, METRIC_TYPES,
};
use crate::head::series::{SampleValue, StoredSample};

/// Most bytes of labels that one record may expand to.
const MAX_EXPANDED: usize = 512 << 20;

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
    pub(crate) seq: u64,
    pub(crate) part: u64,
}

struct Body<'a> {
    rest: &'a [u8],
    last_id: u64,
    last_t: i64,
}

impl<'a> Body<'a> {
    fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.rest.split_first().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*first)
    }

    fn uvarint(&mut self) -> Result<u64, Malformed> {
        Ok(take_uvarint(&mut self.rest)?)
    }

    fn varint(&mut self) -> Result<i64, Malformed> {
        Ok(take_varint(&mut self.rest)?)
    }

    fn bytes(&mut self, count: u64) -> Result<&'a [u8], Malformed> {
        let count = usize::try_from(count).map_err(|_| Malformed)?;
        let (now, rest) = self.rest.split_at_checked(count).ok_or(Malformed)?;
        self.rest = rest;
        Ok(now)
    }

    fn text(&mut self) -> Result<&'a str, Malformed> {
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

    fn id(&mut self) -> Result<u64, Malformed> {
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

/// Which part of a commit a record's payload is, and the entries behind.
pub(crate) fn decode_part(payload: &[u8]) -> Result<(Part, u8, &[u8]), Malformed> {
    let (front, mut rest) = payload.split_first_chunk::<2>().ok_or(Malformed)?;
    let [kind, flags] = *front;
    let part = Part {
        first: flags & FLAG_FIRST != 0,
        last: flags & FLAG_LAST != 0,
        seq: take_uvarint(&mut rest)?,
        part: take_uvarint(&mut rest)?,
    };
    Ok((part, kind, rest))
}

/// Adds the entries of a record to a commit.
pub(crate) fn decode_entries(
    kind: u8,
    entries: &[u8],
    commit: &mut LogCommit,
) -> Result<(), Malformed> {
    const DEFINITIONS: u8 = Kind::Definitions as u8;
    const FLOATS: u8 = Kind::Floats as u8;
    const HISTOGRAMS: u8 = Kind::Histograms as u8;
    const EXEMPLARS: u8 = Kind::Exemplars as u8;
    const METADATA: u8 = Kind::Metadata as u8;
    let mut body = Body {
        rest: entries,
        last_id: 0,
        last_t: 0,
    };
    match kind {
        DEFINITIONS => body.definitions(&mut commit.definitions),
        FLOATS => body.float_samples(&mut commit.samples),
        HISTOGRAMS => body.histograms(&mut commit.samples),
        EXEMPLARS => body.exemplars(&mut commit.exemplars),
        METADATA => body.metadata(&mut commit.metadata),
        _ => Err(Malformed),
    }
}
