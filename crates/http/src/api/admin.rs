//! `/api/v1/admin/tsdb/*`: deletion and snapshots, behind `--web.enable-admin-api`.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use serde_json::json;

use crate::answer::{ApiResult, Success};
use crate::error::{ApiError, ErrorKind};
use crate::json::rfc3339_ms;
use crate::params::{MAX_TIME_MS, MIN_TIME_MS, parse_bool};
use crate::router::Call;
use crate::state::Running;

/// Folder of the snapshots in the data directory.
const SNAPSHOTS: &str = "snapshots";

fn check_enabled(call: &Call) -> Result<(), ApiError> {
    if call.state.options.enable_admin_api {
        return Ok(());
    }
    let text = "admin APIs disabled";
    Err(ApiError::new(ErrorKind::Unavailable, text))
}

/// Deletes samples of the selected series.
pub(crate) fn delete_series(call: &Call, running: &Running) -> ApiResult {
    check_enabled(call)?;
    call.params.check_form()?;
    if call.params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let start = call.params.time_or("start", MIN_TIME_MS)?;
    let end = call.params.time_or("end", MAX_TIME_MS)?;
    // All are read before anything is deleted.
    let mut selectors = Vec::new();
    for text in call.params.all("match[]") {
        let matchers =
            tsdb_promql::parse_selector(text).map_err(|e| ApiError::invalid("match[]", e))?;
        // `{}` deletes nothing, as in Prometheus.
        if !matchers.is_empty() {
            selectors.push(matchers);
        }
    }
    for matchers in selectors {
        running.db.delete(&matchers, start, end)?;
    }
    Ok(Success::nothing())
}

/// Frees the space of what was deleted.
pub(crate) fn clean_tombstones(call: &Call, running: &Running) -> ApiResult {
    check_enabled(call)?;
    running.db.clean_tombstones()?;
    Ok(Success::nothing())
}

/// Makes a copy of the store beside it, under a new name.
pub(crate) fn snapshot(call: &Call, running: &Running) -> ApiResult {
    check_enabled(call)?;
    let skip_head = match call.params.get("skip_head") {
        "" => false,
        text => parse_bool(text)
            .map_err(|e| ApiError::invalid("skip_head", format!("unable to parse boolean: {e}")))?,
    };
    let name = snapshot_name(call.state.now_ms());
    let path = call.state.options.data_dir.join(SNAPSHOTS).join(&name);
    let made = if skip_head {
        running.db.snapshot_blocks(&path)
    } else {
        running.db.snapshot(&path)
    };
    made.map_err(|e| ApiError::new(ErrorKind::Internal, format!("create snapshot: {e}")))?;
    Success::json(&json!({"name": name}))
}

/// `20240102T150405Z-0123456789abcdef`: the time, and something that no other has.
fn snapshot_name(now_ms: i64) -> String {
    let time = rfc3339_ms(now_ms / 1000 * 1000).replace(['-', ':'], "");
    let random = RandomState::new().build_hasher().finish();
    format!("{time}-{random:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ() {
        let (a, b) = (
            snapshot_name(1_700_000_000_123),
            snapshot_name(1_700_000_000_123),
        );
        assert!(a.starts_with("20231114T221320Z-"), "{a}");
        assert_eq!(a.len(), 33);
        assert_ne!(a, b);
    }
}
