//! Choosing a mode and writing a page: docs/format/page.md sections 2 and 3.

use super::bytes::{put_varint, put_zigzag, varint_len, zigzag};
use super::decimal::{MAX_EXPONENT, Scale, nearest, ordered, unordered};
use super::error::PageError;
use super::exception::{self, Runs};
use super::stream::{self, Plan};
use super::{
    EXCEPTIONS, MAX_DICTIONARY, MAX_ROWS, MULTIPLY, PageFlags, PageOptions, max_page_bytes, mode,
    xor_mode,
};

/// Exponents tried for decimals with a residual.
const RESIDUAL_EXPONENTS: [u8; 4] = [2, 3, 6, 9];

/// Writes values, at most [`MAX_ROWS`], as a page; none give no bytes.
pub fn encode_page(values: &[f64], options: PageOptions) -> Result<Vec<u8>, PageError> {
    let mut out = Vec::new();
    let Some(&first) = values.first() else {
        return Ok(out);
    };
    if values.len() > MAX_ROWS {
        return Err(PageError::TooManyRows { rows: values.len() });
    }
    let flags = PageFlags::of(values);
    if flags.constant {
        write_constant(first, flags, &mut out);
        return Ok(out);
    }
    let flags = flags.to_byte();
    write_cheapest(values, flags, options, &mut out);
    if out.len() > max_page_bytes(values.len()) {
        // Costs are estimates; the bound is not.
        out.clear();
        let all: Vec<i64> = values.iter().map(|v| ordered(v.to_bits())).collect();
        out.push(mode::ORDERED | flags);
        Plan::plain(&all).write(false, &mut out);
    }
    out.shrink_to_fit();
    Ok(out)
}

fn write_constant(value: f64, flags: PageFlags, out: &mut Vec<u8>) {
    let mut decimals = (0..=MAX_EXPONENT).map(Scale::Divide);
    let decimal = decimals.find_map(|s| s.integer(value).map(|i| (s.exponent(), i)));
    match decimal {
        Some((0, i)) => {
            out.push(mode::CONSTANT_INTEGER | flags.to_byte());
            put_zigzag(out, i);
        }
        Some((e, i)) => {
            out.push(mode::CONSTANT_DECIMAL | flags.to_byte());
            out.push(e);
            put_zigzag(out, i);
        }
        None => {
            out.push(mode::CONSTANT_SPECIAL | flags.to_byte());
            out.push(exception::code(value.to_bits()));
            exception::put_given(out, value.to_bits());
        }
    }
}

/// Integers for every row, those of exceptions repeating a neighbour's.
#[derive(Default)]
struct Integers {
    values: Vec<i64>,
    exceptions: Runs,
}

impl Integers {
    fn new(values: &[f64], integer: impl Fn(f64) -> Option<i64>) -> Self {
        let mut all = Self::default();
        all.values.reserve(values.len());
        let mut last = None;
        for (row, &v) in values.iter().enumerate() {
            if let Some(i) = integer(v) {
                if last.is_none() {
                    all.values.fill(i);
                }
                last = Some(i);
            } else {
                all.exceptions.push(row, v.to_bits());
            }
            all.values.push(last.unwrap_or(0));
        }
        all
    }
}

/// The cheapest so far: its bits and its bytes.
struct Best<'a> {
    bits: u32,
    out: &'a mut Vec<u8>,
    flags: u8,
    options: PageOptions,
}

impl Best<'_> {
    /// Takes a page of one stream if it is cheaper.
    fn offer(&mut self, mode: u8, scale: Option<u8>, integers: &Integers, max_order: usize) {
        let head = 16 + integers.exceptions.cost();
        if head >= self.bits {
            return;
        }
        let plan = stream::plan(&integers.values, self.options.coder, max_order);
        if plan.bits.saturating_add(head) < self.bits {
            self.bits = plan.bits + head;
            self.begin(mode, scale, &integers.exceptions);
            plan.write(self.options.restarts, self.out);
        }
    }

    fn begin(&mut self, mode: u8, scale: Option<u8>, exceptions: &Runs) {
        self.out.clear();
        let listed = !exceptions.runs.is_empty();
        self.out
            .push(mode | self.flags | if listed { EXCEPTIONS } else { 0 });
        self.out.extend(scale);
        if listed {
            exceptions.write(self.out);
        }
    }
}

fn write_cheapest(values: &[f64], flags: u8, options: PageOptions, out: &mut Vec<u8>) {
    let mut best = Best {
        bits: u32::MAX,
        out,
        flags,
        options,
    };
    if !decimals(values, &mut best) {
        residuals(values, &mut best);
        let finite = |v: f64| v.is_finite() && v.to_bits() != (-0.0f64).to_bits();
        let integers = Integers::new(values, |v| finite(v).then(|| ordered(v.to_bits())));
        best.offer(mode::ORDERED, None, &integers, 2);
        let bits = xor_mode::cost(values);
        if bits < best.bits {
            best.bits = bits;
            best.begin(mode::XOR, None, &Runs::default());
            xor_mode::encode(values, best.out);
        }
    }
    dictionary(values, &mut best);
}

/// Integers and decimals. True if they are so good that other floats need not be tried.
fn decimals(values: &[f64], best: &mut Best<'_>) -> bool {
    for scale in [Scale::Divide(0), Scale::Multiply(0)] {
        let Some(scale) = scale.find(values) else {
            continue;
        };
        let e = scale.exponent();
        let number = match scale {
            Scale::Multiply(0) => continue,
            Scale::Divide(e) => e,
            Scale::Multiply(e) => MULTIPLY + e,
        };
        let integers = Integers::new(values, |v| scale.integer(v));
        let exceptions = &integers.exceptions;
        if exceptions.rows * 8 > values.len() * 3 && exceptions.runs.len() * 16 > values.len() {
            continue;
        }
        if e == 0 {
            best.offer(mode::INTEGER, None, &integers, 2);
        } else {
            best.offer(mode::DECIMAL, Some(number), &integers, 2);
        }
        if e <= 9 && exceptions.runs.len() * 32 <= values.len() {
            return true;
        }
    }
    false
}

/// Decimals with a correction in units of the last place, for sums of decimals.
fn residuals(values: &[f64], best: &mut Best<'_>) {
    for e in RESIDUAL_EXPONENTS {
        let scale = Scale::Divide(e);
        let near = |v: f64| nearest(v, e).filter(|i| i.unsigned_abs() < 1 << 52);
        // Rows that are not finite or too large are exceptions, and then there are few.
        let integers = Integers::new(values, |v| {
            near(v).filter(|&i| (i == 0) == (v == 0.0) && v.to_bits() != (-0.0f64).to_bits())
        });
        if integers.exceptions.runs.len() * 16 > values.len() {
            continue;
        }
        let head = 40 + integers.exceptions.cost();
        let plan = stream::plan(&integers.values, best.options.coder, 2);
        if plan.bits.saturating_add(head) >= best.bits {
            continue;
        }
        let mut last = 0;
        let residuals: Vec<i64> = values
            .iter()
            .zip(&integers.values)
            .map(|(v, &i)| {
                if near(*v).is_some_and(|n| n == i) {
                    let float = scale.float(i);
                    last = ordered(v.to_bits()).wrapping_sub(ordered(float.to_bits()));
                }
                last
            })
            .collect();
        let correction = stream::plan(&residuals, best.options.coder, 1);
        let bits = plan.bits + correction.bits.saturating_add(head);
        if bits < best.bits {
            best.bits = bits;
            best.begin(mode::RESIDUAL, Some(e), &integers.exceptions);
            let mut first = Vec::new();
            plan.write(false, &mut first);
            put_varint(best.out, first.len() as u64);
            best.out.extend_from_slice(&first);
            correction.write(false, best.out);
        }
    }
}

/// Few distinct values.
fn dictionary(values: &[f64], best: &mut Best<'_>) {
    let mut entries: Vec<i64> = Vec::with_capacity(MAX_DICTIONARY + 1);
    let mut last = None;
    for v in values {
        let o = ordered(v.to_bits());
        if last == Some(o) {
            continue;
        }
        last = Some(o);
        if let Err(at) = entries.binary_search(&o) {
            if entries.len() == MAX_DICTIONARY {
                return;
            }
            entries.insert(at, o);
        }
    }
    let floats: Vec<f64> = entries
        .iter()
        .map(|&o| f64::from_bits(unordered(o)))
        .collect();
    let scale = Scale::Divide(0).find(&floats).unwrap_or(Scale::Divide(0));
    let mut before = 0;
    let cost = |v: &f64| match scale.integer(*v) {
        Some(i) => varint_len(zigzag(i.wrapping_sub(std::mem::replace(&mut before, i)))),
        None if exception::code(v.to_bits()) == 5 => 9,
        None => 1,
    };
    let head = 32 + 8 * floats.iter().map(cost).sum::<u32>();
    if head >= best.bits {
        return;
    }
    let is_decimal = |o: &i64| scale.integer(f64::from_bits(unordered(*o))).is_some();
    let (decimals, specials): (Vec<i64>, Vec<i64>) = entries.iter().partition(|o| is_decimal(o));
    let index = |v: &f64| {
        let o = ordered(v.to_bits());
        let special = |_| specials.binary_search(&o).map(|i| i + decimals.len());
        decimals.binary_search(&o).or_else(special).unwrap_or(0) as i64
    };
    let indices: Vec<i64> = values.iter().map(index).collect();
    let plan = stream::plan(&indices, best.options.coder, 1);
    if plan.bits.saturating_add(head) >= best.bits {
        return;
    }
    best.bits = plan.bits + head;
    best.begin(mode::DICTIONARY, Some(scale.exponent()), &Runs::default());
    put_varint(best.out, decimals.len() as u64);
    put_varint(best.out, specials.len() as u64);
    let mut before = 0i64;
    for &o in &decimals {
        let i = scale.integer(f64::from_bits(unordered(o))).unwrap_or(0);
        put_zigzag(best.out, i.wrapping_sub(before));
        before = i;
    }
    for &o in &specials {
        best.out.push(exception::code(unordered(o)));
        exception::put_given(best.out, unordered(o));
    }
    plan.write(best.options.restarts, best.out);
}
