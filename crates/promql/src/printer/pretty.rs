//! Expressions over several lines: what is longer than a line is split at its outermost level,
//! its parts one level further in.

use std::fmt::{self, Write};

use super::{write_aggregate_head, write_operator, write_subquery_suffix};
use crate::ast::Expr;

/// Longest text that stays in one line.
const LINE: usize = 100;

/// The expression as `/api/v1/format_query` prints it.
pub fn format(expr: &Expr) -> String {
    let mut out = String::new();
    // Writing into a string cannot fail.
    let _ = write_pretty(&mut out, expr, 0);
    out
}

fn write_pretty(out: &mut String, expr: &Expr, level: usize) -> fmt::Result {
    match expr {
        // As Prometheus has it: no indentation in front of a short subquery.
        Expr::Subquery(_) if !is_long(expr) => write!(out, "{expr}"),
        Expr::Subquery(e) => {
            write_pretty(out, &e.expr, level)?;
            write_subquery_suffix(out, e)
        }
        Expr::Unary(e) => {
            indent(out, level);
            out.push(if e.negative { '-' } else { '+' });
            let mut inner = String::new();
            write_pretty(&mut inner, &e.expr, level)?;
            out.push_str(inner.trim());
            Ok(())
        }
        Expr::Binary(e) if is_long(expr) => {
            write_pretty(out, &e.lhs, level + 1)?;
            out.push('\n');
            indent(out, level);
            write_operator(out, e)?;
            out.push('\n');
            write_pretty(out, &e.rhs, level + 1)
        }
        Expr::Paren(e) if is_long(expr) => {
            indent(out, level);
            write_parts(out, [&e.expr], level)
        }
        Expr::Aggregate(e) if is_long(expr) => {
            indent(out, level);
            write_aggregate_head(out, e)?;
            write_parts(out, e.param.iter().chain([&e.expr]), level)
        }
        Expr::Call(e) if is_long(expr) => {
            indent(out, level);
            out.push_str(e.function.name);
            write_parts(out, &e.args, level)
        }
        _ => {
            indent(out, level);
            write!(out, "{expr}")
        }
    }
}

/// Parts in parentheses, each on a line of its own.
fn write_parts<'a>(
    out: &mut String,
    parts: impl IntoIterator<Item = &'a Expr>,
    level: usize,
) -> fmt::Result {
    out.push_str("(\n");
    for (i, part) in parts.into_iter().enumerate() {
        if i > 0 {
            out.push_str(",\n");
        }
        write_pretty(out, part, level + 1)?;
    }
    out.push('\n');
    indent(out, level);
    out.push(')');
    Ok(())
}

fn indent(out: &mut String, level: usize) {
    for _ in 0..level {
        out.push_str("  ");
    }
}

/// True when the expression does not fit into one line. Does not print more than that.
fn is_long(expr: &Expr) -> bool {
    write!(Room(LINE), "{expr}").is_err()
}

/// Takes as many bytes as there is room for, then fails.
struct Room(usize);

impl Write for Room {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.checked_sub(text.len()).ok_or(fmt::Error)?;
        Ok(())
    }
}
