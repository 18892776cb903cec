//! From labels as sent to a label set, with the checks of Prometheus.

use std::fmt;

use super::RemoteError;
use tsdb_model::{Label, Labels, METRIC_NAME, labels::write_quoted};

/// Most bytes of all names and values of a series together.
const MAX_LABEL_BYTES: usize = 1 << 20;

/// Labels shown in an error, and bytes shown of a text.
const MAX_SHOWN: usize = 64;

/// Why a series cannot have these labels. The texts are those of Prometheus.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidLabels {
    /// No metric name, a name without text, or a text that is not UTF-8.
    #[error("invalid metric name or labels, got {0}")]
    Invalid(String),
    /// A name twice.
    #[error("invalid labels for series, labels {labels}, duplicated label {name}")]
    Duplicate {
        /// All labels.
        labels: String,
        /// The name.
        name: String,
    },
    /// The bytes of the labels are no protobuf message.
    #[error("invalid labels: {0}")]
    Malformed(RemoteError),
    /// More bytes than a label set may have.
    #[error("label set of {0} bytes is too large")]
    TooLarge(usize),
}

/// Sorts the pairs and makes a label set of them. Labels without a value are left out.
pub(super) fn label_set(pairs: &mut Vec<(&[u8], &[u8])>) -> Result<Labels, InvalidLabels> {
    if !pairs.is_sorted_by(|a, b| a.0 < b.0) {
        pairs.sort_by_key(|pair| pair.0);
    }
    let bytes = pairs.iter().map(|(n, v)| n.len() + v.len()).sum();
    if bytes > MAX_LABEL_BYTES {
        return Err(InvalidLabels::TooLarge(bytes));
    }
    let mut texts: Vec<Label<'_>> = Vec::with_capacity(pairs.len());
    let mut named = false;
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        let (Ok(name), Ok(value)) = (std::str::from_utf8(name), std::str::from_utf8(value)) else {
            return Err(InvalidLabels::Invalid(shown(pairs)));
        };
        if name.is_empty() {
            return Err(InvalidLabels::Invalid(shown(pairs)));
        }
        if texts.last().is_some_and(|last| last.name == name) {
            return Err(InvalidLabels::Duplicate {
                labels: shown(pairs),
                name: name.to_string(),
            });
        }
        named |= name == METRIC_NAME;
        texts.push(Label { name, value });
    }
    if !named {
        return Err(InvalidLabels::Invalid(shown(pairs)));
    }
    Ok(Labels::from_sorted(texts))
}

/// Labels of an exemplar: anything that is UTF-8, later ones win.
pub(super) fn exemplar_labels(pairs: &[(&[u8], &[u8])]) -> Option<Labels> {
    let mut texts = Vec::with_capacity(pairs.len());
    for (name, value) in pairs {
        let name = std::str::from_utf8(name).ok()?;
        texts.push((name, std::str::from_utf8(value).ok()?));
    }
    Some(Labels::from_pairs(texts))
}

fn shown(pairs: &[(&[u8], &[u8])]) -> String {
    Shown(pairs).to_string()
}

struct Shown<'p>(&'p [(&'p [u8], &'p [u8])]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.0.iter().take(MAX_SHOWN).enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            let name = text(name);
            if tsdb_model::labels::is_legacy_label_name(&name) {
                f.write_str(&name)?;
            } else {
                write_quoted(f, &name)?;
            }
            f.write_str("=")?;
            write_quoted(f, &text(value))?;
        }
        if self.0.len() > MAX_SHOWN {
            f.write_str(", ...")?;
        }
        f.write_str("}")
    }
}

fn text(bytes: &[u8]) -> String {
    let cut = bytes.get(..MAX_SHOWN).unwrap_or(bytes);
    let mut text = String::from_utf8_lossy(cut).into_owned();
    if cut.len() < bytes.len() {
        text.push_str("...");
    }
    text
}
