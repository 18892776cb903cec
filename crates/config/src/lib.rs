//! Prometheus YAML configuration: parsed, defaulted, checked.
