//! From syntax to plan: durations, `@` and query functions worked out, parentheses gone, parts
//! that are the same at all steps marked.

mod duration;
mod propagate;
#[cfg(test)]
mod tests;
mod times;

use tsdb_model::Matcher;

use crate::ast::{
    Aggregate, AggregateOp, At, Binary, BinaryOp, Call, Duration, Expr, Span, Subquery,
    VectorMatching, VectorSelector,
};
use crate::engine::EngineOptions;
use crate::error::QueryError;

use duration::DurationContext;
pub(crate) use times::{info_reference, time_range};

/// One node of the plan, with its place in the query text.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) node: Node,
    pub(crate) span: Span,
}

/// What a node does. All times and durations are milliseconds.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Number(f64),
    Text(String),
    Selector(Selector),
    Matrix(MatrixSelector),
    Subquery(Box<SubqueryPlan>),
    /// Same at all steps: evaluated once, at the first.
    Invariant(Box<Plan>),
    /// `-` when true, `+` when false.
    Sign(bool, Box<Plan>),
    Binary(Box<BinaryPlan>),
    Aggregate(Box<AggregatePlan>),
    Call(CallPlan),
}

/// A selector of series.
#[derive(Debug, Clone)]
pub(crate) struct Selector {
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) offset: i64,
    /// The time that stands for that of each step.
    pub(crate) at: Option<i64>,
    pub(crate) anchored: bool,
    pub(crate) smoothed: bool,
    /// Of native histograms only count and sum are wanted.
    pub(crate) stats_only: bool,
}

/// A selector of samples in a range.
#[derive(Debug, Clone)]
pub(crate) struct MatrixSelector {
    pub(crate) selector: Selector,
    pub(crate) range: i64,
}

/// An expression evaluated on its own grid.
#[derive(Debug, Clone)]
pub(crate) struct SubqueryPlan {
    pub(crate) expr: Plan,
    pub(crate) range: i64,
    pub(crate) step: i64,
    pub(crate) offset: i64,
    pub(crate) at: Option<i64>,
}

/// An operation on two expressions.
#[derive(Debug, Clone)]
pub(crate) struct BinaryPlan {
    pub(crate) op: BinaryOp,
    pub(crate) lhs: Plan,
    pub(crate) rhs: Plan,
    pub(crate) matching: Option<VectorMatching>,
    pub(crate) return_bool: bool,
}

/// An aggregation.
#[derive(Debug, Clone)]
pub(crate) struct AggregatePlan {
    pub(crate) op: AggregateOp,
    pub(crate) expr: Plan,
    pub(crate) param: Option<Plan>,
    pub(crate) grouping: Vec<String>,
    pub(crate) without: bool,
}

/// A function call.
#[derive(Debug, Clone)]
pub(crate) struct CallPlan {
    pub(crate) name: &'static str,
    pub(crate) args: Vec<Plan>,
}

/// Times of a query, milliseconds; `step` is 0 for instant queries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueryTimes {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) step: i64,
}

/// Makes the plan of an expression.
pub(crate) fn plan(
    expr: &Expr,
    times: QueryTimes,
    options: &EngineOptions,
) -> Result<Plan, QueryError> {
    let planner = Planner {
        times,
        durations: DurationContext {
            step: times.step as f64 / 1000.0,
            range: times.end.saturating_sub(times.start) as f64 / 1000.0,
        },
        default_step: options.default_subquery_step_ms.max(1),
    };
    Ok(planner.plan(expr, Above::default())?.wrapped())
}

/// A planned part, and whether it is the same at all steps.
struct Part {
    plan: Plan,
    invariant: bool,
    /// Worth evaluating only once: not so for ranges (whose samples have times of their own) and
    /// literals.
    wrap: bool,
}

impl Part {
    fn wrapped(self) -> Plan {
        if self.invariant && self.wrap {
            let span = self.plan.span;
            Plan {
                node: Node::Invariant(Box::new(self.plan)),
                span,
            }
        } else {
            self.plan
        }
    }
}

/// What stands above a node: decides whether histograms are needed whole.
#[derive(Debug, Clone, Copy, Default)]
struct Above {
    stats_function: bool,
    needs_buckets: bool,
}

struct Planner {
    times: QueryTimes,
    durations: DurationContext,
    default_step: i64,
}

impl Planner {
    fn plan(&self, expr: &Expr, above: Above) -> Result<Part, QueryError> {
        let span = expr.span();
        let literal = |node| Part {
            plan: Plan { node, span },
            invariant: true,
            wrap: false,
        };
        match expr {
            Expr::Number(e) => Ok(literal(Node::Number(e.value))),
            Expr::String(e) => Ok(literal(Node::Text(e.value.clone()))),
            Expr::Vector(e) => {
                let selector = self.selector(e, above)?;
                let invariant = selector.at.is_some();
                Ok(Part {
                    plan: Plan {
                        node: Node::Selector(selector),
                        span,
                    },
                    invariant,
                    wrap: true,
                })
            }
            Expr::Matrix(e) => {
                let selector = self.selector(&e.selector, above)?;
                let range = self.duration(&e.range, false)?;
                let invariant = selector.at.is_some();
                Ok(Part {
                    plan: Plan {
                        node: Node::Matrix(MatrixSelector { selector, range }),
                        span,
                    },
                    invariant,
                    wrap: false,
                })
            }
            Expr::Subquery(e) => self.subquery(e, span),
            Expr::Paren(e) => self.plan(&e.expr, above),
            Expr::Unary(e) => {
                let mut part = self.plan(&e.expr, above)?;
                part.plan = Plan {
                    node: Node::Sign(e.negative, Box::new(part.plan)),
                    span,
                };
                Ok(part)
            }
            Expr::Binary(e) => self.binary(e, span, above),
            Expr::Aggregate(e) => self.aggregate(e, span, above),
            Expr::Call(e) => self.call(e, span, above),
        }
    }

    fn selector(&self, e: &VectorSelector, above: Above) -> Result<Selector, QueryError> {
        Ok(Selector {
            matchers: e.matchers.clone(),
            offset: self.offset(e.offset.as_ref())?,
            at: self.at(e.at),
            anchored: e.anchored,
            smoothed: e.smoothed,
            stats_only: above.stats_function && !above.needs_buckets,
        })
    }

    fn subquery(&self, e: &Subquery, span: Span) -> Result<Part, QueryError> {
        let inner = self.plan(
            &e.expr,
            Above {
                stats_function: false,
                needs_buckets: true,
            },
        )?;
        let step = match &e.step {
            Some(step) => self.duration(step, false)?,
            None => self.default_step,
        };
        let at = self.at(e.at);
        let subquery = SubqueryPlan {
            expr: inner.wrapped(),
            range: self.duration(&e.range, false)?,
            step: step.max(1),
            offset: self.offset(e.offset.as_ref())?,
            at,
        };
        Ok(Part {
            plan: Plan {
                node: Node::Subquery(Box::new(subquery)),
                span,
            },
            invariant: at.is_some(),
            wrap: false,
        })
    }

    fn binary(&self, e: &Binary, span: Span, mut above: Above) -> Result<Part, QueryError> {
        above.needs_buckets |= matches!(e.op, BinaryOp::TrimUpper | BinaryOp::TrimLower);
        let lhs = self.plan(&e.lhs, above)?;
        let rhs = self.plan(&e.rhs, above)?;
        let invariant = lhs.invariant && rhs.invariant;
        let side = |part: Part| if invariant { part.plan } else { part.wrapped() };
        let mut binary = BinaryPlan {
            op: e.op,
            lhs: side(lhs),
            rhs: side(rhs),
            matching: e.matching.clone(),
            return_bool: e.return_bool,
        };
        propagate::propagate(&mut binary);
        Ok(Part {
            plan: Plan {
                node: Node::Binary(Box::new(binary)),
                span,
            },
            invariant,
            wrap: true,
        })
    }

    /// As in Prometheus the parameter has no say in whether the aggregation is the same at all
    /// steps.
    fn aggregate(&self, e: &Aggregate, span: Span, above: Above) -> Result<Part, QueryError> {
        let expr = self.plan(&e.expr, above)?;
        let param = match &e.param {
            Some(param) => Some(self.plan(param, above)?.plan),
            None => None,
        };
        let aggregate = AggregatePlan {
            op: e.op,
            expr: expr.plan,
            param,
            grouping: e.grouping.clone(),
            without: e.without,
        };
        Ok(Part {
            plan: Plan {
                node: Node::Aggregate(Box::new(aggregate)),
                span,
            },
            invariant: expr.invariant,
            wrap: expr.wrap,
        })
    }

    fn call(&self, e: &Call, span: Span, mut above: Above) -> Result<Part, QueryError> {
        let name = e.function.name;
        if let Some(value) = self.query_function(name) {
            return Ok(Part {
                plan: Plan {
                    node: Node::Number(value),
                    span,
                },
                invariant: true,
                wrap: false,
            });
        }
        match name {
            "histogram_count" | "histogram_sum" | "histogram_avg" => above.stats_function = true,
            "histogram_quantile" | "histogram_quantiles" | "histogram_fraction" => {
                above.needs_buckets = true;
            }
            _ => {}
        }
        let mut args = Vec::with_capacity(e.args.len());
        for arg in &e.args {
            args.push(self.plan(arg, above)?);
        }
        let all_invariant = args.iter().all(|arg| arg.invariant);
        // `timestamp` of a selector is the time of the sample, of anything else that of the step.
        let of_samples = name == "timestamp"
            && args
                .iter()
                .all(|arg| matches!(arg.plan.node, Node::Selector(_)));
        let invariant = all_invariant && (of_samples || !depends_on_step(name));
        let args = args
            .into_iter()
            .map(|arg| if invariant { arg.plan } else { arg.wrapped() })
            .collect();
        Ok(Part {
            plan: Plan {
                node: Node::Call(CallPlan { name, args }),
                span,
            },
            invariant,
            wrap: true,
        })
    }

    /// Value of a function that asks for the times of the query, seconds.
    fn query_function(&self, name: &str) -> Option<f64> {
        let times = self.times;
        match name {
            "start" => Some(times.start as f64 / 1000.0),
            "end" => Some(times.end as f64 / 1000.0),
            "range" => Some(self.durations.range),
            "step" if times.start == times.end => Some(0.0),
            "step" => Some(self.durations.step),
            _ => None,
        }
    }

    fn at(&self, at: Option<At>) -> Option<i64> {
        at.map(|at| match at {
            At::Timestamp(t) => t,
            At::Start => self.times.start,
            At::End => self.times.end,
        })
    }

    fn offset(&self, offset: Option<&Duration>) -> Result<i64, QueryError> {
        offset.map_or(Ok(0), |offset| self.duration(offset, true))
    }

    fn duration(&self, duration: &Duration, may_be_negative: bool) -> Result<i64, QueryError> {
        match duration {
            Duration::Literal(ms) => Ok(*ms),
            Duration::Expr(expr) => self.durations.evaluate(expr, may_be_negative),
        }
    }
}

/// True for functions whose value depends on the time of the step even when their arguments do
/// not.
fn depends_on_step(name: &str) -> bool {
    matches!(
        name,
        "days_in_month"
            | "day_of_month"
            | "day_of_week"
            | "day_of_year"
            | "hour"
            | "minute"
            | "month"
            | "year"
            | "predict_linear"
            | "time"
            | "timestamp"
    )
}
