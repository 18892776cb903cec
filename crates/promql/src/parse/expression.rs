//! Expressions: operands, operators between them, calls and aggregations, over a stack of what has
//! begun and is not complete.

use super::binary::Modifiers;
use super::{Context, MAX_DEPTH, Parsed, Parser, merge, span, too_deep};
use crate::ast::{
    Aggregate, AggregateOp, Binary, BinaryOp, Call, Expr, NumberLiteral, Paren, Span,
    StringLiteral, Unary,
};
use crate::functions::table::function;
use crate::lexer::{Fault, duration_seconds, parse_number};
use crate::token::{Keyword, Token, TokenKind, quote};

/// An expression and how many levels its tree has.
pub(super) struct Operand {
    pub(super) expr: Expr,
    pub(super) height: usize,
}

impl Operand {
    /// A tree of one level.
    pub(super) fn leaf(expr: Expr) -> Self {
        Self { expr, height: 1 }
    }

    /// A tree one level higher than its highest part.
    pub(super) fn above(expr: Expr, parts: usize) -> Parsed<Self> {
        let height = parts + 1;
        if height > MAX_DEPTH {
            return Err(too_deep(expr.span()));
        }
        Ok(Self { expr, height })
    }
}

/// Arguments that have been read.
#[derive(Default)]
struct Arguments {
    args: Vec<Expr>,
    height: usize,
}

impl Arguments {
    fn push(&mut self, operand: Operand) {
        self.height = self.height.max(operand.height);
        self.args.push(operand.expr);
    }
}

/// `by` or `without` with its labels.
struct Grouping {
    labels: Vec<String>,
    without: bool,
}

/// What has begun and waits for its operand.
enum Pending {
    Paren {
        open: Token,
    },
    Call {
        name: Token,
        arguments: Arguments,
    },
    Aggregate {
        op: AggregateOp,
        start: usize,
        grouping: Option<Grouping>,
        arguments: Arguments,
        outer: Option<Context>,
    },
    Unary {
        sign: Token,
        negative: bool,
    },
    Binary {
        lhs: Operand,
        op: BinaryOp,
        modifiers: Modifiers,
    },
}

/// How strongly operators bind; unary signs bind like `*`.
fn precedence(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Or => 1,
        BinaryOp::And | BinaryOp::Unless => 2,
        BinaryOp::Eq
        | BinaryOp::Ne
        | BinaryOp::Lt
        | BinaryOp::Le
        | BinaryOp::Gt
        | BinaryOp::Ge
        | BinaryOp::TrimUpper
        | BinaryOp::TrimLower => 3,
        BinaryOp::Add | BinaryOp::Sub => 4,
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Atan2 => UNARY,
        BinaryOp::Pow => 6,
    }
}

const UNARY: u8 = 5;

/// What reading the beginning of an operand comes to.
enum Begun {
    /// It is complete.
    Operand(Operand),
    /// Something waits on the stack for its own operand.
    Pending,
}

impl Parser<'_> {
    /// Parses up to the end of the text.
    pub(super) fn expression(&mut self) -> Parsed<Expr> {
        let mut stack = Vec::new();
        loop {
            let mut operand = match self.begin_operand(&mut stack)? {
                Begun::Operand(operand) => operand,
                Begun::Pending => {
                    if stack.len() > MAX_DEPTH {
                        return Err(too_deep(span(self.peek()?)));
                    }
                    continue;
                }
            };
            loop {
                operand = self.postfix(operand)?;
                let token = self.peek()?;
                if let TokenKind::Operator(op) = token.kind {
                    let lhs = self.reduce(&mut stack, operand, Some(op))?;
                    self.next()?;
                    let modifiers = self.modifiers()?;
                    stack.push(Pending::Binary { lhs, op, modifiers });
                    break;
                }
                operand = self.reduce(&mut stack, operand, None)?;
                match (stack.last_mut(), token.kind) {
                    (None, TokenKind::Eof) => return Ok(operand.expr),
                    (
                        Some(
                            Pending::Call { arguments, .. } | Pending::Aggregate { arguments, .. },
                        ),
                        TokenKind::Comma,
                    ) => {
                        arguments.push(operand);
                        self.comma()?;
                        break;
                    }
                    (Some(_), TokenKind::RightParen) => {
                        self.next()?;
                        operand = self.close(&mut stack, operand)?;
                    }
                    _ => return Err(self.unexpected()?),
                }
            }
        }
    }

    /// Takes the comma between two arguments.
    fn comma(&mut self) -> Parsed<()> {
        let comma = self.next()?;
        if self.peek()?.kind.begins_operand() {
            return Ok(());
        }
        let text = "trailing commas not allowed in function call args";
        Err(Fault::new(span(comma), text))
    }

    fn begin_operand(&mut self, stack: &mut Vec<Pending>) -> Parsed<Begun> {
        let token = self.peek()?;
        let leaf = |expr| Ok(Begun::Operand(Operand::leaf(expr)));
        match token.kind {
            TokenKind::Number | TokenKind::Duration => {
                self.next()?;
                leaf(Expr::Number(self.number(token)?))
            }
            TokenKind::String => {
                self.next()?;
                leaf(Expr::String(StringLiteral {
                    value: self.unquoted(token),
                    span: span(token),
                }))
            }
            TokenKind::LeftBrace => leaf(Expr::Vector(self.vector_selector(None)?)),
            TokenKind::LeftParen => {
                stack.push(Pending::Paren { open: self.next()? });
                Ok(Begun::Pending)
            }
            TokenKind::Operator(op @ (BinaryOp::Add | BinaryOp::Sub)) => {
                stack.push(Pending::Unary {
                    sign: self.next()?,
                    negative: op == BinaryOp::Sub,
                });
                Ok(Begun::Pending)
            }
            TokenKind::Aggregate(op) => {
                self.next()?;
                match self.peek()?.kind {
                    TokenKind::LeftParen | TokenKind::Keyword(Keyword::By | Keyword::Without) => {
                        self.begin_aggregate(op, token.start, stack)
                    }
                    _ => leaf(Expr::Vector(self.vector_selector(Some(token))?)),
                }
            }
            kind if kind.is_metric_name() => {
                self.next()?;
                let callable = match kind {
                    TokenKind::Identifier => true,
                    TokenKind::Keyword(word) => word.is_function(),
                    _ => false,
                };
                if callable && self.peek()?.kind == TokenKind::LeftParen {
                    self.begin_call(token, stack)
                } else {
                    leaf(Expr::Vector(self.vector_selector(Some(token))?))
                }
            }
            _ => Err(self.unexpected()?),
        }
    }

    /// The value of a number or duration token.
    pub(super) fn number(&self, token: Token) -> Parsed<NumberLiteral> {
        let is_duration = token.kind == TokenKind::Duration;
        let text = self.text(token);
        let value = if is_duration {
            duration_seconds(text)
        } else {
            parse_number(text)
        };
        Ok(NumberLiteral {
            value: value.map_err(|message| Fault::new(span(token), message))?,
            is_duration,
            span: span(token),
        })
    }

    fn begin_call(&mut self, name: Token, stack: &mut Vec<Pending>) -> Parsed<Begun> {
        self.next()?;
        let arguments = Arguments::default();
        if self.take(TokenKind::RightParen)?.is_some() {
            return Ok(Begun::Operand(self.call(name, arguments)?));
        }
        stack.push(Pending::Call { name, arguments });
        Ok(Begun::Pending)
    }

    fn begin_aggregate(
        &mut self,
        op: AggregateOp,
        start: usize,
        stack: &mut Vec<Pending>,
    ) -> Parsed<Begun> {
        let outer = self.context.replace(Context {
            place: "aggregation",
            expected: "",
        });
        let grouping = self.grouping()?;
        self.expect(TokenKind::LeftParen)?;
        let arguments = Arguments::default();
        if self.take(TokenKind::RightParen)?.is_some() {
            let operand = self.aggregate(op, start, grouping, arguments)?;
            self.context = outer;
            return Ok(Begun::Operand(operand));
        }
        stack.push(Pending::Aggregate {
            op,
            start,
            grouping,
            arguments,
            outer,
        });
        Ok(Begun::Pending)
    }

    /// `by (..)` or `without (..)`, if it stands here.
    fn grouping(&mut self) -> Parsed<Option<Grouping>> {
        let without = match self.peek()?.kind {
            TokenKind::Keyword(Keyword::By) => false,
            TokenKind::Keyword(Keyword::Without) => true,
            _ => return Ok(None),
        };
        self.next()?;
        let labels = self.grouping_labels()?;
        Ok(Some(Grouping { labels, without }))
    }

    /// Completes what a right parenthesis, already taken, closes.
    fn close(&mut self, stack: &mut Vec<Pending>, operand: Operand) -> Parsed<Operand> {
        match stack.pop() {
            Some(Pending::Paren { open }) => {
                let span = Span {
                    start: open.start,
                    end: self.last_end,
                };
                let expr = operand.expr;
                Operand::above(Expr::Paren(Box::new(Paren { expr, span })), operand.height)
            }
            Some(Pending::Call {
                name,
                mut arguments,
            }) => {
                arguments.push(operand);
                self.call(name, arguments)
            }
            Some(Pending::Aggregate {
                op,
                start,
                grouping,
                mut arguments,
                outer,
            }) => {
                arguments.push(operand);
                let operand = self.aggregate(op, start, grouping, arguments)?;
                self.context = outer;
                Ok(operand)
            }
            // Operators have been reduced; a parenthesis was open, or the lexer would have objected.
            _ => Err(self.unexpected()?),
        }
    }

    fn call(&self, name: Token, arguments: Arguments) -> Parsed<Operand> {
        let text = self.text(name);
        let error = |message: String| Fault::new(span(name), message);
        let Some(function) = function(text) else {
            let name = quote(text);
            return Err(error(format!("unknown function with name {name}")));
        };
        if function.experimental && !self.options.experimental_functions {
            return Err(error(format!("function {} is not enabled", quote(text))));
        }
        let call = Call {
            function,
            args: arguments.args,
            span: Span {
                start: name.start,
                end: self.last_end,
            },
        };
        Operand::above(Expr::Call(call), arguments.height)
    }

    /// Completes an aggregation whose right parenthesis has been taken.
    fn aggregate(
        &mut self,
        op: AggregateOp,
        start: usize,
        grouping: Option<Grouping>,
        arguments: Arguments,
    ) -> Parsed<Operand> {
        let grouping = match grouping {
            Some(grouping) => Some(grouping),
            None => self.grouping()?,
        };
        let span = Span {
            start,
            end: self.last_end,
        };
        let wrong = |message: String| Err(Fault::new(span, message));
        let count = arguments.args.len();
        let expected = 1 + usize::from(op.has_param());
        if count == 0 {
            return wrong("no arguments for aggregate expression provided".into());
        }
        let experimental = matches!(op, AggregateOp::Limitk | AggregateOp::LimitRatio);
        if experimental && !self.options.experimental_functions {
            let name = op.as_str();
            return wrong(format!(
                "{name}() is experimental and must be enabled with \
                 --enable-feature=promql-experimental-functions"
            ));
        }
        let mut args = arguments.args.into_iter();
        let (param, expr) = match (expected, args.next(), args.next(), args.next()) {
            (1, Some(expr), None, None) => (None, expr),
            (2, param @ Some(_), Some(expr), None) => (param, expr),
            _ => {
                return wrong(format!(
                    "wrong number of arguments for aggregate expression provided, \
                     expected {expected}, got {count}"
                ));
            }
        };
        let (grouping, without) = grouping.map_or((Vec::new(), false), |g| (g.labels, g.without));
        let aggregate = Aggregate {
            op,
            expr,
            param,
            grouping,
            without,
            span,
        };
        Operand::above(Expr::Aggregate(Box::new(aggregate)), arguments.height)
    }

    /// Completes the operators on the stack that bind at least as strongly as `next`; all of them
    /// when there is none.
    fn reduce(
        &mut self,
        stack: &mut Vec<Pending>,
        mut operand: Operand,
        next: Option<BinaryOp>,
    ) -> Parsed<Operand> {
        let limit = next.map_or(0, precedence);
        loop {
            let complete = match stack.last() {
                Some(Pending::Unary { .. }) => UNARY >= limit,
                // Only `^` groups to the right.
                Some(Pending::Binary {
                    op: BinaryOp::Pow, ..
                }) if next == Some(BinaryOp::Pow) => false,
                Some(Pending::Binary { op, .. }) => precedence(*op) >= limit,
                _ => false,
            };
            if !complete {
                return Ok(operand);
            }
            operand = match stack.pop() {
                Some(Pending::Unary { sign, negative }) => signed(sign, negative, operand)?,
                Some(Pending::Binary { lhs, op, modifiers }) => {
                    self.binary(lhs, op, modifiers, operand)?
                }
                _ => return Ok(operand),
            };
        }
    }

    fn binary(
        &self,
        lhs: Operand,
        op: BinaryOp,
        modifiers: Modifiers,
        rhs: Operand,
    ) -> Parsed<Operand> {
        let span = merge(lhs.expr.span(), rhs.expr.span());
        let matching = modifiers.matching;
        let fills = matching.fill_lhs.is_some() || matching.fill_rhs.is_some();
        if fills && !self.options.fill_modifiers {
            let text = "binop fill modifiers are experimental and not enabled";
            return Err(Fault::new(span, text));
        }
        let height = lhs.height.max(rhs.height);
        let binary = Binary {
            op,
            lhs: lhs.expr,
            rhs: rhs.expr,
            matching: Some(matching),
            return_bool: modifiers.return_bool,
            span,
        };
        Operand::above(Expr::Binary(Box::new(binary)), height)
    }
}

/// A sign in front of an operand; in front of a number it becomes part of the number.
fn signed(sign: Token, negative: bool, operand: Operand) -> Parsed<Operand> {
    if let Expr::Number(mut number) = operand.expr {
        if negative {
            number.value = -number.value;
        }
        number.span.start = sign.start;
        return Ok(Operand::leaf(Expr::Number(number)));
    }
    let unary = Unary {
        negative,
        span: merge(span(sign), operand.expr.span()),
        expr: operand.expr,
    };
    Operand::above(Expr::Unary(Box::new(unary)), operand.height)
}

impl TokenKind {
    /// May begin an operand.
    fn begins_operand(self) -> bool {
        matches!(
            self,
            Self::Number
                | Self::Duration
                | Self::String
                | Self::LeftBrace
                | Self::LeftParen
                | Self::Operator(BinaryOp::Add | BinaryOp::Sub)
        ) || self.is_metric_name()
    }
}
