//! Which exposition format a scrape asks for and which one it got.

use std::fmt::Write as _;

/// Exposition format of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Prometheus text format.
    Text,
    /// OpenMetrics text.
    OpenMetrics,
}

/// A format and version that a scrape may ask for; the names are those of `scrape_protocols`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScrapeProtocol {
    /// `OpenMetricsText1.0.0`
    OpenMetricsText1_0_0,
    /// `OpenMetricsText0.0.1`
    OpenMetricsText0_0_1,
    /// `PrometheusText1.0.0`
    PrometheusText1_0_0,
    /// `PrometheusText0.0.4`
    PrometheusText0_0_4,
}

impl ScrapeProtocol {
    /// All that can be parsed, in Prometheus's default order.
    pub const ALL: [Self; 4] = [
        Self::OpenMetricsText1_0_0,
        Self::OpenMetricsText0_0_1,
        Self::PrometheusText1_0_0,
        Self::PrometheusText0_0_4,
    ];

    /// The name in configuration files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenMetricsText1_0_0 => "OpenMetricsText1.0.0",
            Self::OpenMetricsText0_0_1 => "OpenMetricsText0.0.1",
            Self::PrometheusText1_0_0 => "PrometheusText1.0.0",
            Self::PrometheusText0_0_4 => "PrometheusText0.0.4",
        }
    }

    /// Reads the name in configuration files.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.as_str() == name)
    }

    /// The parser that reads it.
    pub fn format(self) -> Format {
        match self {
            Self::OpenMetricsText1_0_0 | Self::OpenMetricsText0_0_1 => Format::OpenMetrics,
            Self::PrometheusText1_0_0 | Self::PrometheusText0_0_4 => Format::Text,
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetricsText1_0_0 => "application/openmetrics-text;version=1.0.0",
            Self::OpenMetricsText0_0_1 => "application/openmetrics-text;version=0.0.1",
            Self::PrometheusText1_0_0 => "text/plain;version=1.0.0",
            Self::PrometheusText0_0_4 => "text/plain;version=0.0.4",
        }
    }
}

/// The `Accept` header that asks for `protocols` in this order. `escaping` is the scheme for names
/// beyond letters, digits and underscores (`allow-utf-8`, `underscores`, `dots`, `values`).
pub fn accept_header(protocols: &[ScrapeProtocol], escaping: &str) -> String {
    let mut header = String::new();
    // Prometheus counts down from the number of formats it knows, protobuf included, plus one.
    let mut weight = 6;
    for protocol in protocols {
        header.push_str(protocol.media_type());
        if protocol.as_str().ends_with("1.0.0") {
            header.push_str(";escaping=");
            header.push_str(escaping);
        }
        let _ = write!(header, ";q=0.{weight},");
        weight = (weight - 1).max(1);
    }
    let _ = write!(header, "*/*;q=0.{weight}");
    header
}

/// The format of an answer by its `Content-Type`. When that says nothing useful, `fallback` (the
/// job's `fallback_scrape_protocol`) is used; without one the scrape fails with the returned text,
/// which is Prometheus's.
pub fn page_format(
    content_type: Option<&str>,
    fallback: Option<ScrapeProtocol>,
) -> Result<Format, String> {
    let content_type = content_type.unwrap_or_default();
    let problem = if content_type.is_empty() {
        "non-compliant scrape target sending blank Content-Type and no fallback_scrape_protocol \
         specified for target"
            .to_string()
    } else {
        match media_type(content_type) {
            Ok(media) if media == "text/plain" => return Ok(Format::Text),
            Ok(media) if media == "application/openmetrics-text" => return Ok(Format::OpenMetrics),
            Ok(_) => format!(
                "received unsupported Content-Type {content_type:?} and no \
                 fallback_scrape_protocol specified for target"
            ),
            Err(reason) => format!(
                "cannot parse Content-Type {content_type:?} and no fallback_scrape_protocol for \
                 target\nmime: {reason}"
            ),
        }
    };
    fallback.map(ScrapeProtocol::format).ok_or(problem)
}

/// The media type in lower case, without parameters.
fn media_type(content_type: &str) -> Result<String, &'static str> {
    let media = content_type.split(';').next().unwrap_or_default().trim();
    let token = |t: &str| {
        !t.is_empty()
            && t.bytes()
                .all(|b| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&b))
    };
    if media.is_empty() {
        return Err("no media type");
    }
    match media.split_once('/') {
        None if token(media) => Ok(media.to_ascii_lowercase()),
        Some((kind, _)) if !token(kind) => Err("expected token before slash"),
        None => Err("expected slash after first token"),
        Some((_, "")) => Err("expected token after slash"),
        Some((_, sub)) if !token(sub) => Err("unexpected content after media subtype"),
        Some(_) => Ok(media.to_ascii_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_header_as_prometheus_sends_it() {
        assert_eq!(
            accept_header(&ScrapeProtocol::ALL, "allow-utf-8"),
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
        );
        assert_eq!(
            accept_header(&[ScrapeProtocol::PrometheusText0_0_4], "underscores"),
            "text/plain;version=0.0.4;q=0.6,*/*;q=0.5"
        );
    }

    #[test]
    fn content_types() {
        for (text, format) in [
            ("text/plain", Format::Text),
            ("text/plain; version=0.0.4; charset=utf-8", Format::Text),
            ("TEXT/Plain;version=9", Format::Text),
            (
                "application/openmetrics-text; version=1.0.0",
                Format::OpenMetrics,
            ),
        ] {
            assert_eq!(page_format(Some(text), None), Ok(format), "{text}");
        }
    }

    #[test]
    fn anything_else_needs_a_fallback() {
        for (content_type, message) in [
            (
                None,
                "non-compliant scrape target sending blank Content-Type and no \
                 fallback_scrape_protocol specified for target",
            ),
            (
                Some("text/html"),
                "received unsupported Content-Type \"text/html\" and no \
                 fallback_scrape_protocol specified for target",
            ),
            (
                Some(";;;"),
                "cannot parse Content-Type \";;;\" and no fallback_scrape_protocol for target\n\
                 mime: no media type",
            ),
        ] {
            assert_eq!(page_format(content_type, None), Err(message.to_string()));
            let fallback = Some(ScrapeProtocol::OpenMetricsText1_0_0);
            assert_eq!(page_format(content_type, fallback), Ok(Format::OpenMetrics));
        }
    }

    #[test]
    fn names_round_trip() {
        for protocol in ScrapeProtocol::ALL {
            assert_eq!(ScrapeProtocol::parse(protocol.as_str()), Some(protocol));
        }
        assert_eq!(ScrapeProtocol::parse("PrometheusProto"), None);
    }
}
