//! Reads the parts of a value sequence character by character.

use crate::ast::Span;
use crate::lexer::{Fault, parse_number, series_number_end};
use crate::token::{quote, quote_char};

/// A place in a series description.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    pos: usize,
}

/// `Inf` and `NaN` in any case.
pub(super) fn special(word: &str) -> Option<f64> {
    let is_special = word.eq_ignore_ascii_case("inf") || word.eq_ignore_ascii_case("nan");
    is_special.then(|| tsdb_model::parse_float(word)).flatten()
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str, pos: usize) -> Self {
        Self { text, pos }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.pos..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn bump(&mut self) {
        self.pos += self.peek().map_or(0, char::len_utf8);
    }

    pub(super) fn at_end(&self) -> bool {
        self.pos >= self.text.len()
    }

    /// Takes `wanted` if it stands here.
    pub(super) fn take(&mut self, wanted: &str) -> bool {
        let found = self.rest().starts_with(wanted);
        if found {
            self.pos += wanted.len();
        }
        found
    }

    /// True when there was at least one.
    pub(super) fn skip_spaces(&mut self) -> bool {
        let rest = self.rest();
        let spaces = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
        self.pos += spaces;
        spaces > 0
    }

    /// An error at the next character.
    pub(super) fn fault(&self, message: impl Into<String>) -> Fault {
        let span = Span {
            start: self.pos,
            end: self.text.len(),
        };
        Fault::new(span, message)
    }

    /// The next character cannot stand here.
    pub(super) fn unexpected(&self, place: &str, expected: &str) -> Fault {
        let what = match self.peek() {
            None => "end of input".to_string(),
            Some(c) if c.is_ascii_digit() => {
                let end = match series_number_end(self.text, self.pos) {
                    Ok(end) | Err(end) => end,
                };
                format!(
                    "number {}",
                    quote(self.text.get(self.pos..end).unwrap_or_default())
                )
            }
            Some(c @ ('+' | '-')) => format!("<op:{c}>"),
            Some(c) => quote(c.encode_utf8(&mut [0; 4])),
        };
        let expected = if expected.is_empty() {
            String::new()
        } else {
            format!(", expected {expected}")
        };
        self.fault(format!("unexpected {what} in {place}{expected}"))
    }

    /// The word that stands here, if one does. `x` repeats and begins no word.
    pub(super) fn word(&mut self) -> Option<(&'a str, Span)> {
        let rest = self.rest();
        if !rest.starts_with(|c: char| c.is_ascii_alphabetic() && c != 'x') {
            return None;
        }
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
        let (word, _) = rest.split_at(end.unwrap_or(rest.len()));
        let span = Span {
            start: self.pos,
            end: self.pos + word.len(),
        };
        self.pos = span.end;
        Some((word, span))
    }

    /// What stands here of these characters, if any does.
    pub(super) fn word_of(&mut self, wanted: impl Fn(char) -> bool) -> Option<&'a str> {
        let rest = self.rest();
        let end = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.pos += end;
        rest.get(..end).filter(|word| !word.is_empty())
    }

    /// The digits of a number.
    fn number_text(&mut self, place: &str) -> Result<(&'a str, Span), Fault> {
        let digits = self.rest().strip_prefix('.').unwrap_or(self.rest());
        if !digits.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(match self.peek() {
                Some(c) if !c.is_ascii() || "!\"#$%&'()*,/;<=>?@[\\]^`{|}~".contains(c) => {
                    let c = quote_char(Some(c));
                    self.fault(format!("unexpected character in series sequence: {c}"))
                }
                _ => self.unexpected(place, ""),
            });
        }
        let start = self.pos;
        match series_number_end(self.text, start) {
            Ok(end) => {
                self.pos = end;
                Ok((
                    self.text.get(start..end).unwrap_or_default(),
                    Span { start, end },
                ))
            }
            Err(end) => {
                let text = quote(self.text.get(start..end).unwrap_or_default());
                Err(self.fault(format!("bad number syntax: {text}")))
            }
        }
    }

    /// A number without a sign, `Inf` and `NaN` included.
    pub(super) fn number(&mut self, place: &str) -> Result<f64, Fault> {
        let start = self.pos;
        if let Some((word, _)) = self.word() {
            if let Some(v) = special(word) {
                return Ok(v);
            }
            self.pos = start;
            return Err(self.fault(format!("unexpected identifier {} in {place}", quote(word))));
        }
        let (text, span) = self.number_text(place)?;
        parse_number(text).map_err(|e| Fault::new(span, e))
    }

    /// A number with or without a sign.
    pub(super) fn signed_number(&mut self, place: &str) -> Result<f64, Fault> {
        if self.take("-") {
            return Ok(-self.number(place)?);
        }
        self.take("+");
        self.number(place)
    }

    /// A whole number without a sign.
    pub(super) fn count(&mut self, place: &str) -> Result<u64, Fault> {
        let (text, span) = self.number_text(place)?;
        // `parse` takes a sign, but none can stand here.
        text.parse().map_err(|_| {
            let reason = if text.bytes().all(|b| b.is_ascii_digit()) {
                "value out of range"
            } else {
                "invalid syntax"
            };
            let text = quote(text);
            Fault::new(
                span,
                format!(
                    "invalid repetition in series values: strconv.ParseUint: parsing {text}: {reason}"
                ),
            )
        })
    }
}
