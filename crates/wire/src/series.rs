//! The series part of a line (`name{label="value"}`): its grammar in both text formats, the labels
//! in it, and the escapes in their values. Nothing is copied unless an escape forces it.

use std::borrow::Cow;

use memchr::memchr2;
use tsdb_model::{METRIC_NAME, MetricType};

use crate::number::normalized;

/// What stands between the braces, one at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part<'a> {
    /// A quoted metric name, escapes still in it.
    MetricName(&'a [u8]),
    /// A label, escapes still in both.
    Label { name: &'a [u8], value: &'a [u8] },
}

/// Which grammar: text 0.0.4 takes blanks between all tokens and labels without commas,
/// OpenMetrics takes neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grammar {
    Text,
    OpenMetrics,
}

/// Bytes in names: 1 for all but digits and colon, 2 for digits, 4 for the colon.
const NAME_CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut b = 0;
    while b < 256 {
        let byte = b as u8;
        table[b] = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => 1,
            b'0'..=b'9' => 2,
            b':' => 4,
            _ => 0,
        };
        b += 1;
    }
    table
};

/// Length of the metric name (`[a-zA-Z_:][a-zA-Z0-9_:]*`) at the start of `text`; 0 when none.
#[inline]
pub(crate) fn metric_name_len(text: &[u8]) -> usize {
    name_len(text, 1 | 4, 1 | 2 | 4)
}

#[inline]
fn name_len(text: &[u8], first: u8, rest: u8) -> usize {
    let class = |b: &u8| NAME_CLASS[usize::from(*b)];
    match text.first() {
        Some(b) if class(b) & first != 0 => text
            .iter()
            .position(|b| class(b) & rest == 0)
            .unwrap_or(text.len()),
        _ => 0,
    }
}

/// Length of the blanks at the start of `text`.
#[inline]
pub(crate) fn blanks(text: &[u8]) -> usize {
    text.iter()
        .position(|b| *b != b' ' && *b != b'\t')
        .unwrap_or(text.len())
}

/// Length of the quoted text at the start of `text`, both quotes included; `None` when it does not
/// start with a quote or never ends. A backslash protects the byte behind it.
#[inline]
pub(crate) fn quoted_len(text: &[u8]) -> Option<usize> {
    if text.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        match text.get(at) {
            Some(b'"') => return Some(at + 1),
            // Go's lexers do not let a backslash protect the end of the line.
            _ if text.get(at + 1) == Some(&b'\n') => return None,
            _ => at += 2,
        }
    }
}

/// Reads the inside of the braces, from behind the opening to behind the closing one.
#[derive(Debug, Clone)]
pub(crate) struct LabelReader<'a> {
    text: &'a [u8],
    at: usize,
    grammar: Grammar,
    /// A comma or the closing brace must come before the next label (OpenMetrics).
    separator_due: bool,
}

impl<'a> LabelReader<'a> {
    /// `at` is the position behind the opening brace.
    pub(crate) fn new(text: &'a [u8], at: usize, grammar: Grammar) -> Self {
        Self {
            text,
            at,
            grammar,
            separator_due: false,
        }
    }

    /// Where reading has come to; behind the closing brace after [`LabelReader::next`] gave `None`.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    #[inline]
    fn peek(&mut self) -> Option<u8> {
        if self.grammar == Grammar::Text {
            self.at += blanks(self.rest());
        }
        self.text.get(self.at).copied()
    }

    /// The next part, or `None` at the closing brace; an error says what was expected.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<Part<'a>>, &'static str> {
        if self.separator_due {
            self.separator_due = false;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {}
                _ if self.grammar == Grammar::Text => {}
                _ => return Err("expected comma or brace close"),
            }
        }
        let first = self.peek();
        if first == Some(b'}') {
            self.at += 1;
            return Ok(None);
        }
        let quoted = first == Some(b'"');
        let name = if quoted {
            let len = quoted_len(self.rest()).ok_or("expected label name")?;
            let inside = self.rest().get(1..len - 1).unwrap_or_default();
            self.at += len;
            inside
        } else {
            let len = name_len(self.rest(), 1, 1 | 2);
            let name = self.rest().get(..len).unwrap_or_default();
            self.at += len;
            if name.is_empty() {
                return Err("expected label name");
            }
            name
        };
        match self.peek() {
            Some(b'=') => self.at += 1,
            Some(b',' | b'}') if quoted => {
                self.separator_due = true;
                return Ok(Some(Part::MetricName(name)));
            }
            _ => return Err("expected equal"),
        }
        self.peek();
        let len = quoted_len(self.rest()).ok_or("expected label value")?;
        let value = self.rest().get(1..len - 1).unwrap_or_default();
        // Only of values: quoted names go on over lines in Prometheus, too.
        if self.grammar == Grammar::OpenMetrics && value.contains(&b'\n') {
            return Err("expected label value");
        }
        self.at += len;
        self.separator_due = true;
        Ok(Some(Part::Label { name, value }))
    }
}

/// Length of the series part at the start of `text`: checks names, braces, quotes and that there
/// is exactly one metric name.
#[inline]
pub(crate) fn series_len(text: &[u8], grammar: Grammar) -> Result<usize, SeriesError> {
    let name = metric_name_len(text);
    let mut at = name;
    if grammar == Grammar::Text {
        at += blanks(text.get(at..).unwrap_or_default());
    }
    if text.get(at) != Some(&b'{') {
        return match (name, text.get(name)) {
            (0, _) => Err(SeriesError::at(0, "expected a valid start token")),
            (_, None | Some(b' ' | b'\t' | b'\n')) => Ok(name),
            _ => Err(SeriesError::at(name, "expected value after metric")),
        };
    }
    let mut named = name > 0;
    let mut reader = LabelReader::new(text, at + 1, grammar);
    loop {
        match reader.next() {
            Ok(Some(Part::MetricName(_))) if named => {
                return Err(SeriesError::at(
                    reader.position(),
                    "metric name already set",
                ));
            }
            Ok(Some(Part::MetricName(_))) => named = true,
            Ok(Some(Part::Label { .. })) => {}
            Ok(None) if named => return Ok(reader.position()),
            Ok(None) => return Err(SeriesError::at(reader.position(), "metric name not set")),
            Err(expected) => return Err(SeriesError::at(reader.position(), expected)),
        }
    }
}

/// What is wrong in a series part, and at which byte of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SeriesError {
    pub(crate) at: usize,
    pub(crate) what: &'static str,
}

impl SeriesError {
    fn at(at: usize, what: &'static str) -> Self {
        Self { at, what }
    }
}

/// Name and value, borrowed from the page where no escape stands in the way.
pub type LabelPair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Appends the labels of a series part that [`series_len`] has accepted, metric name first.
pub(crate) fn read_labels<'a>(
    text: &'a [u8],
    grammar: Grammar,
    metric_type: MetricType,
    out: &mut Vec<LabelPair<'a>>,
) -> Result<(), String> {
    let start = out.len();
    let name = text.get(..metric_name_len(text)).unwrap_or_default();
    if !name.is_empty() {
        out.push((Cow::Borrowed(METRIC_NAME), utf8(name, "metric name")?));
    }
    if let Some(brace) = memchr::memchr(b'{', text) {
        read_braces(text, brace + 1, grammar, metric_type, out)?;
    }
    if let Some(metric) = out.iter().skip(start).position(|(n, _)| n == METRIC_NAME)
        && let Some(moved) = out.get_mut(start..=start + metric)
    {
        moved.rotate_right(1);
    }
    match duplicate_name(out.get(start..).unwrap_or_default()) {
        Some(name) => Err(format!("label name {name:?} is not unique: invalid sample")),
        None => Ok(()),
    }
}

/// Appends the labels between braces; `at` is the position behind the opening one.
pub(crate) fn read_braces<'a>(
    text: &'a [u8],
    at: usize,
    grammar: Grammar,
    metric_type: MetricType,
    out: &mut Vec<LabelPair<'a>>,
) -> Result<(), String> {
    let mut reader = LabelReader::new(text, at, grammar);
    while let Some(part) = reader.next()? {
        let pair = match part {
            Part::MetricName(name) => (
                Cow::Borrowed(METRIC_NAME),
                unescaped(utf8(name, "metric name")?, true),
            ),
            Part::Label { name, value } => {
                let name = unescaped(utf8(name, "label name")?, true);
                let value = unescaped(utf8(value, "label value")?, true);
                match normalized(metric_type, &name, &value) {
                    Some(float) => (name, Cow::Owned(float)),
                    None => (name, value),
                }
            }
        };
        out.push(pair);
    }
    Ok(())
}

fn utf8<'a>(bytes: &'a [u8], what: &str) -> Result<Cow<'a, str>, String> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Cow::Borrowed(text)),
        Err(_) => Err(format!(
            "invalid UTF-8 {what}: {:?}",
            String::from_utf8_lossy(bytes)
        )),
    }
}

/// Undoes `\\` and `\n`, and `\"` when `quotes`; other backslashes stand for themselves.
pub(crate) fn unescaped(text: Cow<'_, str>, quotes: bool) -> Cow<'_, str> {
    if !text.contains('\\') {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let (c, skip) = match after.as_bytes().first() {
            Some(b'\\') => ('\\', 1),
            Some(b'"') if quotes => ('"', 1),
            Some(b'n') => ('\n', 1),
            _ => ('\\', 0),
        };
        out.push(c);
        rest = after.get(skip..).unwrap_or_default();
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// A name that stands more than once in `pairs`.
fn duplicate_name<'p>(pairs: &'p [LabelPair<'_>]) -> Option<&'p str> {
    // Quadratic is fastest for the usual handful and must not be used for thousands.
    if pairs.len() <= 16 {
        return pairs.iter().enumerate().find_map(|(i, (name, _))| {
            let again = pairs.iter().skip(i + 1).any(|(other, _)| other == name);
            again.then_some(&**name)
        });
    }
    let mut names: Vec<&str> = pairs.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    names.windows(2).find_map(|pair| match pair {
        [a, b] if a == b => Some(*a),
        _ => None,
    })
}
