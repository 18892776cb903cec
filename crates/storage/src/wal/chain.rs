//! The pieces of one group in one segment: each value coded against the one before.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use tsdb_codec::varint::{put_uvarint, put_varint};

use super::decode::{Body, Malformed};
use super::ops::{KEEP, Mark, NO_START, Op, STALE, START, is_marker, put_value, take_op};
use super::sets::{ONE, Sets, take_list};

/// Most rows of a piece.
pub(super) const MAX_ROWS: usize = 1 << 16;

const SLOTS_MASK: u8 = 0x1f;
const CHANGES_SHIFT: u32 = 5;
const OWN_TIMES: u8 = 0x80;

/// Forms of the changes.
const FLIPS: u8 = 0;
const BITS: u8 = 1;
const ALL: u8 = 2;
const NONE: u8 = 3;

/// A float sample of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) slot: u16,
    pub(super) t: i64,
    /// 0 when unknown.
    pub(super) start: i64,
    pub(super) bits: u64,
}

/// Which rows may be in a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Of different series, rising, all at the same time.
    Together,
    /// Of different series, rising, each at its own time.
    OwnTimes,
    /// Of one series.
    OneSeries,
}

/// Memory to work with.
#[derive(Debug, Default)]
pub(super) struct Work {
    slots: Vec<u16>,
    list: Vec<u16>,
    times: Vec<i64>,
    flips: Vec<u8>,
    bits: Vec<u8>,
    ops: Vec<u8>,
    body: Vec<u8>,
}

/// What both sides know of a group in a segment. It starts afresh with each segment.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// Number of the next piece.
    next: u64,
    last_t: i64,
    last_delta: i64,
    sets: Sets,
    values: Vec<u64>,
    marks: Vec<Mark>,
    /// Start timestamps that are known, by slot.
    starts: Vec<(u16, i64)>,
}

impl Chain {
    /// Makes room for so many series.
    fn grow(&mut self, slots: usize) {
        if self.values.len() < slots {
            // Memory is not doubled: groups are many, and of a known size soon.
            if self.values.capacity() < slots {
                let more = (slots - self.values.len()).max(self.values.len() / 4);
                self.values.reserve_exact(more);
                self.marks.reserve_exact(more);
            }
            self.values.resize(slots, 0);
            self.marks.resize(slots, Mark::default());
        }
    }

    fn start_of(&self, slot: u16) -> i64 {
        match self.starts.binary_search_by_key(&slot, |s| s.0) {
            Ok(i) => self.starts.get(i).map_or(0, |s| s.1),
            Err(_) => 0,
        }
    }

    fn set_start(&mut self, slot: u16, start: i64) {
        match self.starts.binary_search_by_key(&slot, |s| s.0) {
            Ok(i) if start == 0 => drop(self.starts.remove(i)),
            Ok(i) => {
                if let Some(known) = self.starts.get_mut(i) {
                    known.1 = start;
                }
            }
            Err(_) if start == 0 => {}
            Err(i) => self.starts.insert(i, (slot, start)),
        }
    }

    /// The difference of the first time to what was expected.
    fn put_time(&mut self, t: i64, out: &mut Vec<u8>) {
        let delta = t.wrapping_sub(self.last_t);
        put_varint(out, delta.wrapping_sub(self.last_delta));
        (self.last_t, self.last_delta) = (t, delta);
    }

    fn take_time(&mut self, body: &mut Body<'_>) -> Result<i64, Malformed> {
        let delta = body.varint()?.wrapping_add(self.last_delta);
        self.last_t = self.last_t.wrapping_add(delta);
        self.last_delta = delta;
        Ok(self.last_t)
    }

    /// Appends a piece, without its group: number, length, content.
    pub(super) fn put(&mut self, shape: Shape, rows: &[Row], work: &mut Work, out: &mut Vec<u8>) {
        let Some(first) = rows.first() else {
            return;
        };
        let mut body = std::mem::take(&mut work.body);
        body.clear();
        body.push(0);
        self.put_time(first.t, &mut body);
        let form = if shape == Shape::OneSeries {
            put_uvarint(&mut body, u64::from(first.slot));
            put_uvarint(&mut body, rows.len() as u64);
            self.sets.used(first.slot);
            ONE
        } else {
            work.slots.clear();
            work.slots.extend(rows.iter().map(|r| r.slot));
            self.sets.put(&work.slots, &mut body, &mut work.list)
        };
        self.grow(self.sets.slots());
        let own_times = shape != Shape::Together;
        if own_times {
            let (mut last, mut last_delta) = (first.t, 0i64);
            for row in rows.iter().skip(1) {
                let delta = row.t.wrapping_sub(last);
                put_varint(&mut body, delta.wrapping_sub(last_delta));
                last = row.t;
                if shape == Shape::OneSeries {
                    last_delta = delta;
                }
            }
        }
        let changes = self.put_values(shape, rows, work, &mut body);
        body.append(&mut work.ops);
        if let Some(head) = body.first_mut() {
            *head = form | changes << CHANGES_SHIFT | if own_times { OWN_TIMES } else { 0 };
        }
        put_uvarint(out, self.next);
        put_uvarint(out, body.len() as u64);
        out.extend_from_slice(&body);
        self.next += 1;
        work.body = body;
    }

    /// Works out the operations, and appends which rows have one; answers the form of the latter.
    fn put_values(
        &mut self,
        shape: Shape,
        rows: &[Row],
        work: &mut Work,
        body: &mut Vec<u8>,
    ) -> u8 {
        let Work {
            flips, bits, ops, ..
        } = work;
        flips.clear();
        bits.clear();
        ops.clear();
        let (mut changed_rows, mut flip_count, mut behind_flip) = (0, 0u64, 0);
        let mut byte = 0u8;
        let starts = !self.starts.is_empty() || rows.iter().any(|r| r.start != 0);
        for (i, row) in rows.iter().enumerate() {
            let slot = usize::from(row.slot);
            let new_start = starts && self.start_of(row.slot) != row.start;
            if new_start {
                if row.start == 0 {
                    ops.push(NO_START);
                } else {
                    ops.push(START);
                    put_varint(ops, row.t.wrapping_sub(row.start));
                }
                self.set_start(row.slot, row.start);
            }
            let (Some(before), Some(mark)) = (self.values.get_mut(slot), self.marks.get_mut(slot))
            else {
                continue;
            };
            let changed = row.bits != *before || new_start;
            if changed {
                changed_rows += 1;
                if is_marker(row.bits) {
                    ops.push(STALE);
                } else if row.bits == *before {
                    ops.push(KEEP);
                } else {
                    put_value(ops, *before, row.bits, mark);
                    *before = row.bits;
                }
                byte |= 1 << (i % 8);
            }
            if i % 8 == 7 {
                bits.push(std::mem::take(&mut byte));
            }
            if changed != mark.changed() {
                flip_count += 1;
                put_uvarint(flips, (i - behind_flip) as u64);
                behind_flip = i + 1;
                mark.set_changed(changed);
            }
        }
        if !rows.len().is_multiple_of(8) {
            bits.push(byte);
        }
        if changed_rows == 0 {
            return NONE;
        }
        if changed_rows == rows.len() {
            return ALL;
        }
        if shape != Shape::OneSeries && flips.len() < bits.len() {
            put_uvarint(body, flip_count);
            body.extend_from_slice(flips);
            return FLIPS;
        }
        body.extend_from_slice(bits);
        BITS
    }

    /// Takes the content of the next piece. `each` is told every row. After an error nothing more
    /// of the group can be understood.
    pub(super) fn take(
        &mut self,
        content: &[u8],
        work: &mut Work,
        mut each: impl FnMut(Row),
    ) -> Result<(), Malformed> {
        let mut body = Body::new(content);
        let head = body.byte()?;
        let first = self.take_time(&mut body)?;
        let form = head & SLOTS_MASK;
        let one = form == ONE;
        let own_times = head & OWN_TIMES != 0;
        let mut slots = std::mem::take(&mut work.slots);
        let count = if one {
            let slot = u16::try_from(body.uvarint()?).map_err(|_| Malformed)?;
            let count = usize::try_from(body.uvarint()?).map_err(|_| Malformed)?;
            if count == 0 || count > MAX_ROWS {
                return Err(Malformed);
            }
            self.sets.used(slot);
            slots.clear();
            slots.push(slot);
            count
        } else {
            self.sets.take(form, &mut body, &mut slots)?;
            slots.len()
        };
        self.grow(self.sets.slots());
        work.times.clear();
        if own_times {
            let (mut last, mut last_delta) = (first, 0i64);
            work.times.push(first);
            for _ in 1..count {
                let delta = body.varint()?.wrapping_add(last_delta);
                last = last.wrapping_add(delta);
                work.times.push(last);
                if one {
                    last_delta = delta;
                }
            }
        }
        let changes = head >> CHANGES_SHIFT & 3;
        work.list.clear();
        let mut bits: &[u8] = &[];
        match changes {
            FLIPS if one => return Err(Malformed),
            FLIPS => take_list(&mut body, count as u64, &mut work.list)?,
            BITS => bits = body.bytes(count.div_ceil(8) as u64)?,
            _ => {}
        }
        let mut flips = work.list.iter().map(|i| usize::from(*i)).peekable();
        let only = slots.first().copied().unwrap_or(0);
        for i in 0..count {
            let slot = if one {
                only
            } else {
                slots.get(i).copied().unwrap_or(0)
            };
            let index = usize::from(slot);
            let mut mark = self.marks.get(index).copied().ok_or(Malformed)?;
            let changed = match changes {
                FLIPS => mark.changed() != flips.next_if_eq(&i).is_some(),
                BITS => bits.get(i / 8).is_some_and(|b| b >> (i % 8) & 1 != 0),
                ALL => true,
                _ => false,
            };
            let t = work.times.get(i).copied().unwrap_or(first);
            let mut value = self.values.get(index).copied().ok_or(Malformed)?;
            if changed {
                value = self.take_value(&mut body, slot, t, value, &mut mark)?;
            }
            mark.set_changed(changed);
            if let Some(known) = self.marks.get_mut(index) {
                *known = mark;
            }
            let start = if self.starts.is_empty() {
                0
            } else {
                self.start_of(slot)
            };
            each(Row {
                slot,
                t,
                start,
                bits: value,
            });
        }
        work.slots = slots;
        if !body.is_empty() {
            return Err(Malformed);
        }
        self.next += 1;
        Ok(())
    }

    #[inline]
    fn take_value(
        &mut self,
        body: &mut Body<'_>,
        slot: u16,
        t: i64,
        before: u64,
        mark: &mut Mark,
    ) -> Result<u64, Malformed> {
        let mut op = take_op(body, before, mark)?;
        let start = match op {
            Op::Start(behind) => Some(t.wrapping_sub(behind)),
            Op::NoStart => Some(0),
            _ => None,
        };
        if let Some(start) = start {
            self.set_start(slot, start);
            op = take_op(body, before, mark)?;
        }
        match op {
            Op::Value(bits) => {
                if let Some(value) = self.values.get_mut(usize::from(slot)) {
                    *value = bits;
                }
                Ok(bits)
            }
            Op::Stale => Ok(tsdb_model::STALE_NAN_BITS),
            Op::Start(_) | Op::NoStart => Err(Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Takes a piece off the front.
    fn content<'a>(rest: &mut &'a [u8], number: u64) -> &'a [u8] {
        let mut body = Body::new(rest);
        assert_eq!(body.uvarint().unwrap(), number);
        let length = body.uvarint().unwrap();
        let content = body.bytes(length).unwrap();
        *rest = body.rest();
        content
    }

    fn bits() -> impl Strategy<Value = u64> {
        prop_oneof![
            4 => (0..4u8).prop_map(|v| f64::from(v).to_bits()),
            2 => (0..1000u32).prop_map(|v| (f64::from(v) / 100.0).to_bits()),
            1 => Just(tsdb_model::STALE_NAN_BITS),
            1 => any::<u64>(),
        ]
    }

    fn start() -> impl Strategy<Value = i64> {
        prop_oneof![6 => Just(0), 1 => 1..3i64, 1 => any::<i64>()]
    }

    type Piece = (u8, i64, Vec<(bool, i64, i64, u64)>);

    fn pieces() -> impl Strategy<Value = Vec<Piece>> {
        let row = (prop::bool::weighted(0.8), 0..20i64, start(), bits());
        let rows = proptest::collection::vec(row, 1..40);
        proptest::collection::vec((0..3u8, any::<i64>(), rows), 1..30)
    }

    fn rows_of((shape, t, rows): Piece) -> (Shape, Vec<Row>) {
        let shape = [Shape::Together, Shape::OwnTimes, Shape::OneSeries][usize::from(shape)];
        let rows = (0u16..).zip(rows).filter(|(_, r)| r.0);
        let rows = rows.map(|(slot, (_, own, start, bits))| Row {
            slot: if shape == Shape::OneSeries {
                3
            } else {
                2 * slot
            },
            t: if shape == Shape::Together {
                t
            } else {
                t.wrapping_add(own)
            },
            start,
            bits,
        });
        (shape, rows.collect())
    }

    proptest! {
        #[test]
        fn pieces_come_back(pieces in pieces()) {
            let (mut writer, mut reader) = (Chain::default(), Chain::default());
            let mut work = Work::default();
            for piece in pieces {
                let (shape, rows) = rows_of(piece);
                let mut out = Vec::new();
                let number = writer.next;
                writer.put(shape, &rows, &mut work, &mut out);
                if rows.is_empty() {
                    prop_assert!(out.is_empty());
                    continue;
                }
                let mut got = Vec::new();
                let mut rest = out.as_slice();
                let content = content(&mut rest, number);
                prop_assert!(rest.is_empty());
                reader.take(content, &mut Work::default(), |row| got.push(row)).unwrap();
                prop_assert_eq!(got, rows);
                prop_assert_eq!(&writer.values, &reader.values);
                prop_assert_eq!(&writer.starts, &reader.starts);
            }
        }

        #[test]
        fn any_content_does_no_harm(pieces in pieces(), bytes: Vec<Vec<u8>>, cut: usize) {
            let (mut writer, mut reader) = (Chain::default(), Chain::default());
            let mut work = Work::default();
            for piece in pieces {
                let (shape, rows) = rows_of(piece);
                let mut out = Vec::new();
                writer.put(shape, &rows, &mut work, &mut out);
                out.truncate(cut % (out.len() + 1));
                let _ = reader.take(&out, &mut work, |_| {});
            }
            for bytes in bytes {
                let mut count = 0;
                let _ = reader.take(&bytes, &mut work, |_| count += 1);
                prop_assert!(count <= MAX_ROWS);
            }
        }
    }

    #[test]
    fn what_repeats_takes_no_bytes() {
        let mut chain = Chain::default();
        let mut work = Work::default();
        for t in 0..10i64 {
            let rows: Vec<Row> = (0..1000)
                .map(|slot| Row {
                    slot,
                    t: t * 15_000,
                    start: 5,
                    bits: (f64::from(slot) + if slot < 500 { t as f64 } else { 0.0 }).to_bits(),
                })
                .collect();
            let mut out = Vec::new();
            chain.put(Shape::Together, &rows, &mut work, &mut out);
            if t > 2 {
                // Number, length (2), head, time, count of flips; an operation for each change.
                assert_eq!(out.len(), 6 + 500);
            }
        }
    }
}
