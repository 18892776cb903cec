//! `cpu`: seconds by CPU and mode from /proc/stat, and which CPUs are online.
//!
//! The kernel's idle and iowait times now and then run backwards by a little. A counter must not,
//! or `rate` sees a reset, so each mode keeps the highest value seen.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use tsdb_model::MetricType;

use crate::collector::Context;
use crate::error::CollectError;
use crate::page::Page;

/// Modes in the column order of /proc/stat; guest times are also part of user and nice.
const MODES: [&str; 8] = [
    "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal",
];
const IDLE: usize = 3;
const GUEST: usize = 8;
const GUEST_NICE: usize = 9;
const COLUMNS: usize = 10;

/// If the idle time falls by this many seconds the CPU was taken out and came back.
const HOTPLUG_SECONDS: u64 = 3;

/// Clock ticks by column; `None` where the kernel is too old to have the column.
type Ticks = [Option<u64>; COLUMNS];

/// Highest ticks shown for each CPU so far.
#[derive(Debug, Default)]
pub(crate) struct CpuHistory {
    shown: BTreeMap<u32, Ticks>,
}

impl CpuHistory {
    /// Takes new readings; CPUs that are gone are forgotten.
    fn update(&mut self, new: BTreeMap<u32, Ticks>, ticks_per_second: u64) {
        self.shown.retain(|cpu, _| new.contains_key(cpu));
        for (cpu, ticks) in new {
            let shown = self.shown.entry(cpu).or_insert(ticks);
            let fell_by = shown[IDLE]
                .unwrap_or(0)
                .saturating_sub(ticks[IDLE].unwrap_or(0));
            if fell_by >= HOTPLUG_SECONDS.saturating_mul(ticks_per_second) {
                *shown = ticks;
                continue;
            }
            for (shown, new) in shown.iter_mut().zip(ticks) {
                *shown = (*shown).max(new);
            }
        }
    }
}

pub(crate) fn collect(context: &Context<'_>, page: &mut Page) -> Result<(), CollectError> {
    let ticks_per_second = procfs::ticks_per_second().max(1);
    let cpus = parse(context.proc_stat()?)?;
    let mut history = context
        .state
        .cpu
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    history.update(cpus, ticks_per_second);
    let seconds = |ticks: u64| ticks as f64 / ticks_per_second as f64;

    page.family(
        "node_cpu_guest_seconds_total",
        MetricType::Counter,
        "Seconds CPUs ran guests (virtual machines), by the mode they are counted in as well.",
    );
    for (cpu, ticks) in &history.shown {
        let cpu = cpu.to_string();
        for (mode, column) in [("user", GUEST), ("nice", GUEST_NICE)] {
            if let Some(ticks) = ticks[column] {
                page.sample(&[("cpu", &cpu), ("mode", mode)], seconds(ticks));
            }
        }
    }
    page.family(
        "node_cpu_seconds_total",
        MetricType::Counter,
        "Seconds CPUs spent in each mode.",
    );
    for (cpu, ticks) in &history.shown {
        let cpu = cpu.to_string();
        for (mode, ticks) in MODES.iter().zip(ticks) {
            if let Some(ticks) = ticks {
                page.sample(&[("cpu", &cpu), ("mode", mode)], seconds(*ticks));
            }
        }
    }
    drop(history);
    write_online(context, page);
    Ok(())
}

/// The boot CPU often cannot be switched off and has no `online` file, but then is online.
fn write_online(context: &Context<'_>, page: &mut Page) {
    let mut online = BTreeMap::new();
    let mut any_file = false;
    for name in context
        .tree
        .list("sys/devices/system/cpu")
        .unwrap_or_default()
    {
        let Some(cpu) = name
            .strip_prefix("cpu")
            .and_then(|id| id.parse::<u32>().ok())
        else {
            continue;
        };
        let value = context
            .tree
            .number(&format!("sys/devices/system/cpu/{name}/online"));
        any_file |= value.is_some();
        online.insert(cpu, value.unwrap_or(1.0));
    }
    if !any_file {
        return;
    }
    page.family(
        "node_cpu_online",
        MetricType::Gauge,
        "1 if the CPU is online, else 0.",
    );
    for (cpu, value) in online {
        page.sample(&[("cpu", &cpu.to_string())], value);
    }
}

/// The `cpuN` lines of /proc/stat.
fn parse(text: &str) -> Result<BTreeMap<u32, Ticks>, CollectError> {
    let mut cpus = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some(id) = words.next().and_then(|word| word.strip_prefix("cpu")) else {
            continue;
        };
        if id.is_empty() {
            continue; // The sum of all CPUs.
        }
        let bad = || CollectError::parse("proc/stat", format_args!("cannot read {line:?}"));
        let id: u32 = id.parse().map_err(|_| bad())?;
        let mut ticks: Ticks = [None; COLUMNS];
        for (column, word) in ticks.iter_mut().zip(words) {
            *column = Some(word.parse().map_err(|_| bad())?);
        }
        cpus.insert(id, ticks);
    }
    if cpus.is_empty() {
        return Err(CollectError::parse("proc/stat", "no line for any CPU"));
    }
    Ok(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(idle: u64, iowait: u64) -> BTreeMap<u32, Ticks> {
        parse(&format!("cpu 1\ncpu0 100 0 50 {idle} {iowait}\n")).unwrap()
    }

    #[test]
    fn a_counter_does_not_fall_unless_the_cpu_was_replaced() {
        let mut history = CpuHistory::default();
        history.update(ticks(1000, 20), 100);
        history.update(ticks(990, 15), 100);
        assert_eq!(history.shown[&0][IDLE..5], [Some(1000), Some(20)]);
        history.update(ticks(1001, 21), 100);
        assert_eq!(history.shown[&0][IDLE..5], [Some(1001), Some(21)]);
        history.update(ticks(700, 1), 100);
        assert_eq!(history.shown[&0][IDLE..5], [Some(700), Some(1)]);
        history.update(parse("cpu7 1 2 3 4\n").unwrap(), 100);
        assert_eq!(history.shown.keys().collect::<Vec<_>>(), [&7]);
    }

    #[test]
    fn odd_lines_are_errors() {
        for text in ["", "cpu 1 2 3\n", "cpu0 1 x\n", "cpux 1\n", "cpu0 -1\n"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
