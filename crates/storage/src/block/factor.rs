//! Taking label sets apart: what all series of one job and instance share is their target, the
//! rest of each is its local set.

use hashbrown::HashMap;
use tsdb_model::labels::METRIC_NAME;
use tsdb_model::{Label, Labels};

/// The group that each label set belongs to: sets with the same job and instance, or without.
pub(super) fn groups(sets: &[Labels]) -> (Vec<u32>, usize) {
    let mut numbers: HashMap<(&str, &str), u32> = HashMap::new();
    let of_set = sets.iter().map(|labels| {
        let next = numbers.len() as u32;
        *numbers
            .entry((labels.value("job"), labels.value("instance")))
            .or_insert(next)
    });
    let of_set = of_set.collect();
    (of_set, numbers.len())
}

/// The labels that the given sets of each group share, metric names apart.
pub(super) fn shared<'a>(
    members: impl Iterator<Item = (&'a Labels, u32)>,
    groups: usize,
) -> Vec<Option<Vec<Label<'a>>>> {
    let mut shared: Vec<Option<Vec<Label<'a>>>> = vec![None; groups];
    for (labels, group) in members {
        match shared.get_mut(group as usize) {
            Some(Some(common)) => {
                // Both are sorted by name.
                let mut own = labels.iter().peekable();
                common.retain(|label| {
                    while own.next_if(|l| l.name < label.name).is_some() {}
                    own.peek() == Some(label)
                });
            }
            Some(none) => *none = Some(labels.iter().filter(|l| l.name != METRIC_NAME).collect()),
            None => {}
        }
    }
    shared
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_target_shares() {
        let sets = [
            Labels::from_pairs([
                ("__name__", "a"),
                ("job", "j"),
                ("instance", "i"),
                ("x", "1"),
            ]),
            Labels::from_pairs([
                ("__name__", "b"),
                ("job", "j"),
                ("instance", "i"),
                ("x", "1"),
                ("y", "2"),
            ]),
            Labels::from_pairs([
                ("__name__", "b"),
                ("job", "j"),
                ("instance", "k"),
                ("x", "1"),
            ]),
            Labels::from_pairs([("__name__", "c"), ("y", "1")]),
            Labels::from_pairs([("__name__", "c"), ("z", "1")]),
        ];
        let (of_set, count) = groups(&sets);
        assert_eq!((of_set.as_slice(), count), ([0, 0, 1, 2, 2].as_slice(), 3));
        let shared = shared(sets.iter().zip(of_set), count);
        let names = |i: usize| -> Vec<&str> {
            shared[i].as_ref().unwrap().iter().map(|l| l.name).collect()
        };
        assert_eq!(names(0), ["instance", "job", "x"]);
        assert_eq!(names(1), ["instance", "job", "x"]);
        assert_eq!(names(2), [""; 0]);
    }
}
