//! The collectors, one file each, under the node exporter's collector names.

pub(crate) mod arp;
pub(crate) mod conntrack;
pub(crate) mod cpu;
pub(crate) mod cpufreq;
pub(crate) mod diskstats;
pub(crate) mod dmi;
pub(crate) mod entropy;
pub(crate) mod filefd;
pub(crate) mod filesystem;
pub(crate) mod hwmon;
pub(crate) mod kernel_hung;
pub(crate) mod loadavg;
pub(crate) mod meminfo;
pub(crate) mod netclass;
pub(crate) mod netdev;
pub(crate) mod netstat;
pub(crate) mod os_release;
pub(crate) mod power_supply;
pub(crate) mod pressure;
pub(crate) mod processes;
pub(crate) mod schedstat;
pub(crate) mod sockstat;
pub(crate) mod softnet;
pub(crate) mod stat;
pub(crate) mod thermal_zone;
pub(crate) mod time;
pub(crate) mod udp_queues;
pub(crate) mod uname;
pub(crate) mod vmstat;

use crate::collector::Context;
use crate::error::CollectError;
use crate::page::Page;

/// Reads one part of the machine and appends its families.
type Collect = fn(&Context<'_>, &mut Page) -> Result<(), CollectError>;

/// Every collector with the value of its `collector` label, in page order.
pub(crate) const COLLECTORS: &[(&str, Collect)] = &[
    ("arp", arp::collect),
    ("conntrack", conntrack::collect),
    ("cpu", cpu::collect),
    ("cpufreq", cpufreq::collect),
    ("diskstats", diskstats::collect),
    ("dmi", dmi::collect),
    ("entropy", entropy::collect),
    ("filefd", filefd::collect),
    ("filesystem", filesystem::collect),
    ("hwmon", hwmon::collect),
    ("kernel_hung", kernel_hung::collect),
    ("loadavg", loadavg::collect),
    ("meminfo", meminfo::collect),
    ("netclass", netclass::collect),
    ("netdev", netdev::collect),
    ("netstat", netstat::collect),
    ("os", os_release::collect),
    ("powersupplyclass", power_supply::collect),
    ("pressure", pressure::collect),
    ("processes", processes::collect),
    ("schedstat", schedstat::collect),
    ("sockstat", sockstat::collect),
    ("softnet", softnet::collect),
    ("stat", stat::collect),
    ("thermal_zone", thermal_zone::collect),
    ("time", time::collect),
    ("udp_queues", udp_queues::collect),
    ("uname", uname::collect),
    ("vmstat", vmstat::collect),
];
