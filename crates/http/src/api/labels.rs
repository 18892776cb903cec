//! `/api/v1/labels`, `/api/v1/label/NAME/values`.

use std::fmt::Write as _;

use tsdb_model::{Matcher, Querier, StorageError};

use crate::answer::{ApiResult, Success};
use crate::error::ApiError;
use crate::router::Call;
use crate::selector::{Selection, Union, unescape_name};
use crate::state::Running;

/// Names of all labels, or of those of the selected series.
pub(crate) fn names(call: &Call, running: &Running) -> ApiResult {
    let selection = Selection::from_params(&call.params)?;
    list(call, &selection, running, |querier, matchers, limit| {
        querier.label_names(matchers, limit)
    })
}

/// Values of a label.
pub(crate) fn values(call: &Call, running: &Running) -> ApiResult {
    let name = match std::str::from_utf8(&call.name) {
        Ok(name) => unescape_name(name),
        Err(_) => {
            let shown = quoted_bytes(&call.name);
            return Err(ApiError::bad_data(format!("invalid label name: {shown}")));
        }
    };
    if name.is_empty() {
        return Err(ApiError::bad_data("invalid label name: \"\""));
    }
    let selection = Selection::from_params(&call.params)?;
    list(call, &selection, running, |querier, matchers, limit| {
        querier.label_values(&name, matchers, limit)
    })
}

/// A sorted list of what the selectors find, each text once, cut to the limit.
fn list(
    call: &Call,
    selection: &Selection,
    running: &Running,
    find: impl Fn(&dyn Querier, &[Matcher], usize) -> Result<Vec<String>, StorageError>,
) -> ApiResult {
    if selection.is_empty() {
        return Ok(Success::strings(Vec::new()));
    }
    let (start, end) = (selection.start_ms, selection.end_ms);
    let querier = running.querier_until(start, end, call.stop.clone())?;
    let limit = selection.store_limit();
    let mut all = match selection.sets.as_slice() {
        [] => find(&*querier, &[], limit)?,
        [only] => find(&*querier, only, limit)?,
        several => {
            // Each list has the first names in order, so the merged list has them, too.
            let mut all = Union::new();
            for matchers in several {
                call.stop.check()?;
                all.add(find(&*querier, matchers, limit)?);
            }
            all.sorted()
        }
    };
    let truncated = selection.cut(&mut all);
    Ok(Success::strings(all).truncated(truncated))
}

/// Go's `%q`, with `\xff` for bytes that are not UTF-8.
fn quoted_bytes(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks().take(256) {
        let mut text = String::new();
        let _ = tsdb_model::labels::write_quoted(&mut text, chunk.valid());
        out.push_str(&text[1..text.len() - 1]);
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_utf_8() {
        assert_eq!(quoted_bytes(b"a\"\xff\xc3b"), "\"a\\\"\\xff\\xc3b\"");
        assert_eq!(quoted_bytes(b""), "\"\"");
    }
}
