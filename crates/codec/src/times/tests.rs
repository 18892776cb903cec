use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const CODERS: [Coder; 2] = [
    Coder::Packed,
    Coder::Tans {
        min_gain_percent: 0,
    },
];

#[track_caller]
fn round_trip(times: &[i64]) -> usize {
    let mut least = usize::MAX;
    for coder in CODERS {
        let bytes = encode_times(times, coder).unwrap();
        assert!(bytes.len() <= max_times_bytes(times.len()));
        let mut out = vec![5];
        let flags = decode_times(&bytes, times.len(), &mut out).unwrap();
        assert_eq!(&out[1..], times);
        assert_eq!(flags.rising, times.windows(2).all(|w| w[0] < w[1]));
        let step = flags.step.filter(|_| times.len() > 1);
        assert!(step.is_none_or(|s| times.windows(2).all(|w| w[1].wrapping_sub(w[0]) == s)));
        least = least.min(bytes.len());
    }
    least
}

#[test]
fn regular_columns_take_few_bytes() {
    let start = 1_790_000_000_123;
    let mut times: Vec<i64> = (0..480).map(|i| start + i * 15_000).collect();
    assert!(round_trip(&times) <= 11);
    // One scrape late, then a gap of ten minutes.
    times[100] += 37;
    assert!(round_trip(&times) <= 20, "{}", round_trip(&times));
    for t in &mut times[300..] {
        *t += 600_000;
    }
    assert!(round_trip(&times) <= 26, "{}", round_trip(&times));
    // Jitter of up to 8 ms everywhere: 4 bits each.
    let jittered: Vec<i64> = (0..480)
        .map(|i| start + i * 15_000 + ((i * i * 2654435761) >> 7) % 16)
        .collect();
    assert!(round_trip(&jittered) <= 270, "{}", round_trip(&jittered));
}

/// Columns and lists that must be readable for ever.
#[test]
fn old_columns_are_read() {
    let columns: [(&[u8], &[i64]); 4] = [
        (&[0x10, 20], &[10]),
        (&[0x10, 20, 10], &[10, 15, 20, 25]),
        // A stream of order 1 and base 5, a gap of 20 after the second row.
        (&[0x11, 0x51, 20, 10, 0, 1, 1, 20], &[10, 15, 40, 45]),
        // A grid of step 10 and offsets of two bits from 7.
        (&[0x12, 20, 0x10, 14, 2, 0b0110_0100], &[7, 18, 29, 38]),
    ];
    for (bytes, times) in columns {
        let mut out = vec![];
        decode_times(bytes, times.len(), &mut out).unwrap();
        assert_eq!(out, times);
    }
    assert_eq!(decode_presence(&[0, 2, 3, 1], 9).unwrap(), [2..5, 6..9]);
    assert_eq!(
        decode_presence(&[1, 0b1101_1001, 1], 9).unwrap(),
        [0..1, 3..5, 6..9]
    );
}

#[test]
fn edges_come_back() {
    for times in [
        vec![],
        vec![i64::MIN],
        vec![i64::MAX, i64::MIN],
        vec![0, 0, 0],
        vec![i64::MIN, i64::MAX, 3, 5, 5, -1],
    ] {
        round_trip(&times);
    }
    let many = vec![0; MAX_ROWS + 1];
    assert!(encode_times(&many, Coder::Packed).is_err());
    let mut out = vec![];
    assert!(decode_times(&[0, 0, 0], MAX_ROWS + 1, &mut out).is_err());
    // It says that times rise, and they do not.
    assert!(decode_times(&[RISING, 0, 0], 2, &mut out).is_err());
    assert!(decode_times(&[0, 0, 0], 2, &mut out).is_ok());
    assert_eq!(out, [0, 0]);
}

#[track_caller]
fn presence(present: &[bool]) -> usize {
    let mut runs: Vec<std::ops::Range<usize>> = vec![];
    for (row, _) in present.iter().enumerate().filter(|(_, p)| **p) {
        match runs.last_mut() {
            Some(run) if run.end == row => run.end += 1,
            _ => runs.push(row..row + 1),
        }
    }
    let bytes = encode_presence(&runs, present.len()).unwrap();
    assert!(bytes.len() <= max_presence_bytes(present.len()));
    assert_eq!(decode_presence(&bytes, present.len()).unwrap(), runs);
    bytes.len()
}

#[test]
fn presence_of_few_runs_is_small() {
    assert_eq!(presence(&[true; 480]), 2);
    assert_eq!(presence(&[false; 480]), 1);
    assert_eq!(presence(&[]), 1);
    let late: Vec<bool> = (0..480).map(|i| i >= 77).collect();
    assert_eq!(presence(&late), 2);
    let early: Vec<bool> = (0..480).map(|i| i < 77).collect();
    assert_eq!(presence(&early), 3);
    for rows in [1usize, 8, 13, 480, 1024] {
        let odd: Vec<bool> = (0..rows).map(|i| i % 2 == 1).collect();
        assert!(presence(&odd) <= 1 + rows.div_ceil(8));
    }
    let bad: [&[(usize, usize)]; 5] = [
        &[(0, 0)],
        &[(3, 2)],
        &[(0, 3), (3, 4)],
        &[(5, 6), (1, 2)],
        &[(9, 11)],
    ];
    for runs in bad {
        let runs: Vec<_> = runs.iter().map(|r| r.0..r.1).collect();
        assert_eq!(
            encode_presence(&runs, 10),
            Err(PageError::BadRuns),
            "{runs:?}"
        );
    }
    assert!(encode_presence(&[], MAX_ROWS + 1).is_err());
    assert!(decode_presence(&[0], MAX_ROWS + 1).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_times_come_back(times in vec(any::<i64>(), 0..300)) {
        round_trip(&times);
    }

    #[test]
    fn scrape_times_come_back(
        start in any::<i64>(), step in 1i64..100_000,
        rows in vec((prop_oneof![9 => Just(0i64), 1 => -40i64..40], prop_oneof![30 => Just(1i64), 1 => 1i64..50]), 1..1024),
    ) {
        let mut row = 0i64;
        let times: Vec<i64> = rows.into_iter().map(|(jitter, skip)| {
            row += skip;
            start.wrapping_add(row * step + jitter)
        }).collect();
        round_trip(&times);
    }

    #[test]
    fn any_presence_comes_back(present in vec(any::<bool>(), 0..1024)) {
        presence(&present);
    }

    #[test]
    fn any_bytes_give_times_or_an_error(
        head in 0u8..40, mut bytes in vec(any::<u8>(), 0..200), rows in 0usize..1100,
    ) {
        if let Some(first) = bytes.first_mut() {
            *first = head;
        }
        let mut out = vec![];
        let result = decode_times(&bytes, rows, &mut out);
        prop_assert_eq!(out.len(), if result.is_ok() { rows } else { 0 });
        if let Some(first) = bytes.first_mut() {
            *first &= 1;
        }
        if let Ok(runs) = decode_presence(&bytes, rows) {
            prop_assert!(runs.iter().all(|r| r.start < r.end && r.end <= rows));
            prop_assert!(runs.windows(2).all(|w| w[0].end < w[1].start));
        }
    }

    #[test]
    fn damaged_times_give_times_or_an_error(
        times in vec(0i64..100_000, 1..300), at in any::<prop::sample::Index>(), bit in 0u8..8,
    ) {
        for coder in CODERS {
            let mut bytes = encode_times(&times, coder).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let mut out = vec![];
            let result = decode_times(&bytes, times.len(), &mut out);
            prop_assert_eq!(out.len(), if result.is_ok() { times.len() } else { 0 });
        }
    }
}
