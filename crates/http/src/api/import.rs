//! `/api/v1/import`: samples of any age within retention, as JSON lines or exposition text.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead, Read};
use std::sync::Arc;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use tokio::time::timeout;
use tsdb::Db;
use tsdb_model::{Exemplar, Labels, Metadata, MetricType, SeriesRef, StorageError, stale_nan};
use tsdb_net::Grant;
use tsdb_net::server::Response;
use tsdb_wire::openmetrics::OpenMetricsParser;
use tsdb_wire::text::{Entry, LabelPair, SeriesLine, TextError, TextParser};

use super::upload::{Upload, next_line, read_all};
use super::write::{MAX_WAIT, come_again, outcome_answer, refused};
use crate::access;
use crate::answer::{failed, guarded};
use crate::params::parse_int;
use crate::receive::{Outcome, Pushed, PushedValue, Reason, Sink, add};
use crate::router::Call;
use crate::state::Running;

/// Longest line of JSON, and longest page of text, in bytes.
const MAX_BYTES: usize = 32 << 20;

/// Samples after which is committed: memory does not grow with the body.
const TOGETHER: usize = 100_000;

/// Takes samples in.
pub(crate) async fn import(mut call: Call, running: Running) -> Response {
    let header = |name| {
        let value = call.headers.get(name).map(HeaderValue::as_bytes);
        String::from_utf8_lossy(value.unwrap_or_default()).to_ascii_lowercase()
    };
    let encoding = header(CONTENT_ENCODING);
    let encoding = encoding.trim();
    let content_type = header(CONTENT_TYPE);
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let format = match media_type {
        "application/openmetrics-text" => Format::OpenMetrics,
        "text/plain" => Format::Text,
        _ => Format::JsonLines,
    };
    let default_ms = match call.params.get("timestamp") {
        "" => call.state.now_ms(),
        text => match parse_int(text) {
            Ok(ms) => ms,
            Err(e) => {
                let text = format!("invalid parameter \"timestamp\": {e}");
                return refused(StatusCode::BAD_REQUEST, &text);
            }
        },
    };
    let turn = call.state.imports.clone().acquire_owned();
    let Ok(Ok(turn)) = timeout(MAX_WAIT, turn).await else {
        return come_again(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many imports at the same time",
        );
    };
    let upload = match call.upload.take() {
        Some(body) => Upload::of(body),
        None => Upload::whole(std::mem::take(&mut call.body)),
    };
    let encoding = encoding.to_string();
    let work = move || {
        let _turn = turn;
        // Reads already, so it must be on this thread.
        let Some(body) = upload.decoded(&encoding) else {
            let text = format!("{encoding} encoding is not accepted");
            return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, &text);
        };
        let import = Import {
            db: &running.db,
            now_ms: call.state.now_ms(),
            sink: Sink::new(&running.db, call.state.now_ms()),
            labels: HashMap::new(),
            default_ms,
            grant: running.grant.clone().filter(|g| !g.matchers.is_empty()),
            waiting: 0,
            done: Outcome::default(),
        };
        let stored = match format {
            Format::JsonLines => import.json_lines(body),
            Format::Text | Format::OpenMetrics => import.page(body, format),
        };
        if let Ok(outcome) = &stored {
            let receiver = &call.state.receiver;
            receiver.count(outcome);
            add(&receiver.counters.imported, outcome.samples);
        }
        match stored {
            Ok(outcome) => outcome_answer(Ok(&outcome)),
            Err(Failed::Storage(e)) => outcome_answer(Err(&e)),
            Err(Failed::Body(e)) => {
                let text = format!("reading the body: {e}");
                refused(StatusCode::BAD_REQUEST, &text)
            }
            Err(Failed::Text(e)) => {
                let text = format!("line {}: {}", e.line, e.message);
                refused(StatusCode::BAD_REQUEST, &text)
            }
        }
    };
    let done = tokio::task::spawn_blocking(move || guarded(work)).await;
    done.ok().flatten().unwrap_or_else(failed)
}

#[derive(Debug, Clone, Copy)]
enum Format {
    JsonLines,
    Text,
    OpenMetrics,
}

/// Why a body was given up.
enum Failed {
    Storage(StorageError),
    /// It broke off, is not compressed as it says, or has too long a line.
    Body(io::Error),
    /// A page that cannot be read is refused whole.
    Text(TextError),
}

impl From<StorageError> for Failed {
    fn from(e: StorageError) -> Self {
        Self::Storage(e)
    }
}

impl From<io::Error> for Failed {
    fn from(e: io::Error) -> Self {
        Self::Body(e)
    }
}

impl From<TextError> for Failed {
    fn from(e: TextError) -> Self {
        Self::Text(e)
    }
}

/// A line of JSON, in VictoriaMetrics's form.
#[derive(Deserialize)]
struct Line {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<JsonValue>,
    #[serde(default)]
    timestamps: Vec<i64>,
    /// What an export writes for a native histogram; cannot be taken in.
    #[serde(default)]
    histogram: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum JsonValue {
    Number(f64),
    Word(String),
    Null(()),
}

impl JsonValue {
    fn value(&self) -> Option<f64> {
        match self {
            Self::Number(v) => Some(*v),
            Self::Null(()) => Some(normal_nan()),
            Self::Word(word) if word == "StaleNaN" => Some(stale_nan()),
            Self::Word(word) => tsdb_model::parse_float(word),
        }
    }
}

fn normal_nan() -> f64 {
    f64::from_bits(tsdb_model::float::NORMAL_NAN_BITS)
}

struct Import<'a> {
    db: &'a Db,
    now_ms: i64,
    sink: Sink<'a>,
    /// Samples that are not committed yet.
    waiting: usize,
    /// What was committed.
    done: Outcome,
    /// Labels of the series met, for the texts of refusals.
    labels: HashMap<SeriesRef, Labels>,
    /// Time of samples that come without one.
    default_ms: i64,
    /// What the client's token allows, when that is not everything.
    grant: Option<Arc<Grant>>,
}

impl Import<'_> {
    fn series(&mut self, labels: Labels, samples: u64) -> Option<SeriesRef> {
        if labels.metric_name().is_empty() {
            self.sink.refuse(Reason::InvalidLabels, samples, || {
                format!("invalid metric name or labels, got {labels}")
            });
            return None;
        }
        if let Some(grant) = self.grant.as_ref().filter(|g| !g.allows(&labels)) {
            let refusal = || access::refusal(grant, &labels);
            self.sink.refuse(Reason::NotAllowed, samples, refusal);
            return None;
        }
        match self.sink.series(&labels) {
            Ok(series) => {
                self.labels.entry(series).or_insert(labels);
                Some(series)
            }
            Err(e) => {
                self.sink.refuse(Reason::of(&e), samples, || {
                    format!("{e} for series {labels}")
                });
                None
            }
        }
    }

    fn push(&mut self, series: SeriesRef, timestamp_ms: i64, value: f64) {
        let labels = &self.labels;
        let shown = || {
            labels
                .get(&series)
                .map(Labels::to_string)
                .unwrap_or_default()
        };
        self.waiting += 1;
        if self.sink.is_too_far_ahead(timestamp_ms) {
            self.sink.refuse(Reason::OutOfBounds, 1, || {
                format!(
                    "out of bounds: timestamp is too far in the future for series {}",
                    shown()
                )
            });
            return;
        }
        let pushed = Pushed {
            timestamp_ms,
            start_timestamp_ms: 0,
            value: PushedValue::Float(value),
        };
        if let Err(e) = self.sink.push(series, &pushed) {
            self.sink
                .refuse(Reason::of(&e), 1, || format!("{e} for series {}", shown()));
        }
    }

    /// Stores what has come together and begins anew.
    fn commit(&mut self) -> Result<(), StorageError> {
        let next = Sink::new(self.db, self.now_ms);
        let sink = std::mem::replace(&mut self.sink, next);
        let labels = std::mem::take(&mut self.labels);
        self.waiting = 0;
        let outcome = sink.commit(|series, _| Some((labels.get(&series)?.clone(), false)))?;
        self.done.add(outcome);
        Ok(())
    }

    fn json_lines(mut self, mut body: impl BufRead) -> Result<Outcome, Failed> {
        let mut text = Vec::new();
        let mut number = 0_u64;
        let mut bytes = 0;
        loop {
            match next_line(&mut body, MAX_BYTES, &mut text) {
                Ok(Some(())) => {}
                Ok(None) => break,
                Err(e) => {
                    self.commit()?;
                    let text = format!("line {}: {e}; the lines before it are stored", number + 1);
                    return Err(io::Error::other(text).into());
                }
            }
            number += 1;
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            if let Err((samples, problem)) = self.json_line(&text) {
                self.sink.refuse(Reason::Malformed, samples, || {
                    format!("line {number}: {problem}")
                });
            }
            bytes += text.len();
            if self.waiting >= TOGETHER || bytes >= MAX_BYTES {
                self.commit()?;
                bytes = 0;
            }
        }
        self.commit()?;
        Ok(self.done)
    }

    /// A page of text is taken whole or not at all.
    fn page(self, body: impl Read, format: Format) -> Result<Outcome, Failed> {
        let page = read_all(body, MAX_BYTES)?;
        match format {
            Format::OpenMetrics => {
                self.text(OpenMetricsParser::new(&page), OpenMetricsParser::next)
            }
            _ => self.text(TextParser::new(&page), TextParser::next),
        }
    }

    /// An error says how many samples are lost, and why.
    fn json_line(&mut self, text: &[u8]) -> Result<(), (u64, String)> {
        let line: Line = serde_json::from_slice(text).map_err(|e| (1, e.to_string()))?;
        if line.histogram.is_some() {
            return Err((1, "native histograms cannot be imported from JSON".into()));
        }
        let samples = line.values.len().max(line.timestamps.len()) as u64;
        if line.values.len() != line.timestamps.len() {
            let text = format!(
                "{} values with {} timestamps",
                line.values.len(),
                line.timestamps.len()
            );
            return Err((samples, text));
        }
        let mut values = Vec::with_capacity(line.values.len());
        for value in &line.values {
            let value = value
                .value()
                .ok_or((samples, "invalid value".to_string()))?;
            values.push(value);
        }
        if let Some(series) = self.series(Labels::from_pairs(&line.metric), samples) {
            for (t, v) in line.timestamps.iter().zip(values) {
                self.push(series, *t, v);
            }
        }
        Ok(())
    }

    fn text<'b, P>(
        mut self,
        mut parser: P,
        next: impl Fn(&mut P) -> Result<Option<Entry<'b>>, TextError>,
    ) -> Result<Outcome, Failed> {
        let mut known: HashMap<(&[u8], MetricType), SeriesRef> = HashMap::new();
        let mut metadata: BTreeMap<String, Metadata> = BTreeMap::new();
        let mut pairs: Vec<LabelPair<'_>> = Vec::new();
        while let Some(entry) = next(&mut parser)? {
            match entry {
                Entry::Type {
                    family,
                    metric_type,
                } => metadata.entry(family.into_owned()).or_default().metric_type = metric_type,
                Entry::Help { family, help } => {
                    metadata.entry(family.into_owned()).or_default().help = help.into_owned();
                }
                Entry::Unit { family, unit } => {
                    metadata.entry(family.into_owned()).or_default().unit = unit.into_owned();
                }
                Entry::Series(line) => {
                    let key = (line.text, line.metric_type);
                    let series = match known.get(&key) {
                        Some(series) => Some(*series),
                        None => {
                            pairs.clear();
                            line.labels(&mut pairs)?;
                            let labels = pairs.iter().map(|(n, v)| (n, v));
                            self.series(Labels::from_pairs(labels), 1)
                        }
                    };
                    if let Some(series) = series {
                        known.insert(key, series);
                        self.line(series, &line)?;
                    }
                }
            }
        }
        // What is said of whole families is not said of allowed series only.
        for (family, metadata) in metadata.into_iter().filter(|_| self.grant.is_none()) {
            self.sink.metadata(&family, metadata);
        }
        self.commit()?;
        Ok(self.done)
    }

    fn line(&mut self, series: SeriesRef, line: &SeriesLine<'_>) -> Result<(), TextError> {
        let t = line.timestamp_ms.unwrap_or(self.default_ms);
        self.push(series, t, line.value);
        if let Some(exemplar) = &line.exemplar {
            let mut pairs = Vec::new();
            exemplar.labels(&mut pairs)?;
            let exemplar = Exemplar {
                labels: Labels::from_pairs(pairs.iter().map(|(n, v)| (n, v))),
                value: exemplar.value,
                timestamp_ms: exemplar.timestamp_ms.unwrap_or(t),
            };
            // Refusals are counted by the sink.
            let _ = self.sink.exemplar(series, exemplar);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tsdb_model::METRIC_NAME;

    use super::*;

    #[test]
    fn values_of_json() {
        let line: Line = serde_json::from_str(
            r#"{"metric":{"__name__":"m"},"values":[1,-0.0,1e300,null,"Infinity","-Infinity","NaN","StaleNaN",0.1,5e-324,2.225073858507201e-308],"timestamps":[]}"#,
        )
        .unwrap();
        let bits: Vec<u64> = line
            .values
            .iter()
            .map(|v| v.value().unwrap().to_bits())
            .collect();
        let expected = [
            1.0,
            -0.0,
            1e300,
            normal_nan(),
            f64::INFINITY,
            f64::NEG_INFINITY,
            normal_nan(),
            stale_nan(),
            0.1,
            5e-324,
            2.225073858507201e-308,
        ];
        assert_eq!(bits, expected.map(f64::to_bits));
        assert_eq!(line.metric.get(METRIC_NAME).map(String::as_str), Some("m"));
        assert!(JsonValue::Word("x".into()).value().is_none());
    }
}
