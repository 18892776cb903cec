//! `/api/v1/export`: all samples of the selected series, as JSON lines, CSV or OpenMetrics text.

use std::fmt::Write as _;

use tsdb_model::float::write_float;
use tsdb_model::{Labels, METRIC_NAME, MetricType, SeriesData, is_stale};
use tsdb_net::server::Response;
use tsdb_wire::encode::TextWriter;

use crate::answer::error_response;
use crate::error::ApiError;
use crate::json;
use crate::router::Call;
use crate::selected::Selected;
use crate::selector::Selection;
use crate::state::Running;
use crate::stream::{Out, Stopped, read_turn, streamed};

/// Samples of one JSON line; a longer series takes several.
const LINE_SAMPLES: usize = 10_000;

/// Rows between two chances to hand on what has gathered.
const CHECKPOINT_ROWS: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    JsonLines,
    Csv,
    OpenMetrics,
}

impl Format {
    fn content_type(self) -> &'static str {
        match self {
            Self::JsonLines => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Writes the selected samples.
pub(crate) async fn export(call: Call, running: Running) -> Response {
    let (selection, format) = match parameters(&call) {
        Ok(parameters) => parameters,
        Err(e) => return error_response(&e),
    };
    let turn = match read_turn(&call.state).await {
        Ok(turn) => turn,
        Err(response) => return response,
    };
    streamed(turn, format.content_type(), move |out| {
        write(&running, &selection, format, out)
    })
    .await
}

fn parameters(call: &Call) -> Result<(Selection, Format), ApiError> {
    call.params.check_form()?;
    if call.params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let mut selection = Selection::without_selectors(&call.params)?;
    selection.sets = call
        .params
        .matchers()
        .map_err(|e| ApiError::invalid("match[]", e))?;
    let format = match call.params.get("format") {
        "" | "json" => Format::JsonLines,
        "csv" => Format::Csv,
        "openmetrics" => Format::OpenMetrics,
        _ => {
            let text = "must be json, csv or openmetrics";
            return Err(ApiError::invalid("format", text));
        }
    };
    Ok((selection, format))
}

fn write(
    running: &Running,
    selection: &Selection,
    format: Format,
    out: &mut Out,
) -> Result<(), Stopped> {
    if format == Format::Csv {
        out.buffer
            .extend_from_slice(b"series,timestamp_ms,value\r\n");
    }
    if !selection.is_empty() {
        let range = (selection.start_ms, selection.end_ms);
        let querier = running.querier_until(range.0, range.1, out.stop.clone())?;
        let mut selected = Selected::new(&*querier, range, &selection.sets)?;
        selected.sort_by_metric();
        let mut data = SeriesData::default();
        let mut text = TextWriter::new();
        let mut family = None;
        let wanted = match selection.limit {
            0 => selected.len(),
            limit => selected.len().min(limit),
        };
        for place in 0..wanted {
            out.stop.check()?;
            selected.read(place, &mut data)?;
            let labels = selected.labels(place);
            match format {
                Format::JsonLines => json_lines(&labels, &data, out)?,
                Format::Csv => csv(&labels, &data, out)?,
                Format::OpenMetrics => {
                    open_metrics(&labels, &data, &mut text, &mut family, out)?;
                }
            }
        }
    }
    if format == Format::OpenMetrics {
        out.buffer.extend_from_slice(b"# EOF\n");
    }
    Ok(())
}

fn json_lines(labels: &Labels, data: &SeriesData, out: &mut Out) -> Result<(), Stopped> {
    let times = data.times();
    let mut line = String::new();
    for (values, times) in data
        .values
        .chunks(LINE_SAMPLES)
        .zip(times.chunks(LINE_SAMPLES))
    {
        line.clear();
        line.push_str("{\"metric\":");
        json::write_labels(&mut line, labels);
        line.push_str(",\"values\":[");
        for (i, v) in values.iter().enumerate() {
            if i > 0 {
                line.push(',');
            }
            json_value(&mut line, *v);
        }
        line.push_str("],\"timestamps\":[");
        for (i, t) in times.iter().enumerate() {
            if i > 0 {
                line.push(',');
            }
            let _ = write!(line, "{t}");
        }
        line.push_str("]}\n");
        out.buffer.extend_from_slice(line.as_bytes());
        out.checkpoint()?;
    }
    for h in &data.histograms {
        line.clear();
        line.push_str("{\"metric\":");
        json::write_labels(&mut line, labels);
        let _ = write!(line, ",\"timestamp\":{},\"histogram\":", h.timestamp_ms);
        json::write_histogram(&mut line, &h.histogram);
        line.push_str("}\n");
        out.buffer.extend_from_slice(line.as_bytes());
        out.checkpoint()?;
    }
    Ok(())
}

/// A JSON number; what JSON has no number for as VictoriaMetrics writes it.
fn json_value(line: &mut String, v: f64) {
    if v.is_finite() {
        write_float(line, v);
    } else if is_stale(v) {
        line.push_str("\"StaleNaN\"");
    } else if v.is_nan() {
        line.push_str("null");
    } else if v > 0.0 {
        line.push_str("\"Infinity\"");
    } else {
        line.push_str("\"-Infinity\"");
    }
}

fn csv(labels: &Labels, data: &SeriesData, out: &mut Out) -> Result<(), Stopped> {
    let mut series = labels.metric_name().to_string();
    if !tsdb_model::labels::is_legacy_metric_name(&series) {
        series.clear();
    }
    let others = labels.filter(|l| l.name != METRIC_NAME || series.is_empty());
    if !others.is_empty() || series.is_empty() {
        let _ = write!(series, "{others}");
    }
    let series = format!("\"{}\"", series.replace('"', "\"\""));
    let mut row = String::new();
    for (i, (t, v)) in data.times().iter().zip(&data.values).enumerate() {
        row.clear();
        let _ = write!(row, "{series},{t},");
        if is_stale(*v) {
            row.push_str("StaleNaN");
        } else {
            write_float(&mut row, *v);
        }
        row.push_str("\r\n");
        out.buffer.extend_from_slice(row.as_bytes());
        if i % CHECKPOINT_ROWS == CHECKPOINT_ROWS - 1 {
            out.checkpoint()?;
        }
    }
    out.checkpoint()
}

/// OpenMetrics has no word for staleness markers; they are left out.
fn open_metrics(
    labels: &Labels,
    data: &SeriesData,
    text: &mut TextWriter,
    family: &mut Option<String>,
    out: &mut Out,
) -> Result<(), Stopped> {
    let name = labels.metric_name();
    let samples = data.times().iter().zip(&data.values);
    let mut samples = samples.filter(|(_, v)| !is_stale(**v)).peekable();
    if samples.peek().is_none() {
        return Ok(());
    }
    if family.as_deref() != Some(name) {
        text.open_metrics_family(name, MetricType::Unknown);
        *family = Some(name.to_string());
    }
    let others: Vec<(&str, &str)> = labels
        .iter()
        .filter(|l| l.name != METRIC_NAME)
        .map(|l| (l.name, l.value))
        .collect();
    let mut time = String::new();
    for (i, (t, v)) in samples.enumerate() {
        time.clear();
        json::write_time(&mut time, *t);
        text.sample_at("", &others, *v, &time);
        if i % CHECKPOINT_ROWS == CHECKPOINT_ROWS - 1 {
            out.buffer.append(&mut text.take().into_bytes());
            out.checkpoint()?;
        }
    }
    out.buffer.append(&mut text.take().into_bytes());
    out.checkpoint()
}
