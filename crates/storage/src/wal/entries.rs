//! Histograms, exemplars and metadata as bytes.

use tsdb_codec::varint::{put_uvarint, put_varint, zigzag};
use tsdb_model::histogram::{CounterResetHint, Span};
use tsdb_model::{Exemplar, HistogramValue, Metadata, MetricType};

/// The flags byte of a histogram.
pub(super) const HISTOGRAM_FLOAT: u8 = 1;
pub(super) const HISTOGRAM_HAS_START: u8 = 2;
pub(super) const HISTOGRAM_HINT_SHIFT: u32 = 2;

/// Number of a hint in the log.
pub(crate) const HINTS: [CounterResetHint; 4] = [
    CounterResetHint::Unknown,
    CounterResetHint::Reset,
    CounterResetHint::NotReset,
    CounterResetHint::Gauge,
];

/// Number of a metric type in the log.
pub(super) const METRIC_TYPES: [MetricType; 8] = [
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

/// Entries of one section, each relative to the one before.
#[derive(Debug, Default)]
pub(super) struct Entries {
    pub(super) out: Vec<u8>,
    last_id: u64,
    last_t: i64,
}

impl Entries {
    /// Begins a section.
    pub(super) fn clear(&mut self) {
        self.out.clear();
        (self.last_id, self.last_t) = (0, 0);
    }

    /// The difference of `id` to the one before, less one: mostly 0.
    pub(super) fn id_step(&mut self, id: u64) -> u64 {
        let step = id.wrapping_sub(self.last_id).wrapping_sub(1) as i64;
        self.last_id = id;
        zigzag(step)
    }

    pub(super) fn id(&mut self, id: u64) {
        let step = self.id_step(id);
        put_uvarint(&mut self.out, step);
    }

    pub(super) fn time(&mut self, t: i64) {
        put_varint(&mut self.out, t.wrapping_sub(self.last_t));
        self.last_t = t;
    }

    pub(super) fn text(&mut self, text: &str) {
        put_uvarint(&mut self.out, text.len() as u64);
        self.out.extend(text.as_bytes());
    }

    fn float(&mut self, v: f64) {
        self.out.extend(v.to_le_bytes());
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

    pub(super) fn histogram(&mut self, id: u64, t: i64, start: i64, value: &HistogramValue) {
        let (form, hint) = match value {
            HistogramValue::Int(h) => (0, h.reset_hint),
            HistogramValue::Float(h) => (HISTOGRAM_FLOAT, h.reset_hint),
        };
        let mut flags = form | number_of(&HINTS, &hint) << HISTOGRAM_HINT_SHIFT;
        if start != 0 {
            flags |= HISTOGRAM_HAS_START;
        }
        self.id(id);
        self.out.push(flags);
        self.time(t);
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

    pub(super) fn exemplar(&mut self, id: u64, exemplar: &Exemplar) {
        self.id(id);
        self.time(exemplar.timestamp_ms);
        self.float(exemplar.value);
        put_uvarint(&mut self.out, exemplar.labels.len() as u64);
        for label in &exemplar.labels {
            self.text(label.name);
            self.text(label.value);
        }
    }

    pub(super) fn metadata(&mut self, family: &str, metadata: &Metadata) {
        self.text(family);
        self.out
            .push(number_of(&METRIC_TYPES, &metadata.metric_type));
        self.text(&metadata.unit);
        self.text(&metadata.help);
    }
}
