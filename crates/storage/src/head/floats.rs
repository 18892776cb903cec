//! The float samples of one series: sealed chunks and the one being filled. Late samples are
//! merged into the chunk they belong to, so chunks never overlap.

use std::sync::Arc;

use tsdb_codec::{XorAppender, XorIter};

/// Samples after which a chunk is sealed.
pub(crate) const CHUNK_SAMPLES: usize = 120;

/// Samples that a chunk may grow to by late samples before it is split.
const MAX_CHUNK_SAMPLES: usize = 2 * CHUNK_SAMPLES;

/// A finished chunk; never changed, only replaced.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) min_t: i64,
    pub(crate) max_t: i64,
    pub(crate) bytes: Box<[u8]>,
}

/// Number and bytes of chunks, for the counters of the whole head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ChunkTotals {
    pub(crate) chunks: u64,
    pub(crate) bytes: u64,
}

impl ChunkTotals {
    fn add(&mut self, bytes: usize) {
        self.chunks += 1;
        self.bytes += bytes as u64;
    }

    fn sub(&mut self, bytes: usize) {
        self.chunks -= 1;
        self.bytes -= bytes as u64;
    }
}

/// The samples of one series, times strictly increasing.
#[derive(Debug, Default)]
pub(crate) struct Floats {
    sealed: Vec<Arc<Chunk>>,
    /// The chunk being filled and the time of its first sample.
    open: Option<(i64, XorAppender)>,
}

/// What a reader takes along under the lock, to decode later.
#[derive(Debug, Clone, Default)]
pub(crate) struct FloatSnapshot {
    chunks: Vec<Arc<Chunk>>,
    open: Vec<u8>,
}

fn decode(bytes: &[u8], out: &mut Vec<(i64, f64)>) {
    let samples = XorIter::new(bytes).expect("invariant: a chunk of ours has a count");
    out.extend(samples.map(|s| s.expect("invariant: a chunk of ours is whole")));
}

fn encode(samples: &[(i64, f64)]) -> XorAppender {
    let mut chunk = XorAppender::new();
    for (t, v) in samples {
        chunk
            .append(*t, *v)
            .expect("invariant: far fewer samples than a chunk takes");
    }
    chunk
}

fn seal(min_t: i64, chunk: XorAppender) -> Arc<Chunk> {
    let max_t = chunk.last().map_or(min_t, |(t, _)| t);
    Arc::new(Chunk {
        min_t,
        max_t,
        bytes: chunk.into_bytes().into_boxed_slice(),
    })
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

impl Floats {
    /// Reads the newest sample and the byte that is being filled.
    pub(crate) fn warm(&self) -> u64 {
        let Some((_, chunk)) = &self.open else {
            return 0;
        };
        let filled = chunk.bytes().last().copied().map_or(0, u64::from);
        filled ^ chunk.last().map_or(0, |(t, v)| t as u64 ^ v.to_bits())
    }

    /// Time and value of the newest sample.
    pub(crate) fn newest(&self) -> Option<(i64, f64)> {
        if let Some((_, chunk)) = &self.open {
            return chunk.last();
        }
        let last = self.sealed.last()?;
        self.at(last.max_t).map(|v| (last.max_t, v))
    }

    /// Time of the newest sample.
    pub(crate) fn max_t(&self) -> Option<i64> {
        match &self.open {
            Some((_, chunk)) => chunk.last().map(|(t, _)| t),
            None => self.sealed.last().map(|c| c.max_t),
        }
    }

    /// Time of the oldest sample.
    pub(crate) fn min_t(&self) -> Option<i64> {
        match self.sealed.first() {
            Some(first) => Some(first.min_t),
            None => self.open.as_ref().map(|o| o.0),
        }
    }

    /// The value at exactly `t`.
    pub(crate) fn at(&self, t: i64) -> Option<f64> {
        let bytes = match &self.open {
            Some((min_t, chunk)) if *min_t <= t => chunk.bytes(),
            _ => {
                let after = self.sealed.partition_point(|c| c.min_t <= t);
                let chunk = self.sealed.get(after.checked_sub(1)?)?;
                if t > chunk.max_t {
                    return None;
                }
                &chunk.bytes
            }
        };
        let samples = XorIter::new(bytes).ok()?;
        samples
            .map_while(Result::ok)
            .find(|s| s.0 >= t)
            .filter(|s| s.0 == t)
            .map(|s| s.1)
    }

    /// Time of the oldest sample after `t`.
    pub(crate) fn next_after(&self, t: i64) -> Option<i64> {
        let in_chunk = |bytes: &[u8]| {
            let samples = XorIter::new(bytes).ok()?;
            samples.map_while(Result::ok).map(|s| s.0).find(|s| *s > t)
        };
        let i = self.sealed.partition_point(|c| c.max_t <= t);
        match self.sealed.get(i) {
            Some(chunk) => in_chunk(&chunk.bytes),
            None => self
                .open
                .as_ref()
                .and_then(|(_, chunk)| in_chunk(chunk.bytes())),
        }
    }

    /// Adds samples, times strictly increasing. One that is there already is replaced.
    pub(crate) fn insert(&mut self, samples: &[(i64, f64)], totals: &mut ChunkTotals) {
        let late = match self.max_t() {
            Some(max_t) => samples.partition_point(|s| s.0 <= max_t),
            None => 0,
        };
        let (late, in_order) = samples.split_at(late);
        if !late.is_empty() {
            self.insert_late(late, totals);
        }
        for (t, v) in in_order {
            self.push(*t, *v, totals);
        }
    }

    fn push(&mut self, t: i64, v: f64, totals: &mut ChunkTotals) {
        if self
            .open
            .as_ref()
            .is_some_and(|(_, c)| usize::from(c.count()) >= CHUNK_SAMPLES)
            && let Some((min_t, chunk)) = self.open.take()
        {
            self.sealed.push(seal(min_t, chunk));
        }
        let (_, chunk) = self.open.get_or_insert_with(|| {
            let chunk = XorAppender::new();
            totals.add(chunk.bytes().len());
            (t, chunk)
        });
        let before = chunk.bytes().len();
        chunk
            .append(t, v)
            .expect("invariant: far fewer samples than a chunk takes");
        totals.bytes += (chunk.bytes().len() - before) as u64;
    }

    fn insert_late(&mut self, mut late: &[(i64, f64)], totals: &mut ChunkTotals) {
        let mut old = Vec::new();
        while let Some((t, _)) = late.first() {
            old.clear();
            let in_open = self
                .open
                .as_ref()
                .is_some_and(|(min_t, _)| *min_t <= *t || self.sealed.is_empty());
            if in_open && let Some((_, chunk)) = self.open.take() {
                decode(chunk.bytes(), &mut old);
                totals.sub(chunk.bytes().len());
                self.replace_open(&merge(&old, late), totals);
                return;
            }
            let i = self
                .sealed
                .partition_point(|c| c.min_t <= *t)
                .saturating_sub(1);
            // Up to the first sample of the next chunk.
            let next_t = match self.sealed.get(i + 1) {
                Some(next) => Some(next.min_t),
                None => self.open.as_ref().map(|o| o.0),
            };
            let here = next_t.map_or(late.len(), |next| late.partition_point(|s| s.0 < next));
            let (now, rest) = late.split_at(here);
            let chunk = &self.sealed[i];
            decode(&chunk.bytes, &mut old);
            totals.sub(chunk.bytes.len());
            let pieces: Vec<Arc<Chunk>> = split(&merge(&old, now))
                .map(|piece| {
                    let chunk = seal(piece[0].0, encode(piece));
                    totals.add(chunk.bytes.len());
                    chunk
                })
                .collect();
            self.sealed.splice(i..=i, pieces);
            late = rest;
        }
    }

    fn replace_open(&mut self, samples: &[(i64, f64)], totals: &mut ChunkTotals) {
        for piece in split(samples) {
            if let Some((min_t, chunk)) = self.open.take() {
                self.sealed.push(seal(min_t, chunk));
            }
            let chunk = encode(piece);
            totals.add(chunk.bytes().len());
            self.open = Some((piece[0].0, chunk));
        }
    }

    /// Drops chunks that end before `floor`.
    pub(crate) fn drop_before(&mut self, floor: i64, totals: &mut ChunkTotals) {
        let gone = self.sealed.partition_point(|c| c.max_t < floor);
        for chunk in self.sealed.drain(..gone) {
            totals.sub(chunk.bytes.len());
        }
        if self.sealed.capacity() > 2 * self.sealed.len() + 8 {
            self.sealed.shrink_to_fit();
        }
        if self.sealed.is_empty()
            && self.max_t().is_some_and(|t| t < floor)
            && let Some((_, chunk)) = self.open.take()
        {
            totals.sub(chunk.bytes().len());
        }
    }

    /// Removes the samples with `mint <= t <= maxt`, but for those at the (sorted) times `except`.
    /// True when there were any.
    pub(crate) fn remove(
        &mut self,
        mint: i64,
        maxt: i64,
        except: &[i64],
        totals: &mut ChunkTotals,
    ) -> bool {
        // What is left of a chunk; `None` when all of it is.
        let rest = |min_t: i64, max_t: i64, bytes: &[u8]| -> Option<Vec<(i64, f64)>> {
            if max_t < mint || min_t > maxt {
                return None;
            }
            let first = except.partition_point(|t| *t < min_t);
            let spared = except.get(first).is_some_and(|t| *t <= max_t);
            if mint <= min_t && max_t <= maxt && !spared {
                return Some(Vec::new());
            }
            let mut samples = Vec::new();
            decode(bytes, &mut samples);
            let before = samples.len();
            samples.retain(|(t, _)| {
                *t < mint || *t > maxt || (spared && except.binary_search(t).is_ok())
            });
            (samples.len() < before).then_some(samples)
        };
        let mut removed = false;
        let from = self.sealed.partition_point(|c| c.max_t < mint);
        let to = self.sealed.partition_point(|c| c.min_t <= maxt);
        if from < to {
            let mut kept = Vec::new();
            for chunk in &self.sealed[from..to] {
                match rest(chunk.min_t, chunk.max_t, &chunk.bytes) {
                    None => kept.push(Arc::clone(chunk)),
                    Some(samples) => {
                        removed = true;
                        totals.sub(chunk.bytes.len());
                        if let Some((first, _)) = samples.first() {
                            let chunk = seal(*first, encode(&samples));
                            totals.add(chunk.bytes.len());
                            kept.push(chunk);
                        }
                    }
                }
            }
            if removed {
                self.sealed.splice(from..to, kept);
                if self.sealed.capacity() > 2 * self.sealed.len() + 8 {
                    self.sealed.shrink_to_fit();
                }
            }
        }
        if let Some((min_t, chunk)) = &self.open
            && let Some((max_t, _)) = chunk.last()
            && let Some(samples) = rest(*min_t, max_t, chunk.bytes())
        {
            removed = true;
            totals.sub(chunk.bytes().len());
            self.open = samples.first().map(|(first, _)| {
                let chunk = encode(&samples);
                totals.add(chunk.bytes().len());
                (*first, chunk)
            });
        }
        removed
    }

    /// True when [`Self::drop_before`] would drop something.
    pub(crate) fn has_before(&self, floor: i64) -> bool {
        match self.sealed.first() {
            Some(chunk) => chunk.max_t < floor,
            None => self.max_t().is_some_and(|t| t < floor),
        }
    }

    /// What is needed to decode the samples with `mint <= t <= maxt`.
    pub(crate) fn snapshot(&self, mint: i64, maxt: i64) -> FloatSnapshot {
        let from = self.sealed.partition_point(|c| c.max_t < mint);
        let to = self.sealed.partition_point(|c| c.min_t <= maxt);
        let open = self.open.as_ref().filter(|(min_t, chunk)| {
            *min_t <= maxt && chunk.last().is_some_and(|(t, _)| t >= mint)
        });
        FloatSnapshot {
            chunks: self.sealed.get(from..to).unwrap_or_default().to_vec(),
            open: open.map(|(_, c)| c.bytes().to_vec()).unwrap_or_default(),
        }
    }
}

/// Pieces to make chunks of: one as long as that is not too many samples.
fn split(samples: &[(i64, f64)]) -> impl Iterator<Item = &[(i64, f64)]> {
    let piece = if samples.len() > MAX_CHUNK_SAMPLES {
        CHUNK_SAMPLES
    } else {
        MAX_CHUNK_SAMPLES
    };
    samples.chunks(piece)
}

impl FloatSnapshot {
    /// The samples with `mint <= t <= maxt`, in order; `None` when a chunk cannot be decoded.
    pub(crate) fn decode(
        &self,
        mint: i64,
        maxt: i64,
        mut each: impl FnMut(i64, f64),
    ) -> Result<(), tsdb_codec::CodecError> {
        let open = (!self.open.is_empty()).then_some(self.open.as_slice());
        for bytes in self.chunks.iter().map(|c| &*c.bytes).chain(open) {
            for sample in XorIter::new(bytes)? {
                let (t, v) = sample?;
                if t > maxt {
                    break;
                }
                if t >= mint {
                    each(t, v);
                }
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

    fn all(floats: &Floats) -> Vec<(i64, f64)> {
        let mut out = Vec::new();
        let snapshot = floats.snapshot(i64::MIN, i64::MAX);
        snapshot
            .decode(i64::MIN, i64::MAX, |t, v| out.push((t, v)))
            .unwrap();
        out
    }

    fn measured(floats: &Floats) -> ChunkTotals {
        let mut totals = ChunkTotals::default();
        for chunk in &floats.sealed {
            totals.add(chunk.bytes.len());
        }
        if let Some((_, chunk)) = &floats.open {
            totals.add(chunk.bytes().len());
        }
        totals
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
            let mut totals = ChunkTotals::default();
            let mut model = BTreeMap::new();
            for batch in batches {
                let batch: Vec<(i64, f64)> =
                    batch.into_iter().map(|(t, v)| (t, f64::from(v))).collect();
                floats.insert(&batch, &mut totals);
                model.extend(batch);
                prop_assert!(all(&floats).into_iter().eq(model.clone()));
                prop_assert_eq!(totals, measured(&floats));
                prop_assert_eq!(floats.newest(), model.last_key_value().map(|(t, v)| (*t, *v)));
                prop_assert_eq!(floats.min_t(), model.first_key_value().map(|(t, _)| *t));
            }
            for chunk in &floats.sealed {
                let count = XorIter::new(&chunk.bytes).unwrap().remaining();
                prop_assert!(count <= MAX_CHUNK_SAMPLES);
            }
            for t in (0..3000).step_by(23) {
                prop_assert_eq!(floats.at(t), model.get(&t).copied());
                let next = model.range(t + 1..).next().map(|(t, _)| *t);
                prop_assert_eq!(floats.next_after(t), next);
            }
            let (mint, maxt) = range;
            let mut got = Vec::new();
            floats.snapshot(mint, maxt).decode(mint, maxt, |t, v| got.push((t, v))).unwrap();
            let want: Vec<_> = model.iter().map(|(t, v)| (*t, *v))
                .filter(|s| mint <= s.0 && s.0 <= maxt).collect();
            prop_assert_eq!(got, want);

            let except: Vec<i64> = model.keys().copied().filter(|t| t % 7 == 0).collect();
            let gone = |t: i64| mint <= t && t <= maxt && t % 7 != 0;
            let any = model.keys().any(|t| gone(*t));
            prop_assert_eq!(floats.remove(mint, maxt, &except, &mut totals), any);
            model.retain(|t, _| !gone(*t));
            prop_assert!(all(&floats).into_iter().eq(model.clone()));
            prop_assert_eq!(totals, measured(&floats));
            prop_assert_eq!(floats.max_t(), model.last_key_value().map(|(t, _)| *t));

            floats.drop_before(floor, &mut totals);
            prop_assert!(!floats.has_before(floor));
            prop_assert_eq!(totals, measured(&floats));
            let left = all(&floats);
            let kept: Vec<_> = model.iter().map(|(t, v)| (*t, *v)).collect();
            prop_assert!(kept.ends_with(&left));
            prop_assert!(left.len() >= kept.iter().filter(|s| s.0 >= floor).count());
        }
    }
}
