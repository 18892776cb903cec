//! The tokens of PromQL, and how errors speak of them.

use tsdb_model::labels::write_quoted;

use crate::ast::{AggregateOp, BinaryOp};

/// One token: its kind and its place in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// The text is over.
    Eof,
    /// `name`
    Identifier,
    /// `name:with:colons`
    MetricIdentifier,
    /// `1.5`, `Inf`
    Number,
    /// `5m`
    Duration,
    /// `"text"`, still quoted.
    String,
    /// `(`
    LeftParen,
    /// `)`
    RightParen,
    /// `{`
    LeftBrace,
    /// `}`
    RightBrace,
    /// `[`
    LeftBracket,
    /// `]`
    RightBracket,
    /// `,`
    Comma,
    /// `:`
    Colon,
    /// `=`
    Equal,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
    /// `@`
    At,
    /// An operator between two expressions, `and` and its kin included.
    Operator(BinaryOp),
    /// `sum` and the like, in any case.
    Aggregate(AggregateOp),
    /// Another word with a meaning of its own, in any case.
    Keyword(Keyword),
}

/// Words with a meaning of their own, in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keyword {
    Bool,
    By,
    GroupLeft,
    GroupRight,
    Fill,
    FillLeft,
    FillRight,
    Ignoring,
    Offset,
    Smoothed,
    Anchored,
    On,
    Without,
    Start,
    End,
    Step,
    Range,
    MaxOf,
    MinOf,
}

impl Keyword {
    /// Names of values known only when the query runs; also functions.
    pub(crate) fn is_function(self) -> bool {
        matches!(
            self,
            Self::Start | Self::End | Self::Step | Self::Range | Self::MaxOf | Self::MinOf
        )
    }
}

/// Longest word that means something, so that longer ones need no look-up.
const LONGEST_WORD: usize = 12;

/// The kind of a word, if it is not just a name.
pub(crate) fn word_kind(word: &str) -> Option<TokenKind> {
    use TokenKind::{Aggregate as A, Keyword as K, Operator as O};
    if word.len() > LONGEST_WORD {
        return None;
    }
    Some(match word.to_ascii_lowercase().as_str() {
        "and" => O(BinaryOp::And),
        "or" => O(BinaryOp::Or),
        "unless" => O(BinaryOp::Unless),
        "atan2" => O(BinaryOp::Atan2),
        "sum" => A(AggregateOp::Sum),
        "avg" => A(AggregateOp::Avg),
        "count" => A(AggregateOp::Count),
        "min" => A(AggregateOp::Min),
        "max" => A(AggregateOp::Max),
        "group" => A(AggregateOp::Group),
        "stddev" => A(AggregateOp::Stddev),
        "stdvar" => A(AggregateOp::Stdvar),
        "topk" => A(AggregateOp::Topk),
        "bottomk" => A(AggregateOp::Bottomk),
        "count_values" => A(AggregateOp::CountValues),
        "quantile" => A(AggregateOp::Quantile),
        "limitk" => A(AggregateOp::Limitk),
        "limit_ratio" => A(AggregateOp::LimitRatio),
        "offset" => K(Keyword::Offset),
        "smoothed" => K(Keyword::Smoothed),
        "anchored" => K(Keyword::Anchored),
        "by" => K(Keyword::By),
        "without" => K(Keyword::Without),
        "on" => K(Keyword::On),
        "ignoring" => K(Keyword::Ignoring),
        "group_left" => K(Keyword::GroupLeft),
        "group_right" => K(Keyword::GroupRight),
        "fill" => K(Keyword::Fill),
        "fill_left" => K(Keyword::FillLeft),
        "fill_right" => K(Keyword::FillRight),
        "bool" => K(Keyword::Bool),
        "start" => K(Keyword::Start),
        "end" => K(Keyword::End),
        "step" => K(Keyword::Step),
        "range" => K(Keyword::Range),
        "max_of" => K(Keyword::MaxOf),
        "min_of" => K(Keyword::MinOf),
        "inf" | "nan" => TokenKind::Number,
        _ => return None,
    })
}

impl TokenKind {
    /// May stand where a metric name stands.
    pub(crate) fn is_metric_name(self) -> bool {
        match self {
            Self::Identifier | Self::MetricIdentifier | Self::Aggregate(_) => true,
            Self::Operator(op) => op.is_set(),
            Self::Keyword(word) => !matches!(
                word,
                Keyword::Bool
                    | Keyword::On
                    | Keyword::Ignoring
                    | Keyword::GroupLeft
                    | Keyword::GroupRight
            ),
            _ => false,
        }
    }

    /// May stand, without quotes, where a label of `by (..)` stands.
    pub(crate) fn is_grouping_label(self) -> bool {
        match self {
            Self::Identifier | Self::MetricIdentifier | Self::Aggregate(_) => true,
            Self::Operator(op) => op.is_set() || op == BinaryOp::Atan2,
            Self::Keyword(word) => word != Keyword::Without,
            _ => false,
        }
    }
}

impl Token {
    /// The token as errors name it: `identifier "x"`, `<op:+>`, `end of input`.
    pub(crate) fn describe(self, text: &str) -> String {
        match self.kind {
            TokenKind::Eof => "end of input".into(),
            TokenKind::Identifier => format!("identifier {}", quote(text)),
            TokenKind::MetricIdentifier => format!("metric identifier {}", quote(text)),
            TokenKind::Number => format!("number {}", quote_short(text)),
            TokenKind::Duration => format!("duration {}", quote_short(text)),
            TokenKind::String => format!("string {}", quote_short(text)),
            TokenKind::Operator(_) | TokenKind::Regex | TokenKind::NotRegex | TokenKind::At => {
                format!("<op:{text}>")
            }
            TokenKind::Aggregate(_) => format!("<aggr:{text}>"),
            TokenKind::Keyword(word) if !word.is_function() => format!("<{text}>"),
            _ => quote_short(text),
        }
    }
}

/// `text` as a Go string literal.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    let _ = write_quoted(&mut out, text);
    out
}

/// [`quote`], cut after ten characters.
fn quote_short(text: &str) -> String {
    if text.len() <= 10 {
        return quote(text);
    }
    let cut: String = text.chars().take(10).collect();
    quote(&cut) + "..."
}

/// `c` as a Go character literal; the end of the text is U+FFFD.
pub(crate) fn quote_char(c: Option<char>) -> String {
    match c {
        None => "'\u{fffd}'".into(),
        Some('\'') => r"'\''".into(),
        Some('"') => "'\"'".into(),
        Some(c) => {
            let quoted = quote(c.encode_utf8(&mut [0; 4]));
            format!("'{}'", quoted.trim_matches('"'))
        }
    }
}
