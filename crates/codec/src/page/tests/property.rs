//! Any values come back, any bytes are answered.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

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
}
