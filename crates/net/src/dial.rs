//! Connections of the client: to the host itself or through a proxy, plain or with TLS.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::client::describe;
use crate::tls::client::ClientTls;
use crate::{tls, url};

/// Longest answer of a proxy to `CONNECT`.
const MAX_PROXY_HEAD: usize = 16 << 10;

/// The proxy of a client.
#[derive(Debug)]
pub(crate) struct Proxy {
    host: String,
    port: u16,
    /// Value of `Proxy-Authorization`; not shown.
    authorization: Option<http::HeaderValue>,
}

impl Proxy {
    /// Reads `http://[user:password@]host[:port]`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let uri: Uri = text
            .parse()
            .map_err(|_| "proxy_url is not a URL".to_string())?;
        let host = uri.host().unwrap_or_default();
        if uri.scheme_str() != Some("http") || host.is_empty() {
            return Err("proxy_url must be like http://host:port".to_string());
        }
        let authorization = url::user_info(&uri).map(|(user, password)| {
            let text = BASE64_STANDARD.encode(format!("{user}:{password}"));
            let mut value = http::HeaderValue::from_str(&format!("Basic {text}"))
                .expect("invariant: base64 is header text");
            value.set_sensitive(true);
            value
        });
        Ok(Self {
            host: bare_host(host).to_string(),
            port: uri.port_u16().unwrap_or(80),
            authorization,
        })
    }

    /// What requests through the proxy carry for it.
    pub(crate) fn authorization(&self) -> Option<&http::HeaderValue> {
        self.authorization.as_ref()
    }
}

/// A connection just opened, driven by a task of its own.
pub(crate) struct Fresh {
    pub(crate) sender: SendRequest<Full<Bytes>>,
    /// Of the TLS settings it was made with, 0 without TLS.
    pub(crate) generation: u64,
    driver: JoinHandle<hyper::Result<()>>,
}

impl Fresh {
    /// Why a request did not get through. When the peer broke the connection off before the
    /// request was on its way, as one does that wants a certificate, only the driver knows why.
    pub(crate) async fn cause(self, error: &hyper::Error) -> String {
        drop(self.sender);
        if !(error.is_canceled() || error.is_closed()) {
            return describe(error);
        }
        match self.driver.await {
            Ok(Err(cause)) => describe(&cause),
            _ => describe(error),
        }
    }
}

/// Opens a connection and starts the task that drives it.
pub(crate) async fn connect(
    target: &Uri,
    tls: &ClientTls,
    proxy: Option<&Proxy>,
) -> Result<Fresh, String> {
    let host = bare_host(target.host().unwrap_or_default());
    let port = url::port(target);
    let (dial_host, dial_port) = proxy.map_or((host, port), |p| (&p.host, p.port));
    let mut stream = dial(dial_host, dial_port).await.map_err(|e| match proxy {
        Some(_) => format!("proxyconnect tcp: {e}"),
        None => e,
    })?;
    if !url::is_https(target) {
        return handshake(stream, 0).await;
    }
    if let Some(proxy) = proxy {
        tunnel(&mut stream, target, proxy).await?;
    }
    let (connector, generation) = tls.connector()?;
    let name = tls.server_name(host)?;
    let stream = connector
        .connect(name, stream)
        .await
        .map_err(|e| describe_io(&e))?;
    handshake(stream, generation).await
}

async fn handshake<S>(stream: S, generation: u64) -> Result<Fresh, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = handshake.map_err(|e| describe(&e))?;
    Ok(Fresh {
        sender,
        generation,
        driver: tokio::spawn(connection), // ends with the sender or with the peer
    })
}

async fn dial(host: &str, port: u16) -> Result<TcpStream, String> {
    let addresses = tokio::net::lookup_host((host, port)).await;
    let addresses = addresses.map_err(|e| format!("dial tcp: lookup {host}: {}", bare(&e)))?;
    let mut failure = format!("dial tcp: lookup {host}: no such host");
    let mut first = true;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            // As Go does: the first failure is the one reported.
            Err(error) if first => {
                failure = format!("dial tcp {address}: connect: {}", bare(&error));
                first = false;
            }
            Err(_) => {}
        }
    }
    Err(failure)
}

/// Asks the proxy for a way to the target.
async fn tunnel(stream: &mut TcpStream, target: &Uri, proxy: &Proxy) -> Result<(), String> {
    let to = format!(
        "{}:{}",
        target.host().unwrap_or_default(),
        url::port(target)
    );
    let mut request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n").into_bytes();
    if let Some(value) = &proxy.authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(value.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    let sent = stream.write_all(&request).await;
    sent.map_err(|e| format!("proxyconnect tcp: {}", bare(&e)))?;
    let mut head = Vec::new();
    // Byte by byte: what follows the head belongs to TLS. It is short and comes once.
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MAX_PROXY_HEAD {
            return Err("proxyconnect tcp: the proxy's answer is too long".to_string());
        }
        let byte = stream.read_u8().await;
        head.push(byte.map_err(|e| format!("proxyconnect tcp: {}", bare(&e)))?);
    }
    let line = head.split(|b| *b == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.splitn(3, ' ');
    let (version, code, reason) = (words.next(), words.next(), words.next());
    match code {
        Some("200") if version.is_some_and(|v| v.starts_with("HTTP/1.")) => Ok(()),
        // Go gives the reason only.
        _ => Err(reason
            .filter(|r| !r.is_empty())
            .unwrap_or("unknown status code")
            .to_string()),
    }
}

/// A host without the brackets of IPv6.
fn bare_host(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// An I/O error in Go's words: lower case, without `(os error N)`.
pub(crate) fn bare(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.to_lowercase()
}

/// An I/O error, or the TLS error inside it.
pub(crate) fn describe_io(error: &std::io::Error) -> String {
    match tls::inside(error) {
        Some(inner) => tls::describe(inner),
        None if error.kind() == std::io::ErrorKind::UnexpectedEof => "EOF".to_string(),
        None => bare(error),
    }
}
