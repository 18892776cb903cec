//! A write request, taken apart. The arrays are used again for the next request.

use tsdb_model::{HistogramError, HistogramValue, Labels, MetricType};

use super::key::{KeyHasher, SeriesKey};
use super::labels::{InvalidLabels, exemplar_labels, label_set};
pub use super::proto::Part;
use super::{MAX_DECOMPRESSED_BYTES, RemoteError, WriteVersion, snappy, v1, v2};

/// Memory that taking a request apart may need besides its bytes: more than any real request
/// needs, but millions of empty elements do not fit.
const MAX_MEMORY_BYTES: usize = 96 << 20;

/// The same for short requests, per byte of the request.
const MEMORY_PER_BYTE: usize = 8;

fn memory_limit(body_bytes: usize) -> usize {
    let limit = body_bytes.saturating_mul(MEMORY_PER_BYTE);
    limit.saturating_add(1 << 20).min(MAX_MEMORY_BYTES)
}

/// Most bytes that a request of so many decompressed bytes takes, all in all.
pub fn max_memory(body_bytes: usize) -> usize {
    body_bytes.saturating_add(memory_limit(body_bytes))
}

/// Memory that a request keeps when it is used again.
const MAX_KEPT_BYTES: usize = 4 << 20;

/// One series of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeriesEntry {
    /// Hash of its labels as sent. `None` when the labels do not stand together: then the labels
    /// have to be looked at.
    pub key: Option<SeriesKey>,
    /// The bytes (1.0) or references (2.0) that hold the labels.
    pub(super) labels: Part,
    /// Its part of [`WriteRequest::samples`].
    pub samples: Part,
    /// Its part of [`WriteRequest::histograms`].
    pub histograms: Part,
    /// Its part of [`WriteRequest::exemplars`].
    pub exemplars: Part,
    /// What it says about its metric, a place in [`WriteRequest::metadata`] (2.0).
    pub metadata: Option<u32>,
}

/// A float sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleEntry {
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// Start timestamp in milliseconds, 0 when not stated.
    pub start_timestamp_ms: i64,
    /// The value; every bit counts.
    pub value: f64,
}

/// A native histogram.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramEntry {
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// Start timestamp in milliseconds, 0 when not stated.
    pub start_timestamp_ms: i64,
    /// The histogram, checked; finer schemas than 8 are brought down to 8.
    pub value: Result<HistogramValue, HistogramError>,
}

/// An exemplar. Its labels are with [`WriteRequest::exemplar_labels`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExemplarEntry {
    pub(super) labels: Part,
    /// The observed value.
    pub value: f64,
    /// Milliseconds since the Unix epoch; 0 when not stated.
    pub timestamp_ms: i64,
}

/// What is said about a metric. The texts are with [`WriteRequest::text`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetadataEntry {
    /// Type.
    pub metric_type: MetricType,
    /// Name of the family (1.0); empty where a series says it of itself (2.0).
    pub family: Part,
    /// Help text.
    pub help: Part,
    /// Unit.
    pub unit: Part,
    /// Hash of all of it.
    pub hash: u64,
}

/// A write request: the decompressed bytes, and where in them everything stands.
#[derive(Debug, Default)]
pub struct WriteRequest {
    version: Option<WriteVersion>,
    pub(super) body: Vec<u8>,
    /// The series in the order of the request.
    pub series: Vec<SeriesEntry>,
    /// Float samples.
    pub samples: Vec<SampleEntry>,
    /// Native histograms.
    pub histograms: Vec<HistogramEntry>,
    /// Exemplars.
    pub exemplars: Vec<ExemplarEntry>,
    /// Metadata.
    pub metadata: Vec<MetadataEntry>,
    pub(super) symbols: Vec<Part>,
    pub(super) symbol_hashes: Vec<u128>,
    pub(super) refs: Vec<u32>,
    /// Memory taken so far.
    memory: usize,
    memory_limit: usize,
}

impl WriteRequest {
    /// An empty request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a compressed request, replacing what was there.
    pub fn read(
        &mut self,
        version: WriteVersion,
        block: &[u8],
        keys: &KeyHasher,
    ) -> Result<(), RemoteError> {
        self.clear();
        snappy::decompress(block, MAX_DECOMPRESSED_BYTES, &mut self.body)?;
        self.walk(version, keys)
    }

    /// Reads a request that is not compressed, replacing what was there.
    pub fn read_plain(
        &mut self,
        version: WriteVersion,
        message: &[u8],
        keys: &KeyHasher,
    ) -> Result<(), RemoteError> {
        self.clear();
        if message.len() > MAX_DECOMPRESSED_BYTES {
            return Err(RemoteError::TooLarge {
                size: message.len() as u64,
                limit: MAX_DECOMPRESSED_BYTES,
            });
        }
        self.body.extend_from_slice(message);
        self.walk(version, keys)
    }

    fn walk(&mut self, version: WriteVersion, keys: &KeyHasher) -> Result<(), RemoteError> {
        self.version = Some(version);
        self.memory_limit = memory_limit(self.body.len());
        let body = std::mem::take(&mut self.body);
        let read = match version {
            WriteVersion::V1 => v1::read(self, &body, keys),
            WriteVersion::V2 => v2::read(self, &body, keys),
        };
        self.body = body;
        if read.is_err() {
            self.clear();
        }
        read
    }

    /// Forgets everything, keeps the memory unless it is unusually much.
    pub fn clear(&mut self) {
        self.version = None;
        fn reset<T>(list: &mut Vec<T>) {
            list.clear();
            list.shrink_to(MAX_KEPT_BYTES / size_of::<T>());
        }
        reset(&mut self.body);
        reset(&mut self.series);
        reset(&mut self.samples);
        reset(&mut self.histograms);
        reset(&mut self.exemplars);
        reset(&mut self.metadata);
        reset(&mut self.symbols);
        reset(&mut self.symbol_hashes);
        reset(&mut self.refs);
        self.memory = 0;
    }

    /// Accounts for an element before it is kept.
    #[inline]
    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), RemoteError> {
        self.memory = self.memory.saturating_add(bytes);
        if self.memory > self.memory_limit {
            Err(RemoteError::TooManyElements)
        } else {
            Ok(())
        }
    }

    /// Ends of the arrays, where the next series begins.
    pub(super) fn ends(&self) -> [usize; 3] {
        [
            self.samples.len(),
            self.histograms.len(),
            self.exemplars.len(),
        ]
    }

    /// The label set of a series, sorted and checked.
    pub fn labels(&self, series: &SeriesEntry) -> Result<Labels, InvalidLabels> {
        let pairs = self.pairs(series.labels);
        label_set(&mut pairs.map_err(InvalidLabels::Malformed)?)
    }

    /// Labels of an exemplar; `None` when they are malformed or not UTF-8.
    pub fn exemplar_labels(&self, exemplar: &ExemplarEntry) -> Option<Labels> {
        exemplar_labels(&self.pairs(exemplar.labels).ok()?)
    }

    fn pairs(&self, labels: Part) -> Result<Vec<(&[u8], &[u8])>, RemoteError> {
        match self.version {
            Some(WriteVersion::V1) => v1::pairs(&self.body, labels),
            Some(WriteVersion::V2) => Ok(v2::pairs(self, labels)),
            None => Ok(Vec::new()),
        }
    }

    /// A text of the metadata; what is not UTF-8 in it is replaced.
    pub fn text(&self, part: Part) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(part.of(&self.body))
    }

    /// Bytes of the request after decompression.
    pub fn body_bytes(&self) -> usize {
        self.body.len()
    }
}

/// The type that a number means in metadata of both versions.
pub(super) fn metric_type(number: u64) -> MetricType {
    match number {
        1 => MetricType::Counter,
        2 => MetricType::Gauge,
        3 => MetricType::Histogram,
        4 => MetricType::GaugeHistogram,
        5 => MetricType::Summary,
        6 => MetricType::Info,
        7 => MetricType::StateSet,
        _ => MetricType::Unknown,
    }
}
