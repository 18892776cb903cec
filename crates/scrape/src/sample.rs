//! Labels of one sample: exposed labels, target labels, metric relabelling, validity and limits.

use tsdb_model::labels::{is_legacy_label_name, is_legacy_metric_name, write_quoted};
use tsdb_model::relabel::{self, RelabelConfig};
use tsdb_model::{Labels, LabelsBuilder, METRIC_NAME};
use tsdb_wire::text::LabelPair;

/// Most bytes of all names and values of an exposed series together, as for pushed ones. Limits of
/// the configuration are for less.
const MAX_LABEL_BYTES: usize = 1 << 20;

/// What exposed labels are put in front of when a target label has their name.
const EXPORTED: &str = "exported_";

/// How samples of a target get their labels.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SampleRules {
    /// Labels of the target.
    pub(crate) target: Labels,
    /// Exposed labels win over target labels.
    pub(crate) honor_labels: bool,
    /// `metric_relabel_configs`.
    pub(crate) relabel: Vec<RelabelConfig>,
    /// Names must be of the old form, without UTF-8.
    pub(crate) legacy_names: bool,
    /// Most labels, the name included; 0 for any.
    pub(crate) label_limit: u64,
    /// Most bytes of a label name; 0 for any.
    pub(crate) label_name_length_limit: u64,
    /// Most bytes of a label value; 0 for any.
    pub(crate) label_value_length_limit: u64,
}

/// Why the page cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SampleError {
    /// No name, or one that is not allowed.
    Invalid(String),
    /// A label limit.
    Limit(String),
}

impl SampleRules {
    /// The labels under which an exposed series is stored; `None` when relabelling drops it.
    pub(crate) fn labels(&self, exposed: &[LabelPair<'_>]) -> Result<Option<Labels>, SampleError> {
        // Before any copy of them is made.
        let bytes: usize = exposed.iter().map(|(n, v)| n.len() + v.len()).sum();
        if bytes > MAX_LABEL_BYTES {
            return Err(SampleError::Limit(format!(
                "label set of {bytes} bytes is too large, the limit is {MAX_LABEL_BYTES}"
            )));
        }
        let mut labels = LabelsBuilder::new();
        for (name, value) in exposed {
            labels.set(name, value);
        }
        self.add_target_labels(&mut labels, exposed);
        if !self.relabel.is_empty() && !relabel::apply(&self.relabel, &mut labels) {
            return Ok(None);
        }
        if labels.is_empty() {
            return Ok(None);
        }
        self.check(&labels)?;
        Ok(Some(labels.build()))
    }

    /// The labels of a series that the server itself makes, such as `up`.
    pub(crate) fn synthetic(&self, name: &str) -> Labels {
        let mut labels = self.target.to_builder();
        labels.set(METRIC_NAME, name);
        labels.build()
    }

    fn add_target_labels(&self, labels: &mut LabelsBuilder, exposed: &[LabelPair<'_>]) {
        if self.honor_labels {
            for label in &self.target {
                // An exposed empty value keeps the target's label away, too.
                if !exposed.iter().any(|(name, _)| name == label.name) {
                    labels.set(label.name, label.value);
                }
            }
            return;
        }
        let mut renamed = Vec::new();
        for label in &self.target {
            let value = labels.get(label.name);
            if !value.is_empty() {
                renamed.push((label.name, value.to_string()));
            }
            labels.set(label.name, label.value);
        }
        renamed.sort_by_key(|(name, _)| name.len());
        for (name, value) in renamed {
            let mut free = format!("{EXPORTED}{name}");
            while !labels.get(&free).is_empty() {
                free.insert_str(0, EXPORTED);
            }
            labels.set(&free, &value);
        }
    }

    fn check(&self, labels: &LabelsBuilder) -> Result<(), SampleError> {
        let metric = labels.get(METRIC_NAME);
        if metric.is_empty() {
            let text = "missing metric name (__name__ label)".to_string();
            return Err(SampleError::Invalid(text));
        }
        let valid = if self.legacy_names {
            is_legacy_metric_name(metric) && labels.iter().all(|l| is_legacy_label_name(l.name))
        } else {
            labels.iter().all(|l| !l.name.is_empty())
        };
        if !valid {
            let text = format!("invalid metric name or label names: {}", labels.build());
            return Err(SampleError::Invalid(text));
        }
        let metric = cut(metric);
        let count = labels.iter().count();
        if exceeds(count, self.label_limit) {
            return Err(SampleError::Limit(format!(
                "label_limit exceeded (metric: {metric}, number of labels: {count}, limit: {})",
                self.label_limit
            )));
        }
        for label in labels.iter() {
            let name = cut(label.name);
            let length = label.name.len();
            if exceeds(length, self.label_name_length_limit) {
                return Err(SampleError::Limit(format!(
                    "label_name_length_limit exceeded (metric: {metric}, label name: {name}, \
                     length: {length}, limit: {})",
                    self.label_name_length_limit
                )));
            }
            let length = label.value.len();
            if exceeds(length, self.label_value_length_limit) {
                let mut value = String::new();
                let _ = write_quoted(&mut value, cut(label.value));
                return Err(SampleError::Limit(format!(
                    "label_value_length_limit exceeded (metric: {metric}, label name: {name}, \
                     value: {value}, length: {length}, limit: {})",
                    self.label_value_length_limit
                )));
            }
        }
        Ok(())
    }
}

fn exceeds(length: usize, limit: u64) -> bool {
    limit > 0 && length as u64 > limit
}

/// The first 50 characters, which is what error texts show.
fn cut(text: &str) -> &str {
    match text.char_indices().nth(50) {
        Some((at, _)) => &text[..at],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(target: &[(&str, &str)], honor_labels: bool) -> SampleRules {
        SampleRules {
            target: Labels::from_pairs(target.iter().copied()),
            honor_labels,
            relabel: Vec::new(),
            legacy_names: false,
            label_limit: 0,
            label_name_length_limit: 0,
            label_value_length_limit: 0,
        }
    }

    fn labels(rules: &SampleRules, exposed: &[(&str, &str)]) -> Result<String, SampleError> {
        let exposed: Vec<LabelPair<'_>> = exposed
            .iter()
            .map(|(n, v)| ((*n).into(), (*v).into()))
            .collect();
        let labels = rules.labels(&exposed)?;
        Ok(labels.map_or_else(String::new, |l| l.to_string()))
    }

    #[test]
    fn huge_label_sets_are_refused() {
        let rules = rules(&[], false);
        let value = "v".repeat(MAX_LABEL_BYTES - 10);
        assert!(labels(&rules, &[("__name__", "x"), ("a", &value)]).is_ok());
        let more = [("__name__", "x"), ("a", &value), ("b", "c")];
        assert_eq!(
            labels(&rules, &more),
            Err(SampleError::Limit(
                "label set of 1048578 bytes is too large, the limit is 1048576".into()
            ))
        );
    }

    const TARGET: [(&str, &str); 2] = [("instance", "h:1"), ("job", "j")];

    #[test]
    fn target_labels_win_and_exposed_ones_are_renamed() {
        let rules = rules(&TARGET, false);
        assert_eq!(
            labels(&rules, &[("__name__", "x"), ("a", "")]).unwrap(),
            r#"{__name__="x", instance="h:1", job="j"}"#
        );
        let exposed = [
            ("__name__", "x"),
            ("exported_job", "e"),
            ("instance", "i"),
            ("job", "k"),
        ];
        assert_eq!(
            labels(&rules, &exposed).unwrap(),
            r#"{__name__="x", exported_exported_job="k", exported_instance="i", exported_job="e", instance="h:1", job="j"}"#
        );
    }

    #[test]
    fn chain_of_exported_names() {
        let rules = rules(
            &[("exported_job", "te"), ("instance", "h:1"), ("job", "j")],
            false,
        );
        let exposed = [("__name__", "x"), ("exported_job", "e"), ("job", "k")];
        // The shorter name is renamed first: job finds exported_job taken by the target.
        assert_eq!(
            labels(&rules, &exposed).unwrap(),
            r#"{__name__="x", exported_exported_exported_job="e", exported_exported_job="k", exported_job="te", instance="h:1", job="j"}"#
        );
    }

    #[test]
    fn honored_labels_win_even_when_empty() {
        let rules = rules(&TARGET, true);
        let exposed = [("__name__", "x"), ("instance", ""), ("job", "k")];
        assert_eq!(
            labels(&rules, &exposed).unwrap(),
            r#"{__name__="x", job="k"}"#
        );
        assert_eq!(
            labels(&rules, &[("__name__", "x")]).unwrap(),
            r#"{__name__="x", instance="h:1", job="j"}"#
        );
    }

    #[test]
    fn names_must_be_there_and_valid() {
        let mut rules = rules(&TARGET, false);
        assert_eq!(
            labels(&rules, &[("a", "b")]),
            Err(SampleError::Invalid(
                "missing metric name (__name__ label)".into()
            ))
        );
        let dotted = [("__name__", "a.b")];
        assert!(labels(&rules, &dotted).is_ok());
        rules.legacy_names = true;
        assert_eq!(
            labels(&rules, &dotted),
            Err(SampleError::Invalid(
                r#"invalid metric name or label names: {__name__="a.b", instance="h:1", job="j"}"#
                    .into()
            ))
        );
    }

    #[test]
    fn label_limits() {
        let mut r = rules(&TARGET, false);
        let long = "v".repeat(60);
        let exposed = [("__name__", "x1"), ("a", &long), ("a_longer_name", "v")];
        r.label_limit = 5;
        assert!(labels(&r, &exposed).is_ok());
        r.label_limit = 3;
        let limit = |text: &str| Err(SampleError::Limit(text.to_string()));
        assert_eq!(
            labels(&r, &exposed),
            limit("label_limit exceeded (metric: x1, number of labels: 5, limit: 3)")
        );
        r.label_limit = 0;
        r.label_name_length_limit = 10;
        assert_eq!(
            labels(&r, &exposed),
            limit(
                "label_name_length_limit exceeded (metric: x1, label name: a_longer_name, \
                 length: 13, limit: 10)"
            )
        );
        r.label_name_length_limit = 0;
        r.label_value_length_limit = 50;
        assert_eq!(
            labels(&r, &exposed),
            limit(&format!(
                "label_value_length_limit exceeded (metric: x1, label name: a, value: \"{}\", \
                 length: 60, limit: 50)",
                "v".repeat(50)
            ))
        );
    }
}
