//! `tsdb snapshot` and `tsdb delete`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;

use tsdb_model::{Clock as _, SystemClock};

use crate::output::{self, print};
use crate::source::{Access, Ask, Source, SourceArgs, TimesArgs};
use crate::time::parse_time;

/// Settings of `tsdb snapshot`.
#[derive(Debug, Args)]
pub(crate) struct SnapshotArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,

    /// Directory to write the snapshot of --dir into. A server puts its own below `snapshots` in
    /// its data directory.
    #[arg(long, value_name = "DIR", requires = "dir")]
    pub(crate) out: Option<PathBuf>,
}

/// Settings of `tsdb delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// Selectors; samples of series that any of them selects are deleted.
    #[arg(value_name = "SELECTOR", required = true)]
    pub(crate) selectors: Vec<String>,

    #[command(flatten)]
    pub(crate) source: SourceArgs,

    #[command(flatten)]
    pub(crate) times: TimesArgs,

    /// Take the samples off the disk at once.
    #[arg(long)]
    pub(crate) clean: bool,
}

/// Runs `tsdb snapshot`; prints where it is.
pub(crate) fn snapshot(args: &SnapshotArgs) -> ExitCode {
    output::report(|| {
        if args.source.dir.is_some() && args.out.is_none() {
            bail!("--dir needs --out");
        }
        // What is only in memory and log is written to a block first.
        let source = Source::open(&args.source, Access::Write)?;
        let place = match (source.db(), &args.out) {
            (Some(db), Some(out)) => {
                db.snapshot(out)?;
                out.display().to_string()
            }
            _ => {
                let data = source.data("/api/v1/admin/tsdb/snapshot", &[])?;
                let name = data["name"].as_str();
                name.context("the server did not name the snapshot")?
                    .to_string()
            }
        };
        source.close()?;
        Ok(print(&format!("{place}\n"))?)
    })
}

/// Runs `tsdb delete`.
pub(crate) fn delete(args: &DeleteArgs) -> ExitCode {
    output::report(|| {
        let source = Source::open(&args.source, Access::Write)?;
        if let Some(db) = source.db() {
            let now = SystemClock.now_ms();
            let time = |text: &Option<String>, default: i64| match text {
                Some(text) => parse_time(text, now).map_err(anyhow::Error::msg),
                None => Ok(default),
            };
            let start = time(&args.times.start, i64::MIN).context("--start")?;
            let end = time(&args.times.end, i64::MAX).context("--end")?;
            if end < start {
                bail!("--end is before --start");
            }
            let parse = |text: &String| {
                tsdb_promql::parse_selector(text)
                    .map_err(|e| anyhow::anyhow!("{e}"))
                    .with_context(|| format!("selector {text}"))
            };
            // All are read before anything is deleted.
            let selectors = args.selectors.iter().map(parse);
            for matchers in selectors.collect::<anyhow::Result<Vec<_>>>()? {
                db.delete(&matchers, start, end)?;
            }
            if args.clean {
                db.clean_tombstones()?;
            }
            return source.close();
        }
        let selectors = args.selectors.iter().map(|s| ("match[]", s.clone()));
        let mut form: Vec<_> = selectors.collect();
        form.extend(args.times.parameters()?);
        source.ask(
            Ask::Form("/api/v1/admin/tsdb/delete_series", &form),
            &mut |_| Ok(()),
        )?;
        if args.clean {
            source.ask(
                Ask::Form("/api/v1/admin/tsdb/clean_tombstones", &[]),
                &mut |_| Ok(()),
            )?;
        }
        Ok(())
    })
}
