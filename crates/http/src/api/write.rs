//! `/api/v1/write`: remote write 1.0 and 2.0.

use std::sync::Arc;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::time::{Duration, timeout};
use tsdb::Db;
use tsdb_model::{MemoryBudget, MemoryOwner, StorageError};
use tsdb_net::body::Body;
use tsdb_net::server::Response;
use tsdb_wire::remote::{RemoteError, WriteVersion, declared_len, max_memory};

use crate::access::Withheld;
use crate::answer::{failed, guarded, plain};
use crate::receive::{Outcome, add};
use crate::router::{Call, no_sniff};
use crate::state::Running;

const PROTOBUF: &str = "application/x-protobuf";

/// Memory that requests may take at the same time, in KiB: what they hold decompressed and taken
/// apart; more requests wait.
pub(crate) const WRITE_BUDGET_KIB: usize = 128 << 10;

/// What a request takes of the budget at least: so many fit in at once.
const MIN_WRITE_KIB: usize = WRITE_BUDGET_KIB / 32;

/// How long a request waits for its turn, before its sender is told to come again.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(20);

/// Bytes of bodies that may wait for their turn.
const MAX_WAITING_BYTES: u64 = 64 << 20;

/// Seconds after which to try again.
const RETRY_SECONDS: &str = "5";

/// Takes a write request.
pub(crate) async fn write(call: Call, running: Running) -> Response {
    let version = match version(&call.headers) {
        Ok(version) => version,
        Err(text) => return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, &text),
    };
    let receiver = &call.state.receiver;
    let bytes = call.body.len() as u64;
    add(&receiver.counters.body_bytes, bytes);
    let waiting = Waiting::new(&call, bytes);
    if waiting.is_too_much() {
        return turned_away(&call, "too many bytes of write requests are waiting");
    }
    let kib = max_memory(declared_len(&call.body).unwrap_or(0)) / 1024;
    let kib = kib.clamp(MIN_WRITE_KIB, WRITE_BUDGET_KIB) as u32;
    let turn = call.state.writes.clone().acquire_many_owned(kib);
    let Ok(Ok(turn)) = timeout(MAX_WAIT, turn).await else {
        return turned_away(&call, "too many write requests at the same time");
    };
    drop(waiting);
    let held = Held::new(&running.db, u64::from(kib) * 1024);
    let work = move || {
        let (_turn, _held) = (turn, held);
        let now_ms = call.state.now_ms();
        let receiver = &call.state.receiver;
        let stored = receiver.with_request(version, &call.body, |request| {
            let withheld = Withheld::take(request, running.grant.as_ref());
            let mut outcome = receiver.store(&running.db, request, now_ms)?;
            withheld.tell(&mut outcome, receiver);
            Ok(outcome)
        });
        answer(version, stored)
    };
    let done = tokio::task::spawn_blocking(move || guarded(work)).await;
    done.ok().flatten().unwrap_or_else(failed)
}

/// Memory counted as held by writes.
struct Held {
    budget: Arc<MemoryBudget>,
    bytes: u64,
}

impl Held {
    fn new(db: &Db, bytes: u64) -> Self {
        let budget = Arc::clone(db.budget());
        budget.take(MemoryOwner::Writes, bytes);
        Self { budget, bytes }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.give_back(MemoryOwner::Writes, self.bytes);
    }
}

/// Counts the bytes of a body while it waits.
struct Waiting {
    state: Arc<crate::state::ApiState>,
    bytes: u64,
    all: u64,
}

impl Waiting {
    fn new(call: &Call, bytes: u64) -> Self {
        use std::sync::atomic::Ordering;
        let before = call.state.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        Self {
            state: call.state.clone(),
            bytes,
            all: before + bytes,
        }
    }

    /// A single request always may wait.
    fn is_too_much(&self) -> bool {
        self.all > MAX_WAITING_BYTES && self.all > self.bytes
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let all = &self.state.waiting_bytes;
        all.fetch_sub(self.bytes, std::sync::atomic::Ordering::Relaxed);
    }
}

fn turned_away(call: &Call, text: &str) -> Response {
    add(&call.state.receiver.counters.turned_away, 1);
    come_again(StatusCode::SERVICE_UNAVAILABLE, text)
}

pub(super) fn come_again(status: StatusCode, text: &str) -> Response {
    let mut response = refused(status, text);
    let seconds = HeaderValue::from_static(RETRY_SECONDS);
    response.headers_mut().insert(RETRY_AFTER, seconds);
    response
}

pub(super) fn refused(status: StatusCode, text: &str) -> Response {
    no_sniff(plain(status, format!("{text}\n")))
}

/// The answer to what was stored and refused, and to a store that failed. Used for imports, too.
pub(super) fn outcome_answer(stored: Result<&Outcome, &StorageError>) -> Response {
    match stored {
        Ok(outcome) if outcome.retry => come_again(
            StatusCode::SERVICE_UNAVAILABLE,
            &format!("{}\nsend the request again", outcome.refusals.text()),
        ),
        Ok(outcome) if outcome.refusals.may_succeed_later() => {
            come_again(StatusCode::TOO_MANY_REQUESTS, &outcome.refusals.text())
        }
        Ok(outcome) if !outcome.refusals.is_empty() => {
            refused(StatusCode::BAD_REQUEST, &outcome.refusals.text())
        }
        Ok(_) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        Err(e @ StorageError::Unavailable(_)) => {
            come_again(StatusCode::SERVICE_UNAVAILABLE, &e.to_string())
        }
        Err(e) => come_again(StatusCode::INTERNAL_SERVER_ERROR, &e.to_string()),
    }
}

fn answer(
    version: WriteVersion,
    stored: Result<Result<Outcome, StorageError>, RemoteError>,
) -> Response {
    let (mut response, written) = match &stored {
        Err(e) => (refused(StatusCode::BAD_REQUEST, &e.to_string()), [0; 3]),
        Ok(Err(e)) => {
            tracing::warn!(error = %e, "a write request could not be stored");
            (outcome_answer(Err(e)), [0; 3])
        }
        Ok(Ok(outcome)) => (
            outcome_answer(Ok(outcome)),
            [outcome.samples, outcome.histograms, outcome.exemplars],
        ),
    };
    if version == WriteVersion::V2 {
        let names = [
            "x-prometheus-remote-write-samples-written",
            "x-prometheus-remote-write-histograms-written",
            "x-prometheus-remote-write-exemplars-written",
        ];
        for (name, n) in names.into_iter().zip(written) {
            let name = HeaderName::from_static(name);
            response.headers_mut().insert(name, HeaderValue::from(n));
        }
    }
    response
}

/// Which message a request carries, by its headers. What is missing is taken for 1.0 in snappy.
fn version(headers: &HeaderMap) -> Result<WriteVersion, String> {
    let text = |name| {
        let value = headers.get(name).map(HeaderValue::as_bytes);
        String::from_utf8_lossy(value.unwrap_or_default())
            .trim()
            .to_string()
    };
    let content_type = text(CONTENT_TYPE);
    let version = match content_type.as_str() {
        "" => WriteVersion::V1,
        given => message(given)?,
    };
    let encoding = text(CONTENT_ENCODING);
    if encoding.is_empty() || encoding.eq_ignore_ascii_case("snappy") {
        Ok(version)
    } else {
        Err(format!(
            "{encoding} encoding (compression) is not accepted by this server; only snappy is \
             acceptable"
        ))
    }
}

fn message(content_type: &str) -> Result<WriteVersion, String> {
    let mut parts = content_type.split(';');
    let media_type = parts.next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case(PROTOBUF) {
        return Err(format!(
            "expected {PROTOBUF} as the first (media) part, got {content_type} content-type"
        ));
    }
    for part in parts {
        let Some((name, value)) = part.split_once('=').filter(|p| !p.1.contains('=')) else {
            return Err(format!(
                "as per https://www.rfc-editor.org/rfc/rfc9110#parameter expected parameters to \
                 be key-values, got {part} in {content_type} content-type"
            ));
        };
        if name.trim() != "proto" {
            continue;
        }
        let value = value.trim();
        let known = [WriteVersion::V1, WriteVersion::V2];
        return known.into_iter().find(|v| v.message() == value).ok_or_else(|| {
            format!(
                "got {content_type} content type; unknown remote write protobuf message {value}, \
                 supported: {}, {}",
                WriteVersion::V1.message(),
                WriteVersion::V2.message()
            )
        });
    }
    Ok(WriteVersion::V1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let check = |content_type: &str, encoding: &str| {
            let mut headers = HeaderMap::new();
            for (name, value) in [(CONTENT_TYPE, content_type), (CONTENT_ENCODING, encoding)] {
                if !value.is_empty() {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            version(&headers)
        };
        let v2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
        assert_eq!(check("", ""), Ok(WriteVersion::V1));
        assert_eq!(
            check("application/x-protobuf", "SNAPPY"),
            Ok(WriteVersion::V1)
        );
        assert_eq!(check(v2, "snappy"), Ok(WriteVersion::V2));
        let v1 = "application/x-protobuf; charset=x; proto=prometheus.WriteRequest";
        assert_eq!(check(v1, ""), Ok(WriteVersion::V1));
        for (content_type, encoding, error) in [
            (
                "application/json",
                "",
                "expected application/x-protobuf as the first (media) part, got application/json \
                 content-type",
            ),
            (
                v2,
                "gzip",
                "gzip encoding (compression) is not accepted by this server; only snappy is \
                 acceptable",
            ),
            (
                "application/x-protobuf;proto=foo",
                "",
                "got application/x-protobuf;proto=foo content type; unknown remote write protobuf \
                 message foo, supported: prometheus.WriteRequest, io.prometheus.write.v2.Request",
            ),
            (
                "application/x-protobuf;foo",
                "",
                "as per https://www.rfc-editor.org/rfc/rfc9110#parameter expected parameters to \
                 be key-values, got foo in application/x-protobuf;foo content-type",
            ),
        ] {
            assert_eq!(check(content_type, encoding), Err(error.to_string()));
        }
    }
}
