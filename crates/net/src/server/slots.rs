//! Which connections are open and what each is doing, so that one that does nothing can make room
//! for one that will.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

const IDLE: u8 = 0;
const HEAD: u8 = 1;
const BODY: u8 = 2;
const STALLED: u8 = 3;
const BUSY: u8 = 4;

/// How long a client may be slow with its body, or take nothing of its answer, before it has to make
/// room for others.
const GRACE: Duration = Duration::from_secs(5);

/// How long a new connection waits for another that was told to go.
const ROOM_TIMEOUT: Duration = Duration::from_millis(100);

/// What a connection is doing, shared by its stream, its request and the slots.
#[derive(Debug, Clone)]
pub(crate) struct Phase(Arc<State>);

#[derive(Debug)]
struct State {
    phase: AtomicU8,
    began: Instant,
    /// Milliseconds from `began` to when the phase was entered.
    since_ms: AtomicU64,
    cut: Notify,
}

impl Phase {
    pub(crate) fn new() -> Self {
        Self(Arc::new(State {
            phase: AtomicU8::new(IDLE),
            began: Instant::now(),
            since_ms: AtomicU64::new(0),
            cut: Notify::new(),
        }))
    }

    fn get(&self) -> u8 {
        self.0.phase.load(Ordering::Relaxed)
    }

    fn set(&self, phase: u8) {
        self.stamp();
        self.0.phase.store(phase, Ordering::Relaxed);
    }

    fn change(&self, from: u8, to: u8) -> bool {
        let changed = self
            .0
            .phase
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
        if changed.is_ok() {
            self.stamp();
        }
        changed.is_ok()
    }

    fn stamp(&self) {
        let ms = self.0.began.elapsed().as_millis() as u64;
        self.0.since_ms.store(ms, Ordering::Relaxed);
    }

    /// The moment the phase was entered.
    fn since(&self) -> Instant {
        let ms = self.0.since_ms.load(Ordering::Relaxed);
        self.0.began + Duration::from_millis(ms)
    }

    /// A TLS handshake begins or ends.
    pub(crate) fn in_handshake(&self, begins: bool) {
        self.set(if begins { HEAD } else { IDLE });
    }

    /// Bytes came in; true when they are the first of a request head.
    pub(crate) fn first_byte(&self) -> bool {
        self.change(IDLE, HEAD)
    }

    /// A request head is complete; until the guard is dropped the client may take its time.
    pub(crate) fn busy(&self) -> BusyGuard {
        self.set(BUSY);
        BusyGuard(self.clone())
    }

    /// The request's body is being read.
    pub(crate) fn body_begins(&self) {
        self.change(BUSY, BODY);
    }

    /// The request's body is complete or not wanted.
    pub(crate) fn body_ends(&self) {
        self.change(BODY, BUSY);
    }

    /// The client takes nothing of its answer.
    pub(crate) fn stalls(&self) {
        self.change(BUSY, STALLED);
    }

    /// The client has taken a part of its answer.
    pub(crate) fn takes(&self) {
        self.change(STALLED, BUSY);
    }

    /// True when part of a request head is there, but not all of it.
    pub(crate) fn in_head(&self) -> bool {
        self.get() == HEAD
    }

    /// Completes when the connection has to make room and still is not at work.
    pub(crate) async fn cut(&self) {
        loop {
            self.0.cut.notified().await;
            if self.get() != BUSY {
                return;
            }
        }
    }
}

/// Held while a request is handled and its answer sent.
#[derive(Debug)]
pub(crate) struct BusyGuard(Phase);

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.0.set(IDLE);
    }
}

/// The open connections.
#[derive(Debug)]
pub(crate) struct Slots {
    max: usize,
    open: Mutex<Open>,
    freed: Notify,
}

#[derive(Debug)]
struct Open {
    next: u64,
    phases: HashMap<u64, Phase>,
}

/// The place of one connection; free again when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<Slots>,
    id: u64,
    pub(crate) phase: Phase,
}

impl Slots {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            open: Mutex::new(Open {
                next: 0,
                phases: HashMap::new(),
            }),
            freed: Notify::new(),
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more connection. When there is none, the connection that is least worth
    /// keeping is told to go; `None` when all are at work.
    pub(crate) async fn take(self: &Arc<Self>) -> Option<Slot> {
        if let Some(slot) = self.try_take() {
            return Some(slot);
        }
        let deadline = Instant::now() + ROOM_TIMEOUT;
        loop {
            let freed = self.freed.notified();
            self.make_room();
            if let Some(slot) = self.try_take() {
                return Some(slot);
            }
            tokio::time::timeout_at(deadline, freed).await.ok()?;
        }
    }

    fn try_take(self: &Arc<Self>) -> Option<Slot> {
        let mut open = self.open();
        if open.phases.len() >= self.max {
            return None;
        }
        let id = open.next;
        open.next += 1;
        let phase = Phase::new();
        open.phases.insert(id, phase.clone());
        drop(open);
        Some(Slot {
            slots: self.clone(),
            id,
            phase,
        })
    }

    fn make_room(&self) {
        let now = Instant::now();
        let open = self.open();
        let worth = |phase: &&Phase| {
            let (doing, since) = (phase.get(), phase.since());
            let slow = matches!(doing, BODY | STALLED);
            let patient = !slow || now.saturating_duration_since(since) >= GRACE;
            (doing < BUSY && patient).then_some((doing, since))
        };
        let candidates = open.phases.values().filter(|phase| worth(phase).is_some());
        if let Some(phase) = candidates.min_by_key(worth) {
            phase.0.cut.notify_one();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.open().phases.remove(&self.id);
        self.slots.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_longest_idle_goes_first_and_work_never() {
        let slots = Arc::new(Slots::new(3));
        let pause = || tokio::time::advance(Duration::from_secs(1));
        let working = slots.take().await.unwrap();
        let _busy = working.phase.busy();
        pause().await;
        let first = slots.take().await.unwrap();
        pause().await;
        let second = slots.take().await.unwrap();

        let task = tokio::spawn(async move {
            first.phase.cut().await;
            drop(first);
        });
        let third = slots.take().await.unwrap();
        task.await.unwrap();

        assert!(second.phase.first_byte());
        let body = third.phase.busy();
        third.phase.body_begins();
        let task = tokio::spawn(async move {
            second.phase.cut().await;
            drop(second);
        });
        let fourth = slots.take().await.unwrap();
        task.await.unwrap();

        // All are at work, one is slow with its body.
        let _busy = fourth.phase.busy();
        assert!(slots.take().await.is_none());
        tokio::time::advance(GRACE).await;
        let task = tokio::spawn(async move {
            third.phase.cut().await;
            drop((body, third));
        });
        let fifth = slots.take().await.unwrap();
        task.await.unwrap();

        // One takes nothing of its answer, and then does.
        fifth.phase.first_byte();
        let _busy_too = fifth.phase.busy();
        fourth.phase.stalls();
        tokio::time::advance(GRACE / 2).await;
        fourth.phase.takes();
        fourth.phase.stalls();
        tokio::time::advance(GRACE / 2).await;
        assert!(slots.take().await.is_none());
        tokio::time::advance(GRACE / 2).await;
        let task = tokio::spawn(async move {
            fourth.phase.cut().await;
            drop(fourth);
        });
        assert!(slots.take().await.is_some());
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_in_time_saves_the_connection() {
        let phase = Phase::new();
        phase.0.cut.notify_one();
        let busy = phase.busy();
        let saved = tokio::time::timeout(Duration::from_secs(1), phase.cut()).await;
        assert!(saved.is_err());
        drop(busy);
    }
}
