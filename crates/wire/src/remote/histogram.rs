//! Native histograms of both versions of remote write: one message.

use std::sync::Arc;

use tsdb_model::histogram::CUSTOM_BUCKETS_SCHEMA;
use tsdb_model::{
    CounterResetHint, FloatHistogram, Histogram, HistogramError, HistogramValue, Span,
};

use super::RemoteError;
use super::proto::{Part, Reader, signed};
use super::request::HistogramEntry;

/// Finest schema that is stored; Prometheus reserves finer ones and brings them down.
const FINEST_SCHEMA: i32 = 8;

/// Finest schema that there may be.
const FINEST_RESERVED_SCHEMA: i32 = 52;

/// The fields of a message, before it is known whether its counts are integers.
#[derive(Debug, Default)]
struct Fields {
    count_int: u64,
    count_float: Option<f64>,
    sum: f64,
    schema: i32,
    zero_threshold: f64,
    zero_count_int: u64,
    zero_count_float: f64,
    negative_spans: Vec<Span>,
    negative_deltas: Vec<i64>,
    negative_counts: Vec<f64>,
    positive_spans: Vec<Span>,
    positive_deltas: Vec<i64>,
    positive_counts: Vec<f64>,
    reset_hint: u64,
    timestamp_ms: i64,
    custom_values: Vec<f64>,
    start_timestamp_ms: i64,
}

/// Memory that a histogram of so many bytes takes, about: buckets are one byte or more.
pub(super) fn memory(part: Part) -> usize {
    let fixed = size_of::<HistogramEntry>() + size_of::<FloatHistogram>();
    fixed + part.len().saturating_mul(8)
}

/// Reads the message in `part`.
pub(super) fn read(body: &[u8], part: Part) -> Result<HistogramEntry, RemoteError> {
    let mut f = Fields::default();
    let mut reader = Reader::of(body, part);
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => {
                f.count_int = reader.number(tag, "CountInt")?;
                f.count_float = None;
            }
            2 => f.count_float = Some(reader.double(tag, "CountFloat")?),
            3 => f.sum = reader.double(tag, "Sum")?,
            4 => f.schema = signed(reader.number(tag, "Schema")?) as i32,
            5 => f.zero_threshold = reader.double(tag, "ZeroThreshold")?,
            6 => f.zero_count_int = reader.number(tag, "ZeroCountInt")?,
            7 => f.zero_count_float = reader.double(tag, "ZeroCountFloat")?,
            8 => {
                let part = reader.part(tag, "NegativeSpans")?;
                f.negative_spans.push(span(body, part)?);
            }
            9 => reader.numbers(tag, "NegativeDeltas", |v| {
                push(&mut f.negative_deltas, signed(v))
            })?,
            10 => reader.doubles(tag, "NegativeCounts", |v| push(&mut f.negative_counts, v))?,
            11 => {
                let part = reader.part(tag, "PositiveSpans")?;
                f.positive_spans.push(span(body, part)?);
            }
            12 => reader.numbers(tag, "PositiveDeltas", |v| {
                push(&mut f.positive_deltas, signed(v))
            })?,
            13 => reader.doubles(tag, "PositiveCounts", |v| push(&mut f.positive_counts, v))?,
            14 => f.reset_hint = reader.number(tag, "ResetHint")?,
            15 => f.timestamp_ms = reader.number(tag, "Timestamp")? as i64,
            16 => reader.doubles(tag, "CustomValues", |v| push(&mut f.custom_values, v))?,
            17 => f.start_timestamp_ms = reader.number(tag, "StartTimestamp")? as i64,
            _ => reader.skip(tag)?,
        }
    }
    Ok(HistogramEntry {
        timestamp_ms: f.timestamp_ms,
        start_timestamp_ms: f.start_timestamp_ms,
        value: checked(f),
    })
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "what the reader of repeated fields calls"
)]
fn push<T>(list: &mut Vec<T>, v: T) -> Result<(), RemoteError> {
    list.push(v);
    Ok(())
}

fn span(body: &[u8], part: Part) -> Result<Span, RemoteError> {
    let mut span = Span {
        offset: 0,
        length: 0,
    };
    let mut reader = Reader::of(body, part);
    while let Some(tag) = reader.tag()? {
        match tag.field {
            1 => span.offset = signed(reader.number(tag, "Offset")?) as i32,
            2 => span.length = reader.number(tag, "Length")? as u32,
            _ => reader.skip(tag)?,
        }
    }
    Ok(span)
}

fn checked(f: Fields) -> Result<HistogramValue, HistogramError> {
    let reset_hint = match f.reset_hint {
        1 => CounterResetHint::Reset,
        2 => CounterResetHint::NotReset,
        3 => CounterResetHint::Gauge,
        _ => CounterResetHint::Unknown,
    };
    if let Some(count) = f.count_float {
        let mut histogram = FloatHistogram {
            reset_hint,
            schema: f.schema,
            zero_threshold: f.zero_threshold,
            zero_count: f.zero_count_float,
            count,
            sum: f.sum,
            positive_spans: f.positive_spans,
            negative_spans: f.negative_spans,
            positive_buckets: f.positive_counts,
            negative_buckets: f.negative_counts,
            custom_values: f.custom_values,
        };
        if is_too_fine(f.schema) {
            // Checked as a histogram of the finest schema: all other rules are the same.
            histogram.schema = FINEST_SCHEMA;
            histogram.validate()?;
            histogram.schema = f.schema;
            histogram.reduce_resolution(FINEST_SCHEMA)?;
        }
        histogram.validate()?;
        return Ok(HistogramValue::Float(Arc::new(histogram)));
    }
    let mut histogram = Histogram {
        reset_hint,
        schema: f.schema,
        zero_threshold: f.zero_threshold,
        zero_count: f.zero_count_int,
        count: f.count_int,
        sum: f.sum,
        positive_spans: f.positive_spans,
        negative_spans: f.negative_spans,
        positive_deltas: f.positive_deltas,
        negative_deltas: f.negative_deltas,
        custom_values: f.custom_values,
    };
    if is_too_fine(f.schema) {
        histogram.schema = FINEST_SCHEMA;
        histogram.validate()?;
        let shift = (f.schema - FINEST_SCHEMA) as u32;
        for (spans, deltas) in [
            (
                &mut histogram.positive_spans,
                &mut histogram.positive_deltas,
            ),
            (
                &mut histogram.negative_spans,
                &mut histogram.negative_deltas,
            ),
        ] {
            (*spans, *deltas) = coarser(spans, deltas, shift);
        }
    }
    histogram.validate()?;
    Ok(HistogramValue::Int(Arc::new(histogram)))
}

fn is_too_fine(schema: i32) -> bool {
    schema != CUSTOM_BUCKETS_SCHEMA
        && (FINEST_SCHEMA + 1..=FINEST_RESERVED_SCHEMA).contains(&schema)
}

/// Merges each 2^`shift` neighbouring buckets of spans and deltas that have been checked.
fn coarser(spans: &[Span], deltas: &[i64], shift: u32) -> (Vec<Span>, Vec<i64>) {
    let mut merged: Vec<(i32, i64)> = Vec::new();
    let mut deltas = deltas.iter();
    let (mut index, mut count) = (0_i32, 0_i64);
    for span in spans {
        index = index.wrapping_add(span.offset);
        for delta in deltas.by_ref().take(span.length as usize) {
            count = count.wrapping_add(*delta);
            let target = (index.wrapping_sub(1) >> shift.min(31)).wrapping_add(1);
            match merged.last_mut() {
                Some((last, sum)) if *last == target => *sum = sum.saturating_add(count),
                _ => merged.push((target, count)),
            }
            index = index.wrapping_add(1);
        }
    }
    let (mut spans, mut deltas): (Vec<Span>, Vec<i64>) = Default::default();
    let (mut next, mut before) = (0_i32, 0_i64);
    for (index, count) in merged {
        match spans.last_mut() {
            Some(span) if index == next => span.length += 1,
            _ => spans.push(Span {
                offset: index.wrapping_sub(next),
                length: 1,
            }),
        }
        deltas.push(count.wrapping_sub(before));
        (next, before) = (index.wrapping_add(1), count);
    }
    (spans, deltas)
}
