//! Commits as records of version 1, for tests: what earlier versions of the program left.

use hashbrown::HashMap;
use tsdb_codec::varint::{put_uvarint, put_varint};
use tsdb_model::Labels;

use super::decode::{FLOAT_HAS_START, FLOAT_HAS_TIME, FLOAT_ID_SHIFT};
use super::entries::Entries;
use super::frame::{HEADER_BYTES, Header};
use super::records::Records;
use crate::head::series::{SampleValue, StoredSample};

const DEFINITIONS: u8 = 1;
const FLOATS: u8 = 2;
const HISTOGRAMS: u8 = 3;

/// Bytes of a record, about.
const TARGET_BYTES: usize = 1 << 20;

pub(crate) struct CommitEncoder {
    records: Records,
    kind: u8,
    entries: Entries,
    last_t: i64,
    symbols: HashMap<String, u64>,
}

impl CommitEncoder {
    pub(crate) fn new(seq: u64) -> Self {
        Self {
            records: Records::new(seq, 1),
            kind: 0,
            entries: Entries::default(),
            last_t: 0,
            symbols: HashMap::new(),
        }
    }

    fn record(&mut self, kind: u8) {
        if self.kind == kind && self.entries.out.len() < TARGET_BYTES {
            return;
        }
        self.end();
        self.kind = kind;
        self.records.begin(&[kind]);
        self.entries.clear();
        self.last_t = 0;
        self.symbols.clear();
    }

    fn end(&mut self) {
        self.records.out.append(&mut self.entries.out);
    }

    fn symbol(&mut self, text: &str) {
        if let Some(number) = self.symbols.get(text) {
            put_uvarint(&mut self.entries.out, *number);
            return;
        }
        put_uvarint(&mut self.entries.out, 0);
        self.entries.text(text);
        let number = self.symbols.len() as u64 + 1;
        self.symbols.insert(text.to_string(), number);
    }

    pub(crate) fn definition(&mut self, id: u64, labels: &Labels) {
        self.record(DEFINITIONS);
        self.entries.id(id);
        put_uvarint(&mut self.entries.out, labels.len() as u64);
        for label in labels {
            self.symbol(label.name);
            self.symbol(label.value);
        }
    }

    pub(crate) fn sample(&mut self, id: u64, sample: &StoredSample) {
        match &sample.value {
            SampleValue::Float(v) => self.float_sample(id, sample.t, sample.start, *v),
            SampleValue::Histogram(h) => {
                self.record(HISTOGRAMS);
                self.entries.histogram(id, sample.t, sample.start, h);
            }
        }
    }

    fn float_sample(&mut self, id: u64, t: i64, start: i64, value: f64) {
        self.record(FLOATS);
        let bits = value.to_bits();
        let bytes = 8 - u64::from(bits.trailing_zeros() / 8);
        let id_step = u128::from(self.entries.id_step(id));
        let out = &mut self.entries.out;
        let mut first = bytes;
        if t != self.last_t {
            first |= FLOAT_HAS_TIME;
        }
        if start != 0 {
            first |= FLOAT_HAS_START;
        }
        let shifted = id_step << FLOAT_ID_SHIFT;
        let limit = u128::from(u64::MAX >> FLOAT_ID_SHIFT);
        if id_step < limit {
            put_uvarint(out, first | shifted as u64);
        } else {
            put_uvarint(out, first | (limit as u64) << FLOAT_ID_SHIFT);
            put_uvarint(out, id_step as u64);
        }
        if t != self.last_t {
            put_varint(out, t.wrapping_sub(self.last_t));
            self.last_t = t;
        }
        if start != 0 {
            put_varint(out, t.wrapping_sub(start));
        }
        out.extend(bits.to_be_bytes().into_iter().take(bytes as usize));
    }

    pub(crate) fn finish(mut self, salt: u64, offset: u64) -> Vec<u8> {
        self.end();
        self.records.finish(salt, offset).unwrap()
    }
}

/// A segment of version 1 with these commits.
pub(crate) fn segment(commits: &[(Vec<(u64, Labels)>, Vec<(u64, StoredSample)>)]) -> Vec<u8> {
    let salt = 99;
    let mut out = Header { version: 1, salt }.encode();
    assert_eq!(out.len(), HEADER_BYTES);
    for (seq, (definitions, samples)) in (1..).zip(commits) {
        let mut encoder = CommitEncoder::new(seq);
        for (id, labels) in definitions {
            encoder.definition(*id, labels);
        }
        for (id, sample) in samples {
            encoder.sample(*id, sample);
        }
        out.extend(encoder.finish(salt, out.len() as u64));
    }
    out
}
