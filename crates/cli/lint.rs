//! What is wrong with the metrics of a page beyond its syntax, in the words of Prometheus's linter.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;

use tsdb_model::MetricType;
use tsdb_wire::text::{Entry, TextError, TextParser};

/// A metric, and what is wrong with it.
pub(crate) type Complaint = (String, String);

/// Why a page cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LintError {
    /// From 1.
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl fmt::Display for LintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in line {}: {}", self.line, self.message)
    }
}

/// What is known of one metric family.
#[derive(Default)]
struct Family {
    metric_type: Option<MetricType>,
    help: bool,
    labels: BTreeSet<String>,
    twice: bool,
}

/// Reads a page in the text format and complains, sorted by metric.
pub(crate) fn lint(page: &[u8]) -> Result<Vec<Complaint>, LintError> {
    let mut complaints = Vec::new();
    let found = match (families(page), strict(page)) {
        (Ok(families), None) => families,
        (Ok(_), Some(error)) => return Err(error),
        (Err(e), Some(error)) if error.line <= e.line => return Err(error),
        (Err(TextError { line, message }), _) => return Err(LintError { line, message }),
    };
    for (name, family) in &found {
        let mut complain = |text: String| complaints.push((name.clone(), text));
        if !family.help {
            complain("no help text".to_string());
        }
        if family.twice {
            complain("metric not unique".to_string());
        }
        if let Some((unit, base)) = unit_of(name)
            && unit != base
        {
            complain(format!("use base unit \"{base}\" instead of \"{unit}\""));
        }
        for text in by_type(name, family) {
            complain(text);
        }
        for metric_type in ["counter", "gauge", "summary", "histogram"] {
            if has_part(&name.to_lowercase(), metric_type) {
                complain(format!(
                    "metric name should not include type '{metric_type}'"
                ));
            }
        }
        if name.contains(':') {
            complain("metric names should not contain ':'".to_string());
        }
        if is_camel(name) {
            complain("metric names should be written in 'snake_case' not 'camelCase'".to_string());
        }
        if family.labels.iter().any(|label| is_camel(label)) {
            complain("label names should be written in 'snake_case' not 'camelCase'".to_string());
        }
        let abbreviated = [
            "s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d",
        ];
        let lower = name.to_lowercase();
        if abbreviated.iter().any(|unit| has_part(&lower, unit)) {
            complain("metric names should not contain abbreviated units".to_string());
        }
    }
    complaints.sort();
    Ok(complaints)
}

/// What the linter of Prometheus minds and its scraper does not: families described twice, and a
/// last line that does not end.
fn strict(page: &[u8]) -> Option<LintError> {
    let mut helped = HashSet::new();
    let mut typed = HashSet::new();
    for (i, line) in page.split_inclusive(|b| *b == b'\n').enumerate() {
        let error = |message: String| {
            Some(LintError {
                line: i + 1,
                message,
            })
        };
        let text = String::from_utf8_lossy(line);
        let mut words = text.split_ascii_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(name)) if !helped.insert(name.to_string()) => {
                return error(format!("second HELP line for metric name {name:?}"));
            }
            (Some("#"), Some("TYPE"), Some(name)) => {
                if !typed.insert(name.to_string()) {
                    return error(format!(
                        "second TYPE line for metric name {name:?}, or TYPE reported after samples"
                    ));
                }
                let known = ["counter", "gauge", "histogram", "summary", "untyped"];
                let metric_type = words.next().unwrap_or_default().to_ascii_lowercase();
                if !known.contains(&metric_type.as_str()) {
                    return error(format!("unknown metric type {metric_type:?}"));
                }
            }
            (Some(sample), ..) if !sample.starts_with('#') => {
                let end = sample.find('{').unwrap_or(sample.len());
                typed.insert(sample[..end].to_string());
            }
            _ => {}
        }
        if !line.ends_with(b"\n") {
            return error("unexpected end of input stream".to_string());
        }
    }
    None
}

fn families(page: &[u8]) -> Result<BTreeMap<String, Family>, TextError> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut series = HashSet::new();
    let mut parser = TextParser::new(page);
    let mut labels = Vec::new();
    while let Some(entry) = parser.next()? {
        match entry {
            Entry::Type {
                family,
                metric_type,
            } => {
                families.entry(family.into_owned()).or_default().metric_type = Some(metric_type);
            }
            Entry::Help { family, .. } => {
                families.entry(family.into_owned()).or_default().help = true;
            }
            Entry::Unit { .. } => {}
            Entry::Series(line) => {
                labels.clear();
                line.labels(&mut labels)?;
                labels.sort();
                let name = labels.iter().find(|(n, _)| n == "__name__");
                let name = name.map_or("", |(_, value)| value);
                let family = families.entry(family_of(name, &families)).or_default();
                let named = labels.iter().map(|(n, _)| n.to_string());
                family.labels.extend(named.filter(|n| n != "__name__"));
                let text = format!("{labels:?}");
                family.twice |= !series.insert(text);
            }
        }
    }
    // A comment without samples is no metric.
    Ok(families)
}

/// The family of a sample: without the suffix that its type adds.
fn family_of(name: &str, families: &BTreeMap<String, Family>) -> String {
    for suffix in ["_bucket", "_sum", "_count"] {
        let Some(family) = name.strip_suffix(suffix) else {
            continue;
        };
        let metric_type = families.get(family).and_then(|f| f.metric_type);
        let has = match metric_type {
            Some(MetricType::Histogram) => true,
            Some(MetricType::Summary) => suffix != "_bucket",
            _ => false,
        };
        if has {
            return family.to_string();
        }
    }
    name.to_string()
}

fn by_type(name: &str, family: &Family) -> Vec<String> {
    let metric_type = family.metric_type.unwrap_or(MetricType::Unknown);
    let untyped = metric_type == MetricType::Unknown;
    let counter = metric_type == MetricType::Counter;
    let histogram = metric_type == MetricType::Histogram;
    let summary = metric_type == MetricType::Summary;
    let total = name.ends_with("_total");
    let mut texts = Vec::new();
    if counter && !total {
        texts.push("counter metrics should have \"_total\" suffix");
    }
    if !untyped && !counter && total {
        texts.push("non-counter metrics should not have \"_total\" suffix");
    }
    if !untyped {
        if !histogram && name.ends_with("_bucket") {
            texts.push("non-histogram metrics should not have \"_bucket\" suffix");
        }
        if !histogram && !summary && name.ends_with("_count") {
            texts.push("non-histogram and non-summary metrics should not have \"_count\" suffix");
        }
        if !histogram && !summary && name.ends_with("_sum") {
            texts.push("non-histogram and non-summary metrics should not have \"_sum\" suffix");
        }
        if !histogram && family.labels.contains("le") {
            texts.push("non-histogram metrics should not have \"le\" label");
        }
        if !summary && family.labels.contains("quantile") {
            texts.push("non-summary metrics should not have \"quantile\" label");
        }
    }
    texts.into_iter().map(String::from).collect()
}

/// Whether `part` stands in a name between underscores or at its end, but not at its beginning.
fn has_part(name: &str, part: &str) -> bool {
    name.split('_').skip(1).any(|p| p == part)
}

fn is_camel(name: &str) -> bool {
    let mut pairs = name.bytes().zip(name.bytes().skip(1));
    pairs.any(|(a, b)| a.is_ascii_lowercase() && b.is_ascii_uppercase())
}

/// The unit in a name and the base unit it should be.
fn unit_of(name: &str) -> Option<(&str, &'static str)> {
    const UNITS: [(&str, &str); 28] = [
        ("amperes", "amperes"),
        ("bytes", "bytes"),
        ("celsius", "celsius"), // what Prometheus recommends, although kelvin is the SI unit
        ("grams", "grams"),
        ("joules", "joules"),
        ("kelvin", "kelvin"),
        ("meters", "meters"),
        ("metres", "metres"),
        ("moles", "moles"),
        ("seconds", "seconds"),
        ("volts", "volts"),
        ("minutes", "seconds"),
        ("hours", "seconds"),
        ("days", "seconds"),
        ("weeks", "seconds"),
        ("kelvins", "kelvin"),
        ("fahrenheit", "celsius"),
        ("rankine", "celsius"),
        ("inches", "meters"),
        ("yards", "meters"),
        ("miles", "meters"),
        ("bits", "bytes"),
        ("calories", "joules"),
        ("pounds", "grams"),
        ("ounces", "grams"),
        ("feet", "meters"),
        ("tons", "grams"),
        ("watthours", "joules"),
    ];
    const PREFIXES: [&str; 18] = [
        "pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "kibi", "mega",
        "mibi", "giga", "gibi", "tera", "tebi", "peta", "pebi",
    ];
    let base = |text: &str| {
        UNITS
            .iter()
            .find(|(unit, _)| *unit == text)
            .map(|(_, b)| *b)
    };
    name.split('_').find_map(|part| {
        let prefixed = || PREFIXES.iter().find_map(|p| base(part.strip_prefix(p)?));
        base(part).or_else(prefixed).map(|base| (part, base))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(page: &str) -> Vec<String> {
        let found = lint(page.as_bytes()).unwrap();
        found
            .iter()
            .map(|(name, text)| format!("{name} {text}"))
            .collect()
    }

    #[test]
    fn a_good_page() {
        let none: [&str; 0] = [];
        let page = "# HELP a_seconds x\n# TYPE a_seconds histogram\na_seconds_bucket{le=\"+Inf\"} 1\n\
                    a_seconds_sum 1\na_seconds_count 1\n# HELP b_total x\n# TYPE b_total counter\n\
                    b_total{c=\"d\"} 1\nb_total{c=\"e\"} 1\n# HELP t x\n# TYPE t gauge\nt 1\n";
        assert_eq!(complaints(page), none);
        assert!(lint(b"x{").is_err());
    }

    #[test]
    fn pages_that_cannot_be_read() {
        for (page, want) in [
            ("x 1\nx 1", "in line 2: unexpected end of input stream"),
            (
                "# HELP x h\n# HELP x h\nx 1\n",
                "in line 2: second HELP line for metric name \"x\"",
            ),
            (
                "x 1\n# TYPE x gauge\n",
                "in line 2: second TYPE line for metric name \"x\", or TYPE reported after samples",
            ),
            ("# TYPE x foo\n", "in line 1: unknown metric type \"foo\""),
        ] {
            assert_eq!(lint(page.as_bytes()).unwrap_err().to_string(), want);
        }
    }

    #[test]
    fn bad_metrics() {
        for (page, want) in [
            ("x 1\n", "x no help text"),
            (
                "# HELP x_total h\n# TYPE x_total gauge\nx_total 1\n",
                "x_total non-counter metrics should not have \"_total\" suffix",
            ),
            (
                "# HELP x h\n# TYPE x counter\nx 1\n",
                "x counter metrics should have \"_total\" suffix",
            ),
            (
                "# HELP x_milliseconds h\nx_milliseconds 1\n",
                "x_milliseconds use base unit \"seconds\" instead of \"milliseconds\"",
            ),
            (
                "# HELP x_sum h\n# TYPE x_sum gauge\nx_sum 1\n",
                "x_sum non-histogram and non-summary metrics should not have \"_sum\" suffix",
            ),
            (
                "# HELP x h\n# TYPE x gauge\nx{le=\"1\"} 1\n",
                "x non-histogram metrics should not have \"le\" label",
            ),
            (
                "# HELP x_gauge h\n# TYPE x_gauge gauge\nx_gauge 1\n",
                "x_gauge metric name should not include type 'gauge'",
            ),
            (
                "# HELP a:b h\na:b 1\n",
                "a:b metric names should not contain ':'",
            ),
            (
                "# HELP aB h\naB 1\n",
                "aB metric names should be written in 'snake_case' not 'camelCase'",
            ),
            (
                "# HELP x h\nx{aB=\"1\"} 1\n",
                "x label names should be written in 'snake_case' not 'camelCase'",
            ),
            (
                "# HELP x_ms h\nx_ms 1\n",
                "x_ms metric names should not contain abbreviated units",
            ),
            (
                "# HELP x h\nx{a=\"1\",b=\"2\"} 1\nx{b=\"2\",a=\"1\"} 1\n",
                "x metric not unique",
            ),
        ] {
            assert_eq!(complaints(page), [want], "{page}");
        }
    }
}
