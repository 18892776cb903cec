//! Types: what may stand where. Also settles what depends on types: operators between vectors keep
//! their matching, all others lose it.

use tsdb_model::METRIC_NAME;

use crate::ast::{
    Aggregate, AggregateOp, Binary, Call, Cardinality, Expr, MatrixSelector, Span, Subquery, Unary,
    ValueType, VectorSelector,
};
use crate::lexer::Fault;
use crate::token::quote;

type Checked = Result<ValueType, Fault>;

/// Checks a tree of at most [`crate::parse::MAX_DEPTH`] levels. The kinds of nodes have functions
/// of their own so that a level takes little of the stack.
pub(crate) fn check(expr: &mut Expr, query: &str) -> Checked {
    match expr {
        Expr::Number(_) => Ok(ValueType::Scalar),
        Expr::String(_) => Ok(ValueType::String),
        Expr::Vector(selector) => check_selector(selector, false),
        Expr::Matrix(matrix) => check_matrix(matrix),
        Expr::Paren(paren) => check(&mut paren.expr, query),
        Expr::Unary(unary) => check_unary(unary, query),
        Expr::Subquery(subquery) => check_subquery(subquery, query),
        Expr::Aggregate(aggregate) => check_aggregate(aggregate, query),
        Expr::Binary(binary) => check_binary(binary, query),
        Expr::Call(call) => check_call(call, query),
    }
}

fn check_matrix(matrix: &MatrixSelector) -> Checked {
    check_selector(&matrix.selector, false)?;
    Ok(ValueType::Matrix)
}

fn check_unary(unary: &mut Unary, query: &str) -> Checked {
    let got = check(&mut unary.expr, query)?;
    check_operand(got, unary.span)
}

fn check_subquery(subquery: &mut Subquery, query: &str) -> Checked {
    let got = check(&mut subquery.expr, query)?;
    check_subquery_type(got, subquery.span)
}

fn check_aggregate(aggregate: &mut Aggregate, query: &str) -> Checked {
    let got = check(&mut aggregate.expr, query)?;
    expect_type(
        &aggregate.expr,
        ValueType::Vector,
        got,
        "aggregation expression",
    )?;
    let Some(param) = &mut aggregate.param else {
        return Ok(ValueType::Vector);
    };
    let got = check(param, query)?;
    let wanted = match aggregate.op {
        AggregateOp::CountValues => ValueType::String,
        _ => ValueType::Scalar,
    };
    expect_type(param, wanted, got, "aggregation parameter")?;
    Ok(ValueType::Vector)
}

fn check_binary(binary: &mut Binary, query: &str) -> Checked {
    let lhs = check(&mut binary.lhs, query)?;
    let rhs = check(&mut binary.rhs, query)?;
    check_operator(binary, lhs, rhs, query)
}

fn check_call(call: &mut Call, query: &str) -> Checked {
    check_argument_count(call)?;
    check_info(call)?;
    for at in 0..call.args.len() {
        let got = check_arg(call, at, query)?;
        check_argument(call, at, got)?;
    }
    Ok(call.function.return_type)
}

fn check_arg(call: &mut Call, at: usize, query: &str) -> Checked {
    let is_info = call.function.name == "info";
    match call.args.get_mut(at) {
        Some(Expr::Vector(selector)) if is_info && at == 1 => check_selector(selector, true),
        Some(arg) => check(arg, query),
        None => Ok(call.function.return_type),
    }
}

/// The type's name in errors and on the HTTP API's pages.
fn documented(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::Scalar => "scalar",
        ValueType::String => "string",
        ValueType::Vector => "instant vector",
        ValueType::Matrix => "range vector",
    }
}

fn fault<T>(span: Span, message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::new(span, message))
}

fn check_operand(got: ValueType, span: Span) -> Checked {
    if matches!(got, ValueType::Scalar | ValueType::Vector) {
        return Ok(got);
    }
    let got = documented(got);
    fault(
        span,
        format!(
            "unary expression only allowed on expressions of type scalar or instant vector, \
             got \"{got}\""
        ),
    )
}

fn check_subquery_type(got: ValueType, span: Span) -> Checked {
    let got = match got {
        ValueType::Vector => return Ok(ValueType::Matrix),
        ValueType::Matrix => "matrix",
        other => documented(other),
    };
    fault(
        span,
        format!("subquery is only allowed on instant vector, got {got} instead"),
    )
}

/// `may_be_empty` lets a selector select everything.
fn check_selector(selector: &VectorSelector, may_be_empty: bool) -> Checked {
    if let Some(name) = &selector.name {
        // The last matcher is the one that stands for the name.
        let others = selector.matchers.len().saturating_sub(1);
        let twice = selector
            .matchers
            .iter()
            .take(others)
            .find(|m| m.name == METRIC_NAME);
        if let Some(other) = twice {
            let (name, other) = (quote(name), quote(&other.value));
            return fault(
                selector.span,
                format!("metric name must not be set twice: {name} or {other}"),
            );
        }
    } else if !may_be_empty
        && selector
            .matchers
            .iter()
            .all(tsdb_model::Matcher::matches_empty)
    {
        return fault(
            selector.span,
            "vector selector must contain at least one non-empty matcher",
        );
    }
    Ok(ValueType::Vector)
}

fn expect_type(expr: &Expr, wanted: ValueType, got: ValueType, place: &str) -> Result<(), Fault> {
    if wanted == got {
        return Ok(());
    }
    let (wanted, got) = (documented(wanted), documented(got));
    fault(
        expr.span(),
        format!("expected type {wanted} in {place}, got {got}"),
    )
}

/// What an operator demands of its sides.
fn check_operator(binary: &mut Binary, lhs: ValueType, rhs: ValueType, query: &str) -> Checked {
    let op = binary.op;
    let both = |wanted| lhs == wanted && rhs == wanted;
    if binary.return_bool && !op.is_comparison() {
        let span = operator_span(binary, query);
        return fault(
            span,
            "bool modifier can only be used on comparison operators",
        );
    }
    if op.is_comparison() && !binary.return_bool && both(ValueType::Scalar) {
        let span = operator_span(binary, query);
        return fault(span, "comparisons between scalars must use BOOL modifier");
    }
    if let Some(matching) = &binary.matching
        && matching.on
    {
        let in_both = |label: &&String| matching.include.contains(*label);
        if let Some(label) = matching.labels.iter().find(in_both) {
            let label = quote(label);
            let span = operator_span(binary, query);
            let text = format!("label {label} must not occur in ON and GROUP clause at once");
            return fault(span, text);
        }
    }
    for (side, got) in [(&binary.lhs, lhs), (&binary.rhs, rhs)] {
        if !matches!(got, ValueType::Scalar | ValueType::Vector) {
            let text = "binary expression must contain only scalar and instant vector types";
            return fault(side.span(), text);
        }
    }
    check_matching(binary, both(ValueType::Vector))?;
    if op.is_set() && !both(ValueType::Vector) {
        let op = op.as_str();
        let text = format!("set operator \"{op}\" not allowed in binary scalar expression");
        return fault(binary.span, text);
    }
    Ok(if both(ValueType::Scalar) {
        ValueType::Scalar
    } else {
        ValueType::Vector
    })
}

fn check_matching(binary: &mut Binary, vectors: bool) -> Result<(), Fault> {
    let Some(matching) = &mut binary.matching else {
        return Ok(());
    };
    let fills = matching.fill_lhs.is_some() || matching.fill_rhs.is_some();
    if !vectors {
        let problem = if !matching.labels.is_empty() {
            "vector matching only allowed between instant vectors"
        } else if fills {
            "filling in missing series only allowed between instant vectors"
        } else {
            binary.matching = None;
            return Ok(());
        };
        return fault(binary.span, problem);
    }
    if !binary.op.is_set() {
        return Ok(());
    }
    if matching.card != Cardinality::OneToOne {
        let op = binary.op.as_str();
        let text = format!("no grouping allowed for \"{op}\" operation");
        return fault(binary.span, text);
    }
    matching.card = Cardinality::ManyToMany;
    if fills {
        let text = "filling in missing series not allowed for set operators";
        return fault(binary.span, text);
    }
    Ok(())
}

/// What stands between the operands, without the spaces around it.
fn operator_span(binary: &Binary, query: &str) -> Span {
    let (from, to) = (binary.lhs.span().end, binary.rhs.span().start);
    let between = query.get(from..to).unwrap_or_default();
    let spaces = between.len() - between.trim_ascii_start().len();
    Span {
        start: from + spaces,
        end: from + between.trim_ascii_end().len(),
    }
}

fn check_argument_count(call: &Call) -> Result<(), Fault> {
    let function = call.function;
    let (listed, got) = (function.arg_types.len(), call.args.len());
    let name = quote(function.name);
    let text = if function.variadic == 0 {
        if listed == got {
            return Ok(());
        }
        format!("expected {listed} argument(s) in call to {name}, got {got}")
    } else {
        let least = listed.saturating_sub(1);
        let most = usize::try_from(function.variadic).map(|more| least + more);
        match most {
            _ if got < least => {
                format!("expected at least {least} argument(s) in call to {name}, got {got}")
            }
            Ok(most) if got > most => {
                format!("expected at most {most} argument(s) in call to {name}, got {got}")
            }
            _ => return Ok(()),
        }
    };
    fault(call.span, text)
}

/// The second argument of `info` only says which labels are wanted.
fn check_info(call: &Call) -> Result<(), Fault> {
    let Some(arg) = call.args.get(1).filter(|_| call.function.name == "info") else {
        return Ok(());
    };
    let got = arg.value_type();
    if got != ValueType::Vector {
        return check_argument(call, 1, got);
    }
    match arg {
        Expr::Vector(selector) if selector.name.is_none() => Ok(()),
        Expr::Vector(_) => fault(
            arg.span(),
            "expected label selectors only, got vector selector instead",
        ),
        _ => fault(arg.span(), "expected label selectors only"),
    }
}

fn check_argument(call: &Call, at: usize, got: ValueType) -> Result<(), Fault> {
    let types = call.function.arg_types;
    let wanted = types.get(at).or(types.last());
    match wanted {
        Some(wanted) if *wanted != got => {
            let (wanted, got) = (documented(*wanted), documented(got));
            let name = quote(call.function.name);
            let whole = call.function.name == "info" && at == 1;
            let arg = call.args.get(at).map(Expr::span).filter(|_| !whole);
            fault(
                arg.unwrap_or(call.span),
                format!("expected type {wanted} in call to function {name}, got {got}"),
            )
        }
        _ => Ok(()),
    }
}
