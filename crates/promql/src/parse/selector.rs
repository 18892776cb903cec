//! Vector selectors, and label sets of series.

use tsdb_model::{Labels, LabelsBuilder, METRIC_NAME, MatchOp, Matcher};

use super::{Parsed, Parser, merge, span};
use crate::ast::{BinaryOp, VectorSelector};
use crate::lexer::Fault;
use crate::token::{Token, TokenKind};

const MATCHING: &str = "label matching";
const LABEL_SET: &str = "label set";

impl Parser<'_> {
    /// A selector whose name, if it has one, has been taken.
    pub(super) fn vector_selector(&mut self, name: Option<Token>) -> Parsed<VectorSelector> {
        let start = self.peek()?;
        let mut matchers = Vec::new();
        if start.kind == TokenKind::LeftBrace {
            self.next()?;
            self.matchers(&mut matchers)?;
        }
        let mut place = span(name.unwrap_or(start));
        place.end = self.last_end;
        let name = name.map(|name| self.text(name).to_string());
        if let Some(name) = &name {
            matchers.push(Matcher::equal(METRIC_NAME, name.as_str()));
        }
        Ok(VectorSelector {
            name,
            matchers,
            offset: None,
            at: None,
            anchored: false,
            smoothed: false,
            span: place,
        })
    }

    /// The whole text as one selector.
    pub(super) fn only_selector(&mut self) -> Parsed<Vec<Matcher>> {
        let token = self.peek()?;
        let selector = if token.kind == TokenKind::LeftBrace {
            self.vector_selector(None)?
        } else if token.kind.is_metric_name() {
            self.next()?;
            self.vector_selector(Some(token))?
        } else {
            return Err(self.unexpected()?);
        };
        self.expect_end()?;
        Ok(selector.matchers)
    }

    /// Matchers up to the right brace; the left one has been taken.
    fn matchers(&mut self, matchers: &mut Vec<Matcher>) -> Parsed<()> {
        if self.take(TokenKind::RightBrace)?.is_some() {
            return Ok(());
        }
        loop {
            matchers.push(self.matcher()?);
            match self.peek()?.kind {
                TokenKind::Comma => {
                    self.next()?;
                    if self.take(TokenKind::RightBrace)?.is_some() {
                        return Ok(());
                    }
                }
                TokenKind::RightBrace => {
                    self.next()?;
                    return Ok(());
                }
                _ => return Err(self.unexpected_in(MATCHING, "\",\" or \"}\"")?),
            }
        }
    }

    fn matcher(&mut self) -> Parsed<Matcher> {
        let label = self.peek()?;
        let name = match label.kind {
            TokenKind::Identifier => self.text(label).to_string(),
            TokenKind::String => self.unquoted(label),
            _ => return Err(self.unexpected_in(MATCHING, "identifier or \"}\"")?),
        };
        self.next()?;
        let op = match self.peek()?.kind {
            TokenKind::Equal => MatchOp::Equal,
            TokenKind::Operator(BinaryOp::Ne) => MatchOp::NotEqual,
            TokenKind::Regex => MatchOp::Regex,
            TokenKind::NotRegex => MatchOp::NotRegex,
            // A quoted text alone is the metric's name.
            _ if label.kind == TokenKind::String => {
                return Ok(Matcher::equal(METRIC_NAME, name));
            }
            _ => return Err(self.unexpected_in(MATCHING, "label matching operator")?),
        };
        self.next()?;
        let value = self.peek()?;
        if value.kind != TokenKind::String {
            return Err(self.unexpected_in(MATCHING, "string")?);
        }
        self.next()?;
        Matcher::new(op, name, self.unquoted(value))
            .map_err(|e| Fault::new(merge(span(label), span(value)), e.to_string()))
    }

    /// The label set of a series: `name{label="value"}`.
    pub(super) fn metric(&mut self) -> Parsed<Labels> {
        let mut labels = LabelsBuilder::new();
        let name = self.metric_name()?;
        if self.peek()?.kind == TokenKind::LeftBrace {
            self.label_set(&mut labels)?;
        }
        Ok(finish(labels, name))
    }

    /// [`Parser::metric`] at the beginning of a series description, where values follow a name
    /// without braces and must not be read as tokens of a query.
    pub(super) fn metric_before_values(&mut self) -> Parsed<Labels> {
        let mut labels = LabelsBuilder::new();
        let begins_with_word = |text: &str| {
            text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == ':')
        };
        let text = self.lexer.input();
        let name = if begins_with_word(text.trim_start()) {
            self.metric_name()?
        } else {
            None
        };
        let rest = text.get(self.last_end..).unwrap_or_default();
        let braces = if name.is_some() {
            rest
        } else {
            rest.trim_start()
        };
        if braces.starts_with('{') {
            self.label_set(&mut labels)?;
        }
        Ok(finish(labels, name))
    }

    fn metric_name(&mut self) -> Parsed<Option<String>> {
        let token = self.peek()?;
        if !token.kind.is_metric_name() {
            return Ok(None);
        }
        self.next()?;
        Ok(Some(self.text(token).to_string()))
    }

    /// Labels in braces, of which none has been taken.
    fn label_set(&mut self, labels: &mut LabelsBuilder) -> Parsed<()> {
        self.expect(TokenKind::LeftBrace)?;
        if self.take(TokenKind::RightBrace)?.is_some() {
            return Ok(());
        }
        loop {
            self.label(labels)?;
            match self.peek()?.kind {
                TokenKind::Comma => {
                    self.next()?;
                    if self.take(TokenKind::RightBrace)?.is_some() {
                        return Ok(());
                    }
                }
                TokenKind::RightBrace => {
                    self.next()?;
                    return Ok(());
                }
                _ => return Err(self.unexpected_in(LABEL_SET, "\",\" or \"}\"")?),
            }
        }
    }

    fn label(&mut self, labels: &mut LabelsBuilder) -> Parsed<()> {
        let label = self.peek()?;
        let name = match label.kind {
            TokenKind::Identifier => self.text(label).to_string(),
            TokenKind::String => self.unquoted(label),
            _ => return Err(self.unexpected_in(LABEL_SET, "identifier or \"}\"")?),
        };
        self.next()?;
        if self.take(TokenKind::Equal)?.is_none() {
            if label.kind == TokenKind::Identifier {
                return Err(self.unexpected_in(LABEL_SET, "\"=\"")?);
            }
            labels.set(METRIC_NAME, &name);
            return Ok(());
        }
        let value = self.peek()?;
        if value.kind != TokenKind::String {
            return Err(self.unexpected_in(LABEL_SET, "string")?);
        }
        self.next()?;
        labels.set(&name, &self.unquoted(value));
        Ok(())
    }
}

fn finish(mut labels: LabelsBuilder, name: Option<String>) -> Labels {
    if let Some(name) = name {
        labels.set(METRIC_NAME, &name);
    }
    labels.build()
}
