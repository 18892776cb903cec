//! The embedded default: what `tsdb serve` scrapes when no configuration file is given.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};

/// Prometheus YAML that scrapes this server, and this machine through the built-in host collector.
pub(crate) fn default_config(listen: SocketAddr, host_metrics: bool) -> String {
    let target = self_address(listen);
    let mut yaml = format!(
        "global:\n  scrape_interval: 15s\nscrape_configs:\n  \
         - job_name: tsdb\n    static_configs:\n      - targets: ['{target}']\n"
    );
    if host_metrics {
        let _ = write!(
            yaml,
            "  - job_name: node\n    metrics_path: /metrics/host\n    static_configs:\n      \
             - targets: ['{target}']\n"
        );
    }
    yaml
}

/// An address under which this process reaches its own listener. `localhost` may stand for
/// 127.0.0.1 alone, so no other address hides behind it.
pub(crate) fn self_address(listen: SocketAddr) -> String {
    if listen.ip().is_unspecified() || listen.ip() == Ipv4Addr::LOCALHOST {
        format!("localhost:{}", listen.port())
    } else {
        listen.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reaches_itself_wherever_it_listens() {
        for (listen, reached) in [
            ("127.0.0.1:1", "localhost:1"),
            ("0.0.0.0:1", "localhost:1"),
            ("[::]:1", "localhost:1"),
            ("127.0.0.2:1", "127.0.0.2:1"),
            ("[::1]:1", "[::1]:1"),
            ("10.0.0.1:1", "10.0.0.1:1"),
        ] {
            assert_eq!(self_address(listen.parse().unwrap()), reached);
        }
    }

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
