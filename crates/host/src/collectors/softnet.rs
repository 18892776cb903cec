//! `softnet`: how each CPU got on with received packets, from /proc/net/softnet_stat.

use tsdb_model::MetricType;

use crate::collector::Context;
use crate::error::CollectError;
use crate::page::Page;

const FILE: &str = "proc/net/softnet_stat";

/// Column of the CPU number; kernels before 5.14 do not have it.
const CPU: usize = 12;

/// Column, end of the family name, help. A name ending in `_total` is a counter.
const COLUMNS: &[(usize, &str, &str)] = &[
    (11, "backlog_len", "Packets waiting in the backlog queue."),
    (
        8,
        "cpu_collision_total",
        "Collisions while locking a device to transmit.",
    ),
    (
        1,
        "dropped_total",
        "Packets dropped because the backlog queue was full.",
    ),
    (
        10,
        "flow_limit_count_total",
        "Times the flow limit was reached.",
    ),
    (0, "processed_total", "Packets processed."),
    (
        9,
        "received_rps_total",
        "Times the CPU was woken to process packets for another one.",
    ),
    (
        2,
        "times_squeezed_total",
        "Times processing ended because its quota was used up.",
    ),
];

pub(crate) fn collect(context: &Context<'_>, page: &mut Page) -> Result<(), CollectError> {
    let text = context.tree.read(FILE)?;
    let mut cpus = Vec::new();
    for (row, line) in text.lines().enumerate() {
        let numbers: Result<Vec<u32>, _> = line
            .split_whitespace()
            .map(|word| u32::from_str_radix(word, 16))
            .collect();
        let numbers =
            numbers.map_err(|_| CollectError::parse(FILE, format_args!("cannot read {line:?}")))?;
        let cpu = numbers.get(CPU).map_or(row, |&cpu| cpu as usize);
        cpus.push((cpu.to_string(), numbers));
    }
    for (column, name, help) in COLUMNS {
        let mut samples = cpus
            .iter()
            .filter_map(|(cpu, n)| Some((cpu, *n.get(*column)?)))
            .peekable();
        if samples.peek().is_none() {
            continue;
        }
        let metric_type = if name.ends_with("_total") {
            MetricType::Counter
        } else {
            MetricType::Gauge
        };
        page.family(&format!("node_softnet_{name}"), metric_type, help);
        for (cpu, value) in samples {
            page.sample(&[("cpu", cpu)], f64::from(value));
        }
    }
    Ok(())
}
