//! What a block would take.

use std::collections::{BTreeMap, HashSet};

use tsdb_codec::page::{
    Bundle, MAX_COLUMNS, PageOptions, decode_bundle, encode_bundle, encode_page,
};
use tsdb_codec::times::{decode_times, encode_times};

use crate::{PAGE_ROWS, Series};

/// What a block of the whole set would take, index apart: pages bundled, equal ones stored once,
/// those of at most 8 bytes in the directory, a time column per target.
pub(crate) fn report(series: &[Series], n: usize, options: PageOptions) {
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
                if values.len() > 1
                    && same_rows
                    && let Bundle::Bundled(bytes) = encode_bundle(&values, options).unwrap()
                {
                    out.clear();
                    decode_bundle(&bytes, values[0].len(), &mut out).unwrap();
                    let mut exact = out.iter().zip(values.iter().copied().flatten());
                    assert!(exact.all(|(a, b)| a.to_bits() == b.to_bits()));
                    paged += bytes.len();
                    directory += values.len() - 1;
                    store(bytes, &mut directory, &mut stored);
                    continue;
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
