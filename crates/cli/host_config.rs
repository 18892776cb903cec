//! The embedded default: what `tsdb serve` scrapes when no configuration file is given.

use std::net::{IpAddr, SocketAddr};

/// Prometheus YAML that scrapes this server, and this machine through the built-in host collector.
pub(crate) fn default_config(listen: SocketAddr, host_metrics: bool) -> String {
    let target = self_address(listen);
    let mut yaml = format!(
        "global:\n  scrape_interval: 15s\nscrape_configs:\n  \
         - job_name: tsdb\n    static_configs:\n      - targets: ['{target}']\n"
    );
    if host_metrics {
        yaml += &format!(
            "  - job_name: node\n    metrics_path: /metrics/host\n    static_configs:\n      \
             - targets: ['{target}']\n"
        );
    }
    yaml
}

/// An address under which this process reaches its own listener.
pub(crate) fn self_address(listen: SocketAddr) -> String {
    match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() || ip.is_loopback() => {
            format!("localhost:{}", listen.port())
        }
        IpAddr::V6(ip) if ip.is_unspecified() || ip.is_loopback() => {
            format!("localhost:{}", listen.port())
        }
        _ => listen.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_a_valid_configuration() {
        for host in [true, false] {
            let yaml = default_config("0.0.0.0:9090".parse().unwrap(), host);
            let config = tsdb_config::Config::parse(&yaml, "default").unwrap();
            assert_eq!(config.scrape_configs.len(), 1 + usize::from(host));
            assert_eq!(
                config.scrape_configs[0].static_configs[0].targets,
                ["localhost:9090"]
            );
        }
    }
}
