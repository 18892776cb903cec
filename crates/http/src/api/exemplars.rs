//! `/api/v1/query_exemplars`.

use std::io;

use tsdb_model::{Exemplar, Labels};

use crate::answer::{ApiResult, Success};
use crate::error::ApiError;
use crate::json::{self, Sink};
use crate::params::{MAX_TIME_MS, MIN_TIME_MS};
use crate::router::Call;
use crate::selector;
use crate::state::Running;

/// Exemplars of the series that any selector of the query selects.
pub(crate) fn exemplars(call: &Call, running: &Running) -> ApiResult {
    let start = call.params.time_or("start", MIN_TIME_MS)?;
    let end = call.params.time_or("end", MAX_TIME_MS)?;
    if end < start {
        let text = "end timestamp must not be before start timestamp";
        return Err(ApiError::bad_data(text));
    }
    let selectors = selector::with_query(call, |query| match query {
        Ok(query) => Ok(selector::selectors(&query)),
        Err(e) => Err(ApiError::bad_data(e.to_string())),
    })?;
    if selectors.is_empty() {
        return Ok(Success::nothing());
    }
    let found = running.exemplars(start, end, &selectors)?;
    Ok(Success::streamed(move |out| write(out, &found)))
}

// Grafana reads this as a stream and needs `seriesLabels` first.
fn write(sink: &mut impl Sink, found: &[(Labels, Vec<Exemplar>)]) -> io::Result<()> {
    sink.text().push('[');
    for (i, (labels, exemplars)) in found.iter().enumerate() {
        let out = sink.text();
        out.push_str(if i > 0 {
            ",{\"seriesLabels\":"
        } else {
            "{\"seriesLabels\":"
        });
        json::write_labels(out, labels);
        out.push_str(",\"exemplars\":[");
        for (i, exemplar) in exemplars.iter().enumerate() {
            let out = sink.text();
            out.push_str(if i > 0 {
                ",{\"labels\":"
            } else {
                "{\"labels\":"
            });
            json::write_labels(out, &exemplar.labels);
            out.push_str(",\"value\":\"");
            tsdb_model::float::write_float(out, exemplar.value);
            out.push_str("\",\"timestamp\":");
            json::write_time(out, exemplar.timestamp_ms);
            out.push('}');
            sink.checkpoint()?;
        }
        sink.text().push_str("]}");
    }
    sink.text().push(']');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_of_exemplars() {
        let exemplar = |id: &str, value, timestamp_ms| Exemplar {
            labels: Labels::from_pairs([("trace_id", id)]),
            value,
            timestamp_ms,
        };
        let found = [
            (
                Labels::from_pairs([("__name__", "a")]),
                vec![
                    exemplar("x", 0.67, 1_520_879_607_789),
                    exemplar("y", 1e21, 1000),
                ],
            ),
            (Labels::from_pairs([("__name__", "b")]), Vec::new()),
        ];
        let mut out = String::new();
        write(&mut out, &found).unwrap();
        assert_eq!(
            out,
            r#"[{"seriesLabels":{"__name__":"a"},"exemplars":[{"labels":{"trace_id":"x"},"value":"0.67","timestamp":1520879607.789},{"labels":{"trace_id":"y"},"value":"1e+21","timestamp":1}]},{"seriesLabels":{"__name__":"b"},"exemplars":[]}]"#
        );
    }
}
