//! What a bearer token allows: which paths, and which series are seen and written behind them.

use std::sync::Arc;

use http::StatusCode;
use tsdb_model::{
    Exemplar, Labels, Matcher, Querier, Queryable, SelectHints, SeriesSet, StopToken, StorageError,
};
use tsdb_net::Grant;
use tsdb_net::server::Response;
use tsdb_wire::remote::{Part, WriteRequest};

use crate::answer::error_response_with;
use crate::error::{ApiError, ErrorKind};
use crate::receive::{Outcome, Reason, Receiver, add};
use crate::state::Running;

/// Paths that write series.
const WRITES: [&str; 2] = ["/api/v1/write", "/api/v1/import"];

/// Paths whose answers are made of what [`Running`] gives as a [`Queryable`], or of nothing that
/// belongs to anybody. Only these are open to tokens that may not see all series.
const RESTRICTED: [&str; 18] = [
    "/-/healthy",
    "/-/ready",
    "/api/v1/alerts",
    "/api/v1/export",
    "/api/v1/format_query",
    "/api/v1/label/{name}/values",
    "/api/v1/labels",
    "/api/v1/notifications",
    "/api/v1/parse_query",
    "/api/v1/query",
    "/api/v1/query_exemplars",
    "/api/v1/query_range",
    "/api/v1/read",
    "/api/v1/rules",
    "/api/v1/series",
    "/api/v1/status/buildinfo",
    "/federate",
    "/version",
];

/// The refusal of what a token does not allow.
pub(crate) fn refused(grant: &Grant, pattern: &str) -> Option<Response> {
    let health = pattern == "/-/healthy" || pattern == "/-/ready";
    let admin = pattern.starts_with("/-/") && !health
        || pattern.contains("/admin/")
        || pattern.ends_with("/kill");
    let (allowed, what) = if admin {
        (grant.admin, "admin")
    } else if WRITES.contains(&pattern) {
        (grant.write, "write")
    } else {
        (grant.read || health, "read")
    };
    let name = &grant.name;
    let text = if !allowed {
        format!("token {name:?} has no access to {what}")
    } else if !grant.matchers.is_empty()
        && !WRITES.contains(&pattern)
        && !RESTRICTED.contains(&pattern)
    {
        format!("token {name:?} is restricted to some series, and this path is not")
    } else {
        return None;
    };
    let error = ApiError::new(ErrorKind::Execution, text);
    Some(error_response_with(StatusCode::FORBIDDEN, &error))
}

/// A view that has only what the matchers allow.
struct Restricted<'a> {
    inner: Box<dyn Querier + 'a>,
    own: &'a [Matcher],
}

impl Restricted<'_> {
    fn with_own(&self, matchers: &[Matcher]) -> Vec<Matcher> {
        [matchers, self.own].concat()
    }
}

impl Querier for Restricted<'_> {
    fn select(
        &self,
        hints: &SelectHints,
        matchers: &[Matcher],
    ) -> Result<Box<dyn SeriesSet + '_>, StorageError> {
        self.inner.select(hints, &self.with_own(matchers))
    }

    fn label_names(&self, matchers: &[Matcher], limit: usize) -> Result<Vec<String>, StorageError> {
        self.inner.label_names(&self.with_own(matchers), limit)
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        limit: usize,
    ) -> Result<Vec<String>, StorageError> {
        self.inner
            .label_values(name, &self.with_own(matchers), limit)
    }
}

impl Running {
    /// Matchers that all series must pass.
    fn own_matchers(&self) -> &[Matcher] {
        self.grant.as_ref().map_or(&[], |grant| &grant.matchers)
    }

    /// The samples of some times that the client may see, until the token says stop.
    pub(crate) fn querier_until(
        &self,
        mint_ms: i64,
        maxt_ms: i64,
        stop: StopToken,
    ) -> Result<Box<dyn Querier + '_>, StorageError> {
        let inner = self.db.querier_until(mint_ms, maxt_ms, stop)?;
        Ok(match self.own_matchers() {
            [] => inner,
            own => Box::new(Restricted { inner, own }),
        })
    }

    /// The exemplars that the client may see.
    pub(crate) fn exemplars(
        &self,
        mint_ms: i64,
        maxt_ms: i64,
        selectors: &[Vec<Matcher>],
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, StorageError> {
        let own = self.own_matchers();
        let selectors: Vec<_> = selectors.iter().map(|s| [s, own].concat()).collect();
        self.db.exemplars(mint_ms, maxt_ms, &selectors)
    }
}

impl Queryable for Running {
    fn querier(&self, mint_ms: i64, maxt_ms: i64) -> Result<Box<dyn Querier + '_>, StorageError> {
        Self::querier_until(self, mint_ms, maxt_ms, StopToken::default())
    }

    fn querier_until(
        &self,
        mint_ms: i64,
        maxt_ms: i64,
        stop: StopToken,
    ) -> Result<Box<dyn Querier + '_>, StorageError> {
        Self::querier_until(self, mint_ms, maxt_ms, stop)
    }
}

/// Series of a write request that a token does not allow, with the number of their samples.
#[derive(Debug, Default)]
pub(crate) struct Withheld(Vec<(String, u64)>);

impl Withheld {
    /// Takes out of a request what the token does not allow.
    pub(crate) fn take(request: &mut WriteRequest, grant: Option<&Arc<Grant>>) -> Self {
        let Some(grant) = grant.filter(|grant| !grant.matchers.is_empty()) else {
            return Self::default();
        };
        let mut withheld = Vec::new();
        let series = std::mem::take(&mut request.series);
        let (kept, others): (Vec<_>, Vec<_>) = series.into_iter().partition(|series| {
            // Labels that make no sense are refused with their own words later.
            request.labels(series).map_or(true, |l| grant.allows(&l))
        });
        for series in &others {
            let samples = series.samples.range().len() + series.histograms.range().len();
            if let Ok(labels) = request.labels(series) {
                withheld.push((refusal(grant, &labels), samples as u64));
            }
        }
        request.series = kept;
        // What is said of whole families is not said of allowed series only.
        for metadata in &mut request.metadata {
            metadata.family = Part::default();
        }
        Self(withheld)
    }

    /// Names and counts what was taken out.
    pub(crate) fn tell(self, outcome: &mut Outcome, receiver: &Receiver) {
        for (text, samples) in self.0 {
            if let Some(counter) = receiver.counters.refused.get(Reason::NotAllowed as usize) {
                add(counter, samples);
            }
            outcome.refusals.add(Reason::NotAllowed, samples, || text);
        }
    }
}

/// Says why a series is not written.
pub(crate) fn refusal(grant: &Grant, labels: &Labels) -> String {
    let name = &grant.name;
    format!("not allowed with token {name:?} for series {labels}")
}
