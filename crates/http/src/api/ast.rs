//! Syntax trees as `/api/v1/parse_query` shows them, in the shape Prometheus's user interface
//! reads. Durations are milliseconds; a duration that is an expression shows as 0.

use serde_json::{Value, json};
use tsdb_model::Matcher;
use tsdb_promql::ast::{
    At, Binary, Call, Cardinality, Duration, Expr, ValueType, VectorMatching, VectorSelector,
};

/// An object. Values are moved in: `json!` would copy whole subtrees at each level.
fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    let members = members
        .into_iter()
        .map(|(name, value)| (name.to_string(), value));
    Value::Object(members.collect())
}

/// The tree of an expression. The parser bounds the depth.
pub(crate) fn to_json(expr: &Expr) -> Value {
    match expr {
        Expr::Number(e) => json!({"type": "numberLiteral", "val": positional(e.value)}),
        Expr::String(e) => json!({"type": "stringLiteral", "val": e.value}),
        Expr::Vector(e) => selector("vectorSelector", e),
        Expr::Matrix(e) => {
            let mut node = selector("matrixSelector", &e.selector);
            node["range"] = duration(Some(&e.range));
            node
        }
        Expr::Subquery(e) => object([
            ("type", json!("subquery")),
            ("expr", to_json(&e.expr)),
            ("range", duration(Some(&e.range))),
            ("offset", duration(e.offset.as_ref())),
            ("step", duration(e.step.as_ref())),
            ("timestamp", timestamp(e.at)),
            ("startOrEnd", start_or_end(e.at)),
        ]),
        Expr::Paren(e) => object([("type", json!("parenExpr")), ("expr", to_json(&e.expr))]),
        Expr::Unary(e) => object([
            ("type", json!("unaryExpr")),
            ("op", json!(if e.negative { "-" } else { "+" })),
            ("expr", to_json(&e.expr)),
        ]),
        Expr::Binary(e) => binary(e),
        Expr::Aggregate(e) => object([
            ("type", json!("aggregation")),
            ("op", json!(e.op.as_str())),
            ("expr", to_json(&e.expr)),
            ("param", e.param.as_ref().map_or(Value::Null, to_json)),
            ("grouping", json!(e.grouping)),
            ("without", json!(e.without)),
        ]),
        Expr::Call(e) => call(e),
    }
}

fn selector(kind: &str, e: &VectorSelector) -> Value {
    json!({
        "type": kind,
        "name": e.name.as_deref().unwrap_or_default(),
        "offset": duration(e.offset.as_ref()),
        "matchers": e.matchers.iter().map(matcher).collect::<Vec<_>>(),
        "timestamp": timestamp(e.at),
        "startOrEnd": start_or_end(e.at),
        "anchored": e.anchored,
        "smoothed": e.smoothed,
    })
}

fn matcher(m: &Matcher) -> Value {
    json!({"name": m.name, "value": m.value, "type": m.op.as_str()})
}

fn binary(e: &Binary) -> Value {
    object([
        ("type", json!("binaryExpr")),
        ("op", json!(e.op.as_str())),
        ("lhs", to_json(&e.lhs)),
        ("rhs", to_json(&e.rhs)),
        (
            "matching",
            e.matching.as_ref().map_or(Value::Null, matching),
        ),
        ("bool", json!(e.return_bool)),
    ])
}

fn matching(m: &VectorMatching) -> Value {
    let card = match m.card {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    json!({
        "card": card,
        "labels": m.labels,
        "on": m.on,
        "include": m.include,
        "fillValues": {"lhs": m.fill_lhs.map(number), "rhs": m.fill_rhs.map(number)},
    })
}

fn call(e: &Call) -> Value {
    let arg_types = e.function.arg_types.iter().map(|t| json!(value_type(*t)));
    let function = json!({
        "name": e.function.name,
        "argTypes": arg_types.collect::<Vec<_>>(),
        "variadic": e.function.variadic,
        "returnType": value_type(e.function.return_type),
    });
    object([
        ("type", json!("call")),
        ("func", function),
        ("args", Value::Array(e.args.iter().map(to_json).collect())),
    ])
}

fn value_type(t: ValueType) -> &'static str {
    match t {
        ValueType::Scalar => "scalar",
        ValueType::String => "string",
        ValueType::Vector => "vector",
        ValueType::Matrix => "matrix",
    }
}

fn duration(d: Option<&Duration>) -> Value {
    match d {
        Some(Duration::Literal(ms)) => json!(ms),
        Some(Duration::Expr(_)) | None => json!(0),
    }
}

fn timestamp(at: Option<At>) -> Value {
    match at {
        Some(At::Timestamp(ms)) => json!(ms),
        _ => Value::Null,
    }
}

fn start_or_end(at: Option<At>) -> Value {
    match at {
        Some(At::Start) => json!("start"),
        Some(At::End) => json!("end"),
        _ => Value::Null,
    }
}

fn positional(v: f64) -> String {
    let mut out = String::new();
    tsdb_model::float::write_float_positional(&mut out, v);
    out
}

/// Whole numbers without `.0`; null for what JSON has no number for.
fn number(v: f64) -> Value {
    if v.fract() == 0.0 && v.abs() < 1e15 {
        json!(v as i64)
    } else {
        json!(v)
    }
}
