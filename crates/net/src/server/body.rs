//! Request bodies: read whole, within limits on size, time and memory.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tsdb_model::{MemoryBudget, MemoryOwner};

use crate::server::slots::Phase;

/// Longest time without any byte of a body.
const GAP: Duration = Duration::from_secs(10);

/// What request bodies may take of memory, all together.
#[derive(Debug)]
pub(crate) struct BodyBudget {
    max: u64,
    used: AtomicU64,
    memory: Arc<MemoryBudget>,
}

/// Bodies up to this size may use the last quarter of the budget: large ones, or slow ones that
/// have grown large, leave room for them.
const SMALL_BYTES: u64 = 1 << 20;

impl BodyBudget {
    pub(crate) fn new(max: u64, memory: Arc<MemoryBudget>) -> Self {
        let used = AtomicU64::new(0);
        Self { max, used, memory }
    }

    /// Reserves more bytes for a body that has `held` already.
    fn reserve(&self, held: u64, bytes: u64) -> bool {
        let max = if held.saturating_add(bytes) > SMALL_BYTES {
            self.max - self.max / 4
        } else {
            self.max
        };
        let add = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= max);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        let reserved = self.used.fetch_update(set, fetch, add).is_ok();
        if reserved {
            self.memory.take(MemoryOwner::Bodies, bytes);
        }
        reserved
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
        let reserved = self.budget.reserve(self.bytes, bytes);
        if reserved {
            self.bytes += bytes;
        }
        reserved
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
        let memory = &self.budget.memory;
        memory.give_back(MemoryOwner::Bodies, self.bytes);
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

/// The next bytes of a body that is read piece by piece; `None` at the end. Nothing is counted:
/// whoever reads holds only few pieces at a time.
pub async fn next_chunk(body: &mut RequestBody) -> Result<Option<Bytes>, ReadBodyError> {
    loop {
        let frame = tokio::time::timeout(GAP, body.frame()).await;
        let Some(frame) = frame.map_err(|_| ReadBodyError::TimedOut)? else {
            return Ok(None);
        };
        if let Ok(data) = frame?.into_data()
            && !data.is_empty()
        {
            return Ok(Some(data));
        }
    }
}

/// Reads a request body of at most `max_bytes` bytes within `timeout`, and without long pauses.
/// Memory grows with what arrives, beyond the first MiB, and counts against
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
        // Room for what is announced, but no more than a small body: the rest has to come first.
        let announced = body.size_hint().lower().min(SMALL_BYTES);
        let mut all = BytesMut::with_capacity(announced as usize);
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
        let memory = Arc::new(MemoryBudget::new(0));
        let budget = Arc::new(BodyBudget::new(10, memory.clone()));
        let mut first = Reserved {
            budget: budget.clone(),
            bytes: 0,
        };
        assert!(first.grow(6) && first.grow(4) && !first.grow(1));
        assert_eq!(memory.held(MemoryOwner::Bodies), 10);
        drop(first);
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
        assert_eq!(memory.held(MemoryOwner::Bodies), 0);
    }

    #[test]
    fn large_bodies_leave_room_for_small_ones() {
        let budget = Arc::new(BodyBudget::new(16 << 20, Arc::default()));
        let body = || Reserved {
            budget: budget.clone(),
            bytes: 0,
        };
        let mut large = body();
        assert!(large.grow(12 << 20) && !large.grow(1));
        let mut small: Vec<_> = (0..4).map(|_| body()).collect();
        for body in &mut small {
            assert!(body.grow(1 << 20) && !body.grow(1));
        }
        assert!(!body().grow(1));
    }
}
