//! `tsdb export`: a data directory written in the formats of others.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use tsdb::prom_block::{self, BlockMeta};
use tsdb::{Db, Dir as _, Options, StdDir};
use tsdb_model::{Clock as _, Matcher, SystemClock};

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
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is this command's job"
)]
pub(crate) fn run(args: &ExportArgs) -> ExitCode {
    let ExportCommand::Blocks(args) = &args.command;
    match blocks(args) {
        Ok(blocks) => {
            for meta in &blocks {
                println!("{}", line(meta));
            }
            let samples: u64 = blocks.iter().map(|m| m.stats.samples).sum();
            println!("{} blocks, {samples} samples", blocks.len());
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
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
        let ExportCommand::Blocks(args) = Line::try_parse_from(line).unwrap().args.command;
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
