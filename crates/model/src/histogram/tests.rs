#![expect(clippy::approx_constant, reason = "bounds of buckets near constants")]

use proptest::prelude::*;

use super::*;

fn span(offset: i32, length: u32) -> Span {
    Span { offset, length }
}

/// An exponential histogram with one span of positive buckets.
fn exponential(schema: i32, offset: i32, buckets: &[f64]) -> FloatHistogram {
    FloatHistogram {
        schema,
        count: buckets.iter().sum(),
        sum: 1.0,
        positive_spans: vec![span(offset, buckets.len() as u32)],
        positive_buckets: buckets.to_vec(),
        ..FloatHistogram::default()
    }
}

fn custom(bounds: &[f64], buckets: &[f64]) -> FloatHistogram {
    FloatHistogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        custom_values: bounds.to_vec(),
        ..exponential(0, 0, buckets)
    }
}

fn counts(h: &FloatHistogram) -> Vec<(f64, f64)> {
    h.api_buckets().iter().map(|b| (b.upper, b.count)).collect()
}

fn sum_of(a: &FloatHistogram, b: &FloatHistogram) -> FloatHistogram {
    let mut sum = a.clone();
    sum.add(b).unwrap();
    sum
}

#[test]
fn integer_to_float() {
    let h = Histogram {
        count: 9,
        positive_spans: vec![span(0, 3)],
        positive_deltas: vec![1, 2, -1],
        negative_spans: vec![span(1, 1)],
        negative_deltas: vec![3],
        zero_count: 1,
        ..Histogram::default()
    };
    let f = h.to_float();
    assert_eq!(f.positive_buckets, [1.0, 3.0, 2.0]);
    assert_eq!(f.negative_buckets, [3.0]);
    assert_eq!((f.count, f.zero_count), (9.0, 1.0));
}

#[test]
fn buckets_as_the_api_shows_them() {
    let h = FloatHistogram {
        schema: 1,
        count: 7.0,
        sum: 18.4,
        zero_count: 2.0,
        zero_threshold: 0.001,
        positive_spans: vec![span(1, 1)],
        positive_buckets: vec![2.0],
        negative_spans: vec![span(0, 2)],
        negative_buckets: vec![1.0, 0.0],
        ..FloatHistogram::default()
    };
    let got: Vec<_> = h
        .api_buckets()
        .iter()
        .map(|b| (b.boundaries(), b.lower, b.upper, b.count))
        .collect();
    assert_eq!(
        got,
        [
            (1, -1.0, -0.7071067811865475, 1.0),
            (3, -0.001, 0.001, 2.0),
            (0, 1.0, 1.414213562373095, 2.0)
        ]
    );
    let custom = custom(&[5.0, 10.0], &[1.0, 2.0, 1.0]);
    let got: Vec<_> = custom
        .api_buckets()
        .iter()
        .map(|b| (b.boundaries(), b.lower, b.upper))
        .collect();
    assert_eq!(
        got,
        [
            (3, f64::NEG_INFINITY, 5.0),
            (0, 5.0, 10.0),
            (0, 10.0, f64::INFINITY)
        ]
    );
}

#[test]
fn buckets_reach_only_to_the_edge_of_the_zero_bucket() {
    let h = FloatHistogram {
        zero_count: 1.0,
        zero_threshold: 0.75,
        negative_spans: vec![span(0, 1)],
        negative_buckets: vec![1.0],
        ..exponential(0, 0, &[1.0])
    };
    let got: Vec<_> = h.all_iter().map(|b| (b.lower, b.upper)).collect();
    assert_eq!(got, [(-1.0, -0.75), (-0.75, 0.75), (0.75, 1.0)]);
    let reverse: Vec<_> = h.all_iter().rev().map(|b| b.lower).collect();
    assert_eq!(reverse, [0.75, -0.75, -1.0]);
}

#[test]
fn scaling() {
    let mut h = exponential(0, 0, &[3.0, 6.0]);
    h.zero_count = 3.0;
    h.mul(2.0);
    assert_eq!(h.positive_buckets, [6.0, 12.0]);
    assert_eq!((h.zero_count, h.count, h.sum), (6.0, 18.0, 2.0));
    assert_eq!(h.reset_hint, CounterResetHint::Unknown);
    h.div(-2.0);
    assert_eq!(h.positive_buckets, [-3.0, -6.0]);
    assert_eq!(h.reset_hint, CounterResetHint::Gauge);
    h.div(0.0);
    assert!(h.positive_buckets.is_empty() && h.positive_spans.is_empty());
    assert_eq!(
        (h.zero_count, h.count),
        (f64::NEG_INFINITY, f64::NEG_INFINITY)
    );
    assert!(h.has_overflow());
}

#[test]
fn adding_takes_the_lower_resolution() {
    let low = exponential(-1, 1, &[1.0]);
    let high = exponential(0, 1, &[2.0, 2.0]);
    for sum in [sum_of(&low, &high), sum_of(&high, &low)] {
        assert_eq!(sum.schema, -1);
        assert_eq!(counts(&sum), [(4.0, 5.0)]);
        assert_eq!(sum.count, 5.0);
    }
}

#[test]
fn adding_widens_the_zero_bucket() {
    // The wider zero bucket of `b` ends inside the populated bucket (0.5, 1] of `a`.
    let mut a = exponential(0, -1, &[1.0, 2.0, 4.0]);
    a.zero_count = 1.0;
    a.zero_threshold = 0.01;
    a.negative_spans = vec![span(-1, 3)];
    a.negative_buckets = vec![1.0, 0.0, 8.0];
    let b = FloatHistogram {
        zero_count: 10.0,
        zero_threshold: 0.7,
        ..exponential(0, 1, &[4.0])
    };
    for sum in [sum_of(&a, &b), sum_of(&b, &a)] {
        assert_eq!(sum.zero_threshold, 1.0);
        assert_eq!(sum.zero_count, 15.0);
        assert_eq!(counts(&sum), [(-1.0, 8.0), (1.0, 15.0), (2.0, 8.0)]);
    }
    // An empty bucket in the way does not widen it further.
    let mut empty = exponential(0, 0, &[0.0, 5.0]);
    empty.zero_threshold = 0.01;
    let sum = sum_of(&empty, &b);
    assert_eq!((sum.zero_threshold, sum.zero_count), (0.7, 10.0));
}

#[test]
fn subtracting_leaves_buckets_of_zero() {
    let a = exponential(0, 0, &[1.0, 2.0]);
    let mut difference = a.clone();
    difference.sub(&a).unwrap();
    assert_eq!(difference.positive_buckets, [0.0, 0.0]);
    difference.compact(0);
    assert!(difference.positive_buckets.is_empty());
    let mut negative = a.clone();
    negative.sub(&exponential(0, 1, &[1.0, 1.0])).unwrap();
    assert_eq!(counts(&negative), [(1.0, 1.0), (2.0, 1.0), (4.0, -1.0)]);
}

#[test]
fn custom_bounds_are_reconciled() {
    let a = custom(&[1.0, 2.0, 4.0], &[1.0, 2.0, 4.0, 8.0]);
    let b = custom(&[2.0, 3.0, 4.0], &[10.0, 20.0, 30.0, 40.0]);
    let mut sum = a.clone();
    let notes = sum.add(&b).unwrap();
    assert!(notes.bounds_reconciled);
    assert_eq!(sum.custom_values, [2.0, 4.0]);
    assert_eq!(sum.positive_buckets, [13.0, 54.0, 48.0]);
    let mut same = a.clone();
    assert!(!same.add(&a).unwrap().bounds_reconciled);
    // Nothing in common: all in one bucket.
    let sum = sum_of(&custom(&[1.0], &[1.0, 2.0]), &custom(&[7.0], &[3.0, 4.0]));
    assert_eq!(counts(&sum), [(f64::INFINITY, 10.0)]);
    assert!(sum.custom_values.is_empty());
}

#[test]
fn kinds_of_schemas_do_not_mix() {
    let mut a = exponential(0, 0, &[1.0]);
    let b = custom(&[1.0], &[1.0]);
    assert_eq!(a.add(&b), Err(HistogramError::IncompatibleSchemas));
    assert_eq!(a.sub(&b), Err(HistogramError::IncompatibleSchemas));
    assert_eq!(
        a.kahan_add(&b, &mut None),
        Err(HistogramError::IncompatibleSchemas)
    );
    assert_eq!(a, exponential(0, 0, &[1.0]));
}

#[test]
fn hints_of_sums() {
    use CounterResetHint::{Gauge, NotReset, Reset, Unknown};
    for (a, b, hint, collision) in [
        (Unknown, Unknown, Unknown, false),
        (NotReset, NotReset, NotReset, false),
        (Gauge, NotReset, Gauge, false),
        (Reset, Gauge, Gauge, false),
        (Unknown, Reset, Unknown, false),
        (NotReset, Unknown, Unknown, false),
        (Reset, NotReset, Unknown, true),
        (NotReset, Reset, Unknown, true),
    ] {
        let with = |reset_hint| FloatHistogram {
            reset_hint,
            ..FloatHistogram::default()
        };
        let mut sum = with(a);
        let notes = sum.add(&with(b)).unwrap();
        assert_eq!(
            (sum.reset_hint, notes.counter_reset_collision),
            (hint, collision)
        );
    }
}

#[test]
fn compensated_sums_keep_small_terms() {
    let terms = [1.0, 1e100, 1.0, -1e100];
    let mut sum = exponential(0, 0, &[terms[0]]);
    let mut compensation = None;
    // The others have one more bucket, so that the long way is taken once.
    for term in &terms[1..] {
        let other = exponential(0, 0, &[*term, *term]);
        sum.kahan_add(&other, &mut compensation).unwrap();
    }
    sum.add(&compensation.unwrap()).unwrap();
    assert_eq!(sum.positive_buckets, [2.0, 1.0]);
    assert_eq!(sum.sum, 4.0);
}

#[test]
fn compacting() {
    let mut h = exponential(0, -2, &[0.0, 1.0, 0.0, 0.0, 2.0, 0.0, 3.0, 0.0]);
    h.positive_spans = vec![span(-2, 5), span(1, 0), span(0, 3)];
    let mut all = h.clone();
    all.compact(0);
    assert_eq!(all.positive_spans, [span(-1, 1), span(2, 1), span(2, 1)]);
    assert_eq!(all.positive_buckets, [1.0, 2.0, 3.0]);
    let mut some = h.clone();
    some.compact(1);
    assert_eq!(some.positive_spans, [span(-1, 1), span(2, 1), span(2, 1)]);
    some.compact(2);
    assert_eq!(some.positive_spans, [span(-1, 7)]);
    assert_eq!(some.positive_buckets, [1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 3.0]);
    h.compact(usize::MAX);
    assert_eq!(h.positive_spans.len(), 1);
}

#[test]
fn reducing_the_resolution() {
    let mut h = exponential(2, -3, &[1.0; 8]);
    h.reduce_resolution(0).unwrap();
    assert_eq!(counts(&h), [(1.0, 4.0), (2.0, 4.0)]);
    assert_eq!(
        h.reduce_resolution(0),
        Err(HistogramError::CannotReduce { from: 0, to: 0 })
    );
    assert_eq!(
        custom(&[], &[1.0]).reduce_resolution(-60),
        Err(HistogramError::CannotReduceCustom)
    );
}

#[test]
fn data_equality() {
    let a = exponential(0, 0, &[1.0, 2.0]);
    let mut split = a.clone();
    split.positive_spans = vec![span(0, 1), span(0, 0), span(0, 1)];
    assert!(a.same_data(&split));
    let mut other = a.clone();
    other.sum = f64::NAN;
    assert!(!a.same_data(&other));
    assert!(other.same_data(&other.clone()));
    let mut moved = a.clone();
    moved.positive_spans[0].offset = 1;
    assert!(!a.same_data(&moved));
    assert!(!custom(&[1.0], &[1.0]).same_data(&custom(&[2.0], &[1.0])));
}

#[test]
fn resets() {
    let before = FloatHistogram {
        zero_count: 1.0,
        zero_threshold: 0.01,
        ..exponential(1, 0, &[1.0, 2.0, 0.0, 4.0])
    };
    let changed = |f: &dyn Fn(&mut FloatHistogram)| {
        let mut h = before.clone();
        f(&mut h);
        h.detect_reset(&before)
    };
    assert!(!changed(&|_| {}));
    assert!(!changed(&|h| h.mul(2.0)));
    assert!(changed(&|h| h.count -= 1.0));
    assert!(changed(&|h| h.zero_count = 0.0));
    assert!(changed(&|h| h.positive_buckets[1] = 1.0));
    // A bucket is missing; an empty one may be.
    assert!(changed(&|h| h.positive_spans[0].length = 3));
    assert!(changed(&|h| h.positive_spans[0].offset = 1));
    assert!(!changed(&|h| h.compact(0)));
    // Higher resolution and a narrower zero bucket come only with a reset.
    assert!(changed(&|h| h.schema = 2));
    assert!(changed(&|h| h.zero_threshold = 0.001));
    // The reverse is fine when all counts are still there.
    assert!(!changed(&|h| h.reduce_resolution(0).unwrap()));
    assert!(changed(&|h| {
        h.reduce_resolution(0).unwrap();
        h.positive_buckets[0] -= 1.0;
    }));
    // The zero bucket swallows (0.70.., 1], whole or not.
    let swallow = |threshold: f64| {
        changed(&|h| {
            h.zero_threshold = threshold;
            h.zero_count = 2.0;
            h.positive_buckets[0] = 0.0;
        })
    };
    assert!(!swallow(1.0));
    assert!(swallow(0.9));
    // Hints are believed.
    assert!(changed(&|h| h.reset_hint = CounterResetHint::Reset));
    assert!(!changed(&|h| {
        h.count = 0.0;
        h.reset_hint = CounterResetHint::NotReset;
    }));
}

#[test]
fn resets_of_custom_buckets() {
    let before = custom(&[2.0, 4.0, 6.0], &[1.0, 2.0, 5.0, 7.0]);
    let more = custom(&[1.0, 2.0, 4.0, 6.0], &[0.0, 1.0, 2.0, 5.0, 7.0]);
    assert!(!more.detect_reset(&before));
    let mut less = custom(&[2.0, 3.0, 4.0, 6.0], &[1.0, 0.0, 1.0, 5.0, 8.0]);
    less.count = 15.0;
    assert!(less.detect_reset(&before));
    assert!(before.detect_reset(&exponential(0, 0, &[1.0])));
    assert!(exponential(0, 0, &[15.0]).detect_reset(&before));
}

#[test]
fn trimming() {
    let h = FloatHistogram {
        sum: 123.75,
        count: 34.0,
        zero_count: 1.0,
        zero_threshold: 0.001,
        negative_spans: vec![span(0, 2)],
        negative_buckets: vec![1.0, 2.0],
        ..exponential(0, 0, &[2.0, 4.0, 8.0, 16.0])
    };
    let trim = |bound, upper| {
        let mut h = h.clone();
        h.trim(bound, upper);
        h
    };
    assert_eq!(trim(f64::INFINITY, true), h);
    assert_eq!(trim(f64::NEG_INFINITY, false), h);
    let nothing = trim(f64::NEG_INFINITY, true);
    assert_eq!((nothing.count, nothing.sum), (0.0, 0.0));
    assert!(nothing.api_buckets().is_empty());
    let positive = trim(0.0, false);
    assert_eq!((positive.count, positive.zero_count), (30.5, 0.5));
    assert!((positive.sum - 120.20840280171308).abs() < 1e-12);
    let inside = trim(1.4142135624, true);
    assert!((inside.count - 8.0).abs() < 1e-9);
    assert!((inside.sum - 0.2570938865989847).abs() < 1e-9);
    let at_bound = trim(2.0, false);
    assert_eq!(at_bound.count, 24.0);
    assert!((at_bound.sum - 113.13708498984761).abs() < 1e-12);
}

#[test]
fn trimming_custom_buckets() {
    let trim = |h: &FloatHistogram, bound, upper| {
        let mut h = h.clone();
        h.trim(bound, upper);
        (h.count, h.sum, counts(&h))
    };
    let inf = f64::INFINITY;
    let h = FloatHistogram {
        sum: 172.5,
        ..custom(&[5.0, 10.0, 15.0, 20.0], &[1.0, 6.0, 4.0, 3.0, 1.0])
    };
    assert_eq!(
        trim(&h, 15.0, false),
        (4.0, 72.5, vec![(20.0, 3.0), (inf, 1.0)])
    );
    assert_eq!(
        trim(&h, 7.5, true),
        (4.0, 21.25, vec![(5.0, 1.0), (10.0, 3.0)])
    );
    assert_eq!(trim(&h, 50.0, true).0, 14.0);
    assert_eq!(trim(&h, 0.0, true), (0.0, 0.0, vec![]));
    assert_eq!(trim(&h, inf, true).1, 172.5);
    let one = custom(&[], &[100.0]);
    assert_eq!(trim(&one, 10.0, true).0, 0.0);
    assert_eq!(trim(&one, 10.0, false).0, 0.0);
    assert_eq!(trim(&one, inf, true).0, 100.0);
    let positive = custom(&[5.0], &[1.0, 100.0]);
    assert_eq!(
        trim(&positive, 10.0, false),
        (100.0, 1000.0, vec![(inf, 100.0)])
    );
    let (count, sum, _) = trim(&positive, 2.0, false);
    assert!((count - 100.6).abs() < 1e-12 && (sum - 502.1).abs() < 1e-12);
    let negative = custom(&[-5.0], &[1.0, 100.0]);
    assert_eq!(
        trim(&negative, -10.0, true),
        (1.0, -10.0, vec![(-5.0, 1.0)])
    );
    assert_eq!(
        trim(&negative, -10.0, false),
        (100.0, -500.0, vec![(inf, 100.0)])
    );
}

fn any_spans() -> impl Strategy<Value = (Vec<Span>, Vec<f64>)> {
    let one = (0i32..5, 0u32..4).prop_map(|(offset, length)| span(offset, length));
    (-8i32..8, proptest::collection::vec(one, 0..5)).prop_flat_map(|(first, mut spans)| {
        if let Some(span) = spans.first_mut() {
            span.offset = first;
        }
        let buckets: u32 = spans.iter().map(|s| s.length).sum();
        let counts = proptest::collection::vec(0u8..5, buckets as usize);
        let counts = counts.prop_map(|c| c.into_iter().map(f64::from).collect());
        (Just(spans), counts)
    })
}

prop_compose! {
    fn any_histogram()(
        schema in -1i32..3,
        zero_threshold in prop::sample::select(vec![0.0, 0.001, 0.3, 1.0, 3.0]),
        zero_count in 0u8..4,
        (positive_spans, positive_buckets) in any_spans(),
        (negative_spans, negative_buckets) in any_spans(),
    ) -> FloatHistogram {
        let mut h = FloatHistogram {
            schema, zero_threshold,
            zero_count: f64::from(zero_count),
            sum: 1.0,
            positive_spans, positive_buckets, negative_spans, negative_buckets,
            ..FloatHistogram::default()
        };
        // What is inside the zero bucket is counted there and nowhere else.
        let positive = h.positive_iter().take_while(|b| b.lower < zero_threshold).count();
        h.positive_buckets[..positive].fill(0.0);
        let negative = h.negative_iter().take_while(|b| b.upper > -zero_threshold).count();
        h.negative_buckets[..negative].fill(0.0);
        h.count = total(&h);
        h
    }
}

prop_compose! {
    fn any_custom()(
        bounds in proptest::collection::btree_set(-5i8..6, 0..6),
        counts in proptest::collection::vec(0u8..5, 7),
    ) -> FloatHistogram {
        let bounds: Vec<f64> = bounds.into_iter().map(f64::from).collect();
        let buckets: Vec<f64> = counts[..=bounds.len()].iter().copied().map(f64::from).collect();
        custom(&bounds, &buckets)
    }
}

fn total(h: &FloatHistogram) -> f64 {
    h.all_iter().map(|b| b.count).sum()
}

proptest! {
    #[test]
    fn compacting_keeps_populated_buckets(h in any_histogram(), max_empty in 0usize..4) {
        let mut compact = h.clone();
        compact.compact(max_empty);
        prop_assert_eq!(h.api_buckets(), compact.api_buckets());
        prop_assert_eq!(compact.validate(), Ok(()));
        for spans in [&compact.positive_spans, &compact.negative_spans] {
            prop_assert!(spans.iter().all(|s| s.length > 0));
            prop_assert!(spans.iter().skip(1).all(|s| s.offset as usize > max_empty));
        }
        let mut again = compact.clone();
        again.compact(max_empty);
        prop_assert!(again.same_data(&compact));
    }

    #[test]
    fn sums_lose_nothing_and_commute(a in any_histogram(), b in any_histogram()) {
        let mut ab = sum_of(&a, &b);
        let mut ba = sum_of(&b, &a);
        ab.compact(0);
        ba.compact(0);
        prop_assert!(ab.same_data(&ba));
        prop_assert_eq!(ab.count, a.count + b.count);
        prop_assert_eq!(total(&ab), ab.count);
        prop_assert!(ab.zero_threshold >= a.zero_threshold.max(b.zero_threshold));
        prop_assert_eq!(ab.validate(), Ok(()));
        prop_assert!(!ab.detect_reset(&a) && !ab.detect_reset(&b));
    }

    #[test]
    fn adding_and_subtracting(a in any_histogram(), b in any_histogram()) {
        let mut a = a;
        let mut b = b;
        b.schema = a.schema;
        a.zero_threshold = 0.0;
        b.zero_threshold = 0.0;
        let mut back = sum_of(&a, &b);
        prop_assert_eq!(total(&back), total(&a) + total(&b));
        back.sub(&b).unwrap();
        back.compact(0);
        a.compact(0);
        b.compact(0);
        prop_assert_eq!(back.api_buckets(), a.api_buckets());
        prop_assert_eq!(back.count, a.count);
    }

    #[test]
    fn compensated_sums_agree(terms in proptest::collection::vec(any_histogram(), 1..5)) {
        let mut plain = terms[0].clone();
        let mut sum = terms[0].clone();
        let mut compensation = None;
        for term in &terms[1..] {
            plain.add(term).unwrap();
            sum.kahan_add(term, &mut compensation).unwrap();
        }
        if let Some(compensation) = compensation {
            sum.add(&compensation).unwrap();
        }
        plain.compact(0);
        sum.compact(0);
        // Small integers: both are exact.
        prop_assert!(sum.same_data(&plain), "{:?} {:?}", sum, plain);
    }

    #[test]
    fn custom_sums(a in any_custom(), b in any_custom()) {
        let ab = sum_of(&a, &b);
        prop_assert_eq!(total(&ab), a.count + b.count);
        prop_assert_eq!(counts(&ab), counts(&sum_of(&b, &a)));
        let mut kahan = a.clone();
        let mut c = None;
        kahan.kahan_add(&b, &mut c).unwrap();
        kahan.add(&c.unwrap()).unwrap();
        prop_assert_eq!(counts(&kahan), counts(&ab));
        prop_assert!(!ab.detect_reset(&a) && !ab.detect_reset(&b));
    }

    #[test]
    fn reducing_keeps_the_total(h in any_histogram(), by in 1i32..4) {
        let mut reduced = h.clone();
        reduced.reduce_resolution(h.schema - by).unwrap();
        prop_assert_eq!(reduced.validate(), Ok(()));
        prop_assert_eq!(total(&reduced), total(&h));
        prop_assert!(!reduced.detect_reset(&h));
    }

    #[test]
    fn trimming_cuts_in_two(h in any_histogram(), bound in -20.0..20.0_f64) {
        let mut below = h.clone();
        below.trim(bound, true);
        let mut above = h.clone();
        above.trim(bound, false);
        prop_assert!((below.count + above.count - total(&h)).abs() < 1e-9);
        prop_assert!(below.count >= 0.0 && above.count >= 0.0);
    }

    #[test]
    fn broken_histograms_do_no_harm(
        schema in prop::sample::select(vec![-100, CUSTOM_BUCKETS_SCHEMA, -9, -4, 0, 8, 30, i32::MAX, i32::MIN]),
        other_schema in prop::sample::select(vec![CUSTOM_BUCKETS_SCHEMA, -4, 8, i32::MAX, i32::MIN]),
        spans in proptest::collection::vec((any::<i32>(), prop_oneof![0u32..4, any::<u32>()]), 0..4),
        numbers in proptest::collection::vec(any::<f64>(), 8),
        lengths in (0usize..6, 0usize..6),
    ) {
        let spans: Vec<Span> = spans.into_iter().map(|(o, l)| span(o, l)).collect();
        let a = FloatHistogram {
            schema,
            zero_threshold: numbers[0], zero_count: numbers[1], count: numbers[2],
            positive_spans: spans.clone(), negative_spans: spans.clone(),
            positive_buckets: numbers[..lengths.0].to_vec(),
            negative_buckets: numbers[..lengths.1].to_vec(),
            custom_values: numbers[2..4].to_vec(),
            ..FloatHistogram::default()
        };
        let b = FloatHistogram {
            schema: other_schema,
            zero_threshold: numbers[3],
            positive_buckets: numbers[..lengths.1].to_vec(),
            custom_values: numbers[3..6].to_vec(),
            ..a.clone()
        };
        let _ = (a.validate(), a.detect_reset(&b), b.detect_reset(&a), a.same_data(&b));
        let _ = (a.to_string(), a.api_buckets(), b.api_buckets());
        let mut sum = a.clone();
        let mut c = None;
        if sum.kahan_add(&b, &mut c).is_ok() {
            let _ = sum.kahan_add(&a, &mut c);
            let _ = sum.add(&c.unwrap());
        }
        sum.compact(3);
        sum.trim(numbers[6], true);
        sum.trim(numbers[7], false);
        let _ = sum.reduce_resolution(-3);
    }
}
