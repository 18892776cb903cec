//! `tombstones`: which times of which series are deleted.

use std::collections::HashMap;

use tsdb_model::StorageError;

use super::error::{PromBlockError, path_of};
use super::file::{FileReader, FileWriter};
use super::{TOMBSTONES_FILE, join};
use crate::dir::Dir;

const MAGIC: u32 = 0x0130_ba30;
const VERSION: u8 = 1;

/// Magic and version.
const HEADER_BYTES: u64 = 5;

/// Checksum at the end.
const CRC_BYTES: u64 = 4;

/// Largest file that is read.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Deleted times by series reference: first and last, both deleted; sorted and apart.
#[derive(Debug, Default)]
pub(super) struct Tombstones(HashMap<u64, Vec<(i64, i64)>>);

impl Tombstones {
    /// Reads the file in `folder`; without one nothing is deleted.
    pub(super) fn read(dir: &dyn Dir, folder: &str) -> Result<Self, PromBlockError> {
        let name = join(folder, TOMBSTONES_FILE);
        match dir.size(&name) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Ok(size) if size > MAX_FILE_BYTES => {
                return Err(PromBlockError::TooLarge {
                    path: path_of(dir, &name),
                    what: "file",
                });
            }
            _ => {}
        }
        let mut file = FileReader::open(dir, name)?;
        let Some(end) = file
            .size()
            .checked_sub(CRC_BYTES)
            .filter(|end| *end >= HEADER_BYTES)
        else {
            return Err(file.corrupt_at(0, "file too short").into());
        };
        if file.u32()? != MAGIC {
            return Err(file.corrupt_at(0, "not a file of tombstones").into());
        }
        let version = file.byte()?;
        if version != VERSION {
            return Err(file
                .corrupt_at(4, format!("unknown version {version}"))
                .into());
        }
        // The checksum leaves the version out.
        file.start_crc();
        let mut tombstones = Self::default();
        while file.position() < end {
            let series = file.uvarint()?;
            let interval = (file.varint()?, file.varint()?);
            tombstones.0.entry(series).or_default().push(interval);
        }
        if file.position() != end {
            return Err(file.corrupt_at(end, "entry runs into the checksum").into());
        }
        file.check_crc("tombstones")?;
        for intervals in tombstones.0.values_mut() {
            intervals.sort_unstable();
            intervals.dedup_by(|next, last| {
                let overlap = next.0 <= last.1;
                if overlap {
                    last.1 = last.1.max(next.1);
                }
                overlap
            });
        }
        Ok(tombstones)
    }

    /// Writes a file without tombstones.
    pub(super) fn write_empty(dir: &dyn Dir, folder: &str) -> Result<(), StorageError> {
        let mut file = FileWriter::create(dir, join(folder, TOMBSTONES_FILE))?;
        file.write(&MAGIC.to_be_bytes())?;
        file.write(&[VERSION])?;
        file.start_crc();
        file.write_crc()?;
        file.finish()
    }

    /// Deleted times of a series.
    pub(super) fn of(&self, series: u64) -> &[(i64, i64)] {
        self.0.get(&series).map_or(&[], Vec::as_slice)
    }

    /// True when `t_ms` is in one of the intervals that [`Tombstones::of`] gave.
    pub(super) fn deleted(intervals: &[(i64, i64)], t_ms: i64) -> bool {
        let after = intervals.partition_point(|(from, _)| *from <= t_ms);
        intervals[..after].last().is_some_and(|(_, to)| t_ms <= *to)
    }
}
