//! Series that came to have the same labels become one, when they are not there at the same time.

use std::collections::{HashMap, HashSet};

use tsdb_model::Labels;

use super::column::Series;
use super::same_labels;
use crate::error::QueryError;

/// True when two label sets are equal.
pub(super) fn has_duplicates<'a>(labels: impl ExactSizeIterator<Item = &'a Labels>) -> bool {
    if labels.len() < 2 {
        return false;
    }
    let mut seen = HashSet::with_capacity(labels.len());
    labels.into_iter().any(|labels| !seen.insert(labels))
}

/// Each label set once, in order of first appearance. Fails when two series with the same labels
/// have a value at the same step.
pub(super) fn unite(series: Vec<Series>) -> Result<Vec<Series>, QueryError> {
    if !has_duplicates(series.iter().map(|s| &s.labels)) {
        return Ok(series);
    }
    let mut places: HashMap<Labels, usize> = HashMap::with_capacity(series.len());
    let mut out: Vec<Series> = Vec::with_capacity(series.len());
    for next in series {
        match places.get(&next.labels) {
            Some(place) => {
                let known = std::mem::take(&mut out[*place]);
                out[*place] = known.union(&next).ok_or_else(same_labels)?;
            }
            None => {
                places.insert(next.labels.clone(), out.len());
                out.push(next);
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::column::Cell;
    use super::*;

    fn series(label: &str, steps: &[usize]) -> Series {
        let mut out = Series::new(Labels::from_pairs([("a", label)]), false);
        for step in steps {
            out.push(*step, Cell::Float(*step as f64));
        }
        out
    }

    #[test]
    fn equal_labels_become_one() {
        let got = unite(vec![
            series("x", &[0, 3]),
            series("y", &[0]),
            series("x", &[1, 2]),
        ])
        .unwrap();
        assert_eq!(got.len(), 2);
        assert_eq!(got[0].steps(), [0, 1, 2, 3]);
    }

    #[test]
    fn not_at_the_same_step() {
        assert!(unite(vec![series("x", &[0, 3]), series("x", &[3])]).is_err());
    }
}
