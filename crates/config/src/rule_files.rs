//! `rule_files`: found, and checked as Prometheus would. Rules do not run yet.

use std::collections::HashSet;
use std::path::PathBuf;

use crate::error::Problem;
use crate::node::{Node, Section, Value};
use crate::shape::{Key, Shape, check, open, sections};

/// Looks whether an expression is one; the error says what is wrong with it.
pub type ExprCheck<'a> = dyn Fn(&str) -> Result<(), String> + 'a;

/// One file of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFile {
    /// Its name.
    pub path: PathBuf,
    /// Rules in it.
    pub rules: usize,
}

const GROUP: &[Key] = &[
    ("name", Shape::Text),
    ("interval", Shape::Duration),
    ("query_offset", Shape::Duration),
    ("limit", Shape::Number),
    ("labels", Shape::Labels),
    ("rules", Shape::Any),
];

const RULE: &[Key] = &[
    ("record", Shape::Text),
    ("alert", Shape::Text),
    ("expr", Shape::Text),
    ("for", Shape::Duration),
    ("keep_firing_for", Shape::Duration),
    ("labels", Shape::Labels),
    ("annotations", Shape::Labels),
];

/// Checks a file and counts its rules.
pub(crate) fn read(root: &Node, exprs: Option<&ExprCheck<'_>>) -> Result<usize, Problem> {
    let top = Section::open(root, String::new(), &[&["groups"]])?;
    let Some(groups) = top.get("groups") else {
        return Ok(0);
    };
    let mut names = HashSet::new();
    let mut rules = 0;
    for item in groups.items()? {
        let group = open(item, GROUP, &[])?;
        let name = group.string("name")?.unwrap_or_default();
        if name.is_empty() {
            return Err(group.problem_at("name", "Groupname must not be empty"));
        }
        if !names.insert(name.clone()) {
            let text = format!("groupname: {name:?} is repeated in the same file");
            return Err(group.problem_at("name", text));
        }
        let Some(list) = group.get("rules") else {
            continue;
        };
        for (i, rule) in sections(&list, "rule", RULE, &[])?.iter().enumerate() {
            check_rule(rule, &name, i + 1, exprs)?;
            rules += 1;
        }
    }
    Ok(rules)
}

fn check_rule(
    rule: &Section<'_>,
    group: &str,
    number: usize,
    exprs: Option<&ExprCheck<'_>>,
) -> Result<(), Problem> {
    check(rule, RULE)?;
    let set = |key: &str| rule.get(key).filter(|f| !is_empty(f.node));
    let (record, alert) = (set("record"), set("alert"));
    let named = record.as_ref().or(alert.as_ref());
    let name = named.map(|f| f.string()).transpose()?.unwrap_or_default();
    let which = format!("group {group:?}, rule {number}, {name:?}: ");
    match (&record, &alert) {
        (Some(field), Some(_)) => {
            let text = format!("{which}only one of 'record' and 'alert' must be set");
            return Err(field.problem(text));
        }
        (None, None) => {
            let text = format!("{which}one of 'record' or 'alert' must be set");
            return Err(rule.problem(text));
        }
        (Some(_), None) => {
            for key in ["for", "keep_firing_for", "annotations"] {
                if let Some(field) = set(key) {
                    let text = format!("{which}invalid field '{key}' in recording rule");
                    return Err(field.problem(text));
                }
            }
            // A name that looks like a selector was meant as the expression.
            if name.contains(['{', '}', '(', ')', '[', ']', '"']) || name.contains(char::is_control)
            {
                let text = format!("{which}invalid recording rule name: {name}");
                return Err(rule.problem_at("record", text));
            }
        }
        (None, Some(_)) => {}
    }
    let Some(expr) = set("expr") else {
        let text = format!("{which}field 'expr' must be set in rule");
        return Err(rule.problem_at("expr", text));
    };
    if let Some(check) = exprs {
        check(expr.string()?)
            .map_err(|e| expr.problem(format!("{which}could not parse expression: {e}")))?;
    }
    Ok(())
}

/// Nothing, no text, or no entries.
fn is_empty(node: &Node) -> bool {
    match &node.value {
        Value::Null => true,
        Value::Scalar { text, .. } => text.is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Map(entries) => entries.is_empty(),
    }
}
