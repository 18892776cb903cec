//! A fetched page and its lines, whatever the format.

use tsdb_wire::negotiate::Format;
use tsdb_wire::openmetrics::OpenMetricsParser;
use tsdb_wire::text::{Entry, TextParser};

/// A page as fetched.
#[derive(Debug)]
pub(crate) struct Page {
    /// Decompressed.
    pub(crate) body: Vec<u8>,
    pub(crate) format: Format,
}

impl Page {
    /// Reads the page from its beginning.
    pub(crate) fn lines(&self) -> Lines<'_> {
        match self.format {
            Format::Text => Lines::Text(TextParser::new(&self.body)),
            Format::OpenMetrics => Lines::OpenMetrics(OpenMetricsParser::new(&self.body)),
        }
    }
}

/// The lines of a page.
pub(crate) enum Lines<'a> {
    Text(TextParser<'a>),
    OpenMetrics(OpenMetricsParser<'a>),
}

impl<'a> Lines<'a> {
    /// The next line that says something.
    pub(crate) fn next(&mut self) -> Result<Option<Entry<'a>>, String> {
        let entry = match self {
            Self::Text(parser) => parser.next(),
            Self::OpenMetrics(parser) => parser.next(),
        };
        entry.map_err(|e| e.to_string())
    }
}
