//! From a store into blocks and back.

use std::sync::Arc;

use tsdb_model::{
    CounterResetHint, FloatHistogram, Histogram, HistogramValue, Labels, Matcher, Span, stale_nan,
};

use super::memory::{MemDir, MemStore, Series};
use crate::dir::Dir as _;
use crate::prom_block::*;

pub(super) const T0: i64 = 1_700_000_000_000;

pub(super) fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied())
}

pub(super) fn histogram(n: i64) -> Histogram {
    let spans = |length| {
        vec![
            Span { offset: -2, length },
            Span {
                offset: 3,
                length: 1,
            },
        ]
    };
    Histogram {
        reset_hint: CounterResetHint::Unknown,
        schema: 2,
        zero_threshold: 0.001,
        zero_count: n as u64,
        count: (n + 3 * n + n) as u64 + if n > 50 { 7 } else { 0 },
        sum: n as f64 * 0.3,
        positive_spans: spans(if n > 50 { 3 } else { 2 }),
        negative_spans: vec![Span {
            offset: 0,
            length: 1,
        }],
        positive_deltas: if n > 50 {
            vec![n, 0, 7 - n, n - 7]
        } else {
            vec![n, 0, 0]
        },
        negative_deltas: vec![n],
        custom_values: Vec::new(),
    }
}

fn int(h: Histogram) -> SampleValue {
    SampleValue::Histogram(HistogramValue::Int(Arc::new(h)))
}

fn float(h: FloatHistogram) -> SampleValue {
    SampleValue::Histogram(HistogramValue::Float(Arc::new(h)))
}

/// Series of every kind over some five hours.
pub(super) fn sample_series() -> Series {
    let mut series = Series::new();
    let every = |step: i64, n: i64| (0..n).map(move |i| (i, T0 + i * step));
    let counter = labels(&[
        ("__name__", "requests_total"),
        ("path", "/a\"b\n"),
        ("job", "x"),
    ]);
    series.insert(
        counter,
        every(15_000, 1200)
            .map(|(i, t)| (t, SampleValue::Float(i as f64 * 3.5)))
            .collect(),
    );
    let specials = [
        0.0,
        -0.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::from_bits(0x7ff8_0000_0000_0001),
        stale_nan(),
        f64::MIN_POSITIVE,
        1e300,
    ];
    series.insert(
        labels(&[("__name__", "odd"), ("größe", "≤ 1")]),
        every(60_001, 300)
            .map(|(i, t)| (t, SampleValue::Float(specials[i as usize % specials.len()])))
            .collect(),
    );
    let stale = Histogram {
        sum: stale_nan(),
        ..Histogram::default()
    };
    series.insert(
        labels(&[("__name__", "latency"), ("kind", "integer")]),
        every(15_000, 500)
            .map(|(i, t)| {
                (
                    t,
                    int(if i % 97 == 96 {
                        stale.clone()
                    } else {
                        histogram(i % 200)
                    }),
                )
            })
            .collect(),
    );
    let half = |i: i64| {
        let mut h = histogram(i).to_float();
        h.count += 0.5;
        h.zero_count += 0.5;
        h
    };
    series.insert(
        labels(&[("__name__", "latency"), ("kind", "float")]),
        every(15_000, 500)
            .map(|(i, t)| (t, float(half(i))))
            .collect(),
    );
    let gauge = |i: i64| Histogram {
        reset_hint: CounterResetHint::Gauge,
        ..histogram(100 - i % 100)
    };
    series.insert(
        labels(&[("__name__", "latency"), ("kind", "gauge")]),
        every(15_000, 300)
            .map(|(i, t)| (t, int(gauge(i))))
            .collect(),
    );
    let custom = |i: i64| Histogram {
        schema: -53,
        count: 4 * i as u64,
        sum: i as f64,
        positive_spans: vec![
            Span {
                offset: 0,
                length: 2,
            },
            Span {
                offset: 1,
                length: 1,
            },
        ],
        positive_deltas: vec![i, i, -i],
        custom_values: vec![0.005, 0.1, 2.0 / 3.0, 50_000.0],
        ..Histogram::default()
    };
    series.insert(
        labels(&[("__name__", "latency"), ("kind", "custom")]),
        every(15_000, 300)
            .map(|(i, t)| (t, int(custom(i))))
            .collect(),
    );
    series.insert(
        labels(&[("__name__", "mixed")]),
        every(15_000, 300)
            .map(|(i, t)| {
                (
                    t,
                    if i / 50 % 2 == 0 {
                        SampleValue::Float(i as f64)
                    } else {
                        int(histogram(i))
                    },
                )
            })
            .collect(),
    );
    series
}

/// What matters of a series: times, bits of values, and buckets with observations.
pub(super) fn content(series: &Series) -> Vec<(Labels, Vec<(i64, String)>)> {
    let text = |v: &SampleValue| {
        let h = match v {
            SampleValue::Float(v) => return format!("{:x}", v.to_bits()),
            SampleValue::Histogram(HistogramValue::Int(h)) => h.to_float(),
            SampleValue::Histogram(HistogramValue::Float(h)) => (**h).clone(),
        };
        let side = |spans: &[Span], counts: &[f64]| {
            let mut next = 0i64;
            let indices = spans.iter().flat_map(|s| {
                let first = next + i64::from(s.offset);
                next = first + i64::from(s.length);
                first..next
            });
            indices
                .zip(counts.to_vec())
                .filter(|(_, v)| *v != 0.0)
                .collect::<Vec<_>>()
        };
        format!(
            "{} {} {} {} {:x} {:?} {:?} {:?}",
            h.schema,
            h.zero_threshold,
            h.zero_count,
            h.count,
            h.sum.to_bits(),
            side(&h.positive_spans, &h.positive_buckets),
            side(&h.negative_spans, &h.negative_buckets),
            h.custom_values,
        )
    };
    series
        .iter()
        .map(|(l, samples)| {
            (
                l.clone(),
                samples.iter().map(|(t, v)| (*t, text(v))).collect(),
            )
        })
        .collect()
}

/// Compares, and names the first sample that differs.
pub(super) fn assert_same(got: &Series, want: &Series) {
    let (got, want) = (content(got), content(want));
    for ((got_labels, got), (labels, want)) in got.iter().zip(&want) {
        assert_eq!(got_labels, labels);
        for (got, want) in got.iter().zip(want) {
            assert_eq!(got, want, "{labels}");
        }
        assert_eq!(got.len(), want.len(), "{labels}");
    }
    assert_eq!(got.len(), want.len());
}

pub(super) fn exported(series: Series) -> (MemDir, Vec<BlockMeta>) {
    let dir = MemDir::default();
    let store = MemStore::new(series);
    let metas = export(&store, &[], i64::MIN, i64::MAX, &dir, &mut |_| {}).unwrap();
    (dir, metas)
}

pub(super) fn imported(dir: &dyn crate::dir::Dir) -> Result<(Series, Imported), PromBlockError> {
    let store = MemStore::default();
    let done = import(dir, &store, &mut |_| {})?;
    Ok((store.series.into_inner().unwrap(), done))
}

#[test]
fn all_comes_back() {
    let series = sample_series();
    let samples: usize = series.values().map(|s| s.len()).sum();
    let (dir, metas) = exported(series.clone());
    // 22:13:20 to 03:13:20 touch three ranges of two hours.
    assert_eq!(metas.len(), 3);
    for meta in &metas {
        assert_eq!(
            range_start(meta.min_time_ms),
            range_start(meta.max_time_ms - 1)
        );
        assert!(meta.stats.histogram_samples + meta.stats.float_samples == meta.stats.samples);
    }
    assert_eq!(
        metas.iter().map(|m| m.stats.samples).sum::<u64>(),
        samples as u64
    );
    assert!(
        dir.names()
            .iter()
            .all(|name| !name.contains(UNFINISHED_SUFFIX))
    );
    let read: Vec<BlockMeta> = list_blocks(&dir)
        .unwrap()
        .into_iter()
        .map(|b| b.1)
        .collect();
    assert_eq!(read, metas);

    let (back, done) = imported(&dir).unwrap();
    assert_eq!(
        (done.samples, done.rejected, done.blocks),
        (samples as u64, 0, 3)
    );
    assert_same(&back, &series);
    // Whole counts are written as integers, others are not.
    let kind = |kind| &back[&labels(&[("__name__", "latency"), ("kind", kind)])][&(T0 + 15_000)];
    assert!(matches!(
        kind("integer"),
        SampleValue::Histogram(HistogramValue::Int(_))
    ));
    assert!(matches!(
        kind("float"),
        SampleValue::Histogram(HistogramValue::Float(_))
    ));
    let SampleValue::Histogram(HistogramValue::Int(h)) = kind("gauge") else {
        panic!("integer")
    };
    assert_eq!(h.reset_hint, CounterResetHint::Gauge);
}

#[test]
fn chunks_are_cut_as_prometheus_cuts_them() {
    let (dir, metas) = exported(sample_series());
    let mut block = BlockReader::open(&dir, &metas[0].ulid.to_string()).unwrap();
    let mut last = None;
    for i in 0..block.series_count() {
        let entry = block.series(i).unwrap();
        assert!(last.as_ref() < Some(&entry.labels));
        for pair in entry.chunks.windows(2) {
            assert!(pair[0].max_time_ms < pair[1].min_time_ms);
            assert!(pair[0].reference < pair[1].reference);
        }
        let mut samples = Vec::new();
        for chunk in &entry.chunks {
            samples.clear();
            let next = block
                .samples(&entry, chunk.min_time_ms, chunk.max_time_ms, &mut samples)
                .unwrap();
            assert!(samples.len() <= usize::from(SAMPLES_PER_CHUNK));
            assert!(next.is_none_or(|t| t > chunk.max_time_ms));
        }
        last = Some(entry.labels);
    }
}

#[test]
fn only_what_is_asked_for() {
    let dir = MemDir::default();
    let store = MemStore::new(sample_series());
    let lists = [
        vec![Matcher::equal("__name__", "odd")],
        vec![
            Matcher::equal("kind", "float"),
            Matcher::equal("__name__", "latency"),
        ],
        vec![Matcher::equal("kind", "float")],
    ];
    let (from, to) = (T0 + 600_000, T0 + 1_200_000);
    let mut calls = Vec::new();
    let metas = export(&store, &lists, from, to, &dir, &mut |p| calls.push(*p)).unwrap();
    let (back, _) = imported(&dir).unwrap();
    assert_eq!(back.len(), 2);
    assert!(
        back.values()
            .all(|s| s.keys().all(|t| (from..=to).contains(t)))
    );
    let last = calls.last().unwrap();
    assert_eq!((last.done_until_ms, last.blocks), (to + 1, 1));
    assert_eq!(last.samples, metas[0].stats.samples);

    let none = MemDir::default();
    assert_eq!(
        export(&store, &lists, 0, T0 - 1, &none, &mut |_| {}).unwrap(),
        []
    );
    assert_eq!(
        export(&store, &lists, 5, 4, &none, &mut |_| {}).unwrap(),
        []
    );
    assert_eq!(none.names(), [""; 0]);
}

/// A block of one series and one float chunk, written straight away.
fn block(dir: &MemDir, now_ms: i64, samples: &[(i64, f64)]) -> Ulid {
    let mut builder = ChunkBuilder::new();
    for (t, v) in samples {
        builder.add(*t, &SampleValue::Float(*v)).unwrap();
    }
    let ulid = Ulid::new(now_ms);
    let mut writer = BlockWriter::new(dir, ulid).unwrap();
    writer
        .add_series(&labels(&[("__name__", "a")]), &builder.finish())
        .unwrap();
    writer.finish().unwrap();
    ulid
}

fn floats(series: &Series) -> Vec<(i64, f64)> {
    let value = |v: &SampleValue| match v {
        SampleValue::Float(v) => *v,
        SampleValue::Histogram(_) => panic!("float"),
    };
    series
        .values()
        .flatten()
        .map(|(t, v)| (*t, value(v)))
        .collect()
}

#[test]
fn overlapping_blocks_are_merged_and_the_newest_wins() {
    let dir = MemDir::default();
    block(&dir, 2000, &[(10, 1.0), (20, 2.0), (30, 3.0)]);
    block(
        &dir,
        1000,
        &[(20, 9.0), (25, 2.5), (BLOCK_RANGE_MS * 40, 4.0)],
    );
    let (back, done) = imported(&dir).unwrap();
    let want = [
        (10, 1.0),
        (20, 2.0),
        (25, 2.5),
        (30, 3.0),
        (BLOCK_RANGE_MS * 40, 4.0),
    ];
    assert_eq!(floats(&back), want);
    assert_eq!(done.blocks, 2);
}

#[test]
fn blocks_exported_twice() {
    let (dir, store) = (MemDir::default(), MemStore::new(sample_series()));
    for _ in 0..2 {
        export(&store, &[], i64::MIN, i64::MAX, &dir, &mut |_| {}).unwrap();
    }
    let (back, done) = imported(&dir).unwrap();
    assert_eq!((done.blocks, done.samples), (6, 3400));
    assert_same(&back, &sample_series());
}

#[test]
fn replaced_and_unfinished_blocks_are_left_out() {
    let dir = MemDir::default();
    let old = block(&dir, 1000, &[(10, 1.0), (20, 2.0)]);
    let new = block(&dir, 2000, &[(10, 1.0)]);
    let name = format!("{new}/meta.json");
    let text = String::from_utf8(dir.bytes(&name)).unwrap();
    let parents = format!(
        "\"level\": 2, \"parents\": [{{\"ulid\": \"{old}\", \"minTime\": 10, \"maxTime\": 21}}]"
    );
    let dir = dir.with(&name, text.replace("\"level\": 1", &parents).into_bytes());
    let dir = dir.with(&format!("{old}.tmp-for-creation/meta.json"), Vec::new());
    let dir = dir.with("wal/00000000", Vec::new());
    let (back, _) = imported(&dir).unwrap();
    assert_eq!(floats(&back), [(10, 1.0)]);
}

#[test]
fn a_block_alone() {
    let dir = MemDir::default();
    let ulid = block(&dir, 1000, &[(10, 1.0)]);
    dir.rename(&format!("{ulid}/"), "").unwrap();
    dir.rename(&ulid.to_string(), "").unwrap();
    let files = std::mem::take(&mut *dir.files.lock().unwrap());
    *dir.files.lock().unwrap() = files
        .into_iter()
        .map(|(name, bytes)| (name.trim_start_matches('/').to_string(), bytes))
        .collect();
    assert_eq!(floats(&imported(&dir).unwrap().0), [(10, 1.0)]);
}

#[test]
fn deleted_samples_stay_deleted() {
    let dir = MemDir::default();
    let samples: Vec<(i64, f64)> = (0..300).map(|i| (i * 10, i as f64)).collect();
    let ulid = block(&dir, 1000, &samples).to_string();
    let reference = {
        let bytes = dir.bytes(&format!("{ulid}/index"));
        let series_at = u64::from_be_bytes(
            bytes[bytes.len() - 44..bytes.len() - 36]
                .try_into()
                .unwrap(),
        );
        series_at.div_ceil(16)
    };
    let mut entries = Vec::new();
    for (from, to) in [(100, 199), (150, 250), (5, 5), (2900, i64::MAX)] {
        tsdb_codec::varint::put_uvarint(&mut entries, reference);
        tsdb_codec::varint::put_varint(&mut entries, from);
        tsdb_codec::varint::put_varint(&mut entries, to);
    }
    tsdb_codec::varint::put_uvarint(&mut entries, reference + 1);
    entries.extend([0, 200, 200, 1]);
    let mut bytes = vec![0x01, 0x30, 0xba, 0x30, 1];
    bytes.extend(&entries);
    bytes.extend(crc32c::crc32c(&entries).to_be_bytes());
    let dir = dir.with(&format!("{ulid}/tombstones"), bytes);
    let want: Vec<(i64, f64)> = samples
        .into_iter()
        .filter(|(t, _)| !(100..=250).contains(t) && *t < 2900)
        .collect();
    assert_eq!(floats(&imported(&dir).unwrap().0), want);
}

#[test]
fn refused_samples_are_counted() {
    let mut series = Series::new();
    let samples = |n: i64| (0..n).map(|i| (i, SampleValue::Float(1.0))).collect();
    series.insert(labels(&[("__name__", "a")]), samples(50_000));
    series.insert(labels(&[("__name__", "a"), ("refuse", "x")]), samples(3));
    let (dir, _) = exported(series);
    let store = MemStore::default();
    let mut calls = 0;
    let done = import(&dir, &store, &mut |_| calls += 1).unwrap();
    assert_eq!((done.samples, done.rejected), (50_000, 3));
    assert_eq!(
        done.reasons.into_iter().collect::<Vec<_>>(),
        [("out of bounds".to_string(), 3)]
    );
    assert_eq!((*store.commits.lock().unwrap(), calls), (3, 3));
}

#[test]
fn chunk_files_are_cut() {
    let dir = MemDir::default();
    let mut writer = BlockWriter::new(&dir, Ulid::new(1)).unwrap();
    writer.set_segment_bytes(300);
    let mut builder = ChunkBuilder::new();
    for i in 0..20 {
        for t in 0..50 {
            builder
                .add(t, &SampleValue::Float((t * t * i) as f64))
                .unwrap();
        }
        let name = format!("m{i:02}");
        writer
            .add_series(&labels(&[("__name__", &name)]), &builder.finish())
            .unwrap();
    }
    let ulid = writer.finish().unwrap().ulid.to_string();
    let files = dir.list(&format!("{ulid}/chunks")).unwrap();
    assert!(files.len() > 3, "{files:?}");
    assert_eq!(files[1], "000002");
    assert!(
        files
            .iter()
            .all(|f| dir.bytes(&format!("{ulid}/chunks/{f}")).len() <= 300)
    );
    let (back, _) = imported(&dir).unwrap();
    assert_eq!(back.len(), 20);
    assert_eq!(floats(&back)[1000 - 1], (49, (49 * 49 * 19) as f64));
}

#[test]
fn series_must_be_sorted() {
    let dir = MemDir::default();
    let mut writer = BlockWriter::new(&dir, Ulid::new(1)).unwrap();
    let mut builder = ChunkBuilder::new();
    builder.add(1, &SampleValue::Float(1.0)).unwrap();
    let chunks = builder.finish();
    writer
        .add_series(&labels(&[("__name__", "b")]), &chunks)
        .unwrap();
    for name in ["a", "b"] {
        let error = writer.add_series(&labels(&[("__name__", name)]), &chunks);
        assert!(matches!(error, Err(PromBlockError::SeriesOrder(_))));
    }
}

#[test]
fn times_at_the_end_of_the_world() {
    let mut series = Series::new();
    let times = [i64::MIN, -1, 0, 1, i64::MAX - 1];
    let samples = times.map(|t| (t, SampleValue::Float(1.0)));
    series.insert(labels(&[("__name__", "a")]), samples.into_iter().collect());
    let (dir, metas) = exported(series.clone());
    assert_eq!(metas.len(), 4);
    assert_same(&imported(&dir).unwrap().0, &series);
}

/// Through the real store and back.
#[test]
fn through_the_store() {
    let series = sample_series();
    let (dir, _) = exported(series.clone());
    let folder = tempfile::tempdir().unwrap();
    let options = crate::Options {
        retention_ms: 0,
        ..crate::Options::default()
    };
    let db = crate::Db::open(folder.path(), options).unwrap();
    let done = import(&dir, &db, &mut |_| {}).unwrap();
    assert_eq!(
        (done.samples, done.rejected),
        (3400, 0),
        "{:?}",
        done.reasons
    );
    // Again: nothing changes.
    assert_eq!(import(&dir, &db, &mut |_| {}).unwrap().rejected, 0);
    let stats = db.stats();
    let out = MemDir::default();
    export(
        &db,
        &[],
        stats.min_time_ms,
        stats.max_time_ms,
        &out,
        &mut |_| {},
    )
    .unwrap();
    assert_same(&imported(&out).unwrap().0, &series);
    let all = MemDir::default();
    export(&db, &[], i64::MIN, i64::MAX, &all, &mut |_| {}).unwrap();
    assert_same(&imported(&all).unwrap().0, &series);
    db.close().unwrap();
}
