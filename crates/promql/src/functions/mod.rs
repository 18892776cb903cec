//! The functions of PromQL: their table, and what they compute.

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
