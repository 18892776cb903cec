//! `schedstat`: time tasks ran and waited on each CPU, from /proc/schedstat.

use tsdb_model::MetricType;

use crate::collector::Context;
use crate::error::CollectError;
use crate::page::Page;

const FILE: &str = "proc/schedstat";

/// Field after the CPU name, family, divisor to the unit of the family, help.
const FIELDS: &[(usize, &str, f64, &str)] = &[
    (
        6,
        "node_schedstat_running_seconds_total",
        1e9,
        "Seconds the CPU spent running tasks.",
    ),
    (
        8,
        "node_schedstat_timeslices_total",
        1.0,
        "Time slices run on the CPU.",
    ),
    (
        7,
        "node_schedstat_waiting_seconds_total",
        1e9,
        "Seconds tasks waited for the CPU.",
    ),
];

pub(crate) fn collect(context: &Context<'_>, page: &mut Page) -> Result<(), CollectError> {
    let text = context.tree.read(FILE)?;
    let mut cpus: Vec<(&str, Vec<u64>)> = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        // Between the CPUs stand the domains, the version and the time.
        let Some(cpu) = words.next().and_then(|word| word.strip_prefix("cpu")) else {
            continue;
        };
        let numbers: Option<Vec<u64>> = words.map(|word| word.parse().ok()).collect();
        match numbers {
            Some(numbers) if numbers.len() >= 9 => cpus.push((cpu, numbers)),
            _ => {
                return Err(CollectError::parse(
                    FILE,
                    format_args!("cannot read {line:?}"),
                ));
            }
        }
    }
    for (field, family, divisor, help) in FIELDS {
        page.family(family, MetricType::Counter, help);
        for (cpu, numbers) in &cpus {
            page.sample(&[("cpu", cpu)], numbers[*field] as f64 / divisor);
        }
    }
    Ok(())
}
