//! `/api/v1/search/*`: names and values that fit what someone is typing, best first when wanted, as
//! lines of JSON.

mod score;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use http::StatusCode;
use serde::Serialize;
use serde_json::json;
use tsdb_model::{METRIC_NAME, Matcher, Metadata, Querier, StopToken, StorageError};
use tsdb_net::server::Response;

use crate::answer::error_response;
use crate::api::metadata;
use crate::error::ApiError;
use crate::json::to_json;
use crate::params::{Params, parse_bool, parse_int, quoted};
use crate::router::Call;
use crate::selector::Union;
use crate::state::Running;
use crate::stream::{Out, Stopped, read_turn, streamed};
use score::{Algorithm, Filter};

const CONTENT_TYPE: &str = "application/x-ndjson; charset=utf-8";

/// Most terms of one request.
const MAX_TERMS: usize = 32;

/// Most results of one request, as Prometheus has it by default.
const MAX_LIMIT: usize = 10_000;

const DEFAULT_LIMIT: usize = 100;

/// What is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    MetricNames,
    LabelNames,
    LabelValues,
}

impl What {
    fn as_str(self) -> &'static str {
        match self {
            Self::MetricNames => "metric_names",
            Self::LabelNames => "label_names",
            Self::LabelValues => "label_values",
        }
    }
}

/// Names of metrics.
pub(crate) async fn metric_names(call: Call, running: Running) -> Response {
    search(What::MetricNames, call, running).await
}

/// Names of labels.
pub(crate) async fn label_names(call: Call, running: Running) -> Response {
    search(What::LabelNames, call, running).await
}

/// Values of a label.
pub(crate) async fn label_values(call: Call, running: Running) -> Response {
    search(What::LabelValues, call, running).await
}

async fn search(what: What, call: Call, running: Running) -> Response {
    let wanted = match Wanted::read(what, &call.params, call.state.now_ms()) {
        Ok(wanted) => wanted,
        Err(e) => return error_response(&e),
    };
    let turn = match read_turn(&call.state).await {
        Ok(turn) => turn,
        Err(response) => return response,
    };
    streamed(turn, CONTENT_TYPE, move |out| wanted.answer(&running, out)).await
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Ascending,
    Descending,
    Score,
}

/// What a request asks for.
#[derive(Debug)]
struct Wanted {
    what: What,
    /// The label whose values are searched.
    label: String,
    range: (i64, i64),
    sets: Vec<Vec<Matcher>>,
    filter: Filter,
    order: Order,
    include_score: bool,
    include_metadata: bool,
    limit: usize,
    batch: usize,
}

impl Wanted {
    /// Reads the parameters in Prometheus's order, with its error texts.
    fn read(what: What, params: &Params, now_ms: i64) -> Result<Self, ApiError> {
        params.check_form()?;
        let start = params.time_or("start", now_ms.saturating_sub(3_600_000))?;
        let end = params.time_or("end", now_ms)?;
        if end < start {
            let text = "end timestamp must not be before start timestamp";
            return Err(ApiError::bad_data(text));
        }
        let sets = params.matchers()?;
        let terms: Vec<&str> = params.all("search[]").collect();
        if terms.len() > MAX_TERMS {
            return Err(ApiError::bad_data(format!(
                "too many search[] terms: got {}, maximum is {MAX_TERMS}",
                terms.len()
            )));
        }
        let threshold = match params.get("fuzz_threshold") {
            "" => 0,
            text => match parse_int(text) {
                Ok(n @ 0..=100) => n,
                _ => return Err(unusable("fuzz_threshold", text, "must be 0-100")),
            },
        };
        let algorithm = match params.get("fuzz_alg") {
            "" | "subsequence" => Algorithm::Subsequence,
            "jarowinkler" => Algorithm::JaroWinkler,
            text => {
                return Err(ApiError::bad_data(format!(
                    "unsupported fuzz_alg {}: must be one of [subsequence jarowinkler]",
                    quoted(text)
                )));
            }
        };
        let case_sensitive = boolean(params, "case_sensitive", true)?;
        let include_score = boolean(params, "include_score", false)?;
        let order = order(what, params, terms.is_empty())?;
        let limit = match params.get("limit") {
            "" => DEFAULT_LIMIT,
            text => match positive("limit", text)? {
                n if n > MAX_LIMIT => {
                    return Err(ApiError::bad_data(format!(
                        "limit {n} exceeds the configured maximum ({MAX_LIMIT})"
                    )));
                }
                n => n,
            },
        };
        let batch = match params.get("batch_size") {
            "" => DEFAULT_LIMIT,
            text => positive("batch_size", text)?,
        };
        let label = match what {
            What::MetricNames => METRIC_NAME.to_string(),
            What::LabelNames => String::new(),
            What::LabelValues => params.get("label").to_string(),
        };
        if what == What::LabelValues && label.is_empty() {
            let text = "missing required parameter \"label\"";
            return Err(ApiError::bad_data(text));
        }
        let threshold = threshold as f64 / 100.0;
        Ok(Self {
            what,
            label,
            range: (start, end),
            sets,
            filter: Filter::new(terms, algorithm, threshold, case_sensitive),
            order,
            include_score,
            include_metadata: what == What::MetricNames
                && boolean(params, "include_metadata", false)?,
            limit,
            batch,
        })
    }

    fn answer(&self, running: &Running, out: &mut Out) -> Result<(), Stopped> {
        let mut found = self.find(running, &out.stop)?;
        let has_more = found.len() > self.limit;
        found.truncate(self.limit);
        let metadata = if self.include_metadata && !found.is_empty() {
            metadata::by_series_name(running)?
        } else {
            BTreeMap::new()
        };
        // There is at least one line of results, so that clients always find the list.
        let mut batches = found.chunks(self.batch);
        let mut next = Some(batches.next().unwrap_or_default());
        while let Some(batch) = next {
            let results: Vec<Record<'_>> =
                batch.iter().map(|f| self.record(f, &metadata)).collect();
            line(out, &json!({"results": results}))?;
            next = batches.next();
        }
        line(out, &json!({"status": "success", "has_more": has_more}))
    }

    /// What passes, in the order wanted; one more than the limit when there is more.
    fn find(
        &self,
        running: &Running,
        stop: &StopToken,
    ) -> Result<Vec<(String, f64)>, StorageError> {
        let querier = running.querier_until(self.range.0, self.range.1, stop.clone())?;
        let all = match self.sets.as_slice() {
            [] => self.names(&*querier, &[])?,
            [only] => self.names(&*querier, only)?,
            several => {
                let mut all = Union::new();
                for matchers in several {
                    all.add(self.names(&*querier, matchers)?);
                }
                all.sorted()
            }
        };
        let scored = all.into_iter().filter_map(|name| {
            let score = self.filter.score(&name)?;
            Some((name, score))
        });
        let enough = self.limit.saturating_add(1);
        // They come sorted by name.
        Ok(match self.order {
            Order::Ascending => scored.take(enough).collect(),
            Order::Descending => {
                let mut found: Vec<_> = scored.collect();
                found.reverse();
                found.truncate(enough);
                found
            }
            Order::Score => {
                let mut found: Vec<_> = scored.collect();
                found.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap_or(Ordering::Equal));
                found.truncate(enough);
                found
            }
        })
    }

    fn names(
        &self,
        querier: &dyn Querier,
        matchers: &[Matcher],
    ) -> Result<Vec<String>, StorageError> {
        match self.what {
            What::LabelNames => querier.label_names(matchers, 0),
            What::MetricNames | What::LabelValues => querier.label_values(&self.label, matchers, 0),
        }
    }

    fn record<'a>(
        &self,
        (text, score): &'a (String, f64),
        metadata: &'a BTreeMap<String, Metadata>,
    ) -> Record<'a> {
        let is_value = self.what == What::LabelValues;
        let metadata = metadata.get(text);
        Record {
            name: (!is_value).then_some(text),
            value: is_value.then_some(text),
            score: self.include_score.then_some(*score),
            metric_type: metadata.map(|m| m.metric_type.as_str()),
            help: metadata.map(|m| m.help.as_str()).filter(|t| !t.is_empty()),
            unit: metadata.map(|m| m.unit.as_str()).filter(|t| !t.is_empty()),
        }
    }
}

/// One result.
#[derive(Debug, Serialize)]
struct Record<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    metric_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
}

fn line(out: &mut Out, value: &serde_json::Value) -> Result<(), Stopped> {
    let text = to_json(value)
        .map_err(|e| Stopped::Refused(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?;
    out.buffer.extend_from_slice(text.as_bytes());
    out.buffer.push(b'\n');
    out.checkpoint()
}

fn order(what: What, params: &Params, no_terms: bool) -> Result<Order, ApiError> {
    let (by, dir) = (params.get("sort_by"), params.get("sort_dir"));
    let fail = |text: String| Err(ApiError::bad_data(text));
    match (by, dir) {
        ("", d) if !d.is_empty() => fail("sort_dir is only valid when sort_by is set".to_string()),
        ("score", d) if !d.is_empty() => {
            fail("sort_dir is not supported for sort_by=score".to_string())
        }
        (_, d) if !matches!(d, "" | "asc" | "dsc") => fail(format!(
            "invalid sort_dir {}: must be \"asc\" or \"dsc\"",
            quoted(d)
        )),
        ("score", _) if no_terms => fail("sort_by=score requires search[] to be set".to_string()),
        ("score", _) => Ok(Order::Score),
        ("alpha", "dsc") => Ok(Order::Descending),
        ("" | "alpha", _) => Ok(Order::Ascending),
        (by, _) => fail(format!(
            "invalid sort_by {} for {}: must be \"alpha\" or \"score\"",
            quoted(by),
            what.as_str()
        )),
    }
}

fn unusable(name: &str, text: &str, cause: &str) -> ApiError {
    ApiError::bad_data(format!("invalid {name} {}: {cause}", quoted(text)))
}

fn boolean(params: &Params, name: &str, default: bool) -> Result<bool, ApiError> {
    match params.get(name) {
        "" => Ok(default),
        text => parse_bool(text).map_err(|_| unusable(name, text, "must be boolean")),
    }
}

fn positive(name: &str, text: &str) -> Result<usize, ApiError> {
    let number = parse_int(text).ok().filter(|n| *n > 0);
    number
        .and_then(|n| usize::try_from(n).ok())
        .ok_or_else(|| unusable(name, text, "must be a positive integer"))
}
