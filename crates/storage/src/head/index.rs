//! From labels to series: for each name and value the slots of the series that have it. Only
//! series with samples are in it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use roaring::RoaringBitmap;
use tsdb_model::{MatchOp, Matcher, StopToken};

use super::postings::Postings;

/// Values looked at between two looks at the clock.
const CHECK: usize = 1024;

/// One label name.
#[derive(Debug, Default)]
pub(crate) struct Name {
    pub(crate) values: BTreeMap<Arc<str>, Postings>,
    /// Series that have the label.
    pub(crate) present: RoaringBitmap,
}

/// The index.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) names: BTreeMap<Arc<str>, Name>,
    all: RoaringBitmap,
}

impl Index {
    /// Number of series.
    pub(crate) fn len(&self) -> u64 {
        self.all.len()
    }

    /// Adds a series with these names and values.
    pub(crate) fn insert<'a>(
        &mut self,
        slot: u32,
        labels: impl Iterator<Item = (&'a Arc<str>, &'a Arc<str>)>,
    ) {
        self.all.insert(slot);
        for (name, value) in labels {
            if !self.names.contains_key(name) {
                self.names.insert(Arc::clone(name), Name::default());
            }
            let Some(name) = self.names.get_mut(name) else {
                continue;
            };
            name.present.insert(slot);
            match name.values.get_mut(value) {
                Some(postings) => postings.insert(slot),
                None => drop(name.values.insert(Arc::clone(value), Postings::One(slot))),
            }
        }
    }

    /// Takes a series with these names and values out.
    pub(crate) fn remove<'a>(
        &mut self,
        slot: u32,
        labels: impl Iterator<Item = (&'a Arc<str>, &'a Arc<str>)>,
    ) {
        self.all.remove(slot);
        for (name, value) in labels {
            let Some(entry) = self.names.get_mut(name) else {
                continue;
            };
            entry.present.remove(slot);
            if entry.values.get_mut(value).is_some_and(|p| p.remove(slot)) {
                entry.values.remove(value);
            }
            if entry.values.is_empty() {
                self.names.remove(name);
            }
        }
    }

    /// Slots of the series that pass all matchers.
    pub(crate) fn select(&self, matchers: &[Matcher]) -> RoaringBitmap {
        self.select_until(matchers, &StopToken::default())
    }

    /// The same, but means nothing when `stop` said so on the way.
    pub(crate) fn select_until(&self, matchers: &[Matcher], stop: &StopToken) -> RoaringBitmap {
        // Those that need a label give a set to start from, the cheap ones first; those that a
        // series without the label passes take away.
        let (mut takers, mut givers): (Vec<_>, Vec<_>) =
            matchers.iter().partition(|m| m.matches_empty());
        givers.sort_by_key(|m| (cost(m), self.equal(m).map_or(0, Postings::len)));
        takers.sort_by_key(|m| cost(m));
        let mut found: Option<RoaringBitmap> = None;
        for matcher in givers {
            let now = match (found, self.equal(matcher)) {
                (Some(mut before), Some(postings)) => {
                    postings.restrict(&mut before);
                    before
                }
                (Some(before), None) => before & self.with_value(matcher, true, stop),
                (None, _) => self.with_value(matcher, true, stop),
            };
            if now.is_empty() {
                return now;
            }
            found = Some(now);
        }
        let mut found = found.unwrap_or_else(|| self.all.clone());
        for matcher in takers {
            if found.is_empty() {
                break;
            }
            found -= self.with_value(matcher, false, stop);
        }
        found
    }

    /// The series with the one value that passes the matcher, if that is how it works.
    fn equal(&self, matcher: &Matcher) -> Option<&Postings> {
        if matcher.op != MatchOp::Equal {
            return None;
        }
        let name = self.names.get(matcher.name.as_str())?;
        name.values.get(matcher.value.as_str())
    }

    /// Series that have the matcher's label with a value that passes (or does not).
    fn with_value(&self, matcher: &Matcher, passes: bool, stop: &StopToken) -> RoaringBitmap {
        let mut out = RoaringBitmap::new();
        let Some(name) = self.names.get(matcher.name.as_str()) else {
            return out;
        };
        let mut add = |value: &str| {
            if let Some(postings) = name.values.get(value) {
                postings.union_into(&mut out);
            }
        };
        // The values named by the matcher are the wanted ones if it is positive and asked for what
        // passes, or negative and asked for what does not.
        let positive = matches!(matcher.op, MatchOp::Equal | MatchOp::Regex);
        let named = positive == passes;
        let literals = match matcher.op {
            MatchOp::Equal | MatchOp::NotEqual => Some(std::slice::from_ref(&matcher.value)),
            MatchOp::Regex | MatchOp::NotRegex => matcher.regex().and_then(|r| r.literals()),
        };
        match literals {
            Some(literals) if named => literals.iter().for_each(|l| add(l)),
            Some(literals) => {
                out |= &name.present;
                let mut without = RoaringBitmap::new();
                for literal in literals {
                    if let Some(postings) = name.values.get(literal.as_str()) {
                        postings.union_into(&mut without);
                    }
                }
                out -= without;
            }
            None => {
                let prefix = matcher.regex().filter(|_| named).map_or("", |r| r.prefix());
                let from = (Bound::Included(prefix), Bound::Unbounded);
                for (i, (value, postings)) in name.values.range::<str, _>(from).enumerate() {
                    if !value.starts_with(prefix) || (i % CHECK == 0 && stop.check().is_err()) {
                        break;
                    }
                    if matcher.matches(value) == passes {
                        postings.union_into(&mut out);
                    }
                }
            }
        }
        out
    }

    /// Bytes in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        let mut bytes = self.all.serialized_size();
        for (name, entry) in &self.names {
            bytes += name.len() + size_of::<Name>() + entry.present.serialized_size();
            for (value, postings) in &entry.values {
                bytes += size_of::<Arc<str>>() + value.len() + postings.bytes();
            }
        }
        bytes
    }
}

fn cost(matcher: &Matcher) -> u8 {
    match matcher.op {
        MatchOp::Equal => 0,
        MatchOp::NotEqual => 1,
        _ if matcher.regex().is_some_and(|r| r.literals().is_some()) => 1,
        _ if matcher.regex().is_some_and(|r| !r.prefix().is_empty()) => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use tsdb_model::Labels;

    use super::super::pairs::Pairs;
    use super::*;

    fn any_labels() -> impl Strategy<Value = Labels> {
        let pair = ("[abc]", prop_oneof!["[xyz]{0,2}", "x\n?[yz]"]);
        proptest::collection::vec(pair, 0..4).prop_map(Labels::from_pairs)
    }

    fn any_matcher() -> impl Strategy<Value = Matcher> {
        let op = prop_oneof![
            Just(MatchOp::Equal),
            Just(MatchOp::NotEqual),
            Just(MatchOp::Regex),
            Just(MatchOp::NotRegex),
        ];
        let value = prop_oneof![
            "[xyz]{0,2}",
            Just(".*".to_string()),
            Just(".+".to_string()),
            Just("x.*".to_string()),
            Just("x|y".to_string()),
            Just("x|".to_string()),
            Just("[xy]z?".to_string()),
            Just("x(y|z)".to_string()),
        ];
        (op, "[abcd]", value).prop_map(|(op, n, v)| Matcher::new(op, n, v).unwrap())
    }

    proptest! {
        #[test]
        fn selects_as_by_hand(
            sets in proptest::collection::vec(any_labels(), 0..40),
            matchers in proptest::collection::vec(any_matcher(), 0..4),
            removed in proptest::collection::vec(any::<bool>(), 40),
        ) {
            let (mut index, mut pairs) = (Index::default(), Pairs::default());
            let interned: Vec<_> = sets.iter().map(|l| pairs.intern(l).unwrap()).collect();
            for (slot, set) in interned.iter().enumerate() {
                index.insert(slot as u32, pairs.texts(*set));
            }
            for (slot, set) in interned.iter().enumerate().filter(|(slot, _)| removed[*slot]) {
                index.remove(slot as u32, pairs.texts(*set));
            }
            let want: Vec<u32> = sets
                .iter()
                .enumerate()
                .filter(|(slot, labels)| {
                    !removed[*slot] && matchers.iter().all(|m| m.matches(labels.value(&m.name)))
                })
                .map(|(slot, _)| slot as u32)
                .collect();
            prop_assert_eq!(index.select(&matchers).iter().collect::<Vec<_>>(), want);
            let left = sets.iter().zip(&removed).filter(|(_, r)| !**r).map(|(l, _)| l);
            let names: std::collections::BTreeSet<&str> =
                left.flat_map(|l| l.iter().map(|l| l.name)).collect();
            prop_assert!(index.names.keys().map(|n| &**n).eq(names));
        }
    }
}
