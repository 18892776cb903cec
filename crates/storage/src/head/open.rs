//! The newest samples of one series, not packed yet: quick to append to, few bytes.
//!
//! Each sample is an operation on the one before it. Its first byte says what follows: the upper
//! two bits for the time, the lower six for the value. The same value at the same distance, again
//! and again, is one operation with a number.

use super::slab::{Chain, Slab};

const SAME: u8 = 0;
/// Whole numbers: their difference in 1 to 7 bytes.
const INTEGER: u8 = 1;
/// The bits that differ: for each number of zero bytes at the end, 1 to 8 bytes.
const BITS: u8 = 8;
/// Hundredths and thousandths: their difference in 1 to 4 bytes.
const HUNDREDTHS: u8 = 44;
const THOUSANDTHS: u8 = 48;
/// A byte follows: how many samples with the same value at the same distance.
const RUN: u8 = 52;

const TIME_SHIFT: u32 = 6;
/// How the distance to the sample before differs from that one's: not at all, or by what is in so
/// many bytes.
const CHANGE_BYTES: [usize; 4] = [0, 1, 3, 8];

/// The samples, times strictly increasing.
#[derive(Debug, Default)]
pub(crate) struct Open {
    chain: Chain,
    count: u8,
    /// The last byte is the number of a run.
    in_run: bool,
    min_t: i64,
    max_t: i64,
    step: i64,
    value: f64,
}

/// What a reader takes along under the lock, to decode later.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenSnapshot {
    bytes: Vec<u8>,
    count: u8,
    min_t: i64,
}

/// A whole number that a float is.
fn whole(v: f64) -> Option<i64> {
    const LIMIT: f64 = (1u64 << 53) as f64;
    let exact = v.abs() < LIMIT && v as i64 as f64 == v && v.to_bits() != (-0.0f64).to_bits();
    exact.then_some(v as i64)
}

/// The whole number that makes a float when it is divided.
fn part(v: f64, divisor: f64) -> Option<i64> {
    let n = whole((v * divisor).round())?;
    ((n as f64 / divisor).to_bits() == v.to_bits()).then_some(n)
}

/// Bytes that a number with sign needs, at least one.
fn signed_bytes(n: i64) -> usize {
    let bits = 65 - (n ^ (n >> 63)).leading_zeros() as usize;
    bits.div_ceil(8)
}

fn sign_extend(bytes: &[u8]) -> i64 {
    let negative = bytes.last().is_some_and(|b| *b >= 0x80);
    let mut all = [if negative { u8::MAX } else { 0 }; 8];
    for (to, from) in all.iter_mut().zip(bytes) {
        *to = *from;
    }
    i64::from_le_bytes(all)
}

/// One operation on its way into the chain.
struct Op {
    bytes: [u8; 20],
    len: usize,
}

impl Op {
    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// The value behind `before`; answers the code.
    fn put_value(&mut self, before: f64, v: f64) -> u8 {
        let xor = before.to_bits() ^ v.to_bits();
        if xor == 0 {
            return SAME;
        }
        let zeros = xor.trailing_zeros() / 8;
        let len = 8 - zeros as usize - xor.leading_zeros() as usize / 8;
        if let (Some(a), Some(b)) = (whole(before), whole(v)) {
            let n = signed_bytes(b - a);
            if n <= len {
                self.put(&(b - a).to_le_bytes()[..n]);
                return INTEGER + n as u8 - 1;
            }
        } else if len > 2 {
            for (code, divisor) in [(HUNDREDTHS, 100.0), (THOUSANDTHS, 1000.0)] {
                if let (Some(a), Some(b)) = (part(before, divisor), part(v, divisor)) {
                    let n = signed_bytes(b - a);
                    if n <= 4 && n < len {
                        self.put(&(b - a).to_le_bytes()[..n]);
                        return code + n as u8 - 1;
                    }
                }
            }
        }
        self.put(&(xor >> (8 * zeros)).to_le_bytes()[..len]);
        // One less for each zero byte more: 8 + 7 + .. before it.
        let zeros = zeros as u8;
        BITS + zeros * (17 - zeros) / 2 + len as u8 - 1
    }
}

impl Open {
    pub(crate) fn count(&self) -> usize {
        self.count.into()
    }

    /// True when there is no room for another sample.
    pub(crate) fn is_full(&self) -> bool {
        self.count == u8::MAX
    }

    /// Bytes of the samples.
    pub(crate) fn bytes(&self) -> usize {
        self.chain.len()
    }

    /// Time and value of the newest sample.
    pub(crate) fn newest(&self) -> Option<(i64, f64)> {
        (self.count > 0).then_some((self.max_t, self.value))
    }

    /// Time of the oldest sample.
    pub(crate) fn min_t(&self) -> Option<i64> {
        (self.count > 0).then_some(self.min_t)
    }

    /// Time of the newest sample.
    pub(crate) fn max_t(&self) -> Option<i64> {
        (self.count > 0).then_some(self.max_t)
    }

    /// Adds a sample behind the newest one; there must be room.
    pub(crate) fn push(&mut self, t: i64, v: f64, slab: &mut Slab) {
        let mut op = Op {
            bytes: [0; 20],
            len: 1,
        };
        if self.count == 0 {
            (self.min_t, self.max_t, self.step, self.value) = (t, t, 0, 0.0);
        }
        let first = self.count == 0;
        let step = t.wrapping_sub(self.max_t);
        let change = step.wrapping_sub(self.step);
        let same = !first && change == 0 && self.value.to_bits() == v.to_bits();
        self.count += 1;
        self.max_t = t;
        self.step = step;
        if same {
            if self.in_run
                && let Some(n) = self.chain.last_mut(slab)
                && *n < u8::MAX
            {
                *n += 1;
                return;
            }
            self.chain.push(RUN, slab);
            self.chain.push(1, slab);
            self.in_run = true;
            return;
        }
        let needed = if change == 0 { 0 } else { signed_bytes(change) };
        let time = CHANGE_BYTES.iter().position(|n| *n >= needed).unwrap_or(3);
        op.put(&change.to_le_bytes()[..CHANGE_BYTES[time]]);
        op.bytes[0] = op.put_value(self.value, v) | (time as u8) << TIME_SHIFT;
        for byte in &op.bytes[..op.len] {
            self.chain.push(*byte, slab);
        }
        self.in_run = false;
        self.value = v;
    }

    /// Forgets all samples.
    pub(crate) fn clear(&mut self, slab: &mut Slab) {
        self.chain.free(slab);
        *self = Self::default();
    }

    pub(crate) fn snapshot(&self, slab: &Slab) -> OpenSnapshot {
        let mut bytes = Vec::with_capacity(self.chain.len());
        self.chain.copy_to(slab, &mut bytes);
        OpenSnapshot {
            bytes,
            count: self.count,
            min_t: self.min_t,
        }
    }
}

impl OpenSnapshot {
    /// The samples, in order.
    pub(crate) fn iter(&self) -> OpenIter<'_> {
        OpenIter {
            rest: &self.bytes,
            left: self.count,
            first: true,
            run: 0,
            t: self.min_t,
            step: 0,
            value: 0.0,
        }
    }
}

/// Decodes open samples.
#[derive(Debug)]
pub(crate) struct OpenIter<'a> {
    rest: &'a [u8],
    left: u8,
    first: bool,
    run: u8,
    t: i64,
    step: i64,
    value: f64,
}

impl<'a> OpenIter<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (now, rest) = self.rest.split_at_checked(n)?;
        self.rest = rest;
        Some(now)
    }

    fn read(&mut self) -> Option<()> {
        let op = self.take(1)?[0];
        let change = self.take(CHANGE_BYTES[usize::from(op >> TIME_SHIFT)])?;
        self.step = self.step.wrapping_add(sign_extend(change));
        match op & ((1 << TIME_SHIFT) - 1) {
            SAME => {}
            code @ INTEGER..BITS => {
                let n = sign_extend(self.take(usize::from(code - INTEGER) + 1)?);
                self.value = (self.value as i64).wrapping_add(n) as f64;
            }
            code @ BITS..HUNDREDTHS => {
                let (mut zeros, mut len) = (0, code - BITS);
                while len >= 8 - zeros {
                    len -= 8 - zeros;
                    zeros += 1;
                }
                let mut bits = [0; 8];
                let bytes = self.take(usize::from(len) + 1)?;
                bits[usize::from(zeros)..][..bytes.len()].copy_from_slice(bytes);
                self.value = f64::from_bits(self.value.to_bits() ^ u64::from_le_bytes(bits));
            }
            code @ HUNDREDTHS..RUN => {
                let (base, divisor) = if code < THOUSANDTHS {
                    (HUNDREDTHS, 100.0)
                } else {
                    (THOUSANDTHS, 1000.0)
                };
                let n = sign_extend(self.take(usize::from(code - base) + 1)?);
                let before = (self.value * divisor).round() as i64;
                self.value = before.wrapping_add(n) as f64 / divisor;
            }
            _ => self.run = self.take(1)?[0].saturating_sub(1),
        }
        Some(())
    }
}

impl Iterator for OpenIter<'_> {
    type Item = (i64, f64);

    fn next(&mut self) -> Option<(i64, f64)> {
        self.left = self.left.checked_sub(1)?;
        if self.run > 0 {
            self.run -= 1;
        } else {
            self.read()?;
        }
        if self.first {
            self.first = false;
        } else {
            self.t = self.t.wrapping_add(self.step);
        }
        Some((self.t, self.value))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = f64> {
        prop_oneof![
            4 => any::<u64>().prop_map(f64::from_bits),
            4 => (-300i32..300).prop_map(f64::from),
            4 => any::<i64>().prop_map(|n| n as f64),
            4 => (-5000i32..5000).prop_map(|n| f64::from(n) / 100.0),
            4 => (-5_000_000i32..5_000_000).prop_map(|n| f64::from(n) / 1000.0),
            2 => Just(1.0),
            1 => Just(-0.0),
            1 => Just(f64::from_bits(0x7ff0_0000_0000_0002)),
        ]
    }

    fn any_time() -> impl Strategy<Value = i64> {
        prop_oneof![
            (0..20i64).prop_map(|n| n * 15_000),
            (0..20i64, -20..20i64).prop_map(|(n, off)| n * 15_000 + off),
            any::<i64>(),
        ]
    }

    proptest! {
        #[test]
        fn every_bit_comes_back(
            samples in proptest::collection::btree_map(any_time(), any_value(), 0..120),
            more in proptest::collection::btree_map(0..1000i64, Just(3.0), 0..100),
        ) {
            let mut slab = Slab::default();
            let mut open = Open::default();
            for round in [samples, more] {
                open.clear(&mut slab);
                let mut want = BTreeMap::new();
                for (t, v) in round {
                    open.push(t, v, &mut slab);
                    want.insert(t, v.to_bits());
                    prop_assert_eq!(open.newest().map(|s| (s.0, s.1.to_bits())), Some((t, v.to_bits())));
                }
                prop_assert_eq!(open.count(), want.len());
                prop_assert_eq!(open.min_t(), want.keys().next().copied());
                prop_assert_eq!(open.max_t(), want.keys().last().copied());
                let snapshot = open.snapshot(&slab);
                let got: Vec<_> = snapshot.iter().map(|(t, v)| (t, v.to_bits())).collect();
                prop_assert_eq!(got, want.into_iter().collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn what_does_not_change_takes_no_room() {
        let mut slab = Slab::default();
        let mut open = Open::default();
        for i in 0..120 {
            open.push(i * 15_000, 4096.0, &mut slab);
        }
        // The first, the first distance, and the run.
        assert!(open.bytes() <= 3 + 4 + 2, "{}", open.bytes());
        for i in 120..200 {
            open.push(i * 15_000, (i * 300) as f64, &mut slab);
        }
        assert!(open.bytes() <= 9 + 80 * 4, "{}", open.bytes());
    }
}
