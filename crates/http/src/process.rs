//! What the operating system says about this process.

use procfs::process::{LimitValue, Process as Proc};

/// The `process_*` metrics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Process {
    /// User and system time.
    pub(crate) cpu_seconds: f64,
    pub(crate) resident_bytes: u64,
    pub(crate) virtual_bytes: u64,
    pub(crate) open_fds: u64,
    /// `None` when there is no limit.
    pub(crate) max_fds: Option<u64>,
    /// Since the Unix epoch.
    pub(crate) start_time_seconds: f64,
    pub(crate) threads: u64,
}

/// Reads /proc; `None` where that is not possible.
pub(crate) fn read() -> Option<Process> {
    let process = Proc::myself().ok()?;
    let stat = process.stat().ok()?;
    let ticks = procfs::ticks_per_second() as f64;
    let max_fds = match process.limits().ok()?.max_open_files.soft_limit {
        LimitValue::Value(n) => Some(n),
        LimitValue::Unlimited => None,
    };
    Some(Process {
        cpu_seconds: (stat.utime + stat.stime) as f64 / ticks,
        resident_bytes: stat.rss * procfs::page_size(),
        virtual_bytes: stat.vsize,
        open_fds: process.fd_count().ok()? as u64,
        max_fds,
        start_time_seconds: procfs::boot_time_secs().ok()? as f64 + stat.starttime as f64 / ticks,
        threads: stat.num_threads.unsigned_abs(),
    })
}

/// Name of this machine, or empty.
pub(crate) fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim_end().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tsdb_model::{Clock as _, SystemClock};

    #[test]
    fn this_process() {
        let p = read().unwrap();
        assert!(p.resident_bytes > 100_000 && p.virtual_bytes > p.resident_bytes);
        assert!(p.open_fds > 2 && p.threads > 0 && p.cpu_seconds >= 0.0);
        assert!(p.max_fds.is_none_or(|max| max >= p.open_fds));
        let now = SystemClock.now_ms() as f64 / 1000.0;
        assert!(p.start_time_seconds < now + 2.0 && p.start_time_seconds > now - 86_400.0);
        assert!(!hostname().is_empty());
    }
}
