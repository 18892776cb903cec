use proptest::prelude::*;
use tsdb_model::Span;
use tsdb_model::histogram::CUSTOM_BUCKETS_SCHEMA;

use super::*;

const INF: f64 = f64::INFINITY;

fn side(buckets: &[f64]) -> (Vec<Span>, Vec<f64>) {
    let span = Span {
        offset: 0,
        length: buckets.len() as u32,
    };
    let spans = if buckets.is_empty() {
        vec![]
    } else {
        vec![span]
    };
    (spans, buckets.to_vec())
}

fn histogram(
    schema: i32,
    count: f64,
    sum: f64,
    positive: &[f64],
    negative: &[f64],
) -> FloatHistogram {
    let (positive_spans, positive_buckets) = side(positive);
    let (negative_spans, negative_buckets) = side(negative);
    FloatHistogram {
        schema,
        count,
        sum,
        positive_spans,
        positive_buckets,
        negative_spans,
        negative_buckets,
        ..FloatHistogram::default()
    }
}

fn with_zero(count: f64, threshold: f64, h: FloatHistogram) -> FloatHistogram {
    FloatHistogram {
        zero_count: count,
        zero_threshold: threshold,
        ..h
    }
}

fn custom(bounds: &[f64], count: f64, sum: f64, buckets: &[f64]) -> FloatHistogram {
    FloatHistogram {
        custom_values: bounds.to_vec(),
        ..histogram(CUSTOM_BUCKETS_SCHEMA, count, sum, buckets, &[])
    }
}

fn near(a: f64, b: f64) {
    let equal = a == b || (a - b).abs() <= 1e-12 * b.abs().max(1.0) || a.is_nan() && b.is_nan();
    assert!(equal, "{a} {b}");
}

const SOME: [f64; 5] = [2.0, 3.0, 0.0, 1.0, 4.0];

#[test]
fn quantiles_of_positive_buckets() {
    let h = with_zero(2.0, 0.001, histogram(0, 12.0, 100.0, &SOME, &[]));
    for (q, v) in [
        (1.001, INF),
        (1.0, 16.0),
        (0.99, 15.67072476139083),
        (0.9, 12.99603834169977),
        (0.6, 4.594793419988138),
        (0.5, 1.5874010519681994),
        (0.1, 0.0006),
        (0.0, 0.0),
        (-1.0, -INF),
        (f64::NAN, f64::NAN),
    ] {
        near(quantile(q, &h).0, v);
    }
}

#[test]
fn quantiles_of_negative_buckets() {
    let h = with_zero(2.0, 0.001, histogram(0, 12.0, 100.0, &[], &SOME));
    for (q, v) in [
        (1.0, 0.0),
        (0.99, -0.00006),
        (0.9, -0.0006),
        (0.5, -1.5874010519681996),
        (0.1, -12.996038341699768),
        (0.0, -16.0),
    ] {
        near(quantile(q, &h).0, v);
    }
}

#[test]
fn quantiles_of_both_sides() {
    let h = with_zero(4.0, 0.001, histogram(0, 24.0, 100.0, &SOME, &SOME));
    for (q, v) in [
        (1.0, 16.0),
        (0.9, 10.556063286183155),
        (0.7, 1.2030250360821164),
        (0.55, 0.0006),
        (0.5, 0.0),
        (0.45, -0.0006),
        (0.1, -10.556063286183155),
        (0.01, -15.34822590920423),
        (0.0, -16.0),
    ] {
        near(quantile(q, &h).0, v);
    }
}

#[test]
fn quantiles_of_other_resolutions() {
    for (schema, v) in [(-1, 8.0), (0, 2.82842712474619), (1, 1.6817928305074292)] {
        let h = histogram(schema, 5.0, 4.0, &[0.0, 0.0, 5.0], &[]);
        near(quantile(0.5, &h).0, v);
        near(fraction(0.0, v, &h).0, 0.5);
        let mirrored = histogram(schema, 5.0, 4.0, &[], &[0.0, 0.0, 5.0]);
        near(quantile(0.5, &mirrored).0, -v);
        near(fraction(-v, 0.0, &mirrored).0, 0.5);
    }
}

#[test]
fn only_a_zero_bucket() {
    let h = with_zero(1.0, 0.5, histogram(0, 1.0, 0.25, &[], &[]));
    assert_eq!(quantile(0.5, &h).0, 0.0);
    assert_eq!(quantile(0.9, &h).0, 0.4);
    assert!(quantile(0.5, &FloatHistogram::default()).0.is_nan());
    // Observations, but no bucket at all.
    assert_eq!(quantile(0.5, &histogram(0, 3.0, 1.0, &[], &[])).0, 0.0);
}

#[test]
fn quantiles_of_custom_buckets() {
    let h = custom(&[5.0, 10.0], 4.0, 5.0, &[1.0, 2.0, 1.0]);
    near(quantile(0.5, &h).0, 7.5);
    near(quantile(0.0, &h).0, 0.0);
    near(quantile(0.125, &h).0, 2.5);
    near(quantile(0.9, &h).0, 10.0);
    near(quantile(1.0, &h).0, 10.0);
    let negative = custom(&[-5.0, 10.0], 4.0, 5.0, &[2.0, 2.0]);
    near(quantile(0.3, &negative).0, -5.0);
    near(quantile(1.0, &negative).0, 10.0);
}

#[test]
fn observations_of_nan() {
    let all = histogram(0, 3.0, f64::NAN, &[], &[]);
    let some = histogram(0, 15.0, f64::NAN, &[12.0], &[]);
    for q in [0.81, 1.0] {
        for h in [&all, &some] {
            let (v, note) = quantile(q, h);
            assert!(v.is_nan());
            assert_eq!(note, Some(NanNote::QuantileIsNan));
        }
    }
    let (v, note) = quantile(0.8, &some);
    near(v, 1.0);
    assert_eq!(note, Some(NanNote::QuantileIsSkewed));
    near(quantile(0.4, &some).0, 0.7071067811865475);
    let (v, note) = fraction(-INF, INF, &some);
    near(v, 0.8);
    assert_eq!(note, Some(NanNote::FractionExcludes));
    near(fraction(-INF, 0.7071067811865475, &some).0, 0.4);
    // Both infinities were observed: nothing is missing in the buckets.
    let infinite = histogram(0, 12.0, f64::NAN, &[12.0], &[]);
    assert_eq!(quantile(0.5, &infinite).1, None);
    assert_eq!(fraction(-INF, INF, &infinite), (1.0, None));
    assert_eq!(
        NanNote::QuantileIsNan.text("m"),
        "input to histogram_quantile has NaN observations, result is NaN for metric name \"m\""
    );
    assert!(
        NanNote::FractionExcludes
            .text("")
            .ends_with("from all fractions")
    );
}

#[test]
fn fractions() {
    let h = with_zero(2.0, 0.001, histogram(0, 12.0, 100.0, &SOME, &[]));
    for (lower, upper, v) in [
        (0.0, INF, 1.0),
        (-INF, 0.0, 0.0),
        (-0.001, 0.0, 0.0),
        (0.0, 0.001, 0.16666666666666666),
        (0.0, 0.0005, 0.08333333333333333),
        (0.001, INF, 0.8333333333333334),
        (0.0, 1.5, 0.4795739585136224),
        (1.5, 2.0, 0.10375937481971091),
        (1.0, 8.0, 0.3333333333333333),
        (0.0, 6.0, 0.6320802083934297),
        (1.0, 6.0, 0.29874687506009634),
        (-8.0, -1.0, 0.0),
        (42.0, 42.0, 0.0),
        (42.0, 3.0, 0.0),
        (f64::NAN, 42.0, f64::NAN),
        (-INF, INF, 1.0),
    ] {
        near(fraction(lower, upper, &h).0, v);
    }
    let both = with_zero(4.0, 0.001, histogram(0, 24.0, 100.0, &SOME, &SOME));
    for (lower, upper, v) in [
        (0.0, INF, 0.5),
        (-0.0005, 0.0005, 0.08333333333333333),
        (-INF, 0.0005, 0.5416666666666666),
        (-INF, -0.001, 0.4166666666666667),
        (1.5, 6.0, 0.07625312493990366),
        (-2.0, -1.5, 0.051879687409855456),
    ] {
        near(fraction(lower, upper, &both).0, v);
    }
    assert!(fraction(0.0, 1.0, &FloatHistogram::default()).0.is_nan());
}

#[test]
fn fractions_of_custom_buckets() {
    let h = custom(&[-3.0, -2.0, -1.0], 100.0, 0.0, &[10.0, 2.0, 3.0, 85.0]);
    near(fraction(-4.0, -2.0, &h).0, 0.02);
    near(fraction(-INF, -1.5, &h).0, 0.135);
    near(fraction(0.0, 1.0, &h).0, 0.0);
    let h = custom(&[1.0, 2.0, 3.0], 100.0, 0.0, &[1.0, 2.0, 3.0, 94.0]);
    near(fraction(0.0, 1.5, &h).0, 0.02);
    near(fraction(0.5, 2.0, &h).0, 0.025);
    near(fraction(-INF, INF, &h).0, 1.0);
    near(fraction(4.0, 5.0, &h).0, 0.0);
}

#[test]
fn moments() {
    let h = histogram(
        2,
        4.0,
        10.0,
        &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0],
        &[],
    );
    near(average(&h), 2.5);
    near(deviation(&h), 1.0787993180043811);
    near(
        deviation(&histogram(8, 10.0, 10.0, &[1.0, 2.0, 3.0, 4.0], &[])),
        0.0048960313898237465,
    );
    let negative = histogram(0, 10.0, -100.0, &[], &[0.0, 0.0, 0.0, 0.0, 10.0]);
    near(deviation(&negative), 1.3137084989847603);
    let nan = histogram(0, 1.0, f64::NAN, &[1.0], &[]);
    assert!(variance(&nan).is_nan());
    assert_eq!(variance(&histogram(0, 1.0, INF, &[1.0], &[])), INF);
    // {0, 0.1, 0.2, 1}: 50, 20 and 40 observations.
    let custom = custom(
        &[0.0, 0.1, 0.2, 1.0],
        110.0,
        330.0,
        &[0.0, 50.0, 20.0, 40.0, 0.0],
    );
    near(deviation(&custom), 2.7435461458749795);
}

proptest! {
    #[test]
    fn quantiles_rise_and_fractions_invert_them(
        schema in -2i32..4,
        positive in proptest::collection::vec(1u8..9, 1..6),
        negative in proptest::collection::vec(1u8..9, 0..6),
        zero in 0u8..5,
        a in 0.001..0.999_f64,
        b in 0.001..0.999_f64,
    ) {
        let float = |counts: Vec<u8>| -> Vec<f64> { counts.into_iter().map(f64::from).collect() };
        let (positive, negative) = (float(positive), float(negative));
        let zero = f64::from(zero);
        let count = zero + positive.iter().chain(&negative).sum::<f64>();
        let h = with_zero(zero, 1e-6, histogram(schema, count, 1.0, &positive, &negative));
        let low = quantile(a.min(b), &h).0;
        let high = quantile(a.max(b), &h).0;
        prop_assert!(low <= high + 1e-9 * high.abs());
        prop_assert!((fraction(-INF, low, &h).0 - a.min(b)).abs() < 1e-9);
    }
}
