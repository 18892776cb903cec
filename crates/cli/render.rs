//! Answers as tables, charts, CSV and JSON; errors with a caret under the place.

use std::fmt::Write as _;

use anyhow::Context as _;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Map, Value as Json};
use textplots::{
    Chart, ColorPlot as _, LabelBuilder as _, LabelFormat, Shape, TickDisplay,
    TickDisplayBuilder as _,
};

use crate::flags::OutputFormat;
use crate::query::When;
use tsdb_model::labels::{is_legacy_label_name, write_quoted};

/// Renders the `data` member of a query answer.
pub(crate) fn render(
    data: &Json,
    when: When,
    format: OutputFormat,
    terminal: bool,
) -> anyhow::Result<String> {
    if format == OutputFormat::Json {
        return Ok(format!("{data}\n"));
    }
    let rows = rows(data)?;
    Ok(match (format, when) {
        (OutputFormat::Csv, _) => csv(&rows),
        (_, When::Range { start, end, .. }) if terminal => chart(&rows, start, end),
        _ => table(&rows),
    })
}

/// One series of the answer.
struct Row {
    labels: Vec<(String, String)>,
    /// Unix seconds and the printed value.
    points: Vec<(f64, String)>,
}

impl Row {
    /// `name{label="value"}`
    fn series(&self) -> String {
        let name = self
            .labels
            .iter()
            .find(|(n, _)| n == "__name__")
            .map_or("", |(_, v)| v);
        let mut out = name.to_string();
        let others: Vec<_> = self
            .labels
            .iter()
            .filter(|(n, _)| n != "__name__")
            .collect();
        if others.is_empty() && !name.is_empty() {
            return out;
        }
        out.push('{');
        for (i, (n, v)) in others.into_iter().enumerate() {
            if i > 0 {
                out.push_str(", ");
            }
            if is_legacy_label_name(n) {
                out.push_str(n);
            } else {
                let _ = write_quoted(&mut out, n);
            }
            out.push('=');
            let _ = write_quoted(&mut out, v);
        }
        out.push('}');
        out
    }
}

fn rows(data: &Json) -> anyhow::Result<Vec<Row>> {
    let result = &data["result"];
    let one = |point: &Json| {
        Ok(vec![Row {
            labels: Vec::new(),
            points: vec![read_point(point)?],
        }])
    };
    match data["resultType"].as_str() {
        Some("scalar" | "string") => one(result),
        Some("vector" | "matrix") => result
            .as_array()
            .context("result is not a list")?
            .iter()
            .map(series_row)
            .collect(),
        other => anyhow::bail!("unknown resultType {other:?}"),
    }
}

fn series_row(series: &Json) -> anyhow::Result<Row> {
    let empty = Map::new();
    let labels = series["metric"].as_object().unwrap_or(&empty);
    let labels = labels
        .iter()
        .map(|(n, v)| (n.clone(), v.as_str().unwrap_or_default().to_string()))
        .collect();
    let mut points = Vec::new();
    for key in ["value", "histogram"] {
        if let Some(point) = series.get(key) {
            points.push(read_point(point)?);
        }
    }
    for key in ["values", "histograms"] {
        for point in series[key].as_array().into_iter().flatten() {
            points.push(read_point(point)?);
        }
    }
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ok(Row { labels, points })
}

fn read_point(point: &Json) -> anyhow::Result<(f64, String)> {
    let seconds = point[0].as_f64().context("a sample without a time")?;
    let value = match &point[1] {
        Json::String(text) => text.clone(),
        Json::Object(histogram) => format!(
            "histogram(count {}, sum {})",
            histogram.get("count").and_then(Json::as_str).unwrap_or("?"),
            histogram.get("sum").and_then(Json::as_str).unwrap_or("?")
        ),
        other => other.to_string(),
    };
    Ok((seconds, value))
}

fn time_text(seconds: f64) -> String {
    tsdb_http::json::rfc3339_ms((seconds * 1000.0).round() as i64)
}

fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "(empty result)\n".to_string();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["SERIES", "VALUE", "TIME"]);
    for row in rows {
        for (t, v) in &row.points {
            table.add_row([row.series(), visible(v), time_text(*t)]);
        }
    }
    if let Some(values) = table.column_mut(1) {
        values.set_cell_alignment(CellAlignment::Right);
    }
    let mut out = String::new();
    for line in table.lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// A string may hold anything; control characters are not for the terminal to act on.
fn visible(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

fn csv(rows: &[Row]) -> String {
    let field = |text: &str| {
        if text.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.to_string()
        }
    };
    let mut out = "series,timestamp,value\n".to_string();
    for row in rows {
        let series = field(&row.series());
        for (t, v) in &row.points {
            let _ = writeln!(out, "{series},{t},{}", field(v));
        }
    }
    out
}

/// Colours of the lines of a chart, as (name, r, g, b).
const COLORS: [(u8, u8, u8); 8] = [
    (97, 175, 239),
    (152, 195, 121),
    (229, 192, 123),
    (224, 108, 117),
    (198, 120, 221),
    (86, 182, 194),
    (171, 178, 191),
    (209, 154, 102),
];

/// A line chart with a legend; histograms are not drawn.
fn chart(rows: &[Row], start_ms: i64, end_ms: i64) -> String {
    let base = start_ms as f64 / 1000.0;
    let lines: Vec<Vec<(f32, f32)>> = rows
        .iter()
        .map(|row| {
            let drawn = row
                .points
                .iter()
                .filter_map(|(t, v)| Some((*t, v.parse::<f64>().ok()?)));
            drawn
                .filter(|(_, v)| v.is_finite())
                .map(|(t, v)| ((t - base) as f32, v as f32))
                .collect()
        })
        .collect();
    if lines.iter().all(Vec::is_empty) {
        return table(rows);
    }
    let width = ((end_ms - start_ms) as f32 / 1000.0).max(1.0);
    let mut plot = Chart::new(140, 50, 0.0, width);
    let shapes: Vec<Shape<'_>> = lines.iter().map(|points| Shape::Lines(points)).collect();
    let mut chart = &mut plot;
    for (i, shape) in shapes.iter().take(COLORS.len()).enumerate() {
        let (r, g, b) = COLORS[i];
        chart = chart.linecolorplot(shape, (r, g, b).into());
    }
    let label = move |x: f32| {
        time_text(base + f64::from(x))
            .get(11..19)
            .unwrap_or("")
            .to_string()
    };
    let chart = chart
        .x_label_format(LabelFormat::Custom(Box::new(label)))
        .y_label_format(LabelFormat::Value)
        .y_tick_display(TickDisplay::Sparse);
    chart.axis();
    chart.figures();
    let mut out = format!("{chart}\n");
    for (i, row) in rows.iter().enumerate() {
        let last = row.points.last().map_or("", |(_, v)| v);
        if let Some((r, g, b)) = COLORS.get(i) {
            let _ = writeln!(
                out,
                "\x1b[38;2;{r};{g};{b}m━━\x1b[0m {}  {last}",
                row.series()
            );
        } else {
            let _ = writeln!(out, "   ... and {} more series, not drawn", rows.len() - i);
            break;
        }
    }
    let _ = writeln!(
        out,
        "{} .. {} UTC",
        time_text(base),
        time_text(end_ms as f64 / 1000.0)
    );
    out
}

/// The message, and below it the line of the query with a caret where the message points to.
pub(crate) fn query_error(query: &str, message: &str) -> String {
    let mut out = format!("error: {message}\n");
    let Some((line, column)) = position(message) else {
        return out;
    };
    let Some(text) = query.lines().nth(line - 1) else {
        return out;
    };
    let before = text.get(..column - 1).unwrap_or(text).chars().count();
    let _ = write!(out, "  {text}\n  {}^\n", " ".repeat(before));
    out
}

/// Finds the `LINE:COLUMN: parse error` of a message.
fn position(message: &str) -> Option<(usize, usize)> {
    let (before, _) = message.split_once(": parse error")?;
    let place = before.rsplit(' ').next()?;
    let (line, column) = place.split_once(':')?;
    let (line, column) = (line.parse().ok()?, column.parse().ok()?);
    (line > 0 && column > 0).then_some((line, column))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_vector_as_table_and_csv() {
        let data = json!({"resultType": "vector", "result": [
            {"metric": {"__name__": "up", "job": "a,b"}, "value": [1700000000.5, "1"]},
            {"metric": {}, "value": [1700000000, "NaN"]},
        ]});
        let when = When::At(0);
        let table = render(&data, when, OutputFormat::Table, true).unwrap();
        let lines: Vec<_> = table.lines().collect();
        assert!(lines[1].contains("up{job=\"a,b\"}") && lines[1].contains("22:13:20.5"));
        assert!(lines[2].contains("NaN"));
        let csv = render(&data, when, OutputFormat::Csv, true).unwrap();
        assert_eq!(
            csv.lines().nth(1),
            Some("\"up{job=\"\"a,b\"\"}\",1700000000.5,1")
        );
    }

    #[test]
    fn a_string_cannot_command_the_terminal() {
        let data = json!({"resultType": "string", "result": [1700000000, "a\u{1b}[31mé\n"]});
        let table = render(&data, When::At(0), OutputFormat::Table, true).unwrap();
        assert!(table.contains("a\\u{1b}[31mé\\n"), "{table}");
        let csv = render(&data, When::At(0), OutputFormat::Csv, true).unwrap();
        assert!(csv.contains("\"a\u{1b}[31mé\n\""), "{csv}");
    }

    #[test]
    fn a_range_is_drawn_on_a_terminal_only() {
        let values: Vec<_> = (0..20)
            .map(|i| json!([1700000000 + i * 15, format!("{}", i * i)]))
            .collect();
        let data = json!({"resultType": "matrix", "result": [
            {"metric": {"__name__": "x"}, "values": values},
        ]});
        let when = When::Range {
            start: 1700000000000,
            end: 1700000285000,
            step: 15000,
        };
        let drawn = render(&data, when, OutputFormat::Table, true).unwrap();
        assert!(drawn.contains('━') && drawn.contains("361"));
        let listed = render(&data, when, OutputFormat::Table, false).unwrap();
        assert_eq!(listed.lines().count(), 21);
    }

    #[test]
    fn a_caret_under_the_place() {
        let message = "invalid parameter \"query\": 1:5: parse error: unexpected end of input";
        assert_eq!(
            query_error("sum(", message),
            format!("error: {message}\n  sum(\n      ^\n")
        );
        assert_eq!(query_error("x", "no position"), "error: no position\n");
    }
}
