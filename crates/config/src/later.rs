//! Sections that Prometheus knows and this server cannot follow yet: checked as if it could, so
//! that their own mistakes are told first, and then refused when they ask for something. Leaving
//! them out in silence would make a setup do less than it says.

use std::collections::HashSet;

use crate::error::Problem;
use crate::global::Context;
use crate::node::{Section, Value};
use crate::scrape::target_group;
use crate::shape::{Key, Shape, check, open, sections};
use crate::{file_sd, http_client, relabel, unsupported};

const ALERTING: &[Key] = &[
    ("alert_relabel_configs", Shape::Any),
    ("alertmanagers", Shape::Any),
];

const ALERTMANAGER: &[Key] = &[
    ("scheme", Shape::Text),
    ("path_prefix", Shape::Text),
    ("timeout", Shape::Duration),
    ("api_version", Shape::Text),
    ("sigv4", Shape::Any),
    ("static_configs", Shape::Any),
    ("file_sd_configs", Shape::Any),
    ("relabel_configs", Shape::Any),
    ("alert_relabel_configs", Shape::Any),
];

const QUEUE: &[Key] = &[
    ("capacity", Shape::Number),
    ("max_shards", Shape::Number),
    ("min_shards", Shape::Number),
    ("max_samples_per_send", Shape::Number),
    ("batch_send_deadline", Shape::Duration),
    ("min_backoff", Shape::Duration),
    ("max_backoff", Shape::Duration),
    ("retry_on_http_429", Shape::Bool),
    ("sample_age_limit", Shape::Duration),
];

const METADATA: &[Key] = &[
    ("send", Shape::Bool),
    ("send_interval", Shape::Duration),
    ("max_samples_per_send", Shape::Number),
];

const REMOTE_WRITE: &[Key] = &[
    ("url", Shape::Text),
    ("name", Shape::Text),
    ("remote_timeout", Shape::Duration),
    ("headers", Shape::Labels),
    (
        "protobuf_message",
        Shape::One(&["prometheus.WriteRequest", "io.prometheus.write.v2.Request"]),
    ),
    ("write_relabel_configs", Shape::Any),
    ("send_exemplars", Shape::Bool),
    ("send_native_histograms", Shape::Bool),
    ("round_robin_dns", Shape::Bool),
    ("sigv4", Shape::Any),
    ("azuread", Shape::Any),
    ("google_iam", Shape::Any),
    ("queue_config", Shape::Section(QUEUE)),
    ("metadata_config", Shape::Section(METADATA)),
];

const REMOTE_READ: &[Key] = &[
    ("url", Shape::Text),
    ("name", Shape::Text),
    ("required_matchers", Shape::Labels),
    ("remote_timeout", Shape::Duration),
    ("read_recent", Shape::Bool),
    ("filter_external_labels", Shape::Bool),
    ("chunked_read_limit", Shape::Number),
    ("headers", Shape::Labels),
];

const OTLP: &[Key] = &[
    ("promote_resource_attributes", Shape::Texts),
    ("promote_all_resource_attributes", Shape::Bool),
    ("ignore_resource_attributes", Shape::Texts),
    (
        "translation_strategy",
        Shape::One(&[
            "UnderscoreEscapingWithSuffixes",
            "UnderscoreEscapingWithoutSuffixes",
            "NoUTF8EscapingWithSuffixes",
            "NoTranslation",
        ]),
    ),
    ("keep_identifying_resource_attributes", Shape::Bool),
    ("convert_histograms_to_nhcb", Shape::Bool),
    ("promote_scope_metadata", Shape::Bool),
    ("label_name_underscore_sanitization", Shape::Bool),
    ("label_name_preserve_multiple_underscores", Shape::Bool),
];

const TRACING: &[Key] = &[
    ("client_type", Shape::One(&["grpc", "http"])),
    ("endpoint", Shape::Text),
    ("sampling_fraction", Shape::Float),
    ("insecure", Shape::Bool),
    ("tls_config", Shape::Any),
    ("headers", Shape::Labels),
    ("compression", Shape::One(&["gzip"])),
    ("timeout", Shape::Duration),
];

const TSDB: &[Key] = &[
    ("out_of_order_time_window", Shape::Duration),
    (
        "retention",
        Shape::Section(&[
            ("time", Shape::Duration),
            ("size", Shape::Size),
            ("percentage", Shape::Number),
        ]),
    ),
    (
        "chunk_encoding",
        Shape::Section(&[("floats", Shape::One(&["xor", "xor2"]))]),
    ),
    ("stale_series_compaction_threshold", Shape::Float),
];

/// Checks the sections at the top that nothing here follows yet, and refuses them.
pub(crate) fn refuse(top: &Section<'_>, context: &Context<'_>) -> Result<(), Problem> {
    alerting(top, context)?;
    let http: [&[&str]; 2] = [&http_client::KEYS, &unsupported::HTTP];
    for (key, keys) in [("remote_write", REMOTE_WRITE), ("remote_read", REMOTE_READ)] {
        let Some(field) = top.get(key) else { continue };
        let kind = key.replace('_', " ");
        let mut names = HashSet::new();
        for section in sections(&field, &format!("{kind} config section"), keys, &http)? {
            if section.string("url")?.unwrap_or_default().is_empty() {
                return Err(section.problem_at("url", format!("url for {key} is empty")));
            }
            let name = section.string("name")?.unwrap_or_default();
            if !name.is_empty() && !names.insert(name.clone()) {
                let text = format!("found multiple {kind} configs with job name {name:?}");
                return Err(section.problem_at("name", text));
            }
            http_client::read(&section, context.dir)?;
            relabel::read(&section, "write_relabel_configs", "remote write", false)?;
        }
    }
    for (key, keys) in [("otlp", OTLP), ("tracing", TRACING)] {
        if let Some(field) = top.get(key) {
            open(field, keys, &[])?;
        }
    }
    if let Some(tracing) = top.get("tracing") {
        let section = open(tracing, TRACING, &[])?;
        if section.string("endpoint")?.unwrap_or_default().is_empty() {
            return Err(section.problem_at("endpoint", "tracing endpoint must be set"));
        }
    }
    top.refuse(&unsupported::TOP)
}

fn alerting(top: &Section<'_>, context: &Context<'_>) -> Result<(), Problem> {
    let Some(field) = top.get("alerting") else {
        return Ok(());
    };
    let alerting = open(field, ALERTING, &[])?;
    relabel::read(&alerting, "alert_relabel_configs", "alert", false)?;
    let Some(list) = alerting.get("alertmanagers") else {
        return Ok(());
    };
    let more: [&[&str]; 3] = [
        &http_client::KEYS,
        &unsupported::HTTP,
        &unsupported::DISCOVERY,
    ];
    for section in sections(&list, "alertmanager config section", ALERTMANAGER, &more)? {
        if let Some(version) = section.get("api_version") {
            let text = version.string()?;
            if !text.is_empty() && text != "v2" {
                return Err(version.problem(format!(
                    "expected Alertmanager api version to be one of [v2] but got {text}"
                )));
            }
        }
        http_client::read(&section, context.dir)?;
        let rules = relabel::read(&section, "relabel_configs", "Alertmanager target", false)?;
        relabel::read(
            &section,
            "alert_relabel_configs",
            "Alertmanager alert",
            false,
        )?;
        file_sd::read(&section, context.dir)?;
        if let Some(groups) = section.get("static_configs") {
            for item in groups.items()? {
                if item.node.value == Value::Null {
                    return Err(item.problem("empty or null section in static_configs"));
                }
                target_group(item, rules.is_empty())?;
            }
        }
    }
    Ok(())
}

/// Opens `storage.tsdb`, where the store decides by itself how chunks are encoded and when they
/// are written out.
pub(crate) fn tsdb(storage: &Section<'_>) -> Result<Option<i64>, Problem> {
    let Some(field) = storage.get("tsdb") else {
        return Ok(None);
    };
    let section = open(field, TSDB, &[])?;
    if let Some(retention) = section.get("retention")
        && !retention.node.asks_nothing()
    {
        let reason = "not supported yet; --storage.tsdb.retention.time says how long to keep data";
        return Err(retention.problem(reason));
    }
    check(&section, TSDB)?;
    section.duration_ms("out_of_order_time_window")
}
