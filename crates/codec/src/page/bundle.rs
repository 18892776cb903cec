//! Bundles: buckets of one classic histogram, each as its difference to the next lower `le`.
//! docs/format/page.md section 6.

use super::bytes::{Cursor, put_varint};
use super::decode::decode_page;
use super::encode::encode_page;
use super::error::PageError;
use super::{MAX_COLUMNS, MAX_ROWS, PageFlags, PageOptions, max_page_bytes};

/// Bytes that a bundle of so many columns and rows takes at most.
pub const fn max_bundle_bytes(columns: usize, rows: usize) -> usize {
    2 + columns + 2 * columns.saturating_sub(1) + columns * max_page_bytes(rows)
}

/// What [`encode_bundle`] made of some columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bundle {
    /// One blob, smaller than the pages.
    Bundled(Vec<u8>),
    /// A page for each column: bundling them gains nothing.
    Pages(Vec<Vec<u8>>),
}

/// Writes 1 to [`MAX_COLUMNS`] columns of equal length, by rising `le`.
pub fn encode_bundle(columns: &[&[f64]], options: PageOptions) -> Result<Bundle, PageError> {
    let rows = columns.first().map_or(0, |c| c.len());
    if columns.is_empty() || columns.len() > MAX_COLUMNS || columns.iter().any(|c| c.len() != rows)
    {
        return Err(PageError::BadColumns);
    }
    let mut pages = Vec::with_capacity(columns.len());
    let mut bundled = Vec::with_capacity(columns.len());
    let mut differences = 0u8;
    let mut below: Option<&[f64]> = None;
    for (i, column) in columns.iter().enumerate() {
        let own = encode_page(column, options)?;
        let difference = below.and_then(|below| difference(column, below));
        let page = difference.map(|d| encode_page(&d, options)).transpose()?;
        if let Some(page) = page.filter(|p| p.len() < own.len()) {
            differences |= 1 << i;
            bundled.push(page);
        } else {
            bundled.push(own.clone());
        }
        pages.push(own);
        below = Some(column);
    }
    let mut out = vec![columns.len() as u8 - 1, differences];
    out.extend(columns.iter().map(|c| PageFlags::of(c).to_byte()));
    if let Some((_, front)) = bundled.split_last() {
        for page in front {
            put_varint(&mut out, page.len() as u64);
        }
    }
    out.extend(bundled.iter().flatten());
    let separate: usize = pages.iter().map(Vec::len).sum();
    if differences != 0 && out.len() < separate {
        Ok(Bundle::Bundled(out))
    } else {
        Ok(Bundle::Pages(pages))
    }
}

/// The differences, if adding them gives back every bit.
fn difference(column: &[f64], below: &[f64]) -> Option<Vec<f64>> {
    let difference = |(&x, &y): (&f64, &f64)| {
        let d = if x.is_finite() { x - y } else { x };
        (add(d, y).to_bits() == x.to_bits()).then_some(d)
    };
    column.iter().zip(below).map(difference).collect()
}

/// A value from its difference and the column below.
#[inline(always)]
fn add(d: f64, y: f64) -> f64 {
    if d.is_finite() { d + y } else { d }
}

/// A bundle taken apart.
struct Parts<'a> {
    differences: u8,
    flags: &'a [u8],
    pages: Vec<&'a [u8]>,
}

impl<'a> Parts<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, PageError> {
        let mut cursor = Cursor::new(bytes);
        let columns = usize::from(cursor.u8()?) + 1;
        let differences = cursor.u8()?;
        if columns > MAX_COLUMNS || differences & 1 != 0 || usize::from(differences) >> columns != 0
        {
            return Err(PageError::corrupt("bundle columns"));
        }
        let flags = cursor.take(columns)?;
        let mut lengths = Vec::with_capacity(columns);
        for _ in 1..columns {
            lengths.push(cursor.count(max_page_bytes(MAX_ROWS), "bundle length")?);
        }
        let mut pages = Vec::with_capacity(columns);
        for length in lengths {
            pages.push(cursor.take(length)?);
        }
        pages.push(cursor.rest());
        Ok(Self {
            differences,
            flags,
            pages,
        })
    }

    const fn is_difference(&self, column: usize) -> bool {
        self.differences >> column & 1 != 0
    }

    /// Decodes one column, into `out` behind what is there; the column below is `below`.
    fn decode(
        &self,
        column: usize,
        rows: usize,
        below: &[f64],
        out: &mut Vec<f64>,
    ) -> Result<PageFlags, PageError> {
        let page = self.pages.get(column).ok_or(PageError::BadColumns)?;
        let start = out.len();
        let flags = decode_page(page, rows, out)?;
        if self.is_difference(column) {
            for (v, y) in out.iter_mut().skip(start).zip(below) {
                *v = add(*v, *y);
            }
        }
        let byte = self.flags.get(column).copied().unwrap_or(0);
        Ok(PageFlags::from_byte(
            byte,
            flags.constant && !self.is_difference(column),
        ))
    }
}

/// Appends all columns of a bundle, one behind the other, and gives the flags of each.
/// On an error `out` is as it was.
pub fn decode_bundle(
    bytes: &[u8],
    rows: usize,
    out: &mut Vec<f64>,
) -> Result<Vec<PageFlags>, PageError> {
    let parts = Parts::read(bytes)?;
    let start = out.len();
    let mut flags = Vec::with_capacity(parts.pages.len());
    let mut below = Vec::new();
    for column in 0..parts.pages.len() {
        match parts.decode(column, rows, &below, out) {
            Ok(f) => flags.push(f),
            Err(e) => {
                out.truncate(start);
                return Err(e);
            }
        }
        below.clear();
        below.extend_from_slice(out.get(start + column * rows..).unwrap_or_default());
    }
    Ok(flags)
}

/// Appends one column, reading only the columns below that it needs. On an error `out` is as it
/// was.
pub fn decode_bundle_column(
    bytes: &[u8],
    rows: usize,
    column: usize,
    out: &mut Vec<f64>,
) -> Result<PageFlags, PageError> {
    let parts = Parts::read(bytes)?;
    if column >= parts.pages.len() {
        return Err(PageError::BadColumns);
    }
    let own = (0..=column)
        .rev()
        .find(|&c| !parts.is_difference(c))
        .unwrap_or(0);
    let (mut below, mut values) = (Vec::new(), Vec::new());
    for c in own..column {
        values.clear();
        parts.decode(c, rows, &below, &mut values)?;
        std::mem::swap(&mut below, &mut values);
    }
    parts.decode(column, rows, &below, out)
}
