//! `dmi`: maker, model and firmware of the machine, from /sys/class/dmi/id. Read once, for it
//! changes only with a reboot.

use std::sync::OnceLock;

use tsdb_model::MetricType;

use crate::collector::Context;
use crate::error::CollectError;
use crate::page::Page;

const DIR: &str = "sys/class/dmi/id";

/// Label, file. Serial numbers are readable by root only.
const FIELDS: &[(&str, &str)] = &[
    ("bios_date", "bios_date"),
    ("bios_release", "bios_release"),
    ("bios_vendor", "bios_vendor"),
    ("bios_version", "bios_version"),
    ("board_asset_tag", "board_asset_tag"),
    ("board_name", "board_name"),
    ("board_serial", "board_serial"),
    ("board_vendor", "board_vendor"),
    ("board_version", "board_version"),
    ("chassis_asset_tag", "chassis_asset_tag"),
    ("chassis_serial", "chassis_serial"),
    ("chassis_vendor", "chassis_vendor"),
    ("chassis_version", "chassis_version"),
    ("product_family", "product_family"),
    ("product_name", "product_name"),
    ("product_serial", "product_serial"),
    ("product_sku", "product_sku"),
    ("product_uuid", "product_uuid"),
    ("product_version", "product_version"),
    ("system_vendor", "sys_vendor"),
];

/// The labels found, once looked for.
#[derive(Debug, Default)]
pub(crate) struct DmiLabels(OnceLock<Vec<(&'static str, String)>>);

pub(crate) fn collect(context: &Context<'_>, page: &mut Page) -> Result<(), CollectError> {
    let labels = context.state.dmi.0.get_or_init(|| {
        let read = |file: &str| context.tree.value(&format!("{DIR}/{file}"));
        FIELDS
            .iter()
            .filter_map(|(label, file)| Some((*label, read(file)?)))
            .collect()
    });
    if labels.is_empty() {
        return Err(CollectError::NoData {
            what: DIR.to_string(),
        });
    }
    page.family(
        "node_dmi_info",
        MetricType::Gauge,
        "Constant 1, labelled by the identification fields of the machine's firmware.",
    );
    let labels: Vec<(&str, &str)> = labels.iter().map(|(k, v)| (*k, v.as_str())).collect();
    page.sample(&labels, 1.0);
    Ok(())
}
