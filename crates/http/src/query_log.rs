//! The query log: one JSON line per query, in the file that `global.query_log_file` names.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::json::{self, ShownStats, rfc3339_ms};
use crate::running::Subject;

/// Where queries are logged.
#[derive(Debug, Default)]
pub(crate) struct QueryLog {
    open: Mutex<Option<(PathBuf, File)>>,
    failures: AtomicU64,
}

impl QueryLog {
    /// Logs to this file from now on, or nowhere. The file is opened anew also when its name did
    /// not change, so that it can be rotated. When it cannot be opened all stays as it was.
    pub(crate) fn use_file(&self, path: Option<&Path>) -> Result<(), String> {
        let opened = match path {
            None => None,
            Some(path) => {
                let file = OpenOptions::new().append(true).create(true).open(path);
                let file = file.map_err(|e| format!("query log file {}: {e}", path.display()))?;
                Some((path.to_path_buf(), file))
            }
        };
        *self.lock() = opened;
        Ok(())
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.lock().is_some()
    }

    /// Lines that could not be written.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Adds a line about a query that ended.
    pub(crate) fn write(
        &self,
        now_ms: i64,
        subject: &Subject,
        method: &str,
        stats: &ShownStats,
        error: Option<&str>,
    ) {
        let mut open = self.lock();
        let Some((path, file)) = open.as_mut() else {
            return;
        };
        // One write, so that lines never mix.
        let line = line(now_ms, subject, method, stats, error);
        if let Err(error) = file.write_all(line.as_bytes()) {
            self.failures.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(path = %path.display(), %error, "the query log cannot be written");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(PathBuf, File)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line(
    now_ms: i64,
    subject: &Subject,
    method: &str,
    stats: &ShownStats,
    error: Option<&str>,
) -> String {
    let mut out = String::from("{\"time\":");
    json::write_string(&mut out, &time(now_ms));
    out.push_str(",\"level\":\"INFO\",\"msg\":\"promql query logged\",\"params\":{\"end\":");
    json::write_string(&mut out, &time(subject.end_ms));
    out.push_str(",\"query\":");
    json::write_string(&mut out, &subject.query);
    out.push_str(",\"start\":");
    json::write_string(&mut out, &time(subject.start_ms));
    let _ = write!(out, ",\"step\":{}}}", subject.step_ms / 1000);
    if let Some(error) = error {
        out.push_str(",\"error\":");
        json::write_string(&mut out, error);
    }
    out.push_str(",\"stats\":");
    stats.write(&mut out);
    out.push_str(",\"httpRequest\":{\"clientIP\":");
    json::write_string(&mut out, &subject.client);
    out.push_str(",\"method\":");
    json::write_string(&mut out, method);
    out.push_str(",\"path\":");
    json::write_string(&mut out, subject.handler);
    out.push_str("}}\n");
    out
}

/// A time with three decimals, always.
fn time(ms: i64) -> String {
    let seconds = rfc3339_ms(ms.div_euclid(1000).saturating_mul(1000));
    let seconds = seconds.trim_end_matches('Z');
    format!("{seconds}.{:03}Z", ms.rem_euclid(1000))
}

#[cfg(test)]
mod tests {
    use tsdb_promql::QueryStats;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "rotates as another program does")]
    fn lines_and_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("q.log");
        let log = QueryLog::default();
        let subject = Subject {
            query: "up == \"\n\"".into(),
            handler: "/api/v1/query_range",
            start_ms: 1_000,
            end_ms: 2_000,
            step_ms: 15_000,
            client: "127.0.0.1".into(),
        };
        let stats = ShownStats {
            engine: QueryStats {
                total_queryable_samples: 3,
                ..QueryStats::default()
            },
            queue_seconds: 0.25,
            all: false,
        };
        log.write(0, &subject, "GET", &stats, None);
        assert!(!log.is_enabled());
        log.use_file(Some(&path)).unwrap();
        log.write(0, &subject, "GET", &stats, None);
        std::fs::rename(&path, dir.path().join("old.log")).unwrap();
        log.use_file(Some(&path)).unwrap();
        log.write(0, &subject, "POST", &stats, Some("no"));
        assert!(log.use_file(Some(dir.path())).is_err());
        assert!(log.is_enabled());
        log.use_file(None).unwrap();
        log.write(0, &subject, "GET", &stats, None);

        let old = std::fs::read_to_string(dir.path().join("old.log")).unwrap();
        let line: serde_json::Value = serde_json::from_str(&old).unwrap();
        assert_eq!(line["params"]["query"], "up == \"\n\"");
        assert_eq!(line["params"]["start"], "1970-01-01T00:00:01.000Z");
        assert_eq!(line["params"]["step"], 15);
        assert_eq!(line["stats"]["timings"]["execQueueTime"], 0.25);
        assert_eq!(line["stats"]["samples"]["totalQueryableSamples"], 3);
        assert_eq!(line["httpRequest"]["path"], "/api/v1/query_range");
        let new = std::fs::read_to_string(&path).unwrap();
        let line: serde_json::Value = serde_json::from_str(&new).unwrap();
        assert_eq!(line["error"], "no");
        assert_eq!(new.lines().count(), 1);
        assert_eq!(log.failures(), 0);
    }
}
