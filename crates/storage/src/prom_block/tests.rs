//! Blocks written and read back, damaged ones, and the real tools of Prometheus.

mod damage;
mod exchange;
mod memory;
mod peers;
mod remote_write;
