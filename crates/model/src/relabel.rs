//! Relabelling rules and how they change a label set (Prometheus, `relabel_config`).
