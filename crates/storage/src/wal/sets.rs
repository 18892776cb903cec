//! Which series of a group have a sample, and the sets that were used last.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::collections::VecDeque;

use tsdb_codec::varint::put_uvarint;

use super::decode::{Body, Malformed};

/// Most sets that are remembered.
const MAX_SETS: usize = 16;

/// Forms of a set.
pub(super) const RUN: u8 = 16;
pub(super) const BITMAP: u8 = 17;
pub(super) const LIST: u8 = 18;
pub(super) const TOGGLED: u8 = 19;
/// No set: samples of one series.
pub(super) const ONE: u8 = 20;

/// Slots, rising.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SlotSet {
    /// First and number of members.
    Run(u16, u32),
    List(Box<[u16]>),
}

impl SlotSet {
    fn of(slots: &[u16]) -> Self {
        match (slots.first(), slots.last()) {
            (Some(first), Some(last)) if usize::from(last - first) + 1 == slots.len() => {
                Self::Run(*first, slots.len() as u32)
            }
            _ => Self::List(slots.into()),
        }
    }

    fn is(&self, slots: &[u16]) -> bool {
        match self {
            Self::Run(first, count) => {
                *count as usize == slots.len()
                    && slots.first() == Some(first)
                    && slots
                        .last()
                        .is_some_and(|l| usize::from(l - first) + 1 == slots.len())
            }
            Self::List(list) => **list == *slots,
        }
    }

    /// Members that take memory.
    fn listed(&self) -> usize {
        match self {
            Self::Run(..) => 0,
            Self::List(list) => list.len(),
        }
    }

    fn copy_to(&self, out: &mut Vec<u16>) {
        match self {
            Self::Run(first, count) => {
                let first = u32::from(*first);
                out.extend((first..first + count).map(|s| s as u16));
            }
            Self::List(list) => out.extend_from_slice(list),
        }
    }
}

/// The sets that pieces of a group had, the last one first.
#[derive(Debug, Default)]
pub(super) struct Sets {
    last: VecDeque<SlotSet>,
    listed: usize,
    /// One more than the greatest slot so far.
    slots: usize,
}

/// Members of one set that are not in the other, of two rising lists.
fn toggled(a: &[u16], b: &[u16], out: &mut Vec<u16>) {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    loop {
        let next = match (a.peek(), b.peek()) {
            (Some(x), Some(y)) if x == y => {
                a.next();
                b.next();
                continue;
            }
            (Some(x), Some(y)) if x > y => b.next(),
            (Some(_), _) => a.next(),
            (None, _) => b.next(),
        };
        match next {
            Some(slot) => out.push(*slot),
            None => return,
        }
    }
}

fn put_list(out: &mut Vec<u8>, list: &[u16]) {
    put_uvarint(out, list.len() as u64);
    let mut next = 0;
    for slot in list {
        put_uvarint(out, u64::from(*slot) - next);
        next = u64::from(*slot) + 1;
    }
}

/// A rising list of numbers below `limit`.
pub(super) fn take_list(
    body: &mut Body<'_>,
    limit: u64,
    out: &mut Vec<u16>,
) -> Result<(), Malformed> {
    let mut next = 0u64;
    for _ in 0..body.uvarint()? {
        let slot = body.uvarint()?.checked_add(next).ok_or(Malformed)?;
        if slot >= limit {
            return Err(Malformed);
        }
        out.push(slot as u16);
        next = slot + 1;
    }
    Ok(())
}

const LIMIT: u64 = 1 << 16;

impl Sets {
    /// One more than the greatest slot so far.
    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    /// Appends the form of a set (not empty) and what belongs to it to `out`, and remembers the
    /// set. The form is answered. `work` is memory.
    pub(super) fn put(&mut self, slots: &[u16], out: &mut Vec<u8>, work: &mut Vec<u16>) -> u8 {
        if let Some(known) = self.last.iter().position(|s| s.is(slots)) {
            self.touch(known);
            return known as u8;
        }
        let set = SlotSet::of(slots);
        let form = match &set {
            SlotSet::Run(first, count) => {
                put_uvarint(out, u64::from(*first));
                put_uvarint(out, u64::from(count - 1));
                RUN
            }
            SlotSet::List(_) => self.put_new(slots, out, work),
        };
        self.remember(set);
        form
    }

    fn put_new(&self, slots: &[u16], out: &mut Vec<u8>, work: &mut Vec<u16>) -> u8 {
        let (first, last) = match (slots.first(), slots.last()) {
            (Some(first), Some(last)) => (*first, *last),
            _ => (0, 0),
        };
        let bitmap = usize::from(last - first) / 8 + 1;
        let mut cheapest = slots.len().min(bitmap + 1);
        if let Some(before) = self.last.front() {
            let mut members = Vec::new();
            before.copy_to(&mut members);
            work.clear();
            toggled(&members, slots, work);
            if work.len() < cheapest {
                put_list(out, work);
                return TOGGLED;
            }
        }
        cheapest = cheapest.min(slots.len());
        if bitmap < cheapest {
            put_uvarint(out, u64::from(first));
            put_uvarint(out, bitmap as u64);
            let at = out.len();
            out.resize(at + bitmap, 0);
            for slot in slots {
                let bit = usize::from(slot - first);
                if let Some(byte) = out.get_mut(at + bit / 8) {
                    *byte |= 1 << (bit % 8);
                }
            }
            return BITMAP;
        }
        put_list(out, slots);
        LIST
    }

    /// Takes a set in form `form` and remembers it.
    pub(super) fn take(
        &mut self,
        form: u8,
        body: &mut Body<'_>,
        out: &mut Vec<u16>,
    ) -> Result<(), Malformed> {
        out.clear();
        match form {
            0..RUN => {
                let known = usize::from(form);
                self.last.get(known).ok_or(Malformed)?.copy_to(out);
                self.touch(known);
                return Ok(());
            }
            RUN => {
                let first = body.uvarint()?;
                let count = body.uvarint()?.checked_add(1).ok_or(Malformed)?;
                let end = first.checked_add(count).filter(|end| *end <= LIMIT);
                out.extend((first..end.ok_or(Malformed)?).map(|s| s as u16));
            }
            BITMAP => {
                let first = body.uvarint()?;
                let count = body.uvarint()?;
                let bytes = body.bytes(count)?;
                for (i, byte) in (0u64..).zip(bytes) {
                    for bit in (0..8).filter(|bit| byte >> bit & 1 != 0) {
                        let slot = first.checked_add(8 * i + bit).filter(|s| *s < LIMIT);
                        out.push(slot.ok_or(Malformed)? as u16);
                    }
                }
            }
            LIST => take_list(body, LIMIT, out)?,
            TOGGLED => {
                let (mut before, mut list) = (Vec::new(), Vec::new());
                self.last.front().ok_or(Malformed)?.copy_to(&mut before);
                take_list(body, LIMIT, &mut list)?;
                toggled(&before, &list, out);
            }
            _ => return Err(Malformed),
        }
        if out.is_empty() {
            return Err(Malformed);
        }
        self.remember(SlotSet::of(out));
        Ok(())
    }

    /// Notes that a slot is in use without a set.
    pub(super) fn used(&mut self, slot: u16) {
        self.slots = self.slots.max(usize::from(slot) + 1);
    }

    fn touch(&mut self, known: usize) {
        if known > 0
            && let Some(set) = self.last.remove(known)
        {
            self.last.push_front(set);
        }
    }

    fn remember(&mut self, set: SlotSet) {
        let top = match &set {
            SlotSet::Run(first, count) => usize::from(*first) + *count as usize,
            SlotSet::List(list) => list.last().map_or(0, |l| usize::from(*l) + 1),
        };
        self.slots = self.slots.max(top);
        self.listed += set.listed();
        self.last.push_front(set);
        let limit = 64 + 4 * self.slots;
        while self.last.len() > MAX_SETS || self.last.len() > 1 && self.listed > limit {
            self.listed -= self.last.pop_back().map_or(0, |s| s.listed());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn any_set() -> impl Strategy<Value = BTreeSet<u16>> {
        prop_oneof![
            (0..100u16, 1..100u16).prop_map(|(from, count)| (from..from + count).collect()),
            (0..60_000u16, 1..5u16, 1..300u16)
                .prop_map(|(from, step, count)| (0..count).map(|i| from + i * step).collect()),
            proptest::collection::btree_set(any::<u16>(), 1..40),
            Just((0..=u16::MAX).collect()),
            Just((0..40).collect()),
            (0..40u16).prop_map(|gone| (0..40).filter(|s| *s != gone).collect()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn sets_come_back(sets in proptest::collection::vec(any_set(), 1..60)) {
            let (mut writer, mut reader) = (Sets::default(), Sets::default());
            let (mut work, mut got) = (Vec::new(), Vec::new());
            for set in sets {
                let slots: Vec<u16> = set.into_iter().collect();
                let mut out = Vec::new();
                let form = writer.put(&slots, &mut out, &mut work);
                let mut body = Body::new(&out);
                reader.take(form, &mut body, &mut got).unwrap();
                prop_assert!(body.is_empty());
                prop_assert_eq!(&got, &slots);
                prop_assert_eq!(&writer.last, &reader.last);
                let listed: usize = reader.last.iter().map(SlotSet::listed).sum();
                prop_assert_eq!(listed, reader.listed);
                prop_assert!(reader.last.len() <= MAX_SETS);
                prop_assert!(reader.last.len() == 1 || listed <= 64 + 4 * reader.slots());
            }
        }

        #[test]
        fn any_bytes_do_no_harm(takes: Vec<(u8, Vec<u8>)>) {
            let mut sets = Sets::default();
            let mut out = Vec::new();
            for (form, bytes) in takes {
                if sets.take(form % 21, &mut Body::new(&bytes), &mut out).is_ok() {
                    prop_assert!(out.is_sorted_by(|a, b| a < b));
                    prop_assert!(!out.is_empty());
                }
            }
        }
    }

    #[test]
    fn what_repeats_costs_nothing() {
        let mut sets = Sets::default();
        let mut work = Vec::new();
        let odd: Vec<u16> = (0..500).map(|i| 2 * i + 1).collect();
        let even: Vec<u16> = (0..500).map(|i| 2 * i).collect();
        let mut forms = Vec::new();
        for set in [&odd, &even, &odd, &odd, &even] {
            let mut out = Vec::new();
            forms.push((sets.put(set, &mut out, &mut work), out.len()));
        }
        assert_eq!(
            forms,
            [(BITMAP, 127), (BITMAP, 127), (1, 0), (0, 0), (1, 0)]
        );
        let mut out = Vec::new();
        let without: Vec<u16> = even.iter().copied().filter(|s| *s != 8).collect();
        assert_eq!(sets.put(&without, &mut out, &mut work), TOGGLED);
        assert_eq!(out, [1, 8]);
    }
}
