//! What is asked of a target, and the road it takes.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tsdb_net::client::{Client, FetchError, Response};

/// One request to a target.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FetchRequest {
    pub(crate) url: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) timeout: Duration,
    /// Bytes of the decompressed page that are too many.
    pub(crate) max_body_bytes: u64,
    /// The job's own client, when it has settings of its own.
    pub(crate) client: Option<Client>,
}

pub(crate) type Fetched<'a> =
    Pin<Box<dyn Future<Output = Result<Response, FetchError>> + Send + 'a>>;

/// The road to the targets; tests put their own in.
pub(crate) trait Fetch: Send + Sync {
    /// Asks a target. Any status but 200 is an error.
    fn fetch<'a>(&'a self, request: &'a FetchRequest) -> Fetched<'a>;
}

impl Fetch for Client {
    fn fetch<'a>(&'a self, request: &'a FetchRequest) -> Fetched<'a> {
        Box::pin(async {
            let client = request.client.as_ref().unwrap_or(self);
            let response = client.get(
                &request.url,
                &request.headers,
                request.timeout,
                request.max_body_bytes,
            );
            response.await?.require_ok()
        })
    }
}
