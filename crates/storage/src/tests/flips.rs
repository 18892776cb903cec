//! A bit flipped anywhere in a data directory: the store opens, and whatever it then answers is
//! right. What is missing was counted, or is an error.

use super::*;
use crate::wal::segment_name;

const RANGE: i64 = 1000;

fn opts(dir: &FaultDir) -> Options {
    Options {
        block_range_ms: RANGE,
        ..options(dir)
    }
}

/// Blocks, a merged one, a late one, deletions, and several log segments.
fn store() -> FaultDir {
    let dir = FaultDir::default();
    let db = Db::open("", opts(&dir)).unwrap();
    let fill = |times: std::ops::Range<i64>| {
        for t in times.step_by(50) {
            for s in ["a", "b", "c"] {
                put(&db, &name(s), &[(t, (t * 7919 % 1013) as f64 / 9.0)]);
            }
        }
    };
    fill(0..14_000);
    assert!(db.cut(13_000).unwrap() && db.merge().unwrap());
    put(&db, &name("a"), &[(25, 1.0), (75, 2.0)]);
    db.cut(13_000).unwrap();
    db.delete(&[Matcher::equal("__name__", "b")], 300, 700)
        .unwrap();
    put(&db, &name("b"), &[(325, 5.0)]);
    db.delete(&[Matcher::equal("__name__", "c")], 13_900, 20_000)
        .unwrap();
    fill(14_000..14_500);
    db.close().unwrap();
    dir
}

/// What a store answers, series by series; `None` where it says that it cannot.
fn answers(db: &Db) -> BTreeMap<String, Option<Vec<(i64, u64)>>> {
    let querier = db.querier(i64::MIN, i64::MAX).unwrap();
    let mut out = BTreeMap::new();
    let Ok(set) = querier.select(&hints(i64::MIN, i64::MAX), &everything()) else {
        return out;
    };
    let mut data = SeriesData::default();
    for i in 0..set.len() {
        let read = set.read(i, &mut data).ok().map(|()| {
            let bits = data.values.iter().map(|v| v.to_bits());
            data.times().iter().copied().zip(bits).collect()
        });
        out.insert(set.labels(i).to_string(), read);
    }
    out
}

#[test]
fn any_flipped_bit_gives_the_right_answer_or_is_told() {
    let dir = store();
    let want = content(&Db::open_read_only("", opts(&dir)).unwrap());
    // With the deletions lost, what they hid.
    let undeleted = {
        let copy = dir.after_kill();
        copy.set_bytes("tombstones", b"x".to_vec());
        content(&Db::open_read_only("", opts(&copy)).unwrap())
    };
    let files: Vec<String> = dir.names().into_iter().filter(|n| n != "lock").collect();
    assert!(files.iter().any(|f| f == "clean") && files.iter().any(|f| f == "tombstones"));
    let last = files
        .iter()
        .filter(|f| f.starts_with("wal/"))
        .max()
        .unwrap();
    let mut told = 0;
    for file in &files {
        let bytes = dir.bytes(file);
        for at in 0..bytes.len().max(1) {
            // Every byte of small files, one in some of larger ones.
            if at % (1 + bytes.len() / 700) != 0 {
                continue;
            }
            let copy = dir.after_kill();
            let mut damaged = bytes.clone();
            match damaged.get_mut(at) {
                Some(byte) => *byte ^= 1 << (at % 8),
                None => damaged.push(1),
            }
            copy.set_bytes(file, damaged);
            let place = format!("byte {at} of {file}");
            let db = Db::open("", opts(&copy)).unwrap_or_else(|e| panic!("{place}: {e}"));
            let got = answers(&db);
            let stats = db.stats();
            let counted = stats.wal_corruptions
                + stats.blocks_quarantined
                + stats.tombstones_damaged
                + stats.damaged_reads;
            told += u64::from(counted > 0);
            let none = Vec::new();
            let mut missing = 0;
            for (series, all) in &undeleted {
                let right = &want[series];
                let found = match got.get(series) {
                    Some(Some(found)) => found,
                    Some(None) => continue,
                    None => &none,
                };
                let allowed = if stats.tombstones_damaged > 0 {
                    all
                } else {
                    right
                };
                for sample in found {
                    assert!(allowed.contains(sample), "{place}: {series} {sample:?}");
                }
                missing += right.iter().filter(|s| !found.contains(s)).count();
            }
            assert_eq!(
                got.keys().filter(|s| !want.contains_key(*s)).count(),
                0,
                "{place}"
            );
            // A length that points behind the end of the last segment is what a dying process leaves.
            let torn = file.starts_with("wal/") && missing > 0;
            assert!(
                missing == 0 || counted > 0 || torn,
                "{place}: {missing} missing, not told"
            );
            // Writing goes on.
            put(&db, &name("new"), &[(14_501, 1.0)]);
            db.close().unwrap();
        }
    }
    assert!(told > 500, "{told}");
    assert!(last.starts_with(&segment_name(0)[..4]));
}

/// Things in the way that are no files of the store.
#[test]
fn strange_files_are_left_alone() {
    let dir = store();
    let want = content(&Db::open_read_only("", opts(&dir)).unwrap());
    for strange in [
        "x",
        "clean.old",
        "wal/x",
        "wal/0",
        "wal/00000000.tmp",
        "blocks/x",
        "blocks/1.block",
        "blocks/00000099.block.bak",
        "blocks/00000098.tmp",
    ] {
        dir.set_bytes(strange, b"strange".to_vec());
    }
    // One that has the name of a block is not loaded, and stays.
    dir.set_bytes("blocks/00000099.block", b"strange".to_vec());
    let db = Db::open("", opts(&dir)).unwrap();
    assert_eq!(db.stats().blocks_quarantined, 1);
    assert_eq!(content(&db), want);
    put(&db, &name("a"), &[(15_000, 1.0)]);
    db.cut(14_000).unwrap();
    db.close().unwrap();
    assert_eq!(dir.bytes("blocks/00000099.block"), b"strange");
    assert!(dir.names().contains(&"wal/x".to_string()));
}
