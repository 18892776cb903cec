//! The embedded default: what `tsdb serve` scrapes when no configuration file is given.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};

/// How this process reaches itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SelfTarget {
    pub(crate) listen: SocketAddr,
    pub(crate) https: bool,
    /// What lets it in where others need a password.
    pub(crate) token: Option<String>,
    /// `/a/b` or nothing.
    pub(crate) route_prefix: String,
}

impl SelfTarget {
    /// The address of this process as a URL.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!(
            "{scheme}://{}{}",
            self_address(self.listen),
            self.route_prefix
        )
    }
}

/// Prometheus YAML that scrapes this server, and this machine through the built-in host collector.
pub(crate) fn default_config(target: &SelfTarget, host_metrics: bool) -> String {
    let address = self_address(target.listen);
    let prefix = &target.route_prefix;
    let mut client = String::new();
    if target.https {
        // Its own certificate is made out for the names that others use.
        client += "    scheme: https\n    tls_config: {insecure_skip_verify: true}\n";
    }
    if let Some(token) = &target.token {
        let _ = writeln!(client, "    authorization: {{credentials: '{token}'}}");
    }
    let targets = format!("    static_configs:\n      - targets: ['{address}']\n");
    let mut yaml = format!(
        "global:\n  scrape_interval: 15s\nscrape_configs:\n  - job_name: tsdb\n    \
         metrics_path: '{prefix}/metrics'\n{client}{targets}"
    );
    if host_metrics {
        let _ = write!(
            yaml,
            "  - job_name: node\n    metrics_path: '{prefix}/metrics/host'\n{client}{targets}"
        );
    }
    yaml
}

/// An address under which this process reaches its own listener. `localhost` may stand for
/// 127.0.0.1 alone, so no other address hides behind it.
fn self_address(listen: SocketAddr) -> String {
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
        let mut target = SelfTarget {
            listen: "0.0.0.0:9090".parse().unwrap(),
            https: false,
            token: None,
            route_prefix: String::new(),
        };
        assert_eq!(target.url(), "http://localhost:9090");
        for host in [true, false] {
            let yaml = default_config(&target, host);
            let config = tsdb_config::Config::parse(&yaml, "default").unwrap();
            assert_eq!(config.scrape_configs.len(), 1 + usize::from(host));
            assert_eq!(
                config.scrape_configs[0].static_configs[0].targets,
                ["localhost:9090"]
            );
        }
        target.https = true;
        target.token = Some("abc_-".to_string());
        target.route_prefix = "/a".to_string();
        assert_eq!(target.url(), "https://localhost:9090/a");
        let yaml = default_config(&target, true);
        let config = tsdb_config::Config::parse(&yaml, "default").unwrap();
        for job in &config.scrape_configs {
            assert_eq!(job.scheme, "https");
            assert!(job.metrics_path.starts_with("/a/metrics"));
            assert!(job.http_client.authorization.is_some());
        }
    }
}
