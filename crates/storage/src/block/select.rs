//! Finding series by matchers: docs/format/index.md sections 4 and 5.
//!
//! A matcher is answered by the local set of a series, or by its target, or by neither having the
//! label. Local sets and targets are few; series are only looked at where both pass.

use roaring::RoaringBitmap;
use tsdb_model::{MatchOp, Matcher, StorageError};

use super::bytes::Cursor;
use super::identity::CHUNK_SERIES;
use super::layout::Section;
use super::postings::{Members, take_posting};
use super::reader::Block;
use super::symbols::{PAIRS_RESTART, Values, restart_bytes};

/// Matchers that are evaluated together: a bit each, and one for locals that fail.
const TOGETHER: usize = 63;
const FAILS: u64 = 1 << 63;

/// A matcher on a name that some series have.
struct Term {
    /// All that have the name.
    has: Members,
    /// Those of them that pass.
    passes: Members,
    /// Series without the name pass.
    empty: bool,
}

impl Block {
    /// Numbers of the series that pass all matchers, rising.
    pub(crate) fn select(&self, matchers: &[Matcher]) -> Result<Vec<u32>, StorageError> {
        if matchers.len() <= TOGETHER {
            return self.select_few(matchers);
        }
        let mut found: Option<RoaringBitmap> = None;
        for few in matchers.chunks(TOGETHER) {
            let some: RoaringBitmap = self.select_few(few)?.into_iter().collect();
            found = Some(found.map_or(some.clone(), |f| f & some));
        }
        Ok(found.unwrap_or_default().into_iter().collect())
    }

    fn select_few(&self, matchers: &[Matcher]) -> Result<Vec<u32>, StorageError> {
        let mut terms = Vec::new();
        for matcher in matchers {
            match self.term(matcher)? {
                Some(term) => terms.push(term),
                None if matcher.matches_empty() => {}
                None => return Ok(Vec::new()),
            }
        }
        let mut candidates = RoaringBitmap::new();
        candidates.insert_range(0..self.counts.locals);
        for term in &terms {
            candidates -= &term.has.locals - &term.passes.locals;
        }
        let (Some(first), Some(last)) = (candidates.min(), candidates.max()) else {
            return Ok(Vec::new());
        };
        // Which matchers each local leaves to the target, and which each target fails.
        let mut leaves = vec![FAILS; (last - first) as usize + 1];
        for local in &candidates {
            if let Some(mask) = leaves.get_mut((local - first) as usize) {
                *mask = 0;
            }
        }
        let mut fails = vec![FAILS; self.counts.targets as usize];
        for (bit, term) in terms.iter().enumerate() {
            let bit = 1u64 << bit;
            for local in &candidates - &term.has.locals {
                if let Some(mask) = leaves.get_mut((local - first) as usize) {
                    *mask |= bit;
                }
            }
            let mut failing = term.has.targets.clone();
            if !term.empty {
                failing.insert_range(0..self.counts.targets);
            }
            for target in failing - &term.passes.targets {
                if let Some(mask) = fails.get_mut(target as usize) {
                    *mask |= bit;
                }
            }
        }
        let all_leave = candidates
            .iter()
            .filter_map(|l| leaves.get((l - first) as usize))
            .fold(u64::MAX, |all, mask| all & mask);
        let may = |mask: &u64| mask & all_leave & !FAILS == 0;
        let (Some(low), Some(high)) = (fails.iter().position(may), fails.iter().rposition(may))
        else {
            return Ok(Vec::new());
        };

        let mut out = Vec::new();
        for number in 0..self.chunks() {
            let head = self.chunk_head(number)?;
            let begin = number * CHUNK_SERIES;
            let count = CHUNK_SERIES.min(self.counts.series - begin);
            let outside = head.local > last
                || head.last_local(count) < first
                || head.target as usize > high
                || (head.last_target() as usize) < low;
            if outside {
                continue;
            }
            let bits = self.chunk_bits(&head, count)?;
            for i in 0..count {
                let (local, target) = head
                    .get(&bits, i)
                    .map_err(|b| self.bad(Section::Identity, b))?;
                let left = local
                    .checked_sub(first)
                    .and_then(|l| leaves.get(l as usize))
                    .copied()
                    .unwrap_or(FAILS);
                let failed = fails.get(target as usize).copied().unwrap_or(u64::MAX);
                if left & failed == 0 && failed != u64::MAX {
                    out.push(begin + i);
                }
            }
        }
        Ok(out)
    }

    /// `None` when no series has the name.
    fn term(&self, matcher: &Matcher) -> Result<Option<Term>, StorageError> {
        let Some(number) = self.name_number(&matcher.name) else {
            return Ok(None);
        };
        let has = self.with_name(number)?;
        let negative = matches!(matcher.op, MatchOp::NotEqual | MatchOp::NotRegex);
        let named = self.positive_pairs(number, matcher)?;
        let mut passes = self.with_pairs(&named)?;
        if negative {
            passes = Members {
                locals: &has.locals - &passes.locals,
                targets: &has.targets - &passes.targets,
            };
        }
        Ok(Some(Term {
            has,
            passes,
            empty: matcher.matches_empty(),
        }))
    }

    fn name_number(&self, name: &str) -> Option<usize> {
        self.names.binary_search_by(|n| (*n.text).cmp(name)).ok()
    }

    pub(super) fn pairs_of(&self, number: usize) -> std::ops::Range<u32> {
        let first = |n: usize| self.names.get(n).map(|name| name.first_pair);
        let end = first(number + 1).unwrap_or(self.counts.pairs);
        first(number).unwrap_or(end)..end
    }

    fn limits(&self) -> (u32, u32) {
        (self.counts.locals, self.counts.targets)
    }

    /// All that have a name.
    pub(super) fn with_name(&self, number: usize) -> Result<Members, StorageError> {
        let mut out = Members::default();
        if let Some(name) = self.names.get(number) {
            let (at, len) = name.posting;
            let bytes = self.part(Section::Names, u64::from(at), len as usize)?;
            take_posting(&mut Cursor::new(&bytes), self.limits(), Some(&mut out))
                .map_err(|b| self.bad(Section::Names, b))?;
        }
        Ok(out)
    }

    /// All that have one of some pairs, which rise.
    pub(super) fn with_pairs(&self, pairs: &[u32]) -> Result<Members, StorageError> {
        let mut out = Members::default();
        for group in pairs.chunk_by(|a, b| a / PAIRS_RESTART == b / PAIRS_RESTART) {
            let number = group.first().map_or(0, |p| p / PAIRS_RESTART);
            let heads = restart_bytes(self.counts.pairs);
            let bytes = self.between(Section::Postings, heads, number)?;
            let mut cursor = Cursor::new(&bytes);
            let mut next = number * PAIRS_RESTART;
            for pair in group {
                let bad = |b| self.bad(Section::Postings, b);
                while next < *pair {
                    take_posting(&mut cursor, self.limits(), None).map_err(bad)?;
                    next += 1;
                }
                take_posting(&mut cursor, self.limits(), Some(&mut out)).map_err(bad)?;
                next += 1;
            }
        }
        Ok(out)
    }

    /// The pairs of a name whose values are equal to, or match, what the matcher says, negations
    /// left aside.
    fn positive_pairs(&self, number: usize, matcher: &Matcher) -> Result<Vec<u32>, StorageError> {
        let pairs = self.pairs_of(number);
        let mut out = Vec::new();
        let Some(regex) = matcher.regex() else {
            out.extend(self.find(&pairs, &matcher.value)?);
            return Ok(out);
        };
        if let Some(literals) = regex.literals() {
            for value in literals {
                out.extend(self.find(&pairs, value)?);
            }
            out.sort_unstable();
            out.dedup();
            return Ok(out);
        }
        let prefix = regex.prefix();
        let from = self.lower_bound(&pairs, prefix)?;
        self.each_value(from..pairs.end, |pair, value| {
            if !value.starts_with(prefix) {
                return false;
            }
            if regex.is_match(value) {
                out.push(pair);
            }
            true
        })?;
        Ok(out)
    }

    fn find(&self, pairs: &std::ops::Range<u32>, value: &str) -> Result<Option<u32>, StorageError> {
        let pair = self.lower_bound(pairs, value)?;
        Ok((pair < pairs.end && *self.value_of(pair)? == *value).then_some(pair))
    }

    /// The first pair of a name whose value is not below `value`.
    fn lower_bound(&self, pairs: &std::ops::Range<u32>, value: &str) -> Result<u32, StorageError> {
        // Groups whose first pair is of the name, and below the value.
        let (mut low, mut high) = (
            pairs.start.div_ceil(PAIRS_RESTART),
            pairs.end.div_ceil(PAIRS_RESTART),
        );
        while low < high {
            let middle = low + (high - low) / 2;
            let bytes = self.pair_group(middle)?;
            let first = Values::new(&bytes)
                .next()
                .map(|first| first < value)
                .map_err(|b| self.bad(Section::Pairs, b))?;
            if first {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let from = (low.saturating_sub(1) * PAIRS_RESTART).max(pairs.start);
        let mut found = pairs.end;
        self.each_value(from..pairs.end, |pair, v| {
            if v >= value {
                found = pair;
            }
            v < value
        })?;
        Ok(found)
    }

    /// Calls `each` with pairs and their values as long as it says true.
    fn each_value(
        &self,
        pairs: std::ops::Range<u32>,
        mut each: impl FnMut(u32, &str) -> bool,
    ) -> Result<(), StorageError> {
        let mut pair = pairs.start;
        while pair < pairs.end {
            let group = pair / PAIRS_RESTART;
            let bytes = self.pair_group(group)?;
            let mut values = Values::new(&bytes);
            let mut skip = pair % PAIRS_RESTART;
            let end = ((group + 1) * PAIRS_RESTART).min(pairs.end);
            while pair < end {
                let value = values.nth(skip).map_err(|b| self.bad(Section::Pairs, b))?;
                skip = 0;
                if !each(pair, value) {
                    return Ok(());
                }
                pair += 1;
            }
        }
        Ok(())
    }

    /// All label names, sorted.
    #[expect(
        clippy::unnecessary_wraps,
        reason = "the same form as for label values, which are read from the disk"
    )]
    pub(crate) fn label_names(&self) -> Result<Vec<String>, StorageError> {
        Ok(self.names.iter().map(|n| n.text.to_string()).collect())
    }

    /// All values of a label, sorted.
    pub(crate) fn label_values(&self, name: &str) -> Result<Vec<String>, StorageError> {
        let mut out = Vec::new();
        if let Some(number) = self.name_number(name) {
            self.each_value(self.pairs_of(number), |_, value| {
                out.push(value.to_string());
                true
            })?;
        }
        Ok(out)
    }
}
