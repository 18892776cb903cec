//! Names and values of labels, each pair once, and label sets made of their numbers.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use tsdb_model::{Label, Labels};

use super::paged::Paged;

/// A name and a value.
#[derive(Debug)]
struct Pair {
    name: Arc<str>,
    value: Arc<str>,
    hash: u64,
    /// Sets that have it; without any its place is free.
    sets: u32,
}

/// Sets of one length, one behind the other.
#[derive(Debug, Default)]
struct SameLength {
    pairs: Vec<u32>,
    free: Vec<u32>,
}

/// A label set. What was made with [`Pairs::intern`] is given back with [`Pairs::free`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Set {
    number: u32,
    len: u32,
}

/// All pairs and sets.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    all: Paged<Pair>,
    free: Vec<u32>,
    by_text: HashTable<u32>,
    /// Names, with how many pairs have them.
    names: HashMap<Arc<str>, u32>,
    sets: BTreeMap<u32, SameLength>,
    hasher: DefaultHashBuilder,
}

fn combine(all: u64, pair: u64) -> u64 {
    (all.rotate_left(5) ^ pair).wrapping_mul(0x517c_c1b7_2722_0a95)
}

impl Pairs {
    fn hash_pair(&self, label: Label<'_>) -> u64 {
        self.hasher.hash_one((label.name, label.value))
    }

    /// The hash of a label set, interned or not.
    pub(crate) fn hash(&self, labels: &Labels) -> u64 {
        let pairs = labels.iter().map(|l| self.hash_pair(l));
        pairs.fold(0, combine)
    }

    /// The hash of an interned set: that of its labels.
    pub(crate) fn hash_of(&self, set: Set) -> u64 {
        let pairs = self.numbers(set).iter().filter_map(|n| self.all.get(*n));
        pairs.map(|p| p.hash).fold(0, combine)
    }

    /// The numbers of a set's pairs, by name.
    fn numbers(&self, set: Set) -> &[u32] {
        let len = set.len as usize;
        let from = set.number as usize * len;
        let same = self.sets.get(&set.len);
        let pairs = same.and_then(|s| s.pairs.get(from..from + len));
        pairs.unwrap_or_default()
    }

    /// The labels of a set, by name; names and values that are used again.
    pub(crate) fn texts(&self, set: Set) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        let pairs = self.numbers(set).iter().filter_map(|n| self.all.get(*n));
        pairs.map(|p| (&p.name, &p.value))
    }

    /// The labels of a set.
    pub(crate) fn labels(&self, set: Set) -> Labels {
        let labels = self.texts(set).map(|(name, value)| Label { name, value });
        Labels::from_sorted(labels)
    }

    /// True when these are the labels of the set.
    pub(crate) fn is(&self, set: Set, labels: &Labels) -> bool {
        let texts = self.texts(set).map(|(name, value)| Label { name, value });
        texts.eq(labels.iter())
    }

    fn intern_pair(&mut self, label: Label<'_>) -> Option<u32> {
        let hash = self.hash_pair(label);
        let same = |n: &u32| {
            let pair = self.all.get(*n);
            pair.is_some_and(|p| &*p.name == label.name && &*p.value == label.value)
        };
        if let Some(number) = self.by_text.find(hash, same).copied() {
            if let Some(pair) = self.all.get_mut(number) {
                pair.sets += 1;
            }
            return Some(number);
        }
        let name = match self.names.get_key_value(label.name) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::from(label.name),
        };
        let pair = Pair {
            name: Arc::clone(&name),
            value: label.value.into(),
            hash,
            sets: 1,
        };
        let number = match self.free.pop() {
            Some(number) => {
                if let Some(free) = self.all.get_mut(number) {
                    *free = pair;
                }
                number
            }
            None => {
                let number = u32::try_from(self.all.len()).ok()?;
                self.all.push(pair);
                number
            }
        };
        *self.names.entry(name).or_default() += 1;
        let pairs = &self.all;
        self.by_text
            .insert_unique(hash, number, |n| pairs.get(*n).map_or(0, |p| p.hash));
        Some(number)
    }

    fn free_pair(&mut self, number: u32) {
        let Some(pair) = self.all.get_mut(number) else {
            return;
        };
        pair.sets = pair.sets.saturating_sub(1);
        if pair.sets > 0 {
            return;
        }
        if let Ok(found) = self.by_text.find_entry(pair.hash, |n| *n == number) {
            found.remove();
        }
        if let Some(count) = self.names.get_mut(&pair.name) {
            *count -= 1;
            if *count == 0 {
                self.names.remove(&pair.name);
            }
        }
        let empty: Arc<str> = Arc::default();
        (pair.name, pair.value) = (Arc::clone(&empty), empty);
        self.free.push(number);
    }

    /// Makes a set of labels. `None` when there are as many pairs or sets as can be.
    pub(crate) fn intern(&mut self, labels: &Labels) -> Option<Set> {
        let mut numbers = Vec::with_capacity(16);
        for label in labels {
            let Some(number) = self.intern_pair(label) else {
                for number in numbers {
                    self.free_pair(number);
                }
                return None;
            };
            numbers.push(number);
        }
        let len = numbers.len();
        let same = self.sets.entry(u32::try_from(len).ok()?).or_default();
        let number = match same.free.pop() {
            Some(number) => {
                let from = number as usize * len;
                same.pairs[from..from + len].copy_from_slice(&numbers);
                number
            }
            None => {
                let number = u32::try_from(same.pairs.len() / len.max(1)).ok()?;
                same.pairs.extend_from_slice(&numbers);
                number
            }
        };
        Some(Set {
            number,
            len: len as u32,
        })
    }

    /// Gives a set back.
    pub(crate) fn free(&mut self, set: Set) {
        for number in self.numbers(set).to_vec() {
            self.free_pair(number);
        }
        if let Some(same) = self.sets.get_mut(&set.len) {
            same.free.push(set.number);
        }
    }

    /// Bytes in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        let sets = self.sets.values();
        let sets: usize = sets.map(|s| 4 * (s.pairs.len() + s.free.len())).sum();
        let entry = size_of::<Pair>() + 2 * size_of::<u32>() + 2 * size_of::<usize>();
        sets + self.all.len() * entry
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sets_keep_their_labels(
            steps in proptest::collection::vec(
                (proptest::collection::btree_map("[a-d]", "[xyz]{1,2}", 0..4), any::<bool>()), 0..60)
        ) {
            let mut pairs = Pairs::default();
            let mut sets: Vec<(Set, Labels)> = Vec::new();
            for (labels, remove) in steps {
                if remove && !sets.is_empty() {
                    let (set, _) = sets.swap_remove(labels.len() % sets.len());
                    pairs.free(set);
                }
                let labels = Labels::from_pairs(labels);
                let set = pairs.intern(&labels).unwrap();
                sets.push((set, labels));
                for (set, labels) in &sets {
                    prop_assert_eq!(&pairs.labels(*set), labels);
                    prop_assert_eq!(pairs.hash_of(*set), pairs.hash(labels));
                    for (_, other) in &sets {
                        prop_assert_eq!(pairs.is(*set, other), labels == other);
                    }
                }
            }
            let distinct: std::collections::BTreeSet<_> =
                sets.iter().flat_map(|s| s.1.iter()).collect();
            prop_assert_eq!(pairs.by_text.len(), distinct.len());
            for (set, _) in &sets {
                pairs.free(*set);
            }
            prop_assert_eq!(pairs.by_text.len(), 0);
            prop_assert_eq!(pairs.names.len(), 0);
            prop_assert_eq!(pairs.free.len(), pairs.all.len());
        }
    }
}
