//! Tests of the whole store.

mod behaviour;
mod blocks;
mod crash;
pub(crate) mod figures;
mod flips;
mod formats;
mod isolation;
mod log;
mod log_figures;
mod model;
mod random;
mod upkeep;

use std::collections::BTreeMap;
use std::sync::Arc;

use tsdb_model::{AppendError, Labels, ManualClock, MatchOp, Matcher, SelectHints, SeriesData};

use crate::dir::Dir;
use crate::fault::FaultDir;
use crate::{Db, Options, WalSync};

/// What a store holds: series, then time and bits.
type Content = BTreeMap<String, Vec<(i64, u64)>>;

/// Options for tests: no threads, no retention.
fn options(dir: &FaultDir) -> Options {
    Options {
        dir: Some(Arc::new(dir.clone())),
        wal_sync: WalSync::Never,
        retention_ms: 0,
        maintenance_interval_ms: 0,
        clock: Arc::new(ManualClock::new(1_000_000_000)),
        ..Options::default()
    }
}

fn open(dir: &FaultDir) -> Db {
    Db::open("", options(dir)).unwrap()
}

fn name(name: &str) -> Labels {
    Labels::from_pairs([("__name__", name)])
}

fn hints(start_ms: i64, end_ms: i64) -> SelectHints {
    SelectHints {
        start_ms,
        end_ms,
        step_ms: 0,
        range_ms: 0,
        limit: 0,
        labels_only: false,
    }
}

fn everything() -> Vec<Matcher> {
    vec![Matcher::new(MatchOp::Regex, "__name__", ".*").unwrap()]
}

/// Appends and commits samples of one series.
fn put(db: &Db, series: &Labels, samples: &[(i64, f64)]) -> Vec<Result<(), AppendError>> {
    let mut appender = db.appender();
    let handle = appender.series(series).unwrap();
    let results = samples
        .iter()
        .map(|(t, v)| appender.append(handle, *t, *v))
        .collect();
    let report = appender.commit().unwrap();
    assert_eq!(report.rejected, []);
    results
}

/// All float samples.
fn content(db: &Db) -> Content {
    content_in(db, i64::MIN, i64::MAX)
}

fn content_in(db: &Db, mint: i64, maxt: i64) -> Content {
    let querier = db.querier(mint, maxt).unwrap();
    let set = querier.select(&hints(mint, maxt), &everything()).unwrap();
    let mut data = SeriesData::default();
    let mut out = Content::new();
    for i in 0..set.len() {
        set.read(i, &mut data).unwrap();
        assert!(data.times().is_sorted_by(|a, b| a < b));
        let bits = data.values.iter().map(|v| v.to_bits());
        let samples = data.times().iter().copied().zip(bits).collect();
        out.insert(set.labels(i).to_string(), samples);
    }
    out
}
