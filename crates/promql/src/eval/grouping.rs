//! Groups of series by the labels of `by` and `without`.

use std::hash::{BuildHasher as _, Hash as _, Hasher as _};

use hashbrown::{DefaultHashBuilder, HashTable};
use tsdb_model::{Label, Labels, METRIC_NAME};

/// Puts label sets into groups, numbered in order of appearance.
#[derive(Debug)]
pub(super) struct Grouping<'a> {
    names: &'a [String],
    without: bool,
    hasher: DefaultHashBuilder,
    known: HashTable<usize>,
    labels: Vec<Labels>,
}

impl<'a> Grouping<'a> {
    /// No groups yet.
    pub(super) fn new(names: &'a [String], without: bool) -> Self {
        Self {
            names,
            without,
            hasher: DefaultHashBuilder::default(),
            known: HashTable::new(),
            labels: Vec::new(),
        }
    }

    /// Number of the group of a label set.
    pub(super) fn group(&mut self, labels: &Labels) -> usize {
        if self.names.is_empty() && !self.without {
            if self.labels.is_empty() {
                self.labels.push(Labels::empty());
            }
            return 0;
        }
        let (names, without) = (self.names, self.without);
        // Looked for label by label: the label set of the group is made for new ones only.
        let kept = || labels.iter().filter(|l| keeps(names, without, *l));
        let mut hasher = self.hasher.build_hasher();
        kept().for_each(|l| l.hash(&mut hasher));
        let hash = hasher.finish();
        let groups = &self.labels;
        if let Some(group) = self.known.find(hash, |g| groups[*g].iter().eq(kept())) {
            return *group;
        }
        let group = groups.len();
        self.labels.push(Labels::from_sorted(kept()));
        let (groups, hasher) = (&self.labels, &self.hasher);
        self.known.insert_unique(hash, group, |g| {
            let mut state = hasher.build_hasher();
            groups[*g].iter().for_each(|l| l.hash(&mut state));
            state.finish()
        });
        group
    }

    /// Memory that a group takes here.
    pub(super) fn bytes(&self, group: usize) -> usize {
        let labels = self.labels.get(group).map_or(0, Labels::heap_bytes);
        // Twice the number: the table has gaps.
        labels + 2 * size_of::<usize>() + size_of::<Labels>()
    }

    /// Labels of the groups.
    pub(super) fn into_labels(self) -> Vec<Labels> {
        self.labels
    }
}

/// True when a label is one of those that make the group.
#[inline]
fn keeps(names: &[String], without: bool, label: Label<'_>) -> bool {
    let listed = names.iter().any(|n| n == label.name);
    if without {
        label.name != METRIC_NAME && !listed
    } else {
        listed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups() {
        let a = Labels::from_pairs([(METRIC_NAME, "m"), ("x", "1"), ("y", "1")]);
        let b = Labels::from_pairs([(METRIC_NAME, "n"), ("x", "1"), ("y", "2")]);
        let names = ["x".to_string()];
        let mut by = Grouping::new(&names, false);
        assert_eq!((by.group(&a), by.group(&b)), (0, 0));
        assert_eq!(by.into_labels()[0].to_string(), r#"{x="1"}"#);
        let mut without = Grouping::new(&names, true);
        assert_eq!((without.group(&a), without.group(&b)), (0, 1));
        assert_eq!(without.into_labels()[1].to_string(), r#"{y="2"}"#);
        let mut all = Grouping::new(&[], false);
        assert_eq!((all.group(&a), all.group(&b)), (0, 0));
        assert_eq!(all.into_labels(), [Labels::empty()]);
    }
}
