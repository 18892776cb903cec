//! The labels of series in a block: docs/format/index.md.

use std::borrow::Cow;

use hashbrown::HashMap;
use tsdb_model::{Label, Labels, StorageError};

use super::bytes::Bad;
use super::identity::{CHUNK_SERIES, ChunkHead, HEAD_BYTES};
use super::layout::Section;
use super::reader::Block;
use super::sets::{SETS_RESTART, restart_bytes as set_restart_bytes, take_set};
use super::symbols::{PAIRS_RESTART, Values, restart_bytes as pair_restart_bytes};

/// Label values and targets met lately: most series share most of theirs.
#[derive(Debug, Default)]
pub(super) struct TextCache {
    values: HashMap<u32, Box<str>>,
    targets: HashMap<u32, Box<[u32]>>,
}

/// Pairs and targets whose texts are kept, most.
const CACHED_PAIRS: usize = 4096;
const CACHED_TARGETS: usize = 512;

impl Block {
    /// Local set and target of a series.
    pub(super) fn identity(&self, index: u32) -> Result<(u32, u32), StorageError> {
        let section = Section::Identity;
        let number = index / CHUNK_SERIES;
        let head = self.chunk_head(number)?;
        let count = CHUNK_SERIES.min(self.counts.series.saturating_sub(number * CHUNK_SERIES));
        let bits = self.chunk_bits(&head, count)?;
        head.get(&bits, index % CHUNK_SERIES)
            .map_err(|b| self.bad(section, b))
    }

    pub(super) fn chunks(&self) -> u32 {
        self.counts.series.div_ceil(CHUNK_SERIES)
    }

    pub(super) fn chunk_head(&self, number: u32) -> Result<ChunkHead, StorageError> {
        let at = u64::from(number) * HEAD_BYTES as u64;
        let bytes = self.part(Section::Identity, at, HEAD_BYTES)?;
        ChunkHead::parse(&bytes).map_err(|b| self.bad(Section::Identity, b))
    }

    pub(super) fn chunk_bits(
        &self,
        head: &ChunkHead,
        series: u32,
    ) -> Result<Cow<'_, [u8]>, StorageError> {
        let at = u64::from(self.chunks()) * HEAD_BYTES as u64 + u64::from(head.at);
        self.part(Section::Identity, at, head.bytes(series))
    }

    fn set(
        &self,
        section: Section,
        sets: u32,
        number: u32,
        out: &mut Vec<u32>,
    ) -> Result<(), StorageError> {
        if number >= sets {
            return Err(self.bad(section, Bad("number of a label set")));
        }
        let bytes = self.between(section, set_restart_bytes(sets), number / SETS_RESTART)?;
        take_set(&bytes, number % SETS_RESTART, self.counts.pairs, out)
            .map_err(|b| self.bad(section, b))
    }

    /// The values from the restart before a pair on.
    pub(super) fn pair_group(&self, group: u32) -> Result<Cow<'_, [u8]>, StorageError> {
        self.between(Section::Pairs, pair_restart_bytes(self.counts.pairs), group)
    }

    /// The name of a pair.
    fn name_of(&self, pair: u32) -> Result<&str, StorageError> {
        let number = self.names.partition_point(|n| n.first_pair <= pair);
        let name = number.checked_sub(1).and_then(|n| self.names.get(n));
        name.map(|n| &*n.text)
            .ok_or_else(|| self.bad(Section::Names, Bad("pair without a name")))
    }

    /// The value of a pair.
    pub(super) fn value_of(&self, pair: u32) -> Result<Box<str>, StorageError> {
        let bytes = self.pair_group(pair / PAIRS_RESTART)?;
        let mut values = Values::new(&bytes);
        let value = values.nth(pair % PAIRS_RESTART);
        value
            .map(Box::from)
            .map_err(|b| self.bad(Section::Pairs, b))
    }

    /// The labels of a series.
    pub(crate) fn labels(&self, index: u32) -> Result<Labels, StorageError> {
        // Who finds the cache taken goes without.
        match self.texts.try_lock() {
            Ok(mut cache) => self.labels_with(index, &mut cache),
            Err(_) => self.labels_with(index, &mut TextCache::default()),
        }
    }

    fn labels_with(&self, index: u32, cache: &mut TextCache) -> Result<Labels, StorageError> {
        if index >= self.counts.series {
            return Err(self.bad(Section::Identity, Bad("number of a series")));
        }
        let (local, target) = self.identity(index)?;
        let mut set = Vec::new();
        if let Some(of_target) = cache.targets.get(&target) {
            self.set(Section::Locals, self.counts.locals, local, &mut set)?;
            set.extend_from_slice(of_target);
        } else {
            let mut of_target = Vec::new();
            self.set(
                Section::Targets,
                self.counts.targets,
                target,
                &mut of_target,
            )?;
            self.set(Section::Locals, self.counts.locals, local, &mut set)?;
            set.extend_from_slice(&of_target);
            if cache.targets.len() >= CACHED_TARGETS {
                cache.targets.clear();
            }
            cache.targets.insert(target, of_target.into());
        }
        set.sort_unstable();
        if cache.values.len() + set.len() > CACHED_PAIRS {
            cache.values.clear();
        }
        for pair in &set {
            if !cache.values.contains_key(pair) {
                cache.values.insert(*pair, self.value_of(*pair)?);
            }
        }
        let mut labels: Vec<Label<'_>> = Vec::with_capacity(set.len());
        for pair in &set {
            let (name, value) = (self.name_of(*pair)?, cache.values.get(pair));
            let value = value.map_or("", |v| v);
            if value.is_empty() || labels.last().is_some_and(|l| l.name >= name) {
                return Err(self.bad(Section::Locals, Bad("not a label set")));
            }
            labels.push(Label { name, value });
        }
        Ok(Labels::from_sorted(labels))
    }
}
