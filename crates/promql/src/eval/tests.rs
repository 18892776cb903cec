//! Whatever the query: no panic, the same on any number of threads, and the same at each step of a
//! range query as at that time alone.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::engine::{Engine, EngineOptions, QueryOptions};
use crate::error::QueryError;
use crate::test_store::{INTERVAL, ROWS, TestStore};
use crate::value::{QueryOutput, RangeSeries, SampleValue, Value};

fn engine(threads: usize, delayed_name_removal: bool) -> Engine {
    Engine::new(EngineOptions {
        experimental_functions: true,
        extended_range_selectors: true,
        fill_modifiers: true,
        delayed_name_removal,
        type_and_unit_labels: delayed_name_removal,
        start_timestamps: delayed_name_removal,
        threads,
        ..EngineOptions::default()
    })
}

fn texts(all: &'static [&'static str]) -> BoxedStrategy<String> {
    proptest::sample::select(all)
        .prop_map(str::to_string)
        .boxed()
}

fn selector() -> BoxedStrategy<String> {
    let names = texts(&[
        "m_total",
        "g",
        "up",
        "h",
        "h2",
        "n",
        "mixed",
        "c_bucket",
        "target_info",
        "nope",
        "{instance=\"a\"}",
        "{__name__=~\"g|m_total\"}",
        "m_total{instance!=\"b\"}",
        "h{instance=~\"a|c\"}",
        "g smoothed",
    ]);
    let modifiers = texts(&[
        "",
        "",
        "",
        "",
        " offset 1m",
        " offset -2m",
        " @ 300",
        " @ 300 offset 30s",
    ]);
    (names, modifiers).prop_map(|(n, m)| n + &m).boxed()
}

fn range(vector: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let plain = (
        texts(&[
            "m_total",
            "g",
            "h",
            "n",
            "mixed",
            "c_bucket",
            "{instance=\"a\"}",
            "nope",
        ]),
        texts(&[
            "[1m]",
            "[15s]",
            "[5m]",
            "[90s] offset 1m",
            "[2m] @ 400",
            "[1m] anchored",
            "[1m] smoothed",
        ]),
    )
        .prop_map(|(n, r)| n + &r);
    let windows = texts(&["[2m:20s]", "[1m:7s]", "[3m:30s] offset 1m", "[2m:1m] @ 500"]);
    let subquery = (vector, windows).prop_map(|(v, w)| format!("({v}){w}"));
    prop_oneof![3 => plain, 1 => subquery].boxed()
}

fn scalar(vector: BoxedStrategy<String>) -> BoxedStrategy<String> {
    prop_oneof![
        6 => texts(&["0", "1", "2", "-1", "0.5", "1e3", "NaN", "Inf", "pi()", "time()"]),
        1 => vector.prop_map(|v| format!("scalar({v})")),
    ]
    .boxed()
}

fn vector() -> BoxedStrategy<String> {
    let leaf = prop_oneof![4 => selector(), 1 => texts(&["vector(1)", "vector(time())"])];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let inner = inner.boxed();
        let range = range(inner.clone());
        let scalar = scalar(inner.clone());
        let of_range = texts(&[
            "rate", "increase", "delta", "irate", "idelta", "resets", "changes", "deriv",
            "sum_over_time", "avg_over_time", "min_over_time", "max_over_time", "count_over_time",
            "last_over_time", "first_over_time", "present_over_time", "absent_over_time",
            "stddev_over_time", "stdvar_over_time", "mad_over_time", "ts_of_min_over_time",
            "ts_of_max_over_time", "ts_of_first_over_time", "ts_of_last_over_time",
        ]);
        let of_vector = texts(&[
            "abs", "ceil", "exp", "sqrt", "sgn", "ln", "sin", "deg", "hour", "day_of_month",
            "absent", "timestamp", "start_timestamp", "sort", "sort_desc", "round", "histogram_count", "histogram_sum", "histogram_avg",
            "histogram_stddev", "histogram_stdvar", "info", "-", "+", "sum", "avg", "min", "max",
            "count", "group", "stddev", "stdvar",
        ]);
        let aggregation = texts(&["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"]);
        let with_param = texts(&["topk", "bottomk", "quantile", "limitk", "limit_ratio"]);
        let grouping = texts(&[
            "", " by (instance)", " without (instance)", " by (job, le)", " without ()", " by ()",
        ]);
        let operator = texts(&[
            "+", "-", "*", "/", "%", "^", "atan2", "==", "!=", "<", "<=", ">", ">=", "== bool",
            "> bool", "</", ">/",
        ]);
        let matching = texts(&[
            "", "on (instance)", "ignoring (instance)", "on (instance) group_left ()",
            "on (instance) group_right (version)", "on (job) group_left ()", "ignoring (le) group_left (version)",
            "fill (0)", "on (instance) fill_left (1)", "fill_right (3)", "on (instance) group_left () fill_right (2)",
        ]);
        let set = texts(&["and", "or", "unless", "and on (instance)", "or ignoring (le)", "unless on (job)"]);
        prop_oneof![
            6 => (of_range, range.clone()).prop_map(|(f, r)| format!("{f}({r})")),
            1 => (scalar.clone(), range.clone()).prop_map(|(s, r)| format!("quantile_over_time({s}, {r})")),
            1 => (scalar.clone(), range.clone()).prop_map(|(s, r)| format!("predict_linear({r}, {s})")),
            1 => range.prop_map(|r| format!("double_exponential_smoothing({r}, 0.3, 0.4)")),
            4 => (of_vector, inner.clone()).prop_map(|(f, v)| format!("{f}({v})")),
            1 => (texts(&["clamp_min", "clamp_max", "round"]), inner.clone(), scalar.clone())
                .prop_map(|(f, v, s)| format!("{f}({v}, {s})")),
            4 => (aggregation, grouping.clone(), inner.clone())
                .prop_map(|(a, g, v)| format!("{a}{g} ({v})")),
            2 => (with_param, grouping.clone(), scalar.clone(), inner.clone())
                .prop_map(|(a, g, s, v)| format!("{a}{g} ({s}, {v})")),
            1 => (grouping, inner.clone()).prop_map(|(g, v)| format!("count_values{g} (\"v\", {v})")),
            2 => (inner.clone(), operator.clone(), scalar.clone())
                .prop_map(|(v, o, s)| format!("({v}) {o} {s}")),
            1 => (scalar.clone(), operator.clone(), inner.clone())
                .prop_map(|(s, o, v)| format!("{s} {o} ({v})")),
            3 => (inner.clone(), operator, matching, inner.clone())
                .prop_map(|(a, o, m, b)| format!("({a}) {o} {m} ({b})")),
            2 => (inner.clone(), set, inner.clone()).prop_map(|(a, o, b)| format!("({a}) {o} ({b})")),
            1 => inner.clone().prop_map(|v| format!("label_replace({v}, \"z\", \"$1x\", \"instance\", \"(.)\")")),
            1 => inner.clone().prop_map(|v| format!("label_replace({v}, \"instance\", \"\", \"job\", \"x\")")),
            1 => inner.clone().prop_map(|v| format!("label_join({v}, \"__name__\", \"_\", \"job\", \"instance\")")),
            1 => (scalar.clone(), inner.clone()).prop_map(|(s, v)| format!("histogram_quantile({s}, {v})")),
            1 => (scalar.clone(), inner.clone()).prop_map(|(s, v)| format!("histogram_quantiles({v}, \"q\", 0.5, {s})")),
            1 => (scalar.clone(), inner).prop_map(|(s, v)| format!("histogram_fraction(0.3, {s}, {v})")),
            1 => scalar.prop_map(|s| format!("vector({s})")),
        ]
    })
    .boxed()
}

/// All samples as text that tells every bit; by labels and time.
fn samples(value: &Value) -> BTreeMap<(String, i64), String> {
    let float = |v: &f64| {
        if v.is_nan() {
            "NaN".into()
        } else {
            format!("{v:?}")
        }
    };
    let mut out = BTreeMap::new();
    match value {
        Value::Scalar(t, v) => {
            out.insert((String::new(), *t), float(v));
        }
        Value::String(..) => {}
        Value::Vector(vector) => {
            for s in vector {
                let value = match &s.value {
                    SampleValue::Float(v) => float(v),
                    SampleValue::Histogram(h) => format!("{h:?}"),
                };
                assert!(
                    out.insert((s.labels.to_string(), s.timestamp_ms), value)
                        .is_none()
                );
            }
        }
        Value::Matrix(matrix) => {
            for RangeSeries {
                labels,
                floats,
                histograms,
            } in matrix
            {
                let floats = floats.iter().map(|(t, v)| (*t, float(v)));
                let histograms = histograms.iter().map(|(t, h)| (*t, format!("{h:?}")));
                for (t, value) in floats.chain(histograms) {
                    assert!(out.insert((labels.to_string(), t), value).is_none());
                }
            }
        }
    }
    out
}

/// Equal, but for the order in which something was added up: `topk` has another one at one step.
fn same(a: Option<&String>, b: Option<&String>) -> bool {
    let number = |v: Option<&String>| v.and_then(|v| v.parse::<f64>().ok());
    a == b
        || match (number(a), number(b)) {
            (Some(a), Some(b)) => (a - b).abs() <= 1e-12 * a.abs(),
            _ => false,
        }
}

const START: i64 = 200_000;
const STEP: i64 = 37_000;
const END: i64 = (ROWS as i64 - 20) * INTERVAL;

fn run_range(engine: &Engine, store: &TestStore, query: &str) -> Result<QueryOutput, QueryError> {
    let result = engine.range(store, query, START, END, STEP, &QueryOptions::default());
    if let Err(error) = &result {
        assert!(
            !error.to_string().contains("unexpected error"),
            "{query}: {error}"
        );
        assert!(!matches!(error, QueryError::Parse(_)), "{query}: {error}");
    }
    result
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn each_step_as_on_its_own(query in vector()) {
        let store = TestStore::with_everything();
        let engine = engine(1, false);
        let range = run_range(&engine, &store, &query);
        let mut all = BTreeMap::new();
        let mut failed = None;
        let mut time = START;
        while time <= END {
            match engine.instant(&store, &query, time, &QueryOptions::default()) {
                Ok(output) => all.extend(samples(&output.value)),
                Err(error) => {
                    prop_assert!(!error.to_string().contains("unexpected error"), "{error}");
                    failed = Some(error);
                }
            }
            time += STEP;
        }
        // A range query also fails when labels clash at different steps only.
        if let Ok(range) = range {
            prop_assert!(failed.is_none(), "{failed:?}");
            let range = samples(&range.value);
            let differs = |key: &&(String, i64)| !same(range.get(*key), all.get(*key));
            let first = range.keys().chain(all.keys()).find(differs);
            let values = first.map(|key| (range.get(key), all.get(key)));
            prop_assert!(first.is_none(), "{first:?}: {values:?}");
        }
    }

    #[test]
    fn any_number_of_threads(query in vector(), delayed: bool) {
        let store = TestStore::with_everything();
        let one = run_range(&engine(1, delayed), &store, &query);
        let many = run_range(&engine(3, delayed), &store, &query);
        match (one, many) {
            (Ok(one), Ok(many)) => {
                prop_assert!(samples(&one.value) == samples(&many.value));
                prop_assert_eq!(one.annotations, many.annotations);
            }
            (Err(one), Err(many)) => prop_assert_eq!(one.to_string(), many.to_string()),
            (one, many) => prop_assert!(false, "{one:?} {many:?}"),
        }
    }
}

#[test]
fn many_series_on_many_threads() {
    let store = TestStore::with_series(300);
    for query in [
        "sum(rate(m_total[1m]))",
        "avg by (group) (m_total)",
        "quantile by (group) (0.3, increase(m_total[2m]))",
        "stddev(max_over_time(m_total[5m]))",
        "topk by (group) (3, rate(m_total[1m]))",
        "m_total",
    ] {
        let one = run_range(&engine(1, false), &store, query).unwrap();
        let many = run_range(&engine(4, false), &store, query).unwrap();
        assert_eq!(one.value, many.value, "{query}");
        assert_eq!(
            one.stats.total_queryable_samples,
            many.stats.total_queryable_samples
        );
    }
}

#[test]
fn budgets_and_cancellation() {
    let store = TestStore::with_series(20);
    let small = Engine::new(EngineOptions {
        max_samples: 50,
        ..EngineOptions::default()
    });
    let error = run_range(&small, &store, "m_total").unwrap_err();
    assert_eq!(
        error.to_string(),
        "query processing would load too many samples into memory in query execution"
    );
    assert!(run_range(&small, &store, "sum(m_total)").is_ok());
    // A subquery must not make more steps than may be held.
    let error = run_range(&small, &store, "max_over_time(m_total[1h:1ms])").unwrap_err();
    assert!(matches!(error, QueryError::TooManySamples(_)));
    let options = QueryOptions {
        timeout_ms: Some(0),
        ..QueryOptions::default()
    };
    let error = small.instant(&store, "m_total", 0, &options).unwrap_err();
    assert!(matches!(error, QueryError::Timeout(_)));
    let options = QueryOptions::default();
    options.cancel.cancel();
    let error = small.instant(&store, "m_total", 0, &options).unwrap_err();
    assert!(matches!(error, QueryError::Canceled(_)));
}

#[test]
fn deep_queries() {
    let store = TestStore::with_series(1);
    let engine = engine(1, false);
    let sum = vec!["m_total"; 900].join(" + ");
    engine
        .instant(&store, &sum, 600_000, &QueryOptions::default())
        .unwrap();
    for deep in [
        "(".repeat(100_000),
        "-".repeat(100_000) + "1",
        "1+".repeat(100_000) + "1",
    ] {
        let result = engine.instant(&store, &deep, 600_000, &QueryOptions::default());
        assert!(result.is_err(), "{}", &deep[..10]);
    }
}

#[test]
fn times_at_the_ends_of_the_world() {
    let store = TestStore::with_everything();
    let engine = engine(1, false);
    for time in [i64::MIN, i64::MIN + 1, -1, i64::MAX - 1, i64::MAX] {
        for query in [
            "g",
            "rate(m_total[5m])",
            "max_over_time(g[1h:1m])",
            "g offset 1000y",
            "g offset -1000y",
            "timestamp(g)",
            "time()",
            "hour()",
            "g[5m]",
            "g[5m:1m]",
            "info(g)",
            "rate(h[5m] smoothed)",
        ] {
            if let Err(error) = engine.instant(&store, query, time, &QueryOptions::default()) {
                assert!(
                    !error.to_string().contains("unexpected"),
                    "{query} {time}: {error}"
                );
            }
        }
    }
}

#[test]
fn types_of_queries() {
    let store = TestStore::with_everything();
    let engine = engine(1, false);
    let options = QueryOptions::default();
    let range = |query: &str| engine.range(&store, query, 0, 30_000, 15_000, &options);
    assert_eq!(
        range("g[5m]").unwrap_err().to_string(),
        "invalid expression type \"range vector\" for range query, must be Scalar or instant Vector"
    );
    assert_eq!(
        range("\"a\"").unwrap_err().to_string(),
        "invalid expression type \"string\" for range query, must be Scalar or instant Vector"
    );
    let Value::Matrix(scalar) = range("1").unwrap().value else {
        panic!()
    };
    assert_eq!(scalar[0].floats, [(0, 1.0), (15_000, 1.0), (30_000, 1.0)]);
    assert!(scalar[0].labels.is_empty());
    let instant = |query: &str| {
        engine
            .instant(&store, query, 30_000, &options)
            .unwrap()
            .value
    };
    assert_eq!(instant("1 + 1"), Value::Scalar(30_000, 2.0));
    assert_eq!(instant("\"a\""), Value::String(30_000, "a".into()));
    let Value::Matrix(up) = instant("m_total{instance=\"a\"}[30s] offset -30s") else {
        panic!()
    };
    assert_eq!(up[0].floats.len(), 1);
    assert!(engine.range(&store, "1", 1, 0, 1, &options).is_err());
    assert!(engine.range(&store, "1", 0, 1, 0, &options).is_err());
}

#[test]
fn memory_budgets() {
    let store = TestStore::with_series(200);
    let engine = |max_query_bytes, max_total_bytes| {
        Engine::new(EngineOptions {
            max_query_bytes,
            max_total_bytes,
            experimental_functions: true,
            ..EngineOptions::default()
        })
    };
    let small = engine(80_000, 0);
    let long = "x".repeat(1000);
    for hostile in [
        // Each value is a label of a series of its own.
        format!("count_values(\"{long}\", m_total)"),
        // Labels grow.
        format!("label_replace(m_total, \"a\", \"{long}\", \"\", \".*\")"),
        "label_join(m_total, \"a\", \"".to_string() + &long + "\", \"instance\", \"instance\")",
        "label_replace(m_total, \"a\", \"".to_string()
            + &"$1".repeat(300)
            + "\", \"instance\", \"(.*)\")",
        // Many steps of many series.
        "max_over_time(m_total[1h:10s])".into(),
        "m_total or g or up or m_total offset 1m".into(),
    ] {
        let Err(error) = run_range(&small, &store, &hostile) else {
            panic!("{}", &hostile[..40]);
        };
        assert!(
            matches!(error, QueryError::QueryMemory(80_000)),
            "{error}: {hostile}"
        );
        let text = error.to_string();
        assert!(text.starts_with(
            "query processing would load too many samples into memory in query execution"
        ));
    }
    assert!(run_range(&small, &store, "sum(rate(m_total[5m]))").is_ok());
    assert_eq!(small.memory().used(), 0);

    // A result takes part of the memory of all until it is dropped.
    let shared = engine(0, 1_000_000);
    let mut held = Vec::new();
    let error = loop {
        match run_range(&shared, &store, "m_total") {
            Ok(output) => held.push(output),
            Err(e) => break e,
        }
        assert!(held.len() < 1000);
        assert_eq!(
            shared.memory().used(),
            held.iter().map(|o| o.value.bytes()).sum::<usize>()
        );
    };
    assert!(matches!(error, QueryError::AllQueriesMemory), "{error}");
    assert!(!held.is_empty());
    held.clear();
    assert_eq!(shared.memory().used(), 0);
    assert!(run_range(&shared, &store, "m_total").is_ok());
}
