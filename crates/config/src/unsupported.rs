//! Keys that Prometheus knows and this server cannot follow yet. They may stand in a file as long
//! as they ask for nothing; otherwise the file is refused, because leaving them out would make
//! the setup do less than it says.

/// At the top.
pub(crate) const TOP: [&str; 5] = ["alerting", "remote_write", "remote_read", "otlp", "tracing"];

/// In `global` and in jobs.
pub(crate) const COMMON: [&str; 4] = [
    "scrape_failure_log_file",
    "scrape_native_histograms",
    "convert_classic_histograms_to_nhcb",
    "extra_scrape_metrics",
];

/// The settings of the HTTP client, in jobs.
pub(crate) const HTTP: [&str; 4] = [
    "oauth2",
    "no_proxy",
    "proxy_from_environment",
    "proxy_connect_header",
];

/// Service discovery, in jobs.
pub(crate) const DISCOVERY: [&str; 31] = [
    "aws_sd_configs",
    "azure_sd_configs",
    "consul_sd_configs",
    "digitalocean_sd_configs",
    "dns_sd_configs",
    "docker_sd_configs",
    "dockerswarm_sd_configs",
    "ec2_sd_configs",
    "eureka_sd_configs",
    "gce_sd_configs",
    "hetzner_sd_configs",
    "http_sd_configs",
    "ionos_sd_configs",
    "kubernetes_sd_configs",
    "kuma_sd_configs",
    "lightsail_sd_configs",
    "linode_sd_configs",
    "marathon_sd_configs",
    "nerve_sd_configs",
    "nomad_sd_configs",
    "oci_sd_configs",
    "openstack_sd_configs",
    "outscale_sd_configs",
    "ovhcloud_sd_configs",
    "puppetdb_sd_configs",
    "scaleway_sd_configs",
    "serverset_sd_configs",
    "stackit_sd_configs",
    "triton_sd_configs",
    "uyuni_sd_configs",
    "vultr_sd_configs",
];
