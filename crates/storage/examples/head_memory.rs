//! `head_memory [active|long|churn]` prints what series and samples cost in memory and time, straight
//! through a store's appenders, without a server: a million series of ten labels with twelve
//! samples, 50 000 with 960, or 100 000 of which a fifth is replaced every ten minutes for two
//! hours. Values and labels are shaped as a node exporter's are.

#![expect(clippy::print_stdout, reason = "a program run by hand")]

use std::time::Instant;

use tsdb_model::{Labels, Matcher, SelectHints, SeriesData, SeriesRef};
use tsdb_storage::{Db, Options, WalSync};

const STEP: i64 = 15_000;
const START: i64 = 1_700_000_000_000 - 1_700_000_000_000 % 7_200_000;

fn status(field: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|l| l.starts_with(field));
    let kib = line.and_then(|l| l.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// A number that looks random.
fn mix(mut x: u64) -> u64 {
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// The labels of series `n` of a target: a metric in ten has one series, the others have up to 64,
/// told apart by two labels.
fn labels(target: u64, n: u64) -> Labels {
    let metric = n / 32;
    let number = n % 32;
    Labels::from_pairs([
        ("__name__", format!("node_made_up_metric_{metric}_total")),
        ("cluster", format!("cluster-{}", target / 50)),
        ("cpu", (number / 8).to_string()),
        ("datacenter", format!("dc{}", target / 250)),
        ("environment", "production".to_string()),
        ("instance", format!("host-{target:04}.example.org:9100")),
        ("job", "node".to_string()),
        (
            "mode",
            [
                "idle", "user", "system", "iowait", "irq", "nice", "softirq", "steal",
            ][(number % 8) as usize]
                .to_string(),
        ),
        ("rack", format!("rack-{}", target / 20)),
        ("team", "infrastructure".to_string()),
    ])
}

/// The value of a series at a row: most never change, the others are counters of whole numbers or
/// of hundredths, and gauges.
fn value(series: u64, row: u64) -> f64 {
    let noise = mix(series << 20 ^ row);
    let base = mix(series) % 1_000_000;
    match series % 16 {
        0..=8 => base as f64,
        9..=11 => (base + row * (1 + series % 900) + noise % (1 + series % 90)) as f64,
        12..=13 => ((base + row * (1 + series % 1400)) + noise % 40) as f64 / 100.0,
        14 => (base * 4096 + noise % 500 * 4096) as f64,
        _ => (base + noise % 1000) as f64 / 1000.0,
    }
}

struct Run {
    db: Db,
    _dir: tempfile::TempDir,
    before: u64,
    start: Instant,
    samples: u64,
}

impl Run {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let options = Options {
            retention_ms: 0,
            wal_sync: WalSync::Never,
            maintenance_interval_ms: 0,
            ..Options::default()
        };
        let db = Db::open(dir.path(), options).expect("a new store opens");
        Self {
            db,
            _dir: dir,
            before: status("VmRSS"),
            start: Instant::now(),
            samples: 0,
        }
    }

    /// Commits one row of some series; known ones are found by their handles, as a scrape does.
    fn row(&mut self, series: &mut [(u64, u64, Option<SeriesRef>)], row: u64, t: i64) {
        let mut appender = self.db.appender();
        for (target, n, known) in series {
            let v = value(*target * 4096 + *n, row);
            let handle = known.filter(|h| appender.append(*h, t, v).is_ok());
            if handle.is_none() {
                let handle = appender.series(&labels(*target, *n)).expect("room");
                appender.append(handle, t, v).expect("in order");
                *known = Some(handle);
            }
            self.samples += 1;
        }
        appender.commit().expect("the log is written");
    }

    fn report(&self, what: &str, series: u64) {
        let seconds = self.start.elapsed().as_secs_f64();
        let rss = status("VmRSS");
        let stats = self.db.stats();
        println!(
            "{what}: RSS {:.1} MiB (before {:.1}, peak {:.1}), {:.0} B/series; {} series, chunks {} of {:.1} MiB, \
             index {:.1} MiB, log {:.2} B/sample, {:.0} ns/sample",
            mib(rss),
            mib(self.before),
            mib(status("VmHWM")),
            (rss - self.before) as f64 / series as f64,
            stats.head_series,
            stats.head_chunks,
            mib(stats.head_chunks_bytes),
            mib(stats.index_bytes),
            stats.wal_bytes as f64 / self.samples as f64,
            seconds * 1e9 / self.samples as f64,
        );
    }

    /// Times selecting and reading what passes a matcher.
    fn read(&self, name: &str, value: &str, mint: i64, maxt: i64) {
        let matcher = [Matcher::equal(name, value)];
        let hints = SelectHints {
            start_ms: mint,
            end_ms: maxt,
            step_ms: 0,
            range_ms: 0,
            limit: 0,
            labels_only: false,
        };
        let start = Instant::now();
        let querier = self.db.querier(mint, maxt).expect("a querier");
        let set = querier.select(&hints, &matcher).expect("series");
        let selected = start.elapsed();
        let mut data = SeriesData::default();
        let mut samples = 0;
        for i in 0..set.len() {
            set.read(i, &mut data).expect("samples");
            samples += data.values.len();
        }
        println!(
            "  {name}={value}: {} series in {:.2} ms, {samples} samples in {:.2} ms",
            set.len(),
            selected.as_secs_f64() * 1e3,
            start.elapsed().saturating_sub(selected).as_secs_f64() * 1e3,
        );
    }
}

fn targets(targets: u64, each: u64) -> Vec<Vec<(u64, u64, Option<SeriesRef>)>> {
    let of = |target| (0..each).map(|n| (target, n, None)).collect();
    (0..targets).map(of).collect()
}

fn run(targets_count: u64, each: u64, rows: u64, what: &str) {
    let mut run = Run::new();
    let mut all = targets(targets_count, each);
    let mut end = START;
    for row in 0..rows {
        for (target, series) in all.iter_mut().enumerate() {
            let offset = mix(target as u64) as i64 & 0x1fff;
            end = START + row as i64 * STEP + offset;
            run.row(series, row, end);
        }
    }
    run.report(what, targets_count * each);
    let (name, end) = ("node_made_up_metric_1_total", end + STEP);
    run.read("__name__", name, START, end);
    run.read("instance", "host-0042.example.org:9100", START, end);
    run.read("__name__", name, end - 2 * STEP, end);
}

fn churn() {
    let mut run = Run::new();
    let mut all = targets(500, 200);
    let mut next = 500;
    for row in 0..480u64 {
        if row > 0 && row % 40 == 0 {
            // A fifth of the targets goes, others come.
            for old in 0..100 {
                let place = (row as usize / 40 * 100 + old) % 500;
                all[place] = (0..200).map(|n| (next, n, None)).collect();
                next += 1;
            }
            run.db.maintain().expect("upkeep");
        }
        for series in &mut all {
            let offset = mix(series[0].0) as i64 & 0x1fff;
            run.row(series, row, START + row as i64 * STEP + offset);
        }
    }
    run.report("churn", next * 200);
}

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("active") => run(500, 2000, 12, "1 M series x 12"),
        Some("long") => run(500, 100, 960, "50 k series x 960"),
        Some("churn") => churn(),
        _ => println!("head_memory active|long|churn"),
    }
}
