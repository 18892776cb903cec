//! Answers of bytes that are written piece by piece by a thread that may block: text, frames.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tsdb_model::{StopToken, StorageError};
use tsdb_net::body::{Body, BodySender};
use tsdb_net::server::Response;

use crate::answer::{StreamedBytes, failed, guarded, plain};
use crate::api::misc;
use crate::state::ApiState;

/// Bytes that gather before they are sent.
const CHUNK_BYTES: usize = 64 << 10;

/// Chunks that may wait for a slow client.
const CHUNKS_AHEAD: usize = 4;

/// Why an answer ends early.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// The client went away.
    Client,
    /// It cannot be given. Once a part was sent, the connection is broken off instead.
    Refused(StatusCode, String),
}

impl Stopped {
    pub(crate) fn bad_request(text: impl Into<String>) -> Self {
        Self::Refused(StatusCode::BAD_REQUEST, text.into())
    }
}

impl From<StorageError> for Stopped {
    fn from(e: StorageError) -> Self {
        if matches!(e, StorageError::Canceled) {
            // Nobody reads this when it was the client who went away.
            let text = "the request took too long".into();
            return Self::Refused(StatusCode::SERVICE_UNAVAILABLE, text);
        }
        Self::Refused(StatusCode::INTERNAL_SERVER_ERROR, e.to_string())
    }
}

impl From<io::Error> for Stopped {
    fn from(_: io::Error) -> Self {
        Self::Client
    }
}

/// Takes the bytes of an answer.
pub(crate) struct Out {
    /// What has gathered; append to it.
    pub(crate) buffer: Vec<u8>,
    /// Tells that nobody waits for the answer any more.
    pub(crate) stop: StopToken,
    content_type: &'static str,
    encoding: Option<&'static str>,
    head: Option<oneshot::Sender<Response>>,
    body: Option<BodySender>,
    sent: Arc<AtomicU64>,
}

impl Out {
    /// Replaces the content type, as long as nothing was sent.
    pub(crate) fn content_type(&mut self, content_type: &'static str) {
        self.content_type = content_type;
    }

    /// Says how the body is encoded, as long as nothing was sent.
    pub(crate) fn encoding(&mut self, encoding: &'static str) {
        self.encoding = Some(encoding);
    }

    /// Sends what has gathered when it is much, waiting for a slow client.
    pub(crate) fn checkpoint(&mut self) -> Result<(), Stopped> {
        if self.buffer.len() < CHUNK_BYTES {
            Ok(())
        } else {
            self.send()
        }
    }

    fn response(&self, body: Body) -> Response {
        let mut response = Response::new(body);
        let content_type = HeaderValue::from_static(self.content_type);
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        if let Some(encoding) = self.encoding {
            let encoding = HeaderValue::from_static(encoding);
            response.headers_mut().insert(CONTENT_ENCODING, encoding);
        }
        response
    }

    fn send(&mut self) -> Result<(), Stopped> {
        if let Some(head) = self.head.take() {
            let (sender, body) = Body::channel(CHUNKS_AHEAD);
            let mut response = self.response(body);
            let sent = StreamedBytes(self.sent.clone());
            response.extensions_mut().insert(sent);
            head.send(response).map_err(|_| Stopped::Client)?;
            self.body = Some(sender);
        }
        let chunk = std::mem::take(&mut self.buffer);
        self.sent.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        let body = self.body.as_ref().ok_or(Stopped::Client)?;
        body.send_blocking(chunk).map_err(|_| Stopped::Client)
    }

    fn finish(mut self) {
        if let Some(head) = self.head.take() {
            let body = Body::full(std::mem::take(&mut self.buffer));
            let _ = head.send(self.response(body));
            return;
        }
        let sent = self.buffer.is_empty() || self.send().is_ok();
        if let (true, Some(body)) = (sent, self.body) {
            body.finish();
        }
    }
}

/// Runs `write` on a thread that may block and answers with what it writes.
pub(crate) async fn streamed(
    content_type: &'static str,
    write: impl FnOnce(&mut Out) -> Result<(), Stopped> + Send + 'static,
) -> Response {
    let (head, response) = oneshot::channel();
    let stop = StopToken::default();
    let mut guard = StopUnlessBegun(Some(stop.clone()));
    tokio::task::spawn_blocking(move || {
        guarded(|| {
            let mut out = Out {
                buffer: Vec::new(),
                stop,
                content_type,
                encoding: None,
                head: Some(head),
                body: None,
                sent: Arc::default(),
            };
            match (write(&mut out), out.head.take()) {
                (Ok(()), head) => {
                    out.head = head;
                    out.finish();
                }
                (Err(Stopped::Client), _) => {
                    tracing::debug!("the client went away before it had its answer");
                }
                (Err(Stopped::Refused(status, text)), Some(head)) => {
                    let _ = head.send(crate::router::no_sniff(plain(status, text + "\n")));
                }
                (Err(Stopped::Refused(_, error)), None) => {
                    tracing::warn!(error, "an answer was broken off");
                }
            }
        })
    });
    // The sender is gone without an answer when `write` panicked.
    let response = response.await.unwrap_or_else(|_| failed());
    // From here on it is the body that notices when the client goes away.
    guard.0 = None;
    response
}

/// Waits until it may read, as long as a query may take; an answer instead when that is too long.
pub(crate) async fn read_turn(state: &ApiState) -> Result<OwnedSemaphorePermit, Response> {
    let timeout = Duration::from_millis(state.options.engine.options().timeout_ms);
    let turn = state.reads.clone().acquire_owned();
    match tokio::time::timeout(timeout, turn).await {
        Ok(Ok(turn)) => Ok(turn),
        Ok(Err(_)) => Err(misc::unavailable(state)),
        Err(_) => {
            let text = "other requests take all the turns there are\n";
            Err(plain(StatusCode::SERVICE_UNAVAILABLE, text))
        }
    }
}

/// Stops the work when the client goes away before the answer begins.
struct StopUnlessBegun(Option<StopToken>);

impl Drop for StopUnlessBegun {
    fn drop(&mut self) {
        if let Some(stop) = &self.0 {
            stop.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn short_long_refused_and_broken_off() {
        let short = streamed("text/a", |out| {
            out.buffer.extend_from_slice(b"abc");
            out.checkpoint()
        })
        .await;
        assert_eq!(short.body().len(), Some(3));
        assert_eq!(short.headers()["content-type"], "text/a");

        let long = |end: Result<(), &'static str>| {
            streamed("text/a", move |out| {
                for _ in 0..10_000 {
                    out.buffer.extend_from_slice(&[b'x'; 100]);
                    out.checkpoint()?;
                }
                end.map_err(Stopped::bad_request)
            })
        };
        let response = long(Ok(())).await;
        assert_eq!(response.body().len(), None);
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(bytes.len(), 1_000_000);
        let response = long(Err("late")).await;
        assert_eq!(response.status(), 200);
        assert!(response.into_body().collect().await.is_err());

        let refused = streamed("text/a", |_| Err(Stopped::bad_request("no"))).await;
        assert_eq!(refused.status(), 400);
        let bytes = refused.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(bytes, "no\n");
        let panicked = streamed("text/a", |_| panic!("on purpose")).await;
        assert_eq!(panicked.status(), 500);
    }
}
