//! `expect` lines: failures and notes.

use tsdb_model::matcher::AnchoredRegex;

use super::parse::split_word;
use crate::annotations::Annotations;

/// What a text must be.
#[derive(Debug, Clone)]
pub(super) enum TextMatch {
    Any,
    Exact(String),
    Pattern(String, AnchoredRegex),
}

impl TextMatch {
    pub(super) fn exact(text: &str) -> Self {
        Self::Exact(text.to_string())
    }

    /// A regular expression that may match anywhere in the text.
    pub(super) fn pattern(pattern: &str) -> Result<Self, String> {
        // By itself first: wrapped, `a)(b` would pass.
        AnchoredRegex::new(pattern)
            .and_then(|_| AnchoredRegex::new(&format!(".*(?:{pattern}).*")))
            .map(|regex| Self::Pattern(pattern.to_string(), regex))
            .map_err(|e| e.to_string())
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(wanted) => wanted == text,
            Self::Pattern(_, regex) => regex.is_match(text),
        }
    }
}

impl std::fmt::Display for TextMatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("any text"),
            Self::Exact(text) => write!(f, "`{text}`"),
            Self::Pattern(pattern, _) => write!(f, "a text that matches `{pattern}`"),
        }
    }
}

/// What is expected besides the result.
#[derive(Debug, Clone, Default)]
pub(super) struct Expectations {
    pub(super) ordered: bool,
    pub(super) fail: Option<TextMatch>,
    warnings: NoteExpectations,
    infos: NoteExpectations,
}

#[derive(Debug, Clone, Default)]
struct NoteExpectations {
    none: bool,
    some: Vec<TextMatch>,
}

impl Expectations {
    /// Takes in what follows `expect` in a line.
    pub(super) fn parse(&mut self, text: &str) -> Result<(), String> {
        let (kind, rest) = split_word(text);
        let matching = if rest.is_empty() {
            TextMatch::Any
        } else if let Some(message) = rest.strip_prefix("msg:").map(str::trim)
            && !message.is_empty()
        {
            TextMatch::exact(message)
        } else if let Some(pattern) = rest.strip_prefix("regex:").map(str::trim)
            && !pattern.is_empty()
        {
            TextMatch::pattern(pattern)?
        } else {
            return Err(format!(
                "expected `msg:` or `regex:` with a text, got {rest:?}"
            ));
        };
        match kind {
            "ordered" => self.ordered = true,
            "fail" if self.fail.is_some() => return Err("more than one `expect fail`".into()),
            "fail" => self.fail = Some(matching),
            "warn" => self.warnings.some.push(matching),
            "no_warn" => self.warnings.none = true,
            "info" => self.infos.some.push(matching),
            "no_info" => self.infos.none = true,
            _ => return Err(format!("unknown expectation {kind:?}")),
        }
        Ok(())
    }

    /// Takes in what follows `eval_` in the older way of writing.
    pub(super) fn parse_suffix(&mut self, suffix: &str) -> Result<(), String> {
        match suffix {
            "fail" | "warn" | "info" | "ordered" => self.parse(suffix),
            _ => Err(format!("unknown command eval_{suffix}")),
        }
    }

    /// Finds lines that contradict each other.
    pub(super) fn check(&self) -> Result<(), String> {
        for (notes, kind) in [(&self.warnings, "warn"), (&self.infos, "info")] {
            if notes.none && !notes.some.is_empty() {
                return Err(format!("both `expect {kind}` and `expect no_{kind}`"));
            }
        }
        Ok(())
    }

    /// Compares the notes of a result with the expected ones.
    pub(super) fn check_notes(&self, notes: &Annotations, query: &str) -> Result<(), String> {
        self.warnings
            .check(&notes.warning_texts(query), "warning")?;
        self.infos.check(&notes.info_texts(query), "info")
    }
}

impl NoteExpectations {
    fn check(&self, texts: &[String], kind: &str) -> Result<(), String> {
        let list = || match texts {
            [] => "none".to_string(),
            texts => texts.join("\n  and "),
        };
        if self.none && !texts.is_empty() {
            return Err(format!("expected no {kind}\n  got {}", list()));
        }
        if self.some.is_empty() {
            return Ok(());
        }
        if let Some(wanted) = self
            .some
            .iter()
            .find(|m| !texts.iter().any(|t| m.matches(t)))
        {
            return Err(format!("expected {kind}: {wanted}\n  got {}", list()));
        }
        match texts
            .iter()
            .find(|t| !self.some.iter().any(|m| m.matches(t)))
        {
            Some(text) => Err(format!("unexpected {kind}: {text}")),
            None => Ok(()),
        }
    }
}
