//! Reads the Prometheus text format 0.0.4, accepting what Prometheus's scraper accepts, line by
//! line and without copying. Two oddities of Prometheus are left out: blanks before a metric name
//! do not become part of it, and `x-1` is an error, not the metric `x` with the value -1.

use std::borrow::Cow;

use memchr::memchr;
use tsdb_model::MetricType;

use crate::number::{NumberError, parse_digits, parse_value};
pub use crate::series::LabelPair;
use crate::series::{
    Grammar, blanks, metric_name_len, quoted_len, read_braces, read_labels, series_len, unescaped,
};

/// Why a page cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct TextError {
    /// Line of the page, from 1.
    pub line: usize,
    /// What is wrong there.
    pub message: String,
}

/// One line that says something.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry<'a> {
    /// A sample.
    Series(SeriesLine<'a>),
    /// `# TYPE`.
    Type {
        /// Name of the metric family.
        family: Cow<'a, str>,
        /// Its type.
        metric_type: MetricType,
    },
    /// `# HELP`.
    Help {
        /// Name of the metric family.
        family: Cow<'a, str>,
        /// The text, escapes undone.
        help: Cow<'a, str>,
    },
    /// `# UNIT`, in OpenMetrics only.
    Unit {
        /// Name of the metric family.
        family: Cow<'a, str>,
        /// The unit; may be empty.
        unit: Cow<'a, str>,
    },
}

/// A sample as it stands on the page.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesLine<'a> {
    /// The series part as exposed, `name{label="value"}`. Equal texts below the same `metric_type`
    /// have equal labels, so both together can be the key of a cache.
    pub text: &'a [u8],
    /// Type of the last `# TYPE` line above: decides whether `le` and `quantile` are normalised.
    pub metric_type: MetricType,
    /// The value; an exposed NaN has the bits that Prometheus stores.
    pub value: f64,
    /// Exposed time in milliseconds since the Unix epoch.
    pub timestamp_ms: Option<i64>,
    /// The exemplar behind the sample, in OpenMetrics only.
    pub exemplar: Option<ExemplarLine<'a>>,
    pub(crate) line: LineRef<'a>,
    pub(crate) grammar: Grammar,
}

impl<'a> SeriesLine<'a> {
    /// Appends name and value of every label, `__name__` first, else in the order of the page.
    /// Labels with empty values are among them. Texts that are not UTF-8 and names that stand
    /// twice are errors.
    pub fn labels(&self, out: &mut Vec<LabelPair<'a>>) -> Result<(), TextError> {
        read_labels(self.text, self.grammar, self.metric_type, out)
            .map_err(|message| self.line.error(message))
    }
}

/// An exemplar as it stands behind a sample.
#[derive(Debug, Clone, PartialEq)]
pub struct ExemplarLine<'a> {
    /// The labels as exposed, braces included.
    pub text: &'a [u8],
    /// The observed value.
    pub value: f64,
    /// Exposed time in milliseconds since the Unix epoch.
    pub timestamp_ms: Option<i64>,
    pub(crate) line: LineRef<'a>,
}

impl<'a> ExemplarLine<'a> {
    /// Appends name and value of every label in the order of the page.
    pub fn labels(&self, out: &mut Vec<LabelPair<'a>>) -> Result<(), TextError> {
        read_braces(self.text, 1, Grammar::OpenMetrics, MetricType::Unknown, out)
            .map_err(|message| self.line.error(message))
    }
}

/// Where a line starts; its number is counted only when an error needs it.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct LineRef<'a> {
    pub(crate) page: &'a [u8],
    pub(crate) start: usize,
}

impl LineRef<'_> {
    pub(crate) fn error(&self, message: String) -> TextError {
        let before = self.page.get(..self.start).unwrap_or(self.page);
        TextError {
            line: 1 + memchr::memchr_iter(b'\n', before).count(),
            message,
        }
    }
}

impl std::fmt::Debug for LineRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "byte {}", self.start)
    }
}

/// Reads one page. After an error or the end there is nothing more to read.
#[derive(Debug)]
pub struct TextParser<'a> {
    page: &'a [u8],
    at: usize,
    metric_type: MetricType,
}

impl<'a> TextParser<'a> {
    /// A parser at the start of `body`.
    pub fn new(body: &'a [u8]) -> Self {
        Self {
            page: body,
            at: 0,
            metric_type: MetricType::Unknown,
        }
    }

    /// The next line that says something, `None` at the end of the page.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would turn the result inside out"
    )]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Entry<'a>>, TextError> {
        loop {
            let rest = self.page.get(self.at..).unwrap_or_default();
            self.at += blanks(rest);
            let rest = self.page.get(self.at..).unwrap_or_default();
            match rest.first() {
                None => return Ok(None),
                Some(b'\n') => self.at += 1,
                Some(b'#') => {
                    if let Some(entry) = self.comment(rest)? {
                        return Ok(Some(entry));
                    }
                }
                Some(_) => return self.series(rest).map(Some),
            }
        }
    }

    fn fail<T>(&mut self, at: usize, message: String) -> Result<T, TextError> {
        let line = LineRef {
            page: self.page,
            start: at,
        };
        self.at = self.page.len();
        Err(line.error(message))
    }

    /// `rest` starts with the series.
    #[inline]
    fn series(&mut self, rest: &'a [u8]) -> Result<Entry<'a>, TextError> {
        let start = self.at;
        let len = match series_len(rest, Grammar::Text) {
            Ok(len) => len,
            Err(error) => {
                return self.fail(start + error.at, while_parsing(error.what, rest));
            }
        };
        // Labels may contain line breaks, so the end of the line is looked for behind them.
        let (text, tail) = rest.split_at(len);
        let end = memchr(b'\n', tail).unwrap_or(tail.len());
        let tail = tail.get(..end).unwrap_or_default();
        let (number, tail) = token(tail);
        if number.is_empty() {
            let what = "expected value after metric";
            return self.fail(start + len, while_parsing(what, rest));
        }
        let value = match parse_value(number) {
            Ok(value) => value,
            Err(error) => return self.fail(start + len, number_message(error, number)),
        };
        let (time, tail) = token(tail);
        let timestamp_ms = if time.is_empty() {
            None
        } else {
            let Some(t) = parse_digits(time) else {
                let what = "expected timestamp or new record";
                return self.fail(start + len, while_parsing(what, rest));
            };
            Some(t)
        };
        if blanks(tail) != tail.len() {
            return self.fail(
                start + len,
                while_parsing("expected next entry after timestamp", rest),
            );
        }
        self.at = start + len + end + 1;
        Ok(Entry::Series(SeriesLine {
            text,
            metric_type: self.metric_type,
            value,
            timestamp_ms,
            exemplar: None,
            line: LineRef {
                page: self.page,
                start,
            },
            grammar: Grammar::Text,
        }))
    }

    /// `rest` starts with `#`. Comments other than HELP and TYPE say nothing.
    fn comment(&mut self, rest: &'a [u8]) -> Result<Option<Entry<'a>>, TextError> {
        let start = self.at;
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        let line = rest.get(..end).unwrap_or_default();
        self.at = start + end + 1;
        let gap = blanks(line.get(1..).unwrap_or_default());
        let words = line.get(1 + gap..).unwrap_or_default();
        let (is_type, keyword) = (words.starts_with(b"TYPE"), 4);
        let tail = words.get(keyword..).unwrap_or_default();
        let tail_gap = blanks(tail);
        if gap == 0 || tail_gap == 0 || !(is_type || words.starts_with(b"HELP")) {
            return Ok(None);
        }
        let tail = tail.get(tail_gap..).unwrap_or_default();
        // A quoted name may contain a line break: look for its end beyond this line.
        let name_at = 1 + gap + keyword + tail_gap;
        let Some((family, name_len)) = family_name(rest.get(name_at..).unwrap_or_default(), tail)
        else {
            let what = if is_type {
                "expected metric name after TYPE"
            } else {
                "expected metric name after HELP"
            };
            return self.fail(start, while_parsing(what, rest));
        };
        let text_at = name_at + name_len;
        let text = rest.get(text_at..).unwrap_or_default();
        let end = memchr(b'\n', text).unwrap_or(text.len());
        let text = text.get(..end).unwrap_or_default();
        self.at = start + text_at + end + 1;
        let Ok(family) = std::str::from_utf8(family) else {
            return self.fail(start, while_parsing("invalid UTF-8 metric name", rest));
        };
        let family = unescaped(Cow::Borrowed(family), true);
        if is_type {
            let word = String::from_utf8_lossy(text.get(1..).unwrap_or_default());
            let Some(metric_type) = MetricType::parse(&word) else {
                return self.fail(start, format!("invalid metric type {word:?}"));
            };
            self.metric_type = metric_type;
            return Ok(Some(Entry::Type {
                family,
                metric_type,
            }));
        }
        let Ok(help) = std::str::from_utf8(text.get(1..).unwrap_or_default()) else {
            let message = format!(
                "help text {:?} is not a valid utf8 string",
                String::from_utf8_lossy(text)
            );
            return self.fail(start, message);
        };
        let help = unescaped(Cow::Borrowed(help), false);
        Ok(Some(Entry::Help { family, help }))
    }
}

/// The name at the start of a HELP or TYPE line's tail, without quotes, and its length with them.
pub(crate) fn family_name<'a>(page: &'a [u8], line: &'a [u8]) -> Option<(&'a [u8], usize)> {
    match metric_name_len(line) {
        0 => {
            let len = quoted_len(page)?;
            Some((page.get(1..len - 1)?, len))
        }
        len => Some((line.get(..len)?, len)),
    }
}

/// Splits the next run of bytes other than blanks from `text`.
#[inline]
fn token(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.get(blanks(text)..).unwrap_or_default();
    let len = text
        .iter()
        .position(|b| *b == b' ' || *b == b'\t')
        .unwrap_or(text.len());
    text.split_at(len)
}

pub(crate) fn number_message(error: NumberError, text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    match error {
        NumberError::Character => format!("unsupported character in float {text:?}"),
        NumberError::Syntax => format!("invalid number {text:?}"),
    }
}

/// `what`, with the line it was found in.
pub(crate) fn while_parsing(what: &str, rest: &[u8]) -> String {
    let end = memchr(b'\n', rest).unwrap_or(rest.len()).min(200);
    let line = String::from_utf8_lossy(rest.get(..end).unwrap_or_default());
    format!("{what} while parsing: {line:?}")
}

#[cfg(test)]
mod tests;
