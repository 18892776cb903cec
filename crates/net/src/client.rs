//! HTTP/1.1 client: connections kept per host, redirects, timeouts, gzip undone under a size
//! limit, and errors worded as Prometheus words them.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue,
    LOCATION, USER_AGENT,
};
use http::{Method, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::url;

/// How a client behaves towards all hosts.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Sent as `User-Agent`.
    pub user_agent: String,
    /// Redirects followed before giving up; 0 hands redirects back as they are.
    pub max_redirects: usize,
    /// Unused connections kept per host.
    pub max_idle_per_host: usize,
    /// Time an unused connection is kept.
    pub idle_timeout: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            user_agent: "tsdb".to_string(),
            max_redirects: 10,
            max_idle_per_host: 2,
            idle_timeout: Duration::from_mins(5),
        }
    }
}

/// Why there is no usable response. The texts are those of Go's HTTP client and of Prometheus.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The request did not get a response head.
    #[error("{method} {url:?}: {cause}")]
    Request {
        /// `Get` or `Post`.
        method: &'static str,
        /// The URL asked, after redirects.
        url: String,
        /// Why.
        cause: String,
    },
    /// The response head came, its body did not, or not whole.
    #[error("{0}")]
    Body(String),
    /// The body, decompressed, is as long as the limit or longer.
    #[error("body size limit exceeded")]
    TooLarge,
    /// Another status than 200, see [`Response::require_ok`]; with the server's words.
    #[error("server returned HTTP status {0}")]
    Status(String),
}

/// What an elapsed timeout is called.
const DEADLINE: &str = "context deadline exceeded";

/// A response, read whole.
#[derive(Debug, Clone)]
pub struct Response {
    /// Status.
    pub status: StatusCode,
    /// The status as the server put it, `404 Not Found`.
    pub status_text: String,
    /// All headers.
    pub headers: HeaderMap,
    /// `Content-Type`, when there is one.
    pub content_type: Option<String>,
    /// The body, decompressed.
    pub body: Vec<u8>,
}

impl Response {
    /// The response if its status is 200, [`FetchError::Status`] otherwise.
    pub fn require_ok(self) -> Result<Self, FetchError> {
        match self.status {
            StatusCode::OK => Ok(self),
            _ => Err(FetchError::Status(self.status_text)),
        }
    }
}

/// An HTTP client. Clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    options: Arc<ClientOptions>,
    kept: Arc<Mutex<Kept>>,
}

/// Connections kept for the next request.
#[derive(Debug)]
struct Kept {
    /// By host and port, the longest unused first.
    idle: HashMap<String, Vec<Idle>>,
    /// When the last look was taken at all of them.
    swept: Instant,
}

#[derive(Debug)]
struct Idle {
    sender: SendRequest<Full<Bytes>>,
    since: Instant,
}

/// One request, kept for redirects and second attempts.
#[derive(Clone)]
struct Outgoing {
    method: Method,
    headers: HeaderMap,
    body: Bytes,
}

impl Client {
    /// A client without connections.
    pub fn new(options: ClientOptions) -> Self {
        Self {
            options: Arc::new(options),
            kept: Arc::new(Mutex::new(Kept {
                idle: HashMap::new(),
                swept: Instant::now(),
            })),
        }
    }

    /// Asks for `url` and reads the answer within `timeout`. `gzip` is offered unless `headers`
    /// has its own `Accept-Encoding`. A body of `max_body_bytes` bytes or more fails; 0 means no
    /// limit.
    pub async fn get(
        &self,
        url: &str,
        headers: &[(&str, String)],
        timeout: Duration,
        max_body_bytes: u64,
    ) -> Result<Response, FetchError> {
        self.send(
            "Get",
            Method::GET,
            url,
            headers,
            Bytes::new(),
            timeout,
            max_body_bytes,
        )
        .await
    }

    /// Posts a form (`application/x-www-form-urlencoded`); else like [`Client::get`].
    pub async fn post_form(
        &self,
        url: &str,
        form: &[(&str, String)],
        headers: &[(&str, String)],
        timeout: Duration,
        max_body_bytes: u64,
    ) -> Result<Response, FetchError> {
        let form_type = "application/x-www-form-urlencoded".to_string();
        let mut all = vec![("content-type", form_type)];
        all.extend(headers.iter().cloned());
        let body = url::encode_query(form.iter().map(|(k, v)| (*k, v.as_str())));
        self.send(
            "Post",
            Method::POST,
            url,
            &all,
            body.into(),
            timeout,
            max_body_bytes,
        )
        .await
    }

    #[expect(clippy::too_many_arguments, reason = "private, and each is said once")]
    async fn send(
        &self,
        verb: &'static str,
        method: Method,
        url: &str,
        headers: &[(&str, String)],
        body: Bytes,
        timeout: Duration,
        max_body_bytes: u64,
    ) -> Result<Response, FetchError> {
        let deadline = Instant::now() + timeout;
        let fail = |url: &str, cause: String| FetchError::Request {
            method: verb,
            url: url.to_string(),
            cause,
        };
        let headers = self.header_map(headers).map_err(|cause| fail(url, cause))?;
        let mut outgoing = Outgoing {
            method,
            headers,
            body,
        };
        let mut url = url.to_string();
        let mut redirects = 0;
        loop {
            let target = url::parse(&url).map_err(|cause| fail(&url, cause))?;
            let round = tokio::time::timeout_at(deadline, self.round_trip(&target, &outgoing));
            let (response, sender) = match round.await {
                Ok(Ok(done)) => done,
                Ok(Err(cause)) => return Err(fail(&url, cause)),
                Err(_) => return Err(fail(&url, DEADLINE.to_string())),
            };
            let Some(location) = redirect(&response).filter(|_| self.options.max_redirects > 0)
            else {
                let read = read_whole(response, max_body_bytes);
                let read = tokio::time::timeout_at(deadline, read).await;
                let response = read.unwrap_or(Err(FetchError::Body(DEADLINE.to_string())))?;
                self.keep(&target, sender);
                return Ok(response);
            };
            let next = url::join(&target, &location).map_err(|cause| fail(&location, cause))?;
            if redirects == self.options.max_redirects {
                let cause = format!("stopped after {redirects} redirects");
                return Err(fail(&next, cause));
            }
            redirects += 1;
            // 307 and 308 repeat the request, the others turn it into a GET.
            let status = response.status();
            let repeat = status == StatusCode::TEMPORARY_REDIRECT
                || status == StatusCode::PERMANENT_REDIRECT;
            if !repeat && outgoing.method != Method::GET {
                outgoing.method = Method::GET;
                outgoing.body = Bytes::new();
                outgoing.headers.remove(CONTENT_TYPE);
            }
            url = next;
        }
    }

    fn header_map(&self, headers: &[(&str, String)]) -> Result<HeaderMap, String> {
        let mut map = HeaderMap::new();
        let user_agent = HeaderValue::from_str(&self.options.user_agent);
        map.insert(USER_AGENT, user_agent.map_err(|e| e.to_string())?);
        map.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        for (name, value) in headers {
            let bad = || format!("net/http: invalid header field {name:?}");
            let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
            let value = HeaderValue::from_str(value).map_err(|_| bad())?;
            map.insert(key, value);
        }
        Ok(map)
    }

    /// Sends the request on a kept connection, or on a new one. A kept connection that turns out
    /// to be closed is no failure: the host closed it while it was unused.
    async fn round_trip(
        &self,
        target: &Uri,
        outgoing: &Outgoing,
    ) -> Result<(http::Response<Incoming>, SendRequest<Full<Bytes>>), String> {
        while let Some(mut sender) = self.take_idle(target) {
            if sender.ready().await.is_err() {
                continue;
            }
            match sender.try_send_request(outgoing.request(target)?).await {
                Ok(response) => return Ok((response, sender)),
                Err(mut failed) => {
                    let unsent = failed.take_message().is_some();
                    let error = failed.into_error();
                    let closed = error.is_incomplete_message() || error.is_closed();
                    if unsent || (closed && outgoing.method == Method::GET) {
                        continue;
                    }
                    return Err(describe(&error));
                }
            }
        }
        let mut sender = connect(target).await?;
        let request = outgoing.request(target)?;
        let sent = sender.send_request(request).await;
        sent.map(|response| (response, sender))
            .map_err(|e| describe(&e))
    }

    fn take_idle(&self, target: &Uri) -> Option<SendRequest<Full<Bytes>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let list = kept.idle.get_mut(&url::host_port(target))?;
        drop_old(list, self.options.idle_timeout);
        list.pop().map(|i| i.sender)
    }

    /// Keeps a connection for the next request to its host.
    fn keep(&self, target: &Uri, sender: SendRequest<Full<Bytes>>) {
        if sender.is_closed() || self.options.max_idle_per_host == 0 {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let since = Instant::now();
        let list = kept.idle.entry(url::host_port(target)).or_default();
        if list.len() >= self.options.max_idle_per_host {
            list.remove(0);
        }
        list.push(Idle { sender, since });
        // Hosts that are asked no more have to be looked after, too.
        let max_age = self.options.idle_timeout;
        if since.duration_since(kept.swept) >= max_age {
            kept.swept = since;
            kept.idle.retain(|_, list| {
                drop_old(list, max_age);
                !list.is_empty()
            });
        }
    }
}

fn drop_old(list: &mut Vec<Idle>, max_age: Duration) {
    let now = Instant::now();
    list.retain(|i| !i.sender.is_closed() && now.duration_since(i.since) < max_age);
}

impl Outgoing {
    fn request(&self, target: &Uri) -> Result<http::Request<Full<Bytes>>, String> {
        let path = target.path_and_query().map_or("/", |p| p.as_str());
        let mut request = http::Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = path.parse().map_err(|_| format!("invalid path {path:?}"))?;
        *request.headers_mut() = self.headers.clone();
        let host = url::host_header(target);
        let host = HeaderValue::from_str(&host).map_err(|_| format!("invalid host {host:?}"))?;
        request.headers_mut().insert(HOST, host);
        Ok(request)
    }
}

/// Opens a connection and starts the task that drives it.
async fn connect(target: &Uri) -> Result<SendRequest<Full<Bytes>>, String> {
    let host = target.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = target.port_u16().unwrap_or(80);
    let addresses = tokio::net::lookup_host((host, port)).await;
    let addresses = addresses.map_err(|e| format!("dial tcp: lookup {host}: {}", bare(&e)))?;
    let mut failure = format!("dial tcp: lookup {host}: no such host");
    let mut first = true;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                let handshake = http1::handshake(TokioIo::new(stream)).await;
                let (sender, connection) = handshake.map_err(|e| describe(&e))?;
                tokio::spawn(connection); // ends with the sender or with the peer
                return Ok(sender);
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

/// An I/O error in Go's words: lower case, without `(os error N)`.
fn bare(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.to_lowercase()
}

/// What an early end of the connection is called.
const EOF: &str = "EOF";

/// A hyper error by its innermost cause, in Go's words where there are some.
fn describe(error: &hyper::Error) -> String {
    if error.is_incomplete_message() {
        return EOF.to_string();
    }
    let mut cause: &dyn StdError = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.downcast_ref::<std::io::Error>() {
        Some(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => EOF.to_string(),
        Some(io) => bare(io),
        None => cause.to_string(),
    }
}

fn redirect(response: &http::Response<Incoming>) -> Option<String> {
    let redirects = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers().get(LOCATION).filter(|_| redirects)?;
    location.to_str().ok().map(str::to_string)
}

/// Bytes decompressed between two chances for other tasks to run.
const SLICE_BYTES: usize = 16 << 10;

async fn read_whole(
    response: http::Response<Incoming>,
    max_body_bytes: u64,
) -> Result<Response, FetchError> {
    let (head, mut incoming) = response.into_parts();
    let encoding = head.headers.get(CONTENT_ENCODING);
    let gzip = encoding.is_some_and(|e| e.as_bytes().eq_ignore_ascii_case(b"gzip"));
    let sink = Sink {
        bytes: Vec::new(),
        limit: if max_body_bytes == 0 {
            usize::MAX
        } else {
            usize::try_from(max_body_bytes).unwrap_or(usize::MAX)
        },
    };
    let mut out = if gzip {
        Output::Gzip(MultiGzDecoder::new(sink))
    } else {
        Output::Plain(sink)
    };
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|e| match describe(&e).as_str() {
            EOF => FetchError::Body("unexpected EOF".to_string()),
            other => FetchError::Body(other.to_string()),
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        for slice in data.chunks(SLICE_BYTES) {
            let written = match &mut out {
                Output::Plain(sink) => sink.write_all(slice),
                Output::Gzip(decoder) => decoder.write_all(slice),
            };
            written.map_err(|e| body_error(&e))?;
            if gzip {
                tokio::task::consume_budget().await;
            }
        }
    }
    let sink = match out {
        Output::Plain(sink) => sink,
        Output::Gzip(decoder) => decoder.finish().map_err(|e| body_error(&e))?,
    };
    let content_type = head.headers.get(CONTENT_TYPE);
    Ok(Response {
        status: head.status,
        status_text: status_text(&head),
        content_type: content_type.map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned()),
        headers: head.headers,
        body: sink.bytes,
    })
}

/// Status code and reason, the standard one unless the server gave its own.
fn status_text(head: &http::response::Parts) -> String {
    let own = head.extensions.get::<hyper::ext::ReasonPhrase>();
    let own = own.map(|reason| String::from_utf8_lossy(reason.as_bytes()));
    let standard = || head.status.canonical_reason().unwrap_or_default().into();
    let reason = own.unwrap_or_else(standard);
    format!("{} {reason}", head.status.as_str())
        .trim_end()
        .to_string()
}

enum Output {
    Plain(Sink),
    Gzip(MultiGzDecoder<Sink>),
}

/// Collects bytes below a limit.
struct Sink {
    bytes: Vec<u8>,
    limit: usize,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len().saturating_add(bytes.len()) >= self.limit {
            return Err(std::io::Error::other(FetchError::TooLarge));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn body_error(error: &std::io::Error) -> FetchError {
    let inner = error.get_ref().and_then(|e| e.downcast_ref());
    match inner {
        Some(FetchError::TooLarge) => FetchError::TooLarge,
        _ => FetchError::Body(format!("gzip: {error}")),
    }
}

#[cfg(test)]
mod tests;
