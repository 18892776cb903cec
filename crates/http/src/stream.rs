//! Answers of bytes that are written piece by piece by a thread that may block: text, frames.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;
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

/// How long a client may take nothing of its answer before others have its turn.
const PATIENCE: Duration = Duration::from_secs(1);

/// A turn among those who are answered at the same time.
pub(crate) struct Turn {
    all: Arc<Semaphore>,
    /// Given back while the client is slow.
    permit: Option<OwnedSemaphorePermit>,
}

impl Turn {
    /// Waits for a turn; `None` when the server ends.
    async fn wait(all: &Arc<Semaphore>) -> Option<Self> {
        let permit = all.clone().acquire_owned().await.ok()?;
        Some(Self {
            all: all.clone(),
            permit: Some(permit),
        })
    }
}

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
    turn: Turn,
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
        let chunk = Bytes::from(std::mem::take(&mut self.buffer));
        self.sent.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        let body = self.body.as_ref().ok_or(Stopped::Client)?;
        let runtime = Handle::current();
        let soon = runtime.block_on(async { timeout(PATIENCE, body.send(chunk.clone())).await });
        match soon {
            Ok(sent) => sent.map_err(|_| Stopped::Client),
            Err(_) => {
                self.turn.permit = None;
                body.send_blocking(chunk).map_err(|_| Stopped::Client)?;
                let again = runtime.block_on(self.turn.all.clone().acquire_owned());
                self.turn.permit = again.ok();
                Ok(())
            }
        }
    }

    fn finish(mut self) {
        if let Some(head) = self.head.take() {
            let body = Body::full(std::mem::take(&mut self.buffer));
            let _ = head.send(self.response(body));
            return;
        }
        let sent = self.buffer.is_empty() || self.send().is_ok();
        // Before the client can know that it has everything.
        drop(self.turn);
        if let (true, Some(body)) = (sent, self.body) {
            body.finish();
        }
    }
}

/// Runs `write` on a thread that may block and answers with what it writes, in its turn.
pub(crate) async fn streamed(
    turn: Turn,
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
                turn,
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
pub(crate) async fn read_turn(state: &ApiState) -> Result<Turn, Response> {
    let longest = Duration::from_millis(state.options.engine.options().timeout_ms);
    match timeout(longest, Turn::wait(&state.reads)).await {
        Ok(Some(turn)) => Ok(turn),
        Ok(None) => Err(misc::unavailable(state)),
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

    async fn streamed(
        content_type: &'static str,
        write: impl FnOnce(&mut Out) -> Result<(), Stopped> + Send + 'static,
    ) -> Response {
        let turn = Turn::wait(&Arc::new(Semaphore::new(1))).await.unwrap();
        super::streamed(turn, content_type, write).await
    }

    #[tokio::test]
    async fn a_slow_client_takes_no_turn_from_others() {
        let turns = Arc::new(Semaphore::new(1));
        let write = |out: &mut Out| {
            for _ in 0..20 {
                out.buffer.resize(CHUNK_BYTES, b'x');
                out.checkpoint()?;
            }
            Ok(())
        };
        let turn = Turn::wait(&turns).await.unwrap();
        let slow = super::streamed(turn, "text/a", write).await;
        // Nobody reads it, and yet there is a turn for this one.
        let turn = Turn::wait(&turns).await.unwrap();
        let other = super::streamed(turn, "text/a", write).await;
        let all = |r: Response| async { r.into_body().collect().await.unwrap().to_bytes().len() };
        assert_eq!(all(other).await, 20 * CHUNK_BYTES);
        assert_eq!(all(slow).await, 20 * CHUNK_BYTES);
        // The threads that wrote end a little after their answers.
        let free = timeout(Duration::from_secs(10), turns.acquire()).await;
        assert!(free.is_ok_and(|turn| turn.is_ok()));
    }

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
