//! Reading the log when a store is opened.

mod segment;

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;
use tsdb_model::{Labels, SeriesRef, StorageError};

use crate::catalogue::Loaded;
use crate::delete::delete_replayed;
use crate::dir::Dir;
use crate::head::{Batch, Head, HeadCounters};
use crate::tombstones::{Delete, Tombstones};
use crate::wal::decode::{LogCommit, Part, entries_v1, part_v1};
use crate::wal::log::SegmentInfo;
use crate::wal::read::{ReadError, SegmentReader};
use crate::wal::{WAL_DIR, io_error, segment_name, segment_number};

/// How often reading begins anew because a running writer removed a segment.
const ATTEMPTS: usize = 10;

/// What a store has besides the log.
#[derive(Debug, Default)]
pub(crate) struct OnDisk {
    pub(crate) tombstones: Tombstones,
    pub(crate) loaded: Loaded,
}

/// Samples of these times in segments below `log_until` are in a block.
#[derive(Debug, Clone, Copy)]
struct Claim {
    from: i64,
    until: i64,
    log_until: u32,
}

impl Claim {
    fn holds(&self, t: i64) -> bool {
        self.from <= t && t < self.until
    }
}

impl OnDisk {
    /// The end of the times that blocks were cut up to.
    fn floor(&self) -> i64 {
        let cuts = self.loaded.blocks.iter();
        cuts.filter_map(|b| b.meta().new.cut_until)
            .max()
            .unwrap_or(i64::MIN)
    }

    fn claims(&self) -> Vec<Claim> {
        let all = self.loaded.blocks.iter().map(|b| &b.meta().new);
        all.filter(|new| new.log_until > 0)
            .map(|new| Claim {
                from: new.range_from,
                until: new.range_until,
                log_until: new.log_until,
            })
            .collect()
    }

    /// Number of the last deletion.
    pub(crate) fn last_delete(&self) -> u64 {
        let blocks = self.loaded.blocks.iter();
        let embodied = blocks.map(|b| b.meta().new.deletes_until).max();
        self.tombstones.last.max(embodied.unwrap_or(0))
    }

    /// The least number of a new log segment: blocks and deletions speak of all below.
    pub(crate) fn next_segment(&self) -> u32 {
        let claims = self.loaded.blocks.iter().map(|b| b.meta().new.log_until);
        let deletes = self.tombstones.deletes.iter().map(|d| d.segment);
        claims.chain(deletes).max().unwrap_or(0)
    }
}

/// What the log gave.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub(crate) head: Head,
    /// What was read.
    pub(crate) counters: HeadCounters,
    pub(crate) segments: Vec<SegmentInfo>,
    pub(crate) corruptions: u64,
    pub(crate) lost_pieces: u64,
    pub(crate) seconds: f64,
}

struct Replay {
    head: Head,
    claims: Vec<Claim>,
    /// Samples left out because they are in blocks.
    embodied: u64,
    /// Series by their numbers in segments of version 1.
    by_id: HashMap<u64, SeriesRef>,
    segments: Vec<SegmentInfo>,
    corruptions: u64,
    /// Commits of which a part is missing, and samples whose series is not known.
    incomplete: u64,
    orphans: u64,
    /// Pieces coded against something that is lost.
    lost_pieces: u64,
}

/// A failure of reading one segment.
enum Failure {
    Vanished,
    Other(StorageError),
}

/// Reads all segments.
pub(crate) fn replay(
    dir: &Arc<dyn Dir>,
    max_exemplars: usize,
    found: &OnDisk,
) -> Result<Replayed, StorageError> {
    let start = Instant::now();
    for _ in 0..ATTEMPTS {
        let mut head = Head::new(max_exemplars);
        head.cuts.floor = found.floor();
        let mut replay = Replay {
            head,
            claims: found.claims(),
            embodied: 0,
            by_id: HashMap::new(),
            segments: Vec::new(),
            corruptions: 0,
            incomplete: 0,
            orphans: 0,
            lost_pieces: 0,
        };
        match replay.read_all(dir, &found.tombstones.deletes) {
            Err(Failure::Vanished) => {}
            Err(Failure::Other(e)) => return Err(e),
            Ok(()) => {
                let mut head = replay.head;
                head.published = head.applied;
                let seconds = start.elapsed().as_secs_f64();
                tracing::info!(
                    segments = replay.segments.len(),
                    series = head.index.len(),
                    samples = head.counters.float_samples + head.counters.histogram_samples,
                    in_blocks = replay.embodied,
                    corruptions = replay.corruptions,
                    seconds,
                    "log read"
                );
                if replay.incomplete + replay.orphans > 0 {
                    tracing::warn!(
                        commits = replay.incomplete,
                        samples = replay.orphans,
                        "unfinished commits, and samples whose definition is damaged, were left out"
                    );
                }
                let counters = std::mem::take(&mut head.counters);
                return Ok(Replayed {
                    counters,
                    head,
                    segments: replay.segments,
                    corruptions: replay.corruptions,
                    lost_pieces: replay.lost_pieces,
                    seconds,
                });
            }
        }
    }
    let text = format!(
        "the log in {} changes faster than it can be read",
        dir.display()
    );
    Err(StorageError::Unavailable(text))
}

impl Replay {
    fn read_all(&mut self, dir: &Arc<dyn Dir>, deletes: &[Arc<Delete>]) -> Result<(), Failure> {
        let names = dir
            .list(WAL_DIR)
            .map_err(|e| Failure::Other(io_error("listing", WAL_DIR, &e)))?;
        let mut numbers: Vec<u32> = names.iter().filter_map(|n| segment_number(n)).collect();
        numbers.sort_unstable();
        let mut deletes = deletes.iter().peekable();
        for number in numbers {
            while let Some(delete) = deletes.next_if(|d| d.segment <= number) {
                delete_replayed(&mut self.head, delete);
            }
            self.read_segment(dir, number)?;
        }
        for delete in deletes {
            delete_replayed(&mut self.head, delete);
        }
        Ok(())
    }

    fn read_segment(&mut self, dir: &Arc<dyn Dir>, number: u32) -> Result<(), Failure> {
        let name = segment_name(number);
        let io = |e: std::io::Error| match e.kind() {
            ErrorKind::NotFound => Failure::Vanished,
            _ => Failure::Other(io_error("reading", &name, &e)),
        };
        let mut reader = match SegmentReader::open(Arc::clone(dir), name.clone()) {
            Ok(reader) => reader,
            Err(ReadError::Io(e)) => return Err(io(e)),
            Err(ReadError::Newer(version)) => {
                let text = format!(
                    "{}/{name} has format version {version}: written by a newer version of tsdb",
                    dir.display()
                );
                return Err(Failure::Other(StorageError::Unavailable(text)));
            }
        };
        let mut info = SegmentInfo {
            number,
            bytes: reader.size(),
            max_t: None,
        };
        if reader.version() == 1 {
            self.read_v1(&mut reader, &name, &mut info).map_err(io)?;
        } else {
            self.read(&mut reader, &name, &mut info).map_err(io)?;
        }
        for damage in &reader.damage {
            self.corruptions += 1;
            tracing::warn!(
                segment = name,
                offset = damage.offset,
                bytes = damage.bytes,
                "damaged place in the log skipped"
            );
        }
        self.segments.push(info);
        Ok(())
    }

    /// Reads a segment as earlier versions of the program wrote it.
    fn read_v1(
        &mut self,
        reader: &mut SegmentReader,
        name: &str,
        info: &mut SegmentInfo,
    ) -> std::io::Result<()> {
        let mut commit = LogCommit::default();
        let mut expected: Option<Part> = None;
        while let Some(payload) = reader.next()? {
            let Ok((part, kind, entries)) = part_v1(&payload) else {
                self.damaged(name, "a record that says nothing sensible");
                expected = None;
                continue;
            };
            if part.first {
                self.incomplete += u64::from(expected.is_some());
                commit = LogCommit::default();
            } else if expected.is_none_or(|e| (e.seq, e.index) != (part.seq, part.index)) {
                // Its beginning is missing.
                self.incomplete += 1;
                expected = None;
                continue;
            }
            if entries_v1(kind, entries, &mut commit).is_err() {
                self.damaged(name, "a record that says nothing sensible");
                expected = None;
                continue;
            }
            // Also of commits that are not finished: the numbers must not be used again.
            let newest = commit.definitions.iter().map(|d| d.0).max();
            if let Some(id) = newest {
                self.head.next_log_id = self.head.next_log_id.max(id.saturating_add(1));
            }
            if part.last {
                expected = None;
                self.apply_v1(std::mem::take(&mut commit), info);
            } else {
                expected = Some(Part {
                    index: part.index.saturating_add(1),
                    ..part
                });
            }
        }
        self.incomplete += u64::from(expected.is_some());
        Ok(())
    }

    fn damaged(&mut self, name: &str, what: &str) {
        self.corruptions += 1;
        tracing::warn!(segment = name, what, "damaged record in the log skipped");
    }

    /// What blocks hold of segment `number`.
    fn claims_on(&self, number: u32) -> Vec<Claim> {
        let all = self.claims.iter().filter(|c| number < c.log_until);
        all.copied().collect()
    }

    fn define(&mut self, id: u64, labels: Labels) {
        let known = self.head.find(&labels);
        let Some(handle) = known.or_else(|| self.head.create(&labels, Some(id))) else {
            return;
        };
        if let Some(series) = self.head.get_mut(handle) {
            series.log_id = id;
        }
        self.by_id.insert(id, handle);
    }

    fn apply_v1(&mut self, commit: LogCommit, info: &mut SegmentInfo) {
        for (id, labels) in commit.definitions {
            self.define(id, labels);
        }
        let mut batch = Batch {
            metadata: commit.metadata,
            ..Batch::default()
        };
        let number = info.number;
        let claims = self.claims_on(number);
        for (id, sample) in commit.samples {
            info.max_t = info.max_t.max(Some(sample.t));
            let embodied = claims.iter().any(|c| c.holds(sample.t));
            self.embodied += u64::from(embodied);
            self.head.next_log_id = self.head.next_log_id.max(id.saturating_add(1));
            match self.by_id.get(&id) {
                Some(_) if embodied => {}
                Some(handle) => batch.samples.push((*handle, sample)),
                None => self.orphans += 1,
            }
        }
        for (id, exemplar) in commit.exemplars {
            match self.by_id.get(&id) {
                Some(handle) => batch.exemplars.push((*handle, exemplar)),
                None => self.orphans += 1,
            }
        }
        info.max_t = info.max_t.max(batch.max_t());
        batch
            .samples
            .sort_by_key(|(handle, sample)| (*handle, sample.t));
        batch
            .samples
            .dedup_by_key(|(handle, sample)| (*handle, sample.t));
        let number = self.head.applied + 1;
        self.head.apply(batch, number, false, 0);
    }
}
