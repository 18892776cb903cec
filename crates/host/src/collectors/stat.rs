//! `stat`: boot time, context switches, forks, interrupts and running processes, from /proc/stat.

use crate::collector::Context;
use crate::error::CollectError;
use crate::page::Page;

/// First word of the line, whether it is a counter, family, help.
const LINES: &[(&str, bool, &str, &str)] = &[
    (
        "btime",
        false,
        "node_boot_time_seconds",
        "Boot time, in seconds since the Unix epoch.",
    ),
    (
        "ctxt",
        true,
        "node_context_switches_total",
        "Context switches.",
    ),
    ("processes", true, "node_forks_total", "Forks."),
    ("intr", true, "node_intr_total", "Interrupts serviced."),
    (
        "procs_blocked",
        false,
        "node_procs_blocked",
        "Processes blocked waiting for I/O.",
    ),
    (
        "procs_running",
        false,
        "node_procs_running",
        "Processes that are runnable.",
    ),
];

pub(crate) fn collect(context: &Context<'_>, page: &mut Page) -> Result<(), CollectError> {
    let text = context.proc_stat()?;
    for (word, is_counter, family, help) in LINES {
        // Of `intr` the first number is the sum of the others.
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
        let Some(line) = line else { continue };
        let value: Option<u64> = line.split_whitespace().next().and_then(|v| v.parse().ok());
        let Some(value) = value else {
            return Err(CollectError::parse(
                "proc/stat",
                format_args!("no number after {word}"),
            ));
        };
        if *is_counter {
            page.counter(family, help, value as f64);
        } else {
            page.gauge(family, help, value as f64);
        }
    }
    Ok(())
}
