use std::sync::Arc;

use tsdb_model::{CounterResetHint, Span, stale_nan};

use super::*;

#[test]
fn floats_are_compared_with_a_tolerance() {
    let equal = [
        (1.0, 1.0),
        (1.0, 1.000_001),
        (f64::INFINITY, f64::INFINITY),
        (f64::NAN, -f64::NAN),
        (stale_nan(), stale_nan()),
        (0.0, -0.0),
        (1e300, 1.000_000_1e300),
        (f64::MAX, f64::MAX * 0.999_999_9),
        (0.0, 1e-320),
    ];
    let different = [
        (1.0, 1.000_01),
        (0.0, 1e-300),
        (1e-300, 0.0),
        (f64::INFINITY, f64::MAX),
        (f64::INFINITY, f64::NEG_INFINITY),
        (f64::NAN, stale_nan()),
        (f64::NAN, 1.0),
        (1.0, -1.0),
    ];
    for (a, b) in equal {
        assert!(almost_equal(a, b) && almost_equal(b, a), "{a} {b}");
    }
    for (a, b) in different {
        assert!(!almost_equal(a, b) && !almost_equal(b, a), "{a} {b}");
    }
}

fn base() -> FloatHistogram {
    FloatHistogram {
        schema: 1,
        zero_threshold: 0.5,
        zero_count: 1.0,
        count: 10.0,
        sum: 20.0,
        positive_spans: vec![Span {
            offset: 2,
            length: 2,
        }],
        positive_buckets: vec![4.0, 5.0],
        ..FloatHistogram::default()
    }
}

#[test]
fn every_part_of_a_histogram_is_compared() {
    let changes: [fn(&mut FloatHistogram); 10] = [
        |h| h.schema = 2,
        |h| h.zero_threshold = 0.500_000_01,
        |h| h.zero_count = 2.0,
        |h| h.count = 11.0,
        |h| h.sum = 21.0,
        |h| h.positive_spans[0].offset = 3,
        |h| h.positive_buckets[1] = 6.0,
        |h| {
            h.positive_spans[0].length = 1;
            h.positive_buckets.pop();
        },
        |h| {
            h.negative_spans = vec![Span {
                offset: 0,
                length: 1,
            }];
            h.negative_buckets = vec![1.0];
        },
        |h| {
            h.schema = -53;
            h.custom_values = vec![1.0, 2.0];
        },
    ];
    assert!(histograms_almost_equal(&base(), &base()));
    for (i, change) in changes.into_iter().enumerate() {
        let mut other = base();
        change(&mut other);
        assert!(!histograms_almost_equal(&base(), &other), "change {i}");
    }
}

#[test]
fn roundings_empty_buckets_and_hints_do_not_matter() {
    let mut other = base();
    other.sum *= 1.000_000_1;
    other.positive_spans = vec![
        Span {
            offset: 1,
            length: 2,
        },
        Span {
            offset: 0,
            length: 0,
        },
        Span {
            offset: 0,
            length: 2,
        },
    ];
    other.positive_buckets = vec![0.0, 4.0, 5.0, 0.0];
    other.reset_hint = CounterResetHint::Gauge;
    assert!(histograms_almost_equal(&base(), &other));
}

#[test]
fn custom_bounds_are_compared() {
    let custom = |bounds: &[f64]| FloatHistogram {
        schema: -53,
        count: 1.0,
        positive_spans: vec![Span {
            offset: 0,
            length: 1,
        }],
        positive_buckets: vec![1.0],
        custom_values: bounds.to_vec(),
        ..FloatHistogram::default()
    };
    assert!(histograms_almost_equal(
        &custom(&[1.0, 2.0]),
        &custom(&[1.0, 2.0])
    ));
    assert!(!histograms_almost_equal(
        &custom(&[1.0, 2.0]),
        &custom(&[1.0, 3.0])
    ));
    assert!(!histograms_almost_equal(
        &custom(&[1.0, 2.0]),
        &custom(&[1.0])
    ));
}

fn series(name: &str, values: &[(i64, f64)]) -> RangeSeries {
    RangeSeries {
        labels: Labels::from_pairs([("l", name)]),
        floats: values.to_vec(),
        histograms: Vec::new(),
    }
}

#[test]
fn matrices_must_be_sorted_and_each_label_set_once() {
    let (a, b) = (series("a", &[(0, 1.0)]), series("b", &[(0, 1.0)]));
    assert!(sorted(&[a.clone(), b.clone()]).is_ok());
    assert!(sorted(&[b.clone(), a.clone()]).is_err());
    assert!(sorted(&[a.clone(), a]).is_err());
}

#[test]
fn both_kinds_of_points_are_found_at_a_time() {
    let mut mixed = series("a", &[(0, 1.0), (10, 2.0)]);
    mixed.histograms.push((20, Arc::new(base())));
    let matrix = [mixed, series("b", &[(10, 3.0)])];
    let at = |t| {
        vector_at(&matrix, t)
            .into_iter()
            .map(|s| s.value)
            .collect::<Vec<_>>()
    };
    assert_eq!(at(10), [SampleValue::Float(2.0), SampleValue::Float(3.0)]);
    assert_eq!(at(20), [SampleValue::Histogram(Arc::new(base()))]);
    assert!(at(30).is_empty());
}

#[test]
fn a_vector_must_not_repeat_a_label_set() {
    let labels = Labels::from_pairs([("l", "a")]);
    let one = InstantSample {
        labels: labels.clone(),
        timestamp_ms: 0,
        value: SampleValue::Float(1.0),
    };
    let value = SequenceValue {
        omitted: false,
        value: 1.0,
        histogram: None,
        counter_reset_hint_set: false,
    };
    let expected = [ExpectedSeries {
        labels,
        values: vec![value],
    }];
    assert!(vector(&expected, std::slice::from_ref(&one), false).is_ok());
    assert!(vector(&expected, &[one.clone(), one], false).is_err());
    assert!(vector(&expected, &[], false).is_err());
}
