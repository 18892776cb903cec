//! The directory: for each series its time column and where its pages are. docs/format/block.md
//! section 6.

use tsdb_codec::varint::put_uvarint;

use super::bytes::{Bad, Cursor};

/// Series from one restart to the next.
pub(super) const ENTRY_RESTART: u32 = 16;

/// Bytes of a restart: place in the directory (u32) and in the pages (u48).
pub(super) const RESTART_BYTES: usize = 10;

/// Pages of at most so many bytes stand in the directory.
pub(super) const INLINE_BYTES: usize = 8;

const FLOATS: u64 = 1;
const STARTS: u64 = 2;
const HISTOGRAMS: u64 = 4;
const FIRST: u64 = 8;
const COLUMN_SHIFT: u32 = 4;

const REPEAT: u64 = 0;
const INLINE: u64 = 1;
const NEXT: u64 = 2;
const BACK: u64 = 3;
const PRESENCE: u64 = 4;
const LENGTH_SHIFT: u32 = 3;

/// Where the bytes of a page are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// In the directory.
    Inline(&'a [u8]),
    /// In the pages; `member` is the column of a bundle, if it is one.
    Stored {
        offset: u64,
        len: usize,
        member: Option<u8>,
    },
}

/// A page of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot<'a> {
    /// Page of the time column.
    pub(super) page: usize,
    /// Which rows of it there are, if not all.
    pub(super) presence: Option<&'a [u8]>,
    pub(super) place: Place<'a>,
}

/// What the directory says of one series.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// Number of the time column among those of the target, if there are floats.
    pub(super) column: Option<u32>,
    pub(super) slots: Vec<Slot<'a>>,
    pub(super) starts: Option<(u64, usize)>,
    pub(super) histograms: Option<(u64, usize)>,
}

/// Writes an entry; what is stored anew starts at `position` of the pages: its pages in order, then
/// its starts, then its histograms. Gives the position behind them.
pub(super) fn put_entry(out: &mut Vec<u8>, entry: &Entry<'_>, mut position: u64) -> u64 {
    let flag = |is: bool, flag: u64| if is { flag } else { 0 };
    let first = entry.slots.first().map_or(0, |s| s.page);
    let count = entry.slots.last().map_or(0, |s| s.page + 1 - first);
    let head = flag(entry.column.is_some(), FLOATS)
        | flag(entry.starts.is_some(), STARTS)
        | flag(entry.histograms.is_some(), HISTOGRAMS)
        | flag(first > 0, FIRST)
        | u64::from(entry.column.unwrap_or(0)) << COLUMN_SHIFT;
    put_uvarint(out, head);
    if entry.column.is_some() {
        if first > 0 {
            put_uvarint(out, first as u64);
        }
        put_uvarint(out, count as u64);
    }
    let (mut same, mut next) = (0u64, first);
    let mut before: Option<&Slot<'_>> = None;
    for slot in &entry.slots {
        let repeats = slot.presence.is_none()
            && slot.page == next
            && before.is_some_and(|b| b.presence.is_none() && b.place == slot.place);
        if repeats {
            same += 1;
        } else {
            put_repeats(out, same, true);
            put_repeats(out, (slot.page - next) as u64, false);
            same = 0;
            put_slot(out, slot, &mut position);
        }
        before = Some(slot);
        next = slot.page + 1;
    }
    put_repeats(out, same, true);
    for blob in [entry.starts, entry.histograms].into_iter().flatten() {
        put_uvarint(out, blob.1 as u64);
        position += blob.1 as u64;
    }
    position
}

fn put_repeats(out: &mut Vec<u8>, count: u64, same: bool) {
    if count > 0 {
        let kind = if same { REPEAT | PRESENCE } else { REPEAT };
        put_uvarint(out, (count - 1) << LENGTH_SHIFT | kind);
    }
}

fn put_slot(out: &mut Vec<u8>, slot: &Slot<'_>, position: &mut u64) {
    let (len, kind) = match slot.place {
        Place::Inline(bytes) => (bytes.len(), INLINE),
        Place::Stored {
            offset,
            len,
            member: None,
        } if offset == *position => (len, NEXT),
        Place::Stored { len, .. } => (len, BACK),
    };
    let presence = if slot.presence.is_some() { PRESENCE } else { 0 };
    put_uvarint(out, (len as u64) << LENGTH_SHIFT | presence | kind);
    if let Some(presence) = slot.presence {
        put_uvarint(out, presence.len() as u64);
        out.extend(presence);
    }
    match slot.place {
        Place::Inline(bytes) => out.extend(bytes),
        Place::Stored { .. } if kind == NEXT => *position += len as u64,
        Place::Stored { offset, member, .. } => {
            let back = position.wrapping_sub(offset);
            put_uvarint(out, back << 1 | u64::from(member.is_some()));
            out.extend(member);
        }
    }
}

/// First numbers of an entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) column: Option<u32>,
    pub(super) first: usize,
    pub(super) count: usize,
    starts: bool,
    histograms: bool,
}

impl Head {
    pub(super) fn take(cursor: &mut Cursor<'_>) -> Result<Self, Bad> {
        let head = cursor.u64()?;
        let column = u32::try_from(head >> COLUMN_SHIFT).map_err(|_| Bad("time column"))?;
        let mut out = Self {
            column: (head & FLOATS != 0).then_some(column),
            first: 0,
            count: 0,
            starts: head & STARTS != 0,
            histograms: head & HISTOGRAMS != 0,
        };
        if out.column.is_some() {
            if head & FIRST != 0 {
                out.first = cursor.usize()?;
            }
            out.count = cursor.usize()?;
        } else if head >> COLUMN_SHIFT != 0 || head & FIRST != 0 {
            return Err(Bad("head of an entry"));
        }
        Ok(out)
    }

    /// Reads what stands behind the head. With `slots`, its pages are added there; without, they
    /// are only skipped.
    pub(super) fn rest<'a>(
        &self,
        cursor: &mut Cursor<'a>,
        position: &mut u64,
        mut slots: Option<&mut Vec<Slot<'a>>>,
    ) -> Result<[Option<(u64, usize)>; 2], Bad> {
        let (mut page, mut left) = (self.first, self.count);
        let mut before: Option<Slot<'a>> = None;
        while left > 0 {
            let code = cursor.u64()?;
            let n = usize::try_from(code >> LENGTH_SHIFT).map_err(|_| Bad("length of a page"))?;
            if code & 3 == REPEAT {
                let count = n.checked_add(1).filter(|c| *c <= left);
                let count = count.ok_or(Bad("repeated pages"))?;
                if code & PRESENCE != 0 {
                    let same = before.filter(|b| b.presence.is_none());
                    let same = same.ok_or(Bad("repeated page"))?;
                    if let Some(slots) = &mut slots {
                        slots.extend((page..page + count).map(|page| Slot { page, ..same }));
                    }
                } else {
                    before = None;
                }
                page += count;
                left -= count;
                continue;
            }
            let presence = (code & PRESENCE != 0).then(|| cursor.blob()).transpose()?;
            let place = match code & 3 {
                INLINE => Place::Inline(cursor.bytes(n)?),
                NEXT => {
                    let offset = *position;
                    *position = position.saturating_add(n as u64);
                    Place::Stored {
                        offset,
                        len: n,
                        member: None,
                    }
                }
                _ => {
                    let back = cursor.u64()?;
                    let member = (back & 1 != 0).then(|| cursor.byte()).transpose()?;
                    let offset = position.checked_sub(back >> 1);
                    Place::Stored {
                        offset: offset.ok_or(Bad("place of a page"))?,
                        len: n,
                        member,
                    }
                }
            };
            let slot = Slot {
                page,
                presence,
                place,
            };
            before = Some(slot);
            if let Some(slots) = &mut slots {
                slots.push(slot);
            }
            page += 1;
            left -= 1;
        }
        let mut blob = |is: bool| -> Result<Option<(u64, usize)>, Bad> {
            if !is {
                return Ok(None);
            }
            let (offset, len) = (*position, cursor.usize()?);
            *position = position.saturating_add(len as u64);
            Ok(Some((offset, len)))
        };
        Ok([blob(self.starts)?, blob(self.histograms)?])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stored(offset: u64, len: usize, member: Option<u8>) -> Place<'static> {
        Place::Stored {
            offset,
            len,
            member,
        }
    }

    #[test]
    fn entries_come_back() {
        let slot = |page, presence, place| Slot {
            page,
            presence,
            place,
        };
        let entries = [
            Entry::default(),
            Entry {
                column: Some(3),
                slots: vec![
                    slot(1, None, Place::Inline(&[1, 2])),
                    slot(2, None, Place::Inline(&[1, 2])),
                    slot(3, None, Place::Inline(&[1, 2])),
                    slot(6, Some(&[7, 8, 9]), stored(100, 20, None)),
                    slot(7, None, stored(40, 9, None)),
                    slot(8, None, stored(120, 30, None)),
                    slot(9, None, stored(120, 30, None)),
                    slot(10, None, stored(150, 10, None)),
                    slot(11, None, stored(120, 30, Some(2))),
                ],
                starts: Some((160, 5)),
                histograms: Some((165, 1000)),
            },
            Entry {
                histograms: Some((1165, 7)),
                ..Entry::default()
            },
        ];
        let (mut bytes, mut position) = (Vec::new(), 100);
        for entry in &entries {
            position = put_entry(&mut bytes, entry, position);
        }
        let (mut cursor, mut at) = (Cursor::new(&bytes), 100);
        for entry in &entries {
            let head = Head::take(&mut cursor).unwrap();
            let mut back = Entry {
                column: head.column,
                ..Entry::default()
            };
            let [starts, histograms] = head
                .rest(&mut cursor, &mut at, Some(&mut back.slots))
                .unwrap();
            (back.starts, back.histograms) = (starts, histograms);
            assert_eq!(&back, entry);
        }
        assert_eq!((at, cursor.len()), (position, 0));
    }

    proptest! {
        #[test]
        fn any_bytes(bytes: Vec<u8>) {
            let (mut cursor, mut at) = (Cursor::new(&bytes), 100);
            while let Ok(head) = Head::take(&mut cursor) {
                let mut slots = Vec::new();
                let collect = (head.count < 1000).then_some(&mut slots);
                if head.first > 1000 || head.rest(&mut cursor, &mut at, collect).is_err() {
                    break;
                }
            }
        }
    }
}
