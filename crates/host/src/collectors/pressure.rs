//! `pressure`: time in which tasks waited (some) or nothing could run (full) for lack of CPU,
//! memory or I/O, or because of interrupts; from /proc/pressure.

use std::io;

use crate::collector::Context;
use crate::error::CollectError;
use crate::page::Page;

/// File in /proc/pressure, first word of the line, family, help.
const STALLS: &[(&str, &str, &str, &str)] = &[
    (
        "cpu",
        "some",
        "node_pressure_cpu_waiting_seconds_total",
        "Seconds in which tasks waited for CPU time.",
    ),
    (
        "io",
        "full",
        "node_pressure_io_stalled_seconds_total",
        "Seconds in which no task could run because of I/O.",
    ),
    (
        "io",
        "some",
        "node_pressure_io_waiting_seconds_total",
        "Seconds in which tasks waited for I/O.",
    ),
    (
        "irq",
        "full",
        "node_pressure_irq_stalled_seconds_total",
        "Seconds in which no task could run because of interrupts.",
    ),
    (
        "memory",
        "full",
        "node_pressure_memory_stalled_seconds_total",
        "Seconds in which no task could run for lack of memory.",
    ),
    (
        "memory",
        "some",
        "node_pressure_memory_waiting_seconds_total",
        "Seconds in which tasks waited for memory.",
    ),
];

/// What reading these files answers when the kernel was started with `psi=0`.
const NOT_SUPPORTED: i32 = rustix::io::Errno::OPNOTSUPP.raw_os_error();

pub(crate) fn collect(context: &Context<'_>, page: &mut Page) -> Result<(), CollectError> {
    let mut found = false;
    for (resource, share, family, help) in STALLS {
        let file = format!("proc/pressure/{resource}");
        let text = match context.tree.read(&file) {
            Ok(text) => text,
            Err(e) if e.is_no_data() => continue,
            Err(CollectError::Read { source, .. }) if is_disabled(&source) => {
                return Err(CollectError::NoData { what: file });
            }
            Err(e) => return Err(e),
        };
        let total_us = total(&text, share)
            .ok_or_else(|| CollectError::parse(&file, format_args!("no total of {share:?}")))?;
        page.counter(family, help, total_us as f64 / 1e6);
        found = true;
    }
    if found {
        Ok(())
    } else {
        Err(CollectError::NoData {
            what: "proc/pressure".to_string(),
        })
    }
}

fn is_disabled(error: &io::Error) -> bool {
    error.raw_os_error() == Some(NOT_SUPPORTED)
}

/// `total=` of the line that begins with `share`, in microseconds. By hand because the parser of
/// `procfs` wants both lines (irq has one) and panics on a line cut short.
fn total(text: &str, share: &str) -> Option<u64> {
    let line = text
        .lines()
        .find(|line| line.split_whitespace().next() == Some(share))?;
    line.split_whitespace()
        .find_map(|word| word.strip_prefix("total="))?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals() {
        let text = "some avg10=0.00 total=12\nfull avg10=1.00 avg60=0.00 total=7\n";
        assert_eq!(total(text, "some"), Some(12));
        assert_eq!(total(text, "full"), Some(7));
        for text in ["", "some", "full total=", "some total=x"] {
            assert_eq!(total(text, "some"), None, "{text:?}");
        }
    }
}
