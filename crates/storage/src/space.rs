//! Whether a job should begin: the files it writes must fit beside those that are there, and the
//! log must be able to go on.

use tsdb_model::StorageError;

use crate::shared::Shared;

/// Share of the disk that jobs leave free, at most.
const RESERVE_SHARE: u64 = 20;

/// Log segments that jobs leave space for, at most.
const RESERVE_SEGMENTS: u64 = 2;

impl Shared {
    /// An error when the disk has no space for so many more bytes, and some for the log unless the
    /// job makes the log smaller.
    pub(crate) fn check_space(&self, bytes: u64, frees_log: bool) -> Result<(), StorageError> {
        // A system that cannot tell does not keep jobs from trying.
        let Ok(Some(space)) = self.dir.space() else {
            return Ok(());
        };
        let segments = RESERVE_SEGMENTS.saturating_mul(self.options.segment_bytes);
        let reserve = if frees_log {
            0
        } else {
            segments.min(space.total / RESERVE_SHARE)
        };
        let needed = bytes.saturating_add(reserve);
        if space.free < needed {
            return Err(StorageError::Unavailable(format!(
                "not begun: the disk has {} bytes free, {needed} are needed",
                space.free
            )));
        }
        Ok(())
    }
}
