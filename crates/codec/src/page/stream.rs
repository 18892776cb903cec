//! Streams of 64-bit integers: differences, divisor, base, then a coder.
//! docs/format/page.md section 5.

mod decode;

use super::bytes::{put_varint, put_zigzag, varint_len, zigzag};
use super::packed;
use super::token::{Counts, Lengths};
use super::{Coder, RESTART_ROWS, tans};

pub(crate) use decode::decode;

const ZIGZAG: u8 = 1 << 2;
const DIVISOR: u8 = 1 << 3;
const BASE: u8 = 1 << 4;
const TANS: u8 = 1 << 5;
const PATCHES: u8 = 1 << 6;
const RESTARTS: u8 = 1 << 7;

/// Which coder, with its one choice.
#[derive(Debug, Clone, Copy)]
enum Chosen {
    Packed { width: u32 },
    Tans { set: usize },
}

/// How to turn differences into numbers.
#[derive(Debug, Clone, Copy)]
struct Shape {
    order: usize,
    zigzag: bool,
    divisor: i64,
    base: i64,
}

impl Shape {
    /// Numbers of differences; the base is 0 or one of them, and the divisor divides what is left.
    fn numbers(self, differences: &[i64]) -> impl Iterator<Item = u64> {
        differences.iter().map(move |s| {
            let mut s = s.wrapping_sub(self.base);
            if self.divisor > 1 {
                s /= self.divisor;
            }
            if self.zigzag { zigzag(s) } else { s as u64 }
        })
    }
}

/// A stream ready to be written, and about how many bits it takes.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    values: &'a [i64],
    shape: Shape,
    chosen: Chosen,
    pub(crate) bits: u32,
}

/// The cheapest way to write the values, of which there is at least one.
pub(crate) fn plan(values: &[i64], coder: Coder, max_order: usize) -> Plan<'_> {
    let mut packed: Option<(u32, Shape, u32)> = None;
    let mut tans: Option<(u32, Shape, usize)> = None;
    let mut differences = values.to_vec();
    let mut firsts = 8;
    for order in 0..=max_order.min(values.len().saturating_sub(1)) {
        if order > 0 {
            firsts += 8 * varint_len(zigzag(differences.first().copied().unwrap_or(0)));
            differences = difference(&differences);
        }
        for shape in shapes(order, &differences) {
            let mut head = firsts;
            if shape.divisor > 1 {
                head += 8 * varint_len(shape.divisor as u64);
            }
            if shape.base != 0 {
                head += 8 * varint_len(zigzag(shape.base));
            }
            let lengths = if matches!(coder, Coder::Tans { .. }) {
                let counts = Counts::new(shape.numbers(&differences));
                let (set, bits) = counts.tans();
                if tans.as_ref().is_none_or(|t| bits + head < t.0) {
                    tans = Some((bits + head, shape, set));
                }
                counts.lengths()
            } else {
                Lengths::new(shape.numbers(&differences))
            };
            let (width, bits) = lengths.packed();
            if packed.as_ref().is_none_or(|p| bits + head < p.0) {
                packed = Some((bits + head, shape, width));
            }
        }
    }
    let (bits, shape, width) = packed.unwrap_or((u32::MAX, Shape::PLAIN, 64));
    if let (Some(tans), Coder::Tans { min_gain_percent }) = (tans, coder) {
        let gain = 100u64.saturating_sub(u64::from(min_gain_percent));
        if u64::from(tans.0) * 100 < u64::from(bits) * gain {
            let chosen = Chosen::Tans { set: tans.2 };
            return Plan {
                values,
                shape: tans.1,
                chosen,
                bits: tans.0,
            };
        }
    }
    Plan {
        values,
        shape,
        chosen: Chosen::Packed { width },
        bits,
    }
}

/// The differences of neighbours.
fn difference(values: &[i64]) -> Vec<i64> {
    values
        .iter()
        .zip(values.iter().skip(1))
        .map(|(a, b)| b.wrapping_sub(*a))
        .collect()
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The shapes worth trying for differences of one order.
fn shapes(order: usize, differences: &[i64]) -> impl Iterator<Item = Shape> {
    let first = differences.first().copied().unwrap_or(0);
    let (mut min, mut max, mut least, mut falls) = (first, first, i64::MAX, 0usize);
    let mut divisor = 0u64;
    for &s in differences {
        min = min.min(s);
        max = max.max(s);
        if s < 0 {
            falls += 1;
        } else {
            least = least.min(s);
        }
        if divisor != 1 {
            divisor = gcd(divisor, s.abs_diff(first));
        }
    }
    // Division is exact only where the subtraction of the base does not wrap.
    let fits = max.checked_sub(min).is_some();
    let divisor = if fits && divisor > 1 {
        i64::try_from(divisor).unwrap_or(1)
    } else {
        1
    };
    let shape = |zigzag, base| Shape {
        order,
        zigzag,
        divisor,
        base,
    };
    let middle = middle(differences);
    let centre = if first.wrapping_rem(divisor) == 0 {
        0
    } else {
        middle
    };
    let shapes = [
        Some(shape(false, min)),
        (min < 0 || centre != 0).then(|| shape(true, centre)),
        (order < 2 && middle != centre).then(|| shape(true, middle)),
        // A counter that was reset a few times.
        (min < 0 && order == 1 && falls * 16 < differences.len() && least < i64::MAX)
            .then(|| shape(false, least)),
    ];
    shapes.into_iter().flatten()
}

/// About the median.
fn middle(differences: &[i64]) -> i64 {
    let step = differences.len().div_ceil(31).max(1);
    let mut sample: Vec<i64> = differences.iter().step_by(step).copied().collect();
    sample.sort_unstable();
    sample.get(sample.len() / 2).copied().unwrap_or(0)
}

impl Shape {
    /// Every value as it is.
    const PLAIN: Self = Self {
        order: 0,
        zigzag: false,
        divisor: 1,
        base: 0,
    };
}

impl<'a> Plan<'a> {
    /// The values without any transformation, 64 bits each: the worst case.
    pub(crate) const fn plain(values: &'a [i64]) -> Self {
        Self {
            values,
            shape: Shape::PLAIN,
            chosen: Chosen::Packed { width: 64 },
            bits: 0,
        }
    }

    /// Appends the stream. Restart points go into packed streams that need them.
    pub(crate) fn write(&self, restarts: bool, out: &mut Vec<u8>) {
        let Shape {
            order,
            zigzag,
            divisor,
            base,
        } = self.shape;
        let mut differences = self.values.to_vec();
        let mut firsts = [0i64; 2];
        for first in firsts.iter_mut().take(order) {
            *first = differences.first().copied().unwrap_or(0);
            differences = difference(&differences);
        }
        let numbers: Vec<u64> = self.shape.numbers(&differences).collect();
        let restarts = restarts && order > 0 && self.values.len() > RESTART_ROWS;
        let mut head = order as u8;
        head |= if zigzag { ZIGZAG } else { 0 };
        head |= if divisor > 1 { DIVISOR } else { 0 };
        head |= if base != 0 { BASE } else { 0 };
        head |= match self.chosen {
            Chosen::Tans { .. } => TANS,
            Chosen::Packed { width } => {
                let patches = if packed::has_patches(&numbers, width) {
                    PATCHES
                } else {
                    0
                };
                patches | if restarts { RESTARTS } else { 0 }
            }
        };
        out.push(head);
        for &first in firsts.iter().take(order) {
            put_zigzag(out, first);
        }
        if divisor > 1 {
            put_varint(out, divisor as u64);
        }
        if base != 0 {
            put_zigzag(out, base);
        }
        match self.chosen {
            Chosen::Tans { set } => {
                let counts = Counts::new(numbers.iter().copied());
                tans::encode(&numbers, &counts, set, out);
            }
            Chosen::Packed { width } => {
                packed::write(&numbers, width, out);
                if restarts {
                    self.write_restarts(out);
                }
                if head & PATCHES != 0 {
                    packed::write_patches(&numbers, width, out);
                }
            }
        }
    }

    fn write_restarts(&self, out: &mut Vec<u8>) {
        let at = |row: usize| self.values.get(row).copied().unwrap_or(0);
        for row in (RESTART_ROWS..self.values.len()).step_by(RESTART_ROWS) {
            put_zigzag(out, at(row).wrapping_sub(at(row - RESTART_ROWS)));
            if self.shape.order == 2 {
                put_zigzag(out, at(row).wrapping_sub(at(row - 1)));
            }
        }
    }
}
