//! Random operations against a map.

use proptest::prelude::*;

use tsdb_model::STALE_NAN_BITS;

use super::*;

#[derive(Debug, Clone)]
enum Op {
    /// Series, time, bits.
    Commit(Vec<(u8, i64, u64)>),
    Rollback(Vec<(u8, i64, u64)>),
    Reopen,
    Kill,
    Maintain,
    /// Moves the clock and everything appended later.
    Advance(i64),
}

fn any_samples() -> impl Strategy<Value = Vec<(u8, i64, u64)>> {
    let bits = prop_oneof![
        4 => (0..4u32).prop_map(|v| f64::from(v).to_bits()),
        1 => Just(STALE_NAN_BITS),
        1 => Just(0x7ff8_0000_0000_0001),
        1 => any::<u64>(),
    ];
    proptest::collection::vec((0..5u8, -40..60i64, bits), 0..30)
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => any_samples().prop_map(Op::Commit),
        1 => any_samples().prop_map(Op::Rollback),
        1 => Just(Op::Reopen),
        1 => Just(Op::Kill),
        2 => Just(Op::Maintain),
        4 => (1..80i64).prop_map(Op::Advance),
    ]
}

/// What must be there, and (past retention) what may be.
type Model = BTreeMap<String, BTreeMap<i64, u64>>;

fn check(db: &Db, model: &Model, floor: i64) -> Result<(), TestCaseError> {
    let got = content(db);
    for (series, samples) in &got {
        for (t, bits) in samples {
            let known = model.get(series).and_then(|m| m.get(t));
            prop_assert_eq!(known, Some(bits), "{} at {}", series, t);
        }
    }
    for (series, samples) in model {
        let there = got
            .get(series)
            .map_or(0, |s| s.iter().filter(|s| s.0 >= floor).count());
        prop_assert_eq!(there, samples.range(floor..).count(), "{}", series);
    }
    Ok(())
}

fn series_name(series: u8) -> Labels {
    Labels::from_pairs([
        ("__name__", format!("s{series}")),
        ("odd", (series % 2).to_string()),
    ])
}

fn run(ops: Vec<Op>, retention_ms: i64, segment_bytes: u64) -> Result<(), TestCaseError> {
    let mut dir = FaultDir::default();
    let clock = Arc::new(ManualClock::new(0));
    let with = |dir: &FaultDir| Options {
        retention_ms,
        segment_bytes,
        clock: clock.clone(),
        ..options(dir)
    };
    let mut db = Db::open("", with(&dir)).unwrap();
    let mut model = Model::new();
    let mut newest: Option<i64> = None;
    let mut now = 0;
    for op in ops {
        let floor = match newest {
            Some(newest) if retention_ms > 0 => newest.min(now) - retention_ms,
            _ => i64::MIN,
        };
        match op {
            Op::Commit(samples) => {
                let mut appender = db.appender();
                let mut sent = Vec::new();
                for (series, dt, bits) in samples {
                    let handle = appender.series(&series_name(series)).unwrap();
                    let result = appender.append(handle, now + dt, f64::from_bits(bits));
                    sent.push((handle, series, now + dt, bits, result));
                }
                let report = appender.commit().unwrap();
                let mut rejected = report.rejected;
                let mut stored = 0;
                for (handle, series, t, bits, result) in sent {
                    let of_series = model.entry(series_name(series).to_string()).or_default();
                    let existing = of_series.get(&t).copied();
                    let refused = t < floor || existing.is_some_and(|e| e != bits);
                    if result.is_ok() && refused {
                        let found = rejected
                            .iter()
                            .position(|r| r.series == handle && r.timestamp_ms == t);
                        prop_assert!(found.is_some(), "s{} at {} was taken", series, t);
                        rejected.remove(found.unwrap());
                    }
                    prop_assert!(
                        result.is_ok() || refused,
                        "s{} at {}: {:?}",
                        series,
                        t,
                        result
                    );
                    if !refused {
                        of_series.insert(t, bits);
                        newest = newest.max(Some(t));
                        stored += 1;
                    }
                }
                prop_assert_eq!(rejected, []);
                prop_assert_eq!(report.samples, stored);
            }
            Op::Rollback(samples) => {
                let mut appender = db.appender();
                for (series, dt, bits) in samples {
                    let handle = appender.series(&series_name(series)).unwrap();
                    let _ = appender.append(handle, now + dt, f64::from_bits(bits));
                }
                appender.rollback();
            }
            Op::Reopen => {
                drop(db);
                db = Db::open("", with(&dir)).unwrap();
                prop_assert!(db.stats().clean_start);
            }
            Op::Kill => {
                let left = dir.after_kill();
                drop(db);
                dir = left;
                db = Db::open("", with(&dir)).unwrap();
                prop_assert_eq!(db.stats().wal_corruptions, 0);
            }
            Op::Maintain => {
                db.maintain().unwrap();
                // What is past retention may be gone; an opening may bring it back for a while, but
                // never with another value.
            }
            Op::Advance(by) => {
                now += by;
                clock.set(now);
            }
        }
        let floor = match newest {
            Some(newest) if retention_ms > 0 => newest.min(now) - retention_ms,
            _ => i64::MIN,
        };
        check(&db, &model, floor)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn keeps_everything(ops in proptest::collection::vec(any_op(), 0..40)) {
        run(ops, 0, 64 << 20)?;
    }

    #[test]
    fn keeps_what_is_within_retention(ops in proptest::collection::vec(any_op(), 0..60)) {
        run(ops, 150, 400)?;
    }
}
