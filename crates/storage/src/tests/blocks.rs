//! Blocks below the head, one thing at a time.

use std::sync::atomic::{AtomicBool, Ordering};

use tsdb_model::{Metadata, Querier, StorageError};

use super::*;
use crate::block::block_name;
use crate::catalogue::block_number;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// A store with a sample of each of five series every minute, the clock with them.
struct Store {
    dir: FaultDir,
    clock: Arc<ManualClock>,
    opts: Options,
    db: Option<Db>,
}

impl Store {
    fn new(change: impl FnOnce(Options) -> Options) -> Self {
        let dir = FaultDir::default();
        let clock = Arc::new(ManualClock::new(0));
        let opts = change(Options {
            clock: clock.clone(),
            segment_bytes: 1000,
            ..options(&dir)
        });
        let db = Some(Db::open("", opts.clone()).unwrap());
        Self {
            dir,
            clock,
            opts,
            db,
        }
    }

    fn db(&self) -> &Db {
        self.db.as_ref().unwrap()
    }

    /// Samples at `from` and every minute after, before `until`.
    fn fill(&self, from: i64, until: i64) {
        for t in (from..until).step_by(MINUTE as usize) {
            self.clock.set(t);
            let mut appender = self.db().appender();
            for series in 0..5 {
                let handle = appender.series(&name(&format!("s{series}"))).unwrap();
                let v = (t / MINUTE * 10 + series) as f64;
                appender.append(handle, t, v).unwrap();
            }
            let report = appender.commit().unwrap();
            assert_eq!(report.rejected, []);
        }
    }

    fn reopen(&mut self) {
        self.db = None;
        self.db = Some(Db::open("", self.opts.clone()).unwrap());
    }

    fn blocks(&self) -> Vec<u64> {
        let names = self.dir.names();
        let files = names.iter().filter_map(|n| n.strip_prefix("blocks/"));
        files.filter_map(block_number).collect()
    }
}

fn count(content: &Content) -> usize {
    content.values().map(Vec::len).sum()
}

fn content_of(querier: &dyn Querier) -> Content {
    let set = querier
        .select(&hints(i64::MIN, i64::MAX), &everything())
        .unwrap();
    let mut data = SeriesData::default();
    let mut out = Content::new();
    for i in 0..set.len() {
        set.read(i, &mut data).unwrap();
        let bits = data.values.iter().map(|v| v.to_bits());
        let samples = data.times().iter().copied().zip(bits).collect();
        out.insert(set.labels(i).to_string(), samples);
    }
    out
}

#[test]
fn old_ranges_become_blocks() {
    let mut store = Store::new(|o| o);
    let mut appender = store.db().appender();
    appender.update_metadata("s0", Metadata::default());
    appender.commit().unwrap();
    store.fill(0, 3 * HOUR);
    store.db().maintain().unwrap();
    let before = store.db().stats();
    assert_eq!((before.blocks_loaded, before.cut_until_ms), (0, i64::MIN));
    // The range ends an hour before the newest sample.
    store.fill(3 * HOUR, 3 * HOUR + MINUTE);
    let was = content(store.db());
    store.db().maintain().unwrap();
    let after = store.db().stats();
    assert_eq!((after.blocks_loaded, after.cuts), (1, 1));
    assert_eq!(after.cut_until_ms, 2 * HOUR);
    assert_eq!(after.block_samples, 5 * 120);
    let checked = store.db().verify_blocks(|_, _| true);
    assert_eq!(
        (checked.blocks, checked.series, checked.samples),
        (1, 5, 600)
    );
    assert!(checked.errors.is_empty());
    assert_eq!((after.head_series, after.min_time_ms), (5, 0));
    assert!(after.head_chunks_bytes < before.head_chunks_bytes);
    assert!(after.wal_segments < before.wal_segments);
    assert_eq!(content(store.db()), was);
    for (from, to) in [(0, HOUR), (HOUR, 2 * HOUR), (2 * HOUR, 3 * HOUR)] {
        let got = content_in(store.db(), from, to);
        for (series, samples) in &was {
            let want: Vec<_> = samples
                .iter()
                .filter(|s| from <= s.0 && s.0 <= to)
                .copied()
                .collect();
            assert_eq!(got[series], want, "{from}..{to}");
        }
    }
    store.reopen();
    assert_eq!(content(store.db()), was);
    assert_eq!(store.db().stats().late_samples, 0);
    assert_eq!(store.db().metadata().len(), 1);
    // A series that ended is not in memory any more, but is found.
    put(store.db(), &name("ended"), &[(3 * HOUR, 1.0)]);
    store.fill(3 * HOUR + MINUTE, 6 * HOUR);
    store.db().maintain().unwrap();
    let stats = store.db().stats();
    assert_eq!((stats.head_series, stats.blocks_loaded), (5, 2));
    let querier = store.db().querier(0, 6 * HOUR).unwrap();
    let ended = Matcher::equal("__name__", "ended");
    let set = querier.select(&hints(0, 6 * HOUR), &[ended]).unwrap();
    assert_eq!(set.len(), 1);
}

#[test]
fn times_of_a_block_are_shared() {
    let store = Store::new(|o| o);
    store.fill(0, 6 * HOUR);
    store.db().maintain().unwrap();
    let shared = |from: i64, to: i64| {
        let querier = store.db().querier(from, to).unwrap();
        let set = querier.select(&hints(from, to), &everything()).unwrap();
        let mut pointers = Vec::new();
        for i in 0..set.len() {
            let mut data = SeriesData::default();
            set.read(i, &mut data).unwrap();
            assert!(data.monotone && data.no_stale);
            pointers.push(data.timestamps);
        }
        assert_eq!(pointers.len(), 5);
        pointers
            .windows(2)
            .all(|pair| Arc::ptr_eq(&pair[0], &pair[1]))
    };
    // Out of several blocks and the head.
    assert!(shared(0, 6 * HOUR));
}

#[test]
fn a_querier_is_held_across_two_cuts() {
    let store = Store::new(|o| o);
    store.fill(0, 3 * HOUR + MINUTE);
    let first = store.db().querier(i64::MIN, i64::MAX).unwrap();
    let was = content_of(&*first);
    store.db().maintain().unwrap();
    let chunks = store.db().stats().head_chunks;
    put(store.db(), &name("s0"), &[(HOUR + 1, -1.0)]);
    let second = store.db().querier(i64::MIN, i64::MAX).unwrap();
    let was_second = content_of(&*second);
    assert_eq!(count(&was_second), count(&was) + 1);
    store.fill(3 * HOUR + MINUTE, 5 * HOUR + MINUTE);
    store.db().maintain().unwrap();
    let stats = store.db().stats();
    assert_eq!((stats.cuts, stats.late_samples), (2, 0));
    assert!(
        stats.head_chunks > chunks,
        "memory is held for the queriers"
    );
    assert_eq!(stats.block_samples, 5 * 240 + 1);
    for _ in 0..2 {
        assert_eq!(content_of(&*first), was);
        assert_eq!(content_of(&*second), was_second);
        store.db().merge().unwrap();
    }
    drop(first);
    store.db().maintain().unwrap();
    assert!(store.db().stats().head_chunks > chunks);
    drop(second);
    store.db().maintain().unwrap();
    assert!(store.db().stats().head_chunks < chunks);
    assert_eq!(count(&content(store.db())), 5 * 301 + 1);
}

#[test]
fn late_samples_become_late_blocks_and_are_merged() {
    let mut store = Store::new(|o| o);
    store.fill(0, 5 * HOUR);
    store.db().maintain().unwrap();
    assert_eq!(store.db().stats().blocks_loaded, 1);
    for i in 0..5 {
        put(store.db(), &name("s0"), &[(HOUR + i, 0.5)]);
        // Something else stands at this time: the older sample counts.
        put(store.db(), &name("s1"), &[(HOUR, 7.0 + i as f64)]);
        store.db().cut(0).unwrap();
    }
    let was = content(store.db());
    assert_eq!(count(&was), 5 * 300 + 4);
    assert_eq!(was[&name("s1").to_string()][60].1, 601f64.to_bits());
    store.reopen();
    assert_eq!(content(store.db()), was);
    assert_eq!(store.db().stats().blocks_loaded, 6);
    // Late ones alone as long as the day is not over.
    assert!(store.db().merge().unwrap());
    assert_eq!(store.db().stats().blocks_loaded, 2);
    assert_eq!(content(store.db()), was);
    store.fill(5 * HOUR, 26 * HOUR);
    store.db().maintain().unwrap();
    let stats = store.db().stats();
    assert_eq!((stats.cut_until_ms, stats.blocks_loaded), (24 * HOUR, 1));
    assert_eq!(store.blocks().len(), 1, "parents are removed");
    assert_eq!(count(&content(store.db())), 5 * 26 * 60 + 4);
    assert_eq!(stats.jobs_failed, 0);
    let was = content(store.db());
    store.reopen();
    assert_eq!(content(store.db()), was);
}

#[test]
fn many_late_samples_do_not_wait_for_a_cut() {
    let store = Store::new(|o| Options {
        max_late_samples: 50,
        ..o
    });
    store.fill(0, 5 * HOUR);
    store.db().maintain().unwrap();
    let late: Vec<(i64, f64)> = (0..60).map(|i| (i * MINUTE + 1, 1.0)).collect();
    put(store.db(), &name("s0"), &late[..50]);
    store.db().maintain().unwrap();
    assert_eq!(store.db().stats().late_samples, 50);
    put(store.db(), &name("s0"), &late[50..]);
    store.db().maintain().unwrap();
    let stats = store.db().stats();
    assert_eq!((stats.late_samples, stats.blocks_loaded), (0, 2));
    assert_eq!(count(&content(store.db())), 5 * 300 + 60);
}

#[test]
fn retention_by_time_and_by_size() {
    let mut store = Store::new(|o| Options {
        retention_ms: 8 * HOUR,
        ..o
    });
    store.fill(0, 11 * HOUR + MINUTE);
    store.db().maintain().unwrap();
    let stats = store.db().stats();
    assert_eq!((stats.blocks_retired_by_time, stats.blocks_loaded), (1, 4));
    assert_eq!(store.blocks().len(), 4);
    assert_eq!(stats.min_time_ms, 2 * HOUR);
    assert_eq!(content_in(store.db(), 0, 2 * HOUR - 1), Content::new());
    store.opts.retention_ms = 0;
    store.opts.retention_bytes = stats.block_bytes / 2 + stats.wal_bytes;
    store.reopen();
    store.db().maintain().unwrap();
    let stats = store.db().stats();
    assert!((1..4).contains(&stats.blocks_retired_by_size), "{stats:?}");
    assert!(stats.block_bytes + stats.wal_bytes <= store.opts.retention_bytes);
    store.opts.retention_bytes = 1;
    store.reopen();
    store.db().maintain().unwrap();
    assert_eq!(store.db().stats().blocks_loaded, 1, "the newest stays");
    assert_eq!(store.db().stats().cut_until_ms, 10 * HOUR);
}

#[test]
fn a_damaged_block_is_left_alone() {
    let mut store = Store::new(|o| o);
    store.fill(0, 7 * HOUR + MINUTE);
    store.db().maintain().unwrap();
    let was = content(store.db());
    let ids = store.blocks();
    assert_eq!(ids.len(), 3);
    store.db = None;
    let size = store.dir.bytes(&block_name(ids[1])).len();
    store.dir.set_bytes(&block_name(ids[1]), vec![0x55; size]);
    store.dir.set_bytes("blocks/00000099.tmp", vec![1]);
    store.reopen();
    let stats = store.db().stats();
    assert_eq!((stats.blocks_loaded, stats.blocks_quarantined), (2, 1));
    let mut want = was.clone();
    for samples in want.values_mut() {
        samples.retain(|s| s.0 < 2 * HOUR || s.0 >= 4 * HOUR);
    }
    assert_eq!(content(store.db()), want);
    // It stays, nobody gets its number, and deletions are kept for it.
    store.fill(7 * HOUR + MINUTE, 9 * HOUR + MINUTE);
    store
        .db()
        .delete(&[Matcher::equal("__name__", "s0")], 0, 10)
        .unwrap();
    store.db().maintain().unwrap();
    store.db().clean_tombstones().unwrap();
    assert_eq!(store.db().stats().tombstones, 1);
    let now = store.blocks();
    assert!(now.contains(&ids[1]) && now.len() == 4, "{now:?}");
    assert!(now.iter().all(|id| ids.contains(id) || *id > ids[2]));
    assert!(!store.dir.names().iter().any(|n| n.contains(".tmp")));
}

#[test]
fn deletions_are_seen_at_once_and_end_in_the_blocks() {
    let mut store = Store::new(|o| o);
    store.fill(0, 5 * HOUR);
    store.db().maintain().unwrap();
    let held = store.db().querier(i64::MIN, i64::MAX).unwrap();
    let was = content_of(&*held);
    let s0 = [Matcher::equal("__name__", "s0")];
    // In the block, and in the head.
    store.db().delete(&s0, HOUR, 4 * HOUR).unwrap();
    store
        .db()
        .delete(&[Matcher::equal("__name__", "s1")], i64::MIN, i64::MAX)
        .unwrap();
    store.db().delete(&s0, 5, 4).unwrap();
    assert_eq!(content_of(&*held), was);
    drop(held);
    let mut want = was.clone();
    want.remove(&name("s1").to_string());
    let of_s0 = want.get_mut(&name("s0").to_string()).unwrap();
    of_s0.retain(|s| s.0 < HOUR || s.0 > 4 * HOUR);
    assert_eq!(content(store.db()), want);
    let names = |db: &Db| {
        let querier = db.querier(i64::MIN, i64::MAX).unwrap();
        querier.label_values("__name__", &[], 0).unwrap()
    };
    assert_eq!(names(store.db()), ["s0", "s2", "s3", "s4"]);
    // What is written later stays.
    put(store.db(), &name("s0"), &[(HOUR, 7.0), (3 * HOUR, 8.0)]);
    let of_s0 = want.get_mut(&name("s0").to_string()).unwrap();
    of_s0.extend([(HOUR, 7f64.to_bits()), (3 * HOUR, 8f64.to_bits())]);
    of_s0.sort_unstable();
    for round in 0..4 {
        assert_eq!(content(store.db()), want, "{round}");
        match round {
            0 => store.reopen(),
            1 => {
                let samples = store.db().stats().block_samples;
                store.db().clean_tombstones().unwrap();
                // Of s0 an hour's, of s1 all.
                assert_eq!(store.db().stats().block_samples, samples - 60 - 240 / 2);
                // Log segments have the samples still.
                assert_eq!(store.db().stats().tombstones, 2);
            }
            2 => {
                store.db().cut(6 * HOUR).unwrap();
                store.db().maintain().unwrap();
                assert_eq!(store.db().stats().tombstones, 0);
            }
            _ => {}
        }
    }
    store.reopen();
    assert_eq!(content(store.db()), want);
    store
        .db()
        .delete(&everything(), i64::MIN, i64::MAX)
        .unwrap();
    store.db().clean_tombstones().unwrap();
    assert_eq!(content(store.db()), Content::new());
    store.reopen();
    assert_eq!(count(&content(store.db())), 0);
    assert_eq!(
        store.db().stats().cut_until_ms,
        6 * HOUR,
        "the last block states it"
    );
}

#[test]
fn a_damaged_list_of_deletions_is_told() {
    let mut store = Store::new(|o| o);
    store.fill(0, 5 * HOUR);
    store.db().maintain().unwrap();
    let was = content(store.db());
    store.db().delete(&everything(), 0, HOUR).unwrap();
    store.db = None;
    store.dir.set_bytes("tombstones", vec![1; 100]);
    store.reopen();
    assert_eq!(store.db().stats().tombstones_damaged, 1);
    assert_eq!(content(store.db()), was);
    assert_eq!(store.dir.bytes("tombstones.damaged"), vec![1; 100]);
    store.reopen();
    assert_eq!(store.db().stats().tombstones_damaged, 0);
}

#[test]
fn labels_of_head_and_blocks_are_one() {
    let store = Store::new(|o| o);
    for (n, job, t) in [
        ("a", "p", 1),
        ("b", "q", 2),
        ("c", "r", 5 * HOUR),
        ("a", "p", 5 * HOUR),
    ] {
        let labels = Labels::from_pairs([("__name__", n), ("job", job), (n, "x")]);
        put(store.db(), &labels, &[(t, 1.0)]);
    }
    store.clock.set(5 * HOUR);
    store.db().maintain().unwrap();
    assert_eq!(store.db().stats().blocks_loaded, 1);
    let all = store.db().querier(0, 5 * HOUR).unwrap();
    let names = |limit| all.label_names(&[], limit).unwrap();
    assert_eq!(names(0), ["__name__", "a", "b", "c", "job"]);
    assert_eq!(names(2), ["__name__", "a"]);
    assert_eq!(all.label_values("job", &[], 0).unwrap(), ["p", "q", "r"]);
    assert_eq!(all.label_values("job", &[], 2).unwrap(), ["p", "q"]);
    let not_b = [Matcher::new(MatchOp::NotEqual, "b", "x").unwrap()];
    assert_eq!(all.label_values("job", &not_b, 0).unwrap(), ["p", "r"]);
    assert_eq!(
        all.label_names(&not_b, 0).unwrap(),
        ["__name__", "a", "c", "job"]
    );
    let early = store.db().querier(0, HOUR).unwrap();
    assert_eq!(early.label_values("job", &[], 0).unwrap(), ["p", "q"]);
    let late = store.db().querier(4 * HOUR, 5 * HOUR).unwrap();
    assert_eq!(late.label_values("job", &[], 0).unwrap(), ["p", "r"]);
    let selected = |limit| {
        let hints = SelectHints {
            limit,
            ..hints(0, 5 * HOUR)
        };
        all.select(&hints, &everything()).unwrap().len()
    };
    assert_eq!((selected(0), selected(1), selected(3)), (3, 1, 3));
}

#[test]
fn a_full_disk_stops_jobs_but_nothing_else() {
    let store = Store::new(|o| o);
    store.fill(0, 5 * HOUR);
    let was = content(store.db());
    store.dir.fail(0, 1000);
    assert!(store.db().maintain().is_err());
    assert!(store.db().cut(4 * HOUR).is_err());
    assert_eq!(store.db().stats().blocks_loaded, 0);
    assert_eq!(content(store.db()), was);
    store.dir.fail(0, 0);
    let refused = store.db().stats().wal_fsyncs_failed > 0;
    if !refused {
        store.db().maintain().unwrap();
        assert_eq!(store.db().stats().blocks_loaded, 2);
    }
    assert_eq!(content(store.db()), was);
}

fn real(path: &std::path::Path, clock: &Arc<ManualClock>) -> Options {
    let _ = path;
    Options {
        clock: clock.clone(),
        retention_ms: 0,
        maintenance_interval_ms: 0,
        segment_bytes: 3000,
        wal_sync: WalSync::Never,
        block_range_ms: 1000,
        ..Options::default()
    }
}

#[test]
fn a_snapshot_is_a_store_of_its_own() {
    let temp = tempfile::tempdir().unwrap();
    let (path, copy) = (temp.path().join("data"), temp.path().join("copy"));
    let clock = Arc::new(ManualClock::new(10_000));
    let db = Db::open(&path, real(&path, &clock)).unwrap();
    for t in (0..5000).step_by(100) {
        put(&db, &name("x"), &[(t, t as f64)]);
    }
    db.maintain().unwrap();
    put(&db, &name("x"), &[(50, 0.5), (450, 4.5)]);
    put(&db, &name("y"), &[(5000, 1.0)]);
    db.delete(&[Matcher::equal("__name__", "x")], 900, 1100)
        .unwrap();
    let was = content(&db);
    db.snapshot(&copy).unwrap();
    assert!(matches!(
        db.snapshot(&copy),
        Err(StorageError::Unavailable(_))
    ));
    assert_eq!(content(&db), was);
    let other = Db::open(&copy, real(&copy, &clock)).unwrap();
    assert_eq!(content(&other), was);
    // It goes on, also with samples of times that blocks were cut for.
    put(&other, &name("x"), &[(1000, 9.0), (2050, 8.0), (7000, 7.0)]);
    let want = content(&other);
    assert_eq!(count(&want), count(&was) + 3);
    drop(other);
    let other = Db::open(&copy, real(&copy, &clock)).unwrap();
    assert_eq!(content(&other), want);
    other.maintain().unwrap();
    other.clean_tombstones().unwrap();
    assert_eq!(content(&other), want);
    drop(other);
    assert_eq!(content(&db), was);
    drop(db);
    assert_eq!(content(&Db::open(&path, real(&path, &clock)).unwrap()), was);
}

#[test]
fn reading_beside_a_writer_that_cuts() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("data");
    let clock = Arc::new(ManualClock::new(1_000_000));
    let db = Db::open(&path, real(&path, &clock)).unwrap();
    let done = AtomicBool::new(false);
    let mut last = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for t in (0..60_000).step_by(100) {
                put(&db, &name("x"), &[(t, t as f64)]);
                if t % 700 == 0 {
                    db.maintain().unwrap();
                }
            }
            done.store(true, Ordering::SeqCst);
        });
        while !done.load(Ordering::SeqCst) {
            let reader = Db::open_read_only(&path, real(&path, &clock)).unwrap();
            let now = content(&reader);
            let samples = now.get(&name("x").to_string()).cloned().unwrap_or_default();
            // All up to some time, and nothing else.
            let want = (0..samples.len() as i64).map(|i| (i * 100, ((i * 100) as f64).to_bits()));
            assert!(samples.iter().copied().eq(want));
            assert!(samples.len() >= last);
            last = samples.len();
        }
    });
    assert!(db.stats().merges > 2 && last > 0);
    let reader = Db::open_read_only(&path, real(&path, &clock)).unwrap();
    assert_eq!(content(&reader), content(&db));
    assert!(reader.stats().blocks_loaded > 0);
    assert!(reader.cut(i64::MAX).is_err());
    assert!(reader.delete(&everything(), 0, 1).is_err());
}

#[test]
fn the_background_thread_cuts_and_stops() {
    let temp = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(1_000_000));
    let opts = Options {
        maintenance_interval_ms: 1,
        ..real(temp.path(), &clock)
    };
    let db = Db::open(temp.path(), opts).unwrap();
    for t in (0..100_000).step_by(500) {
        put(&db, &name("x"), &[(t, 1.0)]);
    }
    while db.stats().cuts < 5 {
        std::thread::yield_now();
    }
    db.close().unwrap();
    let samples = content(&db)[&name("x").to_string()].len();
    assert_eq!(samples, 200);
}
