//! Time columns of a block: docs/format/block.md section 5.
//!
//! A series takes a column that has all its times, if there is one: of the whole block one with
//! exactly these, or of its target one with more. Else it brings a new one.

use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashMap;
use tsdb_codec::page::{MAX_ROWS, PageOptions, encode_page};
use tsdb_codec::times::{decode_times, encode_times};
use tsdb_codec::varint::{put_uvarint, put_varint};

use super::bytes::{Bad, Cursor};

/// Rows that a page should have.
const PAGE_ROWS: usize = 480;

/// Columns of a target that are looked at for a series with other times.
const CANDIDATES: usize = 4;

/// Runs of rows that cost less than any column.
const FEW_RUNS: usize = 3;

/// Rows of a column that belong to a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ColumnPage {
    pub(super) rows: usize,
    /// Row of the column at which it begins.
    pub(super) first_row: usize,
    pub(super) first: i64,
    pub(super) last: i64,
    /// Place in the section of times.
    pub(super) at: u64,
    pub(super) len: usize,
}

/// A column being written.
#[derive(Debug)]
struct Column {
    pages: Vec<ColumnPage>,
    bytes: Vec<u8>,
    rows: usize,
}

/// Where the samples of a series go.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    /// Number of the column.
    pub(super) column: u32,
    /// Its number among the columns of the target.
    pub(super) index: u32,
    /// Rows of the column, by runs.
    pub(super) runs: Vec<Range<usize>>,
}

/// All columns of a block that is being written.
#[derive(Debug, Default)]
pub(super) struct Columns {
    all: Vec<Column>,
    by_content: HashMap<(u32, usize), Vec<u32>>,
    candidates: Vec<Vec<u32>>,
    numbers: HashMap<(u32, u32), u32>,
    of_group: Vec<Vec<u32>>,
    /// The times placed last, and their column; and the column decoded last.
    last: Option<(Arc<Vec<i64>>, Range<usize>, u32)>,
    decoded: Option<(u32, Vec<i64>)>,
}

fn checksum(times: &[i64]) -> u32 {
    let mut crc = 0;
    let mut buffer = [0u8; 512];
    for part in times.chunks(64) {
        for (place, t) in buffer.chunks_exact_mut(8).zip(part) {
            place.copy_from_slice(&t.to_le_bytes());
        }
        let used = buffer.get(..part.len() * 8).unwrap_or_default();
        crc = crc32c::crc32c_append(crc, used);
    }
    crc
}

/// The rows of `times` in `column`, if all are there.
fn embed(times: &[i64], column: &[i64]) -> Option<Vec<Range<usize>>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let mut row = column.partition_point(|t| Some(t) < times.first());
    for t in times {
        while *column.get(row)? < *t {
            row += 1;
        }
        if column.get(row) != Some(t) {
            return None;
        }
        match runs.last_mut() {
            Some(run) if run.end == row => run.end += 1,
            _ => runs.push(row..row + 1),
        }
        row += 1;
    }
    Some(runs)
}

/// All rows of a column, as runs.
fn whole(rows: &Range<usize>) -> Vec<Range<usize>> {
    std::iter::once(0..rows.len()).collect()
}

impl Column {
    fn new(times: &[i64]) -> Result<Self, Bad> {
        let count = ((times.len() + PAGE_ROWS / 2) / PAGE_ROWS).max(1);
        let rows = times.len().div_ceil(count).clamp(1, MAX_ROWS);
        let mut column = Self {
            pages: Vec::new(),
            bytes: Vec::new(),
            rows: times.len(),
        };
        let mut first_row = 0;
        for page in times.chunks(rows) {
            let coded =
                encode_times(page, PageOptions::BLOCK.coder).map_err(|_| Bad("time column"))?;
            if let (Some(first), Some(last)) = (page.first(), page.last()) {
                column.pages.push(ColumnPage {
                    rows: page.len(),
                    first_row,
                    first: *first,
                    last: *last,
                    at: column.bytes.len() as u64,
                    len: coded.len(),
                });
            }
            column.bytes.extend(coded);
            first_row += page.len();
        }
        column.bytes.shrink_to_fit();
        Ok(column)
    }

    fn decode(&self, out: &mut Vec<i64>) -> Result<(), Bad> {
        out.clear();
        let mut cursor = Cursor::new(&self.bytes);
        for page in &self.pages {
            decode_times(cursor.bytes(page.len)?, page.rows, out)
                .map_err(|_| Bad("time column"))?;
        }
        Ok(())
    }

    fn spans(&self, times: &[i64]) -> bool {
        let first = self.pages.first().map(|p| p.first);
        let last = self.pages.last().map(|p| p.last);
        times.len() <= self.rows && first <= times.first().copied() && last >= times.last().copied()
    }
}

impl Columns {
    pub(super) fn new(groups: usize) -> Self {
        Self {
            candidates: vec![Vec::new(); groups],
            of_group: vec![Vec::new(); groups],
            ..Self::default()
        }
    }

    pub(super) fn len(&self) -> u32 {
        self.all.len() as u32
    }

    /// The pages of a column.
    pub(super) fn pages(&self, column: u32) -> &[ColumnPage] {
        self.all
            .get(column as usize)
            .map_or(&[], |c| c.pages.as_slice())
    }

    /// The columns of a group, in order of their numbers there.
    pub(super) fn of_group(&self, group: u32) -> &[u32] {
        self.of_group
            .get(group as usize)
            .map_or(&[], |list| list.as_slice())
    }

    fn times(&mut self, column: u32) -> Result<&[i64], Bad> {
        if self.decoded.as_ref().is_none_or(|d| d.0 != column) {
            let mut times = self.decoded.take().map(|d| d.1).unwrap_or_default();
            let coded = self.all.get(column as usize).ok_or(Bad("time column"))?;
            coded.decode(&mut times)?;
            self.decoded = Some((column, times));
        }
        Ok(self.decoded.as_ref().map_or(&[], |d| d.1.as_slice()))
    }

    fn index(&mut self, group: u32, column: u32) -> u32 {
        if let Some(index) = self.numbers.get(&(group, column)) {
            return *index;
        }
        let mut index = 0;
        if let Some(list) = self.of_group.get_mut(group as usize) {
            index = list.len() as u32;
            list.push(column);
        }
        self.numbers.insert((group, column), index);
        index
    }

    fn add(&mut self, group: u32, key: (u32, usize), column: Column) -> u32 {
        let number = self.all.len() as u32;
        let rows = column.rows;
        self.all.push(column);
        self.by_content.entry(key).or_default().push(number);
        if let Some(candidates) = self.candidates.get_mut(group as usize) {
            candidates.push(number);
            if candidates.len() > CANDIDATES {
                // The shortest goes; it may be the new one.
                let all = &self.all;
                let length = |c: &u32| all.get(*c as usize).map_or(rows, |c| c.rows);
                let shortest = candidates.iter().enumerate().min_by_key(|(_, c)| length(c));
                if let Some(at) = shortest.map(|(at, _)| at) {
                    candidates.remove(at);
                }
            }
        }
        number
    }

    /// Finds or makes a column for `times[rows]`, which rise and are not empty.
    pub(super) fn place(
        &mut self,
        group: u32,
        times: &Arc<Vec<i64>>,
        rows: Range<usize>,
    ) -> Result<Placed, Bad> {
        let known = self
            .last
            .as_ref()
            .filter(|(last, range, _)| Arc::ptr_eq(last, times) && *range == rows);
        if let Some(column) = known.map(|k| k.2) {
            return Ok(Placed {
                column,
                index: self.index(group, column),
                runs: whole(&rows),
            });
        }
        let own = times.get(rows.clone()).unwrap_or_default();
        let key = (checksum(own), own.len());
        for column in self.by_content.get(&key).cloned().unwrap_or_default() {
            if self.times(column)? == own {
                self.last = Some((Arc::clone(times), rows.clone(), column));
                return Ok(Placed {
                    column,
                    index: self.index(group, column),
                    runs: whole(&rows),
                });
            }
        }
        let mut best: Option<(u32, Vec<Range<usize>>)> = None;
        let candidates = self.candidates.get(group as usize).cloned();
        for column in candidates.unwrap_or_default() {
            if !self.all.get(column as usize).is_some_and(|c| c.spans(own)) {
                continue;
            }
            let runs = embed(own, self.times(column)?);
            let better = |runs: &Vec<Range<usize>>| {
                best.as_ref()
                    .is_none_or(|(_, best)| runs.len() < best.len())
            };
            if let Some(runs) = runs.filter(better) {
                best = Some((column, runs));
            }
        }
        let mut new = None;
        if let Some((column, runs)) = best {
            let mut cheaper = runs.len() <= FEW_RUNS;
            if !cheaper {
                let of_own = Column::new(own)?;
                // Two bytes a run, but no more than a bit a row.
                let pages = self.pages(column).len();
                let rows = runs.last().map_or(0, |r| r.end);
                let presence = (2 * runs.len()).min(rows / 8) + pages;
                cheaper = presence <= of_own.bytes.len() + 8 + 4 * of_own.pages.len();
                new = Some(of_own);
            }
            if cheaper {
                return Ok(Placed {
                    column,
                    index: self.index(group, column),
                    runs,
                });
            }
        }
        let new = match new {
            Some(new) => new,
            None => Column::new(own)?,
        };
        let column = self.add(group, key, new);
        self.last = Some((Arc::clone(times), rows.clone(), column));
        Ok(Placed {
            column,
            index: self.index(group, column),
            runs: whole(&rows),
        })
    }

    /// The sections of columns and of times.
    pub(super) fn write(&self) -> Result<(Vec<u8>, Vec<u8>), Bad> {
        let (mut places, mut heads, mut times) = (Vec::new(), Vec::new(), Vec::new());
        for column in &self.all {
            let at = u32::try_from(heads.len()).map_err(|_| Bad("more time columns than fit"))?;
            places.extend(at.to_le_bytes());
            put_uvarint(&mut heads, column.pages.len() as u64);
            put_uvarint(&mut heads, times.len() as u64);
            let mut before = 0i64;
            for page in &column.pages {
                put_uvarint(&mut heads, page.rows as u64);
                put_varint(&mut heads, page.first.wrapping_sub(before));
                put_uvarint(&mut heads, page.last.wrapping_sub(page.first) as u64);
                put_uvarint(&mut heads, page.len as u64);
                before = page.last;
            }
            times.extend_from_slice(&column.bytes);
        }
        places.extend(heads);
        Ok((places, times))
    }
}

/// Reads the head of a column.
pub(super) fn take_column(cursor: &mut Cursor<'_>) -> Result<Vec<ColumnPage>, Bad> {
    let count = cursor.count(cursor.len())?;
    let mut at = cursor.u64()?;
    let (mut first_row, mut before) = (0usize, None::<i64>);
    let mut pages = Vec::with_capacity(count);
    for _ in 0..count {
        let rows = cursor.count(MAX_ROWS)?;
        let first = before.unwrap_or(0).wrapping_add(cursor.i64()?);
        let last = first.wrapping_add(cursor.u64()? as i64);
        let len = cursor.usize()?;
        if rows == 0 || last < first || before.is_some_and(|b| b >= first) {
            return Err(Bad("time column"));
        }
        pages.push(ColumnPage {
            rows,
            first_row,
            first,
            last,
            at,
            len,
        });
        first_row += rows;
        at = at.checked_add(len as u64).ok_or(Bad("time column"))?;
        before = Some(last);
    }
    Ok(pages)
}

/// Writes a page and makes sure that it comes back bit by bit.
pub(super) fn exact_page(values: &[f64]) -> Result<Vec<u8>, Bad> {
    let page = encode_page(values, PageOptions::BLOCK).map_err(|_| Bad("value page"))?;
    let mut back = Vec::with_capacity(values.len());
    let decoded = tsdb_codec::page::decode_page(&page, values.len(), &mut back);
    let same = back
        .iter()
        .zip(values)
        .all(|(a, b)| a.to_bits() == b.to_bits());
    if decoded.is_ok() && same && back.len() == values.len() {
        Ok(page)
    } else {
        Err(Bad("a value page does not come back"))
    }
}
