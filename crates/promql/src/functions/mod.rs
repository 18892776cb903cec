//! The functions of PromQL: their table, and what they compute.

pub mod classic_histogram;
pub(crate) mod extended_rate;
pub mod histogram_aggregate;
pub mod kahan;
pub mod label;
pub(crate) mod lanes;
pub mod math;
pub mod native_histogram;
pub mod natural_sort;
pub(crate) mod over_time;
pub mod quantile;
pub(crate) mod rate;
pub(crate) mod regression;
pub(crate) mod resets;
pub(crate) mod sliding;
pub mod table;
pub mod time;
pub(crate) mod window;

use crate::ast::ValueType;

/// Signature of one function.
#[derive(Debug, PartialEq)]
pub struct Function {
    /// Name as it is written.
    pub name: &'static str,
    /// Types of the arguments; the last one repeats when `variadic` is not zero.
    pub arg_types: &'static [ValueType],
    /// How many arguments may be left out or added, as in Prometheus: 0 none, n > 0 up to n more
    /// or fewer than listed, -1 any number.
    pub variadic: i32,
    /// Type of the result.
    pub return_type: ValueType,
    /// Needs `promql-experimental-functions`.
    pub experimental: bool,
}

/// What annotations say behind their text about a metric that has a name: ` for metric name "x"`.
fn for_metric_name(metric_name: &str) -> String {
    let mut out = String::new();
    if !metric_name.is_empty() {
        out.push_str(" for metric name ");
        let _ = tsdb_model::labels::write_quoted(&mut out, metric_name);
    }
    out
}

/// A float as annotations show it: Go's `%g`.
fn general(v: f64) -> String {
    let mut out = String::new();
    tsdb_model::float::write_float_general(&mut out, v);
    out
}
