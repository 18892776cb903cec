//! `@st` lines: start timestamps of the series in the next line, relative to its samples.

use tsdb_model::Labels;

use super::parse::duration;
use crate::series_description::parse_metric;

/// Most positions one item may stand for.
const MAX_REPEAT: usize = 1_000_000;

/// Splits `<metric>@st <items>` into metric and items; `None` for every other line.
pub(super) fn split(line: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    let mut escaped = false;
    for (i, c) in line.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(q) if c == '\\' && q != '`' => escaped = true,
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None if c == '@' => {
                let items = line[i..].strip_prefix("@st")?;
                return items
                    .starts_with([' ', '\t'])
                    .then(|| (&line[..i], items.trim_start_matches([' ', '\t'])));
            }
            None => {}
        }
    }
    None
}

/// Reads both parts of an `@st` line; `None` for a sample without start timestamp.
pub(super) fn parse(metric: &str, items: &str) -> Result<(Labels, Vec<Option<i64>>), String> {
    let labels = parse_metric(metric).map_err(|e| e.message)?;
    let mut offsets = Vec::new();
    for text in items.split([' ', '\t']).filter(|i| !i.is_empty()) {
        item(text, &mut offsets).ok_or_else(|| format!("invalid start timestamp {text:?}"))?;
    }
    Ok((labels, offsets))
}

/// `_`, `_xN`, `<dur>`, `<dur>xN`, `<dur>+<dur>xN` or `<dur>-<dur>xN`.
fn item(text: &str, out: &mut Vec<Option<i64>>) -> Option<()> {
    let (base, times) = match text.split_once('x') {
        Some((base, times)) => {
            let digits = times.bytes().all(|b| b.is_ascii_digit());
            let times: usize = times.parse().ok().filter(|_| digits)?;
            (base, Some(times))
        }
        None => (text, None),
    };
    if times.is_some_and(|n| n > MAX_REPEAT) {
        return None;
    }
    if base == "_" {
        out.extend(std::iter::repeat_n(None, times.unwrap_or(1)));
        return Some(());
    }
    let sign_length = usize::from(base.starts_with(['+', '-']));
    let (first, step) = match base[sign_length..].find(['+', '-']) {
        Some(at) => base.split_at(sign_length + at),
        None => (base, ""),
    };
    let mut offset = signed(first)?;
    let step = match (step, times) {
        ("", _) => 0,
        (step, Some(_)) => signed(step)?,
        (_, None) => return None,
    };
    out.push(Some(offset));
    for _ in 0..times.unwrap_or(0) {
        offset = offset.checked_add(step)?;
        out.push(Some(offset));
    }
    Some(())
}

fn signed(text: &str) -> Option<i64> {
    match text.strip_prefix('-') {
        Some(text) => duration(text).ok().map(|ms| -ms),
        None => duration(text.strip_prefix('+').unwrap_or(text)).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_start_timestamps_are_told_from_series() {
        assert_eq!(split("a{b=\"c\"}@st 1s _"), Some(("a{b=\"c\"}", "1s _")));
        assert_eq!(split("a@st\t1s"), Some(("a", "1s")));
        assert_eq!(split("a{b=\"c@st 1\"} 1 2"), None);
        assert_eq!(split("a{b=\"\\\"@st 1\"} 1 2"), None);
        assert_eq!(split("a 1 2"), None);
    }

    #[test]
    fn items() {
        let offsets = |items| parse("a", items).map(|(_, offsets)| offsets);
        assert_eq!(
            offsets("_ -30s-1mx2 5s 1ms+1msx1 _x2 0x1").unwrap(),
            [
                None,
                Some(-30_000),
                Some(-90_000),
                Some(-150_000),
                Some(5_000),
                Some(1),
                Some(2),
                None,
                None,
                Some(0),
                Some(0)
            ]
        );
        for bad in ["5", "x3", "1s+1s", "1sx", "1sx-1", "1s+x2", "1sx99999999"] {
            assert!(offsets(bad).is_err(), "{bad}");
        }
    }
}
