//! Groups of series by the labels of `by` and `without`.

use std::collections::HashMap;

use tsdb_model::{Labels, METRIC_NAME};

/// Puts label sets into groups, numbered in order of appearance.
#[derive(Debug)]
pub(super) struct Grouping<'a> {
    names: &'a [String],
    without: bool,
    known: HashMap<Labels, usize>,
    labels: Vec<Labels>,
}

impl<'a> Grouping<'a> {
    /// No groups yet.
    pub(super) fn new(names: &'a [String], without: bool) -> Self {
        Self {
            names,
            without,
            known: HashMap::new(),
            labels: Vec::new(),
        }
    }

    /// Number of the group of a label set.
    pub(super) fn group(&mut self, labels: &Labels) -> usize {
        let labels = self.labels_of_group(labels);
        if let Some(group) = self.known.get(&labels) {
            return *group;
        }
        let group = self.labels.len();
        self.known.insert(labels.clone(), group);
        self.labels.push(labels);
        group
    }

    fn labels_of_group(&self, labels: &Labels) -> Labels {
        let listed = |name: &str| self.names.iter().any(|n| n == name);
        if self.without {
            labels.filter(|l| l.name != METRIC_NAME && !listed(l.name))
        } else if self.names.is_empty() {
            Labels::empty()
        } else {
            labels.filter(|l| listed(l.name))
        }
    }

    /// Memory that a group takes here.
    pub(super) fn bytes(&self, group: usize) -> usize {
        let labels = self.labels.get(group).map_or(0, Labels::heap_bytes);
        // Twice the pointers: the table has gaps.
        labels + 2 * size_of::<(Labels, usize)>() + size_of::<Labels>()
    }

    /// Labels of the groups.
    pub(super) fn into_labels(self) -> Vec<Labels> {
        self.labels
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
