//! HTTP/1.1 client: connections kept per host, credentials, redirects, timeouts, gzip undone under
//! a size limit, and errors worded as Prometheus words them. How connections are made is in `dial`.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, HeaderName,
    HeaderValue, LOCATION, PROXY_AUTHORIZATION, USER_AGENT,
};
use http::{Method, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use tokio::time::Instant;
use tsdb_config::{ClientProblem, HttpClientConfig};

use crate::credentials::{Credentials, basic};
use crate::dial::{Proxy, connect, describe_io};
use crate::tls::client::{self as tls, ClientTls};
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
    /// Credentials, TLS, proxy and headers.
    pub http: HttpClientConfig,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            user_agent: "tsdb".to_string(),
            max_redirects: 10,
            max_idle_per_host: 2,
            idle_timeout: Duration::from_mins(5),
            http: HttpClientConfig::default(),
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
    inner: Arc<Inner>,
}

/// Equal when they share connections.
impl PartialEq for Client {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

#[derive(Debug)]
struct Inner {
    options: ClientOptions,
    credentials: Credentials,
    tls: ClientTls,
    proxy: Result<Option<Proxy>, String>,
    kept: Mutex<Kept>,
}

/// Looks whether the files of a client's settings can be read and used now. A client made of
/// settings that cannot be used says so with each request, and works as soon as they can.
pub fn check(config: &HttpClientConfig) -> Result<(), ClientProblem> {
    Credentials::new(config.clone()).add(&mut HeaderMap::new())?;
    if let Some(url) = &config.proxy_url {
        Proxy::parse(url.expose()).map_err(|reason| ClientProblem {
            field: "proxy_url".to_string(),
            reason,
        })?;
    }
    if config.tls_config == tsdb_config::TlsConfig::default() {
        return Ok(());
    }
    tls::build(&config.tls_config).map(drop)
}

/// Connections kept for the next request.
#[derive(Debug)]
struct Kept {
    /// By scheme, host and port, the longest unused first.
    idle: HashMap<String, Vec<Idle>>,
    /// When the last look was taken at all of them.
    swept: Instant,
}

#[derive(Debug)]
struct Idle {
    sender: SendRequest<Full<Bytes>>,
    since: Instant,
    /// Of the TLS settings it was made with.
    generation: u64,
}

/// One request, kept for redirects and second attempts.
#[derive(Clone)]
struct Outgoing {
    method: Method,
    headers: HeaderMap,
    body: Bytes,
    /// The proxy wants to see whole URLs.
    absolute: bool,
}

/// A connection with a request's answer on it.
type Answered = (http::Response<Incoming>, SendRequest<Full<Bytes>>, u64);

impl Client {
    /// A client without connections.
    pub fn new(options: ClientOptions) -> Self {
        let proxy = options.http.proxy_url.as_ref();
        let inner = Inner {
            credentials: Credentials::new(options.http.clone()),
            tls: ClientTls::new(options.http.tls_config.clone()),
            proxy: proxy.map(|url| Proxy::parse(url.expose())).transpose(),
            kept: Mutex::new(Kept {
                idle: HashMap::new(),
                swept: Instant::now(),
            }),
            options,
        };
        Self {
            inner: Arc::new(inner),
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

    /// Posts a body, which `headers` describe; else like [`Client::get`].
    pub async fn post(
        &self,
        url: &str,
        body: impl Into<Bytes>,
        headers: &[(&str, String)],
        timeout: Duration,
        max_body_bytes: u64,
    ) -> Result<Response, FetchError> {
        let body = body.into();
        self.send(
            "Post",
            Method::POST,
            url,
            headers,
            body,
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
            url: url::without_password(url),
            cause,
        };
        let headers = self
            .header_map(url, headers)
            .map_err(|cause| fail(url, cause))?;
        let mut outgoing = Outgoing {
            method,
            headers,
            body,
            absolute: false,
        };
        let first = url::parse(url).map_err(|cause| fail(url, cause))?;
        let options = &self.inner.options;
        let max_redirects = if options.http.follow_redirects {
            options.max_redirects
        } else {
            0
        };
        let mut url = url.to_string();
        let mut redirects = 0;
        loop {
            let target = url::parse(&url).map_err(|cause| fail(&url, cause))?;
            let round = tokio::time::timeout_at(deadline, self.round_trip(&target, &outgoing));
            let (response, sender, generation) = match round.await {
                Ok(Ok(done)) => done,
                Ok(Err(cause)) => return Err(fail(&url, cause)),
                Err(_) => return Err(fail(&url, DEADLINE.to_string())),
            };
            let Some(location) = redirect(&response).filter(|_| max_redirects > 0) else {
                let read = read_whole(response, max_body_bytes);
                let read = tokio::time::timeout_at(deadline, read).await;
                let response = read.unwrap_or(Err(FetchError::Body(DEADLINE.to_string())))?;
                self.keep(&target, sender, generation);
                return Ok(response);
            };
            let next = url::join(&target, &location).map_err(|cause| fail(&location, cause))?;
            if redirects == max_redirects {
                let cause = format!("stopped after {redirects} redirects");
                return Err(fail(&next, cause));
            }
            redirects += 1;
            let unchecked = url::parse(&next).is_ok_and(|next| !url::may_follow(&first, &next));
            if unchecked {
                // Another host has no business with our credentials.
                outgoing.headers.remove(AUTHORIZATION);
                for name in self.inner.options.http.http_headers.keys() {
                    outgoing.headers.remove(name);
                }
            }
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

    fn header_map(&self, url: &str, headers: &[(&str, String)]) -> Result<HeaderMap, String> {
        let mut map = HeaderMap::new();
        let user_agent = HeaderValue::from_str(&self.inner.options.user_agent);
        map.insert(USER_AGENT, user_agent.map_err(|e| e.to_string())?);
        map.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        for (name, value) in headers {
            let bad = || format!("net/http: invalid header field {name:?}");
            let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
            let value = HeaderValue::from_str(value).map_err(|_| bad())?;
            map.insert(key, value);
        }
        if let Some((user, password)) = url.parse::<Uri>().ok().as_ref().and_then(url::user_info) {
            map.insert(AUTHORIZATION, basic(&user, &password));
        }
        self.inner.credentials.add_to(&mut map)?;
        Ok(map)
    }

    /// Sends the request on a kept connection, or on a new one. A kept connection that turns out
    /// to be closed is no failure: the host closed it while it was unused.
    async fn round_trip(&self, target: &Uri, outgoing: &Outgoing) -> Result<Answered, String> {
        let proxy = self.inner.proxy.as_ref().map_err(Clone::clone)?;
        let mut outgoing = outgoing.clone();
        if let Some(proxy) = proxy
            && !url::is_https(target)
        {
            outgoing.absolute = true;
            if let Some(value) = proxy.authorization() {
                outgoing.headers.insert(PROXY_AUTHORIZATION, value.clone());
            }
        }
        while let Some((mut sender, generation)) = self.take_idle(target) {
            if sender.ready().await.is_err() {
                continue;
            }
            match sender.try_send_request(outgoing.request(target)?).await {
                Ok(response) => return Ok((response, sender, generation)),
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
        let mut fresh = connect(target, &self.inner.tls, proxy.as_ref()).await?;
        let request = outgoing.request(target)?;
        match fresh.sender.send_request(request).await {
            Ok(response) => Ok((response, fresh.sender, fresh.generation)),
            Err(e) => Err(fresh.cause(&e).await),
        }
    }

    fn take_idle(&self, target: &Uri) -> Option<(SendRequest<Full<Bytes>>, u64)> {
        // Connections made with older certificates are of no use any more.
        let generation = if url::is_https(target) {
            self.inner.tls.generation()
        } else {
            0
        };
        let mut kept = self
            .inner
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let list = kept.idle.get_mut(&url::origin(target))?;
        drop_old(list, self.inner.options.idle_timeout);
        list.retain(|i| i.generation == generation);
        list.pop().map(|i| (i.sender, i.generation))
    }

    /// Keeps a connection for the next request to its host.
    fn keep(&self, target: &Uri, sender: SendRequest<Full<Bytes>>, generation: u64) {
        let options = &self.inner.options;
        if sender.is_closed() || options.max_idle_per_host == 0 {
            return;
        }
        let mut kept = self
            .inner
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let since = Instant::now();
        let list = kept.idle.entry(url::origin(target)).or_default();
        if list.len() >= options.max_idle_per_host {
            list.remove(0);
        }
        list.push(Idle {
            sender,
            since,
            generation,
        });
        // Hosts that are asked no more have to be looked after, too.
        let max_age = options.idle_timeout;
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
        let uri = if self.absolute {
            format!("http://{}{path}", url::host_header(target))
        } else {
            path.to_string()
        };
        *request.uri_mut() = uri.parse().map_err(|_| format!("invalid path {path:?}"))?;
        *request.headers_mut() = self.headers.clone();
        let host = url::host_header(target);
        let host = HeaderValue::from_str(&host).map_err(|_| format!("invalid host {host:?}"))?;
        request.headers_mut().insert(HOST, host);
        Ok(request)
    }
}

/// What an early end of the connection is called.
const EOF: &str = "EOF";

/// A hyper error by its innermost cause, in Go's words where there are some.
pub(crate) fn describe(error: &hyper::Error) -> String {
    if error.is_incomplete_message() {
        return EOF.to_string();
    }
    let mut cause: &dyn StdError = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.downcast_ref::<std::io::Error>() {
        Some(io) => describe_io(io),
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
