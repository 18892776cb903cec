//! `/api/v1/status/active_queries` and `/api/v1/status/active_queries/ID/kill`.

use serde::Serialize;

use crate::answer::{ApiResult, Success};
use crate::error::{ApiError, ErrorKind};
use crate::router::Call;
use crate::running::Shown;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Active {
    queries: Vec<Shown>,
    max_concurrent: usize,
    memory_bytes: usize,
    memory_limit_bytes: usize,
}

/// Queries that run or wait, and the memory that all of them take.
pub(crate) fn list(call: &Call) -> ApiResult {
    let options = &call.state.options;
    Success::json(&Active {
        queries: call.state.running_queries.list(),
        max_concurrent: options.max_concurrency.max(1),
        memory_bytes: options.engine.memory().used(),
        memory_limit_bytes: options.engine.memory().limit(),
    })
}

/// Ends a query.
pub(crate) fn kill(call: &Call) -> ApiResult {
    let id = std::str::from_utf8(&call.name)
        .ok()
        .and_then(|text| text.parse().ok());
    let Some(id) = id else {
        return Err(ApiError::bad_data("the number of a query is expected"));
    };
    if call.state.running_queries.kill(id) {
        return Success::json(&serde_json::json!({ "killed": id.to_string() }));
    }
    let text = format!("no query of number {id} is running");
    Err(ApiError::new(ErrorKind::NotFound, text))
}
