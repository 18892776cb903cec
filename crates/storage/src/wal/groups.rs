//! Which series share a group of the segment being written, and the pieces of a commit.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap};
use tsdb_codec::varint::put_varint;
use tsdb_model::Labels;

use super::chain::{Chain, MAX_ROWS, Row, Shape, Work};

/// Most series of a group.
const MAX_SLOTS: u32 = 1 << 16;

/// New series without job and instance in one commit that make a group of their own; fewer go to
/// a group for all such.
const OWN_GROUP: usize = 64;

/// Rows of one series in a piece: a long import is not one huge piece.
const ROWS_OF_ONE: usize = 1 << 14;

/// A float sample on its way into the log. `id` is the series' number in the segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub(super) id: u64,
    pub(super) t: i64,
    pub(super) start: i64,
    pub(super) bits: u64,
}

impl Item {
    fn row(&self) -> Row {
        Row {
            slot: self.id as u16,
            t: self.t,
            start: self.start,
            bits: self.bits,
        }
    }
}

/// The groups of a segment.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// Series with a number, and the pieces so far, by group.
    all: Vec<(u32, Chain)>,
    /// The group that takes more series of a job and instance.
    by_key: HashMap<u64, u32>,
    hasher: DefaultHashBuilder,
    /// The group for series without, few at a time.
    pool: Option<u32>,
    work: Work,
    rows: Vec<Row>,
}

impl Groups {
    /// Forgets everything: a new segment begins.
    pub(super) fn clear(&mut self) {
        self.all = Vec::new();
        self.by_key = HashMap::new();
        self.pool = None;
        self.work = Work::default();
        self.rows = Vec::new();
    }

    /// A number in `group`, or in a new group when that is none or full; and the group.
    fn number(&mut self, group: Option<u32>) -> (u64, u32) {
        let group = group.filter(|g| self.all.get(*g as usize).is_some_and(|g| g.0 < MAX_SLOTS));
        let group = group.unwrap_or_else(|| {
            self.all.push((0, Chain::default()));
            self.all.len() as u32 - 1
        });
        let slots = &mut self.all[group as usize].0;
        let id = u64::from(group) << 16 | u64::from(*slots);
        *slots += 1;
        (id, group)
    }

    /// Gives numbers to the series that a commit logs first.
    pub(super) fn assign<'a>(
        &mut self,
        series: impl Iterator<Item = &'a Labels> + Clone,
    ) -> Vec<u64> {
        let key = |labels: &'a Labels| (labels.get("job"), labels.get("instance"));
        let keyless = series.clone().filter(|l| key(l) == (None, None)).count();
        let mut own = None;
        let mut numbers = Vec::new();
        for labels in series {
            let key = key(labels);
            let id = if key != (None, None) {
                let hash = self.hasher.hash_one(key);
                let (id, group) = self.number(self.by_key.get(&hash).copied());
                self.by_key.insert(hash, group);
                id
            } else if keyless < OWN_GROUP {
                let (id, group) = self.number(self.pool);
                self.pool = Some(group);
                id
            } else {
                let (id, group) = self.number(own);
                own = Some(group);
                id
            };
            numbers.push(id);
        }
        numbers
    }

    /// Calls `each` with the bytes of each piece that `items` make; `items` may be in any order,
    /// but a series has each time once. `last_group` is the group of the piece before in the
    /// section, to be set to 0 where a section begins.
    pub(super) fn pieces(
        &mut self,
        items: &mut [Item],
        mut each: impl FnMut(u32, &dyn Fn(i64, &mut Vec<u8>)),
    ) {
        if !items.is_sorted_by_key(|i| (i.id, i.t)) {
            items.sort_unstable_by_key(|i| (i.id, i.t));
        }
        let mut piece = Vec::new();
        for of_group in items.chunk_by_mut(|a, b| a.id >> 16 == b.id >> 16) {
            let group = (of_group[0].id >> 16) as u32;
            let Some((_, chain)) = self.all.get_mut(group as usize) else {
                continue;
            };
            let (rows, work) = (&mut self.rows, &mut self.work);
            let mut put = |shape: Shape, rows: &[Row]| {
                piece.clear();
                chain.put(shape, rows, work, &mut piece);
                each(group, &|last_group, out| {
                    put_varint(out, i64::from(group) - last_group);
                    out.extend_from_slice(&piece);
                });
            };
            let first_t = of_group[0].t;
            let together = of_group.iter().all(|i| i.t == first_t);
            let shape = if together {
                Shape::Together
            } else {
                cheapest(of_group, &mut Vec::new())
            };
            match shape {
                Shape::Together => {
                    if !together {
                        of_group.sort_unstable_by_key(|i| (i.t, i.id));
                    }
                    for at_once in of_group.chunk_by(|a, b| a.t == b.t) {
                        rows.clear();
                        rows.extend(at_once.iter().map(Item::row));
                        put(shape, rows);
                    }
                }
                Shape::OwnTimes => {
                    // The first of each series, then the second of each that has one, and so on.
                    let mut layers: Vec<(u32, Row)> = Vec::with_capacity(of_group.len());
                    for of_series in of_group.chunk_by(|a, b| a.id == b.id) {
                        layers.extend((0..).zip(of_series.iter().map(Item::row)));
                    }
                    layers.sort_by_key(|l| l.0);
                    for layer in layers.chunk_by(|a, b| a.0 == b.0) {
                        rows.clear();
                        rows.extend(layer.iter().map(|l| l.1));
                        put(shape, rows);
                    }
                }
                Shape::OneSeries => {
                    for of_series in of_group.chunk_by(|a, b| a.id == b.id) {
                        for part in of_series.chunks(ROWS_OF_ONE) {
                            rows.clear();
                            rows.extend(part.iter().map(Item::row));
                            put(shape, rows);
                        }
                    }
                }
            }
        }
    }
}

/// The shape that probably takes the fewest bytes. Pieces take about eight; own times one or two.
fn cheapest(of_group: &[Item], times: &mut Vec<i64>) -> Shape {
    times.extend(of_group.iter().map(|i| i.t));
    times.sort_unstable();
    times.dedup();
    let (mut series, mut most) = (0, 0);
    for of_series in of_group.chunk_by(|a, b| a.id == b.id) {
        series += 1;
        most = most.max(of_series.len());
    }
    let rows = of_group.len();
    let costs = [
        (8 * times.len(), Shape::Together),
        (8 * most + 2 * rows, Shape::OwnTimes),
        (8 * series + rows, Shape::OneSeries),
    ];
    let cheapest = costs.into_iter().min_by_key(|c| c.0);
    cheapest.map_or(Shape::Together, |c| c.1)
}

const _: () = assert!(ROWS_OF_ONE <= MAX_ROWS);
