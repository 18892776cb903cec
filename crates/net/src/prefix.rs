//! Serving below a path, `--web.route-prefix`.

use std::sync::Arc;

use http::header::{CONTENT_TYPE, LOCATION};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, StatusCode, Uri};

use crate::body::Body;
use crate::server::{Handler, Request, Response, ResponseFuture};

/// Hands requests below a prefix on without it; `/` leads to the prefix, other paths are unknown.
pub(crate) struct Prefixed {
    /// `/a/b`, never empty.
    prefix: String,
    inner: Arc<dyn Handler>,
}

/// A prefix as it is used: `/a/b`, or nothing for the root.
pub fn normalize(prefix: &str) -> String {
    match prefix.trim_matches('/') {
        "" => String::new(),
        inner => format!("/{inner}"),
    }
}

impl Prefixed {
    pub(crate) fn new(prefix: String, inner: Arc<dyn Handler>) -> Self {
        Self { prefix, inner }
    }

    /// The URI below the prefix.
    fn below(&self, uri: &Uri) -> Option<Uri> {
        let rest = uri.path().strip_prefix(&self.prefix)?;
        if !rest.starts_with('/') {
            return None;
        }
        let query = uri.query().map(|q| format!("?{q}")).unwrap_or_default();
        let mut parts = uri.clone().into_parts();
        let path: PathAndQuery = format!("{rest}{query}").parse().ok()?;
        parts.path_and_query = Some(path);
        Uri::from_parts(parts).ok()
    }
}

impl Handler for Prefixed {
    fn handle(&self, mut request: Request) -> ResponseFuture {
        if let Some(uri) = self.below(request.uri()) {
            *request.uri_mut() = uri;
            return self.inner.handle(request);
        }
        let path = request.uri().path();
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let mut response = Response::new(Body::empty());
        if reads && (path == "/" || path == self.prefix) {
            *response.status_mut() = StatusCode::FOUND;
            if let Ok(to) = HeaderValue::from_str(&format!("{}/", self.prefix)) {
                response.headers_mut().insert(LOCATION, to);
            }
        } else {
            response = Response::new(Body::full("404 page not found\n"));
            *response.status_mut() = StatusCode::NOT_FOUND;
            let text = HeaderValue::from_static("text/plain; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, text);
        }
        Box::pin(std::future::ready(response))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_and_what_is_below() {
        for (given, used) in [("", ""), ("/", ""), ("a", "/a"), ("/a/b/", "/a/b")] {
            assert_eq!(normalize(given), used);
        }
        let nothing: Arc<dyn Handler> = Arc::new(async |_: Request| Response::new(Body::empty()));
        let prefixed = Prefixed::new("/a/b".to_string(), nothing);
        for (uri, below) in [
            ("/a/b/", Some("/")),
            ("/a/b/x/y?q=/a/b", Some("/x/y?q=/a/b")),
            ("/a/b//x", Some("//x")),
            ("/a/bc", None),
            ("/x", None),
            ("*", None),
        ] {
            let found = prefixed.below(&uri.parse().unwrap());
            assert_eq!(found.map(|u| u.to_string()).as_deref(), below, "{uri}");
        }
    }
}
