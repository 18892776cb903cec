//! `diskstats`: reads, writes, discards and flushes of each disk, from /proc/diskstats, and what
//! udev knows about the disk.

use procfs::{DiskStat, DiskStats, FromBufRead as _};
use tsdb_model::MetricType;

use crate::collector::Context;
use crate::error::CollectError;
use crate::page::Page;

const FILE: &str = "proc/diskstats";

/// The kernel counts in sectors of this size whatever the disk has.
const SECTOR_BYTES: f64 = 512.0;

/// Family, help, value in the unit of the family; `None` where the kernel is too old.
type Row = (&'static str, &'static str, fn(&DiskStat) -> Option<f64>);

const COUNTERS: &[Row] = &[
    (
        "node_disk_discard_time_seconds_total",
        "Seconds spent by all discards.",
        |d| d.time_discarding.map(seconds),
    ),
    (
        "node_disk_discarded_sectors_total",
        "Sectors discarded.",
        |d| d.sectors_discarded.map(|n| n as f64),
    ),
    (
        "node_disk_discards_completed_total",
        "Discards completed.",
        |d| d.discards.map(|n| n as f64),
    ),
    ("node_disk_discards_merged_total", "Discards merged.", |d| {
        d.discards_merged.map(|n| n as f64)
    }),
    (
        "node_disk_flush_requests_time_seconds_total",
        "Seconds spent by all flush requests.",
        |d| d.time_flushing.map(seconds),
    ),
    (
        "node_disk_flush_requests_total",
        "Flush requests completed.",
        |d| d.flushes.map(|n| n as f64),
    ),
    (
        "node_disk_io_time_seconds_total",
        "Seconds in which I/O was in progress.",
        |d| Some(seconds(d.time_in_progress)),
    ),
    (
        "node_disk_io_time_weighted_seconds_total",
        "Seconds of I/O in progress, times the number of I/Os.",
        |d| Some(seconds(d.weighted_time_in_progress)),
    ),
    ("node_disk_read_bytes_total", "Bytes read.", |d| {
        Some(d.sectors_read as f64 * SECTOR_BYTES)
    }),
    (
        "node_disk_read_time_seconds_total",
        "Seconds spent by all reads.",
        |d| Some(seconds(d.time_reading)),
    ),
    ("node_disk_reads_completed_total", "Reads completed.", |d| {
        Some(d.reads as f64)
    }),
    ("node_disk_reads_merged_total", "Reads merged.", |d| {
        Some(d.merged as f64)
    }),
    (
        "node_disk_write_time_seconds_total",
        "Seconds spent by all writes.",
        |d| Some(seconds(d.time_writing)),
    ),
    (
        "node_disk_writes_completed_total",
        "Writes completed.",
        |d| Some(d.writes as f64),
    ),
    ("node_disk_writes_merged_total", "Writes merged.", |d| {
        Some(d.writes_merged as f64)
    }),
    ("node_disk_written_bytes_total", "Bytes written.", |d| {
        Some(d.sectors_written as f64 * SECTOR_BYTES)
    }),
];

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

pub(crate) fn collect(context: &Context<'_>, page: &mut Page) -> Result<(), CollectError> {
    let text = context.tree.read(FILE)?;
    let mut disks = DiskStats::from_buf_read(text.as_bytes())
        .map_err(|e| CollectError::parse(FILE, e))?
        .0;
    disks.retain(|disk| !is_excluded(&disk.name));
    if disks.is_empty() {
        return Ok(());
    }
    for (family, help, value) in COUNTERS {
        let mut samples = disks
            .iter()
            .filter_map(|d| Some((&d.name, value(d)?)))
            .peekable();
        if samples.peek().is_none() {
            continue;
        }
        page.family(family, MetricType::Counter, help);
        for (name, value) in samples {
            page.sample(&[("device", name)], value);
        }
    }
    page.family("node_disk_io_now", MetricType::Gauge, "I/Os in progress.");
    for disk in &disks {
        page.sample(&[("device", &disk.name)], disk.in_progress as f64);
    }
    page.family(
        "node_disk_info",
        MetricType::Gauge,
        "Constant 1, labelled by what the disk is.",
    );
    for disk in &disks {
        write_info(context, page, disk);
    }
    Ok(())
}

fn write_info(context: &Context<'_>, page: &mut Page, disk: &DiskStat) {
    let (major, minor) = (disk.major.to_string(), disk.minor.to_string());
    let udev = context
        .tree
        .read(&format!("run/udev/data/b{major}:{minor}"))
        .unwrap_or_default();
    let property = |key: &str| {
        let mut values = udev
            .lines()
            .filter_map(|line| line.strip_prefix("E:")?.strip_prefix(key));
        values
            .find_map(|rest| rest.strip_prefix('='))
            .unwrap_or_default()
    };
    // From what is printed on the disk to what is left for virtual ones.
    let serials = ["SCSI_IDENT_SERIAL", "ID_SERIAL_SHORT", "ID_SERIAL"];
    let serial = serials
        .iter()
        .map(|key| property(key))
        .find(|serial| !serial.is_empty());
    let rotational = context
        .tree
        .number(&format!("sys/block/{}/queue/rotational", disk.name));
    page.sample(
        &[
            ("device", &disk.name),
            ("major", &major),
            ("minor", &minor),
            ("model", property("ID_MODEL")),
            ("path", property("ID_PATH")),
            ("revision", property("ID_REVISION")),
            (
                "rotational",
                if rotational == Some(1.0) { "1" } else { "0" },
            ),
            ("serial", serial.unwrap_or_default()),
            ("wwn", property("ID_WWN")),
        ],
        1.0,
    );
}

/// The node exporter's default exclusion, memory disks and partitions:
/// `^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$`.
fn is_excluded(name: &str) -> bool {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.len() == name.len() {
        return false;
    }
    if matches!(stem, "ram" | "zram" | "loop" | "fd") {
        return true;
    }
    if let Some(rest) = stem.strip_prefix("nvme") {
        let parts = rest.strip_suffix('p').and_then(|rest| rest.split_once('n'));
        let is_number = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        return parts.is_some_and(|(controller, space)| is_number(controller) && is_number(space));
    }
    ["hd", "sd", "vd", "xvd"].iter().any(|kind| {
        stem.strip_prefix(kind)
            .is_some_and(|rest| rest.len() == 1 && rest.as_bytes()[0].is_ascii_lowercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_exclusion() {
        for name in [
            "ram0",
            "zram1",
            "loop12",
            "fd0",
            "sda1",
            "hdb2",
            "vda15",
            "xvdc3",
            "nvme0n1p2",
        ] {
            assert!(is_excluded(name), "{name}");
        }
        for name in [
            "sda",
            "vda",
            "nvme0n1",
            "dm-0",
            "md127",
            "sdaa1",
            "sd1",
            "mmcblk0p1",
            "sr0",
            "",
        ] {
            assert!(!is_excluded(name), "{name}");
        }
    }
}
