//! Damaged blocks: the right samples or an error that names the file, never a panic, never others.

use proptest::prelude::*;

use super::exchange::{content, exported, imported, labels, sample_series};
use super::memory::{MemDir, Series};
use crate::prom_block::*;

/// A block small enough to damage every byte of.
fn small() -> (MemDir, Series) {
    let mut series = sample_series();
    for samples in series.values_mut() {
        let last = *samples.keys().nth(12).unwrap();
        samples.retain(|t, _| *t < last);
    }
    series.retain(|l, _| l.value("kind") != "float");
    series.insert(
        labels(&[("__name__", "zzz")]),
        [(1_700_000_000_000, SampleValue::Float(1.0))].into(),
    );
    (exported(series.clone()).0, series)
}

/// Imports a directory with a damaged file: the result must be right if there is one.
fn check(dir: &MemDir, name: &str, want: &[(tsdb_model::Labels, Vec<(i64, String)>)]) -> bool {
    match imported(dir) {
        Ok((series, _)) => {
            assert_eq!(content(&series), want, "{name}");
            false
        }
        Err(e) => {
            let file = name.rsplit('/').next().unwrap();
            assert!(e.to_string().contains(file), "{name}: {e}");
            true
        }
    }
}

#[test]
fn every_byte_flipped() {
    let (dir, series) = small();
    let want = content(&series);
    for name in dir.names().iter().filter(|n| !n.ends_with("meta.json")) {
        let bytes = dir.bytes(name);
        let mut undetected = Vec::new();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            if !check(&dir.with(name, damaged), name, &want) {
                undetected.push(at);
            }
        }
        // Only padding may change unnoticed: in front of chunks, between series.
        let padding = undetected.iter().all(|at| bytes[*at] == 0);
        assert!(padding, "{name}: {undetected:?}");
        let most = if name.ends_with("index") {
            16 * (series.len() + 1)
        } else {
            3
        };
        assert!(undetected.len() <= most, "{name}: {undetected:?}");
    }
}

#[test]
fn every_length() {
    let (dir, series) = small();
    let want = content(&series);
    for name in dir.names() {
        let bytes = dir.bytes(&name);
        for len in 0..bytes.len() {
            let cut = dir.with(&name, bytes[..len].to_vec());
            assert!(check(&cut, &name, &want), "{name} cut to {len}");
        }
    }
}

#[test]
fn damage_is_named() {
    let (dir, _) = small();
    let name = dir
        .names()
        .into_iter()
        .find(|n| n.ends_with("000001"))
        .unwrap();
    let mut bytes = dir.bytes(&name);
    bytes[20] ^= 0x10;
    let error = imported(&dir.with(&name, bytes)).unwrap_err().to_string();
    let folder = name.split('/').next().unwrap();
    assert!(
        error.starts_with(&format!(
            "corrupt data in memory/{folder}/chunks/000001 at byte "
        )),
        "{error}"
    );
    assert!(
        error.ends_with("checksum of chunk does not match"),
        "{error}"
    );
}

#[test]
fn other_versions_are_refused() {
    let (dir, _) = small();
    let name = dir
        .names()
        .into_iter()
        .find(|n| n.ends_with("index"))
        .unwrap();
    for version in [1, 3] {
        let mut bytes = dir.bytes(&name);
        bytes[4] = version;
        let error = imported(&dir.with(&name, bytes)).unwrap_err();
        assert!(
            matches!(error, PromBlockError::Unsupported { .. }),
            "{error}"
        );
    }
}

/// Puts right the checksums of the sections of an index, so that what is behind them is reached.
fn with_good_checksums(mut bytes: Vec<u8>) -> Vec<u8> {
    let seal = |bytes: &mut Vec<u8>, from: usize, to: usize| {
        if let Some(crc) = bytes.get(from..to).map(crc32c::crc32c)
            && let Some(place) = bytes.get_mut(to..to + 4)
        {
            place.copy_from_slice(&crc.to_be_bytes());
        }
    };
    let number = |bytes: &[u8], at: usize, len: usize| {
        let part = bytes.get(at..at + len).unwrap_or_default();
        part.iter().fold(0usize, |v, b| v << 8 | usize::from(*b))
    };
    let toc = bytes.len() - 52;
    seal(&mut bytes, toc, toc + 48);
    for section in [0, 5] {
        let at = number(&bytes, toc + 8 * section, 8).min(toc);
        let len = number(&bytes, at, 4);
        seal(&mut bytes, at + 4, (at + 4).saturating_add(len).min(toc));
    }
    // Series, one behind the other.
    let (mut at, end) = (
        number(&bytes, toc + 8, 8),
        number(&bytes, toc + 16, 8).min(toc),
    );
    while at < end {
        at = at.next_multiple_of(16);
        let mut rest = bytes.get(at..end).unwrap_or_default();
        let before = rest.len();
        let Ok(len) = tsdb_codec::varint::take_uvarint(&mut rest) else {
            break;
        };
        let body = at + before - rest.len();
        let Some(next) = body.checked_add(len as usize).filter(|n| *n < end) else {
            break;
        };
        seal(&mut bytes, body, next);
        at = next + 4;
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn an_index_that_lies(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let (dir, _) = small();
        let name = dir.names().into_iter().find(|n| n.ends_with("index")).unwrap();
        let mut bytes = dir.bytes(&name);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        // Whatever comes out: no panic, no endless work.
        let _ = imported(&dir.with(&name, with_good_checksums(bytes)));
    }

    #[test]
    fn chunks_that_lie(at: prop::sample::Index, value: u8) {
        let (dir, _) = small();
        let name = dir.names().into_iter().find(|n| n.ends_with("000001")).unwrap();
        let mut bytes = dir.bytes(&name);
        let changed = 8 + at.index(bytes.len() - 8);
        bytes[changed] = value;
        let mut at = 8;
        while at < bytes.len() {
            let mut rest = &bytes[at..];
            let Ok(len) = tsdb_codec::varint::take_uvarint(&mut rest) else { break };
            let start = bytes.len() - rest.len();
            let Some(end) = start.checked_add(1 + len as usize).filter(|e| e + 4 <= bytes.len()) else { break };
            let crc = crc32c::crc32c(&bytes[start..end]);
            bytes[end..end + 4].copy_from_slice(&crc.to_be_bytes());
            at = end + 4;
        }
        let _ = imported(&dir.with(&name, bytes));
    }

    #[test]
    fn files_of_any_bytes(which: prop::sample::Index, bytes: Vec<u8>) {
        let (dir, _) = small();
        let names = dir.names();
        let _ = imported(&dir.with(&names[which.index(names.len())], bytes));
    }
}
