//! How the tests of the parsers print what was read.

use std::fmt::Write as _;

use crate::text::{Entry, TextError};

/// `{name a="b"} value @time #{c="d"} value @time`, or the kind of line, family and text.
pub(crate) fn print(entry: &Entry<'_>) -> Result<String, TextError> {
    let line = match entry {
        Entry::Type {
            family,
            metric_type,
        } => return Ok(format!("type {family}: {metric_type}")),
        Entry::Help { family, help } => return Ok(format!("help {family}: {help}")),
        Entry::Unit { family, unit } => return Ok(format!("unit {family}: {unit}")),
        Entry::Series(line) => line,
    };
    let mut labels = Vec::new();
    line.labels(&mut labels)?;
    let mut text = String::from("{");
    for (i, (name, value)) in labels.iter().enumerate() {
        match i {
            0 => {
                assert_eq!(name, "__name__");
                text += value;
            }
            _ => {
                let _ = write!(text, " {name}=\"{}\"", label_text(value));
            }
        }
    }
    let _ = write!(text, "}} {}", line.value);
    if let Some(t) = line.timestamp_ms {
        let _ = write!(text, " @{t}");
    }
    if let Some(exemplar) = &line.exemplar {
        labels.clear();
        exemplar.labels(&mut labels)?;
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", label_text(value)))
            .collect();
        let _ = write!(text, " #{{{}}} {}", labels.join(" "), exemplar.value);
        if let Some(t) = exemplar.timestamp_ms {
            let _ = write!(text, " @{t}");
        }
    }
    Ok(text)
}

/// A label value with quotes, backslashes and line breaks escaped.
pub(crate) fn label_text(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
