//! What may stand behind a binary operator, and lists of labels in parentheses.

use super::{Parsed, Parser, span};
use crate::ast::{BinaryOp, Cardinality, VectorMatching};
use crate::lexer::Fault;
use crate::token::{Keyword, TokenKind, quote};

/// `bool`, `on`, `group_left`, `fill` and their kin.
pub(super) struct Modifiers {
    pub(super) return_bool: bool,
    pub(super) matching: VectorMatching,
}

const GROUPING: &str = "grouping opts";

impl Parser<'_> {
    /// The modifiers of an operator that has just been taken.
    pub(super) fn modifiers(&mut self) -> Parsed<Modifiers> {
        let return_bool = self.take_word(Keyword::Bool)?;
        let mut matching = VectorMatching {
            card: Cardinality::OneToOne,
            labels: Vec::new(),
            on: false,
            include: Vec::new(),
            fill_lhs: None,
            fill_rhs: None,
        };
        matching.on = self.take_word(Keyword::On)?;
        if matching.on || self.take_word(Keyword::Ignoring)? {
            matching.labels = self.grouping_labels()?;
            self.group(&mut matching)?;
        }
        self.fill(&mut matching)?;
        Ok(Modifiers {
            return_bool,
            matching,
        })
    }

    fn take_word(&mut self, word: Keyword) -> Parsed<bool> {
        Ok(self.take(TokenKind::Keyword(word))?.is_some())
    }

    /// `group_left` or `group_right`, if it stands here.
    fn group(&mut self, matching: &mut VectorMatching) -> Parsed<()> {
        matching.card = if self.take_word(Keyword::GroupLeft)? {
            Cardinality::ManyToOne
        } else if self.take_word(Keyword::GroupRight)? {
            Cardinality::OneToMany
        } else {
            return Ok(());
        };
        if self.peek()?.kind == TokenKind::LeftParen {
            matching.include = self.grouping_labels()?;
        }
        Ok(())
    }

    /// `fill (v)`, or `fill_left (v)` and `fill_right (v)` in either order.
    fn fill(&mut self, matching: &mut VectorMatching) -> Parsed<()> {
        if self.take_word(Keyword::Fill)? {
            let value = Some(self.fill_value()?);
            (matching.fill_lhs, matching.fill_rhs) = (value, value);
        } else if self.take_word(Keyword::FillLeft)? {
            matching.fill_lhs = Some(self.fill_value()?);
            if self.take_word(Keyword::FillRight)? {
                matching.fill_rhs = Some(self.fill_value()?);
            }
        } else if self.take_word(Keyword::FillRight)? {
            matching.fill_rhs = Some(self.fill_value()?);
            if self.take_word(Keyword::FillLeft)? {
                matching.fill_lhs = Some(self.fill_value()?);
            }
        }
        Ok(())
    }

    fn fill_value(&mut self) -> Parsed<f64> {
        self.expect(TokenKind::LeftParen)?;
        let value = self.signed_number()?;
        self.expect(TokenKind::RightParen)?;
        Ok(value)
    }

    /// A number with or without a sign.
    pub(super) fn signed_number(&mut self) -> Parsed<f64> {
        let negative = match self.peek()?.kind {
            TokenKind::Operator(op @ (BinaryOp::Add | BinaryOp::Sub)) => {
                self.next()?;
                op == BinaryOp::Sub
            }
            _ => false,
        };
        let token = self.peek()?;
        if !matches!(token.kind, TokenKind::Number | TokenKind::Duration) {
            return Err(self.unexpected()?);
        }
        self.next()?;
        let value = self.number(token)?.value;
        Ok(if negative { -value } else { value })
    }

    /// `(a, b)` behind `by`, `on` and the like.
    pub(super) fn grouping_labels(&mut self) -> Parsed<Vec<String>> {
        if self.take(TokenKind::LeftParen)?.is_none() {
            return Err(self.unexpected_in(GROUPING, "\"(\"")?);
        }
        let mut labels = Vec::new();
        if self.take(TokenKind::RightParen)?.is_some() {
            return Ok(labels);
        }
        loop {
            labels.push(self.grouping_label()?);
            match self.peek()?.kind {
                TokenKind::Comma => {
                    self.next()?;
                    if self.take(TokenKind::RightParen)?.is_some() {
                        return Ok(labels);
                    }
                }
                TokenKind::RightParen => {
                    self.next()?;
                    return Ok(labels);
                }
                _ => return Err(self.unexpected_in(GROUPING, "\",\" or \")\"")?),
            }
        }
    }

    fn grouping_label(&mut self) -> Parsed<String> {
        let token = self.peek()?;
        let label = match token.kind {
            TokenKind::String => self.unquoted(token),
            kind if kind.is_grouping_label() => self.text(token).to_string(),
            _ => return Err(self.unexpected_in(GROUPING, "label")?),
        };
        self.next()?;
        if label.is_empty() {
            let label = quote(&label);
            let text = format!("invalid label name for grouping: {label}");
            return Err(Fault::new(span(token), text));
        }
        Ok(label)
    }
}
