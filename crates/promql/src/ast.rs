//! The syntax tree. Every node knows its place in the query text.

use tsdb_model::Matcher;

use crate::functions::Function;

/// A range of bytes in the query text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// Type of an expression's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// One number.
    Scalar,
    /// One text.
    String,
    /// One sample per series.
    Vector,
    /// Many samples per series.
    Matrix,
}

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// `1.5`, `0x1F`, `5m`
    Number(NumberLiteral),
    /// `"text"`
    String(StringLiteral),
    /// `name{label="value"} offset 5m @ 100`
    Vector(VectorSelector),
    /// `name{..}[5m]`
    Matrix(MatrixSelector),
    /// `expr[5m:1m]`
    Subquery(Box<Subquery>),
    /// `(expr)`
    Paren(Box<Paren>),
    /// `-expr`, `+expr`
    Unary(Box<Unary>),
    /// `lhs + rhs`
    Binary(Box<Binary>),
    /// `sum by (label) (expr)`
    Aggregate(Box<Aggregate>),
    /// `rate(expr)`
    Call(Call),
}

impl Expr {
    /// Place in the query text.
    pub fn span(&self) -> Span {
        match self {
            Self::Number(e) => e.span,
            Self::String(e) => e.span,
            Self::Vector(e) => e.span,
            Self::Matrix(e) => e.span,
            Self::Subquery(e) => e.span,
            Self::Paren(e) => e.span,
            Self::Unary(e) => e.span,
            Self::Binary(e) => e.span,
            Self::Aggregate(e) => e.span,
            Self::Call(e) => e.span,
        }
    }

    /// Type of the value.
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Number(_) => ValueType::Scalar,
            Self::String(_) => ValueType::String,
            Self::Vector(_) | Self::Aggregate(_) => ValueType::Vector,
            Self::Matrix(_) | Self::Subquery(_) => ValueType::Matrix,
            Self::Paren(e) => e.expr.value_type(),
            Self::Unary(e) => e.expr.value_type(),
            Self::Binary(e) => {
                if e.lhs.value_type() == ValueType::Scalar
                    && e.rhs.value_type() == ValueType::Scalar
                {
                    ValueType::Scalar
                } else {
                    ValueType::Vector
                }
            }
            Self::Call(e) => e.function.return_type,
        }
    }
}

/// A number. Durations are numbers of seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberLiteral {
    /// The value; seconds for a duration.
    pub value: f64,
    /// Written as a duration (`5m`).
    pub is_duration: bool,
    /// Place in the query text.
    pub span: Span,
}

/// A text.
#[derive(Debug, Clone, PartialEq)]
pub struct StringLiteral {
    /// The text, unescaped.
    pub value: String,
    /// Place in the query text.
    pub span: Span,
}

/// A selector of series.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorSelector {
    /// The name in front of the braces, if any. A quoted name inside them is only a matcher.
    pub name: Option<String>,
    /// All matchers, the one on `__name__` that `name` stands for included (last).
    pub matchers: Vec<Matcher>,
    /// `offset`.
    pub offset: Option<Duration>,
    /// `@`.
    pub at: Option<At>,
    /// `anchored` (experimental).
    pub anchored: bool,
    /// `smoothed` (experimental).
    pub smoothed: bool,
    /// Place in the query text.
    pub span: Span,
}

/// A selector of samples in a range.
#[derive(Debug, Clone, PartialEq)]
pub struct MatrixSelector {
    /// The series.
    pub selector: VectorSelector,
    /// Length of the range.
    pub range: Duration,
    /// Place in the query text.
    pub span: Span,
}

/// An expression evaluated at many times.
#[derive(Debug, Clone, PartialEq)]
pub struct Subquery {
    /// What is evaluated.
    pub expr: Expr,
    /// Length of the range.
    pub range: Duration,
    /// Distance of the evaluations; the engine's default when absent.
    pub step: Option<Duration>,
    /// `offset`.
    pub offset: Option<Duration>,
    /// `@`.
    pub at: Option<At>,
    /// Place in the query text.
    pub span: Span,
}

/// The `@` modifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Milliseconds since the Unix epoch.
    Timestamp(i64),
    /// `@ start()`
    Start,
    /// `@ end()`
    End,
}

/// A duration in a range, a step or an offset: a literal, or arithmetic that is worked out when
/// the query's times are known.
#[derive(Debug, Clone, PartialEq)]
pub enum Duration {
    /// Milliseconds; negative only in offsets.
    Literal(i64),
    /// An experimental duration expression.
    Expr(Box<DurationExpr>),
}

/// Arithmetic on durations. Values are seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct DurationExpr {
    /// What kind.
    pub kind: DurationExprKind,
    /// Wrapped in parentheses.
    pub wrapped: bool,
    /// Place in the query text.
    pub span: Span,
}

/// Kinds of [`DurationExpr`].
#[derive(Debug, Clone, PartialEq)]
pub enum DurationExprKind {
    /// A literal, and whether it was written as a duration.
    Number(NumberLiteral),
    /// `-a`, or `+a` when false.
    Sign(bool, Box<DurationExpr>),
    /// `a + b` and the like; `Add Sub Mul Div Mod Pow` only.
    Binary(BinaryOp, Box<DurationExpr>, Box<DurationExpr>),
    /// `step()`
    Step,
    /// `range()`
    Range,
    /// `min_of(a, b)`
    MinOf(Box<DurationExpr>, Box<DurationExpr>),
    /// `max_of(a, b)`
    MaxOf(Box<DurationExpr>, Box<DurationExpr>),
}

/// An expression in parentheses.
#[derive(Debug, Clone, PartialEq)]
pub struct Paren {
    /// What is inside.
    pub expr: Expr,
    /// Place in the query text.
    pub span: Span,
}

/// A sign.
#[derive(Debug, Clone, PartialEq)]
pub struct Unary {
    /// `-` when true, `+` when false.
    pub negative: bool,
    /// What it applies to.
    pub expr: Expr,
    /// Place in the query text.
    pub span: Span,
}

/// Operators between two expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `^`
    Pow,
    /// `atan2`
    Atan2,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `and`
    And,
    /// `or`
    Or,
    /// `unless`
    Unless,
    /// `</`
    TrimUpper,
    /// `>/`
    TrimLower,
}

impl BinaryOp {
    /// The operator as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Atan2 => "atan2",
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
            Self::TrimUpper => "</",
            Self::TrimLower => ">/",
        }
    }

    /// `==` and its kin.
    pub fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::Eq | Self::Ne | Self::Lt | Self::Le | Self::Gt | Self::Ge
        )
    }

    /// `and`, `or`, `unless`.
    pub fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }
}

/// An operation on two expressions.
#[derive(Debug, Clone, PartialEq)]
pub struct Binary {
    /// Operator.
    pub op: BinaryOp,
    /// Left side.
    pub lhs: Expr,
    /// Right side.
    pub rhs: Expr,
    /// How vectors are matched; `None` unless both sides are vectors.
    pub matching: Option<VectorMatching>,
    /// `bool` stands behind a comparison.
    pub return_bool: bool,
    /// Place in the query text.
    pub span: Span,
}

/// How many elements of one side may match one of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cardinality {
    /// One to one.
    OneToOne,
    /// `group_left`
    ManyToOne,
    /// `group_right`
    OneToMany,
    /// Set operators.
    ManyToMany,
}

/// How the elements of two vectors find each other.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorMatching {
    /// Cardinality.
    pub card: Cardinality,
    /// Labels of `on` or `ignoring`, as written.
    pub labels: Vec<String>,
    /// `on` (true) or `ignoring` (false, also when nothing is written).
    pub on: bool,
    /// Labels of `group_left(..)` or `group_right(..)`.
    pub include: Vec<String>,
    /// Value for elements missing on the left (`fill`, `fill_left`).
    pub fill_lhs: Option<f64>,
    /// Value for elements missing on the right (`fill`, `fill_right`).
    pub fill_rhs: Option<f64>,
}

/// Aggregation operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AggregateOp {
    /// `sum`
    Sum,
    /// `avg`
    Avg,
    /// `count`
    Count,
    /// `min`
    Min,
    /// `max`
    Max,
    /// `group`
    Group,
    /// `stddev`
    Stddev,
    /// `stdvar`
    Stdvar,
    /// `topk`
    Topk,
    /// `bottomk`
    Bottomk,
    /// `quantile`
    Quantile,
    /// `count_values`
    CountValues,
    /// `limitk` (experimental)
    Limitk,
    /// `limit_ratio` (experimental)
    LimitRatio,
}

impl AggregateOp {
    /// The operator as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Count => "count",
            Self::Min => "min",
            Self::Max => "max",
            Self::Group => "group",
            Self::Stddev => "stddev",
            Self::Stdvar => "stdvar",
            Self::Topk => "topk",
            Self::Bottomk => "bottomk",
            Self::Quantile => "quantile",
            Self::CountValues => "count_values",
            Self::Limitk => "limitk",
            Self::LimitRatio => "limit_ratio",
        }
    }

    /// Needs a parameter in front of the vector.
    pub fn has_param(self) -> bool {
        matches!(
            self,
            Self::Topk
                | Self::Bottomk
                | Self::Quantile
                | Self::CountValues
                | Self::Limitk
                | Self::LimitRatio
        )
    }
}

/// An aggregation.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// Operator.
    pub op: AggregateOp,
    /// What is aggregated.
    pub expr: Expr,
    /// `k`, the quantile, the label or the ratio.
    pub param: Option<Expr>,
    /// Labels of `by` or `without`, as written.
    pub grouping: Vec<String>,
    /// `without` instead of `by`.
    pub without: bool,
    /// Place in the query text.
    pub span: Span,
}

/// A function call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The function.
    pub function: &'static Function,
    /// Arguments.
    pub args: Vec<Expr>,
    /// Place in the query text.
    pub span: Span,
}
