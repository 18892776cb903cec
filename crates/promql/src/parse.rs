//! The parser. Operators go by precedence over a stack of its own, so that no query can exhaust
//! the thread's; errors are worded and placed as Prometheus has them.

mod binary;
mod duration;
mod expression;
mod postfix;
mod selector;
#[cfg(test)]
mod tests;

use tsdb_model::{Labels, Matcher};

use crate::ast::{Expr, Span};
use crate::error::ParseError;
use crate::lexer::{Fault, Lexer, unquote};
use crate::token::{Token, TokenKind};

/// Most levels of a syntax tree, and most open parentheses, calls and operators at once. What
/// walks a tree may recurse this deep.
pub const MAX_DEPTH: usize = 1000;

/// Which experimental parts of the language are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseOptions {
    /// Experimental functions and aggregations (`promql-experimental-functions`).
    pub experimental_functions: bool,
    /// `anchored` and `smoothed` (`promql-extended-range-selectors`).
    pub extended_range_selectors: bool,
    /// Arithmetic in durations (`promql-duration-expr`).
    pub duration_expressions: bool,
    /// `fill` modifiers (`promql-binop-fill-modifiers`).
    pub fill_modifiers: bool,
}

impl Default for ParseOptions {
    fn default() -> Self {
        Self {
            experimental_functions: false,
            extended_range_selectors: false,
            duration_expressions: true,
            fill_modifiers: false,
        }
    }
}

impl ParseOptions {
    /// Everything on.
    pub fn all() -> Self {
        Self {
            experimental_functions: true,
            extended_range_selectors: true,
            duration_expressions: true,
            fill_modifiers: true,
        }
    }
}

/// Parses and type-checks a query.
pub fn parse(query: &str, options: &ParseOptions) -> Result<Expr, ParseError> {
    let parsed = Parser::new(query, *options).query();
    let checked = parsed.and_then(|mut expr| {
        crate::check::check(&mut expr, query)?;
        Ok(expr)
    });
    checked.map_err(|fault| fault.into_error(query))
}

/// Parses one vector selector without modifiers (`match[]`). Whether it could select everything is
/// the caller's to check.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, ParseError> {
    let mut parser = Parser::new(text, ParseOptions::default());
    let matchers = parser.only_selector();
    matchers.map_err(|fault| fault.into_error(text))
}

/// Parses the label set of one series: `name{label="value"}`.
pub fn parse_metric(text: &str) -> Result<Labels, ParseError> {
    let mut parser = Parser::new(text, ParseOptions::default());
    let labels = parser.metric().and_then(|labels| {
        parser.expect_end()?;
        Ok(labels)
    });
    labels.map_err(|fault| fault.into_error(text))
}

/// Parses the label set at the beginning of a series description; also says where it ends.
pub(crate) fn parse_metric_prefix(text: &str) -> Result<(Labels, usize), Fault> {
    let mut parser = Parser::new(text, ParseOptions::default());
    let labels = parser.metric_before_values()?;
    Ok((labels, parser.last_end))
}

/// Where in the grammar an error is, and what could stand there.
#[derive(Debug, Clone, Copy)]
struct Context {
    place: &'static str,
    expected: &'static str,
}

type Parsed<T> = Result<T, Fault>;

struct Parser<'a> {
    lexer: Lexer<'a>,
    options: ParseOptions,
    /// The next token, once it was looked at. Not earlier: an error further on must not hide one
    /// that is known already.
    peeked: Option<Token>,
    /// End of the last token taken.
    last_end: usize,
    /// The innermost place that errors name.
    context: Option<Context>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, options: ParseOptions) -> Self {
        Self {
            lexer: Lexer::new(text),
            options,
            peeked: None,
            last_end: 0,
            context: None,
        }
    }

    fn query(mut self) -> Parsed<Expr> {
        if self.peek()?.kind == TokenKind::Eof {
            let nowhere = Span::default();
            return Err(Fault::new(nowhere, "no expression found in input"));
        }
        self.expression()
    }

    fn peek(&mut self) -> Parsed<Token> {
        if let Some(token) = self.peeked {
            return Ok(token);
        }
        let token = self.lexer.next_token()?;
        self.peeked = Some(token);
        Ok(token)
    }

    fn next(&mut self) -> Parsed<Token> {
        let token = self.peek()?;
        self.peeked = None;
        self.last_end = token.end;
        Ok(token)
    }

    /// Takes the next token if it is of this kind.
    fn take(&mut self, kind: TokenKind) -> Parsed<Option<Token>> {
        if self.peek()?.kind == kind {
            return self.next().map(Some);
        }
        Ok(None)
    }

    /// Takes the next token, which must be of this kind.
    fn expect(&mut self, kind: TokenKind) -> Parsed<Token> {
        match self.take(kind)? {
            Some(token) => Ok(token),
            None => Err(self.unexpected()?),
        }
    }

    fn expect_end(&mut self) -> Parsed<()> {
        self.expect(TokenKind::Eof).map(|_| ())
    }

    fn text(&self, token: Token) -> &'a str {
        self.lexer.text(token.start, token.end)
    }

    /// The text of a quoted token.
    fn unquoted(&self, token: Token) -> String {
        unquote(self.text(token))
    }

    /// An error about the next token, in the innermost context.
    fn unexpected(&mut self) -> Parsed<Fault> {
        let token = self.peek()?;
        let mut message = format!("unexpected {}", token.describe(self.text(token)));
        if let Some(context) = self.context {
            message.push_str(" in ");
            message.push_str(context.place);
            if !context.expected.is_empty() {
                message.push_str(", expected ");
                message.push_str(context.expected);
            }
        }
        Ok(Fault::new(span(token), message))
    }

    /// An error about the next token, in this context.
    fn unexpected_in(&mut self, place: &'static str, expected: &'static str) -> Parsed<Fault> {
        self.context = Some(Context { place, expected });
        self.unexpected()
    }

    /// Runs `part` with this context for its errors.
    fn within<T>(
        &mut self,
        place: &'static str,
        expected: &'static str,
        part: impl FnOnce(&mut Self) -> Parsed<T>,
    ) -> Parsed<T> {
        let outer = self.context.replace(Context { place, expected });
        let value = part(self)?;
        self.context = outer;
        Ok(value)
    }
}

fn span(token: Token) -> Span {
    Span {
        start: token.start,
        end: token.end,
    }
}

fn merge(first: Span, last: Span) -> Span {
    Span {
        start: first.start,
        end: last.end,
    }
}

fn too_deep(span: Span) -> Fault {
    Fault::new(
        span,
        format!("expression is nested more than {MAX_DEPTH} levels deep"),
    )
}
