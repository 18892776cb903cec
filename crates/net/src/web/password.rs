//! Passwords against their bcrypt hashes: the same work for users who exist and who do not, and
//! not again for a password that was right before.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ring::hmac;
use ring::rand::SystemRandom;
use tokio::sync::Semaphore;
use tsdb_config::Secret;

/// Right passwords that are remembered.
const REMEMBERED: usize = 100;

/// Passwords that may wait for being checked; more are sent away, so that guessing cannot pile up
/// work.
const MAX_WAITING: usize = 64;

/// bcrypt looks at no more.
const MAX_PASSWORD_BYTES: usize = 72;

/// What is thought of a user and a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Known,
    Unknown,
    /// Come again later.
    TooMany,
}

pub(crate) struct Passwords {
    /// Keyed with a secret of this process, so that memory holds nothing worth stealing.
    key: Option<hmac::Key>,
    right: Mutex<VecDeque<[u8; 32]>>,
    /// One is checked at a time: that is all the CPU guessing can take.
    turn: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passwords")
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Passwords {
    pub(crate) fn new() -> Self {
        Self {
            key: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok(),
            right: Mutex::new(VecDeque::new()),
            turn: Arc::new(Semaphore::new(1)),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Checks a password.
    pub(crate) async fn verify(
        &self,
        users: &BTreeMap<String, Secret>,
        user: Vec<u8>,
        mut password: Vec<u8>,
    ) -> Verdict {
        password.truncate(MAX_PASSWORD_BYTES);
        let hash = std::str::from_utf8(&user).ok().and_then(|u| users.get(u));
        let tag = hash.and_then(|hash| self.tag(&user, hash, &password));
        if let Some(tag) = &tag
            && self.right().contains(tag)
        {
            return Verdict::Known;
        }
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if waiting >= MAX_WAITING {
            return Verdict::TooMany;
        }
        let Ok(turn) = self.turn.clone().acquire_owned().await else {
            return Verdict::TooMany;
        };
        if let Some(tag) = &tag
            && self.right().contains(tag)
        {
            return Verdict::Known;
        }
        let exists = hash.is_some();
        // Someone else's hash, the costliest, makes the same work; its answer is not used.
        let costliest = || users.values().max_by_key(|h| h.expose().get(4..6));
        let hash = hash.or_else(costliest).cloned();
        let checked = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            hash.is_some_and(|hash| bcrypt::verify(&password, hash.expose()).unwrap_or(false))
        });
        if !(checked.await.unwrap_or(false) && exists) {
            return Verdict::Unknown;
        }
        if let Some(tag) = tag {
            let mut right = self.right();
            if right.len() >= REMEMBERED {
                right.pop_front();
            }
            right.push_back(tag);
        }
        Verdict::Known
    }

    fn right(&self) -> std::sync::MutexGuard<'_, VecDeque<[u8; 32]>> {
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stands for the user with this hash and this password.
    fn tag(&self, user: &[u8], hash: &Secret, password: &[u8]) -> Option<[u8; 32]> {
        let mut context = hmac::Context::with_key(self.key.as_ref()?);
        for part in [user, hash.expose().as_bytes(), password] {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        context.sign().as_ref().try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> BTreeMap<String, Secret> {
        let hash = bcrypt::hash("right", 4).unwrap();
        BTreeMap::from([("me".to_string(), Secret::new(hash))])
    }

    async fn verify(
        passwords: &Passwords,
        users: &BTreeMap<String, Secret>,
        user: &str,
        password: &str,
    ) -> Verdict {
        passwords.verify(users, user.into(), password.into()).await
    }

    #[tokio::test]
    async fn right_and_wrong() {
        let (passwords, users) = (Passwords::new(), users());
        assert_eq!(
            verify(&passwords, &users, "me", "wrong").await,
            Verdict::Unknown
        );
        assert_eq!(
            verify(&passwords, &users, "me", "right").await,
            Verdict::Known
        );
        // Remembered, but for this user and this hash only.
        assert_eq!(passwords.right().len(), 1);
        assert_eq!(
            verify(&passwords, &users, "me", "right").await,
            Verdict::Known
        );
        assert_eq!(passwords.right().len(), 1);
        assert_eq!(
            verify(&passwords, &users, "you", "right").await,
            Verdict::Unknown
        );
        assert_eq!(
            verify(&passwords, &BTreeMap::new(), "me", "right").await,
            Verdict::Unknown
        );
        let mut changed = users.clone();
        changed.insert("me".into(), Secret::new(bcrypt::hash("other", 4).unwrap()));
        assert_eq!(
            verify(&passwords, &changed, "me", "right").await,
            Verdict::Unknown
        );
    }

    #[tokio::test]
    async fn guesses_do_not_pile_up_and_known_users_pass_them() {
        let (passwords, users) = (Arc::new(Passwords::new()), users());
        assert_eq!(
            verify(&passwords, &users, "me", "right").await,
            Verdict::Known
        );
        let turn = passwords.turn.clone().acquire_owned().await.unwrap();
        let mut guesses = tokio::task::JoinSet::new();
        for i in 0..MAX_WAITING {
            let (passwords, users) = (passwords.clone(), users.clone());
            guesses.spawn(async move { verify(&passwords, &users, "me", &i.to_string()).await });
        }
        while passwords.waiting.load(Ordering::Relaxed) < MAX_WAITING {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            verify(&passwords, &users, "me", "one more").await,
            Verdict::TooMany
        );
        assert_eq!(
            verify(&passwords, &users, "me", "right").await,
            Verdict::Known
        );
        drop(turn);
        while let Some(guess) = guesses.join_next().await {
            assert_eq!(guess.unwrap(), Verdict::Unknown);
        }
        assert_eq!(passwords.waiting.load(Ordering::Relaxed), 0);
    }
}
