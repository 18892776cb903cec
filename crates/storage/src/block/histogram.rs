//! Native histogram samples of a series: docs/format/block.md section 8.
//!
//! Samples that follow each other with the same buckets are a page: a column for each field and
//! each bucket.

use std::sync::Arc;

use tsdb_codec::page::{MAX_ROWS, PageOptions, decode_page, encode_page};
use tsdb_codec::times::{decode_times, encode_times};
use tsdb_codec::varint::{put_uvarint, put_varint};
use tsdb_model::HistogramValue;
use tsdb_model::histogram::{CounterResetHint, FloatHistogram, Histogram, Span};

use super::HistogramRow;
use super::bytes::{Bad, Cursor};
use crate::wal::entries::HINTS;

/// Rows that a page is written with at most.
const PAGE_ROWS: usize = 480;

/// Bucket counts that a page of several rows has at most.
const PAGE_CELLS: usize = 1 << 20;

const FLOAT: u8 = 1;
const STARTS: u8 = 2;

/// What the samples of a page have in common.
#[derive(Debug, Clone, Copy)]
struct Layout<'a> {
    float: bool,
    schema: i32,
    zero_threshold: f64,
    positive: (&'a [Span], usize),
    negative: (&'a [Span], usize),
    custom_values: &'a [f64],
}

impl<'a> Layout<'a> {
    fn of(value: &'a HistogramValue) -> Self {
        match value {
            HistogramValue::Int(h) => Self {
                float: false,
                schema: h.schema,
                zero_threshold: h.zero_threshold,
                positive: (&h.positive_spans, h.positive_deltas.len()),
                negative: (&h.negative_spans, h.negative_deltas.len()),
                custom_values: &h.custom_values,
            },
            HistogramValue::Float(h) => Self {
                float: true,
                schema: h.schema,
                zero_threshold: h.zero_threshold,
                positive: (&h.positive_spans, h.positive_buckets.len()),
                negative: (&h.negative_spans, h.negative_buckets.len()),
                custom_values: &h.custom_values,
            },
        }
    }

    fn same(&self, other: &Self) -> bool {
        let bits = |values: &[f64]| -> Vec<u64> { values.iter().map(|v| v.to_bits()).collect() };
        self.float == other.float
            && self.schema == other.schema
            && self.zero_threshold.to_bits() == other.zero_threshold.to_bits()
            && self.positive == other.positive
            && self.negative == other.negative
            && bits(self.custom_values) == bits(other.custom_values)
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, i64::from(self.schema));
        out.extend(self.zero_threshold.to_le_bytes());
        for (spans, buckets) in [self.positive, self.negative] {
            put_uvarint(out, spans.len() as u64);
            for span in spans {
                put_varint(out, i64::from(span.offset));
                put_uvarint(out, u64::from(span.length));
            }
            put_uvarint(out, buckets as u64);
        }
        put_uvarint(out, self.custom_values.len() as u64);
        for v in self.custom_values {
            out.extend(v.to_le_bytes());
        }
    }
}

fn hint_number(hint: CounterResetHint) -> i64 {
    HINTS.iter().position(|h| *h == hint).unwrap_or(0) as i64
}

const TOO_MANY: Bad = Bad("histogram page");

fn put_column(out: &mut Vec<u8>, column: &[u8]) {
    put_uvarint(out, column.len() as u64);
    out.extend_from_slice(column);
}

fn put_ints(out: &mut Vec<u8>, numbers: &[i64]) -> Result<(), Bad> {
    let coded = encode_times(numbers, PageOptions::BLOCK.coder).map_err(|_| TOO_MANY)?;
    put_column(out, &coded);
    Ok(())
}

fn put_floats(out: &mut Vec<u8>, values: &[f64]) -> Result<(), Bad> {
    let coded = encode_page(values, PageOptions::BLOCK).map_err(|_| TOO_MANY)?;
    put_column(out, &coded);
    Ok(())
}

/// Counts of all buckets from their differences.
fn sums(deltas: &[i64]) -> impl Iterator<Item = i64> + '_ {
    deltas.iter().scan(0i64, |sum, d| {
        *sum = sum.wrapping_add(*d);
        Some(*sum)
    })
}

/// Columns of bucket counts out of rows of them.
fn transposed<T: Copy>(rows: &[T], buckets: usize) -> impl Iterator<Item = Vec<T>> + '_ {
    (0..buckets).map(move |bucket| rows.iter().skip(bucket).step_by(buckets).copied().collect())
}

fn put_page(rows: &[HistogramRow], layout: Layout<'_>) -> Result<Vec<u8>, Bad> {
    let has_starts = rows.iter().any(|r| r.start != 0);
    let float = if layout.float { FLOAT } else { 0 };
    let mut out = vec![float | if has_starts { STARTS } else { 0 }];
    layout.put(&mut out);
    let ints = |of: fn(&HistogramRow) -> i64| -> Vec<i64> { rows.iter().map(of).collect() };
    put_ints(&mut out, &ints(|r| r.t))?;
    if has_starts {
        put_ints(&mut out, &ints(|r| r.start))?;
    }
    put_ints(
        &mut out,
        &ints(|r| {
            let own = match &r.value {
                HistogramValue::Int(h) => h.reset_hint,
                HistogramValue::Float(h) => h.reset_hint,
            };
            hint_number(r.hint) << 2 | hint_number(own)
        }),
    )?;
    let (positive, negative) = (layout.positive.1, layout.negative.1);
    if layout.float {
        let all = || {
            rows.iter().filter_map(|r| match &r.value {
                HistogramValue::Float(h) => Some(h),
                HistogramValue::Int(_) => None,
            })
        };
        put_floats(&mut out, &all().map(|h| h.sum).collect::<Vec<_>>())?;
        put_floats(&mut out, &all().map(|h| h.count).collect::<Vec<_>>())?;
        put_floats(&mut out, &all().map(|h| h.zero_count).collect::<Vec<_>>())?;
        let cells: Vec<f64> = all()
            .flat_map(|h| h.positive_buckets.iter().copied())
            .collect();
        for column in transposed(&cells, positive) {
            put_floats(&mut out, &column)?;
        }
        let cells: Vec<f64> = all()
            .flat_map(|h| h.negative_buckets.iter().copied())
            .collect();
        for column in transposed(&cells, negative) {
            put_floats(&mut out, &column)?;
        }
    } else {
        let all = || {
            rows.iter().filter_map(|r| match &r.value {
                HistogramValue::Int(h) => Some(h),
                HistogramValue::Float(_) => None,
            })
        };
        put_floats(&mut out, &all().map(|h| h.sum).collect::<Vec<_>>())?;
        put_ints(&mut out, &all().map(|h| h.count as i64).collect::<Vec<_>>())?;
        put_ints(
            &mut out,
            &all().map(|h| h.zero_count as i64).collect::<Vec<_>>(),
        )?;
        let cells: Vec<i64> = all().flat_map(|h| sums(&h.positive_deltas)).collect();
        for column in transposed(&cells, positive) {
            put_ints(&mut out, &column)?;
        }
        let cells: Vec<i64> = all().flat_map(|h| sums(&h.negative_deltas)).collect();
        for column in transposed(&cells, negative) {
            put_ints(&mut out, &column)?;
        }
    }
    Ok(out)
}

/// Writes the histograms of a series, by time.
pub(super) fn put_histograms(rows: &[HistogramRow]) -> Result<Vec<u8>, Bad> {
    let mut pages: Vec<(&[HistogramRow], Layout<'_>)> = Vec::new();
    let mut rest = rows;
    while let Some(first) = rest.first() {
        let layout = Layout::of(&first.value);
        let most =
            (PAGE_CELLS / (layout.positive.1 + layout.negative.1).max(1)).clamp(1, PAGE_ROWS);
        let same = rest
            .iter()
            .take(most)
            .take_while(|r| Layout::of(&r.value).same(&layout))
            .count();
        let (page, behind) = rest.split_at(same);
        pages.push((page, layout));
        rest = behind;
    }
    let mut out = Vec::new();
    put_uvarint(&mut out, pages.len() as u64);
    let mut data = Vec::new();
    let mut before = 0i64;
    for (page, layout) in pages {
        let (Some(first), Some(last)) = (page.first(), page.last()) else {
            continue;
        };
        let coded = put_page(page, layout)?;
        put_uvarint(&mut out, page.len() as u64);
        put_varint(&mut out, first.t.wrapping_sub(before));
        put_uvarint(&mut out, last.t.wrapping_sub(first.t) as u64);
        put_uvarint(&mut out, coded.len() as u64);
        before = last.t;
        data.extend(coded);
    }
    out.extend(data);
    Ok(out)
}

/// What is read of a layout.
#[derive(Debug)]
struct Owned {
    schema: i32,
    zero_threshold: f64,
    positive: (Vec<Span>, usize),
    negative: (Vec<Span>, usize),
    custom_values: Vec<f64>,
}

fn take_float(cursor: &mut Cursor<'_>) -> Result<f64, Bad> {
    Ok(f64::from_le_bytes(cursor.fixed()?))
}

fn take_side(cursor: &mut Cursor<'_>) -> Result<(Vec<Span>, usize), Bad> {
    let count = cursor.count(cursor.len())?;
    let mut spans = Vec::new();
    let mut covered = 0u64;
    for _ in 0..count {
        let offset = i32::try_from(cursor.i64()?).map_err(|_| Bad("span"))?;
        let length = cursor.u32()?;
        covered = covered.saturating_add(u64::from(length));
        spans.push(Span { offset, length });
    }
    let buckets = cursor.count(cursor.len())?;
    if covered != buckets as u64 {
        return Err(Bad("spans do not fit the buckets"));
    }
    Ok((spans, buckets))
}

impl Owned {
    fn take(cursor: &mut Cursor<'_>) -> Result<Self, Bad> {
        let schema = i32::try_from(cursor.i64()?).map_err(|_| Bad("schema"))?;
        let zero_threshold = take_float(cursor)?;
        let (positive, negative) = (take_side(cursor)?, take_side(cursor)?);
        let count = cursor.count(cursor.len() / 8)?;
        let custom = (0..count).map(|_| take_float(cursor));
        Ok(Self {
            schema,
            zero_threshold,
            positive,
            negative,
            custom_values: custom.collect::<Result<_, _>>()?,
        })
    }
}

fn take_ints(cursor: &mut Cursor<'_>, rows: usize) -> Result<Vec<i64>, Bad> {
    let mut out = Vec::with_capacity(rows);
    decode_times(cursor.blob()?, rows, &mut out).map_err(|_| Bad("column of a histogram"))?;
    Ok(out)
}

fn take_floats(cursor: &mut Cursor<'_>, rows: usize) -> Result<Vec<f64>, Bad> {
    let mut out = Vec::with_capacity(rows);
    decode_page(cursor.blob()?, rows, &mut out).map_err(|_| Bad("column of a histogram"))?;
    Ok(out)
}

fn columns<T>(
    count: usize,
    mut take: impl FnMut() -> Result<Vec<T>, Bad>,
) -> Result<Vec<Vec<T>>, Bad> {
    (0..count).map(|_| take()).collect()
}

fn row_of<T: Copy + Default>(columns: &[Vec<T>], row: usize) -> Vec<T> {
    let cell = |c: &Vec<T>| c.get(row).copied().unwrap_or_default();
    columns.iter().map(cell).collect()
}

fn deltas_of(columns: &[Vec<i64>], row: usize) -> Vec<i64> {
    let mut before = 0i64;
    let delta = |count: i64| {
        let delta = count.wrapping_sub(before);
        before = count;
        delta
    };
    row_of(columns, row).into_iter().map(delta).collect()
}

fn take_page(bytes: &[u8], rows: usize, out: &mut Vec<HistogramRow>) -> Result<(), Bad> {
    let mut cursor = Cursor::new(bytes);
    let flags = cursor.byte()?;
    if flags & !(FLOAT | STARTS) != 0 {
        return Err(Bad("flags of a histogram page"));
    }
    let layout = Owned::take(&mut cursor)?;
    let (positive, negative) = (layout.positive.1, layout.negative.1);
    if rows > 1 && (positive + negative).saturating_mul(rows) > PAGE_CELLS {
        return Err(Bad("too many buckets in a page"));
    }
    let c = &mut cursor;
    let times = take_ints(c, rows)?;
    let starts = if flags & STARTS != 0 {
        take_ints(c, rows)?
    } else {
        vec![0; rows]
    };
    let hints = take_ints(c, rows)?;
    let sums = take_floats(c, rows)?;
    let mut put = |row: usize, value: &dyn Fn(f64, CounterResetHint) -> HistogramValue| {
        let at = |column: &[i64]| column.get(row).copied().unwrap_or(0);
        let hint = |n: i64| usize::try_from(n).ok().and_then(|n| HINTS.get(n)).copied();
        let (seen, own) = (hint(at(&hints) >> 2), hint(at(&hints) & 3));
        let (Some(seen), Some(own)) = (seen, own) else {
            return Err(Bad("counter reset hint"));
        };
        out.push(HistogramRow {
            t: at(&times),
            start: at(&starts),
            hint: seen,
            value: value(sums.get(row).copied().unwrap_or(0.0), own),
        });
        Ok(())
    };
    if flags & FLOAT != 0 {
        let (counts, zero) = (take_floats(c, rows)?, take_floats(c, rows)?);
        let positives = columns(positive, || take_floats(c, rows))?;
        let negatives = columns(negative, || take_floats(c, rows))?;
        for row in 0..rows {
            let at = |column: &[f64]| column.get(row).copied().unwrap_or(0.0);
            put(row, &|sum, reset_hint| {
                HistogramValue::Float(Arc::new(FloatHistogram {
                    reset_hint,
                    schema: layout.schema,
                    zero_threshold: layout.zero_threshold,
                    zero_count: at(&zero),
                    count: at(&counts),
                    sum,
                    positive_spans: layout.positive.0.clone(),
                    negative_spans: layout.negative.0.clone(),
                    positive_buckets: row_of(&positives, row),
                    negative_buckets: row_of(&negatives, row),
                    custom_values: layout.custom_values.clone(),
                }))
            })?;
        }
    } else {
        let (counts, zero) = (take_ints(c, rows)?, take_ints(c, rows)?);
        let positives = columns(positive, || take_ints(c, rows))?;
        let negatives = columns(negative, || take_ints(c, rows))?;
        for row in 0..rows {
            let at = |column: &[i64]| column.get(row).copied().unwrap_or(0) as u64;
            put(row, &|sum, reset_hint| {
                HistogramValue::Int(Arc::new(Histogram {
                    reset_hint,
                    schema: layout.schema,
                    zero_threshold: layout.zero_threshold,
                    zero_count: at(&zero),
                    count: at(&counts),
                    sum,
                    positive_spans: layout.positive.0.clone(),
                    negative_spans: layout.negative.0.clone(),
                    positive_deltas: deltas_of(&positives, row),
                    negative_deltas: deltas_of(&negatives, row),
                    custom_values: layout.custom_values.clone(),
                }))
            })?;
        }
    }
    cursor.end()
}

/// Appends the histograms of a series with `mint <= t <= maxt`.
pub(super) fn take_histograms(
    bytes: &[u8],
    mint: i64,
    maxt: i64,
    out: &mut Vec<HistogramRow>,
) -> Result<(), Bad> {
    let mut cursor = Cursor::new(bytes);
    let count = cursor.count(cursor.len())?;
    let mut pages = Vec::new();
    let mut before = 0i64;
    for _ in 0..count {
        let rows = cursor.count(MAX_ROWS)?;
        let first = before.wrapping_add(cursor.i64()?);
        let last = first.wrapping_add(cursor.u64()? as i64);
        let length = cursor.usize()?;
        before = last;
        pages.push((rows, first, last, length));
    }
    let mut last_t = None;
    for (rows, first, last, length) in pages {
        let page = cursor.bytes(length)?;
        if last < mint || first > maxt {
            continue;
        }
        let from = out.len();
        take_page(page, rows, out)?;
        let new = out.get(from..).unwrap_or_default();
        let fits = new.first().is_some_and(|r| r.t == first)
            && new.last().is_some_and(|r| r.t == last)
            && new.is_sorted_by(|a, b| a.t < b.t)
            && last_t.is_none_or(|t| t < first);
        if !fits {
            return Err(Bad("times of a histogram page"));
        }
        last_t = Some(last);
        if first < mint || last > maxt {
            let kept = out.split_off(from).into_iter();
            out.extend(kept.filter(|r| mint <= r.t && r.t <= maxt));
        }
    }
    cursor.end()
}
