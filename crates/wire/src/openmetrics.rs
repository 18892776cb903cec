//! Reads OpenMetrics 1.0 text, as strictly as Prometheus's scraper: single spaces, no blank lines,
//! no free comments, `# EOF` at the end and nothing behind it.

use std::borrow::Cow;

use memchr::memchr;
use tsdb_model::MetricType;

use crate::number::parse_value;
use crate::series::{Grammar, LabelReader, series_len, unescaped};
use crate::text::{
    Entry, ExemplarLine, LineRef, SeriesLine, TextError, family_name, number_message, while_parsing,
};

/// Reads one page. After an error or the end there is nothing more to read.
#[derive(Debug)]
pub struct OpenMetricsParser<'a> {
    page: &'a [u8],
    at: usize,
    metric_type: MetricType,
    ended: bool,
}

impl<'a> OpenMetricsParser<'a> {
    /// A parser at the start of `body`.
    pub fn new(body: &'a [u8]) -> Self {
        Self {
            page: body,
            at: 0,
            metric_type: MetricType::Unknown,
            ended: false,
        }
    }

    /// The next line, `None` at `# EOF`.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would turn the result inside out"
    )]
    pub fn next(&mut self) -> Result<Option<Entry<'a>>, TextError> {
        if self.ended {
            return Ok(None);
        }
        let rest = self.page.get(self.at..).unwrap_or_default();
        let read = match rest.strip_prefix(b"# ") {
            _ if rest.is_empty() => Err("data does not end with # EOF".to_string()),
            Some(tail) if tail.starts_with(b"EOF") => self.end(rest),
            Some(tail) => self.metadata(rest, tail).map(Some),
            None => self.series(rest).map(Some),
        };
        read.map_err(|message| {
            self.ended = true;
            let line = LineRef {
                page: self.page,
                start: self.at,
            };
            line.error(message)
        })
    }

    fn end(&mut self, rest: &[u8]) -> Result<Option<Entry<'a>>, String> {
        match rest {
            b"# EOF" | b"# EOF\n" => {
                self.ended = true;
                Ok(None)
            }
            _ => Err("unexpected data after # EOF".to_string()),
        }
    }

    /// `tail` is the line behind `# `.
    fn metadata(&mut self, rest: &'a [u8], tail: &'a [u8]) -> Result<Entry<'a>, String> {
        let (keyword, tail) = match tail {
            k if k.starts_with(b"TYPE ") => ("TYPE", tail.get(5..)),
            k if k.starts_with(b"HELP ") => ("HELP", tail.get(5..)),
            k if k.starts_with(b"UNIT ") => ("UNIT", tail.get(5..)),
            _ => return Err(while_parsing("expected HELP, TYPE, UNIT or EOF", rest)),
        };
        let tail = tail.unwrap_or_default();
        let Some((family, len)) = family_name(tail, tail) else {
            let what = format!("expected metric name after {keyword}");
            return Err(while_parsing(&what, rest));
        };
        let text = tail.get(len..).unwrap_or_default();
        let end = memchr(b'\n', text);
        let (Some(end), Some(b' ')) = (end, text.first()) else {
            return Err(while_parsing(&format!("expected text in {keyword}"), rest));
        };
        let family = std::str::from_utf8(family)
            .map_err(|_| while_parsing("invalid UTF-8 metric name", rest))?;
        let family = unescaped(Cow::Borrowed(family), true);
        let text = std::str::from_utf8(text.get(1..end).unwrap_or_default())
            .map_err(|_| format!("text of {keyword} {family} is not a valid utf8 string"))?;
        let entry = match keyword {
            "TYPE" => {
                let known = MetricType::parse(text).filter(|_| text != "untyped");
                self.metric_type = known.ok_or_else(|| format!("invalid metric type {text:?}"))?;
                Entry::Type {
                    family,
                    metric_type: self.metric_type,
                }
            }
            "UNIT" => {
                let suffix = family.strip_suffix(text).is_some_and(|f| f.ends_with('_'));
                if !text.is_empty() && !suffix {
                    return Err(format!("unit {text:?} not a suffix of metric {family:?}"));
                }
                Entry::Unit {
                    family,
                    unit: Cow::Borrowed(text),
                }
            }
            _ => Entry::Help {
                family,
                help: unescaped(Cow::Borrowed(text), true),
            },
        };
        self.at += rest.len() - tail.len() + len + end + 1;
        Ok(entry)
    }

    fn series(&mut self, rest: &'a [u8]) -> Result<Entry<'a>, String> {
        let line = LineRef {
            page: self.page,
            start: self.at,
        };
        let len = series_len(rest, Grammar::OpenMetrics)
            .map_err(|error| while_parsing(error.what, rest))?;
        let (text, tail) = rest.split_at(len);
        let mut cursor = Cursor { rest, tail };
        let number = cursor.token("expected value after metric")?;
        let value = parse_value(number).map_err(|error| number_message(error, number))?;
        let timestamp_ms = cursor.timestamp()?;
        let exemplar = cursor.exemplar(line)?;
        let Some(tail) = cursor.tail.strip_prefix(b"\n") else {
            return Err(while_parsing("expected next entry", rest));
        };
        self.at = self.page.len() - tail.len();
        Ok(Entry::Series(SeriesLine {
            text,
            metric_type: self.metric_type,
            value,
            timestamp_ms,
            exemplar,
            line,
            grammar: Grammar::OpenMetrics,
        }))
    }
}

/// What is left of a line behind its series.
struct Cursor<'a> {
    rest: &'a [u8],
    tail: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// One space and the bytes up to the next space or line break.
    fn token(&mut self, expected: &str) -> Result<&'a [u8], String> {
        let text = self.tail.strip_prefix(b" ").unwrap_or_default();
        let len = memchr::memchr2(b' ', b'\n', text).unwrap_or(text.len());
        let (token, tail) = text.split_at(len);
        if token.is_empty() {
            return Err(while_parsing(expected, self.rest));
        }
        self.tail = tail;
        Ok(token)
    }

    /// Seconds with a fraction, if there is a token that begins no exemplar.
    fn timestamp(&mut self) -> Result<Option<i64>, String> {
        if !self.tail.starts_with(b" ") || self.tail.starts_with(b" # {") {
            return Ok(None);
        }
        let token = self.token("expected timestamp")?;
        let seconds = parse_value(token).map_err(|error| number_message(error, token))?;
        if seconds.is_finite() {
            Ok(Some((seconds * 1000.0) as i64))
        } else {
            Err(format!("invalid timestamp {seconds}"))
        }
    }

    fn exemplar(&mut self, line: LineRef<'a>) -> Result<Option<ExemplarLine<'a>>, String> {
        let Some(text) = self
            .tail
            .strip_prefix(b" # ")
            .filter(|t| t.starts_with(b"{"))
        else {
            return Ok(None);
        };
        let mut reader = LabelReader::new(text, 1, Grammar::OpenMetrics);
        loop {
            match reader.next() {
                Ok(None) => break,
                Ok(Some(crate::series::Part::Label { .. })) => {}
                Ok(Some(crate::series::Part::MetricName(_))) => {
                    return Err(while_parsing("expected label in exemplar", self.rest));
                }
                Err(expected) => return Err(while_parsing(expected, self.rest)),
            }
        }
        let (text, tail) = text.split_at(reader.position());
        self.tail = tail;
        let number = self.token("expected value after exemplar labels")?;
        let value = parse_value(number).map_err(|error| number_message(error, number))?;
        let timestamp_ms = self.timestamp()?;
        Ok(Some(ExemplarLine {
            text,
            value,
            timestamp_ms,
            line,
        }))
    }
}

#[cfg(test)]
mod tests;
