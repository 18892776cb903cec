//! `netdev`: traffic and error counts of each network device, from /proc/net/dev.

use procfs::FromBufRead as _;
use procfs::net::{DeviceStatus, InterfaceDeviceStatus};
use tsdb_model::MetricType;

use crate::collector::Context;
use crate::error::CollectError;
use crate::page::Page;

const FILE: &str = "proc/net/dev";

/// Statistic as it stands in the family name, and where it is.
type Row = (&'static str, fn(&DeviceStatus) -> u64);

const STATISTICS: &[Row] = &[
    ("receive_bytes", |d| d.recv_bytes),
    ("receive_compressed", |d| d.recv_compressed),
    ("receive_drop", |d| d.recv_drop),
    ("receive_errs", |d| d.recv_errs),
    ("receive_fifo", |d| d.recv_fifo),
    ("receive_frame", |d| d.recv_frame),
    ("receive_multicast", |d| d.recv_multicast),
    ("receive_packets", |d| d.recv_packets),
    ("transmit_bytes", |d| d.sent_bytes),
    ("transmit_carrier", |d| d.sent_carrier),
    ("transmit_colls", |d| d.sent_colls),
    ("transmit_compressed", |d| d.sent_compressed),
    ("transmit_drop", |d| d.sent_drop),
    ("transmit_errs", |d| d.sent_errs),
    ("transmit_fifo", |d| d.sent_fifo),
    ("transmit_packets", |d| d.sent_packets),
];

pub(crate) fn collect(context: &Context<'_>, page: &mut Page) -> Result<(), CollectError> {
    let text = context.tree.read(FILE)?;
    let parsed = InterfaceDeviceStatus::from_buf_read(text.as_bytes())
        .map_err(|e| CollectError::parse(FILE, e))?;
    let mut devices: Vec<DeviceStatus> = parsed.0.into_values().collect();
    devices.sort_unstable_by(|a, b| a.name.cmp(&b.name));

    for (statistic, get) in STATISTICS {
        family(page, statistic);
        for device in &devices {
            page.sample(&[("device", &device.name)], get(device) as f64);
        }
    }
    // Not part of /proc/net/dev, and unknown to old kernels.
    let no_handler: Vec<(&str, f64)> = devices
        .iter()
        .filter_map(|device| {
            let file = format!("sys/class/net/{}/statistics/rx_nohandler", device.name);
            Some((device.name.as_str(), context.tree.number(&file)?))
        })
        .collect();
    if !no_handler.is_empty() {
        family(page, "receive_nohandler");
        for (device, packets) in no_handler {
            page.sample(&[("device", device)], packets);
        }
    }
    Ok(())
}

fn family(page: &mut Page, statistic: &str) {
    page.family(
        &format!("node_network_{statistic}_total"),
        MetricType::Counter,
        &format!("Network device statistic {statistic}."),
    );
}
