//! Lists of numbers that rise, as runs: docs/format/index.md section 4.

use roaring::RoaringBitmap;
use tsdb_codec::varint::put_uvarint;

use super::bytes::{Bad, Cursor};

/// Writes numbers that rise.
pub(super) fn put_list(out: &mut Vec<u8>, numbers: &[u32]) {
    let mut end = 0u64;
    for run in numbers.chunk_by(|a, b| a.checked_add(1) == Some(*b)) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            continue;
        };
        let gap = u64::from(*first) - end;
        put_uvarint(out, gap << 1 | u64::from(run.len() > 1));
        if run.len() > 1 {
            put_uvarint(out, run.len() as u64 - 2);
        }
        end = u64::from(*last) + 1;
    }
}

/// Adds the numbers of a list, which are below `limit`.
pub(super) fn take_list(bytes: &[u8], limit: u32, out: &mut RoaringBitmap) -> Result<(), Bad> {
    let mut cursor = Cursor::new(bytes);
    let mut at = 0u64;
    while !cursor.is_empty() {
        let head = cursor.u64()?;
        let more = if head & 1 != 0 {
            cursor.u64()?.saturating_add(1)
        } else {
            0
        };
        let first = at.saturating_add(head >> 1);
        let last = first.saturating_add(more);
        if last >= u64::from(limit) {
            return Err(Bad("posting out of range"));
        }
        if more == 0 {
            out.insert(first as u32);
        } else {
            out.insert_range(first as u32..=last as u32);
        }
        at = last + 1;
    }
    Ok(())
}

/// For each key the members that have it: `lists` are the keys of member 0, 1, ...
pub(super) fn invert<'a, I>(keys: usize, lists: impl Fn() -> I) -> Inverted
where
    I: Iterator<Item = &'a [u32]>,
{
    let mut starts = vec![0u32; keys + 1];
    for key in lists().flatten() {
        if let Some(n) = starts.get_mut(*key as usize + 1) {
            *n += 1;
        }
    }
    let mut sum = 0;
    for n in &mut starts {
        sum += *n;
        *n = sum;
    }
    let mut members = vec![0; sum as usize];
    let mut next = starts.clone();
    for (member, list) in (0u32..).zip(lists()) {
        for key in list {
            if let Some(at) = next.get_mut(*key as usize) {
                if let Some(place) = members.get_mut(*at as usize) {
                    *place = member;
                }
                *at += 1;
            }
        }
    }
    Inverted { starts, members }
}

/// What [`invert`] makes.
#[derive(Debug)]
pub(super) struct Inverted {
    starts: Vec<u32>,
    members: Vec<u32>,
}

impl Inverted {
    /// Members that have a key, rising.
    pub(super) fn of(&self, key: usize) -> &[u32] {
        match (self.starts.get(key), self.starts.get(key + 1)) {
            (Some(from), Some(to)) => self
                .members
                .get(*from as usize..*to as usize)
                .unwrap_or_default(),
            _ => &[],
        }
    }
}

const LOCAL_LIST: u64 = 0;
const LOCAL_ONE: u64 = 1;
const TARGET_LIST: u64 = 2;
const BOTH: u64 = 3;

/// Writes the locals and targets that have a pair.
pub(super) fn put_posting(out: &mut Vec<u8>, locals: &[u32], targets: &[u32]) {
    let mut list = Vec::new();
    match (locals, targets) {
        ([one], []) => put_uvarint(out, u64::from(*one) << 2 | LOCAL_ONE),
        (_, []) => {
            put_list(&mut list, locals);
            put_uvarint(out, (list.len() as u64) << 2 | LOCAL_LIST);
        }
        ([], _) => {
            put_list(&mut list, targets);
            put_uvarint(out, (list.len() as u64) << 2 | TARGET_LIST);
        }
        _ => {
            put_list(&mut list, locals);
            let length = list.len();
            put_list(&mut list, targets);
            put_uvarint(out, (list.len() as u64) << 2 | BOTH);
            put_uvarint(out, length as u64);
        }
    }
    out.extend(list);
}

/// A set of locals and targets.
#[derive(Debug, Clone, Default)]
pub(super) struct Members {
    pub(super) locals: RoaringBitmap,
    pub(super) targets: RoaringBitmap,
}

/// Takes a posting off the cursor; adds it to `out`, if given.
pub(super) fn take_posting(
    cursor: &mut Cursor<'_>,
    (locals, targets): (u32, u32),
    out: Option<&mut Members>,
) -> Result<(), Bad> {
    let head = cursor.u64()?;
    let (kind, n) = (head & 3, head >> 2);
    if kind == LOCAL_ONE {
        let one = u32::try_from(n).ok().filter(|n| *n < locals);
        let one = one.ok_or(Bad("posting out of range"))?;
        if let Some(out) = out {
            out.locals.insert(one);
        }
        return Ok(());
    }
    let front = if kind == BOTH { cursor.usize()? } else { 0 };
    let bytes = cursor.bytes(usize::try_from(n).map_err(|_| Bad("posting length"))?)?;
    let Some(out) = out else { return Ok(()) };
    match kind {
        LOCAL_LIST => take_list(bytes, locals, &mut out.locals),
        TARGET_LIST => take_list(bytes, targets, &mut out.targets),
        _ => {
            let (front, back) = bytes.split_at_checked(front).ok_or(Bad("posting length"))?;
            take_list(front, locals, &mut out.locals)?;
            take_list(back, targets, &mut out.targets)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lists_come_back(numbers: std::collections::BTreeSet<u16>) {
            let numbers: Vec<u32> = numbers.into_iter().map(u32::from).collect();
            let mut bytes = Vec::new();
            put_list(&mut bytes, &numbers);
            let mut back = RoaringBitmap::new();
            take_list(&bytes, 65536, &mut back).unwrap();
            prop_assert_eq!(back.iter().collect::<Vec<_>>(), numbers);
        }

        #[test]
        fn any_bytes(bytes: Vec<u8>) {
            let mut out = Members::default();
            let _ = take_list(&bytes, 1000, &mut out.locals);
            let _ = take_posting(&mut Cursor::new(&bytes), (1000, 10), Some(&mut out));
            prop_assert!(out.locals.max().is_none_or(|n| n < 1000));
            prop_assert!(out.targets.max().is_none_or(|n| n < 1000));
        }

        #[test]
        fn inverting(lists in proptest::collection::vec(proptest::collection::btree_set(0u32..20, 0..8), 0..20)) {
            let lists: Vec<Vec<u32>> = lists.into_iter().map(|l| l.into_iter().collect()).collect();
            let inverted = invert(20, || lists.iter().map(Vec::as_slice));
            for key in 0..20 {
                let want: Vec<u32> = (0..lists.len() as u32)
                    .filter(|m| lists[*m as usize].contains(&(key as u32)))
                    .collect();
                prop_assert_eq!(inverted.of(key), want);
            }
        }
    }
}
