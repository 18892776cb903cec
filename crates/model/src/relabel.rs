//! Relabelling rules and how they change a label set (Prometheus, `relabel_config`).

use std::fmt;
use std::sync::LazyLock;

use md5::{Digest, Md5};

use crate::expand;
use crate::labels::{LabelsBuilder, is_legacy_label_name};
use crate::matcher::{AnchoredRegex, MatcherError};

/// The expression of a rule that names none.
pub const DEFAULT_REGEX: &str = "(.*)";
/// The separator of a rule that names none.
pub const DEFAULT_SEPARATOR: &str = ";";
/// The replacement of a rule that names none.
pub const DEFAULT_REPLACEMENT: &str = "$1";

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RelabelAction {
    /// Sets the target label to the expanded replacement when the expression matches.
    #[default]
    Replace,
    /// Drops label sets that do not match.
    Keep,
    /// Drops label sets that match.
    Drop,
    /// Drops label sets whose source value differs from the target label.
    KeepEqual,
    /// Drops label sets whose source value equals the target label.
    DropEqual,
    /// Sets the target label to the hash of the source value modulo `modulus`.
    HashMod,
    /// Copies labels whose name matches to the name that the replacement gives.
    LabelMap,
    /// Removes labels whose name matches.
    LabelDrop,
    /// Removes labels whose name does not match.
    LabelKeep,
    /// Sets the target label to the source value in lower case.
    Lowercase,
    /// Sets the target label to the source value in upper case.
    Uppercase,
}

impl RelabelAction {
    const ALL: [Self; 11] = [
        Self::Replace,
        Self::Keep,
        Self::Drop,
        Self::KeepEqual,
        Self::DropEqual,
        Self::HashMod,
        Self::LabelMap,
        Self::LabelDrop,
        Self::LabelKeep,
        Self::Lowercase,
        Self::Uppercase,
    ];

    /// The name in configuration files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Keep => "keep",
            Self::Drop => "drop",
            Self::KeepEqual => "keepequal",
            Self::DropEqual => "dropequal",
            Self::HashMod => "hashmod",
            Self::LabelMap => "labelmap",
            Self::LabelDrop => "labeldrop",
            Self::LabelKeep => "labelkeep",
            Self::Lowercase => "lowercase",
            Self::Uppercase => "uppercase",
        }
    }

    /// Reads a name in any case.
    pub fn parse(name: &str) -> Result<Self, RelabelError> {
        Self::ALL
            .into_iter()
            .find(|action| action.as_str().eq_ignore_ascii_case(name))
            .ok_or_else(|| RelabelError::UnknownAction(name.to_string()))
    }
}

impl fmt::Display for RelabelAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a rule cannot be used. The texts are Prometheus's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RelabelError {
    /// No such action.
    #[error("unknown relabel action {0:?}")]
    UnknownAction(String),
    /// The expression does not compile.
    #[error(transparent)]
    Regex(#[from] MatcherError),
    /// `hashmod` by zero.
    #[error("relabel configuration for hashmod requires non-zero modulus")]
    ZeroModulus,
    /// An action that sets a label without naming it.
    #[error("relabel configuration for {0} action requires 'target_label' value")]
    NoTargetLabel(RelabelAction),
    /// A target that is no label name.
    #[error("{0:?} is invalid 'target_label' for {1} action")]
    InvalidTargetLabel(String, RelabelAction),
    /// A replacement that gives no label name.
    #[error("{0:?} is invalid 'replacement' for {1} action")]
    InvalidReplacement(String, RelabelAction),
    /// A replacement where none is used.
    #[error("'replacement' can not be set for {0} action")]
    UnusedReplacement(RelabelAction),
    /// Fields that `labeldrop` and `labelkeep` do not use.
    #[error("{0} action requires only 'regex', and no other fields")]
    OnlyRegex(RelabelAction),
    /// Fields that `keepequal` and `dropequal` do not use.
    #[error("{0} action requires only 'source_labels' and `target_label`, and no other fields")]
    OnlyLabels(RelabelAction),
}

/// One rule. Make it with struct update syntax from [`Default`], then call
/// [`RelabelConfig::validate`].
#[derive(Debug, Clone)]
pub struct RelabelConfig {
    /// Labels whose values, joined, are the source value.
    pub source_labels: Vec<String>,
    /// Stands between the joined values.
    pub separator: String,
    /// The compiled expression.
    pub regex: AnchoredRegex,
    /// The expression as written.
    pub regex_text: String,
    /// Divisor of `hashmod`.
    pub modulus: u64,
    /// The label that is set, or compared with.
    pub target_label: String,
    /// Template of the new value, or for `labelmap` of the new name.
    pub replacement: String,
    /// What the rule does.
    pub action: RelabelAction,
}

impl Default for RelabelConfig {
    fn default() -> Self {
        static MATCH_ALL: LazyLock<AnchoredRegex> =
            LazyLock::new(|| AnchoredRegex::new(DEFAULT_REGEX).expect("invariant: compiles"));
        Self {
            source_labels: Vec::new(),
            separator: DEFAULT_SEPARATOR.to_string(),
            regex: MATCH_ALL.clone(),
            regex_text: DEFAULT_REGEX.to_string(),
            modulus: 0,
            target_label: String::new(),
            replacement: DEFAULT_REPLACEMENT.to_string(),
            action: RelabelAction::Replace,
        }
    }
}

/// Rules are equal when they are written the same; the compiled expression follows from its text.
impl PartialEq for RelabelConfig {
    fn eq(&self, other: &Self) -> bool {
        self.source_labels == other.source_labels
            && self.separator == other.separator
            && self.regex_text == other.regex_text
            && self.modulus == other.modulus
            && self.target_label == other.target_label
            && self.replacement == other.replacement
            && self.action == other.action
    }
}

impl RelabelConfig {
    /// Sets the expression.
    pub fn set_regex(&mut self, pattern: &str) -> Result<(), RelabelError> {
        self.regex = AnchoredRegex::new(pattern)?;
        self.regex_text = pattern.to_string();
        Ok(())
    }

    /// Checks that the fields make sense together, as Prometheus does on load. `legacy_names`
    /// allows only letters, digits and underscores in the names of labels.
    pub fn validate(&self, legacy_names: bool) -> Result<(), RelabelError> {
        use RelabelAction as A;
        let action = self.action;
        let default_regex = self.regex_text == DEFAULT_REGEX;
        let default_separator = self.separator == DEFAULT_SEPARATOR;
        let default_replacement = self.replacement == DEFAULT_REPLACEMENT;
        if action == A::HashMod && self.modulus == 0 {
            return Err(RelabelError::ZeroModulus);
        }
        let sets_target = matches!(
            action,
            A::Replace | A::KeepEqual | A::DropEqual | A::HashMod | A::Lowercase | A::Uppercase
        );
        if sets_target && self.target_label.is_empty() {
            return Err(RelabelError::NoTargetLabel(action));
        }
        let invalid_target = match action {
            A::Replace => !is_name_template(&self.target_label, legacy_names),
            _ => sets_target && legacy_names && !is_legacy_label_name(&self.target_label),
        };
        if invalid_target {
            return Err(RelabelError::InvalidTargetLabel(
                self.target_label.clone(),
                action,
            ));
        }
        if matches!(
            action,
            A::Lowercase | A::Uppercase | A::KeepEqual | A::DropEqual
        ) && !default_replacement
        {
            return Err(RelabelError::UnusedReplacement(action));
        }
        if action == A::LabelMap && !is_name_template(&self.replacement, legacy_names) {
            return Err(RelabelError::InvalidReplacement(
                self.replacement.clone(),
                action,
            ));
        }
        let rest_default = self.modulus == 0 && default_separator && default_replacement;
        match action {
            A::KeepEqual | A::DropEqual if !(default_regex && rest_default) => {
                Err(RelabelError::OnlyLabels(action))
            }
            A::LabelDrop | A::LabelKeep
                if !(rest_default
                    && self.source_labels.is_empty()
                    && self.target_label.is_empty()) =>
            {
                Err(RelabelError::OnlyRegex(action))
            }
            _ => Ok(()),
        }
    }

    fn source_value(&self, labels: &LabelsBuilder) -> String {
        let mut value = String::new();
        for (i, name) in self.source_labels.iter().enumerate() {
            if i > 0 {
                value.push_str(&self.separator);
            }
            value.push_str(labels.get(name));
        }
        value
    }

    /// Applies this rule; false drops the label set.
    fn apply(&self, labels: &mut LabelsBuilder) -> bool {
        match self.action {
            RelabelAction::Replace => self.replace(labels),
            RelabelAction::Keep => return self.regex.is_match(&self.source_value(labels)),
            RelabelAction::Drop => return !self.regex.is_match(&self.source_value(labels)),
            RelabelAction::KeepEqual => {
                return self.source_value(labels) == labels.get(&self.target_label);
            }
            RelabelAction::DropEqual => {
                return self.source_value(labels) != labels.get(&self.target_label);
            }
            RelabelAction::HashMod => {
                let hash = hash_value(&self.source_value(labels));
                // A rule that was never validated may still say 0.
                let rest = hash.checked_rem(self.modulus).unwrap_or(0);
                labels.set(&self.target_label, &rest.to_string());
            }
            RelabelAction::LabelMap => self.map_names(labels),
            RelabelAction::LabelDrop => {
                labels.retain(|name, _| !self.regex.is_match(name));
            }
            RelabelAction::LabelKeep => {
                labels.retain(|name, _| self.regex.is_match(name));
            }
            RelabelAction::Lowercase => {
                let value = self.source_value(labels).to_lowercase();
                labels.set(&self.target_label, &value);
            }
            RelabelAction::Uppercase => {
                let value = self.source_value(labels).to_uppercase();
                labels.set(&self.target_label, &value);
            }
        }
        true
    }

    fn replace(&self, labels: &mut LabelsBuilder) {
        let source = self.source_value(labels);
        if !self.regex.is_match(&source) {
            return;
        }
        // Without references there is nothing to capture, which is the slow part.
        if !self.target_label.contains('$') && !self.replacement.contains('$') {
            labels.set(&self.target_label, &self.replacement);
            return;
        }
        let Some(captures) = self.regex.regex().captures(&source) else {
            return;
        };
        let mut target = String::new();
        expand::expand(&self.target_label, &captures, &mut target);
        if target.is_empty() {
            return;
        }
        let mut value = String::new();
        expand::expand(&self.replacement, &captures, &mut value);
        labels.set(&target, &value);
    }

    fn map_names(&self, labels: &mut LabelsBuilder) {
        // New names must not be seen by the same rule.
        let mapped: Vec<(String, String)> = labels
            .iter()
            .filter_map(|label| {
                let name = expand::replace(&self.regex, label.name, &self.replacement)?;
                Some((name, label.value.to_string()))
            })
            .collect();
        for (name, value) in mapped.iter().filter(|(name, _)| !name.is_empty()) {
            labels.set(name, value);
        }
    }
}

/// Applies `rules` in order to `labels`; false when one of them drops the set, whose content is
/// then of no use.
pub fn apply(rules: &[RelabelConfig], labels: &mut LabelsBuilder) -> bool {
    rules.iter().all(|rule| rule.apply(labels))
}

/// Prometheus's hash of `hashmod`: the last eight bytes of the MD5, big endian.
fn hash_value(value: &str) -> u64 {
    let digest = Md5::digest(value.as_bytes());
    digest
        .iter()
        .skip(8)
        .fold(0, |hash, byte| (hash << 8) | u64::from(*byte))
}

/// What `replace` and `labelmap` take where a label name is wanted: a name, or a template of one.
fn is_name_template(text: &str, legacy_names: bool) -> bool {
    if !legacy_names || !text.contains('$') {
        return !text.is_empty() && (!legacy_names || is_legacy_label_name(text));
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$' | b'{' | b'}');
    text.bytes().all(allowed) && !text.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests;
