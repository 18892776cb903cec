//! Sizes and speed of pages on captures, if they are there, and on synthetic data.
//!
//! `cargo bench -p tsdb-codec --bench page [-- SET ...]`, sets: node prometheus synthetic jittered.

#![expect(clippy::print_stdout, reason = "it prints its figures")]
#![expect(clippy::unwrap_used, reason = "figures of pages that fail are none")]

mod block;
mod captures;
mod synthetic;

use std::collections::BTreeMap;
use std::time::Instant;

use tsdb_codec::page::{
    Coder, PageOptions, decode_page, decode_page_range, encode_page, page_mode,
};

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

/// The least time of some runs in ns: what the work takes when nothing else has the core.
fn least(runs: u32, mut f: impl FnMut()) -> f64 {
    let mut time = || {
        let start = Instant::now();
        f();
        start.elapsed().as_nanos()
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
        coder(name, &pages, n, options);
    }
    let short: Vec<&[f64]> = series.iter().flat_map(|s| s.values.chunks(120)).collect();
    coder("packed, 120 rows", &short, n, PageOptions::HEAD);
    let long: Vec<&[f64]> = series.iter().flat_map(|s| s.values.chunks(960)).collect();
    coder("tANS, 960 rows", &long, n, tans(0));
    modes(&pages, n, PageOptions::HEAD);
    modes(&pages, n, tans(0));
    for options in [PageOptions::HEAD, tans(10), tans(3), tans(0)] {
        block::report(series, n, options);
    }
    println!();
}

fn coder(name: &str, pages: &[&[f64]], n: usize, options: PageOptions) {
    let mut encoded = Vec::new();
    let encode = least(7, || {
        encoded = pages
            .iter()
            .map(|p| encode_page(p, options).unwrap())
            .collect::<Vec<_>>();
    });
    let bytes: usize = encoded.iter().map(Vec::len).sum();
    let mut out = Vec::with_capacity(1024);
    let decode = least(40, || {
        for (bytes, page) in encoded.iter().zip(pages) {
            out.clear();
            decode_page(bytes, page.len(), &mut out).unwrap();
            std::hint::black_box(&out);
        }
    });
    let last = least(9, || {
        for (bytes, page) in encoded.iter().zip(pages) {
            out.clear();
            decode_page_range(bytes, page.len(), page.len() - 1..page.len(), &mut out).unwrap();
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
        "  {name:20} {:.4} B/value, encode {:5.1} ns, decode {:.2} ns/value, last row {:.0} ns",
        bytes as f64 / n,
        encode / n,
        decode / n,
        last / pages.len() as f64
    );
}

/// By mode: share of values and bytes, size, speed.
fn modes(pages: &[&[f64]], n: usize, options: PageOptions) {
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
        let decode = least(40, || {
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
