//! Values that no decimal gives, as runs: docs/format/page.md section 4.

use super::bytes::{Cursor, put_varint};
use super::error::PageError;

/// The bits that have a code of their own; code 5 is followed by any others.
const CODED: [u64; 5] = [
    0x7ff0_0000_0000_0002,
    0x7ff8_0000_0000_0001,
    0x7ff0_0000_0000_0000,
    0xfff0_0000_0000_0000,
    0x8000_0000_0000_0000,
];
const GIVEN: u8 = 5;

/// The code of some bits.
pub(crate) fn code(bits: u64) -> u8 {
    CODED
        .iter()
        .position(|&c| c == bits)
        .map_or(GIVEN, |c| c as u8)
}

/// Appends the bytes that follow a code.
pub(crate) fn put_given(out: &mut Vec<u8>, bits: u64) {
    if code(bits) == GIVEN {
        out.extend_from_slice(&bits.to_le_bytes());
    }
}

/// The bits of a code, read on if they are given.
pub(crate) fn read_bits(cursor: &mut Cursor<'_>, code: u8) -> Result<u64, PageError> {
    match CODED.get(usize::from(code)) {
        Some(&bits) => Ok(bits),
        None if code == GIVEN => cursor.u64(),
        None => Err(PageError::corrupt("exception code")),
    }
}

/// Equal exceptions in neighbouring rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    first: usize,
    rows: usize,
    bits: u64,
}

/// Exceptions of a page being written.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    pub(crate) runs: Vec<Run>,
    /// Rows in all runs.
    pub(crate) rows: usize,
}

impl Runs {
    /// Rows must rise.
    pub(crate) fn push(&mut self, row: usize, bits: u64) {
        self.rows += 1;
        match self.runs.last_mut() {
            Some(run) if run.bits == bits && run.first + run.rows == row => run.rows += 1,
            _ => self.runs.push(Run {
                first: row,
                rows: 1,
                bits,
            }),
        }
    }

    /// About how many bits [`write`](Self::write) takes.
    pub(crate) fn cost(&self) -> u32 {
        let given = self.runs.iter().filter(|r| code(r.bits) == GIVEN).count();
        if self.runs.is_empty() {
            0
        } else {
            8 + (self.runs.len() * 18 + given * 64) as u32
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.runs.len() as u64);
        let mut end = 0;
        for run in &self.runs {
            let code = code(run.bits);
            let long = run.rows > 1;
            put_varint(
                out,
                ((run.first - end) as u64) << 4 | u64::from(code) << 1 | u64::from(long),
            );
            if long {
                put_varint(out, run.rows as u64 - 2);
            }
            put_given(out, run.bits);
            end = run.first + run.rows;
        }
    }
}

/// Exceptions of a page being read: checked, not yet applied.
#[derive(Debug)]
pub(crate) struct Exceptions<'a> {
    count: usize,
    bytes: Cursor<'a>,
}

impl<'a> Exceptions<'a> {
    pub(crate) const NONE: Self = Self {
        count: 0,
        bytes: Cursor::new(&[]),
    };

    /// Reads past the list and checks that it lies inside the page.
    pub(crate) fn read(cursor: &mut Cursor<'a>, rows: usize) -> Result<Self, PageError> {
        let count = cursor.count(rows, "more exceptions than rows")?;
        if count == 0 {
            return Err(PageError::corrupt("no exceptions"));
        }
        let exceptions = Self {
            count,
            bytes: *cursor,
        };
        walk(cursor, count, rows, |_, _, _| ())?;
        Ok(exceptions)
    }

    /// Puts the exceptions over the values, whose first row is `first` of so many.
    pub(crate) fn apply(
        &self,
        rows: usize,
        first: usize,
        out: &mut [f64],
    ) -> Result<(), PageError> {
        let mut cursor = self.bytes;
        walk(&mut cursor, self.count, rows, |start, end, bits| {
            let range = start.saturating_sub(first)..end.saturating_sub(first).min(out.len());
            if let Some(slots) = out.get_mut(range) {
                slots.fill(f64::from_bits(bits));
            }
        })
    }
}

/// Calls `run(first row, row behind, bits)` for each run.
fn walk(
    cursor: &mut Cursor<'_>,
    count: usize,
    rows: usize,
    mut run: impl FnMut(usize, usize, u64),
) -> Result<(), PageError> {
    let mut at = 0usize;
    for _ in 0..count {
        let head = cursor.varint()?;
        let long = if head & 1 == 1 {
            cursor.count(rows, "exception run")? + 1
        } else {
            0
        };
        let bits = read_bits(cursor, (head >> 1 & 7) as u8)?;
        let start = usize::try_from(head >> 4)
            .ok()
            .and_then(|gap| at.checked_add(gap));
        let start = start
            .filter(|&s| s < rows)
            .ok_or(PageError::corrupt("exception row"))?;
        at = start + 1 + long;
        if at > rows {
            return Err(PageError::corrupt("exception run"));
        }
        run(start, at, bits);
    }
    Ok(())
}
