//! Response bodies: bytes at hand, or chunks that a thread or task sends while the client reads,
//! held back when the client is slow.

use std::any::Any;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::mpsc;

use crate::encoding::EncodedBody;

/// Why a response body broke off; the connection is closed, so that the client can tell.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The sender went away without [`BodySender::finish`].
    #[error("the response was broken off")]
    BrokenOff,
    /// The compressor failed.
    #[error("compressing the response: {0}")]
    Encode(#[from] io::Error),
}

/// The client closed the connection: nobody reads what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client went away")]
pub struct ClientGone;

/// Body of a response.
pub struct Body {
    kind: Kind,
    /// Dropped together with the body: when the response is sent or the client is gone.
    guard: Option<Box<dyn Any + Send>>,
}

enum Kind {
    Full(Option<Bytes>),
    Chunks {
        receiver: mpsc::Receiver<Bytes>,
        finished: Arc<AtomicBool>,
    },
    Encoded(Box<EncodedBody>),
}

impl Body {
    /// A body without bytes.
    pub fn empty() -> Self {
        Self::new(Kind::Full(None))
    }

    /// A body whose bytes are at hand; its length is announced.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::new(Kind::Full((!bytes.is_empty()).then_some(bytes)))
    }

    /// A body of unknown length and the handle that fills it. At most `chunks` chunks wait (at
    /// least one); then sending waits for the client. A sender dropped without
    /// [`BodySender::finish`] breaks the connection off, so that half an answer never looks whole.
    pub fn channel(chunks: usize) -> (BodySender, Self) {
        let (sender, receiver) = mpsc::channel(chunks.max(1));
        let finished = Arc::new(AtomicBool::new(false));
        let body = Self::new(Kind::Chunks {
            receiver,
            finished: finished.clone(),
        });
        (BodySender { sender, finished }, body)
    }

    pub(crate) fn encoded(body: EncodedBody) -> Self {
        Self::new(Kind::Encoded(Box::new(body)))
    }

    fn new(kind: Kind) -> Self {
        Self { kind, guard: None }
    }

    /// Keeps `guard` until the body has been sent or given up. An earlier guard is kept too.
    #[must_use]
    pub fn with_guard(mut self, guard: impl Any + Send) -> Self {
        self.guard = Some(match self.guard.take() {
            Some(earlier) => Box::new((earlier, guard)),
            None => Box::new(guard),
        });
        self
    }

    /// Length in bytes, when it is known beforehand.
    pub fn len(&self) -> Option<u64> {
        self.size_hint().exact()
    }

    /// True when it is known that there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").field("len", &self.len()).finish()
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self::full(bytes)
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.kind {
            Kind::Full(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Kind::Chunks { receiver, finished } => {
                Poll::Ready(match ready!(receiver.poll_recv(cx)) {
                    Some(bytes) => Some(Ok(Frame::data(bytes))),
                    None if finished.load(Ordering::Acquire) => None,
                    None => Some(Err(BodyError::BrokenOff)),
                })
            }
            Kind::Encoded(body) => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.kind, Kind::Full(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Kind::Chunks { .. } | Kind::Encoded(_) => SizeHint::default(),
        }
    }
}

/// Fills a [`Body::channel`].
#[derive(Debug)]
pub struct BodySender {
    sender: mpsc::Sender<Bytes>,
    finished: Arc<AtomicBool>,
}

impl BodySender {
    /// Sends a chunk, waiting while the client is slow. For tasks.
    pub async fn send(&self, bytes: impl Into<Bytes>) -> Result<(), ClientGone> {
        let sent = self.sender.send(bytes.into()).await;
        sent.map_err(|_| ClientGone)
    }

    /// Sends a chunk, blocking the thread while the client is slow. For `spawn_blocking` threads.
    ///
    /// # Panics
    /// When called on a thread that runs tasks.
    pub fn send_blocking(&self, bytes: impl Into<Bytes>) -> Result<(), ClientGone> {
        let sent = self.sender.blocking_send(bytes.into());
        sent.map_err(|_| ClientGone)
    }

    /// True once the client is gone.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Waits until the client is gone or has been sent everything.
    pub async fn closed(&self) {
        self.sender.closed().await;
    }

    /// Ends the body properly.
    pub fn finish(self) {
        self.finished.store(true, Ordering::Release);
    }

    /// A writer that gathers about `chunk_bytes` bytes before it sends.
    pub fn into_writer(self, chunk_bytes: usize) -> BodyWriter {
        BodyWriter {
            sender: self,
            buffer: BytesMut::new(),
            chunk_bytes: chunk_bytes.max(1),
        }
    }
}

/// Writes a [`Body::channel`] from a blocking thread. Errors are `BrokenPipe`: the client is gone.
#[derive(Debug)]
pub struct BodyWriter {
    sender: BodySender,
    buffer: BytesMut,
    chunk_bytes: usize,
}

impl BodyWriter {
    /// Sends what is gathered and ends the body. Without it the connection is broken off.
    pub fn finish(mut self) -> io::Result<()> {
        self.send()?;
        self.sender.finish();
        Ok(())
    }

    /// True once the client is gone.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    fn send(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = self.buffer.split().freeze();
        let sent = self.sender.send_blocking(chunk);
        sent.map_err(|gone| io::Error::new(io::ErrorKind::BrokenPipe, gone))
    }
}

impl io::Write for BodyWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= self.chunk_bytes {
            self.send()?;
        }
        Ok(bytes.len())
    }

    /// Sends what is gathered.
    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use std::io::Write;

    #[tokio::test]
    async fn full_and_empty() {
        assert_eq!(Body::full("abc").len(), Some(3));
        assert!(Body::empty().is_empty() && Body::full("").is_end_stream());
        let all = Body::full("abc").collect().await.unwrap().to_bytes();
        assert_eq!(all, "abc");
    }

    #[tokio::test]
    async fn writer_gathers_chunks_and_finishes() {
        let (sender, body) = Body::channel(1);
        let thread = tokio::task::spawn_blocking(move || {
            let mut writer = sender.into_writer(4);
            for _ in 0..10 {
                writer.write_all(b"abc").unwrap();
            }
            writer.finish().unwrap();
        });
        let all = body.collect().await.unwrap().to_bytes();
        assert_eq!(all, "abc".repeat(10));
        thread.await.unwrap();
    }

    #[tokio::test]
    async fn unfinished_body_is_an_error() {
        let (sender, body) = Body::channel(1);
        sender.send("half").await.unwrap();
        drop(sender);
        assert!(matches!(body.collect().await, Err(BodyError::BrokenOff)));
    }

    #[tokio::test]
    async fn dropped_body_tells_the_sender_and_drops_its_guards() {
        let (sender, body) = Body::channel(1);
        let guard = Arc::new(());
        let body = body.with_guard(guard.clone()).with_guard(guard.clone());
        assert_eq!(Arc::strong_count(&guard), 3);
        assert!(!sender.is_closed());
        drop(body);
        sender.closed().await;
        assert_eq!(Arc::strong_count(&guard), 1);
        assert_eq!(sender.send("x").await, Err(ClientGone));
    }
}
