//! `tsdb export`: a data directory written in the formats of others.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use tsdb::prom_block::{self, BlockMeta};
use tsdb::{Db, Dir as _, Options, StdDir};
use tsdb_model::{Clock as _, Matcher, SystemClock};

use crate::output;
use crate::source::{Access, Ask, Source, SourceArgs, TimesArgs};
use crate::time::parse_time;

/// Settings of `tsdb export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[command(subcommand)]
    pub(crate) command: ExportCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ExportCommand {
    /// Write blocks that Prometheus, Thanos, Mimir and promtool read.
    ///
    /// Blocks of two hours; exemplars and metadata have no place in them.
    Blocks(ExportBlocksArgs),
    /// Write samples as JSON lines, as VictoriaMetrics has them and `tsdb import json` reads them.
    Json(ExportSamplesArgs),
    /// Write samples as rows of series, time (ms) and value.
    Csv(ExportSamplesArgs),
    /// Write samples in the OpenMetrics text format, without staleness markers and native
    /// histograms.
    Openmetrics(ExportSamplesArgs),
}

/// Settings of `tsdb export json|csv|openmetrics`.
#[derive(Debug, Args)]
pub(crate) struct ExportSamplesArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,

    /// Only series that this selector selects; may be repeated. All series when absent.
    #[arg(long = "match", value_name = "SELECTOR")]
    pub(crate) selectors: Vec<String>,

    #[command(flatten)]
    pub(crate) times: TimesArgs,

    /// File to write; standard output when absent.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// Settings of `tsdb export blocks`.
#[derive(Debug, Args)]
pub(crate) struct ExportBlocksArgs {
    /// Data directory to read; a server may be using it.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,

    /// Directory to write blocks into; made if needed.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,

    /// Only series that this selector selects; may be repeated.
    #[arg(long = "match", value_name = "SELECTOR")]
    pub(crate) selectors: Vec<String>,

    /// First time; the oldest sample when absent.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) start: Option<String>,

    /// Last time; the newest sample when absent.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) end: Option<String>,
}

/// Runs the command; the exit code is 1 when it fails.
pub(crate) fn run(args: &ExportArgs) -> ExitCode {
    output::report(|| match &args.command {
        ExportCommand::Blocks(args) => {
            let blocks = blocks(args)?;
            let mut text = String::new();
            for meta in &blocks {
                text += &line(meta);
                text.push('\n');
            }
            let samples: u64 = blocks.iter().map(|m| m.stats.samples).sum();
            output::print(&text)?;
            let text = format!("{} blocks, {samples} samples\n", blocks.len());
            Ok(output::print(&text)?)
        }
        ExportCommand::Json(args) => samples(args, "json"),
        ExportCommand::Csv(args) => samples(args, "csv"),
        ExportCommand::Openmetrics(args) => samples(args, "openmetrics"),
    })
}

fn samples(args: &ExportSamplesArgs, format: &str) -> anyhow::Result<()> {
    let mut form = vec![("format", format.to_string())];
    let selectors = args.selectors.iter().map(|s| ("match[]", s.clone()));
    form.extend(selectors);
    if args.selectors.is_empty() {
        form.push(("match[]", "{__name__!=\"\"}".to_string()));
    }
    form.extend(args.times.parameters()?);
    let source = Source::open(&args.source, Access::Read)?;
    let ask = Ask::Form("/api/v1/export", &form);
    match &args.out {
        None => {
            let mut out = BufWriter::new(std::io::stdout().lock());
            source.ask(ask, &mut |bytes| out.write_all(bytes))?;
            out.flush()?;
        }
        Some(path) => {
            let create = || format!("create {}", path.display());
            let mut out = BufWriter::new(new_file(path).with_context(create)?);
            source.ask(ask, &mut |bytes| out.write_all(bytes))?;
            out.flush()
                .with_context(|| format!("write {}", path.display()))?;
        }
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a file that the user names, not one of the store's directory"
)]
fn new_file(path: &Path) -> std::io::Result<File> {
    File::create(path)
}

fn line(meta: &BlockMeta) -> String {
    format!(
        "{}  {} to {}  {} series  {} samples",
        meta.ulid, meta.min_time_ms, meta.max_time_ms, meta.stats.series, meta.stats.samples
    )
}

fn blocks(args: &ExportBlocksArgs) -> anyhow::Result<Vec<BlockMeta>> {
    let now = SystemClock.now_ms();
    let time = |name: &str, text: &Option<String>| {
        let parse = |text: &String| parse_time(text, now).map_err(anyhow::Error::msg);
        text.as_ref()
            .map(parse)
            .transpose()
            .with_context(|| format!("--{name}"))
    };
    let (start, end) = (time("start", &args.start)?, time("end", &args.end)?);
    if let (Some(start), Some(end)) = (start, end)
        && end < start
    {
        bail!("--end is before --start");
    }
    let matchers = args
        .selectors
        .iter()
        .map(|text| selector(text).with_context(|| format!("--match {text}")))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let db = Db::open_read_only(&args.dir, Options::default())?;
    let stats = db.stats();
    let mint = start.map_or(stats.min_time_ms, |t| t.max(stats.min_time_ms));
    let maxt = end.map_or(stats.max_time_ms, |t| t.min(stats.max_time_ms));
    let out = StdDir::new(&args.out);
    let mut bar = crate::progress::Progress::new("exported");
    let blocks = prom_block::export(&db, &matchers, mint, maxt, &out, &mut |p| {
        bar.show(p.done_until_ms, mint, maxt, p.samples);
    })?;
    bar.finish();
    // promtool and the sidecar of Thanos look for one.
    out.create_dir("wal")
        .with_context(|| format!("create {}/wal", args.out.display()))?;
    Ok(blocks)
}

fn selector(text: &str) -> anyhow::Result<Vec<Matcher>> {
    tsdb_promql::parse_selector(text).map_err(|e| anyhow::anyhow!("{e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: ExportArgs,
    }

    fn parse(flags: &[&str]) -> ExportBlocksArgs {
        let line = ["export", "blocks", "--dir", "d", "--out", "o"]
            .iter()
            .chain(flags);
        let ExportCommand::Blocks(args) = Line::try_parse_from(line).unwrap().args.command else {
            panic!("blocks")
        };
        args
    }

    #[test]
    fn flags() {
        let args = parse(&["--match", "up", "--match", "{job=\"x\"}", "--start", "-1h"]);
        assert_eq!(args.selectors, ["up", "{job=\"x\"}"]);
        assert_eq!(args.start.as_deref(), Some("-1h"));
    }

    #[test]
    fn nonsense_is_refused_before_anything_is_opened() {
        let error = |flags: &[&str]| format!("{:#}", blocks(&parse(flags)).unwrap_err());
        assert_eq!(
            error(&["--start", "300", "--end", "200"]),
            "--end is before --start"
        );
        assert!(error(&["--match", "up["]).starts_with("--match up["));
        assert!(error(&["--end", "soon"]).starts_with("--end"));
    }
}
