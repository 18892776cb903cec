//! A store for tests of the evaluator: all series share one column of times, as those of a scrape
//! target do.

use std::sync::Arc;

use tsdb_model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint};
use tsdb_model::{
    FloatHistogram, HistogramSample, Labels, Matcher, Querier, Queryable, SelectHints, SeriesData,
    SeriesSet, Span, StorageError, stale_nan,
};

/// Distance of the samples, milliseconds.
pub(crate) const INTERVAL: i64 = 15_000;

/// Number of times.
pub(crate) const ROWS: usize = 80;

#[derive(Debug, Clone)]
struct TestSeries {
    labels: Labels,
    first_row: usize,
    values: Vec<f64>,
    histograms: Vec<HistogramSample>,
}

/// Series in the order of their labels.
#[derive(Debug, Clone)]
pub(crate) struct TestStore {
    times: Arc<Vec<i64>>,
    series: Vec<TestSeries>,
}

impl TestStore {
    /// No series.
    pub(crate) fn new() -> Self {
        Self {
            times: Arc::new((0..ROWS as i64).map(|i| i * INTERVAL + 700).collect()),
            series: Vec::new(),
        }
    }

    /// Counters with resets, gauges with holes and odd values, classic and native histograms,
    /// series that change their type, info series.
    pub(crate) fn with_everything() -> Self {
        let mut store = Self::new();
        for instance in ["a", "b", "c"] {
            let offset = f64::from(instance.as_bytes()[0]);
            let labels = |name: &str| {
                vec![
                    ("__name__", name.to_string()),
                    ("instance", instance.into()),
                    ("job", "x".into()),
                ]
            };
            store.floats(&labels("m_total"), 3, |i| {
                ((i as f64 * 1.7 + offset) % 31.0).floor() + 0.1
            });
            store.floats(&labels("g"), 0, |i| match i % 23 {
                7 => f64::NAN,
                9 => f64::INFINITY,
                11 | 12 => stale_nan(),
                r => r as f64 - offset / 9.0,
            });
            store.floats(&labels("up"), 10, |_| 1.0);
            let mut info = labels("target_info");
            info.push(("version", format!("v{instance}")));
            store.floats(&info, 0, |_| 1.0);
            for (i, le) in ["0.5", "1", "+Inf"].iter().enumerate() {
                let mut bucket = labels("c_bucket");
                bucket.push(("le", (*le).into()));
                store.floats(&bucket, 5, |row| ((row + 1) * (i + 1)) as f64 + offset);
            }
            store.histograms(&labels("h"), 2, ROWS, |i| exponential(i, 0));
            store.histograms(&labels("h2"), 2, ROWS, |i| exponential(i % 9, 1));
            store.histograms(&labels("n"), 0, ROWS, custom);
            // Floats first, then histograms.
            store.floats_until(&labels("mixed"), 0, 30, |i| i as f64);
            store.histograms(&labels("mixed"), 34, ROWS, |i| exponential(i, 0));
        }
        store
    }

    /// Many series of one metric.
    pub(crate) fn with_series(count: usize) -> Self {
        let mut store = Self::new();
        for n in 0..count {
            let labels = [
                ("__name__", "m_total".to_string()),
                ("n", n.to_string()),
                ("group", (n % 7).to_string()),
            ];
            store.floats(&labels, n % 5, |i| (i * (n % 11 + 1) % 50) as f64 * 0.1);
        }
        store
    }

    fn entry(&mut self, labels: &[(&str, String)]) -> &mut TestSeries {
        let labels = Labels::from_pairs(labels.iter().map(|(n, v)| (*n, v.as_str())));
        let place = match self.series.binary_search_by(|s| s.labels.cmp(&labels)) {
            Ok(place) => place,
            Err(place) => {
                let series = TestSeries {
                    labels,
                    first_row: 0,
                    values: Vec::new(),
                    histograms: Vec::new(),
                };
                self.series.insert(place, series);
                place
            }
        };
        &mut self.series[place]
    }

    fn floats(&mut self, labels: &[(&str, String)], first: usize, f: impl Fn(usize) -> f64) {
        self.floats_until(labels, first, ROWS, f);
    }

    fn floats_until(
        &mut self,
        labels: &[(&str, String)],
        first: usize,
        end: usize,
        f: impl Fn(usize) -> f64,
    ) {
        let series = self.entry(labels);
        series.first_row = first;
        series.values = (first..end).map(f).collect();
    }

    fn histograms(
        &mut self,
        labels: &[(&str, String)],
        first: usize,
        end: usize,
        f: impl Fn(usize) -> FloatHistogram,
    ) {
        let times = self.times.clone();
        let sample = |i: usize| HistogramSample {
            timestamp_ms: times[i],
            start_timestamp_ms: 0,
            histogram: Arc::new(f(i)),
        };
        self.entry(labels).histograms = (first..end).map(sample).collect();
    }
}

fn exponential(i: usize, schema: i32) -> FloatHistogram {
    let counts = vec![i as f64, 2.0 * i as f64, (i % 13) as f64];
    FloatHistogram {
        schema,
        count: counts.iter().sum::<f64>() + 1.0,
        sum: i as f64 * 1.5,
        zero_count: 1.0,
        zero_threshold: 0.001,
        positive_spans: vec![Span {
            offset: 0,
            length: 3,
        }],
        positive_buckets: counts,
        reset_hint: match i % 13 {
            0 => CounterResetHint::Reset,
            5 => CounterResetHint::NotReset,
            _ => CounterResetHint::Unknown,
        },
        ..FloatHistogram::default()
    }
}

fn custom(i: usize) -> FloatHistogram {
    let counts = vec![i as f64, 3.0, i as f64 / 2.0];
    FloatHistogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count: counts.iter().sum(),
        sum: i as f64,
        positive_spans: vec![Span {
            offset: 0,
            length: 3,
        }],
        positive_buckets: counts,
        custom_values: if i % 20 < 15 {
            vec![1.0, 2.0]
        } else {
            vec![1.0, 3.0]
        },
        ..FloatHistogram::default()
    }
}

impl Queryable for TestStore {
    fn querier(&self, _: i64, _: i64) -> Result<Box<dyn Querier + '_>, StorageError> {
        Ok(Box::new(TestQuerier(self)))
    }
}

struct TestQuerier<'a>(&'a TestStore);

impl Querier for TestQuerier<'_> {
    fn select(
        &self,
        hints: &SelectHints,
        matchers: &[Matcher],
    ) -> Result<Box<dyn SeriesSet + '_>, StorageError> {
        let matches = |s: &&TestSeries| matchers.iter().all(|m| m.matches(s.labels.value(&m.name)));
        Ok(Box::new(TestSet {
            store: self.0,
            series: self.0.series.iter().filter(matches).collect(),
            range: (hints.start_ms, hints.end_ms),
        }))
    }

    fn label_names(&self, _: &[Matcher], _: usize) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }

    fn label_values(&self, _: &str, _: &[Matcher], _: usize) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }
}

struct TestSet<'a> {
    store: &'a TestStore,
    series: Vec<&'a TestSeries>,
    range: (i64, i64),
}

impl SeriesSet for TestSet<'_> {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.series[index].labels.clone()
    }

    fn read(&self, index: usize, data: &mut SeriesData) -> Result<(), StorageError> {
        data.clear();
        let series = self.series[index];
        let (from, to) = self.range;
        let times = &self.store.times;
        let end = series.first_row + series.values.len();
        let first = times.partition_point(|t| *t < from).max(series.first_row);
        let last = times.partition_point(|t| *t <= to).min(end);
        data.timestamps = times.clone();
        if first < last {
            data.first_row = first;
            let rows = first - series.first_row..last - series.first_row;
            data.values.extend_from_slice(&series.values[rows]);
        }
        let inside = |h: &&HistogramSample| h.timestamp_ms >= from && h.timestamp_ms <= to;
        data.histograms
            .extend(series.histograms.iter().filter(inside).cloned());
        Ok(())
    }
}
