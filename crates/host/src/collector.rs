//! Runs all collectors into one page and reports how each of them did.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tracing::{debug, warn};
use tsdb_model::{Clock, MetricType, SystemClock};

use crate::collectors::COLLECTORS;
use crate::collectors::cpu::CpuHistory;
use crate::collectors::dmi::DmiLabels;
use crate::collectors::filesystem::Prober;
use crate::error::CollectError;
use crate::page::Page;
use crate::tree::Tree;

/// Reads the metrics of one machine. May be used from several threads at once.
#[derive(Debug)]
pub struct HostCollector {
    tree: Tree,
    clock: SharedClock,
    state: State,
    warned: Mutex<BTreeSet<(&'static str, &'static str)>>,
}

/// What collectors remember from one collection to the next.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) cpu: Mutex<CpuHistory>,
    pub(crate) dmi: DmiLabels,
    pub(crate) prober: Prober,
}

struct SharedClock(Arc<dyn Clock>);

impl std::fmt::Debug for SharedClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

/// What one collector gets to work with.
pub(crate) struct Context<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) state: &'a State,
    proc_stat: OnceCell<String>,
}

impl Context<'_> {
    /// /proc/stat, read once for the collectors that share it: the kernel sums all interrupts of
    /// all CPUs for each read.
    pub(crate) fn proc_stat(&self) -> Result<&str, CollectError> {
        if let Some(text) = self.proc_stat.get() {
            return Ok(text);
        }
        let text = self.tree.read("proc/stat")?;
        Ok(self.proc_stat.get_or_init(|| text))
    }
}

impl HostCollector {
    /// A collector for the machine whose `proc`, `sys` and `etc` lie under `root` (`/` as a rule).
    pub fn new(root: &Path) -> Self {
        Self::with_clock(root, Arc::new(SystemClock))
    }

    /// As [`HostCollector::new`], with the clock that `node_time_seconds` shows.
    pub fn with_clock(root: &Path, clock: Arc<dyn Clock>) -> Self {
        Self {
            tree: Tree::new(root),
            clock: SharedClock(clock),
            state: State::default(),
            warned: Mutex::default(),
        }
    }

    /// True on a Linux system with /proc mounted; elsewhere there is nothing to collect.
    pub fn supported() -> bool {
        cfg!(target_os = "linux") && Path::new("/proc/stat").exists()
    }

    /// One page in text exposition format 0.0.4. Never fails: a collector that cannot read its part
    /// leaves it out and shows `node_scrape_collector_success` 0. Blocks for file reads, and for a
    /// few seconds at most when a mounted filesystem does not answer.
    pub fn collect(&self) -> String {
        let mut page = Page::default();
        let context = Context {
            tree: &self.tree,
            clock: &*self.clock.0,
            state: &self.state,
            proc_stat: OnceCell::new(),
        };
        let mut outcomes = Vec::with_capacity(COLLECTORS.len());
        for (name, run) in COLLECTORS {
            let start = Instant::now();
            let result = run(&context, &mut page);
            let seconds = start.elapsed().as_secs_f64();
            if let Err(e) = &result {
                self.report(name, e);
            }
            outcomes.push((*name, seconds, result.is_ok()));
        }
        write_outcomes(&mut page, &outcomes);
        page.finish()
    }

    /// Warns once per collector and kind of failure.
    fn report(&self, collector: &'static str, error: &CollectError) {
        if error.is_no_data() {
            debug!(collector, %error, "no host metrics");
            return;
        }
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.insert((collector, error.kind())) {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            warn!(collector, %error, cause, "host metrics left out");
        }
    }
}

fn write_outcomes(page: &mut Page, outcomes: &[(&str, f64, bool)]) {
    page.family(
        "node_exporter_build_info",
        MetricType::Gauge,
        "Constant 1, labelled by the version that wrote this page and the platform it was built for.",
    );
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let os = std::env::consts::OS;
    page.sample(
        &[
            ("goarch", arch),
            ("goos", os),
            ("version", env!("CARGO_PKG_VERSION")),
        ],
        1.0,
    );
    page.family(
        "node_scrape_collector_duration_seconds",
        MetricType::Gauge,
        "Seconds one collector took.",
    );
    for (name, seconds, _) in outcomes {
        page.sample(&[("collector", name)], *seconds);
    }
    page.family(
        "node_scrape_collector_success",
        MetricType::Gauge,
        "1 if the collector found and read its part, else 0.",
    );
    for (name, _, success) in outcomes {
        page.sample(&[("collector", name)], f64::from(u8::from(*success)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warns_once_per_collector_and_kind() {
        let host = HostCollector::new(Path::new("/nonexistent"));
        let kinds = || host.warned.lock().unwrap().len();
        host.report(
            "a",
            &CollectError::NoData {
                what: "x".to_string(),
            },
        );
        assert_eq!(kinds(), 0);
        host.report("a", &CollectError::parse("x", "odd"));
        host.report("a", &CollectError::parse("y", "odder"));
        assert_eq!(kinds(), 1);
        host.report("a", &CollectError::Limit("much".to_string()));
        host.report("b", &CollectError::parse("x", "odd"));
        assert_eq!(kinds(), 3);
    }
}
