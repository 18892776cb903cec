//! Figures of docs/benchmarks.md through the whole store: bytes on the disk and bytes written, and the
//! memory that a merge takes. Run with `--ignored --nocapture`, optimised.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use crate::block::tests::figures::load;
use crate::inspect::BlockFile;

use super::*;

#[path = "../../../codec/benches/page/synthetic.rs"]
mod synthetic;

/// As the generator of made-up hosts gives it: `name{label="value"}`, times, values.
pub(crate) struct Series {
    pub(crate) key: String,
    pub(crate) times: Vec<i64>,
    pub(crate) values: Vec<f64>,
}

type All = BTreeMap<Labels, (Vec<i64>, Vec<f64>)>;

const DAY: i64 = 24 * 3_600_000;
const RANGE: i64 = 2 * 3_600_000;

fn labels_of(key: &str) -> Labels {
    let (name, rest) = key.split_once('{').unwrap_or((key, ""));
    let mut pairs = vec![("__name__".to_string(), name.to_string())];
    let mut rest = rest.trim_end_matches('}');
    while let Some((label, behind)) = rest.split_once("=\"") {
        let end = behind.find('"').unwrap();
        let label = match label.trim_start_matches(',') {
            "host" => "instance",
            other => other,
        };
        pairs.push((label.to_string(), behind[..end].to_string()));
        rest = &behind[end + 1..];
    }
    Labels::from_pairs(pairs)
}

/// Moves the first time to the beginning of a day, so that a day becomes one block.
fn aligned(mut all: All) -> All {
    let first = all
        .values()
        .filter_map(|s| s.0.first().copied())
        .min()
        .unwrap();
    let by = first / DAY * DAY + DAY - first / RANGE * RANGE;
    all.values_mut()
        .flat_map(|s| &mut s.0)
        .for_each(|t| *t += by);
    all
}

fn used(path: &Path) -> Vec<BlockFile> {
    let dir: Arc<dyn Dir> = Arc::new(crate::StdDir::new(path));
    let files = crate::inspect::blocks(&dir).unwrap();
    files.into_iter().filter(|f| f.info.is_some()).collect()
}

/// Appends scrape by scrape, cuts, merges to days; gives bytes per sample after that.
fn figures(title: &str, all: &All) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let opts = Options {
        retention_ms: 0,
        maintenance_interval_ms: 0,
        wal_sync: WalSync::Never,
        clock: Arc::new(ManualClock::new(i64::MAX / 4)),
        ..Options::default()
    };
    let db = Db::open(folder.path(), opts).unwrap();
    let mut scrapes: BTreeMap<i64, Vec<(&Labels, f64)>> = BTreeMap::new();
    for (labels, (times, values)) in all {
        for (t, v) in times.iter().zip(values) {
            scrapes.entry(*t).or_default().push((labels, *v));
        }
    }
    let mut samples = 0;
    for (t, scrape) in &scrapes {
        let mut appender = db.appender();
        for (labels, v) in scrape {
            let handle = appender.series(labels).unwrap();
            appender.append(handle, *t, *v).unwrap();
        }
        samples += appender.commit().unwrap().samples;
    }
    let log = db.stats().wal_bytes;
    // A sample much later: all before it is complete.
    let last = *scrapes.keys().last().unwrap();
    let marker = (last / DAY + 2) * DAY;
    put(&db, &name("marker"), &[(marker, 1.0)]);
    db.cut(marker + RANGE).unwrap();
    let own = |f: &&BlockFile| f.info.as_ref().is_some_and(|i| i.max_time_ms <= last);
    let blocks = used(folder.path());
    let cut: u64 = blocks.iter().filter(own).map(|f| f.bytes).sum();
    let count = blocks.iter().filter(own).count();
    let start = Instant::now();
    db.merge().unwrap();
    let spent = start.elapsed();
    let merged = used(folder.path());
    let days: Vec<&BlockFile> = merged.iter().filter(own).collect();
    let bytes: u64 = days.iter().map(|f| f.bytes).sum();
    let index: u64 = days
        .iter()
        .flat_map(|f| &f.info.as_ref().unwrap().sections)
        .filter(|s| !matches!(s.0, "pages" | "times" | "directory" | "restarts"))
        .map(|s| s.1)
        .sum();
    let series: u64 = days.iter().map(|f| f.info.as_ref().unwrap().series).sum();
    let left = db.stats().wal_bytes;
    let per = |bytes: u64| bytes as f64 / samples as f64;
    println!(
        "{title}: {samples} samples, {} series; log {:.3}, {count} blocks of 2 h {:.4}, {} of a day {:.4} B/sample; \
         index {:.1} B/series; written in all {:.3} B/sample; log left {left} B; merge {spent:.2?}",
        all.len(),
        per(log),
        per(cut),
        days.len(),
        per(bytes),
        index as f64 / series as f64,
        per(log + cut + bytes),
    );
    per(bytes)
}

#[test]
#[ignore = "slow without optimisation"]
fn bytes_after_merging() {
    if let Some(node) = load("node_exporter.bin.zst", "node:9100") {
        assert!(figures("node exporter", &aligned(node)) <= 0.47);
    }
    if let Some(own) = load("prometheus.bin.zst", "prometheus:9090") {
        assert!(figures("Prometheus", &aligned(own)) <= 0.20);
    }
    let made_up = synthetic::series(5760, 2).into_iter();
    let made_up: All = made_up
        .map(|s| (labels_of(&s.key), (s.times, s.values)))
        .collect();
    assert!(figures("made-up hosts, 24 h", &aligned(made_up)) <= 0.78);
}

fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with(field)).unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        / 1024
}

#[test]
#[ignore = "slow without optimisation"]
fn memory_of_a_merge() {
    const SERIES: u64 = 50_000;
    const ROWS: i64 = 60;
    let folder = tempfile::tempdir().unwrap();
    let dir: Arc<dyn Dir> = Arc::new(crate::StdDir::new(folder.path()));
    for part in ["", "wal", "blocks"] {
        dir.create_dir(part).unwrap();
    }
    let labels = |i: u64| {
        let (host, number) = (format!("host-{:04}:9100", i / 500), i % 500);
        Labels::from_pairs([
            ("__name__", format!("metric_{:03}_total", number / 4)),
            ("device", format!("sd{}", number % 4)),
            ("instance", host),
            ("job", "node".into()),
            ("zone", format!("zone-{}", i / 500 % 3)),
        ])
    };
    let mut sets: Vec<Labels> = (0..SERIES).map(labels).collect();
    sets.sort();
    for number in 0..12i64 {
        let times = Arc::new(
            (0..ROWS)
                .map(|r| number * RANGE + r * 120_000)
                .collect::<Vec<_>>(),
        );
        let new = crate::block::NewBlock {
            id: number as u64 + 1,
            order: number as u64 + 1,
            range_from: number * RANGE,
            range_until: (number + 1) * RANGE,
            cut_until: Some((number + 1) * RANGE),
            level: 1,
            ..crate::block::NewBlock::default()
        };
        let mut writer =
            crate::block::BlockWriter::create(Arc::clone(&dir), new, sets.clone()).unwrap();
        for index in 0..sets.len() {
            let mut v = index as f64;
            let values = (0..ROWS).map(|r| {
                v += ((index as i64 * 31 + r * r * 7919) % 1013 * (index % 3) as i64) as f64;
                v
            });
            let columns = crate::block::SeriesColumns {
                times: Arc::clone(&times),
                values: values.collect(),
                ..crate::block::SeriesColumns::default()
            };
            writer.write_series(index, &columns).unwrap();
        }
        writer.finish().unwrap();
    }
    drop(sets);
    let opts = Options {
        retention_ms: 0,
        maintenance_interval_ms: 0,
        ..Options::default()
    };
    let db = Db::open(folder.path(), opts).unwrap();
    let before = db.stats();
    let (rss, high) = (memory("VmRSS"), memory("VmHWM"));
    let start = Instant::now();
    assert!(db.merge().unwrap());
    println!(
        "12 blocks of {SERIES} series, {} samples, {} MiB: merge {:.1?}; RSS before {rss} MiB (highest {high}), after {} MiB, \
         highest {} MiB",
        before.block_samples,
        before.block_bytes >> 20,
        start.elapsed(),
        memory("VmRSS"),
        memory("VmHWM")
    );
    assert_eq!(db.stats().blocks_loaded, 1);
    assert_eq!(db.stats().block_samples, before.block_samples);
}
