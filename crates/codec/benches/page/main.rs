//! Sizes and speed of pages on captures, if they are there, and on synthetic data.
//!
//! `cargo bench -p tsdb-codec --bench page [-- SET ...]`, sets: node prometheus synthetic jittered.

#![expect(clippy::print_stdout, reason = "it prints its figures")]

mod captures;
mod synthetic;

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use tsdb_codec::page::{
    Bundle, Coder, MAX_COLUMNS, PageOptions, decode_bundle, decode_page, encode_bundle,
    encode_page, page_mode,
};
use tsdb_codec::times::{decode_times, encode_times};

const PAGE_ROWS: usize = 480;

/// One series of a set.
#[derive(Debug, Default)]
pub(crate) struct Series {
    pub(crate) key: String,
    pub(crate) times: Vec<i64>,
    pub(crate) values: Vec<f64>,
}

const fn tans(min_gain_percent: u8) -> PageOptions {
    PageOptions {
        coder: Coder::Tans { min_gain_percent },
        restarts: true,
    }
}

fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let wants = |set: &str| wanted.is_empty() || wanted.iter().any(|w| w == set);
    let node = "node_exporter.bin.zst";
    let sets: [(&str, &dyn Fn() -> Option<Vec<Series>>); 4] = [
        ("node", &|| captures::load(node, false)),
        ("prometheus", &|| {
            captures::load("prometheus.bin.zst", false)
        }),
        ("jittered", &|| captures::load(node, true)),
        ("synthetic", &|| Some(synthetic::series(2880, 2))),
    ];
    for (set, load) in sets {
        if !wants(set) {
            continue;
        }
        match load() {
            Some(series) => report(set, &series),
            None => println!("{set}: capture not there\n"),
        }
    }
}

/// CPU time of this thread in ns; wall time where the system does not tell.
fn cpu_ns() -> u64 {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|s| s.split(' ').next().and_then(|ns| ns.parse().ok()))
        .unwrap_or_else(|| START.elapsed().as_nanos() as u64)
}

/// The least time of some runs.
fn least(runs: u32, mut f: impl FnMut()) -> f64 {
    let mut time = || {
        let start = cpu_ns();
        f();
        cpu_ns() - start
    };
    (0..runs).map(|_| time()).min().unwrap_or(0) as f64
}

fn report(set: &str, series: &[Series]) {
    let pages: Vec<&[f64]> = series
        .iter()
        .flat_map(|s| s.values.chunks(PAGE_ROWS))
        .collect();
    let n: usize = pages.iter().map(|p| p.len()).sum();
    println!(
        "{set}: {} series, {n} samples, pages of {PAGE_ROWS}",
        series.len()
    );
    for (name, options) in [
        (
            "packed, no restarts",
            PageOptions {
                coder: Coder::Packed,
                restarts: false,
            },
        ),
        ("packed", PageOptions::HEAD),
        ("tANS, gain >= 10 %", tans(10)),
        ("tANS, gain >= 3 %", tans(3)),
        ("tANS", tans(0)),
    ] {
        coder(name, &pages, n, &options);
    }
    let short: Vec<&[f64]> = series.iter().flat_map(|s| s.values.chunks(120)).collect();
    coder("packed, 120 rows", &short, n, &PageOptions::HEAD);
    let long: Vec<&[f64]> = series.iter().flat_map(|s| s.values.chunks(960)).collect();
    coder("tANS, 960 rows", &long, n, &tans(0));
    modes(&pages, n, &PageOptions::HEAD);
    modes(&pages, n, &tans(0));
    for options in [PageOptions::HEAD, tans(10), tans(3), tans(0)] {
        block(series, n, &options);
    }
    println!();
}

fn coder(name: &str, pages: &[&[f64]], n: usize, options: &PageOptions) {
    let mut encoded = Vec::new();
    let encode = least(3, || {
        encoded = pages
            .iter()
            .map(|p| encode_page(p, options).unwrap())
            .collect::<Vec<_>>();
    });
    let bytes: usize = encoded.iter().map(Vec::len).sum();
    let mut out = Vec::with_capacity(1024);
    let decode = least(9, || {
        for (bytes, page) in encoded.iter().zip(pages) {
            out.clear();
            decode_page(bytes, page.len(), &mut out).unwrap();
            std::hint::black_box(&out);
        }
    });
    for (bytes, page) in encoded.iter().zip(pages) {
        out.clear();
        decode_page(bytes, page.len(), &mut out).unwrap();
        assert!(
            out.iter()
                .zip(*page)
                .all(|(a, b)| a.to_bits() == b.to_bits()),
            "exact"
        );
    }
    let n = n as f64;
    println!(
        "  {name:20} {:.4} B/value, encode {:5.1} ns, decode {:.2} ns/value",
        bytes as f64 / n,
        encode / n,
        decode / n
    );
}

/// By mode: share of values and bytes, size, speed.
fn modes(pages: &[&[f64]], n: usize, options: &PageOptions) {
    let mut modes: BTreeMap<&str, Vec<(Vec<u8>, &[f64])>> = BTreeMap::new();
    for page in pages {
        let bytes = encode_page(page, options).unwrap();
        modes
            .entry(page_mode(&bytes))
            .or_default()
            .push((bytes, page));
    }
    println!("    {options:?}");
    let mut out = Vec::with_capacity(1024);
    for (mode, pages) in modes {
        let rows: usize = pages.iter().map(|p| p.1.len()).sum();
        let bytes: usize = pages.iter().map(|p| p.0.len()).sum();
        let decode = least(9, || {
            for (bytes, page) in &pages {
                out.clear();
                decode_page(bytes, page.len(), &mut out).unwrap();
                std::hint::black_box(&out);
            }
        });
        println!(
            "    {mode:18} {:5.1} % of values, {:.4} B/value of all, {:.3} B/value, {:.2} ns/value",
            100.0 * rows as f64 / n as f64,
            bytes as f64 / n as f64,
            bytes as f64 / rows as f64,
            decode / rows as f64
        );
    }
}

/// What a block of the whole set would take, index apart: pages bundled, equal ones stored once,
/// those of at most 8 bytes in the directory, a time column per target.
fn block(series: &[Series], n: usize, options: &PageOptions) {
    let mut columns: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for s in series {
        let column = columns.entry(host(&s.key)).or_default();
        if s.times.iter().any(|t| column.binary_search(t).is_err()) {
            column.extend(&s.times);
            column.sort_unstable();
            column.dedup();
        }
    }
    let mut time_bytes = 0;
    let mut times = Vec::new();
    for page in columns.values().flat_map(|c| c.chunks(PAGE_ROWS)) {
        let bytes = encode_times(page, options.coder).unwrap();
        times.clear();
        decode_times(&bytes, page.len(), &mut times).unwrap();
        assert_eq!(times, page);
        time_bytes += bytes.len() + 6;
    }
    // Histograms: series that differ only in `le`, rising.
    let mut groups: BTreeMap<String, Vec<(f64, &Series)>> = BTreeMap::new();
    for s in series {
        let le = s
            .key
            .split_once("le=\"")
            .and_then(|(_, rest)| rest.split_once('"'));
        let le = le.filter(|_| s.key.contains("_bucket{"));
        let (group, le) = match le {
            Some((le, rest)) => {
                let front = s.key.split("le=\"").next().unwrap_or_default();
                (
                    format!("{front}{rest}"),
                    le.parse().unwrap_or(f64::INFINITY),
                )
            }
            None => (s.key.clone(), 0.0),
        };
        groups.entry(group).or_default().push((le, s));
    }
    let (mut own, mut paged, mut stored, mut directory, mut page_count) = (0, 0, 0, 0, 0);
    let mut seen: HashSet<Vec<u8>> = HashSet::new();
    let mut store = |blob: Vec<u8>, directory: &mut usize, stored: &mut usize| {
        if blob.len() <= 8 {
            *directory += blob.len();
        } else if seen.contains(&blob) {
            *directory += 3;
        } else {
            *directory += 2;
            *stored += blob.len();
            seen.insert(blob);
        }
    };
    let mut out = Vec::new();
    for group in groups.values_mut() {
        group.sort_by(|a, b| a.0.total_cmp(&b.0));
        directory += group.len();
        let column = &columns[host(&group[0].1.key)];
        for span in column.chunks(PAGE_ROWS) {
            let (first, last) = (span[0], span[span.len() - 1]);
            let rows = |s: &Series| {
                let from = s.times.partition_point(|t| *t < first);
                from..s.times.partition_point(|t| *t <= last)
            };
            for part in group.chunks(MAX_COLUMNS) {
                let present: Vec<_> = part
                    .iter()
                    .map(|p| p.1)
                    .filter(|s| !rows(s).is_empty())
                    .collect();
                page_count += present.len();
                for s in &present {
                    let times = &s.times[rows(s)];
                    if times.len() < span.len() {
                        // Runs of presence, 3 bytes each.
                        let at = |t| span.binary_search(t).unwrap();
                        let breaks = times.windows(2).filter(|w| at(&w[1]) > at(&w[0]) + 1);
                        directory += 4 + 3 * breaks.count();
                    }
                }
                let values: Vec<&[f64]> = present.iter().map(|s| &s.values[rows(s)]).collect();
                let pages: Vec<_> = values
                    .iter()
                    .map(|v| encode_page(v, options).unwrap())
                    .collect();
                let separate: usize = pages.iter().map(Vec::len).sum();
                own += separate;
                let same_rows = present
                    .windows(2)
                    .all(|w| w[0].times[rows(w[0])] == w[1].times[rows(w[1])]);
                if values.len() > 1 && same_rows {
                    if let Bundle::Bundled(bytes) = encode_bundle(&values, options).unwrap() {
                        out.clear();
                        decode_bundle(&bytes, values[0].len(), &mut out).unwrap();
                        let exact = out.iter().zip(values.iter().copied().flatten());
                        assert!(exact.into_iter().all(|(a, b)| a.to_bits() == b.to_bits()));
                        paged += bytes.len();
                        directory += values.len() - 1;
                        store(bytes, &mut directory, &mut stored);
                        continue;
                    }
                }
                paged += separate;
                for page in pages {
                    store(page, &mut directory, &mut stored);
                }
            }
        }
    }
    let per = |bytes: usize| bytes as f64 / n as f64;
    let crc = stored / 16384 * 4 + 64;
    println!(
        "    block {options:?}: own {:.4}, bundled {:.4}, stored {:.4} + directory {:.4} + times {:.4} \
         + crc {:.4} = {:.4}; last values (3 B a page) {:.4}",
        per(own),
        per(paged),
        per(stored),
        per(directory),
        per(time_bytes),
        per(crc),
        per(stored + directory + time_bytes + crc),
        per(3 * page_count)
    );
}

/// What tells targets apart: the label of synthetic hosts.
fn host(key: &str) -> &str {
    key.split_once("{host=\"")
        .and_then(|(_, rest)| rest.split('"').next())
        .unwrap_or_default()
}
