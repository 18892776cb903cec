//! What the store promises, one thing at a time, also after opening again.

use tsdb_model::{
    CounterResetHint, Exemplar, Histogram, HistogramValue, Metadata, MetricType, SeriesRef, Span,
    StorageError, is_stale, stale_nan,
};

use super::*;

fn reopen(db: Db, dir: &FaultDir) -> Db {
    db.close().unwrap();
    db.close().unwrap();
    drop(db);
    let db = open(dir);
    assert!(db.stats().clean_start);
    db
}

fn read(db: &Db, series: &str) -> SeriesData {
    let querier = db.querier(i64::MIN, i64::MAX).unwrap();
    let matchers = [Matcher::equal("__name__", series)];
    let set = querier
        .select(&hints(i64::MIN, i64::MAX), &matchers)
        .unwrap();
    let mut data = SeriesData::default();
    if !set.is_empty() {
        set.read(0, &mut data).unwrap();
    }
    data
}

#[test]
fn refusals_are_prometheus_s() {
    let dir = FaultDir::default();
    let db = Db::open(
        "",
        Options {
            ooo_window_ms: 0,
            ..options(&dir)
        },
    )
    .unwrap();
    let hour = 3_600_000;
    put(&db, &name("x"), &[(9 * hour, 1.0), (10 * hour, 2.0)]);
    let results = put(
        &db,
        &name("x"),
        &[
            (10 * hour, 2.0),
            (10 * hour, 3.0),
            (9 * hour, 1.0),
            (9 * hour - 1, 1.0),
        ],
    );
    let duplicate = AppendError::Duplicate {
        timestamp_ms: 10 * hour,
        existing: 2.0,
        new: 3.0,
    };
    assert_eq!(
        results,
        [
            Ok(()),
            Err(duplicate),
            Err(AppendError::OutOfOrder),
            Err(AppendError::OutOfBounds)
        ]
    );
    assert_eq!(
        put(&db, &name("y"), &[(9 * hour - 1, 1.0)]),
        [Err(AppendError::OutOfBounds)]
    );
    let stats = db.stats();
    let counted = (
        stats.out_of_order_samples,
        stats.out_of_bounds_samples,
        stats.duplicate_samples,
        stats.float_samples_appended,
    );
    assert_eq!(counted, (1, 2, 1, 2));
    let mut appender = db.appender();
    assert_eq!(
        appender.series(&Labels::empty()),
        Err(AppendError::NoLabels)
    );
    assert_eq!(
        appender.append(SeriesRef(77), 1, 1.0),
        Err(AppendError::UnknownSeries)
    );
}

#[test]
fn what_only_the_commit_can_know_is_in_its_report() {
    let dir = FaultDir::default();
    let db = open(&dir);
    let mut first = db.appender();
    let handle = first.series(&name("x")).unwrap();
    // Within one transaction, unsorted, with a repetition and a contradiction.
    for (t, v) in [(20, 2.0), (10, 1.0), (20, 2.0), (10, 5.0)] {
        first.append(handle, t, v).unwrap();
    }
    put(&db, &name("x"), &[(30, 3.0)]);
    first.append(handle, 30, 3.0).unwrap();
    let report = first.commit().unwrap();
    assert_eq!(report.samples, 4);
    let [rejected] = &report.rejected[..] else {
        panic!("{report:?}")
    };
    assert_eq!((rejected.series, rejected.timestamp_ms), (handle, 10));
    let duplicate = AppendError::Duplicate {
        timestamp_ms: 10,
        existing: 1.0,
        new: 5.0,
    };
    assert_eq!(rejected.error, duplicate);
    assert_eq!(db.stats().out_of_order_samples_appended, 2);
    assert_eq!(read(&db, "x").values, [1.0, 2.0, 3.0]);
    assert_eq!(read(&reopen(db, &dir), "x").times(), [10, 20, 30]);
}

#[test]
fn late_samples_can_be_refused_by_their_sender() {
    let dir = FaultDir::default();
    let db = open(&dir);
    put(&db, &name("x"), &[(100, 1.0)]);
    let mut appender = db.appender();
    let x = appender.series(&name("x")).unwrap();
    appender.refuse_late();
    assert_eq!(appender.append(x, 50, 2.0), Err(AppendError::OutOfOrder));
    appender.append(x, 150, 2.0).unwrap();
    // Another commit is faster.
    put(&db, &name("x"), &[(200, 3.0)]);
    let report = appender.commit().unwrap();
    assert_eq!(report.samples, 0);
    assert_eq!(report.rejected[0].error, AppendError::OutOfOrder);
    assert_eq!(read(&db, "x").values, [1.0, 3.0]);
}

#[test]
fn series_limit() {
    let dir = FaultDir::default();
    let db = Db::open(
        "",
        Options {
            max_series: 1,
            ..options(&dir)
        },
    )
    .unwrap();
    put(&db, &name("x"), &[(1, 1.0)]);
    let mut appender = db.appender();
    assert_eq!(
        appender.series(&name("y")),
        Err(AppendError::SeriesLimit { limit: 1 })
    );
    assert!(appender.series(&name("x")).is_ok());
}

#[test]
fn memory_limit() {
    let dir = FaultDir::default();
    let db = Db::open("", options(&dir)).unwrap();
    put(&db, &name("x"), &[(1, 1.0)]);
    let limit = 1 << 20;
    db.budget().set_limit(limit);
    let mut made = 0;
    let refused = loop {
        match db.appender().series(&name(&format!("y{made}"))) {
            Ok(_) => made += 1,
            Err(e) => break e,
        }
    };
    assert_eq!(refused, AppendError::MemoryLimit { limit });
    assert!((900..1500).contains(&made), "{made}");
    // Known series go on.
    put(&db, &name("x"), &[(2, 2.0)]);
    // Nothing does when there is next to nothing left.
    db.budget().measured(limit);
    let mut appender = db.appender();
    let series = appender.series(&name("x")).unwrap();
    appender.append(series, 3, 3.0).unwrap();
    assert!(matches!(
        appender.commit(),
        Err(StorageError::Unavailable(_))
    ));
    db.budget().measured(0);
    put(&db, &name("x"), &[(3, 3.0)]);
    put(&db, &name("z"), &[(3, 3.0)]);
    assert_eq!(db.budget().refused(), (1, 1));
}

fn histogram(count: u64) -> Histogram {
    Histogram {
        count,
        sum: 1.5,
        positive_spans: vec![Span {
            offset: -1,
            length: 1,
        }],
        positive_deltas: vec![count as i64],
        ..Histogram::default()
    }
}

#[test]
fn histograms_in_both_forms() {
    let dir = FaultDir::default();
    let db = open(&dir);
    let mut appender = db.appender();
    let x = appender.series(&name("x")).unwrap();
    let int = |count| HistogramValue::Int(Arc::new(histogram(count)));
    let float = |count| HistogramValue::Float(Arc::new(histogram(count).to_float()));
    for (t, value) in [(10, int(5)), (20, int(6)), (30, int(3)), (40, float(4))] {
        appender.append_histogram(x, t, value).unwrap();
    }
    appender.append(x, 50, stale_nan()).unwrap();
    let bad = Histogram {
        count: 1,
        ..histogram(5)
    };
    let refused = appender.append_histogram(x, 60, HistogramValue::Int(Arc::new(bad)));
    assert_eq!(refused, Err(AppendError::InvalidHistogram));
    appender.commit().unwrap();

    let mut appender = db.appender();
    appender.append_histogram(x, 40, float(4)).unwrap();
    appender.append(x, 50, stale_nan()).unwrap();
    let duplicate = AppendError::Duplicate {
        timestamp_ms: 10,
        existing: 1.5,
        new: 7.0,
    };
    assert_eq!(appender.append(x, 10, 7.0), Err(duplicate));
    assert_eq!(appender.commit().unwrap().samples, 2);

    let mut db = db;
    for _ in 0..2 {
        let data = read(&db, "x");
        assert!(data.values.is_empty());
        use CounterResetHint::{NotReset, Unknown};
        let hints: Vec<_> = data
            .histograms
            .iter()
            .map(|h| h.histogram.reset_hint)
            .collect();
        assert_eq!(hints, [Unknown, NotReset, Unknown, Unknown, Unknown]);
        let counts: Vec<_> = data.histograms.iter().map(|h| h.histogram.count).collect();
        assert_eq!(counts, [5.0, 6.0, 3.0, 4.0, 0.0]);
        assert!(is_stale(data.histograms[4].histogram.sum));
        assert_eq!(data.histograms[0].histogram.positive_buckets, [5.0]);
        db = reopen(db, &dir);
    }
    // Floats and histograms may mix.
    put(&db, &name("x"), &[(60, 1.0), (70, stale_nan())]);
    let data = read(&db, "x");
    assert_eq!(
        (data.times(), data.no_stale, data.histograms.len()),
        (&[60, 70][..], false, 5)
    );
}

#[test]
fn start_timestamps_stay_with_their_samples() {
    let dir = FaultDir::default();
    let db = open(&dir);
    let mut appender = db.appender();
    let x = appender.series(&name("x")).unwrap();
    appender.append(x, 100, 1.0).unwrap();
    appender.append_start_timestamp(x, 150).unwrap();
    appender.append(x, 200, 1.0).unwrap();
    appender.append(x, 300, 2.0).unwrap();
    appender.append_start_timestamp(x, 350).unwrap();
    appender.append(x, 400, 1.0).unwrap();
    appender.commit().unwrap();
    put(&db, &name("x"), &[(500, 2.0), (250, 1.5)]);
    let mut appender = db.appender();
    appender.append_start_timestamp(x, 120).unwrap();
    appender.append(x, 130, 0.5).unwrap();
    let h = HistogramValue::Int(Arc::new(histogram(1)));
    appender.append_start_timestamp(x, 590).unwrap();
    appender.append_histogram(x, 600, h).unwrap();
    appender.commit().unwrap();
    let mut db = db;
    for _ in 0..2 {
        let data = read(&db, "x");
        assert_eq!(data.times(), [100, 130, 200, 250, 300, 400, 500]);
        assert_eq!(data.start_timestamps, [(1, 120), (2, 150), (5, 350)]);
        assert_eq!(data.histograms[0].start_timestamp_ms, 590);
        db = reopen(db, &dir);
    }
}

fn exemplar(t: i64, value: f64) -> Exemplar {
    let labels = Labels::from_pairs([("trace_id", format!("{t}"))]);
    Exemplar {
        labels,
        value,
        timestamp_ms: t,
    }
}

#[test]
fn exemplars_and_metadata_survive() {
    let dir = FaultDir::default();
    let opts = Options {
        max_exemplars: 3,
        ..options(&dir)
    };
    let db = Db::open("", opts.clone()).unwrap();
    let mut appender = db.appender();
    let b = appender.series(&name("b")).unwrap();
    let a = appender.series(&name("a")).unwrap();
    for (series, t) in [(b, 1), (b, 2), (a, 1), (b, 3), (b, 3)] {
        appender.append(series, t, 1.0).unwrap();
        appender.append_exemplar(series, exemplar(t, 1.0)).unwrap();
    }
    let metadata = |help: &str| Metadata {
        metric_type: MetricType::Counter,
        unit: "seconds".into(),
        help: help.into(),
    };
    appender.update_metadata("b", metadata("old"));
    appender.update_metadata("b", metadata("new"));
    appender.commit().unwrap();
    let mut appender = db.appender();
    let late = appender.append_exemplar(b, exemplar(2, 1.0));
    assert_eq!(late, Err(AppendError::OutOfOrderExemplar));
    drop(appender);
    let mut db = db;
    for _ in 0..2 {
        let all = vec![everything()];
        let want = vec![
            (name("a"), vec![exemplar(1, 1.0)]),
            (name("b"), vec![exemplar(2, 1.0), exemplar(3, 1.0)]),
        ];
        assert_eq!(db.exemplars(0, 10, &all).unwrap(), want);
        let one = vec![vec![Matcher::equal("__name__", "b")]];
        assert_eq!(db.exemplars(3, 3, &one).unwrap().len(), 1);
        assert!(db.exemplars(0, 10, &[]).unwrap().is_empty());
        assert_eq!(db.metadata(), [("b".to_string(), metadata("new"))]);
        assert_eq!(db.stats().exemplars_in_storage, 3);
        drop(db);
        db = Db::open("", opts.clone()).unwrap();
    }
    db.set_max_exemplars(1);
    let stats = db.stats();
    assert_eq!((stats.exemplars_in_storage, stats.max_exemplars), (1, 1));
}

#[test]
fn the_window_for_late_samples_can_be_changed() {
    let dir = FaultDir::default();
    let db = Db::open("", options(&dir)).unwrap();
    let labels = name("x");
    put(&db, &labels, &[(100_000, 1.0)]);
    let late = |t: i64| {
        let mut appender = db.appender();
        let series = appender.series(&labels).unwrap();
        let taken = appender.append(series, t, 2.0);
        appender.commit().unwrap();
        taken
    };
    assert_eq!(late(10_000), Ok(()));
    db.set_ooo_window(0);
    assert_eq!(late(20_000), Err(AppendError::OutOfOrder));
    db.set_ooo_window(60_000);
    assert_eq!(late(20_000), Err(AppendError::TooOld));
    assert_eq!(late(50_000), Ok(()));
}

#[test]
fn retention_drops_memory_and_segments() {
    let dir = FaultDir::default();
    let clock = Arc::new(ManualClock::new(0));
    let opts = Options {
        retention_ms: 10_000,
        segment_bytes: 2000,
        clock: clock.clone(),
        ..options(&dir)
    };
    let db = Db::open("", opts.clone()).unwrap();
    let mut appender = db.appender();
    appender.update_metadata("x", Metadata::default());
    appender.commit().unwrap();
    put(&db, &name("old"), &[(1, 1.0)]);
    for i in 0..400i64 {
        clock.set(i * 100);
        put(&db, &name("x"), &[(i * 100, 1.0 / (i + 1) as f64)]);
    }
    let before = db.stats();
    assert!(before.wal_segments > 4, "{before:?}");
    assert_eq!(
        put(&db, &name("x"), &[(29_899, 1.0)]),
        [Err(AppendError::TooOld)]
    );
    db.maintain().unwrap();
    let after = db.stats();
    assert!(after.wal_segments < before.wal_segments && after.wal_truncations == 1);
    assert!(after.head_chunks < before.head_chunks);
    assert_eq!((after.head_series, after.series_removed), (1, 1));
    assert!(after.min_time_ms > 1 && after.max_time_ms == 39_900);
    let kept = |db: &Db| -> Vec<i64> {
        let data = read(db, "x");
        data.times()
            .iter()
            .copied()
            .filter(|t| *t >= 29_900)
            .collect()
    };
    let want: Vec<i64> = (299..400).map(|i| i * 100).collect();
    assert_eq!(kept(&db), want);
    drop(db);
    let db = Db::open("", opts).unwrap();
    assert_eq!(kept(&db), want);
    assert_eq!(
        db.metadata().len(),
        1,
        "metadata of the first segment is kept"
    );
    // Everything is past retention: the last segments go too, but for the newest.
    put(&db, &name("y"), &[(39_950, 1.0)]);
    clock.set(1_000_000);
    put(&db, &name("y"), &[(1_000_000, 1.0)]);
    db.maintain().unwrap();
    assert_eq!(db.stats().wal_segments, 1);
    assert_eq!(db.stats().head_series, 1);
    assert_eq!(db.metadata().len(), 1);
}

#[test]
fn reading_only() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("data");
    let opts = || Options {
        retention_ms: 0,
        ..Options::default()
    };
    let missing = Db::open_read_only(&path, opts()).unwrap_err().to_string();
    assert!(missing.contains("data"), "{missing}");
    let none = Db::open_read_only(temp.path(), opts())
        .unwrap_err()
        .to_string();
    assert!(none.contains("no store"), "{none}");

    let writer = Db::open(&path, opts()).unwrap();
    put(&writer, &name("x"), &[(1, 1.0)]);
    let second = Db::open(&path, opts()).unwrap_err().to_string();
    assert!(second.contains("in use by another process"), "{second}");
    assert!(second.contains(path.to_str().unwrap()), "{second}");

    let reader = Db::open_read_only(&path, opts()).unwrap();
    put(&writer, &name("x"), &[(2, 2.0)]);
    assert_eq!(content(&reader)[&name("x").to_string()].len(), 1);
    let mut appender = reader.appender();
    let x = appender.series(&name("x")).unwrap();
    appender.append(x, 5, 1.0).unwrap();
    assert!(matches!(
        appender.commit(),
        Err(StorageError::Unavailable(_))
    ));
    reader.maintain().unwrap();
    reader.close().unwrap();

    writer.close().unwrap();
    assert_eq!(content(&writer)[&name("x").to_string()].len(), 2);
    let mut appender = writer.appender();
    appender.append(x, 5, 1.0).unwrap();
    assert!(matches!(
        appender.commit(),
        Err(StorageError::Unavailable(_))
    ));
    let again = Db::open(&path, opts()).unwrap();
    assert!(again.stats().clean_start);
    assert_eq!(content(&again)[&name("x").to_string()].len(), 2);
}

#[test]
fn labels_by_matchers_limit_and_time() {
    let dir = FaultDir::default();
    let db = open(&dir);
    for (n, job, t) in [("a", "p", 10), ("b", "q", 20), ("c", "", 30)] {
        put(
            &db,
            &Labels::from_pairs([("__name__", n), ("job", job)]),
            &[(t, 1.0)],
        );
    }
    let querier = db.querier(0, 100).unwrap();
    assert_eq!(querier.label_names(&[], 0).unwrap(), ["__name__", "job"]);
    assert_eq!(querier.label_names(&[], 1).unwrap(), ["__name__"]);
    let no_job = [Matcher::equal("job", "")];
    assert_eq!(querier.label_names(&no_job, 0).unwrap(), ["__name__"]);
    assert_eq!(querier.label_values("__name__", &no_job, 0).unwrap(), ["c"]);
    assert_eq!(querier.label_values("job", &[], 0).unwrap(), ["p", "q"]);
    assert_eq!(querier.label_values("job", &[], 1).unwrap(), ["p"]);
    let early = db.querier(0, 15).unwrap();
    assert_eq!(early.label_values("job", &[], 0).unwrap(), ["p"]);
    assert_eq!(
        early.label_values("__name__", &everything(), 0).unwrap(),
        ["a"]
    );
    let late = db.querier(25, 100).unwrap();
    assert_eq!(late.label_names(&[], 0).unwrap(), ["__name__"]);
    let limited = SelectHints {
        limit: 2,
        ..hints(0, 100)
    };
    assert_eq!(querier.select(&limited, &everything()).unwrap().len(), 2);
    let cardinality = db.cardinality(2);
    assert_eq!(
        (cardinality.num_series, cardinality.num_label_pairs),
        (3, 5)
    );
    assert_eq!(cardinality.series_by_metric.len(), 2);
    let by_label = vec![("__name__".to_string(), 3), ("job".to_string(), 2)];
    assert_eq!(cardinality.values_by_label, by_label);
    assert_eq!(cardinality.bytes_by_label, by_label);
}

#[test]
fn flags_tell_the_truth_and_memory_is_reused() {
    let dir = FaultDir::default();
    let db = open(&dir);
    put(&db, &name("up"), &[(1, 1.0), (2, 1.0), (3, 2.0)]);
    put(&db, &name("down"), &[(1, 2.0), (2, 1.0)]);
    put(&db, &name("nan"), &[(1, f64::NAN)]);
    put(&db, &name("stale"), &[(1, stale_nan())]);
    let flags = |n| {
        let data = read(&db, n);
        (data.no_stale, data.monotone)
    };
    assert_eq!(flags("up"), (true, true));
    assert_eq!(flags("down"), (true, false));
    assert_eq!(flags("nan"), (true, false));
    assert_eq!(flags("stale"), (false, false));

    let querier = db.querier(0, 10).unwrap();
    let set = querier
        .select(&hints(2, 3), &[Matcher::equal("__name__", "up")])
        .unwrap();
    let mut data = SeriesData::default();
    set.read(0, &mut data).unwrap();
    assert_eq!(data.times(), [2, 3]);
    let place = Arc::as_ptr(&data.timestamps);
    set.read(0, &mut data).unwrap();
    assert_eq!(Arc::as_ptr(&data.timestamps), place);
    let held = data.timestamps.clone();
    set.read(0, &mut data).unwrap();
    assert_eq!(
        (held.len(), Arc::ptr_eq(&held, &data.timestamps)),
        (2, true)
    );
    // Whoever holds times keeps them as they are.
    let all = querier
        .select(&hints(0, 10), &[Matcher::equal("__name__", "up")])
        .unwrap();
    all.read(0, &mut data).unwrap();
    assert_eq!(
        (held.as_slice(), data.times()),
        (&[2, 3][..], &[1, 2, 3][..])
    );
}

#[test]
fn the_newest_sample_is_the_last_of_all() {
    let dir = FaultDir::default();
    let db = open(&dir);
    put(&db, &name("x"), &[(1, 1.0), (2, 4.0), (3, 9.0)]);
    let newest = |querier: &dyn tsdb_model::Querier, range: (i64, i64)| {
        let set = querier
            .select(&hints(range.0, range.1), &[Matcher::equal("__name__", "x")])
            .unwrap();
        let mut data = SeriesData::default();
        if set.is_empty() {
            return None;
        }
        set.read_newest(0, &mut data).unwrap();
        assert_eq!(data.times().len(), data.values.len());
        Some((*data.times().last()?, *data.values.last()?))
    };
    let before = db.querier(0, 100).unwrap();
    assert_eq!(newest(&*before, (0, 10)), Some((3, 9.0)));
    assert_eq!(newest(&*before, (0, 2)), Some((2, 4.0)));
    assert_eq!(newest(&*before, (4, 10)), None);
    put(&db, &name("x"), &[(4, 16.0)]);
    assert_eq!(newest(&*before, (0, 10)), Some((3, 9.0)));
    let after = db.querier(0, 100).unwrap();
    assert_eq!(newest(&*after, (0, 10)), Some((4, 16.0)));
    drop((before, after));
    put(&db, &name("x"), &[(5, stale_nan())]);
    let last = newest(&*db.querier(0, 100).unwrap(), (0, 10)).unwrap();
    assert_eq!((last.0, is_stale(last.1)), (5, true));
}

#[test]
fn threads_sync_and_stop() {
    let temp = tempfile::tempdir().unwrap();
    let opts = Options {
        wal_sync: WalSync::Interval(1),
        maintenance_interval_ms: 1,
        ..Options::default()
    };
    let db = Db::open(temp.path(), opts).unwrap();
    put(&db, &name("x"), &[(1, 1.0)]);
    while db.stats().wal_fsyncs == 0 {
        std::thread::yield_now();
    }
    db.close().unwrap();
}
