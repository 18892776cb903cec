//! The table of all functions, sorted by name: one row for each.

use super::Function;
use crate::ast::ValueType::{self, Matrix as M, Scalar as S, String as T, Vector as V};

const STABLE: bool = false;
const EXPERIMENTAL: bool = true;

/// Every function of PromQL, sorted by name.
pub static FUNCTIONS: &[Function] = &[
    row("abs", &[V], 0, V, STABLE),
    row("absent", &[V], 0, V, STABLE),
    row("absent_over_time", &[M], 0, V, STABLE),
    row("acos", &[V], 0, V, STABLE),
    row("acosh", &[V], 0, V, STABLE),
    row("asin", &[V], 0, V, STABLE),
    row("asinh", &[V], 0, V, STABLE),
    row("atan", &[V], 0, V, STABLE),
    row("atanh", &[V], 0, V, STABLE),
    row("avg_over_time", &[M], 0, V, STABLE),
    row("ceil", &[V], 0, V, STABLE),
    row("changes", &[M], 0, V, STABLE),
    row("clamp", &[V, S, S], 0, V, STABLE),
    row("clamp_max", &[V, S], 0, V, STABLE),
    row("clamp_min", &[V, S], 0, V, STABLE),
    row("cos", &[V], 0, V, STABLE),
    row("cosh", &[V], 0, V, STABLE),
    row("count_over_time", &[M], 0, V, STABLE),
    row("day_of_month", &[V], 1, V, STABLE),
    row("day_of_week", &[V], 1, V, STABLE),
    row("day_of_year", &[V], 1, V, STABLE),
    row("days_in_month", &[V], 1, V, STABLE),
    row("deg", &[V], 0, V, STABLE),
    row("delta", &[M], 0, V, STABLE),
    row("deriv", &[M], 0, V, STABLE),
    row(
        "double_exponential_smoothing",
        &[M, S, S],
        0,
        V,
        EXPERIMENTAL,
    ),
    row("end", &[], 0, S, EXPERIMENTAL),
    row("exp", &[V], 0, V, STABLE),
    row("first_over_time", &[M], 0, V, STABLE),
    row("floor", &[V], 0, V, STABLE),
    row("histogram_avg", &[V], 0, V, STABLE),
    row("histogram_count", &[V], 0, V, STABLE),
    row("histogram_fraction", &[S, S, V], 0, V, STABLE),
    row("histogram_quantile", &[S, V], 0, V, STABLE),
    row("histogram_quantiles", &[V, T, S, S], 9, V, EXPERIMENTAL),
    row("histogram_stddev", &[V], 0, V, STABLE),
    row("histogram_stdvar", &[V], 0, V, STABLE),
    row("histogram_sum", &[V], 0, V, STABLE),
    row("hour", &[V], 1, V, STABLE),
    row("idelta", &[M], 0, V, STABLE),
    row("increase", &[M], 0, V, STABLE),
    row("info", &[V, V], 1, V, EXPERIMENTAL),
    row("irate", &[M], 0, V, STABLE),
    row("label_join", &[V, T, T, T], -1, V, STABLE),
    row("label_replace", &[V, T, T, T, T], 0, V, STABLE),
    row("last_over_time", &[M], 0, V, STABLE),
    row("ln", &[V], 0, V, STABLE),
    row("log10", &[V], 0, V, STABLE),
    row("log2", &[V], 0, V, STABLE),
    row("mad_over_time", &[M], 0, V, EXPERIMENTAL),
    row("max_of", &[S, S], 0, S, EXPERIMENTAL),
    row("max_over_time", &[M], 0, V, STABLE),
    row("min_of", &[S, S], 0, S, EXPERIMENTAL),
    row("min_over_time", &[M], 0, V, STABLE),
    row("minute", &[V], 1, V, STABLE),
    row("month", &[V], 1, V, STABLE),
    row("pi", &[], 0, S, STABLE),
    row("predict_linear", &[M, S], 0, V, STABLE),
    row("present_over_time", &[M], 0, V, STABLE),
    row("quantile_over_time", &[S, M], 0, V, STABLE),
    row("rad", &[V], 0, V, STABLE),
    row("range", &[], 0, S, EXPERIMENTAL),
    row("rate", &[M], 0, V, STABLE),
    row("resets", &[M], 0, V, STABLE),
    row("round", &[V, S], 1, V, STABLE),
    row("scalar", &[V], 0, S, STABLE),
    row("sgn", &[V], 0, V, STABLE),
    row("sin", &[V], 0, V, STABLE),
    row("sinh", &[V], 0, V, STABLE),
    row("sort", &[V], 0, V, STABLE),
    row("sort_by_label", &[V, T], -1, V, EXPERIMENTAL),
    row("sort_by_label_desc", &[V, T], -1, V, EXPERIMENTAL),
    row("sort_desc", &[V], 0, V, STABLE),
    row("sqrt", &[V], 0, V, STABLE),
    row("start", &[], 0, S, EXPERIMENTAL),
    row("start_timestamp", &[V], 0, V, EXPERIMENTAL),
    row("stddev_over_time", &[M], 0, V, STABLE),
    row("stdvar_over_time", &[M], 0, V, STABLE),
    row("step", &[], 0, S, EXPERIMENTAL),
    row("sum_over_time", &[M], 0, V, STABLE),
    row("tan", &[V], 0, V, STABLE),
    row("tanh", &[V], 0, V, STABLE),
    row("time", &[], 0, S, STABLE),
    row("timestamp", &[V], 0, V, STABLE),
    row("ts_of_first_over_time", &[M], 0, V, EXPERIMENTAL),
    row("ts_of_last_over_time", &[M], 0, V, EXPERIMENTAL),
    row("ts_of_max_over_time", &[M], 0, V, EXPERIMENTAL),
    row("ts_of_min_over_time", &[M], 0, V, EXPERIMENTAL),
    row("vector", &[S], 0, V, STABLE),
    row("year", &[V], 1, V, STABLE),
];

const fn row(
    name: &'static str,
    arg_types: &'static [ValueType],
    variadic: i32,
    return_type: ValueType,
    experimental: bool,
) -> Function {
    Function {
        name,
        arg_types,
        variadic,
        return_type,
        experimental,
    }
}

/// The function with this name; names are case-sensitive.
pub fn function(name: &str) -> Option<&'static Function> {
    let at = FUNCTIONS.binary_search_by(|f| f.name.cmp(name)).ok()?;
    FUNCTIONS.get(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_and_found() {
        assert!(FUNCTIONS.windows(2).all(|pair| pair[0].name < pair[1].name));
        for f in FUNCTIONS {
            assert_eq!(function(f.name), Some(f));
        }
        assert_eq!(function("holt_winters"), None);
        assert_eq!(function("RATE"), None);
    }

    #[test]
    fn signatures() {
        let quantile = function("quantile_over_time").unwrap();
        assert_eq!(quantile.arg_types, [S, M]);
        assert_eq!(function("round").unwrap().variadic, 1);
        assert_eq!(function("label_join").unwrap().variadic, -1);
        assert_eq!(function("scalar").unwrap().return_type, S);
        assert!(function("info").unwrap().experimental);
        assert!(!function("first_over_time").unwrap().experimental);
    }
}
