//! Label sets as lists of pair numbers, each against the one before it: docs/format/index.md
//! section 3.

use tsdb_codec::varint::{put_uvarint, put_varint};

use super::bytes::{Bad, Cursor};

/// Sets from one restart to the next.
pub(super) const SETS_RESTART: u32 = 16;

/// Most pairs that are shared with the set before.
const MAX_SHARED: usize = 15;

/// Writes sets, each with rising pair numbers: first the places of restarts, then the sets.
pub(super) fn put_sets<'a>(sets: impl Iterator<Item = &'a [u32]>) -> Result<Vec<u8>, Bad> {
    let mut restarts: Vec<u8> = Vec::new();
    let mut out = Vec::new();
    let mut before: &[u32] = &[];
    for (i, set) in (0u32..).zip(sets) {
        if i.is_multiple_of(SETS_RESTART) {
            let at = u32::try_from(out.len()).map_err(|_| Bad("more label sets than fit"))?;
            restarts.extend(at.to_le_bytes());
            before = &[];
        }
        let shared = set
            .iter()
            .zip(before)
            .take(MAX_SHARED)
            .take_while(|(a, b)| a == b)
            .count();
        let rest = set.get(shared..).unwrap_or_default();
        put_uvarint(&mut out, (rest.len() as u64) << 4 | shared as u64);
        let mut last = 0;
        for (at, pair) in (shared..).zip(rest) {
            let near = before.get(at).copied().unwrap_or(last);
            put_varint(&mut out, i64::from(*pair) - i64::from(near));
            last = *pair;
        }
        before = set;
    }
    restarts.extend(out);
    Ok(restarts)
}

/// Bytes of the restarts of so many sets.
pub(super) const fn restart_bytes(sets: u32) -> u64 {
    sets.div_ceil(SETS_RESTART) as u64 * 4
}

/// Reads the set `skip` sets behind a restart.
pub(super) fn take_set(bytes: &[u8], skip: u32, pairs: u32, set: &mut Vec<u32>) -> Result<(), Bad> {
    let mut cursor = Cursor::new(bytes);
    set.clear();
    for _ in 0..=skip {
        let head = cursor.u64()?;
        let shared = (head & 15) as usize;
        let rest = usize::try_from(head >> 4).map_err(|_| Bad("label set"))?;
        if shared > set.len() || rest > cursor.len() {
            return Err(Bad("label set"));
        }
        let mut last = 0;
        for at in shared..shared + rest {
            let near = set.get(at).copied().unwrap_or(last);
            let pair = i64::from(near)
                .checked_add(cursor.i64()?)
                .and_then(|p| u32::try_from(p).ok())
                .filter(|p| *p < pairs);
            last = pair.ok_or(Bad("label set"))?;
            match set.get_mut(at) {
                Some(place) => *place = last,
                None => set.push(last),
            }
        }
        set.truncate(shared + rest);
    }
    if set.is_sorted_by(|a, b| a < b) {
        Ok(())
    } else {
        Err(Bad("label set does not rise"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sets_come_back(sets in proptest::collection::vec(proptest::collection::btree_set(0u32..300, 0..20), 0..60)) {
            let sets: Vec<Vec<u32>> = sets.into_iter().map(|s| s.into_iter().collect()).collect();
            let bytes = put_sets(sets.iter().map(Vec::as_slice)).unwrap();
            let (restarts, data) = bytes.split_at(restart_bytes(sets.len() as u32) as usize);
            let mut back = Vec::new();
            for (i, set) in sets.iter().enumerate() {
                let place = restarts[i / 16 * 4..][..4].try_into().unwrap();
                let from = &data[u32::from_le_bytes(place) as usize..];
                take_set(from, i as u32 % 16, 300, &mut back).unwrap();
                prop_assert_eq!(&back, set);
            }
        }

        #[test]
        fn any_bytes(bytes: Vec<u8>, skip in 0u32..16) {
            let mut set = Vec::new();
            if take_set(&bytes, skip, 100, &mut set).is_ok() {
                prop_assert!(set.iter().all(|p| *p < 100));
            }
        }
    }
}
