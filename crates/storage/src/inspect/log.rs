//! The segments of the log, each for itself.

use std::io::ErrorKind;
use std::sync::Arc;

use tsdb_model::StorageError;

use super::one_segment::OneSegment;
use crate::dir::Dir;
use crate::replay::{OnDisk, replay};
use crate::wal::read::{ReadError, SegmentReader};
use crate::wal::{WAL_DIR, io_error, segment_name, segment_number};

/// What a segment of the log holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogSegment {
    /// Its number.
    pub number: u32,
    /// Name, relative to the data directory.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Sound records.
    pub records: u64,
    /// Series with samples.
    pub series: u64,
    /// Float samples.
    pub floats: u64,
    /// Native histogram samples.
    pub histograms: u64,
    /// Exemplars.
    pub exemplars: u64,
    /// Metric families with metadata.
    pub families: u64,
    /// Time of the oldest sample, ms; `None` when there is none.
    pub min_time_ms: Option<i64>,
    /// Time of the newest sample, ms.
    pub max_time_ms: Option<i64>,
    /// Damaged places: offset and bytes.
    pub damage: Vec<(u64, u64)>,
    /// Damaged records and places in all.
    pub corruptions: u64,
    /// Why it cannot be read at all.
    pub unreadable: Option<String>,
}

/// The numbers of the segments that are there.
pub(super) fn numbers(dir: &dyn Dir) -> Result<Vec<u32>, StorageError> {
    let names = match dir.list(WAL_DIR) {
        Ok(names) => names,
        Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(io_error("listing", WAL_DIR, &e)),
    };
    let mut numbers: Vec<u32> = names.iter().filter_map(|n| segment_number(n)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Reads one segment; `None` when it is not there any more.
pub(super) fn segment(dir: &Arc<dyn Dir>, number: u32) -> Result<Option<LogSegment>, StorageError> {
    let name = segment_name(number);
    let mut found = LogSegment {
        number,
        name: name.clone(),
        ..LogSegment::default()
    };
    let gone = |e: &std::io::Error| e.kind() == ErrorKind::NotFound;
    let reader = SegmentReader::open(Arc::clone(dir), name.clone());
    let read = reader.and_then(|mut reader| {
        found.bytes = reader.size();
        while reader.next()?.is_some() {
            found.records += 1;
        }
        let places = reader.damage.iter().map(|d| (d.offset, d.bytes));
        found.damage = places.collect();
        Ok(())
    });
    match read {
        Ok(()) => {}
        Err(ReadError::Io(e)) if gone(&e) => return Ok(None),
        Err(ReadError::Io(e)) => {
            found.unreadable = Some(e.to_string());
            return Ok(Some(found));
        }
        Err(ReadError::Newer(version)) => {
            found.unreadable = Some(format!("written by a newer version of tsdb ({version})"));
            return Ok(Some(found));
        }
    }
    let one: Arc<dyn Dir> = Arc::new(OneSegment {
        dir: Arc::clone(dir),
        number,
    });
    let replayed = match replay(&one, usize::MAX, &OnDisk::default()) {
        Ok(replayed) => replayed,
        Err(_) if dir.size(&name).is_err_and(|e| gone(&e)) => return Ok(None),
        Err(e) => return Err(e),
    };
    let head = &replayed.head;
    found.corruptions = replayed.corruptions;
    found.series = head.index.len();
    found.floats = replayed.counters.float_samples;
    found.histograms = replayed.counters.histogram_samples;
    found.exemplars = head.exemplars.len() as u64;
    found.families = head.metadata.len() as u64;
    (found.min_time_ms, found.max_time_ms) = (head.min_t, head.max_t);
    Ok(Some(found))
}

/// The segments of the log, in order. `progress` gets bytes done and bytes in all.
pub fn log(
    dir: &Arc<dyn Dir>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Vec<LogSegment>, StorageError> {
    let numbers = numbers(&**dir)?;
    let size = |number: &u32| dir.size(&segment_name(*number)).unwrap_or(0);
    let all = numbers.iter().map(size).sum();
    let mut done = 0;
    let mut segments = Vec::new();
    for number in numbers {
        progress(done, all);
        if let Some(found) = segment(dir, number)? {
            done += found.bytes;
            segments.push(found);
        }
    }
    Ok(segments)
}
