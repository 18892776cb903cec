//! A TCP stream that gives up on clients who send a request head, or take their answer, too slowly.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

const IDLE: u8 = 0;
const HEAD: u8 = 1;
const BUSY: u8 = 2;

/// What a connection is doing, shared between the stream and the request handler.
#[derive(Debug, Clone, Default)]
pub(crate) struct Phase(Arc<AtomicU8>);

impl Phase {
    /// A request head is complete; until the guard is dropped the client may take its time.
    pub(crate) fn busy(&self) -> BusyGuard {
        self.0.store(BUSY, Ordering::Relaxed);
        BusyGuard(self.clone())
    }

    /// True when part of a request head is there, but not all of it.
    pub(crate) fn in_head(&self) -> bool {
        self.0.load(Ordering::Relaxed) == HEAD
    }
}

/// Held while a request is handled and its answer sent.
#[derive(Debug)]
pub(crate) struct BusyGuard(Phase);

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.0.0.store(IDLE, Ordering::Relaxed);
    }
}

/// The stream. A read fails with `TimedOut` when a request head is not complete `head` after its
/// first byte, a write when the client has taken nothing for `stall`.
pub(crate) struct TimedStream {
    stream: TcpStream,
    phase: Phase,
    head: Duration,
    head_timer: Option<Pin<Box<Sleep>>>,
    stall: Duration,
    stall_timer: Option<Pin<Box<Sleep>>>,
}

impl TimedStream {
    pub(crate) fn new(stream: TcpStream, phase: Phase, head: Duration, stall: Duration) -> Self {
        Self {
            stream,
            phase,
            head,
            head_timer: None,
            stall,
            stall_timer: None,
        }
    }

    fn poll_timed_write(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let done = write(Pin::new(&mut self.stream), cx);
        if done.is_ready() {
            self.stall_timer = None;
            return done;
        }
        let stall = self.stall;
        let timer = self
            .stall_timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(stall)));
        timer
            .as_mut()
            .poll(cx)
            .map(|()| Err(timed_out("the client does not take its answer")))
    }
}

fn timed_out(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl AsyncRead for TimedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let done = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            let phase = &self.phase.0;
            let first = phase
                .compare_exchange(IDLE, HEAD, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
            if first {
                let deadline = Instant::now() + self.head;
                match &mut self.head_timer {
                    Some(timer) => timer.as_mut().reset(deadline),
                    None => self.head_timer = Some(Box::pin(tokio::time::sleep_until(deadline))),
                }
            }
        }
        let in_head = self.phase.in_head();
        if done.is_pending()
            && in_head
            && let Some(timer) = &mut self.head_timer
            && timer.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(timed_out("the request head does not come to its end")));
        }
        done
    }
}

impl AsyncWrite for TimedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_timed_write(cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_timed_write(cx, |stream, cx| stream.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
