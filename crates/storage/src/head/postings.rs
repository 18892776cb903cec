//! Sets of series slots. Most labels of a big store are either on one series or on many.

use roaring::RoaringBitmap;

/// Slots of the series with one label.
#[derive(Debug)]
pub(crate) enum Postings {
    One(u32),
    Many(RoaringBitmap),
}

impl Postings {
    pub(crate) fn insert(&mut self, slot: u32) {
        match self {
            Self::One(first) if *first == slot => {}
            Self::One(first) => *self = Self::Many([*first, slot].into_iter().collect()),
            Self::Many(slots) => drop(slots.insert(slot)),
        }
    }

    /// Takes a slot out; true when none is left.
    pub(crate) fn remove(&mut self, slot: u32) -> bool {
        match self {
            Self::One(first) => *first == slot,
            Self::Many(slots) => {
                slots.remove(slot);
                slots.is_empty()
            }
        }
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::One(_) => 1,
            Self::Many(slots) => slots.len(),
        }
    }

    /// True when `test` holds for any slot.
    pub(crate) fn any(&self, mut test: impl FnMut(u32) -> bool) -> bool {
        match self {
            Self::One(slot) => test(*slot),
            Self::Many(slots) => slots.iter().any(test),
        }
    }

    /// Adds these slots to `out`.
    pub(crate) fn union_into(&self, out: &mut RoaringBitmap) {
        match self {
            Self::One(slot) => drop(out.insert(*slot)),
            Self::Many(slots) => *out |= slots,
        }
    }

    /// Bytes in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::One(_) => size_of::<Self>(),
            Self::Many(slots) => size_of::<Self>() + slots.serialized_size(),
        }
    }
}
