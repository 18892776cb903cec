use proptest::prelude::*;

use super::*;

fn encode(samples: &[(i64, u64)]) -> Vec<u8> {
    let mut chunk = XorAppender::new();
    for (t, v) in samples {
        chunk.append(*t, f64::from_bits(*v)).unwrap();
    }
    assert_eq!(usize::from(chunk.count()), samples.len());
    chunk.into_bytes()
}

fn decode(chunk: &[u8]) -> Result<Vec<(i64, u64)>, CodecError> {
    XorIter::new(chunk)?
        .map(|s| s.map(|(t, v)| (t, v.to_bits())))
        .collect()
}

/// Text of zeros and ones, filled up to whole bytes.
fn bits(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|b| *b != b' ')
        .map(|b| b - b'0')
        .collect();
    digits
        .chunks(8)
        .map(|c| c.iter().enumerate().fold(0, |v, (i, b)| v | b << (7 - i)))
        .collect()
}

/// Worked out by hand from the description in docs/format/chunk.md.
#[test]
fn known_bytes() {
    let one = 1.0f64.to_bits(); // 3ff0000000000000
    let two = 2.0f64.to_bits(); // 4000000000000000, xor 7ff0000000000000: 1 leading, 52 trailing
    let samples = [
        (1000, one),
        (16000, two),   // delta 15000
        (31000, two),   // dod 0
        (46001, one),   // dod 1, same window
        (61001, one),   // dod -1
        (200_000, two), // delta 138999, dod 123999: 20 bits
    ];
    let mut want = vec![0, 6];
    // zigzag 2000 as a varint, then the first value.
    want.extend([0xd0, 0x0f, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0]);
    // 15000 as a varint.
    want.extend([0x98, 0x75]);
    want.extend(bits(concat!(
        "11 00001 001011 11111111111", // new window: 1 leading, 11 bits
        "0 0",                         // dod 0, same value
        "10 00000000000001 10 11111111111",
        "10 11111111111111 0",
        "1110 00011110010001011111 10 11111111111",
    )));
    assert_eq!(encode(&samples), want);
    assert_eq!(decode(&want).unwrap(), samples);
}

#[test]
fn edges_of_the_delta_of_delta_ranges() {
    for (i, width) in [14u32, 17, 20].into_iter().enumerate() {
        let limit = 1i64 << (width - 1);
        for (dod, fits) in [
            (limit, true),
            (limit + 1, false),
            (1 - limit, true),
            (-limit, false),
        ] {
            let samples = [(0, 0), (1 << 40, 0), ((2 << 40) + dod, 0)];
            let chunk = encode(&samples);
            assert_eq!(decode(&chunk).unwrap(), samples);
            // 2 count, 1 + 8 first, 6 second, its value bit; then the ones of the prefix.
            let ones = (chunk[17] << 1).leading_ones() as usize;
            assert_eq!(ones == i + 1, fits, "{width} bits, {dod}");
        }
    }
}

#[test]
fn a_full_width_window_is_written_as_zero() {
    let samples = [(0, 0), (1, u64::MAX), (2, 0)];
    assert_eq!(decode(&encode(&samples)).unwrap(), samples);
    // 63 bits apart from the 31 leading zeros that five bits can say.
    let samples = [(0, 0), (1, 1), (2, 3), (3, 1 << 63)];
    assert_eq!(decode(&encode(&samples)).unwrap(), samples);
}

#[test]
fn a_chunk_takes_65535_samples() {
    let mut chunk = XorAppender::new();
    for i in 0..65535 {
        chunk.append(i, i as f64).unwrap();
    }
    assert_eq!(chunk.append(65535, 0.0), Err(CodecError::ChunkFull));
    assert_eq!(chunk.last(), Some((65534, 65534.0)));
    assert_eq!(decode(chunk.bytes()).unwrap().len(), 65535);
}

#[test]
fn hostile_windows() {
    // Second sample with 31 leading zeros and 63 bits.
    let mut chunk = vec![0, 2, 0];
    chunk.extend([0; 8]);
    chunk.push(0);
    chunk.extend(bits("11 11111 111111 0"));
    chunk.extend([0; 16]);
    assert_eq!(decode(&chunk), Err(CodecError::BadWindow));
    // The window of "reuse" before there is one is the whole value, as Prometheus reads it.
    let mut chunk = vec![0, 2, 0];
    chunk.extend([0; 8]);
    chunk.push(0);
    chunk.extend(bits(&format!("10 {:064b}", 5)));
    assert_eq!(decode(&chunk).unwrap(), [(0, 0), (0, 5)]);
}

fn any_samples() -> impl Strategy<Value = Vec<(i64, u64)>> {
    let time = prop_oneof![
        any::<i64>(),
        0..1_000_000i64,
        Just(i64::MIN),
        Just(i64::MAX)
    ];
    let value = prop_oneof![
        any::<u64>(),
        any::<f64>().prop_map(f64::to_bits),
        (0..100u32).prop_map(|v| f64::from(v).to_bits()),
        Just(0x7ff0_0000_0000_0002),
    ];
    proptest::collection::vec((time, value), 0..200)
}

fn steady_samples() -> impl Strategy<Value = Vec<(i64, u64)>> {
    let steps = proptest::collection::vec((14_990..15_010i64, 0..50u32), 0..200);
    (any::<i64>(), steps).prop_map(|(start, steps)| {
        let (mut t, mut v) = (start, 0.0);
        let step = |(dt, dv): (i64, u32)| {
            t = t.wrapping_add(dt);
            v += f64::from(dv);
            (t, f64::to_bits(v))
        };
        steps.into_iter().map(step).collect()
    })
}

proptest! {
    #[test]
    fn any_bits_come_back(samples in any_samples()) {
        let chunk = encode(&samples);
        prop_assert!(chunk.len() <= max_chunk_bytes(samples.len()));
        prop_assert_eq!(decode(&chunk).unwrap(), samples);
    }

    #[test]
    fn steady_series_come_back(samples in steady_samples()) {
        prop_assert_eq!(decode(&encode(&samples)).unwrap(), samples);
    }

    #[test]
    fn random_bytes_do_no_harm(bytes: Vec<u8>) {
        if let Ok(iter) = XorIter::new(&bytes) {
            prop_assert!(iter.count() <= 65536);
        }
    }

    #[test]
    fn a_truncated_chunk_gives_its_first_samples(samples in any_samples(), cut: usize) {
        let chunk = encode(&samples);
        let cut = cut % (chunk.len() + 1);
        let Ok(iter) = XorIter::new(&chunk[..cut]) else {
            prop_assert!(cut < 2);
            return Ok(());
        };
        let got: Vec<_> = iter.map_while(Result::ok).map(|(t, v)| (t, v.to_bits())).collect();
        prop_assert!(samples.starts_with(&got));
    }
}
