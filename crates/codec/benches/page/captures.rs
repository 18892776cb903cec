//! Series from captured expositions, as the figures want them: 15 s steps, staleness markers where
//! a series is absent.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Series;

const STALE: u64 = 0x7ff0_0000_0000_0002;
const NAN: u64 = 0x7ff8_0000_0000_0001;
const START: i64 = 1_790_000_000_000 / 7_200_000 * 7_200_000;
const STEP: i64 = 15_000;

/// Where the captures are: `CAPTURES`, or beside the workspace.
fn directory() -> PathBuf {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    std::env::var_os("CAPTURES").map_or(beside, PathBuf::from)
}

/// The series of a capture, if it is there and `zstd` can unpack it.
pub(crate) fn load(name: &str, jitter: bool) -> Option<Vec<Series>> {
    let path = directory().join(name);
    if !path.exists() {
        return None;
    }
    let output = Command::new("zstd")
        .args(["-dc", "--long=27"])
        .arg(path)
        .output()
        .ok()?;
    Some(series(&output.stdout, jitter))
}

fn series(mut raw: &[u8], jitter: bool) -> Vec<Series> {
    let mut series: Vec<Series> = Vec::new();
    let mut index: HashMap<String, usize> = HashMap::new();
    let (mut scrape, mut before) = (0i64, None);
    while let Some((time, rest)) = raw.split_first_chunk::<8>() {
        let Some((length, rest)) = rest.split_first_chunk::<4>() else {
            break;
        };
        let length = u32::from_le_bytes(*length) as usize;
        let Some((body, rest)) = rest.split_at_checked(length) else {
            break;
        };
        raw = rest;
        let time = i64::from_le_bytes(*time);
        let late = before.map_or(0, |b| time - b - 2000).clamp(-40, 40);
        before = Some(time);
        // Prometheus puts scrapes that are at most 2 ms off onto their grid.
        let late = if jitter && late.abs() > 2 { late } else { 0 };
        let time = START + scrape * STEP + late;
        for line in String::from_utf8_lossy(body)
            .lines()
            .filter(|l| !l.starts_with('#'))
        {
            let cut = line.rfind('}').map(|at| at + 1).or_else(|| line.find(' '));
            let Some((key, value)) = cut.and_then(|at| line.split_at_checked(at)) else {
                continue;
            };
            let value = value.trim().split(' ').next().unwrap_or_default();
            let value: f64 = value.parse().unwrap_or(f64::NAN);
            let value = if value.is_nan() {
                f64::from_bits(NAN)
            } else {
                value
            };
            let at = *index.entry(key.to_owned()).or_insert_with(|| {
                series.push(Series {
                    key: key.to_owned(),
                    ..Series::default()
                });
                series.len() - 1
            });
            series[at].times.push(time);
            series[at].values.push(value);
        }
        for s in &mut series {
            let gone = s.times.last() != Some(&time);
            if gone && s.values.last().is_some_and(|v| v.to_bits() != STALE) {
                s.times.push(time);
                s.values.push(f64::from_bits(STALE));
            }
        }
        scrape += 1;
    }
    series.sort_by(|a, b| a.key.cmp(&b.key));
    series
}
