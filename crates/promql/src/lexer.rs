//! From text to tokens. What a character means depends on where it stands: inside braces, right
//! behind a bracket, or anywhere else.

mod number;
mod quoted;

pub(crate) use number::{duration_seconds, parse_number, series_number_end};
pub(crate) use quoted::unquote;

use crate::ast::{BinaryOp, Span};
use crate::error::ParseError;
use crate::token::{Keyword, Token, TokenKind, quote_char, word_kind};

/// An error without line and column.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) span: Span,
}

impl Fault {
    /// An error at a place.
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            span,
        }
    }

    /// The error as callers see it.
    pub(crate) fn into_error(self, query: &str) -> ParseError {
        let (line, column) = crate::annotations::line_column(query, self.span.start);
        ParseError {
            message: self.message,
            span: self.span,
            line,
            column,
            has_position: !query.is_empty(),
        }
    }
}

/// Reads tokens one by one.
#[derive(Debug)]
pub(crate) struct Lexer<'a> {
    input: &'a str,
    pos: usize,
    /// Where the token that is being read began.
    start: usize,
    paren_depth: usize,
    brace_open: bool,
    bracket_open: bool,
    /// Between `[` and the first number behind it, where only arithmetic may stand.
    in_duration: bool,
    got_colon: bool,
    got_duration: bool,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(input: &'a str) -> Self {
        Self {
            input,
            pos: 0,
            start: 0,
            paren_depth: 0,
            brace_open: false,
            bracket_open: false,
            in_duration: false,
            got_colon: false,
            got_duration: false,
        }
    }

    /// The whole text.
    pub(crate) fn input(&self) -> &'a str {
        self.input
    }

    /// A part of the text.
    pub(crate) fn text(&self, start: usize, end: usize) -> &'a str {
        self.input.get(start..end).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.input.get(self.pos..)?.chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    fn accept(&mut self, wanted: impl Fn(char) -> bool) -> bool {
        let found = self.peek().is_some_and(wanted);
        if found {
            self.bump();
        }
        found
    }

    fn accept_run(&mut self, wanted: impl Fn(char) -> bool) {
        while self.accept(&wanted) {}
    }

    /// An error from where the current token began.
    fn fault(&self, message: impl Into<String>) -> Fault {
        let span = Span {
            start: self.start,
            end: self.input.len(),
        };
        Fault::new(span, message)
    }

    fn unexpected(&self, c: Option<char>) -> Fault {
        self.fault(format!("unexpected character: {}", quote_char(c)))
    }

    /// The next token; comments are skipped.
    pub(crate) fn next_token(&mut self) -> Result<Token, Fault> {
        loop {
            self.skip_spaces();
            let comments = self.brace_open || !self.in_duration;
            if !(comments && self.peek() == Some('#')) {
                break;
            }
            self.accept_run(|c| c != '\n' && c != '\r');
        }
        self.start = self.pos;
        let kind = if self.brace_open {
            self.inside_braces()?
        } else if self.in_duration {
            self.inside_duration()?
        } else {
            self.statement()?
        };
        Ok(Token {
            kind,
            start: self.start,
            end: self.pos,
        })
    }

    fn skip_spaces(&mut self) {
        self.accept_run(is_space);
        self.start = self.pos;
    }

    fn statement(&mut self) -> Result<TokenKind, Fault> {
        let Some(c) = self.bump() else {
            return match (self.paren_depth, self.bracket_open) {
                (1.., _) => Err(self.fault("unclosed left parenthesis")),
                (0, true) => Err(self.fault("unclosed left bracket")),
                (0, false) => Ok(TokenKind::Eof),
            };
        };
        Ok(match c {
            ',' => TokenKind::Comma,
            '@' => TokenKind::At,
            '=' if self.peek() == Some('~') => {
                return Err(self.fault("unexpected character after '=': '~'"));
            }
            '=' if self.accept(|c| c == '=') => TokenKind::Operator(BinaryOp::Eq),
            '=' => TokenKind::Equal,
            '!' => {
                let next = self.bump();
                if next != Some('=') {
                    let next = quote_char(next);
                    return Err(self.fault(format!("unexpected character after '!': {next}")));
                }
                TokenKind::Operator(BinaryOp::Ne)
            }
            '<' if self.accept(|c| c == '=') => TokenKind::Operator(BinaryOp::Le),
            '<' if self.accept(|c| c == '/') => TokenKind::Operator(BinaryOp::TrimUpper),
            '<' => TokenKind::Operator(BinaryOp::Lt),
            '>' if self.accept(|c| c == '=') => TokenKind::Operator(BinaryOp::Ge),
            '>' if self.accept(|c| c == '/') => TokenKind::Operator(BinaryOp::TrimLower),
            '>' => TokenKind::Operator(BinaryOp::Gt),
            '"' | '\'' | '`' => self.string(c)?,
            '(' | ')' => self.parenthesis(c)?,
            '{' => {
                self.brace_open = true;
                TokenKind::LeftBrace
            }
            '[' => {
                if self.bracket_open {
                    return Err(self.fault("unexpected left bracket '['"));
                }
                self.got_colon = false;
                self.bracket_open = true;
                self.in_duration = true;
                TokenKind::LeftBracket
            }
            ']' => {
                if !self.bracket_open {
                    return Err(self.fault("unexpected right bracket ']'"));
                }
                self.bracket_open = false;
                TokenKind::RightBracket
            }
            c if self.starts_number(c) => self.number_or_duration()?,
            c if is_word_start(c) || c == ':' => {
                if self.bracket_open {
                    self.word_in_bracket(c)?
                } else {
                    self.word()
                }
            }
            c => match arithmetic(c) {
                Some(op) => TokenKind::Operator(op),
                None => return Err(self.unexpected(Some(c))),
            },
        })
    }

    fn parenthesis(&mut self, c: char) -> Result<TokenKind, Fault> {
        if c == '(' {
            self.paren_depth += 1;
            return Ok(TokenKind::LeftParen);
        }
        if self.paren_depth == 0 {
            self.start = self.pos;
            return Err(self.fault("unexpected right parenthesis ')'"));
        }
        self.paren_depth -= 1;
        Ok(TokenKind::RightParen)
    }

    /// A word or colon behind the first number of a bracket.
    fn word_in_bracket(&mut self, c: char) -> Result<TokenKind, Fault> {
        if c == ':' {
            if self.got_colon {
                return Err(self.fault("unexpected colon ':'"));
            }
            self.got_colon = true;
            return Ok(TokenKind::Colon);
        }
        self.duration_word(c).ok_or_else(|| {
            let c = quote_char(Some(c));
            self.fault(format!("unexpected character: {c}, expected ':'"))
        })
    }

    /// `step`, `range`, `min_of` or `max_of`, whose first letter has been read.
    fn duration_word(&mut self, first: char) -> Option<TokenKind> {
        if !matches!(first.to_ascii_lowercase(), 's' | 'r' | 'm') {
            return None;
        }
        self.accept_run(is_word_start);
        let word = self.text(self.start, self.pos);
        match word_kind(word)? {
            kind @ TokenKind::Keyword(
                Keyword::Step | Keyword::Range | Keyword::MinOf | Keyword::MaxOf,
            ) => {
                // Prometheus wants a number before a colon, and forgets `step()` and its kin.
                self.got_duration = true;
                Some(kind)
            }
            _ => None,
        }
    }

    fn inside_duration(&mut self) -> Result<TokenKind, Fault> {
        let Some(c) = self.bump() else {
            return Err(self.fault("unexpected end of input in duration expression"));
        };
        Ok(match c {
            ']' => {
                self.bracket_open = false;
                self.in_duration = false;
                self.got_colon = false;
                TokenKind::RightBracket
            }
            ':' => {
                self.colon_in_duration()?;
                TokenKind::Colon
            }
            '(' | ')' => self.parenthesis(c)?,
            ',' => TokenKind::Comma,
            c if self.starts_number(c) => {
                self.got_duration = true;
                self.in_duration = false;
                self.number_or_duration()?
            }
            c => {
                let kind = arithmetic(c).map(TokenKind::Operator);
                let Some(kind) = kind.or_else(|| self.duration_word(c)) else {
                    let c = quote_char(Some(c));
                    let text = format!("unexpected character in duration expression: {c}");
                    return Err(self.fault(text));
                };
                kind
            }
        })
    }

    fn colon_in_duration(&mut self) -> Result<(), Fault> {
        let problem = if !self.got_duration {
            "unexpected colon before duration in duration expression"
        } else if self.got_colon {
            "unexpected repeated colon in duration expression"
        } else {
            self.got_colon = true;
            return Ok(());
        };
        self.start = self.pos;
        Err(self.fault(problem))
    }

    fn inside_braces(&mut self) -> Result<TokenKind, Fault> {
        let Some(c) = self.bump() else {
            return Err(self.fault("unexpected end of input inside braces"));
        };
        Ok(match c {
            ',' => TokenKind::Comma,
            '"' | '\'' | '`' => self.string(c)?,
            '=' if self.accept(|c| c == '~') => TokenKind::Regex,
            '=' => TokenKind::Equal,
            '!' => match self.bump() {
                Some('~') => TokenKind::NotRegex,
                Some('=') => TokenKind::Operator(BinaryOp::Ne),
                next => {
                    let next = quote_char(next);
                    let text = format!("unexpected character after '!' inside braces: {next}");
                    return Err(self.fault(text));
                }
            },
            '{' => return Err(self.fault("unexpected left brace '{'")),
            '}' => {
                self.brace_open = false;
                TokenKind::RightBrace
            }
            c if is_word_start(c) => {
                self.accept_run(is_word);
                TokenKind::Identifier
            }
            c => {
                let c = quote_char(Some(c));
                return Err(self.fault(format!("unexpected character inside braces: {c}")));
            }
        })
    }

    /// A name or a keyword, whose first character has been read.
    fn word(&mut self) -> TokenKind {
        self.accept_run(|c| is_word(c) || c == ':');
        let word = self.text(self.start, self.pos);
        match word_kind(word) {
            // A metric may be called `fill`; the modifier has a parenthesis behind it.
            Some(TokenKind::Keyword(Keyword::Fill | Keyword::FillLeft | Keyword::FillRight))
                if !self.parenthesis_follows() =>
            {
                TokenKind::Identifier
            }
            Some(kind) => kind,
            None if word.contains(':') => TokenKind::MetricIdentifier,
            None => TokenKind::Identifier,
        }
    }

    fn parenthesis_follows(&self) -> bool {
        let rest = self.input.get(self.pos..).unwrap_or_default();
        rest.trim_start_matches(is_space).starts_with('(')
    }
}

fn arithmetic(c: char) -> Option<BinaryOp> {
    Some(match c {
        '+' => BinaryOp::Add,
        '-' => BinaryOp::Sub,
        '*' => BinaryOp::Mul,
        '/' => BinaryOp::Div,
        '%' => BinaryOp::Mod,
        '^' => BinaryOp::Pow,
        _ => return None,
    })
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

fn is_word_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
