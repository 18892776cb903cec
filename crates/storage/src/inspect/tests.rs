//! What inspection says about a store of which all is known.

use std::sync::Arc;

use tsdb_model::{Labels, ManualClock, Matcher};

use super::*;
use crate::db::Db;
use crate::fault::FaultDir;
use crate::options::{Options, WalSync};
use crate::wal::segment_name;

const RANGE: i64 = 1000;

fn options(dir: &FaultDir) -> Options {
    Options {
        dir: Some(Arc::new(dir.clone())),
        clock: Arc::new(ManualClock::new(i64::MAX / 2)),
        retention_ms: 0,
        block_range_ms: RANGE,
        wal_sync: WalSync::Never,
        maintenance_interval_ms: 0,
        ..Options::default()
    }
}

fn labels(i: usize) -> Labels {
    Labels::from_pairs([
        ("__name__", if i < 3 { "small" } else { "big" }),
        ("instance", "a:1"),
        ("job", "x"),
        ("number", &i.to_string()),
    ])
}

fn append(db: &Db, times: std::ops::Range<i64>) {
    for t in times {
        let mut appender = db.appender();
        for i in 0..10 {
            let series = appender.series(&labels(i)).unwrap();
            appender
                .append(series, t * 10, (t * 7919 % 1013) as f64 / 7.0)
                .unwrap();
        }
        appender.commit().unwrap();
    }
}

/// A store with two blocks and some samples in the log: 10 series each 10 ms, 0 to 2490.
fn store() -> FaultDir {
    let dir = FaultDir::default();
    let db = Db::open("", options(&dir)).unwrap();
    append(&db, 0..250);
    assert!(db.cut(2000).unwrap());
    db.close().unwrap();
    dir
}

fn shared(dir: &FaultDir) -> Arc<dyn Dir> {
    Arc::new(dir.clone())
}

#[test]
fn blocks_and_log_are_listed() {
    let dir = store();
    dir.set_bytes("blocks/00000009.tmp", b"half".to_vec());
    dir.set_bytes("blocks/00000008.block", b"no block".to_vec());
    let files = blocks(&shared(&dir)).unwrap();
    let states: Vec<_> = files.iter().map(|f| f.state.clone()).collect();
    assert!(matches!(
        &states[..],
        [
            BlockState::Used,
            BlockState::Used,
            BlockState::Damaged(_),
            BlockState::Unfinished
        ]
    ));
    let info = files[1].info.as_ref().unwrap();
    assert_eq!((info.min_time_ms, info.max_time_ms), (1000, 1990));
    assert_eq!((info.series, info.samples, info.targets), (10, 1000, 1));
    assert_eq!((info.level, info.late), (1, false));
    let sections: u64 = info.sections.iter().map(|s| s.1).sum();
    assert!(sections < files[1].bytes && sections > files[1].bytes / 2);

    let segments = log(&shared(&dir), &mut |done, all| assert!(done <= all)).unwrap();
    let floats: u64 = segments.iter().map(|s| s.floats).sum();
    assert!(floats >= 500, "{segments:?}");
    let last = segments.last().unwrap();
    assert_eq!((last.max_time_ms, last.corruptions), (Some(2490), 0));
    assert_eq!(last.series, 10);
}

#[test]
fn merged_blocks_replace_others() {
    let dir = store();
    let before = blocks(&shared(&dir)).unwrap();
    let parent = dir.bytes(&before[0].name);
    let db = Db::open("", options(&dir)).unwrap();
    append(&db, 250..1500);
    db.cut(13_000).unwrap();
    assert!(db.merge().unwrap());
    db.close().unwrap();
    dir.set_bytes(&before[0].name, parent);
    let files = blocks(&shared(&dir)).unwrap();
    assert_eq!(files[0].state, BlockState::Replaced);
    let merged = files
        .iter()
        .find_map(|f| f.info.as_ref().filter(|i| i.level == 2));
    assert!(merged.unwrap().replaces.contains(&1));
}

#[test]
fn what_takes_series_and_space() {
    let dir = store();
    let db = Db::open_read_only("", options(&dir)).unwrap();
    let usage = db
        .usage(&[], 2, &mut |done, all| assert!(done <= all))
        .unwrap();
    assert_eq!((usage.series, usage.samples), (10, 2000));
    assert_eq!(usage.label_pairs, 2 + 1 + 1 + 10);
    let metric = |m: &MetricUsage| (m.name.clone(), m.series, m.samples);
    let metrics: Vec<_> = usage.metrics.iter().map(metric).collect();
    assert_eq!(metrics[0], ("big".to_string(), 7, 1400));
    assert_eq!(metrics[1], ("small".to_string(), 3, 600));
    assert!(usage.sample_bytes > 0 && usage.sample_bytes < usage.block_bytes);
    let label = |l: &LabelUsage| (l.name.clone(), l.values, l.series);
    assert_eq!(label(&usage.labels[0]), ("number".to_string(), 10, 10));
    assert_eq!(usage.labels.len(), 2);
    assert_eq!(usage.pairs[0].series, 10);
    assert_eq!(usage.targets.len(), 1);
    assert_eq!(
        (&*usage.targets[0].job, usage.targets[0].samples),
        ("x", 2000)
    );
    let one = Matcher::new(tsdb_model::MatchOp::Equal, "number", "4").unwrap();
    let usage = db.usage(&[one], 5, &mut |_, _| {}).unwrap();
    assert_eq!((usage.series, usage.samples), (1, 200));
}

#[test]
fn every_flipped_byte_is_found() {
    let dir = store();
    let db = Db::open("", options(&dir)).unwrap();
    let any = Matcher::new(tsdb_model::MatchOp::Equal, "number", "4").unwrap();
    db.delete(&[any], 0, 5).unwrap();
    // A segment behind it: its end is known to be whole.
    append(&db, 250..252);
    db.close().unwrap();
    let clean = verify(&shared(&dir), &mut |done, all| assert!(done <= all)).unwrap();
    assert_eq!(clean.problems, []);
    assert_eq!(clean.blocks, 2);
    assert!(clean.segments >= 2 && clean.samples >= 2500);
    let blocks = blocks(&shared(&dir)).unwrap();
    let files = blocks.iter().map(|f| f.name.clone());
    let first = clean.segments;
    assert!(first > 0);
    let numbers = log::numbers(&*shared(&dir)).unwrap();
    let files = files
        .chain(numbers.iter().map(|n| segment_name(*n)))
        .chain(["tombstones".to_string()]);
    for name in files {
        let bytes = dir.bytes(&name);
        for at in (0..bytes.len()).step_by(if bytes.len() > 5000 { 37 } else { 7 }) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            dir.set_bytes(&name, damaged);
            let found = verify(&shared(&dir), &mut |_, _| {}).unwrap();
            let here = found.problems.iter().any(|p| p.file == name);
            // The length of the last record may say that the rest was never written.
            let torn = name.starts_with("wal/") && found.samples < clean.samples;
            assert!(here || torn, "byte {at} of {name}");
            assert!(found.problems.iter().all(|p| p.file == name));
        }
        dir.set_bytes(&name, bytes);
    }
}
