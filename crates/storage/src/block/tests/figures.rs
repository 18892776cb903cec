//! Bytes per sample and per series, on the captures of ../shared/data where they are there. The
//! goals are those of docs/benchmarks.md. Run with `--ignored --nocapture`, optimised.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use tsdb_model::{Matcher, SeriesData, stale_nan};

use super::*;
use crate::block::layout::Section;

const START: i64 = 1_790_000_000_000 / 7_200_000 * 7_200_000;
const STEP: i64 = 15_000;

pub(crate) type Series = BTreeMap<Labels, (Vec<i64>, Vec<f64>)>;

/// The scrapes of a capture: bodies of expositions.
pub(crate) fn scrapes(name: &str) -> Option<Vec<String>> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("CAPTURES").map_or(beside, PathBuf::from);
    let path = folder.join(name);
    if !path.exists() {
        return None;
    }
    let output = Command::new("zstd")
        .args(["-dc", "--long=27"])
        .arg(path)
        .output()
        .ok()?;
    let mut rest = output.stdout.as_slice();
    let mut out = Vec::new();
    while rest.len() > 12 {
        let length = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        out.push(String::from_utf8_lossy(&rest[12..12 + length]).into_owned());
        rest = &rest[12 + length..];
    }
    Some(out)
}

pub(crate) fn labels_of(key: &str, instance: &str) -> Labels {
    let (name, rest) = key.split_once('{').unwrap_or((key, ""));
    let mut pairs = vec![
        ("__name__".to_string(), name.to_string()),
        (
            "job".to_string(),
            instance.split(':').next().unwrap().to_string(),
        ),
        ("instance".to_string(), instance.to_string()),
    ];
    let mut rest = rest.trim_end_matches('}');
    while let Some((label, behind)) = rest.split_once("=\"") {
        let end = behind.find('"').unwrap();
        pairs.push((
            label.trim_start_matches(',').to_string(),
            behind[..end].to_string(),
        ));
        rest = &behind[end + 1..];
    }
    Labels::from_pairs(pairs)
}

/// What a scraper at 15 s steps would have stored.
pub(crate) fn load(name: &str, instance: &str) -> Option<Series> {
    let mut series = Series::new();
    let mut known: BTreeMap<String, Labels> = BTreeMap::new();
    for (t, body) in (0i64..).zip(scrapes(name)?) {
        let t = START + t * STEP;
        for line in body.lines().filter(|l| !l.starts_with('#')) {
            let cut = line
                .rfind('}')
                .map(|at| at + 1)
                .or_else(|| line.find(' '))
                .unwrap();
            let (key, value) = line.split_at(cut);
            let value = value.split_whitespace().next().unwrap();
            let value: f64 = value.parse().unwrap_or(f64::NAN);
            let labels = known
                .entry(key.to_string())
                .or_insert_with(|| labels_of(key, instance));
            let (times, values) = series.entry(labels.clone()).or_default();
            times.push(t);
            values.push(value);
        }
        for (times, values) in series.values_mut() {
            let stale = values
                .last()
                .is_some_and(|v| v.to_bits() == stale_nan().to_bits());
            if times.last() != Some(&t) && !stale {
                times.push(t);
                values.push(stale_nan());
            }
        }
    }
    Some(series)
}

fn write_all(dir: &Arc<dyn Dir>, id: u64, series: &Series) -> Block {
    let all: Vec<_> = series
        .iter()
        .map(|(labels, (times, values))| {
            let columns = SeriesColumns {
                times: Arc::new(times.clone()),
                values: values.clone(),
                ..SeriesColumns::default()
            };
            (labels.clone(), columns)
        })
        .collect();
    write(
        dir,
        &NewBlock {
            id,
            ..NewBlock::default()
        },
        &all,
    )
}

#[derive(Debug, Clone, Copy)]
struct Shares {
    all: f64,
    index: f64,
}

fn report(title: &str, blocks: &[&Block]) -> Shares {
    let sum = |of: &dyn Fn(&Block) -> u64| blocks.iter().map(|b| of(b)).sum::<u64>() as f64;
    let samples = sum(&|b| b.meta().samples);
    let series = sum(&|b| b.meta().series);
    let bytes = sum(&|b| b.meta().bytes);
    let of = |section: Section| sum(&|b| b.section_bytes(section));
    let index: f64 = [
        Section::Columns,
        Section::TargetColumns,
        Section::Names,
        Section::Pairs,
        Section::Locals,
        Section::Targets,
        Section::Postings,
        Section::Identity,
    ]
    .into_iter()
    .map(of)
    .sum();
    let directory = of(Section::Directory) + of(Section::DirectoryRestarts);
    let rest = bytes - index - directory - of(Section::Pages) - of(Section::Times);
    println!(
        "{title}: {samples} samples, {series} series, {bytes} B: {:.4} B/sample = pages {:.4} + directory \
         {:.4} + times {:.4} + index {:.4} + header, checksums, footer {:.4}; index {:.2} B/series (pairs {:.2}, locals {:.2}, \
         postings {:.2}, names {:.2}, identity {:.2}, columns {:.2})",
        bytes / samples,
        of(Section::Pages) / samples,
        directory / samples,
        of(Section::Times) / samples,
        index / samples,
        rest / samples,
        index / series,
        of(Section::Pairs) / series,
        of(Section::Locals) / series,
        of(Section::Postings) / series,
        of(Section::Names) / series,
        of(Section::Identity) / series,
        (of(Section::Columns) + of(Section::TargetColumns)) / series,
    );
    Shares {
        all: bytes / samples,
        index: index / series,
    }
}

fn capture(name: &str, instance: &str) -> Option<Shares> {
    let series = load(name, instance)?;
    let (_folder, dirs) = on_disk();
    let start = Instant::now();
    let merged = write_all(&dirs[0], 1, &series);
    let samples = merged.meta().samples as f64;
    let spent = start.elapsed().as_nanos() as f64;
    let (mut data, begin) = (SeriesData::default(), Instant::now());
    for (index, (_, (times, values))) in (0..).zip(&series) {
        merged.read(index, i64::MIN, i64::MAX, &mut data).unwrap();
        assert_eq!(data.times(), times);
        assert!(
            data.values
                .iter()
                .zip(values)
                .all(|(a, b)| a.to_bits() == b.to_bits())
        );
    }
    println!(
        "{name}: write {:.1} ns/sample, read {:.2} ns/sample",
        spent / samples,
        begin.elapsed().as_nanos() as f64 / samples
    );
    let shares = report(&format!("{name}, one block"), &[&merged]);
    let mut parts = Vec::new();
    for (id, from) in (10u64..).zip((START..START + 1200 * STEP).step_by(7_200_000)) {
        let mut part = Series::new();
        for (labels, (times, values)) in &series {
            let (a, b) = (
                times.partition_point(|t| *t < from),
                times.partition_point(|t| *t < from + 7_200_000),
            );
            if a < b {
                part.insert(
                    labels.clone(),
                    (times[a..b].to_vec(), values[a..b].to_vec()),
                );
            }
        }
        if !part.is_empty() {
            parts.push(write_all(&dirs[0], id, &part));
        }
    }
    report(
        &format!("{name}, 2 h blocks"),
        &parts.iter().collect::<Vec<_>>(),
    );
    Some(shares)
}

#[test]
#[ignore = "slow without optimisation"]
fn captures() {
    if let Some(node) = capture("node_exporter.bin.zst", "node:9100") {
        assert!(node.all <= 0.47, "{node:?}");
        assert!(node.index <= 25.0, "{node:?}");
    }
    if let Some(prometheus) = capture("prometheus.bin.zst", "prometheus:9090") {
        assert!(prometheus.all <= 0.20, "{prometheus:?}");
        assert!(prometheus.index <= 25.0, "{prometheus:?}");
    }
}

fn index_of(title: &str, sets: Vec<Labels>, rows: i64) -> Shares {
    let (_folder, dirs) = on_disk();
    let times = Arc::new((0..rows).map(|i| i * STEP).collect::<Vec<i64>>());
    let mut writer = BlockWriter::create(Arc::clone(&dirs[0]), new_block(), sets.clone()).unwrap();
    let start = Instant::now();
    for index in 0..sets.len() {
        let columns = SeriesColumns {
            times: Arc::clone(&times),
            values: vec![index as f64; rows as usize],
            ..SeriesColumns::default()
        };
        writer.write_series(index, &columns).unwrap();
    }
    let written = start.elapsed();
    let start = Instant::now();
    let block = writer.finish().unwrap();
    println!(
        "{title}: write {written:.2?}, finish {:.2?}",
        start.elapsed()
    );
    let begin = Instant::now();
    drop(Block::open(&dirs[0], 7).unwrap());
    let opened = begin.elapsed();
    let metric = Matcher::equal("__name__", sets[sets.len() / 2].metric_name());
    let instance = Matcher::equal("instance", sets[sets.len() / 2].value("instance"));
    for matchers in [
        vec![metric.clone()],
        vec![instance.clone()],
        vec![metric, instance],
    ] {
        let begin = Instant::now();
        let found = block.select(&matchers).unwrap();
        let spent = begin.elapsed();
        let begin = Instant::now();
        for series in &found {
            assert_eq!(block.labels(*series).unwrap(), sets[*series as usize]);
        }
        println!(
            "  {} series in {spent:.1?}, labels {:.2?}; open {opened:.1?}",
            found.len(),
            begin.elapsed()
        );
    }
    report(title, &[&block])
}

#[test]
#[ignore = "slow without optimisation"]
fn indices() {
    let mut targets = Vec::new();
    let mut pods = Vec::new();
    for target in 0..400u32 {
        for local in 0..500u32 {
            let (host, metric) = (
                format!("host-{target:05}:9100"),
                format!("node_metric_number_{:03}_total", local / 2),
            );
            let (target, device) = (target.to_string(), (local % 2).to_string());
            targets.push(Labels::from_pairs([
                ("__name__", metric.as_str()),
                ("instance", &host),
                ("job", "node"),
                ("device", &device),
                ("cluster", "production"),
                ("zone", &format!("zone-{}", host.len() % 3)),
                ("rack", &format!("rack-{target}")),
                ("mode", "a"),
                ("team", "infrastructure"),
                ("env", "prod"),
            ]));
            let number = pods.len() as u32;
            let id = number.wrapping_mul(2654435761);
            pods.push(Labels::from_pairs([
                ("__name__", format!("kube_pod_metric_{:02}", number % 20)),
                ("instance", "ksm:8080".into()),
                ("job", "ksm".into()),
                ("namespace", format!("team-{}", number / 20 % 50)),
                (
                    "pod",
                    format!(
                        "web-{:08x}-{:05x}",
                        (number / 20).wrapping_mul(40503),
                        (number / 20).wrapping_mul(2654435761) >> 12
                    ),
                ),
                (
                    "uid",
                    format!(
                        "{:08x}-{:08x}",
                        number / 20,
                        (number / 20).wrapping_mul(2654435761)
                    ),
                ),
                ("node", format!("node-{}", id % 97)),
            ]));
        }
    }
    targets.sort();
    pods.sort();
    pods.dedup();
    let shares = index_of("500 sets x 400 targets, 10 labels", targets, 480);
    assert!(shares.index <= 25.0, "{shares:?}");
    let shares = index_of("kube-like: 20 metrics x 10 000 pods, one target", pods, 480);
    assert!(shares.index <= 45.0, "{shares:?}");
}
