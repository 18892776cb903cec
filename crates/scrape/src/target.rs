//! From discovered labels to a target: defaults, relabelling, checks, URL.

use std::fmt::Write as _;

use tsdb_config::{ScrapeConfig, StaticConfig};
use tsdb_model::{Labels, LabelsBuilder, format_duration_ms, parse_duration_ms, relabel};

const ADDRESS: &str = "__address__";
const SCHEME: &str = "__scheme__";
const METRICS_PATH: &str = "__metrics_path__";
const INTERVAL: &str = "__scrape_interval__";
const TIMEOUT: &str = "__scrape_timeout__";
const PARAM: &str = "__param_";

/// A target to be scraped.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Target {
    /// Labels before relabelling.
    pub(crate) discovered: Labels,
    /// Labels of its series.
    pub(crate) labels: Labels,
    /// The URL asked.
    pub(crate) url: String,
    /// Time between scrapes, milliseconds, above 0.
    pub(crate) interval_ms: i64,
    /// Time a scrape may take, milliseconds, above 0 and not above the interval.
    pub(crate) timeout_ms: i64,
}

/// What became of discovered labels.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Resolved {
    /// Scrape it.
    Target(Box<Target>),
    /// Relabelling dropped it; these were its labels before.
    Dropped(Labels),
}

/// The targets of the job's static configuration, as discovered.
pub(crate) fn discover_static(job: &ScrapeConfig) -> Vec<Labels> {
    let groups = job.static_configs.iter();
    groups
        .flat_map(|group| group_labels(group).map(|labels| labels.build()))
        .collect()
}

/// The labels of each target of a group.
pub(crate) fn group_labels(group: &StaticConfig) -> impl Iterator<Item = LabelsBuilder> {
    group.targets.iter().map(|address| {
        let mut labels = LabelsBuilder::new();
        for (name, value) in &group.labels {
            labels.set(name, value);
        }
        labels.set(ADDRESS, address);
        labels
    })
}

/// Makes a target of discovered labels. The error texts are Prometheus's.
pub(crate) fn resolve(job: &ScrapeConfig, found: &Labels) -> Result<Resolved, String> {
    let mut labels = found.to_builder();
    add_defaults(job, &mut labels);
    let discovered = labels.build();
    if !relabel::apply(&job.relabel_configs, &mut labels) {
        return Ok(Resolved::Dropped(discovered));
    }
    let address = labels.get(ADDRESS).to_string();
    if address.is_empty() {
        return Err("no address".to_string());
    }
    if address.contains('/') {
        return Err(format!("{address:?} is not a valid hostname"));
    }
    let interval_ms = duration(&labels, INTERVAL, "interval")?;
    let timeout_ms = duration(&labels, TIMEOUT, "timeout")?;
    if timeout_ms > interval_ms {
        return Err(format!(
            "scrape timeout cannot be greater than scrape interval ({:?} > {:?})",
            labels.get(TIMEOUT),
            labels.get(INTERVAL)
        ));
    }
    if labels.get("instance").is_empty() {
        labels.set("instance", &address);
    }
    let url = url(job, &labels);
    labels.retain(|name, _| !name.starts_with("__"));
    Ok(Resolved::Target(Box::new(Target {
        discovered,
        labels: labels.build(),
        url,
        interval_ms,
        timeout_ms,
    })))
}

fn add_defaults(job: &ScrapeConfig, labels: &mut LabelsBuilder) {
    let mut default = |name: &str, value: &str| {
        if labels.get(name).is_empty() {
            labels.set(name, value);
        }
    };
    default("job", &job.job_name);
    default(INTERVAL, &format_duration_ms(job.scrape_interval_ms));
    default(TIMEOUT, &format_duration_ms(job.scrape_timeout_ms));
    default(METRICS_PATH, &job.metrics_path);
    default(SCHEME, &job.scheme);
    for (name, values) in &job.params {
        if let Some(first) = values.first() {
            default(&format!("{PARAM}{name}"), first);
        }
    }
}

fn duration(labels: &LabelsBuilder, name: &str, what: &str) -> Result<i64, String> {
    let parsed = parse_duration_ms(labels.get(name));
    match parsed.map_err(|e| format!("error parsing scrape {what}: {e}"))? {
        0 => Err(format!("scrape {what} cannot be 0")),
        ms => Ok(ms),
    }
}

fn url(job: &ScrapeConfig, labels: &LabelsBuilder) -> String {
    let mut params = job.params.clone();
    for label in labels.iter() {
        if let Some(name) = label.name.strip_prefix(PARAM) {
            let values = params.entry(name.to_string()).or_default();
            match values.first_mut() {
                Some(first) => *first = label.value.to_string(),
                None => values.push(label.value.to_string()),
            }
        }
    }
    let mut url = format!("{}://{}", labels.get(SCHEME), labels.get(ADDRESS));
    push_path(&mut url, labels.get(METRICS_PATH));
    let pairs = params
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |v| (name.as_str(), v.as_str())));
    let query = tsdb_net::url::encode_query(pairs);
    if !query.is_empty() {
        url.push('?');
        url.push_str(&query);
    }
    url
}

/// Appends a path, escaping what may not stand in one.
fn push_path(url: &mut String, path: &str) {
    if !path.is_empty() && !path.starts_with('/') {
        url.push('/');
    }
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => url.push(byte as char),
            b'-' | b'_' | b'.' | b'~' | b'$' | b'&' | b'+' | b',' | b'/' | b':' | b';' | b'='
            | b'@' => url.push(byte as char),
            _ => {
                let _ = write!(url, "%{byte:02X}");
            }
        }
    }
}

/// The URL of a target as seen from other machines: `localhost` becomes the host of
/// `external_url`; a target at this server's own port becomes `external_url`'s server itself.
pub(crate) fn global_url(url: &str, external_url: &str, listen_port: u16) -> String {
    let Some((_, external_rest)) = external_url.split_once("://") else {
        return url.to_string();
    };
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_string();
    };
    let (external_server, _) = split_server(external_rest);
    let (server, path) = split_server(rest);
    let (host, port) = split_port(server);
    if !matches!(host, "localhost" | "127.0.0.1" | "[::1]") {
        return url.to_string();
    }
    if port.parse() == Ok(listen_port) {
        let (external_scheme, _) = external_url.split_once("://").unwrap_or_default();
        return format!("{external_scheme}://{external_server}{path}");
    }
    let (external_host, _) = split_port(external_server);
    let colon = if port.is_empty() { "" } else { ":" };
    format!("{scheme}://{external_host}{colon}{port}{path}")
}

fn split_server(rest: &str) -> (&str, &str) {
    rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()))
}

fn split_port(server: &str) -> (&str, &str) {
    match server.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (server, ""),
    }
}

#[cfg(test)]
mod tests;
