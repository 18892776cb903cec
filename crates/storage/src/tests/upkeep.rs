//! Upkeep under circumstances: no space, rules, damaged blocks; and what cuts carry over.

use tsdb_model::Exemplar;

use super::*;
use crate::RetentionRule;
use crate::block::block_name;
use crate::dir::Space;

const RANGE: i64 = 1000;

fn opts(dir: &FaultDir) -> Options {
    Options {
        block_range_ms: RANGE,
        ..options(dir)
    }
}

fn fill(db: &Db, names: &[&str], times: std::ops::Range<i64>) {
    for t in times.step_by(10) {
        for n in names {
            put(db, &name(n), &[(t, (t * 7919 % 1013) as f64 / 9.0)]);
        }
    }
}

fn exemplars(db: &Db) -> Vec<(String, Vec<i64>)> {
    let found = db.exemplars(i64::MIN, i64::MAX, &[everything()]).unwrap();
    let times = |e: &[Exemplar]| e.iter().map(|e| e.timestamp_ms).collect();
    found
        .iter()
        .map(|(l, e)| (l.to_string(), times(e)))
        .collect()
}

#[test]
fn exemplars_outlive_the_segments_they_came_in() {
    let dir = FaultDir::default();
    let db = Db::open("", opts(&dir)).unwrap();
    let add = |series: &str, t: i64| {
        let mut appender = db.appender();
        let handle = appender.series(&name(series)).unwrap();
        appender.append(handle, t, 1.0).unwrap();
        let labels = Labels::from_pairs([("trace_id", "x")]);
        let exemplar = Exemplar {
            labels,
            value: 1.0,
            timestamp_ms: t,
        };
        appender.append_exemplar(handle, exemplar).unwrap();
        appender.commit().unwrap();
    };
    for round in 0..6 {
        for t in (round * RANGE..(round + 1) * RANGE).step_by(250) {
            add("a", t);
            add("b", t + 1);
        }
        db.cut(round * RANGE).unwrap();
        // One behind those that were carried over.
        add("a", (round + 1) * RANGE - 1);
    }
    let want = exemplars(&db);
    let count: usize = want.iter().map(|(_, e)| e.len()).sum();
    assert_eq!(count, 54);
    // The first segments are gone, and what is left begins anew.
    assert!(db.stats().wal_truncations >= 2);
    for _ in 0..2 {
        let again = Db::open("", opts(&dir.after_kill())).unwrap();
        assert_eq!(exemplars(&again), want);
    }
    db.close().unwrap();
    let db = Db::open("", opts(&dir)).unwrap();
    assert_eq!(exemplars(&db), want);
    fill(&db, &["a", "b"], 6 * RANGE..8 * RANGE);
    db.cut(7 * RANGE).unwrap();
    drop(db);
    assert_eq!(exemplars(&Db::open("", opts(&dir)).unwrap()), want);
}

#[test]
fn jobs_wait_for_space_but_cuts_need_little() {
    let dir = FaultDir::default();
    let db = Db::open("", opts(&dir)).unwrap();
    fill(&db, &["a", "b"], 0..14 * RANGE);
    dir.set_space(Some(Space {
        free: 100,
        total: 1 << 20,
    }));
    let refused = db.cut(RANGE).unwrap_err().to_string();
    assert!(refused.contains("100 bytes free"), "{refused}");
    dir.set_space(Some(Space {
        free: 30_000,
        total: 1 << 20,
    }));
    assert!(db.cut(13 * RANGE).unwrap());
    // A merge must leave a twentieth of the disk to the log.
    let refused = db.merge().unwrap_err().to_string();
    assert!(refused.contains("needed"), "{refused}");
    assert_eq!(db.stats().blocks_loaded, 13);
    dir.set_space(Some(Space {
        free: 500_000,
        total: 1 << 20,
    }));
    assert!(db.merge().unwrap());
    assert_eq!(db.stats().blocks_loaded, 2);
}

#[test]
fn rules_drop_series_earlier() {
    let dir = FaultDir::default();
    let rule = |name: &str, keep_ms| RetentionRule {
        matchers: vec![Matcher::equal("__name__", name)],
        keep_ms,
    };
    let with = |rules| Options {
        retention_rules: rules,
        ..opts(&dir)
    };
    let rules = vec![rule("b", 5 * RANGE), rule("c", 1 << 40)];
    let db = Db::open("", with(rules)).unwrap();
    fill(&db, &["a", "b", "c"], 0..8 * RANGE);
    assert!(db.cut(7 * RANGE).unwrap());
    let was = content(&db);
    // The newest sample is at 7990: of b stays what is from 2990 on, as far as blocks go whole.
    assert!(db.merge().unwrap());
    let now = content(&db);
    let key = |n: &str| name(n).to_string();
    assert_eq!(
        (&now[&key("a")], &now[&key("c")]),
        (&was[&key("a")], &was[&key("c")])
    );
    let left: Vec<_> = was[&key("b")]
        .iter()
        .filter(|s| s.0 >= 2 * RANGE)
        .copied()
        .collect();
    assert_eq!(now[&key("b")], left);
    // Once is enough.
    let merges = db.stats().merges;
    assert!(!db.merge().unwrap());
    assert_eq!(db.stats().merges, merges);
    // A merge for other reasons leaves out all that is past.
    fill(&db, &["a", "b", "c"], 8 * RANGE..14 * RANGE);
    assert!(db.cut(13 * RANGE).unwrap() && db.merge().unwrap());
    let now = content(&db);
    assert_eq!(
        now[&key("b")].first().unwrap().0,
        14 * RANGE - 10 - 5 * RANGE
    );
    assert_eq!(now[&key("a")].len(), 1400);
    // A series of little weight waits for the next merge.
    let dir = FaultDir::default();
    let options = Options {
        retention_rules: vec![rule("d", RANGE)],
        ..opts(&dir)
    };
    let db = Db::open("", options).unwrap();
    put(&db, &name("d"), &[(0, 1.0)]);
    fill(&db, &["a"], 0..5 * RANGE);
    db.cut(4 * RANGE).unwrap();
    assert!(!db.merge().unwrap());
    assert_eq!(content(&db)[&key("d")].len(), 1);
}

/// Half of a block's directory is damaged: the series in the other half can be read, nothing is
/// wrong, and merges leave the block alone.
#[test]
fn a_damaged_directory_costs_the_series_in_it() {
    const SERIES: usize = 15_000;
    let dir = FaultDir::default();
    let db = Db::open("", opts(&dir)).unwrap();
    let labels = |i: usize| {
        let number = format!("{i:05}");
        Labels::from_pairs([("__name__", "x"), ("n", &number)])
    };
    // Many short series: a directory of several frames.
    for t in [10, 500, 990] {
        let mut appender = db.appender();
        for i in 0..SERIES {
            let handle = appender.series(&labels(i)).unwrap();
            let v = f64::from_bits((i as u64 + t as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 2);
            appender.append(handle, t, v).unwrap();
        }
        appender.commit().unwrap();
    }
    fill(&db, &["y"], RANGE..13 * RANGE);
    assert!(db.cut(12 * RANGE).unwrap());
    let was = content(&db);
    db.close().unwrap();
    let shared: Arc<dyn Dir> = Arc::new(dir.clone());
    let info = crate::inspect::blocks(&shared)
        .unwrap()
        .remove(0)
        .info
        .unwrap();
    let size = |part: &str| info.sections.iter().find(|s| s.0 == part).unwrap().1;
    let (directory, behind) = (size("directory"), size("restarts"));
    assert!(directory > 3 << 14, "{directory}");
    let mut bytes = dir.bytes(&block_name(1));
    // What follows the directory are restarts, 4 bytes for each 16 KiB, and less than 1 KiB more.
    let end = bytes.len() as u64 - behind - bytes.len() as u64 / 4096 - 1024;
    bytes[(end - directory / 2) as usize] ^= 1;
    dir.set_bytes(&block_name(1), bytes);

    let db = Db::open("", opts(&dir)).unwrap();
    assert_eq!(db.stats().blocks_quarantined, 0);
    let querier = db.querier(0, RANGE - 1).unwrap();
    let set = querier.select(&hints(0, RANGE - 1), &everything()).unwrap();
    assert_eq!(set.len(), SERIES);
    let mut data = SeriesData::default();
    let (mut read, mut failed) = (0, 0);
    for i in 0..set.len() {
        if set.read(i, &mut data).is_err() {
            failed += 1;
            continue;
        }
        read += 1;
        let bits = data.values.iter().map(|v| v.to_bits());
        let samples: Vec<_> = data.times().iter().copied().zip(bits).collect();
        assert_eq!(samples, was[&set.labels(i).to_string()]);
    }
    assert!(
        failed > 0 && failed < 5000 && read > 10_000,
        "{failed} {read}"
    );
    assert_eq!(db.stats().damaged_reads, failed);
    drop(set);
    drop(querier);
    // The range of the block stays as it is; other ranges are merged.
    assert!(!db.merge().unwrap());
    assert_eq!(db.stats().blocks_loaded, 12);
    fill(&db, &["y"], 13 * RANGE..26 * RANGE);
    assert!(db.cut(25 * RANGE).unwrap() && db.merge().unwrap());
    assert_eq!(db.stats().blocks_loaded, 12 + 2);
}
