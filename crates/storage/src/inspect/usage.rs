//! What takes the series, and what takes the space.

use std::cmp::Reverse;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap, HashSet};
use tsdb_model::{Labels, Matcher, StorageError};

use crate::db::Db;

/// Series looked at under one lock.
const SLICE: usize = 4096;

/// A metric.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetricUsage {
    /// Its name.
    pub name: String,
    /// Series.
    pub series: u64,
    /// Samples in blocks.
    pub samples: u64,
    /// Bytes of these samples in blocks, without times and index, which series share.
    pub bytes: u64,
}

/// A label name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelUsage {
    /// The name.
    pub name: String,
    /// Distinct values.
    pub values: u64,
    /// Series that have it.
    pub series: u64,
}

/// A label pair.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PairUsage {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
    /// Series that have it.
    pub series: u64,
}

/// A scrape target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetUsage {
    /// Label `job`.
    pub job: String,
    /// Label `instance`.
    pub instance: String,
    /// Series of it.
    pub series: u64,
    /// Samples in blocks.
    pub samples: u64,
}

/// Where series and bytes come from, in memory and in blocks; each list with the largest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Series; each counts once.
    pub series: u64,
    /// Distinct label pairs.
    pub label_pairs: u64,
    /// Samples of these series in blocks.
    pub samples: u64,
    /// Bytes of these samples in blocks.
    pub sample_bytes: u64,
    /// Bytes of all blocks, times and index included.
    pub block_bytes: u64,
    /// Metrics by bytes, then by series.
    pub metrics: Vec<MetricUsage>,
    /// Label names by number of values.
    pub labels: Vec<LabelUsage>,
    /// Label pairs by number of series.
    pub pairs: Vec<PairUsage>,
    /// Targets by number of series.
    pub targets: Vec<TargetUsage>,
}

/// Series, samples, bytes.
type Sums = (u64, u64, u64);

#[derive(Default)]
struct Counting {
    hasher: DefaultHashBuilder,
    /// Hashes of the series seen: 64 bits do for counting.
    seen: HashSet<u64>,
    metrics: HashMap<String, Sums>,
    names: HashMap<String, HashMap<String, u64>>,
    targets: HashMap<(String, String), Sums>,
}

/// The entry of a key, made if it is missing; the key is only copied then.
fn entry<'a, V: Default>(map: &'a mut HashMap<String, V>, key: &str) -> &'a mut V {
    map.entry_ref(key).or_default()
}

impl Counting {
    fn add(&mut self, labels: &Labels, samples: u64, bytes: u64) {
        let is_new = u64::from(self.seen.insert(self.hasher.hash_one(labels)));
        let sum = |sums: &mut Sums| {
            sums.0 += is_new;
            sums.1 += samples;
            sums.2 += bytes;
        };
        sum(entry(&mut self.metrics, labels.metric_name()));
        let (job, instance) = (labels.value("job"), labels.value("instance"));
        if !job.is_empty() || !instance.is_empty() {
            sum(self
                .targets
                .entry((job.into(), instance.into()))
                .or_default());
        }
        if is_new > 0 {
            for label in labels {
                *entry(entry(&mut self.names, label.name), label.value) += 1;
            }
        }
    }

    fn finish(self, limit: usize, block_bytes: u64) -> Usage {
        let mut usage = Usage {
            series: self.seen.len() as u64,
            label_pairs: self.names.values().map(|v| v.len() as u64).sum(),
            block_bytes,
            ..Usage::default()
        };
        for (name, (series, samples, bytes)) in self.metrics {
            usage.samples += samples;
            usage.sample_bytes += bytes;
            usage.metrics.push(MetricUsage {
                name,
                series,
                samples,
                bytes,
            });
        }
        for ((job, instance), (series, samples, _)) in self.targets {
            usage.targets.push(TargetUsage {
                job,
                instance,
                series,
                samples,
            });
        }
        for (name, values) in self.names {
            usage.labels.push(LabelUsage {
                name: name.clone(),
                values: values.len() as u64,
                series: values.values().sum(),
            });
            let pairs = values.into_iter().map(|(value, series)| PairUsage {
                name: name.clone(),
                value,
                series,
            });
            usage.pairs.extend(pairs);
            // Only the largest are ever wanted.
            if usage.pairs.len() > 4 * limit.max(1000) {
                keep_largest(&mut usage.pairs, limit, pair_key);
            }
        }
        keep_largest(&mut usage.metrics, limit, |m| {
            (Reverse((m.bytes, m.series)), m.name.clone())
        });
        keep_largest(&mut usage.labels, limit, |l| {
            (Reverse(l.values), l.name.clone())
        });
        keep_largest(&mut usage.pairs, limit, pair_key);
        keep_largest(&mut usage.targets, limit, |t| {
            (Reverse(t.series), t.job.clone(), t.instance.clone())
        });
        usage
    }
}

fn pair_key(pair: &PairUsage) -> (Reverse<u64>, String, String) {
    (Reverse(pair.series), pair.name.clone(), pair.value.clone())
}

fn keep_largest<T, K: Ord>(list: &mut Vec<T>, limit: usize, key: impl Fn(&T) -> K) {
    list.sort_by_cached_key(key);
    list.truncate(limit);
}

impl Db {
    /// Where series and bytes come from: of the series that pass all matchers, in memory and in
    /// all blocks. Each list has at most `limit` entries. `progress` gets series done and series
    /// in all, those in several blocks counted in each.
    pub fn usage(
        &self,
        matchers: &[Matcher],
        limit: usize,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Usage, StorageError> {
        let shared = self.shared();
        let (view, slots) = {
            let head = shared.head();
            let slots: Vec<u32> = head.index.select(matchers).iter().collect();
            (Arc::clone(&head.view), slots)
        };
        let mut counting = Counting::default();
        let in_blocks: u64 = view.blocks.iter().map(|b| b.block.meta().series).sum();
        let (mut done, all) = (0, in_blocks + slots.len() as u64);
        for slice in slots.chunks(SLICE) {
            let labels: Vec<Labels> = {
                let head = shared.head();
                let series = slice.iter().filter_map(|slot| head.in_slot(*slot));
                series.map(|s| head.labels(s)).collect()
            };
            for labels in &labels {
                counting.add(labels, 0, 0);
            }
            done += slice.len() as u64;
            progress(done, all);
        }
        for block in &view.blocks {
            for series in block.block.select(matchers)? {
                let (samples, bytes) = block.block.weight(series)?;
                counting.add(&block.block.labels(series)?, samples, bytes);
                progress(done + u64::from(series), all);
            }
            done += block.block.meta().series;
        }
        Ok(counting.finish(limit, view.bytes()))
    }
}
