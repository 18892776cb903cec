//! Sets of series slots. Most labels of a big store are on one series, on every so many, or on
//! nearly all: a number, differences of a byte or two, or bits.

use roaring::RoaringBitmap;
use tsdb_codec::varint::{put_uvarint, take_uvarint};

/// Slots of a block.
const BLOCK: usize = 128;

/// Every so many slots of a list it is asked whether bits would be less.
const ASK: u32 = 4096;

/// Bits are less when there are at most so many for a slot.
const SPARSE: u32 = 12;

/// Slots of the series with one label.
#[derive(Debug)]
pub(crate) enum Postings {
    One(u32),
    List(Box<List>),
    Many(RoaringBitmap),
}

/// A sorted list, in blocks.
#[derive(Debug, Default)]
pub(crate) struct List {
    blocks: Vec<Block>,
    len: u32,
}

/// At least one slot: the first, and the distances of the others.
#[derive(Debug)]
struct Block {
    first: u32,
    last: u32,
    count: u8,
    distances: Vec<u8>,
}

impl Block {
    fn new(slots: &[u32]) -> Option<Self> {
        let (first, rest) = slots.split_first()?;
        let mut block = Self {
            first: *first,
            last: *first,
            count: 1,
            distances: Vec::with_capacity(rest.len()),
        };
        for slot in rest {
            block.push(*slot);
        }
        block.distances.shrink_to_fit();
        Some(block)
    }

    fn push(&mut self, slot: u32) {
        let distance = slot - self.last;
        // Grown by little: most lists never get long.
        if self.distances.len() == self.distances.capacity() {
            self.distances.reserve_exact(8 + self.distances.len() / 4);
        }
        put_uvarint(&mut self.distances, distance.into());
        self.last = slot;
        self.count += 1;
    }

    fn iter(&self) -> impl Iterator<Item = u32> {
        let mut rest = self.distances.as_slice();
        let mut slot = self.first;
        let others = std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            slot = slot.wrapping_add(take_uvarint(&mut rest).ok()? as u32);
            Some(slot)
        });
        std::iter::once(self.first).chain(others)
    }
}

impl List {
    fn iter(&self) -> impl Iterator<Item = u32> {
        self.blocks.iter().flat_map(Block::iter)
    }

    fn insert(&mut self, slot: u32) {
        let last = self.blocks.last_mut().filter(|b| b.last < slot);
        if let Some(last) = last {
            if usize::from(last.count) < BLOCK {
                last.push(slot);
            } else {
                last.distances.shrink_to_fit();
                self.blocks.extend(Block::new(&[slot]));
            }
            self.len += 1;
            return;
        }
        let i = self.blocks.partition_point(|b| b.last < slot);
        let Some(block) = self.blocks.get(i) else {
            self.blocks.extend(Block::new(&[slot]));
            self.len += 1;
            return;
        };
        let mut slots: Vec<u32> = block.iter().collect();
        if let Err(at) = slots.binary_search(&slot) {
            slots.insert(at, slot);
            self.len += 1;
            let piece = if slots.len() > BLOCK {
                BLOCK / 2 + 1
            } else {
                BLOCK
            };
            self.blocks
                .splice(i..=i, slots.chunks(piece).filter_map(Block::new));
        }
    }

    fn remove(&mut self, slot: u32) {
        let i = self.blocks.partition_point(|b| b.last < slot);
        let Some(block) = self.blocks.get(i) else {
            return;
        };
        let mut slots: Vec<u32> = block.iter().collect();
        if let Ok(at) = slots.binary_search(&slot) {
            slots.remove(at);
            self.len -= 1;
            // What becomes small joins the block behind it.
            let behind = self.blocks.get(i + 1).filter(|next| {
                slots.len() < BLOCK / 4 && slots.len() + usize::from(next.count) <= BLOCK
            });
            let end = i + usize::from(behind.is_some());
            slots.extend(behind.into_iter().flat_map(Block::iter));
            self.blocks.splice(i..=end, Block::new(&slots));
        }
    }

    /// True when bits would be less.
    fn is_dense(&self) -> bool {
        match (self.blocks.first(), self.blocks.last()) {
            (Some(first), Some(last)) => (last.last - first.first) / SPARSE < self.len,
            _ => false,
        }
    }
}

impl Postings {
    pub(crate) fn insert(&mut self, slot: u32) {
        match self {
            Self::One(first) if *first == slot => {}
            Self::One(first) => {
                let mut list = List::default();
                list.insert(*first);
                list.insert(slot);
                *self = Self::List(Box::new(list));
            }
            Self::List(list) => {
                list.insert(slot);
                if list.len.is_multiple_of(ASK) && list.is_dense() {
                    *self = Self::Many(self.to_bitmap());
                }
            }
            Self::Many(slots) => drop(slots.insert(slot)),
        }
    }

    /// Takes a slot out; true when none is left.
    pub(crate) fn remove(&mut self, slot: u32) -> bool {
        match self {
            Self::One(first) => *first == slot,
            Self::List(list) => {
                list.remove(slot);
                list.len == 0
            }
            Self::Many(slots) => {
                slots.remove(slot);
                slots.is_empty()
            }
        }
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::One(_) => 1,
            Self::List(list) => list.len.into(),
            Self::Many(slots) => slots.len(),
        }
    }

    /// True when `test` holds for any slot.
    pub(crate) fn any(&self, mut test: impl FnMut(u32) -> bool) -> bool {
        match self {
            Self::One(slot) => test(*slot),
            Self::List(list) => list.iter().any(test),
            Self::Many(slots) => slots.iter().any(test),
        }
    }

    fn to_bitmap(&self) -> RoaringBitmap {
        match self {
            Self::One(slot) => std::iter::once(*slot).collect(),
            Self::List(list) => {
                let mut out = RoaringBitmap::new();
                // The list is sorted; what comes out of order would be a mistake here.
                if out.append(list.iter()).is_err() {
                    out.extend(list.iter());
                }
                out
            }
            Self::Many(slots) => slots.clone(),
        }
    }

    /// Adds these slots to `out`.
    pub(crate) fn union_into(&self, out: &mut RoaringBitmap) {
        match self {
            Self::One(slot) => drop(out.insert(*slot)),
            Self::List(_) => *out |= self.to_bitmap(),
            Self::Many(slots) => *out |= slots,
        }
    }

    /// Takes all other slots out of `found`.
    pub(crate) fn restrict(&self, found: &mut RoaringBitmap) {
        match self {
            Self::Many(slots) => *found &= slots,
            _ => *found &= self.to_bitmap(),
        }
    }

    /// Bytes in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        let own = match self {
            Self::One(_) => 0,
            Self::List(list) => {
                let of_block = |b: &Block| size_of::<Block>() + b.distances.capacity();
                size_of::<List>() + list.blocks.iter().map(of_block).sum::<usize>()
            }
            Self::Many(slots) => slots.serialized_size(),
        };
        size_of::<Self>() + own
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn same(postings: &Postings, want: &BTreeSet<u32>) {
        let mut got = Vec::new();
        assert!(!postings.any(|slot| {
            got.push(slot);
            false
        }));
        assert!(got.iter().eq(want.iter()));
        assert_eq!(postings.len(), want.len() as u64);
        assert!(postings.to_bitmap().iter().eq(want.iter().copied()));
    }

    proptest! {
        #[test]
        fn like_a_set(
            runs in proptest::collection::vec((0..3000u32, 1..400u32, 1..4u32, any::<bool>()), 1..12),
            other in proptest::collection::btree_set(0..4000u32, 0..50),
        ) {
            let mut postings = Postings::One(runs[0].0);
            let mut want = BTreeSet::from([runs[0].0]);
            for (first, len, step, add) in runs {
                for slot in (first..first + len * step).step_by(step as usize) {
                    if add {
                        postings.insert(slot);
                        want.insert(slot);
                    } else if want.len() > 1 || !want.contains(&slot) {
                        let empty = postings.remove(slot);
                        want.remove(&slot);
                        prop_assert_eq!(empty, want.is_empty());
                    }
                }
                same(&postings, &want);
            }
            let mut found: RoaringBitmap = other.iter().copied().collect();
            postings.union_into(&mut found);
            prop_assert!(found.iter().eq(want.union(&other).copied()));
            let mut found: RoaringBitmap = other.iter().copied().collect();
            postings.restrict(&mut found);
            prop_assert!(found.iter().eq(want.intersection(&other).copied()));
        }
    }

    #[test]
    fn dense_ones_become_bits() {
        let mut postings = Postings::One(5);
        let want: BTreeSet<u32> = (5..60_000).step_by(7).collect();
        for slot in &want {
            postings.insert(*slot);
        }
        assert!(matches!(postings, Postings::Many(_)));
        same(&postings, &want);

        let mut postings = Postings::One(0);
        let want: BTreeSet<u32> = (0..10_000).map(|i| i * 100).collect();
        for slot in &want {
            postings.insert(*slot);
        }
        assert!(matches!(postings, Postings::List(_)));
        assert!(postings.bytes() < 20_000, "{}", postings.bytes());
        same(&postings, &want);
    }
}
