//! Start timestamps of one series' samples: one entry where the start timestamp changes.

/// `(from, start)`: samples at `from` and later, up to the next entry, have start timestamp `start`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Starts(Vec<(i64, i64)>);

impl Starts {
    /// The start timestamp of a sample at `t`, 0 when unknown.
    pub(crate) fn at(&self, t: i64) -> i64 {
        let after = self.0.partition_point(|e| e.0 <= t);
        match after.checked_sub(1).and_then(|i| self.0.get(i)) {
            Some((_, start)) => *start,
            None => 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// States that the sample at `t` has `start`. `next` is the time of the sample behind it, which
    /// keeps its own.
    pub(crate) fn set(&mut self, t: i64, start: i64, next: Option<i64>) {
        if self.at(t) == start {
            return;
        }
        if let Some(next) = next {
            self.put(next, self.at(next));
        }
        self.put(t, start);
    }

    fn put(&mut self, t: i64, start: i64) {
        match self.0.binary_search_by_key(&t, |e| e.0) {
            Ok(i) => self.0[i].1 = start,
            Err(i) => self.0.insert(i, (t, start)),
        }
    }

    /// Forgets what only samples before `floor` need.
    pub(crate) fn drop_before(&mut self, floor: i64) {
        let after = self.0.partition_point(|e| e.0 <= floor);
        self.0.drain(..after.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_sample_keeps_its_own(samples: Vec<(u8, u8)>, floor: u8) {
            let mut starts = Starts::default();
            let mut model = BTreeMap::new();
            for (t, start) in samples {
                let (t, start) = (i64::from(t), i64::from(start % 4));
                let next = model.range(t + 1..).next().map(|(t, _)| *t);
                starts.set(t, start, next);
                model.insert(t, start);
                for (t, start) in &model {
                    prop_assert_eq!(starts.at(*t), *start);
                }
            }
            starts.drop_before(i64::from(floor));
            for (t, start) in model.range(i64::from(floor)..) {
                prop_assert_eq!(starts.at(*t), *start);
            }
        }
    }
}
