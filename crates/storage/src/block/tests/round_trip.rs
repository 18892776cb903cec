use proptest::prelude::*;
use tsdb_model::histogram::CounterResetHint;
use tsdb_model::{SeriesData, is_stale};

use super::given::{series, small};
use super::*;
use crate::block::HistogramRow;
use crate::head::histograms::same;

/// Samples of a series as rows: time, bits, start.
type Rows = Vec<(i64, u64, i64)>;

fn rows(columns: &SeriesColumns, mint: i64, maxt: i64) -> Rows {
    let mut start = 0;
    let mut out = Vec::new();
    for (row, v) in columns.values.iter().enumerate() {
        if let Some(s) = columns.starts.iter().find(|s| s.0 == row) {
            start = s.1;
        }
        let t = columns.times[columns.first_row + row];
        if mint <= t && t <= maxt {
            out.push((t, v.to_bits(), start));
        }
    }
    out
}

fn hint_of(value: &tsdb_model::HistogramValue) -> CounterResetHint {
    match value {
        tsdb_model::HistogramValue::Int(h) => h.reset_hint,
        tsdb_model::HistogramValue::Float(h) => h.reset_hint,
    }
}

fn same_histograms(a: &[HistogramRow], b: &[HistogramRow]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| {
            (a.t, a.start, a.hint) == (b.t, b.start, b.hint)
                && same(&a.value, &b.value)
                && hint_of(&a.value) == hint_of(&b.value)
        })
}

pub(super) fn check_series(block: &Block, index: u32, want: &SeriesColumns, mint: i64, maxt: i64) {
    let mut back = SeriesColumns::default();
    block.read_columns(index, mint, maxt, &mut back).unwrap();
    let wanted = rows(want, mint, maxt);
    assert_eq!(rows(&back, i64::MIN, i64::MAX), wanted, "{mint} {maxt}");
    let within = |h: &&HistogramRow| mint <= h.t && h.t <= maxt;
    let histograms: Vec<HistogramRow> = want.histograms.iter().filter(within).cloned().collect();
    assert!(same_histograms(&back.histograms, &histograms));

    let mut data = SeriesData::default();
    block.read(index, mint, maxt, &mut data).unwrap();
    let seen = SeriesColumns {
        times: Arc::clone(&data.timestamps),
        first_row: data.first_row,
        values: data.values.clone(),
        starts: data.start_timestamps.clone(),
        histograms: Vec::new(),
    };
    assert_eq!(rows(&seen, i64::MIN, i64::MAX), wanted);
    assert!(!data.no_stale || !data.values.iter().any(|v| is_stale(*v)));
    assert!(!data.monotone || data.values.windows(2).all(|w| w[0] <= w[1]));
    assert!(!data.monotone || !data.values.iter().any(|v| v.is_nan()));
    assert_eq!(data.histograms.len(), histograms.len());
    for (got, want) in data.histograms.iter().zip(&histograms) {
        assert_eq!(
            (got.timestamp_ms, got.start_timestamp_ms),
            (want.t, want.start)
        );
        assert_eq!(got.histogram.reset_hint, want.hint);
    }
}

pub(super) fn check(block: &Block, series: &[(Labels, SeriesColumns)], ranges: &[(i64, i64)]) {
    let kept: Vec<_> = series
        .iter()
        .filter(|s| !s.1.values.is_empty() || !s.1.histograms.is_empty())
        .collect();
    assert_eq!(block.series() as usize, kept.len());
    let samples: usize = kept
        .iter()
        .map(|s| s.1.values.len() + s.1.histograms.len())
        .sum();
    assert_eq!(block.meta().samples, samples as u64);
    for (index, (labels, columns)) in kept.iter().enumerate() {
        let index = index as u32;
        assert_eq!(&block.labels(index).unwrap(), labels);
        check_series(block, index, columns, i64::MIN, i64::MAX);
        for (mint, maxt) in ranges {
            check_series(block, index, columns, *mint, *maxt);
        }
    }
    assert!(block.labels(block.series()).is_err());
    let times = || {
        kept.iter().flat_map(|(_, c)| {
            let floats = rows(c, i64::MIN, i64::MAX).into_iter().map(|r| r.0);
            floats
                .chain(c.histograms.iter().map(|h| h.t))
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(block.meta().min_t, times().min().unwrap_or(i64::MAX));
    assert_eq!(block.meta().max_t, times().max().unwrap_or(i64::MIN));
    block.verify().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 60 } else { 1000 }))]

    #[test]
    fn any_block(
        series in series(30),
        ranges in proptest::collection::vec((-120_000i64..20_000_000, 0i64..9_000_000), 3),
    ) {
        let (_, dir) = memory();
        let block = write(&dir, &new_block(), &series);
        let ranges: Vec<_> = ranges.into_iter().map(|(from, len)| (from, from + len)).collect();
        check(&block, &series, &ranges);
        prop_assert_eq!(&block.meta().new, &new_block());
    }
}

#[test]
fn mapped_or_not() {
    let series = small();
    let (_folder, dirs) = on_disk();
    drop(write(&dirs[0], &new_block(), &series));
    for dir in &dirs {
        let block = Block::open(dir, 7).unwrap();
        check(&block, &series, &[(3000, 9000), (0, 0), (19_500, 30_000)]);
        assert_eq!(
            block.meta().bytes,
            dir.size("blocks/00000007.block").unwrap()
        );
    }
    // A removed file can still be read.
    let block = Block::open(&dirs[0], 7).unwrap();
    dirs[0].remove("blocks/00000007.block").unwrap();
    check(&block, &series, &[]);
}

#[test]
fn an_empty_block() {
    let (_, dir) = memory();
    check(&write(&dir, &new_block(), &[]), &[], &[]);
    let mut none = small();
    for (_, columns) in &mut none {
        columns.values.clear();
        columns.histograms.clear();
    }
    let new = NewBlock {
        id: 8,
        ..NewBlock::default()
    };
    let block = write(&dir, &new, &none);
    check(&block, &none, &[]);
    assert_eq!(block.label_names().unwrap(), [""; 0]);
    assert_eq!(block.select(&[]).unwrap(), [0u32; 0]);
}

#[test]
fn series_of_a_target_share_times() {
    let (_, dir) = memory();
    let block = write(&dir, &new_block(), &small());
    let (mut a, mut b) = (SeriesData::default(), SeriesData::default());
    block.read(0, 2000, 9000, &mut a).unwrap();
    block.read(1, 2000, 9000, &mut b).unwrap();
    assert!(Arc::ptr_eq(&a.timestamps, &b.timestamps));
    assert_eq!(a.timestamps.len(), 8);
}

#[test]
fn what_is_not_finished_leaves_nothing() {
    let (fault, dir) = memory();
    let series = small();
    let sets = || series.iter().map(|s| s.0.clone()).collect::<Vec<_>>();
    let mut writer = BlockWriter::create(Arc::clone(&dir), new_block(), sets()).unwrap();
    writer.write_series(0, &series[0].1).unwrap();
    assert!(writer.write_series(0, &series[0].1).is_err());
    assert_eq!(fault.names(), ["blocks/00000007.tmp"]);
    drop(writer);
    assert!(fault.names().is_empty());

    // Every call that can fail.
    for call in 0.. {
        let (fault, dir) = memory();
        fault.fail(call, 1);
        let attempt = || {
            let mut writer = BlockWriter::create(Arc::clone(&dir), new_block(), sets())?;
            for (index, (_, columns)) in series.iter().enumerate() {
                writer.write_series(index, columns)?;
            }
            writer.finish()
        };
        match attempt() {
            Ok(_) => {
                assert!(call > 4);
                break;
            }
            Err(_) => assert!(!fault.names().contains(&"blocks/00000007.tmp".to_string())),
        }
    }
}

#[test]
fn nonsense_is_refused() {
    let (_, dir) = memory();
    let sets: Vec<Labels> = small().into_iter().map(|s| s.0).collect();
    let mut reversed = sets.clone();
    reversed.reverse();
    assert!(BlockWriter::create(Arc::clone(&dir), new_block(), reversed).is_err());
    let mut writer = BlockWriter::create(dir, new_block(), sets).unwrap();
    let columns = SeriesColumns {
        times: Arc::new(vec![1, 1]),
        values: vec![1.0, 2.0],
        ..SeriesColumns::default()
    };
    assert!(writer.write_series(0, &columns).is_err());
    let columns = SeriesColumns {
        times: Arc::new(vec![1, 2]),
        first_row: 1,
        values: vec![1.0, 2.0],
        ..SeriesColumns::default()
    };
    assert!(writer.write_series(1, &columns).is_err());
}
