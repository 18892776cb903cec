//! Keys of series: 128-bit hashes of label sets as they were sent.

use std::hash::{BuildHasher, Hasher, RandomState};

use twox_hash::XxHash3_128;

/// A hash of a label set as it was sent. Equal bytes have equal keys; that different ones do is
/// not to be expected: with ten million series the odds are below one to 10^23.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SeriesKey(pub u128);

/// Bytes of the secret.
const SECRET_BYTES: usize = 192;

/// Makes keys. Each hasher has a secret of its own, drawn at random: keys mean nothing to another
/// hasher, and a sender cannot aim at collisions.
#[derive(Clone)]
pub struct KeyHasher {
    secret: [u8; SECRET_BYTES],
    /// Odd.
    multiplier: u128,
    start: u128,
}

impl std::fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyHasher").finish_non_exhaustive()
    }
}

impl Default for KeyHasher {
    fn default() -> Self {
        Self::new()
    }
}

fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn random_wide() -> u128 {
    u128::from(random()) << 64 | u128::from(random())
}

impl KeyHasher {
    /// A hasher with a random secret.
    pub fn new() -> Self {
        let mut secret = [0; SECRET_BYTES];
        for chunk in secret.chunks_exact_mut(8) {
            chunk.copy_from_slice(&random().to_le_bytes());
        }
        Self {
            secret,
            multiplier: random_wide() | 1,
            start: random_wide(),
        }
    }

    /// Hash of some bytes.
    #[inline]
    pub(super) fn bytes(&self, bytes: &[u8]) -> u128 {
        // Fails for short secrets only.
        XxHash3_128::oneshot_with_secret(&self.secret, bytes).unwrap_or_default()
    }

    /// Begins a key made of several hashes.
    #[inline]
    pub(super) fn start(&self) -> u128 {
        self.start
    }

    /// Adds a hash; their order counts.
    #[inline]
    pub(super) fn add(&self, key: u128, hash: u128) -> u128 {
        (key ^ hash).wrapping_mul(self.multiplier).rotate_left(57)
    }
}
