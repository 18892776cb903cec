//! Which local set and which target each series is made of: docs/format/index.md section 5.

use super::bytes::{Bad, Cursor};

/// Series of one chunk.
pub(super) const CHUNK_SERIES: u32 = 512;

/// Bytes of the head of a chunk.
pub(super) const HEAD_BYTES: usize = 16;

/// The locals of a chunk follow each other.
const SEQUENCE: u8 = 255;

/// Widths, bases and place of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChunkHead {
    pub(super) local: u32,
    pub(super) target: u32,
    local_width: u8,
    target_width: u8,
    /// Where its bits begin, behind all heads.
    pub(super) at: u32,
}

fn width(range: u32) -> u8 {
    (32 - range.leading_zeros()) as u8
}

/// Writes the heads of all chunks, then their bits.
pub(super) fn put_identity(series: &[(u32, u32)]) -> Result<Vec<u8>, Bad> {
    let mut heads = Vec::new();
    let mut bits = Vec::new();
    for chunk in series.chunks(CHUNK_SERIES as usize) {
        let (mut locals, mut targets) = ((u32::MAX, 0), (u32::MAX, 0));
        for (local, target) in chunk {
            locals = (locals.0.min(*local), locals.1.max(*local));
            targets = (targets.0.min(*target), targets.1.max(*target));
        }
        let sequence = chunk
            .windows(2)
            .all(|w| matches!(w, [a, b] if a.0.checked_add(1) == Some(b.0)));
        let local_width = if sequence {
            SEQUENCE
        } else {
            width(locals.1 - locals.0)
        };
        let target_width = width(targets.1 - targets.0);
        heads.extend(locals.0.to_le_bytes());
        heads.extend(targets.0.to_le_bytes());
        let at = u32::try_from(bits.len()).map_err(|_| Bad("more series than fit"))?;
        heads.extend(at.to_le_bytes());
        heads.extend([local_width, target_width, 0, 0]);
        let own = if sequence { 0 } else { u32::from(local_width) };
        let (mut word, mut used) = (0u128, 0);
        for (local, target) in chunk {
            let local = if sequence { 0 } else { local - locals.0 };
            let both = u128::from(local) | u128::from(target - targets.0) << own;
            word |= both << used;
            used += own + u32::from(target_width);
            while used >= 8 {
                bits.push(word as u8);
                word >>= 8;
                used -= 8;
            }
        }
        if used > 0 {
            bits.push(word as u8);
        }
    }
    heads.extend(bits);
    Ok(heads)
}

impl ChunkHead {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Bad> {
        let mut cursor = Cursor::new(bytes);
        let (local, target, at) = (
            cursor.fixed_u32()?,
            cursor.fixed_u32()?,
            cursor.fixed_u32()?,
        );
        let [local_width, target_width, 0, 0] = cursor.fixed()? else {
            return Err(Bad("head of a chunk of series"));
        };
        let plausible = local_width <= 32 || local_width == SEQUENCE;
        if !plausible || target_width > 32 {
            return Err(Bad("head of a chunk of series"));
        }
        Ok(Self {
            local,
            target,
            local_width,
            target_width,
            at,
        })
    }

    /// The last local that may be in a chunk of so many series.
    pub(super) fn last_local(&self, series: u32) -> u32 {
        let more = match self.local_width {
            SEQUENCE => series.saturating_sub(1),
            width => ((1u64 << width) - 1) as u32,
        };
        self.local.saturating_add(more)
    }

    /// The last target that may be in the chunk.
    pub(super) fn last_target(&self) -> u32 {
        self.target
            .saturating_add(((1u64 << self.target_width) - 1) as u32)
    }

    fn series_bits(&self) -> usize {
        let own = if self.local_width == SEQUENCE {
            0
        } else {
            self.local_width
        };
        usize::from(own) + usize::from(self.target_width)
    }

    /// Bytes of the bits of so many series.
    pub(super) fn bytes(&self, series: u32) -> usize {
        (self.series_bits() * series as usize).div_ceil(8)
    }

    /// Local and target of series `i` of the chunk.
    #[inline]
    pub(super) fn get(&self, bits: &[u8], i: u32) -> Result<(u32, u32), Bad> {
        let width = self.series_bits();
        let at = width * i as usize;
        let mut word = [0u8; 16];
        let from = bits.get(at / 8..).unwrap_or_default();
        let take = from.len().min(9);
        if let (Some(word), Some(from)) = (word.get_mut(..take), from.get(..take)) {
            word.copy_from_slice(from);
        }
        let both = (u128::from_le_bytes(word) >> (at % 8)) as u64;
        let (local, above) = if self.local_width == SEQUENCE {
            (i, both)
        } else {
            let mask = (1u64 << self.local_width) - 1;
            ((both & mask) as u32, both >> self.local_width)
        };
        let target = (above & ((1u64 << self.target_width) - 1)) as u32;
        match (
            self.local.checked_add(local),
            self.target.checked_add(target),
        ) {
            (Some(local), Some(target)) => Ok((local, target)),
            _ => Err(Bad("series out of range")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(series: &[(u32, u32)]) {
        let bytes = put_identity(series).unwrap();
        let heads = series.len().div_ceil(512) * HEAD_BYTES;
        for (number, chunk) in series.chunks(512).enumerate() {
            let head = ChunkHead::parse(&bytes[number * HEAD_BYTES..][..HEAD_BYTES]).unwrap();
            let bits = &bytes[heads + head.at as usize..][..head.bytes(chunk.len() as u32)];
            for (i, one) in chunk.iter().enumerate() {
                assert_eq!(head.get(bits, i as u32).unwrap(), *one);
                assert!(head.local <= one.0 && one.0 <= head.last_local(chunk.len() as u32));
                assert!(head.target <= one.1 && one.1 <= head.last_target());
            }
        }
    }

    #[test]
    fn shapes() {
        check(&[]);
        check(&[(0, 0)]);
        check(&[(u32::MAX, 0), (0, u32::MAX), (5, 7)]);
        check(&(7..2000).map(|i| (i, 3)).collect::<Vec<_>>());
        check(&(0..2000).map(|i| (i / 500, i % 500)).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn any_series(series in proptest::collection::vec((0u32..5000, 0u32..70), 0..1200)) {
            check(&series);
        }
    }
}
