//! Segment headers and record frames.

/// Bytes of one copy of the header.
const HEADER_COPY: usize = 24;

/// Bytes of a segment header: two copies.
pub(crate) const HEADER_BYTES: usize = 2 * HEADER_COPY;

/// First bytes of a segment.
const SEGMENT_MAGIC: [u8; 8] = *b"tsdb-wal";

/// Version of the format that is written, and the newest one that is read.
pub(crate) const VERSION: u32 = 2;

/// First bytes of a record.
pub(crate) const RECORD_MAGIC: [u8; 4] = [0xf5, b'R', b'e', b'c'];

/// Bytes in front of a record's payload: magic, length, CRC.
pub(crate) const FRAME_BYTES: usize = 12;

/// Most bytes of a payload.
pub(crate) const MAX_PAYLOAD: usize = 256 << 20;

/// What a segment header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) version: u32,
    /// Random; part of each record's CRC, so that nothing else passes for a record.
    pub(crate) salt: u64,
}

impl Header {
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut copy = SEGMENT_MAGIC.to_vec();
        copy.extend(self.version.to_le_bytes());
        copy.extend(self.salt.to_le_bytes());
        copy.extend(crc32c::crc32c(&copy).to_le_bytes());
        copy.repeat(2)
    }

    /// The header, and whether both copies are sound; `None` when neither is.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, bool)> {
        let first = bytes.get(..HEADER_COPY).and_then(Self::decode_copy);
        let second = bytes
            .get(HEADER_COPY..HEADER_BYTES)
            .and_then(Self::decode_copy);
        first.or(second).map(|header| (header, first == second))
    }

    fn decode_copy(bytes: &[u8]) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        let (magic, rest) = body.split_first_chunk::<8>()?;
        let (version, rest) = rest.split_first_chunk::<4>()?;
        let salt = rest.first_chunk::<8>()?;
        let sound = *magic == SEGMENT_MAGIC && crc32c::crc32c(body).to_le_bytes() == *crc;
        sound.then(|| Self {
            version: u32::from_le_bytes(*version),
            salt: u64::from_le_bytes(*salt),
        })
    }
}

/// The checksum of a record at byte `offset` of a segment.
pub(crate) fn record_crc(salt: u64, offset: u64, payload: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&salt.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &offset.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &(payload.len() as u32).to_le_bytes());
    crc32c::crc32c_append(crc, payload)
}

/// Length and CRC that a frame states, if it begins with the magic and the length is possible.
pub(crate) fn parse_frame(frame: &[u8]) -> Option<(usize, u32)> {
    let (magic, rest) = frame.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let crc = rest.first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    (*magic == RECORD_MAGIC && length <= MAX_PAYLOAD).then(|| (length, u32::from_le_bytes(*crc)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_damage_of_one_copy() {
        let header = Header {
            version: 1,
            salt: 77,
        };
        let bytes = header.encode();
        assert_eq!(bytes.len(), HEADER_BYTES);
        assert_eq!(Header::decode(&bytes), Some((header, true)));
        for i in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[i] ^= 1;
            assert_eq!(Header::decode(&damaged), Some((header, false)));
        }
        assert_eq!(
            Header::decode(&bytes[..HEADER_BYTES - 1]),
            Some((header, false))
        );
        assert_eq!(Header::decode(&bytes[..HEADER_COPY - 1]), None);
    }
}
