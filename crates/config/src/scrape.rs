//! One job of `scrape_configs`.

use std::collections::BTreeMap;

use crate::config::{GlobalConfig, LEGACY, ScrapeConfig, StaticConfig};
use crate::error::Problem;
use crate::global::{self, COMMON, Context};
use crate::node::{Field, Section, Value};
use crate::{file_sd, http_client, relabel, unsupported};

const JOB: [&str; 14] = [
    "job_name",
    "honor_labels",
    "honor_timestamps",
    "track_timestamps_staleness",
    "params",
    "fallback_scrape_protocol",
    "metrics_path",
    "scheme",
    "enable_compression",
    "native_histogram_min_bucket_factor",
    "file_sd_configs",
    "static_configs",
    "relabel_configs",
    "metric_relabel_configs",
];

/// All keys that a job may have.
pub(crate) fn known_keys() -> [&'static [&'static str]; 6] {
    [
        &JOB,
        &http_client::KEYS,
        &COMMON,
        &unsupported::COMMON,
        &unsupported::HTTP,
        &unsupported::DISCOVERY,
    ]
}

/// Reads a job and fills in what it takes from `global`.
pub(crate) fn read(
    section: &Section<'_>,
    global: &GlobalConfig,
    context: &Context<'_>,
) -> Result<ScrapeConfig, Problem> {
    let job_name = section.string("job_name")?.unwrap_or_default();
    if job_name.is_empty() {
        return Err(section.problem_at("job_name", "job_name is empty"));
    }
    section.refuse(&unsupported::COMMON)?;
    section.refuse(&unsupported::HTTP)?;
    section.refuse(&unsupported::DISCOVERY)?;
    check_ignored(section)?;
    let whose = format!("for scrape config with job name {job_name:?}");
    let (scrape_interval_ms, scrape_timeout_ms) = times(section, global, &whose)?;
    let (validation, escaping) = schemes(section, global)?;
    let legacy = validation == LEGACY;
    let relabel_configs = relabel::read(section, "relabel_configs", "target", legacy)?;
    let http_client = http_client::read(section, context.dir)?;
    if let Some(check) = context.check {
        check(&http_client).map_err(|e| section.problem_within(&e.field, e.reason))?;
    }
    // A rule may yet make an address of what is none.
    let check_targets = relabel_configs.is_empty();
    let boolean = |name, default| Ok(section.boolean(name)?.unwrap_or(default));
    let limit = |name, inherited| {
        let own = section.number(name)?.filter(|limit| *limit > 0);
        Ok(own.unwrap_or(inherited))
    };
    let body_size_limit = section.size("body_size_limit")?.filter(|limit| *limit > 0);
    Ok(ScrapeConfig {
        honor_labels: boolean("honor_labels", false)?,
        honor_timestamps: boolean("honor_timestamps", true)?,
        track_timestamps_staleness: boolean("track_timestamps_staleness", false)?,
        params: params(section)?,
        scrape_interval_ms,
        scrape_timeout_ms,
        scrape_protocols: global::scrape_protocols(section, &whose)?
            .unwrap_or_else(|| global.scrape_protocols.clone()),
        fallback_scrape_protocol: global::fallback_protocol(section, &job_name)?,
        metrics_path: section
            .string("metrics_path")?
            .unwrap_or_else(|| "/metrics".to_string()),
        scheme: section
            .string("scheme")?
            .unwrap_or_else(|| "http".to_string()),
        enable_compression: boolean("enable_compression", true)?,
        body_size_limit: body_size_limit.unwrap_or(global.body_size_limit),
        sample_limit: limit("sample_limit", global.sample_limit)?,
        label_limit: limit("label_limit", global.label_limit)?,
        label_name_length_limit: limit("label_name_length_limit", global.label_name_length_limit)?,
        label_value_length_limit: limit(
            "label_value_length_limit",
            global.label_value_length_limit,
        )?,
        target_limit: limit("target_limit", global.target_limit)?,
        keep_dropped_targets: limit("keep_dropped_targets", global.keep_dropped_targets)?,
        metric_name_validation_scheme: validation,
        metric_name_escaping_scheme: escaping,
        http_client,
        file_sd_configs: file_sd::read(section, context.dir)?,
        static_configs: static_configs(section, check_targets)?,
        relabel_configs,
        metric_relabel_configs: relabel::read(section, "metric_relabel_configs", "metric", legacy)?,
        job_name,
    })
}

/// Keys that change nothing here, but whose values must still make sense.
fn check_ignored(section: &Section<'_>) -> Result<(), Problem> {
    global::check_histogram_keys(section)?;
    if let Some(factor) = section.get("native_histogram_min_bucket_factor") {
        factor.float()?;
    }
    Ok(())
}

/// Interval and timeout.
fn times(section: &Section<'_>, global: &GlobalConfig, whose: &str) -> Result<(i64, i64), Problem> {
    let set = |name| Ok(section.duration_ms(name)?.filter(|ms| *ms > 0));
    let interval = set("scrape_interval")?.unwrap_or(global.scrape_interval_ms);
    let timeout = match set("scrape_timeout")? {
        Some(timeout) if timeout > interval => {
            let text = format!("scrape timeout greater than scrape interval {whose}");
            return Err(section.problem_at("scrape_timeout", text));
        }
        Some(timeout) => timeout,
        None => global.scrape_timeout_ms.min(interval),
    };
    Ok((interval, timeout))
}

/// Validation and escaping of names. A job with a validation scheme of its own does not inherit
/// the escaping, which might not fit.
fn schemes(section: &Section<'_>, global: &GlobalConfig) -> Result<(String, String), Problem> {
    let own = global::validation_scheme(section)?;
    let inherited = match &own {
        Some(validation) => global::default_escaping(validation),
        None => global.metric_name_escaping_scheme.clone(),
    };
    let validation = own.unwrap_or_else(|| global.metric_name_validation_scheme.clone());
    let escaping = global::escaping_scheme(section)?.unwrap_or(inherited);
    global::check_schemes(section, &validation, &escaping)?;
    Ok((validation, escaping))
}

fn params(section: &Section<'_>) -> Result<BTreeMap<String, Vec<String>>, Problem> {
    let Some(field) = section.get("params") else {
        return Ok(BTreeMap::new());
    };
    let mut params = BTreeMap::new();
    for (name, (_, values)) in field.entries()? {
        let values = match values.node.value {
            Value::Null => Vec::new(),
            _ => values.strings()?,
        };
        params.insert(name.to_string(), values);
    }
    Ok(params)
}

fn static_configs(
    section: &Section<'_>,
    check_targets: bool,
) -> Result<Vec<StaticConfig>, Problem> {
    let Some(list) = section.get("static_configs") else {
        return Ok(Vec::new());
    };
    let mut groups = Vec::new();
    for item in list.items()? {
        if item.node.value == Value::Null {
            return Err(item.problem("empty or null section in static_configs"));
        }
        groups.push(target_group(item, check_targets)?);
    }
    Ok(groups)
}

/// Reads addresses and their labels.
pub(crate) fn target_group(item: Field<'_>, check_targets: bool) -> Result<StaticConfig, Problem> {
    let group = item.section(&[&["targets", "labels"]])?;
    let mut targets = Vec::new();
    if let Some(addresses) = group.get("targets") {
        for address in addresses.items()? {
            let text = address.string()?;
            if check_targets && text.contains('/') {
                return Err(address.problem(format!("{text:?} is not a valid hostname")));
            }
            targets.push(text.to_string());
        }
    }
    let labels = match group.get("labels") {
        Some(labels) => labels.labels()?,
        None => BTreeMap::new(),
    };
    Ok(StaticConfig { targets, labels })
}
