//! Label matchers: `=`, `!=`, `=~`, `!~`.
//!
//! Regular expressions are RE2 syntax as Go takes it, anchored at both ends, with `.` matching
//! newlines; the crate `regex` guarantees linear time. Literals, alternations of literals and
//! literal prefixes are recognised, so that an index can look values up instead of testing all.

use std::fmt;

use regex_syntax::hir::{Hir, HirKind, Look};

use crate::labels::write_quoted;

/// Kind of a matcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

impl MatchOp {
    /// The operator as PromQL spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}

/// A regular expression that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {reason}: `{pattern}`")]
pub struct MatcherError {
    /// What is wrong with it, in one line.
    pub reason: String,
    /// The expression as given.
    pub pattern: String,
}

/// Most memory a compiled expression may take, in bytes.
const REGEX_SIZE_LIMIT: usize = 8 << 20;

/// An anchored regular expression in Go's syntax.
#[derive(Debug, Clone)]
pub struct AnchoredRegex {
    regex: regex::Regex,
    literals: Option<Vec<String>>,
    prefix: String,
}

impl AnchoredRegex {
    /// Compiles `pattern` so that it must match a whole text.
    pub fn new(pattern: &str) -> Result<Self, MatcherError> {
        let error = |reason: String| MatcherError {
            reason,
            pattern: pattern.to_string(),
        };
        let go = translate_go_regex(pattern);
        let anchored = format!("^(?s:{go})$");
        // Parsed without the wrapping group, which would make `a)(b` a valid pattern.
        let hir = regex_syntax::ParserBuilder::new()
            .dot_matches_new_line(true)
            .build()
            .parse(&go)
            .map_err(|e| syntax_error(&e, pattern))?;
        let regex = regex::RegexBuilder::new(&anchored)
            .size_limit(REGEX_SIZE_LIMIT)
            .build()
            .map_err(|e| match e {
                regex::Error::CompiledTooBig(_) => error("expression too large".into()),
                e => error(e.to_string().lines().last().unwrap_or_default().to_string()),
            })?;
        Ok(Self {
            regex,
            literals: literal_set(&hir),
            prefix: literal_prefix(&hir),
        })
    }

    /// True when the whole of `text` matches.
    pub fn is_match(&self, text: &str) -> bool {
        match &self.literals {
            Some(set) => set.binary_search_by(|l| l.as_str().cmp(text)).is_ok(),
            None => text.starts_with(&self.prefix) && self.regex.is_match(text),
        }
    }

    /// The compiled expression, for captures.
    pub fn regex(&self) -> &regex::Regex {
        &self.regex
    }

    /// All texts that match, sorted, when they are few and known: `a|b|c`, `x[12]`.
    pub fn literals(&self) -> Option<&[String]> {
        self.literals.as_deref()
    }

    /// A prefix that every matching text has; may be empty.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

/// Go accepts `\Q..\E` and `\C`-free RE2; `regex` differs in a few spellings. `\Q..\E` becomes
/// escaped text, `\z` stays, and a `{` that begins no repetition is a literal.
pub fn translate_go_regex(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut in_class = false;
    while let Some(c) = rest.chars().next() {
        let width = c.len_utf8();
        if c == '\\' {
            if let Some(quoted) = rest.strip_prefix("\\Q") {
                let (text, after) = quoted.split_once("\\E").unwrap_or((quoted, ""));
                out.push_str(&regex_syntax::escape(text));
                rest = after;
                continue;
            }
            let escaped = rest[1..].chars().next().map_or(0, char::len_utf8);
            out.push_str(&rest[..=escaped]);
            rest = &rest[1 + escaped..];
            continue;
        }
        match c {
            '[' if in_class && !rest.starts_with("[:") => {
                out.push_str("\\[");
                rest = &rest[1..];
                continue;
            }
            '[' if in_class => {
                // A POSIX class inside brackets: copy it whole.
                let end = rest.find(":]").map_or(1, |e| e + 2);
                out.push_str(&rest[..end]);
                rest = &rest[end..];
                continue;
            }
            '[' => {
                in_class = true;
                out.push('[');
                rest = &rest[1..];
                // A `]` right after `[` or `[^` is a literal.
                if let Some(r) = rest.strip_prefix('^') {
                    out.push('^');
                    rest = r;
                }
                if let Some(r) = rest.strip_prefix(']') {
                    out.push_str("\\]");
                    rest = r;
                }
                continue;
            }
            ']' if in_class => in_class = false,
            // Set operations and nested classes do not exist in Go.
            '&' | '~' if in_class => {
                out.push('\\');
            }
            '-' if in_class && rest.starts_with("--") => {
                out.push_str("\\-");
                rest = &rest[1..];
                continue;
            }
            '{' if !in_class && !is_repetition(rest) => {
                out.push('\\');
            }
            _ => {}
        }
        out.push_str(&rest[..width]);
        rest = &rest[width..];
    }
    out
}

/// True when `text` starts with `{n}`, `{n,}` or `{n,m}`.
fn is_repetition(text: &str) -> bool {
    let Some((inside, _)) = text[1..].split_once('}') else {
        return false;
    };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    match inside.split_once(',') {
        None => digits(inside),
        Some((min, max)) => digits(min) && (max.is_empty() || digits(max)),
    }
}

/// What is wrong with an expression, in Go's words where it has some, and the part that is.
fn syntax_error(error: &regex_syntax::Error, pattern: &str) -> MatcherError {
    use regex_syntax::ast::ErrorKind;
    let say = |reason: &str, part: &str| MatcherError {
        reason: reason.to_string(),
        pattern: part.to_string(),
    };
    let error = match error {
        regex_syntax::Error::Parse(e) => e,
        regex_syntax::Error::Translate(e) => return say(&e.kind().to_string(), pattern),
        e => return say(e.to_string().lines().last().unwrap_or_default(), pattern),
    };
    let from = error.span().start.offset;
    let rest = error.pattern().get(from..).unwrap_or_default();
    let part = error.pattern().get(from..error.span().end.offset);
    let part = part.unwrap_or_default();
    match error.kind() {
        ErrorKind::GroupUnclosed => say("missing closing )", pattern),
        ErrorKind::GroupUnopened => say("unexpected )", pattern),
        ErrorKind::ClassUnclosed => say("missing closing ]", rest),
        ErrorKind::ClassRangeInvalid => say("invalid character class range", part),
        ErrorKind::EscapeUnrecognized => say("invalid escape sequence", part),
        ErrorKind::EscapeUnexpectedEof => say("trailing backslash at end of expression", ""),
        ErrorKind::RepetitionMissing => {
            let length = rest.chars().next().map_or(0, char::len_utf8);
            say("missing argument to repetition operator", &rest[..length])
        }
        kind => say(&kind.to_string(), pattern),
    }
}

/// Most texts that [`literal_set`] lists.
const MAX_LITERALS: usize = 1024;

/// The finite set of texts an expression matches, sorted, if it is small.
fn literal_set(hir: &Hir) -> Option<Vec<String>> {
    let mut set = expand(hir)?;
    set.sort_unstable();
    set.dedup();
    Some(set)
}

fn expand(hir: &Hir) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Empty => Some(vec![String::new()]),
        HirKind::Literal(l) => Some(vec![std::str::from_utf8(&l.0).ok()?.to_string()]),
        HirKind::Capture(c) => expand(&c.sub),
        HirKind::Class(regex_syntax::hir::Class::Unicode(class)) => {
            let mut out = Vec::new();
            for range in class.iter() {
                for c in range.start()..=range.end() {
                    if out.len() >= 32 {
                        return None;
                    }
                    out.push(c.to_string());
                }
            }
            Some(out)
        }
        HirKind::Alternation(parts) => {
            let mut out = Vec::new();
            for part in parts {
                out.extend(expand(part)?);
                if out.len() > MAX_LITERALS {
                    return None;
                }
            }
            Some(out)
        }
        HirKind::Concat(parts) => {
            let mut out = vec![String::new()];
            for part in parts {
                let tails = expand(part)?;
                if out.len().saturating_mul(tails.len()) > MAX_LITERALS {
                    return None;
                }
                out = out
                    .iter()
                    .flat_map(|head| tails.iter().map(move |tail| format!("{head}{tail}")))
                    .collect();
            }
            Some(out)
        }
        _ => None,
    }
}

fn literal_prefix(hir: &Hir) -> String {
    match hir.kind() {
        HirKind::Literal(l) => String::from_utf8(l.0.to_vec()).unwrap_or_default(),
        HirKind::Capture(c) => literal_prefix(&c.sub),
        HirKind::Concat(parts) => {
            let mut out = String::new();
            for part in parts {
                match part.kind() {
                    HirKind::Literal(l) => match std::str::from_utf8(&l.0) {
                        Ok(text) => out.push_str(text),
                        Err(_) => break,
                    },
                    HirKind::Look(Look::Start) if out.is_empty() => {}
                    HirKind::Capture(_) => {
                        out.push_str(&literal_prefix(part));
                        break;
                    }
                    _ => break,
                }
            }
            out
        }
        _ => String::new(),
    }
}

/// One label matcher. A label that a series does not have counts as the empty value.
#[derive(Debug, Clone)]
pub struct Matcher {
    /// Label name.
    pub name: String,
    /// Kind of comparison.
    pub op: MatchOp,
    /// The value or regular expression as written.
    pub value: String,
    regex: Option<AnchoredRegex>,
}

impl Matcher {
    /// Makes a matcher; fails when a regular expression does not compile.
    pub fn new(
        op: MatchOp,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, MatcherError> {
        let value = value.into();
        let regex = match op {
            MatchOp::Regex | MatchOp::NotRegex => Some(AnchoredRegex::new(&value)?),
            MatchOp::Equal | MatchOp::NotEqual => None,
        };
        Ok(Self {
            name: name.into(),
            op,
            value,
            regex,
        })
    }

    /// `name="value"`.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            op: MatchOp::Equal,
            value: value.into(),
            regex: None,
        }
    }

    /// True when a label with this value passes.
    #[inline]
    pub fn matches(&self, value: &str) -> bool {
        match (self.op, &self.regex) {
            (MatchOp::Equal, _) => self.value == value,
            (MatchOp::NotEqual, _) => self.value != value,
            (MatchOp::Regex, Some(re)) => re.is_match(value),
            (MatchOp::NotRegex, Some(re)) => !re.is_match(value),
            _ => false,
        }
    }

    /// True when a series without the label passes.
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }

    /// The compiled expression of `=~` and `!~`.
    pub fn regex(&self) -> Option<&AnchoredRegex> {
        self.regex.as_ref()
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.op == other.op && self.name == other.name && self.value == other.value
    }
}

impl Eq for Matcher {}

/// `name=~"value"`, the name quoted when it must be.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if crate::labels::is_legacy_label_name(&self.name) {
            f.write_str(&self.name)?;
        } else {
            write_quoted(f, &self.name)?;
        }
        f.write_str(self.op.as_str())?;
        write_quoted(f, &self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn re(pattern: &str) -> AnchoredRegex {
        AnchoredRegex::new(pattern).unwrap()
    }

    #[test]
    fn anchored_and_dot_matches_newline() {
        let m = Matcher::new(MatchOp::Regex, "a", "b.*").unwrap();
        assert!(m.matches("b\nc"));
        assert!(!m.matches("ab"));
        assert!(m.matches("b"));
        let alternatives = re("foo|bar.+");
        assert!(!alternatives.is_match("foox"));
        assert!(alternatives.is_match("barx"));
    }

    #[test]
    fn literals_and_prefixes_are_found() {
        assert_eq!(re("a|b|c").literals().unwrap(), ["a", "b", "c"]);
        assert_eq!(
            re("x(1|2)y[34]").literals().unwrap(),
            ["x1y3", "x1y4", "x2y3", "x2y4"]
        );
        assert_eq!(re("").literals().unwrap(), [""]);
        assert_eq!(re("node_.*").literals(), None);
        assert_eq!(re("node_.*").prefix(), "node_");
        assert_eq!(re("(?i)node.*").prefix(), "");
    }

    #[test]
    fn go_spellings() {
        assert!(re(r"\Qa.b\E+").is_match("a.bb"));
        assert!(re("a{b}").is_match("a{b}"));
        assert!(re("a{2}").is_match("aa"));
        assert!(re("[[]x").is_match("[x"));
        assert!(re("[]a]+").is_match("]a"));
        assert!(re("[a&&b]+").is_match("a&b"));
        assert!(re("[[:alpha:]]+").is_match("abc"));
        assert!(re(r"\d+\z").is_match("12"));
        assert!(AnchoredRegex::new("(").is_err());
        assert!(AnchoredRegex::new("a)(b").is_err());
    }

    #[test]
    fn huge_expressions_are_refused() {
        assert!(AnchoredRegex::new("((a{1000}){1000}){1000}").is_err());
    }
}
