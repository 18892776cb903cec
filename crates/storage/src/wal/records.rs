//! Records of one commit in one buffer.

use tsdb_codec::varint::put_uvarint;
use tsdb_model::StorageError;

use super::frame::{FRAME_BYTES, MAX_PAYLOAD, RECORD_MAGIC, record_crc};

/// First and last record of a commit.
pub(crate) const FLAG_FIRST: u8 = 1;
pub(crate) const FLAG_LAST: u8 = 2;

/// Size at which a commit goes on in another record.
const TARGET_BYTES: usize = 1 << 20;

/// The records of a commit.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) out: Vec<u8>,
    starts: Vec<usize>,
    seq: u64,
    /// Position of the flags in a payload.
    flags_at: usize,
}

impl Records {
    /// The records of commit `seq`; flags stand `flags_at` bytes behind a payload's beginning.
    pub(super) fn new(seq: u64, flags_at: usize) -> Self {
        Self {
            out: Vec::new(),
            starts: Vec::new(),
            seq,
            flags_at,
        }
    }

    /// True when something belongs into a new record.
    pub(super) fn is_full(&self, more: usize) -> bool {
        self.starts
            .last()
            .is_none_or(|begun| self.out.len() - begun + more >= TARGET_BYTES)
    }

    /// Begins a record with what stands before the flags.
    pub(super) fn begin(&mut self, front: &[u8]) {
        let part = self.starts.len() as u64;
        self.starts.push(self.out.len());
        self.out.extend([0; FRAME_BYTES]);
        self.out.extend(front);
        self.out.push(if part == 0 { FLAG_FIRST } else { 0 });
        put_uvarint(&mut self.out, self.seq);
        put_uvarint(&mut self.out, part);
    }

    /// The bytes, to be written at byte `offset` of a segment. Fails when a record is too large.
    pub(super) fn finish(mut self, salt: u64, offset: u64) -> Result<Vec<u8>, StorageError> {
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
                record[FRAME_BYTES + self.flags_at] |= FLAG_LAST;
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
