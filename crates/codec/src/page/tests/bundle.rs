//! Histogram bundles.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bundle_comes_back(
        counts in vec(vec(0u32..50, 1..9), 1..300),
        stale in any::<prop::sample::Index>(),
        odd in any::<u64>(),
        options in 0usize..4,
    ) {
        let columns = counts[0].len();
        let mut buckets = vec![vec![]; columns];
        let mut totals = vec![0u64; columns];
        for row in &counts {
            let mut sum = 0;
            for (i, total) in totals.iter_mut().enumerate() {
                *total += u64::from(row.get(i).copied().unwrap_or(0));
                sum += *total;
                buckets[i].push(sum as f64);
            }
        }
        let at = stale.index(counts.len());
        for (i, b) in buckets.iter_mut().enumerate() {
            b[at] = f64::from_bits(if i == 2 { odd } else { STALE });
        }
        let columns: Vec<&[f64]> = buckets.iter().map(Vec::as_slice).collect();
        check_bundle(&columns, OPTIONS[options]);
    }
}

#[track_caller]
fn check_bundle(columns: &[&[f64]], options: PageOptions) -> bool {
    let rows = columns[0].len();
    match encode_bundle(columns, options).unwrap() {
        Bundle::Pages(pages) => {
            for (page, column) in pages.iter().zip(columns) {
                let mut out = vec![];
                decode_page(page, rows, &mut out).unwrap();
                assert_eq!(bits(&out), bits(column));
            }
            false
        }
        Bundle::Bundled(bytes) => {
            assert!(bytes.len() <= max_bundle_bytes(columns.len(), rows));
            let mut out = vec![];
            let flags = decode_bundle(&bytes, rows, &mut out).unwrap();
            assert_eq!(bits(&out), bits(&columns.concat()));
            for (i, column) in columns.iter().enumerate() {
                let mut one = vec![];
                let f = decode_bundle_column(&bytes, rows, i, &mut one).unwrap();
                assert_eq!(bits(&one), bits(column));
                assert_eq!(f, flags[i]);
                let truth = PageFlags::of(column);
                assert_eq!((f.dense, f.monotone), (truth.dense, truth.monotone));
                assert!(truth.constant || !f.constant);
            }
            true
        }
    }
}

#[test]
fn old_bundles_are_read() {
    // 1, 2, 3 and, as differences of 2, 2 and a staleness marker, 3, 4, stale.
    let bytes = [
        1, 0b10, 0x70, 0x00, 5, 0x73, 0x11, 2, 2, 0, 0x93, 1, 0x20, 0x10, 4, 0,
    ];
    let mut out = vec![];
    let flags = decode_bundle(&bytes, 3, &mut out).unwrap();
    assert_eq!(
        bits(&out),
        bits(&[1.0, 2.0, 3.0, 3.0, 4.0, f64::from_bits(STALE)])
    );
    assert_eq!(flags, [PageFlags::of(&out[..3]), PageFlags::of(&out[3..])]);
}

#[test]
fn buckets_of_a_histogram_are_bundled() {
    let mut columns = vec![vec![]; 8];
    let mut totals = [0u64; 8];
    for x in noise(480, 11) {
        for k in 0..x % 50 {
            totals[(x >> (8 + k % 40)) as usize % 8] += 1;
        }
        let mut sum = 0;
        for (column, total) in columns.iter_mut().zip(totals) {
            sum += total;
            column.push(sum as f64);
        }
    }
    let columns: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
    for options in OPTIONS {
        assert!(check_bundle(&columns, options));
        let Bundle::Bundled(bytes) = encode_bundle(&columns, options).unwrap() else {
            unreachable!()
        };
        let own: usize = columns
            .iter()
            .map(|c| encode_page(c, options).unwrap().len())
            .sum();
        assert!(bytes.len() * 10 < own * 9, "{} of {own}", bytes.len());
    }
    assert!(!check_bundle(&columns[..1], PageOptions::BLOCK));
    let bad = [columns[0], &columns[1][1..]];
    assert_eq!(
        encode_bundle(&bad, PageOptions::BLOCK),
        Err(PageError::BadColumns)
    );
    assert_eq!(
        encode_bundle(&[], PageOptions::BLOCK),
        Err(PageError::BadColumns)
    );
}
