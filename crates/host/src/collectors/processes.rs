//! `processes`: number of processes by state and of threads, from the stat file of each process.
//! The node exporter has this off by default; its dashboards use it.

use std::collections::BTreeMap;

use tsdb_model::MetricType;

use crate::collector::Context;
use crate::error::CollectError;
use crate::page::Page;

/// More processes than this are counted but not read, about 0.1 s of work.
const MAX_READ: usize = 20_000;

pub(crate) fn collect(context: &Context<'_>, page: &mut Page) -> Result<(), CollectError> {
    let tree = context.tree;
    let mut pids = tree.list("proc")?;
    pids.retain(|name| name.bytes().all(|b| b.is_ascii_digit()));
    let max_processes = tree.required_number("proc/sys/kernel/pid_max")?;
    let max_threads = tree.required_number("proc/sys/kernel/threads-max")?;
    page.gauge(
        "node_processes_max_processes",
        "Limit of process ids.",
        max_processes,
    );
    page.gauge(
        "node_processes_max_threads",
        "Limit of threads.",
        max_threads,
    );
    page.gauge(
        "node_processes_pids",
        "Processes there are.",
        pids.len() as f64,
    );
    if pids.len() > MAX_READ {
        let found = pids.len();
        return Err(CollectError::Limit(format!(
            "{found} processes, states are read of {MAX_READ} at most"
        )));
    }

    let mut states: BTreeMap<char, u64> = BTreeMap::new();
    let mut threads = 0_u64;
    for pid in &pids {
        // Processes that ended since the listing, or hide from us, are left out.
        let Ok(text) = tree.read(&format!("proc/{pid}/stat")) else {
            continue;
        };
        let Some((state, process_threads)) = parse(&text) else {
            continue;
        };
        *states.entry(state).or_default() += 1;
        threads = threads.saturating_add(process_threads);
    }
    page.family(
        "node_processes_state",
        MetricType::Gauge,
        "Processes in each state.",
    );
    for (state, count) in states {
        page.sample(&[("state", state.encode_utf8(&mut [0; 4]))], count as f64);
    }
    page.gauge(
        "node_processes_threads",
        "Threads there are.",
        threads as f64,
    );
    Ok(())
}

/// State letter and number of threads. The command stands in parentheses and may hold anything,
/// more parentheses too; everything else comes after the last one.
fn parse(text: &str) -> Option<(char, u64)> {
    let (_, fields) = text.rsplit_once(')')?;
    let mut words = fields.split_whitespace();
    let state = words.next()?.chars().next()?;
    Some((state, words.nth(16)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_commands_do_not_confuse() {
        let rest = "S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 17 0 100";
        for command in ["init", "a b", "x) R 1", "((", ""] {
            assert_eq!(
                parse(&format!("1 ({command}) {rest}\n")),
                Some(('S', 17)),
                "{command}"
            );
        }
        for text in ["", "1 (x)", "1 (x) S 1 2", "1 x S"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
