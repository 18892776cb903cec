//! What may stand behind an operand: ranges, subqueries, `offset`, `@`, `anchored`, `smoothed`.

use super::expression::Operand;
use super::{Parsed, Parser, merge, span};
use crate::ast::{At, Duration, Expr, MatrixSelector, Span, Subquery, VectorSelector};
use crate::lexer::Fault;
use crate::token::{Keyword, TokenKind};

const RANGES_ONLY: &str = "ranges only allowed for vector selectors";
const SUBQUERY: &str = "subquery selector";
const TOGETHER: &str = "anchored and smoothed modifiers cannot be used together";

impl Parser<'_> {
    /// Takes everything that stands behind an operand.
    pub(super) fn postfix(&mut self, mut operand: Operand) -> Parsed<Operand> {
        loop {
            match self.peek()?.kind {
                TokenKind::LeftBracket => operand = self.bracket(operand)?,
                TokenKind::At => self.at(&mut operand.expr)?,
                TokenKind::Keyword(Keyword::Offset) => self.offset(&mut operand.expr)?,
                TokenKind::Keyword(word @ (Keyword::Anchored | Keyword::Smoothed)) => {
                    self.next()?;
                    self.extend(&mut operand.expr, word)?;
                }
                _ => return Ok(operand),
            }
        }
    }

    /// `[range]` or `[range:step]`.
    fn bracket(&mut self, operand: Operand) -> Parsed<Operand> {
        let open = self.next()?;
        let range = self.within(
            "subquery or range selector",
            "number, duration, step(), or range()",
            Self::positive_duration,
        )?;
        match self.peek()?.kind {
            TokenKind::RightBracket => {
                let close = self.next()?;
                self.matrix(operand.expr, range, merge(span(open), span(close)))
            }
            TokenKind::Colon => {
                self.next()?;
                self.subquery(operand, range)
            }
            _ => Err(self.unexpected_in("subquery or range", "\":\" or \"]\"")?),
        }
    }

    fn matrix(&self, expr: Expr, range: Duration, brackets: Span) -> Parsed<Operand> {
        let Expr::Vector(selector) = expr else {
            return Err(Fault::new(brackets, RANGES_ONLY));
        };
        let problem = if selector.offset.is_some() {
            "no offset modifiers allowed before range"
        } else if selector.at.is_some() {
            "no @ modifiers allowed before range"
        } else {
            return Operand::above(
                Expr::Matrix(MatrixSelector {
                    span: Span {
                        start: selector.span.start,
                        end: self.last_end,
                    },
                    selector,
                    range,
                }),
                1,
            );
        };
        Err(Fault::new(brackets, problem))
    }

    fn subquery(&mut self, operand: Operand, range: Duration) -> Parsed<Operand> {
        let step = if self.peek()?.kind == TokenKind::RightBracket {
            None
        } else {
            let step = self.within(
                SUBQUERY,
                "number, duration, step(), range(), or \"]\"",
                Self::positive_duration,
            )?;
            if self.peek()?.kind != TokenKind::RightBracket {
                return Err(self.unexpected_in(SUBQUERY, "\"]\"")?);
            }
            Some(step)
        };
        self.next()?;
        let subquery = Subquery {
            span: Span {
                start: operand.expr.span().start,
                end: self.last_end,
            },
            expr: operand.expr,
            range,
            step,
            offset: None,
            at: None,
        };
        Operand::above(Expr::Subquery(Box::new(subquery)), operand.height)
    }

    fn offset(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.next()?;
        let offset = self.within(
            "offset",
            "number, duration, step(), or range()",
            Self::offset_duration,
        )?;
        let end = self.last_end;
        let whole = expr.span();
        let (slot, span) = match expr {
            Expr::Vector(e) => (&mut e.offset, &mut e.span),
            Expr::Matrix(e) => (&mut e.selector.offset, &mut e.span),
            Expr::Subquery(e) => (&mut e.offset, &mut e.span),
            _ => {
                let text = "offset modifier must be preceded by an instant vector selector or \
                            range vector selector or a subquery";
                return Err(Fault::new(whole, text));
            }
        };
        if slot.is_some() {
            return Err(Fault::new(whole, "offset may not be set multiple times"));
        }
        // An offset of nothing is none, and may be set again.
        *slot = Some(offset).filter(|offset| *offset != Duration::Literal(0));
        span.end = end;
        Ok(())
    }

    fn at(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.next()?;
        let at = self.within("@", "timestamp", |parser| parser.at_value(expr.span()))?;
        let end = self.last_end;
        let whole = expr.span();
        let (slot, span) = match expr {
            Expr::Vector(e) => (&mut e.at, &mut e.span),
            Expr::Matrix(e) => (&mut e.selector.at, &mut e.span),
            Expr::Subquery(e) => (&mut e.at, &mut e.span),
            _ => {
                let text = "@ modifier must be preceded by an instant vector selector or \
                            range vector selector or a subquery";
                return Err(Fault::new(whole, text));
            }
        };
        if slot.is_some() {
            let text = "@ <timestamp> may not be set multiple times";
            return Err(Fault::new(whole, text));
        }
        *slot = Some(at);
        span.end = end;
        Ok(())
    }

    /// A time, `start()` or `end()`.
    fn at_value(&mut self, whole: Span) -> Parsed<At> {
        let at = match self.peek()?.kind {
            TokenKind::Keyword(Keyword::Start) => At::Start,
            TokenKind::Keyword(Keyword::End) => At::End,
            _ => {
                let seconds = self.signed_number()?;
                // 2^63 seconds, the first that 64 bits cannot hold.
                const LIMIT: f64 = 9_223_372_036_854_775_808.0;
                if !seconds.is_finite() || seconds.abs() >= LIMIT {
                    let seconds = match seconds {
                        f64::INFINITY => "+Inf".to_string(),
                        f64::NEG_INFINITY => "-Inf".to_string(),
                        seconds => format!("{seconds:.6}"),
                    };
                    let text = format!("timestamp out of bounds for @ modifier: {seconds}");
                    return Err(Fault::new(whole, text));
                }
                return Ok(At::Timestamp((seconds * 1000.0).round() as i64));
            }
        };
        self.next()?;
        self.expect(TokenKind::LeftParen)?;
        self.expect(TokenKind::RightParen)?;
        Ok(at)
    }

    /// `anchored` or `smoothed`, which has been taken.
    fn extend(&self, expr: &mut Expr, word: Keyword) -> Parsed<()> {
        let anchored = word == Keyword::Anchored;
        let name = if anchored { "anchored" } else { "smoothed" };
        let span = expr.span();
        let error = |text: String| Err(Fault::new(span, text));
        if !self.options.extended_range_selectors {
            return error(format!("{name} modifier is experimental and not enabled"));
        }
        let selector: &mut VectorSelector = match expr {
            Expr::Vector(e) => e,
            Expr::Matrix(e) => &mut e.selector,
            Expr::Subquery(_) => {
                return error(format!("{name} modifier is not supported for subqueries"));
            }
            _ => return error(format!("{name} modifier not implemented")),
        };
        if anchored {
            selector.anchored = true;
        } else {
            selector.smoothed = true;
        }
        if selector.anchored && selector.smoothed {
            return error(TOGETHER.into());
        }
        Ok(())
    }
}
