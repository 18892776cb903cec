//! The whole page, from the made-up machine in testdata/host, from an empty one and from broken
//! ones.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use tsdb_host::HostCollector;
use tsdb_model::ManualClock;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/host")
}

fn collect(root: &Path) -> String {
    HostCollector::with_clock(root, Arc::new(ManualClock::new(1_700_000_000_500))).collect()
}

/// Value of the series written exactly like `series`.
fn value(page: &str, series: &str) -> Option<f64> {
    let rest = page
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    rest.parse().ok()
}

/// Collectors that report `success`.
fn collectors_with(page: &str, success: f64) -> Vec<&str> {
    let head = "node_scrape_collector_success{collector=\"";
    let lines = page
        .lines()
        .filter_map(|line| line.strip_prefix(head)?.split_once("\"} "));
    lines
        .filter(|(_, v)| v.parse() == Ok(success))
        .map(|(name, _)| name)
        .collect()
}

/// Without the lines that depend on the machine the test runs on, and without values of the disk
/// that the tree lies on.
fn comparable(page: &str) -> Vec<(String, Option<f64>)> {
    let own = [
        "node_exporter_build_info{",
        "node_scrape_collector_duration_seconds{",
        "node_time_seconds ",
        "node_uname_info{",
    ];
    let disk = [
        "size_bytes",
        "free_bytes",
        "avail_bytes",
        "files",
        "files_free",
    ]
    .map(|end| format!("node_filesystem_{end}{{"));
    page.lines()
        .filter(|line| !own.iter().any(|head| line.starts_with(head)))
        .filter(|line| !line.contains("_mem_bytes ")) // Multiplied by the size of a page.
        .map(|line| match line.rsplit_once(' ') {
            Some((series, number)) if !line.starts_with('#') => {
                let of_disk = disk.iter().any(|head| line.starts_with(head));
                let number = number.parse::<f64>().ok().filter(|_| !of_disk);
                (series.to_string(), number)
            }
            _ => (line.to_string(), None),
        })
        .collect()
}

#[test]
fn made_up_machine() {
    let page = collect(&fixture());
    // Made by the example program `collect`, and compared with the page of a node exporter 1.11.1
    // that was given the same tree; docs/host-metrics.md lists where they differ.
    let expected = fs::read_to_string(fixture().join("expected.prom")).unwrap();
    let (page_lines, expected_lines) = (comparable(&page), comparable(&expected));
    for (got, wanted) in page_lines.iter().zip(&expected_lines) {
        assert_eq!(got, wanted);
    }
    assert_eq!(page_lines.len(), expected_lines.len());
    assert_eq!(collectors_with(&page, 0.0), [""; 0]);

    assert_eq!(value(&page, "node_time_seconds"), Some(1_700_000_000.5));
    let root = "{device=\"/dev/sda1\",device_error=\"\",fstype=\"ext4\",mountpoint=\"/\"}";
    let size = value(&page, &format!("node_filesystem_size_bytes{root}")).unwrap();
    let free = value(&page, &format!("node_filesystem_free_bytes{root}")).unwrap();
    let available = value(&page, &format!("node_filesystem_avail_bytes{root}")).unwrap();
    assert!(
        size > 0.0 && free <= size && available <= free,
        "{available} {free} {size}"
    );
}

#[test]
fn families_stand_together_and_no_series_twice() {
    let page = collect(&fixture());
    let (mut families, mut series) = (BTreeSet::new(), BTreeSet::new());
    let mut current = "";
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            current = rest.split(' ').next().unwrap();
            assert!(families.insert(current), "{current} is there twice");
        } else if !line.starts_with('#') {
            let (key, number) = line.rsplit_once(' ').unwrap();
            assert_eq!(key.split('{').next().unwrap(), current);
            assert!(series.insert(key), "{key} is there twice");
            number.parse::<f64>().unwrap();
        }
    }
    assert!(families.len() > 200, "{}", families.len());
}

#[test]
fn nothing_to_collect() {
    let dir = tempfile::tempdir().unwrap();
    let page = collect(dir.path());
    // This one asks the kernel; the clock is there, but not what it ticks by.
    assert_eq!(collectors_with(&page, 1.0), ["uname"]);
    assert_eq!(value(&page, "node_time_seconds"), Some(1_700_000_000.5));
    assert!(!page.contains("node_cpu_seconds_total"));
}

#[test]
fn one_broken_file_takes_only_its_collector_away() {
    let dir = tempfile::tempdir().unwrap();
    copy(&fixture(), dir.path(), &|path, bytes| {
        if path.ends_with("proc/diskstats") {
            b"8 0\n".to_vec()
        } else {
            bytes
        }
    })
    .unwrap();
    let page = collect(dir.path());
    assert_eq!(collectors_with(&page, 0.0), ["diskstats"]);
    assert!(!page.contains("node_disk_"));
    assert_eq!(value(&page, "node_load1"), Some(0.1));
}

#[test]
fn the_machine_this_runs_on() {
    if !HostCollector::supported() {
        return;
    }
    let host = HostCollector::new(Path::new("/"));
    let (first, second) = (host.collect(), host.collect());
    let series = "node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"}";
    let (before, after) = (value(&first, series), value(&second, series));
    if let (Some(before), Some(after)) = (before, after) {
        assert!(before <= after);
    }
    for collector in ["loadavg", "meminfo", "stat", "uname"] {
        assert!(
            collectors_with(&second, 1.0).contains(&collector),
            "{collector}"
        );
    }
    assert!(value(&second, "node_memory_MemTotal_bytes") > Some(1e6));
}

/// Copies a tree, with what `change` makes of each file. Links become what they point to.
fn copy(from: &Path, to: &Path, change: &dyn Fn(&Path, Vec<u8>) -> Vec<u8>) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            fs::create_dir_all(&to)?;
            copy(&from, &to, change)?;
        } else {
            let mut file = fs::File::options()
                .create(true)
                .truncate(true)
                .write(true)
                .open(&to)?;
            file.write_all(&change(&from, fs::read(&from)?))?;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Each file is cut short, or has bytes replaced, or holds something else.
    #[test]
    fn odd_content_never_panics(
        seed in any::<u64>(),
        odd in prop::collection::vec("[ -~\n\t:]{0,40}|[0-9 \n:.]{0,40}|\\PC{0,20}", 1..8),
    ) {
        let dir = tempfile::tempdir().unwrap();
        copy(&fixture(), dir.path(), &|path, mut bytes| {
            // Differs from file to file, but not from run to run.
            let name = path.as_os_str().as_encoded_bytes();
            let hash = name.iter().fold(seed, |h, b| h.rotate_left(5).wrapping_mul(31) ^ u64::from(*b));
            let at = (hash >> 8) as usize % (bytes.len() + 1);
            let text = &odd[(hash >> 32) as usize % odd.len()];
            match hash % 4 {
                0 => bytes.truncate(at),
                1 => bytes = text.clone().into_bytes(),
                2 => { bytes.splice(at.., text.bytes()); }
                _ => bytes.insert(at, (hash >> 16) as u8),
            }
            bytes
        })
        .unwrap();
        let page = collect(dir.path());
        prop_assert!(collectors_with(&page, 1.0).contains(&"uname"));
    }
}
