//! Blocks of Prometheus into a store.

use std::collections::{BTreeMap, HashSet};

use tsdb_model::{AppendError, Appendable, Appender, Labels, SeriesRef};

use super::block_reader::{BlockReader, BlockSample, SampleValue, SeriesEntry};
use super::error::{PromBlockError, io_error};
use super::meta::BlockMeta;
use super::ulid::Ulid;
use super::{META_FILE, range_end};
use crate::dir::Dir;

/// Samples of a transaction, about.
const BATCH_SAMPLES: u64 = 20_000;

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImportProgress {
    /// Time of the oldest sample of the blocks, milliseconds since the Unix epoch.
    pub min_time_ms: i64,
    /// Time after the newest one.
    pub max_time_ms: i64,
    /// All before this time is stored.
    pub done_until_ms: i64,
    /// Samples read.
    pub samples: u64,
}

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Imported {
    /// Blocks read.
    pub blocks: u64,
    /// Samples now stored; an exact repetition of a stored sample counts.
    pub samples: u64,
    /// Samples that the store refused.
    pub rejected: u64,
    /// How many were refused for which reason: the reason of the first one of each kind, by the
    /// words it starts with.
    pub reasons: BTreeMap<String, u64>,
}

/// The blocks of a data directory of Prometheus: folder and description, sorted by time. Blocks
/// that another one replaces, empty ones, and unfinished ones are left out. If the directory is a
/// block itself, it is that one.
pub fn list_blocks(from: &dyn Dir) -> Result<Vec<(String, BlockMeta)>, PromBlockError> {
    let names = from.list("").map_err(|e| io_error(from, "list", "", &e))?;
    let mut blocks = Vec::new();
    if names.iter().any(|name| name == META_FILE) {
        blocks.push((String::new(), BlockMeta::read(from, "")?));
    } else {
        for name in names
            .into_iter()
            .filter(|name| name.parse::<Ulid>().is_ok())
        {
            let meta = BlockMeta::read(from, &name)?;
            blocks.push((name, meta));
        }
    }
    let replaced: HashSet<Ulid> = (blocks.iter())
        .flat_map(|(_, meta)| meta.parents.iter().copied().filter(|p| *p != meta.ulid))
        .collect();
    blocks.retain(|(_, meta)| !meta.deletable && !replaced.contains(&meta.ulid));
    blocks.sort_by_key(|(_, meta)| (meta.min_time_ms, meta.max_time_ms, meta.ulid));
    Ok(blocks)
}

/// Appends all samples of the blocks in `from`: two hours after two hours, in each series after
/// series by labels, in each sample after sample. The log of Prometheus (`wal`) is not read.
///
/// Where blocks overlap, their samples are merged; of several at the same time that of the block
/// made last stays. Samples that the store refuses are counted, anything else that goes wrong ends
/// the import; what was committed until then stays, and importing again does no harm.
///
/// Open blocks have their names, values and lists of series in memory; of the samples those of one
/// series and two hours.
pub fn import(
    from: &dyn Dir,
    appendable: &dyn Appendable,
    progress: &mut dyn FnMut(&ImportProgress),
) -> Result<Imported, PromBlockError> {
    let blocks = list_blocks(from)?;
    let mut import = Import {
        appendable,
        appender: None,
        batch: 0,
        state: ImportProgress::default(),
        done: Imported {
            blocks: blocks.len() as u64,
            ..Imported::default()
        },
        progress,
    };
    let Some(first) = blocks.first().map(|(_, meta)| meta.min_time_ms) else {
        return Ok(import.done);
    };
    let end = blocks
        .iter()
        .map(|(_, meta)| meta.max_time_ms)
        .max()
        .unwrap_or(first);
    import.state.min_time_ms = first;
    import.state.max_time_ms = end;
    let mut waiting = blocks.into_iter().peekable();
    let mut open: Vec<BlockReader<'_>> = Vec::new();
    let mut from_ms = first;
    loop {
        let to_ms = range_end(from_ms);
        while let Some((folder, _)) = waiting.next_if(|(_, meta)| meta.min_time_ms <= to_ms) {
            open.push(BlockReader::open(from, &folder)?);
        }
        // The newest first: its samples win.
        open.sort_by_key(|block| std::cmp::Reverse(block.meta().ulid));
        let next = import.window(&mut open, from_ms, to_ms)?;
        open.retain(|block| block.meta().max_time_ms > to_ms.saturating_add(1));
        import.state.done_until_ms = to_ms.saturating_add(1).min(end);
        (import.progress)(&import.state);
        // Times without samples are passed over.
        let waiting = waiting.peek().map(|(_, meta)| meta.min_time_ms);
        from_ms = match earlier(next, waiting) {
            Some(t) => t,
            None => break,
        };
    }
    import.commit()?;
    Ok(import.done)
}

struct Import<'a> {
    appendable: &'a dyn Appendable,
    appender: Option<Box<dyn Appender + 'a>>,
    /// Samples in the open transaction.
    batch: u64,
    state: ImportProgress,
    done: Imported,
    progress: &'a mut dyn FnMut(&ImportProgress),
}

/// A block being walked through.
struct Cursor {
    next: usize,
    entry: Option<SeriesEntry>,
}

/// The earlier one, if there is one at all.
fn earlier(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    a.into_iter().chain(b).min()
}

impl Cursor {
    /// Goes to the next series.
    fn advance(&mut self, block: &mut BlockReader<'_>) -> Result<(), PromBlockError> {
        let before = self.entry.take();
        if self.next < block.series_count() {
            let entry = block.series(self.next)?;
            if before.is_some_and(|before| before.labels >= entry.labels) {
                return Err(block.corrupt_series(self.next, "series are not sorted"));
            }
            self.next += 1;
            self.entry = Some(entry);
        }
        Ok(())
    }
}

impl Import<'_> {
    /// Appends all samples of some times. Gives a time before which no more follow in these
    /// blocks, if any follow.
    fn window(
        &mut self,
        blocks: &mut [BlockReader<'_>],
        mint: i64,
        maxt: i64,
    ) -> Result<Option<i64>, PromBlockError> {
        let mut next = None;
        let mut cursors = Vec::with_capacity(blocks.len());
        for block in blocks.iter_mut() {
            let mut cursor = Cursor {
                next: 0,
                entry: None,
            };
            cursor.advance(block)?;
            cursors.push(cursor);
        }
        let mut samples = Vec::new();
        loop {
            let labels = cursors
                .iter()
                .filter_map(|c| c.entry.as_ref())
                .map(|e| &e.labels)
                .min();
            let Some(labels) = labels.cloned() else {
                return Ok(next);
            };
            samples.clear();
            for (cursor, block) in cursors.iter_mut().zip(blocks.iter_mut()) {
                match &cursor.entry {
                    Some(entry) if entry.labels == labels => {
                        next = earlier(next, block.samples(entry, mint, maxt, &mut samples)?);
                        cursor.advance(block)?;
                    }
                    _ => {}
                }
            }
            // Stable: of equal times the one of the newest block comes first.
            samples.sort_by_key(|s| s.timestamp_ms);
            samples.dedup_by_key(|s| s.timestamp_ms);
            self.append(&labels, &samples)?;
        }
    }

    fn append(&mut self, labels: &Labels, samples: &[BlockSample]) -> Result<(), PromBlockError> {
        let mut series: Option<SeriesRef> = None;
        for sample in samples {
            let appendable = self.appendable;
            let appender = self.appender.get_or_insert_with(|| appendable.appender());
            let found = match series {
                Some(series) => Ok(series),
                None => appender.series(labels),
            };
            let result = found.and_then(|found| {
                series = Some(found);
                match &sample.value {
                    SampleValue::Float(v) => appender.append(found, sample.timestamp_ms, *v),
                    SampleValue::Histogram(h) => {
                        appender.append_histogram(found, sample.timestamp_ms, h.clone())
                    }
                }
            });
            if let Err(e) = result {
                self.reject(&e);
            }
            self.batch += 1;
            self.state.samples += 1;
            if self.batch >= BATCH_SAMPLES {
                self.commit()?;
                series = None; // handles may not outlive a transaction
                (self.progress)(&self.state);
            }
        }
        Ok(())
    }

    fn reject(&mut self, e: &AppendError) {
        self.done.rejected += 1;
        let text = e.to_string();
        // Without the numbers of the single sample.
        let kind = text.split(" for timestamp").next().unwrap_or_default();
        *self.done.reasons.entry(kind.to_string()).or_default() += 1;
    }

    fn commit(&mut self) -> Result<(), PromBlockError> {
        self.batch = 0;
        let Some(appender) = self.appender.take() else {
            return Ok(());
        };
        let report = appender.commit()?;
        self.done.samples += report.samples;
        for rejected in &report.rejected {
            self.reject(&rejected.error);
        }
        Ok(())
    }
}
