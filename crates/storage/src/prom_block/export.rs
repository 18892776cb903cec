//! A store's samples as blocks of Prometheus.

use std::sync::Arc;

use tsdb_model::{
    Clock, FloatHistogram, Histogram, HistogramValue, Labels, Matcher, Queryable, SelectHints,
    SeriesData, StorageError, SystemClock, is_stale,
};

use super::block_reader::SampleValue;
use super::block_writer::BlockWriter;
use super::chunk_builder::{Chunk, ChunkBuilder};
use super::error::PromBlockError;
use super::meta::BlockMeta;
use super::ulid::Ulid;
use super::{range_end, range_start};
use crate::dir::Dir;

/// How far an export is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExportProgress {
    /// All before this time is written; milliseconds since the Unix epoch.
    pub done_until_ms: i64,
    /// Blocks finished.
    pub blocks: u64,
    /// Series written, counted once for each block that they are in.
    pub series: u64,
    /// Samples written.
    pub samples: u64,
}

/// Largest counts that floats hold exactly.
const MAX_EXACT: f64 = (1u64 << 53) as f64;

/// Writes the samples with `mint_ms <= t <= maxt_ms` of all series that pass at least one list of
/// matchers (of all series if there is no list) as blocks of two hours into `out`. Each block is
/// complete or not there.
///
/// Queries know histograms with float counts only. Where all counts of a series in a block are
/// whole numbers that fit its total, as they are when it was scraped, integer histograms are
/// written; Prometheus answers the same from both. Start timestamps, exemplars and metadata have
/// no place in a block.
///
/// The samples of one series and two hours are in memory at a time, and the labels of all
/// series. Times without series cost little if the store finds that out quickly.
pub fn export(
    queryable: &dyn Queryable,
    matchers: &[Vec<Matcher>],
    mint_ms: i64,
    maxt_ms: i64,
    out: &dyn Dir,
    progress: &mut dyn FnMut(&ExportProgress),
) -> Result<Vec<BlockMeta>, PromBlockError> {
    let mut export = Export {
        queryable,
        matchers: if matchers.is_empty() {
            &[Vec::new()]
        } else {
            matchers
        },
        out,
        progress,
        state: ExportProgress {
            done_until_ms: mint_ms,
            ..ExportProgress::default()
        },
        blocks: Vec::new(),
    };
    if mint_ms <= maxt_ms {
        export.range(mint_ms, maxt_ms)?;
    }
    Ok(export.blocks)
}

struct Export<'a> {
    queryable: &'a dyn Queryable,
    matchers: &'a [Vec<Matcher>],
    out: &'a dyn Dir,
    progress: &'a mut dyn FnMut(&ExportProgress),
    state: ExportProgress,
    blocks: Vec<BlockMeta>,
}

impl Export<'_> {
    /// Exports a range block by block; parts that have no series are passed over by halves.
    fn range(&mut self, mint: i64, maxt: i64) -> Result<(), PromBlockError> {
        if range_start(mint) == range_start(maxt) {
            self.block(mint, maxt)?;
        } else {
            let querier = self.queryable.querier(mint, maxt)?;
            let hints = hints(mint, maxt, true);
            let mut any = false;
            for list in self.matchers {
                any = any || !querier.select(&hints, list)?.is_empty();
            }
            drop(querier);
            if any {
                // Both halves are not empty: the middle ends a block range that starts before the
                // last one.
                let middle = mint.midpoint(maxt);
                let middle = match range_end(middle) {
                    end if end < maxt => end,
                    _ => range_start(maxt).saturating_sub(1).max(mint),
                };
                self.range(mint, middle)?;
                self.range(middle + 1, maxt)?;
            }
        }
        self.state.done_until_ms = maxt.saturating_add(1);
        (self.progress)(&self.state);
        Ok(())
    }

    /// Exports the samples of one block, if there are any.
    fn block(&mut self, mint: i64, maxt: i64) -> Result<(), PromBlockError> {
        let querier = self.queryable.querier(mint, maxt)?;
        let hints = hints(mint, maxt, false);
        let sets = self
            .matchers
            .iter()
            .map(|list| querier.select(&hints, list))
            .collect::<Result<Vec<_>, StorageError>>()?;
        let mut order: Vec<(Labels, usize, usize)> = Vec::new();
        for (s, set) in sets.iter().enumerate() {
            order.extend((0..set.len()).map(|i| (set.labels(i), s, i)));
        }
        order.sort_unstable();
        order.dedup_by(|next, first| next.0 == first.0);

        let mut data = SeriesData::default();
        let mut builder = ChunkBuilder::new();
        let mut writer: Option<BlockWriter<'_>> = None;
        for (labels, s, i) in &order {
            sets[*s].read(*i, &mut data)?;
            let chunks = encode(labels, &data, mint, maxt, &mut builder)?;
            if chunks.is_empty() {
                continue;
            }
            let writer = match &mut writer {
                Some(writer) => writer,
                None => {
                    let ulid = Ulid::new(SystemClock.now_ms());
                    writer.insert(BlockWriter::new(self.out, ulid)?)
                }
            };
            writer.add_series(labels, &chunks)?;
            self.state.series += 1;
            self.state.samples += chunks.iter().map(|c| u64::from(c.samples)).sum::<u64>();
            if self.state.series.is_multiple_of(1024) {
                (self.progress)(&self.state);
            }
        }
        if let Some(writer) = writer {
            self.blocks.push(writer.finish()?);
            self.state.blocks += 1;
        }
        Ok(())
    }
}

fn hints(start_ms: i64, end_ms: i64, labels_only: bool) -> SelectHints {
    SelectHints {
        start_ms,
        end_ms,
        step_ms: 0,
        range_ms: 0,
        limit: 0,
        labels_only,
    }
}

/// The chunks of one series. Where a float and a histogram have the same time, the float stays.
fn encode(
    labels: &Labels,
    data: &SeriesData,
    mint: i64,
    maxt: i64,
    builder: &mut ChunkBuilder,
) -> Result<Vec<Chunk>, PromBlockError> {
    let integers: Option<Vec<HistogramValue>> = data
        .histograms
        .iter()
        .map(|s| whole(&s.histogram).map(|h| HistogramValue::Int(h.into())))
        .collect();
    let mut floats = data
        .times()
        .iter()
        .copied()
        .zip(data.values.iter().copied())
        .peekable();
    let mut histograms = data.histograms.iter().enumerate().peekable();
    let mut last = None;
    loop {
        let float_t = floats.peek().map(|(t, _)| *t);
        let histogram_t = histograms.peek().map(|(_, h)| h.timestamp_ms);
        let (t, value) = match (float_t, histogram_t) {
            (None, None) => return Ok(builder.finish()),
            (Some(t), other) if other.is_none_or(|h| t <= h) => {
                let v = floats.next().map_or(f64::NAN, |(_, v)| v);
                (t, SampleValue::Float(v))
            }
            (_, _) => {
                let Some((i, sample)) = histograms.next() else {
                    continue;
                };
                let value = match integers.as_ref().and_then(|all| all.get(i)) {
                    Some(integer) => integer.clone(),
                    None => HistogramValue::Float(Arc::clone(&sample.histogram)),
                };
                (sample.timestamp_ms, SampleValue::Histogram(value))
            }
        };
        if t < mint || t > maxt || last.is_some_and(|last| last >= t) {
            continue;
        }
        last = Some(t);
        builder
            .add(t, &value)
            .map_err(|source| PromBlockError::Histogram {
                labels: labels.clone(),
                timestamp_ms: t,
                source,
            })?;
    }
}

/// The same histogram with integer counts, if that is the same.
fn whole(h: &FloatHistogram) -> Option<Histogram> {
    if is_stale(h.sum) {
        return Some(Histogram {
            sum: h.sum,
            reset_hint: h.reset_hint,
            ..Histogram::default()
        });
    }
    let count = |v: f64| {
        let fits = v.fract() == 0.0 && (0.0..=MAX_EXACT).contains(&v) && v.is_sign_positive();
        fits.then_some(v as u64)
    };
    let deltas = |counts: &[f64]| {
        let mut before = 0;
        let delta = |v: &f64| {
            let v = count(*v)? as i64;
            Some(v - std::mem::replace(&mut before, v))
        };
        counts.iter().map(delta).collect::<Option<Vec<i64>>>()
    };
    let integer = Histogram {
        reset_hint: h.reset_hint,
        schema: h.schema,
        zero_threshold: h.zero_threshold,
        zero_count: count(h.zero_count)?,
        count: count(h.count)?,
        sum: h.sum,
        positive_spans: h.positive_spans.clone(),
        negative_spans: h.negative_spans.clone(),
        positive_deltas: deltas(&h.positive_buckets)?,
        negative_deltas: deltas(&h.negative_buckets)?,
        custom_values: h.custom_values.clone(),
    };
    integer.validate().is_ok().then_some(integer)
}
