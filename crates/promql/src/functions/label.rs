//! `label_replace` and `label_join` on one label set.

use tsdb_model::expand::replace;
use tsdb_model::matcher::AnchoredRegex;
use tsdb_model::{Labels, METRIC_NAME};

use crate::error::QueryError;

/// The arguments of `label_replace`, checked.
#[derive(Debug, Clone)]
pub struct LabelReplace {
    destination: String,
    replacement: String,
    source: String,
    regex: AnchoredRegex,
}

impl LabelReplace {
    /// Checks the arguments: the expression must compile, the destination must not be empty.
    pub fn new(
        destination: &str,
        replacement: &str,
        source: &str,
        regex: &str,
    ) -> Result<Self, QueryError> {
        let regex = AnchoredRegex::new(regex).map_err(|_| {
            QueryError::Execution(format!(
                "invalid regular expression in label_replace(): {regex}"
            ))
        })?;
        check_destination(destination, "label_replace")?;
        Ok(Self {
            destination: destination.to_string(),
            replacement: replacement.to_string(),
            source: source.to_string(),
            regex,
        })
    }

    /// The label set with the destination replaced; `None` when the source does not match and all
    /// stays as it is.
    pub fn apply(&self, labels: &Labels) -> Option<Labels> {
        let value = replace(&self.regex, labels.value(&self.source), &self.replacement)?;
        Some(with_label(labels, &self.destination, &value))
    }

    /// Most bytes that the label set may have afterwards: each `$` may stand for the whole source.
    pub fn result_bytes(&self, labels: &Labels) -> usize {
        let references = self.replacement.bytes().filter(|b| *b == b'$').count();
        let source = labels.value(&self.source).len();
        labels.heap_bytes() + self.replacement.len() + references.saturating_mul(source)
    }

    /// True when what is set is the metric name, which then must not be dropped.
    pub fn sets_metric_name(&self) -> bool {
        self.destination == METRIC_NAME
    }
}

/// The arguments of `label_join`, checked.
#[derive(Debug, Clone)]
pub struct LabelJoin {
    destination: String,
    separator: String,
    sources: Vec<String>,
}

impl LabelJoin {
    /// Checks the arguments: no label name may be empty.
    pub fn new(
        destination: &str,
        separator: &str,
        sources: Vec<String>,
    ) -> Result<Self, QueryError> {
        if sources.iter().any(String::is_empty) {
            return Err(QueryError::Execution(
                "invalid source label name in label_join(): ".into(),
            ));
        }
        check_destination(destination, "label_join")?;
        Ok(Self {
            destination: destination.to_string(),
            separator: separator.to_string(),
            sources,
        })
    }

    /// Bytes that the label set has afterwards, at most.
    pub fn result_bytes(&self, labels: &Labels) -> usize {
        let values = self.sources.iter().map(|s| labels.value(s).len());
        let separators = self.sources.len().saturating_mul(self.separator.len());
        values.fold(labels.heap_bytes() + separators, usize::saturating_add)
    }

    /// The label set with the joined values as destination.
    pub fn apply(&self, labels: &Labels) -> Labels {
        let values: Vec<&str> = self.sources.iter().map(|s| labels.value(s)).collect();
        with_label(labels, &self.destination, &values.join(&self.separator))
    }

    /// True when what is set is the metric name, which then must not be dropped.
    pub fn sets_metric_name(&self) -> bool {
        self.destination == METRIC_NAME
    }
}

fn check_destination(name: &str, function: &str) -> Result<(), QueryError> {
    if name.is_empty() {
        return Err(QueryError::Execution(format!(
            "invalid destination label name in {function}(): {name}"
        )));
    }
    Ok(())
}

fn with_label(labels: &Labels, name: &str, value: &str) -> Labels {
    let mut builder = labels.to_builder();
    builder.set(name, value);
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Labels {
        Labels::from_pairs([
            (METRIC_NAME, "testmetric"),
            ("dst", "original"),
            ("src", "source-value-10"),
            ("src1", "other"),
        ])
    }

    fn replaced(dst: &str, repl: &str, src: &str, re: &str) -> Option<String> {
        let labels = LabelReplace::new(dst, repl, src, re)
            .unwrap()
            .apply(&labels())?;
        Some(labels.value(dst).to_string())
    }

    #[test]
    fn label_replace() {
        let re = "source-value-(.*)";
        assert_eq!(replaced("dst", "v-$1", "src", re).unwrap(), "v-10");
        assert_eq!(replaced("dst", "v-$nope", "src", re).unwrap(), "v-");
        assert_eq!(
            replaced("dst", "$b-$a", "src", "(?P<a>[a-z]+)-(?P<b>.*)").unwrap(),
            "value-10-source"
        );
        // Anchored: no match, nothing changes.
        assert_eq!(replaced("dst", "x", "src", "value-(.*)"), None);
        // A label that is not there is empty.
        assert_eq!(replaced("dst", "x$1", "nope", "(.*)").unwrap(), "x");
        assert_eq!(replaced("dst", "", "src", ".*").unwrap(), "");
        let gone = LabelReplace::new("dst", "", "dst", ".*").unwrap();
        assert_eq!(gone.apply(&labels()).unwrap().get("dst"), None);
        assert!(!gone.sets_metric_name());
        let named = LabelReplace::new(METRIC_NAME, "rate_$1", METRIC_NAME, "(.*)").unwrap();
        assert!(named.sets_metric_name());
        assert_eq!(
            named.apply(&labels()).unwrap().metric_name(),
            "rate_testmetric"
        );
    }

    #[test]
    fn label_join() {
        let join = |sep: &str, sources: &[&str]| {
            let sources = sources.iter().map(|s| s.to_string()).collect();
            let join = LabelJoin::new("dst", sep, sources).unwrap();
            join.apply(&labels()).value("dst").to_string()
        };
        assert_eq!(join("-", &["src", "src1"]), "source-value-10-other");
        assert_eq!(join("-", &["src1", "nope", "src1"]), "other--other");
        assert_eq!(join("", &[]), "");
        assert_eq!(join(", ", &["dst"]), "original");
    }

    #[test]
    fn errors_are_prometheus_s() {
        let text = |e: QueryError| e.to_string();
        assert_eq!(
            text(LabelReplace::new("dst", "v", "src", "(").unwrap_err()),
            "invalid regular expression in label_replace(): ("
        );
        assert_eq!(
            text(LabelReplace::new("", "v", "src", "(.*)").unwrap_err()),
            "invalid destination label name in label_replace(): "
        );
        assert_eq!(
            text(LabelJoin::new("", "-", vec!["a".into()]).unwrap_err()),
            "invalid destination label name in label_join(): "
        );
        assert_eq!(
            text(LabelJoin::new("d", "-", vec![String::new()]).unwrap_err()),
            "invalid source label name in label_join(): "
        );
    }
}
