//! Series made one after the other, so that aggregations need not hold them all; many of them on
//! several threads.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

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

    /// Makes series `index` in `out`, which has no values.
    fn make(
        &self,
        index: usize,
        memory: &mut Self::Memory,
        out: &mut Series,
    ) -> Result<(), QueryError>;

    /// Series may come out with equal labels.
    fn may_collide(&self) -> bool;

    /// How much work a series is, in units of a few microseconds.
    fn weight(&self) -> usize;
}

/// What every source needs in memory.
#[derive(Debug, Default)]
pub(super) struct ReadMemory<T> {
    pub(super) scratch: Scratch,
    pub(super) other: T,
}

/// Work one thread takes at a time, and least work that is worth a second thread.
const BATCH: usize = if cfg!(test) { 3 } else { 64 };
const PARALLEL: usize = if cfg!(test) { 4 } else { 1024 };

/// Batches that may be made ahead of the one that is waited for, for each thread.
const AHEAD: usize = 4;

/// Series made, with the memory of earlier ones.
#[derive(Default)]
struct Batch {
    series: Vec<Series>,
    used: usize,
}

impl Batch {
    /// A series to be made; it becomes part of the batch with [`Self::keep`].
    fn next(&mut self) -> &mut Series {
        if self.used == self.series.len() {
            self.series.push(Series::default());
        }
        let next = &mut self.series[self.used];
        next.clear();
        next
    }

    /// Keeps the series that [`Self::next`] gave, if it has values.
    fn keep(&mut self) {
        let made = self.series.get(self.used);
        self.used += usize::from(made.is_some_and(|s| !s.is_empty()));
    }
}

/// Batches on their way from the threads that make them to the one function that takes them in
/// order.
struct Belt<F> {
    state: Mutex<State>,
    moved: Condvar,
    fold: Mutex<F>,
    count: usize,
    ahead: usize,
}

#[derive(Default)]
struct State {
    next_to_make: usize,
    next_to_fold: usize,
    ready: BTreeMap<usize, Batch>,
    spare: Vec<Batch>,
    /// Some thread is folding.
    folding: bool,
    /// No more batches are begun.
    stopped: bool,
    /// The failure that came first in the order of batches.
    error: Option<(usize, QueryError)>,
}

impl State {
    fn fail(&mut self, batch: usize, error: QueryError) {
        self.stopped = true;
        if self.error.as_ref().is_none_or(|(first, _)| batch < *first) {
            self.error = Some((batch, error));
        }
    }
}

impl<F: FnMut(&mut Series) -> Result<(), QueryError>> Belt<F> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A batch to be made, and memory for it.
    fn begin(&self) -> Option<(usize, Batch)> {
        let mut state = self.lock();
        loop {
            if state.stopped || state.next_to_make == self.count {
                return None;
            }
            if state.next_to_make < state.next_to_fold + self.ahead {
                break;
            }
            state = self
                .moved
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let batch = state.next_to_make;
        state.next_to_make += 1;
        Some((batch, state.spare.pop().unwrap_or_default()))
    }

    /// Hands a batch on; folds what is due unless another thread does.
    fn done(&self, number: usize, batch: Batch) {
        let mut state = self.lock();
        state.ready.insert(number, batch);
        if state.folding {
            return;
        }
        state.folding = true;
        while !state.stopped
            && let next = state.next_to_fold
            && let Some(mut batch) = state.ready.remove(&next)
        {
            drop(state);
            let mut fold = self.fold.lock().unwrap_or_else(PoisonError::into_inner);
            let made = batch.series.iter_mut().take(batch.used);
            let result = made.into_iter().try_for_each(&mut *fold);
            drop(fold);
            batch.used = 0;
            state = self.lock();
            state.next_to_fold += 1;
            state.spare.push(batch);
            if let Err(error) = result {
                state.fail(next, error);
            }
            self.moved.notify_all();
        }
        state.folding = false;
    }
}

/// Sends everybody home when its thread panics, so that nobody waits for it.
struct OnPanic<'b, F>(&'b Belt<F>);

impl<F> Drop for OnPanic<'_, F> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.stopped = true;
            self.0.moved.notify_all();
        }
    }
}

impl<'q> Evaluator<'q> {
    /// All series of a source, in its order.
    pub(super) fn collect<S: SeriesSource>(&self, source: &S) -> Result<Frame<'q>, QueryError> {
        let mut frame = self.empty();
        self.make_all(source, |series| {
            series.floats.give_back();
            frame.charge.add_series(series)?;
            frame.series.push(std::mem::take(series));
            Ok(())
        })?;
        let collide = !self.options.delayed_name_removal && source.may_collide();
        if collide && unite::has_duplicates(frame.series.iter().map(|s| &s.labels)) {
            return Err(same_labels());
        }
        Ok(frame)
    }

    /// Hands all series of a source to `fold`, in its order, holding few at a time.
    pub(super) fn for_each<S: SeriesSource>(
        &self,
        source: &S,
        mut fold: impl FnMut(&Series) -> Result<(), QueryError> + Send,
    ) -> Result<(), QueryError> {
        let collide = !self.options.delayed_name_removal && source.may_collide();
        let mut labels = Vec::new();
        self.make_all(source, |series| {
            fold(series)?;
            if collide {
                labels.push(series.labels.clone());
            }
            Ok(())
        })?;
        if unite::has_duplicates(labels.iter()) {
            return Err(same_labels());
        }
        Ok(())
    }

    /// Makes all series that have values, on all threads, and hands them to `fold` in order.
    fn make_all<S: SeriesSource>(
        &self,
        source: &S,
        mut fold: impl FnMut(&mut Series) -> Result<(), QueryError> + Send,
    ) -> Result<(), QueryError> {
        let weight = source.weight().max(1);
        if self.threads < 2 || source.len() < 2 || source.len().saturating_mul(weight) < PARALLEL {
            let mut memory = S::Memory::default();
            let mut series = Series::default();
            for index in 0..source.len() {
                self.limits.check()?;
                series.clear();
                source.make(index, &mut memory, &mut series)?;
                if !series.is_empty() {
                    fold(&mut series)?;
                }
            }
            return Ok(());
        }
        let size = (BATCH / weight).max(1);
        let count = source.len().div_ceil(size);
        let belt = Belt {
            state: Mutex::default(),
            moved: Condvar::new(),
            fold: Mutex::new(fold),
            count,
            ahead: AHEAD * self.threads,
        };
        let work = || {
            let _guard = OnPanic(&belt);
            let mut memory = S::Memory::default();
            while let Some((number, mut batch)) = belt.begin() {
                let end = source.len().min((number + 1) * size);
                let made = (number * size..end).try_for_each(|index| {
                    self.limits.check()?;
                    source.make(index, &mut memory, batch.next())?;
                    batch.keep();
                    Ok(())
                });
                match made {
                    Ok(()) => belt.done(number, batch),
                    Err(error) => {
                        belt.lock().fail(number, error);
                        belt.moved.notify_all();
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.threads.min(count) {
                scope.spawn(|| {
                    let _cpu = self.limits.count_cpu();
                    work();
                });
            }
            work();
        });
        let state = belt.state.into_inner();
        match state.unwrap_or_else(PoisonError::into_inner).error {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }
}
