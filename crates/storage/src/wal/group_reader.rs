//! Decoding the pieces of one group of one segment, as columns by series.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use tsdb_model::SeriesRef;

use super::chain::{Chain, Row, Work};
use crate::head::series::{SampleValue, StoredSample};

/// Samples decoded before they are handed over.
const WINDOW: usize = 1 << 18;

/// A record's payload, and what is known of its commit.
#[derive(Debug)]
pub(crate) struct Payload {
    pub(crate) bytes: Vec<u8>,
    /// Number of the commit in the segment.
    pub(crate) commit: u64,
    /// All of the commit is there.
    pub(crate) whole: bool,
}

/// Where the content of a piece stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    payload: u32,
    from: u32,
    to: u32,
}

/// A series of a group.
#[derive(Debug, Clone, Copy)]
struct Member {
    slot: u16,
    series: SeriesRef,
    /// Its samples are handed over one by one, to be put in order with others.
    apart: bool,
}

/// What a segment has of a group.
#[derive(Debug, Default)]
pub(crate) struct GroupAt {
    members: Vec<Member>,
    pieces: Vec<Place>,
    /// Number of the next piece.
    next: u64,
    /// Pieces behind a gap, which cannot be decoded.
    lost: u64,
}

/// The floats of one series.
#[derive(Debug, Default)]
pub(crate) struct Column {
    pub(crate) samples: Vec<(i64, f64)>,
    /// `(row, start)`: the start timestamp from this row on, 0 at first.
    pub(crate) starts: Vec<(usize, i64)>,
    start: i64,
}

impl Column {
    #[inline]
    fn push(&mut self, row: Row, expected: usize) {
        if self.samples.capacity() == 0 {
            self.samples.reserve(expected);
        }
        if row.start != self.start {
            self.starts.push((self.samples.len(), row.start));
            self.start = row.start;
        }
        self.samples.push((row.t, f64::from_bits(row.bits)));
    }

    /// The column, leaving one to go on with.
    fn take(&mut self) -> Self {
        let start = self.start;
        let starts = if start == 0 {
            Vec::new()
        } else {
            vec![(0, start)]
        };
        let next = Self {
            samples: Vec::new(),
            starts,
            start,
        };
        std::mem::replace(self, next)
    }
}

/// A sample that is to be put in order with others of its series.
#[derive(Debug)]
pub(crate) struct Single {
    pub(crate) series: SeriesRef,
    pub(crate) commit: u64,
    pub(crate) sample: StoredSample,
}

/// A part of what a group has.
#[derive(Debug, Default)]
pub(crate) struct Window {
    pub(crate) columns: Vec<(SeriesRef, Column)>,
    pub(crate) singles: Vec<Single>,
}

/// What happened.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    /// Time of the newest sample.
    pub(crate) max_t: Option<i64>,
    /// Samples that blocks hold.
    pub(crate) embodied: u64,
    /// Samples of series whose definition is lost.
    pub(crate) orphans: u64,
    /// Pieces that could not be decoded.
    pub(crate) lost: u64,
    /// Pieces that say nothing sensible.
    pub(crate) malformed: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.max_t = self.max_t.max(other.max_t);
        self.embodied += other.embodied;
        self.orphans += other.orphans;
        self.lost += other.lost;
        self.malformed += other.malformed;
    }
}

impl GroupAt {
    /// Notes a piece of `payload`.
    pub(crate) fn push(&mut self, number: u64, payload: usize, from: usize, to: usize) {
        if self.next != number || self.lost > 0 {
            self.lost += 1;
            return;
        }
        self.next += 1;
        self.pieces.push(Place {
            payload: payload as u32,
            from: from as u32,
            to: to as u32,
        });
    }

    fn position(&self, slot: u16) -> Result<usize, usize> {
        match self.members.last() {
            Some(last) if last.slot < slot => Err(self.members.len()),
            _ => self.members.binary_search_by_key(&slot, |m| m.slot),
        }
    }

    /// The series in a slot.
    pub(crate) fn member(&self, slot: u16) -> Option<SeriesRef> {
        let at = self.position(slot).ok()?;
        self.members.get(at).map(|m| m.series)
    }

    /// Puts a series into a slot; false when another one is there.
    pub(crate) fn define(&mut self, slot: u16, series: SeriesRef) -> bool {
        match self.position(slot) {
            Ok(at) => self.members.get(at).is_some_and(|m| m.series == series),
            Err(at) => {
                self.members.insert(
                    at,
                    Member {
                        slot,
                        series,
                        apart: false,
                    },
                );
                true
            }
        }
    }

    /// The samples in a slot are to be handed over one by one.
    pub(crate) fn set_apart(&mut self, slot: u16) {
        if let Ok(at) = self.position(slot)
            && let Some(member) = self.members.get_mut(at)
        {
            member.apart = true;
        }
    }

    /// Pieces behind a gap.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// Decodes all pieces. `in_block` tells which times are left out. `hand_over` gets windows of
    /// samples, each series' in the order of the log.
    pub(crate) fn decode(
        &self,
        payloads: &[Payload],
        in_block: impl Fn(i64) -> bool,
        mut hand_over: impl FnMut(Window),
    ) -> Tally {
        let mut tally = Tally::default();
        let mut chain = Chain::default();
        let mut work = Work::default();
        let slots = self.members.last().map_or(0, |m| usize::from(m.slot) + 1);
        let mut positions = vec![u32::MAX; slots];
        for (i, member) in (0u32..).zip(&self.members) {
            if let Some(position) = positions.get_mut(usize::from(member.slot)) {
                *position = i;
            }
        }
        let mut columns: Vec<Column> = Vec::new();
        columns.resize_with(self.members.len(), Column::default);
        let mut singles = Vec::new();
        let mut held = 0;
        // Most series of a group have a sample in most pieces.
        let in_window = WINDOW / self.members.len().max(1);
        let expected = self.pieces.len().min(in_window.max(4));
        for (i, place) in self.pieces.iter().enumerate() {
            let payload = payloads.get(place.payload as usize);
            let content = payload
                .and_then(|p| p.bytes.get(place.from as usize..place.to as usize))
                .unwrap_or_default();
            let (commit, whole) = payload.map_or((0, false), |p| (p.commit, p.whole));
            let taken = chain.take(content, &mut work, |row| {
                if !whole {
                    return;
                }
                tally.max_t = tally.max_t.max(Some(row.t));
                let position = positions.get(usize::from(row.slot));
                let position = position.map_or(usize::MAX, |p| *p as usize);
                let (Some(column), Some(member)) =
                    (columns.get_mut(position), self.members.get(position))
                else {
                    tally.orphans += 1;
                    return;
                };
                if in_block(row.t) {
                    tally.embodied += 1;
                    return;
                }
                held += 1;
                if member.apart {
                    singles.push(Single {
                        series: member.series,
                        commit,
                        sample: StoredSample {
                            t: row.t,
                            start: row.start,
                            value: SampleValue::Float(f64::from_bits(row.bits)),
                        },
                    });
                } else {
                    column.push(row, expected);
                }
            });
            if taken.is_err() {
                tally.malformed += 1;
                tally.lost += (self.pieces.len() - i - 1) as u64;
                break;
            }
            if held >= WINDOW {
                held = 0;
                hand_over(self.window(&mut columns, &mut singles));
            }
        }
        hand_over(self.window(&mut columns, &mut singles));
        tally
    }

    fn window(&self, columns: &mut [Column], singles: &mut Vec<Single>) -> Window {
        let filled = self.members.iter().zip(columns);
        let filled = filled.filter(|(_, c)| !c.samples.is_empty());
        Window {
            columns: filled.map(|(m, c)| (m.series, c.take())).collect(),
            singles: std::mem::take(singles),
        }
    }
}
