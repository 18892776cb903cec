//! Reading streams: docs/format/page.md section 5.

use std::ops::Range;

use super::{BASE, DIVISOR, PATCHES, RESTARTS, Shape, TANS, ZIGZAG};
use crate::page::bytes::{Cursor, unzigzag};
use crate::page::error::PageError;
use crate::page::packed::Packed;
use crate::page::slot::Slot;
use crate::page::{RESTART_ROWS, tans};

/// Where a prefix sum stands: a row, its value and its difference to the row before.
#[derive(Debug, Clone, Copy)]
struct Standing {
    row: usize,
    value: i64,
    difference: i64,
}

/// Decodes a stream, of which `out` has a slot for each row, at least one. Only the slots of
/// `want` are sure to be right afterwards. The cursor is behind the stream, or at the end if
/// tANS was used, which takes all there is.
pub(crate) fn decode<S: Slot>(
    cursor: &mut Cursor<'_>,
    out: &mut [S],
    want: &Range<usize>,
) -> Result<(), PageError> {
    let head = cursor.u8()?;
    let order = usize::from(head & 3);
    let rows = out.len();
    if order > 2 || order >= rows {
        return Err(PageError::corrupt("order"));
    }
    let value = if order > 0 { cursor.zigzag()? } else { 0 };
    let difference = if order == 2 { cursor.zigzag()? } else { 0 };
    let divisor = if head & DIVISOR != 0 {
        cursor.varint()? as i64
    } else {
        1
    };
    if head & DIVISOR != 0 && (divisor == 0 || divisor == 1) {
        return Err(PageError::corrupt("divisor"));
    }
    let base = if head & BASE != 0 {
        cursor.zigzag()?
    } else {
        0
    };
    let shape = Shape {
        order,
        zigzag: head & ZIGZAG != 0,
        divisor,
        base,
    };

    // The rows before the first number.
    let mut standing = Standing {
        row: 0,
        value,
        difference,
    };
    let (fixed, numbers) = out.split_at_mut(order);
    if let [first, second] = fixed {
        *first = S::from_bits(value as u64);
        standing = Standing {
            row: 1,
            value: value.wrapping_add(difference),
            difference,
        };
        *second = S::from_bits(standing.value as u64);
    } else if let [first] = fixed {
        *first = S::from_bits(value as u64);
    }

    if head & TANS != 0 {
        if head & (PATCHES | RESTARTS) != 0 {
            return Err(PageError::corrupt("coder"));
        }
        let bytes = cursor.rest();
        cursor.take(bytes.len())?;
        tans::decode(bytes, numbers, want.end.saturating_sub(order))?;
        let until = want.end.saturating_sub(order).min(numbers.len());
        integrate(
            numbers.get_mut(..until).unwrap_or_default(),
            shape,
            standing,
        );
        return Ok(());
    }
    let packed = Packed::read(cursor, rows - order)?;
    if head & RESTARTS != 0 {
        if order == 0 {
            return Err(PageError::corrupt("restart points of order 0"));
        }
        standing = find_restart(cursor, standing, value, order, rows, want.start)?;
    }
    // From the row behind the standing on; order 0 needs nothing before it.
    let from = if order == 0 {
        want.start
    } else {
        standing.row + 1
    };
    if let (1.., Some(slot)) = (order, out.get_mut(standing.row)) {
        *slot = S::from_bits(standing.value as u64);
    }
    let slots = out.get_mut(from..want.end.max(from)).unwrap_or_default();
    packed.unpack(from - order, slots);
    if head & PATCHES != 0 {
        packed.patch(cursor, rows - order, from - order, slots)?;
    }
    integrate(slots, shape, standing);
    Ok(())
}

/// Reads all restart points and gives the last one not behind `start`, or the beginning.
fn find_restart(
    cursor: &mut Cursor<'_>,
    beginning: Standing,
    first: i64,
    order: usize,
    rows: usize,
    start: usize,
) -> Result<Standing, PageError> {
    let mut best = beginning;
    let mut value = first;
    for row in (RESTART_ROWS..rows).step_by(RESTART_ROWS) {
        value = value.wrapping_add(cursor.zigzag()?);
        let difference = if order == 2 { cursor.zigzag()? } else { 0 };
        if row <= start {
            best = Standing {
                row,
                value,
                difference,
            };
        }
    }
    Ok(best)
}

/// Turns numbers into values, in place; the standing is that of the row before the first.
fn integrate<S: Slot>(slots: &mut [S], shape: Shape, standing: Standing) {
    // The usual shapes get loops without the multiplication and the choice.
    match (shape.zigzag, shape.divisor) {
        (false, 1) => sum(slots, shape, standing, |u| u as i64),
        (true, 1) => sum(slots, shape, standing, unzigzag),
        (false, g) => sum(slots, shape, standing, |u| (u as i64).wrapping_mul(g)),
        (true, g) => sum(slots, shape, standing, |u| unzigzag(u).wrapping_mul(g)),
    }
}

#[inline(always)]
fn sum<S: Slot>(
    slots: &mut [S],
    shape: Shape,
    standing: Standing,
    without_base: impl Fn(u64) -> i64,
) {
    let Standing {
        mut value,
        mut difference,
        ..
    } = standing;
    let base = shape.base;
    match shape.order {
        0 => {
            for slot in slots {
                *slot = S::from_bits(without_base(slot.bits()).wrapping_add(base) as u64);
            }
        }
        1 => {
            // Two sums, so that each waits for one addition only.
            let mut bases = 0i64;
            for slot in slots {
                bases = bases.wrapping_add(base);
                value = value.wrapping_add(without_base(slot.bits()));
                *slot = S::from_bits(value.wrapping_add(bases) as u64);
            }
        }
        _ => {
            for slot in slots {
                let s = without_base(slot.bits()).wrapping_add(base);
                difference = difference.wrapping_add(s);
                value = value.wrapping_add(difference);
                *slot = S::from_bits(value as u64);
            }
        }
    }
}
