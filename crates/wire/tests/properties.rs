//! Any bytes: the parsers end, never panic, and name a line; what the writer writes is read back.

use proptest::prelude::*;
use tsdb_model::MetricType;
use tsdb_wire::encode::TextWriter;
use tsdb_wire::openmetrics::OpenMetricsParser;
use tsdb_wire::text::{Entry, TextError, TextParser};

/// Reads a page to its end or first error, labels and exemplars included; counts the entries.
fn drain<'a>(
    mut next: impl FnMut() -> Result<Option<Entry<'a>>, TextError>,
) -> (usize, Option<TextError>) {
    let mut entries = 0;
    loop {
        match next() {
            Ok(None) => return (entries, None),
            Err(error) => return (entries, Some(error)),
            Ok(Some(entry)) => {
                entries += 1;
                if let Entry::Series(line) = entry {
                    let mut labels = Vec::new();
                    if let Err(error) = line.labels(&mut labels) {
                        return (entries, Some(error));
                    }
                    if let Some(exemplar) = &line.exemplar {
                        let _ = exemplar.labels(&mut labels);
                    }
                }
            }
        }
    }
}

fn check(page: &[u8]) {
    let lines = 1 + page.iter().filter(|b| **b == b'\n').count();
    let mut text = TextParser::new(page);
    let mut open = OpenMetricsParser::new(page);
    for (entries, error) in [drain(|| text.next()), drain(|| open.next())] {
        assert!(entries <= lines, "at most one entry per line");
        if let Some(error) = error {
            assert!((1..=lines).contains(&error.line), "{error}");
            assert!(!error.message.is_empty());
        }
    }
}

/// Pieces of pages, so that random texts get past the first byte.
fn piece() -> impl Strategy<Value = &'static [u8]> {
    prop::sample::select(vec![
        &b"a"[..],
        b"a_total",
        b"{",
        b"}",
        b"\"",
        b"\\",
        b"\n",
        b" ",
        b"\t",
        b",",
        b"=",
        b"#",
        b"# ",
        b"# HELP ",
        b"# TYPE ",
        b"# UNIT ",
        b"# EOF",
        b"# EOF\n",
        b"counter\n",
        b"histogram\n",
        b"le=\"1\"",
        b"b=\"c\"",
        b"\"a.b\"",
        b" 1\n",
        b" 1.5 17\n",
        b" # {",
        b"NaN",
        b"1e",
        b"-",
        b"+Inf",
        b"0x",
        b"\xff",
        b"\xc3\xa9",
        b"\r",
        b"\0",
        b"__name__",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes(page in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&page);
    }

    #[test]
    fn any_pieces(pieces in prop::collection::vec(piece(), 0..40)) {
        check(&pieces.concat());
    }

    #[test]
    fn written_pages_are_read_back(
        name in "[a-zA-Z_:.é\"\\\\ \n]{1,12}",
        help in "[ -~é\n]{1,20}",
        labels in prop::collection::btree_map("[a-z_][a-z0-9_.\"é]{0,6}", "\\PC{0,10}|[\\\\\"\n]{1,5}", 0..5),
        values in prop::collection::vec(any::<f64>(), 1..5),
    ) {
        let help = help.trim_start();
        let mut page = TextWriter::new();
        page.family(&name, MetricType::Gauge, help);
        let pairs: Vec<(&str, &str)> =
            labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        for value in &values {
            page.sample("", &pairs, *value);
        }
        let page = page.finish();
        let mut parser = TextParser::new(page.as_bytes());
        let mut found = Vec::new();
        while let Some(entry) = parser.next().map_err(|e| TestCaseError::fail(e.to_string()))? {
            match entry {
                Entry::Help { family, help: text } => {
                    prop_assert_eq!(&*family, name.as_str());
                    prop_assert_eq!(&*text, help);
                }
                Entry::Type { family, metric_type } => {
                    prop_assert_eq!(&*family, name.as_str());
                    prop_assert_eq!(metric_type, MetricType::Gauge);
                }
                Entry::Unit { .. } => prop_assert!(false, "no unit was written"),
                Entry::Series(line) => {
                    let mut read = Vec::new();
                    line.labels(&mut read).map_err(|e| TestCaseError::fail(e.to_string()))?;
                    let read: Vec<(&str, &str)> = read.iter().map(|(n, v)| (&**n, &**v)).collect();
                    prop_assert_eq!(read[0], ("__name__", name.as_str()));
                    prop_assert_eq!(&read[1..], &pairs[..]);
                    found.push(line.value);
                }
            }
        }
        prop_assert_eq!(found.len(), values.len());
        for (a, b) in found.iter().zip(&values) {
            prop_assert!(a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan());
        }
    }
}
