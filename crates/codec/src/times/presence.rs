//! Which rows of a time column a series has: docs/format/page.md section 8.

use std::ops::Range;

use crate::page::{Cursor, MAX_ROWS, PageError, put_varint};

const RUNS: u8 = 0;
const BITMAP: u8 = 1;

/// Bytes that a presence list of so many rows takes at most.
pub const fn max_presence_bytes(rows: usize) -> usize {
    1 + rows.div_ceil(8)
}

/// Writes runs of present rows, rising, not empty and not touching each other.
pub fn encode_presence(runs: &[Range<usize>], rows: usize) -> Result<Vec<u8>, PageError> {
    if rows > MAX_ROWS {
        return Err(PageError::TooManyRows { rows });
    }
    let mut out = vec![RUNS];
    let mut end = 0;
    for (i, run) in runs.iter().enumerate() {
        let apart = run.start > end || i == 0;
        if !apart || run.start >= run.end || run.end > rows {
            return Err(PageError::BadRuns);
        }
        put_varint(&mut out, (run.start - end) as u64);
        if run.end < rows {
            put_varint(&mut out, run.len() as u64);
        }
        end = run.end;
    }
    if out.len() > max_presence_bytes(rows) {
        let mut bits = vec![0u8; rows.div_ceil(8)];
        for row in runs.iter().cloned().flatten() {
            if let Some(byte) = bits.get_mut(row / 8) {
                *byte |= 1 << (row % 8);
            }
        }
        out.clear();
        out.push(BITMAP);
        out.extend_from_slice(&bits);
    }
    Ok(out)
}

/// Reads the runs of present rows back.
pub fn decode_presence(bytes: &[u8], rows: usize) -> Result<Vec<Range<usize>>, PageError> {
    if rows > MAX_ROWS {
        return Err(PageError::TooManyRows { rows });
    }
    let mut cursor = Cursor::new(bytes);
    let mut runs: Vec<Range<usize>> = Vec::new();
    match cursor.u8()? {
        RUNS => {
            let (mut at, mut present) = (0, false);
            while !cursor.rest().is_empty() {
                let length = cursor.count(rows - at, "presence run")?;
                if length == 0 && (at > 0 || present) {
                    return Err(PageError::corrupt("empty presence run"));
                }
                let end = at + length;
                if end == rows {
                    return Err(PageError::corrupt("last presence run"));
                }
                if present {
                    runs.push(at..end);
                }
                present = !present;
                at = end;
            }
            if present {
                runs.push(at..rows);
            }
        }
        BITMAP => {
            let bits = cursor.take(rows.div_ceil(8))?;
            cursor.end()?;
            let row_bits = bits
                .iter()
                .flat_map(|&byte| (0..8).map(move |i| byte >> i & 1 != 0));
            for (row, present) in row_bits.enumerate() {
                if !present {
                    continue;
                }
                if row >= rows {
                    return Err(PageError::corrupt("presence behind the last row"));
                }
                match runs.last_mut() {
                    Some(run) if run.end == row => run.end += 1,
                    _ => runs.push(row..row + 1),
                }
            }
        }
        _ => return Err(PageError::corrupt("presence kind")),
    }
    Ok(runs)
}
