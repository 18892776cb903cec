use tsdb_model::{CounterResetHint, MatchOp, stale_nan};

use super::*;

fn labels(name: &str) -> Labels {
    Labels::from_pairs([(METRIC, name), ("job", "x")])
}

const METRIC: &str = tsdb_model::METRIC_NAME;

const ALL: SelectHints = SelectHints {
    start_ms: i64::MIN,
    end_ms: i64::MAX,
    step_ms: 0,
    range_ms: 0,
    limit: 0,
    labels_only: false,
};

fn read(store: &MemoryStore, name: &str, hints: SelectHints) -> SeriesData {
    let querier = store.querier(i64::MIN, i64::MAX).unwrap();
    let matchers = [Matcher::equal(METRIC, name)];
    let set = querier.select(&hints, &matchers).unwrap();
    let mut data = SeriesData::default();
    if !set.is_empty() {
        set.read(0, &mut data).unwrap();
    }
    data
}

fn histogram(counts: &[f64]) -> FloatHistogram {
    FloatHistogram {
        count: counts.iter().sum(),
        sum: 1.0,
        positive_spans: vec![Span {
            offset: 0,
            length: counts.len() as u32,
        }],
        positive_buckets: counts.to_vec(),
        ..FloatHistogram::default()
    }
}

/// Hints that these histograms have when they are read again.
fn hints(histograms: Vec<FloatHistogram>) -> Vec<CounterResetHint> {
    let store = MemoryStore::new();
    let mut appender = store.appender();
    let series = appender.series(&labels("h")).unwrap();
    for (i, h) in histograms.into_iter().enumerate() {
        appender
            .append_histogram(series, i as i64, HistogramValue::Float(Arc::new(h)))
            .unwrap();
    }
    appender.commit().unwrap();
    let data = read(&store, "h", ALL);
    data.histograms
        .iter()
        .map(|h| h.histogram.reset_hint)
        .collect()
}

use CounterResetHint::{Gauge, NotReset, Reset, Unknown};
use tsdb_model::Span;

fn with_hint(counts: &[f64], hint: CounterResetHint) -> FloatHistogram {
    FloatHistogram {
        reset_hint: hint,
        ..histogram(counts)
    }
}

#[test]
fn samples_are_read_as_committed() {
    let store = MemoryStore::new();
    let mut appender = store.appender();
    let series = appender.series(&labels("a")).unwrap();
    for (t, v) in [(0, 1.0), (10, 2.0), (20, stale_nan())] {
        appender.append(series, t, v).unwrap();
    }
    assert!(read(&store, "a", ALL).values.is_empty());
    let before = store.querier(0, 100).unwrap();
    assert_eq!(appender.commit().unwrap().samples, 3);
    let data = read(&store, "a", ALL);
    assert_eq!(data.times(), [0, 10, 20]);
    assert_eq!(data.values[..2], [1.0, 2.0]);
    assert!(is_stale(data.values[2]) && !data.no_stale && !data.monotone);
    let part = read(
        &store,
        "a",
        SelectHints {
            start_ms: 0,
            end_ms: 10,
            ..ALL
        },
    );
    assert_eq!(part.times(), [0, 10]);
    assert!(part.no_stale && part.monotone);
    assert!(
        read(
            &store,
            "a",
            SelectHints {
                start_ms: 21,
                end_ms: 30,
                ..ALL
            }
        )
        .values
        .is_empty()
    );
    // A querier does not see later commits.
    assert!(before.select(&ALL, &[]).unwrap().is_empty());
    assert_eq!(read(&store, "b", ALL).values.len(), 0);
}

#[test]
fn a_rollback_leaves_nothing() {
    let store = MemoryStore::new();
    let mut appender = store.appender();
    let series = appender.series(&labels("a")).unwrap();
    appender.append(series, 0, 1.0).unwrap();
    appender.rollback();
    assert!(read(&store, "a", ALL).values.is_empty());
}

#[test]
fn what_prometheus_refuses_is_refused() {
    let store = MemoryStore::new();
    let mut appender = store.appender();
    assert_eq!(
        appender.series(&Labels::empty()),
        Err(AppendError::NoLabels)
    );
    assert_eq!(
        appender.append(SeriesRef(7), 0, 1.0),
        Err(AppendError::UnknownSeries)
    );
    let series = appender.series(&labels("a")).unwrap();
    appender.append(series, 10, 1.0).unwrap();
    appender.append(series, 10, 1.0).unwrap();
    assert_eq!(
        appender.append(series, 5, 1.0),
        Err(AppendError::OutOfOrder)
    );
    appender.commit().unwrap();
    let mut appender = store.appender();
    assert_eq!(
        appender.append(series, 9, 1.0),
        Err(AppendError::OutOfOrder)
    );
    assert!(matches!(
        appender.append(series, 10, 2.0),
        Err(AppendError::Duplicate { .. })
    ));
    let invalid = FloatHistogram {
        count: -1.0,
        ..histogram(&[1.0])
    };
    let invalid = HistogramValue::Float(Arc::new(invalid));
    assert_eq!(
        appender.append_histogram(series, 11, invalid),
        Err(AppendError::InvalidHistogram)
    );
    assert_eq!(read(&store, "a", ALL).times(), [10]);
}

#[test]
fn start_timestamps_hold_until_the_next_one() {
    let store = MemoryStore::new();
    let mut appender = store.appender();
    let series = appender.series(&labels("a")).unwrap();
    appender.append(series, 10, 1.0).unwrap();
    appender.append_start_timestamp(series, 5).unwrap();
    appender.append(series, 20, 2.0).unwrap();
    appender.commit().unwrap();
    let mut appender = store.appender();
    appender.append(series, 30, 3.0).unwrap();
    appender.append_start_timestamp(series, 35).unwrap();
    let h = HistogramValue::Float(Arc::new(histogram(&[1.0])));
    appender.append_histogram(series, 40, h).unwrap();
    appender.append_start_timestamp(series, 0).unwrap();
    appender.append(series, 50, 4.0).unwrap();
    appender.commit().unwrap();
    let data = read(&store, "a", ALL);
    assert_eq!(data.start_timestamps, [(1, 5), (3, 0)]);
    assert_eq!(data.histograms[0].start_timestamp_ms, 35);
}

#[test]
fn labels_are_listed() {
    let store = MemoryStore::new();
    let mut appender = store.appender();
    for name in ["a", "b", "c"] {
        let series = appender.series(&labels(name)).unwrap();
        appender.append(series, 10, 1.0).unwrap();
    }
    appender.commit().unwrap();
    let querier = store.querier(0, 10).unwrap();
    let matcher = [Matcher::new(MatchOp::Regex, METRIC, "b|c").unwrap()];
    assert_eq!(
        querier.label_names(&matcher, 0).unwrap(),
        ["__name__", "job"]
    );
    assert_eq!(
        querier.label_values(METRIC, &matcher, 0).unwrap(),
        ["b", "c"]
    );
    assert_eq!(querier.label_values(METRIC, &matcher, 1).unwrap(), ["b"]);
    assert_eq!(querier.select(&ALL, &matcher).unwrap().len(), 2);
    let later = store.querier(11, 20).unwrap();
    assert!(later.label_names(&[], 0).unwrap().is_empty());
}

#[test]
fn a_falling_histogram_begins_a_chunk() {
    let h = histogram;
    assert_eq!(
        hints(vec![
            h(&[1.0, 2.0]),
            h(&[1.0, 3.0]),
            h(&[2.0, 1.0]),
            h(&[2.0, 1.0])
        ]),
        [Unknown, NotReset, Unknown, NotReset]
    );
    // A populated bucket is gone; an empty one may go.
    assert_eq!(hints(vec![h(&[1.0, 2.0]), h(&[4.0])]), [Unknown, Unknown]);
    assert_eq!(hints(vec![h(&[1.0, 0.0]), h(&[4.0])]), [Unknown, NotReset]);
    // Other layouts cannot share a chunk.
    let schema = FloatHistogram {
        schema: 1,
        ..h(&[5.0])
    };
    let threshold = FloatHistogram {
        schema: 1,
        zero_threshold: 0.1,
        ..h(&[6.0])
    };
    assert_eq!(
        hints(vec![h(&[4.0]), schema, threshold]),
        [Unknown, Unknown, Unknown]
    );
}

#[test]
fn written_hints_count() {
    let reset = with_hint(&[2.0], Reset);
    assert_eq!(hints(vec![histogram(&[1.0]), reset]), [Unknown, Unknown]);
    let gauge = |v| with_hint(&[v], Gauge);
    assert_eq!(
        hints(vec![gauge(2.0), gauge(1.0), histogram(&[3.0])]),
        [Gauge, Gauge, Unknown]
    );
    assert_eq!(
        hints(vec![histogram(&[1.0]), gauge(2.0), gauge(3.0)]),
        [Unknown, Gauge, Gauge]
    );
}

#[test]
fn chunks_end_after_120_samples_and_at_markers() {
    let many = hints((0..250).map(|i| histogram(&[f64::from(i) + 1.0])).collect());
    let unknown: Vec<usize> = (0..250).filter(|i| many[*i] == Unknown).collect();
    assert_eq!(unknown, [0, 120, 240]);
    let stale = FloatHistogram {
        sum: stale_nan(),
        ..FloatHistogram::default()
    };
    let h = histogram(&[1.0]);
    assert_eq!(
        hints(vec![h.clone(), stale, h]),
        [Unknown, NotReset, Unknown]
    );
}

#[test]
fn a_stale_float_ends_a_series_of_histograms() {
    let store = MemoryStore::new();
    let mut appender = store.appender();
    let series = appender.series(&labels("a")).unwrap();
    let h = HistogramValue::Float(Arc::new(histogram(&[1.0])));
    appender.append_histogram(series, 10, h).unwrap();
    appender.append(series, 20, stale_nan()).unwrap();
    appender.commit().unwrap();
    let data = read(&store, "a", ALL);
    assert!(data.values.is_empty());
    assert!(is_stale(data.histograms[1].histogram.sum));
}
