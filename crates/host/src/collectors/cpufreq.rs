//! `cpufreq`: current and allowed clock frequency of each CPU, from its cpufreq directory.

use tsdb_model::MetricType;

use crate::collector::Context;
use crate::error::CollectError;
use crate::page::{Families, Page};

/// File in the cpufreq directory (kHz), family, help.
const FREQUENCIES: &[(&str, &str, &str)] = &[
    (
        "cpuinfo_cur_freq",
        "node_cpu_frequency_hertz",
        "Current CPU frequency in hertz.",
    ),
    (
        "cpuinfo_max_freq",
        "node_cpu_frequency_max_hertz",
        "Highest CPU frequency in hertz.",
    ),
    (
        "cpuinfo_min_freq",
        "node_cpu_frequency_min_hertz",
        "Lowest CPU frequency in hertz.",
    ),
    (
        "scaling_cur_freq",
        "node_cpu_scaling_frequency_hertz",
        "Current CPU frequency in hertz as the governor sees it.",
    ),
    (
        "scaling_max_freq",
        "node_cpu_scaling_frequency_max_hertz",
        "Highest CPU frequency in hertz the governor may choose.",
    ),
    (
        "scaling_min_freq",
        "node_cpu_scaling_frequency_min_hertz",
        "Lowest CPU frequency in hertz the governor may choose.",
    ),
];

pub(crate) fn collect(context: &Context<'_>, page: &mut Page) -> Result<(), CollectError> {
    let tree = context.tree;
    let mut families = Families::default();
    for name in tree.list("sys/devices/system/cpu")? {
        let Some(id) = name
            .strip_prefix("cpu")
            .filter(|id| id.parse::<u32>().is_ok())
        else {
            continue;
        };
        let dir = format!("sys/devices/system/cpu/{name}/cpufreq");
        if !tree.is_dir(&dir) {
            continue;
        }
        for (file, family, help) in FREQUENCIES {
            if let Some(khz) = tree.number(&format!("{dir}/{file}")) {
                let help = || (*help).to_string();
                families.add(
                    family,
                    MetricType::Gauge,
                    help,
                    &[("cpu", id)],
                    khz * 1000.0,
                );
            }
        }
        let Some(governor) = tree.value(&format!("{dir}/scaling_governor")) else {
            continue;
        };
        let available = tree.value(&format!("{dir}/scaling_available_governors"));
        for candidate in available.unwrap_or_default().split_whitespace() {
            families.add(
                "node_cpu_scaling_governor",
                MetricType::Gauge,
                || "1 for the governor in use, 0 for the others available.".to_string(),
                &[("cpu", id), ("governor", candidate)],
                f64::from(u8::from(candidate == governor)),
            );
        }
    }
    families.write(page);
    Ok(())
}
