//! `/api/v1/series`.

use tsdb_model::{Labels, SelectHints};

use crate::answer::{AnswerWriter, ApiResult, Success};
use crate::error::ApiError;
use crate::json::{self, Sink};
use crate::router::Call;
use crate::selector::{Selection, Union};
use crate::state::Running;

/// Label sets written between two chances to hand on what has gathered.
const CHECKPOINT_SERIES: usize = 100;

/// Label sets of the selected series, sorted, each once.
pub(crate) fn series(call: &Call, running: &Running) -> ApiResult {
    call.params.check_form()?;
    if call.params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let mut selection = Selection::without_selectors(&call.params)?;
    selection.sets = call
        .params
        .matchers()
        .map_err(|e| ApiError::invalid("match[]", e))?;
    let mut found: Union<Labels> = Union::new();
    if !selection.is_empty() {
        let (start, end) = (selection.start_ms, selection.end_ms);
        let querier = running.querier_until(start, end, call.stop.clone())?;
        let hints = SelectHints {
            start_ms: selection.start_ms,
            end_ms: selection.end_ms,
            step_ms: 0,
            range_ms: 0,
            limit: selection.store_limit(),
            labels_only: true,
        };
        for matchers in &selection.sets {
            call.stop.check()?;
            let set = querier.select(&hints, matchers)?;
            found.add((0..set.len()).map(|i| set.labels(i)));
        }
    }
    let mut found = found.sorted();
    let truncated = selection.cut(&mut found);
    let write = move |out: &mut AnswerWriter| {
        out.text().push('[');
        for (i, labels) in found.iter().enumerate() {
            if i > 0 {
                out.text().push(',');
            }
            json::write_labels(out.text(), labels);
            if i % CHECKPOINT_SERIES == CHECKPOINT_SERIES - 1 {
                out.checkpoint()?;
            }
        }
        out.text().push(']');
        Ok(())
    };
    Ok(Success::streamed(write).truncated(truncated))
}
