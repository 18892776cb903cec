mod reference;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const STALE: u64 = 0x7ff0_0000_0000_0002;

const OPTIONS: [PageOptions; 4] = [
    PageOptions::HEAD,
    PageOptions::BLOCK,
    PageOptions {
        coder: Coder::Tans {
            min_gain_percent: 0,
        },
        restarts: false,
    },
    PageOptions {
        coder: Coder::Packed,
        restarts: false,
    },
];

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// Writes, reads whole and in ranges, and compares bit by bit. Gives the page.
#[track_caller]
fn round_trip(values: &[f64], options: PageOptions) -> Vec<u8> {
    let page = encode_page(values, options).unwrap();
    assert!(page.len() <= max_page_bytes(values.len()));
    let mut out = vec![1.5];
    let flags = decode_page(&page, values.len(), &mut out).unwrap();
    assert_eq!(out[0], 1.5);
    assert_eq!(bits(&out[1..]), bits(values), "{}", page_mode(&page));
    assert_eq!(flags, PageFlags::of(values));
    assert_eq!(reference::decode(&page, values.len()), bits(values));
    assert_eq!(flags, page_flags(&page));
    let rows = values.len();
    let ranges = [
        0..rows,
        0..rows / 3,
        rows / 2..rows,
        rows / 4..rows / 4 * 3,
        rows - 1..rows,
    ];
    for range in ranges
        .into_iter()
        .chain([119..121, 120..240, 240..241, 0..1])
    {
        if range.end > rows {
            continue;
        }
        let mut out = vec![];
        decode_page_range(&page, rows, range.clone(), &mut out).unwrap();
        assert_eq!(bits(&out), bits(&values[range.clone()]), "rows {range:?}");
    }
    page
}

#[track_caller]
fn all_options(values: &[f64]) -> Vec<u8> {
    OPTIONS
        .iter()
        .map(|&o| round_trip(values, o))
        .min_by_key(Vec::len)
        .unwrap()
}

/// Numbers without a pattern, the same in every run.
fn noise(n: usize, seed: u64) -> impl Iterator<Item = u64> {
    let mut x = seed;
    (0..n).map(move |_| {
        x = x
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        x ^ x >> 29
    })
}

/// Pages that must be readable for ever.
#[test]
fn old_pages_are_read() {
    let rising: Vec<f64> = (0..6).map(|i| f64::from(i) * 10.0 + 5.0).collect();
    let pages: [(&[u8], &[f64]); 11] = [
        // Constants: a staleness marker, bits given, 0.25, -3.
        (&[0x00, 0], &[f64::from_bits(STALE); 3]),
        (&[0x10, 5, 1, 0, 0, 0, 0, 0, 0, 0], &[5e-324; 2]),
        (&[0x31, 2, 50], &[0.25; 4]),
        (&[0x72, 5], &[-3.0; 1024]),
        // Integers of order 0, base 5, divisor 10, 3 bits: 0 to 5.
        (
            &[0x73, 0x18, 10, 10, 3, 0b1000_1000, 0b1100_0110, 0b10],
            &rising,
        ),
        // Order 1, first 5, base 10, no bits.
        (&[0x73, 0x11, 10, 20, 0], &rising),
        // Order 2, first 5, difference 10, no bits.
        (&[0x73, 0x02, 10, 20, 0], &rising),
        // The same with a patch: the third number after the first two rows is -10, zigzag 19.
        (
            &[0x53, 0x46, 10, 20, 0, 1, 2, 19],
            &[5.0, 15.0, 25.0, 35.0, 35.0, 35.0],
        ),
        // Decimals, divided and multiplied, with rows 1 and 2 +Inf.
        (
            &[0x94, 1, 1, 0x15, 0, 0x01, 6, 0],
            &[0.3, f64::INFINITY, f64::INFINITY, 0.3],
        ),
        (&[0x34, 33, 0x11, 2, 2, 0], &[0.1, 0.2, 3.0 * 0.1]),
        // A dictionary of 1.5 and -0: which, in one bit each.
        (
            &[0x17, 1, 1, 1, 30, 4, 0x00, 1, 0b0101],
            &[-0.0, 1.5, -0.0, 1.5],
        ),
    ];
    for (page, values) in pages {
        let mut out = vec![];
        decode_page(page, values.len(), &mut out).unwrap();
        assert_eq!(bits(&out), bits(values), "{page:x?}");
        assert_eq!(
            reference::decode(page, values.len()),
            bits(values),
            "{page:x?}"
        );
    }
}

/// What they were written as when the format was fixed.
#[test]
fn old_pages_of_other_modes_are_read() {
    let pages = [
        "53000313442000b031010a43288282306ab9",
        "1403201494a6d4cbf5febdeedfce151f245e92a6b429d8579c60284e5b8b1feb428146126e300a9ae2d85137\
         ee8678c9aaf79f528f860c0e55275cfa471e60deab87d1c13f289d2a32c2e085a01e3cc0275fd3ed0dfc43",
        "531804800103e47cb750b3d0376a40",
        "35094211ecee62f0a903140ff0e195d23d6c080000e5a57b9782644201b55d9d510c4e86400ae7f12f8e0260\
         a036eeca1a9f2a641809b528f4f5e5752c1375f795cf4b150105000264a000048201",
        "183f0000000000002b87e33d409a23ebb9a3fccb4d35d7025200",
    ];
    for (hex, values) in pages.into_iter().zip(vectors()) {
        let byte = |i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap();
        let page: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        let mut out = vec![];
        decode_page(&page, values.len(), &mut out).unwrap();
        assert_eq!(bits(&out), bits(&values));
    }
}

/// Values that make pages of the modes that are not written by hand.
fn vectors() -> [Vec<f64>; 5] {
    [
        // Two sets of tokens, small and large.
        noise(40, 21)
            .map(|x| (x % 5 * (x >> 8) % 7) as f64)
            .collect(),
        noise(40, 22)
            .map(|x| ((x % 1_000_000) >> (x >> 32) % 16) as f64 / 1000.0)
            .collect(),
        // One token: lengths of 5 bits.
        noise(24, 23).map(|x| (16 + x % 8) as f64 * 4.0).collect(),
        // A residual and XORs.
        noise(24, 24)
            .scan(0.0, |sum, x| {
                *sum += (x % 1_000_000) as f64 / 1e9;
                Some(*sum)
            })
            .collect(),
        noise(12, 6)
            .map(|x| f64::from_bits((x & 0xff) << 56 | 0x3f))
            .collect(),
    ]
}

#[test]
fn constants_take_few_bytes() {
    for (value, bytes) in [
        (0.0, 2),
        (1.0, 2),
        (-1.0, 2),
        (1e6, 4),
        (0.25, 3),
        (0.1 + 0.2, 10),
        (f64::from_bits(STALE), 2),
        (f64::from_bits(0x7ff8_0000_0000_0001), 2),
        (f64::NAN, 10),
        (f64::INFINITY, 2),
        (-0.0, 2),
        (5e-324, 10),
        (f64::MAX, 10),
    ] {
        for rows in [1, 2, 120, MAX_ROWS] {
            let page = all_options(&vec![value; rows]);
            assert!(page.len() <= bytes, "{value}: {page:?}");
            assert_eq!(page_mode(&page), "constant");
            assert!(page_flags(&page).constant);
        }
    }
}

#[test]
fn every_mode_is_used_where_it_is_best() {
    let counter: Vec<f64> = noise(480, 1)
        .scan(0.0, |s, x| {
            *s += (x % 1000) as f64;
            Some(*s)
        })
        .collect();
    assert_eq!(page_mode(&all_options(&counter)), "integer");
    assert!(page_flags(&all_options(&counter)).monotone);
    let gauge: Vec<f64> = noise(480, 2)
        .map(|x| (x % 100_000) as f64 / 100.0)
        .collect();
    assert_eq!(page_mode(&all_options(&gauge)), "decimal");
    let sum: Vec<f64> = noise(480, 3)
        .scan(0.0, |s, x| {
            *s += (x % 1_000_000) as f64 / 1e9;
            Some(*s)
        })
        .collect();
    assert_eq!(page_mode(&all_options(&sum)), "decimal+residual");
    let quantile: Vec<f64> = noise(480, 4).map(|x| 1.0 / (3 + x % 7) as f64).collect();
    assert_eq!(page_mode(&all_options(&quantile)), "dictionary");
    let near: Vec<f64> = noise(480, 5)
        .map(|x| f64::from_bits(1e300f64.to_bits() + x % 1000))
        .collect();
    assert_eq!(page_mode(&all_options(&near)), "ordered bits");
    let words: Vec<f64> = noise(480, 6)
        .map(|x| f64::from_bits((x & 0xff) << 56 | 0x3f))
        .collect();
    assert_eq!(page_mode(&all_options(&words)), "xor");
}

#[test]
fn pages_shrink_as_they_should() {
    let line: Vec<f64> = (0..480).map(|i| f64::from(i) * 15.0 + 7.0).collect();
    assert!(all_options(&line).len() <= 8, "{:?}", all_options(&line));
    let mut steps = vec![3.0; 480];
    steps[200..].fill(4.0);
    assert!(all_options(&steps).len() <= 12, "{:?}", all_options(&steps));
    let mut ended = vec![42.5; 300];
    ended.extend([f64::from_bits(STALE)].repeat(180));
    assert!(all_options(&ended).len() <= 12, "{:?}", all_options(&ended));
    // A uniform byte is a byte: models and headers cost little.
    let bytes: Vec<f64> = noise(1024, 9).map(|x| (x % 256) as f64).collect();
    assert!(all_options(&bytes).len() <= 1024 + 16);
    // One in sixteen is not 0: entropy 0.34 bits and 4 bits for which.
    let rare: Vec<f64> = noise(1024, 10)
        .map(|x| {
            if x % 16 == 0 {
                (1 + x / 16 % 15) as f64
            } else {
                0.0
            }
        })
        .collect();
    let page = round_trip(&rare, OPTIONS[2]);
    assert!(page.len() <= 100, "{}", page.len());
}

#[test]
fn special_values_come_back() {
    let special = [
        -0.0,
        0.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        f64::from_bits(STALE),
        f64::from_bits(0x7ff8_0000_0000_0001),
        f64::from_bits(0xfff8_dead_0000_0001),
        5e-324,
        f64::MAX,
        f64::MIN,
        0.1,
        9.223372036854776e18,
        1.8446744073709552e19,
        -1e-300,
        1e22,
        1e17,
    ];
    for rows in [2, 3, 17, 121, 480, 1024] {
        let mixed: Vec<f64> = noise(rows, 7)
            .map(|x| special[x as usize % special.len()])
            .collect();
        all_options(&mixed);
        for s in special {
            let counter: Vec<f64> = (0..rows)
                .map(|i| {
                    if i % 50 == 3 || i + 1 == rows {
                        s
                    } else {
                        i as f64 * 3.0
                    }
                })
                .collect();
            all_options(&counter);
            let tail: Vec<f64> = (0..rows)
                .map(|i| if i > rows / 2 { s } else { i as f64 / 8.0 })
                .collect();
            all_options(&tail);
        }
    }
}

#[test]
fn extremes_of_every_shape_come_back() {
    let wide = [
        i64::MIN,
        i64::MAX,
        0,
        -1,
        1,
        i64::MAX,
        i64::MIN,
        i64::MIN,
        7,
    ];
    for rows in 2..40 {
        let values: Vec<f64> = (0..rows)
            .map(|i| f64::from_bits(wide[i % wide.len()] as u64))
            .collect();
        all_options(&values);
        let values: Vec<f64> = (0..rows).map(|i| (1u64 << (i % 64)) as f64).collect();
        all_options(&values);
        let values: Vec<f64> = (0..rows).map(|i| 9e18 * (i % 3) as f64 - 9e18).collect();
        all_options(&values);
    }
}

#[test]
fn flags_are_true() {
    let flags = |v: &[f64]| {
        let f = page_flags(&encode_page(v, PageOptions::BLOCK).unwrap());
        (f.dense, f.monotone, f.integer, f.constant)
    };
    assert_eq!(flags(&[1.0, 2.0, 2.0]), (true, true, true, false));
    assert_eq!(flags(&[1.0, 2.5, 2.0]), (true, false, false, false));
    assert_eq!(flags(&[1.0, f64::NAN]), (false, false, false, false));
    assert_eq!(
        flags(&[f64::NEG_INFINITY, -0.0, 0.0, f64::INFINITY]),
        (true, true, false, false)
    );
    assert_eq!(flags(&[2f64.powi(53); 4]), (true, true, false, true));
    assert_eq!(
        flags(&[f64::from_bits(STALE); 4]),
        (false, false, false, true)
    );
}

#[test]
fn too_many_rows_and_bad_ranges_are_refused() {
    let many = vec![0.0; MAX_ROWS + 1];
    let error = PageError::TooManyRows { rows: MAX_ROWS + 1 };
    assert_eq!(encode_page(&many, PageOptions::HEAD), Err(error));
    let mut out = vec![];
    assert_eq!(decode_page(&[2, 0], MAX_ROWS + 1, &mut out), Err(error));
    #[expect(clippy::reversed_empty_ranges, reason = "what is refused")]
    for range in [0..6, 3..2, 6..6] {
        let result = decode_page_range(&[2, 0], 5, range, &mut out);
        assert_eq!(result, Err(PageError::BadRange));
    }
    assert_eq!(encode_page(&[], PageOptions::HEAD), Ok(vec![]));
    assert!(decode_page(&[], 0, &mut out).is_ok());
    assert!(decode_page(&[2, 0], 0, &mut out).is_err());
    assert!(decode_page(&[], 1, &mut out).is_err());
    assert!(out.is_empty());
}

#[test]
fn ends_cut_short_or_lengthened_are_refused() {
    let pages: [Vec<f64>; 4] = [
        noise(300, 1).map(|x| (x % 1000) as f64).collect(),
        noise(300, 2).map(|x| x as f64 / 3.0).collect(),
        noise(300, 3).map(|x| (x % 5) as f64 / 3.0).collect(),
        noise(300, 4)
            .map(|x| {
                if x % 9 == 0 {
                    f64::NAN
                } else {
                    (x % 70) as f64
                }
            })
            .collect(),
    ];
    for values in &pages {
        for options in OPTIONS {
            let page = encode_page(values, options).unwrap();
            for n in 0..page.len() {
                let mut out = vec![];
                let cut = decode_page(&page[..n], 300, &mut out);
                // tANS states at the front may fit fewer bytes; what is cut is the back.
                assert!(
                    cut.is_err() || bits(&out) != bits(values),
                    "{n} of {}",
                    page.len()
                );
            }
            let mut longer = page.clone();
            longer.push(0);
            let mut out = vec![];
            let result = decode_page(&longer, 300, &mut out);
            assert!(result.is_err() || bits(&out) != bits(values));
        }
    }
}

/// Floats of many kinds, in the mixtures that real series have.
fn values() -> impl Strategy<Value = Vec<f64>> {
    let special = prop_oneof![
        Just(STALE),
        Just(0x7ff8_0000_0000_0001),
        Just(f64::INFINITY.to_bits()),
        Just(1u64 << 63),
        any::<u64>(),
    ]
    .prop_map(f64::from_bits);
    let counters = (vec(0u32..2000, 1..1024), 0u8..4, 1u32..200).prop_map(|(steps, e, reset)| {
        let mut sum = 0u64;
        let scale = 10f64.powi(i32::from(e));
        let next = |s: u32| {
            sum = if s % (reset * 50) == 1 {
                0
            } else {
                sum + u64::from(s)
            };
            sum as f64 / scale
        };
        steps.into_iter().map(next).collect::<Vec<f64>>()
    });
    let gauges = (vec(-5000i32..5000, 1..1024), 0u8..18).prop_map(|(v, e)| {
        v.into_iter()
            .map(|i| f64::from(i) / 10f64.powi(e.into()))
            .collect()
    });
    let few = (vec(any::<u64>(), 1..60), vec(any::<u8>(), 1..1024)).prop_map(|(d, v)| {
        v.into_iter()
            .map(|i| f64::from_bits(d[usize::from(i) % d.len()]))
            .collect()
    });
    let sums = vec(0.0..1e-3, 1..1024).prop_map(|v| {
        v.into_iter()
            .scan(0.0, |s, x| {
                *s += x;
                Some(*s)
            })
            .collect()
    });
    let bits = vec(any::<u64>(), 1..1024).prop_map(|v| v.into_iter().map(f64::from_bits).collect());
    let shifted = (vec(any::<u64>(), 1..600), 0u32..64, any::<u64>()).prop_map(|(v, s, base)| {
        v.into_iter()
            .map(|x| f64::from_bits(base.wrapping_add(x >> s)))
            .collect()
    });
    let bases = prop_oneof![counters, gauges, few, sums, bits, shifted];
    (
        bases,
        vec((any::<prop::sample::Index>(), 1usize..40, special), 0..6),
    )
        .prop_map(|(mut values, runs)| {
            for (at, rows, value) in runs {
                let at = at.index(values.len());
                let end = (at + rows).min(values.len());
                values[at..end].fill(value);
            }
            values
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_values_come_back(values in values(), options in 0usize..4) {
        round_trip(&values, OPTIONS[options]);
    }

    #[test]
    fn any_range_comes_back(
        values in values(),
        options in 0usize..4,
        a in any::<prop::sample::Index>(),
        b in any::<prop::sample::Index>(),
    ) {
        let (a, b) = (a.index(values.len() + 1), b.index(values.len() + 1));
        let range = a.min(b)..a.max(b);
        let page = encode_page(&values, OPTIONS[options]).unwrap();
        let mut out = vec![];
        decode_page_range(&page, values.len(), range.clone(), &mut out).unwrap();
        prop_assert_eq!(bits(&out), bits(&values[range]));
    }

    #[test]
    fn any_bytes_give_values_or_an_error(
        head in 0u8..=255, mut bytes in vec(any::<u8>(), 0..300), rows in 0usize..1100,
        a in 0usize..1100, n in 0usize..1100,
    ) {
        if let Some(first) = bytes.first_mut() {
            *first = head;
        }
        let mut out = vec![2.0];
        match decode_page(&bytes, rows, &mut out) {
            Ok(_) => prop_assert_eq!(out.len(), rows + 1),
            Err(_) => prop_assert_eq!(out.len(), 1),
        }
        let mut part = vec![];
        let range = decode_page_range(&bytes, rows, a..a.saturating_add(n), &mut part);
        prop_assert_eq!(part.len(), if range.is_ok() { n } else { 0 });
        let _ = decode_bundle(&bytes, rows, &mut out);
        let _ = decode_bundle_column(&bytes, rows, n % 9, &mut out);
    }

    #[test]
    fn damaged_pages_give_values_or_an_error(
        values in values(), options in 0usize..4,
        flips in vec((any::<prop::sample::Index>(), 0u8..8), 1..4),
        cut in any::<prop::sample::Index>(), rows in 1usize..1024,
    ) {
        let mut page = encode_page(&values, OPTIONS[options]).unwrap();
        for (at, bit) in flips {
            let at = at.index(page.len());
            page[at] ^= 1 << bit;
        }
        for (bytes, rows) in [
            (&page[..], values.len()),
            (&page[..], rows),
            (&page[..cut.index(page.len())], values.len()),
        ] {
            let mut out = vec![];
            let result = decode_page(bytes, rows, &mut out);
            prop_assert_eq!(out.len(), if result.is_ok() { rows } else { 0 });
            // Restart points say some things twice, so a damaged page may contradict itself.
            let mut part = vec![];
            let range = rows / 3..rows / 2;
            let result = decode_page_range(bytes, rows, range.clone(), &mut part);
            prop_assert_eq!(part.len(), if result.is_ok() { range.len() } else { 0 });
        }
    }

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
