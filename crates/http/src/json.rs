//! JSON as the Prometheus API writes it: HTML-safe strings, two spellings of times, native
//! histograms, query results. Writers append to a [`Sink`], which hands on what has gathered, so
//! that an answer never stands in memory as text as a whole.

use std::fmt::Write as _;
use std::io;

use serde::Serialize;
use tsdb_model::float::{write_float, write_float_positional, write_integer};
use tsdb_model::{FloatHistogram, Labels};
use tsdb_promql::{InstantSample, QueryOutput, QueryStats, RangeSeries, SampleValue, Value};

/// Samples written between two chances to hand on what has gathered.
const CHECKPOINT_SAMPLES: usize = 1000;

/// Takes JSON text piece by piece.
pub trait Sink {
    /// Where to append.
    fn text(&mut self) -> &mut String;

    /// May take away what [`Sink::text`] holds; an error when nobody wants it any more.
    fn checkpoint(&mut self) -> io::Result<()>;
}

impl Sink for String {
    fn text(&mut self) -> &mut String {
        self
    }

    fn checkpoint(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Appends a JSON string with `<`, `>`, `&` and the line separators escaped, so that it is safe
/// inside HTML and scripts.
pub fn write_string(out: &mut String, text: &str) {
    out.push('"');
    write_escaped(out, text);
    out.push('"');
}

/// Appends a JSON string with only those characters escaped that have to be: how Prometheus writes
/// names and values of labels.
pub fn write_label_string(out: &mut String, text: &str) {
    out.push('"');
    let plain = |b: u8| b >= b' ' && !matches!(b, b'"' | b'\\');
    if text.bytes().all(plain) {
        out.push_str(text);
    } else {
        write_where(out, text, |c| c < ' ' || matches!(c, '"' | '\\'));
    }
    out.push('"');
}

fn write_escaped(out: &mut String, text: &str) {
    // 0xe2 begins the line separators.
    let plain = |b: u8| b >= b' ' && !matches!(b, b'"' | b'\\' | b'<' | b'>' | b'&' | 0xe2);
    if text.bytes().all(plain) {
        out.push_str(text);
        return;
    }
    write_where(out, text, |c| {
        c < ' ' || matches!(c, '"' | '\\' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}')
    });
}

fn write_where(out: &mut String, text: &str, special: impl Fn(char) -> bool) {
    let mut rest = text;
    while let Some(at) = rest.find(&special) {
        out.push_str(&rest[..at]);
        let c = rest[at..].chars().next().unwrap_or_default();
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
        }
        rest = &rest[at + c.len_utf8()..];
    }
    out.push_str(rest);
}

/// Appends milliseconds as a number of seconds, with exactly three decimals unless they are all
/// zero: how samples in vectors and matrices show their time.
pub fn write_time(out: &mut String, ms: i64) {
    if ms < 0 {
        out.push('-');
    }
    let ms = ms.unsigned_abs();
    write_integer(out, ms / 1000);
    let fraction = ms % 1000;
    if fraction != 0 {
        out.push('.');
        for place in [100, 10, 1] {
            out.push(char::from(b'0' + (fraction / place % 10) as u8));
        }
    }
}

/// Appends a finite float as a JSON number the way Go's encoder does: plain decimals, or an
/// exponent below 1e-6 and from 1e21 on.
pub fn write_number(out: &mut String, v: f64) {
    let mut text = String::new();
    write_float(&mut text, v);
    // Go's JSON encoder writes `1e-9` where `strconv` writes `1e-09`.
    out.push_str(&text.replace("e-0", "e-"));
}

/// Appends labels as an object, sorted by name.
pub fn write_labels(out: &mut String, labels: &Labels) {
    out.push('{');
    for (i, label) in labels.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_label_string(out, label.name);
        out.push(':');
        write_label_string(out, label.value);
    }
    out.push('}');
}

/// Appends an array of strings.
pub fn write_strings<'a>(
    sink: &mut impl Sink,
    texts: impl IntoIterator<Item = &'a str>,
) -> io::Result<()> {
    sink.text().push('[');
    for (i, text) in texts.into_iter().enumerate() {
        if i > 0 {
            sink.text().push(',');
        }
        write_string(sink.text(), text);
        if i % CHECKPOINT_SAMPLES == CHECKPOINT_SAMPLES - 1 {
            sink.checkpoint()?;
        }
    }
    sink.text().push(']');
    Ok(())
}

/// Appends the `data` object of a query answer; `stats` is what the client asked to see.
pub fn write_query_data(
    sink: &mut impl Sink,
    value: &Value,
    stats: Option<&ShownStats>,
) -> io::Result<()> {
    let kind = match value {
        Value::Scalar(..) => "scalar",
        Value::String(..) => "string",
        Value::Vector(_) => "vector",
        Value::Matrix(_) => "matrix",
    };
    let _ = write!(sink.text(), "{{\"resultType\":\"{kind}\",\"result\":");
    match value {
        Value::Scalar(t, v) => {
            let out = sink.text();
            out.push('[');
            write_number(out, *t as f64 / 1000.0);
            out.push_str(",\"");
            write_float_positional(out, *v);
            out.push_str("\"]");
        }
        Value::String(t, text) => {
            let out = sink.text();
            out.push('[');
            write_number(out, *t as f64 / 1000.0);
            out.push(',');
            write_string(out, text);
            out.push(']');
        }
        Value::Vector(samples) => {
            write_list(sink, samples, |sink, sample| {
                write_instant(sink.text(), sample);
                Ok(())
            })?;
        }
        Value::Matrix(series) => write_list(sink, series, write_series)?,
    }
    if let Some(stats) = stats {
        sink.text().push_str(",\"stats\":");
        stats.write(sink.text());
    }
    sink.text().push('}');
    Ok(())
}

fn write_list<S: Sink, T>(
    sink: &mut S,
    items: &[T],
    mut write: impl FnMut(&mut S, &T) -> io::Result<()>,
) -> io::Result<()> {
    sink.text().push('[');
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            sink.text().push(',');
        }
        write(sink, item)?;
        sink.checkpoint()?;
    }
    sink.text().push(']');
    Ok(())
}

fn write_instant(out: &mut String, sample: &InstantSample) {
    out.push_str("{\"metric\":");
    write_labels(out, &sample.labels);
    match &sample.value {
        SampleValue::Float(v) => {
            out.push_str(",\"value\":");
            write_float_point(out, sample.timestamp_ms, *v);
        }
        SampleValue::Histogram(h) => {
            out.push_str(",\"histogram\":");
            write_histogram_point(out, sample.timestamp_ms, h);
        }
    }
    out.push('}');
}

fn write_series<S: Sink>(sink: &mut S, series: &RangeSeries) -> io::Result<()> {
    sink.text().push_str("{\"metric\":");
    write_labels(sink.text(), &series.labels);
    if !series.floats.is_empty() {
        sink.text().push_str(",\"values\":[");
        write_points(sink, &series.floats, |out, (t, v)| {
            write_float_point(out, *t, *v);
        })?;
    }
    if !series.histograms.is_empty() {
        sink.text().push_str(",\"histograms\":[");
        write_points(sink, &series.histograms, |out, (t, h)| {
            write_histogram_point(out, *t, h);
        })?;
    }
    sink.text().push('}');
    Ok(())
}

fn write_points<S: Sink, T>(
    sink: &mut S,
    points: &[T],
    write: impl Fn(&mut String, &T),
) -> io::Result<()> {
    for (i, part) in points.chunks(CHECKPOINT_SAMPLES).enumerate() {
        let out = sink.text();
        for (j, point) in part.iter().enumerate() {
            if i + j > 0 {
                out.push(',');
            }
            write(out, point);
        }
        sink.checkpoint()?;
    }
    sink.text().push(']');
    Ok(())
}

fn write_float_point(out: &mut String, t_ms: i64, v: f64) {
    out.push('[');
    write_time(out, t_ms);
    out.push_str(",\"");
    write_float(out, v);
    out.push_str("\"]");
}

fn write_histogram_point(out: &mut String, t_ms: i64, h: &FloatHistogram) {
    out.push('[');
    write_time(out, t_ms);
    out.push(',');
    write_histogram(out, h);
    out.push(']');
}

/// Appends a native histogram: count, sum and the buckets that are not empty, from the most
/// negative to the most positive.
pub fn write_histogram(out: &mut String, h: &FloatHistogram) {
    let text = |out: &mut String, v: f64| {
        out.push('"');
        write_float(out, v);
        out.push('"');
    };
    out.push_str("{\"count\":");
    text(out, h.count);
    out.push_str(",\"sum\":");
    text(out, h.sum);
    let buckets = h.api_buckets();
    for (i, bucket) in buckets.iter().enumerate() {
        let open = if i > 0 { "," } else { ",\"buckets\":[" };
        let _ = write!(out, "{open}[{},", bucket.boundaries());
        text(out, bucket.lower);
        out.push(',');
        text(out, bucket.upper);
        out.push(',');
        text(out, bucket.count);
        out.push(']');
    }
    if !buckets.is_empty() {
        out.push(']');
    }
    out.push('}');
}

/// Statistics of a query as the client sees them.
#[derive(Debug, Clone, Copy, Default)]
pub struct ShownStats {
    /// What the engine measured.
    pub engine: QueryStats,
    /// Seconds the query waited for its turn.
    pub queue_seconds: f64,
    /// What Prometheus does not have, too: bytes, series, CPU.
    pub all: bool,
}

impl ShownStats {
    pub(crate) fn write(&self, out: &mut String) {
        let s = &self.engine;
        out.push_str("{\"timings\":{");
        for (i, (name, seconds)) in [
            ("evalTotalTime", s.eval_total_seconds),
            ("resultSortTime", s.result_sort_seconds),
            ("queryPreparationTime", s.prepare_seconds),
            ("innerEvalTime", s.inner_eval_seconds),
            ("execQueueTime", self.queue_seconds),
            ("execTotalTime", s.eval_total_seconds + self.queue_seconds),
        ]
        .into_iter()
        .enumerate()
        {
            let comma = if i > 0 { "," } else { "" };
            let _ = write!(out, "{comma}\"{name}\":");
            // Nanoseconds, as Prometheus has them; always plain decimals.
            write_float_positional(out, (seconds * 1e9).round() / 1e9);
        }
        let _ = write!(
            out,
            "}},\"samples\":{{\"totalQueryableSamples\":{},\"peakSamples\":{}}}",
            s.total_queryable_samples, s.peak_samples
        );
        if self.all {
            let _ = write!(
                out,
                ",\"memory\":{{\"peakBytes\":{}}},\"series\":{{\"selected\":{}}},\"cpu\":{{\"seconds\":",
                s.peak_bytes, s.series
            );
            write_float_positional(out, (s.cpu_seconds * 1e9).round() / 1e9);
            out.push('}');
        }
        out.push('}');
    }
}

/// The `data` object of a query answer as one text, without statistics.
pub fn data_json(output: &QueryOutput) -> String {
    let mut out = String::new();
    write_query_data(&mut out, &output.value, None).expect("invariant: a string takes everything");
    out
}

/// Serializes with the escaping of [`write_string`].
pub(crate) fn to_json(value: &impl Serialize) -> serde_json::Result<String> {
    let mut bytes = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(
        &mut bytes, HtmlSafe,
    ))?;
    Ok(String::from_utf8(bytes).expect("invariant: serde_json writes UTF-8"))
}

struct HtmlSafe;

impl serde_json::ser::Formatter for HtmlSafe {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut escaped = String::new();
        write_escaped(&mut escaped, fragment);
        writer.write_all(escaped.as_bytes())
    }
}

/// Milliseconds since the Unix epoch as RFC 3339 in UTC, fraction without trailing zeros:
/// `2024-01-02T15:04:05.67Z`.
pub fn rfc3339_ms(ms: i64) -> String {
    let (days, in_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let (year, month, day) = civil_from_days(days);
    let seconds = in_day / 1000;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut out = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if in_day % 1000 != 0 {
        let fraction = format!(".{:03}", in_day % 1000);
        out.push_str(fraction.trim_end_matches('0'));
    }
    out.push('Z');
    out
}

/// Year, month and day of a day counted from 1970-01-01, proleptic Gregorian calendar.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    // Counted from 0000-03-01, so that leap days end their year.
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests;
