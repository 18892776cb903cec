//! Dying processes, power cuts, damaged bytes, disks that refuse.

use super::*;

/// Commits `rounds` times a sample of each of three series, one series more in each round, and
/// calls `between` after each.
fn commits(db: &Db, rounds: i64, mut between: impl FnMut(i64)) {
    for round in 1..=rounds {
        let mut appender = db.appender();
        for series in 0..3 + round {
            let handle = appender.series(&name(&format!("s{series}"))).unwrap();
            appender
                .append(handle, round * 1000, (round * 100 + series) as f64 / 3.0)
                .unwrap();
        }
        appender.commit().unwrap();
        between(round);
    }
}

/// What the store holds after `rounds` rounds of [`commits`].
fn expected(rounds: i64) -> Content {
    let dir = FaultDir::default();
    let db = open(&dir);
    commits(&db, rounds, |_| {});
    content(&db)
}

#[test]
fn every_prefix_of_the_log_gives_the_commits_in_it() {
    let dir = FaultDir::default();
    let db = open(&dir);
    let mut ends = vec![0];
    commits(&db, 5, |_| ends.push(dir.bytes("wal/00000000").len()));
    let bytes = dir.bytes("wal/00000000");
    let after: Vec<Content> = (0..=5).map(expected).collect();
    for cut in 0..=bytes.len() {
        let copy = dir.after_kill();
        copy.set_bytes("wal/00000000", bytes[..cut].to_vec());
        let want = &after[ends.iter().filter(|end| **end <= cut).count() - 1];
        let again = open(&copy);
        assert_eq!(content(&again), *want, "cut at {cut}");
        assert_eq!(again.stats().wal_corruptions, 0, "cut at {cut}");
        assert!(!again.stats().clean_start);
        // It goes on in a new segment, and nothing is lost of either.
        put(&again, &name("new"), &[(1, 1.0)]);
        drop(again);
        assert_eq!(copy.bytes("wal/00000000"), bytes[..cut]);
        let mut want = want.clone();
        want.insert(name("new").to_string(), vec![(1, 1.0f64.to_bits())]);
        assert_eq!(content(&open(&copy)), want, "cut at {cut}");
    }
}

#[test]
fn a_damaged_segment_does_not_hide_the_next() {
    let dir = FaultDir::default();
    commits(&open(&dir), 2, |_| {});
    let db = open(&dir);
    put(&db, &name("s0"), &[(9000, 9.0)]);
    drop(db);
    let segment = dir.bytes("wal/00000000");
    dir.set_bytes("wal/00000000", vec![7; segment.len()]);
    let db = open(&dir);
    let want = Content::from([(name("s0").to_string(), vec![(9000, 9.0f64.to_bits())])]);
    assert_eq!(content(&db), want);
    assert_eq!(db.stats().wal_corruptions, 1);
    assert_eq!(db.stats().wal_segment_current, 2);
}

#[test]
fn a_newer_format_is_refused() {
    let dir = FaultDir::default();
    commits(&open(&dir), 1, |_| {});
    let header = crate::wal::frame::Header {
        version: crate::wal::frame::VERSION + 1,
        salt: 1,
    };
    dir.set_bytes("wal/00000001", header.encode());
    let error = Db::open("", options(&dir)).unwrap_err().to_string();
    assert!(error.contains("newer version"), "{error}");
}

#[test]
fn a_big_commit_is_there_whole_or_not_at_all() {
    let dir = FaultDir::default();
    let db = open(&dir);
    put(&db, &name("a"), &[(1, 1.0)]);
    let before = dir.bytes("wal/00000000").len();
    // A group of its own.
    let b = Labels::from_pairs([("__name__", "b"), ("job", "import")]);
    let many: Vec<(i64, f64)> = (0..300_000).map(|i| (i * 77, (i as f64).sqrt())).collect();
    put(&db, &b, &many);
    put(&db, &name("a"), &[(2, 1.0)]);
    let bytes = dir.bytes("wal/00000000");
    assert!(bytes.len() > before + 2 * (1 << 20), "several records");
    assert_eq!(
        content(&open(&dir.after_kill()))[&b.to_string()].len(),
        many.len()
    );
    for damaged in [before + 100, before + (1 << 20) + 100, bytes.len() - 200] {
        let copy = dir.after_kill();
        let mut other = bytes.clone();
        other[damaged] ^= 1;
        copy.set_bytes("wal/00000000", other);
        let want = Content::from([(
            name("a").to_string(),
            vec![(1, 1.0f64.to_bits()), (2, 1.0f64.to_bits())],
        )]);
        assert_eq!(content(&open(&copy)), want);
    }
    for cut in [before + 100, before + (3 << 19), bytes.len() - 200] {
        let copy = dir.after_kill();
        copy.set_bytes("wal/00000000", bytes[..cut].to_vec());
        assert_eq!(content(&open(&copy)).len(), 1);
    }
}

#[test]
fn a_failing_disk_loses_nothing_that_was_committed() {
    for sync in [WalSync::Never, WalSync::Always, WalSync::Group] {
        for count in [1, 2, 1000] {
            // Shared syncs wait 2 ms each.
            let step = if sync == WalSync::Group { 3 } else { 1 };
            for after in (0..30).step_by(step) {
                failing_disk(sync, after, count);
            }
        }
    }
}

/// Ten commits while `count` calls fail; then the process dies, or the power goes.
fn failing_disk(sync: WalSync, after: u64, count: u64) {
    let what = format!("{sync:?}, {count} from {after}");
    let dir = FaultDir::default();
    let opts = Options {
        wal_sync: sync,
        segment_bytes: 150,
        ..options(&dir)
    };
    let db = Db::open("", opts.clone()).unwrap();
    dir.fail(after, count);
    let series = name("x");
    let mut acknowledged = Vec::new();
    let mut failed = 0;
    for t in 0..10i64 {
        let mut appender = db.appender();
        let handle = appender.series(&series).unwrap();
        appender.append(handle, t, t as f64).unwrap();
        match appender.commit() {
            Ok(_) => acknowledged.push((t, (t as f64).to_bits())),
            Err(_) => failed += 1,
        }
        // A failed commit is not visible, all others are.
        let now = content(&db);
        let seen = now.get(&series.to_string()).cloned().unwrap_or_default();
        assert_eq!(seen, acknowledged, "{what}");
    }
    let stats = db.stats();
    assert_eq!(
        failed > 0,
        stats.wal_writes_failed + stats.wal_fsyncs_failed > 0,
        "{what}"
    );
    if count <= 2 && stats.wal_fsyncs_failed == 0 {
        assert!(failed <= count, "{what}: goes on when the disk does");
    }
    let mut crashed = vec![dir.after_kill()];
    if sync != WalSync::Never {
        crashed.push(dir.after_power_cut(|_| 0));
        crashed.push(dir.after_power_cut(|unsynced| unsynced / 2));
    }
    for (i, crashed) in crashed.into_iter().enumerate() {
        let again = Db::open(
            "",
            Options {
                dir: Some(Arc::new(crashed)),
                ..opts.clone()
            },
        )
        .unwrap();
        let got = content(&again)
            .remove(&series.to_string())
            .unwrap_or_default();
        for sample in &acknowledged {
            assert!(
                got.contains(sample),
                "{what}, crash {i}: {sample:?} is lost"
            );
        }
        // What was not acknowledged may be there, but only as it was.
        assert!(
            got.iter().all(|(t, v)| *v == (*t as f64).to_bits()),
            "{what}"
        );
        assert_eq!(again.stats().wal_corruptions, 0, "{what}, crash {i}");
    }
}

#[test]
fn after_a_failed_fsync_only_reading_goes_on() {
    let dir = FaultDir::default();
    let opts = Options {
        wal_sync: WalSync::Always,
        ..options(&dir)
    };
    let db = Db::open("", opts).unwrap();
    put(&db, &name("x"), &[(1, 1.0)]);
    dir.fail(1, 1);
    for t in [2, 3] {
        let mut appender = db.appender();
        let handle = appender.series(&name("x")).unwrap();
        appender.append(handle, t, 1.0).unwrap();
        let error = appender.commit().unwrap_err().to_string();
        assert!(error.contains("forc"), "{error}");
    }
    assert_eq!(content(&db)[&name("x").to_string()].len(), 1);
    assert_eq!(db.stats().wal_fsyncs_failed, 1);
    assert!(db.close().is_err());
    drop(db);
    // Opened again it works; the mark of a proper end is not there.
    let db = open(&dir);
    assert!(!db.stats().clean_start);
    put(&db, &name("x"), &[(5, 1.0)]);
}

#[test]
fn opening_fails_cleanly_when_the_disk_does() {
    for after in 0..6 {
        let dir = FaultDir::default();
        let db = open(&dir);
        put(&db, &name("x"), &[(1, 1.0)]);
        drop(db);
        dir.fail(after, 1);
        let opened = Db::open("", options(&dir)).map(|db| content(&db));
        if let Ok(now) = opened {
            assert_eq!(now.len(), 1);
        }
        dir.fail(0, 0);
        assert_eq!(content(&open(&dir)).len(), 1, "{after}");
    }
}
