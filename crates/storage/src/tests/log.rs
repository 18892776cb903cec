//! The log: what damage costs, older formats, big segments.

use proptest::prelude::*;

use super::random::Random;
use super::*;
use crate::head::series::{SampleValue, StoredSample};
use crate::wal::frame::HEADER_BYTES;
use crate::wal::v1_writer;

/// A series of a job.
fn of_job(job: u64, series: u64) -> Labels {
    Labels::from_pairs([
        ("__name__", format!("s{series}")),
        ("job", format!("j{job}")),
    ])
}

/// Commits of some jobs each, more series as time goes on: job, series, time, value.
type Commit = Vec<(u64, u64, i64, f64)>;

fn some_commits(random: &mut Random, count: i64) -> Vec<Commit> {
    let mut commits = Vec::new();
    for round in 1..=count {
        let mut commit = Commit::new();
        for job in 0..4u64 {
            if random.below(3) == 0 {
                continue;
            }
            for series in 0..2 + round as u64 / 2 {
                let v = [1.0, 2.5, f64::NAN, random.next() as f64][random.below(4) as usize];
                commit.push((job, series, round * 1000, v));
            }
        }
        if !commit.is_empty() {
            commits.push(commit);
        }
    }
    commits
}

fn append(db: &Db, commit: &Commit) {
    let mut appender = db.appender();
    for (job, series, t, v) in commit {
        let handle = appender.series(&of_job(*job, *series)).unwrap();
        appender.append(handle, *t, *v).unwrap();
    }
    appender.commit().unwrap();
}

fn content_of<'a>(commits: impl Iterator<Item = &'a Commit>) -> Content {
    let mut out = Content::new();
    for (job, series, t, v) in commits.flatten() {
        let of_series = out.entry(of_job(*job, *series).to_string()).or_default();
        of_series.push((*t, v.to_bits()));
    }
    out
}

/// What is left when the record of commit `hit` is damaged: all but that commit and what its
/// groups have behind it.
fn without(commits: &[Commit], hit: usize) -> Content {
    let jobs: Vec<u64> = commits[hit].iter().map(|s| s.0).collect();
    let left: Vec<Commit> = commits
        .iter()
        .enumerate()
        .filter(|(i, _)| *i != hit)
        .map(|(i, commit)| {
            let kept = commit.iter().filter(|s| i < hit || !jobs.contains(&s.0));
            kept.copied().collect()
        })
        .collect();
    content_of(left.iter())
}

#[test]
fn a_flipped_byte_costs_exactly_the_groups_of_its_commit() {
    for seed in 0..3 {
        let mut random = Random(seed);
        let commits = some_commits(&mut random, 5);
        let dir = FaultDir::default();
        let db = open(&dir);
        let mut ends = Vec::new();
        for commit in &commits {
            append(&db, commit);
            ends.push(dir.bytes("wal/00000000").len());
        }
        let all = content(&db);
        assert_eq!(all, content_of(commits.iter()));
        let bytes = dir.bytes("wal/00000000");
        for at in 0..bytes.len() {
            let copy = dir.after_kill();
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x5a;
            copy.set_bytes("wal/00000000", damaged);
            let again = open(&copy);
            let stats = again.stats();
            if at < HEADER_BYTES {
                assert_eq!(content(&again), all, "byte {at}");
                assert_eq!(stats.wal_lost_pieces, 0);
                continue;
            }
            let hit = ends.partition_point(|end| *end <= at);
            let want = without(&commits, hit);
            assert_eq!(content(&again), want, "byte {at} in commit {hit}");
            let lost = commits[hit + 1..].iter().map(|commit| {
                let mut jobs: Vec<u64> = commit.iter().map(|s| s.0).collect();
                jobs.dedup();
                let gone = jobs
                    .iter()
                    .filter(|j| commits[hit].iter().any(|s| s.0 == **j));
                gone.count() as u64
            });
            assert_eq!(stats.wal_lost_pieces, lost.sum::<u64>(), "byte {at}");
            // A damaged end of the last segment may be an interrupted write.
            let torn = hit + 1 == commits.len();
            assert!(torn || stats.wal_corruptions > 0, "byte {at}");
        }
    }
}

#[test]
fn the_next_segment_is_whole_after_damage() {
    let dir = FaultDir::default();
    let commits = some_commits(&mut Random(7), 12);
    for half in commits.chunks(6) {
        let db = open(&dir);
        for commit in half {
            append(&db, commit);
        }
    }
    let mut bytes = dir.bytes("wal/00000000");
    bytes[HEADER_BYTES + 20] ^= 1;
    dir.set_bytes("wal/00000000", bytes);
    let mut want = without(&commits[..6], 0);
    for (series, samples) in content_of(commits[6..].iter()) {
        want.entry(series).or_default().extend(samples);
    }
    want.retain(|_, samples| !samples.is_empty());
    let db = open(&dir);
    assert_eq!(content(&db), want);
    assert!(db.stats().wal_lost_pieces > 0);
}

#[test]
fn segments_of_version_1_are_read() {
    let dir = FaultDir::default();
    drop(open(&dir));
    let sample = |t: i64, start: i64, v: f64| StoredSample {
        t,
        start,
        value: SampleValue::Float(v),
    };
    let first = v1_writer::segment(&[
        (
            vec![(3, name("a")), (4, name("b"))],
            vec![(3, sample(1, 0, 1.5)), (4, sample(1, 0, f64::NAN))],
        ),
        (vec![], vec![(3, sample(2, 1, -0.0))]),
    ]);
    // Here a number that an earlier segment defined.
    let second = v1_writer::segment(&[(
        vec![(9, name("c"))],
        vec![(9, sample(3, 0, 1.0)), (4, sample(3, 0, 4.0))],
    )]);
    dir.set_bytes("wal/00000005", first);
    dir.set_bytes("wal/00000006", second);
    let db = open(&dir);
    let (a, b, c) = (name("a"), name("b"), name("c"));
    let mut want = Content::from([
        (
            a.to_string(),
            vec![(1, 1.5f64.to_bits()), (2, (-0.0f64).to_bits())],
        ),
        (
            b.to_string(),
            vec![(1, f64::NAN.to_bits()), (3, 4.0f64.to_bits())],
        ),
        (c.to_string(), vec![(3, 1.0f64.to_bits())]),
    ]);
    assert_eq!(content(&db), want);
    assert_eq!(db.stats().wal_corruptions, 0);
    // It goes on in the present version.
    put(&db, &b, &[(9, 9.0)]);
    put(&db, &name("d"), &[(9, 9.0)]);
    want.get_mut(&b.to_string())
        .unwrap()
        .push((9, 9.0f64.to_bits()));
    want.insert(name("d").to_string(), vec![(9, 9.0f64.to_bits())]);
    drop(db);
    assert!(dir.names().contains(&"wal/00000007".to_string()));
    assert_eq!(content(&open(&dir)), want);
}

#[test]
fn a_series_that_left_memory_and_came_back_is_one() {
    let dir = FaultDir::default();
    let clock = Arc::new(ManualClock::new(0));
    let with = || Options {
        retention_ms: 1000,
        clock: clock.clone(),
        ..options(&dir)
    };
    let db = Db::open("", with()).unwrap();
    put(&db, &name("x"), &[(0, 1.0), (10, 2.0)]);
    clock.set(5000);
    put(&db, &name("y"), &[(5000, 1.0)]);
    db.maintain().unwrap();
    db.maintain().unwrap();
    put(&db, &name("x"), &[(5001, 3.0), (4500, 4.0)]);
    drop(db);
    let db = Db::open("", with()).unwrap();
    assert_eq!(db.stats().wal_segments, 1);
    let bits = |v: f64| v.to_bits();
    let samples = content_in(&db, 4000, 9000).remove(&name("x").to_string());
    assert_eq!(samples, Some(vec![(4500, bits(4.0)), (5001, bits(3.0))]));
}

#[test]
fn big_segments_are_read_by_many_threads() {
    let dir = FaultDir::default();
    let db = open(&dir);
    let mut random = Random(1);
    let mut want = Content::new();
    for round in 0..60i64 {
        let mut commit = Commit::new();
        for job in 0..20 {
            for series in 0..40 {
                let v = match series % 4 {
                    0 => 5.0,
                    1 => round as f64,
                    2 => random.below(1000) as f64 / 100.0,
                    _ => f64::from_bits(random.next()),
                };
                if random.below(50) > 0 {
                    commit.push((job, series, round * 15_000 + job as i64, v));
                }
            }
        }
        append(&db, &commit);
        for (job, series, t, v) in commit {
            let of_series = want.entry(of_job(job, series).to_string()).or_default();
            of_series.push((t, v.to_bits()));
        }
    }
    // Late ones, and some of them in place of nothing.
    let late: Commit = (0..20).map(|job| (job, 1, 7_777, 0.5)).collect();
    append(&db, &late);
    for job in 0..20 {
        let of_series = want.get_mut(&of_job(job, 1).to_string()).unwrap();
        let at = of_series.partition_point(|s| s.0 < 7_777);
        of_series.insert(at, (7_777, 0.5f64.to_bits()));
    }
    assert!(dir.bytes("wal/00000000").len() > 1 << 16);
    assert_eq!(content(&db), want);
    let stats = open(&dir.after_kill()).stats();
    assert_eq!(content(&open(&dir.after_kill())), want);
    assert_eq!((stats.wal_corruptions, stats.wal_lost_pieces), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_log_opens(damage: Vec<(usize, u8)>, cut: usize, seed: u64) {
        let dir = FaultDir::default();
        let commits = some_commits(&mut Random(seed), 6);
        let db = open(&dir);
        for commit in &commits {
            append(&db, commit);
        }
        let all = content(&db);
        let mut bytes = dir.bytes("wal/00000000");
        bytes.truncate(bytes.len() - cut % bytes.len() / 4);
        let length = bytes.len();
        for (at, with) in damage {
            bytes[at % length] ^= with;
        }
        let copy = dir.after_kill();
        copy.set_bytes("wal/00000000", bytes);
        for (series, samples) in content(&open(&copy)) {
            for sample in samples {
                prop_assert!(all[&series].contains(&sample), "{}", series);
            }
        }
    }
}
