//! `filesystem`: size and fill of mounted filesystems.

mod mountinfo;
mod probe;

use std::collections::BTreeSet;

use tsdb_model::MetricType;

use self::mountinfo::Mount;
pub(crate) use self::probe::Prober;
use self::probe::{Answer, Limits, Usage, statvfs};
use crate::collector::Context;
use crate::error::CollectError;
use crate::page::Page;

/// What the node exporter puts into the `device_error` label for a mount that does not answer.
const TIMEOUT: &str = "mountpoint timeout";

/// Family, help, value in the unit of the family.
type Row = (&'static str, &'static str, fn(&Usage) -> f64);

const USAGE: &[Row] = &[
    (
        "node_filesystem_avail_bytes",
        "Bytes of the filesystem available to users other than root.",
        |u| u.avail_bytes,
    ),
    (
        "node_filesystem_files",
        "File nodes of the filesystem.",
        |u| u.files,
    ),
    (
        "node_filesystem_files_free",
        "Free file nodes of the filesystem.",
        |u| u.files_free,
    ),
    (
        "node_filesystem_free_bytes",
        "Free bytes of the filesystem.",
        |u| u.free_bytes,
    ),
    (
        "node_filesystem_size_bytes",
        "Size of the filesystem in bytes.",
        |u| u.size_bytes,
    ),
];

pub(crate) fn collect(context: &Context<'_>, page: &mut Page) -> Result<(), CollectError> {
    // The mounts of process 1 are those of the machine even if we run in a namespace of our own;
    // `hidepid` may keep them from us.
    let text = match context.tree.read("proc/1/mountinfo") {
        Err(e) if e.is_no_data() => context.tree.read("proc/self/mountinfo")?,
        other => other?,
    };
    let mut seen = BTreeSet::new();
    let mut mounts = mountinfo::parse(&text)?;
    mounts.retain(|m| {
        !mountinfo::is_excluded_point(&m.point)
            && !mountinfo::is_excluded_type(&m.kind)
            && seen.insert((m.device.clone(), m.point.clone(), m.kind.clone()))
    });
    if mounts.is_empty() {
        return Ok(());
    }
    let paths = mounts.iter().map(|m| context.tree.path(&m.point)).collect();
    let answers = context.state.prober.ask(paths, statvfs, Limits::default());
    write(page, &mounts, &answers);
    Ok(())
}

fn write(page: &mut Page, mounts: &[Mount], answers: &[Answer]) {
    let rows = || mounts.iter().zip(answers);
    page.family(
        "node_filesystem_device_error",
        MetricType::Gauge,
        "1 if the filesystem could not be asked, else 0.",
    );
    for (mount, answer) in rows() {
        let failed = !matches!(answer, Answer::Usage(_));
        page.sample(&labels(mount, answer), f64::from(u8::from(failed)));
    }
    page.family(
        "node_filesystem_readonly",
        MetricType::Gauge,
        "1 if the filesystem is mounted read-only, else 0.",
    );
    for (mount, answer) in rows() {
        page.sample(&labels(mount, answer), f64::from(u8::from(mount.read_only)));
    }
    for (family, help, value) in USAGE {
        page.family(family, MetricType::Gauge, help);
        for (mount, answer) in rows() {
            if let Answer::Usage(usage) = answer {
                page.sample(&labels(mount, answer), value(usage));
            }
        }
    }
    page.family(
        "node_filesystem_mount_info",
        MetricType::Gauge,
        "Constant 1, labelled by the device number of the mount.",
    );
    let mut seen = BTreeSet::new();
    for (mount, answer) in rows() {
        let key = (&mount.device, &mount.major, &mount.minor, &mount.point);
        if matches!(answer, Answer::Usage(_)) && seen.insert(key) {
            page.sample(
                &[
                    ("device", &mount.device),
                    ("major", &mount.major),
                    ("minor", &mount.minor),
                    ("mountpoint", &mount.point),
                ],
                1.0,
            );
        }
    }
}

fn labels<'a>(mount: &'a Mount, answer: &'a Answer) -> [(&'a str, &'a str); 4] {
    let error = match answer {
        Answer::Usage(_) => "",
        Answer::Failed(error) => error,
        Answer::Stuck => TIMEOUT,
    };
    [
        ("device", &mount.device),
        ("device_error", error),
        ("fstype", &mount.kind),
        ("mountpoint", &mount.point),
    ]
}
