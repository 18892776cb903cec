//! Reading value pages: docs/format/page.md sections 2 and 3.

use std::ops::Range;

use super::bytes::Cursor;
use super::decimal::{MAX_EXPONENT, Scale, ordered, unordered};
use super::error::PageError;
use super::exception::{self, Exceptions};
use super::{EXCEPTIONS, MAX_DICTIONARY, MAX_ROWS, MULTIPLY, PageFlags, mode, stream, xor_mode};

/// The flags of a page, which its first byte has. No bytes are the page of no rows.
pub fn page_flags(bytes: &[u8]) -> PageFlags {
    match bytes.first() {
        Some(&head) => PageFlags::from_byte(head, (head & 0x0f) <= mode::CONSTANT_INTEGER),
        None => PageFlags::of(&[]),
    }
}

/// Appends the values of a page of so many rows. On an error `out` is as it was.
pub fn decode_page(bytes: &[u8], rows: usize, out: &mut Vec<f64>) -> Result<PageFlags, PageError> {
    decode_page_range(bytes, rows, 0..rows, out)
}

/// Appends the values of some rows of a page. Constant pages and packed pages with restart points
/// decode little more than is asked for, others the rows before it too.
pub fn decode_page_range(
    bytes: &[u8],
    rows: usize,
    range: Range<usize>,
    out: &mut Vec<f64>,
) -> Result<PageFlags, PageError> {
    if rows > MAX_ROWS {
        return Err(PageError::TooManyRows { rows });
    }
    if range.start > range.end || range.end > rows {
        return Err(PageError::BadRange);
    }
    if rows == 0 {
        Cursor::new(bytes).end()?;
        return Ok(page_flags(bytes));
    }
    let start = out.len();
    let result = decode(bytes, rows, &range, start, out);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

fn decode(
    bytes: &[u8],
    rows: usize,
    range: &Range<usize>,
    start: usize,
    out: &mut Vec<f64>,
) -> Result<PageFlags, PageError> {
    let mut cursor = Cursor::new(bytes);
    let head = cursor.u8()?;
    let mode = head & 0x0f;
    let flags = page_flags(bytes);
    let excepting = (mode::INTEGER..=mode::ORDERED).contains(&mode);
    if head & EXCEPTIONS != 0 && !excepting {
        return Err(PageError::corrupt("exceptions in this mode"));
    }
    if flags.constant {
        let value = constant(mode, &mut cursor)?;
        cursor.end()?;
        out.resize(start + range.len(), value);
        return Ok(flags);
    }
    out.resize(start + rows, 0.0);
    let all = out.get_mut(start..).unwrap_or_default();
    match mode {
        mode::INTEGER => {
            let exceptions = read_exceptions(head, &mut cursor, rows)?;
            stream::decode(&mut cursor, all, range)?;
            let values = all.get_mut(range.clone()).unwrap_or_default();
            to_integers(values);
            exceptions.apply(rows, range.start, values)?;
            cursor.end()?;
        }
        mode::DECIMAL => {
            let scale = scale(cursor.u8()?)?;
            let exceptions = read_exceptions(head, &mut cursor, rows)?;
            stream::decode(&mut cursor, all, range)?;
            let values = all.get_mut(range.clone()).unwrap_or_default();
            to_decimals(values, scale);
            exceptions.apply(rows, range.start, values)?;
            cursor.end()?;
        }
        mode::RESIDUAL => {
            let scale = scale(cursor.u8()?)?;
            let Scale::Divide(_) = scale else {
                return Err(PageError::corrupt("exponent"));
            };
            let exceptions = read_exceptions(head, &mut cursor, rows)?;
            let length = cursor.count(usize::MAX, "length")?;
            let mut first = Cursor::new(cursor.take(length)?);
            stream::decode(&mut first, all, range)?;
            first.end()?;
            let mut residuals = vec![0i64; rows];
            stream::decode(&mut cursor, &mut residuals, range)?;
            cursor.end()?;
            let values = all.get_mut(range.clone()).unwrap_or_default();
            to_decimals(values, scale);
            for (v, r) in values.iter_mut().zip(residuals.iter().skip(range.start)) {
                *v = f64::from_bits(unordered(ordered(v.to_bits()).wrapping_add(*r)));
            }
            exceptions.apply(rows, range.start, values)?;
        }
        mode::ORDERED => {
            let exceptions = read_exceptions(head, &mut cursor, rows)?;
            stream::decode(&mut cursor, all, range)?;
            let values = all.get_mut(range.clone()).unwrap_or_default();
            for v in values.iter_mut() {
                *v = f64::from_bits(unordered(v.to_bits() as i64));
            }
            exceptions.apply(rows, range.start, values)?;
            cursor.end()?;
        }
        mode::DICTIONARY => {
            let entries = dictionary(&mut cursor)?;
            stream::decode(&mut cursor, all, range)?;
            let values = all.get_mut(range.clone()).unwrap_or_default();
            for v in values {
                let index = usize::try_from(v.to_bits()).unwrap_or(usize::MAX);
                *v = *entries
                    .get(index)
                    .ok_or(PageError::corrupt("dictionary index"))?;
            }
            cursor.end()?;
        }
        mode::XOR => xor_mode::decode(cursor.rest(), all)?,
        _ => return Err(PageError::corrupt("unknown mode")),
    }
    out.truncate(start + range.end);
    out.drain(start..start + range.start);
    Ok(flags)
}

fn constant(mode: u8, cursor: &mut Cursor<'_>) -> Result<f64, PageError> {
    match mode {
        mode::CONSTANT_SPECIAL => {
            let code = cursor.u8()?;
            exception::read_bits(cursor, code).map(f64::from_bits)
        }
        mode::CONSTANT_DECIMAL => {
            let e = exponent(cursor.u8()?)?;
            Ok(Scale::Divide(e).float(cursor.zigzag()?))
        }
        _ => Ok(cursor.zigzag()? as f64),
    }
}

fn exponent(e: u8) -> Result<u8, PageError> {
    if e <= MAX_EXPONENT {
        Ok(e)
    } else {
        Err(PageError::corrupt("exponent"))
    }
}

/// The scale of a decimal; exponent 0 is mode integer.
fn scale(s: u8) -> Result<Scale, PageError> {
    let multiply = s.checked_sub(MULTIPLY);
    let e = exponent(multiply.unwrap_or(s))?;
    match (e, multiply) {
        (0, _) => Err(PageError::corrupt("exponent")),
        (_, None) => Ok(Scale::Divide(e)),
        (_, Some(_)) => Ok(Scale::Multiply(e)),
    }
}

fn read_exceptions<'a>(
    head: u8,
    cursor: &mut Cursor<'a>,
    rows: usize,
) -> Result<Exceptions<'a>, PageError> {
    if head & EXCEPTIONS == 0 {
        Ok(Exceptions::NONE)
    } else {
        Exceptions::read(cursor, rows)
    }
}

fn dictionary(cursor: &mut Cursor<'_>) -> Result<Vec<f64>, PageError> {
    let scale = Scale::Divide(exponent(cursor.u8()?)?);
    let decimals = cursor.count(MAX_DICTIONARY, "dictionary")?;
    let specials = cursor.count(MAX_DICTIONARY - decimals, "dictionary")?;
    let mut entries = Vec::with_capacity(decimals + specials);
    let mut i = 0i64;
    for _ in 0..decimals {
        i = i.wrapping_add(cursor.zigzag()?);
        entries.push(scale.float(i));
    }
    for _ in 0..specials {
        let code = cursor.u8()?;
        entries.push(f64::from_bits(exception::read_bits(cursor, code)?));
    }
    Ok(entries)
}

/// Whether all integers are below 2^51, so that the sum below turns them into floats.
fn are_small(values: &[f64]) -> bool {
    let spread = values.iter().fold(0u64, |acc, v| {
        let i = v.to_bits() as i64;
        acc | (i ^ (i >> 63)) as u64
    });
    spread < 1 << 51
}

/// An integer of magnitude below 2^51 as a float: put below the mantissa of 3 * 2^51, which two
/// lanes of any vector unit can do at once where the conversion instruction cannot.
#[inline(always)]
fn small_to_float(bits: u64) -> f64 {
    const BIAS: u64 = 0x4338_0000_0000_0000;
    f64::from_bits(bits.wrapping_add(BIAS)) - f64::from_bits(BIAS)
}

/// Integers, as bits, to floats.
fn to_integers(values: &mut [f64]) {
    if are_small(values) {
        for v in values {
            *v = small_to_float(v.to_bits());
        }
    } else {
        for v in values {
            *v = v.to_bits() as i64 as f64;
        }
    }
}

/// Integers, as bits, to decimals.
fn to_decimals(values: &mut [f64], scale: Scale) {
    let factor = scale.factor();
    match (scale, are_small(values)) {
        (Scale::Divide(_), true) => {
            for v in values {
                *v = small_to_float(v.to_bits()) / factor;
            }
        }
        (Scale::Multiply(_), true) => {
            for v in values {
                *v = small_to_float(v.to_bits()) * factor;
            }
        }
        (_, false) => {
            for v in values {
                *v = scale.float(v.to_bits() as i64);
            }
        }
    }
}
