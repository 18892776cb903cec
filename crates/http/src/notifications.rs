//! What the operator should know of: conditions that hold now, and news of them as they change.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::broadcast;

/// The last reload of the configuration did not work.
pub(crate) const RELOAD_FAILED: &str = "Configuration reload has failed.";

/// The store is being opened.
pub(crate) const STARTING: &str = "Prometheus is starting and replaying the write-ahead log.";

/// The program ends.
pub(crate) const STOPPING: &str =
    "Prometheus is shutting down and gracefully stopping all operations.";

/// News that wait for a slow listener; older ones are lost to it.
const NEWS_AHEAD: usize = 64;

/// A condition, and whether it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Notification {
    pub(crate) text: String,
    pub(crate) date: String,
    pub(crate) active: bool,
}

/// All conditions that hold, and those who listen.
#[derive(Debug)]
pub(crate) struct Notifications(Mutex<State>);

#[derive(Debug)]
struct State {
    active: Vec<Notification>,
    /// `None` once the program ends: then listeners are sent home.
    news: Option<broadcast::Sender<Notification>>,
}

impl Notifications {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State {
            active: Vec::new(),
            news: Some(broadcast::Sender::new(NEWS_AHEAD)),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A condition holds from now on; nothing new when it held before.
    pub(crate) fn set(&self, text: &str, date: String) {
        let mut state = self.state();
        if state.active.iter().any(|n| n.text == text) {
            return;
        }
        let notification = Notification {
            text: text.to_string(),
            date,
            active: true,
        };
        state.tell(notification.clone());
        state.active.push(notification);
    }

    /// A condition holds no more.
    pub(crate) fn clear(&self, text: &str) {
        let mut state = self.state();
        if let Some(at) = state.active.iter().position(|n| n.text == text) {
            let mut ended = state.active.remove(at);
            ended.active = false;
            state.tell(ended);
        }
    }

    /// What holds now.
    pub(crate) fn active(&self) -> Vec<Notification> {
        self.state().active.clone()
    }

    /// What holds now, and what changes from then on.
    pub(crate) fn listen(&self) -> Option<(Vec<Notification>, broadcast::Receiver<Notification>)> {
        let state = self.state();
        let news = state.news.as_ref()?.subscribe();
        Some((state.active.clone(), news))
    }

    /// There will be no more news.
    pub(crate) fn end(&self) {
        self.state().news = None;
    }
}

impl State {
    fn tell(&self, notification: Notification) {
        if let Some(news) = &self.news {
            // Nobody listens: that is fine.
            let _ = news.send(notification);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn conditions_come_and_go() {
        let all = Notifications::new();
        all.set(STARTING, "then".into());
        let (active, mut news) = all.listen().unwrap();
        assert_eq!(active.len(), 1);
        all.set(STARTING, "later".into());
        all.set(RELOAD_FAILED, "now".into());
        all.clear(STARTING);
        all.clear(STARTING);
        let told = news.recv().await.unwrap();
        assert_eq!((told.text.as_str(), told.active), (RELOAD_FAILED, true));
        let told = news.recv().await.unwrap();
        assert_eq!((told.text.as_str(), told.date.as_str()), (STARTING, "then"));
        assert!(!told.active);
        assert_eq!(all.active().len(), 1);
        all.end();
        assert!(news.recv().await.is_err());
        assert!(all.listen().is_none());
    }
}
