//! Random trees that the parser could have made.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tsdb_model::{METRIC_NAME, MatchOp, Matcher};

use crate::ast::*;
use crate::functions::table::function;

fn nowhere() -> Span {
    Span::default()
}

fn label() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_][a-z0-9_]{0,4}",
        Just("by".to_string()),
        Just("offset".to_string()),
        "[a-zé \"'\\\\.\n{}]{1,5}",
    ]
}

/// Keywords stand for metrics, too.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "m[a-z0-9_:]{0,6}",
        prop::sample::select(vec![
            "sum", "by", "offset", "and", "start", "step", "fill", "anchored"
        ])
        .prop_map(String::from),
    ]
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let op = prop::sample::select(vec![
        MatchOp::Equal,
        MatchOp::NotEqual,
        MatchOp::Regex,
        MatchOp::NotRegex,
    ]);
    (label(), op, "[a-zé\"\\n`']{0,6}")
        .prop_map(|(label, op, value)| Matcher::new(op, label, value).unwrap())
}

fn number() -> impl Strategy<Value = NumberLiteral> {
    let literal = |value, is_duration| NumberLiteral {
        value,
        is_duration,
        span: nowhere(),
    };
    prop_oneof![
        any::<f64>()
            .prop_filter("NaN equals nothing", |v| !v.is_nan())
            .prop_map(move |v| literal(v, false)),
        (-1000i32..1000).prop_map(move |v| literal(f64::from(v), false)),
        (1i32..1_000_000).prop_map(move |v| literal(f64::from(v), true)),
    ]
}

fn duration_expr() -> impl Strategy<Value = DurationExpr> {
    let expr = |kind, wrapped| DurationExpr {
        kind,
        wrapped,
        span: nowhere(),
    };
    // A number in parentheses is a sign that says nothing.
    let leaf = prop_oneof![
        Just(expr(DurationExprKind::Step, false)),
        Just(expr(DurationExprKind::Range, true)),
        (1i32..10_000, any::<bool>()).prop_map(move |(v, is_duration)| {
            let number = DurationExprKind::Number(NumberLiteral {
                value: f64::from(v),
                is_duration,
                span: nowhere(),
            });
            expr(
                DurationExprKind::Sign(false, Box::new(expr(number, false))),
                true,
            )
        }),
    ];
    leaf.prop_recursive(3, 8, 2, move |inner| {
        let op = prop::sample::select(vec![
            BinaryOp::Add,
            BinaryOp::Sub,
            BinaryOp::Mul,
            BinaryOp::Div,
            BinaryOp::Mod,
            BinaryOp::Pow,
        ]);
        let both = (inner.clone(), inner.clone());
        prop_oneof![
            (op, both.clone()).prop_map(move |(op, (a, b))| {
                expr(DurationExprKind::Binary(op, Box::new(a), Box::new(b)), true)
            }),
            both.clone().prop_map(move |(a, b)| {
                expr(DurationExprKind::MinOf(Box::new(a), Box::new(b)), false)
            }),
            both.prop_map(move |(a, b)| {
                expr(DurationExprKind::MaxOf(Box::new(a), Box::new(b)), true)
            }),
            inner.prop_map(move |a| expr(DurationExprKind::Sign(true, Box::new(a)), true)),
        ]
    })
}

fn positive() -> impl Strategy<Value = Duration> {
    prop_oneof![
        3 => (1i64..10_000_000).prop_map(Duration::Literal),
        1 => duration_expr().prop_map(|e| Duration::Expr(Box::new(e))),
    ]
}

fn offset() -> impl Strategy<Value = Option<Duration>> {
    let literal = (-10_000_000i64..10_000_000).prop_filter("nothing", |ms| *ms != 0);
    option::of(prop_oneof![
        literal.prop_map(Duration::Literal),
        duration_expr().prop_map(|e| Duration::Expr(Box::new(e))),
    ])
}

fn at() -> impl Strategy<Value = Option<At>> {
    option::of(prop_oneof![
        (-1_000_000_000_000i64..1_000_000_000_000).prop_map(At::Timestamp),
        Just(At::Start),
        Just(At::End),
    ])
}

fn selector() -> impl Strategy<Value = VectorSelector> {
    let parts = (
        option::of(name()),
        vec(matcher(), 0..3),
        0..3,
        offset(),
        at(),
    );
    parts.prop_map(|(name, mut matchers, extended, offset, at)| {
        match &name {
            Some(name) => {
                matchers.retain(|m| m.name != METRIC_NAME);
                matchers.push(Matcher::equal(METRIC_NAME, name.as_str()));
            }
            None => matchers.push(Matcher::equal("some", "value")),
        }
        VectorSelector {
            name,
            matchers,
            offset,
            at,
            anchored: extended == 1,
            smoothed: extended == 2,
            span: nowhere(),
        }
    })
}

fn call(name: &str, args: Vec<Expr>) -> Expr {
    Expr::Call(Call {
        function: function(name).unwrap(),
        args,
        span: nowhere(),
    })
}

fn matrix(inner: impl Strategy<Value = Expr> + 'static) -> impl Strategy<Value = Expr> {
    let selector = (selector(), positive()).prop_map(|(selector, range)| {
        Expr::Matrix(MatrixSelector {
            selector,
            range,
            span: nowhere(),
        })
    });
    let subquery = (inner, positive(), option::of(positive()), offset(), at()).prop_map(
        |(expr, range, step, offset, at)| {
            Expr::Subquery(Box::new(Subquery {
                expr: operand(expr),
                range,
                step,
                offset,
                at,
                span: nowhere(),
            }))
        },
    );
    prop_oneof![selector, subquery]
}

/// What may stand beside an operator whatever that is: in parentheses unless it is simple.
fn operand(expr: Expr) -> Expr {
    match expr {
        Expr::Binary(_) | Expr::Unary(_) | Expr::Number(_) => Expr::Paren(Box::new(Paren {
            expr,
            span: nowhere(),
        })),
        // An offset in parentheses takes in the operator behind it.
        Expr::Vector(VectorSelector {
            offset: Some(Duration::Expr(_)),
            ..
        }) => Expr::Paren(Box::new(Paren {
            expr,
            span: nowhere(),
        })),
        expr => expr,
    }
}

fn matching(is_set: bool) -> impl Strategy<Value = VectorMatching> {
    let labels = || vec(label(), 0..3);
    let fill = || option::of((-1000i32..1000).prop_map(f64::from));
    (0..4, labels(), labels(), fill(), fill()).prop_map(
        move |(kind, labels, mut include, fill_lhs, fill_rhs)| {
            let on = kind % 2 == 0;
            include.retain(|label| !on || !labels.contains(label));
            let card = match kind {
                _ if is_set => Cardinality::ManyToMany,
                0 => Cardinality::ManyToOne,
                1 => Cardinality::OneToMany,
                _ => Cardinality::OneToOne,
            };
            if kind > 1 || is_set {
                include.clear();
            }
            VectorMatching {
                card,
                labels,
                on,
                include,
                fill_lhs: fill_lhs.filter(|_| !is_set),
                fill_rhs: fill_rhs.filter(|_| !is_set),
            }
        },
    )
}

fn binary(inner: impl Strategy<Value = Expr> + Clone + 'static) -> impl Strategy<Value = Expr> {
    let ops = vec![
        BinaryOp::Add,
        BinaryOp::Pow,
        BinaryOp::Atan2,
        BinaryOp::Mod,
        BinaryOp::Eq,
        BinaryOp::Ne,
        BinaryOp::Ge,
        BinaryOp::TrimLower,
        BinaryOp::TrimUpper,
        BinaryOp::And,
        BinaryOp::Or,
        BinaryOp::Unless,
    ];
    let op = prop::sample::select(ops);
    op.prop_flat_map(move |op| {
        let sides = (inner.clone(), inner.clone());
        (sides, matching(op.is_set()), any::<bool>()).prop_map(
            move |((lhs, rhs), matching, return_bool)| {
                Expr::Binary(Box::new(Binary {
                    op,
                    lhs: operand(lhs),
                    rhs: operand(rhs),
                    matching: Some(matching),
                    return_bool: return_bool && op.is_comparison(),
                    span: nowhere(),
                }))
            },
        )
    })
}

fn aggregate(inner: impl Strategy<Value = Expr> + 'static) -> impl Strategy<Value = Expr> {
    let ops = vec![
        AggregateOp::Sum,
        AggregateOp::Topk,
        AggregateOp::CountValues,
    ];
    let op = prop::sample::select(ops);
    (op, inner, number(), vec(label(), 0..3), any::<bool>()).prop_map(
        |(op, expr, k, grouping, without)| {
            let param = match op {
                AggregateOp::Topk => Some(Expr::Number(k)),
                AggregateOp::CountValues => Some(Expr::String(StringLiteral {
                    value: "é\"\n\\".into(),
                    span: nowhere(),
                })),
                _ => None,
            };
            Expr::Aggregate(Box::new(Aggregate {
                op,
                expr,
                param,
                grouping,
                without,
                span: nowhere(),
            }))
        },
    )
}

/// A random tree whose value is an instant vector.
pub(super) fn vector() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        4 => selector().prop_map(Expr::Vector),
        1 => number().prop_map(|n| call("vector", vec![Expr::Number(n)])),
        1 => Just(call("absent", vec![call("vector", vec![call("time", vec![])])])),
    ];
    leaf.prop_recursive(5, 32, 3, |inner| {
        let sign = (any::<bool>(), inner.clone()).prop_map(|(negative, expr)| {
            Expr::Unary(Box::new(Unary {
                negative,
                expr: operand(expr),
                span: nowhere(),
            }))
        });
        prop_oneof![
            binary(inner.clone()),
            aggregate(inner.clone()),
            matrix(inner.clone()).prop_map(|m| call("rate", vec![m])),
            (inner.clone(), number())
                .prop_map(|(e, n)| call("clamp_min", vec![e, Expr::Number(n)])),
            inner.prop_map(|expr| {
                Expr::Paren(Box::new(Paren {
                    expr,
                    span: nowhere(),
                }))
            }),
            sign,
        ]
    })
}
