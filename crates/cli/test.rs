//! `tsdb test promql`: runs query test scripts over a real store in a temporary directory.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use tempfile::TempDir;

use tsdb::{Appendable, Appender, Db, Options, Querier, Queryable, StorageError, WalSync};
use tsdb_promql::script::{MemoryStore, Report, ScriptStore, run_text};

use crate::flags::TestPromqlArgs;
use crate::output::say;

/// Runs the command; the exit code is 1 when anything is not as expected.
#[expect(clippy::print_stderr, reason = "printing is this command's job")]
pub(crate) fn run(args: &TestPromqlArgs) -> ExitCode {
    let mut total = Report::default();
    for file in &args.files {
        match run_file(file) {
            Ok(report) => {
                for failure in &report.failures {
                    say(&format!("{failure}\n"));
                }
                say(&format!(
                    "{}: {} passed, {} failed",
                    file.display(),
                    report.passed,
                    report.failed
                ));
                total.merge(report);
            }
            Err(e) => {
                eprintln!("error: {e:#}");
                return ExitCode::FAILURE;
            }
        }
    }
    say(&format!("{} passed, {} failed", total.passed, total.failed));
    if total.is_success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run_file(file: &Path) -> anyhow::Result<Report> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    // Scripts have no place for a store that cannot be opened: they go on with a stand-in, and
    // what comes of it is thrown away.
    let mut failed = None;
    let report = run_text(
        &file.display().to_string(),
        &text,
        &mut || match TempDb::open() {
            Ok(db) => Box::new(db) as Box<dyn ScriptStore>,
            Err(e) => {
                failed.get_or_insert(e);
                Box::new(MemoryStore::new())
            }
        },
    );
    match failed {
        None => Ok(report),
        Some(e) => Err(e),
    }
}

/// A store that is gone with its directory when it is dropped.
struct TempDb {
    db: Db, // before the directory: fields are dropped in this order
    _dir: TempDir,
}

impl TempDb {
    fn open() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir().context("cannot make a temporary directory")?;
        let options = Options {
            // Scripts begin in 1970, and a load may begin anew where others have gone on.
            retention_ms: 0,
            wal_sync: WalSync::Never,
            maintenance_interval_ms: 0,
            ..Options::default()
        };
        let db = Db::open(dir.path(), options).context("cannot open a temporary store")?;
        Ok(Self { db, _dir: dir })
    }
}

impl Appendable for TempDb {
    fn appender(&self) -> Box<dyn Appender + '_> {
        self.db.appender()
    }
}

impl Queryable for TempDb {
    fn querier(&self, mint_ms: i64, maxt_ms: i64) -> Result<Box<dyn Querier + '_>, StorageError> {
        self.db.querier(mint_ms, maxt_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "load 1m\n  a{b=\"c\"} 0+1x10\n\neval instant at 5m a\n  a{b=\"c\"} 5\n\n\
                          clear\n\neval instant at 5m a\n";

    #[test]
    fn a_script_runs_over_a_store_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.test");
        for (script, passed) in [(SCRIPT.to_string(), 2), (SCRIPT.replace("} 5", "} 6"), 1)] {
            let mut new = tempfile::NamedTempFile::new_in(dir.path()).unwrap();
            std::io::Write::write_all(&mut new, script.as_bytes()).unwrap();
            new.persist(&file).unwrap();
            let report = run_file(&file).unwrap();
            assert_eq!(
                (report.passed, report.failed),
                (passed, 2 - passed),
                "{report:?}"
            );
        }
        assert!(run_file(&dir.path().join("absent.test")).is_err());
    }
}
