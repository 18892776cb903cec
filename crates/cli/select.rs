//! `tsdb series` and `tsdb labels`: what there is to query.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::Value as Json;

use tsdb_model::Labels;
use tsdb_model::labels::is_legacy_metric_name;

use crate::output::{self, print};
use crate::source::{Access, Source, SourceArgs, TimesArgs};

/// How a list is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// One line each.
    Text,
    /// The `data` member of the HTTP API.
    Json,
}

/// Settings of `tsdb series`.
#[derive(Debug, Args)]
pub(crate) struct SeriesArgs {
    /// Selectors such as `up{job="node"}`; series that any of them selects.
    #[arg(value_name = "SELECTOR", required = true)]
    pub(crate) selectors: Vec<String>,

    #[command(flatten)]
    pub(crate) source: SourceArgs,

    #[command(flatten)]
    pub(crate) times: TimesArgs,

    /// Most series to print; 0 for all.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) limit: u64,

    /// How to print them.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: ListFormat,
}

/// Settings of `tsdb labels`.
#[derive(Debug, Args)]
pub(crate) struct LabelsArgs {
    /// Label whose values are printed; the names of all labels when absent.
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Only of series that this selector selects; may be repeated.
    #[arg(long = "match", value_name = "SELECTOR")]
    pub(crate) selectors: Vec<String>,

    #[command(flatten)]
    pub(crate) source: SourceArgs,

    #[command(flatten)]
    pub(crate) times: TimesArgs,

    /// Most texts to print; 0 for all.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) limit: u64,

    /// How to print them.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: ListFormat,
}

/// Runs `tsdb series`.
pub(crate) fn series(args: &SeriesArgs) -> ExitCode {
    output::report(|| {
        let form = form(&args.selectors, &args.times, args.limit)?;
        let source = Source::open(&args.source, Access::Read)?;
        let data = source.data("/api/v1/series", &form)?;
        show(&data, args.format, |item| {
            let labels = item.as_object().into_iter().flatten();
            let labels = labels.map(|(n, v)| (n.as_str(), v.as_str().unwrap_or_default()));
            series_text(&Labels::from_pairs(labels))
        })
    })
}

/// Runs `tsdb labels`.
pub(crate) fn labels(args: &LabelsArgs) -> ExitCode {
    output::report(|| {
        let mut form = form(&args.selectors, &args.times, args.limit)?;
        let path = match &args.name {
            None => "/api/v1/labels".to_string(),
            // Values can only be asked for in the URL.
            Some(name) => {
                let pairs = form.iter().map(|(k, v)| (*k, v.as_str()));
                let query = tsdb_net::url::encode_query(pairs);
                let name = tsdb_net::url::encode_query([(name.as_str(), "")]);
                let name = name.trim_end_matches('=').replace('+', "%20");
                form.clear();
                format!("/api/v1/label/{name}/values?{query}")
            }
        };
        let source = Source::open(&args.source, Access::Read)?;
        let data = match &args.name {
            None => source.data(&path, &form)?,
            Some(_) => source.get(&path)?,
        };
        show(&data, args.format, |item| {
            item.as_str().unwrap_or_default().to_string()
        })
    })
}

/// `name{label="value"}`
fn series_text(labels: &Labels) -> String {
    let name = labels.metric_name();
    if !is_legacy_metric_name(name) {
        return labels.to_string();
    }
    let others = labels.without_name();
    if others.is_empty() {
        name.to_string()
    } else {
        format!("{name}{others}")
    }
}

fn form(
    selectors: &[String],
    times: &TimesArgs,
    limit: u64,
) -> anyhow::Result<Vec<(&'static str, String)>> {
    let mut form: Vec<_> = selectors.iter().map(|s| ("match[]", s.clone())).collect();
    form.extend(times.parameters()?);
    if limit > 0 {
        form.push(("limit", limit.to_string()));
    }
    Ok(form)
}

fn show(data: &Json, format: ListFormat, line: impl Fn(&Json) -> String) -> anyhow::Result<()> {
    let mut text = String::new();
    match format {
        ListFormat::Json => text = format!("{data}\n"),
        ListFormat::Text => {
            for item in data.as_array().into_iter().flatten() {
                text += &line(item);
                text.push('\n');
            }
        }
    }
    Ok(print(&text)?)
}
