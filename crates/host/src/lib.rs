//! Metrics of the machine under the node exporter's names, read from /proc and /sys.
//!
//! [`HostCollector::collect`] writes one text page; it does not scrape and keeps no samples. What
//! is there and what differs from the node exporter stands in docs/host-metrics.md.

mod collector;
mod collectors;
mod error;
mod page;
mod tree;

pub use collector::HostCollector;
