//! HTTP/1.1 server: listeners, connections, limits, timeouts and graceful stop. Routing and
//! answers belong to the [`Handler`].

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Incoming};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::body::Body;
use crate::io::{Phase, TimedStream};

/// A request whose body is still to be read, see [`read_body`]. The client's address is among its
/// extensions as [`PeerAddr`].
pub type Request = http::Request<Incoming>;

/// A response.
pub type Response = http::Response<Body>;

/// Address of the client, an extension of each [`Request`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// What a [`Handler`] gives back.
pub type ResponseFuture = Pin<Box<dyn Future<Output = Response> + Send>>;

/// Answers requests. The future is dropped when the client closes the connection before it has
/// its answer, so a guard inside it can stop the work; see also [`crate::BodySender::closed`].
/// A panic inside closes the connection.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request.
    fn handle(&self, request: Request) -> ResponseFuture;
}

impl<F, R> Handler for F
where
    F: Fn(Request) -> R + Send + Sync + 'static,
    R: Future<Output = Response> + Send + 'static,
{
    fn handle(&self, request: Request) -> ResponseFuture {
        Box::pin(self(request))
    }
}

/// Limits and timeouts of a server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Connections open at a time; more wait in the listener's backlog.
    pub max_connections: usize,
    /// Bytes of a request head; above that 431 is answered. At least 8 KiB.
    pub max_header_bytes: usize,
    /// Time from the first byte of a request head to its end.
    pub header_timeout: Duration,
    /// Time a connection may wait for its next request (`--web.read-timeout`).
    pub idle_timeout: Duration,
    /// Time a client may take nothing of its answer.
    pub write_timeout: Duration,
    /// Time that answers under way have after the stop signal; then connections are cut.
    pub stop_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            max_connections: 512,
            max_header_bytes: 128 << 10,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(5),
            write_timeout: Duration::from_mins(1),
            stop_timeout: Duration::from_secs(10),
        }
    }
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("listen tcp {address}")]
pub struct BindError {
    /// The address as given.
    pub address: String,
    /// The operating system's words.
    pub source: io::Error,
}

/// Listeners that are bound but not yet served.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<(TcpListener, SocketAddr)>,
    options: ServerOptions,
}

impl Server {
    /// Listens on every address: `host:port`, `[v6]:port`, or `:port` for all interfaces (IPv6
    /// and IPv4, or IPv4 where there is no IPv6). Port 0 takes a free one.
    pub async fn bind<A: AsRef<str>>(
        addresses: &[A],
        options: ServerOptions,
    ) -> Result<Self, BindError> {
        let mut listeners = Vec::with_capacity(addresses.len());
        for address in addresses {
            let address = address.as_ref();
            let bound = match address.strip_prefix(':') {
                Some(port) => match TcpListener::bind(format!("[::]:{port}")).await {
                    Ok(listener) => Ok(listener),
                    Err(e) if e.kind() == io::ErrorKind::AddrInUse => Err(e),
                    Err(_) => TcpListener::bind(format!("0.0.0.0:{port}")).await,
                },
                None => TcpListener::bind(address).await,
            };
            let bound = bound.and_then(|listener| Ok((listener.local_addr()?, listener)));
            let (local, listener) = bound.map_err(|source| BindError {
                address: address.to_string(),
                source,
            })?;
            listeners.push((listener, local));
        }
        Ok(Self { listeners, options })
    }

    /// The addresses really listened on, in the order given to [`Server::bind`].
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|(_, local)| *local).collect()
    }

    /// Serves until `shutdown` completes, then stops: no new connections, idle ones are closed at
    /// once, answers under way are finished within [`ServerOptions::stop_timeout`] and cut after.
    pub async fn serve(self, handler: Arc<dyn Handler>, shutdown: impl Future<Output = ()>) {
        let (stop, stopping) = watch::channel(false);
        // Each listener holds one slot while it waits; with several that must not starve the others.
        let slots = self.options.max_connections.max(1) + self.listeners.len().saturating_sub(1);
        let slots = Arc::new(Semaphore::new(slots.min(Semaphore::MAX_PERMITS)));
        let mut acceptors = JoinSet::new();
        for (listener, local) in self.listeners {
            let acceptor = Acceptor {
                handler: handler.clone(),
                options: self.options.clone(),
                slots: slots.clone(),
                stopping: stopping.clone(),
            };
            acceptors.spawn(acceptor.run(listener, local));
        }
        drop(stopping);
        shutdown.await;
        let _ = stop.send(true);
        let finish = async { while acceptors.join_next().await.is_some() {} };
        if tokio::time::timeout(self.options.stop_timeout, finish)
            .await
            .is_err()
        {
            tracing::warn!("connections cut: their answers were not finished in time");
            acceptors.shutdown().await; // drops the connections, too
        }
    }
}

struct Acceptor {
    handler: Arc<dyn Handler>,
    options: ServerOptions,
    slots: Arc<Semaphore>,
    stopping: watch::Receiver<bool>,
}

impl Acceptor {
    async fn run(mut self, listener: TcpListener, local: SocketAddr) {
        let mut connections = JoinSet::new();
        loop {
            let accept = async {
                let slot = self.slots.clone().acquire_owned().await;
                (slot, listener.accept().await)
            };
            let (slot, accepted) = tokio::select! {
                accepted = accept => accepted,
                () = stopped(&mut self.stopping) => break,
                Some(ended) = connections.join_next() => {
                    report_panic(ended);
                    continue;
                }
            };
            match accepted {
                Ok((stream, peer)) => {
                    let connection = serve_connection(
                        stream,
                        peer,
                        self.handler.clone(),
                        self.options.clone(),
                        self.stopping.clone(),
                    );
                    connections.spawn(async move {
                        let _slot = slot;
                        connection.await;
                    });
                }
                Err(error) => {
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

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    handler: Arc<dyn Handler>,
    options: ServerOptions,
    mut stopping: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let phase = Phase::default();
    let service = hyper::service::service_fn({
        let phase = phase.clone();
        move |mut request: Request| {
            let busy = phase.busy();
            request.extensions_mut().insert(PeerAddr(peer));
            let response = handler.handle(request);
            async move { Ok::<_, Infallible>(response.await.map(|body| body.with_guard(busy))) }
        }
    });
    let stream = TimedStream::new(
        stream,
        phase.clone(),
        options.header_timeout,
        options.write_timeout,
    );
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.idle_timeout.max(options.header_timeout))
        .max_buf_size(options.max_header_bytes.max(8 << 10))
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
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

/// Why a request body could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadBodyError {
    /// Longer than allowed; answer 413.
    #[error("request body too large: the limit is {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// Not whole in time; answer 408.
    #[error("the request body did not come in time")]
    TimedOut,
    /// The connection broke.
    #[error("reading the request body: {0}")]
    Broken(#[from] hyper::Error),
}

/// Reads a request body of at most `max_bytes` bytes within `timeout`. Memory grows with what
/// arrives, not with the announced length.
pub async fn read_body(
    mut body: Incoming,
    max_bytes: u64,
    timeout: Duration,
) -> Result<Bytes, ReadBodyError> {
    let too_large = ReadBodyError::TooLarge { limit: max_bytes };
    if body.size_hint().lower() > max_bytes {
        return Err(too_large);
    }
    let read = async {
        let mut all = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else {
                continue;
            };
            if (all.len() + data.len()) as u64 > max_bytes {
                return Err(too_large);
            }
            all.extend_from_slice(&data);
        }
        Ok(all.freeze())
    };
    let read = tokio::time::timeout(timeout, read).await;
    read.unwrap_or(Err(ReadBodyError::TimedOut))
}

#[cfg(test)]
mod tests;
