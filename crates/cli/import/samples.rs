//! Samples from text files, sent on in pieces.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use super::ImportSamplesArgs;
use crate::output;
use crate::source::{Access, Ask, Source};

/// Bytes after which a piece is sent; the longest line may come on top.
const PIECE_BYTES: usize = 8 << 20;

/// Longest line.
const MAX_LINE_BYTES: usize = 16 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Csv,
    Text,
    OpenMetrics,
}

impl Format {
    fn content_type(self) -> &'static str {
        match self {
            Self::Json | Self::Csv => "application/x-ndjson",
            Self::Text => "text/plain; version=0.0.4",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0",
        }
    }
}

/// Runs the command; the exit code is 1 when something was refused.
pub(super) fn run(args: &ImportSamplesArgs, format: Format) -> ExitCode {
    output::report(|| {
        let source = Source::open(&args.source, Access::Write)?;
        let imported = import(args, format, &source);
        source.close()?;
        imported
    })
}

fn import(args: &ImportSamplesArgs, format: Format, source: &Source) -> anyhow::Result<()> {
    if args.files.is_empty() {
        return one(BufReader::new(std::io::stdin().lock()), format, source)
            .context("standard input");
    }
    for path in &args.files {
        let file = open(path).with_context(|| path.display().to_string())?;
        one(BufReader::new(file), format, source).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a file that the user names, not one of the store's directory"
)]
fn open(path: &Path) -> std::io::Result<std::fs::File> {
    std::fs::File::open(path)
}

/// Sends one file. What a piece had that was refused is told when all pieces are sent.
fn one(mut input: impl BufRead, format: Format, source: &Source) -> anyhow::Result<()> {
    let mut pieces = Pieces {
        source,
        format,
        piece: Vec::new(),
        refused: Vec::new(),
    };
    let mut rows = Rows::default();
    let mut line = Vec::new();
    let mut number = 0_u64;
    let mut comments = false;
    while read_line(&mut input, &mut line)? {
        number += 1;
        match format {
            Format::Csv => {
                let row = String::from_utf8_lossy(&line);
                let row = row.trim_end_matches(['\r', '\n']);
                if let Some(done) = rows.push(row).with_context(|| format!("line {number}"))? {
                    pieces.piece.extend_from_slice(done.as_bytes());
                }
            }
            Format::OpenMetrics if line.starts_with(b"# EOF") => break,
            _ => {
                // A piece must not begin in the middle of a family's description.
                let comment = line.starts_with(b"#");
                let may_split = format != Format::OpenMetrics || comment && !comments;
                comments = comment;
                if may_split && pieces.piece.len() >= PIECE_BYTES {
                    pieces.send()?;
                }
                pieces.piece.extend_from_slice(&line);
                if !line.ends_with(b"\n") {
                    pieces.piece.push(b'\n');
                }
            }
        }
        if format == Format::Csv && pieces.piece.len() >= PIECE_BYTES {
            pieces.send()?;
        }
    }
    if let Some(done) = rows.finish() {
        pieces.piece.extend_from_slice(done.as_bytes());
    }
    pieces.send()?;
    match pieces.refused.as_slice() {
        [] => Ok(()),
        refused => bail!("{}", refused.join("\n")),
    }
}

/// False at the end.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> anyhow::Result<bool> {
    use std::io::Read as _;
    line.clear();
    let most = MAX_LINE_BYTES as u64 + 1;
    input.by_ref().take(most).read_until(b'\n', line)?;
    if line.len() > MAX_LINE_BYTES {
        bail!("a line is longer than {MAX_LINE_BYTES} bytes");
    }
    Ok(!line.is_empty())
}

/// What is gathered until it is sent.
struct Pieces<'a> {
    source: &'a Source,
    format: Format,
    piece: Vec<u8>,
    refused: Vec<String>,
}

/// Refusals that are kept for the end.
const MAX_REFUSED: usize = 20;

impl Pieces<'_> {
    fn send(&mut self) -> anyhow::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        if self.format == Format::OpenMetrics {
            self.piece.extend_from_slice(b"# EOF\n");
        }
        let content_type = [("content-type", self.format.content_type().to_string())];
        let piece = std::mem::take(&mut self.piece);
        let ask = Ask::Body("/api/v1/import", piece, &content_type);
        if let Err(e) = self.source.ask(ask, &mut |_| Ok(())) {
            // Only what the server has an opinion on is worth going on for.
            if e.chain().count() > 1 {
                return Err(e);
            }
            if self.refused.len() < MAX_REFUSED {
                self.refused.push(e.to_string());
            }
        }
        Ok(())
    }
}

/// Turns rows of CSV into JSON lines; rows of one series that follow each other become one line.
#[derive(Default)]
struct Rows {
    series: String,
    metric: String,
    times: String,
    values: String,
    count: usize,
}

/// Rows of one line.
const MAX_ROWS: usize = 10_000;

impl Rows {
    /// Takes a row; gives a line that is done.
    fn push(&mut self, row: &str) -> anyhow::Result<Option<String>> {
        if row.is_empty() || row.starts_with("series,") {
            return Ok(None);
        }
        let (series, rest) = field(row)?;
        let (time, value) = rest
            .split_once(',')
            .context("expected series, time and value")?;
        let time: i64 = time.trim().parse().context("time")?;
        let mut done = None;
        if series != self.series || self.count >= MAX_ROWS {
            done = self.finish();
            if series != self.series {
                let labels = tsdb_promql::parse_metric(&series)
                    .map_err(|e| anyhow::anyhow!("series {series}: {e}"))?;
                let labels: BTreeMap<&str, &str> =
                    labels.iter().map(|l| (l.name, l.value)).collect();
                self.metric = serde_json::to_string(&labels)?;
                self.series = series;
            }
        }
        let comma = if self.count > 0 { "," } else { "" };
        let _ = write!(self.times, "{comma}{time}");
        // As text, which is read as exactly as a number and knows infinities.
        let value = serde_json::to_string(value.trim())?;
        let _ = write!(self.values, "{comma}{value}");
        self.count += 1;
        Ok(done)
    }

    /// The line of the rows so far.
    fn finish(&mut self) -> Option<String> {
        if self.count == 0 {
            return None;
        }
        self.count = 0;
        Some(format!(
            "{{\"metric\":{},\"values\":[{}],\"timestamps\":[{}]}}\n",
            self.metric,
            std::mem::take(&mut self.values),
            std::mem::take(&mut self.times)
        ))
    }
}

/// The first field, its quotes undone, and what is behind its comma.
fn field(row: &str) -> anyhow::Result<(String, &str)> {
    let Some(quoted) = row.strip_prefix('"') else {
        let (field, rest) = row
            .split_once(',')
            .context("expected series, time and value")?;
        return Ok((field.to_string(), rest));
    };
    let mut field = String::new();
    let mut rest = quoted;
    loop {
        let (part, after) = rest
            .split_once('"')
            .context("a quote without its partner")?;
        field += part;
        match after.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                rest = after;
            }
            None => {
                let rest = after
                    .strip_prefix(',')
                    .context("expected series, time and value")?;
                return Ok((field, rest));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_lines() {
        let mut rows = Rows::default();
        let mut out = String::new();
        for row in [
            "series,timestamp_ms,value",
            "\"x{a=\"\"b\"\"}\",1,2.5",
            "\"x{a=\"\"b\"\"}\",2,+Inf",
            "y,3,StaleNaN",
        ] {
            out.extend(rows.push(row).unwrap());
        }
        out.extend(rows.finish());
        let want = "{\"metric\":{\"__name__\":\"x\",\"a\":\"b\"},\"values\":[\"2.5\",\"+Inf\"],\
                    \"timestamps\":[1,2]}\n{\"metric\":{\"__name__\":\"y\"},\
                    \"values\":[\"StaleNaN\"],\"timestamps\":[3]}\n";
        assert_eq!(out, want);
        assert!(rows.push("x,1").is_err() && rows.push("\"x,1,2").is_err());
        assert!(rows.push("x{,1,2").is_err() && rows.push("x,a,2").is_err());
    }
}
