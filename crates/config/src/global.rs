//! The whole file, `global` and `storage`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::config::{
    ALLOW_UTF8, Config, DEFAULT_TIMEOUT_MS, GlobalConfig, LEGACY, StorageConfig, UNDERSCORES, UTF8,
};
use crate::env::expand;
use crate::error::Problem;
use crate::http_client::HttpClientConfig;
use crate::node::{Node, Section, Value};
use crate::{scrape, unsupported};

/// Looks up a variable of the environment.
pub(crate) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What is wrong with the files an HTTP client's settings name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientProblem {
    /// The field, such as `tls_config.ca_file`.
    pub field: String,
    /// What is wrong.
    pub reason: String,
}

/// Looks whether the files that an HTTP client's settings name can be used.
pub type ClientCheck<'a> = dyn Fn(&HttpClientConfig) -> Result<(), ClientProblem> + 'a;

/// What a configuration is read with.
pub(crate) struct Context<'a> {
    pub(crate) env: Env<'a>,
    /// Where relative file names begin.
    pub(crate) dir: &'a Path,
    pub(crate) check: Option<&'a ClientCheck<'a>>,
}

const TOP: [&str; 5] = [
    "global",
    "runtime",
    "scrape_configs",
    "scrape_config_files",
    "storage",
];

/// Keys that `global` and jobs share.
pub(crate) const COMMON: [&str; 14] = [
    "scrape_interval",
    "scrape_timeout",
    "scrape_protocols",
    "body_size_limit",
    "sample_limit",
    "label_limit",
    "label_name_length_limit",
    "label_value_length_limit",
    "target_limit",
    "keep_dropped_targets",
    "metric_name_validation_scheme",
    "metric_name_escaping_scheme",
    // Of use only with the protobuf format, which is never asked for.
    "always_scrape_classic_histograms",
    "native_histogram_bucket_limit",
];

const GLOBAL: [&str; 4] = [
    "evaluation_interval",
    // Rules are refused, so their offset means nothing.
    "rule_query_offset",
    "external_labels",
    "query_log_file",
];

/// Every scrape protocol that Prometheus knows, in the order of its messages.
const PROTOCOLS: [&str; 5] = [
    "OpenMetricsText0.0.1",
    "OpenMetricsText1.0.0",
    PROTOBUF,
    "PrometheusText0.0.4",
    "PrometheusText1.0.0",
];
const PROTOBUF: &str = "PrometheusProto";

/// Makes a configuration of a file's content. Also says which other files hold jobs.
pub(crate) fn read(
    root: &Node,
    context: &Context<'_>,
) -> Result<(Config, Vec<ScrapeFiles>), Problem> {
    let top = Section::open(root, String::new(), &[&TOP, &unsupported::TOP])?;
    if let Some(alerting) = top.get("alerting") {
        alerting.section(&[&["alert_relabel_configs", "alertmanagers"]])?;
    }
    top.refuse(&unsupported::TOP)?;
    if let Some(runtime) = top.get("runtime") {
        // Nothing to tune: there is no garbage collector.
        if let Some(gogc) = runtime.section(&[&["gogc"]])?.get("gogc") {
            gogc.float()?;
        }
    }
    let global = match top.get("global") {
        Some(field) => global(
            &field.section(&[&COMMON, &GLOBAL, &unsupported::COMMON])?,
            context.env,
            context.dir,
        )?,
        None => GlobalConfig::default(),
    };
    let storage = match top.get("storage") {
        Some(field) => storage(&field.section(&[&["tsdb", "exemplars"]])?)?,
        None => StorageConfig::default(),
    };
    let mut config = Config {
        global,
        scrape_configs: Vec::new(),
        storage,
    };
    read_jobs(&top, &mut config, context)?;
    let mut files = Vec::new();
    if let Some(list) = top.get("scrape_config_files") {
        for item in list.items()? {
            let pattern = context.dir.join(item.string()?);
            let problem = item.problem("");
            files.push(ScrapeFiles { pattern, problem });
        }
    }
    Ok((config, files))
}

/// An entry of `scrape_config_files`.
pub(crate) struct ScrapeFiles {
    pub(crate) pattern: PathBuf,
    /// Its place, for when something is wrong with it.
    pub(crate) problem: Problem,
}

/// Adds the jobs of another file.
pub(crate) fn read_more(
    root: &Node,
    config: &mut Config,
    context: &Context<'_>,
) -> Result<(), Problem> {
    let top = Section::open(root, String::new(), &[&["scrape_configs"]])?;
    read_jobs(&top, config, context)
}

fn read_jobs(top: &Section<'_>, config: &mut Config, context: &Context<'_>) -> Result<(), Problem> {
    let names = config.scrape_configs.iter();
    let mut names: HashSet<String> = names.map(|job| job.job_name.clone()).collect();
    if let Some(list) = top.get("scrape_configs") {
        for item in list.items()? {
            if item.node.value == Value::Null {
                return Err(item.problem("empty or null scrape config section"));
            }
            let section = item.section(&scrape::known_keys())?;
            let job = scrape::read(&section, &config.global, context)?;
            if !names.insert(job.job_name.clone()) {
                let name = &job.job_name;
                let text = format!("found multiple scrape configs with job name {name:?}");
                return Err(section.problem_at("job_name", text));
            }
            config.scrape_configs.push(job);
        }
    }
    Ok(())
}

fn global(section: &Section<'_>, env: Env<'_>, dir: &Path) -> Result<GlobalConfig, Problem> {
    section.refuse(&unsupported::COMMON)?;
    check_histogram_keys(section)?;
    section.duration_ms("rule_query_offset")?;
    let defaults = GlobalConfig::default();
    let set = |name| Ok(section.duration_ms(name)?.filter(|ms| *ms > 0));
    let scrape_interval_ms = set("scrape_interval")?.unwrap_or(defaults.scrape_interval_ms);
    let scrape_timeout_ms = match set("scrape_timeout")? {
        Some(timeout) if timeout > scrape_interval_ms => {
            let text = "global scrape timeout greater than scrape interval";
            return Err(section.problem_at("scrape_timeout", text));
        }
        Some(timeout) => timeout,
        None => DEFAULT_TIMEOUT_MS.min(scrape_interval_ms),
    };
    let mut external_labels = match section.get("external_labels") {
        Some(labels) => labels.labels()?,
        None => defaults.external_labels,
    };
    for value in external_labels.values_mut() {
        *value = expand(value, env);
    }
    let validation = validation_scheme(section)?.unwrap_or_else(|| UTF8.to_string());
    let escaping = escaping_scheme(section)?.unwrap_or_else(|| default_escaping(&validation));
    check_schemes(section, &validation, &escaping)?;
    let number = |name| Ok(section.number(name)?.unwrap_or(0));
    Ok(GlobalConfig {
        scrape_interval_ms,
        scrape_timeout_ms,
        scrape_protocols: scrape_protocols(section, "for global config")?
            .unwrap_or(defaults.scrape_protocols),
        evaluation_interval_ms: set("evaluation_interval")?
            .unwrap_or(defaults.evaluation_interval_ms),
        external_labels,
        query_log_file: match section.get("query_log_file") {
            Some(name) => Some(name.string()?)
                .filter(|name| !name.is_empty())
                .map(|name| dir.join(name)),
            None => None,
        },
        body_size_limit: section.size("body_size_limit")?.unwrap_or(0),
        sample_limit: number("sample_limit")?,
        label_limit: number("label_limit")?,
        label_name_length_limit: number("label_name_length_limit")?,
        label_value_length_limit: number("label_value_length_limit")?,
        target_limit: number("target_limit")?,
        keep_dropped_targets: number("keep_dropped_targets")?,
        metric_name_validation_scheme: validation,
        metric_name_escaping_scheme: escaping,
    })
}

fn storage(section: &Section<'_>) -> Result<StorageConfig, Problem> {
    if let Some(exemplars) = section.get("exemplars") {
        exemplars
            .section(&[&["max_exemplars"]])?
            .number("max_exemplars")?;
    }
    let Some(tsdb) = section.get("tsdb") else {
        return Ok(StorageConfig::default());
    };
    let tsdb = tsdb.section(&[&[
        "out_of_order_time_window",
        "retention",
        "chunk_encoding",
        "stale_series_compaction_threshold",
    ]])?;
    // How chunks are encoded and when they are written out is the store's own business.
    tsdb.refuse(&["retention"])?;
    Ok(StorageConfig {
        out_of_order_time_window_ms: tsdb.duration_ms("out_of_order_time_window")?,
    })
}

/// Checks the types of keys that concern native histograms of the protobuf format only.
pub(crate) fn check_histogram_keys(section: &Section<'_>) -> Result<(), Problem> {
    section.boolean("always_scrape_classic_histograms")?;
    section.number("native_histogram_bucket_limit")?;
    Ok(())
}

/// Reads `scrape_protocols`; `whose` ends the messages.
pub(crate) fn scrape_protocols(
    section: &Section<'_>,
    whose: &str,
) -> Result<Option<Vec<String>>, Problem> {
    let Some(list) = section.get("scrape_protocols") else {
        return Ok(None);
    };
    let protocols = list.strings()?;
    if protocols.is_empty() {
        return Err(list.problem(format!("scrape_protocols cannot be empty {whose}")));
    }
    for (i, (item, protocol)) in list.items()?.iter().zip(&protocols).enumerate() {
        let same = |p: &String| p.eq_ignore_ascii_case(protocol);
        if protocols[..i].iter().any(same) {
            let all = protocols.join(" ");
            return Err(item.problem(format!(
                "duplicated protocol in scrape_protocols, got [{all}] {whose}"
            )));
        }
        check_protocol(protocol)
            .map_err(|e| item.problem(format!("scrape_protocols: {e} {whose}")))?;
    }
    if protocols == [PROTOBUF] {
        return Err(list.problem(format!("{PROTOBUF} alone is not supported yet")));
    }
    Ok(Some(protocols))
}

fn check_protocol(name: &str) -> Result<(), String> {
    if PROTOCOLS.contains(&name) {
        return Ok(());
    }
    let all = PROTOCOLS.join(" ");
    Err(format!(
        "unknown scrape protocol {name}, supported: [{all}]"
    ))
}

/// Reads `fallback_scrape_protocol` of the job `name`.
pub(crate) fn fallback_protocol(
    section: &Section<'_>,
    name: &str,
) -> Result<Option<String>, Problem> {
    let Some(field) = section.get("fallback_scrape_protocol") else {
        return Ok(None);
    };
    let protocol = field.string()?;
    if protocol.is_empty() {
        return Ok(None);
    }
    if protocol == PROTOBUF {
        return Err(field.problem(format!("{PROTOBUF} is not supported yet")));
    }
    check_protocol(protocol).map_err(|e| {
        field.problem(format!(
            "invalid fallback_scrape_protocol for scrape config with job name {name:?}: {e}"
        ))
    })?;
    Ok(Some(protocol.to_string()))
}

/// Reads `metric_name_validation_scheme`.
pub(crate) fn validation_scheme(section: &Section<'_>) -> Result<Option<String>, Problem> {
    scheme(
        section,
        "metric_name_validation_scheme",
        &[UTF8, LEGACY],
        "unknown name validation method specified, must be either 'legacy' or 'utf8'",
    )
}

/// Reads `metric_name_escaping_scheme`.
pub(crate) fn escaping_scheme(section: &Section<'_>) -> Result<Option<String>, Problem> {
    scheme(
        section,
        "metric_name_escaping_scheme",
        &[ALLOW_UTF8, UNDERSCORES, "dots", "values"],
        "unknown name escaping method specified, must be one of 'allow-utf-8', 'underscores', \
         'dots', or 'values'",
    )
}

fn scheme(
    section: &Section<'_>,
    key: &str,
    known: &[&str],
    complaint: &str,
) -> Result<Option<String>, Problem> {
    match section.string(key)? {
        Some(name) if name.is_empty() => Ok(None),
        Some(name) if !known.contains(&name.as_str()) => {
            Err(section.problem_at(key, format!("{complaint}, got {name:?}")))
        }
        read => Ok(read),
    }
}

/// The escaping that fits a validation scheme.
pub(crate) fn default_escaping(validation: &str) -> String {
    let fits = if validation == LEGACY {
        UNDERSCORES
    } else {
        ALLOW_UTF8
    };
    fits.to_string()
}

/// Names that are asked for must be taken, too.
pub(crate) fn check_schemes(
    section: &Section<'_>,
    validation: &str,
    escaping: &str,
) -> Result<(), Problem> {
    if escaping == ALLOW_UTF8 && validation != UTF8 {
        let text = "utf8 metric names requested but validation scheme is not set to UTF8";
        return Err(section.problem_at("metric_name_escaping_scheme", text));
    }
    Ok(())
}
