//! Writing the log. Whoever holds the log holds the right to commit.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashMap;
use tsdb_model::{Labels, SeriesRef, StorageError};

use super::encode::CommitEncoder;
use super::frame::{HEADER_BYTES, Header, VERSION};
use super::groups::{Groups, Item};
use super::{WAL_DIR, io_error, segment_name};
use crate::dir::{Dir, WriteFile};
use crate::head::series::SampleValue;
use crate::head::{Batch, Head};

/// A segment that is not written any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentInfo {
    pub(crate) number: u32,
    pub(crate) bytes: u64,
    /// Time of the newest sample or exemplar in it.
    pub(crate) max_t: Option<i64>,
}

/// The segment being written.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) info: SegmentInfo,
    pub(crate) file: Arc<dyn WriteFile>,
    salt: u64,
    definition_bytes: u64,
    has_metadata: bool,
}

/// A commit ready to be written.
#[derive(Debug)]
pub(crate) struct Encoded {
    bytes: Vec<u8>,
    definition_bytes: u64,
    max_t: Option<i64>,
    /// Series whose definition is among the bytes, with the numbers they have in the segment.
    pub(crate) defined: Vec<(SeriesRef, u64)>,
}

/// Number of a series that gets one only when all new ones of the commit are known.
const FRESH: u64 = 1 << 63;

/// Samples that memory is kept for between commits.
const KEPT_ITEMS: usize = 1 << 16;

/// The log.
#[derive(Debug)]
pub(crate) struct Log {
    dir: Arc<dyn Dir>,
    segment_bytes: u64,
    next_number: u32,
    next_seq: u64,
    /// Groups of the current segment.
    groups: Groups,
    items: Vec<Item>,
    pub(crate) current: Option<Current>,
    pub(crate) finished: Vec<SegmentInfo>,
}

impl Log {
    /// A log that goes on behind the segments `finished`.
    pub(crate) fn new(dir: Arc<dyn Dir>, segment_bytes: u64, finished: Vec<SegmentInfo>) -> Self {
        let last = finished.iter().map(|s| s.number).max();
        Self {
            dir,
            segment_bytes,
            next_number: last.map_or(0, |n| n.saturating_add(1)),
            next_seq: 0,
            groups: Groups::default(),
            items: Vec::new(),
            current: None,
            finished,
        }
    }

    /// The next segment gets number `number`, or a higher one.
    pub(crate) fn skip_to(&mut self, number: u32) {
        self.next_number = self.next_number.max(number);
    }

    /// Number of the segment being written, or of the next one.
    pub(crate) fn current_number(&self) -> u32 {
        self.current
            .as_ref()
            .map_or(self.next_number, |c| c.info.number)
    }

    /// True when the next commit belongs into a new segment. Definitions alone do not fill one:
    /// they would all be needed again in the next.
    pub(crate) fn is_full(&self) -> bool {
        self.current.as_ref().is_some_and(|c| {
            c.info.bytes >= self.segment_bytes && c.info.bytes >= 2 * c.definition_bytes
        })
    }

    /// Makes the next segment, unless one is being written.
    pub(crate) fn begin(&mut self) -> Result<(), StorageError> {
        if self.current.is_some() {
            return Ok(());
        }
        let number = self.next_number;
        let name = segment_name(number);
        let salt = RandomState::new().hash_one(number);
        let file = match self.dir.create(&name) {
            Ok(file) => file,
            Err(e) => {
                if e.kind() == std::io::ErrorKind::AlreadyExists {
                    self.next_number = number.saturating_add(1);
                }
                return Err(io_error("creating", &name, &e));
            }
        };
        let header = Header {
            version: VERSION,
            salt,
        };
        let begun = file
            .append(&header.encode())
            .and_then(|()| self.dir.sync_dir(WAL_DIR));
        if let Err(e) = begun {
            // Nothing is in it; a full disk should not fill up with empty segments.
            if self.dir.remove(&name).is_err() {
                self.next_number = number.saturating_add(1);
            }
            return Err(io_error("beginning", &name, &e));
        }
        self.next_number = number.saturating_add(1);
        self.groups.clear();
        self.current = Some(Current {
            info: SegmentInfo {
                number,
                bytes: HEADER_BYTES as u64,
                max_t: None,
            },
            file: file.into(),
            salt,
            definition_bytes: 0,
            has_metadata: false,
        });
        Ok(())
    }

    /// Puts the current segment among the finished ones.
    pub(crate) fn finish(&mut self) {
        self.finished.extend(self.current.take().map(|c| c.info));
    }

    /// True when the current segment has all metadata.
    pub(crate) fn has_metadata(&self) -> bool {
        self.current.as_ref().is_some_and(|c| c.has_metadata)
    }

    /// Encodes a commit for the current segment, with all that the segment lacks to be understood
    /// without the others. What is encoded must be written before anything else is encoded for
    /// the segment; when it is not, or this fails, the segment must end.
    pub(crate) fn encode(&mut self, head: &Head, batch: &Batch) -> Result<Encoded, StorageError> {
        let Some(current) = &self.current else {
            return Err(StorageError::Unavailable("no log segment".into()));
        };
        self.next_seq += 1;
        let segment = current.info.number;
        let mut fresh: Vec<(SeriesRef, Labels)> = Vec::new();
        let mut number_of = |handle: SeriesRef| {
            let series = head.get(handle)?;
            if series.log_segment == Some(segment) {
                return Some(series.log_id);
            }
            fresh.push((handle, head.labels(series)));
            Some(FRESH | (fresh.len() - 1) as u64)
        };
        self.items.clear();
        self.items.reserve(batch.samples.len());
        let mut histograms = Vec::new();
        let mut last = None;
        for (handle, sample) in &batch.samples {
            let id = match last {
                Some((before, id)) if before == *handle => id,
                _ => {
                    let Some(id) = number_of(*handle) else {
                        continue;
                    };
                    last = Some((*handle, id));
                    id
                }
            };
            match &sample.value {
                SampleValue::Float(v) => self.items.push(Item {
                    id,
                    t: sample.t,
                    start: sample.start,
                    bits: v.to_bits(),
                }),
                SampleValue::Histogram(h) => histograms.push((id, sample.t, sample.start, h)),
            }
        }
        let mut exemplars = Vec::new();
        if !batch.exemplars.is_empty() {
            let all = fresh.iter().zip(FRESH..);
            let mut known: HashMap<SeriesRef, u64> = all.map(|(f, id)| (f.0, id)).collect();
            for (handle, exemplar) in &batch.exemplars {
                if let Some(id) = known.get(handle).copied() {
                    exemplars.push((id, exemplar));
                    continue;
                }
                let Some(series) = head.get(*handle) else {
                    continue;
                };
                let id = if series.log_segment == Some(segment) {
                    series.log_id
                } else {
                    fresh.push((*handle, head.labels(series)));
                    FRESH | (fresh.len() - 1) as u64
                };
                known.insert(*handle, id);
                exemplars.push((id, exemplar));
            }
        }
        let numbers = self.groups.assign(fresh.iter().map(|f| &f.1));
        let number = |id: u64| match id & FRESH {
            0 => id,
            _ => numbers.get((id ^ FRESH) as usize).copied().unwrap_or(id),
        };
        let mut encoder = CommitEncoder::new(self.next_seq);
        let mut defined: Vec<(u64, &(SeriesRef, Labels))> =
            numbers.iter().copied().zip(&fresh).collect();
        defined.sort_unstable_by_key(|d| d.0);
        for (id, (_, labels)) in &defined {
            encoder.definition(*id, labels);
        }
        let definition_bytes = encoder.definition_bytes() as u64;
        if !current.has_metadata {
            for (family, metadata) in &head.metadata {
                encoder.metadata(family, metadata);
            }
        }
        for (family, metadata) in &batch.metadata {
            encoder.metadata(family, metadata);
        }
        if !numbers.is_empty() {
            for item in &mut self.items {
                item.id = number(item.id);
            }
        }
        encoder.floats(&mut self.groups, &mut self.items);
        for (id, t, start, histogram) in histograms {
            encoder.histogram(number(id), t, start, histogram);
        }
        for (id, exemplar) in exemplars {
            encoder.exemplar(number(id), exemplar);
        }
        self.items.clear();
        self.items.shrink_to(KEPT_ITEMS);
        Ok(Encoded {
            bytes: encoder.finish(current.salt, current.info.bytes)?,
            definition_bytes,
            max_t: batch.max_t(),
            defined: defined.into_iter().map(|(id, f)| (f.0, id)).collect(),
        })
    }

    /// Writes a commit with one call. After a failure the segment is not written any more.
    pub(crate) fn write(&mut self, encoded: &Encoded) -> Result<(), StorageError> {
        let Some(current) = &mut self.current else {
            return Err(StorageError::Unavailable("no log segment".into()));
        };
        let name = segment_name(current.info.number);
        if let Err(e) = current.file.append(&encoded.bytes) {
            let error = io_error("writing", &name, &e);
            // What was half written should not be taken for a commit later.
            let cut = current.file.truncate(current.info.bytes);
            if current.info.bytes == HEADER_BYTES as u64 && self.dir.remove(&name).is_ok() {
                self.current = None;
            } else if cut.is_err() {
                tracing::warn!(segment = name, "a half-written commit stays in the log");
            }
            return Err(error);
        }
        current.info.bytes += encoded.bytes.len() as u64;
        current.info.max_t = current.info.max_t.max(encoded.max_t);
        current.definition_bytes += encoded.definition_bytes;
        current.has_metadata = true;
        Ok(())
    }

    /// Bytes of all segments.
    pub(crate) fn bytes(&self) -> u64 {
        let current = self.current.as_ref().map_or(0, |c| c.info.bytes);
        self.finished.iter().map(|s| s.bytes).sum::<u64>() + current
    }

    /// Number of segments.
    pub(crate) fn segments(&self) -> u64 {
        self.finished.len() as u64 + u64::from(self.current.is_some())
    }

    /// Segments with nothing from `floor` on, and those that blocks embody: with a number below
    /// the first of `cut` and nothing from the time in it on.
    pub(crate) fn droppable(&self, floor: i64, cut: (u32, i64)) -> Vec<u32> {
        let old = self.finished.iter().filter(|s| {
            s.max_t
                .is_none_or(|t| t < floor || (s.number < cut.0 && t < cut.1))
        });
        old.map(|s| s.number).collect()
    }

    /// True when no segment below `number` is there.
    pub(crate) fn begins_at(&self, number: u32) -> bool {
        let mut all = self
            .finished
            .iter()
            .chain(self.current.iter().map(|c| &c.info));
        all.all(|s| s.number >= number)
    }

    /// Removes a finished segment.
    pub(crate) fn remove(&mut self, number: u32) -> Result<(), StorageError> {
        let name = segment_name(number);
        match self.dir.remove(&name) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(io_error("removing", &name, &e));
            }
            _ => self.finished.retain(|s| s.number != number),
        }
        Ok(())
    }
}
