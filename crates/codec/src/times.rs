//! Time columns, shared by the series of a target, and which of their rows a series has.
//!
//! The format is docs/format/page.md sections 7 and 8. As with pages, the number of rows comes
//! from outside and decoders take any bytes.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod presence;
#[cfg(test)]
mod tests;

use crate::page::{
    Coder, Cursor, MAX_ROWS, PageError, Plan, decode_stream, plan_stream, put_zigzag,
};

pub use presence::{decode_presence, encode_presence, max_presence_bytes};

const REGULAR: u8 = 0;
const STREAM: u8 = 1;
const GRID: u8 = 2;
const RISING: u8 = 1 << 4;

/// Bytes that a time column of so many rows takes at most.
pub const fn max_times_bytes(rows: usize) -> usize {
    5 + 8 * rows
}

/// What is known of a time column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimesFlags {
    /// Each time is later than the one before it.
    pub rising: bool,
    /// The distance of all neighbours, if it is the same.
    pub step: Option<i64>,
}

/// Writes timestamps in ms, at most [`MAX_ROWS`]; none give no bytes.
pub fn encode_times(times: &[i64], coder: Coder) -> Result<Vec<u8>, PageError> {
    let mut out = Vec::new();
    let Some(&first) = times.first() else {
        return Ok(out);
    };
    if times.len() > MAX_ROWS {
        return Err(PageError::TooManyRows { rows: times.len() });
    }
    let rising = if is_rising(times) { RISING } else { 0 };
    let steps = || {
        times
            .iter()
            .zip(times.iter().skip(1))
            .map(|(a, b)| b.wrapping_sub(*a))
    };
    let step = steps().next();
    if steps().all(|s| Some(s) == step) {
        out.push(REGULAR | rising);
        put_zigzag(&mut out, first);
        if let Some(step) = step {
            put_zigzag(&mut out, step);
        }
        return Ok(out);
    }
    out.push(STREAM | rising);
    plan_stream(times, coder, 2).write(false, &mut out);

    let mut sorted: Vec<i64> = steps().collect();
    sorted.sort_unstable();
    let step = sorted.get(sorted.len() / 2).copied().unwrap_or(0);
    let offsets: Vec<i64> = (0i64..)
        .zip(times)
        .map(|(row, t)| t.wrapping_sub(row.wrapping_mul(step)))
        .collect();
    let mut grid = vec![GRID | rising];
    put_zigzag(&mut grid, step);
    plan_stream(&offsets, coder, 2).write(false, &mut grid);
    if grid.len() < out.len() {
        out = grid;
    }
    if out.len() > max_times_bytes(times.len()) {
        // Costs are estimates; the bound is not.
        out.clear();
        out.push(STREAM | rising);
        Plan::plain(times).write(false, &mut out);
    }
    out.shrink_to_fit();
    Ok(out)
}

fn is_rising(times: &[i64]) -> bool {
    times.iter().zip(times.iter().skip(1)).all(|(a, b)| a < b)
}

/// Appends the timestamps of a column of so many rows. On an error `out` is as it was.
pub fn decode_times(
    bytes: &[u8],
    rows: usize,
    out: &mut Vec<i64>,
) -> Result<TimesFlags, PageError> {
    if rows > MAX_ROWS {
        return Err(PageError::TooManyRows { rows });
    }
    let start = out.len();
    if rows == 0 {
        Cursor::new(bytes).end()?;
        return Ok(TimesFlags {
            rising: true,
            step: None,
        });
    }
    let result = decode(bytes, rows, start, out);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

fn decode(
    bytes: &[u8],
    rows: usize,
    start: usize,
    out: &mut Vec<i64>,
) -> Result<TimesFlags, PageError> {
    let mut cursor = Cursor::new(bytes);
    let head = cursor.u8()?;
    if head >> 5 != 0 {
        return Err(PageError::corrupt("time column head"));
    }
    let mut regular = None;
    let row_numbers = 0i64..;
    match head & 0x0f {
        REGULAR => {
            let first = cursor.zigzag()?;
            let step = if rows > 1 { cursor.zigzag()? } else { 0 };
            let time = |row: i64| first.wrapping_add(row.wrapping_mul(step));
            out.extend(row_numbers.take(rows).map(time));
            regular = (rows > 1).then_some(step);
        }
        kind @ (STREAM | GRID) => {
            let step = if kind == GRID { cursor.zigzag()? } else { 0 };
            out.resize(start + rows, 0);
            let times = out.get_mut(start..).unwrap_or_default();
            decode_stream(&mut cursor, times, &(0..rows))?;
            if kind == GRID {
                for (row, t) in row_numbers.zip(times) {
                    *t = t.wrapping_add(row.wrapping_mul(step));
                }
            }
        }
        _ => return Err(PageError::corrupt("time column kind")),
    }
    cursor.end()?;
    let rising = head & RISING != 0;
    if rising && !is_rising(out.get(start..).unwrap_or_default()) {
        return Err(PageError::corrupt("times do not rise"));
    }
    Ok(TimesFlags {
        rising,
        step: regular,
    })
}
