//! Functions of range vectors, series by series over all steps.

mod float_windows;
mod source;

use tsdb_model::{Labels, METRIC_NAME, MatchOp, Matcher};

use super::column::{Grid, Scalar, Series};
use super::matrix::Ranges;
use super::set::Presence;
use super::{Evaluated, Evaluator, Frame, unexpected};
use crate::error::QueryError;
use crate::functions::over_time::Extreme;
use crate::functions::rate::RateKind;
use crate::plan::{CallPlan, Node, Plan};

use source::RangeSource;

/// What is computed for each window.
enum RangeFunction {
    Rate(RateKind),
    Irate,
    Idelta,
    Resets,
    Changes,
    Deriv,
    PredictLinear(Scalar),
    Smoothing(Scalar, Scalar),
    Sum,
    Avg,
    Extreme(Extreme),
    TimeOfExtreme(Extreme),
    Quantile(Scalar),
    Mad,
    Variance,
    Deviation,
    Count,
    First,
    Last,
    TimeOfFirst,
    TimeOfLast,
    Present,
}

/// True for the functions of range vectors.
pub(crate) fn is_range_function(name: &str) -> bool {
    matches!(
        name,
        "rate"
            | "increase"
            | "delta"
            | "irate"
            | "idelta"
            | "resets"
            | "changes"
            | "deriv"
            | "predict_linear"
            | "double_exponential_smoothing"
    ) || name.ends_with("_over_time")
}

/// Functions that take anchored and smoothed selectors.
const ANCHORED: [&str; 5] = ["changes", "delta", "increase", "rate", "resets"];
const SMOOTHED: [&str; 3] = ["delta", "increase", "rate"];

impl<'q> Evaluator<'q> {
    /// Value of a function of a range vector.
    pub(super) fn range_call(
        &self,
        call: &CallPlan,
        grid: Grid,
    ) -> Result<Evaluated<'q>, QueryError> {
        if call.name == "absent_over_time" {
            return self.absent_over_time(call, grid).map(Evaluated::Vector);
        }
        let source = self.range_source(call, grid)?;
        self.collect(&source).map(Evaluated::Vector)
    }

    /// The same, one series after the other.
    pub(super) fn range_source<'a>(
        &'a self,
        call: &'a CallPlan,
        grid: Grid,
    ) -> Result<RangeSource<'a, 'q>, QueryError> {
        let is_range = |plan: &Plan| matches!(plan.node, Node::Matrix(_) | Node::Subquery(_));
        let (Some(range), Some(first)) =
            (call.args.iter().find(|a| is_range(a)), call.args.first())
        else {
            return Err(unexpected("instant vector"));
        };
        let ranges = self.ranges(range, grid)?;
        let mut scalars = Vec::new();
        for arg in call.args.iter().filter(|a| !is_range(a)) {
            scalars.push(self.scalar(arg, grid)?);
        }
        check_modifier(call.name, &ranges)?;
        let function = range_function(call.name, scalars)?;
        let counter = matches!(call.name, "rate" | "irate" | "increase" | "resets");
        let seconds = ranges.windows.range as f64 / 1000.0;
        Ok(RangeSource {
            evaluator: self,
            ranges,
            function,
            grid,
            range_seconds: seconds,
            start_times: counter && self.options.start_timestamps,
            check_counter: matches!(call.name, "rate" | "increase"),
            keep_name: matches!(call.name, "first_over_time" | "last_over_time"),
            keep_duplicates: false,
            span: first.span,
        })
    }

    fn absent_over_time(&self, call: &CallPlan, grid: Grid) -> Result<Frame<'q>, QueryError> {
        let mut source = self.range_source(call, grid)?;
        source.keep_duplicates = true;
        let mut present = Presence::default();
        self.for_each(&source, |series| {
            present.insert_all(series);
            Ok(())
        })?;
        let labels = call.args.first().map_or_else(Labels::empty, absent_labels);
        self.frame(vec![absent_series(labels, &present, grid)])
    }
}

/// A series of ones at the steps at which nothing is present.
pub(super) fn absent_series(labels: Labels, present: &Presence, grid: Grid) -> Series {
    let mut series = Series::new(labels, true);
    if present.count() < grid.steps {
        series.floats = (0..grid.steps)
            .filter(|step| !present.contains(*step))
            .map(|step| (step, 1.0))
            .collect();
    }
    series
}

/// Labels that what is absent would have had: those its selector asks for, each by one `=` only.
pub(super) fn absent_labels(plan: &Plan) -> Labels {
    let matchers: &[Matcher] = match &plan.node {
        Node::Selector(selector) => &selector.matchers,
        Node::Matrix(matrix) => &matrix.selector.matchers,
        _ => &[],
    };
    let mut builder = Labels::empty().to_builder();
    let mut known: Vec<&str> = Vec::new();
    // Prometheus's selection moves the matchers that only take away behind the others.
    let takes_away =
        |m: &&Matcher| matches!(m.op, MatchOp::NotEqual | MatchOp::NotRegex) && m.matches_empty();
    let first = matchers.iter().filter(|m| !takes_away(m));
    let last = matchers.iter().filter(takes_away);
    for matcher in first.chain(last).filter(|m| m.name != METRIC_NAME) {
        if matcher.op == MatchOp::Equal && !known.contains(&matcher.name.as_str()) {
            builder.set(&matcher.name, &matcher.value);
            known.push(&matcher.name);
        } else {
            builder.remove(&matcher.name);
        }
    }
    builder.build()
}

fn check_modifier(name: &str, ranges: &Ranges<'_, '_>) -> Result<(), QueryError> {
    let (modifier, safe) = if ranges.anchored() {
        ("anchored", ANCHORED.as_slice())
    } else if ranges.smoothed() {
        ("smoothed", SMOOTHED.as_slice())
    } else {
        return Ok(());
    };
    if safe.contains(&name) {
        return Ok(());
    }
    Err(QueryError::Execution(format!(
        "{modifier} modifier can only be used with: {} - not with {name}",
        safe.join(", ")
    )))
}

fn range_function(name: &str, scalars: Vec<Scalar>) -> Result<RangeFunction, QueryError> {
    let mut scalars = scalars.into_iter();
    let mut scalar = || {
        scalars
            .next()
            .ok_or_else(|| unexpected("too few arguments"))
    };
    let rate = |counter, per_second| {
        RangeFunction::Rate(RateKind {
            counter,
            per_second,
        })
    };
    Ok(match name {
        "rate" => rate(true, true),
        "increase" => rate(true, false),
        "delta" => rate(false, false),
        "irate" => RangeFunction::Irate,
        "idelta" => RangeFunction::Idelta,
        "resets" => RangeFunction::Resets,
        "changes" => RangeFunction::Changes,
        "deriv" => RangeFunction::Deriv,
        "predict_linear" => RangeFunction::PredictLinear(scalar()?),
        "double_exponential_smoothing" => RangeFunction::Smoothing(scalar()?, scalar()?),
        "sum_over_time" => RangeFunction::Sum,
        "avg_over_time" => RangeFunction::Avg,
        "min_over_time" => RangeFunction::Extreme(Extreme::Min),
        "max_over_time" => RangeFunction::Extreme(Extreme::Max),
        "ts_of_min_over_time" => RangeFunction::TimeOfExtreme(Extreme::Min),
        "ts_of_max_over_time" => RangeFunction::TimeOfExtreme(Extreme::Max),
        "quantile_over_time" => RangeFunction::Quantile(scalar()?),
        "mad_over_time" => RangeFunction::Mad,
        "stdvar_over_time" => RangeFunction::Variance,
        "stddev_over_time" => RangeFunction::Deviation,
        "count_over_time" => RangeFunction::Count,
        "first_over_time" => RangeFunction::First,
        "last_over_time" => RangeFunction::Last,
        "ts_of_first_over_time" => RangeFunction::TimeOfFirst,
        "ts_of_last_over_time" => RangeFunction::TimeOfLast,
        "present_over_time" | "absent_over_time" => RangeFunction::Present,
        _ => return Err(unexpected(&format!("function {name}"))),
    })
}
