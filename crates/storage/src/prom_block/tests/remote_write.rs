//! A sender of remote write 1.0, just large enough to feed a real Prometheus.

use tsdb_codec::varint::{put_uvarint, zigzag};
use tsdb_model::{CounterResetHint, HistogramValue, Labels, Span};

use crate::prom_block::SampleValue;

/// Protobuf fields, appended.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(mut self, field: u64, v: u64) -> Self {
        put_uvarint(&mut self.0, field << 3);
        put_uvarint(&mut self.0, v);
        self
    }

    fn double(mut self, field: u64, v: f64) -> Self {
        put_uvarint(&mut self.0, field << 3 | 1);
        self.0.extend(v.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        put_uvarint(&mut self.0, field << 3 | 2);
        put_uvarint(&mut self.0, bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    fn spans(self, field: u64, spans: &[Span]) -> Self {
        spans.iter().fold(self, |message, span| {
            let inner = Self::default()
                .varint(1, zigzag(i64::from(span.offset)))
                .varint(2, u64::from(span.length));
            message.bytes(field, &inner.0)
        })
    }

    fn deltas(self, field: u64, deltas: &[i64]) -> Self {
        let mut packed = Vec::new();
        for delta in deltas {
            put_uvarint(&mut packed, zigzag(*delta));
        }
        self.bytes(field, &packed)
    }

    fn doubles(self, field: u64, values: &[f64]) -> Self {
        let packed: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.bytes(field, &packed)
    }
}

fn histogram(t_ms: i64, value: &HistogramValue) -> Message {
    let hint = |hint| match hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::Reset => 1,
        CounterResetHint::NotReset => 2,
        CounterResetHint::Gauge => 3,
    };
    match value {
        HistogramValue::Int(h) => Message::default()
            .varint(1, h.count)
            .double(3, h.sum)
            .varint(4, zigzag(i64::from(h.schema)))
            .double(5, h.zero_threshold)
            .varint(6, h.zero_count)
            .spans(8, &h.negative_spans)
            .deltas(9, &h.negative_deltas)
            .spans(11, &h.positive_spans)
            .deltas(12, &h.positive_deltas)
            .varint(14, hint(h.reset_hint))
            .varint(15, t_ms as u64)
            .doubles(16, &h.custom_values),
        HistogramValue::Float(h) => Message::default()
            .double(2, h.count)
            .double(3, h.sum)
            .varint(4, zigzag(i64::from(h.schema)))
            .double(5, h.zero_threshold)
            .double(7, h.zero_count)
            .spans(8, &h.negative_spans)
            .doubles(10, &h.negative_buckets)
            .spans(11, &h.positive_spans)
            .doubles(13, &h.positive_buckets)
            .varint(14, hint(h.reset_hint))
            .varint(15, t_ms as u64)
            .doubles(16, &h.custom_values),
    }
}

/// The body of a write request.
pub(super) fn body(samples: &[(&Labels, i64, &SampleValue)]) -> Vec<u8> {
    let request = samples
        .iter()
        .fold(Message::default(), |request, (labels, t, value)| {
            let mut series = Message::default();
            for label in *labels {
                let pair = Message::default()
                    .bytes(1, label.name.as_bytes())
                    .bytes(2, label.value.as_bytes());
                series = series.bytes(1, &pair.0);
            }
            let series = match value {
                SampleValue::Float(v) => {
                    series.bytes(2, &Message::default().double(1, *v).varint(2, *t as u64).0)
                }
                SampleValue::Histogram(h) => series.bytes(4, &histogram(*t, h).0),
            };
            request.bytes(1, &series.0)
        });
    snappy(&request.0)
}

/// A snappy block of literals only.
fn snappy(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_uvarint(&mut out, bytes.len() as u64);
    for part in bytes.chunks(1 << 16) {
        out.push(61 << 2);
        out.extend(((part.len() - 1) as u16).to_le_bytes());
        out.extend(part);
    }
    out
}
