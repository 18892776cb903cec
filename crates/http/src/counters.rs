//! Counters of this crate: requests by handler, queries by phase. Read by `/metrics`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tsdb_promql::QueryStats;

/// Upper bounds of `prometheus_http_request_duration_seconds`, in seconds.
const DURATION_BOUNDS: &[f64] = &[0.1, 0.2, 0.4, 1.0, 3.0, 8.0, 20.0, 60.0, 120.0];

/// Upper bounds of `prometheus_http_response_size_bytes`.
const SIZE_BOUNDS: &[f64] = &[1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/// Quantiles of the query phases.
pub(crate) const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];

/// Observations that quantiles are taken over.
const WINDOW: usize = 512;

/// A histogram with fixed bounds.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    /// Upper bounds, ascending, without `+Inf`.
    pub(crate) bounds: &'static [f64],
    /// Observations per bucket, the last one beyond all bounds.
    pub(crate) counts: Vec<u64>,
    /// Sum of all observations.
    pub(crate) sum: f64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: vec![0; bounds.len() + 1],
            sum: 0.0,
        }
    }

    fn observe(&mut self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket] += 1;
        self.sum += value;
    }
}

/// Counters of one handler.
#[derive(Debug, Clone)]
pub(crate) struct HandlerCounters {
    /// Requests by status code.
    pub(crate) codes: BTreeMap<u16, u64>,
    /// Seconds until the answer was sent.
    pub(crate) duration: Histogram,
    /// Bytes of the answer, before compression.
    pub(crate) size: Histogram,
}

/// Counters of all handlers.
#[derive(Debug)]
pub(crate) struct HttpCounters {
    handlers: BTreeMap<&'static str, Mutex<HandlerCounters>>,
}

impl HttpCounters {
    /// Counters for these handlers, each with 0 requests of code 200.
    pub(crate) fn new(handlers: impl IntoIterator<Item = &'static str>) -> Self {
        let zero = || {
            Mutex::new(HandlerCounters {
                codes: BTreeMap::from([(200, 0)]),
                duration: Histogram::new(DURATION_BOUNDS),
                size: Histogram::new(SIZE_BOUNDS),
            })
        };
        Self {
            handlers: handlers.into_iter().map(|h| (h, zero())).collect(),
        }
    }

    /// Notes one answer. Handlers not named at the start are not counted.
    pub(crate) fn observe(&self, handler: &str, code: u16, seconds: f64, bytes: u64) {
        let Some(counters) = self.handlers.get(handler) else {
            return;
        };
        let mut counters = counters.lock().unwrap_or_else(PoisonError::into_inner);
        *counters.codes.entry(code).or_default() += 1;
        counters.duration.observe(seconds);
        counters.size.observe(bytes as f64);
    }

    /// A copy of all counters, by handler.
    pub(crate) fn snapshot(&self) -> Vec<(&'static str, HandlerCounters)> {
        let copy =
            |c: &Mutex<HandlerCounters>| c.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.handlers.iter().map(|(h, c)| (*h, copy(c))).collect()
    }
}

/// The last observations, with sum and count of all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Window {
    last: VecDeque<f64>,
    pub(crate) sum: f64,
    pub(crate) count: u64,
}

impl Window {
    fn observe(&mut self, value: f64) {
        if self.last.len() == WINDOW {
            self.last.pop_front();
        }
        self.last.push_back(value);
        self.sum += value;
        self.count += 1;
    }

    /// Nearest-rank quantiles of the last observations; NaN while there are none.
    pub(crate) fn quantiles(&self) -> [(f64, f64); 3] {
        let mut sorted: Vec<f64> = self.last.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        QUANTILES.map(|q| {
            let rank = (q * sorted.len() as f64).ceil() as usize;
            (
                q,
                sorted
                    .get(rank.saturating_sub(1))
                    .copied()
                    .unwrap_or(f64::NAN),
            )
        })
    }
}

/// Phases of a query, in seconds, under the names of the label `slice`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Phases {
    pub(crate) queue_time: Window,
    pub(crate) prepare_time: Window,
    pub(crate) inner_eval: Window,
    pub(crate) result_sort: Window,
}

/// Counters of query evaluation.
#[derive(Debug, Default)]
pub(crate) struct EngineCounters {
    running: Arc<AtomicI64>,
    samples: AtomicU64,
    phases: Mutex<Phases>,
}

/// Counts a query as running or waiting until it is dropped.
pub(crate) struct RunningQuery(Arc<AtomicI64>);

impl Drop for RunningQuery {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl EngineCounters {
    /// A query begins to run, or to wait for its turn.
    pub(crate) fn running(&self) -> RunningQuery {
        self.running.fetch_add(1, Ordering::Relaxed);
        RunningQuery(self.running.clone())
    }

    /// A query waited this long, in seconds.
    pub(crate) fn observe_queue(&self, seconds: f64) {
        let mut phases = self.phases.lock().unwrap_or_else(PoisonError::into_inner);
        phases.queue_time.observe(seconds);
    }

    /// A query is done.
    pub(crate) fn observe(&self, stats: &QueryStats) {
        self.samples
            .fetch_add(stats.total_queryable_samples, Ordering::Relaxed);
        let mut phases = self.phases.lock().unwrap_or_else(PoisonError::into_inner);
        phases.prepare_time.observe(stats.prepare_seconds);
        phases.inner_eval.observe(stats.inner_eval_seconds);
        phases.result_sort.observe(stats.result_sort_seconds);
    }

    /// Queries running, samples read so far, and the phases.
    pub(crate) fn snapshot(&self) -> (i64, u64, Phases) {
        let phases = self
            .phases
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        (
            self.running.load(Ordering::Relaxed),
            self.samples.load(Ordering::Relaxed),
            phases,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_closed_above() {
        let mut h = Histogram::new(&[1.0, 2.0]);
        for v in [0.5, 1.0, 1.5, 2.0, 3.0] {
            h.observe(v);
        }
        assert_eq!((h.counts, h.sum), (vec![2, 2, 1], 8.0));
    }

    #[test]
    fn only_known_handlers_are_counted() {
        let counters = HttpCounters::new(["/a"]);
        counters.observe("/a", 404, 0.3, 5);
        counters.observe("/b", 200, 0.3, 5);
        let all = counters.snapshot();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].1.codes, BTreeMap::from([(200, 0), (404, 1)]));
    }

    #[test]
    fn quantiles_of_a_window() {
        let mut w = Window::default();
        assert!(w.quantiles()[0].1.is_nan());
        (1..=1000).for_each(|i| w.observe(f64::from(i)));
        assert_eq!(w.quantiles()[0], (0.5, 744.0)); // of 489..=1000
        assert_eq!(w.count, 1000);
    }
}
