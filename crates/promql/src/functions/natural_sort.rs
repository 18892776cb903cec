//! Natural order of label values, in which `cpu2` comes before `cpu10`.

use std::cmp::Ordering;

use tsdb_model::Labels;

/// Compares two texts run by run: runs of digits by their number, all others by their bytes. A
/// total order; texts that differ only in leading zeros compare by their bytes in the end.
pub fn natural_cmp(a: &str, b: &str) -> Ordering {
    let (mut rest_a, mut rest_b) = (a.as_bytes(), b.as_bytes());
    while !rest_a.is_empty() && !rest_b.is_empty() {
        let (run_a, next_a) = take_run(rest_a);
        let (run_b, next_b) = take_run(rest_b);
        let order = if run_a[0].is_ascii_digit() && run_b[0].is_ascii_digit() {
            numeric_cmp(run_a, run_b)
        } else {
            run_a.cmp(run_b)
        };
        if order.is_ne() {
            return order;
        }
        (rest_a, rest_b) = (next_a, next_b);
    }
    rest_a.len().cmp(&rest_b.len()).then_with(|| a.cmp(b))
}

/// Order of `sort_by_label`: by the natural order of the named labels in turn, then by the whole
/// label set. Reverse it for `sort_by_label_desc`.
pub fn compare_by_labels(a: &Labels, b: &Labels, names: &[String]) -> Ordering {
    names
        .iter()
        .map(|name| natural_cmp(a.value(name), b.value(name)))
        .find(|order| order.is_ne())
        .unwrap_or_else(|| a.cmp(b))
}

/// Splits off the longest prefix that is all digits or has none.
fn take_run(text: &[u8]) -> (&[u8], &[u8]) {
    let digits = text[0].is_ascii_digit();
    let end = text
        .iter()
        .position(|b| b.is_ascii_digit() != digits)
        .unwrap_or(text.len());
    text.split_at(end)
}

/// Compares digits of any length by the number they write.
fn numeric_cmp(a: &[u8], b: &[u8]) -> Ordering {
    let significant = |digits: &[u8]| {
        let zeros = digits.iter().take_while(|d| **d == b'0').count();
        digits[zeros..].to_vec()
    };
    let (a, b) = (significant(a), significant(b));
    a.len().cmp(&b.len()).then_with(|| a.cmp(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn natural_order() {
        let sorted = [
            "", "0", "1", "2", "4m5", "4m600", "4m1000", "10", "100", "a", "a1", "a1b", "a2",
            "a10", "ab", "ab1", "abc",
        ];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                assert_eq!(natural_cmp(a, b), i.cmp(&j), "{a:?} {b:?}");
            }
        }
        assert!(natural_cmp("1.2.3", "1.11.3").is_lt());
        assert!(natural_cmp("1.11.3", "1.111.3").is_lt());
        assert!(natural_cmp("99999999999999999999998", "99999999999999999999999").is_lt());
        assert!(natural_cmp("01", "1").is_lt());
    }

    #[test]
    fn by_labels_then_by_all() {
        let l = |a: &str, b: &str| Labels::from_pairs([("a", a), ("b", b)]);
        let by_b = ["b".to_string()];
        assert!(compare_by_labels(&l("x", "2"), &l("a", "10"), &by_b).is_lt());
        assert!(compare_by_labels(&l("x", "2"), &l("a", "2"), &by_b).is_gt());
        assert!(compare_by_labels(&l("x", "2"), &l("a", "10"), &[]).is_gt());
    }

    proptest! {
        #[test]
        fn total_order(mut texts in proptest::collection::vec("[01a-b.]{0,5}", 3)) {
            prop_assert_eq!(natural_cmp(&texts[0], &texts[1]), natural_cmp(&texts[1], &texts[0]).reverse());
            prop_assert_eq!(natural_cmp(&texts[0], &texts[1]).is_eq(), texts[0] == texts[1]);
            texts.sort_by(|a, b| natural_cmp(a, b));
            prop_assert!(natural_cmp(&texts[0], &texts[2]).is_le());
        }
    }
}
