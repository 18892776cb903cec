//! Bytes, time to write and time to read of the log, with the captures of ../shared/data where they
//! are there. The goals are those of docs/benchmarks.md. Run with `--ignored --nocapture`, optimised,
//! and with `--test-threads=1`.

use std::time::{Duration, Instant};

use tsdb_model::{SeriesRef, is_stale, stale_nan};

use super::*;
use crate::block::tests::figures::{labels_of, scrapes};
use crate::dir::{Dir, StdDir};
use crate::head::series::{SampleValue, StoredSample};
use crate::head::{Batch, Head};
use crate::wal::WAL_DIR;
use crate::wal::log::Log;

const START: i64 = 1_790_000_000_000 / 7_200_000 * 7_200_000;
const STEP: i64 = 15_000;

/// The scrapes of a capture: series by their numbers, the names of all, staleness markers included.
fn capture(file: &str, instance: &str) -> Option<(Vec<Labels>, Vec<Vec<(usize, f64)>>)> {
    let mut names = Vec::new();
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    let mut out = Vec::new();
    let mut before: Vec<(usize, f64)> = Vec::new();
    for body in scrapes(file)? {
        let mut now = Vec::new();
        for line in body.lines().filter(|l| !l.starts_with('#')) {
            let cut = line.rfind('}').map(|at| at + 1);
            let cut = cut.or_else(|| line.find(' ')).unwrap();
            let (key, value) = line.split_at(cut);
            let value = value.split_whitespace().next().unwrap();
            let number = *known.entry(key.to_string()).or_insert_with(|| {
                names.push(labels_of(key, instance));
                names.len() - 1
            });
            now.push((number, value.parse().unwrap_or(f64::NAN)));
        }
        now.sort_by_key(|s| s.0);
        now.dedup_by_key(|s| s.0);
        let present: Vec<usize> = now.iter().map(|s| s.0).collect();
        for (series, v) in before {
            if !is_stale(v) && present.binary_search(&series).is_err() {
                now.push((series, stale_nan()));
            }
        }
        now.sort_by_key(|s| s.0);
        before = now.clone();
        out.push(now);
    }
    Some((names, out))
}

/// Logs all commits; bytes, then time of encoding and time of storing in memory.
fn log_all(names: &[Labels], commits: &[Vec<(usize, f64)>]) -> (u64, Duration, Duration) {
    let dir: Arc<dyn Dir> = Arc::new(FaultDir::default());
    dir.create_dir(WAL_DIR).unwrap();
    let mut log = Log::new(dir, 64 << 20, Vec::new());
    let mut head = Head::new(10);
    let create = |labels: &Labels| head.create(labels, None).unwrap();
    let handles: Vec<SeriesRef> = names.iter().map(create).collect();
    log.begin().unwrap();
    let (mut encoding, mut applying) = (Duration::ZERO, Duration::ZERO);
    for (i, commit) in (1..).zip(commits) {
        let t = START + i * STEP;
        let mut batch = Batch::default();
        for (series, v) in commit {
            let value = SampleValue::Float(*v);
            let sample = StoredSample { t, start: 0, value };
            batch.samples.push((handles[*series], sample));
        }
        let begun = Instant::now();
        let encoded = log.encode(&head, &batch).unwrap();
        encoding += begun.elapsed();
        log.write(&encoded).unwrap();
        for (handle, id) in encoded.defined {
            let series = head.get_mut(handle).unwrap();
            (series.log_id, series.log_segment) = (id, Some(0));
        }
        let begun = Instant::now();
        head.apply(batch, i as u64, false, i as u64);
        applying += begun.elapsed();
    }
    (log.bytes(), encoding, applying)
}

#[test]
#[ignore = "prints figures"]
fn log_of_captures() {
    for file in ["node_exporter.bin.zst", "prometheus.bin.zst"] {
        let Some((names, commits)) = capture(file, "node:9100") else {
            println!("{file} is not there");
            continue;
        };
        let samples: usize = commits.iter().map(Vec::len).sum();
        let (first, ..) = log_all(&names, &commits[..1]);
        let (bytes, mut encoding, mut applying) = log_all(&names, &commits);
        // The machine does other things too: the best of some.
        for _ in 0..20 {
            let (_, e, a) = log_all(&names, &commits);
            (encoding, applying) = (encoding.min(e), applying.min(a));
        }
        let per = |d: Duration| d.as_nanos() as f64 / samples as f64;
        println!(
            "{file}: {samples} samples, {bytes} bytes of log ({first} with the first scrape): {:.3} \
             B/sample; encoding {:.1} ns/sample, memory {:.1} ns/sample",
            bytes as f64 / samples as f64,
            per(encoding),
            per(applying),
        );
    }
}

/// CPU time of this thread, or of all of the process.
fn cpu(all: bool) -> Duration {
    if all {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .unwrap()
            .1
            .split_whitespace()
            .collect();
        // User and system, in hundredths of a second.
        let ticks = |i: usize| fields[i].parse::<u64>().unwrap();
        return Duration::from_millis(10 * (ticks(11) + ticks(12)));
    }
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split_whitespace().next().unwrap().parse().unwrap())
}

/// Resident memory of the process, in MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024
}

/// Fills a store target by target, then opens a copy of its log.
fn restart(targets: usize, of_target: usize, scrapes: i64) {
    let Some((names, commits)) = capture("node_exporter.bin.zst", "node:9100") else {
        println!("no capture");
        return;
    };
    let labels = |target: usize, series: usize| {
        let mut builder = names[series % names.len()].to_builder();
        builder.set("instance", &format!("host-{target}.example.org:9100"));
        builder.set("cluster", "eu-west-1");
        builder.set("rack", &format!("r{}", target % 20));
        if series >= names.len() {
            builder.set("copy", &(series / names.len()).to_string());
        }
        builder.build()
    };
    let folder = tempfile::tempdir().unwrap();
    let options = || Options {
        dir: Some(Arc::new(StdDir::new(folder.path()))),
        ooo_window_ms: 0,
        ..options(&FaultDir::default())
    };
    let db = Db::open("", options()).unwrap();
    let (mut samples, mut appending, mut committing) = (0u64, Duration::ZERO, Duration::ZERO);
    let mut handles: Vec<Vec<SeriesRef>> = Vec::new();
    let mut values = vec![1.0; names.len()];
    for scrape in 0..scrapes {
        for (series, v) in &commits[scrape as usize % commits.len()] {
            values[*series] = if is_stale(*v) { values[*series] } else { *v };
        }
        for target in 0..targets {
            let mut appender = db.appender();
            if scrape == 0 {
                let all = (0..of_target).map(|s| appender.series(&labels(target, s)).unwrap());
                handles.push(all.collect());
            }
            let t = START + scrape * STEP + target as i64 * 7 % STEP;
            let begun = cpu(false);
            for (series, handle) in handles[target].iter().enumerate() {
                let v = values[series % names.len()];
                appender.append(*handle, t, v).unwrap();
            }
            appending += cpu(false).saturating_sub(begun);
            let begun = cpu(false);
            assert_eq!(appender.commit().unwrap().rejected.len(), 0);
            committing += cpu(false).saturating_sub(begun);
            samples += of_target as u64;
        }
    }
    let stats = db.stats();
    let per = |d: Duration| d.as_nanos() as f64 / samples as f64;
    println!(
        "{} series x {scrapes}: {:.3} B/sample in {} segments; {:.1} ns/sample appending, {:.1} \
         committing",
        targets * of_target,
        stats.wal_bytes as f64 / samples as f64,
        stats.wal_segments,
        per(appending),
        per(committing),
    );
    drop(db);
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir(copy.path().join(WAL_DIR)).unwrap();
    for entry in std::fs::read_dir(folder.path().join(WAL_DIR)).unwrap() {
        let entry = entry.unwrap();
        let to = copy.path().join(WAL_DIR).join(entry.file_name());
        std::fs::copy(entry.path(), to).unwrap();
    }
    for _ in 0..3 {
        let before = resident();
        let (begun, cpu_before) = (Instant::now(), cpu(true));
        let db = Db::open_read_only("", {
            let mut options = options();
            options.dir = Some(Arc::new(StdDir::new(copy.path())));
            options
        });
        let db = db.unwrap();
        let (took, took_cpu) = (begun.elapsed(), cpu(true).saturating_sub(cpu_before));
        let stats = db.stats();
        println!(
            "read in {:.3} s, {:.2} s of CPU: {:.1} ns of CPU/sample; {} series, {} MiB before, {} \
             MiB more",
            took.as_secs_f64(),
            took_cpu.as_secs_f64(),
            took_cpu.as_nanos() as f64 / samples as f64,
            stats.head_series,
            before,
            resident() - before,
        );
        assert_eq!(stats.head_series as usize, targets * of_target);
        assert_eq!(stats.wal_corruptions + stats.wal_lost_pieces, 0);
    }
}

#[test]
#[ignore = "prints figures"]
fn restart_of_50_000_series() {
    restart(500, 100, 960);
}

#[test]
#[ignore = "prints figures"]
fn restart_of_a_million_series() {
    restart(500, 2000, 12);
}
