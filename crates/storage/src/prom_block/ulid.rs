//! ULIDs, the names of blocks: 48 bits of time and 80 random bits, as 26 characters that sort by
//! time.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::str::FromStr;

/// Crockford's base 32.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Characters of a ULID.
const LEN: usize = 26;

/// Random bits.
const RANDOM_BITS: u32 = 80;

/// The name of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ulid(u128);

/// Not a ULID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a ULID")]
pub struct NotAUlid;

impl Ulid {
    /// A new one, of the time `now_ms` in milliseconds since the Unix epoch.
    pub fn new(now_ms: i64) -> Self {
        // The keys of a fresh `RandomState` differ from those of every other one; the first come
        // from the operating system.
        let random = u128::from(RandomState::new().hash_one(now_ms)) << 64
            | u128::from(RandomState::new().hash_one(!now_ms));
        let time = u128::from(now_ms.max(0) as u64 & ((1 << 48) - 1));
        Self(time << RANDOM_BITS | random & ((1 << RANDOM_BITS) - 1))
    }

    /// Its time in milliseconds since the Unix epoch.
    pub fn time_ms(self) -> i64 {
        (self.0 >> RANDOM_BITS) as i64
    }
}

impl fmt::Display for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digit = |i: usize| DIGITS[(self.0 >> (5 * (LEN - 1 - i)) & 31) as usize] as char;
        (0..LEN).map(digit).collect::<String>().fmt(f)
    }
}

impl FromStr for Ulid {
    type Err = NotAUlid;

    fn from_str(text: &str) -> Result<Self, NotAUlid> {
        // The first character has three bits only.
        if text.len() != LEN || text.as_bytes()[0] > b'7' {
            return Err(NotAUlid);
        }
        let mut v = 0;
        for byte in text.bytes() {
            let digit = DIGITS.iter().position(|d| *d == byte.to_ascii_uppercase());
            v = v << 5 | digit.ok_or(NotAUlid)? as u128;
        }
        Ok(Self(v))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_text() {
        let ulid: Ulid = "01ARYZ6S41TSV4RRFFQ69G5FAV".parse().unwrap();
        assert_eq!(ulid.time_ms(), 1_469_918_176_385);
        assert_eq!(ulid.to_string(), "01ARYZ6S41TSV4RRFFQ69G5FAV");
        for bad in [
            "",
            "wal",
            "81ARYZ6S41TSV4RRFFQ69G5FAV",
            "01ARYZ6S41TSV4RRFFQ69G5FAU",
            "é1ARYZ6S41TSV4RRFFQ69G5FA",
        ] {
            assert_eq!(bad.parse::<Ulid>(), Err(NotAUlid), "{bad}");
        }
    }

    #[test]
    fn new_ones_differ() {
        let (a, b) = (Ulid::new(1_700_000_000_000), Ulid::new(1_700_000_000_000));
        assert_ne!(a, b);
        assert_eq!(a.time_ms(), 1_700_000_000_000);
        assert_eq!(a.to_string().parse(), Ok(a));
    }
}
