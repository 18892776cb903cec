//! The float samples of one series: sealed pages and the samples being collected for the next one.
//! Late samples are merged into the page they belong to, so pages never overlap.

use std::sync::Arc;

use super::open::{Open, OpenSnapshot};
use super::sealed::{Columns, Page, Sealed};
use super::slab::Slab;

/// Samples after which a page is sealed.
pub(crate) const CHUNK_SAMPLES: usize = 120;

/// Samples that a page may grow to by late samples before it is split.
const MAX_CHUNK_SAMPLES: usize = 2 * CHUNK_SAMPLES;

/// Number and bytes of pages, for the counters of the whole head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ChunkTotals {
    pub(crate) chunks: u64,
    pub(crate) bytes: u64,
}

impl ChunkTotals {
    fn add(&mut self, other: Self) {
        self.chunks += other.chunks;
        self.bytes += other.bytes;
    }

    fn sub(&mut self, other: Self) {
        self.chunks -= other.chunks;
        self.bytes -= other.bytes;
    }
}

/// What the samples of all series have in common.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    pub(crate) totals: ChunkTotals,
    slab: Slab,
    columns: Columns,
}

/// The samples of one series, times strictly increasing.
#[derive(Debug, Default)]
pub(crate) struct Floats {
    sealed: Option<Arc<Sealed>>,
    open: Open,
}

/// What a reader takes along under the lock, to decode later.
#[derive(Debug, Clone, Default)]
pub(crate) struct FloatSnapshot {
    sealed: Option<Arc<Sealed>>,
    open: OpenSnapshot,
}

/// Samples of both lists by time; `new` wins where both have one.
fn merge(old: &[(i64, f64)], new: &[(i64, f64)]) -> Vec<(i64, f64)> {
    let mut out = Vec::with_capacity(old.len() + new.len());
    let mut old = old.iter().copied().peekable();
    for sample in new {
        while let Some(before) = old.next_if(|o| o.0 < sample.0) {
            out.push(before);
        }
        old.next_if(|o| o.0 == sample.0);
        out.push(*sample);
    }
    out.extend(old);
    out
}

/// How many samples the first page of a series gets, when it begins at `t`: half of what later ones
/// have and more, so that not all series that came together are sealed together. Those of one
/// target are, and can share their times.
fn first_limit(t: i64) -> usize {
    let mixed = (t as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    CHUNK_SAMPLES / 2 + (mixed % (CHUNK_SAMPLES / 2) as u64) as usize
}

impl Floats {
    /// Reads the newest sample that is not packed.
    pub(crate) fn warm(&self) -> u64 {
        self.open
            .newest()
            .map_or(0, |(t, v)| t as u64 ^ v.to_bits())
    }

    fn totals(&self) -> ChunkTotals {
        let sealed = self.sealed.as_deref();
        let chunks = sealed.map_or(0, |s| s.columns().len()) + usize::from(self.open.count() > 0);
        let bytes = sealed.map_or(0, Sealed::bytes) + self.open.bytes();
        ChunkTotals {
            chunks: chunks as u64,
            bytes: bytes as u64,
        }
    }

    /// Does something that changes how many pages there are.
    fn counted<T>(&mut self, pool: &mut Pool, work: impl FnOnce(&mut Self, &mut Pool) -> T) -> T {
        pool.totals.sub(self.totals());
        let result = work(self, pool);
        pool.totals.add(self.totals());
        result
    }

    /// Time and value of the newest sample.
    pub(crate) fn newest(&self) -> Option<(i64, f64)> {
        let newest = self.open.newest();
        newest.or_else(|| self.sealed.as_ref()?.newest())
    }

    /// Time of the newest sample.
    pub(crate) fn max_t(&self) -> Option<i64> {
        let newest = self.open.max_t();
        newest.or_else(|| self.sealed.as_ref()?.columns().last().map(|c| c.max_t))
    }

    /// Time of the oldest sample.
    pub(crate) fn min_t(&self) -> Option<i64> {
        match &self.sealed {
            Some(sealed) => sealed.columns().first().map(|c| c.min_t),
            None => self.open.min_t(),
        }
    }

    fn is_in_open(&self, t: i64) -> bool {
        self.open.min_t().is_some_and(|min_t| min_t <= t)
    }

    /// The value at exactly `t`.
    pub(crate) fn at(&self, t: i64, pool: &Pool) -> Option<f64> {
        if !self.is_in_open(t) {
            return self.sealed.as_ref()?.at(t);
        }
        match self.open.newest() {
            Some((newest, v)) if newest <= t => (newest == t).then_some(v),
            _ => {
                let open = self.open.snapshot(&pool.slab);
                let found = open.iter().find(|s| s.0 >= t);
                found.filter(|s| s.0 == t).map(|s| s.1)
            }
        }
    }

    /// Time of the oldest sample after `t`.
    pub(crate) fn next_after(&self, t: i64, pool: &Pool) -> Option<i64> {
        if self.max_t()? <= t {
            return None;
        }
        let sealed = self.sealed.as_ref().and_then(|s| s.next_after(t));
        sealed.or_else(|| match self.open.min_t() {
            Some(min_t) if min_t > t => Some(min_t),
            _ => {
                let open = self.open.snapshot(&pool.slab);
                open.iter().map(|s| s.0).find(|s| *s > t)
            }
        })
    }

    /// Adds samples, times strictly increasing. One that is there already is replaced.
    pub(crate) fn insert(&mut self, samples: &[(i64, f64)], pool: &mut Pool) {
        let late = match self.max_t() {
            Some(max_t) => samples.partition_point(|s| s.0 <= max_t),
            None => 0,
        };
        let (late, in_order) = samples.split_at(late);
        if !late.is_empty() {
            self.counted(pool, |floats, pool| floats.insert_late(late, pool));
        }
        for (t, v) in in_order {
            self.push(*t, *v, pool);
        }
    }

    fn push(&mut self, t: i64, v: f64, pool: &mut Pool) {
        let limit = match (&self.sealed, self.open.min_t()) {
            (None, Some(min_t)) => first_limit(min_t),
            _ => CHUNK_SAMPLES,
        };
        if self.open.count() >= limit || self.open.is_full() {
            self.counted(pool, Self::seal);
        }
        let before = self.open.bytes();
        self.open.push(t, v, &mut pool.slab);
        pool.totals.chunks += u64::from(self.open.count() == 1);
        pool.totals.bytes += (self.open.bytes() - before) as u64;
    }

    /// Takes the samples that are not packed.
    fn take_open(&mut self, pool: &mut Pool) -> Vec<(i64, f64)> {
        let samples = self.open.snapshot(&pool.slab).iter().collect();
        self.open.clear(&mut pool.slab);
        samples
    }

    /// Replaces some pages by what `samples` makes.
    fn replace(&mut self, gone: std::ops::Range<usize>, samples: &[(i64, f64)], pool: &mut Pool) {
        if gone.is_empty() && samples.is_empty() {
            return;
        }
        let pieces = split(samples).map(|piece| Page::new(piece, &mut pool.columns));
        let new: Vec<Page> = pieces.collect();
        let none = Sealed::default();
        let before = self.sealed.as_deref().unwrap_or(&none);
        self.sealed = before.replaced(gone, &new);
    }

    fn pages(&self) -> usize {
        self.sealed.as_ref().map_or(0, |s| s.columns().len())
    }

    fn seal(&mut self, pool: &mut Pool) {
        let samples = self.take_open(pool);
        let end = self.pages();
        self.replace(end..end, &samples, pool);
    }

    fn insert_late(&mut self, mut late: &[(i64, f64)], pool: &mut Pool) {
        let mut old = Vec::new();
        while let Some((t, _)) = late.first() {
            let sealed = match &self.sealed {
                Some(sealed) if !self.is_in_open(*t) => sealed,
                _ => {
                    let samples = merge(&self.take_open(pool), late);
                    self.replace_open(&samples, pool);
                    return;
                }
            };
            let columns = sealed.columns();
            let i = columns.partition_point(|c| c.min_t <= *t).saturating_sub(1);
            // Up to the first sample of the next page.
            let next_t = match columns.get(i + 1) {
                Some(next) => Some(next.min_t),
                None => self.open.min_t(),
            };
            let here = next_t.map_or(late.len(), |next| late.partition_point(|s| s.0 < next));
            let (now, rest) = late.split_at(here);
            old.clear();
            sealed.decode(i, &mut old);
            self.replace(i..i + 1, &merge(&old, now), pool);
            late = rest;
        }
    }

    /// Makes these the samples that are not packed, or the last of these if there are many.
    fn replace_open(&mut self, samples: &[(i64, f64)], pool: &mut Pool) {
        for piece in split(samples) {
            if self.open.count() > 0 {
                self.seal(pool);
            }
            for (t, v) in piece {
                self.open.push(*t, *v, &mut pool.slab);
            }
        }
    }

    /// Drops pages that end before `floor`.
    pub(crate) fn drop_before(&mut self, floor: i64, pool: &mut Pool) {
        if !self.has_before(floor) {
            return;
        }
        self.counted(pool, |floats, pool| {
            if let Some(sealed) = &floats.sealed {
                let gone = sealed.columns().partition_point(|c| c.max_t < floor);
                floats.sealed = sealed.replaced(0..gone, &[]);
            }
            if floats.sealed.is_none() && floats.open.max_t().is_some_and(|t| t < floor) {
                floats.open.clear(&mut pool.slab);
            }
        });
    }

    /// Removes the samples with `mint <= t <= maxt`, but for those at the (sorted) times `except`.
    /// True when there were any.
    pub(crate) fn remove(&mut self, mint: i64, maxt: i64, except: &[i64], pool: &mut Pool) -> bool {
        self.counted(pool, |floats, pool| {
            floats.remove_uncounted(mint, maxt, except, pool)
        })
    }

    fn remove_uncounted(&mut self, mint: i64, maxt: i64, except: &[i64], pool: &mut Pool) -> bool {
        let goes = |t: i64| mint <= t && t <= maxt && except.binary_search(&t).is_err();
        let mut removed = false;
        if let Some(sealed) = self.sealed.clone() {
            let pages = sealed.overlapping(mint, maxt);
            // From the end, so that the numbers of those before stay; all that goes side by side
            // goes at once.
            let mut whole = pages.end..pages.end;
            for i in pages.rev() {
                let column = &sealed.columns()[i];
                let first = except.partition_point(|t| *t < column.min_t);
                let spared = except.get(first).is_some_and(|t| *t <= column.max_t);
                if mint <= column.min_t && column.max_t <= maxt && !spared {
                    whole.start = i;
                    continue;
                }
                removed |= !whole.is_empty();
                self.replace(whole, &[], pool);
                whole = i..i;
                let mut samples = Vec::with_capacity(column.rows());
                sealed.decode(i, &mut samples);
                samples.retain(|(t, _)| !goes(*t));
                if samples.len() < column.rows() {
                    removed = true;
                    self.replace(i..i + 1, &samples, pool);
                }
            }
            removed |= !whole.is_empty();
            self.replace(whole, &[], pool);
        }
        if self.open.min_t().is_some_and(|t| t <= maxt)
            && self.open.max_t().is_some_and(|t| t >= mint)
        {
            let mut samples = self.take_open(pool);
            let before = samples.len();
            samples.retain(|(t, _)| !goes(*t));
            removed |= samples.len() < before;
            self.replace_open(&samples, pool);
        }
        removed
    }

    /// True when [`Self::drop_before`] would drop something.
    pub(crate) fn has_before(&self, floor: i64) -> bool {
        let oldest = match &self.sealed {
            Some(sealed) => sealed.columns().first().map(|c| c.max_t),
            None => self.open.max_t(),
        };
        oldest.is_some_and(|t| t < floor)
    }

    /// What is needed to decode the samples with `mint <= t <= maxt`.
    pub(crate) fn snapshot(&self, mint: i64, maxt: i64, pool: &Pool) -> FloatSnapshot {
        let sealed = self.sealed.as_ref();
        let open = self.open.min_t().is_some_and(|t| t <= maxt)
            && self.open.max_t().is_some_and(|t| t >= mint);
        FloatSnapshot {
            sealed: sealed
                .filter(|s| !s.overlapping(mint, maxt).is_empty())
                .map(Arc::clone),
            open: if open {
                self.open.snapshot(&pool.slab)
            } else {
                OpenSnapshot::default()
            },
        }
    }
}

/// Pieces to make pages of: one as long as that is not too many samples.
fn split(samples: &[(i64, f64)]) -> impl Iterator<Item = &[(i64, f64)]> {
    let piece = if samples.len() > MAX_CHUNK_SAMPLES {
        CHUNK_SAMPLES
    } else {
        MAX_CHUNK_SAMPLES
    };
    samples.chunks(piece)
}

impl FloatSnapshot {
    /// The samples with `mint <= t <= maxt`, in order; an error when a page cannot be decoded.
    pub(crate) fn decode(
        &self,
        mint: i64,
        maxt: i64,
        mut each: impl FnMut(i64, f64),
    ) -> Result<(), tsdb_codec::page::PageError> {
        if let Some(sealed) = &self.sealed {
            sealed.read(sealed.overlapping(mint, maxt), mint, maxt, &mut each)?;
        }
        for (t, v) in self.open.iter() {
            if t > maxt {
                break;
            }
            if t >= mint {
                each(t, v);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn all(floats: &Floats, pool: &Pool) -> Vec<(i64, f64)> {
        let mut out = Vec::new();
        let snapshot = floats.snapshot(i64::MIN, i64::MAX, pool);
        snapshot
            .decode(i64::MIN, i64::MAX, |t, v| out.push((t, v)))
            .unwrap();
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn late_samples_are_merged(
            batches in proptest::collection::vec(
                proptest::collection::btree_map(0..3000i64, any::<i32>(), 0..400), 1..8),
            floor in 0..3000i64,
            range in (0..3000i64, 0..3000i64),
        ) {
            let mut floats = Floats::default();
            let mut pool = Pool::default();
            let mut model = BTreeMap::new();
            for batch in batches {
                let batch: Vec<(i64, f64)> =
                    batch.into_iter().map(|(t, v)| (t, f64::from(v))).collect();
                floats.insert(&batch, &mut pool);
                model.extend(batch);
                prop_assert!(all(&floats, &pool).into_iter().eq(model.clone()));
                prop_assert_eq!(pool.totals, floats.totals());
                prop_assert_eq!(floats.newest(), model.last_key_value().map(|(t, v)| (*t, *v)));
                prop_assert_eq!(floats.min_t(), model.first_key_value().map(|(t, _)| *t));
            }
            for column in floats.sealed.iter().flat_map(|s| s.columns()) {
                prop_assert!(column.rows() <= MAX_CHUNK_SAMPLES);
            }
            for t in (0..3000).step_by(23) {
                prop_assert_eq!(floats.at(t, &pool), model.get(&t).copied());
                let next = model.range(t + 1..).next().map(|(t, _)| *t);
                prop_assert_eq!(floats.next_after(t, &pool), next);
            }
            let (mint, maxt) = range;
            let mut got = Vec::new();
            floats.snapshot(mint, maxt, &pool).decode(mint, maxt, |t, v| got.push((t, v))).unwrap();
            let want: Vec<_> = model.iter().map(|(t, v)| (*t, *v))
                .filter(|s| mint <= s.0 && s.0 <= maxt).collect();
            prop_assert_eq!(got, want);

            let except: Vec<i64> = model.keys().copied().filter(|t| t % 7 == 0).collect();
            let gone = |t: i64| mint <= t && t <= maxt && t % 7 != 0;
            let any = model.keys().any(|t| gone(*t));
            prop_assert_eq!(floats.remove(mint, maxt, &except, &mut pool), any);
            model.retain(|t, _| !gone(*t));
            prop_assert!(all(&floats, &pool).into_iter().eq(model.clone()));
            prop_assert_eq!(pool.totals, floats.totals());
            prop_assert_eq!(floats.max_t(), model.last_key_value().map(|(t, _)| *t));

            floats.drop_before(floor, &mut pool);
            prop_assert!(!floats.has_before(floor));
            prop_assert_eq!(pool.totals, floats.totals());
            let left = all(&floats, &pool);
            let kept: Vec<_> = model.iter().map(|(t, v)| (*t, *v)).collect();
            prop_assert!(kept.ends_with(&left));
            prop_assert!(left.len() >= kept.iter().filter(|s| s.0 >= floor).count());
        }
    }
}
