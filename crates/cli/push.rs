//! `tsdb push`: metrics in a text format on to a server by remote write, or into a directory.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use tsdb_model::{Clock as _, Labels, Metadata, SystemClock};
use tsdb_wire::openmetrics::OpenMetricsParser;
use tsdb_wire::remote::encode::{OutgoingSeries, write_v1};
use tsdb_wire::remote::{SampleEntry, compress};
use tsdb_wire::text::{Entry, TextError, TextParser};

use crate::output;
use crate::source::{Access, Ask, Source, SourceArgs};

/// Settings of `tsdb push`.
#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// Files to send; standard input when absent.
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) source: SourceArgs,

    /// Label to add to all series, `name=value`; may be repeated.
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    pub(crate) labels: Vec<(String, String)>,

    /// Format of the files.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: PageFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PageFormat {
    /// The text format of Prometheus.
    Text,
    /// OpenMetrics.
    Openmetrics,
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_string(), value.to_string())),
        _ => Err("expected NAME=VALUE".to_string()),
    }
}

/// Longest page that is sent.
const MAX_PAGE_BYTES: u64 = 256 << 20;

/// Samples of one request.
const MAX_SAMPLES: usize = 5_000;

/// Runs the command.
pub(crate) fn run(args: &PushArgs) -> ExitCode {
    output::report(|| {
        let source = Source::open(&args.source, Access::Write)?;
        let pushed = push(args, &source);
        source.close()?;
        pushed
    })
}

fn push(args: &PushArgs, source: &Source) -> anyhow::Result<()> {
    if args.files.is_empty() {
        use std::io::Read as _;
        let mut page = Vec::new();
        let stdin = std::io::stdin().lock();
        stdin.take(MAX_PAGE_BYTES + 1).read_to_end(&mut page)?;
        return send(args, &page, source).context("standard input");
    }
    for path in &args.files {
        let page = tsdb_config::read_file(path, MAX_PAGE_BYTES + 1);
        let page = page.with_context(|| path.display().to_string())?;
        send(args, &page, source).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// The samples of a page, and what it says of its families.
#[derive(Default)]
struct Page {
    samples: Vec<(Labels, SampleEntry)>,
    metadata: BTreeMap<String, Metadata>,
}

fn send(args: &PushArgs, page: &[u8], source: &Source) -> anyhow::Result<()> {
    if page.len() as u64 > MAX_PAGE_BYTES {
        bail!("more than {MAX_PAGE_BYTES} bytes");
    }
    let now = SystemClock.now_ms();
    let page = match args.format {
        PageFormat::Text => read(TextParser::new(page), TextParser::next, &args.labels, now)?,
        PageFormat::Openmetrics => {
            let parser = OpenMetricsParser::new(page);
            read(parser, OpenMetricsParser::next, &args.labels, now)?
        }
    };
    let metadata: Vec<_> = page.metadata.into_iter().collect();
    let mut refused = Vec::new();
    for (i, samples) in page.samples.chunks(MAX_SAMPLES).enumerate() {
        let series: Vec<_> = samples
            .iter()
            .map(|(labels, sample)| OutgoingSeries {
                labels,
                samples: std::slice::from_ref(sample),
                histograms: &[],
                exemplars: &[],
                metadata: None,
            })
            .collect();
        // Once is enough.
        let metadata = if i == 0 { metadata.as_slice() } else { &[] };
        let body = compress(&write_v1(&series, metadata));
        let headers = [
            ("content-type", "application/x-protobuf".to_string()),
            ("content-encoding", "snappy".to_string()),
            ("x-prometheus-remote-write-version", "0.1.0".to_string()),
        ];
        let ask = Ask::Body("/api/v1/write", body, &headers);
        if let Err(e) = source.ask(ask, &mut |_| Ok(())) {
            if e.chain().count() > 1 {
                return Err(e);
            }
            refused.push(e.to_string());
        }
    }
    match refused.as_slice() {
        [] => Ok(()),
        refused => bail!("{}", refused.join("\n")),
    }
}

fn read<'a, P>(
    mut parser: P,
    next: impl Fn(&mut P) -> Result<Option<Entry<'a>>, TextError>,
    more: &[(String, String)],
    now: i64,
) -> anyhow::Result<Page> {
    let mut page = Page::default();
    let mut pairs = Vec::new();
    while let Some(entry) = next(&mut parser)? {
        match entry {
            Entry::Type {
                family,
                metric_type,
            } => {
                page.metadata
                    .entry(family.into_owned())
                    .or_default()
                    .metric_type = metric_type;
            }
            Entry::Help { family, help } => {
                page.metadata.entry(family.into_owned()).or_default().help = help.into_owned();
            }
            Entry::Unit { family, unit } => {
                page.metadata.entry(family.into_owned()).or_default().unit = unit.into_owned();
            }
            Entry::Series(line) => {
                pairs.clear();
                line.labels(&mut pairs)?;
                let mut labels = Labels::from_pairs(pairs.iter().map(|(n, v)| (n, v))).to_builder();
                for (name, value) in more {
                    labels.set(name, value);
                }
                let sample = SampleEntry {
                    timestamp_ms: line.timestamp_ms.unwrap_or(now),
                    value: line.value,
                    start_timestamp_ms: 0,
                };
                page.samples.push((labels.build(), sample));
            }
        }
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_becomes_samples() {
        let text = b"# HELP x h\n# TYPE x gauge\nx{a=\"b\"} 1 5\nx 2\n";
        let more = [label("job=j").unwrap()];
        let page = read(TextParser::new(text), TextParser::next, &more, 9).unwrap();
        let shown: Vec<_> = page
            .samples
            .iter()
            .map(|(labels, s)| format!("{labels} {} {}", s.value, s.timestamp_ms))
            .collect();
        let want = [
            "{__name__=\"x\", a=\"b\", job=\"j\"} 1 5",
            "{__name__=\"x\", job=\"j\"} 2 9",
        ];
        assert_eq!(shown, want);
        assert_eq!(page.metadata["x"].help, "h");
        assert!(label("=x").is_err() && label("x").is_err());
    }
}
