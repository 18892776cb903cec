//! Writes the messages of remote write and remote read: requests as senders make them, answers as
//! receivers give them.

use std::collections::HashMap;

use tsdb_model::{
    CounterResetHint, Exemplar, FloatHistogram, HistogramValue, Labels, MatchOp, Metadata,
    MetricType, Span,
};

use super::{ResponseType, SampleEntry};

/// A protobuf message being written.
#[derive(Debug, Clone, Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// An empty message.
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The bytes so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Forgets what was written, keeps the memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// A number; 0 is written, too.
    pub fn number(&mut self, field: u32, v: u64) -> &mut Self {
        put_varint(&mut self.0, u64::from(field) << 3);
        put_varint(&mut self.0, v);
        self
    }

    /// A signed number in zigzag form.
    pub fn signed(&mut self, field: u32, v: i64) -> &mut Self {
        self.number(field, zigzag(v))
    }

    /// A float.
    pub fn double(&mut self, field: u32, v: f64) -> &mut Self {
        put_varint(&mut self.0, u64::from(field) << 3 | 1);
        self.0.extend_from_slice(&v.to_bits().to_le_bytes());
        self
    }

    /// A string, bytes or a message.
    pub fn bytes(&mut self, field: u32, bytes: &[u8]) -> &mut Self {
        put_varint(&mut self.0, u64::from(field) << 3 | 2);
        put_varint(&mut self.0, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    /// A message.
    pub fn message(&mut self, field: u32, inner: &Self) -> &mut Self {
        self.bytes(field, &inner.0)
    }

    /// Numbers, packed.
    pub fn numbers(&mut self, field: u32, numbers: impl IntoIterator<Item = u64>) -> &mut Self {
        let mut packed = Vec::new();
        for v in numbers {
            put_varint(&mut packed, v);
        }
        self.bytes(field, &packed)
    }

    fn doubles(&mut self, field: u32, values: &[f64]) -> &mut Self {
        let mut packed = Vec::with_capacity(values.len() * 8);
        for v in values {
            packed.extend_from_slice(&v.to_bits().to_le_bytes());
        }
        self.bytes(field, &packed)
    }

    fn spans(&mut self, field: u32, spans: &[Span]) -> &mut Self {
        for span in spans {
            let mut inner = Self::new();
            inner.signed(1, i64::from(span.offset));
            inner.number(2, u64::from(span.length));
            self.message(field, &inner);
        }
        self
    }

    /// Labels, one message each.
    fn labels(&mut self, field: u32, labels: &Labels) -> &mut Self {
        let mut inner = Self::new();
        for label in labels {
            inner.clear();
            inner.bytes(1, label.name.as_bytes());
            inner.bytes(2, label.value.as_bytes());
            self.message(field, &inner);
        }
        self
    }
}

fn put_varint(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

fn zigzag(v: i64) -> u64 {
    ((v << 1) ^ (v >> 63)) as u64
}

/// What a sender has of one series.
#[derive(Debug, Clone)]
pub struct OutgoingSeries<'a> {
    /// Its labels.
    pub labels: &'a Labels,
    /// Float samples.
    pub samples: &'a [SampleEntry],
    /// Native histograms: time, start timestamp (0 for none), histogram.
    pub histograms: &'a [(i64, i64, HistogramValue)],
    /// Exemplars.
    pub exemplars: &'a [Exemplar],
    /// Metadata of its metric; sent with the series in 2.0 only.
    pub metadata: Option<&'a Metadata>,
}

/// The message of a write request 1.0, not compressed. Start timestamps have no place in it.
pub fn write_v1(series: &[OutgoingSeries<'_>], metadata: &[(String, Metadata)]) -> Vec<u8> {
    let mut request = Message::new();
    let (mut one, mut inner) = (Message::new(), Message::new());
    for s in series {
        one.clear();
        one.labels(1, s.labels);
        for sample in s.samples {
            inner.clear();
            inner.double(1, sample.value);
            inner.number(2, sample.timestamp_ms as u64);
            one.message(2, &inner);
        }
        for exemplar in s.exemplars {
            inner.clear();
            inner.labels(1, &exemplar.labels);
            inner.double(2, exemplar.value);
            inner.number(3, exemplar.timestamp_ms as u64);
            one.message(3, &inner);
        }
        for (t, _, value) in s.histograms {
            one.message(4, &histogram(*t, 0, value));
        }
        request.message(1, &one);
    }
    for (family, m) in metadata {
        inner.clear();
        inner.number(1, type_number(m.metric_type));
        inner.bytes(2, family.as_bytes());
        inner.bytes(4, m.help.as_bytes());
        inner.bytes(5, m.unit.as_bytes());
        request.message(3, &inner);
    }
    request.into_bytes()
}

/// The texts of a request 2.0, each once.
#[derive(Debug)]
struct Symbols {
    numbers: HashMap<String, u32>,
    texts: Vec<String>,
}

impl Symbols {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.texts.len() as u32;
        self.numbers.insert(text.to_string(), number);
        self.texts.push(text.to_string());
        number
    }

    fn labels(&mut self, labels: &Labels) -> Vec<u64> {
        let mut refs = Vec::new();
        for label in labels {
            refs.push(u64::from(self.number(label.name)));
            refs.push(u64::from(self.number(label.value)));
        }
        refs
    }
}

/// The message of a write request 2.0, not compressed.
pub fn write_v2(series: &[OutgoingSeries<'_>]) -> Vec<u8> {
    let mut symbols = Symbols {
        numbers: HashMap::new(),
        texts: Vec::new(),
    };
    symbols.number("");
    let mut all = Message::new();
    let (mut one, mut inner) = (Message::new(), Message::new());
    for s in series {
        one.clear();
        one.numbers(1, symbols.labels(s.labels));
        for sample in s.samples {
            inner.clear();
            inner.double(1, sample.value);
            inner.number(2, sample.timestamp_ms as u64);
            if sample.start_timestamp_ms != 0 {
                inner.number(3, sample.start_timestamp_ms as u64);
            }
            one.message(2, &inner);
        }
        for (t, start, value) in s.histograms {
            one.message(3, &histogram(*t, *start, value));
        }
        for exemplar in s.exemplars {
            inner.clear();
            inner.numbers(1, symbols.labels(&exemplar.labels));
            inner.double(2, exemplar.value);
            inner.number(3, exemplar.timestamp_ms as u64);
            one.message(4, &inner);
        }
        if let Some(m) = s.metadata {
            inner.clear();
            inner.number(1, type_number(m.metric_type));
            inner.number(3, u64::from(symbols.number(&m.help)));
            inner.number(4, u64::from(symbols.number(&m.unit)));
            one.message(5, &inner);
        }
        all.message(5, &one);
    }
    let mut request = Message::new();
    for text in &symbols.texts {
        request.bytes(4, text.as_bytes());
    }
    let mut bytes = request.into_bytes();
    bytes.extend_from_slice(all.as_bytes());
    bytes
}

fn type_number(metric_type: MetricType) -> u64 {
    match metric_type {
        MetricType::Unknown => 0,
        MetricType::Counter => 1,
        MetricType::Gauge => 2,
        MetricType::Histogram => 3,
        MetricType::GaugeHistogram => 4,
        MetricType::Summary => 5,
        MetricType::Info => 6,
        MetricType::StateSet => 7,
    }
}

fn histogram(t_ms: i64, start_ms: i64, value: &HistogramValue) -> Message {
    match value {
        HistogramValue::Float(h) => float_histogram(t_ms, start_ms, h),
        HistogramValue::Int(h) => {
            let mut m = Message::new();
            m.number(1, h.count);
            m.double(3, h.sum);
            m.signed(4, i64::from(h.schema));
            m.double(5, h.zero_threshold);
            m.number(6, h.zero_count);
            m.spans(8, &h.negative_spans);
            m.numbers(9, h.negative_deltas.iter().map(|d| zigzag(*d)));
            m.spans(11, &h.positive_spans);
            m.numbers(12, h.positive_deltas.iter().map(|d| zigzag(*d)));
            ending(&mut m, t_ms, start_ms, h.reset_hint, &h.custom_values);
            m
        }
    }
}

fn float_histogram(t_ms: i64, start_ms: i64, h: &FloatHistogram) -> Message {
    let mut m = Message::new();
    m.double(2, h.count);
    m.double(3, h.sum);
    m.signed(4, i64::from(h.schema));
    m.double(5, h.zero_threshold);
    m.double(7, h.zero_count);
    m.spans(8, &h.negative_spans);
    m.doubles(10, &h.negative_buckets);
    m.spans(11, &h.positive_spans);
    m.doubles(13, &h.positive_buckets);
    ending(&mut m, t_ms, start_ms, h.reset_hint, &h.custom_values);
    m
}

fn ending(m: &mut Message, t: i64, start: i64, hint: CounterResetHint, custom: &[f64]) {
    let hint = match hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::Reset => 1,
        CounterResetHint::NotReset => 2,
        CounterResetHint::Gauge => 3,
    };
    m.number(14, hint);
    m.number(15, t as u64);
    if !custom.is_empty() {
        m.doubles(16, custom);
    }
    if start != 0 {
        m.number(17, start as u64);
    }
}

/// A matcher of a read request: operator, name, value.
pub type OutgoingMatcher<'a> = (MatchOp, &'a str, &'a str);

/// The message of a read request, not compressed. Each query is first time, last time (both
/// milliseconds, inclusive) and matchers.
pub fn read_request(
    queries: &[(i64, i64, Vec<OutgoingMatcher<'_>>)],
    accepted: &[ResponseType],
) -> Vec<u8> {
    let mut request = Message::new();
    for (start, end, matchers) in queries {
        let mut query = Message::new();
        query.number(1, *start as u64);
        query.number(2, *end as u64);
        for (op, name, value) in matchers {
            let mut matcher = Message::new();
            matcher.number(
                1,
                match op {
                    MatchOp::Equal => 0,
                    MatchOp::NotEqual => 1,
                    MatchOp::Regex => 2,
                    MatchOp::NotRegex => 3,
                },
            );
            matcher.bytes(2, name.as_bytes());
            matcher.bytes(3, value.as_bytes());
            query.message(3, &matcher);
        }
        request.message(1, &query);
    }
    let numbers = accepted.iter().map(|t| match t {
        ResponseType::Samples => 0,
        ResponseType::StreamedXorChunks => 1,
    });
    request.numbers(2, numbers);
    request.into_bytes()
}

/// One series of a `SAMPLES` answer: the message `TimeSeries`.
pub fn read_series<'h>(
    labels: &Labels,
    samples: impl Iterator<Item = (i64, f64)>,
    histograms: impl Iterator<Item = (i64, &'h FloatHistogram)>,
) -> Message {
    let mut series = Message::new();
    series.labels(1, labels);
    let mut inner = Message::new();
    for (t, v) in samples {
        inner.clear();
        inner.double(1, v);
        inner.number(2, t as u64);
        series.message(2, &inner);
    }
    for (t, h) in histograms {
        series.message(4, &float_histogram(t, 0, h));
    }
    series
}

/// A chunk of a streamed answer.
#[derive(Debug, Clone, Copy)]
pub struct OutgoingChunk<'a> {
    /// Time of the first sample, milliseconds.
    pub min_ms: i64,
    /// Time of the last sample, milliseconds.
    pub max_ms: i64,
    /// Prometheus's number of the encoding: 1 floats, 2 histograms, 3 float histograms.
    pub encoding: u8,
    /// The chunk.
    pub data: &'a [u8],
}

/// Bytes that a chunk adds to a frame, at most, besides its data.
const CHUNK_OVERHEAD: usize = 40;

/// Appends frames of a streamed answer that hold the chunks of one series, none longer than about
/// `max_bytes` unless a single chunk is.
pub fn chunked_frames(
    out: &mut Vec<u8>,
    labels: &Labels,
    chunks: &[OutgoingChunk<'_>],
    query: usize,
    max_bytes: usize,
) {
    let mut with_labels = Message::new();
    with_labels.labels(1, labels);
    let mut series = with_labels.clone();
    let mut held = 0;
    let mut inner = Message::new();
    for chunk in chunks {
        let more = chunk.data.len() + CHUNK_OVERHEAD;
        if held > 0 && series.as_bytes().len() + more > max_bytes {
            frame(out, &series, query);
            series.0.clear();
            series.0.extend_from_slice(with_labels.as_bytes());
            held = 0;
        }
        inner.clear();
        inner.number(1, chunk.min_ms as u64);
        inner.number(2, chunk.max_ms as u64);
        inner.number(3, u64::from(chunk.encoding));
        inner.bytes(4, chunk.data);
        series.message(2, &inner);
        held += 1;
    }
    if held > 0 {
        frame(out, &series, query);
    }
}

/// Length, checksum, message.
fn frame(out: &mut Vec<u8>, series: &Message, query: usize) {
    let mut response = Message::new();
    response.message(1, series);
    if query > 0 {
        response.number(2, query as u64);
    }
    let bytes = response.as_bytes();
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(&crc32c::crc32c(bytes).to_be_bytes());
    out.extend_from_slice(bytes);
}
