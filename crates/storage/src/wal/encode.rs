//! Commits as records.

use hashbrown::HashMap;
use tsdb_codec::varint::{put_uvarint, put_varint, zigzag};
use tsdb_model::histogram::{CounterResetHint, Span};
use tsdb_model::{Exemplar, HistogramValue, Labels, Metadata, MetricType, StorageError};

use super::frame::{FRAME_BYTES, MAX_PAYLOAD, RECORD_MAGIC, record_crc};
use crate::head::series::{SampleValue, StoredSample};

/// What a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Definitions = 1,
    Floats = 2,
    Histograms = 3,
    Exemplars = 4,
    Metadata = 5,
}

/// First and last record of a commit.
pub(crate) const FLAG_FIRST: u8 = 1;
pub(crate) const FLAG_LAST: u8 = 2;

/// Position of the flags in a payload.
const FLAGS_AT: usize = FRAME_BYTES + 1;

/// Size at which a commit goes on in another record; definitions also count what they expand to.
const TARGET_BYTES: usize = 1 << 20;
const TARGET_EXPANDED: usize = 16 << 20;

/// Float record entries: bits of the first number.
pub(crate) const FLOAT_HAS_TIME: u64 = 1 << 4;
pub(crate) const FLOAT_HAS_START: u64 = 1 << 5;
pub(crate) const FLOAT_ID_SHIFT: u32 = 6;

/// Histogram record entries: the flags byte.
pub(crate) const HISTOGRAM_FLOAT: u8 = 1;
pub(crate) const HISTOGRAM_HAS_START: u8 = 2;
pub(crate) const HISTOGRAM_HINT_SHIFT: u32 = 2;

/// Number of a hint in the log.
pub(crate) const HINTS: [CounterResetHint; 4] = [
    CounterResetHint::Unknown,
    CounterResetHint::Reset,
    CounterResetHint::NotReset,
    CounterResetHint::Gauge,
];

/// Number of a metric type in the log.
pub(crate) const METRIC_TYPES: [MetricType; 8] = [
    MetricType::Unknown,
    MetricType::Counter,
    MetricType::Gauge,
    MetricType::Histogram,
    MetricType::GaugeHistogram,
    MetricType::Summary,
    MetricType::Info,
    MetricType::StateSet,
];

fn number_of<T: PartialEq>(all: &[T], item: &T) -> u8 {
    all.iter().position(|i| i == item).map_or(0, |i| i as u8)
}

/// Puts the records of one commit into one buffer.
#[derive(Debug)]
pub(crate) struct CommitEncoder {
    out: Vec<u8>,
    starts: Vec<usize>,
    seq: u64,
    kind: Option<Kind>,
    /// Where entries are relative to the one before, in the same record.
    last_id: u64,
    last_t: i64,
    symbols: HashMap<String, u64>,
    expanded: usize,
    definition_bytes: usize,
}

impl CommitEncoder {
    pub(crate) fn new(seq: u64) -> Self {
        Self {
            out: Vec::new(),
            starts: Vec::new(),
            seq,
            kind: None,
            last_id: 0,
            last_t: 0,
            symbols: HashMap::new(),
            expanded: 0,
            definition_bytes: 0,
        }
    }

    /// Makes sure that an entry of `kind` can be appended: a record of the kind, not yet full.
    fn record(&mut self, kind: Kind) {
        let begun = self.starts.last().copied().unwrap_or(0);
        let full = self.out.len() - begun >= TARGET_BYTES || self.expanded >= TARGET_EXPANDED;
        if self.kind == Some(kind) && !full {
            return;
        }
        self.kind = Some(kind);
        let part = self.starts.len() as u64;
        self.starts.push(self.out.len());
        self.out.extend([0; FRAME_BYTES]);
        self.out.push(kind as u8);
        self.out.push(if part == 0 { FLAG_FIRST } else { 0 });
        put_uvarint(&mut self.out, self.seq);
        put_uvarint(&mut self.out, part);
        (self.last_id, self.last_t, self.expanded) = (0, 0, 0);
        self.symbols.clear();
    }

    /// The difference of `id` to the one before, less one: mostly 0.
    fn id_step(&mut self, id: u64) -> u64 {
        let step = id.wrapping_sub(self.last_id).wrapping_sub(1) as i64;
        self.last_id = id;
        zigzag(step)
    }

    fn text(&mut self, text: &str) {
        put_uvarint(&mut self.out, text.len() as u64);
        self.out.extend(text.as_bytes());
    }

    fn float(&mut self, v: f64) {
        self.out.extend(v.to_le_bytes());
    }

    fn symbol(&mut self, text: &str) {
        if let Some(number) = self.symbols.get(text) {
            put_uvarint(&mut self.out, *number);
            return;
        }
        put_uvarint(&mut self.out, 0);
        self.text(text);
        let number = self.symbols.len() as u64 + 1;
        self.symbols.insert(text.to_string(), number);
    }

    /// States which labels the number `id` stands for.
    pub(crate) fn definition(&mut self, id: u64, labels: &Labels) {
        let before = self.out.len();
        self.record(Kind::Definitions);
        let step = self.id_step(id);
        put_uvarint(&mut self.out, step);
        put_uvarint(&mut self.out, labels.len() as u64);
        for label in labels {
            self.symbol(label.name);
            self.symbol(label.value);
        }
        self.expanded += labels.heap_bytes();
        self.definition_bytes += self.out.len() - before;
    }

    /// A sample; floats and histograms go into records of their own.
    pub(crate) fn sample(&mut self, id: u64, sample: &StoredSample) {
        match &sample.value {
            SampleValue::Float(v) => self.float_sample(id, sample.t, sample.start, *v),
            SampleValue::Histogram(h) => self.histogram(id, sample.t, sample.start, h),
        }
    }

    fn float_sample(&mut self, id: u64, t: i64, start: i64, value: f64) {
        self.record(Kind::Floats);
        let bits = value.to_bits();
        let bytes = 8 - u64::from(bits.trailing_zeros() / 8);
        let id_step = u128::from(self.id_step(id));
        let mut first = bytes;
        if t != self.last_t {
            first |= FLOAT_HAS_TIME;
        }
        if start != 0 {
            first |= FLOAT_HAS_START;
        }
        // Ids are far below 2^57 in practice; a step that does not fit goes into a number of its
        // own, behind a step of all ones.
        let shifted = id_step << FLOAT_ID_SHIFT;
        let limit = u128::from(u64::MAX >> FLOAT_ID_SHIFT);
        if id_step < limit {
            put_uvarint(&mut self.out, first | shifted as u64);
        } else {
            put_uvarint(&mut self.out, first | (limit as u64) << FLOAT_ID_SHIFT);
            put_uvarint(&mut self.out, id_step as u64);
        }
        if t != self.last_t {
            put_varint(&mut self.out, t.wrapping_sub(self.last_t));
            self.last_t = t;
        }
        if start != 0 {
            put_varint(&mut self.out, t.wrapping_sub(start));
        }
        let significant = bits.to_be_bytes().into_iter().take(bytes as usize);
        self.out.extend(significant);
    }

    fn spans(&mut self, spans: &[Span]) {
        put_uvarint(&mut self.out, spans.len() as u64);
        for span in spans {
            put_varint(&mut self.out, i64::from(span.offset));
            put_uvarint(&mut self.out, u64::from(span.length));
        }
    }

    fn floats(&mut self, values: &[f64]) {
        put_uvarint(&mut self.out, values.len() as u64);
        for v in values {
            self.float(*v);
        }
    }

    fn deltas(&mut self, deltas: &[i64]) {
        put_uvarint(&mut self.out, deltas.len() as u64);
        for d in deltas {
            put_varint(&mut self.out, *d);
        }
    }

    fn histogram(&mut self, id: u64, t: i64, start: i64, value: &HistogramValue) {
        self.record(Kind::Histograms);
        let (form, hint) = match value {
            HistogramValue::Int(h) => (0, h.reset_hint),
            HistogramValue::Float(h) => (HISTOGRAM_FLOAT, h.reset_hint),
        };
        let mut flags = form | number_of(&HINTS, &hint) << HISTOGRAM_HINT_SHIFT;
        if start != 0 {
            flags |= HISTOGRAM_HAS_START;
        }
        let step = self.id_step(id);
        put_uvarint(&mut self.out, step);
        self.out.push(flags);
        put_varint(&mut self.out, t.wrapping_sub(self.last_t));
        self.last_t = t;
        if start != 0 {
            put_varint(&mut self.out, t.wrapping_sub(start));
        }
        match value {
            HistogramValue::Int(h) => {
                put_varint(&mut self.out, i64::from(h.schema));
                self.float(h.zero_threshold);
                self.float(h.sum);
                put_uvarint(&mut self.out, h.count);
                put_uvarint(&mut self.out, h.zero_count);
                self.spans(&h.positive_spans);
                self.spans(&h.negative_spans);
                self.deltas(&h.positive_deltas);
                self.deltas(&h.negative_deltas);
                self.floats(&h.custom_values);
            }
            HistogramValue::Float(h) => {
                put_varint(&mut self.out, i64::from(h.schema));
                self.float(h.zero_threshold);
                self.float(h.sum);
                self.float(h.count);
                self.float(h.zero_count);
                self.spans(&h.positive_spans);
                self.spans(&h.negative_spans);
                self.floats(&h.positive_buckets);
                self.floats(&h.negative_buckets);
                self.floats(&h.custom_values);
            }
        }
    }

    pub(crate) fn exemplar(&mut self, id: u64, exemplar: &Exemplar) {
        self.record(Kind::Exemplars);
        let step = self.id_step(id);
        put_uvarint(&mut self.out, step);
        put_varint(
            &mut self.out,
            exemplar.timestamp_ms.wrapping_sub(self.last_t),
        );
        self.last_t = exemplar.timestamp_ms;
        self.float(exemplar.value);
        put_uvarint(&mut self.out, exemplar.labels.len() as u64);
        for label in &exemplar.labels {
            self.text(label.name);
            self.text(label.value);
        }
    }

    pub(crate) fn metadata(&mut self, family: &str, metadata: &Metadata) {
        self.record(Kind::Metadata);
        self.text(family);
        self.out
            .push(number_of(&METRIC_TYPES, &metadata.metric_type));
        self.text(&metadata.unit);
        self.text(&metadata.help);
    }

    /// Bytes that definitions took.
    pub(crate) fn definition_bytes(&self) -> usize {
        self.definition_bytes
    }

    /// The records, to be written at byte `offset` of a segment. Fails when one is too large.
    pub(crate) fn finish(mut self, salt: u64, offset: u64) -> Result<Vec<u8>, StorageError> {
        let ends = self.starts.iter().skip(1).copied().chain([self.out.len()]);
        let ranges: Vec<(usize, usize)> = self.starts.iter().copied().zip(ends).collect();
        let parts = ranges.len();
        for (part, (start, end)) in ranges.into_iter().enumerate() {
            let record = &mut self.out[start..end];
            if record.len() - FRAME_BYTES > MAX_PAYLOAD {
                let text = format!("a commit has an entry of {} bytes, too large", record.len());
                return Err(StorageError::Unavailable(text));
            }
            if part + 1 == parts {
                record[FLAGS_AT] |= FLAG_LAST;
            }
            let (frame, payload) = record.split_at_mut(FRAME_BYTES);
            let crc = record_crc(salt, offset + start as u64, payload);
            frame[..4].copy_from_slice(&RECORD_MAGIC);
            frame[4..8].copy_from_slice(&(payload.len() as u32).to_le_bytes());
            frame[8..].copy_from_slice(&crc.to_le_bytes());
        }
        Ok(self.out)
    }
}
