//! Running statements.

use tsdb_model::Queryable;

use super::eval::{Eval, Expected, Steps, When};
use super::report::{Failure, Report};
use super::{NewStore, Statement, compare, pin};
use crate::engine::{Engine, EngineOptions, QueryOptions};
use crate::error::QueryError;
use crate::value::{QueryOutput, Value};
use crate::{ParseOptions, parse};

/// How far the range query around an instant query reaches to each side, and its step.
const AROUND_MS: i64 = 60_000;

/// The engine that scripts expect.
pub(super) fn engine() -> Engine {
    Engine::new(EngineOptions {
        lookback_delta_ms: 300_000,
        max_samples: 10_000,
        timeout_ms: 100_000,
        default_subquery_step_ms: 60_000,
        experimental_functions: true,
        extended_range_selectors: true,
        duration_expressions: true,
        fill_modifiers: true,
        delayed_name_removal: true,
        // Labels of type and unit go with the name in any case; this is about notes only.
        type_and_unit_labels: false,
        start_timestamps: true,
        ..EngineOptions::default()
    })
}

pub(super) fn run(file: &str, statements: &[Statement], new_store: &mut NewStore<'_>) -> Report {
    let engine = engine();
    let mut report = Report::default();
    let mut store = new_store();
    // A load that failed fails what is asked until the next `clear`, itself if nothing is.
    let mut broken: Option<Failure> = None;
    let mut unreported = false;
    for statement in statements {
        match statement {
            Statement::Clear => {
                if let Some(failure) = broken.take().filter(|_| unreported) {
                    report.failed += 1;
                    report.failures.push(failure);
                }
                // The old store may have to let go of a directory first.
                drop(store);
                store = new_store();
            }
            Statement::Load(load) if broken.is_none() => {
                if let Err(message) = load.run(store.as_ref()) {
                    let (file, query) = (file.to_string(), String::new());
                    let message = format!("load failed: {message}");
                    broken = Some(Failure {
                        file,
                        line: load.line,
                        query,
                        message,
                    });
                    unreported = true;
                }
            }
            Statement::Load(_) => {}
            Statement::Eval(eval) => {
                let result = match &broken {
                    Some(load) => Err(format!("line {}: {}", load.line, load.message)),
                    None => run_eval(&engine, eval, store.as_ref()),
                };
                match result {
                    Ok(()) => report.passed += 1,
                    Err(message) => {
                        let (file, query) = (file.to_string(), eval.query.clone());
                        report.failed += 1;
                        report.failures.push(Failure {
                            file,
                            line: eval.line,
                            query,
                            message,
                        });
                        unreported = false;
                    }
                }
            }
        }
    }
    if let Some(failure) = broken.filter(|_| unreported) {
        report.failed += 1;
        report.failures.push(failure);
    }
    report
}

fn run_eval(engine: &Engine, eval: &Eval, store: &dyn Queryable) -> Result<(), String> {
    let runner = EvalRunner {
        engine,
        eval,
        store,
        options: QueryOptions::default(),
    };
    match (eval.when, &eval.result) {
        (When::Range(steps), _) => runner.range(steps),
        (When::Instant(_), Expected::RangeVector(steps, _)) => runner.instants(steps.end_ms),
        (When::Instant(at_ms), _) => runner.instants(at_ms),
    }
}

struct EvalRunner<'a> {
    engine: &'a Engine,
    eval: &'a Eval,
    store: &'a dyn Queryable,
    options: QueryOptions,
}

impl EvalRunner<'_> {
    fn range(&self, steps: Steps) -> Result<(), String> {
        let query = &self.eval.query;
        let result = self.query_range(query, steps);
        let Some(output) = self.check_outcome(query, result)? else {
            return Ok(());
        };
        self.compare(&output.value, steps)
    }

    /// The query as it is, then with its selectors pinned to the time, at other times.
    fn instants(&self, at_ms: i64) -> Result<(), String> {
        let query = &self.eval.query;
        self.instant(query, at_ms)?;
        let mut expr = parse(query, &ParseOptions::all()).map_err(|e| e.to_string())?;
        if !pin::pin(&mut expr, at_ms) {
            return Ok(());
        }
        let pinned = expr.to_string();
        let times = match at_ms {
            0 => vec![-1000, 0, 1000],
            t => vec![t.saturating_mul(-10), 0, t / 5, t, t.saturating_mul(10)],
        };
        for t in times {
            let context = |e| format!("as `{pinned}` at {}s:\n{e}", t as f64 / 1000.0);
            self.instant(&pinned, t).map_err(context)?;
        }
        Ok(())
    }

    fn instant(&self, query: &str, t_ms: i64) -> Result<(), String> {
        let result = self.engine.instant(self.store, query, t_ms, &self.options);
        let Some(output) = self.check_outcome(query, result)? else {
            return Ok(());
        };
        let steps = match &self.eval.result {
            Expected::RangeVector(steps, _) => *steps,
            _ => Steps {
                start_ms: t_ms,
                end_ms: t_ms,
                step_ms: 1,
            },
        };
        self.compare(&output.value, steps)?;
        self.around(query, t_ms)
    }

    /// An instant query as the middle step of a range query.
    fn around(&self, query: &str, t_ms: i64) -> Result<(), String> {
        let not_in_ranges = matches!(
            self.eval.result,
            Expected::String(_) | Expected::RangeVector(..)
        );
        let differs = ["start()", "end()", "range()", "step()"]
            .iter()
            .any(|f| query.contains(f));
        if not_in_ranges || differs {
            return Ok(());
        }
        let steps = Steps {
            start_ms: t_ms.saturating_sub(AROUND_MS),
            end_ms: t_ms.saturating_add(AROUND_MS),
            step_ms: AROUND_MS,
        };
        let context = |e| format!("as a range query:\n{e}");
        let output = self
            .query_range(query, steps)
            .map_err(|e| context(format!("it failed: {e}")))?;
        let Value::Matrix(matrix) = output.value else {
            let got = compare::describe(&output.value);
            return Err(context(format!("expected a matrix\n     got {got}")));
        };
        if self.eval.expectations.ordered {
            return Ok(());
        }
        compare::sorted(&matrix).map_err(context)?;
        let vector = compare::vector_at(&matrix, t_ms);
        match (&self.eval.result, vector.as_slice()) {
            (Expected::Scalar(expected), [sample]) if sample.labels.is_empty() => {
                let crate::SampleValue::Float(v) = &sample.value else {
                    return Err(context("expected a float, got a histogram".into()));
                };
                compare::scalar(*expected, *v).map_err(context)
            }
            (Expected::Series(expected), vector) => {
                compare::vector(expected, vector, false).map_err(context)
            }
            (_, vector) => {
                let got = compare::describe(&Value::Vector(vector.to_vec()));
                Err(context(format!(
                    "expected one point without labels\n     got {got}"
                )))
            }
        }
    }

    fn query_range(&self, query: &str, steps: Steps) -> Result<QueryOutput, QueryError> {
        let Steps {
            start_ms,
            end_ms,
            step_ms,
        } = steps;
        self.engine
            .range(self.store, query, start_ms, end_ms, step_ms, &self.options)
    }

    /// Compares success or failure, and the notes; `None` when a failure was expected.
    fn check_outcome(
        &self,
        query: &str,
        result: Result<QueryOutput, QueryError>,
    ) -> Result<Option<QueryOutput>, String> {
        let expectations = &self.eval.expectations;
        match (result, &expectations.fail) {
            (Ok(output), None) => {
                expectations.check_notes(&output.annotations, query)?;
                Ok(Some(output))
            }
            (Ok(output), Some(_)) => {
                let got = compare::describe(&output.value);
                Err(format!("expected the query to fail\n     got {got}"))
            }
            // `expect fail` is about evaluation only.
            (Err(QueryError::Parse(e)), _) => Err(format!("the query does not parse: {e}")),
            (Err(e), None) => Err(format!("the query failed: {e}")),
            (Err(e), Some(wanted)) if wanted.matches(&e.to_string()) => Ok(None),
            (Err(e), Some(wanted)) => Err(format!("expected failure: {wanted}\n     got `{e}`")),
        }
    }

    fn compare(&self, value: &Value, steps: Steps) -> Result<(), String> {
        match (&self.eval.result, value) {
            (Expected::Scalar(expected), Value::Scalar(_, got)) => compare::scalar(*expected, *got),
            (Expected::String(expected), Value::String(_, got)) if expected == got => Ok(()),
            (Expected::String(expected), Value::String(_, got)) => Err(format!(
                "expected string {expected:?}\n     got string {got:?}"
            )),
            (Expected::Series(expected), Value::Vector(got)) => {
                compare::vector(expected, got, self.eval.expectations.ordered)
            }
            (Expected::Series(expected), Value::Matrix(got))
                if matches!(self.eval.when, When::Range(_)) =>
            {
                compare::matrix(expected, steps, got)
            }
            (Expected::RangeVector(steps, expected), Value::Matrix(got)) => {
                compare::matrix(expected, *steps, got)
            }
            (expected, got) => {
                let wanted = match expected {
                    Expected::Scalar(v) => format!("scalar {v}"),
                    Expected::String(text) => format!("string {text:?}"),
                    Expected::Series(_) => "series".into(),
                    Expected::RangeVector(..) => "a range vector".into(),
                };
                Err(format!(
                    "expected {wanted}\n     got {}",
                    compare::describe(got)
                ))
            }
        }
    }
}
