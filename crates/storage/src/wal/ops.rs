//! How one float is written against the value before it: as a small whole number of units, as the
//! bytes that differ, or as what it is.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use tsdb_codec::varint::{unzigzag, zigzag};
use tsdb_model::STALE_NAN_BITS;

use super::decode::{Body, Malformed};

/// What values may be whole numbers of, as parts of 1.
const SCALES: [f64; 5] = [1.0, 100.0, 1e3, 1e6, 1e9];

const SMALL_END: u8 = 0x80;
const DELTAS: u8 = SMALL_END;
const XORS: u8 = DELTAS + 8 * SCALES.len() as u8;
const XORS_END: u8 = XORS + 36;

/// A staleness marker: the value before stays for the next.
pub(super) const STALE: u8 = 0xcc;
/// A start timestamp, relative to the sample's time; then the value.
pub(super) const START: u8 = 0xcd;
/// The value before.
pub(super) const KEEP: u8 = 0xce;
/// The start timestamp is unknown from here on; then the value.
pub(super) const NO_START: u8 = 0xcf;

/// First XOR operation for so many leading zero bytes, counted from `XORS`.
const XOR_OFFSETS: [u8; 9] = [0, 8, 15, 21, 26, 30, 33, 35, 36];

/// How often a series is not looked at for a better scale after one look without success.
const REST: u8 = 15;

/// What is known about a series besides its value: bits 0-2 scale, bit 3 whether it changed last
/// time, bits 4-7 how often the writer does not look for another scale.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark(u8);

impl Mark {
    fn scale(self) -> usize {
        usize::from(self.0 & 7)
    }

    fn set_scale(&mut self, scale: usize) {
        self.0 = self.0 & !7 | scale as u8 & 7;
    }

    pub(super) fn changed(self) -> bool {
        self.0 & 8 != 0
    }

    pub(super) fn set_changed(&mut self, changed: bool) {
        self.0 = self.0 & !8 | u8::from(changed) << 3;
    }

    fn rests(&mut self) -> bool {
        let rests = self.0 >> 4 > 0;
        if rests {
            self.0 -= 1 << 4;
        }
        rests
    }

    fn rest(&mut self) {
        self.0 = self.0 & 0xf | REST << 4;
    }
}

/// A value in units of a scale, about.
#[inline]
fn units(bits: u64, scale: usize) -> i64 {
    const LIMIT: f64 = 4_611_686_018_427_387_904.0;
    let x = f64::from_bits(bits) * SCALES.get(scale).copied().unwrap_or(1.0);
    if x.abs() < LIMIT {
        let rounded = if scale == 0 {
            x
        } else {
            x + 0.5f64.copysign(x)
        };
        rounded as i64
    } else {
        0
    }
}

#[inline]
fn value(units: i64, scale: usize) -> u64 {
    let units = units as f64;
    match SCALES.get(scale) {
        Some(s) if scale > 0 => (units / s).to_bits(),
        _ => units.to_bits(),
    }
}

/// The value in units, if that is exact.
#[inline]
fn exact(bits: u64, scale: usize) -> Option<i64> {
    let n = units(bits, scale);
    (value(n, scale) == bits).then_some(n)
}

/// Bytes of a number, at least one.
fn width(z: u64) -> usize {
    (8 - z.leading_zeros() as usize / 8).max(1)
}

/// Appends the operation that makes `bits` of `before`; `bits` is no staleness marker.
#[inline]
pub(super) fn put_value(out: &mut Vec<u8>, before: u64, bits: u64, mark: &mut Mark) {
    let delta = |scale: usize| {
        let n = exact(bits, scale)?;
        Some(zigzag(n.wrapping_sub(units(before, scale))))
    };
    let scale = mark.scale();
    let current = delta(scale);
    if let Some(z) = current
        && z < u64::from(SMALL_END)
    {
        out.push(z as u8);
        return;
    }
    put_long(out, before ^ bits, current, delta, mark);
}

fn put_long(
    out: &mut Vec<u8>,
    xor: u64,
    current: Option<u64>,
    delta: impl Fn(usize) -> Option<u64>,
    mark: &mut Mark,
) {
    let mut best = current.map(|z| (mark.scale(), z));
    if !mark.rests() {
        // A smaller scale makes smaller numbers.
        let end = current.map_or(SCALES.len(), |_| mark.scale());
        match (0..end).find_map(|scale| Some((scale, delta(scale)?))) {
            Some(found) => best = Some(found),
            None => mark.rest(),
        }
    }
    if xor == 0 && best.is_none() {
        out.push(KEEP);
        return;
    }
    let lead = xor.leading_zeros() as usize / 8;
    let tail = xor.trailing_zeros() as usize / 8;
    let count = 8usize.saturating_sub(lead + tail).max(1);
    match best {
        Some((scale, z)) if width(z) <= count => {
            let n = width(z);
            mark.set_scale(scale);
            out.push(DELTAS + 8 * scale as u8 + n as u8 - 1);
            out.extend(z.to_le_bytes().into_iter().take(n));
        }
        _ => {
            let first = XOR_OFFSETS.get(lead).copied().unwrap_or(0);
            out.push(XORS + first + count as u8 - 1);
            out.extend(xor.to_be_bytes().into_iter().skip(lead).take(count));
        }
    }
}

/// A value as an operation has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Value(u64),
    Stale,
    Start(i64),
    NoStart,
}

/// Takes the next operation. `mark` gets the scale.
#[inline]
pub(super) fn take_op(body: &mut Body<'_>, before: u64, mark: &mut Mark) -> Result<Op, Malformed> {
    let op = body.byte()?;
    if op < SMALL_END {
        let scale = mark.scale();
        let n = units(before, scale).wrapping_add(unzigzag(u64::from(op)));
        return Ok(Op::Value(value(n, scale)));
    }
    take_long(op, body, before, mark)
}

fn take_long(op: u8, body: &mut Body<'_>, before: u64, mark: &mut Mark) -> Result<Op, Malformed> {
    match op {
        DELTAS..XORS => {
            let scale = usize::from((op - DELTAS) / 8);
            let count = usize::from((op - DELTAS) % 8 + 1);
            let mut bytes = [0; 8];
            let from = body.bytes(count as u64)?;
            bytes
                .get_mut(..count)
                .ok_or(Malformed)?
                .copy_from_slice(from);
            mark.set_scale(scale);
            let d = unzigzag(u64::from_le_bytes(bytes));
            Ok(Op::Value(value(
                units(before, scale).wrapping_add(d),
                scale,
            )))
        }
        XORS..XORS_END => {
            let number = op - XORS;
            let lead = XOR_OFFSETS.partition_point(|o| *o <= number) - 1;
            let first = XOR_OFFSETS.get(lead).copied().unwrap_or(0);
            let count = usize::from(number - first) + 1;
            let mut bytes = [0; 8];
            let from = body.bytes(count as u64)?;
            bytes
                .get_mut(lead..lead + count)
                .ok_or(Malformed)?
                .copy_from_slice(from);
            Ok(Op::Value(before ^ u64::from_be_bytes(bytes)))
        }
        STALE => Ok(Op::Stale),
        START => Ok(Op::Start(body.varint()?)),
        KEEP => Ok(Op::Value(before)),
        NO_START => Ok(Op::NoStart),
        _ => Err(Malformed),
    }
}

/// True for the bits of a staleness marker.
#[inline]
pub(super) fn is_marker(bits: u64) -> bool {
    bits == STALE_NAN_BITS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Writes all values one behind the other, reads them back; answers the bytes.
    fn round_trip(values: &[u64]) -> Vec<u8> {
        let (mut out, mut before, mut mark) = (Vec::new(), 0, Mark::default());
        for bits in values {
            put_value(&mut out, before, *bits, &mut mark);
            before = *bits;
        }
        let mut body = Body::new(&out);
        let (mut before, mut mark) = (0, Mark::default());
        for bits in values {
            assert_eq!(take_op(&mut body, before, &mut mark), Ok(Op::Value(*bits)));
            before = *bits;
        }
        assert!(body.is_empty());
        out
    }

    #[test]
    fn known_bytes() {
        let bytes = |values: &[f64]| {
            let bits: Vec<u64> = values.iter().map(|v| v.to_bits()).collect();
            round_trip(&bits)
        };
        assert_eq!(bytes(&[1.0, 2.0, 1.0, 64.0]), [2, 2, 1, 0x7e]);
        assert_eq!(bytes(&[1000.0, 1001.0]), [0x81, 0xd0, 0x07, 2]);
        assert_eq!(bytes(&[0.25, 0.26, 0.25]), [0x88, 50, 2, 1]);
        assert_eq!(bytes(&[0.000_001]), [0x98, 2]);
        // -0 differs from 0 in one bit.
        assert_eq!(bytes(&[-0.0]), [XORS, 0x80]);
        assert_eq!(bytes(&[f64::INFINITY]), [XORS + 1, 0x7f, 0xf0]);
        assert_eq!(
            XOR_OFFSETS,
            std::array::from_fn(|l| (l * 8 + l - l * (l + 1) / 2) as u8)
        );
    }

    proptest! {
        #[test]
        fn any_bits_come_back(values: Vec<u64>) {
            let values: Vec<u64> = values.into_iter().filter(|b| !is_marker(*b)).collect();
            let bytes = round_trip(&values);
            prop_assert!(bytes.len() <= 9 * values.len());
        }

        #[test]
        fn decimals_come_back(values: Vec<(i32, u8)>) {
            let values: Vec<u64> = values
                .into_iter()
                .map(|(n, digits)| (f64::from(n) / 10f64.powi(i32::from(digits % 12))).to_bits())
                .collect();
            round_trip(&values);
        }

        #[test]
        fn whole_numbers_come_back(values: Vec<i64>) {
            let values: Vec<u64> = values.into_iter().map(|n| (n as f64).to_bits()).collect();
            round_trip(&values);
        }

        #[test]
        fn any_bytes_do_no_harm(bytes: Vec<u8>, before: u64, mark: u8) {
            let mut body = Body::new(&bytes);
            let mut mark = Mark(mark);
            while take_op(&mut body, before, &mut mark).is_ok() {}
        }
    }
}
