//! What the operating system says about this process.

use procfs::process::{LimitValue, Process as Proc};

/// The `process_*` metrics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Process {
    /// User and system time.
    pub(crate) cpu_seconds: f64,
    pub(crate) resident_bytes: u64,
    pub(crate) virtual_bytes: u64,
    /// `None` when there is no limit.
    pub(crate) max_virtual_bytes: Option<u64>,
    pub(crate) open_fds: u64,
    /// `None` when there is no limit.
    pub(crate) max_fds: Option<u64>,
    /// Since the Unix epoch.
    pub(crate) start_time_seconds: f64,
    pub(crate) threads: u64,
    /// Received and sent, where the system says.
    pub(crate) network_bytes: Option<(u64, u64)>,
}

/// Reads /proc; `None` where that is not possible.
pub(crate) fn read() -> Option<Process> {
    let process = Proc::myself().ok()?;
    let stat = process.stat().ok()?;
    let ticks = procfs::ticks_per_second() as f64;
    let limits = process.limits().ok()?;
    let limit = |limit: LimitValue| match limit {
        LimitValue::Value(n) => Some(n),
        LimitValue::Unlimited => None,
    };
    Some(Process {
        cpu_seconds: (stat.utime + stat.stime) as f64 / ticks,
        resident_bytes: stat.rss * procfs::page_size(),
        virtual_bytes: stat.vsize,
        open_fds: process.fd_count().ok()? as u64,
        max_fds: limit(limits.max_open_files.soft_limit),
        max_virtual_bytes: limit(limits.max_address_space.soft_limit),
        start_time_seconds: procfs::boot_time_secs().ok()? as f64 + stat.starttime as f64 / ticks,
        threads: stat.num_threads.unsigned_abs(),
        network_bytes: std::fs::read_to_string("/proc/self/net/netstat")
            .ok()
            .and_then(|text| network_bytes(&text)),
    })
}

/// Bytes received and sent by the network of this process: the line `IpExt` names the columns, the
/// one behind it has the numbers.
fn network_bytes(netstat: &str) -> Option<(u64, u64)> {
    let mut lines = netstat.lines().filter(|l| l.starts_with("IpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let column = |wanted: &str| {
        let mut columns = names.split_whitespace().zip(values.split_whitespace());
        columns.find(|(name, _)| *name == wanted)?.1.parse().ok()
    };
    Some((column("InOctets")?, column("OutOctets")?))
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

    #[test]
    fn network() {
        let text =
            "TcpExt: A B\nTcpExt: 1 2\nIpExt: InNoRoutes InOctets OutOctets\nIpExt: 0 12 34\n";
        assert_eq!(network_bytes(text), Some((12, 34)));
        assert_eq!(network_bytes("IpExt: InOctets\nIpExt: x\n"), None);
        assert_eq!(network_bytes(""), None);
    }
}
