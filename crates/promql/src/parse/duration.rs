//! Durations in ranges, steps and offsets, and the arithmetic on them.

use super::{Parsed, Parser, merge, span};
use crate::ast::{BinaryOp, Duration, DurationExpr, DurationExprKind, NumberLiteral, Span};
use crate::lexer::Fault;
use crate::token::{Keyword, Token, TokenKind};

/// Most parts a duration may have; its arithmetic is parsed recursively.
const MAX_PARTS: usize = 200;

/// Seconds that 64 bits of nanoseconds can hold.
const MAX_SECONDS: f64 = 9_223_372_036.854_776;

const MUL: u8 = 2;
const POW: u8 = 3;

fn precedence(op: BinaryOp) -> Option<u8> {
    match op {
        BinaryOp::Add | BinaryOp::Sub => Some(1),
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod => Some(MUL),
        BinaryOp::Pow => Some(POW),
        _ => None,
    }
}

impl Parser<'_> {
    /// The duration of a range or a step.
    pub(super) fn positive_duration(&mut self) -> Parsed<Duration> {
        let mut parts = 0;
        let expr = self.arithmetic(0, &mut parts)?;
        // The parser looks one token ahead before it accepts the duration.
        self.peek()?;
        let span = expr.span;
        match literal(expr) {
            Ok(number) => match milliseconds(number.value) {
                Some(ms) if ms > 0 => Ok(Duration::Literal(ms)),
                _ => Err(Fault::new(span, "duration must be greater than 0")),
            },
            Err(expr) => Ok(Duration::Expr(Box::new(expr))),
        }
    }

    /// The duration of an offset. Without parentheses it ends before the next operator.
    pub(super) fn offset_duration(&mut self) -> Parsed<Duration> {
        let mut parts = 0;
        let first = self.peek()?;
        let sign = match first.kind {
            TokenKind::Operator(op @ (BinaryOp::Add | BinaryOp::Sub)) => {
                self.next()?;
                Some((first, op == BinaryOp::Sub))
            }
            _ => None,
        };
        let goes_on = match self.peek()?.kind {
            TokenKind::LeftParen => sign.is_none(),
            TokenKind::Operator(_) => true,
            _ => false,
        };
        let next = self.peek()?;
        if matches!(next.kind, TokenKind::Number | TokenKind::Duration) {
            self.next()?;
            let number = self.number(next)?.value;
            let negative = sign.is_some_and(|(_, negative)| negative);
            return milliseconds(if negative { -number } else { number })
                .filter(|_| number.abs() <= MAX_SECONDS)
                .map(Duration::Literal)
                .ok_or_else(|| out_of_range(span(first)));
        }
        let mut expr = if sign.is_some() && goes_on {
            self.arithmetic(POW, &mut parts)?
        } else {
            self.atom(&mut parts)?
        };
        if let Some((sign, negative)) = sign {
            expr = signed(sign, negative, expr)?;
        }
        if goes_on {
            expr = self.operators(expr, 0, &mut parts)?;
        }
        let span = expr.span;
        match literal(expr) {
            Ok(number) => match milliseconds(number.value) {
                Some(ms) => Ok(Duration::Literal(ms)),
                None => Err(out_of_range(span)),
            },
            Err(expr) => Ok(Duration::Expr(Box::new(expr))),
        }
    }

    /// Operators that bind at least as strongly as `least`, and what stands between them.
    fn arithmetic(&mut self, least: u8, parts: &mut usize) -> Parsed<DurationExpr> {
        let first = self.peek()?;
        let operand = match first.kind {
            TokenKind::Operator(op @ (BinaryOp::Add | BinaryOp::Sub)) => {
                self.next()?;
                self.count(parts)?;
                let operand = self.arithmetic(POW, parts)?;
                signed(first, op == BinaryOp::Sub, operand)?
            }
            _ => self.atom(parts)?,
        };
        self.operators(operand, least, parts)
    }

    /// The operators behind an operand.
    fn operators(
        &mut self,
        mut lhs: DurationExpr,
        least: u8,
        parts: &mut usize,
    ) -> Parsed<DurationExpr> {
        loop {
            let token = self.peek()?;
            let TokenKind::Operator(op) = token.kind else {
                return Ok(lhs);
            };
            let Some(strength) = precedence(op).filter(|strength| *strength >= least) else {
                return Ok(lhs);
            };
            self.next()?;
            let rhs_least = if op == BinaryOp::Pow {
                POW
            } else {
                strength + 1
            };
            let rhs = self.arithmetic(rhs_least, parts)?;
            self.enabled(lhs.span)?;
            let by_zero = matches!(&rhs.kind, DurationExprKind::Number(n) if n.value == 0.0);
            match op {
                BinaryOp::Div if by_zero => {
                    return Err(Fault::new(span(token), "division by zero"));
                }
                BinaryOp::Mod if by_zero => {
                    return Err(Fault::new(span(token), "modulo by zero"));
                }
                _ => {}
            }
            lhs = DurationExpr {
                span: merge(lhs.span, rhs.span),
                kind: DurationExprKind::Binary(op, Box::new(lhs), Box::new(rhs)),
                wrapped: false,
            };
        }
    }

    /// A number, something in parentheses, `step()` and its kin.
    fn atom(&mut self, parts: &mut usize) -> Parsed<DurationExpr> {
        self.count(parts)?;
        let token = self.peek()?;
        match token.kind {
            TokenKind::Number | TokenKind::Duration => {
                self.next()?;
                let number = self.number(token)?;
                number_expr(number, token)
            }
            TokenKind::LeftParen => {
                self.next()?;
                let inner = self.arithmetic(0, parts)?;
                self.expect(TokenKind::RightParen)?;
                self.enabled(inner.span)?;
                Ok(wrap(inner, token.start))
            }
            TokenKind::Keyword(Keyword::Step) => self.no_arguments(DurationExprKind::Step),
            TokenKind::Keyword(Keyword::Range) => self.no_arguments(DurationExprKind::Range),
            TokenKind::Keyword(word @ (Keyword::MinOf | Keyword::MaxOf)) => {
                self.next()?;
                self.expect(TokenKind::LeftParen)?;
                let a = Box::new(self.arithmetic(0, parts)?);
                self.expect(TokenKind::Comma)?;
                let b = Box::new(self.arithmetic(0, parts)?);
                self.expect(TokenKind::RightParen)?;
                let kind = match word {
                    Keyword::MinOf => DurationExprKind::MinOf(a, b),
                    _ => DurationExprKind::MaxOf(a, b),
                };
                self.complete(kind, token)
            }
            _ => Err(self.unexpected()?),
        }
    }

    fn no_arguments(&mut self, kind: DurationExprKind) -> Parsed<DurationExpr> {
        let name = self.next()?;
        self.expect(TokenKind::LeftParen)?;
        self.expect(TokenKind::RightParen)?;
        self.complete(kind, name)
    }

    fn complete(&mut self, kind: DurationExprKind, first: Token) -> Parsed<DurationExpr> {
        let span = Span {
            start: first.start,
            end: self.last_end,
        };
        self.enabled(span)?;
        Ok(DurationExpr {
            kind,
            wrapped: false,
            span,
        })
    }

    fn enabled(&self, span: Span) -> Parsed<()> {
        if self.options.duration_expressions {
            return Ok(());
        }
        let text = "experimental duration expression is not enabled";
        Err(Fault::new(span, text))
    }

    fn count(&mut self, parts: &mut usize) -> Parsed<()> {
        *parts += 1;
        if *parts > MAX_PARTS {
            let text = format!("duration expression has more than {MAX_PARTS} parts");
            return Err(Fault::new(span(self.peek()?), text));
        }
        Ok(())
    }
}

fn out_of_range(span: Span) -> Fault {
    Fault::new(span, "duration out of range")
}

fn number_expr(number: NumberLiteral, error_at: Token) -> Parsed<DurationExpr> {
    if number.value.abs() > MAX_SECONDS {
        return Err(out_of_range(span(error_at)));
    }
    Ok(DurationExpr {
        span: number.span,
        kind: DurationExprKind::Number(number),
        wrapped: false,
    })
}

/// A sign in front of an operand; in front of a number it becomes part of the number.
fn signed(sign: Token, negative: bool, operand: DurationExpr) -> Parsed<DurationExpr> {
    match operand.kind {
        DurationExprKind::Number(mut number) => {
            if negative {
                number.value = -number.value;
            }
            number.span.start = sign.start;
            number_expr(number, sign)
        }
        _ if !negative => Ok(operand),
        _ => Ok(DurationExpr {
            span: merge(span(sign), operand.span),
            kind: DurationExprKind::Sign(true, Box::new(operand)),
            wrapped: false,
        }),
    }
}

/// Notes that an operand stands in parentheses, the left one at `start`.
fn wrap(mut operand: DurationExpr, start: usize) -> DurationExpr {
    if !matches!(operand.kind, DurationExprKind::Number(_)) {
        operand.wrapped = true;
        return operand;
    }
    DurationExpr {
        span: Span {
            start,
            end: operand.span.end,
        },
        kind: DurationExprKind::Sign(false, Box::new(operand)),
        wrapped: true,
    }
}

/// The number, if it is nothing but one.
fn literal(expr: DurationExpr) -> Result<NumberLiteral, DurationExpr> {
    match expr.kind {
        DurationExprKind::Number(number) => Ok(number),
        _ => Err(expr),
    }
}

/// Whole milliseconds, as Prometheus cuts them from rounded nanoseconds.
fn milliseconds(seconds: f64) -> Option<i64> {
    let nanoseconds = (seconds * 1e9).round();
    nanoseconds
        .is_finite()
        .then_some(nanoseconds as i64 / 1_000_000)
}
