//! `relabel_configs` and `metric_relabel_configs`.

use tsdb_model::relabel::{RelabelAction, RelabelConfig};

use crate::error::Problem;
use crate::node::{Section, Value};

const KEYS: [&str; 7] = [
    "source_labels",
    "separator",
    "regex",
    "modulus",
    "target_label",
    "replacement",
    "action",
];

/// Reads the rules under `key`; `kind` names them in the message about an empty one.
pub(crate) fn read(
    job: &Section<'_>,
    key: &str,
    kind: &str,
    legacy_names: bool,
) -> Result<Vec<RelabelConfig>, Problem> {
    let Some(list) = job.get(key) else {
        return Ok(Vec::new());
    };
    let mut rules = Vec::new();
    for item in list.items()? {
        if item.node.value == Value::Null {
            let text = format!("empty or null {kind} relabeling rule in scrape config");
            return Err(item.problem(text));
        }
        rules.push(rule(&item.section(&[&KEYS])?, legacy_names)?);
    }
    Ok(rules)
}

fn rule(section: &Section<'_>, legacy_names: bool) -> Result<RelabelConfig, Problem> {
    let mut rule = RelabelConfig::default();
    if let Some(labels) = section.get("source_labels") {
        for item in labels.items()? {
            let name = item.string()?;
            if name.is_empty() {
                return Err(item.problem(format!("{name:?} is not a valid label name")));
            }
            rule.source_labels.push(name.to_string());
        }
    }
    if let Some(regex) = section.get("regex") {
        rule.set_regex(regex.string()?)
            .map_err(|e| regex.problem(e))?;
    }
    if let Some(action) = section.get("action") {
        rule.action = RelabelAction::parse(action.string()?).map_err(|e| action.problem(e))?;
    }
    rule.modulus = section.number("modulus")?.unwrap_or(rule.modulus);
    rule.separator = section.string("separator")?.unwrap_or(rule.separator);
    rule.target_label = section.string("target_label")?.unwrap_or(rule.target_label);
    rule.replacement = section.string("replacement")?.unwrap_or(rule.replacement);
    rule.validate(legacy_names)
        .map_err(|e| section.problem(e))?;
    Ok(rule)
}
