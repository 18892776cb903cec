//! From a handler's result to a response: the envelope, streaming of long answers, plain pages.

use std::fmt::Write as _;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use tokio::sync::oneshot;
use tsdb_net::body::{Body, BodySender};
use tsdb_net::server::Response;

use crate::error::{ApiError, ErrorKind};
use crate::json::{self, Sink};

/// Answers up to this many bytes are sent whole, longer ones in chunks of about this size.
const CHUNK_BYTES: usize = 64 << 10;

/// Chunks that may wait for a slow client.
const CHUNKS_AHEAD: usize = 4;

/// Most warnings, and most infos, that an answer carries.
const MAX_NOTES: usize = 10;

const PLAIN: &str = "text/plain; charset=utf-8";

type WriteData = Box<dyn FnOnce(&mut AnswerWriter) -> io::Result<()> + Send>;

/// What an endpoint answers when it succeeds.
pub(crate) struct Success {
    /// `None` answers 204 without a body.
    data: Option<WriteData>,
    warnings: Vec<String>,
    infos: Vec<String>,
}

/// What an endpoint answers.
pub(crate) type ApiResult = Result<Success, ApiError>;

impl Success {
    /// Data that is written piece by piece.
    pub(crate) fn streamed(
        write: impl FnOnce(&mut AnswerWriter) -> io::Result<()> + Send + 'static,
    ) -> Self {
        Self {
            data: Some(Box::new(write)),
            warnings: Vec::new(),
            infos: Vec::new(),
        }
    }

    /// Data that is small enough to stand in memory.
    pub(crate) fn json(data: &impl Serialize) -> ApiResult {
        let text = json::to_json(data)
            .map_err(|e| ApiError::new(ErrorKind::Internal, format!("encoding JSON: {e}")))?;
        Ok(Self::streamed(move |out| {
            out.text().push_str(&text);
            Ok(())
        }))
    }

    /// A list of strings.
    pub(crate) fn strings(list: Vec<String>) -> Self {
        Self::streamed(move |out| json::write_strings(out, list.iter().map(String::as_str)))
    }

    /// No data at all: 204.
    pub(crate) fn nothing() -> Self {
        Self {
            data: None,
            warnings: Vec::new(),
            infos: Vec::new(),
        }
    }

    /// Adds the warning about a result that was cut, when it was.
    pub(crate) fn truncated(mut self, truncated: bool) -> Self {
        if truncated {
            self.warnings.push("results truncated due to limit".into());
        }
        self
    }

    /// Adds warnings and infos, each kind cut to its limit.
    pub(crate) fn notes(mut self, warnings: Vec<String>, infos: Vec<String>) -> Self {
        self.warnings.extend(capped(warnings, "warning"));
        self.infos.extend(capped(infos, "info"));
        self
    }
}

fn capped(mut notes: Vec<String>, kind: &str) -> Vec<String> {
    if notes.len() > MAX_NOTES {
        let left_out = notes.len() - MAX_NOTES;
        notes.truncate(MAX_NOTES);
        notes.push(format!("{left_out} more {kind} annotations omitted"));
    }
    notes
}

/// Takes the text of an answer. As long as it is short it gathers; then it begins the response and
/// sends chunk by chunk, waiting for a slow client.
pub(crate) struct AnswerWriter {
    text: String,
    head: Option<oneshot::Sender<Response>>,
    body: Option<BodySender>,
    sent: Arc<AtomicU64>,
}

impl AnswerWriter {
    fn send(&mut self) -> io::Result<()> {
        if let Some(head) = self.head.take() {
            let (sender, body) = Body::channel(CHUNKS_AHEAD);
            let mut response = json_response(StatusCode::OK, body);
            response
                .extensions_mut()
                .insert(StreamedBytes(self.sent.clone()));
            head.send(response)
                .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            self.body = Some(sender);
        }
        let chunk = std::mem::take(&mut self.text);
        self.text.reserve(CHUNK_BYTES + CHUNK_BYTES / 8);
        self.sent.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        match &self.body {
            Some(body) => body
                .send_blocking(chunk)
                .map_err(|gone| io::Error::new(io::ErrorKind::BrokenPipe, gone)),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn finish(mut self) -> io::Result<()> {
        if let Some(head) = self.head.take() {
            let response = json_response(StatusCode::OK, Body::full(self.text));
            return head
                .send(response)
                .map_err(|_| io::ErrorKind::BrokenPipe.into());
        }
        if !self.text.is_empty() {
            self.send()?;
        }
        if let Some(body) = self.body {
            body.finish();
        }
        Ok(())
    }
}

impl Sink for AnswerWriter {
    fn text(&mut self) -> &mut String {
        &mut self.text
    }

    fn checkpoint(&mut self) -> io::Result<()> {
        if self.text.len() < CHUNK_BYTES {
            Ok(())
        } else {
            self.send()
        }
    }
}

/// Extension of a streamed response: how many bytes it has sent so far.
#[derive(Debug, Clone)]
pub(crate) struct StreamedBytes(pub(crate) Arc<AtomicU64>);

/// Runs `work` on a thread that may block and makes a response of its result.
pub(crate) async fn blocking(work: impl FnOnce() -> ApiResult + Send + 'static) -> Response {
    let (head, response) = oneshot::channel();
    tokio::task::spawn_blocking(move || guarded(|| deliver(work(), head)));
    // The sender is gone without an answer when `work` panicked.
    response.await.unwrap_or_else(|_| failed())
}

/// Runs `work`; a panic is logged and gives `None`.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work))
        .inspect_err(|panic| log_panic(&**panic))
        .ok()
}

fn log_panic(panic: &(dyn std::any::Any + Send)) {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let panic = text
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no text");
    tracing::error!(panic, "a request handler panicked");
}

/// What a client gets when its request made this program panic.
pub(crate) fn failed() -> Response {
    let text = "the request made the server fail; its log says more";
    error_response(&ApiError::new(ErrorKind::Internal, text))
}

fn deliver(result: ApiResult, head: oneshot::Sender<Response>) {
    let success = match result {
        Ok(success) => success,
        Err(e) => {
            let _ = head.send(error_response(&e));
            return;
        }
    };
    let Some(write) = success.data else {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let _ = head.send(response);
        return;
    };
    let mut out = AnswerWriter {
        text: String::with_capacity(1024),
        head: Some(head),
        body: None,
        sent: Arc::default(),
    };
    let written = (|| {
        out.text().push_str("{\"status\":\"success\",\"data\":");
        write(&mut out)?;
        for (name, notes) in [("warnings", success.warnings), ("infos", success.infos)] {
            if !notes.is_empty() {
                let _ = write!(out.text(), ",\"{name}\":");
                json::write_strings(&mut out, notes.iter().map(String::as_str))?;
            }
        }
        out.text().push('}');
        out.finish()
    })();
    if written.is_err() {
        tracing::debug!("the client went away before it had its answer");
    }
}

fn json_response(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// The envelope of an error.
pub(crate) fn error_response(e: &ApiError) -> Response {
    error_response_with(e.kind.status(), e)
}

/// The envelope of an error under another status.
pub(crate) fn error_response_with(status: StatusCode, e: &ApiError) -> Response {
    let mut text = String::from("{\"status\":\"error\",\"errorType\":\"");
    text.push_str(e.kind.as_str());
    text.push_str("\",\"error\":");
    json::write_string(&mut text, &e.message);
    text.push('}');
    json_response(status, Body::full(text))
}

/// A page of this content type.
pub(crate) fn page(content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A plain text.
pub(crate) fn plain(status: StatusCode, text: impl Into<Body>) -> Response {
    let mut response = page(PLAIN, text);
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    async fn text(response: Response) -> String {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn short_answers_have_a_length_and_long_ones_are_streamed() {
        let short = blocking(|| Ok(Success::strings(vec!["a".into()]))).await;
        assert_eq!(short.body().len(), Some(33));
        assert_eq!(text(short).await, r#"{"status":"success","data":["a"]}"#);

        let long: Vec<String> = (0..100_000).map(|i| format!("value {i}")).collect();
        let response = blocking(move || Ok(Success::strings(long))).await;
        assert_eq!(response.body().len(), None);
        let counted = response
            .extensions()
            .get::<StreamedBytes>()
            .unwrap()
            .clone();
        let text = text(response).await;
        assert_eq!(counted.0.load(Ordering::Relaxed), text.len() as u64);
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed["data"].as_array().unwrap().len(), 100_000);
        assert_eq!(parsed["data"][99_999], "value 99999");
    }

    #[tokio::test]
    async fn notes_are_capped() {
        let notes: Vec<String> = (0..13).map(|i| format!("w{i}")).collect();
        let answer = move || {
            Ok(Success::json(&1)?
                .notes(notes, vec!["<i>".into()])
                .truncated(true))
        };
        let parsed: serde_json::Value =
            serde_json::from_str(&text(blocking(answer).await).await).unwrap();
        let warnings = parsed["warnings"].as_array().unwrap();
        assert_eq!(warnings.len(), 12);
        assert_eq!(warnings[10], "3 more warning annotations omitted");
        assert_eq!(warnings[11], "results truncated due to limit");
        assert_eq!(parsed["infos"], serde_json::json!(["<i>"]));
    }

    #[tokio::test]
    async fn errors_and_panics_are_answered() {
        let response = blocking(|| Err(ApiError::bad_data("a < b"))).await;
        assert_eq!(response.status(), 400);
        assert_eq!(
            text(response).await,
            r#"{"status":"error","errorType":"bad_data","error":"a \u003c b"}"#
        );
        let response = blocking(|| panic!("on purpose")).await;
        assert_eq!(response.status(), 500);
        let response = blocking(|| Ok(Success::nothing())).await;
        assert_eq!(
            (response.status().as_u16(), text(response).await.as_str()),
            (204, "")
        );
    }

    #[tokio::test]
    async fn a_gone_client_stops_the_writing() {
        let (done, stopped) = oneshot::channel();
        let response = blocking(move || {
            Ok(Success::streamed(move |out| {
                let written = loop {
                    out.text().push_str(&"x".repeat(1000));
                    if let Err(e) = out.checkpoint() {
                        break e;
                    }
                };
                let _ = done.send(written.kind());
                Err(written)
            }))
        })
        .await;
        drop(response);
        assert_eq!(stopped.await, Ok(io::ErrorKind::BrokenPipe));
    }
}
