//! Start timestamps of a series: docs/format/block.md section 7.

use tsdb_codec::page::{MAX_ROWS, PageOptions};
use tsdb_codec::times::{decode_times, encode_times};
use tsdb_codec::varint::put_uvarint;

use super::bytes::{Bad, Cursor};

/// Writes rows with the start that holds from each on.
pub(super) fn put_starts(starts: &[(usize, i64)]) -> Result<Vec<u8>, Bad> {
    let mut out = Vec::new();
    put_uvarint(&mut out, starts.len() as u64);
    for part in starts.chunks(MAX_ROWS) {
        let rows: Vec<i64> = part.iter().map(|(row, _)| *row as i64).collect();
        let times: Vec<i64> = part.iter().map(|(_, start)| *start).collect();
        for column in [rows, times] {
            let bytes = encode_times(&column, PageOptions::BLOCK.coder)
                .map_err(|_| Bad("start timestamps"))?;
            put_uvarint(&mut out, bytes.len() as u64);
            out.extend(bytes);
        }
    }
    Ok(out)
}

/// Reads the starts of a series of so many rows.
pub(super) fn take_starts(bytes: &[u8], rows: usize) -> Result<Vec<(usize, i64)>, Bad> {
    let mut cursor = Cursor::new(bytes);
    let mut left = cursor.count(rows)?;
    let mut out: Vec<(usize, i64)> = Vec::new();
    let (mut at, mut times) = (Vec::new(), Vec::new());
    while left > 0 {
        let now = left.min(MAX_ROWS);
        left -= now;
        at.clear();
        times.clear();
        decode_times(cursor.blob()?, now, &mut at).map_err(|_| Bad("start timestamps"))?;
        decode_times(cursor.blob()?, now, &mut times).map_err(|_| Bad("start timestamps"))?;
        for (row, start) in at.iter().zip(&times) {
            let row = usize::try_from(*row).map_err(|_| Bad("row of a start"))?;
            if row >= rows || out.last().is_some_and(|last| last.0 >= row) {
                return Err(Bad("row of a start"));
            }
            out.push((row, *start));
        }
    }
    cursor.end()?;
    Ok(out)
}

/// The starts of rows `from..to`, counted from there.
pub(super) fn starts_within(starts: &[(usize, i64)], from: usize, to: usize) -> Vec<(usize, i64)> {
    let first = starts.partition_point(|s| s.0 <= from);
    let holds = first.checked_sub(1).and_then(|i| starts.get(i));
    let mut out = Vec::new();
    if let Some((_, start)) = holds.filter(|s| s.1 != 0 && from < to) {
        out.push((0, *start));
    }
    let later = starts.get(first..).unwrap_or_default();
    out.extend(
        later
            .iter()
            .take_while(|s| s.0 < to)
            .map(|(row, start)| (row - from, *start)),
    );
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn starts_come_back(starts: std::collections::BTreeMap<u16, i64>) {
            let starts: Vec<(usize, i64)> =
                starts.into_iter().map(|(row, t)| (usize::from(row), t)).collect();
            let bytes = put_starts(&starts).unwrap();
            prop_assert_eq!(take_starts(&bytes, 65536), Ok(starts));
        }

        #[test]
        fn any_bytes(bytes: Vec<u8>) {
            let _ = take_starts(&bytes, 5000);
        }
    }

    #[test]
    fn long_lists() {
        let starts: Vec<(usize, i64)> = (0..3000).map(|i| (i * 2, i as i64 * 15_000)).collect();
        let bytes = put_starts(&starts).unwrap();
        assert!(bytes.len() < 60, "{}", bytes.len());
        assert_eq!(take_starts(&bytes, 6000), Ok(starts));
    }

    #[test]
    fn a_part() {
        let starts = [(2, 7), (5, 0), (8, 9)];
        assert_eq!(starts_within(&starts, 0, 3), [(2, 7)]);
        assert_eq!(starts_within(&starts, 3, 9), [(0, 7), (2, 0), (5, 9)]);
        assert_eq!(starts_within(&starts, 6, 8), []);
        assert_eq!(starts_within(&starts, 8, 8), []);
    }
}
