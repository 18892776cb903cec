//! Warnings and infos that go with a result.

use std::collections::BTreeMap;

use crate::ast::Span;

/// Notes about a result, each text once. The texts are Prometheus's, without the position.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Annotations {
    warnings: BTreeMap<String, Option<Span>>,
    infos: BTreeMap<String, Option<Span>>,
}

impl Annotations {
    /// Adds a warning; `text` without the prefix `PromQL warning: `.
    pub fn warn(&mut self, text: impl Into<String>, span: Option<Span>) {
        self.warnings.entry(text.into()).or_insert(span);
    }

    /// Adds an info; `text` without the prefix `PromQL info: `.
    pub fn info(&mut self, text: impl Into<String>, span: Option<Span>) {
        self.infos.entry(text.into()).or_insert(span);
    }

    /// Takes over all notes of `other`.
    pub fn merge(&mut self, other: Self) {
        for (text, span) in other.warnings {
            self.warnings.entry(text).or_insert(span);
        }
        for (text, span) in other.infos {
            self.infos.entry(text).or_insert(span);
        }
    }

    /// True when there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.warnings.is_empty() && self.infos.is_empty()
    }

    /// Warnings as the HTTP API shows them: `PromQL warning: text (1:5)`.
    pub fn warning_texts(&self, query: &str) -> Vec<String> {
        texts("PromQL warning: ", &self.warnings, query)
    }

    /// Infos as the HTTP API shows them: `PromQL info: text (1:5)`.
    pub fn info_texts(&self, query: &str) -> Vec<String> {
        texts("PromQL info: ", &self.infos, query)
    }
}

fn texts(prefix: &str, notes: &BTreeMap<String, Option<Span>>, query: &str) -> Vec<String> {
    let render = |(text, span): (&String, &Option<Span>)| match span {
        Some(span) => {
            let (line, column) = line_column(query, span.start);
            format!("{prefix}{text} ({line}:{column})")
        }
        None => format!("{prefix}{text}"),
    };
    notes.iter().map(render).collect()
}

/// Line and column of a byte position, both from 1, the column in bytes.
pub fn line_column(text: &str, position: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..position.min(text.len())];
    let line = 1 + before.iter().filter(|b| **b == b'\n').count();
    let line_start = before
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |p| p + 1);
    (line, before.len() - line_start + 1)
}
