//! `netclass`: state and properties of each network device, from /sys/class/net.

use tsdb_model::MetricType;

use crate::collector::Context;
use crate::error::CollectError;
use crate::page::{Families, Page};

/// File below the device, end of the family name. A name ending in `_total` is a counter.
const PROPERTIES: &[(&str, &str)] = &[
    ("addr_assign_type", "address_assign_type"),
    ("carrier", "carrier"),
    ("carrier_changes", "carrier_changes_total"),
    ("carrier_down_count", "carrier_down_changes_total"),
    ("carrier_up_count", "carrier_up_changes_total"),
    ("dev_id", "device_id"),
    ("dormant", "dormant"),
    ("flags", "flags"),
    ("ifindex", "iface_id"),
    ("iflink", "iface_link"),
    ("link_mode", "iface_link_mode"),
    ("mtu", "mtu_bytes"),
    ("name_assign_type", "name_assign_type"),
    ("netdev_group", "net_dev_group"),
    ("speed", "speed_bytes"),
    ("tx_queue_len", "transmit_queue_length"),
    ("type", "protocol_type"),
];

/// `IFF_UP` of the device flags.
const FLAG_UP: u64 = 1;

pub(crate) fn collect(context: &Context<'_>, page: &mut Page) -> Result<(), CollectError> {
    let mut families = Families::default();
    for device in context.tree.list("sys/class/net")? {
        // `bonding_masters` is a plain file beside the devices.
        if context.tree.is_dir(&format!("sys/class/net/{device}")) {
            add_device(context, &device, &mut families);
        }
    }
    families.write(page);
    Ok(())
}

fn add_device(context: &Context<'_>, device: &str, families: &mut Families) {
    let tree = context.tree;
    let text = |file: &str| {
        tree.value(&format!("sys/class/net/{device}/{file}"))
            .unwrap_or_default()
    };
    let mut admin_state = "unknown";
    for (file, property) in PROPERTIES {
        let Some(mut value) = tree.number(&format!("sys/class/net/{device}/{file}")) else {
            continue;
        };
        if *file == "flags" {
            admin_state = if value as u64 & FLAG_UP == 0 {
                "down"
            } else {
                "up"
            };
        } else if *file == "speed" {
            value *= 125_000.0; // Mbit/s; -1 means unknown and is passed on like this.
        }
        let metric_type = if property.ends_with("_total") {
            MetricType::Counter
        } else {
            MetricType::Gauge
        };
        families.add(
            &format!("node_network_{property}"),
            metric_type,
            || format!("Network device property {property}."),
            &[("device", device)],
            value,
        );
    }
    let state = text("operstate");
    families.add(
        "node_network_up",
        MetricType::Gauge,
        || "1 if the operational state is up, else 0.".to_string(),
        &[("device", device)],
        f64::from(u8::from(state == "up")),
    );
    families.add(
        "node_network_info",
        MetricType::Gauge,
        || "Constant 1, labelled by the textual properties of the device.".to_string(),
        &[
            ("address", &text("address")),
            ("adminstate", admin_state),
            ("broadcast", &text("broadcast")),
            ("device", device),
            ("duplex", &text("duplex")),
            ("ifalias", &text("ifalias")),
            ("operstate", &state),
        ],
        1.0,
    );
}
