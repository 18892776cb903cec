//! `tsdb inspect`: what is in a data directory, and whether it is sound. Works without a server and
//! beside a running one.

mod cardinality;
mod dump;
mod files;
mod table;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};

use tsdb::{Dir, StdDir};

use crate::output;

/// Settings of `tsdb inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    #[command(subcommand)]
    pub(crate) command: InspectCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum InspectCommand {
    /// List the blocks: times, series, samples, bytes.
    Blocks(DirArgs),
    /// List the segments of the log, and what is damaged in them.
    Wal(DirArgs),
    /// What is in memory when the directory is opened: series, samples, times.
    Head(DirArgs),
    /// Which metrics, labels and targets take the series and the space.
    Cardinality(CardinalityArgs),
    /// Print all samples.
    Dump(DumpArgs),
    /// Check every byte. Exit code 3 when something is damaged.
    Verify(DirArgs),
}

/// A directory and how to print.
#[derive(Debug, Args)]
pub(crate) struct DirArgs {
    /// Data directory.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,

    /// How to print.
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: Format,
}

/// Settings of `tsdb inspect cardinality`.
#[derive(Debug, Args)]
pub(crate) struct CardinalityArgs {
    #[command(flatten)]
    pub(crate) dir: DirArgs,

    /// Entries of each list.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: usize,

    /// Only series that this selector selects.
    #[arg(long = "match", value_name = "SELECTOR")]
    pub(crate) selector: Option<String>,
}

/// Settings of `tsdb inspect dump`.
#[derive(Debug, Args)]
pub(crate) struct DumpArgs {
    /// Data directory.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,

    /// A line per sample (`{labels} value time`), or JSON lines as /api/v1/import takes them.
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: Format,

    /// Only series that this selector selects; may be repeated.
    #[arg(long = "match", value_name = "SELECTOR")]
    pub(crate) selectors: Vec<String>,

    /// First time.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) start: Option<String>,

    /// Last time.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) end: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Exit code for damage.
const EXIT_DAMAGED: u8 = 3;

/// Runs the command: exit code 1 when it fails, 3 when it finds damage.
#[expect(clippy::print_stderr, reason = "printing is this command's job")]
pub(crate) fn run(args: &InspectArgs) -> ExitCode {
    let done = match &args.command {
        InspectCommand::Blocks(args) => files::blocks(args),
        InspectCommand::Wal(args) => files::wal(args),
        InspectCommand::Head(args) => files::head(args),
        InspectCommand::Cardinality(args) => cardinality::run(args),
        InspectCommand::Dump(args) => dump::run(args),
        InspectCommand::Verify(args) => verify::run(args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_DAMAGED),
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}

/// The directory, if it is one of a store.
fn open(path: &std::path::Path) -> anyhow::Result<Arc<dyn Dir>> {
    let dir = StdDir::new(path);
    let names = dir.list("").with_context(|| path.display().to_string())?;
    if !names.iter().any(|n| n == "wal" || n == "blocks") {
        anyhow::bail!("there is no store in {}", path.display());
    }
    Ok(Arc::new(dir))
}

/// Prints a JSON document, or else a text.
fn print(
    format: Format,
    json: impl FnOnce() -> serde_json::Value,
    text: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    let text = match format {
        Format::Json => format!("{:#}\n", json()),
        Format::Table => text(),
    };
    output::print(&text).context("standard output")
}
