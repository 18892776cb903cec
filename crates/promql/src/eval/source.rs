//! Series made one after the other, so that aggregations need not hold them all; many of them on
//! several threads.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::column::Series;
use super::samples::Scratch;
use super::{Evaluator, Frame, same_labels, unite};
use crate::error::QueryError;

/// Series that can be made in any order.
pub(super) trait SeriesSource: Sync {
    /// Memory of one thread.
    type Memory: Default + Send;

    /// Number of series, those included that will turn out to have no values.
    fn len(&self) -> usize;

    /// Makes series `index`.
    fn make(&self, index: usize, memory: &mut Self::Memory) -> Result<Series, QueryError>;

    /// Series may come out with equal labels.
    fn may_collide(&self) -> bool;
}

/// What every source needs in memory.
#[derive(Debug, Default)]
pub(super) struct ReadMemory<T> {
    pub(super) scratch: Scratch,
    pub(super) other: T,
}

/// Series one thread takes at a time, and fewest that are worth a second thread.
const BATCH: usize = if cfg!(test) { 3 } else { 64 };
const PARALLEL: usize = if cfg!(test) { 4 } else { 2048 };

/// Batches per thread that are held at a time.
const WAVE: usize = 2;

impl<'q> Evaluator<'q> {
    /// All series of a source, in its order.
    pub(super) fn collect<S: SeriesSource>(&self, source: &S) -> Result<Frame<'q>, QueryError> {
        let mut frame = self.empty();
        if self.threads > 1 && source.len() >= PARALLEL {
            let all = 0..source.len().div_ceil(BATCH);
            let batches = self.batches(source, all, |series: Vec<Series>| {
                let mut charge = self.limits.charge();
                charge.set_series(&series)?;
                Ok((series, charge))
            })?;
            for (series, charge) in batches {
                frame.series.extend(series);
                drop(charge);
            }
            frame.charge.set_series(&frame.series)?;
        } else {
            let mut memory = S::Memory::default();
            for index in 0..source.len() {
                self.limits.check()?;
                let series = source.make(index, &mut memory)?;
                if !series.is_empty() {
                    frame.charge.add_series(&series)?;
                    frame.series.push(series);
                }
            }
        }
        self.check_unique(source, &frame.series)?;
        Ok(frame)
    }

    /// Hands all series of a source to `fold`, in its order, holding few at a time.
    pub(super) fn for_each<S: SeriesSource>(
        &self,
        source: &S,
        mut fold: impl FnMut(&Series) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let collide = !self.options.delayed_name_removal && source.may_collide();
        let mut labels = Vec::new();
        let mut take = |series: Series| -> Result<(), QueryError> {
            fold(&series)?;
            if collide {
                labels.push(series.labels);
            }
            Ok(())
        };
        if self.threads > 1 && source.len() >= PARALLEL {
            let count = source.len().div_ceil(BATCH);
            let wave = self.threads * WAVE;
            for first in (0..count).step_by(wave) {
                let batches = first..count.min(first + wave);
                for series in self.batches(source, batches, Ok)?.into_iter().flatten() {
                    take(series)?;
                }
            }
        } else {
            let mut memory = S::Memory::default();
            for index in 0..source.len() {
                self.limits.check()?;
                let series = source.make(index, &mut memory)?;
                if !series.is_empty() {
                    take(series)?;
                }
            }
        }
        if unite::has_duplicates(labels.iter()) {
            return Err(same_labels());
        }
        Ok(())
    }

    fn check_unique<S: SeriesSource>(
        &self,
        source: &S,
        series: &[Series],
    ) -> Result<(), QueryError> {
        let collide = !self.options.delayed_name_removal && source.may_collide();
        if collide && unite::has_duplicates(series.iter().map(|s| &s.labels)) {
            return Err(same_labels());
        }
        Ok(())
    }

    /// Makes the series of some batches on all threads and answers what `reduce` made of each
    /// batch, in order. Where batches begin does not depend on the number of threads.
    fn batches<S: SeriesSource, R: Send>(
        &self,
        source: &S,
        batches: Range<usize>,
        reduce: impl Fn(Vec<Series>) -> Result<R, QueryError> + Sync,
    ) -> Result<Vec<R>, QueryError> {
        let next = AtomicUsize::new(batches.start);
        let failed = AtomicBool::new(false);
        let done: Mutex<Vec<(usize, Result<R, QueryError>)>> = Mutex::new(Vec::new());
        let work = || {
            let mut memory = S::Memory::default();
            loop {
                let batch = next.fetch_add(1, Ordering::Relaxed);
                if batch >= batches.end || failed.load(Ordering::Relaxed) {
                    return;
                }
                let result = self
                    .make_batch(source, batch, &mut memory)
                    .and_then(&reduce);
                if result.is_err() {
                    failed.store(true, Ordering::Relaxed);
                }
                let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                done.push((batch, result));
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.threads.min(batches.len()) {
                scope.spawn(|| {
                    let _cpu = self.limits.count_cpu();
                    work();
                });
            }
            work();
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(batch, _)| *batch);
        done.into_iter().map(|(_, result)| result).collect()
    }

    fn make_batch<S: SeriesSource>(
        &self,
        source: &S,
        batch: usize,
        memory: &mut S::Memory,
    ) -> Result<Vec<Series>, QueryError> {
        let end = source.len().min((batch + 1) * BATCH);
        let mut out = Vec::with_capacity(end - batch * BATCH);
        for index in batch * BATCH..end {
            self.limits.check()?;
            let series = source.make(index, memory)?;
            if !series.is_empty() {
                out.push(series);
            }
        }
        Ok(out)
    }
}
