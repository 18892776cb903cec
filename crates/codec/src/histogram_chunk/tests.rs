//! Chunks written and read back, and bytes that are no chunks.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tsdb_model::histogram::CUSTOM_BUCKETS_SCHEMA;
use tsdb_model::{CounterResetHint, FloatHistogram, Histogram, Span, is_stale, stale_nan};

use super::*;

fn span(offset: i32, length: u32) -> Span {
    Span { offset, length }
}

/// A histogram from absolute counts of positive and negative buckets.
fn histogram(zero: u64, positive: &BTreeMap<i32, u64>, negative: &BTreeMap<i32, u64>) -> Histogram {
    let side = |buckets: &BTreeMap<i32, u64>| {
        let (mut spans, mut deltas): (Vec<Span>, Vec<i64>) = Default::default();
        let (mut next, mut before) = (0, 0);
        for (index, count) in buckets {
            match spans.last_mut() {
                Some(last) if *index == next => last.length += 1,
                _ => spans.push(span(index - next, 1)),
            }
            next = index + 1;
            deltas.push(*count as i64 - before);
            before = *count as i64;
        }
        (spans, deltas)
    };
    let (positive_spans, positive_deltas) = side(positive);
    let (negative_spans, negative_deltas) = side(negative);
    let count = zero + positive.values().sum::<u64>() + negative.values().sum::<u64>();
    Histogram {
        schema: 3,
        zero_threshold: 2f64.powi(-128),
        zero_count: zero,
        count,
        sum: count as f64 * 1.7,
        positive_spans,
        negative_spans,
        positive_deltas,
        negative_deltas,
        ..Histogram::default()
    }
}

/// All that a histogram says, however its spans are cut: buckets with observations by index.
fn content(h: &FloatHistogram) -> impl PartialEq + std::fmt::Debug + use<> {
    if is_stale(h.sum) {
        return None;
    }
    let side = |spans: &[Span], counts: &[f64]| {
        let filled = buckets::indices(spans).zip(counts.iter().map(|v| v.to_bits()));
        filled.filter(|(_, v)| *v != 0).collect::<Vec<_>>()
    };
    Some((
        // A threshold of -0 is written as 0.
        (h.schema, h.zero_threshold + 0.0, h.zero_count.to_bits()),
        (h.count.to_bits(), h.sum.to_bits(), h.custom_values.clone()),
        side(&h.positive_spans, &h.positive_buckets),
        side(&h.negative_spans, &h.negative_buckets),
    ))
}

/// Appends all, cutting where asked to.
fn chunks_of<S: SampleState>(samples: &[(i64, S::Histogram)]) -> Vec<Vec<u8>> {
    let mut done = Vec::new();
    let mut open = ChunkAppender::<S>::new();
    for (t, h) in samples {
        if let Appended::Cut(header) = open.append(None, *t, h).unwrap() {
            let before = std::mem::replace(&mut open, ChunkAppender::with_header(header));
            done.push(before.into_bytes());
            assert_eq!(open.append(None, *t, h), Ok(Appended::Added));
        }
    }
    done.push(open.into_bytes());
    done
}

/// Decodes a chunk and checks that encoding the samples again gives the same bytes.
fn read_back<S: SampleState>(chunk: &[u8]) -> Vec<(i64, S::Histogram)> {
    let iter = ChunkIter::<S>::new(chunk).unwrap();
    let mut again = ChunkAppender::<S>::with_header(iter.header());
    let samples: Vec<_> = iter.map(Result::unwrap).collect();
    for (t, h) in &samples {
        assert_eq!(again.append(None, *t, h), Ok(Appended::Added));
    }
    assert_eq!(again.bytes(), chunk);
    samples
}

/// Reads as much as there is to read.
fn drain(bytes: &[u8]) {
    if let Ok(iter) = HistogramIter::new(bytes) {
        iter.for_each(drop);
    }
    if let Ok(iter) = FloatHistogramIter::new(bytes) {
        iter.for_each(drop);
    }
}

/// Chunks that Prometheus 3.5.3 wrote.
const INTEGER_CHUNK: &str = "000800ff3f50624dd2f1a9fc94a568ce317f0000c5e7f2b400000000000000000001f07531c23c3e1fe000666666666666e1cc388008000000000000008004ffffffffffff00801cffffffffffff008002e666666666668080061999999999998080022aaaaaaaaaaa80";
const FLOAT_CHUNK: &str = "000f40ff3f50624dd2f1a9fc94a568ce317f0000c5e7f6d2b0203348000000000020212000000000002012cccccccccccca0210000000000002021000000000000202100000000000020210000000000007c1d4c6f137803dd8f555555555557803e00f803e00d3ef0b8ffffffffffffbc2f785ef0bde16d83fd9df8eaaaaaaaaaaae66650bda27eccfd99999999999ed13f689fb44fda27a0b0f0c26666666666661861851f8f7e1aaaaaaaaaaab1c71c682c33fffffffffffc30c30a173eecbaaaaaaaaaaab9e79e74f61966666666666686186141e389999999999998e38e34361db97aaaaaaaaaaab0c30c28dec17fc30ffffffffffffd82ff60bfd82ff60bf4160efc35555555555560c183050f87bb1d99999999999c3870e180";

#[test]
fn known_chunks() {
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
            .collect()
    };
    let integers = read_back::<IntegerState>(&bytes(INTEGER_CHUNK));
    for (i, (t, h)) in integers.iter().enumerate() {
        let n = 7 * i as i64;
        let hint = if i == 0 {
            CounterResetHint::Unknown
        } else {
            CounterResetHint::NotReset
        };
        let want = Histogram {
            reset_hint: hint,
            schema: 2,
            zero_threshold: 0.001,
            zero_count: n as u64,
            count: 5 * n as u64,
            sum: n as f64 * 0.3,
            positive_spans: vec![span(-2, 2), span(3, 1)],
            negative_spans: vec![span(0, 1)],
            positive_deltas: vec![n, 0, 0],
            negative_deltas: vec![n],
            custom_values: vec![],
        };
        assert_eq!((*t, h), (1_700_000_000_000 + i as i64 * 15_000, &want));
    }
    assert_eq!(integers.len(), 8);

    let floats = bytes(FLOAT_CHUNK);
    let header = FloatHistogramIter::new(&floats).unwrap().header();
    assert_eq!(header, CounterResetHeader::NotReset);
    let floats = read_back::<FloatState>(&floats);
    for (i, (t, h)) in floats.iter().enumerate() {
        let n = 36.0 + i as f64;
        assert_eq!(*t, 1_700_000_540_000 + i as i64 * 15_000);
        assert_eq!(
            (h.zero_count, h.count, h.sum),
            (n + 0.5, 5.0 * n + 0.5, n * 0.3)
        );
        assert_eq!(
            (&h.positive_buckets, &h.negative_buckets),
            (&vec![n; 3], &vec![n])
        );
        assert_eq!(h.positive_spans, [span(-2, 2), span(3, 1)]);
    }
    assert_eq!(floats.len(), 15);
}

#[test]
fn new_buckets_are_recoded_and_resets_cut() {
    let mut positive = BTreeMap::from([(0, 3), (1, 2)]);
    let mut chunk = HistogramAppender::new();
    let h = |p: &BTreeMap<i32, u64>| histogram(1, p, &BTreeMap::new());
    assert_eq!(chunk.append(None, 10, &h(&positive)), Ok(Appended::Added));
    positive.insert(5, 1);
    assert_eq!(chunk.append(None, 20, &h(&positive)), Ok(Appended::Recoded));
    let samples = read_back::<IntegerState>(chunk.bytes());
    assert_eq!(samples[0].1.positive_spans, [span(0, 2), span(3, 1)]);
    assert_eq!(samples[0].1.positive_deltas, [3, -1, -2]);

    // A bucket that was always empty may be missing; one that was not may not.
    let mut without = positive.clone();
    positive.insert(7, 0);
    assert_eq!(chunk.append(None, 30, &h(&positive)), Ok(Appended::Recoded));
    assert_eq!(chunk.append(None, 40, &h(&without)), Ok(Appended::Added));
    without.remove(&5);
    *without.get_mut(&0).unwrap() += 5;
    let before = chunk.bytes().to_vec();
    let cut = Ok(Appended::Cut(CounterResetHeader::Reset));
    assert_eq!(chunk.append(None, 50, &h(&without)), cut);
    assert_eq!(chunk.bytes(), before);
    assert_eq!(chunk.count(), 4);
}

#[test]
fn headers_of_cut_chunks() {
    let base = histogram(1, &BTreeMap::from([(0, 3)]), &BTreeMap::new());
    let finer = Histogram {
        schema: 4,
        ..base.clone()
    };
    let forced = Histogram {
        reset_hint: CounterResetHint::Reset,
        ..base.clone()
    };
    let gauge = Histogram {
        reset_hint: CounterResetHint::Gauge,
        ..base.clone()
    };
    let stale = Histogram {
        sum: stale_nan(),
        ..Histogram::default()
    };
    let cases = [
        (
            &base,
            &finer,
            CounterResetHeader::Unknown,
            CounterResetHeader::Unknown,
        ),
        (
            &base,
            &forced,
            CounterResetHeader::Reset,
            CounterResetHeader::Reset,
        ),
        (
            &base,
            &gauge,
            CounterResetHeader::Gauge,
            CounterResetHeader::Gauge,
        ),
        (
            &gauge,
            &base,
            CounterResetHeader::NotReset,
            CounterResetHeader::Unknown,
        ),
        (
            &stale,
            &base,
            CounterResetHeader::Unknown,
            CounterResetHeader::Unknown,
        ),
    ];
    for (first, second, integer, float) in cases {
        let mut chunk = HistogramAppender::new();
        chunk.append(None, 1, first).unwrap();
        assert_eq!(chunk.append(None, 2, second), Ok(Appended::Cut(integer)));
        let mut chunk = FloatHistogramAppender::new();
        chunk.append(None, 1, &first.to_float()).unwrap();
        assert_eq!(
            chunk.append(None, 2, &second.to_float()),
            Ok(Appended::Cut(float))
        );
    }
    // Chunks that follow each other because the first one is full.
    for (second, header) in [
        (&base, CounterResetHeader::NotReset),
        (&forced, CounterResetHeader::Reset),
        (&gauge, CounterResetHeader::Gauge),
    ] {
        let mut first = HistogramAppender::new();
        first.append(None, 1, &base).unwrap();
        let mut next = HistogramAppender::new();
        next.append(Some(&first), 2, second).unwrap();
        assert_eq!(next.header(), header);
        assert_eq!(next.bytes()[2], header.to_flags());
    }
}

#[test]
fn hints_read_back() {
    let base = histogram(1, &BTreeMap::from([(0, 3)]), &BTreeMap::new());
    let mut chunk = HistogramAppender::with_header(CounterResetHeader::Reset);
    chunk.append(None, 1, &base).unwrap();
    chunk.append(None, 2, &base).unwrap();
    let hints: Vec<_> = read_back::<IntegerState>(chunk.bytes())
        .iter()
        .map(|s| s.1.reset_hint)
        .collect();
    assert_eq!(
        hints,
        [CounterResetHint::Unknown, CounterResetHint::NotReset]
    );
}

#[test]
fn impossible_histograms_are_refused() {
    let mut h = histogram(1, &BTreeMap::from([(0, 3)]), &BTreeMap::new());
    h.positive_deltas.push(1);
    let mut chunk = HistogramAppender::new();
    assert_eq!(
        chunk.append(None, 1, &h),
        Err(HistogramChunkError::InvalidHistogram)
    );
    h.positive_deltas.pop();
    h.schema = 9;
    assert_eq!(
        chunk.append(None, 1, &h),
        Err(HistogramChunkError::UnknownSchema(9))
    );
    assert_eq!(chunk.count(), 0);
}

#[test]
fn layouts_too_large_for_their_chunk() {
    use crate::bits::BitWriter;
    let chunk = |buckets: u64, custom: usize, samples: u16| {
        let mut w = BitWriter::new(vec![(samples >> 8) as u8, samples as u8, 0]);
        w.write_bits(0, 8);
        varbit::put_int(&mut w, i64::from(CUSTOM_BUCKETS_SCHEMA));
        varbit::put_uint(&mut w, 1);
        varbit::put_uint(&mut w, buckets);
        varbit::put_int(&mut w, 0);
        varbit::put_uint(&mut w, 0);
        varbit::put_uint(&mut w, custom as u64);
        (0..custom).for_each(|i| varbit::put_uint(&mut w, i as u64 + 1));
        w.write_bits(0, 64);
        w.into_bytes()
    };
    let large = Some(Err(HistogramChunkError::LayoutTooLarge));
    let wide = chunk(u64::from(u32::MAX), 1, 2);
    assert_eq!(HistogramIter::new(&wide).unwrap().next(), large.clone());
    assert_eq!(
        FloatHistogramIter::new(&wide)
            .unwrap()
            .next()
            .map(|s| s.map(drop)),
        Some(Err(HistogramChunkError::LayoutTooLarge))
    );
    let repeated = chunk(1, 1000, u16::MAX);
    assert_eq!(HistogramIter::new(&repeated).unwrap().next(), large);
    let wider = chunk(u64::from(u32::MAX) + 1, 1, 2);
    let bad = Some(Err(HistogramChunkError::BadSpan));
    assert_eq!(HistogramIter::new(&wider).unwrap().next(), bad);
}

/// One step of a series: what happens to its buckets.
#[derive(Debug, Clone)]
enum Step {
    Observe(Vec<(i32, u16)>, bool),
    DropEmpty,
    Clear,
    Stale,
    Hint(CounterResetHint),
    Scale(i32),
    Custom(Vec<u16>),
    Threshold(f64),
    Sum(f64),
}

fn step() -> impl Strategy<Value = Step> {
    let observations = proptest::collection::vec((-40i32..40, 0u16..500), 0..6);
    prop_oneof![
        8 => (observations, any::<bool>()).prop_map(|(o, n)| Step::Observe(o, n)),
        1 => Just(Step::DropEmpty),
        1 => Just(Step::Clear),
        1 => Just(Step::Stale),
        1 => prop_oneof![
            Just(CounterResetHint::Unknown),
            Just(CounterResetHint::Reset),
            Just(CounterResetHint::NotReset),
            Just(CounterResetHint::Gauge)
        ].prop_map(Step::Hint),
        1 => (-4i32..=8).prop_map(Step::Scale),
        1 => proptest::collection::vec(any::<u16>(), 0..5).prop_map(Step::Custom),
        1 => any::<f64>().prop_map(Step::Threshold),
        1 => any::<f64>().prop_map(Step::Sum),
    ]
}

/// The samples of a series that goes through these steps.
fn series(steps: &[Step]) -> Vec<(i64, Histogram)> {
    let (mut positive, mut negative) = (BTreeMap::new(), BTreeMap::new());
    let mut h = histogram(0, &positive, &negative);
    let mut sum = None;
    let mut samples = Vec::new();
    for (i, step) in steps.iter().enumerate() {
        let mut stale = false;
        match step {
            Step::Observe(observations, on_negative) => {
                let side = if *on_negative && h.schema != CUSTOM_BUCKETS_SCHEMA {
                    &mut negative
                } else {
                    &mut positive
                };
                for (index, count) in observations {
                    *side.entry(*index).or_insert(0u64) += u64::from(*count);
                }
            }
            Step::DropEmpty => {
                positive.retain(|_, count| *count > 0);
                negative.retain(|_, count| *count > 0);
            }
            Step::Clear => positive.clear(),
            Step::Stale => stale = true,
            Step::Hint(hint) => h.reset_hint = *hint,
            Step::Scale(schema) => {
                h.schema = *schema;
                h.custom_values.clear();
            }
            Step::Custom(bounds) => {
                h.schema = CUSTOM_BUCKETS_SCHEMA;
                h.custom_values = bounds.iter().map(|b| f64::from(*b) / 256.0).collect();
            }
            Step::Threshold(v) if !v.is_nan() => h.zero_threshold = *v,
            Step::Threshold(_) => {}
            Step::Sum(v) => sum = Some(*v),
        }
        let fresh = histogram(i as u64, &positive, &negative);
        h = Histogram {
            reset_hint: h.reset_hint,
            schema: h.schema,
            zero_threshold: h.zero_threshold,
            custom_values: h.custom_values,
            sum: sum.filter(|v| !is_stale(*v)).unwrap_or(fresh.sum),
            ..fresh
        };
        let t = 1_700_000_000_000 + i as i64 * 15_000 + i as i64 % 3;
        if stale {
            samples.push((
                t,
                Histogram {
                    sum: stale_nan(),
                    ..Histogram::default()
                },
            ));
        } else {
            samples.push((t, h.clone()));
        }
    }
    samples
}

fn bound<S: SampleState>(samples: &[(i64, S::Histogram)]) -> usize {
    let (mut spans, mut buckets, mut custom) = (0, 0, 0);
    for (_, h) in samples {
        let parts = S::parts(h);
        spans = spans.max(parts.positive_spans.len() + parts.negative_spans.len());
        buckets = buckets.max(parts.positive_len + parts.negative_len);
        custom = custom.max(parts.custom_values.len());
    }
    max_chunk_bytes(samples.len(), spans, buckets, custom)
}

proptest! {
    #[test]
    fn integer_round_trip(steps in proptest::collection::vec(step(), 1..60)) {
        let samples = series(&steps);
        let mut read = Vec::new();
        for chunk in chunks_of::<IntegerState>(&samples) {
            let part = read_back::<IntegerState>(&chunk);
            prop_assert!(chunk.len() <= bound::<IntegerState>(&part));
            read.extend(part);
        }
        prop_assert_eq!(read.len(), samples.len());
        for ((t, want), (got_t, got)) in samples.iter().zip(&read) {
            prop_assert_eq!(t, got_t);
            prop_assert_eq!(content(&want.to_float()), content(&got.to_float()));
        }
    }

    #[test]
    fn float_round_trip(steps in proptest::collection::vec(step(), 1..60), factor in 0.1f64..3.0) {
        let samples: Vec<(i64, FloatHistogram)> = series(&steps)
            .iter()
            .map(|(t, h)| {
                let mut h = h.to_float();
                h.count *= factor;
                h.positive_buckets.iter_mut().for_each(|b| *b *= factor);
                h.negative_buckets.iter_mut().for_each(|b| *b *= factor);
                (*t, h)
            })
            .collect();
        let mut read = Vec::new();
        for chunk in chunks_of::<FloatState>(&samples) {
            let part = read_back::<FloatState>(&chunk);
            prop_assert!(chunk.len() <= bound::<FloatState>(&part));
            read.extend(part);
        }
        prop_assert_eq!(read.len(), samples.len());
        for ((t, want), (got_t, got)) in samples.iter().zip(&read) {
            prop_assert_eq!(t, got_t);
            prop_assert_eq!(content(want), content(got));
        }
    }

    #[test]
    fn numbers_of_any_size(samples: Vec<(i64, u64, u64, u64, i64, i64)>) {
        let samples: Vec<(i64, Histogram)> = samples
            .into_iter()
            .map(|(t, count, zero_count, sum, a, b)| {
                let h = Histogram {
                    reset_hint: CounterResetHint::Gauge,
                    count,
                    zero_count,
                    sum: f64::from_bits(sum),
                    positive_spans: vec![span(-3, 2)],
                    positive_deltas: vec![a, b],
                    ..Histogram::default()
                };
                (t, h)
            })
            .collect();
        let read: Vec<_> = chunks_of::<IntegerState>(&samples)
            .iter()
            .flat_map(|chunk| read_back::<IntegerState>(chunk))
            .collect();
        prop_assert_eq!(read.len(), samples.len());
        for ((t, want), (got_t, got)) in samples.iter().zip(&read) {
            prop_assert_eq!(t, got_t);
            prop_assert_eq!(want.sum.to_bits(), got.sum.to_bits());
            if !is_stale(want.sum) {
                prop_assert_eq!((want.count, want.zero_count), (got.count, got.zero_count));
                prop_assert_eq!(&want.positive_deltas, &got.positive_deltas);
            }
        }
    }

    #[test]
    fn any_bytes(bytes: Vec<u8>, count: u16) {
        drain(&bytes);
        drain(&[&count.to_be_bytes()[..], &bytes].concat());
    }

    #[test]
    fn damaged_chunks(
        steps in proptest::collection::vec(step(), 1..20),
        at: prop::sample::Index,
        flip in 1u8..,
        keep: prop::sample::Index,
    ) {
        let samples = series(&steps);
        for mut chunk in chunks_of::<IntegerState>(&samples) {
            drain(&chunk[..keep.index(chunk.len())]);
            let at = at.index(chunk.len());
            chunk[at] ^= flip;
            drain(&chunk);
        }
    }
}
