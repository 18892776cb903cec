//! Accepting connections and serving each of them.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::io::{Stream, TimedStream};
use crate::server::body::{BodyBudget, RequestBody};
use crate::server::slots::{Phase, Slot, Slots};
use crate::server::{Handler, PeerAddr, ServerOptions};

/// Connections that are being told to come back later.
static REFUSING: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(64)));

const TRY_LATER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n\
    Content-Type: text/plain; charset=utf-8\r\nContent-Length: 21\r\nConnection: close\r\n\r\n\
    Too many connections\n";

/// As Go's server has it.
const SPEAK_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\n\r\n\
    Client sent an HTTP request to an HTTPS server.\n";

/// Serves one listener.
pub(super) struct Acceptor {
    pub(super) handler: Arc<dyn Handler>,
    pub(super) options: ServerOptions,
    pub(super) slots: Arc<Slots>,
    pub(super) budget: Arc<BodyBudget>,
    pub(super) stopping: watch::Receiver<bool>,
}

impl Acceptor {
    pub(super) async fn run(mut self, listener: TcpListener, local: SocketAddr) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stopped(&mut self.stopping) => break,
                Some(ended) = connections.join_next() => {
                    report_panic(ended);
                    continue;
                }
            };
            let slot = match accepted {
                Ok(_) => tokio::select! {
                    slot = self.slots.take() => slot,
                    () = stopped(&mut self.stopping) => break,
                },
                Err(_) => None,
            };
            match (accepted, slot) {
                (Ok((stream, peer)), Some(slot)) => {
                    let connection = Connection {
                        peer,
                        handler: self.handler.clone(),
                        options: self.options.clone(),
                        budget: self.budget.clone(),
                        slot,
                    };
                    connections.spawn(connection.serve(stream, self.stopping.clone()));
                }
                (Ok((stream, peer)), None) => {
                    tracing::warn!(%peer, "connection refused: all allowed ones are at work");
                    if self.options.web.as_ref().is_none_or(|web| !web.uses_tls()) {
                        refuse(stream, TRY_LATER);
                    }
                }
                (Err(error), _) => {
                    // Out of file descriptors, most likely: wait for some to come back.
                    tracing::warn!(%local, %error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(listener);
        while let Some(ended) = connections.join_next().await {
            report_panic(ended);
        }
    }
}

/// Answers in the background, or drops the connection when too many are being answered.
fn refuse(mut stream: TcpStream, answer: &'static [u8]) {
    let Ok(permit) = REFUSING.clone().try_acquire_owned() else {
        return;
    };
    tokio::spawn(async move {
        let _permit = permit;
        let tell = async {
            stream.write_all(answer).await?;
            stream.shutdown().await?;
            // Closing with unread bytes would take the answer back.
            let mut rest = [0; 4096];
            while stream.read(&mut rest).await? > 0 {}
            Ok::<_, io::Error>(())
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), tell).await;
    });
}

/// Completes with the stop signal.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a request handler panicked");
    }
}

struct Connection {
    peer: SocketAddr,
    handler: Arc<dyn Handler>,
    options: ServerOptions,
    budget: Arc<BodyBudget>,
    slot: Slot,
}

impl Connection {
    async fn serve(self, stream: TcpStream, mut stopping: watch::Receiver<bool>) {
        let _ = stream.set_nodelay(true);
        let peer = self.peer;
        let phase = self.slot.phase.clone();
        let stream = tokio::select! {
            stream = self.secure(stream, &phase) => stream,
            () = stopped(&mut stopping) => return,
            () = phase.cut() => return,
        };
        let Some(stream) = stream else {
            return;
        };
        let options = &self.options;
        let stream = TimedStream::new(
            stream,
            phase.clone(),
            options.header_timeout,
            options.write_timeout,
        );
        let service = hyper::service::service_fn(|request| {
            let busy = phase.busy();
            let mut request = request
                .map(|incoming| RequestBody::new(incoming, phase.clone(), self.budget.clone()));
            request.extensions_mut().insert(PeerAddr(peer));
            let response = self.handler.handle(request);
            async move { Ok::<_, Infallible>(response.await.map(|body| body.with_guard(busy))) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(options.idle_timeout.max(options.header_timeout))
            .max_buf_size(options.max_header_bytes.max(8 << 10))
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = phase.cut() => {
                tracing::debug!(%peer, "connection closed to make room for another");
                return;
            }
            () = stopped(&mut stopping) => {
                connection.as_mut().graceful_shutdown();
                // Idle connections end now, answers are finished, half a request is not waited for.
                if phase.in_head() { Ok(()) } else { connection.await }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "connection failed");
        }
    }

    /// Does the TLS handshake, where there is one to do.
    async fn secure(&self, stream: TcpStream, phase: &Phase) -> Option<Stream> {
        let tls = self.options.web.as_ref().and_then(|web| web.tls());
        let Some(tls) = tls else {
            return Some(Stream::Plain(stream));
        };
        let peer = self.peer;
        let handshake = async {
            let mut first = [0];
            stream.peek(&mut first).await?;
            if first[0].is_ascii_alphabetic() {
                refuse(stream, SPEAK_TLS);
                return Err(io::Error::other("plain HTTP on a TLS port"));
            }
            TlsAcceptor::from(tls).accept(stream).await
        };
        phase.in_handshake(true);
        let done = tokio::time::timeout(self.options.header_timeout, handshake).await;
        phase.in_handshake(false);
        match done {
            Ok(Ok(stream)) => Some(Stream::Tls(Box::new(stream))),
            Ok(Err(error)) => {
                tracing::debug!(%peer, %error, "TLS handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!(%peer, "TLS handshake not done in time");
                None
            }
        }
    }
}
