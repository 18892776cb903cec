//! Request bodies: read whole, within limits on size, time and memory.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use crate::server::slots::Phase;

/// Longest time without any byte of a body.
const GAP: Duration = Duration::from_secs(10);

/// What request bodies may take of memory, all together.
#[derive(Debug)]
pub(crate) struct BodyBudget {
    max: u64,
    used: AtomicU64,
}

impl BodyBudget {
    pub(crate) fn new(max: u64) -> Self {
        let used = AtomicU64::new(0);
        Self { max, used }
    }

    fn reserve(&self, bytes: u64) -> bool {
        let add = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.max);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        self.used.fetch_update(set, fetch, add).is_ok()
    }
}

/// A part of the budget, given back when dropped.
#[derive(Debug)]
struct Reserved {
    budget: Arc<BodyBudget>,
    bytes: u64,
}

impl Reserved {
    fn grow(&mut self, bytes: u64) -> bool {
        let reserved = self.budget.reserve(bytes);
        if reserved {
            self.bytes += bytes;
        }
        reserved
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Bytes that count against the budget as long as any part of them lives.
struct Counted {
    bytes: BytesMut,
    _reserved: Reserved,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The body of a request.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Incoming,
    phase: Phase,
    budget: Arc<BodyBudget>,
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming, phase: Phase, budget: Arc<BodyBudget>) -> Self {
        if !incoming.is_end_stream() {
            phase.body_begins();
        }
        Self {
            incoming,
            phase,
            budget,
        }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        if frame.is_none() || self.incoming.is_end_stream() {
            self.phase.body_ends();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.phase.body_ends();
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
    /// The bodies of other requests take all the memory there is for bodies; answer 503 with
    /// `Retry-After`.
    #[error("too many request bodies at the same time")]
    Busy,
    /// The connection broke.
    #[error("reading the request body: {0}")]
    Broken(#[from] hyper::Error),
}

/// Reads a request body of at most `max_bytes` bytes within `timeout`, and without long pauses.
/// Memory grows with what arrives, not with the announced length, and counts against
/// [`super::ServerOptions::max_body_bytes`] until the bytes are dropped.
pub async fn read_body(
    mut body: RequestBody,
    max_bytes: u64,
    timeout: Duration,
) -> Result<Bytes, ReadBodyError> {
    let too_large = ReadBodyError::TooLarge { limit: max_bytes };
    if body.size_hint().lower() > max_bytes {
        return Err(too_large);
    }
    let mut reserved = Reserved {
        budget: body.budget.clone(),
        bytes: 0,
    };
    let read = async {
        let mut all = BytesMut::new();
        loop {
            let frame = tokio::time::timeout(GAP, body.frame()).await;
            let Some(frame) = frame.map_err(|_| ReadBodyError::TimedOut)? else {
                break;
            };
            let Ok(data) = frame?.into_data() else {
                continue;
            };
            if (all.len() + data.len()) as u64 > max_bytes {
                return Err(too_large);
            }
            if !reserved.grow(data.len() as u64) {
                return Err(ReadBodyError::Busy);
            }
            all.extend_from_slice(&data);
        }
        Ok(all)
    };
    let read = tokio::time::timeout(timeout, read).await;
    let bytes = read.unwrap_or(Err(ReadBodyError::TimedOut))?;
    if bytes.is_empty() {
        return Ok(Bytes::new());
    }
    Ok(Bytes::from_owner(Counted {
        bytes,
        _reserved: reserved,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_given_back() {
        let budget = Arc::new(BodyBudget::new(10));
        let mut first = Reserved {
            budget: budget.clone(),
            bytes: 0,
        };
        assert!(first.grow(6) && first.grow(4) && !first.grow(1));
        drop(first);
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }
}
