//! `/api/v1/features`: what this server can do, under the names of Prometheus 3.14.

use std::collections::BTreeMap;

use tsdb_promql::functions::table::FUNCTIONS;

use crate::answer::{ApiResult, Success};
use crate::error::{ApiError, ErrorKind};
use crate::json::Sink as _;
use crate::router::Call;
use crate::state::{ApiOptions, Running};

type Features = BTreeMap<&'static str, BTreeMap<&'static str, bool>>;

/// What is on and what is off, by area.
pub(crate) fn features(call: &Call, _: &Running) -> ApiResult {
    let all = collect(&call.state.options);
    // Operators are readable here: nothing in this answer comes from outside.
    let text = serde_json::to_string(&all)
        .map_err(|e| ApiError::new(ErrorKind::Internal, format!("encoding JSON: {e}")))?;
    Ok(Success::streamed(move |out| {
        out.text().push_str(&text);
        Ok(())
    }))
}

fn collect(options: &ApiOptions) -> Features {
    let engine = options.engine.options();
    let mut all = Features::new();
    let mut area = |name, features: &[(&'static str, bool)]| {
        all.entry(name)
            .or_default()
            .extend(features.iter().copied());
    };
    area(
        "api",
        &[
            ("admin", options.enable_admin_api),
            ("exclude_alerts", true),
            ("label_values_match", true),
            ("lifecycle", options.enable_lifecycle),
            ("openapi_3.1", true),
            ("otlp_write_receiver", false),
            ("query_stats", true),
            ("query_warnings", true),
            ("remote_write_receiver", true),
            ("search", true),
            ("search_fuzz_alg_jarowinkler", true),
            ("search_fuzz_alg_subsequence", true),
            ("time_range_labels", true),
            ("time_range_series", true),
        ],
    );
    area(
        "prometheus",
        &[
            ("agent_mode", false),
            ("auto_reload_config", false),
            ("server_mode", true),
        ],
    );
    area(
        "promql",
        &[
            ("anchored", engine.extended_range_selectors),
            ("at_modifier", true),
            ("bool", true),
            ("by", true),
            ("delayed_name_removal", engine.delayed_name_removal),
            ("duration_expr", engine.duration_expressions),
            ("fill", engine.fill_modifiers),
            ("fill_left", engine.fill_modifiers),
            ("fill_right", engine.fill_modifiers),
            ("group_left", true),
            ("group_right", true),
            ("ignoring", true),
            ("negative_offset", true),
            ("offset", true),
            ("on", true),
            ("per_query_lookback_delta", true),
            ("per_step_stats", false),
            ("smoothed", engine.extended_range_selectors),
            ("subqueries", true),
            ("type_and_unit_labels", engine.type_and_unit_labels),
            ("without", true),
        ],
    );
    let functions: Vec<_> = FUNCTIONS
        .iter()
        .map(|f| (f.name, !f.experimental || engine.experimental_functions))
        .collect();
    area("promql_functions", &functions);
    let operators: Vec<_> = OPERATORS.iter().map(|name| (*name, true)).collect();
    area("promql_operators", &operators);
    let experimental = ["limit_ratio", "limitk"].map(|n| (n, engine.experimental_functions));
    area("promql_operators", &experimental);
    area(
        "rules",
        &[("keep_firing_for", false), ("query_offset", false)],
    );
    area(
        "scrape",
        &[
            ("extra_scrape_metrics", true),
            ("type_and_unit_labels", engine.type_and_unit_labels),
        ],
    );
    area(
        "service_discovery_providers",
        &[("file", true), ("static", true)],
    );
    area(
        "tsdb",
        &[
            ("exemplar_storage", true),
            ("isolation", true),
            ("native_histograms", true),
            ("st_storage", true),
        ],
    );
    all
}

/// Operators and aggregations that are always there.
const OPERATORS: [&str; 31] = [
    "!=",
    "!~",
    "%",
    "*",
    "+",
    "-",
    "/",
    "<",
    "<=",
    "=",
    "==",
    "=~",
    ">",
    ">=",
    "@",
    "^",
    "and",
    "atan2",
    "avg",
    "bottomk",
    "count",
    "count_values",
    "group",
    "max",
    "min",
    "or",
    "quantile",
    "stddev",
    "stdvar",
    "sum",
    "topk",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_show() {
        let mut options = ApiOptions::default();
        let off = collect(&options);
        assert!(!off["api"]["admin"] && off["promql_functions"]["rate"]);
        assert!(!off["promql_functions"]["info"] && !off["promql_operators"]["limitk"]);
        options.enable_admin_api = true;
        options.engine = std::sync::Arc::new(tsdb::Engine::new(tsdb::EngineOptions {
            experimental_functions: true,
            ..Default::default()
        }));
        let on = collect(&options);
        assert!(on["api"]["admin"] && on["promql_functions"]["info"]);
        assert!(on["promql_operators"]["limitk"]);
    }
}
