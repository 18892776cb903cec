//! Queriers see commits whole or not at all, and no later ones.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

const SERIES: usize = 60;

/// The values of all series at all times, by two selections of one querier.
fn check_all_equal(db: &Db) -> usize {
    let querier = db.querier(i64::MIN, i64::MAX).unwrap();
    let mut data = SeriesData::default();
    let mut reference: Option<(Vec<i64>, Vec<f64>)> = None;
    for _ in 0..2 {
        let set = querier
            .select(&hints(i64::MIN, i64::MAX), &everything())
            .unwrap();
        for i in 0..set.len() {
            set.read(i, &mut data).unwrap();
            if data.values.is_empty() {
                continue;
            }
            let now = (data.times().to_vec(), data.values.clone());
            match &reference {
                None => reference = Some(now),
                Some(reference) => assert_eq!(*reference, now, "{}", set.labels(i)),
            }
        }
        if let Some((times, _)) = &reference {
            let whole = set.len() == SERIES;
            assert!(whole, "{} series, {} samples", set.len(), times.len());
        }
    }
    reference.map_or(0, |r| r.0.len())
}

fn concurrent(sync: WalSync) {
    let dir = FaultDir::default();
    let opts = Options {
        wal_sync: sync,
        block_range_ms: 200,
        max_late_samples: 500,
        segment_bytes: 20_000,
        ..options(&dir)
    };
    let db = Db::open("", opts).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..150i64 {
                let mut appender = db.appender();
                for series in 0..SERIES {
                    let handle = appender.series(&name(&format!("s{series}"))).unwrap();
                    // Every third commit is late.
                    let t = if round % 3 == 2 {
                        round * 10 - 15
                    } else {
                        round * 10
                    };
                    appender.append(handle, t, round as f64).unwrap();
                }
                assert_eq!(appender.commit().unwrap().samples, SERIES as u64);
                if round % 10 == 0 {
                    db.maintain().unwrap();
                }
            }
            done.store(true, Ordering::SeqCst);
        });
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                db.maintain().unwrap();
                db.cut(i64::from(u16::try_from(db.stats().cuts).unwrap()) * 150)
                    .unwrap();
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = 0;
                while !done.load(Ordering::SeqCst) {
                    let now = check_all_equal(&db);
                    assert!(now >= last);
                    last = now;
                }
            });
        }
    });
    assert_eq!(check_all_equal(&db), 150);
    assert!(db.stats().cuts > 3 && db.stats().jobs_failed == 0);
    drop(db);
    assert_eq!(check_all_equal(&open(&dir)), 150);
}

#[test]
fn commits_are_seen_whole() {
    concurrent(WalSync::Never);
}

#[test]
fn commits_are_seen_whole_with_shared_syncs() {
    concurrent(WalSync::Group);
}

#[test]
fn a_querier_does_not_see_later_commits() {
    let dir = FaultDir::default();
    let db = open(&dir);
    let x = name("x");
    put(&db, &x, &[(10, 1.0), (30, 3.0)]);
    let querier = db.querier(0, 100).unwrap();
    put(&db, &x, &[(20, 2.0), (40, 4.0)]);
    put(&db, &name("y"), &[(20, 2.0)]);
    db.maintain().unwrap();
    let first = querier.select(&hints(0, 100), &everything()).unwrap();
    assert_eq!(first.len(), 1);
    let mut data = SeriesData::default();
    first.read(0, &mut data).unwrap();
    assert_eq!(data.times(), [10, 30]);
    assert_eq!(querier.label_values("__name__", &[], 0).unwrap(), ["x"]);
    let second = db.querier(0, 100).unwrap();
    put(&db, &x, &[(50, 5.0)]);
    first.read(0, &mut data).unwrap();
    assert_eq!(data.times(), [10, 30]);
    let set = second
        .select(&hints(0, 100), &[Matcher::equal("__name__", "x")])
        .unwrap();
    set.read(0, &mut data).unwrap();
    assert_eq!(data.times(), [10, 20, 30, 40]);
    drop((set, first));
    drop((second, querier));
    assert_eq!(content(&db)[&x.to_string()].len(), 5);
}

#[test]
fn nothing_is_visible_before_its_commit() {
    let dir = FaultDir::default();
    let db = open(&dir);
    let mut appender = db.appender();
    let handle = appender.series(&name("x")).unwrap();
    appender.append(handle, 1, 1.0).unwrap();
    appender.update_metadata("x", tsdb_model::Metadata::default());
    assert_eq!(content(&db), Content::new());
    db.maintain().unwrap(); // does not take the handle away
    appender.append(handle, 2, 1.0).unwrap();
    appender.rollback();
    assert_eq!(
        (content(&db), db.metadata().len(), db.stats().head_series),
        Default::default()
    );
    // A series without samples goes, and its handle never means another one.
    db.maintain().unwrap();
    put(&db, &name("y"), &[(1, 1.0)]);
    let mut appender = db.appender();
    assert_eq!(
        appender.append(handle, 1, 5.0),
        Err(AppendError::UnknownSeries)
    );
    drop(appender);
    assert!(dir.names().contains(&"wal/00000000".to_string()));
}

/// With shared syncs nothing is visible that was answered with an error, whoever syncs.
#[test]
fn a_failed_shared_sync_shows_nothing() {
    for after in 0..60 {
        let dir = FaultDir::default();
        let opts = Options {
            wal_sync: WalSync::Group,
            segment_bytes: 400,
            ..options(&dir)
        };
        let db = Db::open("", opts).unwrap();
        dir.fail(after, 1);
        let acknowledged = std::sync::Mutex::new(Content::new());
        std::thread::scope(|scope| {
            for writer in 0..3 {
                let (db, acknowledged) = (&db, &acknowledged);
                scope.spawn(move || {
                    let series = name(&format!("w{writer}"));
                    for t in 0..8i64 {
                        let mut appender = db.appender();
                        let handle = appender.series(&series).unwrap();
                        appender.append(handle, t, 1.0).unwrap();
                        if appender.commit().is_ok() {
                            let mut all = acknowledged.lock().unwrap();
                            let samples = all.entry(series.to_string()).or_default();
                            samples.push((t, 1.0f64.to_bits()));
                        }
                    }
                });
            }
        });
        let mut seen = content(&db);
        seen.retain(|_, samples| !samples.is_empty());
        assert_eq!(seen, acknowledged.into_inner().unwrap(), "{after}");
    }
}
