//! `arp`: neighbours in the IPv4 ARP table by device, from /proc/net/arp.

use std::collections::BTreeMap;

use tsdb_model::MetricType;

use crate::collector::Context;
use crate::error::CollectError;
use crate::page::Page;

pub(crate) fn collect(context: &Context<'_>, page: &mut Page) -> Result<(), CollectError> {
    let text = context.tree.read("proc/net/arp")?;
    let mut by_device: BTreeMap<&str, u64> = BTreeMap::new();
    // The first line holds titles, the last column the device.
    for device in text
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().nth(5))
    {
        *by_device.entry(device).or_default() += 1;
    }
    page.family(
        "node_arp_entries",
        MetricType::Gauge,
        "ARP table entries by device.",
    );
    for (device, entries) in by_device {
        page.sample(&[("device", device)], entries as f64);
    }
    Ok(())
}
