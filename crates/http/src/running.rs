//! Queries that run or wait for their turn: to be listed, and to be ended by number.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;
use tsdb_promql::{CancelToken, QueryProgress};

/// Longest piece of a query's text that is kept here, in bytes.
const MAX_TEXT: usize = 4096;

/// What a query is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) query: String,
    /// Path of the endpoint.
    pub(crate) handler: &'static str,
    /// First and last time asked for, milliseconds; the same for an instant query.
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
    /// 0 for an instant query.
    pub(crate) step_ms: i64,
    /// Address of the client, when known.
    pub(crate) client: String,
}

struct Entry {
    subject: Subject,
    since_ms: i64,
    since: Instant,
    cancel: CancelToken,
    progress: QueryProgress,
}

/// All queries under way.
#[derive(Default)]
pub(crate) struct RunningQueries {
    last: AtomicU64,
    entries: Mutex<BTreeMap<u64, Entry>>,
}

/// One query, as it is shown.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Shown {
    /// A text: numbers of 64 bits are not safe in JavaScript.
    pub(crate) id: String,
    pub(crate) query: String,
    pub(crate) handler: &'static str,
    pub(crate) start: f64,
    pub(crate) end: f64,
    pub(crate) step: f64,
    pub(crate) client: String,
    /// Unix seconds.
    pub(crate) since: f64,
    pub(crate) duration_seconds: f64,
    pub(crate) canceled: bool,
    pub(crate) series: u64,
    pub(crate) samples: u64,
    pub(crate) bytes: u64,
    pub(crate) peak_bytes: u64,
}

impl RunningQueries {
    /// Notes a query until the guard is dropped.
    pub(crate) fn enter(
        self: &Arc<Self>,
        mut subject: Subject,
        now_ms: i64,
        cancel: CancelToken,
        progress: QueryProgress,
    ) -> Registered {
        let mut end = subject.query.len().min(MAX_TEXT);
        while !subject.query.is_char_boundary(end) {
            end -= 1;
        }
        subject.query.truncate(end);
        subject.query.shrink_to_fit();
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let entry = Entry {
            subject,
            since_ms: now_ms,
            since: Instant::now(),
            cancel,
            progress,
        };
        self.lock().insert(id, entry);
        Registered {
            queries: Arc::clone(self),
            id,
        }
    }

    /// The queries under way, the oldest first.
    pub(crate) fn list(&self) -> Vec<Shown> {
        let seconds = |ms: i64| ms as f64 / 1000.0;
        let shown = |(id, entry): (&u64, &Entry)| Shown {
            id: id.to_string(),
            query: entry.subject.query.clone(),
            handler: entry.subject.handler,
            start: seconds(entry.subject.start_ms),
            end: seconds(entry.subject.end_ms),
            step: seconds(entry.subject.step_ms),
            client: entry.subject.client.clone(),
            since: seconds(entry.since_ms),
            duration_seconds: entry.since.elapsed().as_secs_f64(),
            canceled: entry.cancel.is_canceled(),
            series: entry.progress.series(),
            samples: entry.progress.samples_read(),
            bytes: entry.progress.bytes() as u64,
            peak_bytes: entry.progress.peak_bytes() as u64,
        };
        self.lock().iter().map(shown).collect()
    }

    /// Ends a query; false when there is none of this number.
    pub(crate) fn kill(&self, id: u64) -> bool {
        let entries = self.lock();
        let found = entries.get(&id);
        if let Some(entry) = found {
            entry.cancel.cancel();
        }
        found.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A query is on the list as long as this lives.
pub(crate) struct Registered {
    queries: Arc<RunningQueries>,
    id: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.queries.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_killed_and_gone() {
        let queries = Arc::new(RunningQueries::default());
        let cancel = CancelToken::default();
        let subject = Subject {
            query: "\u{e4}".repeat(MAX_TEXT),
            end_ms: 1500,
            ..Subject::default()
        };
        let progress = QueryProgress::default();
        let guard = queries.enter(subject, 2000, cancel.clone(), progress);
        let shown = queries.list();
        assert_eq!(shown.len(), 1);
        assert_eq!((shown[0].id.as_str(), shown[0].end), ("1", 1.5));
        assert_eq!(shown[0].query.len(), MAX_TEXT);
        assert!(!queries.kill(2) && !cancel.is_canceled());
        assert!(queries.kill(1) && cancel.is_canceled());
        assert!(queries.list()[0].canceled);
        drop(guard);
        assert!(queries.list().is_empty() && !queries.kill(1));
    }
}
