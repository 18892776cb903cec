//! Commits: check against what is stored, write to the log, apply, publish. A commit that cannot
//! be written changes nothing.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use hashbrown::HashMap;
use tsdb_model::{
    AppendError, CommitReport, Exemplar, Metadata, Rejected, SeriesRef, StorageError, is_stale,
};

use crate::head::exemplars::{ExemplarOrder, order};
use crate::head::floats::Pool;
use crate::head::histograms::stale_like;
use crate::head::series::{SampleValue, Series, StoredSample};
use crate::head::{Batch, Head, WARM};
use crate::options::WalSync;
use crate::order::{Bounds, Verdict};
use crate::shared::{Shared, count, lock};
use crate::wal::log::Log;

/// A sample of a transaction.
#[derive(Debug)]
pub(crate) struct PendingSample {
    pub(crate) series: SeriesRef,
    pub(crate) t: i64,
    /// Start timestamp, if one was stated.
    pub(crate) start: Option<i64>,
    pub(crate) value: SampleValue,
}

/// A transaction that was not committed yet.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) samples: Vec<PendingSample>,
    pub(crate) exemplars: Vec<(SeriesRef, Exemplar)>,
    pub(crate) metadata: Vec<(String, Metadata)>,
    /// Samples behind their series' newest one are refused.
    pub(crate) refuse_late: bool,
}

/// What of a transaction is to be stored.
#[derive(Debug, Default)]
struct Plan {
    batch: Batch,
    report: CommitReport,
    late: u64,
}

/// The samples of one series that were accepted so far, by time.
struct Run<'a> {
    series: &'a Series,
    pool: &'a Pool,
    accepted: Vec<StoredSample>,
}

impl Run<'_> {
    fn newest(&self) -> Option<i64> {
        self.series.max_t().max(self.accepted.last().map(|s| s.t))
    }

    fn at(&self, t: i64) -> Option<SampleValue> {
        match self.accepted.binary_search_by_key(&t, |s| s.t) {
            Ok(i) => self.accepted.get(i).map(|s| s.value.clone()),
            Err(_) => self.series.at(t, self.pool),
        }
    }

    /// A float staleness marker behind a histogram becomes a histogram.
    fn as_stored(&self, t: i64, value: SampleValue) -> SampleValue {
        let SampleValue::Float(v) = value else {
            return value;
        };
        if !is_stale(v) || self.newest().is_some_and(|n| t <= n) {
            return value;
        }
        let newest = match self.accepted.last() {
            Some(last) if Some(last.t) >= self.series.max_t() => match &last.value {
                SampleValue::Histogram(h) => Some(h),
                SampleValue::Float(_) => None,
            },
            _ => self.series.newest_histogram().map(|e| &e.value),
        };
        newest.map_or(value, |h| SampleValue::Histogram(stale_like(h, v)))
    }

    fn insert(&mut self, sample: StoredSample) {
        let at = self.accepted.partition_point(|s| s.t < sample.t);
        self.accepted.insert(at, sample);
    }
}

fn plan(shared: &Shared, head: &Head, mut pending: Pending) -> Plan {
    let mut plan = Plan::default();
    let mut bounds = shared.bounds(head.max_t);
    if pending.refuse_late {
        bounds = bounds.without_late();
    }
    pending.samples.sort_by_key(|s| s.series);
    plan.batch.samples.reserve(pending.samples.len());
    let mut samples = pending.samples.into_iter();
    let mut warm = 0;
    let mut memory = Vec::new();
    let mut stored = 0;
    let mut rejected = Vec::new();
    while let Some(handle) = samples.as_slice().first().map(|s| s.series) {
        if warm == 0 {
            head.warm(samples.as_slice().iter().take(WARM).map(|s| s.series));
            warm = WARM;
        }
        warm -= 1;
        let of_series = std::iter::from_fn(|| {
            samples.as_slice().first().filter(|s| s.series == handle)?;
            samples.next()
        });
        let mut refuse = |t: i64, error: AppendError| {
            shared.counters.refused(&error);
            rejected.push(Rejected {
                series: handle,
                timestamp_ms: t,
                error,
            });
        };
        let Some(series) = head.get(handle) else {
            of_series.for_each(|s| refuse(s.t, AppendError::UnknownSeries));
            continue;
        };
        let mut run = Run {
            series,
            pool: &head.pool,
            accepted: memory,
        };
        for sample in of_series {
            let t = sample.t;
            let value = run.as_stored(t, sample.value);
            match bounds.check(t, &value, run.newest(), || run.at(t)) {
                Err(error) => refuse(t, error),
                Ok(Verdict::Repetition) => stored += 1,
                Ok(verdict) => {
                    plan.late += u64::from(verdict == Verdict::Late);
                    stored += 1;
                    let before = run.accepted.partition_point(|s| s.t < t).checked_sub(1);
                    let inherited = || match before.and_then(|i| run.accepted.get(i)) {
                        // The newer of the sample before in this commit and in the store.
                        Some(s) if Some(s.t) >= series.max_t() => s.start,
                        _ => series.start_at(t),
                    };
                    let start = sample.start.unwrap_or_else(inherited);
                    run.insert(StoredSample { t, start, value });
                }
            }
        }
        plan.batch
            .samples
            .extend(run.accepted.drain(..).map(|s| (handle, s)));
        memory = run.accepted;
    }
    plan.report = CommitReport {
        samples: stored,
        rejected,
    };
    plan_exemplars(shared, head, pending.exemplars, &bounds, &mut plan.batch);
    // Of several statements about a family the last one counts.
    let metadata: BTreeMap<String, Metadata> = pending.metadata.into_iter().collect();
    let changed = metadata
        .into_iter()
        .filter(|(f, m)| head.metadata.get(f) != Some(m));
    plan.batch.metadata.extend(changed);
    plan
}

fn plan_exemplars(
    shared: &Shared,
    head: &Head,
    exemplars: Vec<(SeriesRef, Exemplar)>,
    bounds: &Bounds,
    batch: &mut Batch,
) {
    let mut newest: HashMap<SeriesRef, usize> = HashMap::new();
    for (series, exemplar) in exemplars {
        if head.get(series).is_none() || exemplar.timestamp_ms < bounds.retention_floor {
            continue;
        }
        let in_batch = newest
            .get(&series)
            .and_then(|i| batch.exemplars.get(*i))
            .map(|e| &e.1);
        match in_batch
            .or_else(|| head.exemplars.newest(series))
            .map(|n| order(n, &exemplar))
        {
            None | Some(ExemplarOrder::Newer) => {
                newest.insert(series, batch.exemplars.len());
                batch.exemplars.push((series, exemplar));
            }
            Some(ExemplarOrder::Same) => {}
            Some(ExemplarOrder::Older) => count(&shared.counters.out_of_order_exemplars),
        }
    }
}

impl Shared {
    /// Commits a transaction.
    pub(crate) fn commit(&self, pending: Pending) -> Result<CommitReport, StorageError> {
        self.check_writable()?;
        let budget = &self.options.budget;
        if !budget.takes_writes() {
            return Err(StorageError::Unavailable(format!(
                "memory limit of {} bytes nearly reached: nothing is stored until there is memory \
                 again",
                budget.limit()
            )));
        }
        let mut log = lock(&self.log);
        self.check_writable()?;
        let plan = plan(self, &self.head(), pending);
        if plan.batch.is_empty() {
            return Ok(plan.report);
        }
        let commit = self.store(&mut log, plan.batch)?;
        drop(log);
        self.counters
            .late_samples
            .fetch_add(plan.late, Ordering::Relaxed);
        if self.options.wal_sync == WalSync::Group {
            self.sync_shared(commit, true)?;
            if self.head().published < commit {
                let mut head = self.head_mut();
                head.published = head.published.max(commit);
            }
        }
        Ok(plan.report)
    }

    /// Writes a batch and applies it; answers the commit's number.
    pub(crate) fn store(&self, log: &mut Log, batch: Batch) -> Result<u64, StorageError> {
        if log.is_full() {
            self.finish_segment(log)?;
        }
        log.begin().inspect_err(|e| self.write_failed(e))?;
        let (encoded, commit) = {
            let head = self.head();
            (log.encode(&head, &batch), head.applied + 1)
        };
        let encoded = match encoded {
            Ok(encoded) => encoded,
            Err(e) => {
                // What comes next must not be coded against what was not written.
                let _ = self.finish_segment(log);
                return Err(e);
            }
        };
        if let Err(e) = log.write(&encoded) {
            self.write_failed(&e);
            // The next commit goes into a new segment.
            let _ = self.finish_segment(log);
            return Err(e);
        }
        self.write_worked();
        let number = log.current_number();
        if let Some(current) = &log.current {
            if self.options.wal_sync == WalSync::Always {
                self.sync_file(&*current.file)?;
            }
            self.sync.written(commit, &current.file);
        }
        if self.options.wal_sync == WalSync::Always {
            self.sync.all_synced();
        }
        let group = self.options.wal_sync == WalSync::Group;
        let mut head = self.head_mut();
        let (readers, horizon) = self.horizon(&head);
        for (handle, id) in encoded.defined {
            if let Some(series) = head.get_mut(handle) {
                (series.log_id, series.log_segment) = (id, Some(number));
            }
        }
        head.apply(batch, commit, readers || group, horizon);
        if !group {
            head.published = commit;
        }
        count(&self.counters.commits);
        Ok(commit)
    }

    /// Ends the current segment: forced to the disk, never written again.
    pub(crate) fn finish_segment(&self, log: &mut Log) -> Result<(), StorageError> {
        // By the same road as shared syncs: none may succeed behind the back of one that failed.
        let synced = self.sync_all();
        log.finish();
        synced
    }
}
