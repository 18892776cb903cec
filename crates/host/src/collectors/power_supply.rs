//! `powersupplyclass`: mains adapters and batteries, from /sys/class/power_supply.

use tsdb_model::MetricType;

use crate::collector::Context;
use crate::error::CollectError;
use crate::page::{Families, Page};

const DIR: &str = "sys/class/power_supply";

/// File, end of the family name, divisor to the unit of the family (the kernel gives micro units
/// and tenths of a degree).
const VALUES: &[(&str, &str, f64)] = &[
    ("capacity", "capacity", 1.0),
    ("charge_full", "charge_full", 1e6),
    ("charge_now", "charge_ampere", 1e6),
    ("current_now", "current_ampere", 1e6),
    ("cycle_count", "cyclecount", 1.0),
    ("energy_full", "energy_full", 1e6),
    ("energy_now", "energy_watthour", 1e6),
    ("online", "online", 1.0),
    ("power_now", "power_watt", 1e6),
    ("present", "present", 1.0),
    ("temp", "temp_celsius", 10.0),
    ("voltage_now", "voltage_volt", 1e6),
];

/// Label of the info family and its file.
const TEXTS: &[&str] = &[
    "capacity_level",
    "charge_type",
    "health",
    "manufacturer",
    "model_name",
    "scope",
    "serial_number",
    "status",
    "technology",
    "type",
    "usb_type",
];

pub(crate) fn collect(context: &Context<'_>, page: &mut Page) -> Result<(), CollectError> {
    let mut families = Families::default();
    for supply in context.tree.list(DIR)? {
        for (file, name, divisor) in VALUES {
            if let Some(value) = context.tree.number(&format!("{DIR}/{supply}/{file}")) {
                families.add(
                    &format!("node_power_supply_{name}"),
                    MetricType::Gauge,
                    || format!("{name} of the power supply."),
                    &[("power_supply", &supply)],
                    value / divisor,
                );
            }
        }
        let texts: Vec<(&str, String)> = TEXTS
            .iter()
            .filter_map(|text| {
                Some((
                    *text,
                    context.tree.value(&format!("{DIR}/{supply}/{text}"))?,
                ))
            })
            .collect();
        let mut labels: Vec<(&'static str, &str)> = texts
            .iter()
            .map(|(label, value)| (*label, value.as_str()))
            .collect();
        labels.push(("power_supply", &supply));
        labels.sort_unstable();
        families.add(
            "node_power_supply_info",
            MetricType::Gauge,
            || "Constant 1, labelled by the textual properties of the power supply.".to_string(),
            &labels,
            1.0,
        );
    }
    families.write(page);
    Ok(())
}
