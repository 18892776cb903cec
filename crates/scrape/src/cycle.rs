//! One scrape, from the fetched page to the commit: series lookup, limits, staleness markers and
//! the synthetic series. All of it is blocking work without a runtime.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;
use tsdb_model::{
    AppendError, Appendable, Appender, CommitReport, MetricType, SeriesRef, StorageError, stale_nan,
};
use tsdb_wire::text::{Entry, LabelPair, SeriesLine};

use crate::cache::SeriesCache;
use crate::exemplars::Exemplars;
use crate::metadata::MetadataCache;
use crate::page::Page;
use crate::sample::{SampleError, SampleRules};
use crate::stats::{Counters, add};
use crate::tally::Tally;

/// Samples may be this far ahead of the clock, milliseconds.
const MAX_AHEAD_MS: i64 = 10 * 60 * 1000;

const SYNTHETIC: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];

/// How the pages of a target become samples.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CycleRules {
    /// How series are labelled.
    pub(crate) sample: SampleRules,
    /// Exposed timestamps are used.
    pub(crate) honor_timestamps: bool,
    /// Series with exposed timestamps get staleness markers, too.
    pub(crate) track_timestamps_staleness: bool,
    /// Most samples of a page after relabelling; 0 for any.
    pub(crate) sample_limit: u64,
}

/// What the scrapes of one target share.
pub(crate) struct Cycle {
    appendable: Arc<dyn Appendable>,
    counters: Arc<Counters>,
    metadata: Arc<Mutex<MetadataCache>>,
    rules: Arc<CycleRules>,
    cache: SeriesCache,
    exemplars: Exemplars,
    synthetic: [Option<SeriesRef>; SYNTHETIC.len()],
}

impl Cycle {
    pub(crate) fn new(
        appendable: Arc<dyn Appendable>,
        counters: Arc<Counters>,
        metadata: Arc<Mutex<MetadataCache>>,
        rules: Arc<CycleRules>,
    ) -> Self {
        Self {
            appendable,
            counters,
            metadata,
            rules,
            cache: SeriesCache::new(),
            exemplars: Exemplars::default(),
            synthetic: [None; SYNTHETIC.len()],
        }
    }

    /// Takes on new rules. Known lines stay known when they mean the same under them.
    pub(crate) fn set_rules(&mut self, rules: &Arc<CycleRules>) {
        if Arc::ptr_eq(&self.rules, rules) {
            return;
        }
        if self.rules.sample != rules.sample {
            self.cache.forget_meanings();
            if self.rules.sample.target != rules.sample.target {
                self.synthetic = [None; SYNTHETIC.len()];
            }
        }
        self.rules = rules.clone();
    }

    /// Stores a scrape that began at `started` and has the timestamp `t_ms`: the samples of the
    /// page, or markers when there is none, and the synthetic series. Gives back why the scrape
    /// failed, if it did.
    pub(crate) fn run(
        &mut self,
        page: Result<Page, String>,
        t_ms: i64,
        started: Instant,
    ) -> Result<(), String> {
        self.cache.begin();
        let appendable = self.appendable.clone();
        let mut appender = appendable.appender();
        let mut tally = Tally::default();
        let taken = page.and_then(|p| self.take_page(&mut *appender, &p, t_ms, &mut tally));
        let ended = match &taken {
            Ok(()) => self.cache.vanished(),
            Err(_) => {
                appender.rollback();
                appender = appendable.appender();
                tally.added = 0;
                self.cache.tracked_last_time()
            }
        };
        mark_ended(&mut *appender, &ended, t_ms);
        let values = [
            f64::from(u8::from(taken.is_ok())),
            started.elapsed().as_secs_f64(),
            tally.scraped as f64,
            tally.kept as f64,
            tally.added as f64,
        ];
        self.report(&mut *appender, t_ms, values);
        self.finish(appender.commit(), taken, tally)
    }

    fn finish(
        &mut self,
        committed: Result<CommitReport, StorageError>,
        taken: Result<(), String>,
        mut tally: Tally,
    ) -> Result<(), String> {
        let counters = self.counters.clone();
        add(&counters.scrapes, 1);
        self.exemplars.end(taken.is_ok() && committed.is_ok());
        let outcome = match committed {
            Ok(report) => {
                add(&counters.samples, report.samples);
                for rejected in &report.rejected {
                    let _ = tally.count(rejected.error);
                }
                if taken.is_ok() {
                    self.cache.end();
                } else if self.cache.end_failed() {
                    add(&counters.cache_flush_forced, 1);
                }
                taken
            }
            Err(error) => {
                self.cache.end_uncommitted();
                self.metadata().repeat();
                Err(taken.err().unwrap_or_else(|| error.to_string()))
            }
        };
        if outcome.is_err() {
            add(&counters.scrapes_failed, 1);
        }
        tally.publish(&counters, &self.rules.sample.target);
        outcome
    }

    /// Marks all series of the target as ended at `t_ms`, the synthetic ones included.
    pub(crate) fn end(&mut self, t_ms: i64) -> Result<(), StorageError> {
        self.cache.begin();
        let mut ended = self.cache.tracked_last_time();
        ended.extend(self.synthetic.iter().flatten());
        let mut appender = self.appendable.appender();
        // A target that came back has newer samples by now: its series have not ended.
        appender.refuse_late();
        mark_ended(&mut *appender, &ended, t_ms);
        let report = appender.commit()?;
        add(&self.counters.samples, report.samples);
        self.cache.end_failed();
        Ok(())
    }

    fn metadata(&self) -> std::sync::MutexGuard<'_, MetadataCache> {
        self.metadata.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_page(
        &mut self,
        appender: &mut dyn Appender,
        page: &Page,
        t_ms: i64,
        tally: &mut Tally,
    ) -> Result<(), String> {
        self.metadata().begin();
        let mut exposed = Vec::new();
        let mut lines = page.lines();
        while let Some(entry) = lines.next()? {
            match entry {
                Entry::Series(line) => {
                    tally.scraped += 1;
                    self.take_line(appender, &line, t_ms, tally, &mut exposed)?;
                }
                Entry::Type {
                    family,
                    metric_type,
                } => self.metadata().set_type(&family, metric_type),
                Entry::Help { family, help } => self.metadata().set_help(&family, &help),
                Entry::Unit { family, unit } => self.metadata().set_unit(&family, &unit),
            }
        }
        let limit = self.rules.sample_limit;
        if limit > 0 && tally.kept > limit {
            add(&self.counters.exceeded_sample_limit, 1);
            return Err("sample limit exceeded".to_string());
        }
        self.metadata()
            .end(|family, metadata| appender.update_metadata(family, metadata.clone()));
        Ok(())
    }

    fn take_line<'a>(
        &mut self,
        appender: &mut dyn Appender,
        line: &SeriesLine<'a>,
        t_ms: i64,
        tally: &mut Tally,
        exposed: &mut Vec<LabelPair<'a>>,
    ) -> Result<(), String> {
        let explicit = line.timestamp_ms.filter(|_| self.rules.honor_timestamps);
        let limit = self.rules.sample_limit;
        let key = self.cache.key(line.text, variant(line.metric_type));
        let (slot, is_new) = match self.cache.find(key) {
            Some(slot) => (slot, false),
            None => {
                let within_limit = limit == 0 || tally.kept < limit;
                let series = match self.resolve(appender, line, within_limit, exposed)? {
                    Resolved::Series(series) => Some(series),
                    Resolved::Dropped => None,
                    Resolved::OverLimit => {
                        tally.kept += 1;
                        return Ok(());
                    }
                    Resolved::Refused => {
                        tally.kept += 1;
                        tally.refused += 1;
                        return Ok(());
                    }
                };
                (self.cache.insert(key, series), true)
            }
        };
        let Some(mut series) = self.cache.series(slot) else {
            self.cache.see(slot, false);
            return Ok(());
        };
        tally.kept += 1;
        if limit > 0 && tally.kept > limit {
            return Ok(()); // the page fails; it is read to its end for the counts
        }
        let tracked = explicit.is_none() || self.rules.track_timestamps_staleness;
        let first = self.cache.see(slot, tracked);
        if !first && explicit.is_none() {
            tally.duplicates += 1;
            return Ok(());
        }
        let at_ms = explicit.unwrap_or(t_ms);
        if at_ms > t_ms.saturating_add(MAX_AHEAD_MS) {
            tally.out_of_bounds += 1;
            return Ok(());
        }
        let value = line.value;
        let mut appended = appender.append(series, at_ms, value);
        if appended == Err(AppendError::UnknownSeries) {
            match self.resolve(appender, line, true, exposed)? {
                Resolved::Series(found) => series = found,
                Resolved::Refused => {
                    tally.refused += 1;
                    return Ok(());
                }
                Resolved::Dropped | Resolved::OverLimit => return Ok(()),
            }
            self.cache.set_series(slot, series);
            appended = appender.append(series, at_ms, value);
        }
        match appended {
            Ok(()) => {
                tally.added += u64::from(is_new);
                if let Some(exemplar) = &line.exemplar {
                    let taken = self
                        .exemplars
                        .take(appender, series, exemplar, at_ms, exposed)?;
                    if taken == Err(AppendError::OutOfOrderExemplar) {
                        tally.exemplars_out_of_order += 1;
                    }
                }
                Ok(())
            }
            Err(error) => tally.count(error).map_err(|e| e.to_string()),
        }
    }

    /// The series that a line stands for, made in the store if need be and `may_create`.
    fn resolve<'a>(
        &self,
        appender: &mut dyn Appender,
        line: &SeriesLine<'a>,
        may_create: bool,
        exposed: &mut Vec<LabelPair<'a>>,
    ) -> Result<Resolved, String> {
        exposed.clear();
        line.labels(exposed).map_err(|e| e.to_string())?;
        let labels = self.rules.sample.labels(exposed).map_err(|e| match e {
            SampleError::Invalid(text) => text,
            SampleError::Limit(text) => {
                add(&self.counters.exceeded_label_limits, 1);
                text
            }
        })?;
        let Some(labels) = labels else {
            return Ok(Resolved::Dropped);
        };
        if !may_create {
            return Ok(Resolved::OverLimit);
        }
        match appender.series(&labels) {
            Ok(series) => Ok(Resolved::Series(series)),
            Err(AppendError::SeriesLimit { .. } | AppendError::MemoryLimit { .. }) => {
                Ok(Resolved::Refused)
            }
            Err(error) => Err(error.to_string()),
        }
    }

    fn report(&mut self, appender: &mut dyn Appender, t_ms: i64, values: [f64; SYNTHETIC.len()]) {
        for ((name, value), known) in SYNTHETIC.iter().zip(values).zip(&mut self.synthetic) {
            if let Some(series) = *known
                && appender.append(series, t_ms, value) != Err(AppendError::UnknownSeries)
            {
                continue; // appended, or there is a sample at this time already
            }
            *known = appender.series(&self.rules.sample.synthetic(name)).ok();
            if let Some(series) = *known {
                let _ = appender.append(series, t_ms, value);
            }
        }
    }
}

enum Resolved {
    Series(SeriesRef),
    /// Relabelling drops it.
    Dropped,
    /// The page is over its sample limit: no series is made for it.
    OverLimit,
    /// The store takes no more series.
    Refused,
}

/// Tells apart equal texts that mean different labels: `le` and `quantile` are normalised only
/// below a `# TYPE` of histogram or summary.
fn variant(metric_type: MetricType) -> u8 {
    match metric_type {
        MetricType::Histogram => 1,
        MetricType::Summary => 2,
        _ => 0,
    }
}

/// Writes staleness markers. Refusals are to be expected: the series may have newer samples from
/// elsewhere, or be gone.
fn mark_ended(appender: &mut dyn Appender, series: &[SeriesRef], t_ms: i64) {
    for series in series {
        let _ = appender.append(*series, t_ms, stale_nan());
    }
}

#[cfg(test)]
mod tests;
