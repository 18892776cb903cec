//! Which handler answers which path and method, and what every answer gets: CORS headers,
//! compression, counters.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ALLOW, ORIGIN, RETRY_AFTER, VARY};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tsdb_model::StopToken;
use tsdb_net::Grant;
use tsdb_net::body::Body;
use tsdb_net::encoding::Encoding;
use tsdb_net::server::{
    Handler, PeerAddr, ReadBodyError, Request, RequestBody, Response, ResponseFuture, read_body,
};

use crate::answer::{
    ApiResult, StreamedBytes, blocking, error_response, error_response_with, failed, guarded, plain,
};
use crate::api::{
    active, admin, blocks, exemplars, export, families, features, federate, format, import, labels,
    metadata, misc, notifications, openapi, query, read, search, series, status, targets, write,
};
use crate::error::{ApiError, ErrorKind};
use crate::params::Params;
use crate::state::{ApiState, Running};
use crate::{access, form, pages, self_metrics};

/// Longest form body, in bytes, as in Prometheus.
const MAX_BODY_BYTES: u64 = 32 << 20;

/// The path whose bodies may be of any length and are read piece by piece.
const UPLOAD: &str = "/api/v1/import";

/// Time a client has for sending its form.
const BODY_TIMEOUT: Duration = Duration::from_mins(1);

/// One request, as handlers see it.
pub(crate) struct Call {
    pub(crate) state: Arc<ApiState>,
    pub(crate) method: Method,
    /// Without doubled and trailing slashes.
    pub(crate) path: String,
    pub(crate) params: Params,
    /// The raw `{name}` of the path.
    pub(crate) name: Vec<u8>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The body, where the handler reads it piece by piece.
    pub(crate) upload: Option<RequestBody>,
    /// Address of the client; empty when unknown.
    pub(crate) client: String,
    /// Tells the work that nobody waits for it any more.
    pub(crate) stop: StopToken,
}

/// An answer in the making.
type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

/// What a handler does.
#[derive(Clone, Copy)]
enum Action {
    /// Part of the API that needs the store.
    Api(fn(&Call, &Running) -> ApiResult),
    /// The same, about series and labels: so many at a time, with a timeout, and no longer than the
    /// client waits.
    Lookup(fn(&Call, &Running) -> ApiResult),
    /// Part of the API that works while the program starts and stops.
    Early(fn(&Call) -> ApiResult),
    /// `/api/v1/query`
    Instant,
    /// `/api/v1/query_range`
    Range,
    /// Answers in a form of its own, and reads the body itself. Needs the store.
    Own(fn(Call, Running) -> Answering),
    /// Answers in a form of its own; works while the program starts and stops. Must not block.
    EarlyOwn(fn(&Call) -> Response),
    /// A page outside the API; may block.
    Page(fn(&Call) -> Response),
}

/// One path: the pattern is also the handler's name in the self-metrics.
struct Route {
    pattern: &'static str,
    methods: &'static [Method],
    action: Action,
}

const POST: &[Method] = &[Method::POST];
const POST_PUT: &[Method] = &[Method::POST, Method::PUT];
const GET: &[Method] = &[Method::GET];
const GET_POST: &[Method] = &[Method::GET, Method::POST];
const GET_HEAD: &[Method] = &[Method::GET, Method::HEAD];
/// `/-/reload` and `/-/quit` answer other methods themselves, in their own words.
const GET_POST_PUT: &[Method] = &[Method::GET, Method::POST, Method::PUT];

const fn api(
    pattern: &'static str,
    methods: &'static [Method],
    handler: fn(&Call, &Running) -> ApiResult,
) -> Route {
    Route {
        pattern,
        methods,
        action: Action::Api(handler),
    }
}

const fn lookups(
    pattern: &'static str,
    methods: &'static [Method],
    handler: fn(&Call, &Running) -> ApiResult,
) -> Route {
    Route {
        pattern,
        methods,
        action: Action::Lookup(handler),
    }
}

const fn early(pattern: &'static str, handler: fn(&Call) -> ApiResult) -> Route {
    Route {
        pattern,
        methods: GET,
        action: Action::Early(handler),
    }
}

const fn page(
    pattern: &'static str,
    methods: &'static [Method],
    handler: fn(&Call) -> Response,
) -> Route {
    Route {
        pattern,
        methods,
        action: Action::Page(handler),
    }
}

const fn own(
    pattern: &'static str,
    methods: &'static [Method],
    handler: fn(Call, Running) -> Answering,
) -> Route {
    Route {
        pattern,
        methods,
        action: Action::Own(handler),
    }
}

static ROUTES: &[Route] = &[
    Route {
        pattern: "/api/v1/query",
        methods: GET_POST,
        action: Action::Instant,
    },
    Route {
        pattern: "/api/v1/query_range",
        methods: GET_POST,
        action: Action::Range,
    },
    lookups("/api/v1/query_exemplars", GET_POST, exemplars::exemplars),
    api("/api/v1/format_query", GET_POST, format::format_query),
    api("/api/v1/parse_query", GET_POST, format::parse_query),
    lookups("/api/v1/labels", GET_POST, labels::names),
    lookups("/api/v1/label/{name}/values", GET, labels::values),
    lookups("/api/v1/series", GET_POST, series::series),
    api("/api/v1/metadata", GET, metadata::metadata),
    own("/api/v1/write", POST, |c, r| Box::pin(write::write(c, r))),
    own("/api/v1/read", POST, |c, r| Box::pin(read::read(c, r))),
    own("/api/v1/import", POST, |c, r| {
        Box::pin(import::import(c, r))
    }),
    own("/api/v1/export", GET_POST, |c, r| {
        Box::pin(export::export(c, r))
    }),
    own("/federate", GET, |c, r| Box::pin(federate::federate(c, r))),
    api("/api/v1/targets", GET, targets::targets),
    api("/api/v1/targets/metadata", GET, metadata::target_metadata),
    api("/api/v1/scrape_pools", GET, targets::scrape_pools),
    api("/api/v1/rules", GET, misc::rules),
    api("/api/v1/alerts", GET, misc::alerts),
    api("/api/v1/alertmanagers", GET, misc::alertmanagers),
    api("/api/v1/status/buildinfo", GET, status::build_info),
    api("/api/v1/status/runtimeinfo", GET, status::runtime_info),
    api("/api/v1/status/flags", GET, status::flags),
    api("/api/v1/status/config", GET, status::config),
    api("/api/v1/status/tsdb", GET, status::tsdb),
    api("/api/v1/status/tsdb/blocks", GET, blocks::blocks),
    early("/api/v1/status/self_metrics", families::self_metrics),
    early("/api/v1/status/walreplay", status::wal_replay),
    api("/api/v1/features", GET, features::features),
    own("/api/v1/search/metric_names", GET_POST, |c, r| {
        Box::pin(search::metric_names(c, r))
    }),
    own("/api/v1/search/label_names", GET_POST, |c, r| {
        Box::pin(search::label_names(c, r))
    }),
    own("/api/v1/search/label_values", GET_POST, |c, r| {
        Box::pin(search::label_values(c, r))
    }),
    early("/api/v1/notifications", notifications::notifications),
    Route {
        pattern: "/api/v1/notifications/live",
        methods: GET,
        action: Action::EarlyOwn(notifications::live),
    },
    early("/api/v1/status/active_queries", active::list),
    Route {
        pattern: "/api/v1/status/active_queries/{name}/kill",
        methods: POST,
        action: Action::Early(active::kill),
    },
    api(
        "/api/v1/admin/tsdb/delete_series",
        POST_PUT,
        admin::delete_series,
    ),
    api(
        "/api/v1/admin/tsdb/clean_tombstones",
        POST_PUT,
        admin::clean_tombstones,
    ),
    api("/api/v1/admin/tsdb/snapshot", POST_PUT, admin::snapshot),
    page("/api/v1/openapi.yaml", GET, openapi::document),
    page("/openapi.yaml", GET, openapi::document),
    page("/", GET, pages::index),
    page("/query", GET, pages::index),
    page("/graph", GET, pages::index),
    page("/metrics", GET, self_metrics::metrics),
    page("/metrics/host", GET, self_metrics::host_metrics),
    page("/version", GET, misc::version),
    page("/-/healthy", GET_HEAD, misc::healthy),
    page("/-/ready", GET_HEAD, misc::ready),
    page("/-/reload", GET_POST_PUT, misc::reload),
    page("/-/quit", GET_POST_PUT, misc::quit),
];

static ROUTER: LazyLock<matchit::Router<&'static Route>> = LazyLock::new(|| {
    let mut router = matchit::Router::new();
    for route in ROUTES {
        router
            .insert(route.pattern, route)
            .expect("invariant: the patterns do not conflict");
    }
    router
});

/// Name under which requests for unknown paths are counted.
const UNKNOWN: &str = "not_found";

/// Names of all handlers, for the counters.
pub(crate) fn handlers() -> impl Iterator<Item = &'static str> {
    ROUTES.iter().map(|r| r.pattern).chain([UNKNOWN])
}

/// Patterns of all routes, and the methods they answer.
#[cfg(test)]
pub(crate) fn routes() -> impl Iterator<Item = (&'static str, &'static [Method])> {
    ROUTES.iter().map(|r| (r.pattern, r.methods))
}

/// Answers the requests of a server.
#[derive(Debug, Clone)]
pub struct Api(Arc<ApiState>);

impl Api {
    /// Answers from this state.
    pub fn new(state: Arc<ApiState>) -> Self {
        Self(state)
    }

    /// Answers one request whose body has been read.
    pub async fn answer(&self, head: Parts, body: Bytes) -> Response {
        let began = Instant::now();
        let (handler, response) = self.dispatch(&head, Ok(body), None).await;
        self.finish(&head, handler, began, response)
    }

    /// Handler's name and its answer.
    async fn dispatch(
        &self,
        head: &Parts,
        body: Result<Bytes, ReadBodyError>,
        upload: Option<RequestBody>,
    ) -> (&'static str, Response) {
        let path = clean_path(head.uri.path());
        let is_api = path == "/api" || path.starts_with("/api/");
        let Ok(found) = ROUTER.at(&path) else {
            let response = if is_api && head.method == Method::OPTIONS {
                empty(StatusCode::NO_CONTENT)
            } else {
                no_sniff(plain(StatusCode::NOT_FOUND, "404 page not found\n"))
            };
            return (UNKNOWN, response);
        };
        let route = *found.value;
        if !route.methods.contains(&head.method) {
            return (route.pattern, other_method(route, is_api, &head.method));
        }
        let grant = head.extensions.get::<Arc<Grant>>().cloned();
        if let Some(refusal) = grant
            .as_ref()
            .and_then(|g| access::refused(g, route.pattern))
        {
            return (route.pattern, refusal);
        }
        let body = match body {
            Ok(body) => body,
            Err(e) => return (route.pattern, unread_body(&e)),
        };
        let raw_name = found.params.get("name").unwrap_or_default();
        let name = match form::unescape(raw_name.as_bytes(), false) {
            Ok(name) => name,
            Err(e) => {
                let e = ApiError::bad_data(e);
                return (route.pattern, error_response_with(e.kind.status(), &e));
            }
        };
        // Bodies of pushed data are no forms, whatever their content type says.
        let params = if route.methods == POST {
            Params::from_query(head.uri.query().unwrap_or_default())
        } else {
            Params::from_request(head, &body)
        };
        if let Err(e) = params.check_number() {
            return (route.pattern, error_response_with(e.kind.status(), &e));
        }
        let client = head.extensions.get::<PeerAddr>();
        let client = client.map_or_else(String::new, |peer| peer.0.ip().to_canonical().to_string());
        let call = Call {
            state: self.0.clone(),
            method: head.method.clone(),
            path: path.clone(),
            params,
            name,
            headers: head.headers.clone(),
            body,
            upload,
            client,
            stop: StopToken::default(),
        };
        (
            route.pattern,
            survive(self.run(route.action, call, grant)).await,
        )
    }

    async fn run(&self, action: Action, call: Call, grant: Option<Arc<Grant>>) -> Response {
        match action {
            Action::Early(handler) => blocking(move || handler(&call)).await,
            Action::EarlyOwn(handler) => handler(&call),
            Action::Page(handler) => {
                let page = tokio::task::spawn_blocking(move || guarded(|| handler(&call)));
                page.await.ok().flatten().unwrap_or_else(failed)
            }
            Action::Api(_)
            | Action::Lookup(_)
            | Action::Instant
            | Action::Range
            | Action::Own(_) => {
                let Some(running) = self.0.running().cloned() else {
                    return misc::unavailable(&self.0);
                };
                let running = Running { grant, ..running };
                match action {
                    Action::Instant => query::instant(call, running).await,
                    Action::Range => query::range(call, running).await,
                    Action::Api(handler) => blocking(move || handler(&call, &running)).await,
                    Action::Lookup(handler) => lookup(call, running, handler).await,
                    Action::Own(handler) => handler(call, running).await,
                    Action::Early(_) | Action::EarlyOwn(_) | Action::Page(_) => {
                        unreachable!("matched above")
                    }
                }
            }
        }
    }

    /// Adds what every answer has, and counts it when it is sent.
    fn finish(
        &self,
        head: &Parts,
        handler: &'static str,
        began: Instant,
        mut response: Response,
    ) -> Response {
        if clean_path(head.uri.path()).starts_with("/api/") {
            self.add_cors(&head.headers, response.headers_mut());
        }
        let streamed = response.extensions_mut().remove::<StreamedBytes>();
        let counted = Counted {
            state: self.0.clone(),
            handler,
            code: response.status().as_u16(),
            began,
            bytes: streamed.map_or_else(
                || Arc::new(AtomicU64::new(response.body().len().unwrap_or(0))),
                |bytes| bytes.0,
            ),
        };
        let compressible = match handler {
            // Each event has to go out at once.
            "/api/v1/write" | "/api/v1/read" | "/api/v1/notifications/live" => false,
            "/federate" => true,
            _ => handler.starts_with("/api/") || handler.starts_with("/metrics"),
        };
        let response = match Encoding::negotiate(&head.headers) {
            Some(encoding) if compressible => encoding.apply(response),
            _ => response,
        };
        response.map(|body| body.with_guard(counted))
    }

    fn add_cors(&self, request: &HeaderMap, response: &mut HeaderMap) {
        response.insert(VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = request.get(ORIGIN) else {
            return;
        };
        for (name, value) in [
            (
                "access-control-allow-headers",
                "Accept, Authorization, Content-Type, Origin",
            ),
            ("access-control-allow-methods", "GET, POST, OPTIONS"),
            ("access-control-expose-headers", "Date"),
        ] {
            let name = HeaderName::from_static(name);
            response.insert(name, HeaderValue::from_static(value));
        }
        if origin.to_str().is_ok_and(|o| self.0.cors.is_match(o)) {
            let name = HeaderName::from_static("access-control-allow-origin");
            response.insert(name, origin.clone());
        }
    }
}

impl Handler for Api {
    fn handle(&self, request: Request) -> ResponseFuture {
        let api = self.clone();
        Box::pin(async move {
            let began = Instant::now();
            let (head, body) = request.into_parts();
            let has_body = matches!(head.method, Method::POST | Method::PUT | Method::PATCH);
            let (body, upload) = if clean_path(head.uri.path()) == UPLOAD {
                (Ok(Bytes::new()), has_body.then_some(body))
            } else if has_body {
                let body = read_body(body, MAX_BODY_BYTES, BODY_TIMEOUT).await;
                (body, None)
            } else {
                (Ok(Bytes::new()), None)
            };
            let (handler, response) = api.dispatch(&head, body, upload).await;
            api.finish(&head, handler, began, response)
        })
    }
}

/// Runs a handler that looks things up when it is its turn. It ends when the client goes away or
/// the time is over that a query has.
async fn lookup(
    mut call: Call,
    running: Running,
    handler: fn(&Call, &Running) -> ApiResult,
) -> Response {
    let late = || {
        let text = "the request took too long";
        error_response(&ApiError::new(ErrorKind::Timeout, text))
    };
    let timeout = call.state.options.engine.options().timeout_ms;
    let deadline = Instant::now().checked_add(Duration::from_millis(timeout));
    let turn = call.state.lookups.clone().acquire_owned();
    let turn = match deadline {
        Some(at) => tokio::time::timeout_at(at.into(), turn).await,
        None => Ok(turn.await),
    };
    let Ok(turn) = turn else {
        return late();
    };
    call.stop = call.stop.until(deadline);
    let stop = call.stop.clone();
    let _guard = StopOnDrop(stop.clone());
    blocking(move || {
        let _turn = turn;
        let result = handler(&call, &running);
        match result {
            Err(e) if e.kind == ErrorKind::Canceled && !stop.is_asked() => {
                let text = "the request took too long";
                Err(ApiError::new(ErrorKind::Timeout, text))
            }
            other => other,
        }
    })
    .await
}

/// Stops the work when the client goes away before the answer begins.
pub(crate) struct StopOnDrop(pub(crate) StopToken);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Waits for a response; a panic on the way gives one that says so.
async fn survive(work: impl Future<Output = Response>) -> Response {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|context| {
        let polled = guarded(|| work.as_mut().poll(context));
        polled.unwrap_or_else(|| Poll::Ready(failed()))
    })
    .await
}

/// Counts a request when its answer has been sent or given up.
struct Counted {
    state: Arc<ApiState>,
    handler: &'static str,
    code: u16,
    began: Instant,
    bytes: Arc<AtomicU64>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let seconds = self.began.elapsed().as_secs_f64();
        let bytes = self.bytes.load(Ordering::Relaxed);
        self.state
            .http
            .observe(self.handler, self.code, seconds, bytes);
    }
}

/// The path without doubled and trailing slashes. Prometheus redirects such paths, partly to
/// wrong places; here they are answered as what they mean.
fn clean_path(path: &str) -> String {
    let mut clean = String::with_capacity(path.len());
    for segment in path.split('/').filter(|s| !s.is_empty()) {
        clean.push('/');
        clean.push_str(segment);
    }
    if clean.is_empty() {
        clean.push('/');
    }
    clean
}

fn other_method(route: &Route, is_api: bool, method: &Method) -> Response {
    let mut allowed: Vec<&str> = route.methods.iter().map(Method::as_str).collect();
    allowed.push("OPTIONS");
    allowed.sort_unstable();
    let allow = HeaderValue::from_str(&allowed.join(", "))
        .expect("invariant: methods are valid header text");
    let mut response = if method == Method::OPTIONS {
        empty(if is_api {
            StatusCode::NO_CONTENT
        } else {
            StatusCode::OK
        })
    } else {
        no_sniff(plain(
            StatusCode::METHOD_NOT_ALLOWED,
            "Method Not Allowed\n",
        ))
    };
    response.headers_mut().insert(ALLOW, allow);
    response
}

fn unread_body(e: &ReadBodyError) -> Response {
    let status = match e {
        ReadBodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        ReadBodyError::TimedOut => StatusCode::REQUEST_TIMEOUT,
        ReadBodyError::Busy => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    let error = ApiError::new(ErrorKind::BadData, e.to_string());
    let mut response = error_response_with(status, &error);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let seconds = HeaderValue::from_static("5");
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

pub(crate) fn no_sniff(mut response: Response) -> Response {
    let name = HeaderName::from_static("x-content-type-options");
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests;
