//! Files of earlier versions must open for ever: testdata/formats/N holds a data directory as the
//! first version with that format wrote it, and what was in it. A directory is never changed once
//! it is there; a new format gets a new one.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use tsdb_model::histogram::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram, Histogram, Span};
use tsdb_model::{Exemplar, HistogramValue, Metadata, MetricType, stale_nan};

use super::*;
use crate::inspect;

const RANGE: i64 = 1000;

fn folder(version: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/formats");
    root.join(version)
}

/// All files of a data directory.
fn load(folder: &Path) -> FaultDir {
    let dir = FaultDir::default();
    dir.create_dir("").unwrap();
    for part in ["wal", "blocks", ""] {
        dir.create_dir(part).unwrap();
        for entry in std::fs::read_dir(folder.join("data").join(part)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let name = path.file_name().unwrap().to_str().unwrap();
                let name = format!("{part}/{name}");
                dir.set_bytes(name.trim_start_matches('/'), std::fs::read(&path).unwrap());
            }
        }
    }
    dir
}

fn opts(dir: &FaultDir) -> Options {
    Options {
        block_range_ms: RANGE,
        ..options(dir)
    }
}

/// All that a store holds, as text.
fn text_of(db: &Db) -> String {
    let querier = db.querier(i64::MIN, i64::MAX).unwrap();
    let set = querier
        .select(&hints(i64::MIN, i64::MAX), &everything())
        .unwrap();
    let mut order: Vec<(Labels, usize)> = (0..set.len()).map(|i| (set.labels(i), i)).collect();
    order.sort();
    let mut data = SeriesData::default();
    let mut out = String::new();
    for (labels, i) in order {
        set.read(i, &mut data).unwrap();
        writeln!(out, "series {labels}").unwrap();
        let mut starts = data.start_timestamps.iter().peekable();
        let mut start = 0;
        for (row, (t, v)) in data.times().iter().zip(&data.values).enumerate() {
            while let Some((_, s)) = starts.next_if(|s| s.0 <= row) {
                start = *s;
            }
            writeln!(out, "{t} {start} {:016x}", v.to_bits()).unwrap();
        }
        for h in &data.histograms {
            let (t, start, h) = (h.timestamp_ms, h.start_timestamp_ms, &h.histogram);
            let (schema, hint, zero) = (h.schema, h.reset_hint, h.zero_threshold);
            let bounds = &h.custom_values;
            writeln!(
                out,
                "{t} {start} {h} {schema} {zero} {bounds:?} hint {hint:?}"
            )
            .unwrap();
        }
    }
    for (labels, exemplars) in db.exemplars(i64::MIN, i64::MAX, &[everything()]).unwrap() {
        for e in exemplars {
            let (t, own) = (e.timestamp_ms, &e.labels);
            writeln!(
                out,
                "exemplar {labels} {t} {own} {:016x}",
                e.value.to_bits()
            )
            .unwrap();
        }
    }
    for (family, m) in db.metadata() {
        writeln!(
            out,
            "metadata {family} {:?} {:?} {:?}",
            m.metric_type, m.unit, m.help
        )
        .unwrap();
    }
    out
}

fn series(metric: &str, instance: &str) -> Labels {
    Labels::from_pairs([
        ("__name__", metric),
        ("instance", instance),
        ("job", "frozen"),
        ("text", "a \"b\" \\ \u{e9}\n"),
    ])
}

/// A value of every kind that pages tell apart.
fn value(metric: &str, t: i64) -> f64 {
    let n = t / 100;
    let bits = (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    match metric {
        "constant" => 3.25,
        "counter" => (n * n / 3) as f64,
        "gauge" => ((n * 7919) % 1013) as f64 / 100.0,
        "stale" if n % 17 == 16 => stale_nan(),
        "stale" => n as f64 * 0.1,
        _ => match n % 40 {
            7 => f64::NAN,
            8 => f64::INFINITY,
            9 => f64::NEG_INFINITY,
            10 => -0.0,
            11 => f64::from_bits(1),
            _ => f64::from_bits(bits),
        },
    }
}

fn histograms(t: i64) -> [(&'static str, HistogramValue); 3] {
    let n = (t / 100) as u64;
    let spans = vec![
        Span {
            offset: -2,
            length: 2,
        },
        Span {
            offset: 3,
            length: 1,
        },
    ];
    let int = Histogram {
        schema: 2,
        zero_threshold: 0.001,
        zero_count: n / 2,
        count: n / 2 + 4 * n + 1,
        sum: n as f64 * 1.5,
        positive_spans: spans.clone(),
        positive_deltas: vec![n as i64, 1, n as i64 - 1],
        ..Histogram::default()
    };
    let float = FloatHistogram {
        schema: -1,
        zero_threshold: 0.5,
        zero_count: 0.25,
        count: 0.25 + n as f64 * 0.75,
        sum: -1.0,
        negative_spans: vec![Span {
            offset: 0,
            length: 1,
        }],
        negative_buckets: vec![n as f64 * 0.75],
        ..FloatHistogram::default()
    };
    let custom = FloatHistogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count: 3.0 * n as f64,
        sum: 7.0,
        positive_spans: vec![Span {
            offset: 0,
            length: 2,
        }],
        positive_buckets: vec![n as f64, 2.0 * n as f64],
        custom_values: vec![0.1, 5.0],
        ..FloatHistogram::default()
    };
    [
        ("native_int", HistogramValue::Int(Arc::new(int))),
        ("native_float", HistogramValue::Float(Arc::new(float))),
        ("native_custom", HistogramValue::Float(Arc::new(custom))),
    ]
}

fn fill(db: &Db, times: impl Iterator<Item = i64>) {
    for t in times {
        let mut appender = db.appender();
        for instance in ["a:1", "b:1"] {
            for metric in ["constant", "counter", "gauge", "stale", "bits"] {
                let handle = appender.series(&series(metric, instance)).unwrap();
                if metric == "counter" {
                    let start = 1 + t / 3000 * 3000;
                    appender.append_start_timestamp(handle, start).unwrap();
                }
                appender.append(handle, t, value(metric, t)).unwrap();
            }
            for (metric, h) in histograms(t) {
                let handle = appender.series(&series(metric, instance)).unwrap();
                appender.append_histogram(handle, t, h).unwrap();
            }
        }
        assert_eq!(appender.commit().unwrap().rejected, []);
    }
}

/// Writes the directory of the present formats anew. For a format that is not frozen yet.
#[test]
#[ignore = "writes testdata/formats/new"]
#[expect(clippy::disallowed_methods, reason = "writes files beside the store")]
fn write_new() {
    let dir = FaultDir::default();
    let db = Db::open("", opts(&dir)).unwrap();
    let mut appender = db.appender();
    let metadata = Metadata {
        metric_type: MetricType::Counter,
        unit: "things".into(),
        help: "What \"counts\".".into(),
    };
    appender.update_metadata("counter", metadata);
    appender.commit().unwrap();
    // A day of twelve ranges that is merged, and one block behind.
    fill(&db, (0..14_000).step_by(100));
    assert!(db.cut(13_000).unwrap() && db.merge().unwrap());
    // Late ones that are in a block, and deletions over all.
    put(&db, &series("gauge", "a:1"), &[(1025, 7.0), (4075, 8.5)]);
    assert!(db.cut(13_000).unwrap());
    let gauge = [
        Matcher::equal("__name__", "gauge"),
        Matcher::equal("instance", "b:1"),
    ];
    db.delete(&gauge, 2000, 2500).unwrap();
    db.delete(&gauge, 13_100, 13_300).unwrap();
    // Late ones that are only in the log, what is behind the cuts, and an exemplar.
    put(&db, &series("gauge", "b:1"), &[(2125, 9.0)]);
    fill(&db, (14_000..14_500).step_by(100));
    let mut appender = db.appender();
    let handle = appender.series(&series("counter", "a:1")).unwrap();
    let exemplar = Exemplar {
        labels: Labels::from_pairs([("trace_id", "abc")]),
        value: 1.5,
        timestamp_ms: 14_400,
    };
    appender.append_exemplar(handle, exemplar).unwrap();
    appender.commit().unwrap();
    let text = text_of(&db);
    db.close().unwrap();
    let new = folder("new");
    for part in ["wal", "blocks"] {
        std::fs::create_dir_all(new.join("data").join(part)).unwrap();
    }
    for name in dir.names().iter().filter(|n| *n != "lock") {
        std::fs::write(new.join("data").join(name), dir.bytes(name)).unwrap();
    }
    std::fs::write(new.join("content.txt"), text).unwrap();
}

/// Fails with the first line that differs.
fn assert_same(got: &str, want: &str, when: &str) {
    let lines = got.lines().zip(want.lines()).enumerate();
    for (number, (got, want)) in lines {
        assert_eq!(got, want, "line {number}, {when}");
    }
    assert_eq!(got.lines().count(), want.lines().count(), "{when}");
}

/// What is known about counter resets gets less when samples are written anew with gaps.
fn without_hints(text: &str) -> String {
    let line = |l: &str| l.split(" hint ").next().unwrap_or(l).to_string() + "\n";
    text.lines().map(line).collect()
}

fn assert_opens(version: &str) {
    let folder = folder(version);
    let want = std::fs::read_to_string(folder.join("content.txt")).unwrap();
    let dir = load(&folder);
    let shared: Arc<dyn Dir> = Arc::new(dir.clone());
    let verified = inspect::verify(&shared, &mut |_, _| {}).unwrap();
    assert_eq!(verified.problems, []);
    assert!(
        verified.blocks >= 3 && verified.segments >= 2,
        "{verified:?}"
    );
    let db = Db::open_read_only("", opts(&dir)).unwrap();
    assert_same(&text_of(&db), &want, "read only");
    // With a log of its own on top, and when all of it is written anew.
    let db = Db::open("", opts(&dir)).unwrap();
    assert!(db.stats().clean_start);
    assert_same(&text_of(&db), &want, "opened");
    put(&db, &name("new"), &[(14_501, 1.0)]);
    db.clean_tombstones().unwrap();
    db.cut(14_000).unwrap();
    db.merge().unwrap();
    db.close().unwrap();
    let db = Db::open("", opts(&dir)).unwrap();
    let new = format!("series {}\n14501 0 {:016x}\n", name("new"), 1f64.to_bits());
    let text = text_of(&db);
    assert!(text.contains(&new));
    assert_same(
        &without_hints(&text.replace(&new, "")),
        &without_hints(&want),
        "written anew",
    );
}

#[test]
fn version_1_opens() {
    assert_opens("v1");
}
