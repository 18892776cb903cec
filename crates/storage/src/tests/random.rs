//! Random operations with cuts, merges and deletions against a map: with queriers held meanwhile,
//! with a disk that refuses, with processes that die and power that goes at any call.

use std::collections::BTreeSet;

use tsdb_model::{CounterResetHint, Histogram, HistogramValue, Querier, Span, StorageError};

use super::*;
use crate::fault::Recorded;

/// A random number generator: splitmix64.
#[derive(Debug, Clone)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn between(&mut self, from: i64, to: i64) -> i64 {
        from + self.below((to - from) as u64) as i64
    }
}

/// A value and its start timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Val {
    Float(u64, i64),
    Histogram(u64, i64),
}

type Model = BTreeMap<String, BTreeMap<i64, Val>>;

#[derive(Debug, Clone)]
enum Op {
    Commit(Vec<(u8, i64, Val)>),
    /// Series by a matcher's number, from, to.
    Delete(u8, i64, i64),
    /// Moves the clock.
    Advance(i64),
    Cut(i64),
    Maintain,
    Merge,
    Clean,
    Hold,
    Reopen,
}

const RANGE: i64 = 40;

fn series(number: u8) -> Labels {
    Labels::from_pairs([
        ("__name__", format!("s{number}")),
        ("odd", (number % 2).to_string()),
    ])
}

fn matchers(number: u8) -> Vec<Matcher> {
    match number {
        0..4 => vec![Matcher::equal("__name__", format!("s{number}"))],
        4 => vec![Matcher::equal("odd", "1")],
        _ => everything(),
    }
}

fn histogram(count: u64) -> Histogram {
    Histogram {
        count,
        sum: count as f64 / 2.0,
        positive_spans: vec![Span {
            offset: 1,
            length: 1,
        }],
        positive_deltas: vec![count as i64],
        ..Histogram::default()
    }
}

/// A list of operations; times are relative to a clock that begins at 0.
fn any_ops(random: &mut Random, count: u64) -> Vec<Op> {
    let mut now = 0;
    let any = |random: &mut Random, now: &mut i64| match random.below(40) {
        0..18 => {
            let samples = (0..=random.below(8)).map(|_| {
                let number = random.below(4) as u8;
                let back = if random.below(3) == 0 { 700 } else { 30 };
                let t = *now + random.between(-back, 20);
                let v = random.below(4);
                let val = match number {
                    0 | 1 => Val::Float((v as f64).to_bits(), 0),
                    2 if v < 3 => Val::Histogram(1 + random.below(9), 0),
                    2 => Val::Float((v as f64).to_bits(), 0),
                    _ => {
                        // 0 would mean that it is not known.
                        let start = (t - 1 - random.below(3) as i64) | 1;
                        Val::Float((v as f64 / 3.0).to_bits(), start)
                    }
                };
                (number, t, val)
            });
            Op::Commit(samples.collect())
        }
        18..22 => {
            let from = *now + random.between(-300, 10);
            Op::Delete(random.below(6) as u8, from, from + random.between(0, 80))
        }
        22..27 => {
            let by = random.between(1, 90);
            *now += by;
            Op::Advance(by)
        }
        27..30 => Op::Cut(*now + random.between(-60, 60)),
        30..34 => Op::Maintain,
        34 => Op::Merge,
        35 => Op::Clean,
        36 | 37 => Op::Hold,
        _ => Op::Reopen,
    };
    (0..count).map(|_| any(random, &mut now)).collect()
}

/// What an operation does to the content.
fn apply(model: &mut Model, op: &Op) {
    match op {
        Op::Commit(samples) => {
            for (number, t, val) in samples {
                // Of two samples at the same time the older one counts.
                let of_series = model.entry(series(*number).to_string()).or_default();
                of_series.entry(*t).or_insert(*val);
            }
        }
        Op::Delete(number, from, to) => {
            let matchers = matchers(*number);
            for number in 0..4 {
                let labels = series(number);
                if matchers.iter().all(|m| m.matches(labels.value(&m.name)))
                    && let Some(of_series) = model.get_mut(&labels.to_string())
                {
                    of_series.retain(|t, _| t < from || t > to);
                }
            }
        }
        _ => {}
    }
    model.retain(|_, samples| !samples.is_empty());
}

/// What a querier sees.
fn seen(querier: &dyn Querier) -> Model {
    let set = querier
        .select(&hints(i64::MIN, i64::MAX), &everything())
        .unwrap();
    let mut data = SeriesData::default();
    let mut out = Model::new();
    for i in 0..set.len() {
        set.read(i, &mut data).unwrap();
        assert!(data.times().is_sorted_by(|a, b| a < b));
        let mut samples = BTreeMap::new();
        let mut starts = data.start_timestamps.iter().copied().peekable();
        let mut start = 0;
        for (row, (t, v)) in data.times().iter().zip(&data.values).enumerate() {
            while let Some((_, s)) = starts.next_if(|s| s.0 == row) {
                start = s;
            }
            samples.insert(*t, Val::Float(v.to_bits(), start));
        }
        assert_eq!(starts.next(), None);
        assert!(!data.monotone || data.values.is_sorted());
        let histograms = data.histograms.iter();
        assert!(
            histograms
                .clone()
                .is_sorted_by(|a, b| a.timestamp_ms < b.timestamp_ms)
        );
        for h in histograms {
            let mut want = histogram(h.histogram.count as u64).to_float();
            want.reset_hint = h.histogram.reset_hint;
            assert_eq!(*h.histogram, want);
            let val = Val::Histogram(h.histogram.count as u64, h.start_timestamp_ms);
            let twice = samples.insert(h.timestamp_ms, val);
            assert_eq!(twice, None, "two samples at one time");
        }
        check_hints(&data);
        if !samples.is_empty() {
            let twice = out.insert(set.labels(i).to_string(), samples);
            assert_eq!(twice, None, "a series twice");
        }
    }
    let names: BTreeSet<String> = querier
        .label_values("odd", &[], 0)
        .unwrap()
        .into_iter()
        .collect();
    for labels in out.keys() {
        assert!(
            names
                .iter()
                .any(|n| labels.contains(&format!("odd=\"{n}\"")))
        );
    }
    out
}

/// What is said about resets must hold.
fn check_hints(data: &SeriesData) {
    for pair in data.histograms.windows(2) {
        let (a, b) = (&pair[0].histogram, &pair[1].histogram);
        match b.reset_hint {
            CounterResetHint::NotReset => assert!(a.count <= b.count, "{data:?}"),
            CounterResetHint::Reset | CounterResetHint::Unknown | CounterResetHint::Gauge => {}
        }
    }
}

fn seen_in(db: &Db) -> Model {
    seen(&*db.querier(i64::MIN, i64::MAX).unwrap())
}

fn with(dir: &FaultDir, clock: &Arc<ManualClock>, wal_sync: WalSync) -> Options {
    Options {
        segment_bytes: 300,
        block_range_ms: RANGE,
        max_late_samples: 6,
        wal_sync,
        clock: clock.clone(),
        ..options(dir)
    }
}

/// Does what an operation says.
fn perform(db: &Db, op: &Op, clock: &ManualClock) -> Result<(), StorageError> {
    match op {
        Op::Commit(samples) => {
            let mut appender = db.appender();
            for (number, t, val) in samples {
                let handle = appender.series(&series(*number)).unwrap();
                let (Val::Float(_, start) | Val::Histogram(_, start)) = val;
                if *start != 0 {
                    appender.append_start_timestamp(handle, *start).unwrap();
                }
                // What is there already may be refused.
                let _ = match val {
                    Val::Float(bits, _) => appender.append(handle, *t, f64::from_bits(*bits)),
                    Val::Histogram(count, _) => {
                        let value = HistogramValue::Int(Arc::new(histogram(*count)));
                        appender.append_histogram(handle, *t, value)
                    }
                };
            }
            appender.commit().map(drop)
        }
        Op::Delete(number, from, to) => db.delete(&matchers(*number), *from, *to),
        Op::Advance(by) => {
            clock.advance(*by);
            Ok(())
        }
        Op::Cut(until) => db.cut(*until).map(drop),
        Op::Maintain => db.maintain(),
        Op::Merge => db.merge().map(drop),
        Op::Clean => db.clean_tombstones(),
        Op::Hold | Op::Reopen => Ok(()),
    }
}

/// Runs operations up to the next [`Op::Reopen`]; `each` is told about every one before and after.
fn session<'a>(
    db: &Db,
    ops: &'a [Op],
    clock: &ManualClock,
    model: &mut Model,
    mut each: impl FnMut(&'a Op, Option<&Result<(), StorageError>>),
) -> &'a [Op] {
    let mut held: Vec<(Box<dyn Querier + '_>, Model)> = Vec::new();
    let mut rest = ops;
    while let Some((op, behind)) = rest.split_first() {
        rest = behind;
        each(op, None);
        if matches!(op, Op::Reopen) {
            break;
        }
        let result = perform(db, op, clock);
        if result.is_ok() {
            apply(model, op);
        }
        each(op, Some(&result));
        assert_eq!(seen_in(db), *model, "after {op:?}");
        if matches!(op, Op::Hold) {
            if held.len() > 2 {
                held.remove(0);
            }
            let querier = db.querier(i64::MIN, i64::MAX).unwrap();
            held.push((querier, model.clone()));
        }
        for (querier, was) in &held {
            assert_eq!(seen(&**querier), *was, "held over {op:?}");
        }
    }
    rest
}

fn run(seed: u64) {
    let mut random = Random(seed);
    let ops = any_ops(&mut random, 60);
    let dir = FaultDir::default();
    let clock = Arc::new(ManualClock::new(0));
    let mut model = Model::new();
    let mut rest = &ops[..];
    let mut first = true;
    while !rest.is_empty() {
        let db = Db::open("", with(&dir, &clock, WalSync::Never)).unwrap();
        assert_eq!(seen_in(&db), model, "opened again");
        assert!(db.stats().clean_start || first);
        first = false;
        rest = session(&db, rest, &clock, &mut model, |_, result| {
            if let Some(result) = result {
                result.as_ref().unwrap();
            }
        });
        // Some die instead.
        if random.below(3) == 0 {
            let left = dir.after_kill();
            drop(db);
            let again = Db::open("", with(&left, &clock, WalSync::Never)).unwrap();
            assert_eq!(seen_in(&again), model, "after a kill");
        }
    }
}

/// Tells the seed of what fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("seed {}", self.0);
        }
    }
}

#[test]
fn as_a_map() {
    for seed in 0..200 {
        let _seed = Seed(seed);
        run(seed);
    }
}

/// The content after the operations, and after all but one of those that failed, and so on.
fn possible(ops: &[(Op, bool)]) -> Vec<Model> {
    let failed: Vec<usize> = (0..ops.len()).filter(|i| !ops[*i].1).collect();
    assert!(failed.len() < 12);
    let mut out: Vec<Model> = Vec::new();
    for chosen in 0..1u32 << failed.len() {
        let mut model = Model::new();
        // Series and times of samples of failed commits: the same times may be written again.
        let mut unsure = BTreeSet::new();
        for (i, (op, ok)) in ops.iter().enumerate() {
            let position = failed.iter().position(|f| *f == i);
            if !*ok && position.is_none_or(|p| chosen >> p & 1 == 0) {
                continue;
            }
            if let Op::Commit(samples) = op {
                let mut now = BTreeSet::new();
                for (number, t, _) in samples {
                    let labels = series(*number).to_string();
                    let of_series = model.entry(labels.clone()).or_default();
                    if unsure.remove(&(labels.clone(), *t)) {
                        of_series.remove(t);
                    }
                    if !ok && !of_series.contains_key(t) {
                        now.insert((labels, *t));
                    }
                }
                unsure.extend(now);
            }
            apply(&mut model, op);
        }
        if !out.contains(&model) {
            out.push(model);
        }
    }
    out
}

/// Fails when `now` is none of these, and tells what is different.
fn is_one_of(now: &Model, possible: &[Model]) {
    if possible.contains(now) {
        return;
    }
    let flat = |model: &Model| -> BTreeSet<String> {
        let all = model.iter();
        all.flat_map(|(labels, samples)| samples.iter().map(move |s| format!("{labels} {s:?}")))
            .collect()
    };
    let got = flat(now);
    let differences = possible.iter().map(|model| {
        let want = flat(model);
        let more: Vec<String> = got.difference(&want).cloned().collect();
        let less: Vec<String> = want.difference(&got).cloned().collect();
        (more.len() + less.len(), more, less)
    });
    let closest = differences.min();
    panic!("none of what is possible; more and less than the closest: {closest:#?}");
}

/// One call fails, or some, or all from one on; what was acknowledged stays, and what was not may
/// be there after a restart but nothing else.
fn refusing_disk(seed: u64) {
    let mut random = Random(seed);
    let ops = any_ops(&mut random, 30);
    let dir = FaultDir::default();
    let clock = Arc::new(ManualClock::new(0));
    let mut rest = &ops[..];
    let mut done: Vec<(Op, bool)> = Vec::new();
    let sync = [WalSync::Never, WalSync::Always][random.below(2) as usize];
    let mut after = random.below(120);
    let count = [1, 1, 3, 10][random.below(4) as usize];
    while !rest.is_empty() {
        dir.fail(after, count);
        let Ok(db) = Db::open("", with(&dir, &clock, sync)) else {
            after = 1000;
            continue;
        };
        let mut model = {
            let now = seen_in(&db);
            is_one_of(&now, &possible(&done));
            now
        };
        done.clear();
        for (labels, samples) in &model {
            let number = (0..4).find(|n| series(*n).to_string() == *labels).unwrap();
            let all = samples.iter().map(|(t, val)| (number, *t, *val)).collect();
            done.push((Op::Commit(all), true));
        }
        let before = rest;
        rest = session(&db, rest, &clock, &mut model, |op, result| {
            if let Some(result) = result {
                // What was refused without trying is not there.
                if !matches!(result, Err(StorageError::Unavailable(_))) {
                    done.push((op.clone(), result.is_ok()));
                }
            }
        });
        after = random.below(120);
        if before.len() == rest.len() {
            break;
        }
    }
    dir.fail(0, 0);
    let db = Db::open("", with(&dir, &clock, sync)).unwrap();
    let now = seen_in(&db);
    let possible = possible(&done);
    is_one_of(&now, &possible);
    assert_eq!(db.stats().blocks_quarantined, 0);
    // All goes on as ever.
    db.cut(10_000).unwrap();
    db.merge().unwrap();
    db.clean_tombstones().unwrap();
    db.maintain().unwrap();
    assert_eq!(seen_in(&db), now);
    assert!(!dir.names().iter().any(|n| n.contains(".tmp")));
}

#[test]
fn a_refusing_disk() {
    for seed in 0..250 {
        let _seed = Seed(seed);
        refusing_disk(seed);
    }
}

/// Number of crash points that a run of the tests looks at.
const CRASH_POINTS: u64 = 20_000;

/// Records the disk at every call of a run, and opens what would have been left by a death or a
/// power cut there.
fn crashes(seed: u64) -> u64 {
    let mut random = Random(seed);
    let ops = any_ops(&mut random, 24);
    let dir = FaultDir::default();
    let clock = Arc::new(ManualClock::new(0));
    let mut model = Model::new();
    // Number of the first call of each operation, and the content before it and behind it.
    let mut steps: Vec<(u64, Model, Model)> = Vec::new();
    let mut rest = &ops[..];
    dir.record();
    while !rest.is_empty() {
        let db = Db::open("", with(&dir, &clock, WalSync::Always)).unwrap();
        let mut before = model.clone();
        rest = session(&db, rest, &clock, &mut model, |op, result| match result {
            None => {
                let mut behind = before.clone();
                apply(&mut behind, op);
                steps.push((dir.calls(), before.clone(), behind.clone()));
                before = behind;
            }
            Some(result) => *result.as_ref().unwrap(),
        });
    }
    let recorded = dir.take_recorded();
    let mut points = 0;
    for point in &recorded {
        let step = steps.partition_point(|s| s.0 <= point.call());
        let Some((_, before, behind)) = step.checked_sub(1).map(|i| &steps[i]) else {
            continue;
        };
        points += 2;
        crashed(point, &mut random, &clock, [before.clone(), behind.clone()]);
    }
    points
}

fn crashed(point: &Recorded, random: &mut Random, clock: &Arc<ManualClock>, may: [Model; 2]) {
    let cut = point.after_power_cut(|| random.next());
    for (dir, power) in [(point.after_kill(), false), (cut, true)] {
        let db = Db::open("", with(&dir, clock, WalSync::Always)).unwrap();
        let stats = db.stats();
        assert_eq!(stats.blocks_quarantined + stats.tombstones_damaged, 0);
        assert!(power || stats.wal_corruptions == 0);
        let now = seen_in(&db);
        is_one_of(&now, &may);
        if random.below(8) == 0 {
            let more = Op::Commit(vec![(0, 5, Val::Float(1, 0)), (3, -900, Val::Float(2, 1))]);
            perform(&db, &more, clock).unwrap();
            let mut want = now;
            apply(&mut want, &more);
            db.maintain().unwrap();
            db.cut(10_000).unwrap();
            assert_eq!(seen_in(&db), want);
            db.merge().unwrap();
            db.clean_tombstones().unwrap();
            assert_eq!(seen_in(&db), want);
            let left = dir.after_kill();
            drop(db);
            let again = Db::open("", with(&left, clock, WalSync::Always)).unwrap();
            assert_eq!(seen_in(&again), want);
        }
    }
}

#[test]
fn death_and_power_cuts_at_every_call() {
    let mut points = 0;
    for seed in 0.. {
        let _seed = Seed(seed);
        points += crashes(seed);
        if points >= CRASH_POINTS {
            return;
        }
    }
}
