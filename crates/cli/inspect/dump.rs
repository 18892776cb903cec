//! `tsdb inspect dump`: all samples, series by series.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Context as _, bail};

use tsdb::{Db, Labels, Matcher, Options, SelectHints, SeriesData, SystemClock};
use tsdb_http::json;
use tsdb_model::float::write_float;
use tsdb_model::{Clock as _, is_stale};

use super::{DumpArgs, Format, open};
use crate::output;
use crate::time::parse_time;

/// Samples of one JSON line; a longer series takes several.
const LINE_SAMPLES: usize = 10_000;

/// Prints the samples.
pub(super) fn run(args: &DumpArgs) -> anyhow::Result<bool> {
    let now = SystemClock.now_ms();
    let time = |name: &str, text: &Option<String>| {
        let parse = |text: &String| parse_time(text, now).map_err(anyhow::Error::msg);
        let time = text.as_ref().map(parse).transpose();
        time.with_context(|| format!("--{name}"))
    };
    let start = time("start", &args.start)?.unwrap_or(i64::MIN);
    let end = time("end", &args.end)?.unwrap_or(i64::MAX);
    if end < start {
        bail!("--end is before --start");
    }
    let selector = |text: &String| {
        let parsed = tsdb_promql::parse_selector(text).map_err(|e| anyhow::anyhow!("{e}"));
        parsed.with_context(|| format!("--match {text}"))
    };
    let mut sets = args
        .selectors
        .iter()
        .map(selector)
        .collect::<Result<Vec<_>, _>>()?;
    if sets.is_empty() {
        sets.push(Vec::new());
    }
    open(&args.dir)?;
    let db = Db::open_read_only(&args.dir, Options::default())?;
    dump(&db, &sets, start, end, args.format)?;
    Ok(true)
}

fn dump(
    db: &Db,
    sets: &[Vec<Matcher>],
    start: i64,
    end: i64,
    format: Format,
) -> anyhow::Result<()> {
    let querier = db.querier(start, end)?;
    let hints = SelectHints {
        start_ms: start,
        end_ms: end,
        step_ms: 0,
        range_ms: 0,
        limit: 0,
        labels_only: false,
    };
    let mut seen = BTreeSet::new();
    let mut data = SeriesData::default();
    for matchers in sets {
        let series = querier.select(&hints, matchers)?;
        let mut order: Vec<(Labels, usize)> =
            (0..series.len()).map(|i| (series.labels(i), i)).collect();
        order.sort();
        for (labels, i) in order {
            // Selectors may overlap.
            if sets.len() > 1 && !seen.insert(labels.clone()) {
                continue;
            }
            series.read(i, &mut data)?;
            let text = match format {
                Format::Table => lines(&labels, &data),
                Format::Json => json_lines(&labels, &data),
            };
            output::print(&text).context("standard output")?;
        }
    }
    Ok(())
}

/// `{labels} value time`, as promtool prints it.
fn lines(labels: &Labels, data: &SeriesData) -> String {
    let mut out = String::new();
    for (t, v) in data.times().iter().zip(&data.values) {
        let _ = write!(out, "{labels} ");
        if is_stale(*v) {
            out.push_str("StaleNaN");
        } else {
            write_float(&mut out, *v);
        }
        let _ = writeln!(out, " {t}");
    }
    for h in &data.histograms {
        let _ = writeln!(out, "{labels} {} {}", h.histogram, h.timestamp_ms);
    }
    out
}

fn json_lines(labels: &Labels, data: &SeriesData) -> String {
    let mut out = String::new();
    let times = data.times();
    for (values, times) in data
        .values
        .chunks(LINE_SAMPLES)
        .zip(times.chunks(LINE_SAMPLES))
    {
        out.push_str("{\"metric\":");
        json::write_labels(&mut out, labels);
        out.push_str(",\"values\":[");
        for (i, v) in values.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            json_value(&mut out, *v);
        }
        out.push_str("],\"timestamps\":[");
        for (i, t) in times.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            let _ = write!(out, "{t}");
        }
        out.push_str("]}\n");
    }
    for h in &data.histograms {
        out.push_str("{\"metric\":");
        json::write_labels(&mut out, labels);
        let _ = write!(out, ",\"timestamp\":{},\"histogram\":", h.timestamp_ms);
        json::write_histogram(&mut out, &h.histogram);
        out.push_str("}\n");
    }
    out
}

/// A JSON number; what JSON has no number for as /api/v1/export writes it.
fn json_value(out: &mut String, v: f64) {
    if v.is_finite() {
        write_float(out, v);
    } else if is_stale(v) {
        out.push_str("\"StaleNaN\"");
    } else if v.is_nan() {
        out.push_str("null");
    } else if v > 0.0 {
        out.push_str("\"Infinity\"");
    } else {
        out.push_str("\"-Infinity\"");
    }
}
