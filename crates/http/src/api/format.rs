//! `/api/v1/format_query`, `/api/v1/parse_query`.

use crate::answer::{ApiResult, Success};
use crate::api::ast;
use crate::error::ApiError;
use crate::router::Call;
use crate::selector;
use crate::state::Running;

/// The query in Prometheus's layout.
pub(crate) fn format_query(call: &Call, _: &Running) -> ApiResult {
    selector::with_query(call, |query| {
        let query = query.map_err(|e| ApiError::invalid("query", e))?;
        Success::json(&tsdb_promql::format(&query))
    })
}

/// The query as a tree.
pub(crate) fn parse_query(call: &Call, _: &Running) -> ApiResult {
    selector::with_query(call, |query| {
        let query = query.map_err(|e| ApiError::invalid("query", e))?;
        Success::json(&ast::to_json(&query))
    })
}
