//! Bucket layouts of two histograms against each other.

use std::cmp::Ordering;

use tsdb_model::Span;

/// Indices of the buckets of spans, in order.
pub(super) fn indices(spans: &[Span]) -> impl Iterator<Item = i64> + '_ {
    let mut next = 0i64;
    spans.iter().flat_map(move |span| {
        let first = next + i64::from(span.offset);
        next = first + i64::from(span.length);
        first..next
    })
}

/// The fewest spans that have the buckets of `indices`, which must increase.
fn spans_of(indices: &[i64]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut next = 0;
    for index in indices {
        match spans.last_mut() {
            Some(last) if *index == next => last.length += 1,
            _ => spans.push(Span {
                offset: (index - next) as i32,
                length: 1,
            }),
        }
        next = index + 1;
    }
    spans
}

/// The fewest spans that have the buckets of both.
pub(super) fn union(a: &[Span], b: &[Span]) -> Vec<Span> {
    let mut all: Vec<i64> = indices(a).chain(indices(b)).collect();
    all.sort_unstable();
    all.dedup();
    spans_of(&all)
}

/// `counts` of the buckets `from` spread over the buckets `to`, which has them all; zeros between.
pub(super) fn spread<N: Copy + Default>(counts: &[N], from: &[Span], to: &[Span]) -> Vec<N> {
    let mut old = indices(from).zip(counts.iter().copied()).peekable();
    indices(to)
        .map(|index| {
            old.next_if(|(i, _)| *i == index)
                .map_or_else(N::default, |(_, count)| count)
        })
        .collect()
}

/// How the buckets of a histogram differ from those of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Difference {
    /// The chunk has buckets that the histogram does not have.
    pub(super) missing: bool,
    /// The histogram has buckets that the chunk does not have.
    pub(super) new: bool,
}

/// The buckets of a chunk's last sample, `chunk`, beside those of the next one.
/// `old_may_go` says of a bucket of the chunk with that count whether the next one may be without.
/// `None` when it may not, or when a count fell.
fn compare<N: Copy>(
    chunk: (&[Span], &[N]),
    next: (&[Span], &[N]),
    old_may_go: impl Fn(N) -> bool,
    fell: impl Fn(N, N) -> bool,
) -> Option<Difference> {
    let mut a = indices(chunk.0).zip(chunk.1.iter().copied()).peekable();
    let mut b = indices(next.0).zip(next.1.iter().copied()).peekable();
    let mut difference = Difference::default();
    loop {
        let order = match (a.peek(), b.peek()) {
            (Some((i, _)), Some((j, _))) => i.cmp(j),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return Some(difference),
        };
        let old = if order.is_le() { a.next() } else { None };
        let new = if order.is_ge() { b.next() } else { None };
        match (old, new) {
            (Some((_, old)), Some((_, new))) if fell(old, new) => return None,
            (Some((_, old)), None) if !old_may_go(old) => return None,
            (Some(_), None) => difference.missing = true,
            (None, Some(_)) => difference.new = true,
            _ => {}
        }
    }
}

/// The difference between counters, `None` when there was a reset.
pub(super) fn counter_difference<N: Copy + Default + PartialOrd>(
    chunk: (&[Span], &[N]),
    next: (&[Span], &[N]),
) -> Option<Difference> {
    compare(chunk, next, |old| old == N::default(), |old, new| old > new)
}

/// The difference between gauges.
pub(super) fn gauge_difference<N: Copy>(
    chunk: (&[Span], &[N]),
    next: (&[Span], &[N]),
) -> Difference {
    compare(chunk, next, |_| true, |_, _| false).unwrap_or_default()
}

/// True when the spans can be walked in rising order within 32 bits and have `buckets` buckets.
pub(super) fn are_valid(spans: &[Span], buckets: usize) -> bool {
    let needed: u64 = spans.iter().map(|s| u64::from(s.length)).sum();
    let end = spans.iter().try_fold(0i64, |next, span| {
        let end = next + i64::from(span.offset) + i64::from(span.length);
        i32::try_from(end).is_ok().then_some(end)
    });
    needed == buckets as u64 && end.is_some() && spans.iter().skip(1).all(|span| span.offset >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(offset: i32, length: u32) -> Span {
        Span { offset, length }
    }

    #[test]
    fn unions_have_the_fewest_spans() {
        assert_eq!(
            union(
                &[span(-1, 2), span(0, 1), span(3, 0)],
                &[span(2, 1), span(1, 1)]
            ),
            [span(-1, 4), span(1, 1)]
        );
        assert_eq!(union(&[span(5, 0)], &[]), []);
    }

    #[test]
    fn spreading_fills_with_zeros() {
        let from = [span(0, 2), span(2, 1)];
        assert_eq!(
            spread(&[6, 3, 4], &from, &[span(-1, 7)]),
            [0, 6, 3, 0, 0, 4, 0]
        );
    }

    #[test]
    fn differences() {
        let a = [span(0, 2)];
        let got = counter_difference((&a, &[0, 3]), (&[span(1, 2)], &[3, 1]));
        assert_eq!(
            got,
            Some(Difference {
                missing: true,
                new: true
            })
        );
        assert_eq!(
            counter_difference((&a, &[1, 3]), (&[span(1, 1)], &[3])),
            None
        );
        assert_eq!(counter_difference((&a, &[0, 3]), (&a, &[0, 2])), None);
        let got = gauge_difference((&a, &[1, 3]), (&[span(1, 1)], &[2]));
        assert_eq!(
            got,
            Difference {
                missing: true,
                new: false
            }
        );
    }

    #[test]
    fn validity() {
        assert!(are_valid(&[span(-5, 2), span(0, 0), span(3, 1)], 3));
        assert!(!are_valid(&[span(-5, 2)], 3));
        assert!(!are_valid(&[span(0, 1), span(-1, 1)], 2));
        assert!(!are_valid(&[span(i32::MAX, 1)], 1));
    }
}
