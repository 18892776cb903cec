//! Records back to commits. Takes any bytes.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

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
    /// Number of the commit in the segment.
    pub(crate) seq: u64,
    /// Number of the record in the commit.
    pub(crate) index: u64,
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
        index: take_uvarint(&mut rest)?,
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tsdb_model::CounterResetHint;

    use super::super::encode::CommitEncoder;
    use super::super::frame::{FRAME_BYTES, parse_frame, record_crc};
    use super::*;

    fn float(t: i64, start: i64, v: f64) -> StoredSample {
        StoredSample {
            t,
            start,
            value: SampleValue::Float(v),
        }
    }

    /// The example of docs/format/wal.md.
    #[test]
    fn known_bytes() {
        let mut encoder = CommitEncoder::new(1);
        encoder.definition(0, &Labels::from_pairs([("__name__", "x")]));
        encoder.sample(0, &float(1000, 0, 1.0));
        let bytes = encoder.finish(7, 48).unwrap();
        let mut want = vec![0xf5, 0x52, 0x65, 0x63, 0x13, 0, 0, 0];
        let definition = b"\x01\x01\x01\x00\x01\x01\x00\x08__name__\x00\x01x";
        want.extend(record_crc(7, 48, definition).to_le_bytes());
        want.extend(definition);
        let sample = [2, 2, 1, 1, 0x40 | 0x12, 0xd0, 0x0f, 0x3f, 0xf0];
        want.extend([0xf5, 0x52, 0x65, 0x63, 9, 0, 0, 0]);
        want.extend(record_crc(7, 48 + 31, &sample).to_le_bytes());
        want.extend(sample);
        assert_eq!(bytes, want);
    }

    /// All commits that stand in `bytes`, as one.
    fn decode_all(mut bytes: &[u8]) -> LogCommit {
        let mut commit = LogCommit::default();
        while !bytes.is_empty() {
            let (length, _) = parse_frame(bytes).unwrap();
            let (payload, rest) = bytes[FRAME_BYTES..].split_at(length);
            let (_, kind, entries) = decode_part(payload).unwrap();
            decode_entries(kind, entries, &mut commit).unwrap();
            bytes = rest;
        }
        commit
    }

    #[test]
    fn histograms_come_back() {
        let spans = vec![Span {
            offset: -3,
            length: 2,
        }];
        let int = Histogram {
            reset_hint: CounterResetHint::Gauge,
            schema: -4,
            zero_threshold: 0.25,
            zero_count: 3,
            count: 10,
            sum: -1.5,
            positive_spans: spans.clone(),
            negative_spans: spans.clone(),
            positive_deltas: vec![2, -1],
            negative_deltas: vec![1, 2],
            custom_values: Vec::new(),
        };
        let custom = FloatHistogram {
            schema: -53,
            count: 1.5,
            sum: 2.0,
            positive_spans: vec![Span {
                offset: 0,
                length: 2,
            }],
            positive_buckets: vec![0.5, 1.0],
            custom_values: vec![1.0, 2.0],
            ..FloatHistogram::default()
        };
        let values = [
            HistogramValue::Int(Arc::new(int.clone())),
            HistogramValue::Float(Arc::new(int.to_float())),
            HistogramValue::Float(Arc::new(custom)),
        ];
        let mut encoder = CommitEncoder::new(9);
        for (i, h) in values.iter().enumerate() {
            let value = SampleValue::Histogram(h.clone());
            encoder.sample(
                3,
                &StoredSample {
                    t: i as i64,
                    start: -5,
                    value,
                },
            );
        }
        let commit = decode_all(&encoder.finish(1, 0).unwrap());
        for (i, (id, sample)) in commit.samples.iter().enumerate() {
            assert_eq!((*id, sample.t, sample.start), (3, i as i64, -5));
            let SampleValue::Histogram(h) = &sample.value else {
                panic!("{sample:?}")
            };
            assert_eq!(*h, values[i]);
        }
        assert_eq!(commit.samples.len(), 3);
    }

    proptest! {
        #[test]
        fn floats_come_back(samples: Vec<(u64, i64, i64, u64)>) {
            let mut encoder = CommitEncoder::new(3);
            for (id, t, start, bits) in &samples {
                encoder.sample(*id, &float(*t, *start, f64::from_bits(*bits)));
            }
            let commit = decode_all(&encoder.finish(0, 0).unwrap());
            let got: Vec<_> = commit.samples.iter().map(|(id, s)| {
                let SampleValue::Float(v) = s.value else { unreachable!() };
                (*id, s.t, s.start, v.to_bits())
            }).collect();
            prop_assert_eq!(got, samples);
        }

        #[test]
        fn any_payload_does_no_harm(kind in 0..7u8, bytes: Vec<u8>) {
            let mut commit = LogCommit::default();
            let _ = decode_part(&bytes);
            let _ = decode_entries(kind, &bytes, &mut commit);
            prop_assert!(commit.samples.len() + commit.definitions.len() <= bytes.len());
        }
    }
}
