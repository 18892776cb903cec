//! `global.query_log_file`: a line of JSON for each evaluated query, with Prometheus's fields.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tsdb_model::float::write_float_positional;

use crate::json::{ShownStats, rfc3339_ms, write_string};

/// A file that is open for appending.
#[derive(Debug)]
pub struct QueryLogFile(File);

impl QueryLogFile {
    /// Opens the file, making it if needed.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = std::fs::OpenOptions::new();
        options.create(true).append(true).open(path).map(Self)
    }
}

/// The log in force, if any.
#[derive(Debug, Default)]
pub(crate) struct QueryLog {
    file: Mutex<Option<QueryLogFile>>,
    enabled: AtomicBool,
    failures: AtomicU64,
}

/// A query that has been evaluated; times in milliseconds.
pub(crate) struct Logged<'a> {
    pub(crate) query: &'a str,
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) step: i64,
    pub(crate) error: Option<String>,
    pub(crate) stats: ShownStats,
    pub(crate) client: &'a str,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
}

impl QueryLog {
    /// Goes on in another file, or not at all.
    pub(crate) fn set(&self, file: Option<QueryLogFile>) {
        self.enabled.store(file.is_some(), Ordering::Relaxed);
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = file;
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Writes a line, which is there when this returns; a failure is counted, and logged once in a
    /// while.
    pub(crate) fn write(&self, now_ms: i64, logged: &Logged<'_>) {
        if !self.is_enabled() {
            return;
        }
        let line = line(now_ms, logged);
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(QueryLogFile(file)) = file.as_mut() else {
            return;
        };
        if let Err(error) = file.write_all(line.as_bytes()) {
            let before = self.failures.fetch_add(1, Ordering::Relaxed);
            if before.is_power_of_two() || before == 0 {
                tracing::error!(%error, failures = before + 1, "query log not written");
            }
        }
    }
}

/// Always with milliseconds, as Prometheus writes the times of a query.
fn time(ms: i64) -> String {
    let rest = ms.rem_euclid(1000);
    let seconds = rfc3339_ms(ms - rest);
    format!("{}.{rest:03}Z", seconds.trim_end_matches('Z'))
}

fn line(now_ms: i64, logged: &Logged<'_>) -> String {
    let mut out = String::new();
    let _ = write!(out, "{{\"time\":\"{}\"", rfc3339_ms(now_ms));
    out += ",\"level\":\"INFO\",\"msg\":\"promql query logged\",\"params\":{\"end\":\"";
    out += &time(logged.end);
    out += "\",\"query\":";
    write_string(&mut out, logged.query);
    out += ",\"start\":\"";
    out += &time(logged.start);
    out += "\",\"step\":";
    write_float_positional(&mut out, logged.step as f64 / 1000.0);
    out.push('}');
    if let Some(error) = &logged.error {
        out += ",\"error\":";
        write_string(&mut out, error);
    }
    out += ",\"stats\":";
    logged.stats.write(&mut out);
    out += ",\"httpRequest\":{\"clientIP\":";
    write_string(&mut out, logged.client);
    out += ",\"method\":";
    write_string(&mut out, logged.method);
    out += ",\"path\":";
    write_string(&mut out, logged.path);
    out += "}}\n";
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_json_and_files_can_change() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("a"), dir.path().join("b"));
        let log = QueryLog::default();
        let logged = Logged {
            query: "up{a=\"\n\"}",
            start: 0,
            end: 1500,
            step: 500,
            error: Some("too \"many\"".into()),
            stats: ShownStats {
                engine: tsdb::QueryStats::default(),
                queue_seconds: 0.25,
                all: false,
            },
            client: "::1",
            method: "GET",
            path: "/api/v1/query_range",
        };
        log.write(1, &logged);
        for path in [&first, &first, &second] {
            log.set(Some(QueryLogFile::open(path).unwrap()));
            assert!(log.is_enabled());
            log.write(1, &logged);
        }
        log.set(None);
        log.write(1, &logged);
        let lines = |path: &Path| -> Vec<serde_json::Value> {
            let text = std::fs::read_to_string(path).unwrap();
            text.lines()
                .map(|l| serde_json::from_str(l).unwrap())
                .collect()
        };
        assert_eq!((lines(&first).len(), lines(&second).len()), (2, 1));
        let line = &lines(&second)[0];
        assert_eq!(line["params"]["query"], "up{a=\"\n\"}");
        assert_eq!(line["params"]["end"], "1970-01-01T00:00:01.500Z");
        assert_eq!(line["params"]["start"], "1970-01-01T00:00:00.000Z");
        assert_eq!(line["params"]["step"], 0.5);
        assert_eq!(line["error"], "too \"many\"");
        assert_eq!(line["stats"]["timings"]["execQueueTime"], 0.25);
        assert_eq!(line["httpRequest"]["clientIP"], "::1");
        assert_eq!(log.failures(), 0);
    }
}
