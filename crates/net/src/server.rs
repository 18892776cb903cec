//! HTTP/1.1 server: listeners, limits, timeouts and graceful stop. Routing and answers belong to
//! the [`Handler`]; single connections are in `connection`, request bodies in `body`.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tsdb_model::MemoryBudget;

use crate::body::Body;
use crate::prefix::{Prefixed, normalize};
use crate::web::{Guarded, WebAccess};

mod body;
mod connection;
pub(crate) mod slots;

pub use body::{ReadBodyError, RequestBody, next_chunk, read_body};

use body::BodyBudget;
use connection::Acceptor;
use slots::Slots;

/// A request whose body is still to be read, see [`read_body`]. The client's address is among its
/// extensions as [`PeerAddr`].
pub type Request = http::Request<RequestBody>;

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
    /// Connections open at a time. When one more comes, the one that has been idle longest makes
    /// room; else the one that is slowest with a request head or, after some seconds, with a body
    /// or with taking its answer. When all are at work, 503 is answered.
    pub max_connections: usize,
    /// Bytes of request bodies held at a time, all requests together; above that reading a body
    /// fails with [`ReadBodyError::Busy`].
    pub max_body_bytes: u64,
    /// Told what request bodies hold.
    pub memory: Arc<MemoryBudget>,
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
    /// TLS, users and headers; anyone and plain HTTP when absent.
    pub web: Option<Arc<WebAccess>>,
    /// Path that everything is served below, `/a/b`; empty for the root.
    pub route_prefix: String,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            max_connections: 512,
            max_body_bytes: 128 << 20,
            memory: Arc::default(),
            max_header_bytes: 128 << 10,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(5),
            write_timeout: Duration::from_mins(1),
            stop_timeout: Duration::from_secs(10),
            web: None,
            route_prefix: String::new(),
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
        let handler: Arc<dyn Handler> = match normalize(&self.options.route_prefix) {
            prefix if prefix.is_empty() => handler,
            prefix => Arc::new(Prefixed::new(prefix, handler)),
        };
        let handler: Arc<dyn Handler> = match &self.options.web {
            Some(web) => Arc::new(Guarded::new(web.clone(), handler)),
            None => handler,
        };
        let slots = Arc::new(Slots::new(self.options.max_connections.max(1)));
        let budget = BodyBudget::new(self.options.max_body_bytes, self.options.memory.clone());
        let budget = Arc::new(budget);
        let mut acceptors = JoinSet::new();
        for (listener, local) in self.listeners {
            let acceptor = Acceptor {
                handler: handler.clone(),
                options: self.options.clone(),
                slots: slots.clone(),
                budget: budget.clone(),
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

#[cfg(test)]
mod tests;
