//! Expressions as text, as Prometheus prints them: in one line here, over several lines in
//! `pretty`.

mod pretty;
#[cfg(test)]
mod tests;

use std::fmt::{self, Display, Formatter, Write};

use tsdb_model::float::{write_float_general, write_float_positional};
use tsdb_model::labels::{is_legacy_label_name, write_quoted};
use tsdb_model::{METRIC_NAME, MatchOp, format_duration_ms};

use crate::ast::{
    Aggregate, At, Binary, Cardinality, Duration, DurationExpr, DurationExprKind, Expr,
    MatrixSelector, NumberLiteral, Subquery, VectorMatching, VectorSelector,
};

pub use pretty::format;

/// The expression in one line. Parsing it gives the same tree.
impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(e) => e.fmt(f),
            Self::String(e) => write_quoted(f, &e.value),
            Self::Vector(e) => e.fmt(f),
            Self::Matrix(e) => e.fmt(f),
            Self::Subquery(e) => {
                e.expr.fmt(f)?;
                write_subquery_suffix(f, e)
            }
            Self::Paren(e) => {
                f.write_char('(')?;
                e.expr.fmt(f)?;
                f.write_char(')')
            }
            Self::Unary(e) => {
                f.write_char(if e.negative { '-' } else { '+' })?;
                e.expr.fmt(f)
            }
            Self::Binary(e) => {
                e.lhs.fmt(f)?;
                f.write_char(' ')?;
                write_operator(f, e)?;
                f.write_char(' ')?;
                e.rhs.fmt(f)
            }
            Self::Aggregate(e) => {
                write_aggregate_head(f, e)?;
                f.write_char('(')?;
                if let Some(param) = &e.param {
                    param.fmt(f)?;
                    f.write_str(", ")?;
                }
                e.expr.fmt(f)?;
                f.write_char(')')
            }
            Self::Call(e) => {
                f.write_str(e.function.name)?;
                f.write_char('(')?;
                for (i, arg) in e.args.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    arg.fmt(f)?;
                }
                f.write_char(')')
            }
        }
    }
}

impl Display for NumberLiteral {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_duration {
            // Through nanoseconds, as a duration is kept in Prometheus.
            let ms = |seconds: f64| format_duration_ms((seconds * 1e9) as i64 / 1_000_000);
            if self.value < 0.0 {
                f.write_char('-')?;
            }
            return f.write_str(&ms(self.value.abs()));
        }
        let mut text = String::new();
        write_float_positional(&mut text, self.value);
        f.write_str(&text)
    }
}

impl Display for VectorSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_series(f, self)?;
        write_at(f, self.at)?;
        write_extended(f, self)?;
        write_offset(f, self.offset.as_ref())
    }
}

impl Display for MatrixSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_series(f, &self.selector)?;
        write!(f, "[{}]", self.range)?;
        write_extended(f, &self.selector)?;
        write_at(f, self.selector.at)?;
        write_offset(f, self.selector.offset.as_ref())
    }
}

impl Display for Duration {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(ms) => f.write_str(&format_duration_ms(*ms)),
            Self::Expr(e) => e.fmt(f),
        }
    }
}

impl Display for DurationExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.wrapped {
            f.write_char('(')?;
        }
        match &self.kind {
            DurationExprKind::Number(n) => n.fmt(f)?,
            DurationExprKind::Sign(true, e) => write!(f, "-{e}")?,
            DurationExprKind::Sign(false, e) => e.fmt(f)?,
            DurationExprKind::Binary(op, a, b) => write!(f, "{a} {} {b}", op.as_str())?,
            DurationExprKind::Step => f.write_str("step()")?,
            DurationExprKind::Range => f.write_str("range()")?,
            DurationExprKind::MinOf(a, b) => write!(f, "min_of({a}, {b})")?,
            DurationExprKind::MaxOf(a, b) => write!(f, "max_of({a}, {b})")?,
        }
        if self.wrapped {
            f.write_char(')')?;
        }
        Ok(())
    }
}

/// Name and matchers.
fn write_series(f: &mut impl Write, selector: &VectorSelector) -> fmt::Result {
    let name = selector.name.as_deref().unwrap_or_default();
    f.write_str(name)?;
    let stands_for_name = |m: &&tsdb_model::Matcher| {
        m.name == METRIC_NAME && m.op == MatchOp::Equal && m.value == name && !name.is_empty()
    };
    let others = selector.matchers.iter().filter(|m| !stands_for_name(m));
    let mut texts: Vec<String> = others.map(ToString::to_string).collect();
    if texts.is_empty() {
        // `{}` alone has to stay; it can only be the second argument of `info`.
        return f.write_str(if name.is_empty() { "{}" } else { "" });
    }
    texts.sort_unstable();
    write!(f, "{{{}}}", texts.join(","))
}

fn write_extended(f: &mut impl Write, selector: &VectorSelector) -> fmt::Result {
    if selector.anchored {
        f.write_str(" anchored")
    } else if selector.smoothed {
        f.write_str(" smoothed")
    } else {
        Ok(())
    }
}

fn write_at(f: &mut impl Write, at: Option<At>) -> fmt::Result {
    match at {
        None => Ok(()),
        Some(At::Timestamp(ms)) => write!(f, " @ {:.3}", ms as f64 / 1000.0),
        Some(At::Start) => f.write_str(" @ start()"),
        Some(At::End) => f.write_str(" @ end()"),
    }
}

fn write_offset(f: &mut impl Write, offset: Option<&Duration>) -> fmt::Result {
    match offset {
        None | Some(Duration::Literal(0)) => Ok(()),
        Some(offset) => write!(f, " offset {offset}"),
    }
}

/// What stands behind the expression of a subquery.
fn write_subquery_suffix(f: &mut impl Write, subquery: &Subquery) -> fmt::Result {
    write!(f, "[{}:", subquery.range)?;
    if let Some(step) = &subquery.step {
        write!(f, "{step}")?;
    }
    f.write_char(']')?;
    write_at(f, subquery.at)?;
    write_offset(f, subquery.offset.as_ref())
}

/// Operator and grouping, without the parentheses.
fn write_aggregate_head(f: &mut impl Write, aggregate: &Aggregate) -> fmt::Result {
    f.write_str(aggregate.op.as_str())?;
    if !aggregate.without && aggregate.grouping.is_empty() {
        return Ok(());
    }
    f.write_str(if aggregate.without {
        " without ("
    } else {
        " by ("
    })?;
    write_labels(f, &aggregate.grouping)?;
    f.write_str(") ")
}

/// Operator, `bool` and matching.
fn write_operator(f: &mut impl Write, binary: &Binary) -> fmt::Result {
    f.write_str(binary.op.as_str())?;
    if binary.return_bool {
        f.write_str(" bool")?;
    }
    match &binary.matching {
        Some(matching) => write_matching(f, matching),
        None => Ok(()),
    }
}

fn write_matching(f: &mut impl Write, matching: &VectorMatching) -> fmt::Result {
    let group = match matching.card {
        Cardinality::ManyToOne => Some("left"),
        Cardinality::OneToMany => Some("right"),
        Cardinality::OneToOne | Cardinality::ManyToMany => None,
    };
    if matching.on || !matching.labels.is_empty() || group.is_some() {
        f.write_str(if matching.on { " on (" } else { " ignoring (" })?;
        write_labels(f, &matching.labels)?;
        f.write_char(')')?;
    }
    if let Some(side) = group {
        write!(f, " group_{side} (")?;
        write_labels(f, &matching.include)?;
        f.write_char(')')?;
    }
    let mut fill = |side: &str, value: f64| {
        let mut text = String::new();
        write_float_general(&mut text, value);
        write!(f, " fill{side} ({text})")
    };
    match (matching.fill_lhs, matching.fill_rhs) {
        (Some(lhs), Some(rhs)) if lhs == rhs => fill("", lhs),
        (lhs, rhs) => {
            lhs.map_or(Ok(()), |v| fill("_left", v))?;
            rhs.map_or(Ok(()), |v| fill("_right", v))
        }
    }
}

fn write_labels(f: &mut impl Write, labels: &[String]) -> fmt::Result {
    for (i, label) in labels.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        if is_legacy_label_name(label) {
            f.write_str(label)?;
        } else {
            write_quoted(f, label)?;
        }
    }
    Ok(())
}
