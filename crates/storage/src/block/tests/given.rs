//! Series for tests.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use proptest::prelude::*;
use tsdb_model::histogram::{CounterResetHint, FloatHistogram, Histogram, Span};
use tsdb_model::{HistogramValue, Labels, stale_nan};

use crate::block::{HistogramRow, SeriesColumns};

/// Label sets of targets with shared labels, of nothing in particular, and of none.
pub(super) fn labels() -> impl Strategy<Value = Labels> {
    let name = prop_oneof![Just("up"), Just("a_total"), Just("b_bucket"), Just("")];
    let job = prop_oneof![Just(""), Just("node"), Just("api")];
    let rest = proptest::collection::btree_map(
        prop_oneof![
            Just("code"),
            Just("le"),
            Just("zone"),
            Just("Zulu"),
            Just("pod")
        ],
        prop_oneof![
            "[0-9]{1,2}",
            "web-[a-f0-9]{3}",
            Just("+Inf".to_string()),
            "\\PC{0,3}"
        ],
        0..3,
    );
    (name, job, 0..3u8, rest).prop_map(|(name, job, instance, rest)| {
        let mut pairs: Vec<(String, String)> =
            vec![("__name__".into(), name.into()), ("job".into(), job.into())];
        if instance > 0 {
            pairs.push(("instance".into(), format!("host{instance}:9100")));
            pairs.push(("dc".into(), format!("dc{}", instance % 2)));
        }
        pairs.extend(rest.into_iter().map(|(n, v)| (n.to_string(), v)));
        Labels::from_pairs(pairs)
    })
}

pub(super) fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (-5i64..2000).prop_map(|v| v as f64),
        2 => (-5i64..2000).prop_map(|v| v as f64 / 10.0),
        1 => Just(stale_nan()),
        1 => any::<u64>().prop_map(f64::from_bits),
        1 => Just(-0.0),
    ]
}

fn values(rows: usize) -> BoxedStrategy<Vec<f64>> {
    prop_oneof![
        proptest::collection::vec(value(), rows),
        value().prop_map(move |v| vec![v; rows]),
        (0u32..9).prop_map(move |step| (0..rows as u32).map(|i| f64::from(i * step)).collect()),
    ]
    .boxed()
}

/// Columns of times that targets may have.
fn times() -> BoxedStrategy<Vec<i64>> {
    prop_oneof![
        4 => Just((0..40).map(|i| i * 15_000).collect()),
        2 => Just((0..1300).map(|i| i * 15_000 + (i * 7919) % 40).collect()),
        2 => Just((0..700).map(|i| i * 15_000 + 7).collect()),
        1 => proptest::collection::btree_set(-100_000i64..100_000, 1..50)
            .prop_map(|times| times.into_iter().collect()),
        1 => proptest::collection::btree_set(any::<i64>(), 1..9)
            .prop_map(|times| times.into_iter().collect()),
    ]
    .boxed()
}

fn spans(buckets: usize) -> Vec<Span> {
    match buckets {
        0 => Vec::new(),
        1 => vec![Span {
            offset: -3,
            length: 1,
        }],
        n => vec![
            Span {
                offset: 2,
                length: 1,
            },
            Span {
                offset: 1,
                length: n as u32 - 1,
            },
        ],
    }
}

const HINTS: [CounterResetHint; 4] = [
    CounterResetHint::Unknown,
    CounterResetHint::Reset,
    CounterResetHint::NotReset,
    CounterResetHint::Gauge,
];

fn histogram() -> impl Strategy<Value = HistogramValue> {
    let parts = (
        any::<bool>(),
        0..4usize,
        prop_oneof![4 => Just(3), 1 => -4i32..9, 1 => Just(-53)],
        prop_oneof![4 => Just(0usize), 4 => Just(3), 1 => 0usize..7],
        prop_oneof![6 => Just(0usize), 1 => 0usize..3],
        any::<[u64; 3]>(),
        proptest::collection::vec((any::<i64>(), value()), 12),
    );
    parts.prop_map(|(float, hint, schema, positive, negative, bits, cells)| {
        let custom = if schema == -53 {
            vec![0.5, 2.5]
        } else {
            Vec::new()
        };
        let (front, back) = cells.split_at(positive);
        let back = &back[..negative];
        let small = |i: i64| i >> 40;
        let reset_hint = HINTS[hint];
        if float {
            HistogramValue::Float(Arc::new(FloatHistogram {
                reset_hint,
                schema,
                zero_threshold: 0.001,
                zero_count: f64::from_bits(bits[0]),
                count: bits[1] as f64,
                sum: f64::from_bits(bits[2]),
                positive_spans: spans(positive),
                negative_spans: spans(negative),
                positive_buckets: front.iter().map(|c| c.1).collect(),
                negative_buckets: back.iter().map(|c| c.1).collect(),
                custom_values: custom,
            }))
        } else {
            HistogramValue::Int(Arc::new(Histogram {
                reset_hint,
                schema,
                zero_threshold: 0.001,
                zero_count: bits[0] >> 50,
                count: bits[1],
                sum: f64::from_bits(bits[2]),
                positive_spans: spans(positive),
                negative_spans: spans(negative),
                positive_deltas: front.iter().map(|c| small(c.0)).collect(),
                negative_deltas: back.iter().map(|c| c.0).collect(),
                custom_values: custom,
            }))
        }
    })
}

pub(super) fn histograms() -> BoxedStrategy<Vec<HistogramRow>> {
    let row = (
        0..4usize,
        prop_oneof![3 => Just(0i64), 1 => any::<i64>()],
        histogram(),
    );
    let list = proptest::collection::btree_map(-50_000i64..800_000, row, 0..12);
    prop_oneof![
        3 => Just(Vec::new()),
        1 => list.prop_map(|rows| {
            let row = |(t, (hint, start, value))| HistogramRow { t, start, hint: HINTS[hint], value };
            rows.into_iter().map(row).collect()
        }),
    ]
    .boxed()
}

fn columns() -> BoxedStrategy<SeriesColumns> {
    let shape = prop_oneof![
        6 => Just(None),
        2 => (0..40usize, 0..40usize).prop_map(|(from, to)| Some(std::iter::once(from..to).collect())),
        1 => proptest::collection::vec((0..1200usize, 1..60usize), 0..5)
            .prop_map(|gaps| Some(gaps.into_iter().map(|(at, len)| at..at + len).collect())),
        1 => Just(Some((0..650usize).map(|i| i * 2..i * 2 + 1).collect())),
        1 => Just(Some(std::iter::once(0..usize::MAX).collect())),
    ];
    (times(), shape)
        .prop_flat_map(|(times, absent)| {
            let absent: Vec<Range<usize>> = absent.unwrap_or_default();
            let kept: Vec<i64> = times
                .into_iter()
                .enumerate()
                .filter(|(row, _)| !absent.iter().any(|gap| gap.contains(row)))
                .map(|(_, t)| t)
                .collect();
            let rows = kept.len();
            let starts = prop_oneof![
                4 => Just(BTreeMap::new()),
                1 => proptest::collection::btree_map(0..rows.max(1), any::<i64>(), 0..5),
                1 => Just((0..rows).map(|row| (row, row as i64 * 15_000)).collect()),
            ];
            (Just(kept), values(rows), starts, histograms(), 0..3usize)
        })
        .prop_map(|(kept, values, starts, histograms, front)| {
            let starts = starts.into_iter().filter(|s| s.0 < values.len()).collect();
            let before = kept
                .first()
                .copied()
                .unwrap_or(0)
                .saturating_sub(front as i64);
            let first = kept.first().copied().unwrap_or(0);
            let mut times: Vec<i64> = (before..first).collect();
            let first_row = times.len();
            times.extend(kept);
            SeriesColumns {
                times: Arc::new(times),
                first_row,
                values,
                starts,
                histograms,
            }
        })
        .boxed()
}

/// Different sorted series.
pub(super) fn series(count: usize) -> impl Strategy<Value = Vec<(Labels, SeriesColumns)>> {
    proptest::collection::vec((labels(), columns()), 0..count).prop_map(|all| {
        let sorted: BTreeMap<Labels, SeriesColumns> =
            all.into_iter().filter(|s| !s.0.is_empty()).collect();
        sorted.into_iter().collect()
    })
}

/// A few series that touch everything, in a small block.
pub(super) fn small() -> Vec<(Labels, SeriesColumns)> {
    let mut all = BTreeMap::new();
    let times = Arc::new((0..20).map(|i| i * 1000).collect::<Vec<i64>>());
    for i in 0..20u32 {
        let labels = Labels::from_pairs([
            ("__name__", if i % 2 == 0 { "a" } else { "b_bucket" }),
            ("job", if i < 12 { "node" } else { "" }),
            ("instance", if i < 12 { "h1" } else { "" }),
            ("le", &i.to_string()),
        ]);
        let wave = |row: i32| f64::from(row * row * (i as i32 + 1) % 977) / 8.0;
        let mut columns = SeriesColumns {
            times: Arc::clone(&times),
            values: (0..20).map(wave).collect(),
            ..SeriesColumns::default()
        };
        match i {
            3 => columns.starts = vec![(0, -7), (9, 1000)],
            4 => columns.values = vec![stale_nan(); 20],
            5 => {
                columns.times =
                    Arc::new((0..20).filter(|i| i % 3 != 1).map(|i| i * 1000).collect());
                columns.values.truncate(columns.times.len());
            }
            6 => {
                columns.values.clear();
                for row in 0..5u64 {
                    let value = Histogram {
                        schema: 3,
                        count: row * 10,
                        sum: row as f64 * 0.3,
                        positive_spans: spans(2),
                        positive_deltas: vec![row as i64, 2],
                        ..Histogram::default()
                    };
                    columns.histograms.push(HistogramRow {
                        t: row as i64 * 1000,
                        start: 5,
                        hint: HINTS[row as usize % 4],
                        value: HistogramValue::Int(Arc::new(value)),
                    });
                }
            }
            _ => {}
        }
        all.insert(labels, columns);
    }
    all.into_iter().collect()
}
