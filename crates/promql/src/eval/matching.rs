//! Which elements of two vectors belong together, and the labels of what comes of them.

use std::collections::HashMap;

use tsdb_model::{Labels, METRIC_NAME};

use super::column::Series;
use super::is_metadata_label;
use crate::ast::{BinaryOp, Cardinality, VectorMatching};

/// Positions of the series of both sides by what they are matched on.
pub(super) struct Matched {
    /// For each series of the left side its group.
    pub(super) lhs: Vec<usize>,
    /// For each series of the right side its group.
    pub(super) rhs: Vec<usize>,
    /// Number of groups.
    pub(super) groups: usize,
}

/// Puts the series of both sides into groups with equal matching labels.
pub(super) fn match_series(lhs: &[Series], rhs: &[Series], matching: &VectorMatching) -> Matched {
    let mut known: HashMap<Labels, usize> = HashMap::with_capacity(lhs.len().max(rhs.len()));
    let mut groups_of = |side: &[Series]| -> Vec<usize> {
        side.iter()
            .map(|series| {
                let next = known.len();
                *known
                    .entry(matching_labels(&series.labels, matching))
                    .or_insert(next)
            })
            .collect()
    };
    let lhs = groups_of(lhs);
    let rhs = groups_of(rhs);
    Matched {
        lhs,
        rhs,
        groups: known.len(),
    }
}

/// The labels that elements are matched on.
pub(super) fn matching_labels(labels: &Labels, matching: &VectorMatching) -> Labels {
    let listed = |name: &str| matching.labels.iter().any(|l| l == name);
    if matching.on {
        labels.filter(|l| listed(l.name))
    } else {
        labels.filter(|l| l.name != METRIC_NAME && !listed(l.name))
    }
}

/// Labels of the result of an operation on an element of the "many" side and one of the "one"
/// side.
pub(super) fn result_labels(
    many: &Labels,
    one: &Labels,
    matching: &VectorMatching,
    drop_name: bool,
) -> Labels {
    let one_to_one = matching.card == Cardinality::OneToOne;
    let listed = |name: &str| matching.labels.iter().any(|l| l == name);
    let kept = many.filter(|l| {
        let dropped =
            drop_name && is_metadata_label(l.name) || one_to_one && listed(l.name) != matching.on;
        !dropped
    });
    if matching.include.is_empty() {
        return kept;
    }
    let mut builder = kept.to_builder();
    for name in &matching.include {
        builder.set(name, one.value(name));
    }
    builder.build()
}

/// True for operators whose result is no longer the same metric.
pub(super) fn changes_metric(op: BinaryOp) -> bool {
    matches!(
        op,
        BinaryOp::Add
            | BinaryOp::Sub
            | BinaryOp::Mul
            | BinaryOp::Div
            | BinaryOp::Mod
            | BinaryOp::Pow
            | BinaryOp::Atan2
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching(card: Cardinality, on: bool, labels: &[&str], include: &[&str]) -> VectorMatching {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        VectorMatching {
            card,
            labels: owned(labels),
            on,
            include: owned(include),
            fill_lhs: None,
            fill_rhs: None,
        }
    }

    #[test]
    fn labels_of_results() {
        let many = Labels::from_pairs([(METRIC_NAME, "m"), ("a", "1"), ("b", "2")]);
        let one = Labels::from_pairs([(METRIC_NAME, "o"), ("a", "1"), ("c", "3")]);
        let of = |card, on, drop| {
            let matching = matching(card, on, &["a"], &[]);
            result_labels(&many, &one, &matching, drop).to_string()
        };
        assert_eq!(of(Cardinality::OneToOne, true, true), r#"{a="1"}"#);
        assert_eq!(of(Cardinality::OneToOne, false, true), r#"{b="2"}"#);
        assert_eq!(
            of(Cardinality::OneToOne, false, false),
            r#"{__name__="m", b="2"}"#
        );
        assert_eq!(of(Cardinality::ManyToOne, true, true), r#"{a="1", b="2"}"#);
        let including = matching(Cardinality::ManyToOne, true, &["a"], &["b", "c"]);
        assert_eq!(
            result_labels(&many, &one, &including, true).to_string(),
            r#"{a="1", c="3"}"#
        );
    }
}
