//! `thermal_zone`: temperatures and cooling devices from /sys/class/thermal.

use tsdb_model::MetricType;

use crate::collector::Context;
use crate::error::CollectError;
use crate::page::{Families, Page};

const DIR: &str = "sys/class/thermal";

pub(crate) fn collect(context: &Context<'_>, page: &mut Page) -> Result<(), CollectError> {
    let tree = context.tree;
    let mut families = Families::default();
    for name in tree.list(DIR)? {
        let Some(kind) = tree.value(&format!("{DIR}/{name}/type")) else {
            continue;
        };
        if let Some(zone) = name.strip_prefix("thermal_zone") {
            // A zone that is switched off answers an error.
            let Some(millidegrees) = tree.number(&format!("{DIR}/{name}/temp")) else {
                continue;
            };
            families.add(
                "node_thermal_zone_temp",
                MetricType::Gauge,
                || "Temperature of the zone in degrees Celsius.".to_string(),
                &[("type", &kind), ("zone", zone)],
                millidegrees / 1000.0,
            );
        } else if let Some(device) = name.strip_prefix("cooling_device") {
            for (file, help) in [
                ("cur_state", "Throttle state of the cooling device."),
                ("max_state", "Highest throttle state of the cooling device."),
            ] {
                let Some(state) = tree.number(&format!("{DIR}/{name}/{file}")) else {
                    continue;
                };
                families.add(
                    &format!("node_cooling_device_{file}"),
                    MetricType::Gauge,
                    || help.to_string(),
                    &[("name", device), ("type", &kind)],
                    state,
                );
            }
        }
    }
    families.write(page);
    Ok(())
}
