//! `tsdb import`: data of others into a data directory.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use tsdb::prom_block::{self, Imported};
use tsdb::{Db, Options, StdDir};

use crate::source::SourceArgs;

mod samples;

/// Settings of `tsdb import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    #[command(subcommand)]
    pub(crate) command: ImportCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// Read the blocks of a data directory of Prometheus, or a single block.
    ///
    /// Its log (wal) is not read: import a snapshot (POST /api/v1/admin/tsdb/snapshot) to have all.
    /// Importing the same blocks again does no harm.
    Blocks(ImportBlocksArgs),
    /// Read JSON lines, as `tsdb export json` and VictoriaMetrics write them.
    Json(ImportSamplesArgs),
    /// Read rows of series, time (ms) and value, as `tsdb export csv` writes them.
    Csv(ImportSamplesArgs),
    /// Read the text format of Prometheus; samples without a time get the present one.
    Text(ImportSamplesArgs),
    /// Read the OpenMetrics text format.
    Openmetrics(ImportSamplesArgs),
}

/// Settings of `tsdb import json|csv|text|openmetrics`.
#[derive(Debug, Args)]
pub(crate) struct ImportSamplesArgs {
    /// Files to read; standard input when absent.
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) source: SourceArgs,
}

/// Settings of `tsdb import blocks`.
#[derive(Debug, Args)]
pub(crate) struct ImportBlocksArgs {
    /// Data directory to write into; made if needed. No server may be using it.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,

    /// Directory with the blocks.
    #[arg(value_name = "FROM")]
    pub(crate) from: PathBuf,
}

/// Runs the command; the exit code is 1 when it fails or a sample was refused.
#[expect(clippy::print_stderr, reason = "printing is this command's job")]
pub(crate) fn run(args: &ImportArgs) -> ExitCode {
    let args = match &args.command {
        ImportCommand::Blocks(args) => args,
        ImportCommand::Json(args) => return samples::run(args, samples::Format::Json),
        ImportCommand::Csv(args) => return samples::run(args, samples::Format::Csv),
        ImportCommand::Text(args) => return samples::run(args, samples::Format::Text),
        ImportCommand::Openmetrics(args) => {
            return samples::run(args, samples::Format::OpenMetrics);
        }
    };
    match blocks(args) {
        Ok(done) => {
            let text = format!("{} samples of {} blocks\n", done.samples, done.blocks);
            if let Err(e) = crate::output::print(&text) {
                eprintln!("error: standard output: {e}");
            }
            for (reason, count) in &done.reasons {
                eprintln!("{count} samples refused: {reason}");
            }
            ExitCode::from(u8::from(done.rejected > 0))
        }
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn blocks(args: &ImportBlocksArgs) -> anyhow::Result<Imported> {
    // A look at the blocks first: a wrong path should not leave a data directory behind.
    let from = StdDir::new(&args.from);
    if prom_block::list_blocks(&from)?.is_empty() {
        anyhow::bail!("no blocks in {}", args.from.display());
    }
    // What is old is what is imported; retention is the server's to decide.
    let options = Options {
        retention_ms: 0,
        ..Options::default()
    };
    let db = Db::open(&args.dir, options)?;
    let mut bar = crate::progress::Progress::new("read");
    let done = prom_block::import(&from, &db, &mut |p| {
        bar.show(p.done_until_ms, p.min_time_ms, p.max_time_ms, p.samples);
    });
    bar.finish();
    db.close()?;
    Ok(done?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_path_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("data");
        for from in ["missing", ""] {
            let args = ImportBlocksArgs {
                dir: dir.clone(),
                from: folder.path().join(from),
            };
            assert!(blocks(&args).is_err());
            assert!(!dir.exists());
        }
    }
}
