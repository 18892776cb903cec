//! Metrics of the machine under the node exporter's names, read from /proc and /sys.
